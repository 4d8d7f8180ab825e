package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/storage/meta"
)

// planned is a new object: the engine's view of it, and what puts it into the catalogue once it is in effect.
type planned struct {
	def     any
	publish func(*catalog.Catalog)
	// sql is the object's text where it is not that of the statement; also are objects that come with it.
	sql  string
	also []job.Object
	// fn is the object, if it is a function.
	fn *catalog.Function
}

// relation publishes a relation, in the place of one of its name if there is one.
func (s *Server) relation(def any, r catalog.Relation) planned {
	return planned{def: def, publish: func(cat *catalog.Catalog) {
		if err := cat.Replace(r); err != nil {
			s.log.Error("publish", "relation", r.RelName(), "error", err)
		}
	}}
}

func (s *Server) planStream(env *planner.Env, st *parse.CreateStream, id uint64, created types.EventTime) (planned, error) {
	c, err := planner.Stream(env, st, id)
	if err != nil {
		return planned{}, err
	}
	if c.SQL, err = s.streamSQL(st); err != nil {
		return planned{}, err
	}
	c.Created, c.Name, c.Namespace = created, display(st.Name), catalog.NamespaceOf(st.Name.Schema)
	p := s.relation(&c.Stream, c)
	p.sql = c.SQL
	return p, nil
}

func (s *Server) planIOC(env *planner.Env, st *parse.CreateIOC, id uint64) (planned, error) {
	c, err := iocList(env, st, id)
	if err != nil {
		return planned{}, err
	}
	return s.relation(&c.IOCList, c), nil
}

func (s *Server) planFunction(env *planner.Env, st *parse.CreateFunction, id uint64) (planned, error) {
	c, err := planner.Function(env, st, id)
	if err != nil {
		return planned{}, err
	}
	c.SQL, c.State = parse.Print(st), catalog.Running
	return planned{def: &c.Function, publish: func(cat *catalog.Catalog) { cat.PutFunction(c) }, fn: c}, nil
}

func (s *Server) planQuery(env *planner.Env, st *parse.CreateQuery, id uint64, created types.EventTime) (planned, error) {
	c, err := planner.Continuous(env, st, id)
	if err != nil {
		return planned{}, err
	}
	c.Created, c.SQL, c.State = created, parse.Print(st), catalog.Running
	c.Name, c.Namespace = display(st.Name), catalog.NamespaceOf(st.Name.Schema)
	p := s.relation(&c.Query, c)
	publish := p.publish
	p.publish = func(cat *catalog.Catalog) {
		publish(cat)
		if cat != s.cat { // an open block's own: nobody listens to it
			return
		}
		for _, l := range s.hub.listening(c.Name) {
			l.attach(c.Name)
		}
	}
	return p, nil
}

func (s *Server) planView(env *planner.Env, st *parse.CreateView, id uint64) (planned, error) {
	v, err := planner.View(env, st, id)
	if err != nil {
		return planned{}, err
	}
	for _, t := range v.Tables {
		if t >= tempIDs {
			return planned{}, sqlerr.NotSupported("a view over a temporary table", "The view lives longer than the table: use CREATE TABLE.").At(st.Name.Pos)
		}
	}
	v.Name, v.Namespace = display(st.Name), catalog.NamespaceOf(st.Name.Schema)
	return s.relation(nil, v), nil
}

// display is a name as users see it.
func display(n parse.Name) string { return catalog.Display(n.Schema, n.Name) }

// creation is one CREATE under way: what is common to all kinds. The name has its schema, "" for public.
type creation struct {
	kind        string
	name        parse.Name
	path        []string // where the names in it are looked up; nil: the usual schemas
	ifNotExists bool
	replace     bool
	sql         string
	props       map[string]string
	// planIn is plan for objects that come with others.
	planIn func(sc *scope, env *planner.Env, id uint64, created types.EventTime) (planned, error)
	plan   func(env *planner.Env, id uint64, created types.EventTime) (planned, error)
}

// scope is where statements that change the catalogue take effect: at once, for all, or in an open transaction block.
type scope struct {
	*Server
	// cat is the catalogue that the statement sees and changes.
	cat   *catalog.Catalog
	block *block // nil: at once
	// by is the connection whose statement it is.
	by *Session
}

// scope gives the connection's scope to fn. Outside of transaction blocks nobody else changes the catalogue meanwhile.
func (s *Session) scope(fn func(sc *scope) error) error {
	if err := s.writable("change the catalogue"); err != nil {
		return err
	}
	if b := s.changes(); b != nil {
		return fn(&scope{Server: s.srv, cat: b.fork(s.srv.cat.Snapshot()), block: b, by: s})
	}
	s.srv.ddl.Lock()
	defer s.srv.ddl.Unlock()
	return fn(&scope{Server: s.srv, cat: s.srv.cat, by: s})
}

// env is what statements of the scope are planned against.
func (s *scope) env() *planner.Env {
	env := s.Server.env()
	env.Catalog, env.Permit = s.cat, permit{s.by}
	return env
}

// apply makes a step take effect, or part of the block.
func (s *scope) apply(ctx context.Context, st step) error {
	if s.block != nil {
		if err := s.eng.Check(st.change); err != nil {
			return err
		}
		s.block.steps = append(s.block.steps, st)
		st.publish(s.cat)
		return nil
	}
	if err := s.eng.Apply(ctx, st.change); err != nil {
		return err
	}
	st.publish(s.cat)
	if st.done != nil {
		st.done()
	}
	s.syncSinks()
	s.syncIntakes()
	s.syncReceivers()
	return nil
}

// create runs a CREATE: it plans, applies and publishes; on failure the catalogue is as before.
func (s *scope) create(ctx context.Context, c creation, out pgwire.Output) error {
	old := s.lookup(c.kind, c.name)
	if old != nil && c.ifNotExists {
		out.Notice(notice(sqlerr.DuplicateTable, "relation %q already exists, skipping", c.name.Name))
		return nil
	}
	if c.kind != kindFunction && old == nil {
		if t, _ := s.cat.Snapshot().Indexed(c.name.Schema, c.name.Name); t != nil {
			return s.duplicate(c)
		}
	}
	if old != nil && !(c.replace && old.kind == c.kind) {
		return s.duplicate(c)
	}
	id, err := s.newID(c.kind, old)
	if err != nil {
		return err
	}
	created := s.clock()
	env := s.env()
	env.SearchPath = c.path
	if c.planIn != nil {
		c.plan = func(env *planner.Env, id uint64, created types.EventTime) (planned, error) {
			return c.planIn(s, env, id, created)
		}
	}
	p, err := c.plan(env, id, created)
	if err != nil {
		return err
	}
	o := job.Object{Def: p.def, Meta: meta.Object{Kind: c.kind, ID: id, Name: display(c.name), SQL: c.sql,
		Props: map[string]string{propCreated: fmt.Sprint(int64(created))}}}
	if !slices.Equal(c.path, defaultPath) {
		o.Meta.Props[propPath] = strings.Join(c.path, ",")
	}
	access, err := s.withAccess(&o, old)
	if err != nil {
		return err
	}
	maps.Copy(o.Meta.Props, c.props)
	if p.sql != "" {
		o.Meta.SQL = p.sql
	}
	change := job.Change{Create: append(p.also, o)}
	publish := chain(access, p.publish) // who listens to a query is asked for the right to when it is there
	if old != nil {
		if err := s.own(old.kind, old.object.Meta.ID, old.object.Meta.Name); err != nil {
			return err
		}
		if err := s.replaceable(old, c.kind, p.publish); err != nil {
			return err
		}
		comments := s.keepComments(&change.Create[len(change.Create)-1], old)
		publish = chain(publish, comments)
	}
	if old != nil && c.kind == kindQuery {
		change.Drop = []job.Object{old.object}
		if publish, err = s.followReplaced(old.object.Meta.ID, publish, &change, out); err != nil {
			return err
		}
	}
	if err := s.apply(ctx, step{change: change, publish: publish}); err != nil {
		return err
	}
	if q, ok := p.def.(*spec.Query); ok && q.Start != nil {
		out.Notice(s.historyNotice(q))
	}
	return s.draft(p.def, old == nil)
}

// draft makes a new object usable in its own block. A function that replaces another does so at COMMIT.
func (s *scope) draft(def any, isNew bool) error {
	if s.block == nil {
		return nil
	}
	switch d := def.(type) {
	case *spec.Table:
		s.block.top().Create(d.ID, &d.Schema, d.Key)
	case *spec.Function:
		if s.udf == nil || !isNew {
			return nil
		}
		s.block.undo = append(s.block.undo, func() { s.udf.Remove(d.ID) })
		return s.udf.Define(d)
	}
	return nil
}

// replaceable refuses to replace a query that other queries read, for they go on from its result, and a view that a query
// reads: its plan would be another after a restart.
func (s *scope) replaceable(old *existing, kind string, publish func(*catalog.Catalog)) error {
	if kind == kindFunction {
		return s.sameSignature(old, publish)
	}
	if kind == kindView {
		if err := s.sameColumns(old, publish); err != nil {
			return err
		}
		for _, q := range s.cat.Snapshot().Queries() {
			if reads(q, kindView, old.object.Meta.ID, "") {
				return sqlerr.New(sqlerr.DependentObjectsExist, "cannot replace view %s because other objects depend on it", old.object.Meta.Name).
					WithDetail("continuous query %s depends on view %s", q.Name, old.object.Meta.Name).
					WithHint("Create it under another name, or drop what reads it first.")
			}
		}
	}
	if old.kind != kindQuery || !s.cat.Snapshot().HasReaders(old.object.Meta.ID, "") {
		return nil
	}
	for _, q := range s.cat.Snapshot().Queries() {
		if reads(q, kindQuery, old.object.Meta.ID, "") {
			return sqlerr.New(sqlerr.DependentObjectsExist, "cannot replace continuous query %s because other objects depend on it", old.object.Meta.Name).
				WithDetail("continuous query %s depends on continuous query %s", q.Name, old.object.Meta.Name).
				WithHint("Create it under another name, or drop what reads it first.")
		}
	}
	return nil
}

// sameColumns compares a view with the one it replaces: what reads it goes on.
func (s *scope) sameColumns(old *existing, publish func(*catalog.Catalog)) error {
	before, ok := s.cat.Snapshot().ByID(old.object.Meta.ID).(*catalog.View)
	trial := catalog.Fork(s.cat.Snapshot())
	publish(trial)
	after, ok2 := trial.Snapshot().ByID(old.object.Meta.ID).(*catalog.View)
	if !ok || !ok2 {
		return nil
	}
	for i, c := range before.Schema.Cols {
		if i >= len(after.Schema.Cols) {
			return sqlerr.New(sqlerr.InvalidTableDefinition, "cannot drop columns from view")
		}
		n := after.Schema.Cols[i]
		if n.Name != c.Name {
			return sqlerr.New(sqlerr.InvalidTableDefinition, "cannot change name of view column %q to %q", c.Name, n.Name)
		}
		if n.Type != c.Type {
			return sqlerr.New(sqlerr.InvalidTableDefinition, "cannot change data type of view column %q from %s to %s", c.Name, c.Type, n.Type)
		}
	}
	return nil
}

// newID gives a new object its id; a function or view that is replaced keeps its own, so that what uses it goes on.
func (s *scope) newID(kind string, old *existing) (uint64, error) {
	if old != nil && (kind == kindFunction || kind == kindView) {
		return old.object.Meta.ID, nil
	}
	return s.eng.NextID()
}

func (s *scope) duplicate(c creation) error {
	if c.kind == kindFunction {
		return sqlerr.New(sqlerr.DuplicateFunction, "function %q already exists with same argument types", c.name.Name).
			WithHint("CREATE OR REPLACE FUNCTION replaces it.")
	}
	err := sqlerr.New(sqlerr.DuplicateTable, "relation %q already exists", c.name.Name)
	if c.kind == kindQuery {
		err = err.WithHint("CREATE OR REPLACE CONTINUOUS QUERY replaces a query.")
	}
	return err
}

// existing is an object that is there already.
type existing struct {
	kind   string
	object job.Object
	remove func(*catalog.Catalog)
}

// lookup finds what a name, with its schema, stands for; functions have a name space of their own.
func (s *scope) lookup(kind string, name parse.Name) *existing {
	if kind == kindFunction {
		if f := s.cat.Function(name.Name); f != nil {
			return &existing{kindFunction, object(kindFunction, f.ID, f.Name, f.SQL, &f.Function), func(cat *catalog.Catalog) { cat.RemoveFunction(name.Name) }}
		}
		return nil
	}
	schema := name.Schema
	if schema == "" {
		schema = catalog.Public
	}
	return s.existing(s.cat.Relation(schema, name.Name))
}

// existing is a relation of users as an object; nil for others.
func (s *scope) existing(r catalog.Relation) *existing {
	if r == nil {
		return nil
	}
	schema, name := r.RelNamespace(), r.RelName()
	remove := func(cat *catalog.Catalog) { cat.Remove(schema, name) }
	switch r := r.(type) {
	case *catalog.Stream:
		return &existing{kindStream, object(kindStream, r.ID, r.Name, r.SQL, &r.Stream), remove}
	case *catalog.Query:
		return &existing{kindQuery, object(kindQuery, r.ID, r.Name, r.SQL, &r.Query), remove}
	case *catalog.Table:
		return &existing{kindTable, object(kindTable, r.ID, r.Name, tableText(r), &r.Table), remove}
	case *catalog.Sequence:
		return &existing{kindSequence, object(kindSequence, r.ID, r.Name, r.SQL, &r.SequenceDef), remove}
	case *catalog.IOCList:
		return &existing{kindIOC, object(kindIOC, r.ID, r.Name, r.SQL, &r.IOCList), remove}
	case *catalog.View:
		return &existing{kindView, object(kindView, r.ID, r.Name, r.SQL, nil), remove}
	case *catalog.Sink:
		return &existing{kindSink, object(kindSink, r.ID, r.Name, r.SQL, nil), remove}
	}
	return nil
}

func object(kind string, id uint64, name, sql string, def any) job.Object {
	return job.Object{Meta: meta.Object{Kind: kind, ID: id, Name: name, SQL: sql}, Def: def}
}

// dropKinds maps what follows DROP to the kinds of objects.
var dropKinds = map[string]string{"STREAM": kindStream, "TABLE": kindTable, "CONTINUOUS QUERY": kindQuery,
	"IOC LIST": kindIOC, "FUNCTION": kindFunction, "SEQUENCE": kindSequence, "VIEW": kindView, "SCHEMA": kindSchema, "SINK": kindSink}

// drop runs DROP kind names [CASCADE], all or nothing.
func (s *scope) drop(ctx context.Context, st *parse.Drop, out pgwire.Output) error {
	kind, ok := dropKinds[st.Kind]
	if !ok {
		return sqlerr.NotSupported("DROP "+st.Kind, "vigil has no such objects yet.")
	}
	if kind == kindSchema {
		return s.dropSchemas(ctx, st, out)
	}
	var victims []*existing
	for _, name := range st.Names {
		e := s.lookup(kind, name)
		switch {
		case e == nil && st.IfExists:
			out.Notice(notice(missingCode(kind), "%s %q does not exist, skipping", kindWords[kind], name.Name))
			continue
		case e == nil && kind == kindTable && s.isIndex(name):
			return sqlerr.New(sqlerr.WrongObjectType, "%q is not a table", name.Name).WithHint("Use DROP INDEX to remove an index.")
		case e == nil:
			return sqlerr.New(missingCode(kind), "%s %q does not exist", kindWords[kind], name.Name).At(name.Pos)
		case e.kind == kindStream && kind == kindTable: // CREATE TABLE .. WITH (connector ..) made it
		case e.kind != kind:
			return sqlerr.New(sqlerr.WrongObjectType, "%q is not a %s", name.Name, kindWords[kind]).At(name.Pos).
				WithHint("Use DROP %s to remove it.", strings.ToUpper(kindWords[e.kind]))
		}
		if err := s.own(e.kind, e.object.Meta.ID, e.object.Meta.Name); err != nil {
			return err
		}
		victims = append(victims, e)
	}
	victims, err := s.withDependents(victims, st.Cascade, out)
	if err != nil || len(victims) == 0 {
		return err
	}
	return s.remove(ctx, victims)
}

func (s *scope) isIndex(name parse.Name) bool {
	t, _ := s.cat.Snapshot().Indexed(name.Schema, name.Name)
	return t != nil
}

// remove drops objects together.
func (s *scope) remove(ctx context.Context, victims []*existing) error {
	st := step{publish: func(cat *catalog.Catalog) {
		for _, v := range victims {
			v.remove(cat)
		}
	}, done: func() {
		for _, v := range victims {
			if f, ok := v.object.Def.(*spec.Function); ok && s.udf != nil {
				s.udf.Remove(f.ID)
			}
		}
	}}
	for _, v := range victims {
		st.change.Drop = append(st.change.Drop, v.object)
	}
	return s.apply(ctx, st)
}

// missingCode is the SQLSTATE of a name that stands for nothing.
func missingCode(kind string) sqlerr.Code {
	switch kind {
	case kindFunction:
		return sqlerr.UndefinedFunction
	case kindSink:
		return sqlerr.UndefinedObject
	}
	return sqlerr.UndefinedTable
}

// kindWords are the kinds as users read them.
var kindWords = map[string]string{kindStream: "stream", kindQuery: "continuous query", kindIOC: "IOC list", kindFunction: "function",
	kindTable: "table", kindSequence: "sequence", kindView: "view", kindSchema: "schema", kindRole: "role",
	kindSink: "sink"}

// withDependents adds the queries, views and sinks that read the victims, or refuses.
func (s *scope) withDependents(victims []*existing, cascade bool, out pgwire.Output) ([]*existing, error) {
	going := map[uint64]bool{}
	for _, v := range victims {
		going[v.object.Meta.ID] = true
	}
	for at := 0; at < len(victims); at++ { // it grows on the way
		v := victims[at]
		m := v.object.Meta
		if err := s.sequenceUsers(v, going); err != nil {
			return nil, err
		}
		for _, q := range s.cat.Snapshot().OwnedBy(m.ID) {
			if !going[q.ID] {
				going[q.ID] = true
				victims = append(victims, s.existing(q))
			}
		}
		if !read(s.cat.Snapshot(), v.object) {
			continue
		}
		for _, r := range s.cat.Snapshot().Relations() {
			if going[r.RelID()] || !reads(r, v.kind, m.ID, m.Name) {
				continue
			}
			e := s.existing(r)
			reader := kindWords[e.kind] + " " + e.object.Meta.Name
			if !cascade {
				what := kindWords[v.kind] + " " + m.Name
				return nil, sqlerr.New(sqlerr.DependentObjectsExist, "cannot drop %s because other objects depend on it", what).
					WithDetail("%s depends on %s", reader, what).
					WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
			}
			out.Notice(notice(sqlerr.Warning, "drop cascades to %s", reader))
			going[r.RelID()] = true
			victims = append(victims, e)
		}
	}
	return victims, nil
}

// uses is what a query, view or sink uses.
type uses struct {
	streams, queries, tables, views, functions []uint64
	lists                                      []string
}

func usesOf(r catalog.Relation) (uses, bool) {
	switch r := r.(type) {
	case *catalog.Query:
		return uses{r.Streams, r.Queries, r.Tables, r.Views, r.Functions, r.Lists}, true
	case *catalog.View:
		return uses{r.Streams, r.Queries, r.Tables, r.Views, r.Functions, r.Lists}, true
	case *catalog.Sink:
		return uses{queries: []uint64{r.Query}}, true
	}
	return uses{}, false
}

// read tells whether any query or view uses an object.
func read(snap *catalog.Snapshot, o job.Object) bool {
	list := ""
	if o.Meta.Kind == kindIOC {
		list = o.Meta.Name
	}
	return snap.HasReaders(o.Meta.ID, list)
}

// reads tells whether a query or view uses an object.
func reads(r catalog.Relation, kind string, id uint64, name string) bool {
	d, _ := usesOf(r)
	switch kind {
	case kindStream:
		return slices.Contains(d.streams, id)
	case kindTable:
		return slices.Contains(d.tables, id)
	case kindQuery:
		return slices.Contains(d.queries, id)
	case kindView:
		return slices.Contains(d.views, id)
	case kindIOC:
		return slices.Contains(d.lists, name)
	case kindFunction:
		return slices.Contains(d.functions, id)
	}
	return false
}

// notice makes a NOTICE.
func notice(code sqlerr.Code, format string, args ...any) pgwire.Notice {
	return pgwire.Notice{Severity: "NOTICE", Err: sqlerr.New(code, format, args...)}
}
