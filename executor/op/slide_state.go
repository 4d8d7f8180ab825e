package op

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/state"
)

// slideState keeps account of what the checkpoint holds of the rows of a SlideAgg. Rows hardly ever change: each is written
// once, to the slice of time in which it ends to count, and goes with that.
type slideState struct {
	keyedState
	dirty []uint32 // rows whose flag says so, and some that have gone; each once
	done  int      // so many of them are written
}

// touch notes that a row has to be written.
func (s *slideState) touch(row *slideRow, id uint32) {
	if row.flags&slideListed == 0 {
		s.dirty = append(s.dirty, id)
	}
	row.flags |= slideDirty | slideListed
}

// forget is told of a row that is let go.
func (s *slideState) forget(row *slideRow, due int64) {
	if row.flags&slideSaved == 0 {
		return
	}
	start := s.sliceOf(due)
	if i, ok := slices.BinarySearchFunc(s.slices, start, func(x savedSlice, start int64) int { return cmp.Compare(x.start, start) }); ok {
		s.slices[i].live--
	}
}

// Snapshot implements Stateful: the rows that are new since the last one, or whose HAVING has changed.
func (a *SlideAgg) Snapshot(out StateWriter) error {
	if err := a.snapshot(out); err != nil {
		return fmt.Errorf("snapshot of sliding windows: %w", err)
	}
	return nil
}

func (a *SlideAgg) snapshot(out StateWriter) error {
	s := &a.saved
	if _, err := a.save(out, savePart{math.MaxInt, cutAnewMost}); err != nil {
		return err
	}
	kept := s.slices[:0]
	for _, sl := range s.slices {
		if satAdd(sl.start, s.width) <= int64(a.watermark) {
			if err := out.Drop(sl.start); err != nil {
				return err
			}
			continue
		}
		kept = append(kept, sl)
	}
	s.slices = kept
	return s.tellWatermark(&a.windowCalls, out)
}

// Changed implements AheadCopier.
func (a *SlideAgg) Changed() int {
	s := &a.saved
	n := len(s.dirty) - s.done + s.anew.left
	for i := range s.slices {
		if s.slices[i].worn() {
			n += s.slices[i].live
		}
	}
	return n
}

// CopyAhead implements AheadCopier.
func (a *SlideAgg) CopyAhead(out StateWriter, most int) (int, error) {
	n, err := a.save(out, savePart{most, math.MaxInt})
	if err != nil {
		return n, fmt.Errorf("copy of sliding windows: %w", err)
	}
	return n, nil
}

// save writes about most rows that are new or have changed, or lie in slices that are written anew.
func (a *SlideAgg) save(out StateWriter, part savePart) (int, error) {
	s := &a.saved
	s.seq++
	if err := s.forgetSeen(out); err != nil {
		return 0, err
	}
	if err := a.beginAnew(part.anewMost, out); err != nil {
		return 0, err
	}
	w := blockWriter{k: &s.keyedState, c: &a.windowCalls, out: out}
	n := 0
	for ; s.done < len(s.dirty) && n < part.most; s.done++ {
		n++
		row := &a.rows[s.dirty[s.done]]
		dirty := row.flags&slideDirty != 0 // else it has gone
		row.flags &^= slideDirty | slideListed
		if !dirty {
			continue
		}
		if err := a.saveRow(&w, s.dirty[s.done]); err != nil {
			return n, err
		}
	}
	if s.done == len(s.dirty) {
		s.dirty, s.done = s.dirty[:0], 0
	}
	more, err := a.saveAnew(&w, part.most-n)
	if err != nil {
		return n, err
	}
	return n + more, w.closeAll()
}

// beginAnew is keyedState's for rows.
func (a *SlideAgg) beginAnew(most int, out StateWriter) error {
	err := a.saved.keyedState.beginAnew(most, out)
	if x := &a.saved.anew; x.at == 0 {
		x.end = len(a.rows)
	}
	return err
}

// saveAnew writes about most rows of slices that are written anew.
func (a *SlideAgg) saveAnew(w *blockWriter, most int) (n int, err error) {
	s, x := &a.saved, &a.saved.anew
	if len(x.starts) == 0 {
		return 0, nil
	}
	looked := 0
	for ; x.at < x.end && n+looked/scanShare < most; x.at++ {
		looked++
		row := &a.rows[x.at]
		if row.flags&slideSaved == 0 || !slices.Contains(x.starts, s.sliceOf(a.expires(row.t))) {
			continue
		}
		if err := a.saveRow(w, uint32(x.at)); err != nil {
			return n, err
		}
		n++
	}
	x.left = max(0, x.left-n)
	if x.at == x.end {
		*x = slicesAnew{starts: x.starts[:0]}
	}
	return n + looked/scanShare, nil
}

// saveRow writes a row.
func (a *SlideAgg) saveRow(w *blockWriter, id uint32) error {
	s, row := &a.saved, &a.rows[id]
	s.entry = a.appendRow(s.entry[:0], id)
	start := s.sliceOf(a.expires(row.t))
	account := s.at(start)
	account.written++
	if row.flags&slideSaved == 0 {
		account.live++
	}
	row.flags |= slideSaved
	return w.put(start, a.table.Key(row.key), s.entry)
}

// appendRow writes what there is of a row.
func (a *SlideAgg) appendRow(dst []byte, id uint32) []byte {
	row := &a.rows[id]
	dst = binary.AppendUvarint(dst, row.seq)
	dst = binary.AppendVarint(dst, row.t)
	return a.appendStates(append(dst, row.flags&slideKept), &a.own, id)
}

func (a *SlideAgg) writeAll(out StateWriter) error {
	w := blockWriter{k: &keyedState{form: a.saved.form, width: a.saved.width, seq: 1}, c: &a.windowCalls, out: out}
	var entry []byte
	for key := range uint32(a.table.Cap()) {
		if !a.table.Has(key) {
			continue
		}
		for at := a.keys[key].oldest; at != 0; at = a.rows[at-1].next {
			entry = a.appendRow(entry[:0], at-1)
			if err := w.put(a.saved.sliceOf(a.expires(a.rows[at-1].t)), a.table.Key(key), entry); err != nil {
				return err
			}
		}
	}
	return w.closeAll()
}

// Restore implements Stateful.
func (a *SlideAgg) Restore(in StateReader, own func(hash uint64) bool) error {
	blocks, dead, err := a.saved.read(&a.windowCalls, in)
	if err != nil {
		return err
	}
	a.loaded = a.loaded[:0]
	for _, b := range blocks {
		if err := a.loadBlock(b.data, own, dead); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of slice %d: %v", b.slice, err)
		}
	}
	return a.linkAll()
}

// loadBlock takes over the rows of a block that still count; they are not yet in the lists of their keys.
func (a *SlideAgg) loadBlock(src []byte, own func(hash uint64) bool, dead int64) error {
	for len(src) > 0 {
		key, entry, rest, err := cutEntry(src)
		if err != nil {
			return err
		}
		src = rest
		hash := batch.HashKey(key)
		if !own(hash) {
			continue
		}
		if err := a.checkKey(key); err != nil {
			return err
		}
		seq, entry, err := cutUvarint(entry)
		if err != nil {
			return err
		}
		t, entry, err := cutVarint(entry)
		if err != nil {
			return err
		}
		if len(entry) == 0 || entry[0]&^slideKept != 0 {
			return fmt.Errorf("bad row at %d", t)
		}
		if a.expires(t) <= dead {
			continue
		}
		id := a.newRow(t)
		a.loaded = append(a.loaded, id)
		row := &a.rows[id]
		row.seq, row.flags = seq, row.flags|entry[0]
		if t < dead {
			row.flags |= slideOut
		}
		if entry, err = a.loadStates(entry[1:], &a.own, id); err != nil {
			return err
		}
		if len(entry) > 0 {
			return fmt.Errorf("row at %d has %d bytes too many", t, len(entry))
		}
		rows := state.Rows{Buf: key, Off: []uint32{0, uint32(len(key))}, Hash: []uint64{hash}}
		if a.kids, err = a.table.FindOrAdd(rows, batch.All(1), a.kids[:0]); err != nil {
			return err
		}
		row.key = a.kids[0]
	}
	return nil
}

// linkAll puts restored rows into the lists of their keys. Of several entries of a row the newest, which was loaded first,
// counts.
func (a *SlideAgg) linkAll() error {
	a.growKeys()
	ids := a.loaded
	a.loaded = nil
	if len(ids) == len(a.rows) {
		a.seq = 0
	}
	for _, id := range ids {
		if a.rows[id].seq == math.MaxUint64 {
			return sqlerr.New(sqlerr.DataCorrupted, "a row has no number after it")
		}
		a.seq = max(a.seq, a.rows[id].seq)
	}
	slices.SortStableFunc(ids, func(x, y uint32) int {
		p, q := &a.rows[x], &a.rows[y]
		return cmp.Or(cmp.Compare(p.key, q.key), cmp.Compare(p.t, q.t), cmp.Compare(p.seq, q.seq))
	})
	for i, id := range ids {
		row := &a.rows[id]
		if i > 0 {
			if p := &a.rows[ids[i-1]]; p.key == row.key && p.t == row.t && p.seq == row.seq {
				a.drop(id)
				ids[i] = ids[i-1]
				continue
			}
		}
		a.link(id, a.keys[row.key].newest)
		if a.mode == spec.EmitFinal && row.flags&slideOut == 0 {
			a.pending.add(timer{at: satAdd(row.t, 1), id: id, gen: row.gen})
		}
	}
	return nil
}
