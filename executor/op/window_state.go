package op

import (
	"encoding/binary"
	"fmt"

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
	if err := w.rewriteSlice(sl, sl.table.DirtyLen(), out); err != nil {
		return err
	}
	sl.ahead = false
	w.gids = sl.table.Dirty(w.gids[:0])
	sl.table.ClearDirty()
	return w.writeSlice(sl, w.gids, out)
}

// rewriteSlice has a slice written whole where that is due: not where a part of it was written just now.
func (w *WindowAgg) rewriteSlice(sl *slice, dirty int, out StateWriter) error {
	due := !sl.ahead && dirty > 0 && sl.entries+dirty > rewriteRatio*sl.table.Len()+rewriteMin
	if !sl.restored && !due {
		return nil
	}
	sl.entries, sl.restored = 0, false
	sl.table.MarkAll()
	return out.Rewrite(int64(sl.Start))
}

func (w *WindowAgg) writeSlice(sl *slice, gids []uint32, out StateWriter) error {
	sl.entries += len(gids)
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
		if sl.restored {
			n += sl.table.Len()
		} else {
			n += sl.table.DirtyLen()
		}
	}
	return n
}

// CopyAhead implements AheadCopier.
func (w *WindowAgg) CopyAhead(out StateWriter, most int) (int, error) {
	left := most
	for _, sl := range w.open {
		if left <= 0 {
			break
		}
		dirty := sl.table.DirtyLen()
		if dirty == 0 && !sl.restored {
			continue
		}
		if err := w.rewriteSlice(sl, dirty, out); err != nil {
			return 0, err
		}
		sl.ahead = true
		w.gids = sl.table.TakeDirty(w.gids[:0], left)
		left -= len(w.gids)
		if err := w.writeSlice(sl, w.gids, out); err != nil {
			return 0, err
		}
	}
	return most - left, nil
}

// appendBlock writes entries until the block is full, and returns the groups that are left.
func (w *WindowAgg) appendBlock(dst []byte, sl *slice, gids []uint32) ([]byte, []uint32) {
	dst = append(dst, stateVersion)
	dst = binary.AppendUvarint(dst, uint64(len(w.aggs)))
	var entry []byte
	for len(gids) > 0 && len(dst) < blockBytes {
		key := sl.table.Key(gids[0])
		dst = binary.AppendUvarint(dst, uint64(len(key)))
		dst = append(dst, key...)
		entry = entry[:0]
		for i := range w.aggs {
			entry = w.aggs[i].kernel.Append(entry, &sl.slab, w.offs[i], gids[0])
		}
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
	gids   []uint32
}

func (r *restorer) finish() error {
	for i := r.blocks.len() - 1; i >= 0; i-- {
		if err := r.load(r.blocks.at(i)); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of window from %s: block %d of %d: %v",
				types.NewTime(types.EventTime(r.start)).Text(), i+1, r.blocks.len(), err)
		}
	}
	r.blocks.reset()
	return nil
}

// load takes over the entries of a block whose keys this worker owns and has not yet seen.
func (r *restorer) load(block []byte) error {
	w := r.w
	src, err := blockEntries(block, stateVersion, len(w.aggs))
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
			err = r.loadEntry(key, hash, entry)
		}
	}
	return err
}

func (r *restorer) loadEntry(key []byte, hash uint64, entry []byte) error {
	w := r.w
	win := window.TumbleAt(types.EventTime(r.start), w.spec.Window.Size, w.spec.Window.Offset)
	if int64(win.Start) != r.start {
		return fmt.Errorf("%d is not the start of a window of the query", r.start)
	}
	sl := w.sliceOf(win)
	sl.restored = true
	if _, ok := sl.table.Find(key, hash); ok {
		return nil
	}
	var err error
	rows := state.Rows{Buf: key, Off: []uint32{0, uint32(len(key))}, Hash: []uint64{hash}}
	if r.gids, err = sl.table.FindOrAdd(rows, batch.All(1), r.gids[:0]); err != nil {
		return err
	}
	sl.slab.Grow(sl.table.Len())
	for i := range w.aggs {
		if entry, err = w.aggs[i].kernel.Load(entry, &sl.slab, w.offs[i], r.gids[0]); err != nil {
			return err
		}
	}
	if len(entry) > 0 {
		return fmt.Errorf("entry has %d bytes too many", len(entry))
	}
	return nil
}

// blockEntries reads the head of a block, and returns what follows it.
func blockEntries(block []byte, version byte, aggs int) ([]byte, error) {
	if err := blockVersion("a block of a grouping by windows", block, version); err != nil {
		return nil, err
	}
	n, width := binary.Uvarint(block[1:])
	if width <= 0 || n != uint64(aggs) {
		return nil, fmt.Errorf("state block is not of a query with %d aggregates", aggs)
	}
	return block[1+width:], nil
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
