package bind

import (
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// bindEmit applies the EMIT clause to the query's grouping, whose mode is the default of its window until then.
func (b *binder) bindEmit(q *parse.CreateQuery, n *logical.Node) error {
	e := q.Emit
	if e == nil || e.Mode == "" {
		return nil
	}
	agg := windowed(n)
	if agg == nil {
		return emitUngrouped(e, n)
	}
	kind := window.None
	if agg.Window != nil {
		kind = agg.Window.Kind
	}
	switch e.Mode {
	case "CLOSE":
		return emitClose(e, kind)
	case "UPDATE":
		agg.Emit = spec.Emit{Mode: spec.EmitUpdate}
	case "FIRST":
		agg.Emit = spec.Emit{Mode: spec.EmitFirst}
	case "EVERY":
		every, err := b.duration(e.Every, "EMIT EVERY")
		if err != nil {
			return err
		}
		if every <= 0 {
			return sqlerr.New(sqlerr.InvalidParameterValue, "EMIT EVERY must be positive").At(start(e.Every))
		}
		agg.Emit = spec.Emit{Mode: spec.EmitEvery, Every: every}
	}
	return emitFits(e, kind, agg.Emit)
}

// emitClose accepts EMIT ON WINDOW CLOSE where windows close.
func emitClose(e *parse.Emit, kind window.Kind) error {
	switch kind {
	case window.None:
		return sqlerr.New(sqlerr.WindowingError, "EMIT ON WINDOW CLOSE needs a window").At(e.Pos).
			WithHint("Leave EMIT out, or add TUMBLE(ts, INTERVAL '...') to GROUP BY.")
	case window.Slide, window.Count:
		return sqlerr.New(sqlerr.WindowingError, "EMIT ON WINDOW CLOSE needs a window that closes by time").At(e.Pos).
			WithHint("Leave EMIT out: SLIDE and COUNT_WINDOW give results as rows come.")
	}
	return nil
}

// emitFits refuses modes that a kind of window does not have.
func emitFits(e *parse.Emit, kind window.Kind, emit spec.Emit) error {
	if emit.Mode != spec.EmitEvery || kind != window.Slide && kind != window.Count {
		return nil
	}
	return unsupported(e.Pos, "EMIT EVERY over SLIDE and COUNT_WINDOW", "Leave EMIT out, or write EMIT FIRST.")
}

// emitUngrouped accepts what a query without grouping does anyway: a row is final when it comes, and DISTINCT gives it once.
func emitUngrouped(e *parse.Emit, n *logical.Node) error {
	_, distinct := n.Op.(*logical.Distinct)
	switch {
	case e.Mode == "UPDATE", e.Mode == "FIRST" && distinct:
		return nil
	case e.Mode == "CLOSE":
		return emitClose(e, window.None)
	}
	return unsupported(e.Pos, "EMIT "+e.Mode+" without grouping", "Leave EMIT out: each row is a result as it comes.")
}
