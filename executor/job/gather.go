package job

import (
	"bytes"
	"slices"
	"sync"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/storage/results"
)

// The result rows of stateless queries are packed by the fronts as the store packs them, so that the committer only puts those of
// each query together. Those that something is done with before they are in the store are taken apart again.

// rowRun is packed result rows of a query: where they lie in a chunk of the list that the run is in. It has no pointers: an epoch has
// as many runs as alerts, and they are sorted.
type rowRun struct {
	slot  uint32 // the query's
	chunk uint32
	size  uint32
	at, n uint16
}

// rowList is the runs of an item, with the chunks that they lie in.
type rowList struct {
	runs   []rowRun
	chunks [][]byte
}

func (l *rowList) reset() {
	clear(l.chunks)
	l.runs, l.chunks = l.runs[:0], l.chunks[:0]
}

// packed are the rows of a run.
func packed(chunks [][]byte, r *rowRun) []byte {
	to := int(r.at) + int(r.size)
	return chunks[r.chunk][r.at:to:to]
}

// chunk is where a front packs rows. Rows of several items lie in it, one behind the other.
type chunk [chunkBytes]byte

const (
	chunkBytes = 64 << 10
	// chunkSpare is what must be left for a row to be begun; one that is larger moves out.
	chunkSpare = 1 << 10
)

// rowArena packs rows.
type rowArena struct {
	chunk *chunk
	used  int
	// listed: the chunk is the one at place in the list of the item in work.
	listed bool
	place  int
	free   *sync.Pool // of *chunk
}

// room is where the next row goes. A chunk that is full goes with the item in work: rows of later items are in others.
func (a *rowArena) room(it *item) []byte {
	if a.chunk == nil || chunkBytes-a.used < chunkSpare {
		if a.chunk != nil {
			it.full = append(it.full, a.chunk)
		}
		a.chunk, _ = a.free.Get().(*chunk)
		if a.chunk == nil {
			a.chunk = new(chunk)
		}
		a.used, a.listed = 0, false
	}
	if !a.listed {
		a.listed, a.place = true, len(it.rows.chunks)
		it.rows.chunks = append(it.rows.chunks, a.chunk[:])
	}
	return a.chunk[a.used:a.used]
}

// encode makes result rows of the columns cols.
func (f *front) encode(fq *frontQuery, b *batch.Batch, sel []uint32) {
	list, together := f.it.rows, f.block.has(fq.cols) && b == f.fb.b
	for len(sel) > 0 {
		dst := f.rows.room(f.it)
		limit, n := cap(dst)-chunkSpare, 0
		for n < len(sel) && len(dst) <= limit {
			if together {
				dst = results.AppendRow(dst, byte(b.Op(int(sel[n]))), f.block.rows.Row(sel[n]))
				n++
				continue
			}
			r := int(sel[n])
			row, at := results.OpenRow(dst, byte(b.Op(r)))
			dst = results.CloseRow(codec.AppendBatchRow(row, b, fq.cols, r), at)
			n++
		}
		run := rowRun{slot: fq.slot, size: uint32(len(dst)), n: uint16(n)}
		if len(dst) <= limit+chunkSpare {
			run.chunk, run.at = uint32(f.rows.place), uint16(f.rows.used)
			f.rows.used += len(dst)
		} else { // it has moved out
			run.chunk = uint32(len(list.chunks))
			list.chunks = append(list.chunks, dst)
		}
		list.runs = append(list.runs, run)
		sel = sel[n:]
	}
}

// slots gives the queries in service small numbers. Guarded by the engine's mutex.
type slots struct {
	free    []uint32
	queries []*query // by slot
}

// take gives a query its slot.
func (s *slots) take(q *query) {
	if n := len(s.free); n > 0 {
		q.slot = s.free[n-1]
		s.free, s.queries[q.slot] = s.free[:n-1], q
		return
	}
	q.slot = uint32(len(s.queries))
	s.queries = append(s.queries, q)
}

// give takes it back.
func (s *slots) give(q *query) {
	s.free, s.queries[q.slot] = append(s.free, q.slot), nil
}

// giveSlots takes the slots back of queries that left with an epoch: what they made before it is in the store.
func (e *Engine) giveSlots(ep *epoch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, q := range ep.detach {
		e.slots.give(q)
	}
	for _, x := range ep.succeed {
		for _, part := range x.old.all() {
			e.slots.give(part)
		}
	}
}

// queryRuns are the runs of one query in an epoch.
type queryRuns struct {
	q    *query
	runs []rowRun
	rows int
}

// grouper sorts runs by their queries. The committer's; it keeps its memory from epoch to epoch.
type grouper struct {
	counts []uint32 // by slot
	found  []uint32 // slots
	runs   []rowRun
	groups []queryRuns
	// chunks are those of all lists: the runs of groups tell places in them.
	chunks [][]byte
}

// group sorts the runs of all lists by slot; those of one query keep their order. queries are by slot, at least those that have runs.
// What it returns is valid until the next call.
func (g *grouper) group(lists []*rowList, queries []*query) []queryRuns {
	total := 0
	g.found = g.found[:0]
	if n := len(queries); n > len(g.counts) {
		g.counts = make([]uint32, n+n/2)
	}
	for _, list := range lists {
		total += len(list.runs)
		for i := range list.runs {
			slot := list.runs[i].slot
			if g.counts[slot] == 0 {
				g.found = append(g.found, slot)
			}
			g.counts[slot]++
		}
	}
	slices.Sort(g.found) // what is known of queries lies about in the order of their slots
	if cap(g.runs) < total || cap(g.runs) > 1<<16 && cap(g.runs) > 8*total {
		g.runs = make([]rowRun, total)
	}
	g.runs = g.runs[:total]
	at := uint32(0)
	for _, slot := range g.found {
		at, g.counts[slot] = at+g.counts[slot], at
	}
	clear(g.chunks)
	g.chunks = g.chunks[:0]
	for _, list := range lists {
		first := uint32(len(g.chunks))
		g.chunks = append(g.chunks, list.chunks...)
		for i := range list.runs {
			r := &list.runs[i]
			to := g.counts[r.slot]
			g.counts[r.slot] = to + 1
			g.runs[to] = *r
			g.runs[to].chunk += first
		}
	}
	clear(g.groups)
	g.groups = g.groups[:0]
	from := uint32(0)
	for _, slot := range g.found {
		x := queryRuns{q: queries[slot], runs: g.runs[from:g.counts[slot]]}
		for i := range x.runs {
			x.rows += int(x.runs[i].n)
		}
		g.groups = append(g.groups, x)
		from, g.counts[slot] = g.counts[slot], 0
	}
	return g.groups
}

// unpack takes rows apart.
func (x *queryRuns) unpack(chunks [][]byte) []outRow {
	rows := make([]outRow, 0, x.rows)
	for i := range x.runs {
		results.EachPacked(bytes.Clone(packed(chunks, &x.runs[i])), int(x.runs[i].n), func(op byte, data []byte) {
			rows = append(rows, outRow{op: batch.Op(op), data: data})
		})
	}
	return rows
}

// gathered are an epoch's result rows: of each query in one of the two.
type gathered struct {
	rows   map[*query][]outRow
	groups []queryRuns
	chunks [][]byte // that the groups' runs lie in
	// first are the offsets of the first rows of the queries that others read.
	first map[*query]int64
	// many are the queries of which rows were set aside; they are in none of the others.
	many []*manyRows
}

// gather collects the epoch's result rows: stateless ones in the order of the input, then those of the workers.
func (e *Engine) gather(ep *epoch) *gathered {
	var all [][]queryRow
	take := func(o *epochOut) {
		all = append(all, o.rows)
		for _, f := range o.failed {
			f.q.fail(ep.n)
		}
	}
	take(&ep.order)
	for _, c := range ep.changes {
		for i := range c.Corrections {
			if q := e.queryByID(c.Corrections[i].QueryID); q != nil {
				var list []queryRow
				for _, row := range c.Corrections[i].rows {
					list = append(list, queryRow{q, row})
				}
				all = append(all, list)
			}
		}
	}
	for i := range ep.outs {
		take(&ep.outs[i])
	}
	out := &gathered{rows: byQuery(all), first: map[*query]int64{}}
	e.gatherAside(ep, out)
	e.gatherRuns(ep, out)
	for q, list := range out.rows {
		if len(ep.outs) > 1 {
			sortSteps(list)
		}
		if q.spec.Updates {
			out.rows[q] = mergeUpdates(list)
		}
		if q.deadIn(ep.n) {
			delete(out.rows, q)
		}
	}
	return out
}

// gatherRuns collects what the fronts have packed.
func (e *Engine) gatherRuns(ep *epoch, out *gathered) {
	for i := range ep.feeds {
		ep.feeds[i].q.fedIn = ep.n
	}
	if len(ep.order.lists) == 0 {
		return
	}
	e.mu.RLock()
	queries := e.slots.queries // more may be appended; those that have runs stay until the epoch is in the store
	e.mu.RUnlock()
	groups := e.grouper.group(ep.order.lists, queries)
	out.groups, out.chunks = groups[:0], e.grouper.chunks
	for _, x := range groups {
		also := false
		if len(out.rows) > 0 {
			_, also = out.rows[x.q]
		}
		many := out.manyOf(x.q)
		switch {
		case x.q.deadIn(ep.n):
		case many != nil:
			many.first = x.unpack(out.chunks)
		case also || x.q.updates || x.q.fedIn == ep.n || x.q.rowsLimited.Load():
			out.rows[x.q] = append(x.unpack(out.chunks), out.rows[x.q]...)
		default:
			out.groups = append(out.groups, x)
		}
	}
}

// deadIn reports that what the query makes in an epoch is dropped.
func (q *query) deadIn(epoch uint64) bool {
	from := q.owner.deadFrom.Load()
	return from != 0 && from <= epoch
}

// recycle gives back the memory of what is in the store.
func (e *Engine) recycle(ep *epoch) {
	for _, list := range ep.order.lists {
		list.reset()
		e.rowLists.Put(list)
	}
	for _, c := range ep.order.full {
		e.chunks.Put(c)
	}
	ep.order.lists, ep.order.full = nil, nil
}

// putRows puts the epoch's results into b, those that are many ahead of it into the store, and counts them.
func (e *Engine) putRows(b batchKV, ep *epoch, all *gathered) (*results.Put, error) {
	p := e.results.Begin(b, ep.n, int64(ep.clock))
	e.putting.Store(int64(len(all.rows) + len(all.groups)))
	m := meter{now: e.costs.now, at: e.costs.now()}
	for _, x := range all.many {
		if err := e.putMany(ep, p, x); err != nil {
			return nil, err
		}
		e.costs.gather(x.q, m.lap(), 0)
	}
	for q, list := range all.rows {
		all.first[q] = p.Query(e.changelog(q))
		for i := range list {
			p.Row(byte(list[i].op), list[i].data)
		}
		q.stats.RowsOut.Add(int64(len(list)))
		e.costs.gather(q, m.lap(), 0)
	}
	rows := 0
	for i := range all.groups {
		if i%warmAhead == 0 {
			e.warm(all.chunks, all.groups[i:min(i+warmAhead, len(all.groups))])
		}
		x := &all.groups[i]
		p.Query(e.changelog(x.q))
		for j := range x.runs {
			p.Packed(packed(all.chunks, &x.runs[j]), int(x.runs[j].n))
		}
		x.q.stats.RowsOut.Add(int64(x.rows))
		rows += x.rows
	}
	p.End()
	e.costs.published(ep, all, float64(m.lap())/float64(max(1, rows)))
	return p, nil
}

// warmAhead is for how many queries what putRows reads is asked for at once.
const warmAhead = 32

// warm asks for what putRows needs of queries: it lies all over the memory, and to wait for one after the other takes several times as
// long.
func (e *Engine) warm(chunks [][]byte, groups []queryRuns) {
	sum := uint64(0)
	for i := range groups {
		x := &groups[i]
		sum += e.changelog(x.q).ID() + uint64(x.q.stats.RowsOut.Load())
		for j := range x.runs {
			sum += uint64(chunks[x.runs[j].chunk][x.runs[j].at])
		}
	}
	e.warmed = sum
}

// changelog is where a query's results go. The committer's.
func (e *Engine) changelog(q *query) *results.Changelog {
	if q.log == nil {
		q.log = e.results.Changelog(q.spec.ID)
	}
	return q.log
}
