package lower

import (
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/window"
)

// keyed is the input of an operator that needs all rows of a key in one place; every keyed operator of a continuous program
// with one input takes it through this. An input without keyed operators gets an exchange. One whose rows lie by the key
// already stays as it is. Any other is cut off as a stage.
func (l *lowerer) keyed(in *spec.Node, keys []expr.Expr) *spec.Node {
	if spec.Keyed(in) {
		in = l.final(in)
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
			if b, ok := placed(right); ok && covers(leftKeys, a) && covers(rightKeys, b) && sameTypes(leftKeys, rightKeys) {
				return l.final(left), l.final(right)
			}
		}
	}
	return l.apart(left, leftKeys), l.apart(right, rightKeys)
}

// apart puts an exchange over an input in any case.
func (l *lowerer) apart(in *spec.Node, keys []expr.Expr) *spec.Node {
	if spec.Keyed(in) {
		in = l.stage(l.final(in))
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

// final makes the windows of a part that others read emit final rows only, because no operator takes corrections back: late
// rows do not correct them, and SLIDE waits for the watermark. What is corrected all the same is refused.
func (l *lowerer) final(n *spec.Node) *spec.Node {
	n = finalWindows(n)
	l.refuseUpdates(n)
	return n
}

func finalWindows(n *spec.Node) *spec.Node {
	out := *n
	out.In = make([]*spec.Node, len(n.In))
	for i, in := range n.In {
		out.In[i] = finalWindows(in)
	}
	if w, ok := n.Op.(*spec.WindowAgg); ok && (w.Lateness > 0 || w.Emit.Mode == spec.EmitUpdate && w.Window.Kind == window.Slide) {
		c := *w
		c.Lateness = 0
		if c.Emit.Mode == spec.EmitUpdate {
			c.Emit.Mode = spec.EmitFinal
		}
		out.Op = &c
	}
	return &out
}

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

// covers reports that rows lie by exactly these keys. (A part of the keys would place them as well; but recovery finds the
// owner of state by its whole key.)
func covers(keys []expr.Expr, at []int) bool {
	if len(keys) != len(at) {
		return false
	}
	for i, k := range keys {
		if c, ok := k.(*expr.Column); !ok || c.Index != at[i] {
			return false
		}
	}
	return true
}

// sameTypes reports that two lists of keys have the same encoded form.
func sameTypes(a, b []expr.Expr) bool {
	for i := range a {
		if a[i].Type() != b[i].Type() {
			return false
		}
	}
	return len(a) == len(b)
}

// keyIndex finds the key that is a column as it is, -1 when none is.
func keyIndex(keys []expr.Expr, col int) int {
	return slices.IndexFunc(keys, func(e expr.Expr) bool {
		c, ok := e.(*expr.Column)
		return ok && c.Index == col
	})
}
