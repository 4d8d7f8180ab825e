package task

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// rerun tells whether an operator runs its second input itself, any number of times.
func rerun(o spec.Op) bool {
	switch o := o.(type) {
	case *spec.Join:
		return o.Lateral
	case *spec.Recursive:
		return true
	}
	return false
}

// table is the table that a recursion and the scans of its rounds share.
func (r *run) table(id int, schema *types.Schema) *op.WorkTable {
	t, ok := r.work[id]
	if !ok {
		if r.work == nil {
			r.work = map[int]*op.WorkTable{}
		}
		t = op.NewWorkTable(schema, r.mem)
		r.work[id] = t
	}
	return t
}

// sharedTable is where the rows of a WITH query are kept that is read more than once.
func (r *run) sharedTable(id int, schema *types.Schema) *op.WorkTable {
	t, ok := r.shared[id]
	if !ok {
		if r.shared == nil {
			r.shared = map[int]*op.WorkTable{}
		}
		t = op.NewWorkTable(schema, r.mem)
		r.shared[id] = t
	}
	return t
}

// rounds runs the recursive term of n: its tree is made once and opened for each round. It stands at the depth of the
// recursion itself, so its rows see the same enclosing ones.
func (r *run) rounds(n *spec.Node) func(outer [][]types.Value, emit func(op.Input) error) error {
	var tree *node
	return func(outer [][]types.Value, emit func(op.Input) error) error {
		if tree == nil {
			var err error
			if tree, err = r.build(n.In[1]); err != nil {
				return err
			}
		}
		return r.runTree(tree, slices.Clone(outer), emit)
	}
}
