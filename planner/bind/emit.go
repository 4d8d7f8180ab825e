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
		if kind == window.None {
			return emitClose(e)
		}
		agg.Emit = spec.Emit{Mode: spec.EmitFinal}
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

// emitClose refuses EMIT ON WINDOW CLOSE where nothing closes.
func emitClose(e *parse.Emit) error {
	return sqlerr.New(sqlerr.WindowingError, "EMIT ON WINDOW CLOSE needs a window").At(e.Pos).
		WithHint("Leave EMIT out, or add TUMBLE(ts, INTERVAL '...') to GROUP BY.")
}

// rowsEmitOnce is the advice for windows of rows.
const rowsEmitOnce = "Leave EMIT out: a window of rows gives one result, with its last row."

// emitFits refuses modes that a kind of window does not have.
func emitFits(e *parse.Emit, kind window.Kind, emit spec.Emit) error {
	switch {
	case emit.Mode == spec.EmitEvery && (kind == window.Slide || kind == window.Count || kind == window.Session):
		hint := "Leave EMIT out, or write EMIT ON UPDATE."
		if kind == window.Count {
			hint = rowsEmitOnce
		}
		return unsupported(e.Pos, "EMIT EVERY over SESSION, SLIDE and COUNT_WINDOW", hint)
	case emit.Mode == spec.EmitFirst && kind == window.Count:
		return unsupported(e.Pos, "EMIT FIRST over COUNT_WINDOW", rowsEmitOnce)
	case emit.Mode == spec.EmitUpdate && kind == window.Count:
		return unsupported(e.Pos, "EMIT ON UPDATE over COUNT_WINDOW", rowsEmitOnce)
	}
	return nil
}

// emitUngrouped accepts what a query without grouping does anyway: a row is final when it comes, and DISTINCT gives it once.
func emitUngrouped(e *parse.Emit, n *logical.Node) error {
	_, distinct := n.Op.(*logical.Distinct)
	switch {
	case e.Mode == "UPDATE", e.Mode == "FIRST" && distinct:
		return nil
	case e.Mode == "CLOSE":
		return emitClose(e)
	}
	return unsupported(e.Pos, "EMIT "+e.Mode+" without grouping", "Leave EMIT out: each row is a result as it comes.")
}
