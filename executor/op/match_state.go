package op

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/types"
)

// matchVersion is the first byte of a block: docs/formats/state.md. Blocks of matchVersionWhole are read, too.
const (
	matchVersionWhole = 1
	matchVersion      = 2
)

// matchSlice is the one slice of a match: rows of a key are not dropped together.
const matchSlice = 0

// matchSave tells what the checkpoint has.
type matchSave struct {
	sliceSave          // entries count keys and rows in blocks
	dirty     []uint32 // keys that changed; the first done of them are written
	done      int
	fresh     int // rows of those keys that came since they were written
	// writing counts how often all keys were begun to be written anew.
	writing uint32
	// rewriting: all keys are being written anew; those from at to end, by number, still have to be.
	rewriting bool
	at, end   int
	held      []uint32 // scratch: rows that wait
	entry     []byte
}

// renumber follows a table without some keys: to is the new number and 1 more, 0 for none.
func (s *matchSave) renumber(to []uint32) {
	left := s.dirty[s.done:]
	s.dirty, s.done = s.dirty[:0], 0
	for _, gid := range left {
		if to[gid] != 0 {
			s.dirty = append(s.dirty, to[gid]-1)
		}
	}
	at, end := 0, 0
	for gid, now := range to[:s.end] {
		if now == 0 {
			continue
		}
		if end++; gid < s.at {
			at++
		}
	}
	s.at, s.end = at, end
}

// touch marks a key as changed since the last Snapshot.
func (m *Match) touch(gid uint32) {
	if k := &m.states[gid]; !k.dirty {
		k.dirty = true
		m.save.dirty = append(m.save.dirty, gid)
	}
}

// Snapshot implements Stateful: of the keys that changed, the rows that are new.
func (m *Match) Snapshot(out StateWriter) error {
	_, err := m.write(out, savePart{math.MaxInt, cutAnewMost})
	m.save.ahead = false
	return err
}

// Changed implements AheadCopier.
func (m *Match) Changed() int {
	s := &m.save
	n := len(s.dirty) - s.done + s.fresh
	if s.rewriting {
		return n + s.end - s.at
	}
	return s.left(n, m.live())
}

// live is how many entries and rows there would be if all were written.
func (m *Match) live() int { return m.busy + m.rows.live() }

// CopyAhead implements AheadCopier.
func (m *Match) CopyAhead(out StateWriter, most int) (int, error) {
	if m.Changed() == 0 {
		return 0, nil
	}
	n, err := m.write(out, savePart{most, math.MaxInt})
	m.save.ahead = true
	return n, err
}

// write writes about most keys that have changed, or that are written anew, and rows of them.
func (m *Match) write(out StateWriter, part savePart) (int, error) {
	s := &m.save
	if !s.rewriting && s.anew(len(s.dirty)-s.done+s.fresh, m.live(), part.anewMost) {
		if err := out.Rewrite(matchSlice); err != nil {
			return 0, err
		}
		s.rewriting, s.at, s.end = true, 0, len(m.states)
		s.writing++
	}
	w := matchWriter{m: m, out: out}
	n := 0
	for s.done < len(s.dirty) && n < part.most {
		gid := s.dirty[s.done]
		rows, err := w.add(gid, part.most-n)
		if err != nil {
			return n, err
		}
		if n += 1 + rows; !m.states[gid].dirty {
			s.done++
		}
	}
	if s.done == len(s.dirty) {
		s.dirty, s.done = s.dirty[:0], 0
	}
	if !s.rewriting {
		return n, w.flush()
	}
	looked := 0
	for ; s.at < s.end && n+looked/scanShare < part.most; s.at++ {
		looked++
		k := &m.states[s.at]
		if k.idle(m.numbered) || k.dirty || k.savedIn == s.writing+1 { // it has been written, or the list has it
			continue
		}
		rows, err := w.add(uint32(s.at), part.most-n)
		if err != nil {
			return n, err
		}
		if n += 1 + rows; k.dirty { // the rest of it is to be written yet
			s.dirty = append(s.dirty, uint32(s.at))
		}
	}
	if s.at == s.end {
		s.rewriting, s.at, s.end = false, 0, 0
	}
	return n + looked/scanShare, w.flush()
}

// matchWriter fills blocks.
type matchWriter struct {
	m     *Match
	out   StateWriter
	block []byte
}

// add writes an entry of a key, unless the checkpoint has none and need not, with about most of the rows that it has not; when some are
// left the key stays dirty. rows is how many are written.
func (w *matchWriter) add(gid uint32, most int) (rows int, err error) {
	m := w.m
	k := &m.states[gid]
	k.dirty = false
	m.save.fresh -= int(k.unsaved)
	k.unsaved = 0
	if k.idle(m.numbered) && !k.saved {
		return 0, nil
	}
	if w.block == nil {
		w.block = binary.AppendUvarint([]byte{matchVersion}, uint64(len(m.rows.cols)))
	}
	w.block, rows = m.appendKey(w.block, gid, most)
	k.saved = !k.idle(m.numbered)
	m.save.fresh += int(k.unsaved)
	m.save.entries += 1 + rows
	if len(w.block) < blockBytes {
		return rows, nil
	}
	return rows, w.flush()
}

func (w *matchWriter) flush() error {
	if w.block == nil {
		return nil
	}
	block := w.block
	w.block = nil
	return w.out.Block(matchSlice, block)
}

// heldRows lists the rows of a key that wait, in the order of (time, arrival); valid until the next call.
func (m *Match) heldRows(gid uint32) []uint32 {
	list := m.save.held[:0]
	for row := m.states[gid].heldLast; row != 0; row = m.rows.before(row) {
		list = append(list, row)
	}
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b uint32) int { return cmp.Compare(m.rows.time(a), m.rows.time(b)) })
	m.save.held = list
	return list
}

// appendKey writes an entry of a key, and returns how many rows that were.
func (m *Match) appendKey(dst []byte, gid uint32, most int) (_ []byte, rows int) {
	k := &m.states[gid]
	key := m.table.Key(gid)
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	entry := binary.AppendUvarint(m.save.entry[:0], k.number)
	if m.spec.Sequence != nil {
		entry, rows = m.appendSequence(entry, k), int(k.rows)
		k.savedIn = m.save.writing + 1
	} else {
		entry, rows = m.appendAttempt(entry, k, most)
	}
	var held []uint32
	if !k.dirty { // else another entry follows, which has them
		held = m.heldRows(gid)
	}
	entry = binary.AppendUvarint(entry, uint64(len(held)))
	for _, row := range held {
		entry = m.rows.appendRow(entry, row)
	}
	m.save.entry = entry
	dst = binary.AppendUvarint(dst, uint64(len(entry)))
	return append(dst, entry...), rows + len(held)
}

// appendAttempt writes about most of the rows that the watermark has passed and the checkpoint has not. Rows come at the end of a key's
// list and go at its head, so that their numbers follow each other.
func (m *Match) appendAttempt(entry []byte, k *matchKey, most int) (_ []byte, n int) {
	whole := k.savedIn != m.save.writing+1
	base, start := k.order+1, uint64(0)
	if k.head != 0 {
		base = m.rows.at(k.head)[wordOrder]
	}
	if k.start != 0 {
		start = m.rows.at(k.start)[wordOrder]
	}
	row, first := k.head, base
	if !whole && k.head != 0 && k.savedTo >= base {
		row, first = m.rows.after(k.savedRow), k.savedTo+1
	}
	flag := byte(0)
	if whole {
		flag = 1
	}
	n = min(max(most, 1), int(k.order+1-first))
	entry = append(entry, flag)
	for _, u := range [...]uint64{base, start, first, uint64(n)} {
		entry = binary.AppendUvarint(entry, u)
	}
	for range n {
		entry = m.rows.appendRow(entry, row)
		k.savedRow, row = row, m.rows.after(row)
	}
	k.savedIn, k.savedTo = m.save.writing+1, first+uint64(n)-1
	k.unsaved = uint32(k.order - k.savedTo)
	k.dirty = k.unsaved > 0
	return entry, n
}

// appendRow writes a row: time, truth of the conditions, kept columns.
func (h *heldRows) appendRow(dst []byte, ref uint32) []byte {
	w := h.at(ref)
	dst = binary.AppendVarint(dst, int64(w[wordTime]))
	dst = binary.AppendUvarint(dst, w[wordTruth])
	base := h.stride - len(h.cols)
	for i, c := range h.cols {
		if w[wordNulls+i>>6]&(1<<(i&63)) != 0 {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, 1)
		x := w[base+i]
		if h.schema.Cols[c].Type.Phys() == types.PhysBytes {
			n := x & math.MaxUint32
			dst = binary.AppendUvarint(dst, n)
			dst = append(dst, h.text[x>>32:x>>32+n]...)
			continue
		}
		dst = binary.LittleEndian.AppendUint64(dst, x)
	}
	return dst
}

// loadRow reads what appendRow wrote into a new slot.
func (h *heldRows) loadRow(src []byte) (ref uint32, rest []byte, err error) {
	t, n := binary.Varint(src)
	if n <= 0 {
		return 0, nil, errEntryEnds
	}
	truth, width := binary.Uvarint(src[n:])
	if width <= 0 {
		return 0, nil, errEntryEnds
	}
	src = src[n+width:]
	ref, w := h.slot()
	w[wordTime], w[wordTruth] = uint64(t), truth
	base := h.stride - len(h.cols)
	for i, c := range h.cols {
		if len(src) == 0 || src[0] > 1 {
			return 0, nil, errEntryEnds
		}
		null := src[0] == 0
		src = src[1:]
		switch typ := h.schema.Cols[c].Type; {
		case null:
			w[wordNulls+i>>6] |= 1 << (i & 63)
		case typ.Phys() == types.PhysBytes:
			var b []byte
			if b, src, err = cutBytes(src); err != nil {
				return 0, nil, err
			}
			if err := agg.CheckStored(typ, b); err != nil {
				return 0, nil, err
			}
			if err := h.reserve(len(b)); err != nil {
				return 0, nil, err
			}
			w[base+i] = uint64(len(h.text))<<32 | uint64(len(b))
			h.addText(b)
		case len(src) < 8:
			return 0, nil, errEntryEnds
		default:
			w[base+i] = binary.LittleEndian.Uint64(src)
			src = src[8:]
		}
	}
	return ref, src, nil
}

var errEntryEnds = fmt.Errorf("entry ends early")

// resume finds the runs of a restored attempt. It had completed none that was certain, so that no match may come out.
func (m *Match) resume(gid, start uint32) error {
	k := &m.states[gid]
	if !k.idle(m.numbered) {
		m.busy++
	}
	if m.spec.Sequence != nil {
		m.armSequence(gid, k)
		return nil
	}
	if start == 0 {
		return nil
	}
	for row := start; row != 0; row = m.rows.after(row) {
		k.mixed = k.mixed || bits.OnesCount64(m.rows.at(row)[wordTruth]) > 1
	}
	m.restoring = true
	m.begin(k, start)
	err := m.search(gid, false)
	m.restoring = false
	return err
}
