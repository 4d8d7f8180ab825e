package op

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
)

// matchVersion is the first byte of a block: docs/formats/state.md.
const matchVersion = 1

// matchSlice is the one slice of a match: rows of a key are not dropped together.
const matchSlice = 0

// matchSave tells what the checkpoint has.
type matchSave struct {
	sliceSave
	dirty []uint32 // keys that changed; the first done of them are written
	done  int
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

// Snapshot implements Stateful: the keys that changed, whole.
func (m *Match) Snapshot(out StateWriter) error {
	_, err := m.write(out, savePart{math.MaxInt, cutAnewMost})
	m.save.ahead = false
	return err
}

// Changed implements AheadCopier.
func (m *Match) Changed() int {
	s := &m.save
	n := len(s.dirty) - s.done
	if s.rewriting {
		return n + s.end - s.at
	}
	return s.left(n, m.busy)
}

// CopyAhead implements AheadCopier.
func (m *Match) CopyAhead(out StateWriter, most int) (int, error) {
	if m.Changed() == 0 {
		return 0, nil
	}
	n, err := m.write(out, savePart{most, math.MaxInt})
	m.save.ahead = true
	return n, err
}

// write writes about most keys that have changed, or that are written anew.
func (m *Match) write(out StateWriter, part savePart) (int, error) {
	s := &m.save
	if !s.rewriting && s.anew(len(s.dirty)-s.done, m.busy, part.anewMost) {
		if err := out.Rewrite(matchSlice); err != nil {
			return 0, err
		}
		s.rewriting, s.at, s.end = true, 0, len(m.states)
	}
	w := matchWriter{m: m, out: out}
	n := 0
	for ; s.done < len(s.dirty) && n < part.most; s.done++ {
		n++
		if err := w.add(s.dirty[s.done]); err != nil {
			return n, err
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
		if k := &m.states[s.at]; k.idle(m.numbered) || k.dirty {
			continue // the list has it
		}
		n++
		if err := w.add(uint32(s.at)); err != nil {
			return n, err
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

// add writes the entry of a key, unless the checkpoint has none and need not.
func (w *matchWriter) add(gid uint32) error {
	m := w.m
	k := &m.states[gid]
	k.dirty = false
	if k.idle(m.numbered) && !k.saved {
		return nil
	}
	if w.block == nil {
		w.block = binary.AppendUvarint([]byte{matchVersion}, uint64(len(m.rows.cols)))
	}
	w.block = m.appendKey(w.block, gid, m.heldRows(gid))
	k.saved = !k.idle(m.numbered)
	m.save.entries++
	if len(w.block) < blockBytes {
		return nil
	}
	return w.flush()
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

// appendKey writes the entry of a key.
func (m *Match) appendKey(dst []byte, gid uint32, held []uint32) []byte {
	k := &m.states[gid]
	key := m.table.Key(gid)
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	entry := binary.AppendUvarint(m.save.entry[:0], k.number)
	if m.spec.Sequence != nil {
		entry = m.appendSequence(entry, k)
	} else {
		entry = m.appendAttempt(entry, k)
	}
	entry = binary.AppendUvarint(entry, uint64(len(held)))
	for _, row := range held {
		entry = m.rows.appendRow(entry, row)
	}
	m.save.entry = entry
	dst = binary.AppendUvarint(dst, uint64(len(entry)))
	return append(dst, entry...)
}

// appendAttempt writes the rows that the watermark has passed.
func (m *Match) appendAttempt(entry []byte, k *matchKey) []byte {
	before, n := uint64(0), uint64(0)
	for row := k.head; row != 0; row = m.rows.after(row) {
		if row == k.start {
			before = n
		}
		n++
	}
	if k.start == 0 {
		before = n
	}
	entry = binary.AppendUvarint(entry, before)
	entry = binary.AppendUvarint(entry, n)
	for row := k.head; row != 0; row = m.rows.after(row) {
		entry = m.rows.appendRow(entry, row)
	}
	return entry
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

// Restore implements Stateful.
func (m *Match) Restore(in StateReader, own func(hash uint64) bool) error {
	var blocks [][]byte
	err := in.Blocks(func(_ int64, data []byte) error {
		blocks = append(blocks, append([]byte(nil), data...))
		return nil
	})
	if err != nil {
		return err
	}
	for i := len(blocks) - 1; i >= 0; i-- {
		if err := m.loadBlock(blocks[i], own); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of a pattern: block %d of %d: %v", i+1, len(blocks), err)
		}
	}
	m.save.restored = m.save.restored || len(blocks) > 0
	return nil
}

// loadBlock takes over the entries of a block whose keys this worker owns and has not yet seen.
func (m *Match) loadBlock(block []byte, own func(hash uint64) bool) error {
	if err := blockVersion("a block of patterns", block, matchVersion); err != nil {
		return err
	}
	n, width := binary.Uvarint(block[1:])
	if width <= 0 || n != uint64(len(m.rows.cols)) {
		return fmt.Errorf("state block is not of a pattern that keeps %d columns", len(m.rows.cols))
	}
	for src := block[1+width:]; len(src) > 0; {
		var key, entry []byte
		var err error
		if key, entry, src, err = cutEntry(src); err != nil {
			return err
		}
		hash := batch.HashKey(key)
		if !own(hash) {
			continue
		}
		rest, err := agg.SkipKey(key, m.keyType)
		if err == nil && len(rest) > 0 {
			err = fmt.Errorf("key has %d bytes too many", len(rest))
		}
		if err != nil {
			return err
		}
		if _, ok := m.table.Find(key, hash); ok {
			continue
		}
		if err := m.loadKey(key, hash, entry); err != nil {
			return err
		}
	}
	return nil
}

// loadKey reads an entry; the runs are found again from the rows.
func (m *Match) loadKey(key []byte, hash uint64, entry []byte) error {
	rows := state.Rows{Buf: key, Off: []uint32{0, uint32(len(key))}, Hash: []uint64{hash}}
	gids, err := m.table.FindOrAdd(rows, batch.All(1), nil)
	if err != nil {
		return err
	}
	gid := gids[0]
	m.growStates()
	k := &m.states[gid]
	if k.number, entry, err = cutUvarint(entry); err != nil {
		return err
	}
	start := uint32(0)
	if m.spec.Sequence != nil {
		entry, err = m.loadSequence(k, entry)
	} else {
		start, entry, err = m.loadAttempt(k, entry)
	}
	if err != nil {
		return err
	}
	var held uint64
	if held, entry, err = cutUvarint(entry); err != nil {
		return err
	}
	for i := uint64(0); i < held; i++ {
		var row uint32
		if row, entry, err = m.rows.loadRow(entry); err != nil {
			return err
		}
		m.hold(gid, row)
	}
	if len(entry) > 0 || k.rows > matchRowsMax {
		return fmt.Errorf("malformed entry")
	}
	return m.resume(gid, start)
}

// loadAttempt reads what appendAttempt wrote; start is the first row of the attempt.
func (m *Match) loadAttempt(k *matchKey, entry []byte) (start uint32, rest []byte, err error) {
	var before, n uint64
	for _, x := range []*uint64{&before, &n} {
		if *x, entry, err = cutUvarint(entry); err != nil {
			return 0, nil, err
		}
	}
	for i := uint64(0); i < n; i++ {
		var row uint32
		if row, entry, err = m.rows.loadRow(entry); err != nil {
			return 0, nil, err
		}
		k.order++
		m.rows.at(row)[wordOrder] = k.order
		m.rows.link(k.tail, row)
		if k.tail = row; k.head == 0 {
			k.head = row
		}
		if k.rows++; i == before {
			start = row
		}
	}
	if before > n {
		return 0, nil, fmt.Errorf("malformed entry")
	}
	return start, entry, nil
}

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
