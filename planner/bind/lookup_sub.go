package bind

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// membership asks whether a table has a row: x [NOT] IN (SELECT ..), x op ANY|ALL (SELECT ..), [NOT] EXISTS (SELECT ..).
type membership struct {
	x     parse.Expr // nil for EXISTS
	op    string     // of the comparison with x
	query *parse.Select
	not   bool
	pos   int
}

// memberIn is x [NOT] IN (SELECT ..).
func memberIn(e *parse.InQuery) membership {
	return membership{x: e.X, op: "=", query: e.Query, not: e.Not, pos: e.Pos}
}

// opposite are the comparisons that are true where one is false.
var opposite = map[string]string{"=": "<>", "<>": "=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}

// memberAny is x op ANY|ALL (SELECT ..): x op ALL is that there is none for which the opposite holds.
func memberAny(e *parse.Quantified) (m membership, ok bool) {
	if _, ok = opposite[e.Op]; !ok || e.Query == nil {
		return m, false
	}
	m = membership{x: e.X, op: e.Op, query: e.Query, pos: e.Pos}
	if e.All {
		m.op, m.not = opposite[e.Op], true
	}
	return m, true
}

// membershipOf takes a condition of WHERE for a membership that is a lookup.
func membershipOf(e parse.Expr) (m membership, ok bool) {
	switch e := e.(type) {
	case *parse.InQuery:
		row, isRow := e.X.(*parse.Row)
		return memberIn(e), !isRow || len(row.Elems) == 1
	case *parse.Quantified:
		m, ok = memberAny(e)
		return m, ok && m.op == "="
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
		s := l.clause("WHERE")
		lk, err := s.membership(m, len(n.Schema.Cols))
		if err != nil {
			return nil, err
		}
		if lk != nil {
			n = &logical.Node{Op: lk, In: []*logical.Node{n}, Schema: n.Schema}
			continue
		}
		e, _, err := s.askTable(m)
		if err != nil {
			return nil, err
		}
		n = logical.NewFilter(n, []expr.Expr{e})
	}
	return n, nil
}

const subqueryHint = "Over a table a subquery may stand in SELECT, WHERE, HAVING, GROUP BY, ON and in aggregates: x [NOT] IN (SELECT column FROM table [WHERE ..]), " +
	"[NOT] EXISTS, op ANY, op ALL, (SELECT column or aggregates FROM table [WHERE ..] [ORDER BY .. LIMIT 1])."

// membership binds one that is a condition of its own; width is the number of the enclosing row's columns. It is nil where a lookup cannot
// answer it.
func (s *scalar) membership(m membership, width int) (*logical.LookupJoin, error) {
	if m.x == nil && atLeastOne(m.query.Limit) > 0 {
		m.query = unlimited(m.query)
	}
	a, err := s.openTable(m.query, m.pos, width)
	if err != nil {
		return nil, err
	}
	tests, err := a.tests(m)
	if err != nil {
		return nil, err
	}
	lk := &logical.LookupJoin{Table: a.table, Kind: logical.LookupSemi, Pos: a.pos}
	if m.not {
		lk.Kind = logical.LookupAnti
	}
	if len(tests) == 0 {
		return lk.With(a.conds, width), nil
	}
	return inTable(lk, tests[0], a.conds, width), nil
}

// inTable finishes x [NOT] IN. NOT IN is true when no row of the subquery is equal or unknown.
func inTable(lk *logical.LookupJoin, equal expr.Expr, conds []expr.Expr, width int) *logical.LookupJoin {
	if lk.Kind == logical.LookupSemi {
		lk = lk.With(append([]expr.Expr{equal}, conds...), width)
	} else if alone, rest := lk.TakeKeys([]expr.Expr{equal}, width); len(rest) == 0 && !readsInput(conds, width) {
		alone.NullAware, alone.Conds = true, conds
		return alone
	} else {
		lk = lk.With(conds, width)
		lk.Conds = append(lk.Conds, &expr.IsBool{X: equal, Want: false, Not: true})
	}
	if len(lk.Keys) == 0 {
		return nil
	}
	return lk
}

// readsInput tells whether a condition reads the row that asks.
func readsInput(conds []expr.Expr, width int) bool {
	return slices.ContainsFunc(conds, func(c expr.Expr) bool {
		found := false
		logical.Columns(c, func(i int) { found = found || i < width })
		return found || outerDepth(c) > 0 || findRef(c) != nil
	})
}

// plainTable accepts SELECT .. FROM table [WHERE ..] without LIMIT, which the caller takes off where it knows what it means.
func (s *scalar) plainTable(q *parse.Select, pos int) (*parse.TableRef, *catalog.Table, error) {
	refuse := func(pos int, what string) (*parse.TableRef, *catalog.Table, error) {
		return nil, nil, unsupported(pos, what+" in a continuous query", subqueryHint)
	}
	switch {
	case q.Core == nil || len(q.With) > 0 || len(q.Core.From) != 1:
		return refuse(pos, "this subquery")
	case q.Limit != nil:
		return refuse(start(q.Limit), "LIMIT in a subquery")
	case q.Offset != nil:
		return refuse(start(q.Offset), "OFFSET in a subquery")
	}
	ref, ok := q.Core.From[0].(*parse.TableRef)
	switch {
	case !ok:
		return refuse(pos, "this subquery")
	case ref.AsOf != nil:
		return refuse(ref.AsOf.Position(), "FOR SYSTEM_TIME AS OF in a subquery")
	}
	r, err := (&fromBinder{binder: s.binder}).read(ref.Name)
	if err != nil {
		return nil, nil, err
	}
	t, ok := r.(*catalog.Table)
	switch {
	case !ok:
		return refuse(pos, "a subquery over something other than a table")
	case len(q.Core.GroupBy) > 0 || q.Core.Having != nil || len(q.Core.DistinctOn) > 0 || len(q.Core.Windows) > 0:
		return refuse(pos, "a grouping in a subquery")
	}
	s.deps.Tables = addOnce(s.deps.Tables, t.ID)
	if _, known := s.tablePos[t.ID]; !known {
		s.tablePos[t.ID] = ref.Name.Pos
	}
	return ref, t, nil
}
