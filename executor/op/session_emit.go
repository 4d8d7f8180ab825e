package op

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// segment is a run of rows of the batch being processed whose groups are known and that are not yet folded.
type segment struct {
	number uint32 // of the segment, for ever new
	b      *batch.Batch
	rows   []uint32
	gids   []uint32
	// evaluated is the number of rows of the whole batch whose arguments were evaluated last, 0 when it was a part of them.
	evaluated int
}

func (s *segment) begin(b *batch.Batch, rows int) {
	s.number++
	s.b, s.evaluated = b, rows
	s.rows, s.gids = s.rows[:0], s.gids[:0]
}

func (s *segment) add(row, gid uint32) { s.rows, s.gids = append(s.rows, row), append(s.gids, gid) }

// flush folds the rows so far into their sessions; with EMIT FIRST it then tells the sessions for which HAVING has become
// true.
func (a *SessionAgg) flush(out Emitter) error {
	s := &a.seg
	if err := a.capture(); err != nil {
		return err
	}
	if len(s.rows) > 0 {
		if len(s.rows) != s.evaluated {
			if err := a.evalArgs(s.b, s.rows); err != nil {
				return err
			}
			s.evaluated = 0
		}
		if err := a.update(&a.slab, s.rows, s.gids); err != nil {
			return err
		}
		if a.mode == spec.EmitFirst {
			if err := a.tellFirst(out); err != nil {
				return err
			}
		}
	}
	s.number++
	s.rows, s.gids = s.rows[:0], s.gids[:0]
	return nil
}

// tellFirst sends the sessions of the segment that have not been told and pass HAVING; each has one row in it.
func (a *SessionAgg) tellFirst(out Emitter) error {
	a.closing = a.closing[:0]
	for _, gid := range a.seg.gids {
		if se := &a.sessions[gid]; se.flags&sessionShown == 0 {
			a.closing = append(a.closing, outRow{gid: gid, key: se.key, start: se.start, end: a.end(se)})
		}
	}
	for rows := a.closing; len(rows) > 0; {
		n := min(len(rows), batch.RowsMax)
		if err := a.emitRows(rows[:n], out); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// changeSet is what a batch changes among rows of the output that exist already: the rows before and after it.
type changeSet struct {
	list          []touchedSession
	captured      int // so many of list have their row before in before
	before, after *batch.Batch
	pairs         changeWriter
	rows          []outRow
	passed        []uint32
}

func (c *changeSet) bytes() int64 {
	return capBytes(c.list) + capBytes(c.rows) + capBytes(c.passed) + scratchBytes(c.before) + scratchBytes(c.after)
}

// touchedSession is a session that the batch touches, as it was before.
type touchedSession struct {
	row    outRow
	shown  bool
	before int // its row in before, when shown
	after  int // its row in after, -1 for none
}

func (c *changeSet) init(schema *types.Schema) {
	c.before, c.after = batch.New(schema, nil), batch.New(schema, nil)
	c.pairs.out = batch.New(schema, nil)
}

// touch remembers a session as it is, before its first change in the batch.
func (a *SessionAgg) touch(at uint32) {
	se := &a.sessions[at-1]
	if se.mark != 0 || !a.tracks() {
		return
	}
	a.changes.list = append(a.changes.list, touchedSession{after: -1, shown: se.flags&sessionShown != 0,
		row: outRow{gid: at - 1, key: se.key, start: se.start, end: a.end(se)}})
	se.mark = uint32(len(a.changes.list))
}

// capture fills in the rows before of the sessions touched since the last time; their states are still as they were.
func (a *SessionAgg) capture() error {
	c := &a.changes
	c.rows = c.rows[:0]
	for i := c.captured; i < len(c.list); i++ {
		if ch := &c.list[i]; ch.shown {
			ch.before = c.before.N + len(c.rows)
			c.rows = append(c.rows, ch.row)
		}
	}
	c.captured = len(c.list)
	_, err := a.fill(c.before, &a.slab, &a.table, c.rows)
	return err
}

// finish ends a batch: it sends what has changed and lets go of keys that have no session.
func (a *SessionAgg) finish(out Emitter) error {
	if a.tracks() {
		if err := a.sendChanges(out); err != nil {
			return err
		}
	}
	for _, key := range a.idle {
		a.dropIdle(key)
	}
	a.idle = a.idle[:0]
	return nil
}

func (a *SessionAgg) sendChanges(out Emitter) error {
	c := &a.changes
	c.rows = c.rows[:0]
	for i := range c.list {
		id := c.list[i].row.gid
		se := &a.sessions[id]
		se.mark = 0
		if se.flags&sessionGone != 0 {
			a.giveBack(id)
			continue
		}
		se.flags &^= sessionShown
		end := a.end(se)
		if a.mode == spec.EmitFinal {
			se.flags &^= sessionClosed
			if end > int64(a.watermark) {
				a.schedule(id) // it is open, perhaps again
				continue
			}
			se.flags |= sessionClosed
		}
		c.rows = append(c.rows, outRow{gid: id, key: se.key, start: se.start, end: end, tag: uint32(i)})
	}
	rows, err := a.fill(c.after, &a.slab, &a.table, c.rows)
	if err != nil {
		return err
	}
	if c.passed, err = a.passing(c.after, c.passed[:0]); err != nil {
		return err
	}
	for _, i := range c.passed {
		c.list[rows[i].tag].after = int(i)
		a.sessions[rows[i].gid].flags |= sessionShown
	}
	err = c.write(out)
	c.list, c.captured = c.list[:0], 0
	c.before.Reset(nil)
	c.after.Reset(nil)
	return err
}

// write sends the changes in order.
func (c *changeSet) write(out Emitter) error {
	for i := range c.list {
		before := -1
		if c.list[i].shown {
			before = c.list[i].before
		}
		if err := c.pairs.change(c.before, before, c.after, c.list[i].after, out); err != nil {
			return err
		}
	}
	return c.pairs.flush(out)
}

// changeWriter makes a changelog of rows before and after.
type changeWriter struct {
	out  *batch.Batch
	a, b []byte // scratch
}

// change adds what turns row i of before into row j of after; -1 is no row.
func (w *changeWriter) change(before *batch.Batch, i int, after *batch.Batch, j int, out Emitter) error {
	switch {
	case i >= 0 && j >= 0:
		if w.equal(before, i, after, j) {
			return nil
		}
		w.add(before, i, batch.UpdateBefore)
		w.add(after, j, batch.UpdateAfter)
	case i >= 0:
		w.add(before, i, batch.Delete)
	case j >= 0:
		w.add(after, j, batch.Insert)
	}
	if w.out.N < batch.RowsMax-1 {
		return nil
	}
	return w.flush(out)
}

func (w *changeWriter) equal(a *batch.Batch, i int, b *batch.Batch, j int) bool {
	w.a, w.b = w.a[:0], w.b[:0]
	for col := range a.Cols {
		w.a, w.b = batch.AppendKey(w.a, &a.Cols[col], i), batch.AppendKey(w.b, &b.Cols[col], j)
	}
	return string(w.a) == string(w.b)
}

func (w *changeWriter) add(b *batch.Batch, i int, op batch.Op) {
	for col := range w.out.Cols {
		w.out.Cols[col].AppendFrom(&b.Cols[col], i)
	}
	w.out.Ops = append(w.out.Ops, op)
	w.out.N++
}

func (w *changeWriter) flush(out Emitter) error {
	if w.out.N == 0 {
		return nil
	}
	err := out.Emit(Input{B: w.out, Sel: batch.All(w.out.N)})
	w.out.Reset(nil)
	return err
}
