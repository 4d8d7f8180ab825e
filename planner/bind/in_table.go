package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/planner/logical"
)

// tableAt is where the columns of a subquery's table lie while it is bound: behind those of every row.
const tableAt = 1 << 20

// askTable binds a membership in a table that is part of another condition of a continuous query's WHERE: under OR and NOT, in CASE.
// ok is false where it is none of that.
func (s *scalar) askTable(m membership) (e expr.Expr, ok bool, err error) {
	if !s.continuous || s.clause != "WHERE" || !s.overTable(m.query) {
		return nil, false, nil
	}
	lk, equal, conds, err := s.memberConds(m, tableAt)
	if err != nil {
		return nil, true, err
	}
	out := &expr.InTable{Table: lk.Table.ID, Name: lk.Table.Name, Schema: lk.Table.Table.Schema, Exists: equal == nil, Not: m.not}
	if equal != nil {
		var rest []expr.Expr
		if lk, rest = lk.TakeKeys([]expr.Expr{equal}, tableAt); len(rest) > 0 {
			return nil, true, unsupported(lk.Pos, "IN over an expression of table "+out.Name, "Select a column, of the type of what is on the left of IN.")
		}
	} else {
		lk, conds = lk.TakeKeys(conds, tableAt)
	}
	out.Keys, out.Cols = lk.Keys, lk.Cols
	if readsInput(conds, tableAt) {
		return nil, true, unsupported(lk.Pos, "a subquery that compares the outer row otherwise than by EXISTS and equal columns, and is not a condition of its own",
			"EXISTS (SELECT 1 FROM "+out.Name+" WHERE column = ... AND ...) can be used anywhere, AND [NOT] EXISTS with any condition.")
	}
	for i, c := range conds {
		conds[i] = logical.Remap(c, func(i int) int { return i - tableAt })
	}
	if out.Where = logical.AndAll(conds); out.Where != nil && outerDepth(out.Where) > 0 {
		return nil, true, unsupported(lk.Pos, "a subquery within a subquery that reads an outer row", "Join the streams of both in one subquery.")
	}
	return out, true, nil
}
