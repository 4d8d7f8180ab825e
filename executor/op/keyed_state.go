package op

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// The forms of blocks, see docs/formats/state.md. A block of an operator is refused by the others.
const (
	keyedVersion = 2
	formSession  = 1
	formCount    = 2
	formSlide    = 3
)

// savedSliceMin is the shortest length, in microseconds, of the slices of time in which keyed state is saved.
const savedSliceMin = 10e6

// sliceHead is the slice of the block that only tells the watermark.
const sliceHead = math.MinInt64

// keyedState keeps account of what the checkpoint holds of state that ends key by key. An entry is all there is of a key; it
// is written to the slice of time in which the last of it ends, or to that of its entry before where that is later, so that a slice
// is dropped whole when the watermark has passed it: what its entries told has ended by then, or was written again to a later
// slice. The newest entry of a key counts, by the numbers of the snapshots.
type keyedState struct {
	form   byte
	width  int64 // of a slice, microseconds
	seq    uint64
	slices []savedSlice // by start
	of     keySlices
	told   types.EventTime
	seen   []int64 // slices of a restored state: what follows is written anew
	anew   slicesAnew
	ended  endedKeys
	entry  []byte
	gids   []uint32
}

// slicesAnew are the slices that are being written anew, because most of their entries count no more: those of the keys from at to
// end, whose newest entries were there, are still to be written.
type slicesAnew struct {
	starts  []int64
	at, end int
	left    int // about so many entries
}

// scanShare is how many entries are looked at in the time of writing one.
const scanShare = 16

// endedKeys are those of which the checkpoint tells that they end later than they do. One that goes before it is written again
// would come back from there, so that it needs an entry that tells of nothing.
type endedKeys struct {
	sooner map[uint32]bool
	gone   []goneKey
}

type goneKey struct {
	slice int64
	key   []byte
}

// savedSlice counts the entries of a slice in the checkpoint, and the keys whose newest entry is there.
type savedSlice struct {
	start         int64
	written, live int
}

const noSlice = math.MinInt64

// keySlices are, by key, the slice of its newest entry; noSlice for none. They lie in pages, so that millions of keys that come between two
// checkpoints cost nothing when the first of them is written.
type keySlices struct {
	mem   *arena.Part
	pages []keyPage
}

type keyPage struct {
	slices []int64 // nil: of no key
	block  arena.Block
}

// keyPageBits: a page is as small as what may leave memory.
const keyPageBits = 12

func (k *keySlices) at(key uint32) int64 {
	if page := int(key >> keyPageBits); page < len(k.pages) && k.pages[page].slices != nil {
		return k.pages[page].slices[key&(1<<keyPageBits-1)]
	}
	return noSlice
}

func (k *keySlices) set(key uint32, slice int64) {
	page := int(key >> keyPageBits)
	for len(k.pages) <= page {
		k.pages = append(k.pages, keyPage{})
	}
	p := &k.pages[page]
	if p.slices == nil {
		p.slices = arena.Make[int64](k.mem, &p.block, 1<<keyPageBits)
		for i := range p.slices {
			p.slices[i] = noSlice
		}
	}
	p.slices[key&(1<<keyPageBits-1)] = slice
}

// end is above all keys that have a slice.
func (k *keySlices) end() int { return len(k.pages) << keyPageBits }

func (k *keySlices) bytes() int64 {
	n := capBytes(k.pages)
	for i := range k.pages {
		n += capBytes(k.pages[i].slices)
	}
	return n
}

// clear forgets all and gives the memory back.
func (k *keySlices) clear() {
	for i := range k.pages {
		k.pages[i].block.Free()
	}
	k.pages = nil
}

func (k *keyedState) init(form byte, width int64) {
	k.form, k.width, k.told = form, width, types.MinTime
}

func (k *keyedState) bytes() int64 {
	n := k.of.bytes() + capBytes(k.gids) + capBytes(k.entry) + int64(len(k.ended.sooner))*firedBytes
	for i := range k.ended.gone {
		n += int64(len(k.ended.gone[i].key))
	}
	return n + capBytes(k.ended.gone)
}

// sliceOf is the slice in which something that ends at due is saved.
func (k *keyedState) sliceOf(due int64) int64 {
	return max(floorDiv(due, k.width), math.MinInt64/k.width+1) * k.width
}

// endsSooner is told of a key whose entry in the checkpoint, if there is one, says that it ends later than it does.
func (k *keyedState) endsSooner(key uint32) {
	if k.of.at(key) == noSlice {
		return
	}
	if k.ended.sooner == nil {
		k.ended.sooner = map[uint32]bool{}
	}
	k.ended.sooner[key] = true
}

// forget is told of a key before it is removed.
func (k *keyedState) forget(t *state.Live, key uint32) {
	if k.of.at(key) == noSlice {
		return
	}
	if k.ended.sooner[key] {
		k.ended.gone = append(k.ended.gone, goneKey{k.of.at(key), slices.Clone(t.Key(key))})
		delete(k.ended.sooner, key)
	}
	k.at(k.of.at(key)).live--
	k.of.set(key, noSlice)
}

// at returns the account of a slice, which it makes when there is none.
func (k *keyedState) at(start int64) *savedSlice {
	i, ok := slices.BinarySearchFunc(k.slices, start, func(s savedSlice, start int64) int {
		switch {
		case s.start < start:
			return -1
		case s.start > start:
			return 1
		}
		return 0
	})
	if !ok {
		k.slices = slices.Insert(k.slices, i, savedSlice{start: start})
	}
	return &k.slices[i]
}

// saver is an operator whose keys have entries.
type saver interface {
	// appendEntry adds what there is of a key, and tells when the last of it ends.
	appendEntry(dst []byte, key uint32) (entry []byte, due int64)
}

// snapshot writes the entries of dirty keys, and drops the slices that have ended.
func (k *keyedState) snapshot(c *windowCalls, t *state.Live, from saver, out StateWriter) error {
	w := blockWriter{k: k, c: c, out: out}
	if _, err := k.save(&w, t, from, savePart{math.MaxInt, cutAnewMost}); err != nil {
		return err
	}
	kept := k.slices[:0]
	for _, s := range k.slices {
		if s.live == 0 && satAdd(s.start, k.width) <= int64(c.watermark) {
			if err := out.Drop(s.start); err != nil {
				return err
			}
			continue
		}
		kept = append(kept, s)
	}
	k.slices = kept
	return k.tellWatermark(c, out)
}

// writeAll writes the entries of all keys, beside what checkpoints have.
func (k *keyedState) writeAll(c *windowCalls, t *state.Live, from saver, out StateWriter) error {
	all := keyedState{form: k.form, width: k.width, seq: 1, of: keySlices{mem: k.of.mem}}
	defer all.of.clear()
	w := blockWriter{k: &all, c: c, out: out}
	for key := range uint32(t.Cap()) {
		if !t.Has(key) {
			continue
		}
		if err := w.add(t, from, key); err != nil {
			return err
		}
	}
	return w.closeAll()
}

// copyAhead writes about most entries.
func (k *keyedState) copyAhead(c *windowCalls, t *state.Live, from saver, out StateWriter, most int) (int, error) {
	w := blockWriter{k: k, c: c, out: out}
	return k.save(&w, t, from, savePart{most, math.MaxInt})
}

// changed is how many entries are to be written.
func (k *keyedState) changed(t *state.Live) int {
	n := t.DirtyLen() + len(k.ended.gone) + k.anew.left
	for i := range k.slices {
		if k.slices[i].worn() {
			n += k.slices[i].live
		}
	}
	return n
}

// save writes entries of keys that have changed, and of slices that are written anew; k.gids are the former.
func (k *keyedState) save(w *blockWriter, t *state.Live, from saver, part savePart) (int, error) {
	k.seq++
	if err := k.forgetSeen(w.out); err != nil {
		return 0, err
	}
	n, err := k.saveGone(w)
	if err != nil {
		return n, err
	}
	if err := k.beginAnew(part.anewMost, w.out); err != nil {
		return n, err
	}
	k.gids = t.TakeDirty(k.gids[:0], part.most-n)
	for _, key := range k.gids {
		if err := w.add(t, from, key); err != nil {
			return n, err
		}
	}
	n += len(k.gids)
	more, err := k.saveAnew(w, t, from, part.most-n)
	if err != nil {
		return n, err
	}
	return n + more, w.closeAll()
}

// saveGone writes that keys are no more. What follows has another number: it may be about the same keys.
func (k *keyedState) saveGone(w *blockWriter) (int, error) {
	n := len(k.ended.gone)
	if n == 0 {
		return 0, nil
	}
	for _, g := range k.ended.gone {
		k.at(g.slice).written++
		if err := w.put(g.slice, g.key, nil); err != nil {
			return 0, err
		}
	}
	k.ended.gone = k.ended.gone[:0]
	err := w.closeAll()
	k.seq++
	return n, err
}

// worn tells whether most entries of the slice count no more.
func (s *savedSlice) worn() bool { return s.written > rewriteRatio*s.live+rewriteMin }

// beginAnew begins to write slices anew in which most entries count no more, unless they are too large.
func (k *keyedState) beginAnew(most int, out StateWriter) error {
	if len(k.anew.starts) > 0 {
		return nil
	}
	for i := range k.slices {
		s := &k.slices[i]
		if !s.worn() || s.live > most {
			continue
		}
		if err := out.Rewrite(s.start); err != nil {
			return err
		}
		s.written = 0
		k.anew.starts = append(k.anew.starts, s.start)
		k.anew.left += s.live
	}
	k.anew.at, k.anew.end = 0, k.of.end()
	return nil
}

// saveAnew writes about most entries of keys that have not changed, of slices that are written anew.
func (k *keyedState) saveAnew(w *blockWriter, t *state.Live, from saver, most int) (n int, err error) {
	a := &k.anew
	if len(a.starts) == 0 {
		return 0, nil
	}
	looked := 0
	for ; a.at < a.end && n+looked/scanShare < most; a.at++ {
		looked++
		if at := k.of.at(uint32(a.at)); at == noSlice || !slices.Contains(a.starts, at) {
			continue
		}
		if err := w.add(t, from, uint32(a.at)); err != nil {
			return n, err
		}
		n++
	}
	a.left = max(0, a.left-n)
	if a.at == a.end {
		*a = slicesAnew{starts: a.starts[:0]}
	}
	return n + looked/scanShare, nil
}

// forgetSeen drops the blocks that what follows replaces.
func (k *keyedState) forgetSeen(out StateWriter) error {
	for _, start := range k.seen {
		if err := out.Rewrite(start); err != nil {
			return err
		}
		k.told = types.MinTime
	}
	k.seen = k.seen[:0]
	return nil
}

// tellWatermark writes how far time has come, so that what has ended since its entry was written does not come back.
func (k *keyedState) tellWatermark(c *windowCalls, out StateWriter) error {
	if len(k.slices) == 0 || c.watermark == k.told {
		return nil
	}
	k.told = c.watermark
	if err := out.Rewrite(sliceHead); err != nil {
		return err
	}
	return out.Block(sliceHead, k.appendHead(nil, c))
}

// appendHead writes what every block begins with.
func (k *keyedState) appendHead(dst []byte, c *windowCalls) []byte {
	version := byte(keyedVersion)
	if c.union != nil {
		version |= stateShared
	}
	dst = append(dst, version, k.form)
	dst = binary.AppendUvarint(dst, uint64(len(c.aggs)))
	dst = binary.AppendUvarint(dst, k.seq)
	return binary.AppendVarint(dst, int64(c.watermark))
}

// blockWriter gathers entries by slice.
type blockWriter struct {
	k    *keyedState
	c    *windowCalls
	out  StateWriter
	open []openBlock // few: a snapshot writes to the slices in which keys end that changed lately
}

type openBlock struct {
	slice int64
	data  []byte
}

func (w *blockWriter) add(t *state.Live, from saver, key uint32) error {
	k := w.k
	entry, due := from.appendEntry(k.entry[:0], key)
	k.entry = entry
	start := k.sliceOf(due)
	if old := k.of.at(key); old != noSlice {
		start = max(start, old)
		k.at(old).live--
	}
	delete(k.ended.sooner, key)
	k.of.set(key, start)
	s := k.at(start)
	s.live++
	s.written++
	return w.put(start, t.Key(key), entry)
}

// put adds an entry to a slice.
func (w *blockWriter) put(start int64, name, entry []byte) error {
	b := w.blockOf(start)
	b.data = binary.AppendUvarint(b.data, uint64(len(name)))
	b.data = append(b.data, name...)
	b.data = binary.AppendUvarint(b.data, uint64(len(entry)))
	b.data = append(b.data, entry...)
	if len(b.data) < blockBytes {
		return nil
	}
	data := b.data
	b.data = nil
	return w.out.Block(start, data)
}

func (w *blockWriter) blockOf(slice int64) *openBlock {
	i, ok := slices.BinarySearchFunc(w.open, slice, func(b openBlock, slice int64) int {
		switch {
		case b.slice < slice:
			return -1
		case b.slice > slice:
			return 1
		}
		return 0
	})
	if !ok {
		w.open = slices.Insert(w.open, i, openBlock{slice: slice})
	}
	if b := &w.open[i]; b.data != nil {
		return b
	}
	w.open[i].data = w.k.appendHead(nil, w.c)
	return &w.open[i]
}

func (w *blockWriter) closeAll() error {
	for i := range w.open {
		if w.open[i].data != nil {
			if err := w.out.Block(w.open[i].slice, w.open[i].data); err != nil {
				return err
			}
		}
	}
	w.open = w.open[:0]
	return nil
}

// savedBlock is a block of a checkpoint.
type savedBlock struct {
	slice int64
	seq   uint64
	data  []byte // without what every block begins with
}

// read gathers all blocks, the newest first, and the watermark of the snapshot.
func (k *keyedState) read(c *windowCalls, in StateReader) (blocks []savedBlock, watermark int64, err error) {
	watermark = math.MinInt64
	err = in.Blocks(func(slice int64, data []byte) error {
		b := savedBlock{slice: slice, data: append([]byte(nil), data...)}
		w, err := b.cutHead(k.form, c)
		if err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of slice %d: %v", slice, err)
		}
		watermark = max(watermark, w)
		k.seq = max(k.seq, b.seq)
		if !slices.Contains(k.seen, slice) {
			k.seen = append(k.seen, slice)
		}
		blocks = append(blocks, b)
		return nil
	})
	slices.Reverse(blocks)
	slices.SortStableFunc(blocks, func(a, b savedBlock) int {
		switch {
		case a.seq > b.seq:
			return -1
		case a.seq < b.seq:
			return 1
		}
		return 0
	})
	c.watermark = max(c.watermark, types.EventTime(watermark))
	return blocks, watermark, err
}

// cutHead reads what every block begins with.
func (b *savedBlock) cutHead(form byte, c *windowCalls) (watermark int64, err error) {
	src, version := b.data, byte(keyedVersion)
	if c.loading != nil {
		version |= stateShared
	}
	if err := blockVersion("a block of session, sliding or count windows", src, version); err != nil {
		return 0, err
	}
	if len(src) < 2 {
		return 0, fmt.Errorf("a block of session, sliding or count windows has %d bytes", len(src))
	}
	if src[1] != form {
		return 0, fmt.Errorf("state block is of another kind of operator")
	}
	n, src, err := cutUvarint(src[2:])
	switch aggs := len(c.aggs); {
	case err != nil || n > math.MaxUint16 || c.loading == nil && n != uint64(aggs) || n < uint64(aggs-c.shown):
		return 0, fmt.Errorf("state block is not of a query with %d aggregates", aggs)
	case c.loading != nil:
		c.loading.n = int(n) // the same in all blocks: none joins later
	}
	if b.seq, src, err = cutUvarint(src); err != nil {
		return 0, err
	}
	watermark, b.data, err = cutVarint(src)
	return watermark, err
}

func cutUvarint(src []byte) (uint64, []byte, error) {
	n, width := binary.Uvarint(src)
	if width <= 0 {
		return 0, nil, fmt.Errorf("number ends early")
	}
	return n, src[width:], nil
}

func cutVarint(src []byte) (int64, []byte, error) {
	n, width := binary.Varint(src)
	if width <= 0 {
		return 0, nil, fmt.Errorf("number ends early")
	}
	return n, src[width:], nil
}

// restore gives load the newest entry of each key that this worker owns, with the key's number; dead tells how far time had
// come.
func (k *keyedState) restore(c *windowCalls, t *state.Live, in StateReader, r restoring) error {
	blocks, dead, err := k.read(c, in)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		for src := b.data; err == nil && len(src) > 0; {
			var key, entry []byte
			if key, entry, src, err = cutEntry(src); err != nil {
				break
			}
			hash := batch.HashKey(key)
			if _, ok := t.Find(key, hash); ok || !r.own(hash) {
				continue
			}
			if err = c.checkKey(key); err != nil {
				break
			}
			rows := state.Rows{Buf: key, Off: []uint32{0, uint32(len(key))}, Hash: []uint64{hash}}
			if k.gids, err = t.FindOrAdd(rows, batch.All(1), k.gids[:0]); err == nil {
				err = r.load(k.gids[0], entry, dead)
			}
		}
		if err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of slice %d: %v", b.slice, err)
		}
	}
	return nil
}

// restoring is what an operator does with entries.
type restoring struct {
	own  func(hash uint64) bool
	load func(key uint32, entry []byte, dead int64) error
}
