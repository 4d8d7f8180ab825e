package rules

import (
	"sort"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/planner/logical"
)

func orderConjunctsRule() Rule {
	return Rule{
		Name: "order_conjuncts",
		Doc:  "Tries cheap conditions first: native ones, then IN IOC, then subqueries, JavaScript last. Equal ones keep their order.",
		Apply: func(n *logical.Node, _ Env) *logical.Node {
			return orderConjuncts(n)
		},
		Did: didOrder,
	}
}

func orderConjuncts(n *logical.Node) *logical.Node {
	n = logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		return expr.Transform(e, orderAnd), true
	}).Plan(n, 0)
	return bottomUp(n, func(n *logical.Node) *logical.Node {
		switch op := n.Op.(type) {
		case *logical.Filter:
			return &logical.Node{Op: &logical.Filter{Conds: byCost(op.Conds)}, In: n.In, Schema: n.Schema}
		case *logical.Join:
			c := *op
			c.Conds = byCost(op.Conds)
			return &logical.Node{Op: &c, In: n.In, Schema: n.Schema}
		}
		return n
	})
}

// orderAnd orders the terms of AND and OR, which are evaluated left to right on the rows still undecided.
func orderAnd(e expr.Expr) expr.Expr {
	switch e := e.(type) {
	case *expr.And:
		return &expr.And{Args: byCost(e.Args)}
	case *expr.Or:
		return &expr.Or{Args: byCost(e.Args)}
	case *expr.Subquery:
		if plan, ok := e.Plan.(*logical.Node); ok {
			c := *e
			c.Plan = orderConjuncts(plan)
			return &c
		}
	}
	return e
}

func byCost(list []expr.Expr) []expr.Expr {
	out := append([]expr.Expr(nil), list...)
	sort.SliceStable(out, func(i, j int) bool { return cost(out[i]) < cost(out[j]) })
	return out
}

// The classes of cost.
const (
	native = iota
	indicator
	subquery
	javascript
)

// cost is the class of the most costly part.
func cost(e expr.Expr) int {
	class := native
	logical.Walk(e, func(e expr.Expr, _ int) bool {
		switch e.(type) {
		case *expr.InIOC, *expr.IOCEntry, *expr.InTable:
			class = max(class, indicator)
		case *expr.Subquery, *expr.TableQuery:
			class = max(class, subquery)
		case *expr.UDF:
			class = max(class, javascript)
		}
		return class < javascript
	})
	return class
}
