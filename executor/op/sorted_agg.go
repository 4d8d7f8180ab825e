package op

import (
	"math/bits"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// sortedAgg is an aggregate over the frame of each row. It keeps the state of the last frame, and turns it into that of the
// next one by what came and, where the aggregate can take values away exactly, by what went. A frame that cannot be reached
// so is put together from states of blocks of rows, which are merged in a tree: a row costs the logarithm of its frame.
type sortedAgg struct {
	mem    *Memory
	kernel agg.Kernel
	sub    agg.Subtracter // nil: nothing can be taken away
	args   sortedArgs
	filter int // column, -1 without
	frame  rowFrame
	// slab holds groups: stateNow, that of the frame in has; stateGone, for rows that leave; then the tree's nodes.
	slab agg.Slab
	has  []span
	// valid says that value is the result for has.
	valid bool
	value types.Value
	// levels are the first groups of each level of the tree, without levels it is not built. A node of level k is the state
	// of treeBlock<<k rows.
	levels []uint32
	held   int64
	gids   []uint32
	vecs   []batch.Vec
	refs   []*batch.Vec
}

const (
	stateNow, stateGone, treeFirst = 0, 1, 2
	// treeBlock is the number of rows of a leaf of the tree.
	treeBlock = 32
	// foldMax is the size of a frame up to which folding its rows anew is cheaper than anything else.
	foldMax = 2 * treeBlock
)

func newSortedAgg(mem *Memory, f *spec.SortedFunc, at sortedArgs, reads *sortedReads) *sortedAgg {
	o := &sortedAgg{mem: mem, kernel: f.Kernel, args: at, filter: reads.add(f.Filter), frame: newRowFrame(&f.Frame, reads)}
	o.sub, _ = f.Kernel.(agg.Subtracter)
	o.slab.Stride = f.Kernel.Words()
	o.vecs = make([]batch.Vec, len(f.Args))
	for i := range o.vecs {
		o.refs = append(o.refs, &o.vecs[i])
	}
	return o
}

func (o *sortedAgg) open(ctx *expr.Ctx) error { return o.frame.open(ctx) }

// close gives the states back.
func (o *sortedAgg) close() {
	o.mem.Release(o.held)
	o.held, o.has, o.valid, o.levels = 0, nil, false, nil
	o.slab = agg.Slab{Stride: o.slab.Stride}
}

func (o *sortedAgg) begin(p *partition) error {
	o.slab.Reset()
	o.slab.Grow(treeFirst)
	o.has, o.valid, o.levels = o.has[:0], false, o.levels[:0]
	return o.frame.begin(p)
}

func (o *sortedAgg) next(p *partition) (types.Value, error) {
	want, err := o.frame.of(p)
	if err != nil {
		return o.value, err
	}
	if o.valid && slices.Equal(want, o.has) {
		return o.value, nil
	}
	if err := o.reach(p, want); err != nil {
		return o.value, err
	}
	o.has, o.valid = append(o.has[:0], want...), true
	if o.value, err = o.kernel.Result(&o.slab, 0, stateNow); err != nil {
		return o.value, err
	}
	return o.value, o.account()
}

// account charges what the states take by now.
func (o *sortedAgg) account() error {
	size := o.slab.Bytes()
	if err := o.mem.Grow(size - o.held); err != nil {
		return err
	}
	o.held = size
	return nil
}

// reach makes the state that of the frame want.
func (o *sortedAgg) reach(p *partition, want []span) error {
	if len(want) == 1 && len(o.has) == 1 {
		w, h := want[0], o.has[0]
		gone, stay := w.lo-h.lo, h.hi-w.lo
		switch {
		case gone < 0 || stay <= 0 || w.hi < h.hi:
		case gone == 0:
			return o.fold(p, span{h.hi, w.hi}, stateNow)
		case o.sub != nil && gone <= w.hi-w.lo:
			if err := o.take(p, span{h.lo, w.lo}); err != nil {
				return err
			}
			return o.fold(p, span{h.hi, w.hi}, stateNow)
		}
	}
	o.slab.Release(stateNow)
	for _, s := range want {
		if err := o.add(p, s); err != nil {
			return err
		}
	}
	return nil
}

// take takes rows away from the state.
func (o *sortedAgg) take(p *partition, s span) error {
	if err := o.fold(p, s, stateGone); err != nil {
		return err
	}
	if err := o.sub.Subtract(&o.slab, stateNow, &o.slab, stateGone, 0); err != nil {
		return err
	}
	o.slab.Release(stateGone)
	return nil
}

// add adds rows to the state, those of whole blocks through the tree. The first frames of a partition are folded: most
// functions never need the tree.
func (o *sortedAgg) add(p *partition, s span) error {
	if s.hi-s.lo <= foldMax || !o.valid {
		return o.fold(p, s, stateNow)
	}
	if len(o.levels) == 0 {
		if err := o.plant(p); err != nil {
			return err
		}
	}
	lo, hi := (s.lo+treeBlock-1)/treeBlock, s.hi/treeBlock
	if err := o.fold(p, span{s.lo, lo * treeBlock}, stateNow); err != nil {
		return err
	}
	for lo < hi {
		level := min(bits.TrailingZeros(uint(lo)), bits.Len(uint(hi-lo))-1, len(o.levels)-1)
		node := o.levels[level] + uint32(lo>>level)
		if err := o.kernel.Merge(&o.slab, stateNow, &o.slab, node, 0); err != nil {
			return err
		}
		lo += 1 << level
	}
	return o.fold(p, span{hi * treeBlock, s.hi}, stateNow)
}

// plant builds the tree over the whole blocks of a partition.
func (o *sortedAgg) plant(p *partition) error {
	next := uint32(treeFirst)
	for n := len(p.rows) / treeBlock; n > 0; n /= 2 {
		o.levels = append(o.levels, next)
		o.slab.Grow(int(next) + n)
		for i := range n {
			node := next + uint32(i)
			if len(o.levels) == 1 {
				if err := o.fold(p, span{i * treeBlock, (i + 1) * treeBlock}, node); err != nil {
					return err
				}
			} else {
				below := o.levels[len(o.levels)-2] + uint32(2*i)
				for _, child := range []uint32{below, below + 1} {
					if err := o.kernel.Merge(&o.slab, node, &o.slab, child, 0); err != nil {
						return err
					}
				}
			}
			if i%batch.RowsMax == 0 {
				if err := o.account(); err != nil {
					return err
				}
			}
		}
		next += uint32(n)
	}
	return o.mem.poll()
}

// fold adds the rows of s that pass the filter to a state.
func (o *sortedAgg) fold(p *partition, s span, state uint32) error {
	for i := s.lo; i < s.hi; {
		o.gids = o.gids[:0]
		for k := range o.vecs {
			o.vecs[k].Reset(p.op.argRows.schema.Cols[o.args.cols[k]].Type)
		}
		for ; i < s.hi && len(o.gids) < batch.RowsMax; i++ {
			b, r := p.op.argRows.at(int(p.rows[i]))
			if o.filter >= 0 {
				if v := &b.Cols[o.filter]; v.IsNull(r) || v.I64[r] == 0 {
					continue
				}
			}
			for k, c := range o.args.cols {
				o.vecs[k].AppendFrom(&b.Cols[c], r)
			}
			o.gids = append(o.gids, state)
		}
		if len(o.gids) == 0 {
			continue
		}
		if err := o.kernel.Update(&o.slab, 0, o.gids, o.refs); err != nil {
			return err
		}
	}
	return nil
}
