package planner

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// BindParams returns the program with its parameters replaced by values (vals[0] is $1). What holds no parameter is
// shared with p, which does not change.
func BindParams(p *spec.Program, vals []types.Value) *spec.Program {
	if len(vals) == 0 {
		return p
	}
	b := &paramBinder{vals: vals}
	return b.program(p)
}

type paramBinder struct{ vals []types.Value }

func (b *paramBinder) program(p *spec.Program) *spec.Program {
	root := b.node(p.Root)
	if root == p.Root {
		return p
	}
	c := *p
	c.Root = root
	return &c
}

func (b *paramBinder) node(n *spec.Node) *spec.Node {
	in, changed := n.In, false
	for i, c := range n.In {
		r := b.node(c)
		if r != c && !changed {
			in, changed = append([]*spec.Node(nil), n.In...), true
		}
		if changed {
			in[i] = r
		}
	}
	op := b.op(n.Op)
	if op == n.Op && !changed {
		return n
	}
	return &spec.Node{Op: op, In: in, Schema: n.Schema}
}

func (b *paramBinder) expr(e expr.Expr) expr.Expr {
	if e == nil {
		return nil
	}
	return expr.Transform(e, func(e expr.Expr) expr.Expr {
		switch e := e.(type) {
		case *expr.Param:
			if e.N > len(b.vals) {
				return e
			}
			v := b.vals[e.N-1]
			v.Type = e.Typ
			return &expr.Const{Val: v}
		case *expr.Subquery:
			plan, ok := e.Plan.(*spec.Program)
			if !ok {
				return e
			}
			if p := b.program(plan); p != plan {
				c := *e
				c.Plan = p
				return &c
			}
		}
		return e
	})
}

// exprs shares the list when nothing in it changed.
func (b *paramBinder) exprs(list []expr.Expr) ([]expr.Expr, bool) {
	out, changed := list, false
	for i, e := range list {
		r := b.expr(e)
		if r != e && !changed {
			out, changed = append([]expr.Expr(nil), list...), true
		}
		if changed {
			out[i] = r
		}
	}
	return out, changed
}

// op replaces parameters in one operator; the same op comes back when there are none.
func (b *paramBinder) op(o spec.Op) spec.Op {
	switch op := o.(type) {
	case *spec.Values:
		rows, any := make([][]expr.Expr, len(op.Rows)), false
		for i, r := range op.Rows {
			var changed bool
			rows[i], changed = b.exprs(r)
			any = any || changed
		}
		if any {
			return &spec.Values{Rows: rows}
		}
	case *spec.TableScan:
		return b.tableScan(op)
	case *spec.FuncScan:
		return b.funcScan(op)
	case *spec.StreamScan:
		return b.streamScan(op)
	case *spec.LookupJoin:
		return b.lookup(op)
	case *spec.Filter:
		if c := b.expr(op.Cond); c != op.Cond {
			return &spec.Filter{Cond: c}
		}
	case *spec.Project:
		if l, changed := b.exprs(op.Exprs); changed {
			return &spec.Project{Exprs: l}
		}
	case *spec.ProjectSet:
		return b.projectSet(op)
	case *spec.HashAgg:
		keys, k := b.exprs(op.Keys)
		aggs, a := b.aggs(op.Aggs)
		if k || a {
			return &spec.HashAgg{Keys: keys, Aggs: aggs, Scalar: op.Scalar}
		}
	case *spec.GroupingSets:
		keys, k := b.exprs(op.Keys)
		aggs, a := b.aggs(op.Aggs)
		if k || a {
			return &spec.GroupingSets{Keys: keys, Aggs: aggs, Sets: op.Sets, Groupings: op.Groupings}
		}
	case *spec.SortedOver:
		return b.sortedOver(op)
	case *spec.WindowAgg:
		keys, k := b.exprs(op.Keys)
		aggs, a := b.aggs(op.Aggs)
		if k || a {
			return &spec.WindowAgg{Window: op.Window, Keys: keys, Aggs: aggs, Emit: op.Emit, Lateness: op.Lateness}
		}
	case *spec.Distinct:
		if l, changed := b.exprs(op.On); changed {
			return &spec.Distinct{On: l}
		}
	case *spec.Join:
		return b.join(op)
	case *spec.Sort:
		if keys, changed := b.sortKeys(op.Keys); changed {
			return &spec.Sort{Keys: keys}
		}
	case *spec.Limit:
		if c, off := b.expr(op.Count), b.expr(op.Offset); c != op.Count || off != op.Offset {
			return &spec.Limit{Count: c, Offset: off}
		}
	}
	return o
}

func (b *paramBinder) funcScan(op *spec.FuncScan) *spec.FuncScan {
	args, changed := b.exprs(op.Args)
	with := append([]*spec.FuncScan(nil), op.With...)
	for i, w := range op.With {
		with[i] = b.funcScan(w)
		changed = changed || with[i] != w
	}
	if !changed {
		return op
	}
	c := *op
	c.Args, c.With = args, with
	return &c
}

func (b *paramBinder) streamScan(op *spec.StreamScan) spec.Op {
	bounds, changed := append([]spec.TimeBound(nil), op.Bounds...), false
	for i := range bounds {
		x := b.expr(bounds[i].X)
		changed = changed || x != bounds[i].X
		bounds[i].X = x
	}
	if !changed {
		return op
	}
	out := *op
	out.Bounds = bounds
	return &out
}

func (b *paramBinder) projectSet(op *spec.ProjectSet) spec.Op {
	exprs, changed := b.exprs(op.Exprs)
	funcs := append([]*spec.FuncScan(nil), op.Funcs...)
	for i, f := range funcs {
		if f != nil {
			funcs[i] = b.funcScan(f)
			changed = changed || funcs[i] != f
		}
	}
	if !changed {
		return op
	}
	return &spec.ProjectSet{Exprs: exprs, Funcs: funcs}
}

func (b *paramBinder) sortedOver(op *spec.SortedOver) spec.Op {
	keys, changed := b.exprs(op.Partition)
	order, sorted := b.sortKeys(op.Order)
	changed = changed || sorted
	funcs := append([]spec.SortedFunc(nil), op.Funcs...)
	for i := range funcs {
		f := &funcs[i]
		args, any := b.exprs(f.Args)
		f.Args, changed = args, changed || any
		for _, e := range []*expr.Expr{&f.Filter, &f.Frame.Start.Offset, &f.Frame.Start.Limit, &f.Frame.End.Offset, &f.Frame.End.Limit} {
			x := b.expr(*e)
			changed = changed || x != *e
			*e = x
		}
	}
	if !changed {
		return op
	}
	return &spec.SortedOver{Partition: keys, Order: order, Funcs: funcs}
}

func (b *paramBinder) join(op *spec.Join) spec.Op {
	left, l := b.exprs(op.LeftKeys)
	right, r := b.exprs(op.RightKeys)
	cond := b.expr(op.Cond)
	if !l && !r && cond == op.Cond {
		return op
	}
	return &spec.Join{Kind: op.Kind, LeftKeys: left, RightKeys: right, Cond: cond, Lateral: op.Lateral}
}

func (b *paramBinder) aggs(list []spec.AggCall) ([]spec.AggCall, bool) {
	out, any := append([]spec.AggCall(nil), list...), false
	for i := range out {
		a := &out[i]
		args, changed := b.exprs(a.Args)
		order, sorted := b.sortKeys(a.OrderBy)
		filter := b.expr(a.Filter)
		any = any || changed || sorted || filter != a.Filter
		a.Args, a.OrderBy, a.Filter = args, order, filter
	}
	return out, any
}

func (b *paramBinder) sortKeys(list []spec.SortKey) ([]spec.SortKey, bool) {
	out, changed := append([]spec.SortKey(nil), list...), false
	for i := range out {
		x := b.expr(out[i].X)
		changed = changed || x != out[i].X
		out[i].X = x
	}
	return out, changed
}

// tableScan replaces parameters in the keys that a scan looks up.
func (b *paramBinder) tableScan(op *spec.TableScan) spec.Op {
	values, any := make([][]expr.Expr, len(op.Values)), false
	for i, list := range op.Values {
		var changed bool
		values[i], changed = b.exprs(list)
		any = any || changed
	}
	if !any {
		return op
	}
	c := *op
	c.Values = values
	return &c
}
