package task

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Tree is the keyed half of a continuous program in one worker. One goroutine drives it; what leaves the top goes to the
// sink.
type Tree struct {
	nodes []*treeNode // lower ones first
	// entries tells, by input, where its rows go in.
	entries  []entry
	sink     op.Emitter
	outDelay int64
	// holdsBack: an operator emits at the end of epochs.
	holdsBack bool
}

// treeNode is one operator of a tree.
type treeNode struct {
	op  op.Operator
	raw op.Operator // op without its contract checks
	out op.Emitter
	// delay is how far behind the program's watermark the operator's input may lie, microseconds.
	delay    int64
	spec     *spec.Node
	counts   Counts
	deadline op.Deadliner  // nil when it has none
	ender    op.EpochEnder // nil when the end of an epoch is nothing to it
}

type entry struct {
	node *treeNode
	port int
}

// portLink hands rows to a port of the operator above, or out of the tree.
type portLink struct {
	from *treeNode
	to   *treeNode // nil at the top
	port int
	sink op.Emitter
}

// Emit implements op.Emitter.
func (l *portLink) Emit(in op.Input) error {
	n := int64(len(in.Sel))
	l.from.counts.out(n)
	if l.to == nil {
		return l.sink.Emit(in)
	}
	l.to.counts.In += n
	return l.to.op.Process(l.port, in, l.to.out)
}

// NewTree builds and opens the operators of the keyed half.
func NewTree(ctx *expr.Ctx, parts *Parts, sink op.Emitter) (*Tree, error) {
	t := &Tree{sink: sink, entries: make([]entry, len(parts.Inputs))}
	below := map[*spec.Node]entry{}
	var err error
	if t.outDelay, err = t.build(parts.Keyed, &portLink{sink: sink}, below); err != nil {
		return nil, err
	}
	for i := range parts.Inputs {
		e, ok := below[parts.Inputs[i].below]
		if !ok {
			return nil, fmt.Errorf("input %s of the program leads nowhere", parts.Inputs[i].Name)
		}
		t.entries[i] = e
	}
	for _, n := range t.nodes {
		if err := n.op.Open(ctx); err != nil {
			return nil, fmt.Errorf("open %s: %w", n.op, err)
		}
	}
	return t, nil
}

// build makes n and what is below it; it returns how far n's output may lie behind the program's watermark.
func (t *Tree) build(n *spec.Node, out *portLink, below map[*spec.Node]entry) (delay int64, err error) {
	if f, ok := n.Op.(*spec.Filter); ok && len(n.In) == 1 {
		if _, exchange := n.In[0].Op.(*spec.Exchange); !exchange {
			return t.buildFiltered(n, f, out, below)
		}
	}
	o, err := newStreaming(n)
	if err != nil {
		return 0, err
	}
	return t.attach(n, o, out, below)
}

// buildFiltered lets a grouping apply the filter that follows it (HAVING) before it sorts and decodes groups.
func (t *Tree) buildFiltered(n *spec.Node, f *spec.Filter, out *portLink, below map[*spec.Node]entry) (int64, error) {
	o, err := newStreaming(n.In[0])
	if err != nil {
		return 0, err
	}
	if fused, err := fuseHaving(o, f); err != nil {
		return 0, err
	} else if fused {
		return t.attach(n.In[0], o, out, below)
	}
	if o, err = newStreaming(n); err != nil {
		return 0, err
	}
	return t.attach(n, o, out, below)
}

// attach puts an operator of node n over its inputs, which it builds.
func (t *Tree) attach(n *spec.Node, o op.Operator, out *portLink, below map[*spec.Node]entry) (int64, error) {
	node := &treeNode{op: checked(o), raw: o, out: out, spec: n}
	out.from = node
	node.deadline, _ = o.(op.Deadliner)
	if _, ok := o.(op.EpochEnder); ok {
		node.ender, t.holdsBack = node.op.(op.EpochEnder), true
	}
	for port, in := range n.In {
		if _, ok := in.Op.(*spec.Exchange); ok {
			below[in] = entry{node, port}
			continue
		}
		d, err := t.build(in, &portLink{to: node, port: port}, below)
		if err != nil {
			return 0, err
		}
		node.delay = max(node.delay, d)
	}
	t.nodes = append(t.nodes, node)
	delay := node.delay
	if d, ok := o.(op.Delayer); ok {
		delay += d.OutDelay()
	}
	return delay, nil
}

// having is an operator that applies the filter over its output itself.
type having interface {
	Having(f *spec.Filter) error
	Filtered() bool
}

// fuseHaving gives a filter to the operator below it, where that takes one.
func fuseHaving(o op.Operator, f *spec.Filter) (bool, error) {
	h, ok := o.(having)
	if !ok || h.Filtered() {
		return false, nil
	}
	return true, h.Having(f)
}

// Process passes rows of an input in.
func (t *Tree) Process(input int, in op.Input) error {
	e := &t.entries[input]
	e.node.counts.In += int64(len(in.Sel))
	return e.node.op.Process(e.port, in, e.node.out)
}

// Advance passes the program's watermark through all operators, lower ones first.
func (t *Tree) Advance(wm types.EventTime) error {
	for _, n := range t.nodes {
		if err := n.op.Advance(minus(wm, n.delay), n.out); err != nil {
			return err
		}
	}
	return nil
}

// HoldsBack tells whether the end of an epoch is anything to the operators: see EndEpoch.
func (t *Tree) HoldsBack() bool { return t.holdsBack }

// Holding tells whether results wait for the end of an epoch.
func (t *Tree) Holding() bool {
	for _, n := range t.nodes {
		if n.ender != nil && n.ender.Holding() {
			return true
		}
	}
	return false
}

// Idle tells whether the tree, as it was built, has nothing to do before a row comes.
func (t *Tree) Idle() bool { return t.Deadline() == types.MaxTime && !t.Holding() }

// EndEpoch tells the operators that the epoch ends at the program's watermark, lower ones first.
func (t *Tree) EndEpoch(wm types.EventTime) error {
	if err := t.Advance(wm); err != nil {
		return err
	}
	for _, n := range t.nodes {
		if n.ender == nil {
			continue
		}
		if err := n.ender.EndEpoch(n.out); err != nil {
			return err
		}
	}
	return nil
}

// Deadline is the earliest watermark of the program at which an operator has something to do by itself.
func (t *Tree) Deadline() types.EventTime {
	least := types.MaxTime
	for _, n := range t.nodes {
		if n.deadline == nil {
			continue
		}
		at := n.deadline.Deadline()
		if at > types.MaxTime-types.EventTime(n.delay) {
			continue
		}
		least = min(least, at+types.EventTime(n.delay))
	}
	return least
}

// Ops are the operators, lower ones first; for checkpoints.
func (t *Tree) Ops() []op.Operator {
	ops := make([]op.Operator, len(t.nodes))
	for i, n := range t.nodes {
		ops[i] = n.op
	}
	return ops
}

// Raw are the operators as they were made, in the order of Ops.
func (t *Tree) Raw() []op.Operator {
	ops := make([]op.Operator, len(t.nodes))
	for i, n := range t.nodes {
		ops[i] = n.raw
	}
	return ops
}

// OutDelay is how far behind the program's watermark its result may lie, microseconds.
func (t *Tree) OutDelay() int64 { return t.outDelay }

// Close closes all operators.
func (t *Tree) Close() error {
	var first error
	for _, n := range t.nodes {
		if err := n.op.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
