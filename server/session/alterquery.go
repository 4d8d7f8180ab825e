package session

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

func itoa64(n int64) string { return strconv.FormatInt(n, 10) }

// pause runs PAUSE and RESUME. A query that is resumed begins with fresh state, from now on.
func (s *scope) pause(ctx context.Context, name parse.Name, resume bool, out pgwire.Output) error {
	q, ok := s.cat.Snapshot().Named(display(name)).(*catalog.Query)
	if !ok {
		return noQuery(display(name))
	}
	if err := s.own(kindQuery, q.ID, q.Name); err != nil {
		return err
	}
	o, to := object(kindQuery, q.ID, q.Name, q.SQL, &q.Query), catalog.Running
	var ch job.Change
	switch {
	case resume && q.State == catalog.Running:
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "continuous query %q is running", q.Name)
	case resume:
		ch.Resume = []job.Object{o}
		if err := s.rearm(q, &ch, out); err != nil {
			return err
		}
		out.Notice(notice("00000", "continuous query %q goes on with fresh state, from now on", q.Name))
	case q.State != catalog.Running && q.State != catalog.Throttled:
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "continuous query %q is %s", q.Name, q.State)
	default:
		ch.Pause, to = []job.Object{o}, catalog.Paused
	}
	return s.apply(ctx, step{change: ch, publish: func(cat *catalog.Catalog) { s.setStateIn(cat, q.ID, to, "") }})
}

// alterQuery runs ALTER CONTINUOUS QUERY.
func (s *scope) alterQuery(ctx context.Context, name parse.Name, st *parse.AlterQuery, path []string, out pgwire.Output) error {
	q, ok := s.cat.Snapshot().Named(display(name)).(*catalog.Query)
	if !ok {
		return noQuery(display(name))
	}
	if err := s.own(kindQuery, q.ID, q.Name); err != nil {
		return err
	}
	if st.Rename != "" {
		change, err := s.renameQuery(q, st.Rename)
		if err != nil {
			return err
		}
		return s.apply(ctx, change)
	}
	list, err := parse.Parse(q.SQL)
	if err != nil {
		return err
	}
	def, ok := list[0].Stmt.(*parse.CreateQuery)
	if !ok {
		return fmt.Errorf("the text of query %s is a %T", q.Name, list[0].Stmt)
	}
	if st.As == nil {
		return s.setOptions(ctx, q, def, st)
	}
	def.Query, def.Emit, def.Suppress, def.OrReplace = st.As, st.Emit, st.Suppress, true
	why, err := s.goOn(ctx, q, def, path, out)
	if why == nil || err != nil {
		return err
	}
	err = s.create(ctx, creation{kind: kindQuery, name: def.Name, path: path, replace: true, sql: parse.Print(def),
		plan: func(env *planner.Env, id uint64, at types.EventTime) (planned, error) {
			return s.planQuery(env, def, id, at)
		}}, out)
	if err == nil {
		n := notice("00000", "the state and the results of continuous query %q begin anew: %s", q.Name, why.why)
		if why.detail != "" {
			n.Err = n.Err.WithDetail("%s", why.detail)
		}
		out.Notice(n)
	}
	return err
}

// anew is why a query begins anew under another text.
type anew struct{ why, detail string }

// goOn has a query go on under another text, with its state and results, where the two plans allow; else it tells why not.
func (s *scope) goOn(ctx context.Context, q *catalog.Query, def *parse.CreateQuery, path []string, out pgwire.Output) (*anew, error) {
	old := s.existing(q)
	if err := s.replaceable(old, kindQuery, nil); err != nil {
		return nil, err
	}
	env := s.env()
	env.SearchPath = path
	p, err := s.planQuery(env, def, q.ID, q.Created)
	if err != nil {
		return nil, err
	}
	st, running := s.eng.Query(q.ID)
	next := p.def.(*spec.Query)
	switch {
	case s.block != nil:
		return &anew{why: "in a transaction block it does"}, nil
	case !running || q.State != catalog.Running:
		return &anew{why: "it is not running"}, nil
	case st.Backfill != nil && !st.Backfill.Ended:
		return &anew{why: "it was reading history"}, nil
	case q.Corrected:
		return &anew{why: "late rows were replayed"}, nil
	}
	if why, detail := task.Keeps(&q.Query, next); why != "" {
		return &anew{why, detail}, nil
	}
	o := object(kindQuery, q.ID, q.Name, parse.Print(def), next)
	o.Meta.Props = map[string]string{propPath: strings.Join(path, ",")}
	if err := s.apply(ctx, step{change: job.Change{Replace: []job.Object{o}}, publish: p.publish}); err != nil {
		return nil, err
	}
	out.Notice(notice("00000", "continuous query %q goes on with its state and results", q.Name))
	return nil, nil
}

// settable are the options of a query that say something of it, or bound what it costs: nothing of what it makes depends on them.
var settable = append([]string{"severity", "tags"}, planner.LimitOptions()...)

// setOptions runs ALTER CONTINUOUS QUERY .. SET (options).
func (s *scope) setOptions(ctx context.Context, q *catalog.Query, def *parse.CreateQuery, st *parse.AlterQuery) error {
	for i := range def.Options {
		def.Options[i].Pos = 0 // they stand in another statement
	}
	for _, o := range st.Set {
		if !slices.Contains(settable, o.Key) {
			return sqlerr.NotSupported("option \""+o.Key+"\" in ALTER CONTINUOUS QUERY", "severity, tags and limits can be set; CREATE OR REPLACE sets the others.").At(o.Pos)
		}
		def.Options = slices.DeleteFunc(def.Options, func(x parse.Option) bool { return x.Key == o.Key })
		def.Options = append(def.Options, o)
	}
	env := s.env()
	env.Stored = true
	p, err := planner.Continuous(env, def, q.ID)
	if err != nil {
		return err
	}
	next := *q
	next.SQL, next.Options, next.Limits = p.SQL, p.Options, p.Limits
	publish := func(cat *catalog.Catalog) {
		if cur, ok := cat.Snapshot().ByID(q.ID).(*catalog.Query); ok {
			next.State, next.Reason = cur.State, cur.Reason // the engine may have changed it meanwhile
		}
		putting(&next)(cat)
	}
	return s.apply(ctx, step{change: job.Change{Alter: []job.Object{object(kindQuery, q.ID, q.Name, next.SQL, &next.Query)}}, publish: publish})
}

// historyNotice says what a query that begins with history has to read.
func (s *scope) historyNotice(q *spec.Query) pgwire.Notice {
	if s.block != nil {
		return notice("00000", "continuous query %q reads the history of its streams from COMMIT on; vigil.queries shows how far it is", q.Name)
	}
	st, _ := s.eng.Query(q.ID)
	switch b := st.Backfill; {
	case b == nil:
		return notice("00000", "there is no history for continuous query %q: it begins with the next event", q.Name)
	case b.Sources:
		return notice("00000", "continuous query %q reads the history that its sources keep; vigil.queries shows how far it is", q.Name)
	case b.Ended:
		return notice("00000", "continuous query %q has read %d bytes of history", q.Name, b.Done)
	default:
		return notice("00000", "continuous query %q reads %d bytes of history; vigil.queries shows how far it is", q.Name, b.Total)
	}
}
