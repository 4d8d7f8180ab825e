package task

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/types"
)

// Rerun runs a continuous query, stages first, over rows that are there already, in one goroutine: rows come in order of
// event time, so that none is late.
type Rerun struct {
	parts []*rerunPart
}

// rerunPart is one stage, or the query itself, which is the last.
type rerunPart struct {
	id     uint64
	parts  *Parts
	inputs []rerunInput
	tree   *Tree // nil: stateless
	// watermark is what the part's readers may count on.
	watermark types.EventTime
}

// rerunInput is one input's stateless half.
type rerunInput struct {
	part   *rerunPart
	index  int
	source uint64
	chain  *Chain
	router *op.Router
	routed [1]op.Part
	out    op.Emitter // where stateless results go
}

// Emit implements op.Emitter: rows that passed the front half.
func (in *rerunInput) Emit(rows op.Input) error {
	if in.router == nil {
		return in.out.Emit(rows)
	}
	if err := in.router.Route(rows, in.routed[:]); err != nil || len(in.routed[0].Sel) == 0 {
		return err
	}
	return in.part.tree.Process(in.index, in.routed[0].Input(rows.B))
}

// NewRerun builds the operators: parts are the stages and then the query, ids their ids; what the query emits goes to out.
func NewRerun(ctx *expr.Ctx, parts []*Parts, ids []uint64, out op.Emitter) (*Rerun, error) {
	r := &Rerun{}
	for i, p := range parts {
		part := &rerunPart{id: ids[i], parts: p, watermark: types.MinTime}
		var sink op.Emitter = &rerunSink{r, part.id}
		if i == len(parts)-1 {
			sink = out
		}
		if p.HasKeyed() {
			var err error
			if part.tree, err = NewTree(ctx, p, sink); err != nil {
				return nil, err
			}
		}
		if err := part.open(ctx, sink); err != nil {
			return nil, err
		}
		r.parts = append(r.parts, part)
	}
	return r, nil
}

func (p *rerunPart) open(ctx *expr.Ctx, sink op.Emitter) error {
	p.inputs = make([]rerunInput, len(p.parts.Inputs))
	for i := range p.parts.Inputs {
		spec := &p.parts.Inputs[i]
		in := &p.inputs[i]
		*in = rerunInput{part: p, index: i, source: spec.Source, out: sink}
		if spec.Exchange != nil {
			var err error
			if in.router, err = op.NewRouter(spec.Exchange); err != nil {
				return err
			}
			in.router.Open(ctx)
		}
		var err error
		if in.chain, err = NewChain(ctx, spec.Front, in); err != nil {
			return err
		}
	}
	return nil
}

// rerunSink hands a stage's rows to those who read it.
type rerunSink struct {
	r  *Rerun
	id uint64
}

// Emit implements op.Emitter.
func (s *rerunSink) Emit(in op.Input) error { return s.r.Feed(s.id, in.B, in.Sel) }

// Feed gives rows of a stream, or of a stage, to all who read it. No row may be older than the last Advance.
func (r *Rerun) Feed(source uint64, b *batch.Batch, sel []uint32) error {
	for _, p := range r.parts {
		for i := range p.inputs {
			if in := &p.inputs[i]; in.source == source {
				if err := in.chain.Process(op.Input{B: b, Sel: sel}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Advance moves the watermark of all streams.
func (r *Rerun) Advance(wm types.EventTime) error {
	for _, p := range r.parts {
		at := wm
		for i := range p.parts.Inputs {
			at = min(at, minus(r.sourceTime(p.parts.Inputs[i].Source, wm), p.parts.Inputs[i].Delay))
		}
		if p.tree != nil {
			if err := p.tree.Advance(at); err != nil {
				return err
			}
			at = minus(at, p.tree.OutDelay())
		}
		p.watermark = at
	}
	return nil
}

func (r *Rerun) sourceTime(source uint64, wm types.EventTime) types.EventTime {
	for _, p := range r.parts {
		if p.id == source {
			return p.watermark
		}
	}
	return wm
}

// Close closes all operators.
func (r *Rerun) Close() error {
	var first error
	for _, p := range r.parts {
		if p.tree != nil {
			if err := p.tree.Close(); err != nil && first == nil {
				first = err
			}
		}
		for i := range p.inputs {
			if err := p.inputs[i].chain.Close(); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}
