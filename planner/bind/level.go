package bind

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// item is an output column, or (beyond the visible ones) an expression only ORDER BY needs.
type item struct {
	name string
	e    expr.Expr
	pos  int
}

// level binds one SELECT ... FROM ... with its ORDER BY and LIMIT.
type level struct {
	*binder
	q      *parse.Select
	core   *parse.SelectCore
	parent *frame
	ctes   *cteScope

	from  *fromItem
	frame *frame
	// window is the window call of GROUP BY or FROM, nil without.
	window *parse.WindowCall
	// items are the select list; visible of them are output, the rest is for ORDER BY.
	items   []item
	visible int
	where   []expr.Expr
	bounded []expr.Expr // conditions of WHERE on window_start and window_end
	members []membership
	having  []expr.Expr
	keys    []expr.Expr
	keySets [][]int           // of grouping sets: numbers of keys; nil: one, of all keys
	sort    []logical.SortKey // X is a Column over the items
	// distinctOn indexes items.
	distinctOn []int
	aggs       []logical.AggCall
	sets       []logical.Func
	placed     map[int]bool // of sets: those that are in the tree
	over       overScope
	seens      []seenCall
	// changed stands for FROM: the rows that a statement changed, for RETURNING.
	changed *fromItem
}

// clause makes a binder for expressions of a clause.
func (l *level) clause(name string) *scalar {
	return &scalar{binder: l.binder, f: l.frame, ctes: l.ctes, clause: name}
}

// grouped is clause where aggregates may stand.
func (l *level) grouped(name string) *scalar {
	s := l.clause(name)
	s.aggs = &l.aggs
	return s
}

func (l *level) bind() (*logical.Node, error) {
	l.over.windows = l.core.Windows
	var err error
	if l.from = l.changed; l.from == nil {
		l.from, err = l.binder.from(l.core.From, l.parent, l.ctes)
	}
	if err != nil {
		return nil, err
	}
	l.frame = l.from.frame(l.parent)
	if err := l.findWindow(); err != nil {
		return nil, err
	}
	for _, step := range []func() error{l.bindItems, l.bindWhere, l.takeBounded, l.settleFrom, l.streamWhere, l.bindHaving, l.bindOrder, l.bindGroup, l.bindDistinct, l.bindWindows} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l.build()
}

// bindItems binds the select list, stars expanded.
func (l *level) bindItems() error {
	s := l.grouped("SELECT")
	if s.sets, s.over, s.seen = &l.sets, &l.over, &l.seens; l.changed != nil {
		s = l.clause("RETURNING")
	}
	for _, it := range l.core.Items {
		if it.Star {
			if err := l.star(it); err != nil {
				return err
			}
			continue
		}
		if f, ok := it.Expr.(*parse.Field); ok && f.Name == "*" {
			if err := l.expand(s, f); err != nil {
				return err
			}
			continue
		}
		e, err := s.bind(it.Expr)
		if err != nil {
			return err
		}
		name := it.Alias
		if name == "" {
			name = columnName(it.Expr)
		}
		l.items = append(l.items, item{name, e, start(it.Expr)})
		if _, known := l.src[e]; !known {
			l.src[e] = source{pos: start(it.Expr)}
		}
	}
	l.visible = len(l.items)
	return l.checkItems()
}

// itemsMax is Postgres' bound of a target list, with what only ORDER BY needs.
const itemsMax = 1664

func (l *level) checkItems() error {
	if len(l.items) <= itemsMax {
		return nil
	}
	return sqlerr.New(sqlerr.TooManyColumns, "target lists can have at most %d entries", itemsMax)
}

// rewriteItems rewrites the select list and its sets; errors go on pointing at what was written.
func (l *level) rewriteItems(place logical.Rewrite) {
	for i := range l.items {
		old := l.items[i].e
		l.items[i].e = place.Expr(old, 0)
		if _, known := l.src[l.items[i].e]; !known {
			l.src[l.items[i].e] = l.src[old]
		}
	}
	for i := range l.sets {
		l.sets[i].Args = place.List(l.sets[i].Args, 0)
	}
}

// star expands * and t.*.
func (l *level) star(it parse.SelectItem) error {
	cols := l.from.star
	label := ""
	if it.Table != nil {
		rels := l.frame.table(it.Table.Schema, it.Table.Name)
		if len(rels) == 0 {
			return l.missing(l.frame, []string{it.Table.Name, "*"}, it.Pos)
		}
		cols, label = nil, rels[0].alias+"."
		for _, c := range rels[0].cols {
			if !c.hidden {
				cols = append(cols, c)
			}
		}
	} else if len(l.core.From) == 0 && l.changed == nil {
		return sqlerr.New(sqlerr.SyntaxError, "SELECT * with no tables specified is not valid").At(it.Pos)
	}
	var at labelAt
	l.items = slices.Grow(l.items, len(cols))
	for _, c := range cols {
		e := shift(c.value, 0)
		if w, ok := c.value.(*windowBound); ok {
			e = &windowBound{end: w.end}
		}
		name := label + c.name
		if label == "" {
			name = l.labelled(c, &at)
		}
		l.src[e] = source{pos: it.Pos, name: name}
		l.items = append(l.items, item{c.name, e, it.Pos})
	}
	return nil
}

// labelAt is where the next column of a * is likely to be found: behind the last one.
type labelAt struct{ rel, col int }

// labelled is the column's name with its relation's alias, as errors print it.
func (l *level) labelled(c relCol, at *labelAt) string {
	is := func(x *relCol, r *rel) bool {
		return x.name == c.name && r.alias != "" && sameValue(x.value, c.value)
	}
	if at.rel < len(l.frame.rels) {
		if r := l.frame.rels[at.rel]; at.col < len(r.cols) && is(&r.cols[at.col], r) {
			at.col++
			return r.alias + "." + c.name
		}
	}
	for i, r := range l.frame.rels {
		for j := range r.cols {
			if is(&r.cols[j], r) {
				*at = labelAt{i, j + 1}
				return r.alias + "." + c.name
			}
		}
	}
	return c.name
}

func (l *level) bindWhere() error {
	if l.core.Where == nil {
		return nil
	}
	rest, found := l.splitWhere(l.core.Where)
	if l.members = found; rest == nil {
		return nil
	}
	s := l.clause("WHERE")
	s.seen = &l.seens
	cond, err := s.condition(rest, "WHERE")
	l.where = logical.Conjuncts(cond)
	return err
}

func (l *level) bindHaving() error {
	if l.core.Having == nil {
		return nil
	}
	cond, err := l.grouped("HAVING").condition(l.core.Having, "HAVING")
	l.having = logical.Conjuncts(cond)
	return err
}

// bindOrder resolves each term to an item: by output name, by number, or as an expression that joins the items.
func (l *level) bindOrder() error {
	if len(l.q.OrderBy) > 0 && l.continuous {
		return unsupported(start(l.q.OrderBy[0].Expr), "ORDER BY in a continuous query",
			"Write it in the SELECT that reads the results: SELECT ... FROM query ORDER BY ...")
	}
	s := l.grouped("ORDER BY")
	s.sets, s.over = &l.sets, &l.over
	for _, o := range l.q.OrderBy {
		i, err := l.outputItem(o.Expr, "ORDER BY")
		if err != nil {
			return err
		}
		if i < 0 {
			if i, err = l.exprItem(s, o.Expr); err != nil {
				return err
			}
		}
		it := l.items[i]
		if isUnknown(it.e) {
			if it.e, err = l.textIfUnknown(term{it.e, it.pos}); err != nil {
				return err
			}
			l.items[i] = it
		}
		if !hasOperator(it.e.Type(), false) {
			return sqlerr.New(sqlerr.UndefinedFunction, "could not identify an ordering operator for type %s", it.e.Type()).At(start(o.Expr)).
				WithHint("Use an explicit ordering operator or modify the query.")
		}
		if i >= l.visible && (l.core.Distinct && len(l.core.DistinctOn) == 0) {
			return sqlerr.New(sqlerr.InvalidColumnReference, "for SELECT DISTINCT, ORDER BY expressions must appear in select list").At(start(o.Expr))
		}
		l.sort = append(l.sort, sortKey(&expr.Column{Index: i, Name: it.name, Typ: it.e.Type()}, o))
	}
	return nil
}

// outputItem finds an item by output name or number; -1: the term is an expression.
func (l *level) outputItem(e parse.Expr, clause string) (int, error) {
	switch e := e.(type) {
	case *parse.Number:
		return ordinal(e, l.visible, clause)
	case *parse.String, *parse.Null, *parse.Bool:
		return -1, sqlerr.New(sqlerr.SyntaxError, "non-integer constant in %s", clause).At(e.Position())
	case *parse.Ident:
		if len(e.Parts) != 1 {
			return -1, nil
		}
		at := -1
		for i, it := range l.items[:l.visible] {
			if it.name != e.Parts[0] {
				continue
			}
			if at >= 0 && !equal(l.items[at].e, it.e) {
				return -1, sqlerr.New(sqlerr.AmbiguousColumn, "%s %q is ambiguous", clause, e.Parts[0]).At(e.Pos)
			}
			if at < 0 {
				at = i
			}
		}
		return at, nil
	}
	return -1, nil
}

// exprItem binds an expression and finds the item equal to it, adding an invisible one if there is none.
func (l *level) exprItem(s *scalar, e parse.Expr) (int, error) {
	x, err := s.bind(e)
	if err != nil {
		return 0, err
	}
	for i, it := range l.items {
		if equal(it.e, x) {
			return i, nil
		}
	}
	l.items = append(l.items, item{columnName(e), x, start(e)})
	return len(l.items) - 1, l.checkItems()
}

// bindDistinct binds DISTINCT ON.
func (l *level) bindDistinct() error {
	s := l.grouped("DISTINCT ON")
	s.over = &l.over
	for _, e := range l.core.DistinctOn {
		if l.continuous {
			return unsupported(start(e), "DISTINCT ON in a continuous query", "")
		}
		i, err := l.outputItem(e, "DISTINCT ON")
		if err != nil {
			return err
		}
		if i < 0 {
			if i, err = l.exprItem(s, e); err != nil {
				return err
			}
		}
		l.distinctOn = append(l.distinctOn, i)
	}
	for i := range min(len(l.distinctOn), len(l.sort)) {
		col := l.sort[i].X.(*expr.Column).Index
		if !containsInt(l.distinctOn, col) {
			return sqlerr.New(sqlerr.InvalidColumnReference, "SELECT DISTINCT ON expressions must match initial ORDER BY expressions").At(start(l.core.DistinctOn[0]))
		}
	}
	return nil
}

func containsInt(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// build makes the tree, bottom up.
func (l *level) build() (*logical.Node, error) {
	node, err := l.buildWhere(l.from.node)
	if err != nil {
		return nil, err
	}
	if node, err = l.buildGroup(node); err != nil {
		return nil, err
	}
	if node, err = l.buildOver(node); err != nil {
		return nil, err
	}
	node = l.buildSets(node)
	if err := l.settleItems(); err != nil {
		return nil, err
	}
	node = l.buildProject(node)
	if l.core.Distinct || len(l.distinctOn) > 0 {
		if node, err = l.buildDistinct(node); err != nil {
			return nil, err
		}
	} else if len(l.sort) > 0 {
		node = &logical.Node{Op: &logical.Sort{Keys: l.sort}, In: []*logical.Node{node}, Schema: node.Schema}
	}
	if node, err = l.limit(node, l.q, l.parent, l.ctes); err != nil {
		return nil, err
	}
	if len(l.items) == l.visible {
		return node, nil
	}
	return narrow(node, l.visible), nil
}

// narrow keeps the first n columns.
func narrow(in *logical.Node, n int) *logical.Node {
	op := &logical.Project{}
	for i, c := range in.Schema.Cols[:n] {
		op.Exprs = append(op.Exprs, &expr.Column{Index: i, Name: c.Name, Typ: c.Type})
	}
	return &logical.Node{Op: op, In: []*logical.Node{in}, Schema: types.Schema{Cols: in.Schema.Cols[:n:n]}}
}

// settleItems gives unknown columns the type text, unless the query is a bare one whose caller may know better.
func (l *level) settleItems() error {
	bare := len(l.sort) == 0 && !l.core.Distinct && len(l.distinctOn) == 0 && l.q.Limit == nil && l.q.Offset == nil
	if bare {
		return nil
	}
	for i, it := range l.items {
		e, err := l.textIfUnknown(term{it.e, it.pos})
		if err != nil {
			return err
		}
		l.items[i].e = e
	}
	return nil
}

func (l *level) buildProject(in *logical.Node) *logical.Node {
	op := &logical.Project{Exprs: make([]expr.Expr, 0, len(l.items))}
	out := &logical.Node{Op: op, In: []*logical.Node{in}, Schema: types.Schema{Cols: make([]types.Column, 0, len(l.items))}}
	for _, it := range l.items {
		op.Exprs = append(op.Exprs, it.e)
		out.Schema.Cols = append(out.Schema.Cols, types.Column{Name: it.name, Type: it.e.Type()})
		if s := l.src[it.e]; s.pos == 0 {
			l.src[it.e] = source{pos: it.pos, name: s.name}
		}
	}
	return out
}

// buildDistinct drops duplicates. DISTINCT ON keeps the first row in ORDER BY's order, so it sorts first; plain DISTINCT
// is sorted afterwards.
func (l *level) buildDistinct(in *logical.Node) (*logical.Node, error) {
	for i, it := range l.items {
		if len(l.distinctOn) == 0 && !hasOperator(it.e.Type(), true) || containsInt(l.distinctOn, i) && !hasOperator(it.e.Type(), true) {
			return nil, sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type %s", it.e.Type()).At(it.pos)
		}
	}
	sorted := func(n *logical.Node) *logical.Node {
		if len(l.sort) == 0 {
			return n
		}
		return &logical.Node{Op: &logical.Sort{Keys: l.sort}, In: []*logical.Node{n}, Schema: n.Schema}
	}
	op := &logical.Distinct{}
	if len(l.distinctOn) == 0 {
		return sorted(&logical.Node{Op: op, In: []*logical.Node{in}, Schema: in.Schema}), nil
	}
	for _, i := range l.distinctOn {
		op.On = append(op.On, &expr.Column{Index: i, Name: l.items[i].name, Typ: l.items[i].e.Type()})
	}
	return &logical.Node{Op: op, In: []*logical.Node{sorted(in)}, Schema: in.Schema}, nil
}
