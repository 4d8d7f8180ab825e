package op

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state"
)

// The form of a block is described in docs/formats/state.md.
const (
	stateVersion = 1
	// blockBytes is the size, in bytes, after which a block of entries is closed.
	blockBytes = 256 << 10
	// rewriteRatio: a slice is written whole when the checkpoint holds so many times its entries, and rewriteMin more.
	rewriteRatio = 2
	rewriteMin   = 4096
)

// Snapshot implements Stateful: for each open window, the groups that changed since the last one.
func (w *WindowAgg) Snapshot(out StateWriter) error {
	for _, start := range w.dropped {
		if err := out.Drop(start); err != nil {
			return fmt.Errorf("drop state of a closed window: %w", err)
		}
	}
	w.dropped = w.dropped[:0]
	for _, sl := range w.open {
		if err := w.snapshotSlice(sl, out); err != nil {
			return fmt.Errorf("snapshot of window from %s: %w", types.NewTime(sl.Start).Text(), err)
		}
	}
	return nil
}

func (w *WindowAgg) snapshotSlice(sl *slice, out StateWriter) error {
	_, err := w.saveSlice(sl, savePart{math.MaxInt, cutAnewMost}, out)
	sl.ahead = false
	return err
}

// saveSlice writes groups of a slice that changed, all of it where that is due.
func (w *WindowAgg) saveSlice(sl *slice, part savePart, out StateWriter) (int, error) {
	if sl.anew(sl.table.DirtyLen(), sl.table.Len(), part.anewMost) {
		sl.table.MarkAll()
		if err := out.Rewrite(int64(sl.Start)); err != nil {
			return 0, err
		}
	}
	w.gids = sl.table.TakeDirty(w.gids[:0], part.most)
	sl.entries += len(w.gids)
	return len(w.gids), w.writeSlice(sl, w.gids, out)
}

// writeSlice writes groups of a slice.
func (w *WindowAgg) writeSlice(sl *slice, gids []uint32, out StateWriter) error {
	for len(gids) > 0 {
		var block []byte
		block, gids = w.appendBlock(nil, sl, gids)
		w.mem.Relieve()
		if err := out.Block(int64(sl.Start), block); err != nil {
			return err
		}
	}
	return nil
}

// Changed implements AheadCopier.
func (w *WindowAgg) Changed() int {
	n := 0
	for _, sl := range w.open {
		n += sl.left(sl.table.DirtyLen(), sl.table.Len())
	}
	return n
}

// CopyAhead implements AheadCopier.
func (w *WindowAgg) CopyAhead(out StateWriter, most int) (int, error) {
	return copySlices(w.open, most, func(sl *slice, part savePart) (int, error) {
		if sl.left(sl.table.DirtyLen(), sl.table.Len()) == 0 {
			return 0, nil
		}
		n, err := w.saveSlice(sl, part, out)
		sl.ahead = true
		return n, err
	})
}

// appendBlock writes entries until the block is full, and returns the groups that are left.
func (w *WindowAgg) appendBlock(dst []byte, sl *slice, gids []uint32) ([]byte, []uint32) {
	dst = w.appendHead(dst, stateVersion, sl.slab.Stride)
	var entry []byte
	for len(gids) > 0 && len(dst) < blockBytes {
		key := sl.table.Key(gids[0])
		dst = binary.AppendUvarint(dst, uint64(len(key)))
		dst = append(dst, key...)
		entry = w.appendStates(entry[:0], &sl.slab, gids[0])
		dst = binary.AppendUvarint(dst, uint64(len(entry)))
		dst = append(dst, entry...)
		gids = gids[1:]
	}
	return dst, gids
}

// Restore implements Stateful.
func (w *WindowAgg) Restore(in StateReader, own func(hash uint64) bool) error {
	r := restorer{w: w, own: own, blocks: blockList{mem: w.mem}}
	defer r.blocks.free()
	err := in.Blocks(func(start int64, data []byte) error {
		if start != r.start {
			if err := r.finish(); err != nil {
				return err
			}
			r.start = start
		}
		r.blocks.add(data)
		return nil
	})
	if err != nil {
		return err
	}
	return r.finish()
}

// restorer gathers the blocks of one slice, then loads them from the last to the first: of several entries for a key the
// last one counts.
type restorer struct {
	w      *WindowAgg
	own    func(hash uint64) bool
	start  int64
	blocks blockList
	keys   restoredKeys
	states [][]byte // of keys
	gids   []uint32
}

func (r *restorer) finish() error {
	left := r.blocks.size()
	for i := r.blocks.len() - 1; i >= 0; i-- {
		r.w.mem.Relieve()
		block := r.blocks.at(i)
		if err := r.load(block, left); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of window from %s: block %d of %d: %v",
				types.NewTime(types.EventTime(r.start)).Text(), i+1, r.blocks.len(), err)
		}
		left -= len(block)
	}
	r.blocks.reset()
	return nil
}

// load takes over the entries of a block whose keys this worker owns and has not yet seen; left is the size of the block and of those
// that follow it.
func (r *restorer) load(block []byte, left int) error {
	w := r.w
	r.keys.reset()
	r.states = r.states[:0]
	src, err := w.blockEntries(block, stateVersion)
	for err == nil && len(src) > 0 {
		var key, entry []byte
		if key, entry, src, err = cutEntry(src); err != nil {
			break
		}
		hash := batch.HashKey(key)
		if !r.own(hash) {
			continue
		}
		if err = w.checkKey(key); err == nil {
			r.keys.add(key, hash)
			r.states = append(r.states, entry)
		}
	}
	if err != nil || len(r.states) == 0 {
		return err
	}
	return r.loadEntries(r.keys.room(len(block), left))
}

// loadEntries takes over the entries that were read; the slice is about to have room for as many.
func (r *restorer) loadEntries(keys, size int) error {
	w := r.w
	win := window.TumbleAt(types.EventTime(r.start), w.spec.Window.Size, w.spec.Window.Offset)
	if int64(win.Start) != r.start {
		return fmt.Errorf("%d is not the start of a window of the query", r.start)
	}
	sl := w.sliceOf(win)
	sl.restored = true
	sl.table.Reserve(keys, size)
	next := uint32(sl.table.Len())
	var err error
	if r.gids, err = sl.table.FindOrAdd(r.keys.rows, batch.All(len(r.states)), r.gids[:0]); err != nil {
		return err
	}
	sl.slab.Grow(sl.table.Len())
	for i, gid := range r.gids {
		if gid != next { // a later entry was there
			continue
		}
		next++
		if err := w.loadStates(r.states[i], &sl.slab, gid); err != nil {
			return err
		}
	}
	return nil
}

// restoredKeys are the keys of a block that a worker owns, to be looked up all at once.
type restoredKeys struct{ rows state.Rows }

func (k *restoredKeys) reset() {
	k.rows = state.Rows{Buf: k.rows.Buf[:0], Off: append(k.rows.Off[:0], 0), Hash: k.rows.Hash[:0]}
}

func (k *restoredKeys) add(key []byte, hash uint64) {
	k.rows.Buf = append(k.rows.Buf, key...)
	k.rows.Off, k.rows.Hash = append(k.rows.Off, uint32(len(k.rows.Buf))), append(k.rows.Hash, hash)
}

// room is about how many keys, of how many bytes, blocks of so many bytes have, when one of size bytes has these.
func (k *restoredKeys) room(size, bytes int) (n, keyBytes int) {
	return int(int64(len(k.rows.Hash)) * int64(bytes) / int64(size)), int(int64(len(k.rows.Buf)) * int64(bytes) / int64(size))
}

// cutEntry takes the next key and states from the front of src.
func cutEntry(src []byte) (key, entry, rest []byte, err error) {
	if key, src, err = cutBytes(src); err != nil {
		return nil, nil, nil, err
	}
	if entry, src, err = cutBytes(src); err != nil {
		return nil, nil, nil, err
	}
	return key, entry, src, nil
}

func cutBytes(src []byte) (b, rest []byte, err error) {
	n, width := binary.Uvarint(src)
	if width <= 0 || n > uint64(len(src)-width) {
		return nil, nil, fmt.Errorf("entry ends early")
	}
	src = src[width:]
	return src[:n:n], src[n:], nil
}

// checkKey refuses keys that are not of the query's types.
func (g *grouping) checkKey(key []byte) error {
	rest, err := agg.SkipKey(key, g.keyType)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("key has %d bytes too many", len(rest))
	}
	return err
}
