package session

import (
	"context"
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/storage/eventlog"
)

// returned gathers the rows that RETURNING is about, and its results. A nil one wants none.
type returned struct {
	program *spec.Program
	changed [][]types.Value
	out     [][]types.Value
}

// add takes over a changed row.
func (r *returned) add(row []types.Value) {
	if r != nil {
		r.changed = append(r.changed, row)
	}
}

// evaluate computes the results; its errors come before the change takes effect.
func (r *returned) evaluate(ctx context.Context, s *Session) error {
	if r == nil {
		return nil
	}
	s.changedRows = r.changed
	defer func() { s.changedRows = nil }()
	return s.run(ctx, r.program, func(row []types.Value) error {
		r.out = append(r.out, append([]types.Value(nil), row...))
		return nil
	})
}

// changeFunc runs a change and returns how many rows it reports.
type changeFunc func(ctx context.Context, params []types.Value, ret *returned, out pgwire.Output) (int, error)

// changing is a statement that changes rows, with or without RETURNING.
func (s *Session) changing(tag string, ch *planner.Change, run changeFunc) *statement {
	verb := map[string]string{"INSERT 0": "Insert", "UPDATE": "Update", "DELETE": "Delete"}[tag]
	action := verb + " on " + ch.Target.RelName()
	if ch.Returning == nil {
		return &statement{s: s, params: ch.Rows.Params, program: ch.Rows, action: action, do: func(ctx context.Context, params []types.Value, out pgwire.Output) (string, error) {
			n, err := run(ctx, params, nil, out)
			return fmt.Sprintf("%s %d", tag, n), err
		}}
	}
	return &statement{s: s, params: ch.Rows.Params, program: ch.Rows, action: action, cols: &ch.Returning.Root.Schema, changes: true,
		tag: func(n int64) string { return fmt.Sprintf("%s %d", tag, n) },
		rows: func(ctx context.Context, params []types.Value, emit func([]types.Value) error, out pgwire.Output) error {
			ret := &returned{program: planner.BindParams(ch.Returning, params)}
			if _, err := run(ctx, params, ret, out); err != nil {
				return err
			}
			for _, row := range ret.out {
				if err := emit(row); err != nil {
					return err
				}
			}
			return nil
		}}
}

// returnInserted computes RETURNING of rows for a stream, generated columns included, or for an IOC list.
func (s *Session) returnInserted(ctx context.Context, g *gathered, ret *returned) error {
	if ret == nil {
		return nil
	}
	if g.t.stream == nil {
		ret.changed = g.rows
		return ret.evaluate(ctx, s)
	}
	e := eventlog.Entry{Codec: "ROWS", Payload: g.data, Arrival: int64(s.srv.clock())}
	_, err := s.srv.eng.Decode(&g.t.stream.Stream, e, func(b *batch.Batch) error {
		for i := range b.N {
			row := b.Row(nil, i)
			if err := g.held.add(row); err != nil {
				return err
			}
			ret.add(row)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return ret.evaluate(ctx, s)
}
