package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/results"
)

// Waits between attempts, each twice as long as the one before, and then up to half as long again.
const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 30 * time.Second
	// retryAfterMax bounds what a target may ask for.
	retryAfterMax = 15 * time.Minute
)

// runner is one sink at work. One goroutine runs it; mu guards what Status reads.
type runner struct {
	set    *Set
	spec   Spec
	plan   *plan
	types  []types.Type
	cancel context.CancelFunc
	done   chan struct{}
	// pending are the rows that were given to the target and not acknowledged: they are given again as they are.
	pending []connector.SinkRow
	buf     []byte

	mu     sync.Mutex
	status Status
	at     connector.SinkPosition
	totals totals
}

// current is the status but for the lag.
func (r *runner) current() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.status
	st.Next, st.Rows, st.Dead, st.Missed = r.at.Next, r.totals.rows, r.totals.dead, r.totals.missed
	return st
}

// run works until ctx ends.
func (r *runner) run(ctx context.Context) {
	for _, c := range r.spec.Columns {
		r.types = append(r.types, c.Type)
	}
	var err error
	if r.plan, err = makePlan(r.set.o.Defs, r.set.o.Server, &r.spec); err == nil {
		r.mu.Lock()
		r.status.Target = r.plan.def.Target(r.plan.options)
		err = r.load()
		r.mu.Unlock()
	}
	if err != nil { // nothing that waiting helps against
		r.trouble(err)
		return
	}
	if r.spec.Paused {
		return
	}
	for failures := 0; ctx.Err() == nil; failures++ {
		delivered, err := r.serve(ctx)
		if ctx.Err() != nil || errors.Is(err, results.ErrDropped) || errors.Is(err, results.ErrClosed) {
			return
		}
		if delivered {
			failures = 0
		}
		r.trouble(err)
		r.set.o.Logger.Warn("sink", "sink", r.spec.Name, "error", err, "attempt", failures+1)
		if !r.pause(ctx, failures, err) {
			return
		}
	}
}

// pause waits before the next attempt; false: ctx has ended.
func (r *runner) pause(ctx context.Context, failures int, err error) bool {
	wait := min(backoffMin<<min(failures, 16), backoffMax)
	wait += rand.N(wait/2 + 1)
	if retry, ok := errors.AsType[*connector.Retry](err); ok {
		wait = max(wait, min(retry.After, retryAfterMax))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// trouble notes what went wrong.
func (r *runner) trouble(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := int64(r.set.o.Clock())
	if r.status.State == Running {
		r.status.State, r.status.Since = Failing, now
	}
	r.status.Errors++
	r.status.LastError, r.status.ErrorAt = err.Error(), now
}

// remark notes what a person should know, without being in trouble.
func (r *runner) remark(text string) {
	r.set.o.Logger.Warn("sink", "sink", r.spec.Name, "note", text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.LastError, r.status.ErrorAt = text, int64(r.set.o.Clock())
}

// well notes that rows arrive.
func (r *runner) well() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.State == Failing {
		r.status.State, r.status.Since = Running, int64(r.set.o.Clock())
	}
}

// serve opens the target and delivers to it until something fails; delivered tells whether something went well before.
func (r *runner) serve(ctx context.Context) (delivered bool, err error) {
	target, err := r.plan.def.New(r.plan.options)
	if err != nil {
		return false, err
	}
	defer func() {
		err = errors.Join(err, target.Close())
	}()
	to, err := target.Open(ctx, r.position())
	if moved, ok := errors.AsType[*connector.Moved](err); ok {
		r.remark(moved.What)
		err = nil
	}
	if err != nil {
		return false, err
	}
	if err := r.adopt(to); err != nil {
		return false, err
	}
	if r.at.Next == r.set.o.Results.Next(r.spec.Query) {
		r.well() // else the rows that wait will tell
	}
	for {
		rows, err := r.next(ctx)
		if err != nil {
			return delivered, err
		}
		d, err := target.Deliver(ctx, rows)
		if d.Done > 0 {
			if err := r.advance(rows, d); err != nil {
				return delivered, err
			}
			delivered = true
		}
		if err != nil {
			return delivered, err
		}
		if d.Done == 0 {
			return delivered, sqlerr.New(sqlerr.InternalError, "connector %s took none of %d rows", r.spec.Connector, len(rows))
		}
		r.well()
	}
}

// position is where the sink stands, with a state of its own.
func (r *runner) position() connector.SinkPosition {
	at := r.at
	at.State = bytes.Clone(at.State)
	return at
}

// adopt takes over what the target knows of where the sink stands.
func (r *runner) adopt(to connector.SinkPosition) error {
	n := r.set.o.Results.Next(r.spec.Query)
	if to.Query != r.spec.Query || to.Next > n {
		if to.Query == r.spec.Query {
			r.remark(fmt.Sprintf("the target has rows up to %d of query %q, the server has %d: it was brought back to an older state; the sink goes on from %d",
				to.Next, r.spec.QueryName, n, r.at.Next))
		}
		to.Query, to.Next = r.at.Query, r.at.Next
	}
	if to.Next == r.at.Next && bytes.Equal(to.State, r.at.State) {
		return nil
	}
	t := r.totals
	t.rows += max(0, to.Next-r.at.Next)
	return r.move(to, t, nil)
}

// next waits for rows, and gives those again that were not acknowledged.
func (r *runner) next(ctx context.Context) ([]connector.SinkRow, error) {
	if len(r.pending) > 0 && r.pending[0].Offset == r.at.Next {
		return r.pending, nil
	}
	store := r.set.o.Results
	for {
		r.pending = r.pending[:0]
		if err := store.Wait(ctx, r.spec.Query, r.at.Next); err != nil {
			return nil, err
		}
		if r.plan.linger > 0 {
			wait, cancel := context.WithTimeout(ctx, r.plan.linger)
			err := store.Wait(wait, r.spec.Query, r.at.Next+int64(r.plan.batch)-1)
			cancel()
			if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
				return nil, err
			}
		}
		first, broken, err := r.read(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case first > r.at.Next:
			if err := r.missed(first); err != nil {
				return nil, err
			}
		case len(r.pending) > 0:
			return r.pending, nil
		case broken != nil: // there is nothing to be delivered, now or later
			if err := r.move(connector.SinkPosition{Query: r.at.Query, Next: r.at.Next + 1, State: r.at.State}, totals{r.totals.rows, r.totals.dead + 1, r.totals.missed}, []Dead{*broken}); err != nil {
				return nil, err
			}
			r.remark(broken.Reason)
		}
	}
}

// read fills pending from the sink's place on, up to a row that cannot be read; first is the offset of the first row that is there.
func (r *runner) read(ctx context.Context) (first int64, broken *Dead, err error) {
	first, bytesRead := r.set.o.Results.Oldest(r.spec.Query), 0
	r.buf = r.buf[:0]
	var ends []int
	err = r.set.o.Results.Scan(r.spec.Query, r.at.Next, r.plan.batch, func(row results.Row) (bool, error) {
		if len(r.pending) == 0 {
			if first = row.Offset; first > r.at.Next {
				return false, nil
			}
		}
		id := rowID(r.spec.Query, row.Offset)
		vals, err := codec.DecodeRow(r.types, row.Data)
		if err != nil {
			broken = r.dead(id, "XX001", fmt.Sprintf("result row %d of query %q is damaged: %v", row.Offset, r.spec.QueryName, err), row.Data)
			return false, nil
		}
		before := len(r.buf)
		r.buf = r.plan.encode.row(r.buf, encoded{id: id, op: row.Op, vals: vals})
		key := len(r.buf)
		r.buf = r.plan.encode.key(r.buf, vals)
		ends = append(ends, before, key)
		r.pending = append(r.pending, connector.SinkRow{Offset: row.Offset, Clock: row.Clock, ID: id, Severity: r.spec.Severity, Op: batch.Op(row.Op)})
		bytesRead += len(r.buf) - before
		return bytesRead < batchBytesMax && ctx.Err() == nil, nil
	})
	for i := range r.pending { // the buffer may have moved while it grew
		end := len(r.buf)
		if i+1 < len(r.pending) {
			end = ends[2*i+2]
		}
		r.pending[i].Body = r.buf[ends[2*i]:ends[2*i+1]:ends[2*i+1]]
		if ends[2*i+1] < end {
			r.pending[i].Key = r.buf[ends[2*i+1]:end:end]
		}
	}
	if ctx.Err() != nil {
		return first, nil, ctx.Err()
	}
	return first, broken, err
}

func rowID(query uint64, offset int64) string {
	return strconv.FormatUint(query, 10) + ":" + strconv.FormatInt(offset, 10)
}

func (r *runner) dead(id, code, reason string, body []byte) *Dead {
	if len(body) > deadBodyMax {
		body = body[:deadBodyMax]
	}
	return &Dead{Sink: r.spec.ID, Query: r.spec.Query, At: int64(r.set.o.Clock()), ID: id, Code: code, Reason: reason, Body: bytes.Clone(body)}
}

// advance moves on behind rows that are done.
func (r *runner) advance(rows []connector.SinkRow, d connector.Delivery) error {
	t := r.totals
	var dead []Dead
	for _, l := range d.Dead {
		dead = append(dead, *r.dead(rows[l.Row].ID, l.Code, l.Reason, rows[l.Row].Body))
	}
	t.dead += int64(len(dead))
	t.rows += int64(d.Done - len(dead))
	if err := r.move(connector.SinkPosition{Query: r.spec.Query, Next: rows[d.Done-1].Offset + 1, State: d.State}, t, dead); err != nil {
		return err
	}
	if len(dead) > 0 {
		r.remark(dead[len(dead)-1].Reason)
	}
	r.pending = r.pending[d.Done:]
	if len(r.pending) == 0 {
		r.pending = nil
	}
	return nil
}

// missed goes on behind rows that the query's retention removed before they were delivered, and says so wherever people look.
func (r *runner) missed(first int64) error {
	from := r.at.Next
	text := fmt.Sprintf("rows %d to %d of query %q were removed by its retention before sink %q could deliver them", from, first-1, r.spec.QueryName, r.spec.Name)
	to, t := r.position(), r.totals
	to.Next = first
	t.missed += first - from
	if err := r.move(to, t, nil); err != nil {
		return err
	}
	r.remark(text)
	if err := r.set.o.Missed(&r.spec, text); err != nil {
		r.set.o.Logger.Error("note missed rows", "sink", r.spec.Name, "error", err) // they are counted, and in last_error
	}
	return nil
}
