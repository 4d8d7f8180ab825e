package job

import (
	"fmt"
	"slices"
	"time"

	"github.com/vigil-sql/vigil/executor/op"
)

// A cut copies what has changed since the last one while the workers stand still. Where that is much, they copy most of it ahead,
// a few milliseconds' worth at the end of each epoch, until what has changed since is little: then the sequencer cuts.
//
// What is copied, and left, is counted in units: one for an entry, and one more for each unitBytes that it has. What an entry of an
// operator's state has is known from those that were written lately.

const (
	// copyAheadDefault is Config.CopyAhead where it is not set: what is copied in a few milliseconds.
	copyAheadDefault = 32 << 10
	// unitBytes are copied in about the time that it takes to find an entry.
	unitBytes = 128
	// aheadEvery is how long an epoch takes at most while something is copied ahead, and when a cut is due: what it changes is copied
	// by the cut. An epoch that took longer than aheadLong must have been counted before.
	aheadEvery = 20 * time.Millisecond
	aheadLong  = 3 * aheadEvery
	// aheadLate divides that while a cut is overdue because too much is left: half of the time goes into copying then.
	aheadLate = 4
	// aheadPieces is into how many parts is divided what is copied at the end of an epoch, and aheadMost the time after which no other
	// one is begun.
	aheadPieces = 32
	aheadMost   = 5 * time.Millisecond
	// aheadLeaves: a cut may have to copy this part of what is copied ahead at a time.
	aheadLeaves = 4
)

// aheadMode is what workers do at the end of an epoch beside all else.
type aheadMode uint8

const (
	aheadOff   aheadMode = iota
	aheadCount           // they count what has changed
	aheadCopy            // and copy a part of it
)

// ahead decides what the workers do at the end of the open epoch, and whether the state is cut there: not while the last cut is still
// being written, for commits would have to wait for that.
func (e *Engine) ahead() (mode aheadMode, cut bool) {
	s := &e.seq
	every := e.cfg.CheckpointEvery
	long := time.Since(s.opened) > aheadLong
	if long {
		s.long = s.epoch.n
	}
	if every <= 0 || !s.dirty || e.ckpt.busy() {
		return aheadOff, false
	}
	since := time.Since(s.lastCheckpoint)
	if since < every/2 {
		return aheadOff, false
	}
	known := e.counted.Load() >= s.long && !long
	left, piece := e.changed.Load(), int64(e.cfg.CopyAhead) // of the worker that has most
	little := left <= piece/aheadLeaves
	if since >= every && (little && known || since >= 2*every) {
		return aheadOff, true
	}
	// Twice the time it needs when nothing changes meanwhile.
	if need := time.Duration(left/piece) * 2 * aheadEvery; !little && since+need >= every {
		return aheadCopy, false
	}
	return aheadCount, false
}

// epochMax is how long the next epoch takes at most, after one that ended in a mode.
func (e *Engine) epochMax(mode aheadMode) time.Duration {
	left := e.cfg.CheckpointEvery - time.Since(e.seq.lastCheckpoint) // until a cut is due
	switch {
	case mode == aheadCopy && left <= 0:
		return min(e.cfg.EpochMax, aheadEvery/aheadLate)
	case mode == aheadCopy || mode == aheadCount && left <= 0:
		return min(e.cfg.EpochMax, aheadEvery)
	case mode == aheadCount:
		return min(e.cfg.EpochMax, left)
	}
	return e.cfg.EpochMax
}

// copyAhead copies, or counts, what has changed in the worker's state.
func (w *worker) copyAhead(ep *epoch) {
	if ep.ahead == aheadOff {
		return
	}
	c := aheadCopier{w: w, from: time.Now()}
	if ep.ahead == aheadCopy {
		c.budget = w.e.cfg.CopyAhead
		c.piece = max(1, c.budget/aheadPieces)
	}
	for _, wq := range w.changed {
		if wq.dead || wq.gone {
			continue
		}
		for i, o := range wq.tree.Ops() {
			a, ok := o.(op.AheadCopier)
			if !ok {
				continue
			}
			out := cutWriter{part: &w.copied, op: opID(wq.q, i), copies: w.copies}
			if err := c.copy(wq.costOf(i), a.Changed, func(most int) (int, error) { return a.CopyAhead(out, most) }); err != nil {
				w.copyErr = fmt.Errorf("copy state of query %s: %w", wq.q.spec.Name, err)
				return
			}
		}
	}
	for _, g := range w.shared {
		if g.state == nil || !g.changed || !g.state.Open() {
			continue
		}
		out := cutWriter{part: &w.copied, op: w.opOf(g), copies: w.copies}
		if err := c.copy(&g.cost, g.state.Changed, func(most int) (int, error) { return g.state.CopyAhead(out, most) }); err != nil {
			w.copyErr = fmt.Errorf("copy state that queries share: %w", err)
			return
		}
	}
	ep.noteChanged(int64(c.left))
}

// aheadCopier copies what has changed, piece by piece, until its budget or its time is used up.
type aheadCopier struct {
	w             *worker
	budget, piece int // units
	from          time.Time
	left          int // units that have changed and were not copied
}

func (c *aheadCopier) copy(cost *entryCost, changed func() int, do func(most int) (int, error)) error {
	for n := 1; c.budget > 0 && n > 0 && time.Since(c.from) < aheadMost; {
		blocks := len(c.w.copied)
		err := guard(func() (err error) {
			n, err = do(cost.entriesOf(min(c.budget, c.piece)))
			return err
		})
		if err != nil {
			return err
		}
		c.budget -= cost.note(n, blockBytes(c.w.copied[blocks:]))
		c.w.e.copied.Add(int64(n))
	}
	c.left += cost.unitsOf(changed())
	return nil
}

// entryCost is what entries of an operator's state cost that were written lately.
type entryCost struct{ entries, units int }

const (
	// costLasts is how many entries are remembered, about.
	costLasts = 1024
	// costFirst is how many are written at once of which nothing is known.
	costFirst = 64
)

// note takes in that entries were written, and returns how many units they are.
func (c *entryCost) note(entries, bytes int) int {
	units := entries + bytes/unitBytes
	if c.entries > costLasts {
		c.entries, c.units = c.entries/2, c.units/2
	}
	c.entries, c.units = c.entries+entries, c.units+units
	return units
}

// unitsOf is how many units so many entries are.
func (c *entryCost) unitsOf(entries int) int {
	if c.entries == 0 {
		return entries
	}
	return max(entries, int(float64(entries)*float64(c.units)/float64(c.entries)))
}

// entriesOf is how many entries are about so many units; at least one.
func (c *entryCost) entriesOf(units int) int {
	if c.entries == 0 {
		return min(units, costFirst)
	}
	return max(1, int(float64(units)*float64(c.entries)/float64(max(1, c.units))))
}

// costOf is the account of one of the query's operators.
func (wq *workerQuery) costOf(i int) *entryCost {
	for len(wq.costs) <= i {
		wq.costs = append(wq.costs, entryCost{})
	}
	return &wq.costs[i]
}

func blockBytes(blocks []stateBlock) (n int) {
	for i := range blocks {
		n += len(blocks[i].data)
	}
	return n
}

// CopiedAhead is how many entries of state were copied ahead of checkpoints since the server started.
func (e *Engine) CopiedAhead() int64 { return e.copied.Load() }

// noteChanged is told how much a worker has left.
func (ep *epoch) noteChanged(left int64) {
	raise(&ep.changed, left)
}

// snapshot copies what changed in all keyed state; writing it out happens in the background.
func (w *worker) snapshot(cut *checkpointCut) {
	w.takeCopied(cut)
	copied := len(cut.parts[w.index])
	defer func() { w.noteCut(cut.parts[w.index][copied:]) }()
	w.snapshotGroups(cut)
	for _, wq := range w.changed {
		wq.changed = false
		if wq.dead || wq.gone {
			continue
		}
		q := wq.q
		if wq.several && w.index == 0 {
			cut.reached[q.spec.ID] = wq.reached
		}
		for i, o := range wq.tree.Ops() {
			st, ok := o.(op.Stateful)
			if !ok {
				continue
			}
			if err := guard(func() error { return st.Snapshot(cut.writer(w, opID(q, i))) }); err != nil {
				cut.fail(fmt.Errorf("snapshot of query %s: %w", q.spec.Name, err))
			}
		}
	}
	clear(w.changed)
	w.changed = w.changed[:0]
}

// noteCut notes how much was copied while the worker stood still.
func (w *worker) noteCut(blocks []stateBlock) {
	raise(&w.e.cutBytes, int64(blockBytes(blocks)))
}

// CutBytes is the most that a worker copied while it stood still for a checkpoint since the last call.
func (e *Engine) CutBytes() int64 { return e.cutBytes.Swap(0) }

// takeCopied begins the worker's part of a cut with what it has copied ahead.
func (w *worker) takeCopied(cut *checkpointCut) {
	if w.copyErr != nil {
		cut.fail(w.copyErr)
		w.copyErr = nil
	}
	cut.parts[w.index] = append(cut.parts[w.index], w.copied...)
	w.copied = nil
}

// forgetCopied drops what was copied of a query that goes: its operators' state is dropped before the cut's blocks are written.
func (w *worker) forgetCopied(q *query, ops int) {
	if len(w.copied) == 0 {
		return
	}
	ids := map[uint64]bool{}
	for i := range ops {
		ids[opID(q, i)] = true
	}
	w.forgetBlocks(ids)
}

// forgetBlocks drops what was copied of operators whose state goes.
func (w *worker) forgetBlocks(ops map[uint64]bool) {
	w.copied = slices.DeleteFunc(w.copied, func(b stateBlock) bool { return ops[b.op] })
}
