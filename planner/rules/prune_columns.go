package rules

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
)

func pruneColumnsRule() Rule {
	return Rule{
		Name: "prune_columns",
		Doc:  "Marks in each scan the columns that somebody reads; the others are not decoded.",
		Apply: func(n *logical.Node, _ Env) *logical.Node {
			_, continuous := n.Op.(*logical.Result)
			return pruner{continuous}.root(n)
		},
		Did: didPrune,
	}
}

// pruner works on a statement; the joins of continuous ones are bounded by time columns that nobody else may read.
type pruner struct{ continuous bool }

func (p pruner) root(n *logical.Node) *logical.Node {
	return mapSubplans(p.prune(n, every(len(n.Schema.Cols))), p.root)
}

// columns is a set of column indexes of one row.
type columns []bool

func every(n int) columns {
	c := make(columns, n)
	for i := range c {
		c[i] = true
	}
	return c
}

func (c columns) copy() columns { return append(columns(nil), c...) }

// add marks what expressions read of the row.
func (c columns) add(list ...expr.Expr) {
	for _, e := range list {
		if e != nil {
			logical.Columns(e, func(i int) { c[i] = true })
		}
	}
}

// prune rebuilds n so that its scans read what need (of n's row) and n itself require.
func (p pruner) prune(n *logical.Node, need columns) *logical.Node {
	in := append([]*logical.Node(nil), n.In...)
	one := func(need columns) { in[0] = p.prune(in[0], need) }
	op := n.Op
	switch o := op.(type) {
	case *logical.Scan:
		op = &logical.Scan{Rel: o.Rel, Want: need}
	case *logical.Filter:
		need = need.copy()
		need.add(o.Conds...)
		one(need)
	case *logical.Project:
		o = projectNeeds(o, need)
		below := make(columns, len(in[0].Schema.Cols))
		below.add(o.Exprs...)
		op = o
		one(below)
	case *logical.Aggregate:
		one(aggregateNeeds(o, len(in[0].Schema.Cols)))
	case *logical.LookupJoin:
		var below columns
		op, below = lookupNeeds(o, need, len(in[0].Schema.Cols))
		one(below)
	case *logical.Join:
		p.join(in, o, need)
	case *logical.Over, *logical.SortedOver, *logical.FirstSeen, *logical.Suppress:
		one(overNeeds(o, need, len(in[0].Schema.Cols)))
	case *logical.Sort:
		need = need.copy()
		for _, k := range o.Keys {
			need.add(k.X)
		}
		one(need)
	case *logical.Limit:
		one(need)
	case *logical.SetOp:
		if o.Kind != "UNION" || !o.All {
			need = every(len(n.Schema.Cols))
		}
		for i := range in {
			in[i] = p.prune(in[i], need)
		}
	default: // Distinct, ProjectSet, Result: whole rows
		for i := range in {
			in[i] = p.prune(in[i], every(len(in[i].Schema.Cols)))
		}
	}
	return &logical.Node{Op: op, In: in, Schema: n.Schema}
}

// projectNeeds passes NULL on for columns that nobody reads; not for times, which windows and joins above find by their column.
func projectNeeds(o *logical.Project, need columns) *logical.Project {
	out := &logical.Project{Exprs: append([]expr.Expr(nil), o.Exprs...)}
	for i, e := range out.Exprs {
		if c, ok := e.(*expr.Column); ok && !need[i] && c.Typ.Kind != types.TimestampTZ {
			out.Exprs[i] = &expr.Const{Val: types.Null(c.Typ)}
		}
	}
	return out
}

func aggregateNeeds(o *logical.Aggregate, width int) columns {
	need := make(columns, width)
	need.add(o.Keys...)
	for _, a := range o.Aggs {
		need.add(a.Args...)
		need.add(a.Filter)
		for _, k := range a.OrderBy {
			need.add(k.X)
		}
	}
	if o.Window != nil && o.Window.TimeCol >= 0 {
		need[o.Window.TimeCol] = true
	}
	return need
}

func (p pruner) join(in []*logical.Node, o *logical.Join, need columns) {
	width := len(in[0].Schema.Cols)
	need = append(need.copy(), make(columns, width+len(in[1].Schema.Cols)-len(need))...)
	need.add(o.Conds...)
	left, right := need[:width:width], need[width:]
	left.add(o.LeftKeys...)
	right.add(o.RightKeys...)
	if p.continuous {
		if l, r := joinTimeColumns(in, o); l >= 0 && r >= 0 {
			left[l], right[r] = true, true
		}
	}
	if o.Lateral {
		// The right side reads the left row as Outer depth 1.
		logical.Rewrite(func(e expr.Expr, depth int) (expr.Expr, bool) {
			if out, ok := e.(*expr.Outer); ok && out.Depth == depth {
				left[out.Index] = true
			}
			return e, false
		}).Plan(in[1], 1)
	}
	in[0], in[1] = p.prune(in[0], left), p.prune(in[1], right)
}

// joinTimeColumns are the time columns by which a join of a continuous query is bounded, -1 without.
func joinTimeColumns(in []*logical.Node, o *logical.Join) (left, right int) {
	if o.Temporal != nil {
		return o.Temporal.LeftTime, o.Temporal.RightTime
	}
	b := logical.JoinBounds(&logical.Node{Op: o, In: in})
	if !b.OK() {
		return -1, -1
	}
	return b.LeftTime, b.RightTime
}
