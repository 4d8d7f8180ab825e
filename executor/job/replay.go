package job

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/results"
)

// Correction is what replaying late rows changes in one query's result.
type Correction struct {
	QueryID uint64
	// Added, Removed and Updated count rows.
	Added, Removed, Updated int
	// Skipped says why the query was left as it is; empty when it was not.
	Skipped string
	rows    []outRow
}

// replayRowsMax bounds the rows of history that one replay holds in memory.
const replayRowsMax = 5_000_000

// ReplayLate runs every query for which rows of a stream came too late since a clock reading again over the retained
// history around them, in order of event time, and tells how its result differs from that. Nothing is changed: Apply the
// Corrections. What the queries look up (IOC lists, tables) is taken as it is now. A query's time column is by id in timeCols.
func (e *Engine) ReplayLate(ctx context.Context, streamID uint64, since types.EventTime, timeCols map[uint64]int) ([]Correction, error) {
	if err := e.Loaded(ctx); err != nil {
		return nil, err
	}
	times := map[uint64][]int64{}
	err := e.meta.Late.Scan(0, func(_ uint64, data []byte) (bool, error) {
		l, err := decodeLate(data)
		if err != nil {
			return false, err
		}
		if l.Stream == streamID && l.At >= int64(since) {
			times[l.Query] = append(times[l.Query], l.Time)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	ids := make([]uint64, 0, len(times))
	for id := range times {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var out []Correction
	for _, id := range ids {
		e.mu.RLock()
		q := e.queries[id]
		e.mu.RUnlock()
		if q == nil {
			continue
		}
		slices.Sort(times[id])
		r := replay{e: e, ctx: ctx, q: q, times: times[id], timeCol: timeCols[id]}
		c, err := r.run()
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// replay is the work of ReplayLate for one query.
type replay struct {
	e       *Engine
	ctx     context.Context
	q       *query
	times   []int64 // of the late rows, ascending
	timeCol int     // of the result; -1: none
	horizon int64
	history []*batch.Batch // by stream and arrival
	sources []uint64
	rows    [][]byte // the result as it should be, in the order it came
}

// why a query cannot be run again, "" when it can.
func (r *replay) obstacle() string {
	h, ok := spec.Horizon(r.q.spec)
	switch {
	case !ok:
		return "its results have no end in time"
	case r.timeCol < 0:
		return "its results have no time column"
	}
	r.horizon = h
	for _, part := range r.q.all() {
		for i := range part.parts.Inputs {
			in := &part.parts.Inputs[i]
			if spec.StageOwner(in.Source) == r.q.spec.ID {
				continue
			}
			s := r.stream(in.Source)
			if in.IsResult || s == nil || s.log == nil {
				return "what it reads, " + in.Name + ", keeps no history"
			}
		}
	}
	e := r.e
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.streams[r.q.spec.ID] != nil {
		return "other queries read its result"
	}
	return ""
}

func (r *replay) stream(id uint64) *stream {
	r.e.mu.RLock()
	defer r.e.mu.RUnlock()
	return r.e.streams[id]
}

func (r *replay) run() (Correction, error) {
	c := Correction{QueryID: r.q.spec.ID}
	if c.Skipped = r.obstacle(); c.Skipped != "" {
		return c, nil
	}
	if err := r.read(); err != nil {
		return c, err
	}
	if err := r.rerun(); err != nil {
		return c, err
	}
	return c, r.compare(&c)
}

// read collects the rows of history that matter.
func (r *replay) read() error {
	seen := map[uint64]bool{}
	for _, part := range r.q.all() {
		for i := range part.parts.Inputs {
			id := part.parts.Inputs[i].Source
			if spec.StageOwner(id) == r.q.spec.ID || seen[id] {
				continue
			}
			seen[id] = true
			if err := r.readStream(r.stream(id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// within reports that a time is so near to a late row that both may belong to one result; reach is how far a row and a
// result lie apart at most.
func (r *replay) within(t, reach int64) bool {
	if reach >= spec.Forever {
		return true
	}
	i, _ := slices.BinarySearch(r.times, t-reach)
	return i < len(r.times) && r.times[i] <= t+reach
}

func (r *replay) readStream(s *stream) error {
	total := 0
	var kept *batch.Batch
	created, arrival := int64(r.q.spec.Created), int64(0)
	reach := 2 * min(r.horizon, spec.Forever/2)
	h := newHistory(r.e, s, func(b *batch.Batch) error {
		ts := b.Cols[s.spec.TimeCol].I64
		for row := range b.N {
			if !r.within(ts[row], reach) || s.spec.MaxAhead > 0 && ts[row] > arrival+s.spec.MaxAhead {
				continue
			}
			if kept == nil || kept.N >= batch.RowsMax {
				kept = batch.New(&s.spec.Schema, nil)
				r.history, r.sources = append(r.history, kept), append(r.sources, s.spec.ID)
			}
			for c := range b.Cols {
				kept.Cols[c].AppendFrom(&b.Cols[c], row)
			}
			kept.N++
			if total++; total > replayRowsMax {
				return sqlerr.New(sqlerr.ProgramLimitExceeded, "replaying late rows for query %q needs more than %d rows of history of stream %q",
					r.q.spec.Name, replayRowsMax, s.spec.Name).WithHint("Replay a shorter time: REPLAY LATE ... SINCE INTERVAL '1 hour'.")
			}
		}
		return nil
	})
	rd := s.log.NewReader(s.log.Start())
	defer rd.Close()
	for end := s.log.End(); r.ctx.Err() == nil && rd.Offset() < end; {
		entry, err := rd.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sqlerr.New(sqlerr.IOError, "could not read the history of stream %q: %v", s.spec.Name, err)
		}
		if arrival = entry.Arrival; arrival < created {
			continue // before the query began
		}
		if err := h.decode(entry); err != nil {
			return err
		}
		if err := h.flush(); err != nil { // arrival is the entry's
			return err
		}
	}
	return r.ctx.Err()
}

// place is a row of history.
type place struct {
	time  int64
	batch int
	row   uint32
}

// rerun runs the query over the rows in order of time; rows of one time in order of arrival.
func (r *replay) rerun() error {
	var order []place
	for i, b := range r.history {
		ts := b.Cols[r.stream(r.sources[i]).spec.TimeCol].I64
		for row := range b.N {
			order = append(order, place{ts[row], i, uint32(row)})
		}
	}
	slices.SortStableFunc(order, func(a, b place) int {
		switch {
		case a.time < b.time:
			return -1
		case a.time > b.time:
			return 1
		}
		return 0
	})
	ctx := &expr.Ctx{Ctx: fn.Ctx{Now: r.e.cfg.Clock()}, IOC: r.e.IOC().At(int64(r.e.cfg.Clock())), Tables: r.e.Tables(), RowError: func(uint32, error) {}}
	if r.e.functions != nil {
		ctx.UDF = r.e.functions
	}
	var parts []*task.Parts
	var ids []uint64
	for _, p := range r.q.all() {
		parts, ids = append(parts, p.parts), append(ids, p.spec.ID)
	}
	run, err := task.NewRerun(ctx, parts, ids, r)
	if err != nil {
		return err
	}
	for i := 0; i < len(order); {
		n := i
		for n < len(order) && order[n].batch == order[i].batch && n-i < batch.RowsMax {
			n++
		}
		if err := r.feed(run, order[i:n]); err != nil {
			return err
		}
		if err := run.Advance(types.EventTime(order[n-1].time)); err != nil {
			return err
		}
		i = n
	}
	if err := run.Advance(types.MaxTime); err != nil {
		return err
	}
	return run.Close()
}

// feed gives rows of one batch of history, in their order.
func (r *replay) feed(run *task.Rerun, rows []place) error {
	src := r.history[rows[0].batch]
	b := batch.New(src.Schema, nil)
	for _, p := range rows {
		for c := range b.Cols {
			b.Cols[c].AppendFrom(&src.Cols[c], int(p.row))
		}
	}
	b.N = len(rows)
	return run.Feed(r.sources[rows[0].batch], b, batch.All(b.N))
}

// Emit implements op.Emitter: result rows near the late ones.
func (r *replay) Emit(in op.Input) error {
	for _, row := range in.Sel {
		v := &in.B.Cols[r.timeCol]
		if !v.IsNull(int(row)) && r.within(v.I64[row], r.horizon) {
			r.rows = append(r.rows, codec.AppendRow(nil, in.B.Row(nil, int(row))))
		}
	}
	return nil
}

// compare finds what differs between the result as it is and as it should be. Rows that are as they should be stay.
func (r *replay) compare(c *Correction) error {
	ts := make([]types.Type, len(r.q.parts.Schema.Cols))
	for i := range ts {
		ts[i] = r.q.parts.Schema.Cols[i].Type
	}
	open := types.EventTime(r.openFrom())
	have := map[string]int{}
	var order []string
	err := r.e.results.Scan(r.q.spec.ID, 0, 0, func(row results.Row) (bool, error) {
		vals, err := codec.DecodeRow(ts, row.Data)
		if err != nil {
			return false, err
		}
		if at := vals[r.timeCol]; at.Null || !r.within(at.I, r.horizon) {
			return true, nil
		}
		switch batch.Op(row.Op) {
		case batch.UpdateBefore, batch.Delete:
			have[string(row.Data)]--
		default:
			if have[string(row.Data)]++; have[string(row.Data)] == 1 {
				order = append(order, string(row.Data))
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	var add []string
	for _, row := range r.rows {
		vals, err := codec.DecodeRow(ts, row)
		if err != nil {
			return err
		}
		switch {
		case have[string(row)] > 0:
			have[string(row)]--
		case types.EventTime(vals[r.timeCol].I) > open: // not due yet
		default:
			add = append(add, string(row))
		}
	}
	var gone []string
	for _, row := range order {
		for ; have[row] > 0; have[row]-- {
			gone = append(gone, row)
		}
	}
	return r.pair(c, ts, gone, add)
}

// openFrom is the query's watermark: results later than it are not final yet.
func (r *replay) openFrom() int64 { return int64(r.e.watermarkOf(r.q)) }

// pair makes updates of rows that differ in no key, deletes and inserts of the others.
func (r *replay) pair(c *Correction, ts []types.Type, gone, add []string) error {
	keys := spec.KeyColumns(r.q.spec.Program.Root)
	key := func(row string) (string, error) {
		vals, err := codec.DecodeRow(ts, []byte(row))
		if err != nil {
			return "", err
		}
		var k []byte
		for _, i := range keys {
			k = batch.AppendKeyValue(k, vals[i])
		}
		return string(k), nil
	}
	before := map[string]string{}
	for _, row := range gone {
		k, err := key(row)
		if err != nil {
			return err
		}
		if len(keys) > 0 && before[k] == "" {
			before[k] = row
			continue
		}
		c.rows = append(c.rows, outRow{op: batch.Delete, data: []byte(row)})
		c.Removed++
	}
	for _, row := range add {
		k, err := key(row)
		if err != nil {
			return err
		}
		if old := before[k]; old != "" {
			delete(before, k)
			c.rows = append(c.rows, outRow{op: batch.UpdateBefore, data: []byte(old)}, outRow{op: batch.UpdateAfter, data: []byte(row)})
			c.Updated++
			continue
		}
		c.rows = append(c.rows, outRow{op: batch.Insert, data: []byte(row)})
		c.Added++
	}
	left := make([]string, 0, len(before))
	for _, row := range before {
		left = append(left, row)
	}
	slices.SortFunc(left, strings.Compare)
	for _, row := range left {
		c.rows = append(c.rows, outRow{op: batch.Delete, data: []byte(row)})
		c.Removed++
	}
	return nil
}

// persist notes that the query's changelog holds corrections; the rows themselves are gathered with the epoch's results.
func (c *Correction) persist(e *Engine, b batchKV, ep *epoch) error {
	if len(c.rows) == 0 || e.queryByID(c.QueryID) == nil {
		return nil
	}
	o, err := e.object(ep, c.QueryID)
	if err != nil {
		return err
	}
	o.Props = withReads(o.Props, map[string]string{PropCorrected: "true"})
	return e.putObject(b, ep, o)
}

func (e *Engine) queryByID(id uint64) *query {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.queries[id]
}

// watermarkOf is the watermark of a query as far as its streams have come.
func (e *Engine) watermarkOf(q *query) types.EventTime {
	least := types.MaxTime
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, part := range q.all() {
		for i := range part.parts.Inputs {
			if s := e.streams[part.parts.Inputs[i].Source]; s != nil && !s.isResult {
				least = min(least, types.EventTime(s.stats.Watermark.Load()))
			}
		}
	}
	return least
}
