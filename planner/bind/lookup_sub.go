package bind

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// membership is a condition of WHERE that asks whether a table has a row: x [NOT] IN (SELECT ..), [NOT] EXISTS (SELECT ..).
type membership struct {
	x     parse.Expr // nil for EXISTS
	query *parse.Select
	not   bool
	pos   int
}

// membershipOf takes a condition of WHERE for a membership.
func membershipOf(e parse.Expr) (m membership, ok bool) {
	switch e := e.(type) {
	case *parse.InQuery:
		return membership{x: e.X, query: e.Query, not: e.Not, pos: e.Pos}, true
	case *parse.Exists:
		return membership{query: e.Query, pos: e.Pos}, true
	case *parse.Unary:
		if e.Op != "NOT" {
			return m, false
		}
		m, ok = membershipOf(e.X)
		m.not = !m.not
		return m, ok
	}
	return m, false
}

// splitWhere takes the memberships in tables out of the conditions of a continuous query's WHERE.
func (l *level) splitWhere(e parse.Expr) (rest parse.Expr, found []membership) {
	if !l.continuous || e == nil {
		return e, nil
	}
	if b, ok := e.(*parse.Binary); ok && b.Op == "AND" {
		left, some := l.splitWhere(b.L)
		right, more := l.splitWhere(b.R)
		found = append(some, more...)
		switch {
		case len(found) == 0:
			return e, nil
		case left == nil:
			return right, found
		case right == nil:
			return left, found
		}
		return &parse.Binary{At: b.At, Op: "AND", L: left, R: right}, found
	}
	if m, ok := membershipOf(e); ok && l.clause("WHERE").overTable(m.query) {
		return nil, []membership{m}
	}
	return e, nil
}

// overTable tells whether a subquery is over a table; other ones are joins of streams.
func (s *scalar) overTable(q *parse.Select) bool {
	return q.Core != nil && len(q.Core.From) == 1 && (&fromBinder{binder: s.binder, ctes: s.ctes}).namesTable(q.Core.From[0])
}

// lookups puts the memberships over the tree, in the order they were written.
func (l *level) lookups(n *logical.Node, list []membership) (*logical.Node, error) {
	for _, m := range list {
		lk, err := l.clause("WHERE").membership(m, len(n.Schema.Cols))
		if err != nil {
			return nil, err
		}
		n = &logical.Node{Op: lk, In: []*logical.Node{n}, Schema: n.Schema}
	}
	return n, nil
}

const subqueryHint = "In a continuous query WHERE may hold x [NOT] IN (SELECT column FROM table [WHERE ..]) and [NOT] EXISTS (SELECT 1 FROM table WHERE ..), in any place; x IN IOC list asks a list."

// membership binds one that is a condition of its own; width is the number of the enclosing row's columns.
func (s *scalar) membership(m membership, width int) (*logical.LookupJoin, error) {
	lk, equal, conds, err := s.memberConds(m, width)
	switch {
	case err != nil:
		return nil, err
	case equal == nil:
		return lk.With(conds, width), nil
	}
	return inTable(lk, equal, conds, width)
}

// memberConds binds a membership: the table, for IN the condition x = column, and those of the subquery's WHERE.
func (s *scalar) memberConds(m membership, width int) (lk *logical.LookupJoin, equal expr.Expr, conds []expr.Expr, err error) {
	ref, table, err := s.plainTable(m)
	if err != nil {
		return nil, nil, nil, err
	}
	bound := &rel{schema: ref.Name.Schema, alias: ref.Name.Name, table: ref.Name.Name}
	if ref.Alias != "" {
		bound.schema, bound.alias = "", ref.Alias
	}
	it := (&fromBinder{binder: s.binder}).item(&logical.Node{Schema: *table.RelSchema()}, bound, nil)
	if err := it.rename(ref.Columns, bound.alias, ref.Name.Pos); err != nil {
		return nil, nil, nil, err
	}
	// The table's columns lie behind the enclosing row's, which the subquery sees one level up.
	f := &frame{parent: s.f, rels: []*rel{it.rels[0].shifted(width)}}
	sub := &scalar{binder: s.binder, f: f, clause: "WHERE"}
	lk = &logical.LookupJoin{Table: table, Kind: logical.LookupSemi, Pos: ref.Name.Pos}
	if m.not {
		lk.Kind = logical.LookupAnti
	}
	core := m.query.Core
	if core.Where != nil {
		c, err := sub.condition(core.Where, "WHERE")
		if err != nil {
			return nil, nil, nil, err
		}
		conds = logical.Conjuncts(inward(c))
	}
	if m.x == nil {
		for _, it := range core.Items {
			if it.Star {
				continue
			}
			if _, err := sub.term(it.Expr); err != nil {
				return nil, nil, nil, err
			}
		}
		return lk, nil, conds, nil
	}
	equal, err = s.membershipEqual(m, sub)
	return lk, equal, conds, err
}

// membershipEqual binds x = column of x IN (SELECT column ..); sub binds what the subquery holds.
func (s *scalar) membershipEqual(m membership, sub *scalar) (expr.Expr, error) {
	if row, ok := m.x.(*parse.Row); ok {
		return nil, unsupported(row.Pos, "a row on the left of IN (SELECT ...)", "Use EXISTS with one condition per column.")
	}
	items := m.query.Core.Items
	if len(items) != 1 || items[0].Star && len(sub.f.rels[0].cols) != 1 {
		return nil, unsupported(m.pos, "IN over several columns", "Select the one column that x is compared with.")
	}
	x, err := s.term(m.x)
	if err != nil {
		return nil, err
	}
	var item term
	if items[0].Star {
		item = term{shift(sub.f.rels[0].cols[0].value, 0), items[0].Pos}
	} else if item, err = sub.term(items[0].Expr); err != nil {
		return nil, err
	}
	return s.compare("=", x, term{inward(item.e), item.pos}, m.pos)
}

// inTable finishes x [NOT] IN. NOT IN is true when no row of the subquery is equal or unknown.
func inTable(lk *logical.LookupJoin, equal expr.Expr, conds []expr.Expr, width int) (*logical.LookupJoin, error) {
	if lk.Kind == logical.LookupSemi {
		lk = lk.With(append([]expr.Expr{equal}, conds...), width)
	} else if alone, rest := lk.TakeKeys([]expr.Expr{equal}, width); len(rest) == 0 && !readsInput(conds, width) {
		alone.NullAware, alone.Conds = true, conds
		return alone, nil
	} else {
		lk = lk.With(conds, width)
		lk.Conds = append(lk.Conds, &expr.IsBool{X: equal, Want: false, Not: true})
	}
	if len(lk.Keys) == 0 {
		return nil, unsupported(lk.Pos, "IN over an expression of table "+lk.Table.Name, "Select a column, of the type of what is on the left of IN.")
	}
	return lk, nil
}

// readsInput tells whether a condition reads the row that asks.
func readsInput(conds []expr.Expr, width int) bool {
	return slices.ContainsFunc(conds, func(c expr.Expr) bool {
		found := false
		logical.Columns(c, func(i int) { found = found || i < width })
		return found
	})
}

// plainTable accepts SELECT .. FROM table [WHERE ..].
func (s *scalar) plainTable(m membership) (*parse.TableRef, *catalog.Table, error) {
	refuse := func(pos int, what string) (*parse.TableRef, *catalog.Table, error) {
		return nil, nil, unsupported(pos, what+" in a continuous query", subqueryHint)
	}
	q := m.query
	if q.Core == nil || len(q.With) > 0 || q.Limit != nil || q.Offset != nil || len(q.Core.From) != 1 {
		return refuse(m.pos, "this subquery")
	}
	ref, ok := q.Core.From[0].(*parse.TableRef)
	if !ok || ref.AsOf != nil {
		return refuse(m.pos, "this subquery")
	}
	r, err := (&fromBinder{binder: s.binder}).read(ref.Name)
	if err != nil {
		return nil, nil, err
	}
	t, ok := r.(*catalog.Table)
	switch {
	case !ok:
		return refuse(m.pos, "a subquery over something other than a table")
	case len(q.Core.GroupBy) > 0 || q.Core.Having != nil || len(q.Core.DistinctOn) > 0 || len(q.Core.Windows) > 0:
		return refuse(m.pos, "a grouping in a subquery")
	}
	for _, it := range q.Core.Items {
		if call, ok := it.Expr.(*parse.FuncCall); ok && registry().aggs[call.Name.Name] != nil {
			return refuse(call.Pos, "an aggregate in a subquery")
		}
	}
	s.deps.Tables = addOnce(s.deps.Tables, t.ID)
	return ref, t, nil
}

// inward turns references to the enclosing row into columns of the joined one, which begins with it.
func inward(e expr.Expr) expr.Expr {
	return logical.Rewrite(func(e expr.Expr, depth int) (expr.Expr, bool) {
		if o, ok := e.(*expr.Outer); ok && o.Depth == depth+1 {
			return &expr.Column{Index: o.Index, Name: o.Name, Typ: o.Typ}, true
		}
		return e, false
	}).Expr(e, 0)
}
