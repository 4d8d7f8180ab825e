package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// windowRows puts window_start and window_end behind the columns of in: a row comes once for each window that holds it. This is
// what a window call is in a query that ends, and without a grouping.
func (l *level) windowRows(in *logical.Node, w *logical.Window) (*logical.Node, error) {
	m := &windowMath{scalar: l.clause("FROM"), pos: l.window.Pos}
	width := len(in.Schema.Cols)
	ts := term{&expr.Column{Index: w.TimeCol, Name: in.Schema.Cols[w.TimeCol].Name, Typ: in.Schema.Cols[w.TimeCol].Type}, m.pos}
	set := term{&expr.Column{Index: width, Name: "window", Typ: windowTime}, m.pos}
	var start, end, from, to term
	switch w.Kind {
	case window.Tumble:
		start = m.floor(ts, w.Size, w.Offset)
		end = m.plus(start, w.Size)
	case window.Hop: // the first one begins later than a size ago
		from, to = m.plus(m.floor(m.plus(ts, -w.Size), w.Slide, w.Offset), w.Slide), ts
		start, end = set, m.plus(set, w.Size)
	case window.Cumulate:
		start = m.floor(ts, w.Size, w.Offset)
		from, to = m.plus(m.floor(ts, w.Slide, w.Offset), w.Slide), m.plus(start, w.Size)
		end = set
	default:
		return nil, unsupported(m.pos, l.window.Kind+" without a grouping of a continuous query",
			"Create a continuous query with GROUP BY and the window, and select from that.")
	}
	if m.err != nil {
		return nil, m.err
	}
	exprs := append(columnsOf(in), start.e, end.e)
	cols := append([]types.Column(nil), in.Schema.Cols...)
	if from.e != nil {
		f := logical.Func{Name: "generate_series", Args: []expr.Expr{from.e, to.e, span(w.Slide)}}
		schema := types.Schema{Cols: append(cols[:width:width], types.Column{Name: f.Name, Type: windowTime})}
		in = &logical.Node{Op: &logical.ProjectSet{Funcs: []logical.Func{f}}, In: []*logical.Node{in}, Schema: schema}
	}
	cols = append(cols, types.Column{Name: "window_start", Type: windowTime}, types.Column{Name: "window_end", Type: windowTime})
	return &logical.Node{Op: &logical.Project{Exprs: exprs}, In: []*logical.Node{in}, Schema: types.Schema{Cols: cols}}, nil
}

var windowTime = types.T(types.TimestampTZ)

// windowMath computes bounds of windows; err is the first error.
type windowMath struct {
	*scalar
	pos int
	err error
}

// span is a constant interval of microseconds.
func span(us int64) expr.Expr {
	return &expr.Const{Val: types.NewInterval(types.IntervalValue{Micros: us})}
}

func (m *windowMath) keep(e expr.Expr, err error) term {
	if m.err == nil {
		m.err = err
	}
	return term{e, m.pos}
}

// plus adds microseconds.
func (m *windowMath) plus(t term, us int64) term {
	if m.err != nil {
		return t
	}
	return m.keep(m.operator("+", t, term{span(us), m.pos}, m.pos))
}

// floor is the last multiple of step, from an offset on, that is not after t.
func (m *windowMath) floor(t term, step, offset int64) term {
	if m.err != nil {
		return t
	}
	f := &parse.FuncCall{Name: parse.Name{Name: "date_bin", Pos: m.pos}, At: parse.At{Pos: m.pos}}
	origin := &expr.Const{Val: types.NewTime(types.EventTime(offset))}
	return m.keep(m.scalarCall(f, []term{{span(step), m.pos}, t, {origin, m.pos}}))
}

// spread makes window_start and window_end of FROM TUMBLE(..) columns like others, where no grouping makes windows of them.
func (fb *fromBinder) spread(it *fromItem) (*fromItem, error) {
	if it.window == nil {
		return it, nil
	}
	l := &level{binder: fb.binder, from: it, frame: it.frame(fb.parent), ctes: fb.ctes, window: it.window}
	w, err := l.bindWindow()
	if err != nil {
		return nil, err
	}
	node, err := l.windowRows(it.node, w)
	if err != nil {
		return nil, err
	}
	r := *it.rels[0]
	label := ""
	if fb.qualify && r.alias != "" {
		label = r.alias + "."
	}
	width := len(it.node.Schema.Cols)
	settle := func(cols []relCol) []relCol {
		cols = append([]relCol(nil), cols...)
		for i := range cols {
			if b, ok := cols[i].value.(*windowBound); ok {
				cols[i].value = &expr.Column{Index: width + b.place(), Name: label + b.String(), Typ: b.Type()}
			}
		}
		return cols
	}
	r.cols = settle(r.cols)
	return &fromItem{node: node, rels: []*rel{&r}, merged: it.merged, star: settle(it.star)}, nil
}

// place is 0 for window_start and 1 for window_end.
func (w *windowBound) place() int {
	if w.end {
		return 1
	}
	return 0
}

// hasBound tells whether an expression reads window_start or window_end before they are columns.
func hasBound(e expr.Expr) (found bool) {
	logical.Walk(e, func(e expr.Expr, _ int) bool {
		if _, ok := e.(*windowBound); ok {
			found = true
		}
		return !found
	})
	return found
}

// takeBounded moves the conditions of WHERE on the bounds of windows to where those are known.
func (l *level) takeBounded() error {
	for _, s := range l.seens {
		for _, k := range s.keys {
			if hasBound(k) {
				return unsupported(s.pos, "FIRST_SEEN of window_start or window_end", "Name columns of the stream.")
			}
		}
	}
	rest := l.where[:0:0]
	for _, c := range l.where {
		if !hasBound(c) {
			rest = append(rest, c)
			continue
		}
		if s := subqueryIn(c); s != nil && l.continuous {
			return unsupported(l.subPos[s.Plan], "a subquery in a condition on window_start or window_end of a continuous query", "Join the two instead.")
		}
		l.bounded = append(l.bounded, c)
	}
	l.where = rest
	return nil
}

// boundConds are the conditions of WHERE on the bounds of windows as conditions on groups.
func (l *level) boundConds() ([]expr.Expr, error) {
	for _, c := range l.bounded {
		other := false
		logical.Walk(c, func(e expr.Expr, depth int) bool {
			_, column := e.(*expr.Column)
			other = other || column && depth == 0
			return !other
		})
		if other {
			return nil, unsupported(start(l.core.Where), "a condition of a grouping's WHERE on a column and the window of its row", "Write conditions on the window in HAVING.")
		}
	}
	return l.bounded, nil
}

// boundsAt makes window_start and window_end columns of a row, from one on.
func boundsAt(first int) logical.Rewrite {
	return func(e expr.Expr, depth int) (expr.Expr, bool) {
		if b, ok := e.(*windowBound); ok {
			return ref(depth, first+b.place(), b.String(), b.Type()), true
		}
		return e, false
	}
}

// refuseBounds refuses window_start and window_end where they are needed before a grouping of a continuous query makes them.
func (l *level) refuseBounds(op *logical.Aggregate) error {
	for _, k := range op.Keys {
		if hasBound(k) {
			return unsupported(l.window.Pos, "a key of GROUP BY made of window_start or window_end", "Group by them as they are, and compute in the SELECT list.")
		}
	}
	for _, a := range op.Aggs {
		for _, x := range append([]expr.Expr{a.Filter}, a.Args...) {
			if x != nil && hasBound(x) {
				return unsupported(l.window.Pos, "an aggregate of window_start or window_end", "They are the same for all rows of the group: use them as they are.")
			}
		}
	}
	return nil
}

// spreadLevel gives the level's rows the columns window_start and window_end, last.
func (l *level) spreadLevel(in *logical.Node, w *logical.Window) (*logical.Node, error) {
	node, err := l.windowRows(in, w)
	if err != nil {
		return nil, err
	}
	place := boundsAt(len(in.Schema.Cols))
	l.rewriteItems(place)
	l.placeOver(func(e expr.Expr) expr.Expr { return place.Expr(e, 0) })
	return logical.NewFilter(node, place.List(l.bounded, 0)), nil
}
