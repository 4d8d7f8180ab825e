package session

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// rowSource gives rows one by one to those who ask: portals with a row limit, and cursors.
type rowSource interface {
	// next waits for a row; ok is false at the end. The row is the caller's.
	next(ctx context.Context) (row []types.Value, ok bool, err error)
	close()
}

var (
	_ rowSource = (*puller)(nil)
	_ rowSource = (*coroutine)(nil)
	_ rowSource = (*kept)(nil)
)

// heldBytesMax is how many bytes of rows a connection keeps for one portal or cursor that cannot be read bit by bit.
const heldBytesMax = 256 << 20

// source starts a statement. Its rows are those of now, whatever the connection does before they are asked for: a statement that
// changes something runs to its end, and so does one in a transaction that has changed tables or streams; of others a
// part may wait, because what they read has versions.
func (st *statement) source(ctx context.Context, params []types.Value, out pgwire.Output) (rowSource, error) {
	if st.live {
		return newPuller(st.s.ctx, func(ctx context.Context, emit func([]types.Value) error) error {
			return st.rows(ctx, params, emit, quiet{})
		}), nil
	}
	if !st.changes && !st.s.block.dirty() {
		return newCoroutine(st.s.ctx, func(ctx context.Context, emit func([]types.Value) error) error {
			return st.rows(ctx, params, emit, quiet{})
		}), nil
	}
	k := &kept{}
	err := st.rows(ctx, params, k.add, out)
	return k, err
}

// dirty tells whether the block changed what statements of its own connection read.
func (b *block) dirty() bool {
	if b == nil {
		return false
	}
	return len(b.appends) > 0 || slices.ContainsFunc(b.levels, func(l level) bool { return !l.draft.Empty() })
}

// coroutine is a producer that runs only while somebody waits for its next row: it may use what belongs to the connection.
type coroutine struct {
	pull   func() ([]types.Value, bool)
	stop   func()
	cancel context.CancelCauseFunc
	err    error
	// first is the row that it was started with.
	first struct {
		row  []types.Value
		ok   bool
		have bool
	}
}

// newCoroutine starts a producer, up to its first row: so it reads what is there now.
func newCoroutine(ctx context.Context, produce func(ctx context.Context, emit func([]types.Value) error) error) *coroutine {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &coroutine{cancel: cancel}
	c.pull, c.stop = iter.Pull(func(yield func([]types.Value) bool) {
		err := produce(ctx, func(row []types.Value) error {
			if !yield(slices.Clone(row)) {
				return op.ErrDone
			}
			return nil
		})
		if err != nil && !errors.Is(err, op.ErrDone) {
			c.err = cause(ctx, err)
		}
	})
	c.first.row, c.first.ok = c.pull()
	c.first.have = true
	return c
}

// next implements rowSource. When ctx ends the statement ends with it.
func (c *coroutine) next(ctx context.Context) ([]types.Value, bool, error) {
	if c.first.have {
		c.first.have = false
		if c.first.ok {
			return c.first.row, true, nil
		}
		return nil, false, c.err
	}
	defer context.AfterFunc(ctx, func() { c.cancel(context.Cause(ctx)) })()
	if row, ok := c.pull(); ok {
		return row, true, nil
	}
	return nil, false, c.err
}

func (c *coroutine) close() {
	c.cancel(nil)
	c.stop()
}

// kept is rows that are there already.
type kept struct {
	rows  [][]types.Value
	bytes int
}

// rowBytes is about what a row takes in memory.
func rowBytes(row []types.Value) int {
	const perValue = 64
	n := perValue * len(row)
	for i := range row {
		n += len(row[i].S)
	}
	return n
}

// add takes a row.
func (k *kept) add(row []types.Value) error {
	if k.bytes += rowBytes(row); k.bytes > heldBytesMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "the rows of a cursor over what its own transaction changed, or of one WITH HOLD, can take at most %d MB", heldBytesMax>>20).
			WithHint("Read it before the changes, or ask for fewer rows.")
	}
	k.rows = append(k.rows, slices.Clone(row))
	return nil
}

// next implements rowSource.
func (k *kept) next(context.Context) ([]types.Value, bool, error) {
	if len(k.rows) == 0 {
		return nil, false, nil
	}
	row := k.rows[0]
	k.rows = k.rows[1:]
	return row, true, nil
}

func (k *kept) close() { k.rows = nil }

// keepRest reads the rest of a cursor that outlives its transaction.
func (c *cursor) keepRest(ctx context.Context) error {
	if _, there := c.pull.(*coroutine); !there {
		return nil
	}
	k := &kept{}
	for {
		row, ok, err := c.pull.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := k.add(row); err != nil {
			return err
		}
	}
	c.pull.close()
	c.pull = k
	return nil
}

// puller is a producer of a live subscription: a goroutine that runs ahead by a bounded number of rows.
type puller struct {
	rows   chan []types.Value
	err    error // set before rows is closed
	cancel context.CancelFunc
}

// pullAhead is how many rows a suspended producer holds ready.
const pullAhead = 256

func newPuller(ctx context.Context, produce func(ctx context.Context, emit func([]types.Value) error) error) *puller {
	ctx, cancel := context.WithCancel(ctx)
	p := &puller{rows: make(chan []types.Value, pullAhead), cancel: cancel}
	go func() {
		defer close(p.rows)
		err := produce(ctx, func(row []types.Value) error {
			select {
			case p.rows <- slices.Clone(row):
				return nil
			case <-ctx.Done():
				return op.ErrDone
			}
		})
		if err != nil && !errors.Is(err, op.ErrDone) {
			p.err = err
		}
	}()
	return p
}

// next implements rowSource.
func (p *puller) next(ctx context.Context) (row []types.Value, ok bool, err error) {
	select {
	case row, ok := <-p.rows:
		if !ok {
			return nil, false, p.err
		}
		return row, true, nil
	default:
	}
	select {
	case row, ok := <-p.rows:
		if !ok {
			return nil, false, p.err
		}
		return row, true, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

func (p *puller) close() {
	p.cancel()
	for range p.rows {
		// drain, so that the producer sees the cancellation and ends
	}
}
