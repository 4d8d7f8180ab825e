package rules

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/planner/logical"
)

// pushLookup moves conditions on the input below a lookup in a table; the others stay above it.
func pushLookup(n *logical.Node, op *logical.LookupJoin, down, stay []expr.Expr) *logical.Node {
	width := len(n.In[0].Schema.Cols)
	onInput := func(c expr.Expr) bool { return within(c, 0, width) }
	below, above := split(down, onInput)
	if op.Kind == logical.LookupInner {
		c := *op
		var early []expr.Expr
		early, c.Conds = split(op.Conds, func(e expr.Expr) bool { return movable(e) && onInput(e) })
		below = append(below, early...)
		n = &logical.Node{Op: &c, In: n.In, Schema: n.Schema}
	}
	return over(n, below, append(above, stay...))
}

// lookupNeeds is what a lookup needs of its input and of the table, when need of its own row is wanted.
func lookupNeeds(o *logical.LookupJoin, need columns, width int) (logical.Op, columns) {
	all := make(columns, width+len(o.Table.Table.Schema.Cols))
	copy(all, need)
	all.add(o.Conds...)
	all.add(o.AsOf)
	all.add(o.Keys...)
	c := *o
	c.Want = all[width:]
	return &c, all[:width:width]
}
