package session

import (
	"context"
	"errors"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// portal is a bound statement. With no row limit the rows go straight to the client; with one, a producer goroutine runs
// ahead by a bounded number of rows and waits while the portal is suspended.
type portal struct {
	st     *statement
	params []types.Value
	pull   *puller
	sent   int64
}

var _ pgwire.Portal = (*portal)(nil)

// Execute implements pgwire.Portal.
func (p *portal) Execute(ctx context.Context, most int, out pgwire.Output) (bool, string, error) {
	ctx, cancel := p.st.s.withTimeout(ctx)
	defer cancel()
	p.st.s.begin(p.st.text)
	p.st.s.running, p.st.s.text = ctx, p.st.text
	defer p.st.s.sendWarnings(out)
	if err := p.st.s.readOnlyDDL(p.st.stmt); err != nil {
		return false, "", err
	}
	if p.st.do != nil {
		tag, err := p.st.do(ctx, p.params, out)
		return false, tag, cause(ctx, err)
	}
	if most <= 0 && p.pull == nil {
		err := p.st.rows(ctx, p.params, func(row []types.Value) error {
			p.sent++
			p.st.s.sendWarnings(out)
			return out.Row(row)
		}, out)
		if err != nil {
			return false, "", cause(ctx, err)
		}
		return false, p.st.tag(p.sent), nil
	}
	if p.pull == nil && p.st.changes {
		if err := p.produce(ctx, out); err != nil {
			return false, "", cause(ctx, err)
		}
	}
	if p.pull == nil {
		p.pull = newPuller(p.st.s.ctx, func(ctx context.Context, emit func([]types.Value) error) error {
			return p.st.rows(ctx, p.params, emit, quiet{})
		})
	}
	var sent int64
	for most <= 0 || sent < int64(most) {
		row, ok, err := p.pull.next(ctx)
		if err != nil {
			return false, "", cause(ctx, err)
		}
		if !ok {
			return false, p.st.tag(sent), nil
		}
		if err := out.Row(row); err != nil {
			return false, "", err
		}
		sent++
	}
	return true, "", nil
}

// produce runs a statement that changes something to its end, and keeps the rows.
func (p *portal) produce(ctx context.Context, out pgwire.Output) error {
	var rows [][]types.Value
	err := p.st.rows(ctx, p.params, func(row []types.Value) error {
		rows = append(rows, append([]types.Value(nil), row...))
		return nil
	}, out)
	if err != nil {
		return err
	}
	p.pull = newPuller(p.st.s.ctx, func(_ context.Context, emit func([]types.Value) error) error {
		for _, row := range rows {
			if err := emit(row); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

// Close implements pgwire.Portal.
func (p *portal) Close() {
	if p.pull != nil {
		p.pull.close()
	}
}

// puller turns a producer that pushes rows into one that is asked for them.
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
			case p.rows <- append([]types.Value(nil), row...):
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

// next waits for a row; ok is false at the end.
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

// quiet is the Output of a producer that may only emit rows.
type quiet struct{ pgwire.Output }

// Notice drops the notice: the client is not listening at this moment.
func (quiet) Notice(pgwire.Notice) {}

// Flush does nothing: the rows go through a channel.
func (quiet) Flush() error { return nil }
