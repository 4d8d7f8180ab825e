package planner

import "github.com/vigil-sql/vigil/executor/spec"

func (b *paramBinder) lookup(op *spec.LookupJoin) spec.Op {
	keys, changed := b.exprs(op.Keys)
	asOf, cond := b.expr(op.AsOf), b.expr(op.Cond)
	if !changed && asOf == op.AsOf && cond == op.Cond {
		return op
	}
	c := *op
	c.Keys, c.AsOf, c.Cond = keys, asOf, cond
	return &c
}
