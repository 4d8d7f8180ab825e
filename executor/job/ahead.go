package job

import (
	"fmt"
	"slices"
	"time"

	"github.com/vigil-sql/vigil/executor/op"
)

// A cut copies what has changed since the last one while the workers stand still. Where that is much, they copy most of it ahead,
// a few milliseconds' worth at the end of each epoch, until what has changed since is little: then the sequencer cuts.

const (
	// copyAheadDefault is Config.CopyAhead where it is not set: what is copied in a few milliseconds.
	copyAheadDefault = 32 << 10
	// aheadEvery is how long an epoch takes at most while something is copied ahead.
	aheadEvery = 20 * time.Millisecond
	// aheadPieces is into how many parts that is divided, and aheadMost the time after which no other one is begun.
	aheadPieces = 8
	// aheadLeaves: a cut may have to copy this part of what is copied ahead at a time.
	aheadLeaves = 4
	aheadMost   = 5 * time.Millisecond
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
	if every <= 0 || !s.dirty || e.ckpt.busy() {
		return aheadOff, false
	}
	since := time.Since(s.lastCheckpoint)
	if since < every/2 {
		return aheadOff, false
	}
	left, piece := e.changed.Load(), int64(e.cfg.CopyAhead) // of the worker that has most
	little := left <= piece/aheadLeaves
	if since >= every && (little || since >= 2*every) {
		return aheadOff, true
	}
	// Twice the time it needs when nothing changes meanwhile.
	if need := time.Duration(left/piece) * 2 * aheadEvery; !little && since+need >= every {
		return aheadCopy, false
	}
	return aheadCount, false
}

// keepState does what the epoch wants of the worker's state, and notes for how long that holds rows up.
func (w *worker) keepState(ep *epoch) {
	if ep.ahead == aheadOff && ep.checkpoint == nil {
		return
	}
	from := time.Now()
	w.copyAhead(ep)
	if ep.checkpoint != nil {
		w.snapshot(ep.checkpoint)
	}
	took := int64(time.Since(from))
	for {
		most := w.e.pause.Load()
		if took <= most || w.e.pause.CompareAndSwap(most, took) {
			return
		}
	}
}

// CheckpointPause is the longest time for which a worker stood still for a checkpoint since the last call.
func (e *Engine) CheckpointPause() time.Duration { return time.Duration(e.pause.Swap(0)) }

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
			if err := c.copy(a.Changed, func(most int) (int, error) { return a.CopyAhead(out, most) }); err != nil {
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
		if err := c.copy(g.state.Changed, func(most int) (int, error) { return g.state.CopyAhead(out, most) }); err != nil {
			w.copyErr = fmt.Errorf("copy state that queries share: %w", err)
			return
		}
	}
	ep.noteChanged(int64(c.left))
}

// aheadCopier copies what has changed, piece by piece, until its budget or its time is used up.
type aheadCopier struct {
	w             *worker
	budget, piece int
	from          time.Time
	left          int // what has changed and was not copied
}

func (c *aheadCopier) copy(changed func() int, do func(most int) (int, error)) error {
	for n := 1; c.budget > 0 && n > 0 && time.Since(c.from) < aheadMost; c.budget -= n {
		err := guard(func() (err error) {
			n, err = do(min(c.budget, c.piece))
			return err
		})
		if err != nil {
			return err
		}
		c.w.e.copied.Add(int64(n))
	}
	c.left += changed()
	return nil
}

// CopiedAhead is how many entries of state were copied ahead of checkpoints since the server started.
func (e *Engine) CopiedAhead() int64 { return e.copied.Load() }

// noteChanged is told how much a worker has left.
func (ep *epoch) noteChanged(left int64) {
	for {
		most := ep.changed.Load()
		if left <= most || ep.changed.CompareAndSwap(most, left) {
			return
		}
	}
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
	n := int64(0)
	for i := range blocks {
		n += int64(len(blocks[i].data))
	}
	most := &w.e.cutBytes
	for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
	}
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
