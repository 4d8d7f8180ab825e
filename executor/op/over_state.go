package op

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// The form of the blocks is described in docs/formats/state.md.
const (
	overVersion = 1
	// What a block holds.
	overWaiting, overPartitions = 1, 2
	// overPast is the slice of the partitions. Rows that wait lie in slices of overBucket microseconds of event time.
	overPast   = int64(math.MinInt64)
	overBucket = 60_000_000
)

// overSaved is what the checkpoint holds.
type overSaved struct {
	// entries counts the partitions and rows in blocks of overPast. Restored: partitions are to be written whole.
	sliceSave
	dirty []uint32 // partitions that changed
	// writing numbers the times at which all partitions were begun to be written anew, from 1 on; until at is end, those from at
	// to end still have to be, unless they were.
	writing uint32
	at, end int
	slices  []int64 // of rows that wait
	// watermark, which is told, says which of those rows wait no more.
	watermark types.EventTime
}

// touch notes that a partition has changed.
func (o *Over) touch(g uint32, p *overPart) {
	if !p.changed {
		p.changed = true
		o.saved.dirty = append(o.saved.dirty, g)
	}
}

// Snapshot implements Stateful: rows that came, partitions that changed with the rows that they took.
func (o *Over) Snapshot(out StateWriter) error {
	if err := o.dropWaiting(out); err != nil {
		return fmt.Errorf("snapshot of rows that wait: %w", err)
	}
	_, err := o.write(out, savePart{math.MaxInt, cutAnewMost})
	o.saved.ahead = false
	return err
}

// Changed implements AheadCopier.
func (o *Over) Changed() int {
	n := 0
	for _, c := range o.pending.chunks {
		n += len(c.times) - c.saved
	}
	s := &o.saved
	if s.at < s.end {
		return n + len(s.dirty) + s.end - s.at
	}
	return n + s.left(len(s.dirty), o.live())
}

// live is how many entries there would be if all were written.
func (o *Over) live() int { return len(o.parts) + o.rows.n }

// CopyAhead implements AheadCopier.
func (o *Over) CopyAhead(out StateWriter, most int) (int, error) {
	if o.Changed() == 0 {
		return 0, nil
	}
	n, err := o.write(out, savePart{most, math.MaxInt})
	o.saved.ahead = o.saved.ahead || n > 0
	return n, err
}

// write writes about most of the rows that came, and of partitions and rows in them.
func (o *Over) write(out StateWriter, part savePart) (int, error) {
	n, err := o.saveWaiting(out, part.most)
	if err != nil {
		return n, fmt.Errorf("save rows that wait: %w", err)
	}
	part.most -= n
	more, err := o.savePartitions(out, part)
	if err != nil {
		return n, fmt.Errorf("save partitions: %w", err)
	}
	return n + more, nil
}

// overBlocks gathers a block for each slice, and for each head of those that are its.
type overBlocks struct {
	out    StateWriter
	starts []int64
	blocks [][]byte
}

func (b *overBlocks) at(start int64, head []byte) *[]byte {
	for i := range b.starts {
		switch {
		case b.starts[i] != start:
		case len(b.blocks[i]) == 0:
			b.blocks[i] = append(b.blocks[i], head...)
			return &b.blocks[i]
		case bytes.HasPrefix(b.blocks[i], head):
			return &b.blocks[i]
		}
	}
	b.starts, b.blocks = append(b.starts, start), append(b.blocks, append([]byte(nil), head...))
	return &b.blocks[len(b.blocks)-1]
}

// full hands a block over when it is large enough, or at the end.
func (b *overBlocks) full(block *[]byte, start int64, end bool) error {
	if len(*block) == 0 || len(*block) < blockBytes && !end {
		return nil
	}
	data := *block
	*block = nil
	return b.out.Block(start, data)
}

// dropWaiting drops the slices whose rows have all left.
func (o *Over) dropWaiting(out StateWriter) error {
	limit := o.leaveLimit()
	kept := o.saved.slices[:0]
	for _, start := range o.saved.slices {
		if addTime(start, overBucket) > limit {
			kept = append(kept, start)
			continue
		}
		if err := out.Drop(start); err != nil {
			return err
		}
	}
	o.saved.slices = kept
	return nil
}

// saveWaiting writes about most rows that wait.
func (o *Over) saveWaiting(out StateWriter, most int) (n int, err error) {
	limit := o.leaveLimit()
	blocks := overBlocks{out: out}
	for _, c := range o.pending.chunks {
		for ; c.saved < len(c.times) && n < most; c.saved++ {
			n++
			if c.times[c.saved] < limit {
				continue
			}
			start := floorTo(c.times[c.saved], overBucket)
			block := blocks.at(start, o.waitingHead(c))
			*block = o.appendWaiting(*block, c, c.saved, start)
			if err := blocks.full(block, start, false); err != nil {
				return n, err
			}
		}
	}
	for i, start := range blocks.starts {
		if err := blocks.full(&blocks.blocks[i], start, true); err != nil {
			return n, err
		}
		if !slices.Contains(o.saved.slices, start) {
			o.saved.slices = append(o.saved.slices, start)
		}
	}
	return n, nil
}

// waitingHead names the columns that the rows of a chunk have.
func (o *Over) waitingHead(c *overChunk) []byte {
	head := []byte{overVersion, overWaiting}
	head = binary.AppendUvarint(head, uint64(len(c.in.Cols)))
	for i := range c.in.Cols {
		present := byte(1)
		if c.in.Cols[i].Absent {
			present = 0
		}
		head = append(head, present)
	}
	return binary.AppendUvarint(head, uint64(len(c.args.Cols)))
}

func (o *Over) appendWaiting(dst []byte, c *overChunk, i int, start int64) []byte {
	dst = appendSized(dst, o.table.Key(c.gids[i]))
	dst = binary.AppendUvarint(dst, uint64(c.times[i]-start))
	dst = binary.AppendUvarint(dst, c.seqs[i])
	for n := range c.in.Cols {
		if !c.in.Cols[n].Absent {
			dst = appendStored(dst, &c.in.Cols[n], i)
		}
	}
	for n := range c.args.Cols {
		dst = appendStored(dst, &c.args.Cols[n], i)
	}
	return dst
}

func appendSized(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// appendStored is batch.AppendKey without making equal values the same: -0 and 1.00 stay what they are.
func appendStored(dst []byte, v *batch.Vec, i int) []byte {
	if v.IsNull(i) {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	switch v.Type.Phys() {
	case types.PhysInt:
		return binary.LittleEndian.AppendUint64(dst, uint64(v.I64[i]))
	case types.PhysFloat:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.F64[i]))
	}
	return appendSized(dst, v.Bytes(i))
}

// savePartitions writes about most partitions, and rows that they took.
func (o *Over) savePartitions(out StateWriter, part savePart) (n int, err error) {
	s := &o.saved
	anew := s.at == s.end && s.anew(len(s.dirty), o.live(), part.anewMost)
	if anew {
		if err := out.Rewrite(overPast); err != nil {
			return 0, err
		}
		s.writing++
		s.at, s.end = 0, len(o.parts)
	}
	moved := o.watermark != s.watermark && len(s.slices) > 0
	if len(s.dirty) == 0 && s.at == s.end && !anew && !moved || part.most <= 0 {
		return 0, nil
	}
	w := overWriter{o: o, head: binary.AppendVarint([]byte{overVersion, overPartitions}, int64(o.watermark)), blocks: overBlocks{out: out}}
	w.blocks.at(overPast, w.head)
	s.watermark = o.watermark
	s.entries++
	for len(s.dirty) > 0 && n < part.most {
		last := len(s.dirty) - 1
		g := s.dirty[last]
		rows, err := w.add(g, part.most-n)
		if err != nil {
			return n, err
		}
		if n += 1 + rows; !o.parts[g].changed {
			s.dirty = s.dirty[:last]
		}
	}
	looked := 0
	for s.at < s.end && n+looked/scanShare < part.most {
		looked++
		g := uint32(s.at)
		p := &o.parts[g]
		if p.savedIn == s.writing || p.changed || p.taken == 0 { // it has been written, or will be
			s.at++
			continue
		}
		rows, err := w.add(g, part.most-n)
		if err != nil {
			return n, err
		}
		if n += 1 + rows; p.changed { // the rest of it is to be written yet
			s.dirty = append(s.dirty, g)
		}
		s.at++
	}
	if s.at == s.end {
		s.at, s.end = 0, 0
	}
	for i := range w.blocks.starts {
		if err := w.blocks.full(&w.blocks.blocks[i], overPast, true); err != nil {
			return n, err
		}
	}
	return n + looked/scanShare, nil
}

// overWriter writes partitions.
type overWriter struct {
	o      *Over
	head   []byte
	body   []byte
	blocks overBlocks
}

// add writes a partition, with about most of the rows that are to be written; when some are left, it stays changed.
func (w *overWriter) add(g uint32, most int) (rows int, err error) {
	o := w.o
	p := &o.parts[g]
	block := w.blocks.at(overPast, w.head)
	p.changed = false
	w.body, rows = o.appendPartition(w.body[:0], g, most)
	p.savedIn = o.saved.writing
	*block = appendSized(appendSized(*block, o.table.Key(g)), w.body)
	o.saved.entries += 1 + rows
	return rows, w.blocks.full(block, overPast, false)
}

// appendPartition writes a partition, with about most of the rows that it holds, or of those taken since it was written; n is how
// many rows those are. When some are left it stays changed.
func (o *Over) appendPartition(dst []byte, g uint32, most int) (_ []byte, n int) {
	p := &o.parts[g]
	flag := byte(0)
	if p.savedIn != o.saved.writing {
		flag, p.saved = 1, 0
	}
	dst = append(dst, flag)
	for _, u := range [...]uint64{p.taken, p.left, p.base, p.rank, p.dense} {
		dst = binary.AppendUvarint(dst, u)
	}
	dst = binary.AppendVarint(dst, p.last)
	for f := range o.frames {
		if o.frames[f].fromStart {
			dst = binary.AppendUvarint(dst, o.cursors[int(g)*len(o.frames)+f].endRow)
		}
	}
	for i := range o.funcs {
		if fn := &o.funcs[i]; o.lasting(fn) {
			dst = fn.kernel.Append(dst, &o.slab, fn.off, g)
		}
	}
	if len(o.frames) == 0 {
		p.saved = p.taken
		return dst, 0
	}
	number := uint64(0)
	for slot := p.pin; slot != noSlot && number < p.base; slot = o.rows.next(slot) {
		if number >= p.saved {
			dst, n = o.appendSlot(dst, slot, number), n+1
		}
		number++
	}
	p.saved = max(p.saved, number)
	slot := p.head
	if number = p.base; p.saved > p.base {
		slot, number = o.rows.next(p.savedSlot), p.saved
	}
	for ; slot != noSlot; slot = o.rows.next(slot) {
		if n >= most {
			p.changed = true
			return dst, n
		}
		dst, n = o.appendSlot(dst, slot, number), n+1
		number++
		p.saved, p.savedSlot = number, slot
	}
	p.saved = p.taken
	return dst, n
}

func (o *Over) appendSlot(dst []byte, slot uint32, number uint64) []byte {
	dst = binary.AppendUvarint(dst, number)
	dst = binary.AppendVarint(dst, o.rows.time(slot))
	for a := range o.rows.types {
		v := &o.dense[a]
		v.Reset(o.rows.types[a])
		o.rows.gather(v, []uint32{slot}, a)
		dst = appendStored(dst, v, 0)
	}
	return dst
}

// lasting tells whether a function's accumulator outlives the rows in it.
func (o *Over) lasting(fn *overFunc) bool {
	return fn.kernel != nil && fn.frame >= 0 && o.frames[fn.frame].fromStart && !o.frames[fn.frame].empty
}
