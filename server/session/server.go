// Package session is what a connection means: it implements pgwire.Engine over the planner, the engine that runs
// continuous queries, and the bounded runner. It owns settings, prepared statements, cursors and the DDL lock.
package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/seal"
	"github.com/vigil-sql/vigil/executor/sink"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgcatalog"
	"github.com/vigil-sql/vigil/storage/meta"
)

// Options is what a Server is made of. Job carries the stores; its OnState is set by New.
type Options struct {
	Job    job.Config
	Logger *slog.Logger
	Auth   AuthPolicy
	// Version is what SHOW server_version adds to the Postgres version.
	Version string
	// Sinks are the connectors to targets.
	Sinks []connector.SinkDef
	// TestDir is the directory whose files TEST CONTINUOUS QUERY may read; "": none.
	TestDir string
	// Secrets is the key for the secrets of streams and sinks; nil: they are written down in clear.
	Secrets *seal.Keys
	// FunctionMax bounds the limits that functions may give themselves; zero fields: planner/bind's maxima.
	FunctionMax spec.FunctionLimits
	// FunctionLog gives what functions gave to console.log, oldest first; nil: nothing is kept.
	FunctionLog func(add func(at time.Time, function, line string) error) error
	// StatementBytes bounds the memory of the rows that one statement adds; 0: 1 GiB.
	StatementBytes int64
	// FeedEvery is how often the clock is looked at for IOC lists that are to be refreshed, 0: each second, less: never. FeedSilence is how long a web
	// server may send nothing of a feed, 0: a minute.
	FeedEvery, FeedSilence time.Duration
}

// Server is the state that all connections share: catalogue and engine. Safe for concurrent use.
type Server struct {
	cat  *catalog.Catalog
	eng  *job.Engine
	meta *meta.Store
	// identity is the number that says which server this is, drawn at its first start.
	identity string
	// secret is a key of this server alone.
	secret  []byte
	auth    AuthPolicy
	pg      *pgcatalog.Catalog
	log     *slog.Logger
	udf     job.UDF
	version string
	clock   func() types.EventTime
	started time.Time
	hub     hub
	subs    subscriptions
	// backends are the connections.
	backends backends
	// testDir is as in Options; tests holds a place for each TEST CONTINUOUS QUERY under way.
	testDir string
	tests   chan struct{}
	// sinks runs the sinks; running is which of the catalogue's it was told, guarded by ddl.
	sinks   *sink.Set
	running map[uint64]*catalog.Sink
	secrets secrets
	feeds   feeds
	retros  retros
	// intakes and receivers belong to streams of flows; the map of receivers is guarded by ddl.
	intakes   intakes
	receivers receivers
	// functionMax is as in Options.
	functionMax spec.FunctionLimits
	functionLog func(add func(at time.Time, function, line string) error) error
	// ddl serialises statements that change the catalogue: plan, apply, publish.
	ddl sync.Mutex
	// statementBytes is as in Options.
	statementBytes int64
}

// New loads the catalogue and is ready for connections. The engine may not be loaded yet: what needs more of it than what was committed waits.
func New(o Options) (*Server, error) {
	s := &Server{cat: catalog.New(), meta: o.Job.Meta, log: o.Logger, functionMax: o.FunctionMax, functionLog: o.FunctionLog, version: o.Version, auth: o.Auth, clock: o.Job.Clock,
		started: time.Now(), testDir: o.TestDir, tests: make(chan struct{}, testsMax), statementBytes: cmp.Or(o.StatementBytes, statementBytes)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.clock == nil {
		s.clock = func() types.EventTime { return types.EventTime(time.Now().UnixMicro()) }
		o.Job.Clock = s.clock
	}
	if f := job.NewFunctions(o.Job.UDF); f != nil {
		s.udf, o.Job.UDF = f, f
	}
	s.secrets = secrets{o.Secrets, o.Sinks, o.Job.Connectors}
	s.feeds.open(o.FeedSilence)
	s.pg = pgcatalog.New(source{s})
	s.cat.Register(s.pg.Relations()...)
	s.cat.Register(vigilRelations()...)
	if err := s.identify(); err != nil {
		return nil, err
	}
	objects, err := s.load()
	if err != nil {
		return nil, err
	}
	o.Job.OnState, o.Job.OnFunction = s.changed, s.functionChanged
	if s.eng, err = job.Open(o.Job, objects); err != nil {
		return nil, err
	}
	if err := s.openSinks(o); err != nil {
		return nil, err
	}
	if err := s.sealStored(objects); err != nil {
		return nil, errors.Join(err, s.Close(context.Background()))
	}
	if o.FeedEvery >= 0 {
		s.feeds.run.Go(func() { s.watch(cmp.Or(o.FeedEvery, feedEvery)) })
	}
	return s, nil
}

// openSinks lets the sinks go on.
func (s *Server) openSinks(o Options) error {
	var err error
	s.sinks, err = sink.New(sink.Options{Results: o.Job.Results, KV: o.Job.KV, Dead: o.Job.Meta.Dead, Defs: o.Sinks, Server: s.identity, Clock: s.clock,
		Logger: s.log, Missed: s.missedRows}, s.liveSinks())
	if err != nil {
		return errors.Join(err, s.eng.Close(context.Background()))
	}
	s.syncSinks()
	s.receivers.defs = o.Job.Connectors
	s.syncReceivers()
	return nil
}

// Engine is the engine that runs the continuous queries.
func (s *Server) Engine() *job.Engine { return s.eng }

// Catalog is the catalogue.
func (s *Server) Catalog() *catalog.Catalog { return s.cat }

// Close stops refreshes, the sinks and the engine: last epoch, last checkpoint.
func (s *Server) Close(ctx context.Context) error {
	s.eng.StopLoading() // a sink may wait for that, and a receiver
	s.stopReceivers()
	s.flushIntakes()
	s.feeds.cancel()
	s.sinks.Close()
	err := s.eng.Close(ctx)
	s.feeds.run.Wait() // one that waits for the engine does so no longer
	return err
}

func (s *Server) env() *planner.Env {
	return &planner.Env{Catalog: s.cat, Database: "vigil", User: "vigil", Schema: "public", Now: s.clock(), TimeZone: time.UTC, FunctionMax: s.functionMax,
		Aggregates: s.aggregates()}
}

// aggregates computes users' aggregates; nil: this server runs without JavaScript.
func (s *Server) aggregates() agg.Runner {
	r, _ := s.udf.(agg.Runner)
	return r
}

// The kinds of objects in storage/meta.
const (
	kindStream   = job.KindStream
	kindQuery    = "query"
	kindIOC      = "ioc"
	kindFunction = job.KindFunction
	kindTable    = job.KindTable
	kindView     = "view"
	kindSchema   = "schema"
	kindSequence = job.KindSequence
	kindSink     = "sink"
)

// propCreated is the property that keeps an object's time of creation, microseconds.
const propCreated = "created"

// propPath is the property that keeps the schemas that an object's names were looked up in, where they are not the usual ones.
const propPath = "search_path"

// load plans all live objects again from their text, in the order they were created.
func (s *Server) load() ([]job.Object, error) {
	list, err := s.meta.List()
	if err != nil {
		return nil, err
	}
	var waiting []meta.Object
	for _, m := range list {
		if m.Kind == kindAccess {
			if err := s.loadAccess(m); err != nil {
				return nil, fmt.Errorf("load the access of %s: %w", m.Name, err)
			}
			continue
		}
		if m.Dropped == 0 && m.Kind != kindSystem && m.Kind != kindSecret {
			waiting = append(waiting, m)
		}
	}
	objects := make([]job.Object, 0, len(waiting))
	// What was replaced under its own number may need what came after it: such objects wait for another round.
	for len(waiting) > 0 {
		var again []meta.Object
		var first error
		for _, m := range waiting {
			def, err := s.reload(m)
			if err != nil {
				again = append(again, m)
				if first == nil {
					first = fmt.Errorf("load %s %q: %w", m.Kind, m.Name, err)
				}
				continue
			}
			objects = append(objects, job.Object{Meta: m, Def: def})
		}
		if len(again) == len(waiting) {
			return nil, first
		}
		waiting = again
	}
	return objects, nil
}

// reload plans one object and puts it into the catalogue; it returns the engine's view of it.
func (s *Server) reload(m meta.Object) (any, error) {
	if m.Kind == kindRole {
		return nil, s.loadRole(m)
	}
	parsed, err := parse.Parse(m.SQL)
	if err != nil {
		return nil, err
	}
	var indexes []*parse.CreateIndex
	for _, p := range parsed[1:] {
		x, ok := p.Stmt.(*parse.CreateIndex)
		if !ok {
			return nil, fmt.Errorf("stored text has %d statements", len(parsed))
		}
		indexes = append(indexes, x)
	}
	created, err := strconv.ParseInt(m.Props[propCreated], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("stored creation time: %w", err)
	}
	env, at := s.env(), types.EventTime(created)
	env.Stored = true
	if env.SearchPath = defaultPath; m.Props[propPath] != "" {
		env.SearchPath = strings.Split(m.Props[propPath], ",")
	}
	var p planned
	switch st := parsed[0].Stmt.(type) {
	case *parse.CreateStream:
		if planner.IsTable(st) {
			p, err = s.planTable(env, st, m.ID, indexes...)
			break
		}
		st.Options = s.secrets.opened(st.Options, s.secrets.ofStream)
		p, err = s.planStream(env, st, m.ID, at)
	case *parse.CreateSequence:
		p, err = s.planSequence(st, m.ID, m.Props)
	case *parse.CreateIOC:
		p, err = s.loadIOC(env, st, m)
	case *parse.CreateFunction:
		if p, err = s.planFunction(env, st, m.ID); err == nil {
			err = s.loadFunction(env, p.fn, m.Props)
		}
	case *parse.CreateQuery:
		p, err = s.planQuery(env, st, m.ID, at)
	case *parse.CreateView:
		p, err = s.planView(env, st, m.ID)
	case *parse.CreateSchema:
		p = s.planSchema(st, m.ID)
	case *parse.CreateSink:
		p, err = s.loadSink(st, m.ID, at, m.Props)
	default:
		err = fmt.Errorf("stored text is a %T", st)
	}
	if err != nil {
		return nil, err
	}
	p.publish(s.cat)
	return p.def, s.loadProps(m)
}

// loadProps takes what is stored beside the text of an object that has been published.
func (s *Server) loadProps(m meta.Object) error {
	s.loadComments(m)
	if err := s.loadAccess(m); err != nil {
		return err
	}
	if m.Props[job.PropCorrected] != "" {
		s.corrected(m.ID)
	}
	switch state := catalog.State(m.Props[job.PropState]); state {
	case catalog.Deactivated, catalog.Paused, catalog.Throttled:
		s.setState(m.ID, state, m.Props[job.PropReason])
	}
	return nil
}

// changed notes in the catalogue that the engine took a query out of service, or brought it back.
func (s *Server) changed(id uint64, state, reason string) {
	s.setState(id, catalog.State(state), reason)
	if q, ok := s.cat.Snapshot().ByID(id).(*catalog.Query); ok && state == job.StateDeactivated {
		s.tellOwners(id, sqlerr.New("00000", "continuous query %q is deactivated: %s", q.Name, reason).
			WithHint("vigil.query_events tells more; RESUME CONTINUOUS QUERY %s brings it back.", q.Name))
	}
}

func (s *Server) setState(id uint64, state catalog.State, reason string) {
	s.setStateIn(s.cat, id, state, reason)
}

func (s *Server) setStateIn(cat *catalog.Catalog, id uint64, state catalog.State, reason string) {
	q, ok := cat.Snapshot().ByID(id).(*catalog.Query)
	if !ok {
		return
	}
	c := *q
	c.State, c.Reason = state, reason
	if err := cat.Replace(&c); err != nil {
		s.log.Error("note state", "query", q.Name, "error", err)
	}
}

// stream finds a stream by name.
func (s *Server) stream(name string) (*catalog.Stream, error) {
	if st, ok := s.cat.Snapshot().Named(name).(*catalog.Stream); ok {
		return st, nil
	}
	return nil, sqlerr.New(sqlerr.UndefinedTable, "stream %q does not exist", name).WithHint("SHOW STREAMS lists the streams.")
}

// query finds a continuous query by name.
func (s *Server) query(name string) (*catalog.Query, error) {
	if q, ok := s.cat.Snapshot().Named(name).(*catalog.Query); ok {
		return q, nil
	}
	return nil, noQuery(name)
}

func noQuery(name string) error {
	return sqlerr.New(sqlerr.UndefinedTable, "continuous query %q does not exist", name).
		WithHint("SHOW CONTINUOUS QUERIES lists the queries.")
}
