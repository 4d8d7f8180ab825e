package logical

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// SortedFunc is one window function of a query that ends: an aggregate by Def, or another one by Name.
type SortedFunc struct {
	Name   string
	Def    *agg.Def
	Args   []expr.Expr
	Filter expr.Expr // nil: every row counts
	Frame  spec.RowFrame
	Typ    types.Type
}

// SortedOver appends a column per window function to an input that ends. All functions share one PARTITION BY and ORDER BY.
type SortedOver struct {
	Partition []expr.Expr
	Order     []SortKey
	Funcs     []SortedFunc
}

func (*SortedOver) op() {}

// sortedOver rewrites the expressions of the operator.
func (f Rewrite) sortedOver(o *SortedOver, depth int) Op {
	keys := f.List(o.Partition, depth)
	order, changed := f.sortKeys(o.Order, depth)
	changed = changed || !same(keys, o.Partition)
	funcs := append([]SortedFunc(nil), o.Funcs...)
	for i := range funcs {
		changed = funcs[i].Rewrite(f, depth) || changed
	}
	if !changed {
		return o
	}
	return &SortedOver{Partition: keys, Order: order, Funcs: funcs}
}

// Rewrite rewrites the function's expressions in place, its lists excepted, and reports a change.
func (s *SortedFunc) Rewrite(f Rewrite, depth int) bool {
	args := f.List(s.Args, depth)
	changed := !same(args, s.Args)
	s.Args = args
	for _, e := range []*expr.Expr{&s.Filter, &s.Frame.Start.Offset, &s.Frame.Start.Limit, &s.Frame.End.Offset, &s.Frame.End.Limit} {
		x := f.Expr(*e, depth)
		changed = changed || x != *e
		*e = x
	}
	return changed
}

// Reads lists what the function reads of a row.
func (s *SortedFunc) Reads() []expr.Expr {
	return append(append([]expr.Expr(nil), s.Args...), s.Filter, s.Frame.Start.Limit, s.Frame.End.Limit)
}
