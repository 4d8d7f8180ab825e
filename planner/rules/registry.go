// Package rules rewrites logical trees, one rule per file: each makes a plan cheaper and none changes what it means or
// the schema of its root.
package rules

import (
	"time"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
)

// Env is what rules may read.
type Env struct {
	Now      types.EventTime
	TimeZone *time.Location
	// Trace takes down what the rules do; nil: nobody asks.
	Trace *logical.Trace
}

func (e Env) ctx() *expr.Ctx { return &expr.Ctx{Ctx: fn.Ctx{Now: e.Now, TimeZone: e.TimeZone}} }

// Rule is one rewrite of a whole tree, plans of subqueries included.
type Rule struct {
	Name  string
	Doc   string
	Apply func(n *logical.Node, env Env) *logical.Node
	// Did tells people what an application did, by the trees before and after it. It is asked by EXPLAIN only.
	Did func(before, after *logical.Node, env Env) []string
}

// Builtins returns the rules in the order in which they run.
func Builtins() []Rule {
	return []Rule{
		foldConstantsRule(),
		pushFiltersRule(),
		joinKeysRule(),
		orderConjunctsRule(),
		pruneColumnsRule(),
		boundTimesRule(),
	}
}

// Optimize applies all rules.
func Optimize(n *logical.Node, env Env) *logical.Node {
	if env.Trace != nil {
		return trace(n, env)
	}
	for _, r := range Builtins() {
		n = r.Apply(n, env)
	}
	return n
}

// mapSubplans applies a rewrite to the plans of the subqueries in a tree's expressions.
func mapSubplans(n *logical.Node, apply func(*logical.Node) *logical.Node) *logical.Node {
	return logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		s, ok := e.(*expr.Subquery)
		if !ok {
			return e, false
		}
		plan, ok := s.Plan.(*logical.Node)
		if !ok {
			return e, true
		}
		c := *s
		c.Plan = apply(plan)
		return &c, true
	}).Plan(n, 0)
}

// bottomUp rebuilds a tree from its leaves; f gets each node with its inputs already rebuilt.
func bottomUp(n *logical.Node, f func(*logical.Node) *logical.Node) *logical.Node {
	in := make([]*logical.Node, len(n.In))
	for i, c := range n.In {
		in[i] = bottomUp(c, f)
	}
	return f(&logical.Node{Op: n.Op, In: in, Schema: n.Schema})
}

// movable tells whether an expression may be evaluated elsewhere or another number of times.
func movable(e expr.Expr) bool {
	ok := true
	logical.Walk(e, func(e expr.Expr, _ int) bool {
		switch e := e.(type) {
		case *expr.Call:
			ok = ok && e.Def.Volatility != fn.Volatile
		case *expr.UDF:
			// JavaScript is costly: it stays where the user wrote it.
			ok = false
		}
		return ok
	})
	return ok
}
