package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

func (l *level) groupKey(s *scalar, e parse.Expr) (expr.Expr, error) {
	id, isName := e.(*parse.Ident)
	if isName && len(id.Parts) == 1 && len(l.frame.bare(id.Parts[0])) > 0 {
		return s.column(l.frame, id)
	}
	i, err := l.outputItem(e, "GROUP BY")
	if err != nil {
		return nil, err
	}
	if i < 0 {
		return s.bind(e)
	}
	it := l.items[i]
	switch ref := findRef(it.e).(type) {
	case *aggRef, *groupingRef:
		return nil, sqlerr.New(sqlerr.GroupingError, "aggregate functions are not allowed in GROUP BY").At(l.src[ref].pos)
	case *overRef:
		return nil, sqlerr.New(sqlerr.WindowingError, "window functions are not allowed in GROUP BY").At(l.src[ref].pos)
	}
	return it.e, nil
}

// findRef finds what of an expression has a value only after grouping; nil when there is nothing.
func findRef(e expr.Expr) (found expr.Expr) {
	logical.Walk(e, func(e expr.Expr, depth int) bool {
		switch x := e.(type) {
		case *aggRef:
			if x.up == depth {
				found = e
			}
		case *groupingRef, *overRef:
			if depth == 0 {
				found = e
			}
		}
		return found == nil
	})
	return found
}

// isGrouped tells whether the level groups at all.
func (l *level) isGrouped() bool {
	return len(l.core.GroupBy) > 0 || len(l.aggs) > 0 || len(l.having) > 0
}

// buildGroup puts the grouping over in, and moves everything above it to the grouped row.
func (l *level) buildGroup(in *logical.Node) (*logical.Node, error) {
	if !l.isGrouped() {
		if err := l.refuseGrouping(); err != nil || l.window == nil {
			return in, err
		}
		w, err := l.bindWindow()
		if err != nil {
			return nil, err
		}
		return l.spreadLevel(in, w)
	}
	if err := l.refuseRecursion(); err != nil {
		return nil, err
	}
	if err := l.fillTimes(in); err != nil {
		return nil, err
	}
	in = l.groupedSets(in)
	op := &logical.Aggregate{Emit: spec.Emit{Mode: spec.DefaultEmit(window.None)}, Keys: l.keys, Aggs: l.aggs, Scalar: len(l.keys) == 0}
	node := &logical.Node{Op: op, In: []*logical.Node{in}}
	g := &grouping{level: l, keys: l.keys}
	if l.window != nil {
		w, err := l.bindWindow()
		if err != nil {
			return nil, err
		}
		if err := l.groupWindow(node, op, w); err != nil {
			return nil, err
		}
		g.base = 2
	}
	g.checkFixed()
	for _, k := range l.keys {
		node.Schema.Cols = append(node.Schema.Cols, types.Column{Name: keyName(k), Type: k.Type()})
	}
	for _, a := range l.aggs {
		node.Schema.Cols = append(node.Schema.Cols, types.Column{Name: a.Def.Name, Type: a.Typ})
	}
	for i := range l.items {
		old := l.items[i].e
		l.items[i].e = g.place(old)
		if _, known := l.src[l.items[i].e]; !known {
			l.src[l.items[i].e] = l.src[old]
		}
	}
	for i := range l.having {
		l.having[i] = g.place(l.having[i])
	}
	for i := range l.sets {
		l.sets[i].Args = append([]expr.Expr(nil), l.sets[i].Args...)
		for j := range l.sets[i].Args {
			l.sets[i].Args[j] = g.place(l.sets[i].Args[j])
		}
	}
	l.placeOver(g.place)
	if g.err != nil {
		return nil, g.err
	}
	if len(l.keySets) > 0 {
		op.Sets, op.Groupings = keysAfter(l.keySets, g.base, true), keysAfter(g.groupings, g.base, false)
		for range g.groupings {
			node.Schema.Cols = append(node.Schema.Cols, types.Column{Name: "grouping", Type: types.T(types.Int4)})
		}
	}
	return logical.NewFilter(node, l.having), nil
}

// refuseGrouping refuses GROUPING in a query that does not group.
func (l *level) refuseGrouping() error {
	for _, it := range l.items {
		if r, ok := findRef(it.e).(*groupingRef); ok {
			return errGroupingArg(r.at[0])
		}
	}
	return nil
}

// groupWindow makes a grouping one by window: in a query that ends, by the bounds of each row's windows.
func (l *level) groupWindow(node *logical.Node, op *logical.Aggregate, w *logical.Window) error {
	bounds := []types.Column{{Name: "window_start", Type: windowTime}, {Name: "window_end", Type: windowTime}}
	node.Schema.Cols = append(node.Schema.Cols, bounds...)
	conds, err := l.boundConds()
	if err != nil {
		return err
	}
	l.having, op.Scalar = append(l.having, conds...), false
	if l.continuous {
		op.Window, op.Emit.Mode = w, spec.DefaultEmit(w.Kind)
		return l.refuseBounds(op)
	}
	width := len(node.In[0].Schema.Cols)
	*op = *boundsAt(width).Op(op, 0).(*logical.Aggregate)
	if node.In[0], err = l.windowRows(node.In[0], w); err != nil {
		return err
	}
	keys := make([]expr.Expr, 2, 2+len(op.Keys))
	for i, c := range bounds {
		keys[i] = &expr.Column{Index: width + i, Name: c.Name, Typ: c.Type}
	}
	op.Keys = append(keys, op.Keys...)
	return nil
}

// keyName is the column name of a group key.
func keyName(k expr.Expr) string {
	if c, ok := k.(*expr.Column); ok {
		return c.Name
	}
	return k.String()
}

// grouping moves expressions from the rows before grouping to the groups.
type grouping struct {
	*level
	keys []expr.Expr
	base int // columns before the keys: window_start, window_end
	// groupings are the lists of keys that GROUPING is asked of.
	groupings [][]int
	err       error
}

func (g *grouping) place(e expr.Expr) expr.Expr { return logical.Rewrite(g.move).Expr(e, 0) }

// move is the logical.Rewrite of one node.
func (g *grouping) move(e expr.Expr, depth int) (expr.Expr, bool) {
	if g.err != nil {
		return e, true
	}
	if w, ok := e.(*windowBound); ok {
		i := 0
		if w.end {
			i = 1
		}
		return ref(depth, i, w.String(), w.Type()), true
	}
	if a, ok := e.(*aggRef); ok {
		if a.up != depth {
			return e, true
		}
		return ref(depth, g.base+len(g.keys)+a.index, g.aggName(a.index), a.typ), true
	}
	if depth > 0 {
		return g.moveOuter(e, depth)
	}
	if r, ok := e.(*groupingRef); ok {
		return g.groupingColumn(r), true
	}
	for i, k := range g.keys {
		if equal(k, e) {
			return &expr.Column{Index: g.base + i, Name: keyName(k), Typ: k.Type()}, true
		}
	}
	if c, ok := e.(*expr.Column); ok {
		s := g.src[c]
		if s.name == "" {
			s.name = c.Name
		}
		g.err = g.ungrouped(s)
		return e, true
	}
	return e, false
}

// ungrouped is Postgres' error for a column that has no single value in a group.
func (g *grouping) ungrouped(s source) error {
	err := sqlerr.New(sqlerr.GroupingError, "column %q must appear in the GROUP BY clause or be used in an aggregate function", s.name).At(s.pos)
	if g.continuous && g.window == nil && len(g.core.GroupBy) == 0 {
		return err.WithHint("Group by the column and a window: GROUP BY %s, TUMBLE(ts, INTERVAL '1 minute').", s.name)
	}
	return err
}

// moveOuter moves a subquery's references to the row of this level.
func (g *grouping) moveOuter(e expr.Expr, depth int) (expr.Expr, bool) {
	o, ok := e.(*expr.Outer)
	if !ok || o.Depth != depth {
		return e, false
	}
	for i, k := range g.keys {
		if c, ok := k.(*expr.Column); ok && c.Index == o.Index {
			return ref(depth, g.base+i, o.Name, o.Typ), true
		}
	}
	g.err = sqlerr.New(sqlerr.GroupingError, "subquery uses ungrouped column %q from outer query", o.Name).At(g.src[o].pos)
	return e, true
}

// ref is column i of the row depth levels up.
func ref(depth, i int, name string, typ types.Type) expr.Expr {
	if depth == 0 {
		return &expr.Column{Index: i, Name: name, Typ: typ}
	}
	return &expr.Outer{Depth: depth, Index: i, Name: name, Typ: typ}
}

// aggName prints an aggregate: "count(*)".
func (g *grouping) aggName(i int) string { return aggString(g.aggs[i]) }

// aggString prints an aggregate call as SQL.
func aggString(a logical.AggCall) string {
	s := a.Def.Name + "("
	if a.Distinct {
		s += "DISTINCT "
	}
	if len(a.Args) == 0 {
		s += "*"
	}
	for i, x := range a.Args {
		if i > 0 {
			s += ", "
		}
		s += x.String()
	}
	s += ")"
	if a.Def.Within != nil {
		s = withinString(a)
	}
	if a.Filter != nil {
		s += " FILTER (WHERE " + a.Filter.String() + ")"
	}
	return s
}
