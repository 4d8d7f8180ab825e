package op

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// The form of a block is described in docs/formats/state.md.
const (
	timedVersion = 1
	// The first byte of an entry: the side, and flags.
	entrySide     = 1
	entryAnswered = 2
	entryDelta    = 4 // only says that a row of an earlier entry has been answered
	entryDeletes  = 8
	// seqMax leaves room for the flags of a row.
	seqMax = 1<<(64-rowFlagBits) - 1
)

// snapshot writes the rows that came, and those that were answered, since the last one.
func (s *timedRows) snapshot(out StateWriter) error {
	for _, number := range s.dropped {
		if err := out.Drop(number); err != nil {
			return fmt.Errorf("drop rows of a join that time has passed: %w", err)
		}
	}
	s.dropped = s.dropped[:0]
	for _, b := range s.buckets {
		if err := s.snapshotBucket(b, out); err != nil {
			return fmt.Errorf("snapshot of rows of a join: %w", err)
		}
	}
	return nil
}

func (s *timedRows) snapshotBucket(b *rowBucket, out StateWriter) error {
	if _, err := s.saveRows(b, out, math.MaxInt); err != nil {
		return err
	}
	return b.saveDeltas(out)
}

// saveDeltas hands over what was noted of rows that the checkpoint has.
func (b *rowBucket) saveDeltas(out StateWriter) error {
	for _, block := range b.deltas {
		b.saved = true
		if err := out.Block(b.number, block); err != nil {
			return err
		}
	}
	b.deltas, b.noted = nil, 0
	return nil
}

// saveRows writes at most so many rows that the checkpoint does not have, and returns how many.
func (s *timedRows) saveRows(b *rowBucket, out StateWriter, most int) (n int, err error) {
	if b.restored {
		if err := out.Rewrite(b.number); err != nil {
			return 0, err
		}
		b.restored = false
	}
	var block []byte
	for side, list := range b.chunks {
		for ; b.unsaved[side] < len(list) && n < most; b.unsaved[side]++ {
			c := &s.chunks[list[b.unsaved[side]]]
			for ; c.saved < len(c.rows) && n < most; c.saved++ {
				if c.rows[c.saved].tag&rowUnlinked != 0 {
					continue // it will never be met again
				}
				n++
				block = s.appendEntry(block, c, c.saved)
				if len(block) < blockBytes {
					continue
				}
				s.mem.Relieve()
				if err := out.Block(b.number, block); err != nil {
					return n, err
				}
				block, b.saved = nil, true
			}
			if c.saved < len(c.rows) {
				break
			}
		}
		b.unsaved[side] = min(b.unsaved[side], max(len(list)-1, 0)) // the last one may grow
	}
	if len(block) > 0 {
		b.saved, err = true, out.Block(b.number, block)
	}
	return n, err
}

// changed is how many rows the checkpoint does not have.
func (s *timedRows) changed() int {
	n := 0
	for _, b := range s.buckets {
		n += b.noted
		for side, list := range b.chunks {
			for _, at := range list[min(b.unsaved[side], len(list)):] {
				c := &s.chunks[at]
				n += len(c.rows) - c.saved
			}
		}
	}
	return n
}

// copyAhead writes about most rows that the checkpoint does not have.
func (s *timedRows) copyAhead(out StateWriter, most int) (int, error) {
	all := 0
	for _, b := range s.buckets {
		if all >= most {
			break
		}
		n, err := s.saveRows(b, out, most-all)
		n += b.noted
		if err == nil {
			err = b.saveDeltas(out)
		}
		if err != nil {
			return all, fmt.Errorf("copy rows of a join: %w", err)
		}
		all += n
	}
	return all, nil
}

// blockHead begins a block.
func (s *timedRows) blockHead(dst []byte) []byte {
	dst = append(dst, timedVersion)
	for side := range s.codecs {
		dst = binary.AppendUvarint(dst, uint64(len(s.codecs[side].typs)))
	}
	return dst
}

// appendEntry adds a row to a block, which it begins when it is empty.
func (s *timedRows) appendEntry(dst []byte, c *rowChunk, at int) []byte {
	if len(dst) == 0 {
		dst = s.blockHead(dst)
	}
	r := &c.rows[at]
	flags := c.side
	if r.tag&rowAnswered != 0 {
		flags |= entryAnswered
	}
	if r.tag&rowDeletes != 0 {
		flags |= entryDeletes
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, r.tag>>rowFlagBits)
	dst = appendLenBytes(dst, s.index.Key(r.key))
	row := c.data[r.off:]
	return appendLenBytes(dst, row[:s.codecs[c.side].size(row)])
}

// noteAnswered adds a row that the checkpoint has to the deltas of its bucket.
func (s *timedRows) noteAnswered(b *rowBucket, r *timedRow, side uint8) {
	last := len(b.deltas) - 1
	if last < 0 || len(b.deltas[last]) >= blockBytes {
		b.deltas = append(b.deltas, s.blockHead(nil))
		last++
	}
	dst := append(b.deltas[last], entryDelta|side)
	dst = binary.AppendUvarint(dst, r.tag>>rowFlagBits)
	b.deltas[last] = appendLenBytes(dst, s.index.Key(r.key))
	b.noted++
}

func appendLenBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// timedRestorer gathers the entries of all blocks.
type timedRestorer struct {
	s       *timedRows
	keyType []types.Type
	own     func(hash uint64) bool
	// rows and what their bytes lie in are as much as there is state.
	rows      []restoredRow
	rowBlock  arena.Block
	data      []byte
	dataBlock arena.Block
	// answered names rows by side, sequence number and key.
	answered map[string]bool
	name     []byte
}

// restoredRow is a row of a block. Its key, and then its columns, lie at a place in the restorer's data.
type restoredRow struct {
	seq        uint64
	time       int64
	hash       uint64
	at         uint64
	keys, cols uint32 // bytes
	side       uint8
	answered   bool
	deletes    bool
}

// restore rebuilds the rows whose keys this worker owns, in the order in which they came.
func (s *timedRows) restore(in StateReader, keyType []types.Type, own func(hash uint64) bool) error {
	r := timedRestorer{s: s, keyType: keyType, own: own, answered: map[string]bool{}}
	defer r.free()
	err := in.Blocks(func(slice int64, data []byte) error {
		if s.foreign != nil && s.foreign(slice) {
			return nil
		}
		if err := r.block(slice, data); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of a join, slice %d: %v", slice, err)
		}
		b := s.bucket(slice)
		b.saved, b.restored = true, true
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(r.rows, func(a, b restoredRow) int {
		switch {
		case a.seq < b.seq:
			return -1
		case a.seq > b.seq:
			return 1
		}
		return 0
	})
	for i := range r.rows {
		if err := r.load(&r.rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *timedRestorer) load(x *restoredRow) error {
	s := r.s
	s.seq = max(s.seq, x.seq)
	key := r.data[x.at : x.at+uint64(x.keys)]
	row := r.data[x.at+uint64(x.keys):][:x.cols]
	r.rowName(x.side, x.seq, key)
	if r.answered[string(r.name)] {
		x.answered = true
	}
	if x.answered && s.once[x.side] {
		return nil
	}
	keys := state.Rows{Buf: key, Off: []uint32{0, uint32(len(key))}, Hash: []uint64{x.hash}}
	ids, err := s.index.FindOrAdd(keys, batch.All(1), nil)
	if err != nil {
		return err
	}
	ref, c, err := s.place(int(x.side), ids[0], x.time, x.seq)
	if err != nil {
		return err
	}
	c.data = arena.Append(s.mem, &c.dataBlock, c.data, row...)
	if x.answered {
		s.row(ref).tag |= rowAnswered
	}
	if x.deletes {
		s.row(ref).tag |= rowDeletes
	}
	return nil
}

func (r *timedRestorer) free() {
	r.rowBlock.Free()
	r.dataBlock.Free()
}

func (r *timedRestorer) rowName(side uint8, seq uint64, key []byte) {
	r.name = binary.LittleEndian.AppendUint64(append(r.name[:0], side), seq)
	r.name = append(r.name, key...)
}

// block gathers the entries of a block.
func (r *timedRestorer) block(slice int64, src []byte) error {
	src, err := r.blockHead(src)
	for err == nil && len(src) > 0 {
		src, err = r.entry(slice, src)
	}
	return err
}

func (r *timedRestorer) blockHead(src []byte) ([]byte, error) {
	if err := blockVersion("a block of rows that wait in a join", src, timedVersion); err != nil {
		return nil, err
	}
	src = src[1:]
	for side := range r.s.codecs {
		n, width := binary.Uvarint(src)
		if width <= 0 || n != uint64(len(r.s.codecs[side].typs)) {
			return nil, fmt.Errorf("state block is not of a join with %d columns", len(r.s.codecs[side].typs))
		}
		src = src[width:]
	}
	return src, nil
}

func (r *timedRestorer) entry(slice int64, src []byte) ([]byte, error) {
	flags := src[0]
	x := restoredRow{side: flags & entrySide, answered: flags&entryAnswered != 0, deletes: flags&entryDeletes != 0}
	delta := flags&entryDelta != 0
	if flags&^(entrySide|entryAnswered|entryDelta|entryDeletes) != 0 || delta && (x.answered || x.deletes) || len(r.s.codecs[x.side].typs) == 0 {
		return nil, fmt.Errorf("entry has flags %d", flags)
	}
	var width int
	if x.seq, width = binary.Uvarint(src[1:]); width <= 0 || x.seq > seqMax {
		return nil, fmt.Errorf("entry has no number")
	}
	key, src, err := cutBytes(src[1+width:])
	if err != nil {
		return nil, err
	}
	if rest, err := agg.SkipKey(key, r.keyType); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("key is not of the query's types")
	}
	if delta {
		r.rowName(x.side, x.seq, key)
		r.answered[string(r.name)] = true
		return src, nil
	}
	row, src, err := cutBytes(src)
	if err != nil {
		return nil, err
	}
	x.hash = batch.HashKey(key)
	if !r.own(x.hash) {
		return src, nil
	}
	if x.time, err = r.s.codecs[x.side].check(row); err != nil {
		return nil, err
	}
	if r.s.bucketNumber(r.s.dueOf(int(x.side), x.time)) != slice {
		return nil, fmt.Errorf("row is not of the slice")
	}
	x.at, x.keys, x.cols = uint64(len(r.data)), uint32(len(key)), uint32(len(row))
	r.data = arena.Append(r.s.mem, &r.dataBlock, r.data, key...)
	r.data = arena.Append(r.s.mem, &r.dataBlock, r.data, row...)
	r.rows = arena.Append(r.s.mem, &r.rowBlock, r.rows, x)
	return src, nil
}
