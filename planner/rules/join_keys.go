package rules

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/planner/logical"
)

func joinKeysRule() Rule {
	return Rule{
		Name: "join_keys",
		Doc:  "Turns equalities between the sides of a join into hash keys.",
		Apply: func(n *logical.Node, _ Env) *logical.Node {
			return joinKeys(n)
		},
		Did: didKeys,
	}
}

func joinKeys(n *logical.Node) *logical.Node {
	return mapSubplans(bottomUp(n, joinKeysOf), joinKeys)
}

func joinKeysOf(n *logical.Node) *logical.Node {
	op, ok := n.Op.(*logical.Join)
	if !ok || op.Lateral { // the right side of a lateral join is made anew for each row: hashing it buys nothing
		return n
	}
	width, all := len(n.In[0].Schema.Cols), len(n.In[0].Schema.Cols)+len(n.In[1].Schema.Cols)
	out := *op
	out.Conds = nil
	for _, c := range op.Conds {
		l, r, ok := equality(c, width, all)
		if !ok {
			out.Conds = append(out.Conds, c)
			continue
		}
		out.LeftKeys = append(out.LeftKeys[:len(out.LeftKeys):len(out.LeftKeys)], l)
		out.RightKeys = append(out.RightKeys[:len(out.RightKeys):len(out.RightKeys)], shiftDown([]expr.Expr{r}, width)[0])
	}
	return &logical.Node{Op: &out, In: n.In, Schema: n.Schema}
}

// equality takes a condition apart into a left and a right side of the join.
func equality(c expr.Expr, width, all int) (l, r expr.Expr, ok bool) {
	cmp, isCmp := c.(*expr.Compare)
	if !isCmp || cmp.Op != expr.EQ || !early(c) {
		return nil, nil, false
	}
	switch {
	case within(cmp.L, 0, width) && within(cmp.R, width, all):
		return cmp.L, cmp.R, true
	case within(cmp.R, 0, width) && within(cmp.L, width, all):
		return cmp.R, cmp.L, true
	}
	return nil, nil, false
}
