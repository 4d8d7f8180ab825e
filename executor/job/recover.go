package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/checkpoint"
)

// Open starts an engine on what is stored: objects are all that are alive. It returns when what was committed can be read; beside that
// the engine recovers the exact state before the stop - last checkpoint plus the epochs after it, run again with their results
// discarded - and goes on from there: see Loaded.
func Open(cfg Config, objects []Object) (*Engine, error) {
	cfg.defaults()
	e := &Engine{cfg: cfg, kv: cfg.KV, meta: cfg.Meta, results: cfg.Results, log: cfg.Logger,
		inbox: make(chan *item, 4), changes: make(chan *change, 256), settles: make(chan settle), fronts: make(chan *item, 2*cfg.Workers),
		ordered: make(chan *item, 4*cfg.Workers), commits: make(chan *epoch, 4), wake: make(chan struct{}, 1), built: make(chan built),
		history: make(chan *item), pastSlots: make(chan struct{}, pastItems), fed: feedQueue{wake: make(chan struct{}, 1)}, closing: make(chan struct{}), failed: make(chan struct{}), streams: map[uint64]*stream{}, queries: map[uint64]*query{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.load.ctx, e.load.cancel = context.WithCancel(e.ctx)
	e.load.done, e.load.stopped = make(chan struct{}), make(chan struct{})
	e.seq.replan, e.seq.unsettled, e.seq.throttled = map[*stream]bool{}, map[*stream]bool{}, map[uint64]throttled{}
	e.shares = shares{}
	e.tables = table.NewSet()
	e.functions = NewFunctions(cfg.UDF)
	e.openCosts()
	for i := range cfg.Workers {
		e.workers = append(e.workers, newWorker(e, i))
	}
	e.openBudget()
	r := &recovery{e: e, objects: objects}
	if err := r.open(); err != nil {
		e.cancel()
		return nil, errors.Join(err, e.closeBudget(), e.closeLogs())
	}
	e.startRoom()
	if r.fresh() {
		e.restore(r)
		return e, nil
	}
	go e.restore(r)
	return e, nil
}

// begin lets the engine run, after recovery.
func (e *Engine) begin() {
	e.seq.lastCheckpoint, e.seq.behind = time.Now(), map[*stream]int64{}
	for _, s := range e.streamList() {
		s.progress.begin(s.next[0])
		if s.log != nil && s.log.End() > s.next[0] {
			e.seq.behind[s] = s.log.End()
		}
		s.placed.Store(sum(s.next))
	}
	for _, q := range e.seq.backfills {
		e.startBackfill(q)
	}
	e.wg.Add(3)
	go e.buildLists()
	go e.cleanUp()
	go e.sequence() // from here on next is the sequencer's
	for _, s := range e.streamList() {
		if !s.isResult && s.past == nil && s.stop == nil && (s.log != nil || len(s.attached) > 0 || len(s.next) > 0) {
			e.startInput(s)
		}
	}
}

// cleanUp removes what a checkpoint left that was never completed; it reads all blocks. A checkpoint that comes waits for it.
func (e *Engine) cleanUp() {
	defer e.wg.Done()
	if err := e.ckpt.store.Cleanup(); err != nil {
		e.log.Error("what an unfinished checkpoint left could not be removed; the next one sees to it", "error", err)
	}
}

// recovery is the work of Open.
type recovery struct {
	e       *Engine
	objects []Object
	// cut is the newest complete checkpoint; epoch 0 when there is none.
	cut *checkpointCut
	// later are the objects that came after the cut, by the epoch of their coming.
	later map[uint64][]*Object
	// iocs are the lists that came after the cut, by epoch; nets the changes of lists of networks since, by version.
	iocs, nets map[uint64][]ioc.Change
	// gates are those of queries' intakes after the cut, by epoch.
	gates map[uint64][]recordedGate
	// joins are the queries that joined their streams after the cut, by epoch.
	joins map[uint64][]uint64
	// saved are the operators that the checkpoint has state of.
	saved map[uint64]bool
	// groups are what queries shared, groupsOf those that each query was a member of, by its id.
	groups   []*savedGroup
	groupsOf map[uint64][]*savedGroup
	last     uint64
	reran    int
	// lists are the IOC lists as of the epoch that runs again.
	lists *ioc.Set
}

// open reads what can be told without the state of queries: streams, lists, tables, how far the epochs have come.
func (r *recovery) open() error {
	e := r.e
	e.ckpt = &checkpoints{e: e, store: checkpoint.New(e.kv), one: make(chan struct{}, 1)}
	e.ckpt.store.LimitQueue(int(e.cfg.Memory / 16))
	e.ckpt.figures.f.Ended = time.Now()
	r.cut = &checkpointCut{}
	_, manifest, ok, err := e.ckpt.store.Latest()
	if err != nil {
		return err
	}
	if ok {
		if r.cut, err = decodeManifest(manifest); err != nil {
			return err
		}
	}
	e.ckpt.last.Store(r.cut.epoch)
	if err := r.countEpochs(); err != nil {
		return err
	}
	e.ckpt.done.Store(r.cut.positions())
	if err := e.meta.OpenJournals(e.cfg.Journals, journalTime); err != nil {
		return err
	}
	if err := r.loadIOC(); err != nil {
		return err
	}
	if err := r.loadTables(); err != nil {
		return err
	}
	if err := r.attachStreams(); err != nil {
		return err
	}
	e.committed.Store(r.last)
	return nil
}

// countEpochs finds the epochs that will run again.
func (r *recovery) countEpochs() error {
	r.last = r.cut.epoch
	return r.e.meta.Epochs(r.cut.epoch+1, func(n uint64, _ []byte) (bool, error) {
		r.last = n
		r.e.load.epochsTotal.Add(1)
		return true, nil
	})
}

// fresh: there is nothing to load.
func (r *recovery) fresh() bool { return r.last == 0 && r.cut.epoch == 0 }

// run gives queries their state, and runs the epochs after the checkpoint again.
func (r *recovery) run() error {
	e := r.e
	if err := r.attachOld(); err != nil {
		return err
	}
	if err := r.forgetOld(); err != nil {
		return err
	}
	if err := e.load.ctx.Err(); err != nil {
		return err
	}
	e.startPipeline()
	if err := r.finish(); err != nil {
		e.cancel()
		e.stopPipeline()
		return err
	}
	e.log.Info("recovered", "checkpoint", r.cut.epoch, "epochs_after_it", r.reran, "queries", len(e.queries))
	e.seq.next = r.last + 1
	return nil
}

// finish is what run does with the pipeline.
func (r *recovery) finish() error {
	e := r.e
	if err := r.rerun(); err != nil {
		return err
	}
	for _, q := range e.queries {
		if q.owner == q && q.limits.Load().RowsPerMinute > 0 {
			if err := e.countMinute(q); err != nil {
				return fmt.Errorf("count the results of query %s: %w", q.spec.Name, err)
			}
		}
	}
	r.settleIntake()
	if e.functions != nil {
		e.functions.settle(r.last + 1)
	}
	e.lists = r.lists
	e.iocNow.Store(r.lists)
	e.pendingFeeds()
	return nil
}

// startPipeline starts the goroutines below the sequencer.
func (e *Engine) startPipeline() {
	for range e.cfg.Workers {
		e.frontList = append(e.frontList, newFront(e))
	}
	for _, f := range e.frontList {
		e.wg.Add(1)
		go f.run()
	}
	for _, w := range e.workers {
		e.wg.Add(1)
		go w.run()
	}
	e.wg.Add(2)
	go e.orderLoop()
	go e.commitLoop()
}

func (e *Engine) stopPipeline() {
	close(e.fronts)
	close(e.ordered)
	close(e.commits)
	e.wg.Wait()
}

// since is the epoch at which a query's state begins: its creation, or its last resumption.
func since(o *Object) uint64 {
	if n, err := strconv.ParseUint(o.Meta.Props[PropStateEpoch], 10, 64); err == nil {
		return max(n, o.Meta.Created)
	}
	return o.Meta.Created
}

// attachStreams opens the streams, and makes functions known.
func (r *recovery) attachStreams() error {
	e := r.e
	for i := range r.objects {
		o := &r.objects[i]
		switch d := o.Def.(type) {
		case *spec.Stream:
			if err := r.attachStream(o, d); err != nil {
				return err
			}
		case *spec.Query:
			e.load.queriesTotal.Add(1)
		case *spec.Function:
			e.defineStored(o, d)
		}
	}
	return nil
}

// attachOld builds the runtimes of the queries that the checkpoint knows, with their state, and sorts the others by epoch.
func (r *recovery) attachOld() error {
	e := r.e
	r.later, r.saved, r.gates, r.joins = map[uint64][]*Object{}, map[uint64]bool{}, map[uint64][]recordedGate{}, map[uint64][]uint64{}
	// The next snapshot writes restored state whole; what earlier workers wrote, perhaps more of them, goes with it. So does what
	// queries left that are out of service or gone: a query that is resumed would find it.
	var err error
	if e.seq.dropOps, err = e.ckpt.store.Ops(); err != nil {
		return err
	}
	for _, id := range e.seq.dropOps {
		r.saved[id] = true
	}
	if err := r.loadGroups(e.seq.dropOps); err != nil {
		return err
	}
	for _, s := range e.streamList() {
		e.replan(s)
	}
	done := int64(0)
	for i := range r.objects {
		o := &r.objects[i]
		if _, ok := o.Def.(*spec.Query); !ok {
			continue
		}
		e.load.queries.Store(done)
		if done++; r.outOfService(o) {
			continue
		}
		shut := r.noteGates(o)
		r.noteJoin(o)
		if since(o) > r.cut.epoch {
			r.later[since(o)] = append(r.later[since(o)], o)
			continue
		}
		if err := r.restoreQuery(o); err != nil {
			return fmt.Errorf("restore query %s: %w", o.Meta.Name, err)
		}
		for _, w := range e.workers {
			w.setGates([]gate{{q: e.queries[o.Meta.ID], shut: shut}})
		}
	}
	if err := r.restoreGroups(); err != nil {
		return err
	}
	e.load.queries.Store(done)
	return nil
}

// outOfService reports that a query does not run; one that is throttled waits for its time.
func (r *recovery) outOfService(o *Object) bool {
	switch o.Meta.Props[PropState] {
	case StateThrottled:
		until, _ := strconv.ParseInt(o.Meta.Props[PropUntil], 10, 64) // damaged: it goes on now
		r.e.seq.throttled[o.Meta.ID] = throttled{*o, types.EventTime(until)}
		return true
	case StateDeactivated, StatePaused:
		return true
	}
	return false
}

// forgetOld arranges for what is on disk and nobody's any more to go, and tells the workers the time.
func (r *recovery) forgetOld() error {
	e := r.e
	alive := map[uint64]bool{}
	for i := range r.objects {
		if d, ok := r.objects[i].Def.(*spec.Query); ok {
			alive[d.ID] = true
			for _, st := range d.Stages {
				alive[st.ID] = true
			}
		}
	}
	for _, id := range e.results.Queries() {
		if !alive[id] {
			if err := e.results.Drop(id); err != nil { // the server ended between the drop and this
				return err
			}
		}
	}
	for _, w := range e.workers {
		for id, s := range e.streams {
			ws := w.stream(id)
			ws.watermark = s.order.now() // queries that come while epochs run again meet it, too
			ws.ended = ws.watermark
		}
		w.ends++ // a checkpoint is cut at the end of an epoch
	}
	return nil
}

func (r *recovery) attachStream(o *Object, d *spec.Stream) error {
	e := r.e
	s, err := e.newStream(d)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", d.Name, err)
	}
	s.order.tracker = s.newTracker()
	if sc := r.cut.stream(d.ID); sc != nil {
		s.next = sc.next
		if len(sc.splits) > 0 {
			s.order.tracker.Restore(sc.watermark, sc.splits)
			s.stats.Watermark.Store(int64(sc.watermark))
		}
	}
	s.progress.begin(s.next[0])
	e.mu.Lock()
	defer e.mu.Unlock()
	e.setStream(s)
	return nil
}

func (r *recovery) restoreQuery(o *Object) error {
	e := r.e
	q, err := newQuery(o, r.cut.epoch)
	if err != nil {
		return err
	}
	r.restorePasts(q)
	for _, part := range q.all() {
		for i := range part.parts.Inputs {
			if in := &part.parts.Inputs[i]; in.IsResult && e.streams[in.Source] == nil {
				s := e.resultStream(in, q.from[in.Source])
				if sc := r.cut.stream(in.Source); sc != nil {
					s.order.watermark = sc.watermark
					if sc.next[0] >= 0 {
						s.next = sc.next
					}
				}
			}
		}
		if err := e.attachReader(part); err != nil {
			return err
		}
		if err := r.restorePart(part); err != nil {
			return err
		}
	}
	return nil
}

// rerun runs the recorded epochs after the checkpoint again.
func (r *recovery) rerun() error {
	e := r.e
	var ends []*epoch
	e.settleRules()
	e.flushReplan()
	err := e.meta.Epochs(r.cut.epoch+1, func(n uint64, data []byte) (bool, error) {
		rec, err := decodeEpoch(data)
		if err != nil {
			return false, fmt.Errorf("epoch %d: %w", n, err)
		}
		if err := e.load.ctx.Err(); err != nil {
			return false, err
		}
		ep, err := r.rerunEpoch(rec)
		if err != nil {
			return false, fmt.Errorf("run epoch %d again: %w", n, err)
		}
		e.load.epochs.Add(1)
		r.reran++
		ends = append(ends[:0], ep)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, ep := range ends {
		ep.done.Wait()
	}
	for n := range r.later {
		if n > r.last {
			return fmt.Errorf("the catalogue names epoch %d, the newest epoch record is %d", n, r.last)
		}
	}
	return nil
}

func (r *recovery) rerunEpoch(rec *epochRecord) (*epoch, error) {
	e := r.e
	r.lists = r.listsIn(r.lists, rec.n)
	ep := &epoch{n: rec.n, clock: rec.clock, restarted: rec.restarted, replay: true,
		outs: make([]epochOut, len(e.workers)), ioc: r.lists.At(int64(rec.clock)), tables: e.tables.At(rec.n, rec.clock)}
	for _, o := range r.later[rec.n] {
		q, err := newQuery(o, r.cut.epoch)
		if err != nil {
			return nil, fmt.Errorf("query %s: %w", o.Meta.Name, err)
		}
		e.addQuery(ep, q)
	}
	for _, id := range r.joins[rec.n] {
		if q := e.queries[id]; q != nil {
			e.join(ep, q)
		}
	}
	r.setGates(ep)
	e.flushReplan()
	e.startEpoch(ep)
	for _, x := range rec.runs {
		s := e.streams[x.stream]
		if s == nil {
			continue // dropped since; what it did matters to nobody
		}
		if err := r.rerunInput(ep, s, x); err != nil {
			return nil, fmt.Errorf("read stream %s [%d, %d) of split %d: %w", s.spec.Name, x.from, x.to, x.split, err)
		}
	}
	e.endEpoch(ep)
	e.commits <- ep
	return ep, nil
}

// infos keeps one copy of what is known of many entries.
type infos map[string][]byte

func (k infos) of(info []byte) []byte {
	kept, ok := k[string(info)]
	if !ok {
		kept = bytes.Clone(info)
		k[string(info)] = kept
	}
	return kept
}

// Close ends the open epoch, writes a last checkpoint and stops everything. It waits for ctx at most. Of an engine that is not loaded yet
// nothing is written: the next one finds what this one found.
func (e *Engine) Close(ctx context.Context) error {
	e.StopLoading()
	e.closed.Do(func() {
		for _, s := range e.streamList() {
			e.stopInput(s)
		}
		close(e.closing)
	})
	done := make(chan struct{})
	go func() { e.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		e.cancel()
		<-done
	}
	e.cancel()
	e.sweeps.Wait()
	e.ioc.Close()
	if err := errors.Join(e.closeBudget(), e.closeSequences()); err != nil && e.Err() == nil {
		return err
	}
	if err := e.closeLogs(); err != nil && e.Err() == nil {
		return err
	}
	return e.Err()
}

// closeLogs closes what the streams read from.
func (e *Engine) closeLogs() error {
	for _, s := range e.streamList() {
		s.progress.end()
		if s.log != nil {
			if err := s.log.Close(); err != nil {
				return err
			}
		}
		if s.src != nil {
			_ = s.src.Close() // a source has nothing to lose
		}
	}
	return nil
}
