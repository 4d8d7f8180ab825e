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
	links []link // links[i] takes the output of ops[i]
	nodes []*spec.Node
	// in and batches are what came to the chain.
	in, batches int64
	// filters is how many filters stand first.
	filters int
	sink    op.Emitter
}

// link takes the output of an operator of the chain to the next one, or out of it.
type link struct {
	next   op.Operator // nil at the end
	out    *link
	sink   op.Emitter
	counts Counts
}

// Emit implements op.Emitter.
func (l *link) Emit(in op.Input) error {
	l.counts.out(int64(len(in.Sel)))
	if l.next == nil {
		return l.sink.Emit(in)
	}
	return l.next.Process(0, in, l.out)
}

// NewChain builds and opens the operators of nodes, in the order rows pass them. With no nodes, rows go to the sink.
func NewChain(ctx *expr.Ctx, nodes []*spec.Node, sink op.Emitter) (*Chain, error) {
	c := &Chain{sink: sink, links: make([]link, len(nodes)), nodes: nodes}
	for _, n := range nodes {
		o, err := newStreaming(n)
		if err != nil {
			return nil, err
		}
		if _, ok := n.Op.(*spec.Filter); ok && c.filters == len(c.ops) {
			c.filters++
		}
		c.ops = append(c.ops, o)
	}
	for i := range c.links {
		c.links[i].sink = sink
		if i+1 < len(c.links) {
			c.links[i].next, c.links[i].out = c.ops[i+1], &c.links[i+1]
		}
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
	c.in += int64(len(in.Sel))
	c.batches++
	if len(c.ops) == 0 {
		return c.sink.Emit(in)
	}
	return c.ops[0].Process(0, in, &c.links[0])
}

// Note counts rows in so many batches as if they had passed through all operators.
func (c *Chain) Note(rows, batches int64) {
	c.in += rows
	c.batches += batches
	for i := range c.links {
		c.links[i].counts.Out += rows
		c.links[i].counts.Batches += batches
	}
}

// In is how many rows, and batches of them, have come to the chain.
func (c *Chain) In() (rows, batches int64) { return c.in, c.batches }

// Passed is how many rows have come through the filters that stand first in the chain; without any, all that came.
func (c *Chain) Passed() int64 {
	if c.filters == 0 {
		return c.in
	}
	return c.links[c.filters-1].counts.Out
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
