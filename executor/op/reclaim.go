package op

import (
	"reflect"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// What operators keep for reuse they give back when they are told to, between two epochs: a query that takes no rows until it holds less
// must come to hold less as time passes. An operator that holds nothing any more keeps next to nothing; one whose groups lie in windows
// gives back what it does not need as they close, one whose keys come and go in any order when the last one has gone.

var (
	_ Reclaimer = (*WindowAgg)(nil)
	_ Reclaimer = (*PaneAgg)(nil)
	_ Reclaimer = (*SessionAgg)(nil)
	_ Reclaimer = (*SlideAgg)(nil)
	_ Reclaimer = (*CountAgg)(nil)
	_ Reclaimer = (*IntervalJoin)(nil)
	_ Reclaimer = (*TemporalJoin)(nil)
	_ Reclaimer = (*Match)(nil)
	_ Reclaimer = (*Over)(nil)
	_ Reclaimer = (*FirstSeen)(nil)
	_ Reclaimer = (*Suppress)(nil)
)

// capBytes is the memory of a slice, used or not.
func capBytes[T any](s []T) int64 { return int64(cap(s)) * int64(reflect.TypeFor[T]().Size()) }

// emptyOffs is how many places of texts a column without rows may have: they are not counted.
const emptyOffs = 2

// scratchBytes is the memory of a batch that is filled again and again; nil: of none.
func scratchBytes(b *batch.Batch) int64 {
	if b == nil {
		return 0
	}
	n := capBytes(b.Ops)
	for _, c := range b.Cols[:cap(b.Cols)] {
		n += capBytes(c.I64) + capBytes(c.F64) + capBytes(c.Buf) + capBytes(c.Nulls)
		if cap(c.Off) > emptyOffs {
			n += capBytes(c.Off)
		}
	}
	return n
}

// emptied is b without rows, for those of a schema; nil: a new batch.
func emptied(b *batch.Batch, schema *types.Schema) *batch.Batch {
	if b == nil {
		return batch.New(schema, nil)
	}
	if b.Schema != schema {
		n := len(schema.Cols)
		b.Schema, b.Cols = schema, slices.Grow(b.Cols[:min(n, len(b.Cols))], max(0, n-len(b.Cols)))[:n]
	}
	b.Reset(nil)
	return b
}

// dropScratch gives the memory of a batch back that is filled again and again.
func dropScratch(list ...*batch.Batch) {
	for _, b := range list {
		if b == nil {
			continue
		}
		clear(b.Cols[:cap(b.Cols)])
		b.Ops, b.Src, b.Behind = nil, nil, nil
		b.Reset(nil)
	}
}

// Reclaim implements Reclaimer.
func (w *WindowAgg) Reclaim() {
	freeSlices(w.free)
	w.free, w.touched = nil, nil
	w.emit.freeMemory()
}

// freeMemory gives scratch back.
func (o *windowOutput) freeMemory() {
	dropScratch(o.b)
	o.sorter.Free()
	o.gids, o.good, o.kept, o.rows = nil, nil, nil, nil
}

// Reclaim implements Reclaimer.
func (p *PaneAgg) Reclaim() {
	for _, pn := range p.free {
		pn.freeMemory()
	}
	p.free, p.touched = nil, nil
	if dead := p.dict.Len() - p.alive; dead > p.alive || len(p.panes) == 0 {
		p.renumber() // what is kept by key of the old dictionary counts no more
		p.past.freeMemory()
		p.firsts.freeMemory()
		p.out.freeMemory()
	}
	p.changes.freeMemory()
}

// freeMemory gives back what the next window is made from; it starts from the panes then.
func (q *pastPanes) freeMemory() {
	q.forget()
	for _, pn := range q.p.panes {
		pn.suffix.Free()
		pn.nextBlock.Free()
		pn.next = nil
	}
	q.linkBlock.Free()
	q.back.Free()
	q.late.Free()
	q.front, q.link = nil, nil
	if r := q.running; r != nil {
		r.slab.Free()
		r.passes, r.touched, r.pass, r.judged = nil, nil, nil, false
	}
}

// freeMemory gives scratch back, where nothing waits to be told.
func (c *changes) freeMemory() {
	c.tellScratch.freeMemory()
	c.after.Free()
	c.spare.Free()
	c.order, c.seen, c.calls = nil, nil, 0
	if len(c.list) == 0 {
		c.before.Free()
		c.list, c.index = nil, map[changeKey]uint32{}
	}
}

func (t *tellScratch) freeMemory() { *t = tellScratch{} }

// freeMemory gives scratch back, and the room of what was told.
func (f *firsts) freeMemory() {
	f.check.Free()
	f.rows, f.places, f.round, f.count, f.left, f.cells, f.at, f.hits = nil, nil, nil, nil, nil, nil, nil, nil
	dropScratch(f.found)
	f.shrinkFired()
}

// shrinkFired makes the map of what was told anew: a map keeps the room of what was deleted.
func (f *firsts) shrinkFired() {
	fired := make(map[changeKey]struct{}, len(f.fired))
	for k := range f.fired {
		fired[k] = struct{}{}
	}
	f.fired, f.firedMost = fired, len(fired)
}

// freeMemory gives scratch back.
func (o *paneOutput) freeMemory() {
	dropScratch(o.b)
	o.slab.Free()
	o.sorter.Free()
	o.all, o.kept, o.sorted, o.ordered, o.cells, o.good, o.gids, o.rows = nil, nil, nil, 0, nil, nil, nil, nil
}

// Reclaim implements Reclaimer.
func (a *SessionAgg) Reclaim() {
	a.closing, a.kept, a.chosen, a.idle = nil, nil, nil, nil
	a.changes.freeMemory()
	dropScratch(a.out)
	if a.open > 0 || a.table.Len() > 0 {
		return
	}
	a.table.Free()
	a.slab.Free()
	a.dropSessions()
	a.timers.clear() // they were of sessions that have gone
	a.saved.freeMemory()
}

// freeMemory gives scratch back.
func (c *changeSet) freeMemory() {
	c.list, c.rows, c.passed = nil, nil, nil
	dropScratch(c.before, c.after, c.pairs.out)
}

// freeMemory is called when there are no keys any more; what is to be written of those that have gone stays.
func (k *keyedState) freeMemory() {
	k.of.clear()
	k.gids = nil
	k.anew.at, k.anew.end, k.anew.left = 0, 0, 0
}

// Reclaim implements Reclaimer.
func (a *SlideAgg) Reclaim() {
	a.results.freeMemory()
	if a.table.Len() > 0 || a.Rows() > 0 {
		return
	}
	a.halves.clear()
	a.expiry.clear() // they were of keys and rows that have gone
	a.pending.clear()
	a.saved.freeMemory()
	a.saved.dirty, a.saved.done = nil, 0
}

func (r *slideResults) freeMemory() {
	dropScratch(r.b, r.pairs.out)
	r.slab.Free()
	r.list, r.rows, r.passed, r.at = nil, nil, nil, nil
}

// Reclaim implements Reclaimer: its keys wait for more rows for ever.
func (a *CountAgg) Reclaim() { a.results.freeMemory() }

// Reclaim implements Reclaimer.
func (j *IntervalJoin) Reclaim() {
	j.rows.freeMemory()
	j.admitted, j.keyPlaces, j.ids, j.loose = nil, nil, nil, nil
}

// Reclaim implements Reclaimer: versions stay until others take their places.
func (j *TemporalJoin) Reclaim() { j.rows.freeMemory() }

// freeMemory gives back chunks without rows, and without any row the rest.
func (s *timedRows) freeMemory() {
	for _, id := range s.free {
		s.chunks[id].free()
	}
	if len(s.buckets) > 0 || s.index.Len() > 0 {
		return
	}
	s.index.Free()
	s.chunks, s.free = nil, nil
}

// Reclaim implements Reclaimer. Idle keys that the checkpoint has stay until it has been told.
func (m *Match) Reclaim() {
	if m.busy <= m.table.Len()/4 {
		m.forgetIdle(func(k *matchKey) bool { return k.saved })
	}
	m.rows.freeMemory()
	m.queue.freeMemory()
	if len(m.timers.list) == 0 {
		m.timers.clear()
	}
}

// freeMemory gives back what rows do not need.
func (h *heldRows) freeMemory() {
	if len(h.free)*h.stride == len(h.words) {
		h.wordBlock.Free()
		h.textBlock.Free()
		h.freeBlock.Free()
		h.words, h.free, h.text, h.dead = nil, nil, nil, 0
	} else if h.dead > len(h.text)/2 {
		h.compact()
	}
	h.lists.freeMemory()
}

func (p *wordPool) freeMemory() {
	free := 0
	for class, list := range p.free {
		free += len(list) << class
	}
	if free == len(p.words) {
		p.clear()
	}
}

func (q *timeQueue) freeMemory() {
	if q.head == len(q.sorted) {
		q.sortedBlock.Free()
		q.sorted, q.head = nil, 0
	}
	if len(q.fresh) == 0 {
		q.freshBlock.Free()
		q.fresh = nil
	}
}

// Reclaim implements Reclaimer.
func (o *Over) Reclaim() {
	o.pending.spare, o.pending.refs = nil, nil
	if o.emitted = nil; len(o.pending.chunks) == 0 {
		o.pending.chunks = nil
	}
	o.tmp = agg.Slab{Stride: o.tmp.Stride, Mem: o.tmp.Mem}
	o.rows.freeMemory()
	if o.table.Len() == 0 {
		o.table.Free()
		o.slab.Free()
		o.partBlock.Free()
		o.cursorBlock.Free()
		o.parts, o.cursors = nil, nil
	}
}

func (r *overRows) freeMemory() {
	if r.n == 0 {
		r.clear()
	}
}

// Reclaim implements Reclaimer: what it holds goes by whole spans of time, with its memory.
func (f *FirstSeen) Reclaim() { f.seen.gids = nil }

// Reclaim implements Reclaimer, as FirstSeen.
func (s *Suppress) Reclaim() { s.passed.gids = nil }
