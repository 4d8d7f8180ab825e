package session

import (
	"context"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// explainOptions are the options of EXPLAIN that mean something here. COSTS, BUFFERS, SETTINGS and WAL are taken because
// clients send them.
type explainOptions struct {
	analyze, verbose, timing, summary bool
	json                              bool
}

// readExplainOptions checks options in Postgres' order and words.
func readExplainOptions(list []parse.Option) (explainOptions, error) {
	var o explainOptions
	given := map[string]bool{}
	for _, opt := range list {
		key := opt.Key
		if key == "analyse" {
			key = "analyze"
		}
		switch key {
		case "analyze", "verbose", "costs", "settings", "buffers", "wal", "timing", "summary":
			on, ok := optionBool(opt)
			if !ok {
				return o, sqlerr.New(sqlerr.SyntaxError, "%s requires a Boolean value", key)
			}
			given[key] = on
		case "format":
			if err := o.setFormat(opt); err != nil {
				return o, err
			}
		default:
			return o, sqlerr.New(sqlerr.SyntaxError, "unrecognized EXPLAIN option %q", opt.Key).At(opt.Pos)
		}
	}
	o.analyze, o.verbose = given["analyze"], given["verbose"]
	for _, key := range []string{"wal", "timing"} {
		if given[key] && !o.analyze {
			return o, sqlerr.New(sqlerr.InvalidParameterValue, "EXPLAIN option %s requires ANALYZE", strings.ToUpper(key))
		}
	}
	orAnalyze := func(key string) bool {
		on, ok := given[key]
		return on || !ok && o.analyze
	}
	o.timing, o.summary = orAnalyze("timing"), orAnalyze("summary")
	return o, nil
}

func optionBool(o parse.Option) (on, ok bool) {
	if o.Bare {
		return true, true
	}
	switch strings.ToLower(o.Value) {
	case "true", "on", "1":
		return true, true
	case "false", "off", "0":
		return false, true
	}
	return false, false
}

func (o *explainOptions) setFormat(opt parse.Option) error {
	if opt.Bare {
		return sqlerr.New(sqlerr.SyntaxError, "format requires a parameter")
	}
	switch opt.Value {
	case "text", "json":
		o.json = opt.Value == "json"
		return nil
	case "xml", "yaml":
		return sqlerr.NotSupported("EXPLAIN (FORMAT "+strings.ToUpper(opt.Value)+")", "Use FORMAT TEXT or FORMAT JSON.").At(opt.Pos)
	}
	return sqlerr.New(sqlerr.InvalidParameterValue, "unrecognized value for EXPLAIN option %q: %q", opt.Key, opt.Value).At(opt.Pos)
}

// explanation is everything that there is to say about a statement, or a running query.
type explanation struct {
	opts explainOptions
	// plans are the physical trees, stages last.
	plans []*spec.Outline
	made  planner.Explanation
	// planning is how long planning took; profile what a run counted, nil without ANALYZE.
	planning time.Duration
	profile  *task.Profile
	running  *running
}

// planExplain plans EXPLAIN: the statement is planned, with ANALYZE run, and what is known of it printed.
func (s *Session) planExplain(ctx context.Context, st *parse.Explain, hints []types.Type) (*statement, error) {
	if st.Query != nil {
		return s.planExplainQuery(st)
	}
	began := time.Now()
	s.trace = &planner.Trace{}
	inner, err := s.explained(ctx, st.Stmt, hints)
	trace := s.trace
	s.trace = nil
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	opts, err := readExplainOptions(st.Options)
	if err != nil {
		return nil, err
	}
	if opts.analyze && inner.rows == nil && inner.do == nil {
		return nil, sqlerr.NotSupported("EXPLAIN ANALYZE of a statement that creates something",
			"Create the query, then use EXPLAIN ANALYZE CONTINUOUS QUERY name.")
	}
	out := s.planLines(opts)
	out.params = inner.params
	out.changes = opts.analyze && inner.action != ""
	out.rows = func(ctx context.Context, params []types.Value, emit func([]types.Value) error, client pgwire.Output) error {
		x := &explanation{opts: opts, made: planner.Explain(trace, inner.program), planning: took}
		program := inner.program
		if opts.analyze {
			x.profile = &task.Profile{Timing: opts.timing, Now: time.Now}
			if err := inner.discard(task.WithProfile(ctx, x.profile), params, client); err != nil {
				return err
			}
			program = x.profile.Program
		}
		x.plans = spec.Outlines(program)
		if inner.action != "" {
			x.plans = []*spec.Outline{{Line: inner.action, In: x.plans}}
		}
		return x.emit(s, emit)
	}
	return out, nil
}

// explained plans the statement that is explained. Of one that cannot run here, rows and do are nil.
func (s *Session) explained(ctx context.Context, stmt parse.Statement, hints []types.Type) (*statement, error) {
	var st *statement
	var err error
	switch x := stmt.(type) {
	case *parse.DeclareCursor:
		if x.Subscribe != nil {
			return s.explained(ctx, x.Subscribe, hints)
		}
		st, err = s.planSelect(x.Query, hints)
	case *parse.Execute:
		return s.explainedExecute(ctx, x)
	case *parse.CreateQuery:
		q, err := planner.Continuous(s.env(), x, 0)
		if err != nil {
			return nil, err
		}
		return &statement{s: s, program: q.Program}, nil
	case *parse.SelectStmt, *parse.Insert, *parse.Update, *parse.Delete:
		st, err = s.plan(ctx, stmt, hints)
	case *parse.Subscribe:
		return nil, sqlerr.NotSupported("EXPLAIN of SUBSCRIBE", "EXPLAIN CONTINUOUS QUERY name explains the query that is followed.")
	}
	if err != nil {
		return nil, err
	}
	if st == nil || st.program == nil {
		return nil, sqlerr.NotSupported("EXPLAIN of this statement",
			"Explain a SELECT, an INSERT, UPDATE or DELETE of rows, an EXECUTE, or a CREATE CONTINUOUS QUERY.")
	}
	return st, nil
}

// explainedExecute plans a prepared statement anew, because only so it is seen how it is planned, and binds the arguments.
func (s *Session) explainedExecute(ctx context.Context, x *parse.Execute) (*statement, error) {
	if _, err := s.planExecute(x); err != nil {
		return nil, err
	}
	p := s.prepared[x.Name]
	st, err := s.explained(ctx, p.plan.stmt, p.plan.params)
	if err != nil {
		return nil, err
	}
	args, err := s.values(x.Args, p.plan.params)
	if err != nil {
		return nil, err
	}
	return st.bound(args), nil
}

// discard runs a statement and drops its rows.
func (st *statement) discard(ctx context.Context, params []types.Value, out pgwire.Output) error {
	if st.rows != nil {
		return st.rows(ctx, params, func([]types.Value) error { return nil }, out)
	}
	_, err := st.do(ctx, params, out)
	return err
}

// planLines is a statement whose rows are those of EXPLAIN.
func (s *Session) planLines(o explainOptions) *statement {
	st := s.textRows("QUERY PLAN", "EXPLAIN", nil)
	if o.json {
		st.cols.Cols[0].Type = types.T(types.JSON)
	}
	return st
}

// emit gives the rows of EXPLAIN.
func (x *explanation) emit(s *Session, emit func([]types.Value) error) error {
	if x.opts.json {
		text, err := x.json(s)
		if err != nil {
			return err
		}
		v := types.NewText(text)
		v.Type = types.T(types.JSON)
		return emit([]types.Value{v})
	}
	for _, l := range x.text(s) {
		if err := emit([]types.Value{types.NewText(l)}); err != nil {
			return err
		}
	}
	return nil
}

// planExplainQuery plans EXPLAIN of a continuous query that exists, with ANALYZE of what it has done so far.
func (s *Session) planExplainQuery(st *parse.Explain) (*statement, error) {
	name := *st.Query
	rel := s.snapshot().Relation(name.Schema, name.Name)
	q, ok := rel.(*catalog.Query)
	switch {
	case rel == nil:
		return nil, sqlerr.New(sqlerr.UndefinedObject, "continuous query %q does not exist", name.Name).At(name.Pos)
	case !ok:
		return nil, sqlerr.New(sqlerr.WrongObjectType, "%q is not a continuous query", name.Name).At(name.Pos).
			WithHint("To explain how it is read, EXPLAIN SELECT * FROM it.")
	}
	opts, err := readExplainOptions(st.Options)
	if err != nil {
		return nil, err
	}
	if err := s.allow(q, catalog.Select); err != nil {
		return nil, err
	}
	if opts.analyze && q.State != catalog.Running {
		return nil, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "continuous query %q does not run", name.Name).At(name.Pos).
			WithDetail("It is %s: %s", q.State, q.Reason).WithHint("RESUME CONTINUOUS QUERY %s starts it again.", parse.QuoteIdent(name.Name))
	}
	began := time.Now()
	trace, err := s.retrace(q)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	out := s.planLines(opts)
	out.rows = func(ctx context.Context, _ []types.Value, emit func([]types.Value) error, _ pgwire.Output) error {
		x := &explanation{opts: opts, made: planner.Explain(trace, q.Program), plans: spec.Outlines(q.Program), planning: took}
		if opts.analyze {
			in, err := s.srv.eng.Inspect(ctx, q.ID)
			if err != nil {
				return err
			}
			x.running = newRunning(q, in)
		}
		return x.emit(s, emit)
	}
	return out, nil
}

// retrace plans a query's text once more, to see how it is planned.
func (s *Session) retrace(q *catalog.Query) (*planner.Trace, error) {
	parsed, err := parse.Parse(q.SQL)
	if err != nil {
		return nil, err
	}
	st, ok := parsed[0].Stmt.(*parse.CreateQuery)
	if !ok {
		return nil, sqlerr.New(sqlerr.InternalError, "the text of query %q is a %T", q.Name, parsed[0].Stmt)
	}
	env := s.env()
	env.Trace = &planner.Trace{}
	_, err = planner.Continuous(env, st, q.ID)
	return env.Trace, err
}
