package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// subquery binds (SELECT ..), EXISTS (..) and ARRAY(..).
func (s *scalar) subquery(q *parse.Select, kind expr.SubKind, pos int) (expr.Expr, error) {
	plan, err := s.subplan(q, pos)
	if err != nil {
		return nil, err
	}
	if kind != expr.Exists && len(plan.Schema.Cols) != 1 {
		return nil, sqlerr.New(sqlerr.SyntaxError, "subquery must return only one column").At(pos)
	}
	if p, ok := plan.Op.(*logical.Project); ok && p != nil && kind == expr.Exists && !s.continuous {
		plan = plan.In[0] // what the rows hold does not matter
	}
	out := &expr.Subquery{Kind: kind, Plan: plan, Correlated: correlated(plan), Typ: boolType}
	s.subPos[plan] = pos
	switch kind {
	case expr.Scalar:
		out.Typ = plan.Schema.Cols[0].Type
	case expr.ArraySub:
		elem := plan.Schema.Cols[0].Type
		if elem.Kind == types.Array {
			return nil, unsupported(pos, "an array of arrays", "")
		}
		out.Typ = arrayType(elem)
	}
	return out, nil
}

// subplan binds a query inside an expression; its rows see the row of the enclosing level as Outer depth 1.
func (s *scalar) subplan(q *parse.Select, pos int) (*logical.Node, error) {
	if s.continuous && s.clause != "WHERE" {
		return nil, unsupported(pos, "a subquery in a continuous query", subqueryHint)
	}
	s.within = append(s.within, "a subquery")
	defer func() { s.within = s.within[:len(s.within)-1] }()
	if s.f != nil && !s.continuous {
		aggs, clause := s.f.aggs, s.f.clause
		s.f.aggs, s.f.clause = s.aggs, s.clause
		defer func() { s.f.aggs, s.f.clause = aggs, clause }()
	}
	plan, err := s.query(q, s.f, s.ctes)
	if err != nil {
		return nil, err
	}
	return s.settleColumns(plan)
}

// correlated tells whether a plan reads rows of enclosing queries.
func correlated(plan *logical.Node) bool {
	found := false
	// The plan is at depth 1 of where the subquery stands.
	logical.Rewrite(func(e expr.Expr, depth int) (expr.Expr, bool) {
		if o, ok := e.(*expr.Outer); ok && o.Depth >= depth {
			found = true
		}
		if w, ok := e.(*windowBound); ok && w != nil {
			found = true
		}
		if a, ok := e.(*aggRef); ok && a.up >= depth {
			found = true
		}
		return e, found
	}).Plan(plan, 1)
	return found
}

// inQuery binds x [NOT] IN (SELECT ..).
func (s *scalar) inQuery(e *parse.InQuery) (expr.Expr, error) {
	if in, ok, err := s.askTable(memberIn(e)); ok {
		return in, err
	}
	if row, ok := e.X.(*parse.Row); ok && len(row.Elems) != 1 {
		return s.rowIn(e, row)
	}
	x, err := s.term(e.X)
	if err != nil {
		return nil, err
	}
	plan, err := s.subplan(e.Query, e.Pos)
	if err != nil {
		return nil, err
	}
	if err := subqueryWidth(plan, 1, e.Pos); err != nil {
		return nil, err
	}
	col := plan.Schema.Cols[0].Type
	left := x.e.Type()
	if left.Kind == types.Unknown {
		left = col
	}
	op := "="
	if e.Not {
		op = "<>"
	}
	typ, ok := compareType(left, col, true)
	if !ok {
		return nil, noOperator(op, x.e.Type(), col, e.Pos)
	}
	out := &expr.Subquery{Kind: expr.InSub, Not: e.Not, Typ: boolType}
	if out.X, err = s.implicit(x, typ); err != nil {
		return nil, err
	}
	if !sameKind(col, typ) {
		if plan, err = s.coerceColumns(plan, []types.Type{typ}, expr.Explicit, nil); err != nil {
			return nil, err
		}
	}
	out.Plan, out.Correlated = plan, correlated(plan)
	s.subPos[plan] = e.Pos
	return out, nil
}
