package op

import (
	"math/bits"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// runningPanes puts windows together for aggregates that can all give states back exactly (agg.Subtracter): by key there is the
// state of the window that closed last, and the next window takes in the panes that enter and gives back those that leave.
type runningPanes struct {
	p     *PaneAgg
	calls []agg.Subtracter

	valid bool
	// The states are of the panes in [start, end).
	start, end types.EventTime
	slab       agg.Slab // by key; the last word of a group counts panes

	// passes are the keys that passed HAVING last, by bit, where it is a range (PaneAgg.inRange) and judged is set; of those in
	// touched it is not known any more.
	passes  []uint64
	judged  bool
	touched []uint32
	pass    []uint32
}

// init returns false when some aggregate cannot give states back.
func (q *runningPanes) init(p *PaneAgg) bool {
	q.p = p
	q.slab.Stride = p.stride + 1
	for i := range p.aggs {
		k, ok := p.aggs[i].kernel.(agg.Subtracter)
		if !ok || !agg.OrderFree(k) {
			return false
		}
		q.calls = append(q.calls, k)
	}
	return true
}

// has reports that a pane's rows are in the states.
func (q *runningPanes) has(pn *pane) bool { return q.valid && pn.start >= q.start && pn.start < q.end }

// reach makes the states those of the window that ends at end.
func (q *runningPanes) reach(end types.EventTime) error {
	p := q.p
	start := p.grid.Start(end)
	if q.valid && start < q.end && q.leaveBefore(start) != nil {
		q.valid = false // states that cannot be given back are made anew
	}
	if !q.valid || start >= q.end {
		q.slab.Reset()
		q.valid, q.judged = true, false
		q.start, q.end = start, start
	}
	q.slab.Grow(p.dict.Len())
	for at := p.paneAt(q.end); at < len(p.panes) && p.panes[at].start < end; at++ {
		pn := p.panes[at]
		if err := q.merge(pn.ids, &pn.slab); err != nil {
			q.valid = false
			return err
		}
		q.count(pn.ids, 1)
	}
	q.end = end
	return nil
}

// merge folds groups 0, 1, ... of src into those of keys.
func (q *runningPanes) merge(kids []uint32, src *agg.Slab) error {
	for i, k := range q.calls[:q.p.within(src.Stride)] {
		if err := agg.MergeAll(k, &q.slab, kids, src, q.p.offs[i]); err != nil {
			return err
		}
	}
	q.touch(kids)
	return nil
}

// count adds n to the panes that keys have.
func (q *runningPanes) count(kids []uint32, n uint64) {
	words, stride := q.slab.Words, q.slab.Stride
	for _, kid := range kids {
		words[int(kid+1)*stride-1] += n
	}
}

// touch notes keys of which it is to be seen again whether they pass HAVING.
func (q *runningPanes) touch(kids []uint32) {
	if q.judged {
		q.touched = append(q.touched, kids...)
		q.judged = len(q.touched) < q.p.dict.Len()
	}
}

// leaveBefore gives back the panes before start. After an error the states are of no use.
func (q *runningPanes) leaveBefore(start types.EventTime) error {
	panes := q.p.panes
	for at := q.p.paneAt(q.start); at < len(panes) && panes[at].start < min(start, q.end); at++ {
		pn := panes[at]
		for i, k := range q.calls[:q.p.within(pn.slab.Stride)] {
			if err := agg.SubtractAll(k, &q.slab, pn.ids, &pn.slab, q.p.offs[i]); err != nil {
				return err
			}
		}
		q.count(pn.ids, ^uint64(0))
		q.touch(pn.ids)
	}
	q.start = max(q.start, start)
	return nil
}

// leave gives back a pane that is about to be dropped, and those before it.
func (q *runningPanes) leave(pn *pane) {
	if q.has(pn) && q.leaveBefore(pn.start+types.EventTime(q.p.grid.Pane)) != nil {
		q.valid = false
	}
}

// fold adds late rows, groups 0, 1, ... of a slab, which a pane has got; groups from had on are new there.
func (q *runningPanes) fold(pn *pane, had int, kids []uint32, late *agg.Slab) error {
	q.slab.Grow(q.p.dict.Len())
	q.count(pn.ids[had:], 1)
	return q.merge(kids, late)
}

// keys implements windowStates.
func (q *runningPanes) keys(dst []uint32) []uint32 {
	words, stride := q.slab.Words, q.slab.Stride
	for kid, at := 0, stride-1; at < len(words); kid, at = kid+1, at+stride {
		if words[at] != 0 {
			dst = append(dst, uint32(kid))
		}
	}
	return dst
}

// states implements windowStates: groups are keys.
func (q *runningPanes) states(*agg.Slab, []uint32) (*agg.Slab, bool, error) {
	return &q.slab, true, nil
}

// passing appends the keys that pass the HAVING of p, which is a range. Only keys that the latest panes have are looked at, if those
// are the fewer. It returns false when the result of a group is an error, which rows have to tell.
func (q *runningPanes) passing(p *PaneAgg, dst []uint32) ([]uint32, bool) {
	r := &p.inRange
	if p != q.p {
		return q.passingOnce(p, dst)
	}
	keys := q.touched
	q.passes = growTo(q.passes, (q.p.dict.Len()+63)/64)
	if !q.judged {
		keys = batch.All(q.p.dict.Len())
		clear(q.passes)
	}
	for _, kid := range keys {
		q.passes[kid>>6] &^= 1 << (kid & 63)
	}
	q.pass, q.judged = r.kernel.InRange(q.pass[:0], &q.slab, q.p.offs[r.call], keys, r.in)
	q.touched = q.touched[:0]
	if !q.judged {
		return dst, false
	}
	words, stride := q.slab.Words, q.slab.Stride
	for _, kid := range q.pass {
		if words[int(kid+1)*stride-1] != 0 {
			q.passes[kid>>6] |= 1 << (kid & 63)
		}
	}
	for i, w := range q.passes {
		for ; w != 0; w &= w - 1 {
			dst = append(dst, uint32(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return dst, true
}

// passingOnce is passing for one of those that share the states; what it saw last time is not kept.
func (q *runningPanes) passingOnce(p *PaneAgg, dst []uint32) ([]uint32, bool) {
	var ok bool
	r := &p.inRange
	if q.pass, ok = r.kernel.InRange(q.pass[:0], &q.slab, p.offs[r.call], batch.All(q.p.dict.Len()), r.in); !ok {
		return dst, false
	}
	words, stride := q.slab.Words, q.slab.Stride
	for _, kid := range q.pass {
		if words[int(kid+1)*stride-1] != 0 {
			dst = append(dst, kid)
		}
	}
	return dst, true
}

func (q *runningPanes) bytes() int64 {
	return q.slab.Bytes() + int64(cap(q.passes))*8 + int64(cap(q.touched)+cap(q.pass))*4
}
