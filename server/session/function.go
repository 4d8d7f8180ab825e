package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

func noFunction(name parse.Name) error {
	return sqlerr.New(sqlerr.UndefinedFunction, "function %q does not exist", name.Name).At(name.Pos).WithHint("SHOW FUNCTIONS lists the functions.")
}

// alterFunction runs ALTER FUNCTION.
func (s *scope) alterFunction(ctx context.Context, st *parse.AlterFunction, path []string, out pgwire.Output) error {
	f := s.cat.Snapshot().Function(st.Name.Name)
	if f == nil {
		return noFunction(st.Name)
	}
	if err := s.own(kindFunction, f.ID, f.Name); err != nil {
		return err
	}
	if st.Set != nil {
		return s.setFunctionOptions(ctx, f, st, path, out)
	}
	if s.block != nil {
		return sqlerr.NotSupported("ALTER FUNCTION .. ACTIVATE or DEACTIVATE in a transaction block", "Run it outside of BEGIN and COMMIT.")
	}
	x := job.FunctionChange{ID: f.ID, Name: f.Name, State: job.StateRunning}
	switch {
	case st.Activate && f.State != catalog.Deactivated:
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "function %q is active", f.Name)
	case st.Deactivate && f.State == catalog.Deactivated:
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "function %q is deactivated already", f.Name)
	case st.Deactivate:
		x.State, x.Reason = job.StateDeactivated, "ALTER FUNCTION .. DEACTIVATE"
		if s.by != nil {
			x.Detail = "By " + s.by.user() + "."
		}
	default:
		s.tellWaiting(f, out)
	}
	return s.apply(ctx, step{change: job.Change{Functions: []job.FunctionChange{x}}, publish: func(*catalog.Catalog) {}})
}

// tellWaiting says which queries wait for a function that comes back.
func (s *scope) tellWaiting(f *catalog.Function, out pgwire.Output) {
	var names []string
	for _, q := range s.cat.Snapshot().FunctionUsers(f.ID) {
		if q.State == catalog.Deactivated {
			names = append(names, q.Name)
		}
	}
	if len(names) > 0 {
		n := notice("00000", "continuous queries that call function %q stay deactivated: %s", f.Name, strings.Join(names, ", "))
		n.Err = n.Err.WithHint("RESUME CONTINUOUS QUERY brings each of them back.")
		out.Notice(n)
	}
}

// setFunctionOptions runs ALTER FUNCTION .. SET (options): the same function with other limits, from the next epoch on. A function that is
// deactivated stays so.
func (s *scope) setFunctionOptions(ctx context.Context, f *catalog.Function, st *parse.AlterFunction, path []string, out pgwire.Output) error {
	list, err := parse.Parse(f.SQL)
	if err != nil {
		return err
	}
	def, ok := list[0].Stmt.(*parse.CreateFunction)
	if !ok {
		return fmt.Errorf("the text of function %s is a %T", f.Name, list[0].Stmt)
	}
	for i := range def.Options {
		def.Options[i].Pos = 0 // they stand in another statement
	}
	for _, o := range st.Set {
		def.Options = slices.DeleteFunc(def.Options, func(x parse.Option) bool { return x.Key == o.Key })
		def.Options = append(def.Options, o)
	}
	def.OrReplace = false
	c := creation{kind: kindFunction, name: def.Name, path: path, replace: true, sql: parse.Print(def),
		plan: func(env *planner.Env, id uint64, _ types.EventTime) (planned, error) {
			p, err := s.planFunction(env, def, id)
			if next, ok := p.fn, p.fn != nil; ok && err == nil {
				next.State, next.Reason, next.Detail, next.Since = f.State, f.Reason, f.Detail, f.Since
			}
			return p, err
		}}
	if f.State == catalog.Deactivated {
		c.props = functionProps(f)
	}
	return s.create(ctx, c, out)
}

// functionProps are the properties that keep a function's state.
func functionProps(f *catalog.Function) map[string]string {
	return map[string]string{job.PropState: string(f.State), job.PropReason: f.Reason, job.PropDetail: f.Detail, job.PropStateAt: itoa64(int64(f.Since))}
}

// sameSignature refuses to replace a function by one that what calls it was not planned for.
func (s *scope) sameSignature(old *existing, publish func(*catalog.Catalog)) error {
	name := old.object.Meta.Name
	before := s.cat.Snapshot().Function(name)
	trial := catalog.Fork(s.cat.Snapshot())
	publish(trial)
	after := trial.Snapshot().Function(name)
	if before == nil || after == nil || !s.cat.Snapshot().HasReaders(before.ID, "") {
		return nil
	}
	same := before.Ret == after.Ret && slices.EqualFunc(before.Params, after.Params, func(a, b types.Column) bool { return a.Type == b.Type })
	more := planner.ReadsMore(&before.Function, &after.Function)
	same = same && !before.Aggregate && !after.Aggregate // the states that queries hold are those of the definition that made them
	if same && more == "" && (after.Volatility != "VOLATILE" || before.Volatility == "VOLATILE") {
		return nil
	}
	what := "return type or parameters"
	if same && more != "" {
		return sqlerr.New(sqlerr.DependentObjectsExist, "cannot replace function %s by one that reads %s because other objects depend on it", name, more).
			WithDetail("The queries that call it hand over the columns that it reads now.").
			WithHint("Create it under another name, or drop what calls it first.")
	}
	switch {
	case same:
		what = "volatility"
	case before.Aggregate:
		what = "definition"
	}
	for _, r := range s.cat.Snapshot().Relations() {
		if reads(r, kindFunction, before.ID, name) {
			e := s.existing(r)
			return sqlerr.New(sqlerr.DependentObjectsExist, "cannot change the %s of function %s because other objects depend on it", what, name).
				WithDetail("%s %s depends on function %s", kindWords[e.kind], e.object.Meta.Name, name).
				WithHint("Create it under another name, or drop what calls it first.")
		}
	}
	return nil
}

// rearm finds the functions that keep a query from being resumed, and has them come back with it.
func (s *scope) rearm(q *catalog.Query, ch *job.Change, out pgwire.Output) error {
	for _, f := range s.cat.Snapshot().Functions() {
		if f.State != catalog.Deactivated || !slices.Contains(q.Functions, f.ID) {
			continue
		}
		if s.own(kindFunction, f.ID, f.Name) != nil || s.block != nil {
			return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "continuous query %q calls function %q, which is deactivated: %s", q.Name, f.Name, f.Reason).
				WithHint("Its owner brings it back with ALTER FUNCTION %s ACTIVATE.", f.Name)
		}
		ch.Functions = append(ch.Functions, job.FunctionChange{ID: f.ID, Name: f.Name, State: job.StateRunning})
		out.Notice(notice("00000", "function %q is active again", f.Name))
	}
	return nil
}

// functionChanged notes in the catalogue that a function went out of service or came back, and tells its owners.
func (s *Server) functionChanged(c job.FunctionChange, now types.EventTime) {
	for _, f := range s.cat.Snapshot().Functions() {
		if f.ID != c.ID {
			continue
		}
		x := *f
		x.State, x.Reason, x.Detail, x.Since = catalog.State(c.State), c.Reason, c.Detail, now
		s.cat.PutFunction(&x)
	}
	if c.State == job.StateDeactivated {
		s.tellOwners(c.ID, sqlerr.New(sqlerr.Code(c.Code), "function %q is deactivated: %s", c.Name, c.Reason).WithDetail("%s", c.Detail).
			WithHint("ALTER FUNCTION %s ACTIVATE brings it back, RESUME CONTINUOUS QUERY the queries that call it.", c.Name))
	}
}

// tellOwners sends a NOTICE to the connections of those who own an object. One that has not read so many that there is no room is left out.
func (s *Server) tellOwners(id uint64, err *sqlerr.Error) {
	if err.Code == "" {
		c := *err
		c.Code, err = "00000", &c
	}
	snap := s.cat.Snapshot()
	for _, b := range s.backends.all() {
		if snap.Owns(b.roleIn(snap, b.user()), id) && b.listen.out.HasRoom(1, 0) {
			b.listen.out.Push(pgwire.Notification{Notice: &pgwire.Notice{Severity: "NOTICE", Err: err}})
		}
	}
}

// statementCalls calls functions for a connection's statements, and notes which broke a limit.
type statementCalls struct{ s *Session }

var _ expr.UDFCaller = statementCalls{}

// Call implements expr.UDFCaller.
func (x statementCalls) Call(id uint64, args []*batch.Vec, n int, out *batch.Vec, rowErr func(row int, err error)) error {
	err := x.s.srv.udf.Call(id, args, n, out, rowErr)
	if b, ok := errors.AsType[*expr.BrokenLimit](err); ok {
		a := &x.s.activity
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.broken == nil {
			a.broken = map[uint64]*sqlerr.Error{}
		}
		a.broken[b.Function] = b.Err
	}
	return err
}

// Shaped implements expr.RowCaller.
func (x statementCalls) Shaped(id uint64, shape *expr.RowShape, args []types.Type) uint64 {
	return x.s.srv.eng.Functions().Shaped(id, shape, args)
}

// takeBroken takes the functions out of service that broke a limit in a statement. Only a statement of the function's owner does that:
// others may call it with what they like, and would put the owner's queries out of service.
func (s *Session) takeBroken() {
	a := &s.activity
	a.mu.Lock()
	broken := a.broken
	a.broken = nil
	a.mu.Unlock()
	if len(broken) == 0 {
		return
	}
	s.srv.ddl.Lock()
	defer s.srv.ddl.Unlock()
	var ch job.Change
	snap := s.srv.cat.Snapshot()
	for _, f := range snap.Functions() {
		err := broken[f.ID]
		if err == nil || f.State == catalog.Deactivated || !snap.Owns(s.roleIn(snap, s.user()), f.ID) {
			continue
		}
		ch.Functions = append(ch.Functions, job.FunctionChange{ID: f.ID, Name: f.Name, State: job.StateDeactivated, Code: string(err.Code),
			Reason: err.Message, Detail: strings.TrimSpace("In a statement of " + s.user() + ". " + err.Where)})
	}
	if len(ch.Functions) == 0 {
		return
	}
	if err := s.srv.eng.Apply(context.Background(), ch); err != nil {
		s.srv.log.Error("deactivate functions that broke a limit", "error", err)
	}
}

// functionRows are the rows of vigil.functions.
func (srv *Server) functionRows(add func([]types.Value) error) error {
	for _, f := range srv.cat.Snapshot().Functions() {
		var args []string
		for _, p := range f.Params {
			args = append(args, strings.TrimSpace(p.Name+" "+p.Type.String()))
		}
		var st job.FunctionStats
		if all := srv.eng.Functions(); all != nil {
			st = all.Stats(f.ID)
		}
		since := types.Null(types.T(types.TimestampTZ))
		if f.State == catalog.Deactivated {
			since = types.NewTime(f.Since)
		}
		l := &f.Limits
		if err := add([]types.Value{text(f.Name), text(strings.Join(args, ", ")), text(f.Ret.String()), text("javascript"),
			text(string(f.State)), textOrNull(f.Reason), text(f.SQL), textOrNull(f.Detail), since, text(strings.ToLower(f.Volatility)),
			types.NewFloat(float64(l.TimeoutMicros) / 1e3), big(l.MemoryBytes), types.NewInt(types.Int4, int64(l.StackFrames)), big(l.OutputBytes), text(l.OnError),
			big(st.Calls), big(st.Rows), big(st.Errors), big(st.Violations)}); err != nil {
			return err
		}
	}
	return nil
}

// logRows are the rows of vigil.udf_log.
func (srv *Server) logRows(add func([]types.Value) error) error {
	if srv.functionLog == nil {
		return nil
	}
	return srv.functionLog(func(now time.Time, function, line string) error {
		return add([]types.Value{at(now.UnixMicro()), text(function), text(line)})
	})
}

// loadFunction fills in what is stored of a function besides its text.
func (s *Server) loadFunction(env *planner.Env, f *catalog.Function, props map[string]string) error {
	versions, err := job.DecodeVersions(props[job.PropVersions])
	if err != nil {
		return err
	}
	for _, v := range versions {
		list, err := parse.Parse(v.SQL)
		if err != nil {
			return err
		}
		st, ok := list[0].Stmt.(*parse.CreateFunction)
		if !ok {
			return fmt.Errorf("stored version of a function is a %T", list[0].Stmt)
		}
		old, err := planner.Function(env, st, f.ID)
		if err != nil {
			return err
		}
		f.Before = append(f.Before, spec.FunctionBefore{Until: v.Until, Function: &old.Function})
	}
	if state := catalog.State(props[job.PropState]); state == catalog.Deactivated {
		f.State, f.Reason, f.Detail = state, props[job.PropReason], props[job.PropDetail]
		_, err = fmt.Sscan(props[job.PropStateAt], &f.Since)
	}
	return err
}
