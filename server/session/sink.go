package session

import (
	"context"
	"slices"
	"strconv"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sink"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// propStart is the property that keeps the offset of the first row that a sink wants.
const propStart = "start"

// createSink is CREATE SINK.
func (s *Session) createSink(st *parse.CreateSink) (doFunc, error) {
	if !s.superuser() {
		return nil, denied("permission denied to create a sink").WithHint("Only superusers can: sinks open files and networks as the server.")
	}
	if err := notSealed(st.Options); err != nil {
		return nil, err
	}
	return s.createDo("CREATE SINK", st.Name, func(n parse.Name) creation {
		x := *st
		x.Name, x.IfNotExists = n, false
		x.Query = s.resolve(st.Query)
		x.Query.Schema = string(catalog.NamespaceOf(x.Query.Schema))
		props := map[string]string{}
		return creation{kind: kindSink, ifNotExists: st.IfNotExists, sql: parse.Print(&x), props: props,
			planIn: func(sc *scope, _ *planner.Env, id uint64, at types.EventTime) (planned, error) {
				q, err := sc.sinkQuery(x.Query)
				if err != nil {
					return planned{}, err
				}
				if err := s.allow(q, catalog.Select); err != nil {
					return planned{}, err
				}
				k := &catalog.Sink{Def: &x, Created: at, Start: sc.sinkStart(q, x.Options)}
				props[propStart] = strconv.FormatInt(k.Start, 10)
				if err := sc.newSink(k, q, id); err != nil {
					return planned{}, err
				}
				p := sc.relation(nil, k)
				p.sql = k.SQL
				return p, sc.probeSink(k, q)
			}}
	})
}

// sinkQuery finds the continuous query that a sink reads.
func (s *scope) sinkQuery(n parse.Name) (*catalog.Query, error) {
	switch r := s.cat.Relation(cmpSchema(n.Schema), n.Name).(type) {
	case *catalog.Query:
		return r, nil
	case nil:
		return nil, sqlerr.As(noQuery(display(n))).At(n.Pos)
	default:
		return nil, sqlerr.New(sqlerr.WrongObjectType, "%q is not a continuous query", n.Name).At(n.Pos).
			WithHint("A sink carries the result of a continuous query: CREATE CONTINUOUS QUERY over it first.")
	}
}

func cmpSchema(schema string) string {
	if schema == "" {
		return catalog.Public
	}
	return schema
}

// sinkStart is the offset of the first row that a new sink wants: of rows that are gone by now none is missed.
func (s *Server) sinkStart(q *catalog.Query, options []parse.Option) int64 {
	for _, o := range options {
		if o.Key == "start" && o.Value == "now" {
			return s.eng.Results().Next(q.ID)
		}
	}
	return s.eng.Results().Oldest(q.ID)
}

// newSink fills in what a sink's text says, and checks it.
func (s *Server) newSink(k *catalog.Sink, q *catalog.Query, id uint64) error {
	k.ID, k.Query, k.State = id, q.ID, catalog.Running
	k.Name, k.Namespace = display(k.Def.Name), catalog.NamespaceOf(k.Def.Name.Schema)
	spec, err := sinkSpec(k, q)
	if err != nil {
		return err
	}
	if k.SQL, err = s.sinkSQL(k.Def); err != nil {
		return err
	}
	return s.sinks.Check(spec)
}

// sinkSpec is a sink as those who run it know it.
func sinkSpec(k *catalog.Sink, q *catalog.Query) (*sink.Spec, error) {
	spec := &sink.Spec{ID: k.ID, Name: k.Name, Query: q.ID, QueryName: q.Name, Format: k.Def.Format, Columns: q.Schema.Cols, Updates: q.Updates,
		Severity: sink.SeverityOf(q.Options["severity"]), Start: k.Start, Paused: k.State == catalog.Paused}
	var err error
	if spec.Options, err = optionMap(k.Def.Options); err != nil {
		return nil, err
	}
	spec.Connector = spec.Options["connector"]
	delete(spec.Options, "connector")
	spec.FormatOptions, err = optionMap(k.Def.FormatOptions)
	return spec, err
}

func optionMap(list []parse.Option) (map[string]string, error) {
	out := map[string]string{}
	for _, o := range list {
		if _, twice := out[o.Key]; twice {
			return nil, sqlerr.New(sqlerr.SyntaxError, "option %q is given twice", o.Key).At(o.Pos)
		}
		out[o.Key] = o.Value
		if o.Bare {
			out[o.Key] = "true"
		}
	}
	return out, nil
}

// probeSink looks at the target of a new sink, or of one that gets another target.
func (s *scope) probeSink(k *catalog.Sink, q *catalog.Query) error {
	spec, err := sinkSpec(k, q)
	if err != nil {
		return err
	}
	target, exclusive := s.sinks.Target(spec)
	if exclusive {
		if inside, err := s.eng.InDirectory(target); err != nil || inside {
			return sqlerr.New(sqlerr.InvalidParameterValue, "%q lies in the data directory", target).WithHint("Choose a directory elsewhere.")
		}
		for _, other := range s.cat.Snapshot().Sinks() {
			if theirs, err := sinkSpec(other, q); err == nil && other.ID != k.ID && theirs.Connector == spec.Connector {
				if t, _ := s.sinks.Target(theirs); t == target {
					return sqlerr.New(sqlerr.ObjectInUse, "sink %q writes to %q", other.Name, target).WithHint("Choose another target.")
				}
			}
		}
	}
	return s.sinks.Probe(spec)
}

// loadSink plans a sink that was stored.
func (s *Server) loadSink(st *parse.CreateSink, id uint64, created types.EventTime, props map[string]string) (planned, error) {
	q, ok := s.cat.Relation(cmpSchema(st.Query.Schema), st.Query.Name).(*catalog.Query)
	if !ok {
		return planned{}, noQuery(display(st.Query))
	}
	text, err := s.sinkSQL(st)
	if err != nil {
		return planned{}, err
	}
	st.Options = s.secrets.opened(st.Options, s.secrets.ofSink)
	k := &catalog.Sink{ID: id, Def: st, Created: created, Query: q.ID, State: catalog.Running, SQL: text,
		Name: display(st.Name), Namespace: catalog.NamespaceOf(st.Name.Schema)}
	if props[job.PropState] == job.StatePaused {
		k.State = catalog.Paused
	}
	if k.Start, err = strconv.ParseInt(props[propStart], 10, 64); err != nil {
		return planned{}, err
	}
	return s.relation(nil, k), nil // what is wrong with its options by now, it says itself
}

// syncSinks runs the sinks of the catalogue, and no others. The caller holds the DDL lock, or is the start.
func (s *Server) syncSinks() {
	snap := s.cat.Snapshot()
	list := snap.Sinks()
	if len(list) == 0 && len(s.running) == 0 {
		return
	}
	now := make(map[uint64]*catalog.Sink, len(list))
	for _, k := range list {
		now[k.ID] = k
		if s.running[k.ID] == k {
			continue
		}
		q, ok := snap.ByID(k.Query).(*catalog.Query)
		if !ok {
			continue // the catalogue does not allow it
		}
		if spec, err := sinkSpec(k, q); err == nil {
			s.sinks.Start(*spec)
		}
	}
	for id := range s.running {
		if now[id] == nil {
			s.sinks.Drop(id)
		}
	}
	s.running = now
}

// missedRows puts it on record that rows were removed before a sink delivered them.
func (s *Server) missedRows(spec *sink.Spec, reason string) error {
	return s.eng.Apply(context.Background(), job.Change{Events: []job.Event{missedEvent(spec.Query, spec.QueryName, spec.Name, reason)}})
}

func missedEvent(query uint64, name, sink, reason string) job.Event {
	return job.Event{Query: query, Name: name, What: "sink missed rows", Reason: reason, Detail: "sink " + sink}
}

// followReplaced lets the sinks of a query that is replaced go on with the new one, from its first row.
func (s *scope) followReplaced(old uint64, publish func(*catalog.Catalog), change *job.Change, out pgwire.Output) (func(*catalog.Catalog), error) {
	if !s.cat.Snapshot().HasReaders(old, "") {
		return publish, nil
	}
	trial := catalog.Fork(s.cat.Snapshot())
	publish(trial)
	for _, k := range s.cat.Snapshot().Sinks() {
		if k.Query != old {
			continue
		}
		q, ok := trial.Relation(cmpSchema(k.Def.Query.Schema), k.Def.Query.Name).(*catalog.Query)
		if !ok {
			return nil, noQuery(display(k.Def.Query))
		}
		next := *k
		next.Start = 0
		state := next.State
		if err := s.newSink(&next, q, k.ID); err != nil {
			return nil, sqlerr.New(sqlerr.DependentObjectsExist, "cannot replace continuous query %s because sink %s cannot follow", q.Name, k.Name).
				WithDetail("%v", err).WithHint("Drop the sink first, or change it with ALTER SINK.")
		}
		next.State = state
		if st, ok := s.sinks.Status(k.ID); ok && st.Lag > 0 {
			text := strconv.FormatInt(st.Lag, 10) + " rows of query \"" + q.Name + "\" had not been delivered by sink \"" + k.Name + "\" when it was replaced"
			out.Notice(notice(sqlerr.Warning, "%s", text))
			change.Events = append(change.Events, missedEvent(old, q.Name, k.Name, text))
		}
		change.Props = append(change.Props, job.PropChange{ID: k.ID, Set: map[string]string{propStart: "0"}})
		publish = chain(publish, putting(&next))
	}
	return publish, nil
}

// renamedSinks are the sinks of a query with another name, with texts that name it so.
func (s *scope) renamedSinks(query uint64, name string, st *step) (list []catalog.Relation, err error) {
	for _, k := range s.cat.Snapshot().Sinks() {
		if k.Query != query {
			continue
		}
		next, def := *k, *k.Def
		def.Query.Name = name
		next.Def = &def
		if next.SQL, err = s.sinkSQL(&def); err != nil {
			return nil, err
		}
		list = append(list, &next)
		st.change.Alter = append(st.change.Alter, object(kindSink, k.ID, k.Name, next.SQL, nil))
	}
	return list, nil
}

// alterSink runs ALTER SINK, PAUSE SINK and RESUME SINK.
func (s *scope) alterSink(ctx context.Context, name parse.Name, st *parse.AlterSink) error {
	k, err := s.sinkNamed(name, st.Name.Pos)
	if err != nil {
		return err
	}
	if err := s.own(kindSink, k.ID, k.Name); err != nil {
		return err
	}
	next := *k
	switch {
	case st.Pause && k.State == catalog.Paused, st.Resume && k.State != catalog.Paused:
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "sink %q is %s", k.Name, k.State)
	case st.Pause, st.Resume:
		set := map[string]string{job.PropState: ""}
		if next.State = catalog.Running; st.Pause {
			next.State, set[job.PropState] = catalog.Paused, job.StatePaused
		}
		return s.apply(ctx, step{change: job.Change{Props: []job.PropChange{{ID: k.ID, Set: set}}}, publish: putting(&next)})
	case st.Rename != "":
		if s.cat.Snapshot().Taken(k.RelNamespace())(st.Rename) {
			return sqlerr.New(sqlerr.DuplicateTable, "relation %q already exists", st.Rename)
		}
		def := *k.Def
		def.Name = parse.Name{Schema: string(k.Namespace), Name: st.Rename}
		next.Def, next.Name = &def, display(def.Name)
		if next.SQL, err = s.sinkSQL(&def); err != nil {
			return err
		}
	default:
		if err := s.setSinkOptions(&next, st.Set); err != nil {
			return err
		}
	}
	return s.apply(ctx, step{change: job.Change{Alter: []job.Object{object(kindSink, k.ID, next.Name, next.SQL, nil)}}, publish: putting(&next)})
}

// setSinkOptions gives a sink other options.
func (s *scope) setSinkOptions(k *catalog.Sink, set []parse.Option) error {
	if err := notSealed(set); err != nil {
		return err
	}
	def, state := *k.Def, k.State
	def.Options = slices.Clone(def.Options)
	for _, o := range set {
		if o.Key == "connector" || o.Key == "start" {
			return sqlerr.NotSupported("option \""+o.Key+"\" in ALTER SINK", "Drop the sink and create it again.").At(o.Pos)
		}
		o.Pos = 0
		def.Options = slices.DeleteFunc(def.Options, func(x parse.Option) bool { return x.Key == o.Key })
		def.Options = append(def.Options, o)
	}
	q, ok := s.cat.Snapshot().ByID(k.Query).(*catalog.Query)
	if !ok {
		return noQuery(display(k.Def.Query))
	}
	before, err := sinkSpec(k, q)
	if err != nil {
		return err
	}
	k.Def = &def
	if err := s.newSink(k, q, k.ID); err != nil {
		return err
	}
	k.State = state
	after, err := sinkSpec(k, q)
	if err != nil {
		return err
	}
	was, _ := s.sinks.Target(before)
	if is, _ := s.sinks.Target(after); is == was {
		return nil
	}
	return s.probeSink(k, q)
}

func (s *scope) sinkNamed(name parse.Name, pos int) (*catalog.Sink, error) {
	switch r := s.cat.Relation(cmpSchema(name.Schema), name.Name).(type) {
	case *catalog.Sink:
		return r, nil
	case nil:
		return nil, sqlerr.New(sqlerr.UndefinedObject, "sink %q does not exist", name.Name).At(pos).WithHint("SHOW SINKS lists the sinks.")
	default:
		return nil, sqlerr.New(sqlerr.WrongObjectType, "%q is not a sink", name.Name).At(pos)
	}
}

// SinkStatus is how a sink is doing, for the metrics.
func (s *Server) SinkStatus(id uint64) (sink.Status, bool) { return s.sinks.Status(id) }

// sinkRows are the rows of vigil.sinks.
func (s *Server) sinkRows(add func([]types.Value) error) error {
	snap := s.cat.Snapshot()
	when := func(micros int64) types.Value {
		if micros == 0 {
			return types.Null(types.T(types.TimestampTZ))
		}
		return at(micros)
	}
	for _, k := range snap.Sinks() {
		q, ok := snap.ByID(k.Query).(*catalog.Query)
		if !ok {
			continue
		}
		st, _ := s.sinks.Status(k.ID)
		options, err := optionMap(k.Def.Options)
		if err != nil {
			return err
		}
		cursor := strconv.FormatUint(q.ID, 10) + ":" + strconv.FormatInt(st.Next, 10)
		if err := add([]types.Value{text(k.Name), text(q.Name), text(options["connector"]), textOrNull(st.Target), text(st.State), text(cursor), big(st.Next),
			big(st.Lag), big(st.Rows), big(st.Dead), big(st.Missed), textOrNull(st.LastError), when(st.ErrorAt), when(st.Since),
			at(int64(k.Created)), textOrNull(snap.Comments(k.ID)[0])}); err != nil {
			return err
		}
	}
	return nil
}

// deadRows are the rows of vigil.sink_dead_letters.
func (s *Server) deadRows(add func([]types.Value) error) error {
	names := map[uint64]string{}
	for _, k := range s.cat.Snapshot().Sinks() {
		names[k.ID] = k.Name
	}
	return s.meta.Dead.Scan(0, func(_ uint64, data []byte) (bool, error) {
		d, err := sink.DecodeDead(data)
		if err != nil {
			return false, err
		}
		return true, add([]types.Value{at(d.At), textOrNull(names[d.Sink]), text(d.ID), text(d.Code), text(d.Reason), text(printable(d.Body))})
	})
}

// liveSinks tells which sinks there are.
func (s *Server) liveSinks() func(id uint64) bool {
	alive := map[uint64]bool{}
	for _, k := range s.cat.Snapshot().Sinks() {
		alive[k.ID] = true
	}
	return func(id uint64) bool { return alive[id] }
}
