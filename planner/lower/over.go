package lower

import (
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/planner/logical"
)

// sortedOver lowers the window functions of a query that ends.
func (l *lowerer) sortedOver(op *logical.SortedOver) spec.Op {
	out := &spec.SortedOver{Partition: l.exprs(op.Partition), Order: l.sortKeys(op.Order)}
	for _, f := range op.Funcs {
		f.Rewrite(l.subquery, 0)
		fn := spec.SortedFunc{Name: f.Name, Args: f.Args, Filter: f.Filter, Frame: f.Frame, Typ: f.Typ}
		if f.Def != nil {
			fn.Kernel = l.aggCall(logical.AggCall{Def: f.Def, Args: f.Args, Typ: f.Typ}).Kernel
		}
		out.Funcs = append(out.Funcs, fn)
	}
	return out
}

// over lowers the operators that look at the rows before a row; all rows of a key are in one place for them.
func (l *lowerer) over(out *spec.Node, o logical.Op) *spec.Node {
	switch op := o.(type) {
	case *logical.Over:
		x := &spec.Over{Keys: l.exprs(op.Keys), TimeCol: op.TimeCol, TimeShift: op.TimeShift}
		for _, f := range op.Funcs {
			fn := spec.OverFunc{Name: f.Name, Frame: spec.Frame{Rows: f.Frame.Rows, Start: f.Frame.Start, End: f.Frame.End}, Typ: f.Typ}
			if f.Def != nil {
				a := l.aggCall(logical.AggCall{Def: f.Def, Args: f.Args, Filter: f.Filter, Typ: f.Typ})
				fn.Kernel, fn.Args, fn.Filter = a.Kernel, a.Args, a.Filter
			} else {
				fn.Args = l.exprs(f.Args)
			}
			x.Funcs = append(x.Funcs, fn)
		}
		out.Op, out.In[0] = x, l.keyed(out.In[0], x.Keys)
	case *logical.FirstSeen:
		x := &spec.FirstSeen{Keys: l.exprs(op.Keys), Span: op.Span, TimeCol: op.TimeCol}
		out.Op, out.In[0] = x, l.keyed(out.In[0], x.Keys)
	case *logical.Suppress:
		x := &spec.Suppress{Keys: l.exprs(op.Keys), For: op.For, TimeCol: op.TimeCol}
		out.Op, out.In[0] = x, l.keyed(out.In[0], x.Keys)
	}
	return out
}
