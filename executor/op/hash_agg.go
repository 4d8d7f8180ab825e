package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
)

// HashAgg groups a bounded input: keys..., aggregates... A group's row comes out in the order in which groups were
// first seen.
type HashAgg struct {
	spec   *spec.HashAgg
	mem    *Memory
	ctx    *expr.Ctx
	keys   []*expr.Evaluator
	aggs   []aggState
	groups state.Table
	// first holds the key values of each group as first seen.
	first *rowStore
	n     int
	slab  agg.Slab
	held  int64
	enc   batch.Keys
	gids  []uint32
	out   *outBatch
}

// aggState is one aggregate of a HashAgg at run time.
type aggState struct {
	call   *spec.AggCall
	off    int // first word in a group's state
	args   []*expr.Evaluator
	filter *expr.Evaluator
	order  []*expr.Evaluator
	// rows holds the arguments, then the order keys, then the group number of each row of an ordered aggregate.
	rows *rowStore
	sel  []uint32
	gids []uint32
}

var _ Operator = (*HashAgg)(nil)

// NewHashAgg compiles a grouping; schema is the output schema.
func NewHashAgg(s *spec.HashAgg, schema *types.Schema, mem *Memory) (*HashAgg, error) {
	h := &HashAgg{spec: s, mem: mem, out: newOutBatch(schema)}
	keySchema := &types.Schema{Cols: schema.Cols[:len(s.Keys):len(s.Keys)]}
	h.first = newRowStore(keySchema, mem)
	var err error
	if h.keys, err = compileAll(s.Keys); err != nil {
		return nil, err
	}
	for i := range s.Aggs {
		a := aggState{call: &s.Aggs[i], off: h.slab.Stride}
		h.slab.Stride += a.call.Kernel.Words()
		if a.args, err = compileAll(a.call.Args); err != nil {
			return nil, err
		}
		if a.call.Filter != nil {
			if a.filter, err = expr.Compile(a.call.Filter); err != nil {
				return nil, err
			}
		}
		if a.order, err = compileSortKeys(a.call.OrderBy); err != nil {
			return nil, err
		}
		if len(a.order) > 0 {
			a.rows = newRowStore(orderedSchema(a.call), mem)
		}
		h.aggs = append(h.aggs, a)
	}
	return h, nil
}

// orderedSchema is the row type that an ordered aggregate keeps.
func orderedSchema(call *spec.AggCall) *types.Schema {
	s := sortSchema(call.OrderBy)
	for _, a := range call.Args {
		s.Cols = append(s.Cols, types.Column{Name: "arg", Type: a.Type()})
	}
	s.Cols = append(s.Cols, types.Column{Name: "group", Type: types.T(types.Int8)})
	return s
}

// Open implements Operator.
func (h *HashAgg) Open(ctx *expr.Ctx) error {
	h.ctx = ctx
	h.drop()
	h.out.b.Reset(nil)
	if h.spec.Scalar {
		h.n = 1
		h.slab.Grow(1)
	}
	return h.account()
}

// drop forgets all groups.
func (h *HashAgg) drop() {
	h.mem.Release(h.held)
	h.held, h.n = 0, 0
	h.groups = state.Table{}
	h.slab = agg.Slab{Stride: h.slab.Stride}
	h.first.reset()
	for i := range h.aggs {
		if h.aggs[i].rows != nil {
			h.aggs[i].rows.reset()
		}
	}
}

// account charges what groups and states take by now.
func (h *HashAgg) account() error {
	size := h.groups.Bytes() + h.slab.Bytes()
	if err := h.mem.Grow(size - h.held); err != nil {
		return err
	}
	h.held = size
	return nil
}

// Process implements Operator.
func (h *HashAgg) Process(_ int, in Input, _ Emitter) error {
	if err := h.assign(in); err != nil {
		return err
	}
	for i := range h.aggs {
		if err := h.aggs[i].process(h, in); err != nil {
			return err
		}
	}
	return h.account()
}

// assign finds or makes the group of each selected row.
func (h *HashAgg) assign(in Input) error {
	h.gids = h.gids[:0]
	if len(h.keys) == 0 {
		for range in.Sel {
			h.gids = append(h.gids, 0)
		}
		h.n = 1
		h.slab.Grow(1)
		return nil
	}
	vecs, err := evalAll(h.ctx, h.keys, in)
	if err != nil {
		return err
	}
	h.enc.Build(vecs, len(in.Sel))
	rows := state.Rows{Buf: h.enc.Buf, Off: h.enc.Off, Hash: h.enc.Hash}
	if h.gids, err = h.groups.FindOrAdd(rows, batch.All(len(in.Sel)), h.gids); err != nil {
		return err
	}
	for i, g := range h.gids {
		if int(g) < h.n {
			continue
		}
		h.n++
		if err := h.first.addRow(vecs, i); err != nil {
			return err
		}
	}
	h.slab.Grow(h.n)
	return nil
}

// process folds the rows of a batch into one aggregate, or keeps them when their order matters.
func (a *aggState) process(h *HashAgg, in Input) error {
	gids := h.gids
	if a.filter != nil {
		var err error
		if a.sel, err = a.filter.Filter(h.ctx, in.B, in.Sel, a.sel[:0]); err != nil {
			return err
		}
		gids = a.gids[:0]
		for i, k := 0, 0; i < len(in.Sel) && k < len(a.sel); i++ {
			if in.Sel[i] == a.sel[k] {
				gids = append(gids, h.gids[i])
				k++
			}
		}
		a.gids = gids
		in = Input{B: in.B, Sel: a.sel}
	}
	if len(in.Sel) == 0 {
		return nil
	}
	args, err := evalAll(h.ctx, a.args, in)
	if err != nil {
		return err
	}
	if len(a.order) == 0 {
		return a.call.Kernel.Update(&h.slab, a.off, gids, args)
	}
	cols, err := evalAll(h.ctx, a.order, in)
	if err != nil {
		return err
	}
	group := &batch.Vec{}
	group.Reset(types.T(types.Int8))
	for _, g := range gids {
		group.AppendInt(int64(g))
	}
	return a.rows.addVecs(append(append(cols, args...), group), len(gids))
}

// finishOrdered feeds an ordered aggregate its rows in order.
func (h *HashAgg) finishOrdered(a *aggState) error {
	order := make([]int32, a.rows.n)
	for i := range order {
		order[i] = int32(i)
	}
	sortRows(order, a.rows, a.call.OrderBy)
	nkeys, nargs := len(a.order), len(a.args)
	vecs := make([]batch.Vec, nargs)
	args := make([]*batch.Vec, nargs)
	for len(order) > 0 {
		take := order[:min(len(order), batch.RowsMax)]
		order = order[len(take):]
		gids := a.gids[:0]
		for k := range vecs {
			vecs[k].Reset(a.call.Args[k].Type())
			args[k] = &vecs[k]
		}
		for _, r := range take {
			b, i := a.rows.at(int(r))
			for k := range vecs {
				vecs[k].AppendFrom(&b.Cols[nkeys+k], i)
			}
			gids = append(gids, uint32(b.Cols[nkeys+nargs].I64[i]))
		}
		a.gids = gids
		if err := a.call.Kernel.Update(&h.slab, a.off, gids, args); err != nil {
			return err
		}
		if err := h.account(); err != nil {
			return err
		}
	}
	return nil
}

// Advance implements Operator: at the end of the input each group becomes a row.
func (h *HashAgg) Advance(watermark types.EventTime, out Emitter) error {
	if watermark != types.MaxTime {
		return nil
	}
	for i := range h.aggs {
		if h.aggs[i].rows != nil {
			if err := h.finishOrdered(&h.aggs[i]); err != nil {
				return err
			}
		}
	}
	b := h.out.b
	nkeys := len(h.keys)
	for g := range h.n {
		if nkeys > 0 {
			src, i := h.first.at(g)
			for c := range nkeys {
				b.Cols[c].AppendFrom(&src.Cols[c], i)
			}
		}
		for i := range h.aggs {
			v, err := h.aggs[i].call.Kernel.Result(&h.slab, h.aggs[i].off, uint32(g))
			if err != nil {
				return err
			}
			b.Cols[nkeys+i].AppendValue(v)
		}
		if b.N++; b.N == batch.RowsMax {
			if err := h.out.flush(out); err != nil {
				return err
			}
		}
	}
	return h.out.flush(out)
}

// Close implements Operator.
func (h *HashAgg) Close() error {
	h.drop()
	return nil
}

// String implements Operator.
func (h *HashAgg) String() string {
	return fmt.Sprintf("HashAgg keys: %v aggregates: %d", h.spec.Keys, len(h.spec.Aggs))
}
