package task

import (
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
)

// Counts is what an operator of a continuous program has done since it was built, and what it holds. The goroutine that
// drives the operator adds to it, once a batch; nobody else reads it meanwhile.
type Counts struct {
	// In and Out are rows, Batches what came out.
	In, Out, Batches int64
	// Keys and Bytes are the state held, Late the rows that came too late.
	Keys, Bytes, Late int64
	// Stateful: the operator keeps state, so that Keys and Bytes mean something.
	Stateful bool
}

func (c *Counts) out(rows int64) {
	c.Out += rows
	c.Batches++
}

// Add sums what several goroutines did for one operator.
func (c *Counts) Add(o Counts) {
	c.In, c.Out, c.Batches = c.In+o.In, c.Out+o.Out, c.Batches+o.Batches
	c.Keys, c.Bytes, c.Late = c.Keys+o.Keys, c.Bytes+o.Bytes, c.Late+o.Late
	c.Stateful = c.Stateful || o.Stateful
}

// CountMap has the counts of a program's operators.
type CountMap map[*spec.Node]Counts

func (m CountMap) add(n *spec.Node, c Counts) {
	sum := m[n]
	sum.Add(c)
	m[n] = sum
}

// AddAll adds the counts of other operators, or of the same ones elsewhere.
func (m CountMap) AddAll(o CountMap) {
	for n, c := range o {
		m.add(n, c)
	}
}

// CountRead adds what an input's scan read: rows and batches. Where an index evaluates the first nodes of the front stage, nobody
// counts rows between them: each of them is said to take in what was read.
func (in *Input) CountRead(rows, batches int64, indexed int, m CountMap) {
	m.add(in.scan, Counts{Out: rows, Batches: batches})
	for _, n := range in.Front[:indexed] {
		m.add(n, Counts{In: rows})
	}
}

// Count adds the counts of the operators of one front stage that the input runs through, after the nodes that an index evaluated, up
// to its exchange. It is for the goroutine that drives the chain, or one that keeps it from doing so.
func (in *Input) Count(c *Chain, m CountMap) {
	for _, n := range in.Front[:len(in.Front)-len(c.nodes)] {
		m.add(n, Counts{Out: c.in, Batches: c.batches})
	}
	c.count(m)
	if in.below != nil {
		k := Counts{In: c.in, Batches: c.batches}
		if n := len(c.links); n > 0 {
			k = Counts{In: c.links[n-1].counts.Out, Batches: c.links[n-1].counts.Batches}
		}
		k.Out = k.In
		m.add(in.below, k)
	}
}

func (c *Chain) count(m CountMap) {
	in := c.in
	for i, n := range c.nodes {
		k := c.links[i].counts
		k.In = in
		m.add(n, k)
		in = k.Out
	}
}

// The abilities of operators that can tell what they hold.
type (
	sized   interface{ Bytes() int64 }
	grouped interface{ Groups() int }
	indexed interface{ Keys() int }
)

// Count adds the tree's counts. It is for the goroutine that drives the tree.
func (t *Tree) Count(m CountMap) {
	for _, n := range t.nodes {
		c := n.counts
		if s, ok := n.raw.(sized); ok {
			c.Bytes, c.Stateful = s.Bytes(), true
		}
		switch s := n.raw.(type) {
		case grouped:
			c.Keys = int64(s.Groups())
		case indexed:
			c.Keys = int64(s.Keys())
		}
		if l, ok := n.raw.(op.LateCounter); ok {
			c.Late = l.LateRows()
		}
		m.add(n.spec, c)
	}
}

// Spillable is how many of the bytes that Held tells can leave memory when that is scarce.
func (t *Tree) Spillable() int64 {
	n := int64(0)
	for _, node := range t.nodes {
		if s, ok := node.raw.(op.Spiller); ok {
			n += s.Spillable()
		}
	}
	return n
}

// Held is the state that the tree's operators hold: keys, a key as often as operators and windows hold it, and bytes. It is for
// the goroutine that drives the tree.
func (t *Tree) Held() (keys, bytes int64) {
	for _, n := range t.nodes {
		if s, ok := n.raw.(sized); ok {
			bytes += s.Bytes()
		}
		switch s := n.raw.(type) {
		case grouped:
			keys += int64(s.Groups())
		case indexed:
			keys += int64(s.Keys())
		}
	}
	return keys, bytes
}
