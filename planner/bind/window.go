package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// findWindow finds the level's one window call and opens the names window_start and window_end.
func (l *level) findWindow() error {
	l.window = l.from.window
	for _, e := range l.core.GroupBy {
		w, ok := e.(*parse.WindowCall)
		if !ok {
			continue
		}
		if l.window != nil {
			return unsupported(w.Pos, "a second window in one query", "Create one query per window.")
		}
		l.window = w
		l.frame.rels = append(l.frame.rels[:len(l.frame.rels):len(l.frame.rels)], &rel{cols: windowColumns(true)})
	}
	if l.from.window == nil || len(l.core.GroupBy) == 0 {
		return nil
	}
	for _, e := range l.core.GroupBy {
		if id, ok := e.(*parse.Ident); ok {
			if name := id.Parts[len(id.Parts)-1]; name == "window_start" || name == "window_end" {
				return nil
			}
		}
	}
	return unsupported(start(l.core.GroupBy[0]), "grouping over "+l.from.window.Kind+"(...) without its window", "Add window_start, window_end to GROUP BY.")
}

// bindWindow resolves the window's time column and durations.
func (l *level) bindWindow() (*logical.Window, error) {
	w := l.window
	if len(l.from.rels) != 1 && !l.continuous {
		return nil, unsupported(w.Pos, w.Kind+" over several relations", "Name one stream in FROM.")
	}
	args, named := w.Args, w.Time != nil
	if named && isDuration(w.Time) { // TUMBLE(INTERVAL '..'), whatever slot the parser put it in
		args, named = append([]parse.Expr{w.Time}, args...), false
	}
	var timeCol int
	var err error
	if !named || l.continuous {
		timeCol, err = l.defaultTime(w)
	}
	if named && err == nil {
		timeCol, err = l.timeColumn(w)
	}
	if err != nil {
		return nil, err
	}
	out := &logical.Window{}
	if out.Spec, err = l.windowSpec(w, args); err != nil {
		return nil, err
	}
	out.TimeCol = timeCol
	if out.Kind != window.Count {
		out.Lateness = logical.Lateness(l.from.node)
	}
	return out, nil
}

// defaultTime is the time column of the window's input where the window names none.
func (l *level) defaultTime(w *parse.WindowCall) (int, error) {
	if i := logical.DefaultTime(l.from.node); i >= 0 || w.Kind == "COUNT_WINDOW" {
		return i, nil
	}
	if stream, ok := scanned(l.from.node).(*catalog.Stream); ok {
		return 0, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "stream %q has no watermark, so that its windows would never close", stream.Name).At(w.Pos).
			WithHint("Create the stream with WATERMARK FOR ts AS ts - INTERVAL '5 seconds'.")
	}
	if !l.continuous {
		return 0, unsupported(w.Pos, w.Kind+" without a column over something other than a stream", "Name the column: "+w.Kind+"(relation, ts, ...).")
	}
	return 0, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "what %s is over has no event time", w.Kind).At(w.Pos).
		WithHint("Select the time column, or window_start and window_end, in the subquery.")
}

// scanned is the relation below filters.
func scanned(n *logical.Node) catalog.Relation {
	for {
		switch op := n.Op.(type) {
		case *logical.Scan:
			return op.Rel
		case *logical.Filter, *logical.LookupJoin:
			n = n.In[0]
		default:
			return nil
		}
	}
}

// isDuration tells an interval literal from a column.
func isDuration(e parse.Expr) bool {
	switch e := e.(type) {
	case *parse.Interval, *parse.String:
		return true
	case *parse.Cast:
		return e.Type.Name == "interval"
	}
	return false
}

// timeColumn is the column that a window names as its time: one that carries event time.
func (l *level) timeColumn(w *parse.WindowCall) (int, error) {
	x, err := l.clause("GROUP BY").bind(w.Time)
	if err != nil {
		return 0, err
	}
	times := logical.Times(l.from.node)
	if c, ok := x.(*expr.Column); ok && times[c.Index] != logical.NoTime {
		return c.Index, nil
	}
	if c, ok := x.(*expr.Column); ok && !l.continuous {
		if c.Typ.Kind == types.TimestampTZ {
			return c.Index, nil
		}
		return 0, sqlerr.New(sqlerr.DatatypeMismatch, "%s needs a column of type %s, not %s", w.Kind, windowTime, c.Typ).At(start(w.Time))
	}
	i := logical.DefaultTime(l.from.node)
	if i < 0 {
		return 0, unsupported(start(w.Time), w.Kind+" over something other than a column with event time", "Name the column alone.")
	}
	name := l.from.node.Schema.Cols[i].Name
	if stream, ok := scanned(l.from.node).(*catalog.Stream); ok {
		return 0, sqlerr.New(sqlerr.WindowingError, "%s must be over the watermark column %q of stream %q", w.Kind, name, stream.Name).At(start(w.Time)).
			WithHint("Write %s(%s, ...), or leave the column out.", w.Kind, name)
	}
	return 0, sqlerr.New(sqlerr.WindowingError, "%s must be over a column with event time", w.Kind).At(start(w.Time)).
		WithHint("Write %s(%s, ...), or leave the column out.", w.Kind, name)
}

// duration reads a constant interval as microseconds; months have no fixed length and are refused.
func (b *binder) duration(e parse.Expr, what string) (int64, error) {
	s := &scalar{binder: b, f: &frame{}, clause: what}
	t, err := s.term(e)
	if err != nil {
		return 0, err
	}
	x, ok, err := b.coerce(t, types.T(types.Interval), expr.Implicit)
	if err != nil {
		return 0, err
	}
	c, isConst := x.(*expr.Const)
	if !ok || !isConst || c.Val.Null {
		return 0, sqlerr.New(sqlerr.DatatypeMismatch, "%s must be a constant of type interval", what).At(t.pos).
			WithHint("For example INTERVAL '1 minute'.")
	}
	micros, err := spanOf(c.Val, what)
	return micros, at(err, t.pos)
}

// spanOf is an interval without months as microseconds, a day having 24 hours.
func spanOf(v types.Value, what string) (int64, error) {
	iv, err := types.DecodeInterval(v.S)
	if err != nil {
		return 0, err
	}
	if iv.Months != 0 {
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "%s must not have months or years, whose length varies", what).
			WithHint("Write it in days.")
	}
	return iv.Span(), nil
}
