package op

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
)

// The forms of blocks are described in docs/formats/state.md.
const (
	stateVersionFired = 2
	stateVersionTime  = 3
	// stateVersionTold has changes that were told.
	stateVersionTold = 4
	// timeSlice is the slice of what does not belong to a pane; no pane begins there.
	timeSlice = math.MaxInt64
)

// Snapshot implements Stateful: for each pane, the groups that changed since the last one.
func (p *PaneAgg) Snapshot(out StateWriter) error {
	for _, start := range p.dropped {
		if err := out.Drop(start); err != nil {
			return fmt.Errorf("drop state of a pane: %w", err)
		}
	}
	p.dropped = p.dropped[:0]
	for _, pn := range p.panes {
		if err := p.snapshotPane(pn, out); err != nil {
			return fmt.Errorf("snapshot of pane from %s: %w", types.NewTime(pn.start).Text(), err)
		}
	}
	p.generation++
	if !p.keepsTime() {
		return nil
	}
	return p.snapshotTime(out)
}

func (p *PaneAgg) snapshotPane(pn *pane, out StateWriter) error {
	_, err := p.savePane(pn, savePart{math.MaxInt, cutAnewMost}, out)
	pn.ahead = false
	return err
}

// savePane writes groups of a pane that changed, all of it where that is due.
func (p *PaneAgg) savePane(pn *pane, part savePart, out StateWriter) (int, error) {
	if pn.beginAnew(part.anewMost) {
		if err := out.Rewrite(int64(pn.start)); err != nil {
			return 0, err
		}
	}
	p.gids = pn.dirty.Take(p.gids[:0], part.most)
	pn.entries += len(p.gids)
	return len(p.gids), p.writePane(pn, p.gids, out)
}

// writePane writes groups of a pane.
func (p *PaneAgg) writePane(pn *pane, gids []uint32, out StateWriter) error {
	for len(gids) > 0 {
		var block []byte
		block, gids = p.appendBlock(nil, pn, gids)
		p.mem.Relieve()
		if err := out.Block(int64(pn.start), block); err != nil {
			return err
		}
	}
	return nil
}

// Changed implements AheadCopier.
func (p *PaneAgg) Changed() int {
	n := p.changes.unsaved()
	for _, pn := range p.panes {
		n += pn.left()
	}
	return n
}

// CopyAhead implements AheadCopier.
func (p *PaneAgg) CopyAhead(out StateWriter, most int) (int, error) {
	groups, err := copySlices(p.panes, most, func(pn *pane, part savePart) (int, error) {
		if pn.left() == 0 {
			return 0, nil
		}
		n, err := p.savePane(pn, part, out)
		pn.ahead = true
		return n, err
	})
	if err != nil {
		return 0, err
	}
	n, err := p.copyChanges(out, most-groups)
	return groups + n, err
}

// appendBlock writes entries until the block is full, and returns the groups that are left.
func (p *PaneAgg) appendBlock(dst []byte, pn *pane, gids []uint32) ([]byte, []uint32) {
	version := p.entryVersion()
	dst = p.appendHead(dst, version, pn.slab.Stride)
	var entry []byte
	marks := p.marksOf(pn)
	for len(gids) > 0 && len(dst) < blockBytes {
		dst = appendCounted(dst, p.from.dict.Key(pn.ids[gids[0]]))
		entry = p.appendStates(entry[:0], &pn.slab, gids[0])
		dst = appendCounted(dst, entry)
		switch {
		case version != stateVersionFired:
		case p.sharing != nil:
			dst = p.sharing.appendFired(dst, pn, gids[0])
		default:
			dst = appendFired(dst, marks, gids[0])
		}
		gids = gids[1:]
	}
	return dst, gids
}

func appendCounted(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// entryVersion is the form of the blocks of panes.
func (p *PaneAgg) entryVersion() byte {
	if p.emit.Mode == spec.EmitFirst {
		return stateVersionFired
	}
	return stateVersion
}

// appendFired writes which windows a group has set off; the marks are sorted by group.
func appendFired(dst []byte, marks []firedMark, gid uint32) []byte {
	marks = marksOfGroup(marks, gid)
	dst = binary.AppendUvarint(dst, uint64(len(marks)))
	for _, m := range marks {
		dst = binary.AppendUvarint(dst, uint64(m.window))
	}
	return dst
}

// marksOfGroup are those of one group among marks that are sorted by group.
func marksOfGroup(marks []firedMark, gid uint32) []firedMark {
	at, _ := slices.BinarySearchFunc(marks, gid, func(m firedMark, gid uint32) int { return cmp.Compare(m.gid, gid) })
	end := at
	for end < len(marks) && marks[end].gid == gid {
		end++
	}
	return marks[at:end]
}

// Restore implements Stateful.
func (p *PaneAgg) Restore(in StateReader, own func(hash uint64) bool) error {
	r := paneRestorer{p: p, own: own, blocks: blockList{mem: p.mem}}
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
	if err == nil {
		err = r.finish()
	}
	if err == nil {
		err = r.loadTimes()
	}
	return err
}

// paneRestorer gathers the blocks of one slice, then loads them from the last to the first: of several entries for a key the
// last one counts.
type paneRestorer struct {
	p      *PaneAgg
	own    func(hash uint64) bool
	start  int64
	blocks blockList
	times  [][]byte
	told   map[uint32]bool // changes, by place, that were told since they were written
	gids   []uint32
}

func (r *paneRestorer) finish() error {
	if r.start == timeSlice {
		for i := range r.blocks.len() {
			r.times = append(r.times, bytes.Clone(r.blocks.at(i)))
		}
		r.blocks.reset()
		return nil
	}
	for i := r.blocks.len() - 1; i >= 0; i-- {
		if err := r.load(r.blocks.at(i)); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of pane from %s: block %d of %d: %v",
				types.NewTime(types.EventTime(r.start)).Text(), i+1, r.blocks.len(), err)
		}
	}
	r.blocks.reset()
	return nil
}

// load takes over the entries of a block whose keys this worker owns and has not yet seen.
func (r *paneRestorer) load(block []byte) error {
	p := r.p
	version := p.entryVersion()
	src, err := p.blockEntries(block, version)
	start := types.EventTime(r.start)
	if err == nil && (p.windowed && !p.grid.Within(start) || p.startOf(start) != start) {
		err = fmt.Errorf("%d is not the start of a pane of the query", r.start)
	}
	for err == nil && len(src) > 0 {
		var key, entry []byte
		var fired []savedMark
		if key, entry, src, err = cutEntry(src); err == nil && version == stateVersionFired {
			fired, src, err = r.cutFired(src, start)
		}
		if err != nil {
			break
		}
		hash := batch.HashKey(key)
		if !r.own(hash) {
			continue
		}
		if err = p.checkKey(key); err == nil {
			err = r.loadEntry(key, hash, entry, fired)
		}
	}
	return err
}

// savedMark is that an entry has set off a window; of a member of shared panes its number, else 0.
type savedMark struct{ window, member uint32 }

// cutFired takes the windows that an entry has set off from the front of src.
func (r *paneRestorer) cutFired(src []byte, start types.EventTime) (fired []savedMark, rest []byte, err error) {
	n, width := binary.Uvarint(src)
	if width <= 0 || n > uint64(len(src)) {
		return nil, nil, fmt.Errorf("entry ends early")
	}
	src = src[width:]
	most := uint64(0)
	if g := &r.p.grid; r.p.windowed {
		most = uint64(int64(g.LastEnd(start)-g.FirstEnd(start)) / g.Slide)
	}
	for range n {
		at, width := binary.Uvarint(src)
		if width <= 0 || at > most {
			return nil, nil, fmt.Errorf("bad window of an entry")
		}
		mark := savedMark{window: uint32(at)}
		if src = src[width:]; r.p.sharing != nil {
			number, width := binary.Uvarint(src)
			if width <= 0 || number > math.MaxUint32 {
				return nil, nil, fmt.Errorf("bad member of an entry")
			}
			mark.member, src = uint32(number), src[width:]
		}
		fired = append(fired, mark)
	}
	return fired, src, nil
}

// number gives a key its number in the dictionary.
func (r *paneRestorer) number(key []byte, hash uint64) (uint32, error) {
	rows := state.Rows{Buf: key, Off: []uint32{0, uint32(len(key))}, Hash: []uint64{hash}}
	if err := r.p.number(rows, batch.All(1)); err != nil {
		return 0, err
	}
	return r.p.kids[0], nil
}

func (r *paneRestorer) loadEntry(key []byte, hash uint64, entry []byte, fired []savedMark) error {
	p := r.p
	kid, err := r.number(key, hash)
	if err != nil {
		return err
	}
	pn := p.paneOf(types.EventTime(r.start))
	pn.restored = true
	if _, ok := pn.find(kid); ok {
		return nil
	}
	r.gids = p.enter(pn, p.kids, r.gids[:0])
	for _, w := range fired {
		m := firedMark{r.gids[0], w.window}
		if p.sharing != nil {
			p.sharing.markRestored(w.member, pn, m)
			continue
		}
		pn.fired.add(m)
		p.firsts.fired[changeKey{p.firsts.endOfMark(pn, m), kid}] = struct{}{}
	}
	return p.loadStates(entry, &pn.slab, r.gids[0])
}

// isEnd reports that a window of the query ends at t.
func (p *PaneAgg) isEnd(t types.EventTime) bool {
	if !p.windowed {
		return t == types.MaxTime
	}
	return p.grid.Within(t) && p.grid.FirstEnd(t-1) == t
}
