package task

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Chain is a straight run of one-input operators that one goroutine drives; what leaves the last one goes to the sink.
type Chain struct {
	ops   []op.Operator
	emits []op.Emitter // emits[i] takes the output of ops[i]
	sink  op.Emitter
}

type link struct {
	next op.Operator
	out  op.Emitter
}

// Emit hands rows to the next operator of the chain.
func (l *link) Emit(in op.Input) error { return l.next.Process(0, in, l.out) }

// NewChain builds and opens the operators of nodes, in the order rows pass them. With no nodes, rows go to the sink.
func NewChain(ctx *expr.Ctx, nodes []*spec.Node, sink op.Emitter) (*Chain, error) {
	c := &Chain{sink: sink, emits: make([]op.Emitter, len(nodes))}
	for _, n := range nodes {
		if fused, err := fuse(c.ops, n); fused || err != nil {
			if err != nil {
				return nil, err
			}
			c.emits = c.emits[:len(c.emits)-1]
			continue
		}
		o, err := newStreaming(n)
		if err != nil {
			return nil, err
		}
		c.ops = append(c.ops, o)
	}
	out := sink
	for i := len(c.ops) - 1; i >= 0; i-- {
		c.emits[i] = out
		out = &link{next: c.ops[i], out: out}
	}
	for _, o := range c.ops {
		if err := o.Open(ctx); err != nil {
			return nil, fmt.Errorf("open %s: %w", o, err)
		}
	}
	return c, nil
}

// fuse lets a grouping apply the filter that follows it (HAVING) before it sorts and decodes groups.
func fuse(before []op.Operator, n *spec.Node) (bool, error) {
	f, isFilter := n.Op.(*spec.Filter)
	if !isFilter || len(before) == 0 {
		return false, nil
	}
	w, ok := before[len(before)-1].(op.Grouper)
	if !ok || w.Filtered() {
		return false, nil
	}
	return true, w.Having(f)
}

// Process passes rows in at the head.
func (c *Chain) Process(in op.Input) error {
	if len(c.ops) == 0 {
		return c.sink.Emit(in)
	}
	return c.ops[0].Process(0, in, c.emits[0])
}

// Advance passes a watermark through all operators, head first.
func (c *Chain) Advance(wm types.EventTime) error {
	for i, o := range c.ops {
		if err := o.Advance(wm, c.emits[i]); err != nil {
			return err
		}
	}
	return nil
}

// Close closes all operators.
func (c *Chain) Close() error {
	var first error
	for _, o := range c.ops {
		if err := o.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Ops are the operators, head first; for checkpoints.
func (c *Chain) Ops() []op.Operator { return c.ops }

// Parts are the two halves of a continuous program: what runs in the front stage on every batch (stateless), and what
// runs in the worker that owns the key.
type Parts struct {
	Scan  *spec.StreamScan
	Front []*spec.Node
	// Keys are the exchange's expressions; nil when the program has no keyed half.
	Exchange *spec.Exchange
	Keyed    []*spec.Node
	Result   *spec.Result
	Schema   *types.Schema
}

// Cut cuts a continuous program at its exchange. It refuses shapes that are not one straight line.
func Cut(p *spec.Program) (*Parts, error) {
	parts := &Parts{}
	root, ok := p.Root.Op.(*spec.Result)
	if !ok || len(p.Root.In) != 1 {
		return nil, fmt.Errorf("a continuous program ends in one result")
	}
	parts.Result, parts.Schema = root, &p.Root.In[0].Schema
	var line []*spec.Node
	n := p.Root.In[0]
	for ; len(n.In) == 1; n = n.In[0] {
		line = append(line, n)
	}
	scan, ok := n.Op.(*spec.StreamScan)
	if !ok || len(n.In) != 0 {
		return nil, fmt.Errorf("a continuous program reads one stream")
	}
	parts.Scan = scan
	for i := len(line) - 1; i >= 0; i-- {
		x, isExchange := line[i].Op.(*spec.Exchange)
		switch {
		case isExchange && parts.Exchange != nil:
			return nil, fmt.Errorf("a continuous program has at most one exchange")
		case isExchange:
			parts.Exchange = x
		case parts.Exchange == nil:
			parts.Front = append(parts.Front, line[i])
		default:
			parts.Keyed = append(parts.Keyed, line[i])
		}
	}
	return parts, nil
}
