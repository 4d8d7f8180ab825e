package job

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/seal"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/meta"
)

type batchKV = kv.Batch

// Change is a set of catalogue changes that take effect together, at the start of one epoch.
type Change struct {
	// Create holds new objects; ids are the caller's (NextID).
	Create []Object
	// Drop holds the objects that go, as they were created.
	Drop []Object
	// IOC are changes of list contents; each list must exist, or be created by this change.
	IOC []IOCChange
	// Tables are changes of tables' rows, in this order.
	Tables []TableChange
	// Rejected are rows for vigil.rejected that the change left out; epoch and time are filled in.
	Rejected []Rejected
	// Corrections are rows of results that ReplayLate found wrong.
	Corrections []Correction
	// Props are changes of objects' properties; those of objects that the change creates belong into them.
	Props []PropChange
	// Resume re-attaches queries that are out of service, with fresh state.
	Resume []Object
	// Alter holds objects with a new name, text or properties that go on as they are: tables, sequences, queries.
	Alter []Object
	// Events are rows for vigil.query_events, by query; epoch and time are filled in.
	Events []Event
	// Replace holds queries that go on under another text, with their state and results: see task.Keeps.
	Replace []Object
	// Functions go out of service, or come back.
	Functions []FunctionChange
	// Pause takes running queries out of service, until they are resumed; their results stay.
	Pause []Object
}

// PropChange sets properties of an object; those set to "" go.
type PropChange struct {
	ID  uint64
	Set map[string]string
}

// change is a Change on its way to the sequencer, with what was prepared for it outside.
type change struct {
	Change
	streams map[uint64]*stream
	queries map[uint64]*query
	// functions are the new definitions.
	functions map[uint64]version
	// outages are the queries that go with the functions that they call. The sequencer's, then the committer's.
	outages []outage
	lists   *ioc.Set                     // the lists after this change; nil when it leaves them alone
	reads   map[uint64]map[string]string // by query: where its inputs begin
	done    chan error
	// tableEffects, by the changes of Tables, and err are what came of it.
	tableEffects []tableEffect
	err          error
	// own: the engine itself makes the change.
	own bool
}

func (c *change) finish(err error) {
	if err == nil {
		err = c.err
	}
	c.done <- err
}

// Apply makes a change take effect at the start of an epoch, and returns when that epoch is on disk.
func (e *Engine) Apply(ctx context.Context, ch Change) error {
	if err := cmp.Or(e.Loaded(ctx), e.Err()); err != nil {
		return err
	}
	c := &change{Change: ch, streams: map[uint64]*stream{}, queries: map[uint64]*query{}, done: make(chan error, 1)}
	if err := e.stalled(); err != nil {
		return err
	}
	if err := e.prepare(c); err != nil {
		return err
	}
	if err := e.enqueue(c); err != nil {
		return err
	}
	// From here on the change happens whether the caller waits or not.
	select {
	case err := <-c.done:
		return err
	case <-e.ctx.Done():
		return shuttingDown()
	}
}

// enqueue writes what changes in lists, computes the lists after it, and hands the change to the sequencer, in the same order for all. Should it not
// get there, what it wrote is taken back when the engine is opened again.
func (e *Engine) enqueue(c *change) error {
	if steps := c.IOCSteps(); len(steps) > 0 {
		e.listMu.Lock()
		defer e.listMu.Unlock()
		if err := e.stageLists(c, steps); err != nil {
			return err
		}
	}
	e.changeMu.Lock()
	defer e.changeMu.Unlock()
	select {
	case e.changes <- c:
	case <-e.ctx.Done():
		return shuttingDown()
	case <-e.closing:
		return shuttingDown()
	}
	if c.lists != nil {
		e.lists = c.lists
	}
	return nil
}

// prepare does what may fail or take long, outside the sequencer: files, connectors, compilation.
func (e *Engine) prepare(c *change) error {
	for i := range c.Create {
		switch d := c.Create[i].Def.(type) {
		case *spec.Stream:
			s, err := e.newStream(d)
			if err != nil {
				return err
			}
			c.streams[d.ID] = s
		case *spec.Query:
			q, err := e.prepareQuery(&c.Create[i])
			if err == nil {
				err = e.wantHistory(q, c.streams)
			}
			if err != nil {
				return err
			}
			c.queries[d.ID] = q
		case *spec.Function:
			if err := e.prepareFunction(c, d); err != nil {
				return err
			}
		}
	}
	for _, list := range [][]Object{c.Resume, c.Replace} {
		for i := range list {
			q, err := e.prepareQuery(&list[i])
			if err != nil {
				return err
			}
			c.queries[q.spec.ID] = q
		}
	}
	return nil
}

// Check does what can be done of a change without taking effect: a change that it refuses would fail.
func (e *Engine) Check(ch Change) error {
	for i := range ch.Create {
		switch d := ch.Create[i].Def.(type) {
		case *spec.Stream:
			if d.Connector != "" {
				if _, err := e.newSource(d); err != nil {
					return err
				}
				if !e.listens(d) {
					continue
				}
			}
			if _, err := e.newDecoder(d, d.Format, nil); err != nil {
				return err
			}
		case *spec.Query:
			q, err := e.prepareQuery(&ch.Create[i])
			if err == nil {
				err = e.wantHistory(q, nil)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// prepareQuery builds a query's runtime; one front instance is opened for each input to see that everything compiles.
func (e *Engine) prepareQuery(o *Object) (*query, error) {
	q, err := newQuery(o, 0)
	if err != nil {
		return nil, err
	}
	for source := range q.from {
		q.from[source] = fromUnknown // that is where its epoch finds them
	}
	for _, part := range q.all() {
		for i := range part.parts.Inputs {
			if _, err := newFront(e).openFrom(reader{part, i}, 0); err != nil {
				return nil, err
			}
		}
	}
	return q, nil
}

func (o *Object) query() *spec.Query { return o.Def.(*spec.Query) }

// newStream opens what a stream reads from.
func (e *Engine) newStream(d *spec.Stream) (*stream, error) {
	s := &stream{spec: d, next: map[int32]int64{}, rules: newRuleset(&d.Schema)}
	s.progress.init()
	if d.Connector != "" && !e.listens(d) {
		src, err := e.newSource(d)
		s.src = src
		return s, err
	}
	if _, err := e.newDecoder(d, d.Format, nil); err != nil {
		return nil, err
	}
	log, err := e.openLog(d)
	if err != nil {
		return nil, err
	}
	s.log = log
	s.next[0] = log.Start()
	return s, nil
}

func (e *Engine) newSource(d *spec.Stream) (connector.Source, error) {
	if err := seal.Locked(d.Options); err != nil {
		return locked{err}, nil
	}
	for _, def := range e.cfg.Connectors {
		if def.Name == d.Connector {
			o := connector.Options{Stream: d.Name, Params: d.Options, Schema: &d.Schema, Format: d.Format, Created: d.Created}
			if def.Check != nil {
				if err := def.Check(o); err != nil {
					return nil, err
				}
			}
			if def.Listen != nil {
				return nil, connector.CheckParams(def, o)
			}
			return def.New(o)
		}
	}
	return nil, sqlerr.New(sqlerr.InvalidParameterValue, "connector %q does not exist", d.Connector).
		WithHint("vigil has: %s.", connectorNames(e.cfg.Connectors))
}

// listens reports that what the stream's connector receives is appended to the event log, as what clients send is.
func (e *Engine) listens(d *spec.Stream) bool {
	return slices.ContainsFunc(e.cfg.Connectors, func(def connector.Def) bool { return def.Name == d.Connector && def.Listen != nil })
}

// applyChange runs in the sequencer, at the start of an epoch.
func (e *Engine) applyChange(ep *epoch, c *change) {
	ep.changes = append(ep.changes, c)
	e.applyTables(ep, c)
	for i := range c.Drop {
		e.applyDrop(ep, &c.Drop[i])
	}
	for i := range c.Create {
		switch d := c.Create[i].Def.(type) {
		case *spec.Stream:
			e.addStream(ep, c.streams[d.ID])
			if s := c.streams[d.ID]; s.log != nil {
				e.startInput(s)
			}
		case *spec.Query:
			e.addQuery(ep, c.queries[d.ID])
		}
	}
	e.applyFunctions(ep, c)
	c.Resume = slices.DeleteFunc(c.Resume, func(o Object) bool { return e.queries[o.Meta.ID] != nil }) // it came back by itself
	for i := range c.Resume {
		delete(e.seq.throttled, c.Resume[i].Meta.ID)
		e.addQuery(ep, c.queries[c.Resume[i].Meta.ID])
	}
	for i := range c.Alter {
		if d, ok := c.Alter[i].Def.(*spec.Query); ok {
			e.alterLimits(ep, d)
		}
	}
	e.applyReplace(ep, c)
	e.applyPause(ep, c)
	if c.lists != nil {
		e.iocNow.Store(c.lists)
	}
}

func (e *Engine) addStream(ep *epoch, s *stream) {
	e.mu.Lock()
	e.setStream(s)
	e.mu.Unlock()
	ep.newStreams = append(ep.newStreams, s)
	e.replan(s)
}

func (e *Engine) addQuery(ep *epoch, q *query) {
	e.openPasts(ep, q)
	for _, part := range q.all() {
		if err := e.attachReader(part); err != nil {
			e.log.Error("attach", "query", q.spec.Name, "error", err)
			return // an input was dropped in the same breath; the catalogue does not allow it
		}
		ep.attach = append(ep.attach, part)
		for i := range part.parts.Inputs {
			s := e.streams[part.reads[i]]
			if s.stop == nil && !s.isResult && s.past == nil && !ep.replay {
				e.startInput(s) // what a source delivers before anybody reads the stream would be lost
			}
		}
	}
	if q.backfilling() && !ep.replay {
		e.startBackfill(q)
	}
}

// attachReader puts a query, or a stage, into the plans of its inputs.
func (e *Engine) attachReader(q *query) error {
	q.since = e.cfg.Clock()
	e.costs.attach(q)
	var streams []*stream
	q.begun = q.sources(true)
	q.reads, q.timed = q.begun, q.begun
	for i := range q.parts.Inputs {
		in := &q.parts.Inputs[i]
		s := e.streams[q.begun[i]]
		if in.IsResult && q.past(in.Source) == nil {
			s = e.resultStream(in, q.owner.from[in.Source])
		}
		if s == nil {
			return fmt.Errorf("what %s reads, %s, is not there", q.spec.Name, in.Name)
		}
		streams = append(streams, s)
	}
	e.seq.noteLevels(q)
	if !e.cfg.Alone && !q.mayShut() && !q.backfilling() {
		e.shares.join(q)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queries[q.spec.ID] = q
	e.slots.take(q)
	if s := e.streams[q.spec.ID]; s != nil {
		s.result = q // it was out of service, or is attached after its reader
	}
	for i, s := range streams {
		s.join(reader{q, i})
		if s.rules != nil {
			e.seq.unsettled[s] = true
		}
		e.markReplan(s)
	}
	return nil
}

func (e *Engine) applyDrop(ep *epoch, o *Object) {
	switch d := o.Def.(type) {
	case *spec.Query:
		e.costs.drop(d.ID)
		delete(e.seq.throttled, d.ID)
		if q := e.queries[d.ID]; q != nil {
			q.dropped = true
			e.detach(ep, q)
		} else {
			e.forget(d)
		}
	case *spec.Stream:
		s := e.streams[d.ID]
		if s == nil {
			return
		}
		if s.stop != nil {
			s.stop()
		}
		s.plan = nil
		e.mu.Lock()
		e.dropStream(d.ID)
		e.mu.Unlock()
		ep.gone = append(ep.gone, s)
	}
}

// detach takes a query and its stages out of the plans of their inputs.
func (e *Engine) detach(ep *epoch, q *query) {
	for _, part := range q.all() {
		part.gone.Store(true)
		e.seq.noteLevels(part)
		e.shares.leave(part)
		e.mu.Lock()
		delete(e.queries, part.spec.ID)
		for i := range part.parts.Inputs {
			s := e.streams[part.reads[i]]
			if s == nil {
				continue
			}
			s.leave(part)
			if s.rules != nil {
				e.seq.unsettled[s] = true
			}
			if s.unread() {
				e.dropStream(s.spec.ID) // nobody reads the result any more
				delete(e.seq.replan, s)
				continue
			}
			e.markReplan(s)
		}
		if s := e.streams[part.spec.ID]; s != nil {
			s.result = nil
		}
		e.mu.Unlock()
		ep.detach = append(ep.detach, part)
		for i := range part.ops {
			e.seq.dropOps = append(e.seq.dropOps, opID(part, i))
		}
	}
	e.closePasts(ep, q)
}

// forget removes the results of a query that is dropped while it is out of service.
func (e *Engine) forget(d *spec.Query) {
	for _, part := range append(d.Stages[:len(d.Stages):len(d.Stages)], d) {
		if err := e.results.Drop(part.ID); err != nil {
			e.log.Error("drop results", "query", part.Name, "error", err)
		}
	}
}

func (e *Engine) markReplan(s *stream) { e.seq.replan[s] = true }

// detachFailed takes the queries that broke out of their plans.
func (e *Engine) detachFailed(ep *epoch) {
	e.failMu.Lock()
	list := e.failedQueries
	e.failedQueries = nil
	e.failMu.Unlock()
	for _, o := range list {
		if e.queries[o.q.spec.ID] != o.q {
			continue
		}
		e.detach(ep, o.q)
		if o.until != 0 {
			d := *o.q.spec
			d.Name, d.Limits = o.object.Name, *o.q.limits.Load() // ALTER may have changed them since it began
			e.seq.throttled[d.ID] = throttled{Object{Meta: o.object, Def: &d}, o.until}
		}
	}
}

func (e *Engine) flushReplan() {
	for s := range e.seq.replan {
		e.replan(s)
	}
	clear(e.seq.replan)
}

// The properties of a query's object row that the engine keeps.
const (
	PropState      = "state"
	PropReason     = "reason"
	PropStateEpoch = "state_epoch"
	// StateRunning is the state of a query that was brought back, StateDeactivated of one that broke, or broke a limit.
	StateRunning     = "running"
	StateDeactivated = "deactivated"
	// StateBackfilling is that of one that runs and has not joined its streams yet; it is not kept, see QueryStatus.
	StateBackfilling = "backfilling"
	// StateLoading is that of one whose state is not loaded yet; it is not kept, see Engine.Loading.
	StateLoading = "loading"
	// StatePaused is the state of a query that a user took out of service.
	StatePaused = "paused"
	// PropCorrected: the changelog holds corrections of late rows.
	PropCorrected = "corrected"
)

// noteReads notes where the new queries begin to read other queries' results; before the epoch's own results are put.
func (c *change) noteReads(e *Engine) {
	c.reads = map[uint64]map[string]string{}
	for id, q := range c.queries {
		if q.apart {
			continue // it goes on where the one before it was
		}
		props := map[string]string{}
		e.readsFrom(props, q)
		notePasts(props, q)
		c.reads[id] = props
	}
}

// removeStream frees a dropped stream's files, after its drop is durable.
func (e *Engine) removeStream(s *stream) {
	e.stopInput(s)
	s.progress.end()
	if s.src != nil {
		_ = s.src.Close() // nothing reads it any more
	}
	if s.log != nil {
		e.dropLog(s)
	}
}

func connectorNames(defs []connector.Def) string {
	text := ""
	for i, d := range defs {
		if i > 0 {
			text += ", "
		}
		text += d.Name
	}
	return text
}

var _ = meta.Object{}
