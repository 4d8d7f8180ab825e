package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgcatalog"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/storage/results"
)

// planSelect plans a query that ends.
func (s *Session) planSelect(q *parse.Select, hints []types.Type) (*statement, error) {
	p, err := planner.Select(s.env(), q, hints)
	if err != nil {
		return nil, err
	}
	st := &statement{s: s, params: p.Params, cols: &p.Root.Schema, origins: origins(p), tag: selectTag, program: p}
	st.rows = func(ctx context.Context, params []types.Value, emit func([]types.Value) error, _ pgwire.Output) error {
		return s.run(ctx, planner.BindParams(p, params), emit)
	}
	return st, nil
}

// origins turns a plan's origins into what clients look up in the catalogue.
func origins(p *spec.Program) []pgwire.Origin {
	out := make([]pgwire.Origin, len(p.Origins))
	for i, o := range p.Origins {
		if o.ID != 0 {
			out[i] = pgwire.Origin{Table: pgcatalog.RelationOID(o.ID, o.Virtual), Column: uint16(o.Col + 1)}
		}
	}
	return out
}

// run executes a bounded program. The row given to emit is only valid during the call.
func (s *Session) run(ctx context.Context, p *spec.Program, emit func(row []types.Value) error) error {
	var row []types.Value
	env := s.taskEnvIn(ctx)
	env.Profile = task.ProfileOf(ctx)
	err := task.Run(ctx, p, env, func(in op.Input) error {
		for _, r := range in.Sel {
			row = in.B.Row(row[:0], int(r))
			if err := emit(row); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, op.ErrDone) {
		return nil
	}
	return err
}

// taskEnv is the environment of what the connection's goroutine evaluates itself.
func (s *Session) taskEnv() *task.Env { return s.taskEnvIn(s.running) }

// taskEnvIn is the environment of a statement whose end is that of ctx.
func (s *Session) taskEnvIn(ctx context.Context) *task.Env {
	tables := s.tables() // one version for the whole run
	env := &task.Env{Scan: func(ctx context.Context, n *spec.Node, emit func(*batch.Batch) error) error {
		if x, ok := n.Op.(*spec.TableScan); ok {
			return scanTable(tables, n, x, emit)
		}
		return s.scan(ctx, n, emit)
	}}
	env.Ctx.Tables = tables
	env.Ctx.Ctx = fn.Ctx{Now: s.srv.clock(), TimeZone: s.settings.location(), Session: &fn.Session{User: s.user(), SessionUser: s.sessionUser(), Database: databaseName,
		Schema: "public", SearchPath: s.path(), BackendPID: s.info.PID, Settings: s.settings.get, Catalog: s.pg, Sequences: sequences{s},
		Notify: s.notify, Channels: s.listen.channels, Context: ctx, Backends: signals{s}, Warn: s.warn, SetConfig: s.setConfig}}
	env.Ctx.IOC = s.listsIn(ctx).At(int64(env.Ctx.Now))
	if s.srv.udf != nil {
		env.Ctx.UDF = statementCalls{s}
	}
	return env
}

// scan reads a relation for the bounded runner.
func (s *Session) scan(ctx context.Context, n *spec.Node, emit func(*batch.Batch) error) error {
	if x, ok := n.Op.(*spec.StreamScan); ok {
		return s.scanStream(ctx, n, x, emit)
	}
	w := &rowBatcher{b: batch.New(&n.Schema, nil), emit: emit, ctx: ctx}
	switch x := n.Op.(type) {
	case *spec.ResultScan:
		if err := s.srv.scanResults(x.QueryID, &n.Schema, w.add); err != nil {
			return err
		}
	case *spec.VirtualScan:
		if err := s.virtual(ctx, x, w.add); err != nil {
			return err
		}
	default:
		return fmt.Errorf("scan of %T", n.Op)
	}
	return w.flush()
}

// scanStream reads a stream's history, and what the open transaction has for it.
func (s *Session) scanStream(ctx context.Context, n *spec.Node, x *spec.StreamScan, emit func(*batch.Batch) error) error {
	st, _ := s.snapshot().ByID(x.StreamID).(*catalog.Stream)
	if _, there := s.srv.cat.Snapshot().ByID(x.StreamID).(*catalog.Stream); there || st == nil {
		did, err := s.srv.eng.ScanStream(ctx, x, emit)
		if read := task.ProfileOf(ctx).Scan(n); read != nil {
			read.Add(task.ScanStats{Records: did.Narrow + did.Full, Bytes: did.Bytes, Skipped: did.Skipped, Refused: did.Refused})
		}
		for _, damage := range did.Damaged {
			s.warn(sqlerr.New(sqlerr.DataCorrupted, "rows of stream %q are missing: %v", st.Name, damage).
				WithHint("The disk has lost what the server once wrote. Stop the server and put the segment back from a backup, or go on without those rows."))
		}
		if err != nil {
			return err
		}
	}
	if st == nil {
		return nil
	}
	return s.pending(&st.Stream, emit)
}

// lists are the IOC lists with the changes of the open transaction.
func (s *Session) lists() *ioc.Set {
	set := s.srv.eng.IOC()
	if s.block == nil {
		return set
	}
	for _, st := range s.block.steps {
		if steps := st.change.IOCSteps(); len(steps) > 0 {
			set = set.With(steps...)
		}
	}
	return set
}

func (s *Session) virtual(ctx context.Context, x *spec.VirtualScan, add func([]types.Value) error) error {
	switch x.Schema {
	case planner.ChangedSchema:
		for _, row := range s.changedRows {
			if err := add(row); err != nil {
				return err
			}
		}
		return nil
	case "vigil":
		return s.srv.vigilRows(x.Name, add)
	case "", "public":
		if l, ok := s.snapshot().Named(x.Name).(*catalog.IOCList); ok {
			return s.iocRows(l, add)
		}
		if q, ok := s.snapshot().Named(x.Name).(*catalog.Sequence); ok {
			return s.sequenceRow(q, add)
		}
		if st := s.srv.lateStream(x.Name); st != nil {
			return s.srv.lateRows(st, add)
		}
		return sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", x.Name)
	}
	return s.pg.Rows(pgcatalog.WithConnection(context.WithValue(ctx, settingsKey{}, s.settings), s), x.Schema, x.Name, add)
}

// scanResults reads the current rows of a query.
func (srv *Server) scanResults(id uint64, schema *types.Schema, add func([]types.Value) error) error {
	ts := make([]types.Type, len(schema.Cols))
	for i := range ts {
		ts[i] = schema.Cols[i].Type
	}
	give := func(data []byte) error {
		row, err := codec.DecodeRow(ts, data)
		if err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "a result row is damaged: %v", err)
		}
		return add(row)
	}
	if q, ok := srv.cat.Snapshot().ByID(id).(*catalog.Query); !ok || !q.Changes() {
		return srv.eng.Results().Scan(id, 0, 0, func(r results.Row) (bool, error) { return true, give(r.Data) })
	}
	var content job.Content
	err := srv.eng.Results().Content(id, func(r results.Row) (bool, error) {
		content.Change(r)
		return true, nil
	})
	for _, r := range content.Rows() {
		if err != nil {
			break
		}
		err = give(r.Data)
	}
	return err
}

// rowBatcher gathers rows into batches.
type rowBatcher struct {
	b    *batch.Batch
	emit func(*batch.Batch) error
	ctx  context.Context
}

func (w *rowBatcher) add(row []types.Value) error {
	if len(row) != len(w.b.Cols) {
		return fmt.Errorf("relation gave a row of %d columns, its schema has %d", len(row), len(w.b.Cols))
	}
	w.b.AppendRow(row)
	if w.b.N >= batch.RowsMax {
		return w.flush()
	}
	return nil
}

func (w *rowBatcher) flush() error {
	if w.b.N == 0 {
		return nil
	}
	if err := w.ctx.Err(); err != nil {
		return err
	}
	b := w.b
	w.b = batch.New(b.Schema, nil)
	return w.emit(b)
}
