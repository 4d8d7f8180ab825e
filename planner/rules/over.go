package rules

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/planner/logical"
)

// overKeys are the keys of an operator that looks at the rows before a row.
func overKeys(o logical.Op) []expr.Expr {
	switch op := o.(type) {
	case *logical.Over:
		return op.Keys
	case *logical.SortedOver:
		return op.Partition
	case *logical.FirstSeen:
		return op.Keys
	case *logical.Suppress:
		return op.Keys
	}
	return nil
}

// pushOver moves conditions over key columns below: they drop whole partitions either way. Any other would take rows away
// from what later rows look back to.
func pushOver(n *logical.Node, down, stay []expr.Expr) *logical.Node {
	isKey := map[int]bool{}
	for _, k := range overKeys(n.Op) {
		if c, ok := k.(*expr.Column); ok {
			isKey[c.Index] = true
		}
	}
	below, above := split(down, func(c expr.Expr) bool {
		some, only := false, true
		logical.Columns(c, func(i int) { some, only = true, only && isKey[i] })
		return some && only
	})
	return over(n, below, append(above, stay...))
}

// overNeeds is what an operator that looks at the rows before a row, and what is above it, read of its input.
func overNeeds(o logical.Op, need columns, width int) columns {
	below := need[:width:width].copy()
	below.add(overKeys(o)...)
	switch op := o.(type) {
	case *logical.Over:
		below[op.TimeCol] = true
		for _, f := range op.Funcs {
			below.add(f.Args...)
			below.add(f.Filter)
		}
	case *logical.SortedOver:
		for _, k := range op.Order {
			below.add(k.X)
		}
		for i := range op.Funcs {
			below.add(op.Funcs[i].Reads()...)
		}
	case *logical.FirstSeen:
		below[op.TimeCol] = true
	case *logical.Suppress:
		below[op.TimeCol] = true
	}
	return below
}
