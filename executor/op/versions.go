package op

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// versionTable is one encoded row per key.
type versionTable struct {
	// index: the words of a key are where its row is in data (low, high), the row's length, and whether it is in changed.
	index state.Index
	data  []byte
	dead  int // bytes of data that no key has
	// mem is where all that grows with the keys lies.
	mem                     *arena.Part
	dataBlock, changedBlock arena.Block
	// changed lists keys whose row changed since the last snapshot, of which the first done are written; gone are entries of keys
	// that were removed since.
	changed []uint32
	done    int
	gone    []byte
	goneN   int
	// generation names the slice of the checkpoint, of this worker's entries in it. Restored: the next one is begun.
	generation int64
	sliceSave
	// rewriting: all keys are being written anew; those from at to end, by number, still have to be.
	rewriting bool
	at, end   int
}

const (
	versionFormat = 1
	// versionSlices is how many slices are for versions: the least numbers, which no bucket of rows has.
	versionSlices = 1 << 20
	// deadMin is the number of dead bytes from which rows are packed anew.
	deadMin = 1 << 16
)

// isVersionSlice tells the slices of versions from those of waiting rows.
func isVersionSlice(slice int64) bool { return slice < math.MinInt64+versionSlices }

func (v *versionTable) slice(generation int64) int64 { return math.MinInt64 + generation%versionSlices }

func (v *versionTable) get(key []byte, hash uint64) ([]byte, bool) {
	id, ok := v.index.Find(key, hash)
	if !ok {
		return nil, false
	}
	return v.row(id), true
}

func (v *versionTable) row(id uint32) []byte {
	w := v.index.Words(id)
	at := uint64(w[0]) | uint64(w[1])<<32
	return v.data[at : at+uint64(w[2])]
}

func (v *versionTable) set(key []byte, hash uint64, row []byte) error {
	rows := state.Rows{Buf: key, Off: []uint32{0, uint32(len(key))}, Hash: []uint64{hash}}
	ids, err := v.index.FindOrAdd(rows, batch.All(1), nil)
	if err != nil {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d keys in a join", state.KeysMax)
	}
	w := v.index.Words(ids[0])
	if int(w[2]) >= len(row) && w[2] > 0 {
		v.dead += int(w[2]) - len(row)
		copy(v.row(ids[0]), row)
	} else {
		v.dead += int(w[2])
		w[0], w[1] = uint32(len(v.data)), uint32(uint64(len(v.data))>>32)
		v.data = arena.Append(v.mem, &v.dataBlock, v.data, row...)
	}
	w[2] = uint32(len(row))
	if w[3] == 0 {
		w[3] = 1
		v.changed = arena.Append(v.mem, &v.changedBlock, v.changed, ids[0])
	}
	v.pack()
	return nil
}

func (v *versionTable) remove(key []byte, hash uint64) {
	id, ok := v.index.Find(key, hash)
	if !ok {
		return
	}
	v.gone = append(appendLenBytes(v.gone, key), 0)
	v.goneN++
	w := v.index.Words(id)
	v.dead += int(w[2])
	*w = state.IndexWords{}
	v.index.Remove(id)
	v.pack()
}

// pack copies the rows that are left once most bytes are dead.
func (v *versionTable) pack() {
	if v.dead < deadMin || v.dead*2 < len(v.data) {
		return
	}
	var block arena.Block
	data := arena.Grow(v.mem, &block, []byte(nil), (len(v.data)-v.dead)*3/2)
	seen := 0
	v.index.Each(func(id uint32) {
		if seen++; seen%breathKeys == 0 {
			v.mem.Relieve()
		}
		row := v.row(id)
		w := v.index.Words(id)
		w[0], w[1] = uint32(len(data)), uint32(uint64(len(data))>>32)
		data = append(data, row...)
	})
	v.dataBlock.Free()
	v.data, v.dataBlock, v.dead = data, block, 0
}

// reset forgets all versions, and gives the memory back; mem is where the next ones lie.
func (v *versionTable) reset(mem *arena.Part) {
	v.index.Free()
	v.dataBlock.Free()
	v.changedBlock.Free()
	*v = versionTable{mem: mem}
	v.index.Mem = mem
}

func (v *versionTable) bytes() int64 {
	return v.index.Bytes() + capBytes(v.data) + capBytes(v.changed) + capBytes(v.gone)
}

// snapshot writes what changed. The first one after a restart writes everything, into a slice of the next generation, and
// drops the old one: blocks of other workers in it may hold keys that have since been removed.
func (v *versionTable) snapshot(out StateWriter, columns int) error {
	_, err := v.write(out, columns, savePart{math.MaxInt, cutAnewMost})
	v.ahead = false
	return err
}

// left is how many entries are to be written.
func (v *versionTable) left() int {
	n := len(v.changed) - v.done + v.goneN
	if v.rewriting {
		return n + v.end - v.at
	}
	return v.sliceSave.left(n, v.index.Len())
}

// copyAhead writes about most of them.
func (v *versionTable) copyAhead(out StateWriter, columns, most int) (int, error) {
	if most <= 0 || v.left() == 0 {
		return 0, nil
	}
	n, err := v.write(out, columns, savePart{most, math.MaxInt})
	v.ahead = true
	return n, err
}

// write writes about most entries.
func (v *versionTable) write(out StateWriter, columns int, part savePart) (int, error) {
	if err := v.beginAnew(out, part.anewMost); err != nil {
		return 0, err
	}
	w := versionWriter{out: out, slice: v.slice(v.generation), columns: columns}
	n := v.goneN
	if len(v.gone) > 0 {
		w.begin()
		w.block = append(w.block, v.gone...)
	}
	v.gone, v.goneN = v.gone[:0], 0
	for ; v.done < len(v.changed) && n < part.most; v.done++ {
		n++
		if id := v.changed[v.done]; v.index.Has(id) && v.index.Words(id)[3] != 0 { // else removed since, or there twice
			w.entry(v, id)
		}
	}
	if v.done == len(v.changed) {
		v.changed, v.done = v.changed[:0], 0
	}
	v.entries += n
	if v.rewriting {
		n += v.writeAnew(&w, part.most-n)
	}
	w.flush()
	return n, w.err
}

// beginAnew begins to write everything anew where that is due.
func (v *versionTable) beginAnew(out StateWriter, most int) error {
	restored := v.restored
	if v.rewriting || !v.anew(len(v.changed)-v.done+v.goneN, v.index.Len(), most) {
		return nil
	}
	v.rewriting, v.at, v.end = true, 0, v.index.Cap()
	if !restored {
		return out.Rewrite(v.slice(v.generation))
	}
	err := out.Drop(v.slice(v.generation))
	v.generation++
	return err
}

// writeAnew writes about most keys that have not changed.
func (v *versionTable) writeAnew(w *versionWriter, most int) int {
	n, looked := 0, 0
	for ; v.at < v.end && n+looked/scanShare < most; v.at++ {
		looked++
		if id := uint32(v.at); v.index.Has(id) && v.index.Words(id)[3] == 0 { // else the list has it
			w.entry(v, id)
			n++
		}
	}
	if v.at == v.end {
		v.rewriting, v.at, v.end = false, 0, 0
	}
	v.entries += n
	return n + looked/scanShare
}

// versionWriter fills blocks.
type versionWriter struct {
	out     StateWriter
	slice   int64
	columns int
	block   []byte
	err     error
}

func (w *versionWriter) begin() {
	w.block = binary.AppendUvarint(append(w.block, versionFormat), uint64(w.columns))
}

func (w *versionWriter) entry(v *versionTable, id uint32) {
	if len(w.block) == 0 {
		w.begin()
	}
	v.index.Words(id)[3] = 0
	w.block = append(appendLenBytes(w.block, v.index.Key(id)), 1)
	w.block = appendLenBytes(w.block, v.row(id))
	if len(w.block) >= blockBytes {
		w.flush()
	}
}

func (w *versionWriter) flush() {
	if len(w.block) > 0 && w.err == nil {
		w.err = w.out.Block(w.slice, w.block)
	}
	w.block = nil
}

// restore takes over the versions of the keys this worker owns; of several entries for a key the last one counts.
func (v *versionTable) restore(in StateReader, codec *rowCodec, keyType []types.Type, own func(hash uint64) bool) error {
	err := in.Blocks(func(slice int64, block []byte) error {
		if !isVersionSlice(slice) {
			return nil
		}
		v.generation = max(v.generation, slice-math.MinInt64)
		if err := v.loadBlock(block, codec, keyType, own); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of versions: %v", err)
		}
		return nil
	})
	v.changed, v.done, v.gone, v.goneN, v.restored = v.changed[:0], 0, v.gone[:0], 0, true
	v.index.Each(func(id uint32) { v.index.Words(id)[3] = 0 })
	return err
}

func (v *versionTable) loadBlock(src []byte, codec *rowCodec, keyType []types.Type, own func(hash uint64) bool) error {
	if err := blockVersion("a block of versions of a temporal join", src, versionFormat); err != nil {
		return err
	}
	n, width := binary.Uvarint(src[1:])
	if width <= 0 || n != uint64(len(codec.typs)) {
		return fmt.Errorf("state block is not of versions with %d columns", len(codec.typs))
	}
	for src = src[1+width:]; len(src) > 0; {
		key, rest, err := cutBytes(src)
		if err != nil {
			return err
		}
		if left, err := agg.SkipKey(key, keyType); err != nil || len(left) > 0 {
			return fmt.Errorf("key is not of the query's types")
		}
		if len(rest) == 0 || rest[0] > 1 {
			return fmt.Errorf("entry ends early")
		}
		isSet := rest[0] == 1
		src = rest[1:]
		hash := batch.HashKey(key)
		if !isSet {
			if own(hash) {
				v.remove(key, hash)
			}
			continue
		}
		var row []byte
		if row, src, err = cutBytes(src); err != nil {
			return err
		}
		if _, err := codec.check(row); err != nil {
			return err
		}
		if own(hash) {
			if err := v.set(key, hash, row); err != nil {
				return err
			}
		}
	}
	return nil
}
