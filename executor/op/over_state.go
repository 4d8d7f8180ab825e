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
	// entries counts the partitions and rows in blocks of overPast.
	entries  int
	restored bool    // partitions are to be written whole
	slices   []int64 // of rows that wait
	// watermark tells which of those rows wait no more.
	watermark types.EventTime
}

// Snapshot implements Stateful: rows that came, partitions that changed with the rows that they took.
func (o *Over) Snapshot(out StateWriter) error {
	if err := o.saveWaiting(out); err != nil {
		return fmt.Errorf("snapshot of rows that wait: %w", err)
	}
	if err := o.savePartitions(out); err != nil {
		return fmt.Errorf("snapshot of partitions: %w", err)
	}
	return nil
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

func (o *Over) saveWaiting(out StateWriter) error {
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
	blocks := overBlocks{out: out}
	for _, c := range o.pending.chunks {
		for i := c.saved; i < len(c.times); i++ {
			if c.times[i] < limit {
				continue
			}
			start := floorTo(c.times[i], overBucket)
			block := blocks.at(start, o.waitingHead(c))
			*block = o.appendWaiting(*block, c, i, start)
			if err := blocks.full(block, start, false); err != nil {
				return err
			}
		}
		c.saved = len(c.times)
	}
	for i, start := range blocks.starts {
		if err := blocks.full(&blocks.blocks[i], start, true); err != nil {
			return err
		}
		if !slices.Contains(o.saved.slices, start) {
			o.saved.slices = append(o.saved.slices, start)
		}
	}
	return nil
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

func (o *Over) savePartitions(out StateWriter) error {
	changed, rows := 0, 0
	for g := range o.parts {
		if p := &o.parts[g]; p.changed {
			changed++
			rows += int(p.taken - max(p.saved, p.base))
		}
	}
	whole := o.saved.restored || changed > 0 && o.saved.entries+changed+rows > rewriteRatio*(len(o.parts)+o.rows.n)+rewriteMin
	moved := o.watermark != o.saved.watermark && len(o.saved.slices) > 0
	if changed == 0 && !whole && !moved {
		return nil
	}
	if whole {
		if err := out.Rewrite(overPast); err != nil {
			return err
		}
		o.saved.entries, o.saved.restored = 0, false
	}
	head := binary.AppendVarint([]byte{overVersion, overPartitions}, int64(o.watermark))
	blocks := overBlocks{out: out}
	blocks.at(overPast, head)
	o.saved.watermark = o.watermark
	o.saved.entries++
	var body []byte
	for g := range o.parts {
		p := &o.parts[g]
		if !p.changed && !whole {
			continue
		}
		block := blocks.at(overPast, head)
		var n int
		body, n = o.appendPartition(body[:0], uint32(g), whole || p.saved == 0)
		*block = appendSized(appendSized(*block, o.table.Key(uint32(g))), body)
		o.saved.entries += 1 + n
		p.saved, p.changed = p.taken, false
		if err := blocks.full(block, overPast, false); err != nil {
			return err
		}
	}
	for i := range blocks.starts {
		if err := blocks.full(&blocks.blocks[i], overPast, true); err != nil {
			return err
		}
	}
	return nil
}

// appendPartition writes a partition, with all rows that it holds or with those taken since the last checkpoint; n is how
// many rows those are.
func (o *Over) appendPartition(dst []byte, g uint32, whole bool) (_ []byte, n int) {
	p := &o.parts[g]
	flag := byte(0)
	if whole {
		flag = 1
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
		return dst, 0
	}
	number := uint64(0)
	for slot := p.pin; slot != noSlot; slot = o.rows.next(slot) {
		if whole || number >= p.saved {
			dst, n = o.appendSlot(dst, slot, number), n+1
		}
		number++
	}
	number = p.base
	for slot := p.head; slot != noSlot; slot = o.rows.next(slot) {
		if whole || number >= p.saved {
			dst, n = o.appendSlot(dst, slot, number), n+1
		}
		number++
	}
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
