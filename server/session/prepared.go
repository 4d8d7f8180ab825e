package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgcatalog"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// planned as of: what a plan depends on besides its text.
type planBasis struct {
	catalog    *catalog.Snapshot // without temporary tables
	temp       string            // the numbers of those
	searchPath string
	user       string // whose privileges count
}

func (s *Session) basis() planBasis {
	b := planBasis{catalog: s.srv.cat.Snapshot()}
	if s.block != nil && s.block.cat != nil {
		b.catalog = s.block.cat.Snapshot()
	}
	for _, t := range s.temp.list {
		b.temp += fmt.Sprint(t.ID, " ")
	}
	b.searchPath, _ = s.settings.get("search_path")
	b.user = s.user()
	return b
}

func errResultChanged() error {
	err := sqlerr.New(sqlerr.FeatureNotSupported, "cached plan must not change result type")
	err.Routine = "RevalidateCachedQuery" // by it drivers know that they may prepare the statement again
	return err
}

func sameColumns(a, b *types.Schema) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.EqualFunc(a.Cols, b.Cols, func(x, y types.Column) bool { return x.Name == y.Name && x.Type == y.Type })
}

// current gives the plan to run: a new one when the catalogue has changed since the last. What the client knows of the
// statement - its parameters and its columns - must not change with it.
func (st *statement) current() (*statement, error) {
	last := st
	if st.again != nil {
		last = st.again
	}
	s := st.s
	now := s.basis()
	if st.stmt == nil || last.basis == now || s.tx == 'E' {
		return last, nil
	}
	next, err := s.plan(s.running, st.stmt, st.params)
	if err != nil {
		return nil, err
	}
	if !sameColumns(st.cols, next.cols) || !slices.Equal(st.params, next.params) {
		return nil, errResultChanged()
	}
	next.stmt, next.text, next.basis = st.stmt, st.text, now
	st.again = next
	return next, nil
}

// note keeps what a statement was planned from, so that it can be planned again.
func (st *statement) note(stmt parse.Statement, text string, basis planBasis) {
	st.stmt, st.text, st.basis = stmt, text, basis
}

// sqlPrepared is a statement of SQL-level PREPARE.
type sqlPrepared struct {
	plan *statement
	at   types.EventTime
}

// preparedNames are the statements that a connection has prepared in the protocol, for pg_prepared_statements.
type preparedNames struct {
	mu   sync.Mutex
	list map[string]*statement
}

// SetName implements pgwire.Named.
func (st *statement) SetName(name string) {
	st.name, st.prepared = name, st.s.srv.clock()
	p := &st.s.names
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.list == nil {
		p.list = map[string]*statement{}
	}
	if name != "" {
		p.list[name] = st
	}
}

// Close implements pgwire.Statement.
func (st *statement) Close() {
	p := &st.s.names
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.list[st.name] == st {
		delete(p.list, st.name)
	}
}

// Prepared implements pgcatalog.Connection.
func (s *Session) Prepared() []pgcatalog.Prepared {
	var list []pgcatalog.Prepared
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.names.list)) {
		st := s.names.list[name]
		list = append(list, pgcatalog.Prepared{Name: name, Text: st.text, At: st.prepared, Params: st.params})
	}
	for _, name := range slices.Sorted(maps.Keys(s.prepared)) {
		p := s.prepared[name]
		list = append(list, pgcatalog.Prepared{Name: name, Text: p.plan.text, At: p.at, Params: p.plan.params, SQL: true})
	}
	return list
}

// Cursors implements pgcatalog.Connection.
func (s *Session) Cursors() []pgcatalog.Cursor {
	var list []pgcatalog.Cursor
	for _, name := range slices.Sorted(maps.Keys(s.cursors)) {
		c := s.cursors[name]
		list = append(list, pgcatalog.Cursor{Name: name, Text: c.text, Hold: c.hold, Scroll: !c.forward, At: c.created})
	}
	return list
}

var _ pgcatalog.Connection = (*Session)(nil)

func (s *Session) prepareSQL(st *parse.Prepare) error {
	if s.prepared[st.Name] != nil {
		return sqlerr.New(sqlerr.DuplicatePreparedStatement, "prepared statement %q already exists", st.Name)
	}
	if len(s.prepared) >= preparedMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a connection cannot have more than %d prepared statements", preparedMax).
			WithHint("DEALLOCATE statements that are not used any more.")
	}
	var hints []types.Type
	for _, t := range st.Types {
		k, ok := types.KindByName(t.Name)
		if !ok {
			return sqlerr.New(sqlerr.UndefinedObject, "type %q does not exist", t.Name).At(t.Pos)
		}
		hints = append(hints, types.T(k))
	}
	basis := s.basis()
	plan, err := s.plan(s.ctx, st.Stmt, hints)
	if err != nil {
		return err
	}
	plan.note(st.Stmt, s.text, basis)
	s.prepared[st.Name] = &sqlPrepared{plan: plan, at: s.srv.clock()}
	return nil
}

// preparedMax is how many statements of PREPARE a connection may have.
const preparedMax = 10_000

// planExecute binds the arguments of EXECUTE.
func (s *Session) planExecute(st *parse.Execute) (*statement, error) {
	p := s.prepared[st.Name]
	if p == nil {
		return nil, sqlerr.New(sqlerr.InvalidStatementName, "prepared statement %q does not exist", st.Name)
	}
	if len(st.Args) != len(p.plan.params) {
		return nil, sqlerr.New(sqlerr.SyntaxError, "wrong number of parameters for prepared statement %q", st.Name).
			WithDetail("Expected %d parameters but got %d.", len(p.plan.params), len(st.Args))
	}
	args, err := s.values(st.Args, p.plan.params)
	if err != nil {
		return nil, err
	}
	now, err := p.plan.current()
	if err != nil {
		return nil, err
	}
	return now.bound(args), nil
}

// bound is the statement with its parameters given.
func (st *statement) bound(args []types.Value) *statement {
	plan := *st
	plan.params, plan.again = nil, nil
	if plan.program != nil {
		plan.program = planner.BindParams(plan.program, args)
	}
	if plan.rows != nil {
		rows := st.rows
		plan.rows = func(ctx context.Context, _ []types.Value, emit func([]types.Value) error, out pgwire.Output) error {
			return rows(ctx, args, emit, out)
		}
		return &plan
	}
	do := st.do
	plan.do = func(ctx context.Context, _ []types.Value, out pgwire.Output) (string, error) {
		return do(ctx, args, out)
	}
	return &plan
}

func (s *Session) deallocate(st *parse.Deallocate, out pgwire.Output) error {
	byMessage, _ := out.(pgwire.Deallocator)
	if st.All {
		clear(s.prepared)
		if byMessage != nil {
			byMessage.DeallocateAll()
		}
		return nil
	}
	if s.prepared[st.Name] == nil && byMessage != nil && byMessage.Deallocate(st.Name) {
		return nil
	}
	if s.prepared[st.Name] == nil {
		return sqlerr.New(sqlerr.InvalidStatementName, "prepared statement %q does not exist", st.Name)
	}
	delete(s.prepared, st.Name)
	return nil
}

// discard runs DISCARD: ALL resets the connection, TEMP drops its temporary tables, the rest has nothing to do here.
func (s *Session) discard(st *parse.Discard, out pgwire.Output) error {
	if st.What == "ALL" && s.tx != 'I' {
		return sqlerr.New(sqlerr.ActiveTransaction, "DISCARD ALL cannot run inside a transaction block")
	}
	if st.What == "ALL" || st.What == "TEMP" {
		names := &parse.Drop{Kind: "TABLE"}
		for _, t := range s.temp.list {
			names.Names = append(names.Names, parse.Name{Name: t.Name})
		}
		s.dropTemp(names)
	}
	if st.What != "ALL" {
		return nil
	}
	if err := s.deallocate(&parse.Deallocate{All: true}, out); err != nil {
		return err
	}
	for name, c := range s.cursors {
		c.close()
		delete(s.cursors, name)
	}
	s.listen.remove("", true)
	s.settings.resetAll()
	return s.changeRole("session_authorization", s.info.User, false)
}
