package job

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/storage/results"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// The results of one epoch have no bound: a window may close with millions of groups. What a worker has too many rows of it sorts and sets
// aside in state memory, which moves to the disk when there is too much of it, run by run; the committer merges the runs of all workers
// and writes the rows ahead of the epoch's commit. See docs/design/0006-memory.md.

const (
	// asideLeast and asideMost bound what a worker holds of an epoch's results on the Go heap, bytes; between them it is the
	// asidePart-th part of the budget, of all workers together.
	asideLeast, asideMost = 1 << 20, 16 << 20
	asidePart             = 32
	// asideBlock is the size of the pieces in which runs lie: they are given back one by one as rows are merged. asideRuns is how many
	// runs are merged at a time, and so how many pieces are in memory then.
	asideBlock = 64 << 10
	asideRuns  = 32
	// asideRow is about what a row takes on the Go heap beside its bytes, until it is in the store.
	asideRow = 160
)

// asideBytes is how much a worker holds on the Go heap.
func (c *Config) asideBytes() int {
	if c.ResultBytes > 0 {
		return c.ResultBytes
	}
	if c.Memory <= 0 {
		return asideMost
	}
	return int(min(asideMost, max(asideLeast, c.Memory/asidePart/int64(c.Workers))))
}

// sideRun is rows of a query, in their order. The worker that made it does not touch it any more when the epoch has ended.
type sideRun struct {
	q      *query
	blocks []sideBlock
	// level is how often its rows have been merged.
	level int
}

type sideBlock struct {
	data []byte
	mem  arena.Block
}

// Emit implements op.Emitter: changes of the query's result, encoded.
func (wq *workerQuery) Emit(in op.Input) error {
	out := wq.w.out
	if wq.w.epoch.replay { // they are known
		return nil
	}
	if out.empty() {
		wq.w.e.resultWaits()
	}
	for _, r := range in.Sel {
		wq.rowIn = in.B.Row(wq.rowIn[:0], int(r))
		row := outRow{op: in.B.Op(int(r)), data: codec.AppendRow(nil, wq.rowIn)}
		row.step = 2 * wq.w.steps
		if wq.w.advancing && wq.timeCol >= 0 {
			row.step, row.time = row.step+1, wq.rowIn[wq.timeCol].I
		}
		out.add(wq.q, row)
	}
	if out.rowBytes > wq.w.asideAt {
		wq.w.setAside()
	}
	return nil
}

// setAside takes the rows that a worker has to state memory. Rows that take others back stay with them, so that of each query one row may
// remain.
func (w *worker) setAside() {
	byQuery := map[*query][]outRow{}
	for i := range w.out.rows {
		x := &w.out.rows[i]
		byQuery[x.q] = append(byQuery[x.q], x.row)
	}
	rest := w.out.rows[:0]
	for q, rows := range byQuery {
		if n := len(rows) - 1; rows[n].op == batch.UpdateBefore {
			rest, rows = append(rest, queryRow{q, rows[n]}), rows[:n]
		}
		if len(rows) > 0 {
			w.addRun(w.runOf(q, rows))
		}
	}
	clear(w.out.rows[len(rest):])
	w.out.rows, w.out.rowBytes = rest, 0
}

// setRestAside completes the runs of the queries that have some, as the epoch ends.
func (w *worker) setRestAside() error {
	if len(w.out.aside) == 0 {
		return nil
	}
	late := map[*query][]outRow{}
	rest := w.out.rows[:0]
	for _, x := range w.out.rows {
		if len(w.out.aside[x.q]) > 0 {
			late[x.q] = append(late[x.q], x.row)
		} else {
			rest = append(rest, x)
		}
	}
	clear(w.out.rows[len(rest):])
	w.out.rows = rest
	for q, rows := range late {
		w.addRun(w.runOf(q, rows))
	}
	return nil
}

// addRun adds a run to those of its query. When there are many of one level, the last ones of the query, they become one of the next.
func (w *worker) addRun(run sideRun) {
	if w.out.aside == nil {
		w.out.aside = map[*query][]sideRun{}
	}
	runs := append(w.out.aside[run.q], run)
	for n := len(runs); n >= asideRuns && runs[n-asideRuns].level == runs[n-1].level; n = len(runs) {
		merged := w.mergeRuns(runs[n-asideRuns:])
		clear(runs[n-asideRuns:])
		runs = append(runs[:n-asideRuns], merged)
	}
	w.out.aside[run.q] = runs
}

// mergeRuns makes one run of several, which are gone then.
func (w *worker) mergeRuns(runs []sideRun) sideRun {
	m := manyRows{runs: runs}
	to := runWriter{mem: w.aside, run: sideRun{q: runs[0].q, level: runs[0].level + 1}, left: math.MaxInt}
	_ = m.each(len(w.e.workers) > 1, func(unit []outRow) error { // it fails where that does
		to.add(unit)
		return nil
	})
	return to.end()
}

// runOf makes a run of rows.
func (w *worker) runOf(q *query, rows []outRow) sideRun {
	if len(w.e.workers) > 1 {
		sortSteps(rows)
	}
	to := runWriter{mem: w.aside, run: sideRun{q: q}, left: sideSize(rows)}
	for len(rows) > 0 {
		unit := unitOf(rows)
		rows = rows[len(unit):]
		to.add(unit)
	}
	run := to.end()
	for i := range run.blocks {
		w.e.setAside.Add(int64(len(run.blocks[i].data)))
	}
	return run
}

// runWriter makes a run.
type runWriter struct {
	mem *arena.Part
	run sideRun
	at  sideBlock
	// left is the most that the rows take which are still to come.
	left int
}

// add adds a unit, which is in one block.
func (w *runWriter) add(unit []outRow) {
	size := sideSize(unit)
	if len(w.at.data)+size > cap(w.at.data) {
		w.endBlock()
		w.at.data = arena.Grow(w.mem, &w.at.mem, w.at.data, max(min(asideBlock, w.left), size))
	}
	w.left -= size
	for i := range unit {
		w.at.data = appendSide(w.at.data, &unit[i])
	}
}

func (w *runWriter) endBlock() {
	if len(w.at.data) > 0 {
		w.run.blocks = append(w.run.blocks, w.at)
	}
	w.at = sideBlock{}
}

func (w *runWriter) end() sideRun {
	w.endBlock()
	return w.run
}

// free gives the memory back.
func (r *sideRun) free() {
	for i := range r.blocks {
		r.blocks[i].mem.Free()
	}
	r.blocks = nil
}

// unitOf is the rows that begin a list and stay together: one, or the two halves of an update.
func unitOf(rows []outRow) []outRow {
	if rows[0].op == batch.UpdateBefore && len(rows) > 1 {
		return rows[:2]
	}
	return rows[:1]
}

// sideSize is the most that rows take in a run.
func sideSize(rows []outRow) (n int) {
	for i := range rows {
		n += len(rows[i].data) + sideHead
	}
	return n
}

// sideHead is the most that appendSide adds to a row.
const sideHead = 1 + 4*binary.MaxVarintLen64

func appendSide(dst []byte, row *outRow) []byte {
	dst = append(dst, byte(row.op))
	dst = binary.AppendUvarint(dst, uint64(row.step))
	dst = binary.AppendVarint(dst, row.time)
	dst = binary.AppendUvarint(dst, uint64(len(row.data)))
	return append(dst, row.data...)
}

// nextSide reads what appendSide appended; data is not copied.
func nextSide(src []byte) (row outRow, rest []byte) {
	row.op = batch.Op(src[0])
	src = src[1:]
	step, n := binary.Uvarint(src)
	src = src[n:]
	row.step = uint32(step)
	row.time, n = binary.Varint(src)
	src = src[n:]
	size, n := binary.Uvarint(src)
	row.data = src[n : n+int(size)]
	return row, src[n+int(size):]
}

// compareSteps is the order of an epoch's rows; 0: rows of the same place, which stay in the order in which they came.
func compareSteps(x, y *outRow) int {
	if x.step != y.step || x.step%2 == 0 {
		return cmp.Compare(x.step, y.step)
	}
	return cmp.Or(cmp.Compare(x.time, y.time), bytes.Compare(x.data, y.data))
}

// sideReader gives the units of a run, or of rows on the Go heap.
type sideReader struct {
	run  sideRun
	rest []byte
	rows []outRow
	unit [2]outRow
	n    int
	// at is its place among the readers: of two with rows of the same place the first one's come first.
	at int
}

// next moves to the next unit; false: there is none. What the last one's rows were made of is not valid any more.
func (r *sideReader) next() bool {
	r.n = 0
	if len(r.rows) > 0 {
		r.n = copy(r.unit[:], unitOf(r.rows))
		r.rows = r.rows[r.n:]
		return true
	}
	for len(r.rest) == 0 {
		if len(r.run.blocks) == 0 {
			return false
		}
		if r.rest != nil {
			r.run.blocks[0].mem.Free()
			r.run.blocks = r.run.blocks[1:]
		}
		if r.rest = nil; len(r.run.blocks) > 0 {
			r.rest = r.run.blocks[0].data
		}
	}
	r.unit[0], r.rest = nextSide(r.rest)
	if r.n = 1; r.unit[0].op == batch.UpdateBefore && len(r.rest) > 0 {
		r.unit[1], r.rest = nextSide(r.rest)
		r.n = 2
	}
	return true
}

// manyRows are the rows of a query in an epoch of which some were set aside.
type manyRows struct {
	q *query
	// first come before all others, whatever their order is.
	first []outRow
	runs  []sideRun
	// rows on the Go heap, in their order.
	rows []outRow
	// published are how many came into the store, from the offset from on.
	published, from int64
}

// each calls fn for all rows in their order, in units. Rows of a unit are valid during the call only.
func (m *manyRows) each(sorted bool, fn func(unit []outRow) error) error {
	for rows := m.first; len(rows) > 0; {
		unit := unitOf(rows)
		if err := fn(unit); err != nil {
			return err
		}
		rows = rows[len(unit):]
	}
	h := sideHeap{sorted: sorted}
	h.add(&sideReader{rows: m.rows})
	for i := range m.runs {
		h.add(&sideReader{run: m.runs[i], at: i + 1})
	}
	for len(h.list) > 0 {
		r := h.list[0]
		if err := fn(r.unit[:r.n]); err != nil {
			return err
		}
		h.advance()
	}
	return nil
}

// sideHeap has the reader on top whose unit comes first.
type sideHeap struct {
	list []*sideReader
	// sorted: all runs are; else those of one reader come before those of the next.
	sorted bool
}

func (h *sideHeap) less(a, b *sideReader) bool {
	if h.sorted {
		if c := compareSteps(&a.unit[0], &b.unit[0]); c != 0 {
			return c < 0
		}
	}
	return a.at < b.at
}

func (h *sideHeap) add(r *sideReader) {
	if !r.next() {
		return
	}
	h.list = append(h.list, r)
	for i := len(h.list) - 1; i > 0 && h.less(h.list[i], h.list[(i-1)/2]); i = (i - 1) / 2 {
		h.list[i], h.list[(i-1)/2] = h.list[(i-1)/2], h.list[i]
	}
}

// advance moves the top reader on.
func (h *sideHeap) advance() {
	if !h.list[0].next() {
		last := len(h.list) - 1
		h.list[0] = h.list[last]
		h.list[last] = nil
		h.list = h.list[:last]
	}
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h.list); c++ {
			if h.less(h.list[c], h.list[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		h.list[i], h.list[least] = h.list[least], h.list[i]
		i = least
	}
}

// gatherAside collects the queries of which rows were set aside, and takes them out of the others.
func (e *Engine) gatherAside(ep *epoch, out *gathered) {
	for i := range ep.outs {
		for q, runs := range ep.outs[i].aside {
			m := out.manyOf(q)
			if m == nil {
				m = &manyRows{q: q, rows: out.rows[q]}
				if len(ep.outs) > 1 {
					sortSteps(m.rows)
				}
				delete(out.rows, q)
				out.many = append(out.many, m)
			}
			m.runs = append(m.runs, runs...)
		}
		ep.outs[i].aside = nil
	}
	slices.SortFunc(out.many, func(a, b *manyRows) int { return cmp.Compare(a.q.spec.ID, b.q.spec.ID) })
	live := out.many[:0]
	for _, m := range out.many {
		if !m.q.deadIn(ep.n) {
			live = append(live, m)
			continue
		}
		for i := range m.runs {
			m.runs[i].free()
		}
	}
	out.many = live
}

// manyOf finds a query among those of which rows were set aside: they are few, and mostly none.
func (g *gathered) manyOf(q *query) *manyRows {
	for _, m := range g.many {
		if m.q == q {
			return m
		}
	}
	return nil
}

// mergeBytes is of how many rows that are updated states in between are left out, bytes: of all of an epoch where it has fewer.
const mergeBytes = 4 << 20

// putMany writes the rows of a query of which some were set aside to the store, ahead of the commit of their epoch.
func (e *Engine) putMany(ep *epoch, p *results.Put, m *manyRows) error {
	log, err := p.Large(e.changelog(m.q))
	if err != nil {
		return err
	}
	m.from = log.First()
	allowed, total, whole := e.rowsAllowed(ep, m.q), int64(0), true
	put := func(unit []outRow) error {
		total += int64(len(unit))
		if whole = whole && m.published+int64(len(unit)) <= allowed; !whole {
			return nil
		}
		m.published += int64(len(unit))
		for i := range unit {
			if err := log.Row(byte(unit[i].op), unit[i].data); err != nil {
				return err
			}
		}
		return nil
	}
	each := m.each
	if m.q.spec.Updates {
		each = m.eachMerged
	}
	if err := each(len(ep.outs) > 1, put); err != nil {
		return err
	}
	e.rowsPut(ep, m.q, m.published, total)
	m.q.stats.RowsOut.Add(m.published)
	return log.End()
}

// eachMerged is each for rows that are updated: of several changes of a row that come soon after each other the first state and the last
// are left, as mergeUpdates leaves them.
func (m *manyRows) eachMerged(sorted bool, fn func(unit []outRow) error) error {
	var rows []outRow
	size := 0
	flush := func() error {
		for merged := mergeUpdates(rows); len(merged) > 0; {
			unit := unitOf(merged)
			if err := fn(unit); err != nil {
				return err
			}
			merged = merged[len(unit):]
		}
		rows, size = rows[:0], 0
		return nil
	}
	err := m.each(sorted, func(unit []outRow) error {
		for _, row := range unit {
			row.data = bytes.Clone(row.data)
			rows, size = append(rows, row), size+len(row.data)+asideRow
		}
		if size > mergeBytes {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// rowsAllowed is how many rows of a query an epoch may publish by its limits, and rowsPut notes that of total ones so many were.
func (e *Engine) rowsAllowed(ep *epoch, q *query) int64 {
	r, l := &q.rows, q.limits.Load()
	if minute := int64(ep.clock) / minuteMicros; r.minute != minute {
		r.minute, r.published = minute, 0
	}
	if q.owner != q || l.RowsPerMinute <= 0 || ep.corrects(q) {
		return math.MaxInt64
	}
	return max(0, l.RowsPerMinute-r.published)
}

func (e *Engine) rowsPut(ep *epoch, q *query, published, total int64) {
	if q.owner != q {
		return
	}
	q.rows.published += published
	if published < total {
		e.overRows(ep, q, q.limits.Load(), total-published)
	}
}
