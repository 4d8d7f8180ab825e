package job

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/checkpoint"
	"github.com/vigil-sql/vigil/storage/meta"
)

// Open starts an engine on what is stored: objects are all that are alive. It recovers to the exact state before the
// stop - last checkpoint plus the epochs after it, run again with their results discarded - and goes on from there.
func Open(cfg Config, objects []Object) (*Engine, error) {
	cfg.defaults()
	e := &Engine{cfg: cfg, kv: cfg.KV, meta: cfg.Meta, results: cfg.Results, log: cfg.Logger,
		inbox: make(chan *item, 4), changes: make(chan *change, 256), settles: make(chan settle), fronts: make(chan *item, 2*cfg.Workers),
		ordered: make(chan *item, 4*cfg.Workers), commits: make(chan *epoch, 4), wake: make(chan struct{}, 1), built: make(chan built),
		history: make(chan *item), pastSlots: make(chan struct{}, pastItems), fed: feedQueue{wake: make(chan struct{}, 1)}, closing: make(chan struct{}), failed: make(chan struct{}), streams: map[uint64]*stream{}, queries: map[uint64]*query{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.seq.replan, e.seq.unsettled, e.seq.throttled = map[*stream]bool{}, map[*stream]bool{}, map[uint64]throttled{}
	e.shares = shares{}
	e.iocNow.Store(ioc.NewSet())
	e.tables = table.NewSet()
	e.openCosts()
	for i := range cfg.Workers {
		e.workers = append(e.workers, newWorker(e, i))
	}
	e.openBudget()
	r := &recovery{e: e, objects: objects}
	if err := r.run(); err != nil {
		e.cancel()
		return nil, errors.Join(err, e.closeBudget())
	}
	e.seq.lastCheckpoint, e.seq.behind = time.Now(), map[*stream]int64{}
	for _, s := range e.streamList() {
		s.progress.upTo = s.next[0]
		if s.log != nil && s.log.End() > s.next[0] {
			e.seq.behind[s] = s.log.End()
		}
		s.placed.Store(sum(s.next))
	}
	e.startRoom()
	for _, q := range e.seq.backfills {
		e.startBackfill(q)
	}
	e.wg.Add(1)
	go e.sequence() // from here on next is the sequencer's
	for _, s := range e.streamList() {
		if !s.isResult && s.past == nil && s.stop == nil && (s.log != nil || len(s.attached) > 0 || len(s.next) > 0) {
			e.startInput(s)
		}
	}
	return e, nil
}

// recovery is the work of Open.
type recovery struct {
	e       *Engine
	objects []Object
	// cut is the newest complete checkpoint; epoch 0 when there is none.
	cut *checkpointCut
	// later are the objects that came after the cut, by the epoch of their coming.
	later map[uint64][]*Object
	iocs  map[uint64][]ioc.Change
	// gates are those of queries' intakes after the cut, by epoch.
	gates map[uint64][]recordedGate
	// joins are the queries that joined their streams after the cut, by epoch.
	joins map[uint64][]uint64
	// saved are the operators that the checkpoint has state of.
	saved map[uint64]bool
	last  uint64
	reran int
}

func (r *recovery) run() error {
	e := r.e
	store := checkpoint.New(e.kv)
	store.LimitQueue(int(e.cfg.Memory / 16))
	e.ckpt = &checkpoints{e: e, store: store, one: make(chan struct{}, 1)}
	e.ckpt.figures.f.Ended = time.Now()
	r.cut = &checkpointCut{}
	_, manifest, ok, err := store.Latest()
	if err != nil {
		return err
	}
	if ok {
		if r.cut, err = decodeManifest(manifest); err != nil {
			return err
		}
	}
	if err := store.Cleanup(); err != nil {
		return err
	}
	e.ckpt.last.Store(r.cut.epoch)
	e.ckpt.done.Store(r.cut.positions())
	r.last = r.cut.epoch
	if err := e.meta.OpenJournals(e.cfg.Journals, journalTime); err != nil {
		return err
	}
	if err := r.loadIOC(); err != nil {
		return err
	}
	if err := r.loadTables(); err != nil {
		return err
	}
	if err := r.attachOld(); err != nil {
		return err
	}
	if err := r.forgetOld(); err != nil {
		return err
	}
	e.startPipeline()
	if err := r.rerun(); err != nil {
		e.stopPipeline()
		return err
	}
	for _, q := range e.queries {
		if q.owner == q && q.limits.Load().RowsPerMinute > 0 {
			if err := e.countMinute(q); err != nil {
				e.stopPipeline()
				return fmt.Errorf("count the results of query %s: %w", q.spec.Name, err)
			}
		}
	}
	r.settleIntake()
	e.pendingFeeds()
	e.lists = e.iocNow.Load()
	e.log.Info("recovered", "checkpoint", r.cut.epoch, "epochs_after_it", r.reran, "queries", len(e.queries))
	e.seq.next = r.last + 1
	e.committed.Store(r.last)
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

// attachOld builds the runtimes of the objects that the checkpoint knows, with their state, and sorts the others by epoch.
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
	order := map[bool]int{true: 0, false: 1}
	sort.SliceStable(r.objects, func(i, j int) bool {
		_, si := r.objects[i].Def.(*spec.Stream)
		_, sj := r.objects[j].Def.(*spec.Stream)
		return order[si] < order[sj]
	})
	for i := range r.objects {
		o := &r.objects[i]
		switch d := o.Def.(type) {
		case *spec.Stream:
			if err := r.attachStream(o, d); err != nil {
				return err
			}
		case *spec.Query:
			if r.outOfService(o) {
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
		case *spec.Function:
			if e.cfg.UDF == nil {
				continue
			}
			if err := e.cfg.UDF.Define(d); err != nil {
				e.log.Error("define function", "function", d.Name, "error", err)
			}
		}
	}
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
	e.setStream(s)
	e.replan(s)
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
		ep, err := r.rerunEpoch(rec)
		if err != nil {
			return false, fmt.Errorf("run epoch %d again: %w", n, err)
		}
		r.last = n
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
	if ch := r.iocs[rec.n]; len(ch) > 0 {
		e.iocNow.Store(e.iocNow.Load().With(ch...))
	}
	ep := &epoch{n: rec.n, clock: rec.clock, restarted: rec.restarted, replay: true,
		outs: make([]epochOut, len(e.workers)), ioc: e.iocNow.Load(), tables: e.tables.At(rec.n, rec.clock)}
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

// loadIOC builds the lists as they were at the cut, and sorts later changes by epoch.
func (r *recovery) loadIOC() error {
	e := r.e
	r.iocs = map[uint64][]ioc.Change{}
	var steps []ioc.Change
	for i := range r.objects {
		d, ok := r.objects[i].Def.(*spec.IOCList)
		if !ok {
			continue
		}
		if c := r.objects[i].Meta.Created; c > r.cut.epoch {
			r.iocs[c] = append(r.iocs[c], ioc.Change{List: d.Name, Create: true, Kind: d.Type})
		} else {
			steps = append(steps, ioc.Change{List: d.Name, Create: true, Kind: d.Type})
		}
		add := ioc.Change{List: d.Name}
		err := e.meta.ScanIOCAll(d.ID, func(x meta.IOCEntry) (bool, error) {
			v := string(x.Value)
			if x.Added <= r.cut.epoch && (x.Deleted == 0 || x.Deleted > r.cut.epoch) {
				add.Add = append(add.Add, v)
			} else if x.Added > r.cut.epoch {
				c := r.iocStep(x.Added, d.Name)
				c.Add = append(c.Add, v)
			}
			if x.Deleted > r.cut.epoch {
				c := r.iocStep(x.Deleted, d.Name)
				c.Drop = append(c.Drop, v)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		steps = append(steps, add)
	}
	e.lists = e.iocNow.Load().With(steps...)
	e.iocNow.Store(e.lists)
	return nil
}

// iocStep is the change of a list in an epoch that runs again: one for all its entries, because each step copies what the list
// had changed before. An entry that was replaced in the epoch is in Drop and Add, which apply in this order.
func (r *recovery) iocStep(epoch uint64, list string) *ioc.Change {
	steps := r.iocs[epoch]
	for i := range steps {
		if steps[i].List == list && !steps[i].Create {
			return &steps[i]
		}
	}
	r.iocs[epoch] = append(steps, ioc.Change{List: list})
	return &r.iocs[epoch][len(steps)]
}

// Close ends the open epoch, writes a last checkpoint and stops everything. It waits for ctx at most.
func (e *Engine) Close(ctx context.Context) error {
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
	if err := errors.Join(e.closeBudget(), e.closeSequences()); err != nil && e.Err() == nil {
		return err
	}
	for _, s := range e.streamList() {
		s.progress.end()
		if s.log != nil {
			if err := s.log.Close(); err != nil && e.Err() == nil {
				return err
			}
		}
		if s.src != nil {
			_ = s.src.Close() // a source has nothing to lose
		}
	}
	return e.Err()
}
