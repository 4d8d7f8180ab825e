package op

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// GroupingSets groups a bounded input by several sets of keys at once: one HashAgg for each, whose rows it spreads over all
// keys. The sets come out one after another.
type GroupingSets struct {
	spec *spec.GroupingSets
	sets []*HashAgg
	out  *outBatch
}

var _ Operator = (*GroupingSets)(nil)

// NewGroupingSets compiles the groupings; schema is the output schema.
func NewGroupingSets(s *spec.GroupingSets, schema *types.Schema, mem *Memory) (*GroupingSets, error) {
	g := &GroupingSets{spec: s, out: newOutBatch(schema)}
	aggCols := schema.Cols[len(s.Keys) : len(s.Keys)+len(s.Aggs)]
	for _, set := range s.Sets {
		one := &spec.HashAgg{Aggs: s.Aggs, Scalar: len(set) == 0}
		cols := &types.Schema{}
		for _, k := range set {
			one.Keys = append(one.Keys, s.Keys[k])
			cols.Cols = append(cols.Cols, schema.Cols[k])
		}
		cols.Cols = append(cols.Cols, aggCols...)
		h, err := NewHashAgg(one, cols, mem)
		if err != nil {
			return nil, err
		}
		g.sets = append(g.sets, h)
	}
	return g, nil
}

// Open implements Operator.
func (g *GroupingSets) Open(ctx *expr.Ctx) error {
	g.out.b.Reset(nil)
	for _, h := range g.sets {
		if err := h.Open(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Process implements Operator.
func (g *GroupingSets) Process(port int, in Input, out Emitter) error {
	for _, h := range g.sets {
		if err := h.Process(port, in, out); err != nil {
			return err
		}
	}
	return nil
}

// Advance implements Operator.
func (g *GroupingSets) Advance(watermark types.EventTime, out Emitter) error {
	for i, h := range g.sets {
		if err := h.Advance(watermark, &setRows{g: g, set: g.spec.Sets[i], out: out}); err != nil {
			return err
		}
	}
	return g.out.flush(out)
}

// setRows spreads the rows of one set over all keys.
type setRows struct {
	g   *GroupingSets
	set []int
	out Emitter
}

// Emit implements Emitter.
func (r *setRows) Emit(in Input) error {
	g, b := r.g, r.g.out.b
	nkeys, naggs := len(g.spec.Keys), len(g.spec.Aggs)
	bits := make([]int64, len(g.spec.Groupings))
	for i, keys := range g.spec.Groupings {
		bits[i] = missingBits(keys, r.set)
	}
	from := make([]int, nkeys) // the column of a key in the set's rows, -1 without
	for k := range from {
		from[k] = slices.Index(r.set, k)
	}
	for _, row := range in.Sel {
		for k, c := range from {
			if c < 0 {
				b.Cols[k].AppendNull()
			} else {
				b.Cols[k].AppendFrom(&in.B.Cols[c], int(row))
			}
		}
		for a := range naggs {
			b.Cols[nkeys+a].AppendFrom(&in.B.Cols[len(r.set)+a], int(row))
		}
		for i, n := range bits {
			b.Cols[nkeys+naggs+i].AppendInt(n)
		}
		if b.N++; b.N == batch.RowsMax {
			if err := g.out.flush(r.out); err != nil {
				return err
			}
		}
	}
	return nil
}

// missingBits tells which keys a set lacks, a bit for each, the first key highest.
func missingBits(keys, set []int) int64 {
	var n int64
	for _, k := range keys {
		n <<= 1
		if slices.Index(set, k) < 0 {
			n |= 1
		}
	}
	return n
}

// Close implements Operator.
func (g *GroupingSets) Close() error {
	for _, h := range g.sets {
		if err := h.Close(); err != nil {
			return err
		}
	}
	return nil
}

// String implements Operator.
func (g *GroupingSets) String() string {
	return spec.Describe(&spec.Node{Op: g.spec})
}
