package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// checkFrame refuses the frames that no rows can have.
func checkFrame(f *parse.Frame) error {
	bad := func(pos int, what string) error { return sqlerr.New(sqlerr.WindowingError, "%s", what).At(pos) }
	written := f.End.Pos != f.Start.Pos
	switch {
	case f.Start.Kind == "UNBOUNDED FOLLOWING":
		return bad(f.Start.Pos, "frame start cannot be UNBOUNDED FOLLOWING")
	case f.End.Kind == "UNBOUNDED PRECEDING":
		return bad(f.End.Pos, "frame end cannot be UNBOUNDED PRECEDING")
	case f.Start.Kind == "CURRENT ROW" && f.End.Kind == "PRECEDING":
		return bad(f.End.Pos, "frame starting from current row cannot have preceding rows")
	case f.Start.Kind == "FOLLOWING" && !written:
		return bad(f.Start.Pos, "frame starting from following row cannot end with current row")
	case f.Start.Kind == "FOLLOWING" && (f.End.Kind == "PRECEDING" || f.End.Kind == "CURRENT ROW"):
		return bad(f.End.Pos, "frame starting from following row cannot have preceding rows")
	}
	return nil
}

// rowFrame binds the frame of a window; without one it is all rows up to the current one and its peers.
func (s *scalar) rowFrame(def *parse.WindowDef, w *sortedWindow) (spec.RowFrame, error) {
	f := def.Frame
	if f == nil {
		return spec.RowFrame{End: spec.FrameEdge{Kind: spec.EdgeCurrent}}, nil
	}
	out := spec.RowFrame{
		Unit:    map[string]spec.FrameUnit{"ROWS": spec.FrameRows, "RANGE": spec.FrameRange, "GROUPS": spec.FrameGroups}[f.Unit],
		Exclude: map[string]spec.FrameExclude{"CURRENT ROW": spec.ExcludeCurrent, "GROUP": spec.ExcludeGroup, "TIES": spec.ExcludeTies}[f.Exclude],
	}
	if err := checkFrame(f); err != nil {
		return out, err
	}
	offsets := f.Start.Value != nil || f.End.Value != nil
	switch {
	case f.Unit == "GROUPS" && len(w.order) == 0:
		return out, sqlerr.New(sqlerr.WindowingError, "GROUPS mode requires an ORDER BY clause").At(def.Pos)
	case f.Unit == "RANGE" && offsets && len(w.order) != 1:
		return out, sqlerr.New(sqlerr.WindowingError, "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column").At(def.Pos)
	}
	var err error
	if out.Start, err = s.frameEdge(f.Unit, f.Start, w); err == nil {
		out.End, err = s.frameEdge(f.Unit, f.End, w)
	}
	return out, err
}

// frameEdge binds one end of a frame.
func (s *scalar) frameEdge(unit string, b parse.FrameBound, w *sortedWindow) (spec.FrameEdge, error) {
	out := spec.FrameEdge{Following: b.Kind == "FOLLOWING" || b.Kind == "UNBOUNDED FOLLOWING"}
	switch {
	case b.Kind == "CURRENT ROW":
		out.Kind = spec.EdgeCurrent
		return out, nil
	case b.Value == nil:
		return out, nil
	}
	out.Kind = spec.EdgeOffset
	in := &scalar{binder: s.binder, f: s.f, ctes: s.ctes, clause: "window " + unit}
	t, err := in.term(b.Value)
	if err != nil {
		return out, err
	}
	if unit == "RANGE" {
		return out, in.rangeOffset(&out, t, w.order[0])
	}
	x, ok, err := s.coerce(t, types.T(types.Int8), expr.Assignment)
	if err != nil {
		return out, err
	}
	if !ok {
		return out, sqlerr.New(sqlerr.DatatypeMismatch, "argument of %s must be type bigint, not type %s", unit, t.e.Type()).At(t.pos)
	}
	out.Offset = x
	return out, s.noVariables(t.e, unit)
}

// noVariables refuses an offset that differs from row to row.
func (s *scalar) noVariables(e expr.Expr, unit string) error {
	pos, found := 0, false
	logical.Walk(e, func(e expr.Expr, depth int) bool {
		o, isOuter := e.(*expr.Outer)
		if _, isColumn := e.(*expr.Column); depth == 0 && isColumn || isOuter && depth > 0 && o.Depth == depth {
			pos, found = s.src[e].pos, true
		}
		return !found
	})
	if !found {
		return nil
	}
	return sqlerr.New(sqlerr.InvalidColumnReference, "argument of %s must not contain variables", unit).At(pos)
}

// rangeOffset binds an offset of RANGE: of what type it may be the order key tells.
func (s *scalar) rangeOffset(out *spec.FrameEdge, t term, key logical.SortKey) error {
	typ := plain(key.X.Type())
	var want types.Kind
	switch typ.Kind {
	case types.Int2, types.Int4, types.Int8:
		want = types.Int8
		if isUnknown(t.e) {
			want = typ.Kind
		}
	case types.Float4, types.Float8:
		want = types.Float8
	case types.Numeric:
		want = types.Numeric
	case types.Date, types.Timestamp, types.TimestampTZ, types.Interval:
		want = types.Interval
	default:
		return sqlerr.New(sqlerr.FeatureNotSupported, "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s", typ).At(t.pos)
	}
	x, ok, err := s.coerce(t, types.T(want), expr.Implicit)
	if err != nil {
		return err
	}
	if !ok {
		return sqlerr.New(sqlerr.FeatureNotSupported, "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s and offset type %s", typ, t.e.Type()).
			At(t.pos).WithHint("Cast the offset value to an appropriate type.")
	}
	if out.Offset = x; want == types.Interval {
		op := "-"
		if out.Following != key.Desc {
			op = "+"
		}
		if out.Limit, err = s.operator(op, term{key.X, t.pos}, term{x, t.pos}, t.pos); err != nil {
			return err
		}
	}
	return s.noVariables(t.e, "RANGE")
}
