package op

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// What a change in a block is about: a group that had no rows, one that had, or one that was told since it was written.
const (
	changeNew, changeHad, changeTold = 0, 1, 2
	// changesWhole is the number of changes up to which they are written whole.
	changesWhole = 1024
)

// keepsTime tells whether panes alone do not say which windows have closed, or what has been told.
func (p *PaneAgg) keepsTime() bool {
	return !p.past.single || p.lateness > 0 || p.emit.Mode == spec.EmitEvery
}

// snapshotTime writes the watermark, and the changes that the checkpoint does not have.
func (p *PaneAgg) snapshotTime(out StateWriter) error {
	if len(p.changes.list) <= changesWhole {
		p.time.restored = true
	}
	_, err := p.writeTime(out, savePart{math.MaxInt, cutAnewMost})
	p.time.ahead = false
	return err
}

// copyChanges writes about most changes, where there are many.
func (p *PaneAgg) copyChanges(out StateWriter, most int) (int, error) {
	if most <= 0 || p.changes.unsaved() == 0 {
		return 0, nil
	}
	n, err := p.writeTime(out, savePart{most, math.MaxInt})
	p.time.ahead = true
	return n, err
}

// unsaved is how many changes are to be written ahead of a snapshot.
func (c *changes) unsaved() int {
	if len(c.list) <= changesWhole {
		return 0
	}
	return c.p.time.left(len(c.list)-c.saved+c.toldN, len(c.list))
}

// writeTime writes a block of time, and about most changes.
func (p *PaneAgg) writeTime(out StateWriter, part savePart) (n int, err error) {
	t, c := &p.time, &p.changes
	if t.anew(len(c.list)-c.saved+c.toldN, len(c.list), part.anewMost) {
		if err := out.Rewrite(timeSlice); err != nil {
			return 0, err
		}
		c.saved, c.told, c.toldN = 0, nil, 0
	}
	version := byte(stateVersionTime)
	if n = c.toldN; n > 0 {
		version = stateVersionTold
	}
	block := append(p.appendTimeHead(nil, version), c.told...)
	c.told, c.toldN = nil, 0
	for ; c.saved < len(c.list) && n < part.most; c.saved++ {
		if len(block) >= blockBytes {
			if err := out.Block(timeSlice, block); err != nil {
				return n, err
			}
			block = p.appendTimeHead(nil, stateVersionTime)
		}
		block = p.appendChange(block, c, c.saved, c.list[c.saved])
		n++
	}
	t.entries += n + 1
	return n, out.Block(timeSlice, block)
}

// appendTimeHead begins a block of the watermark and of changes.
func (p *PaneAgg) appendTimeHead(dst []byte, version byte) []byte {
	dst = p.appendHead(dst, version, p.stride)
	dst = binary.AppendUvarint(dst, p.generation)
	if p.shared == nil {
		return binary.AppendVarint(dst, int64(p.watermark))
	}
	return binary.AppendVarint(dst, int64(max(p.watermark, p.shared.all.watermark)))
}

// noteTold is told of a change that is about to be told: the checkpoint may have it.
func (c *changes) noteTold(i int, ch change) {
	if i >= c.saved || c.p.windowed && ch.end <= c.final {
		return
	}
	c.told = binary.AppendVarint(c.told, int64(ch.end))
	c.told = append(appendCounted(c.told, c.p.from.dict.Key(ch.kid)), changeTold)
	c.toldN++
}

// appendChange writes the change at place i of c.
func (p *PaneAgg) appendChange(dst []byte, c *changes, i int, ch change) []byte {
	dst = binary.AppendVarint(dst, int64(ch.end))
	dst = appendCounted(dst, p.from.dict.Key(ch.kid))
	what := byte(changeNew)
	if ch.had {
		what = changeHad
	}
	return appendCounted(append(dst, what), p.appendStates(nil, &c.before, uint32(i)))
}

// loadTimes reads the watermark, which is the greatest of all workers, and the changes that each of them wrote last.
func (r *paneRestorer) loadTimes() error {
	p := r.p
	for _, load := range []func(block []byte) error{r.loadTime, r.loadChanges} {
		for i, block := range r.times {
			if err := load(block); err != nil {
				return sqlerr.New(sqlerr.DataCorrupted, "time of a grouping: block %d of %d: %v", i+1, len(r.times), err)
			}
		}
	}
	p.ended, p.time.restored = p.watermark, true
	if len(r.told) == 0 {
		return nil
	}
	return p.changes.only(func(i int, _ change) bool { return !r.told[uint32(i)] })
}

// loadTime reads the head of a block.
func (r *paneRestorer) loadTime(block []byte) error {
	generation, watermark, _, err := r.timeHead(block)
	p := r.p
	p.generation = max(p.generation, generation)
	p.watermark = max(p.watermark, watermark)
	return err
}

// timeHead reads what comes before the changes of a block.
func (r *paneRestorer) timeHead(block []byte) (generation uint64, watermark types.EventTime, rest []byte, err error) {
	version := byte(stateVersionTime)
	if len(block) > 0 && block[0]&^stateShared == stateVersionTold {
		version = stateVersionTold
	}
	src, err := r.p.blockEntries(block, version)
	if err != nil {
		return 0, types.MinTime, nil, err
	}
	if generation, src, err = cutUvarint(src); err != nil {
		return 0, types.MinTime, nil, err
	}
	wm, src, err := cutVarint(src)
	return generation, types.EventTime(wm), src, err
}

// loadChanges reads the changes of a block.
func (r *paneRestorer) loadChanges(block []byte) error {
	_, _, src, err := r.timeHead(block)
	for err == nil && len(src) > 0 {
		src, err = r.loadChange(src)
	}
	return err
}

// loadChange reads a change, or that one was told.
func (r *paneRestorer) loadChange(src []byte) ([]byte, error) {
	at, src, err := cutVarint(src)
	if err != nil {
		return nil, err
	}
	end := types.EventTime(at)
	key, src, err := cutBytes(src)
	if err != nil || len(src) == 0 || src[0] > changeTold {
		return nil, fmt.Errorf("bad change")
	}
	what, src := src[0], src[1:]
	var entry []byte
	if what != changeTold {
		if entry, src, err = cutBytes(src); err != nil {
			return nil, err
		}
	}
	hash := batch.HashKey(key)
	if !r.own(hash) {
		return src, nil
	}
	if err := r.p.checkKey(key); err != nil {
		return nil, err
	}
	if !r.p.isEnd(end) {
		return nil, fmt.Errorf("%d is not the end of a window of the query", end)
	}
	if r.p.windowed && r.p.watermark != types.MaxTime && end <= minus(r.p.watermark, r.p.lateness) {
		return src, nil // it was told when the window became final, and the block is older
	}
	kid, err := r.number(key, hash)
	if err != nil {
		return nil, err
	}
	c, ch := &r.p.changes, change{changeKey{end, kid}, what == changeHad}
	old, there := c.index[ch.changeKey]
	switch {
	case what == changeTold && there:
		if r.told == nil {
			r.told = map[uint32]bool{}
		}
		r.told[old] = true
		delete(c.index, ch.changeKey)
		return src, nil
	case what == changeTold:
		return src, nil
	case there:
		return nil, fmt.Errorf("a change comes twice")
	}
	c.before.Grow(len(c.list) + 1)
	c.add(ch)
	return src, r.p.loadStates(entry, &c.before, uint32(len(c.list)-1))
}
