package job

import (
	"slices"
	"time"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
)

// sequencer is the state of the goroutine that fixes the order of everything.
type sequencer struct {
	epoch *epoch // the open one
	next  uint64 // number of the next epoch
	// opened is when the open epoch began, lastCheckpoint when a checkpoint was last cut, both by the wall clock.
	opened, lastCheckpoint time.Time
	// long is the number of the last epoch that was open for so long that what it changed must be counted before a cut.
	long uint64
	// dirty: something was recorded since the last checkpoint.
	dirty   bool
	pending []*change
	// replan holds the streams whose plan must be renewed before the epoch starts.
	replan map[*stream]bool
	// unsettled are the streams whose rules may be worth building anew.
	unsettled map[*stream]bool
	// levels is the length of the longest chain of queries over queries, when levelsKnown.
	levels      int
	levelsKnown bool
	// ended: no row will follow on any stream.
	ended bool
	// dropOps are operators whose checkpointed state is to be forgotten at the next checkpoint.
	dropOps []uint64
	// throttled are the queries that go on by themselves, by id.
	throttled map[uint64]throttled
	// behind are the streams whose event logs went on, when the engine was opened, behind what was in an epoch: their ends then. Those events
	// may have been acknowledged, so that whoever changes something has changed it after they came.
	behind map[*stream]int64
	// backfills are the queries that read history; owed is how many items of events come before one of history, while some wait.
	backfills []*query
	owed      int
}

// sequence is the sequencer's loop: it opens epochs, gives each payload its place, and closes epochs when a result waits
// (EpochMin apart), when a change waits, and at the latest after EpochMax.
func (e *Engine) sequence() {
	defer e.wg.Done()
	defer close(e.commits)
	defer close(e.ordered)
	defer close(e.fronts)
	s := &e.seq
	timer := time.NewTimer(e.cfg.EpochMax)
	defer timer.Stop()
	e.openEpoch(true)
	due := false // a result waits for EpochMin to pass
	for {
		settles, changes, history := e.settles, e.changes, e.history
		if len(s.behind) > 0 {
			settles, changes = nil, nil
		}
		if s.owed > 0 && len(e.inbox) > 0 {
			history = nil
		}
		select {
		case it := <-e.inbox:
			s.owed--
			e.place(it)
		case it := <-history:
			s.owed = pastEvery
			e.placePast(it)
		case x := <-settles:
			if x.end {
				s.ended = true
				e.turnEpoch(timer)
			}
			e.placeSettle(x)
			e.turnEpoch(timer)
			due = false
		case c := <-changes:
			s.pending = append(s.pending, c)
			e.drainChanges()
			e.turnEpoch(timer) // the change takes effect at the start of the next epoch ...
			e.turnEpoch(timer) // ... which ends at once, so that the user need not wait
			due = false
		case <-e.fed.wake:
			if e.placeFeeds() {
				e.turnEpoch(timer)
				due = false
			}
		case <-e.wake:
			if wait := e.epochWait(time.Since(s.opened)); wait > 0 && !due {
				due = true
				timer.Reset(wait)
			} else if wait <= 0 {
				e.turnEpoch(timer)
				due = false
			}
		case b := <-e.built:
			e.placeBuilt(b)
		case <-timer.C:
			if wait := e.epochWait(time.Since(s.opened)); due && wait > 0 {
				timer.Reset(wait)
				continue
			}
			e.turnEpoch(timer)
			due = false
		case <-e.closing:
			e.closeEpoch(true)
			return
		case <-e.ctx.Done():
			e.closeEpoch(false)
			return
		}
	}
}

// What a commit of the results of one query costs in CPU time, its part of a sync with it, times the part of a core that commits may take; and the longest
// that results are kept waiting for that.
const (
	putEvery   = 20 * time.Microsecond
	epochLimit = 100 * time.Millisecond
	// calmShare is what part of that time is enough while nothing else waits to be done; calmAgain when that is looked at again.
	calmShare = 5
	calmAgain = 2 * time.Millisecond
)

// epochWait is how much longer an epoch that has been open for a while is to be when a result waits: the more queries have results at a
// time, the longer. Committing those of thousands every few milliseconds would leave the processor no time for events; so where there
// are none, the results need not wait as long.
func (e *Engine) epochWait(open time.Duration) time.Duration {
	full := max(e.cfg.EpochMin, min(time.Duration(e.putting.Load())*putEvery, epochLimit))
	calm := max(e.cfg.EpochMin, full/calmShare)
	switch {
	case open < calm:
		return calm - open
	case open >= full || e.calm():
		return 0
	}
	return min(full-open, calmAgain)
}

// calm reports that nothing waits in the pipeline: no input, no rows, no epoch that is to be committed.
func (e *Engine) calm() bool {
	if len(e.inbox)+len(e.fronts)+len(e.ordered)+len(e.commits) > 0 {
		return false
	}
	return !slices.ContainsFunc(e.workers, func(w *worker) bool { return len(w.in) > 0 })
}

// placeSettle lets one who asked wait for the open epoch, and for what follows from it unless it only is to be looked at.
func (e *Engine) placeSettle(x settle) {
	ep, w := e.seq.epoch, settler{done: x.done}
	if x.inspect != nil {
		x.inspect.atSequencer(e, ep)
		ep.inspect = append(ep.inspect, x.inspect)
	} else {
		w.levels = e.levels()
	}
	ep.settled = append(ep.settled, w)
}

// drainChanges takes all changes that wait, so that a script of many statements shares epochs.
func (e *Engine) drainChanges() {
	for {
		select {
		case c := <-e.changes:
			e.seq.pending = append(e.seq.pending, c)
		default:
			return
		}
	}
}

func (e *Engine) turnEpoch(timer *time.Timer) {
	var cut bool
	e.seq.epoch.ahead, cut = e.ahead()
	most := e.epochMax(e.seq.epoch.ahead)
	e.closeEpoch(cut)
	e.openEpoch(false)
	timer.Reset(most)
}

// openEpoch reads the clock and applies the pending changes.
func (e *Engine) openEpoch(restarted bool) {
	s := &e.seq
	ep := &epoch{n: s.next, clock: e.cfg.Clock(), restarted: restarted, ended: s.ended, outs: make([]epochOut, len(e.workers))}
	s.next++
	s.opened = time.Now()
	s.epoch = ep
	e.detachFailed(ep)
	for _, c := range s.pending {
		e.applyChange(ep, c)
	}
	s.pending = nil
	e.resumeThrottled(ep)
	e.joinStreams(ep)
	e.takeGates(ep)
	e.flushReplan()
	e.compact()
	ep.ioc = e.iocNow.Load().At(int64(ep.clock))
	ep.tables = e.tables.At(ep.n, ep.clock)
	ep.feeds = e.feedsOf()
	ep.sweep = e.costs.sweepDue()
	e.startEpoch(ep)
}

// startEpoch sends the epoch's first item down the pipeline.
func (e *Engine) startEpoch(ep *epoch) {
	ep.done.Add(len(e.workers))
	it := e.newItem(itemStart)
	it.epoch = ep
	e.ordered <- it
}

// place gives an item its place in the order.
func (e *Engine) place(it *item) {
	s := it.stream
	if len(it.payloads) == 0 { // the log has nothing more for now
		delete(e.seq.behind, s)
		it.reset()
		e.items.Put(it)
		return
	}
	if s.plan == nil || e.streamGone(s) {
		return // dropped while the input was under way
	}
	ep := e.seq.epoch
	it.epoch, it.plan = ep, s.plan
	for i := range it.payloads {
		p := &it.payloads[i]
		s.next[it.split] = p.To
		s.stats.Bytes.Add(int64(len(p.Bytes)))
		ep.addRun(run{stream: s.spec.ID, split: it.split, from: p.From, to: p.To})
	}
	if to, some := e.seq.behind[s]; some && s.next[it.split] >= to {
		delete(e.seq.behind, s)
	}
	if s.log != nil {
		s.placed.Store(s.next[0])
		s.wakeFollowers()
	} else if s.src != nil {
		s.placed.Store(sum(s.next))
		e.keepBehind(it)
	}
	e.seq.dirty = true
	e.send(it)
}

// send puts an item into the pipeline: to the front goroutines and, in order, to the orderer.
func (e *Engine) send(it *item) {
	e.ordered <- it
	e.fronts <- it
}

// addRun extends the last run where it goes on, or begins a new one. An empty run announces a split.
func (ep *epoch) addRun(r run) {
	if n := len(ep.runs); n > 0 && r.from != r.to {
		last := &ep.runs[n-1]
		if !last.result && last.stream == r.stream && last.split == r.split && last.to == r.from {
			last.to = r.to
			return
		}
	}
	ep.runs = append(ep.runs, r)
}

// closeEpoch sends the end of the epoch through the pipeline and hands it to the committer.
func (e *Engine) closeEpoch(checkpoint bool) {
	s := &e.seq
	e.catchUp()
	ep := s.epoch
	if checkpoint && (s.dirty || ep.restarted) {
		ep.checkpoint = e.newCut(ep)
		s.lastCheckpoint, s.dirty = time.Now(), false
		e.changed.Store(0)
	}
	if len(ep.changes)+len(ep.gates)+len(ep.joins) > 0 {
		s.dirty = true
	}
	e.endEpoch(ep)
	e.commits <- ep
}

func (e *Engine) endEpoch(ep *epoch) {
	it := e.newItem(itemEnd)
	it.epoch = ep
	e.ordered <- it
}

func (e *Engine) streamGone(s *stream) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.streams[s.id()] != s
}

// newQuery prepares a query's runtime, and those of its stages, as they are after an epoch, and checks that its operators can be built.
func newQuery(o *Object, after uint64) (*query, error) {
	rt, err := newPart(o.query(), nil)
	if err != nil {
		return nil, err
	}
	for _, st := range rt.spec.Stages {
		part, err := newPart(st, rt)
		if err != nil {
			return nil, err
		}
		rt.stages = append(rt.stages, part)
	}
	rt.from, rt.inService = map[uint64]int64{}, since(o)
	rt.back.wanted = historyOf(o.Meta.Props, after)
	for _, part := range rt.all() {
		for i := range part.parts.Inputs {
			if in := &part.parts.Inputs[i]; in.IsResult {
				rt.from[in.Source] = readsOffset(o.Meta.Props, in.Source)
			}
		}
	}
	return rt, nil
}

// newPart prepares a query or one of its stages.
func newPart(q *spec.Query, owner *query) (*query, error) {
	parts, err := task.Cut(q.Program)
	if err != nil {
		return nil, err
	}
	rt := &query{spec: q, updates: q.Updates, parts: parts, owner: owner, handed: types.MinTime, endless: spec.Endless(q.Program.Root)}
	rt.setLimits(&q.Limits)
	if owner == nil {
		rt.owner = rt
	}
	rt.fronts = make([]frontPart, len(parts.Inputs))
	for i := range parts.Inputs {
		if in := &parts.Inputs[i]; !in.IsResult {
			rt.fronts[i].predicate, rt.fronts[i].nodes = in.Predicate()
		}
	}
	if parts.HasKeyed() {
		tree, err := task.NewTree(&expr.Ctx{}, parts, nil)
		if err != nil {
			return nil, err
		}
		rt.outDelay, rt.ops, rt.idle = tree.OutDelay(), len(tree.Ops()), tree.Idle()
		if err := tree.Close(); err != nil {
			return nil, err
		}
	}
	return rt, nil
}
