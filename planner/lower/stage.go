package lower

import (
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// keyed is the input of an operator that needs all rows of a key in one place; every keyed operator of a continuous program
// with one input takes it through this. An input without keyed operators gets an exchange. One whose rows lie by a part of the
// key already stays as it is. Any other is cut off as a stage.
func (l *lowerer) keyed(in *spec.Node, keys []expr.Expr) *spec.Node {
	if spec.Keyed(in) {
		l.refuseUpdates(in)
		if at, ok := placed(in); ok && covers(keys, at) {
			return in
		}
		in = l.stage(in)
	}
	return exchange(in, keys)
}

// keyedPair is keyed for the two inputs of a join, whose rows of equal keys must meet in one place.
func (l *lowerer) keyedPair(left, right *spec.Node, leftKeys, rightKeys []expr.Expr) (l2, r2 *spec.Node) {
	if spec.Keyed(left) && spec.Keyed(right) {
		if a, ok := placed(left); ok {
			if b, ok := placed(right); ok && samePlaces(leftKeys, a, rightKeys, b) {
				l.refuseUpdates(left)
				l.refuseUpdates(right)
				return left, right
			}
		}
	}
	return l.apart(left, leftKeys), l.apart(right, rightKeys)
}

// apart puts an exchange over an input in any case.
func (l *lowerer) apart(in *spec.Node, keys []expr.Expr) *spec.Node {
	if spec.Keyed(in) {
		l.refuseUpdates(in)
		in = l.stage(in)
	}
	return exchange(in, keys)
}

func exchange(in *spec.Node, keys []expr.Expr) *spec.Node {
	return &spec.Node{Op: &spec.Exchange{Keys: keys}, In: []*spec.Node{in}, Schema: in.Schema}
}

// stage cuts a part off as a hidden query and returns the scan of its result.
func (l *lowerer) stage(in *spec.Node) *spec.Node {
	n := len(l.stages)
	id, name := spec.StageID(l.query.QueryID, n), fmt.Sprintf("%s$%d", l.query.Name, n+1)
	root := &spec.Node{Op: &spec.Result{QueryID: id, Name: name}, In: []*spec.Node{in}, Schema: in.Schema}
	l.stages = append(l.stages, &spec.Query{ID: id, Name: name, Program: &spec.Program{Root: root, Continuous: true}})
	return &spec.Node{Op: &spec.ResultScan{QueryID: id, Name: name}, Schema: in.Schema}
}

// refuseUpdates: no operator takes corrections back.
func (l *lowerer) refuseUpdates(in *spec.Node) {
	if spec.Updates(in) {
		l.fail(sqlerr.NotSupported("an operator over results that are corrected later",
			"Use a grouping that emits final rows only: a window with EMIT ON WINDOW CLOSE or EMIT FIRST, without allowed lateness."))
	}
}

// placed tells by which output columns of a keyed part its rows lie on the workers; false when that cannot be said.
func placed(n *spec.Node) ([]int, bool) {
	switch op := n.Op.(type) {
	case *spec.WindowAgg:
		return groupPlace(n, len(op.Keys), 2)
	case *spec.GroupAgg:
		return groupPlace(n, len(op.Keys), 0)
	case *spec.IntervalJoin:
		if op.Kind == spec.Right || op.Kind == spec.Full {
			return nil, false
		}
		return joinPlace(n, op.LeftKeys)
	case *spec.Over, *spec.FirstSeen, *spec.Suppress, *spec.Filter, *spec.LookupJoin:
		if x, ok := n.In[0].Op.(*spec.Exchange); ok {
			return columnsOf(x.Keys)
		}
		return placed(n.In[0])
	case *spec.Project:
		at, ok := placed(n.In[0])
		if !ok {
			return nil, false
		}
		out := make([]int, 0, len(at))
		for _, col := range at {
			i := slices.IndexFunc(op.Exprs, func(e expr.Expr) bool {
				c, ok := e.(*expr.Column)
				return ok && c.Index == col
			})
			if i < 0 {
				return nil, false
			}
			out = append(out, i)
		}
		return out, true
	}
	return nil, false
}

// groupPlace is where the rows of a grouping lie: by all its keys, or as its input lies.
func groupPlace(n *spec.Node, keys, first int) ([]int, bool) {
	if _, ok := n.In[0].Op.(*spec.Exchange); !ok {
		below, ok := placed(n.In[0])
		if !ok {
			return nil, false
		}
		var list []expr.Expr
		switch op := n.Op.(type) {
		case *spec.WindowAgg:
			list = op.Keys
		case *spec.GroupAgg:
			list = op.Keys
		}
		return through(list, below, first)
	}
	at := make([]int, keys)
	for i := range at {
		at[i] = first + i
	}
	return at, true
}

// through finds the output columns (keys from first on) that are the input columns at.
func through(keys []expr.Expr, at []int, first int) ([]int, bool) {
	out := make([]int, 0, len(at))
	for _, col := range at {
		i := slices.IndexFunc(keys, func(e expr.Expr) bool {
			c, ok := e.(*expr.Column)
			return ok && c.Index == col
		})
		if i < 0 {
			return nil, false
		}
		out = append(out, first+i)
	}
	return out, true
}

func joinPlace(n *spec.Node, keys []expr.Expr) ([]int, bool) {
	if _, ok := n.In[0].Op.(*spec.Exchange); ok {
		return columnsOf(keys)
	}
	return placed(n.In[0])
}

func columnsOf(keys []expr.Expr) ([]int, bool) {
	at := make([]int, len(keys))
	for i, k := range keys {
		c, ok := k.(*expr.Column)
		if !ok {
			return nil, false
		}
		at[i] = c.Index
	}
	return at, true
}

// covers reports that all columns are keys as they are.
func covers(keys []expr.Expr, at []int) bool {
	for _, col := range at {
		if keyIndex(keys, col) < 0 {
			return false
		}
	}
	return true
}

func keyIndex(keys []expr.Expr, col int) int {
	return slices.IndexFunc(keys, func(e expr.Expr) bool {
		c, ok := e.(*expr.Column)
		return ok && c.Index == col
	})
}

// samePlaces reports that two sides lie by the same members of the join key, of the same types.
func samePlaces(leftKeys []expr.Expr, a []int, rightKeys []expr.Expr, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		l, r := keyIndex(leftKeys, a[i]), keyIndex(rightKeys, b[i])
		if l < 0 || l != r || leftKeys[l].Type() != rightKeys[r].Type() {
			return false
		}
	}
	return true
}
