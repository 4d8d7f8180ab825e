package spec

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/window"
)

// Keyed reports whether a part of a continuous program keeps state by key.
func Keyed(n *Node) bool {
	if _, ok := n.Op.(*Exchange); ok {
		return true
	}
	return slices.ContainsFunc(n.In, Keyed)
}

// Endless reports whether a result is of groups without a window: its rows stay for ever.
func Endless(n *Node) bool {
	switch n.Op.(type) {
	case *GroupAgg:
		return true
	case *WindowAgg, *StreamScan, *ResultScan:
		return false
	}
	return slices.ContainsFunc(n.In, Endless)
}

// Shrinks reports whether what the operators of a part of a continuous program hold becomes less as time passes without rows.
func Shrinks(n *Node) bool {
	switch op := n.Op.(type) {
	case *GroupAgg, *Over, *TemporalJoin:
		return false
	case *WindowAgg:
		if op.Window.Kind == window.Count {
			return false
		}
	case *Match:
		if op.Within == 0 {
			return false
		}
	}
	return !slices.ContainsFunc(n.In, func(in *Node) bool { return !Shrinks(in) })
}

// Updates reports whether the changelog that a part of a continuous program makes may hold more than inserts.
func Updates(n *Node) bool {
	switch op := n.Op.(type) {
	case *WindowAgg:
		if op.Window.Kind == window.Count {
			return false // a window of rows is complete when it comes
		}
		return op.Lateness > 0 && op.Emit.Mode != EmitFirst || op.Emit.Mode == EmitUpdate || op.Emit.Mode == EmitEvery
	case *GroupAgg:
		return op.Emit.Mode != EmitFirst
	case *TemporalJoin:
		return Updates(n.In[0]) // the other side is looked up
	}
	for _, in := range n.In {
		if Updates(in) {
			return true
		}
	}
	return false
}

// KeyColumns are the columns of a continuous query's result that tell its rows apart: the window and the keys of a grouping.
// None where that cannot be said.
func KeyColumns(n *Node) []int {
	switch op := n.Op.(type) {
	case *Result, *Filter, *Suppress:
		return KeyColumns(n.In[0])
	case *Project:
		below := KeyColumns(n.In[0])
		var out []int
		for _, col := range below {
			i := slices.IndexFunc(op.Exprs, func(e expr.Expr) bool {
				c, ok := e.(*expr.Column)
				return ok && c.Index == col
			})
			if i >= 0 {
				out = append(out, i)
			}
		}
		if len(out) < len(below) && !windowOnly(below, op) {
			return nil // rows of different keys would look alike
		}
		return out
	case *WindowAgg:
		return firstColumns(2 + len(op.Keys))
	case *GroupAgg:
		return firstColumns(len(op.Keys))
	}
	return nil
}

// windowOnly reports that all a projection leaves out of a grouping's keys is one bound of the window: the other one tells as
// much.
func windowOnly(keys []int, p *Project) bool {
	left := 0
	for _, col := range keys {
		if !slices.ContainsFunc(p.Exprs, func(e expr.Expr) bool {
			c, ok := e.(*expr.Column)
			return ok && c.Index == col
		}) {
			if col > 1 {
				return false
			}
			left++
		}
	}
	return left < 2
}

func firstColumns(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
