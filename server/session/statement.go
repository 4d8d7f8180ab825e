package session

import (
	"context"
	"fmt"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// statement is a planned statement. Exactly one of rows and do is set.
type statement struct {
	s    *Session
	text string // as the client sent it
	// stmt and basis are what it was planned from; again is the plan of the same after the catalogue has changed.
	stmt  parse.Statement
	basis planBasis
	again *statement
	// name and prepared are those of a statement of the protocol.
	name     string
	prepared types.EventTime
	params   []types.Type
	cols     *types.Schema
	// origins says where the columns come from; nil: they are computed.
	origins []pgwire.Origin
	// rows produces the result rows; tag is printed with their count ("SELECT 3") unless it holds no verb.
	rows func(ctx context.Context, params []types.Value, emit func(row []types.Value) error, out pgwire.Output) error
	tag  func(n int64) string
	// live: the rows come for ever, and need nothing of the connection.
	live bool
	// changes: producing the rows changes something, so they are all produced at once.
	changes bool
	// do runs a command and returns its tag.
	do func(ctx context.Context, params []types.Value, out pgwire.Output) (string, error)
	// program is what the statement runs, and action what it does with the rows ("Insert on auth"); nil and "" for those that
	// run none.
	program *spec.Program
	action  string
}

var (
	_ pgwire.Statement = (*statement)(nil)
	_ pgwire.Originer  = (*statement)(nil)
)

// Params implements pgwire.Statement.
func (st *statement) Params() []types.Type { return st.params }

// Columns implements pgwire.Statement.
func (st *statement) Columns() *types.Schema { return st.cols }

// Origins implements pgwire.Originer.
func (st *statement) Origins() []pgwire.Origin { return st.origins }

// Bind implements pgwire.Statement.
func (st *statement) Bind(params []types.Value) (pgwire.Portal, error) {
	if len(params) != len(st.params) {
		return nil, sqlerr.New(sqlerr.ProtocolViolation, "bind message supplies %d parameters, but the statement requires %d",
			len(params), len(st.params))
	}
	now, err := st.current()
	if err != nil {
		return nil, err
	}
	return &portal{st: now, params: params}, nil
}

func selectTag(n int64) string { return fmt.Sprintf("SELECT %d", n) }

// Prepare implements pgwire.Session.
func (s *Session) Prepare(ctx context.Context, p pgwire.Parsed, oids []uint32) (pgwire.Statement, error) {
	ps, ok := p.(parsed)
	if !ok {
		return nil, fmt.Errorf("foreign statement %T", p)
	}
	if s.tx == 'E' {
		if t, ok := ps.Stmt.(*parse.Transaction); !ok || t.Op == "SAVEPOINT" || t.Op == "BEGIN" || t.Op == "START TRANSACTION" {
			return nil, sqlerr.New(sqlerr.InFailedTransaction,
				"current transaction is aborted, commands ignored until end of transaction block")
		}
	}
	var hints []types.Type
	for _, o := range oids {
		t, _ := types.FromOID(o)
		if t.Kind == types.Unknown {
			t = types.Type{}
		}
		hints = append(hints, t)
	}
	s.begin(ps.Text)
	s.text = ps.Text
	basis := s.basis()
	st, err := s.plan(ctx, ps.Stmt, hints)
	if err != nil {
		return nil, err
	}
	st.note(ps.Stmt, ps.Text, basis)
	return st, nil
}

// plan finds what a statement does. Statements that read go to query.go and show.go, those that change to ddl.go, insert.go,
// copy.go; nothing is recognised by its text.
func (s *Session) plan(ctx context.Context, stmt parse.Statement, hints []types.Type) (*statement, error) {
	switch st := stmt.(type) {
	case *parse.SelectStmt:
		return s.planSelect(st.Query, hints)
	case *parse.Show:
		return s.planShow(st)
	case *parse.Explain:
		return s.planExplain(ctx, st, hints)
	case *parse.Subscribe:
		return s.planSubscribe(st)
	case *parse.DeclareCursor:
		return s.planDeclare(st, hints)
	case *parse.Fetch:
		return s.planFetch(st)
	case *parse.ReplayLate:
		return s.planReplay(st)
	case *parse.Retro:
		return s.planRetro(st)
	case *parse.Insert:
		return s.planInsert(st, hints)
	case *parse.Update:
		return s.planUpdate(st, hints)
	case *parse.Delete:
		if _, isList := s.relation(st.Table).(*catalog.IOCList); !isList {
			return s.planDelete(st, hints)
		}
	case *parse.Copy:
		return s.planCopy(st)
	case *parse.Execute:
		return s.planExecute(st)
	case *parse.Replication:
		return s.planReplication(st)
	case *parse.TestQuery:
		return s.planTest(st)
	case *parse.Unsupported:
		return nil, sqlerr.NotSupported(st.What, st.Hint).At(st.Pos)
	}
	do, err := s.command(stmt)
	if err != nil {
		return nil, err
	}
	return &statement{s: s, do: do}, nil
}

type doFunc func(ctx context.Context, params []types.Value, out pgwire.Output) (string, error)

// command gives the statements without rows and parameters.
func (s *Session) command(stmt parse.Statement) (doFunc, error) {
	switch st := stmt.(type) {
	case *parse.Transaction:
		return func(ctx context.Context, _ []types.Value, out pgwire.Output) (string, error) {
			return s.transaction(ctx, st, out)
		}, nil
	case *parse.Set:
		return func(_ context.Context, _ []types.Value, out pgwire.Output) (string, error) { return s.set(st, out) }, nil
	case *parse.Listen:
		return simple("LISTEN", func(context.Context, pgwire.Output) error { return s.listenTo(listenChange{channel: st.Channel.Name}) }), nil
	case *parse.Unlisten:
		return simple("UNLISTEN", func(context.Context, pgwire.Output) error {
			return s.listenTo(listenChange{channel: st.Channel, end: true, all: st.All})
		}), nil
	case *parse.Notify:
		return simple("NOTIFY", func(context.Context, pgwire.Output) error { return s.notify(st.Channel, st.Payload) }), nil
	case *parse.CloseCursor:
		return simple(map[bool]string{true: "CLOSE CURSOR ALL", false: "CLOSE CURSOR"}[st.All], func(context.Context, pgwire.Output) error { return s.closeCursor(st) }), nil
	case *parse.Prepare:
		return simple("PREPARE", func(context.Context, pgwire.Output) error { return s.prepareSQL(st) }), nil
	case *parse.Deallocate:
		return simple("DEALLOCATE", func(_ context.Context, out pgwire.Output) error { return s.deallocate(st, out) }), nil
	case *parse.Backup:
		return simple("BACKUP", func(ctx context.Context, out pgwire.Output) error { return s.backup(ctx, st, out) }), nil
	case *parse.Discard:
		return simple("DISCARD "+st.What, func(_ context.Context, out pgwire.Output) error { return s.discard(st, out) }), nil
	}
	do, err := s.ddlCommand(stmt)
	return s.srv.whenLoaded(do), err
}

// ddlCommand gives the statements that change the catalogue.
func (s *Session) ddlCommand(stmt parse.Statement) (doFunc, error) {
	switch st := stmt.(type) {
	case *parse.CreateStream:
		return s.createRelation(st)
	case *parse.CreateTableAs:
		return s.createTableAs(st)
	case *parse.CreateView:
		return s.createView(st)
	case *parse.CreateQuery, *parse.CreateIOC, *parse.CreateFunction:
		return s.createObject(stmt)
	case *parse.CreateSink:
		return s.createSink(st)
	case *parse.AlterSink:
		return s.inScope("ALTER SINK", func(ctx context.Context, sc *scope, _ pgwire.Output) error {
			return sc.alterSink(ctx, s.resolve(st.Name), st)
		}), nil
	case *parse.CreateSchema:
		return simple("CREATE SCHEMA", func(ctx context.Context, out pgwire.Output) error {
			return s.scope(func(sc *scope) error { return sc.createSchema(ctx, st, out) })
		}), nil
	case *parse.Comment:
		return simple("COMMENT", func(ctx context.Context, _ pgwire.Output) error {
			return s.scope(func(sc *scope) error { return sc.comment(ctx, s.resolve(st.Name), st) })
		}), nil
	case *parse.CreateSequence, *parse.AlterSequence, *parse.AlterTable, *parse.CreateIndex:
		return s.tableCommand(stmt)
	case *parse.CreateRole, *parse.AlterRole, *parse.DropRole, *parse.GrantRole, *parse.Grant:
		return s.roleCommand(stmt), nil
	case *parse.Drop:
		if st.Kind == "INDEX" {
			return s.inScope("DROP INDEX", func(ctx context.Context, sc *scope, out pgwire.Output) error {
				return s.dropIndex(ctx, sc, st, out)
			}), nil
		}
		return simple("DROP "+st.Kind, func(ctx context.Context, out pgwire.Output) error {
			rest := s.dropTemp(st)
			if len(rest.Names) == 0 {
				return nil
			}
			return s.scope(func(sc *scope) error { return sc.drop(ctx, s.resolved(rest), out) })
		}), nil
	case *parse.Truncate:
		return simple("TRUNCATE TABLE", func(ctx context.Context, _ pgwire.Output) error { return s.truncate(ctx, st) }), nil
	case *parse.AlterIOC, *parse.Delete, *parse.RefreshIOC:
		return s.iocCommand(stmt), nil
	case *parse.PauseQuery:
		return s.inScope(map[bool]string{true: "RESUME", false: "PAUSE"}[st.Resume]+" CONTINUOUS QUERY", func(ctx context.Context, sc *scope, out pgwire.Output) error {
			return sc.pause(ctx, s.resolve(st.Name), st.Resume, out)
		}), nil
	case *parse.AlterFunction:
		return s.inScope("ALTER FUNCTION", func(ctx context.Context, sc *scope, out pgwire.Output) error {
			return sc.alterFunction(ctx, st, s.path(), out)
		}), nil
	case *parse.AlterQuery:
		return s.inScope("ALTER CONTINUOUS QUERY", func(ctx context.Context, sc *scope, out pgwire.Output) error {
			return sc.alterQuery(ctx, s.resolve(st.Name), st, s.path(), out)
		}), nil
	}
	return nil, sqlerr.NotSupported("this statement", "")
}

// iocCommand gives the statements about what is in IOC lists.
func (s *Session) iocCommand(stmt parse.Statement) doFunc {
	switch st := stmt.(type) {
	case *parse.Delete:
		return func(ctx context.Context, _ []types.Value, _ pgwire.Output) (string, error) {
			return s.deleteIOC(ctx, st)
		}
	case *parse.RefreshIOC:
		return simple("REFRESH IOC LIST", func(ctx context.Context, out pgwire.Output) error { return s.refreshIOC(ctx, st, out) })
	case *parse.AlterIOC:
		return s.alterIOCStatement(st)
	}
	return nil
}

// tableCommand gives the statements about tables, sequences and indexes.
func (s *Session) tableCommand(stmt parse.Statement) (doFunc, error) {
	switch st := stmt.(type) {
	case *parse.CreateSequence:
		return s.inScope("CREATE SEQUENCE", func(ctx context.Context, sc *scope, out pgwire.Output) error {
			return s.createSequence(ctx, sc, st, out)
		}), nil
	case *parse.AlterSequence:
		return s.inScope("ALTER SEQUENCE", func(ctx context.Context, sc *scope, out pgwire.Output) error {
			return sc.alterSequence(ctx, s.resolve(st.Name), st, s, out)
		}), nil
	case *parse.AlterTable:
		return s.inScope("ALTER TABLE", func(ctx context.Context, sc *scope, out pgwire.Output) error {
			return s.alterTable(ctx, sc, st, out)
		}), nil
	case *parse.CreateIndex:
		return s.inScope("CREATE INDEX", func(ctx context.Context, sc *scope, out pgwire.Output) error {
			return s.createIndex(ctx, sc, st, out)
		}), nil
	}
	return nil, sqlerr.NotSupported("this statement", "")
}

func simple(tag string, f func(ctx context.Context, out pgwire.Output) error) doFunc {
	return func(ctx context.Context, _ []types.Value, out pgwire.Output) (string, error) { return tag, f(ctx, out) }
}

// inScope wraps what changes the catalogue.
func (s *Session) inScope(tag string, do func(context.Context, *scope, pgwire.Output) error) doFunc {
	return simple(tag, func(ctx context.Context, out pgwire.Output) error {
		return s.scope(func(sc *scope) error { return do(ctx, sc, out) })
	})
}

// textRows is a statement that gives one text column.
func (s *Session) textRows(column, tag string, lines []string) *statement {
	return &statement{s: s, cols: &types.Schema{Cols: []types.Column{{Name: column, Type: types.T(types.Text)}}},
		tag: func(int64) string { return tag },
		rows: func(_ context.Context, _ []types.Value, emit func([]types.Value) error, _ pgwire.Output) error {
			for _, l := range lines {
				if err := emit([]types.Value{types.NewText(l)}); err != nil {
					return err
				}
			}
			return nil
		}}
}
