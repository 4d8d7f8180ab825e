package spec

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/window"
)

// Keyed reports whether a part of a continuous program keeps state by key.
func Keyed(n *Node) bool {
	if _, ok := n.Op.(*Exchange); ok {
		return true
	}
	return slices.ContainsFunc(n.In, Keyed)
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
