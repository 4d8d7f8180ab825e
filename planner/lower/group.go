package lower

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/planner/logical"
)

// aggregate lowers a grouping: by window or for ever, behind an exchange, where the program is continuous; else by hash. in is
// the logical input.
func (l *lowerer) aggregate(out *spec.Node, op *logical.Aggregate, in *logical.Node) *spec.Node {
	keys := l.exprs(op.Keys)
	aggs := make([]spec.AggCall, len(op.Aggs))
	for i, a := range op.Aggs {
		aggs[i] = l.aggCall(a)
	}
	switch {
	case op.Window != nil:
		out.Op = &spec.WindowAgg{Window: op.Window.Spec, Keys: keys, Aggs: aggs, Emit: op.Emit, Lateness: op.Window.Lateness}
	case l.continuous:
		out.Op = &spec.GroupAgg{Keys: keys, Aggs: aggs, Emit: op.Emit, TimeCol: logical.DefaultTime(in)}
	case len(op.Sets) > 0:
		out.Op = &spec.GroupingSets{Keys: keys, Aggs: aggs, Sets: op.Sets, Groupings: op.Groupings}
	default:
		out.Op = &spec.HashAgg{Keys: keys, Aggs: aggs, Scalar: op.Scalar}
	}
	if l.continuous {
		out.In = []*spec.Node{l.keyed(out.In[0], keys)}
	}
	return out
}

// distinct lowers DISTINCT: in a continuous program to a grouping by all columns that gives each row once.
func (l *lowerer) distinct(out *spec.Node, op *logical.Distinct, in *logical.Node) *spec.Node {
	if !l.continuous {
		out.Op = &spec.Distinct{On: l.exprs(op.On)}
		return out
	}
	keys := make([]expr.Expr, len(in.Schema.Cols))
	for i, c := range in.Schema.Cols {
		keys[i] = &expr.Column{Index: i, Name: c.Name, Typ: c.Type}
	}
	out.Op = &spec.GroupAgg{Keys: keys, Emit: spec.Emit{Mode: spec.EmitFirst}, TimeCol: logical.DefaultTime(in)}
	out.In = []*spec.Node{l.keyed(out.In[0], keys)}
	return out
}
