package op

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// occurrence is a group of a pane in the front of pastPanes: index of the pane + 1 above the group's number; 0 is none.
type occurrence uint64

func (o occurrence) pane() int   { return int(o>>32) - 1 }
func (o occurrence) gid() uint32 { return uint32(o) }

// pastPanes puts together the windows of several panes as they close, at a constant cost per key and pane (van Herk's and
// Gil and Werman's way). Time is cut into blocks as long as a window (Grid.Block): of a window, the panes before the block's
// start are its front, those from there on its back. Over the front, each pane keeps for each of its keys the state of the
// front from there on (suffix); a key's part of the front is that of the first pane that has it. Over the back there is one
// state per key, to which panes are added. So no aggregate needs to take a value back, and which states are merged in which
// order depends on time alone: a restored operator comes to the same bits.
type pastPanes struct {
	p         *PaneAgg
	orderFree bool // all aggregates are agg.OrderFree: late rows can be merged in
	single    bool // a window is one pane: there is nothing to put together
	// running, unless it is nil, does all of it, at a lower cost.
	running *runningPanes

	valid bool
	// The front is [start, block), the back [block, merged).
	start, block, merged types.EventTime
	base                 types.EventTime // start of front[0]
	front                []*pane         // by place in time; nil where there is none
	link                 []occurrence    // by key: its first one in the front
	mem                  *arena.Part
	linkBlock            arena.Block
	back                 agg.Slab // by key; the last word of a group counts panes

	// late are the rows in work that fall into a pane that has been put in already.
	late     agg.Slab
	lateKeys keyIndex
}

func (q *pastPanes) init(p *PaneAgg) {
	q.p, q.orderFree = p, true
	for i := range p.aggs {
		q.orderFree = q.orderFree && agg.OrderFree(p.aggs[i].kernel)
	}
	q.single = !p.windowed || p.grid.Size == p.grid.Pane
	q.back.Stride, q.late.Stride = p.stride+1, p.stride
	if run := new(runningPanes); !q.single && run.init(p) {
		q.running = run
	}
}

// forget makes the next window start from the panes.
func (q *pastPanes) forget() {
	q.valid = false
	if q.running != nil {
		q.running.valid = false
	}
}

// has reports that a pane's rows are in front or back.
func (q *pastPanes) has(pn *pane) bool {
	if q.running != nil {
		return q.running.has(pn)
	}
	return q.valid && pn.start >= q.start && pn.start < q.merged
}

// reach makes front and back those of the window that ends at end.
func (q *pastPanes) reach(end types.EventTime) error {
	start, block := q.p.grid.Start(end), q.p.grid.Block(end)
	if !q.valid || q.block != block {
		if err := q.rebuild(start, block); err != nil {
			return err
		}
	}
	q.leaveBefore(start)
	q.link = growIn(q.mem, &q.linkBlock, q.link, q.p.dict.Len())
	q.back.Grow(q.p.dict.Len())
	for at := q.p.paneAt(q.merged); at < len(q.p.panes) && q.p.panes[at].start < end; at++ {
		pn := q.p.panes[at]
		if err := q.mergeAll(&q.back, pn.ids, &pn.slab); err != nil {
			return err
		}
		for _, kid := range pn.ids {
			q.back.Words[int(kid+1)*q.back.Stride-1]++
		}
	}
	q.merged = end
	return nil
}

// mergeAll folds groups 0, 1, ... of src into the groups ids of dst.
func (q *pastPanes) mergeAll(dst *agg.Slab, ids []uint32, src *agg.Slab) error {
	for i := range q.p.aggs[:q.p.within(min(dst.Stride, src.Stride))] {
		k, off := q.p.aggs[i].kernel, q.p.offs[i]
		for gid, id := range ids {
			if err := k.Merge(dst, id, src, uint32(gid), off); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendTwice appends to a list that becomes long: its memory doubles, so that little is copied.
func appendTwice[T any](s []T, v T) []T {
	if len(s) == cap(s) {
		s = slices.Grow(s, max(len(s), 16))
	}
	return append(s, v)
}

// rebuild makes the front from the panes, the newest first, and empties the back.
func (q *pastPanes) rebuild(start, block types.EventTime) error {
	keys := q.p.dict.Len()
	q.link = growIn(q.mem, &q.linkBlock, q.link[:0], keys)
	q.back.Reset()
	q.back.Grow(keys)
	q.start, q.base, q.block, q.merged = start, start, block, block
	clear(q.front)
	q.front = growTo(q.front[:0], int(int64(block-start)/q.p.grid.Pane))
	for at := q.p.paneAt(block) - 1; at >= 0 && q.p.panes[at].start >= start; at-- {
		if err := q.enterFront(q.p.panes[at]); err != nil {
			return err
		}
	}
	q.valid = true
	return nil
}

// enterFront puts a pane before those that are in the front.
func (q *pastPanes) enterFront(pn *pane) error {
	at := int(int64(pn.start-q.base) / q.p.grid.Pane)
	q.front[at] = pn
	pn.suffix.Reset()
	pn.suffix.Stride = q.p.stride
	pn.suffix.Grow(len(pn.ids))
	pn.next = pn.next[:0]
	had := q.p.within(pn.slab.Stride)
	for i := range q.p.aggs {
		k, off := q.p.aggs[i].kernel, q.p.offs[i]
		for gid, kid := range pn.ids {
			g := uint32(gid)
			if i < had {
				if err := k.Merge(&pn.suffix, g, &pn.slab, g, off); err != nil {
					return err
				}
			}
			if o := q.link[kid]; o != 0 {
				if err := k.Merge(&pn.suffix, g, &q.front[o.pane()].suffix, o.gid(), off); err != nil {
					return err
				}
			}
		}
	}
	for gid, kid := range pn.ids {
		pn.next = arena.Append(q.mem, &pn.nextBlock, pn.next, q.link[kid])
		q.link[kid] = occurrence(at+1)<<32 | occurrence(gid)
	}
	return nil
}

// leaveBefore takes the panes before start out of the front.
func (q *pastPanes) leaveBefore(start types.EventTime) {
	for ; q.start < min(start, q.block); q.start += types.EventTime(q.p.grid.Pane) {
		at := int(int64(q.start-q.base) / q.p.grid.Pane)
		pn := q.front[at]
		if pn == nil {
			continue
		}
		for gid, kid := range pn.ids {
			q.link[kid] = pn.next[gid]
		}
		q.front[at] = nil
	}
}

// leave takes a pane out that is about to be dropped.
func (q *pastPanes) leave(pn *pane) {
	if q.running != nil {
		q.running.leave(pn)
		return
	}
	if !q.has(pn) {
		return
	}
	if pn.start >= q.block {
		q.forget()
		return
	}
	q.leaveBefore(pn.start + types.EventTime(q.p.grid.Pane))
}

// fold adds rows, with computed arguments, to a pane that is in front or back, and there.
func (q *pastPanes) fold(pn *pane, rows []uint32) error {
	p := q.p
	if !q.orderFree || pn.slab.Stride != p.stride { // what the pane does not keep could not be given back
		q.forget()
		return p.update(pn, rows, p.kids)
	}
	q.lateKeys.reset()
	q.late.Reset()
	p.gids = q.lateKeys.add(p.kids, p.gids[:0])
	q.late.Grow(len(q.lateKeys.ids))
	for i := range p.aggs {
		if err := p.aggs[i].update(p.ctx, &q.late, p.offs[i], rows, p.gids); err != nil {
			return err
		}
	}
	had := len(pn.ids)
	p.gids = p.enter(pn, q.lateKeys.ids, p.gids[:0])
	if err := q.mergeAll(&pn.slab, p.gids, &q.late); err != nil {
		return err
	}
	if q.running != nil {
		return q.running.fold(pn, had, q.lateKeys.ids, &q.late)
	}
	if pn.start >= q.block {
		return q.foldBack(pn, had)
	}
	q.front[int64(pn.start-q.base)/p.grid.Pane] = pn
	q.link = growIn(q.mem, &q.linkBlock, q.link, p.dict.Len())
	for n, gid := range p.gids {
		if err := q.foldFront(pn, gid, uint32(n)); err != nil {
			return err
		}
	}
	return nil
}

// foldBack adds the late rows to the back; groups from had on are new in the pane.
func (q *pastPanes) foldBack(pn *pane, had int) error {
	q.back.Grow(q.p.dict.Len())
	for _, kid := range pn.ids[had:] {
		q.back.Words[int(kid+1)*q.back.Stride-1]++
	}
	return q.mergeAll(&q.back, q.lateKeys.ids, &q.late)
}

// foldFront adds group n of the late rows, which is group gid of the pane, to the front: to each pane up to this one that has
// the key.
func (q *pastPanes) foldFront(pn *pane, gid, n uint32) error {
	kid := q.lateKeys.ids[n]
	at := int(int64(pn.start-q.base) / q.p.grid.Pane)
	before := &q.link[kid]
	for *before != 0 && before.pane() < at {
		of := q.front[before.pane()]
		if err := q.p.merge(&of.suffix, before.gid(), &q.late, n); err != nil {
			return err
		}
		before = &of.next[before.gid()]
	}
	if *before == 0 || before.pane() != at { // the pane did not have the key
		pn.suffix.Grow(int(gid) + 1)
		pn.next = growIn(q.mem, &pn.nextBlock, pn.next, int(gid)+1)
		if o := *before; o != 0 {
			if err := q.p.merge(&pn.suffix, gid, &q.front[o.pane()].suffix, o.gid()); err != nil {
				return err
			}
		}
		pn.next[gid] = *before
		*before = occurrence(at+1)<<32 | occurrence(gid)
	}
	return q.p.merge(&pn.suffix, gid, &q.late, n)
}

// present reports that the window reached has rows of a key.
func (q *pastPanes) present(kid uint32) bool {
	return q.link[kid] != 0 || q.back.Words[int(kid+1)*q.back.Stride-1] != 0
}

// states implements windowStates.
func (q *pastPanes) states(dst *agg.Slab, kids []uint32) (*agg.Slab, bool, error) {
	dst.Reset()
	dst.Grow(len(kids))
	for i := range q.p.aggs {
		k, off := q.p.aggs[i].kernel, q.p.offs[i]
		for n, kid := range kids {
			if o := q.link[kid]; o != 0 {
				if err := k.Merge(dst, uint32(n), &q.front[o.pane()].suffix, o.gid(), off); err != nil {
					return nil, false, err
				}
			}
			if q.back.Words[int(kid+1)*q.back.Stride-1] != 0 {
				if err := k.Merge(dst, uint32(n), &q.back, kid, off); err != nil {
					return nil, false, err
				}
			}
		}
	}
	return dst, false, nil
}

func (q *pastPanes) bytes() int64 {
	n := q.back.Bytes() + q.late.Bytes() + q.lateKeys.bytes() + capBytes(q.front) + capBytes(q.link)
	if q.running != nil {
		n += q.running.bytes()
	}
	return n
}

// closeWindow emits the groups of a window that ends.
func (p *PaneAgg) closeWindow(end types.EventTime, out Emitter) error {
	from, err := p.statesOf(end)
	if err != nil {
		return err
	}
	return p.out.window(p, end, from, out)
}

// statesOf puts a window that ends together.
func (p *PaneAgg) statesOf(end types.EventTime) (windowStates, error) {
	if p.past.single {
		return paneStates{p, p.panes[p.paneAt(p.grid.Start(end))]}, nil
	}
	if run := p.past.running; run != nil {
		return run, run.reach(end)
	}
	return &p.past, p.past.reach(end)
}
