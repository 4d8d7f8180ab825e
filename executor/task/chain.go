package task

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
)

// Chain is a straight run of stateless one-input operators that one goroutine of the front stage drives; what leaves the last one goes to the sink.
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

// Process passes rows in at the head.
func (c *Chain) Process(in op.Input) error {
	if len(c.ops) == 0 {
		return c.sink.Emit(in)
	}
	return c.ops[0].Process(0, in, c.emits[0])
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
