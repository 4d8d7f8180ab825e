package rules

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/planner/logical"
)

func pushFiltersRule() Rule {
	return Rule{
		Name: "push_filters",
		Doc:  "Moves conditions towards the scans: through projections and groupings, into the sides of joins, and into join conditions.",
		Apply: func(n *logical.Node, _ Env) *logical.Node {
			return pushFilters(n)
		},
		Did: didPush,
	}
}

func pushFilters(n *logical.Node) *logical.Node {
	return mapSubplans(push(n, nil), pushFilters)
}

// push puts conds (over n's row) as deep below n as they can go.
func push(n *logical.Node, conds []expr.Expr) *logical.Node {
	var down, stay []expr.Expr
	for _, c := range conds {
		if movable(c) && (!logical.Asks(c) || atOnce(n.Op)) {
			down = append(down, c)
		} else {
			stay = append(stay, c)
		}
	}
	switch op := n.Op.(type) {
	case *logical.Filter:
		return push(n.In[0], append(append([]expr.Expr(nil), op.Conds...), conds...))
	case *logical.Join:
		return pushJoin(n, op, down, stay)
	case *logical.LookupJoin:
		return pushLookup(n, op, down, stay)
	case *logical.Project:
		return pushProject(n, op, down, stay)
	case *logical.Aggregate:
		return pushAggregate(n, op, down, stay)
	case *logical.Over, *logical.SortedOver, *logical.FirstSeen, *logical.Suppress:
		return pushOver(n, down, stay)
	case *logical.ProjectSet:
		width := len(n.In[0].Schema.Cols)
		below, above := split(down, func(c expr.Expr) bool { return within(c, 0, width) })
		return over(n, below, append(above, stay...))
	case *logical.Distinct:
		if len(op.On) > 0 {
			return over(n, nil, conds)
		}
		return over(n, down, stay)
	case *logical.Sort:
		return over(n, down, stay)
	case *logical.SetOp:
		if op.Kind != "UNION" {
			return over(n, nil, conds)
		}
		in := []*logical.Node{push(n.In[0], down), push(n.In[1], down)}
		return logical.NewFilter(&logical.Node{Op: op, In: in, Schema: n.Schema}, stay)
	}
	return over(n, nil, conds)
}

// atOnce tells whether an operator's rows come when those that they are made of do: a table that is asked below it is the same as
// above it.
func atOnce(op logical.Op) bool {
	switch op.(type) {
	case *logical.Project, *logical.ProjectSet, *logical.LookupJoin, *logical.SetOp:
		return true
	}
	return false
}

// early tells whether a condition of a join may be evaluated before the rows meet: one that asks a table sees it as it is then.
func early(e expr.Expr) bool { return movable(e) && !logical.Asks(e) }

// over rebuilds n with conditions below its first input and above itself.
func over(n *logical.Node, below, above []expr.Expr) *logical.Node {
	in := append([]*logical.Node(nil), n.In...)
	for i := range in {
		if i == 0 {
			in[i] = push(in[i], below)
		} else {
			in[i] = push(in[i], nil)
		}
	}
	return logical.NewFilter(&logical.Node{Op: n.Op, In: in, Schema: n.Schema}, above)
}

func split(list []expr.Expr, yes func(expr.Expr) bool) (in, out []expr.Expr) {
	for _, e := range list {
		if yes(e) {
			in = append(in, e)
		} else {
			out = append(out, e)
		}
	}
	return in, out
}

// within tells whether e reads at least one column and only columns of [lo, hi).
func within(e expr.Expr, lo, hi int) bool {
	some, only := false, true
	logical.Columns(e, func(i int) {
		some = true
		only = only && i >= lo && i < hi
	})
	return some && only
}

func shiftDown(list []expr.Expr, by int) []expr.Expr {
	out := make([]expr.Expr, len(list))
	for i, e := range list {
		out[i] = logical.Remap(e, func(c int) int { return c - by })
	}
	return out
}

// pushJoin distributes conditions. What an outer join may not see early stays above it: a condition on the side whose
// rows are made up as NULL would otherwise drop rows of the other.
func pushJoin(n *logical.Node, op *logical.Join, down, stay []expr.Expr) *logical.Node {
	width := len(n.In[0].Schema.Cols)
	all := width + len(n.In[1].Schema.Cols)
	isLeft := func(e expr.Expr) bool { return within(e, 0, width) }
	isRight := func(e expr.Expr) bool { return within(e, width, all) && !op.Lateral && op.Temporal == nil }
	on := op.Conds
	var left, right, fromOn []expr.Expr
	if op.Kind == logical.Inner || op.Kind == logical.Semi {
		movableOn, fixed := split(on, early)
		pool := append(append([]expr.Expr(nil), movableOn...), down...)
		left, pool = split(pool, isLeft)
		right, pool = split(pool, isRight)
		on, down = nil, nil
		for _, c := range pool {
			if within(c, 0, all) {
				on = append(on, c)
			} else { // reads no column: once per result is enough
				down = append(down, c)
			}
		}
		on = append(on, fixed...)
	}
	if op.Kind == logical.Left || op.Kind == logical.Anti {
		left, down = split(down, isLeft)
		fromOn, on = split(on, func(e expr.Expr) bool { return early(e) && isRight(e) })
		right = fromOn
	}
	if op.Kind == logical.Right {
		right, down = split(down, isRight)
		fromOn, on = split(on, func(e expr.Expr) bool { return early(e) && isLeft(e) })
		left = fromOn
	}
	join := *op
	join.Conds = on
	in := []*logical.Node{push(n.In[0], left), push(n.In[1], shiftDown(right, width))}
	return logical.NewFilter(&logical.Node{Op: &join, In: in, Schema: n.Schema}, append(down, stay...))
}

// pushProject moves conditions below a projection by putting the projected expressions in.
func pushProject(n *logical.Node, op *logical.Project, down, stay []expr.Expr) *logical.Node {
	below, above := split(down, func(c expr.Expr) bool { return substitutable(c, op.Exprs) && growth(c, op.Exprs) <= growthMax })
	for i, c := range below {
		below[i] = substitute(c, op.Exprs)
	}
	return over(n, below, append(above, stay...))
}

// growthMax bounds how many nodes a condition may gain where it moves below a projection: a column that is used twice brings its
// expression in twice, which over some tens of nested subqueries is more than any memory holds.
const growthMax = 256

// growth is how many nodes c gains when its columns are replaced by exprs.
func growth(c expr.Expr, exprs []expr.Expr) int {
	n := 0
	logical.Columns(c, func(i int) {
		if n <= growthMax {
			n-- // the column goes
			logical.Walk(exprs[i], func(expr.Expr, int) bool { n++; return n <= growthMax })
		}
	})
	return n
}

// substitutable tells whether every column of c may be replaced by its expression: a plain one at the top, and for
// references from subqueries a column.
func substitutable(c expr.Expr, exprs []expr.Expr) bool {
	ok, some := true, false
	logical.Walk(c, func(e expr.Expr, depth int) bool {
		switch e := e.(type) {
		case *expr.Column:
			if depth == 0 {
				some = true
				ok = ok && cheap(exprs[e.Index])
			}
		case *expr.Outer:
			if e.Depth == depth && depth > 0 {
				some = true
				_, isColumn := exprs[e.Index].(*expr.Column)
				ok = ok && isColumn
			}
		}
		return ok
	})
	return ok && some
}

// cheap tells whether evaluating e twice costs little and gives the same.
func cheap(e expr.Expr) bool {
	ok := movable(e)
	logical.Walk(e, func(e expr.Expr, _ int) bool {
		if _, sub := e.(*expr.Subquery); sub {
			ok = false
		}
		return ok
	})
	return ok
}

func substitute(c expr.Expr, exprs []expr.Expr) expr.Expr {
	return logical.Rewrite(func(e expr.Expr, depth int) (expr.Expr, bool) {
		switch e := e.(type) {
		case *expr.Column:
			if depth == 0 {
				return exprs[e.Index], true
			}
		case *expr.Outer:
			if e.Depth == depth && depth > 0 {
				col := exprs[e.Index].(*expr.Column)
				return &expr.Outer{Depth: depth, Index: col.Index, Name: e.Name, Typ: e.Typ}, true
			}
		}
		return e, false
	}).Expr(c, 0)
}

// pushAggregate moves conditions over group keys below the grouping: they drop whole groups either way.
func pushAggregate(n *logical.Node, op *logical.Aggregate, down, stay []expr.Expr) *logical.Node {
	if len(op.Sets) > 0 { // a key is NULL in the rows of other sets, which have every row of the input in them
		return over(n, nil, append(down, stay...))
	}
	base := 0
	if op.Window != nil {
		base = 2
	}
	exprs := make([]expr.Expr, len(n.Schema.Cols))
	copy(exprs[base:], op.Keys)
	below, above := split(down, func(c expr.Expr) bool {
		return within(c, base, base+len(op.Keys)) && substitutable(c, exprs)
	})
	for i, c := range below {
		below[i] = substitute(c, exprs)
	}
	return over(n, below, append(above, stay...))
}
