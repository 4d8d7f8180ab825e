package task

import (
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Parts are the halves of a continuous program: what runs in the front stage on every batch of each input (stateless), and
// what runs in the worker that owns the key.
type Parts struct {
	Inputs []Input
	// Keyed is the top of the keyed half, nil when the program has none.
	Keyed  *spec.Node
	Result *spec.Result
	Schema *types.Schema
}

// Input is one way into a program: a stream, or the result of another query.
type Input struct {
	// Source is the id of the stream or query; Delay (microseconds) is how far its rows may lie behind its watermark.
	Source uint64
	Delay  int64
	// IsResult: Source is a query.
	IsResult bool
	Name     string
	// Want marks the columns read; nil: all.
	Want   []bool
	Schema *types.Schema
	// Front are the operators of the front stage, in the order rows pass them.
	Front []*spec.Node
	// Exchange routes rows to their worker; nil: they are results as they are.
	Exchange *spec.Exchange
	// below is the exchange's node, by which Tree finds where rows go in.
	below *spec.Node
	scan  *spec.Node
}

// Keyed reports whether the program has a keyed half.
func (p *Parts) HasKeyed() bool { return p.Keyed != nil }

// Cut cuts a continuous program at its exchanges.
func Cut(p *spec.Program) (*Parts, error) {
	root, ok := p.Root.Op.(*spec.Result)
	if !ok || len(p.Root.In) != 1 {
		return nil, fmt.Errorf("a continuous program ends in one result")
	}
	top := p.Root.In[0]
	parts := &Parts{Result: root, Schema: &top.Schema}
	if !spec.Keyed(top) {
		return parts, parts.branch(top, nil, nil)
	}
	parts.Keyed = top
	return parts, parts.keyed(top)
}

// keyed walks the keyed half down to its exchanges.
func (p *Parts) keyed(n *spec.Node) error {
	if x, ok := n.Op.(*spec.Exchange); ok {
		if spec.Keyed(n.In[0]) {
			return fmt.Errorf("a stage of a continuous program has one exchange per input")
		}
		from := len(p.Inputs)
		if err := p.branch(n.In[0], nil, x); err != nil {
			return err
		}
		for i := range p.Inputs[from:] {
			p.Inputs[from+i].below = n
		}
		return nil
	}
	if len(n.In) == 0 {
		return fmt.Errorf("%s cannot be read behind an exchange", spec.Describe(n))
	}
	for _, in := range n.In {
		if err := p.keyed(in); err != nil {
			return err
		}
	}
	return nil
}

// branch follows a stateless part down to its scans; above are the nodes passed on the way, topmost first.
func (p *Parts) branch(n *spec.Node, above []*spec.Node, x *spec.Exchange) error {
	switch op := n.Op.(type) {
	case *spec.StreamScan:
		p.add(Input{Source: op.StreamID, Name: op.Name, Want: op.Want, Schema: &n.Schema, Exchange: x, scan: n}, above)
		return nil
	case *spec.ResultScan:
		p.add(Input{Source: op.QueryID, Name: op.Name, Delay: op.Delay, IsResult: true, Schema: &n.Schema, Exchange: x, scan: n}, above)
		return nil
	case *spec.Union:
		for _, in := range n.In {
			if err := p.branch(in, above, x); err != nil {
				return err
			}
		}
		return nil
	}
	if len(n.In) != 1 {
		return fmt.Errorf("%s cannot run before an exchange", spec.Describe(n))
	}
	return p.branch(n.In[0], append(slices.Clone(above), n), x)
}

func (p *Parts) add(in Input, above []*spec.Node) {
	in.Front = slices.Clone(above)
	slices.Reverse(in.Front)
	p.Inputs = append(p.Inputs, in)
}
