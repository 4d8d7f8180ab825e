package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
)

// trace applies all rules and takes down what each did.
func trace(n *logical.Node, env Env) *logical.Node {
	env.Trace.Written = n
	for _, r := range Builtins() {
		next := r.Apply(n, env)
		env.Trace.Add(r.Name, r.Did(n, next, env))
		n = next
	}
	env.Trace.Optimized = n
	return n
}

// each visits the nodes of a tree and of the subqueries in it, always in the same order.
func each(n *logical.Node, visit func(*logical.Node)) {
	visit(n)
	for _, e := range topExprs(n.Op) {
		logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
			s, ok := e.(*expr.Subquery)
			if !ok {
				return e, false
			}
			if plan, ok := s.Plan.(*logical.Node); ok {
				each(plan, visit)
			}
			return e, true
		}).Expr(e, 0)
	}
	for _, in := range n.In {
		each(in, visit)
	}
}

// topExprs lists an operator's expressions.
func topExprs(op logical.Op) []expr.Expr {
	var list []expr.Expr
	logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		list = append(list, e)
		return e, true
	}).Op(op, 0)
	return list
}

// newIn lists the facts about a tree that did not hold for the one before it; equal facts count as often as they occur.
func newIn(before, after *logical.Node, facts func(*logical.Node) []string) []string {
	old := map[string]int{}
	each(before, func(n *logical.Node) {
		for _, f := range facts(n) {
			old[f]++
		}
	})
	var list []string
	each(after, func(n *logical.Node) {
		for _, f := range facts(n) {
			if old[f]--; old[f] < 0 {
				list = append(list, f)
			}
		}
	})
	return list
}

// didFold tells which expressions were computed.
func didFold(before, _ *logical.Node, env Env) []string {
	f := &folder{ctx: env.ctx()}
	var old, folded, did []string
	visit := func(dst *[]string) func(*logical.Node) {
		return func(n *logical.Node) {
			for _, e := range topExprs(n.Op) {
				*dst = append(*dst, e.String())
			}
		}
	}
	each(before, visit(&old))
	each(f.exprs(before), visit(&folded))
	if len(old) != len(folded) {
		return nil
	}
	for i := range old {
		if old[i] != folded[i] {
			did = append(did, old[i]+" is "+folded[i])
		}
	}
	return did
}

// didPush tells where conditions are checked that were checked elsewhere before.
func didPush(before, after *logical.Node, _ Env) []string {
	return newIn(before, after, func(n *logical.Node) []string {
		var list []string
		add := func(conds []expr.Expr, at string) {
			for _, c := range conds {
				list = append(list, logical.Conditions([]expr.Expr{c})+" is checked "+at)
			}
		}
		switch op := n.Op.(type) {
		case *logical.Filter:
			add(op.Conds, "right above "+logical.Label(n.In[0]))
		case *logical.Join:
			add(op.Conds, "in "+logical.Label(n))
		case *logical.LookupJoin:
			add(op.Conds, "in "+logical.Label(n))
		}
		return list
	})
}

// didKeys tells the keys that were found.
func didKeys(before, after *logical.Node, _ Env) []string {
	return newIn(before, after, func(n *logical.Node) []string {
		op, ok := n.Op.(*logical.Join)
		if !ok {
			return nil
		}
		var list []string
		for i := range op.LeftKeys {
			list = append(list, fmt.Sprintf("(%s = %s) is a key of %s", op.LeftKeys[i], op.RightKeys[i], logical.Label(n)))
		}
		return list
	})
}

// didOrder tells the conditions that are tried in another order.
func didOrder(before, after *logical.Node, _ Env) []string {
	return newIn(before, after, func(n *logical.Node) []string {
		var conds []expr.Expr
		switch op := n.Op.(type) {
		case *logical.Filter:
			conds = op.Conds
		case *logical.Join:
			conds = op.Conds
		}
		if len(conds) < 2 {
			return nil
		}
		parts := make([]string, len(conds))
		for i, c := range conds {
			parts[i] = logical.Conditions([]expr.Expr{c})
		}
		return []string{"tried in this order: " + strings.Join(parts, ", ")}
	})
}

// didPrune tells what is left to read.
func didPrune(before, after *logical.Node, _ Env) []string {
	return newIn(before, after, func(n *logical.Node) []string {
		switch op := n.Op.(type) {
		case *logical.Scan:
			return reads(logical.Label(n), &n.Schema, op.Want)
		case *logical.LookupJoin:
			if op.Joins() {
				return reads(logical.Label(n), &op.Table.Table.Schema, op.Want)
			}
		}
		return nil
	})
}

func reads(label string, s *types.Schema, want []bool) []string {
	if len(want) != len(s.Cols) || !slices.Contains(want, false) {
		return nil
	}
	var names []string
	for i, c := range s.Cols {
		if want[i] {
			names = append(names, c.Name)
		}
	}
	what := "no column"
	if len(names) > 0 {
		what = strings.Join(names, ", ")
	}
	return []string{fmt.Sprintf("%s reads %s of %d columns", label, what, len(want))}
}
