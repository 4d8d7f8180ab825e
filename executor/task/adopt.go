package task

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Keeps tells whether a continuous query can go on with its state as another one, of the same id: "" when it can, else which part
// differs, and in detail what stands there. What may differ is what follows the topmost operator with state, and the filter over its
// results, which nothing depends on that has come out before.
func Keeps(old, next *spec.Query) (why, detail string) {
	switch {
	case old.Updates || next.Updates:
		return "its results are corrected later", "What is corrected would be a row of the other text: EMIT ON UPDATE, allowed_lateness, grouping without a window."
	case !sameColumns(old.Program.Root.Schema, next.Program.Root.Schema):
		return "the columns of its result differ", columnDifference(old.Program.Root.Schema, next.Program.Root.Schema)
	case spec.Keyed(old.Program.Root) != spec.Keyed(next.Program.Root):
		return "one of the two has state, the other has none", ""
	case !spec.Keyed(old.Program.Root):
		return keepsInput(old, next), ""
	case len(old.Stages) != len(next.Stages):
		return "the parts that it is cut into differ", ""
	}
	for i := range old.Stages {
		if a, b := old.Stages[i].Program.Root, next.Stages[i].Program.Root; !samePlan(a, b) {
			part, detail := difference(a, b)
			return "in a subquery, " + part + " differs", detail
		}
	}
	a, b := stateTop(old.Program.Root.In[0]), stateTop(next.Program.Root.In[0])
	if !samePlan(a.node, b.node) {
		part, detail := difference(a.node, b.node)
		if part == "" {
			part = "its plan"
		}
		return part + " differs", detail
	}
	if first(a.node) && (a.filter == nil) != (b.filter == nil) || first(a.node) && a.filter != nil && a.filter.Cond.String() != b.filter.Cond.String() {
		return "HAVING of EMIT FIRST differs", "Groups remember that the old condition was true."
	}
	return "", ""
}

// columnDifference names the first column in which two results differ.
func columnDifference(a, b types.Schema) string {
	for i := range max(len(a.Cols), len(b.Cols)) {
		was, is := "none", "none"
		if i < len(a.Cols) {
			was = a.Cols[i].Name + " " + a.Cols[i].Type.String()
		}
		if i < len(b.Cols) {
			is = b.Cols[i].Name + " " + b.Cols[i].Type.String()
		}
		if was != is {
			return fmt.Sprintf("Column %d was: %s, is: %s.", i+1, was, is)
		}
	}
	return ""
}

// keepsInput compares queries without state: they go on where they are in what they read.
func keepsInput(old, next *spec.Query) string {
	a, errA := Cut(old.Program)
	b, errB := Cut(next.Program)
	if errA != nil || errB != nil || len(a.Inputs) != len(b.Inputs) {
		return "what it reads differs"
	}
	for i := range a.Inputs {
		if a.Inputs[i].Source != b.Inputs[i].Source || a.Inputs[i].IsResult {
			return "what it reads differs"
		}
	}
	return ""
}

func sameColumns(a, b types.Schema) bool {
	if len(a.Cols) != len(b.Cols) {
		return false
	}
	for i := range a.Cols {
		if a.Cols[i].Name != b.Cols[i].Name || a.Cols[i].Type != b.Cols[i].Type {
			return false
		}
	}
	return true
}

// stateful is the topmost operator with state, and the filter right over it.
type stateful struct {
	node   *spec.Node
	filter *spec.Filter
}

func stateTop(n *spec.Node) stateful {
	s := stateful{node: n}
	for {
		switch f := s.node.Op.(type) {
		case *spec.Filter:
			s.filter = f
		case *spec.Project:
			s.filter = nil
		default:
			return s
		}
		s.node = s.node.In[0]
	}
}

// first reports EMIT FIRST, whose groups remember that HAVING was true.
func first(n *spec.Node) bool {
	switch x := n.Op.(type) {
	case *spec.WindowAgg:
		return x.Emit.Mode == spec.EmitFirst
	case *spec.GroupAgg:
		return x.Emit.Mode == spec.EmitFirst
	}
	return false
}

// Adopt takes the operators with state, and all below them, over from the tree of a query that Keeps compared with this one's.
func (t *Tree) Adopt(old *Tree, oldTop, top *spec.Node) error {
	a, b := stateTop(oldTop), stateTop(top)
	from, to := old.place(a.node), t.place(b.node)
	if from < 0 || from != to {
		return fmt.Errorf("the operators of the two queries are not the same")
	}
	for i := range to + 1 {
		n, o := t.nodes[i], old.nodes[i]
		n.op, n.raw, n.counts = o.op, o.raw, o.counts
		n.deadline, _ = o.raw.(op.Deadliner)
		if o.ender != nil {
			n.ender = o.ender
		}
	}
	h, ok := t.nodes[to].raw.(having)
	switch {
	case !ok:
		return nil
	case b.filter != nil:
		return h.Having(b.filter)
	case h.Filtered():
		return h.Having(&spec.Filter{Cond: &expr.Const{Val: types.NewBool(true)}})
	}
	return nil
}

// place is the index of the operator of a node, -1 when there is none.
func (t *Tree) place(n *spec.Node) int {
	for i := range t.nodes {
		if t.nodes[i].spec == n {
			return i
		}
	}
	return -1
}

// samePlan reports that two plans are the same in all that they consist of.
func samePlan(a, b *spec.Node) bool {
	x, y := described{}, described{}
	x.value(reflect.ValueOf(a), 0)
	y.value(reflect.ValueOf(b), 0)
	return !x.tooLarge && !y.tooLarge && bytes.Equal(x.text, y.text)
}

// Plans that are nested deeper, or longer when written out, are not compared: nobody writes them.
const (
	describeDepth = 500
	describeBytes = 16 << 20
)

// described is a plan written out, so that equal texts mean equal plans.
type described struct {
	text     []byte
	tooLarge bool
}

func (d *described) value(v reflect.Value, depth int) {
	if d.tooLarge = d.tooLarge || depth > describeDepth || len(d.text) > describeBytes; d.tooLarge {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			d.text = append(d.text, "nil"...)
			return
		}
		if v.Kind() == reflect.Interface {
			d.text = append(d.text, v.Elem().Type().String()...)
		}
		d.value(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			d.value(v.Field(i), depth+1)
			d.text = append(d.text, ',')
		}
	case reflect.Slice, reflect.Array:
		d.text = fmt.Appendf(d.text, "%d[", v.Len())
		for i := range v.Len() {
			d.value(v.Index(i), depth+1)
			d.text = append(d.text, ',')
		}
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		d.text = fmt.Appendf(d.text, "%t", v.IsNil())
	case reflect.Map:
		d.tooLarge = true // none has one
	case reflect.String:
		d.text = fmt.Appendf(d.text, "%q", v.String())
	default:
		d.text = fmt.Appendf(d.text, "%v", v)
	}
}
