package session

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/storage/eventlog"
)

// values evaluates expressions that read no rows.
func (s *Session) values(list []parse.Expr, want []types.Type) ([]types.Value, error) {
	bound, err := planner.Exprs(s.env(), list, want)
	if err != nil {
		return nil, err
	}
	env := s.taskEnv()
	out := make([]types.Value, len(bound))
	for i, e := range bound {
		if out[i], err = expr.EvalConst(&env.Ctx, e); err != nil {
			return nil, sqlerr.As(err).At(list[i].Position())
		}
	}
	return out, nil
}

// target is a relation that rows can be put into.
type target struct {
	stream *catalog.Stream
	list   *catalog.IOCList
	table  *catalog.Table
	schema *types.Schema
	// columns are the schema columns that the rows fill, in the order of the rows.
	columns []int
}

// fillable checks that rows can be put into a relation.
func (s *Session) fillable(rel catalog.Relation, name parse.Name) (*target, error) {
	t := &target{}
	if rel != nil {
		if err := s.allow(rel, catalog.Insert); err != nil {
			return nil, err
		}
	}
	switch r := rel.(type) {
	case *catalog.Stream:
		if r.Connector != "" {
			return nil, sqlerr.New(sqlerr.WrongObjectType, "stream %q is fed by its connector %q", r.Name, r.Connector).At(name.Pos).
				WithHint("Rows can be added to streams without connector only.")
		}
		t.stream, t.schema = r, r.RelSchema()
	case *catalog.Table:
		t.table, t.schema = r, r.RelSchema()
	case *catalog.IOCList:
		t.list, t.schema = r, r.RelSchema()
	case nil:
		return nil, sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", name.Name).At(name.Pos)
	default:
		return nil, sqlerr.New(sqlerr.WrongObjectType, "cannot insert into %q: it is not a stream, a table or an IOC list", name.Name).At(name.Pos)
	}
	return t, nil
}

// target resolves the table and column list of COPY.
func (s *Session) target(name parse.Name, columns []string) (*target, error) {
	t, err := s.fillable(s.relation(name), name)
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		for i := range t.schema.Cols {
			if !t.generated(i) {
				t.columns = append(t.columns, i)
			}
		}
		return t, nil
	}
	seen := map[string]bool{}
	for _, c := range columns {
		i := t.schema.Index(c)
		if i < 0 {
			return nil, sqlerr.New(sqlerr.UndefinedColumn, "column %q of relation %q does not exist", c, name.Name)
		}
		if seen[c] {
			return nil, sqlerr.New(sqlerr.DuplicateColumn, "column %q specified more than once", c)
		}
		seen[c] = true
		t.columns = append(t.columns, i)
	}
	return t, nil
}

// generated reports that a column of the stream is computed.
func (t *target) generated(i int) bool {
	return t.stream != nil && slices.ContainsFunc(t.stream.Generated, func(g spec.Generated) bool { return g.Col == i })
}

// planInsert plans INSERT ... VALUES and INSERT ... SELECT: both are a query whose rows are cast to the target's columns.
func (s *Session) planInsert(st *parse.Insert, hints []types.Type) (*statement, error) {
	if k, ok := s.relation(st.Table).(*catalog.Sink); ok { // it has no columns to compare the rows with
		_, err := s.fillable(k, st.Table)
		return nil, err
	}
	ch, err := planner.Insert(s.env(), st, hints)
	if err != nil {
		return nil, err
	}
	t, err := s.fillable(ch.Target, st.Table)
	if err != nil {
		return nil, err
	}
	if err := s.allowChange(ch.Target, conflictPrivileges(st), len(st.Returning) > 0); err != nil {
		return nil, err
	}
	on, err := s.conflictOf(st, t)
	if err != nil {
		return nil, err
	}
	return s.changing("INSERT 0", ch, func(ctx context.Context, params []types.Value, ret *returned, out pgwire.Output) (int, error) {
		key, err := s.takeKey(t, "")
		if err != nil {
			return 0, err
		}
		g := &gathered{t: t, held: s.newHolding()}
		err = s.run(ctx, planner.BindParams(ch.Rows, params), func(row []types.Value) error {
			if t.stream == nil {
				row = slices.Clone(row)
			}
			return g.add(row)
		})
		switch {
		case err != nil:
			return 0, err
		case t.table != nil:
			return s.insertTable(ctx, t.table, g.rows, on, ret)
		}
		if err := s.returnInserted(ctx, g, ret); err != nil {
			return 0, err
		}
		n, err := s.insertGathered(ctx, g, key, out)
		if n == 0 && ret != nil { // they were taken before
			ret.out = nil
		}
		return n, err
	}), nil
}

// blockBytesMax is how many bytes an open transaction holds for streams.
const blockBytesMax = 256 << 20

// append puts rows into a stream, or into the open transaction.
func (s *Session) append(ctx context.Context, st *catalog.Stream, in Ingest) (job.Outcome, error) {
	if err := s.writable("insert into stream " + st.Name); err != nil {
		return job.Outcome{}, err
	}
	b := s.changes()
	if b == nil {
		return s.srv.Append(ctx, in)
	}
	if b.has(in) || s.srv.eng.Appended(in.Stream, in.Key) {
		return job.Outcome{Duplicate: true}, nil
	}
	total := len(in.Data)
	for _, a := range b.appends {
		total += len(a.Data)
	}
	if total > blockBytesMax {
		return job.Outcome{}, sqlerr.New("54000", "a transaction can hold at most %d MB of rows for streams", blockBytesMax>>20).WithHint("Commit in between.")
	}
	in.Data = slices.Clone(in.Data)
	var out job.Outcome
	e := eventlog.Entry{Codec: in.Codec, Columns: in.Columns, Payload: in.Data, Arrival: int64(s.srv.clock())}
	rejected, err := s.srv.eng.Decode(&st.Stream, e, func(b *batch.Batch) error { out.Accepted += int64(b.N); return nil })
	out.Rejected = rejected
	b.appends = append(b.appends, in)
	return out, err
}

// has reports that the open transaction has a payload with the same idempotency key.
func (b *block) has(in Ingest) bool {
	return in.Key != "" && slices.ContainsFunc(b.appends, func(a Ingest) bool { return a.Stream == in.Stream && a.Key == in.Key })
}

// settle waits until what was appended can be read; in an open transaction it can already.
func (s *Session) settle(ctx context.Context) error {
	if s.block != nil {
		return nil
	}
	return s.srv.eng.Settle(ctx)
}

func rejectedNotice(n int64) pgwire.Notice {
	rows := "rows were"
	if n == 1 {
		rows = "row was"
	}
	return pgwire.Notice{Severity: "NOTICE", Err: sqlerr.New(sqlerr.DataException, "%d %s rejected", n, rows).
		WithHint("SELECT * FROM vigil.rejected ORDER BY at DESC shows them with the reason.")}
}

// insertIOC adds rows (catalog.IOCSchema) to a list, as one new version; values are checked before anything changes. Rows
// refused earlier go to vigil.rejected with it.
func (s *Session) insertIOC(ctx context.Context, l *catalog.IOCList, rows [][]types.Value, bad ...job.Rejected) (int, error) {
	change := job.IOCChange{ListID: l.ID, List: l.Name}
	infos, now := iocInfos{list: l}, s.srv.clock()
	for i, row := range rows {
		if row[0].Null {
			return 0, sqlerr.New(sqlerr.NotNullViolation, "null value in column \"value\" of IOC list %q", l.Name)
		}
		v, err := ioc.Normalize(l.Type, row[0].S)
		if err != nil {
			return 0, sqlerr.As(err).WithWhere("IOC list %s, row %d", l.Name, i+1)
		}
		data, _, err := infos.of(row, now)
		if err != nil {
			return 0, err
		}
		change.Add = append(change.Add, job.IOCEntry{Value: v, Meta: data})
	}
	return len(rows), s.applyIOC(ctx, job.Change{IOC: []job.IOCChange{change}, Rejected: bad})
}

// iocInfo is what a row (catalog.IOCSchema) says of its entry; added_at is the server's.
func iocInfo(row []types.Value, now types.EventTime) (ioc.Info, error) {
	info := ioc.Info{AddedAt: int64(now)}
	if !row[1].Null {
		info.Source = &row[1].S
	}
	if !row[2].Null {
		info.Confidence = &row[2].I
	}
	if !row[3].Null {
		info.ExpiresAt = &row[3].I
	}
	if !row[5].Null {
		info.FirstSeen = &row[5].I
	}
	if row[6].Null {
		return info, nil
	}
	tags, err := types.DecodeArray(types.Text, row[6].S)
	for _, t := range tags {
		if !t.Null {
			info.Tags = append(info.Tags, t.S)
		}
	}
	return info, err
}

// applyIOC makes changes of lists take effect, or part of the open transaction.
func (s *Session) applyIOC(ctx context.Context, ch job.Change) error {
	if err := s.writable("change IOC list " + ch.IOC[0].List); err != nil {
		return err
	}
	if b := s.changes(); b != nil {
		b.steps = append(b.steps, step{change: ch})
		return nil
	}
	if err := s.srv.eng.Loaded(ctx); err != nil {
		return err
	}
	s.srv.ddl.Lock()
	defer s.srv.ddl.Unlock()
	return s.srv.eng.Apply(ctx, ch)
}

func noIOCList(n parse.Name) error {
	return sqlerr.New(sqlerr.UndefinedObject, "IOC list %q does not exist", n.Name).At(n.Pos).
		WithHint("SHOW IOC LISTS names those that exist; CREATE IOC LIST makes one.")
}

// alterIOC runs ALTER IOC LIST ... ADD (...) DROP (...), as one new version.
func (s *Session) alterIOC(ctx context.Context, st *parse.AlterIOC) error {
	l, ok := s.relation(st.Name).(*catalog.IOCList)
	if !ok {
		return noIOCList(st.Name)
	}
	var need catalog.Privileges
	if len(st.Add) > 0 {
		need |= catalog.Insert
	}
	if len(st.Drop) > 0 {
		need |= catalog.Delete
	}
	if err := s.allow(l, need); err != nil {
		return err
	}
	change := job.IOCChange{ListID: l.ID, List: l.Name}
	for pass, set := range [][]parse.Expr{st.Add, st.Drop} {
		want := make([]types.Type, len(set))
		for i := range want {
			want[i] = types.T(types.Text)
		}
		vals, err := s.values(set, want)
		if err != nil {
			return err
		}
		for i, v := range vals {
			text, err := ioc.Normalize(l.Type, v.S)
			if err != nil {
				return sqlerr.As(err).At(set[i].Position())
			}
			if pass == 1 {
				change.Drop = append(change.Drop, text)
				continue
			}
			info := ioc.Info{AddedAt: int64(s.srv.clock())}
			expireAfter(&info, l, s.srv.clock())
			data, err := info.Append()
			if err != nil {
				return err
			}
			change.Add = append(change.Add, job.IOCEntry{Value: text, Meta: data})
		}
	}
	return s.applyIOC(ctx, job.Change{IOC: []job.IOCChange{change}})
}

// deleteIOC runs DELETE FROM list [WHERE ...]: the entries are found by an ordinary query.
func (s *Session) deleteIOC(ctx context.Context, st *parse.Delete) (string, error) {
	l, ok := s.relation(st.Table).(*catalog.IOCList)
	if !ok {
		if s.relation(st.Table) == nil {
			return "", sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", st.Table.Name).At(st.Table.Pos)
		}
		return "", sqlerr.New(sqlerr.WrongObjectType, "cannot delete from %q: it is not an IOC list", st.Table.Name).At(st.Table.Pos).
			WithHint("Events of a stream are facts; they go when their retention ends.")
	}
	if err := s.allow(l, catalog.Delete); err != nil {
		return "", err
	}
	q := &parse.Select{Core: &parse.SelectCore{From: []parse.TableExpr{&parse.TableRef{Name: st.Table}}, Where: st.Where,
		Items: []parse.SelectItem{{Expr: &parse.Ident{Parts: []string{"value"}}}}}}
	p, err := planner.Select(s.env(), q, nil)
	if err != nil {
		return "", err
	}
	change := job.IOCChange{ListID: l.ID, List: l.Name}
	if err := s.run(ctx, p, func(row []types.Value) error {
		change.Drop = append(change.Drop, strings.Clone(row[0].S))
		return nil
	}); err != nil {
		return "", err
	}
	if len(change.Drop) > 0 {
		if err := s.applyIOC(ctx, job.Change{IOC: []job.IOCChange{change}}); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("DELETE %d", len(change.Drop)), nil
}
