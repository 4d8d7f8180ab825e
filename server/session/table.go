package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

func (s *Server) planTable(env *planner.Env, st *parse.CreateStream, id uint64, indexes ...*parse.CreateIndex) (planned, error) {
	c, err := planner.Table(env, st, id, indexes...)
	if err != nil {
		return planned{}, err
	}
	c.Name, c.Namespace = display(st.Name), catalog.NamespaceOf(st.Name.Schema)
	return s.relation(&c.Table, c), nil
}

// scanTable reads a table for the bounded runner.
func scanTable(view table.Reader, n *spec.Node, x *spec.TableScan, emit func(*batch.Batch) error) error {
	if x.Values != nil {
		if done, err := scanKeys(view, n, x, emit); done {
			return err
		}
	}
	return view.Scan(x.TableID, func(b *batch.Batch, numbers []uint64) error {
		if x.Numbers {
			v := batch.Vec{}
			v.Reset(types.T(types.Int8))
			for _, k := range numbers {
				v.AppendInt(int64(k))
			}
			b = &batch.Batch{Schema: &n.Schema, Cols: append(b.Cols[:len(b.Cols):len(b.Cols)], v), N: b.N}
		}
		return emit(b)
	})
}

// tableChange gathers what one statement does to a table.
type tableChange struct {
	s    *Session
	t    *catalog.Table
	view table.Reader
	ch   table.Change
	drop map[uint64]bool
	// added are the keys of the rows that come, by the table's unique keys.
	added []map[string]bool
	key   []byte
	env   *task.Env // of expressions, made when they are
	// n counts the rows that the statement reports.
	n int
}

// changeTable runs a statement that changes a table: what fill gathers becomes one version of it, at once or with the open
// transaction. No other change comes between what fill reads and what it does.
func (s *Session) changeTable(ctx context.Context, t *catalog.Table, ret *returned, fill func(c *tableChange) error) (int, error) {
	if !t.Temp {
		if err := s.writable("change table " + t.Name); err != nil {
			return 0, err
		}
	}
	b := s.changes()
	if b == nil && !t.Temp {
		if err := s.srv.eng.Loaded(ctx); err != nil {
			return 0, err
		}
		s.srv.ddl.Lock()
		defer s.srv.ddl.Unlock()
	}
	c := &tableChange{s: s, t: t, view: s.tables(), drop: map[uint64]bool{}, added: make([]map[string]bool, len(t.Keys))}
	for i := range c.added {
		c.added[i] = map[string]bool{}
	}
	if err := fill(c); err != nil {
		return 0, err
	}
	if len(c.ch.Add) == 0 && len(c.ch.Drop) == 0 {
		return c.n, nil
	}
	if err := c.checkKeys(); err != nil {
		return 0, err
	}
	if err := ret.evaluate(ctx, s); err != nil {
		return 0, err
	}
	return c.n, s.applyTable(ctx, t, c.ch)
}

// applyTable makes a change take effect, or part of the open transaction.
func (s *Session) applyTable(ctx context.Context, t *catalog.Table, ch table.Change) error {
	if b := s.changes(); b != nil {
		return b.top().Apply(t.ID, &t.Table.Schema, t.Key, ch)
	}
	if t.Temp {
		return s.temp.draft.Apply(t.ID, &t.Table.Schema, t.Key, ch)
	}
	return s.srv.eng.Apply(ctx, job.Change{Tables: []job.TableChange{{TableID: t.ID, Change: ch}}})
}

func (c *tableChange) dropRow(number uint64) {
	if !c.drop[number] {
		c.drop[number] = true
		c.ch.Drop = append(c.ch.Drop, number)
	}
}

// keyOf encodes what a row has in the columns of a key; ok is false with a NULL among them, which is equal to nothing. The bytes are
// valid until the next call.
func (c *tableChange) keyOf(k *catalog.Key, row []types.Value) (key []byte, ok bool) {
	c.key, ok = appendKey(c.key[:0], k, row)
	return c.key, ok
}

func appendKey(dst []byte, k *catalog.Key, row []types.Value) ([]byte, bool) {
	for _, i := range k.Cols {
		if row[i].Null {
			return dst, false
		}
		dst = batch.AppendKeyValue(dst, row[i])
	}
	return dst, true
}

// context is what expressions are computed in, one for the statement.
func (c *tableChange) context() *expr.Ctx {
	if c.env == nil {
		c.env = c.s.taskEnv()
	}
	return &c.env.Ctx
}

// addRow adds a row after checking its NULLs; later: it takes the place of one that goes.
func (c *tableChange) addRow(row []types.Value, later bool) error {
	for i, v := range row {
		if col := c.t.Table.Schema.Cols[i]; v.Null && col.NotNull {
			return sqlerr.New(sqlerr.NotNullViolation, "null value in column %q of relation %q violates not-null constraint", col.Name, c.t.Name).
				WithDetail("Failing row contains (%s).", c.text(row, nil))
		}
	}
	for i := range c.t.Checks {
		k := &c.t.Checks[i]
		v, err := expr.EvalRow(c.context(), k.X, row)
		if err != nil {
			return err
		}
		if !v.Null && !v.Bool() {
			return sqlerr.New(sqlerr.CheckViolation, "new row for relation %q violates check constraint %q", c.t.Name, k.Name).
				WithDetail("Failing row contains (%s).", c.text(row, nil))
		}
	}
	c.ch.Add = append(c.ch.Add, table.Row{Values: row, Later: later})
	return nil
}

// checkKeys refuses a change that leaves two rows with one key.
func (c *tableChange) checkKeys() error {
	for i := range c.t.Keys {
		k := &c.t.Keys[i]
		if !k.Unique {
			continue
		}
		seen := make(map[string]bool, len(c.ch.Add))
		for _, r := range c.ch.Add {
			key, ok := c.keyOf(k, r.Values)
			if !ok {
				continue
			}
			if _, number, ok := c.view.Find(c.t.ID, k.Cols, key); ok && !c.drop[number] || seen[string(key)] {
				return c.duplicate(k, r.Values)
			}
			seen[string(key)] = true
		}
	}
	return nil
}

func (c *tableChange) duplicate(k *catalog.Key, row []types.Value) error {
	return sqlerr.New(sqlerr.UniqueViolation, "duplicate key value violates unique constraint %q", k.Name).
		WithDetail("Key (%s)=(%s) already exists.", keyColumns(c.t, k), c.text(row, k.Cols))
}

// keyColumns are the names of a key's columns.
func keyColumns(t *catalog.Table, k *catalog.Key) string {
	names := make([]string, len(k.Cols))
	for i, col := range k.Cols {
		names[i] = t.Table.Schema.Cols[col].Name
	}
	return strings.Join(names, ", ")
}

// text prints columns of a row, all when cols is nil.
func (c *tableChange) text(row []types.Value, cols []int) string {
	if cols == nil {
		for i := range row {
			cols = append(cols, i)
		}
	}
	parts := make([]string, len(cols))
	for i, k := range cols {
		parts[i] = "null"
		if !row[k].Null {
			parts[i] = string(types.AppendText(nil, row[k], c.s.TextFormat()))
		}
	}
	return strings.Join(parts, ", ")
}

// insertTable adds full rows to a table; a nil conflict refuses rows whose key is there. It returns how many were
// inserted or updated.
func (s *Session) insertTable(ctx context.Context, t *catalog.Table, rows [][]types.Value, on *planner.Conflict, ret *returned) (int, error) {
	return s.changeTable(ctx, t, ret, func(c *tableChange) error {
		for _, row := range rows {
			n := len(c.ch.Add)
			if err := c.insert(row, on); err != nil {
				return err
			}
			if len(c.ch.Add) > n {
				ret.add(c.ch.Add[n].Values)
			}
		}
		return nil
	})
}

// insert adds one row, or does what ON CONFLICT says.
func (c *tableChange) insert(row []types.Value, on *planner.Conflict) error {
	if on == nil {
		c.n++
		return c.addRow(row, false)
	}
	for _, at := range on.Keys {
		k := &c.t.Keys[at]
		key, ok := c.keyOf(k, row)
		if !ok {
			continue
		}
		again := c.added[at][string(key)]
		old, number, there := c.view.Find(c.t.ID, k.Cols, key)
		switch {
		case !again && !there:
			continue
		case on.Row == nil:
			return nil
		case again || c.drop[number]:
			return sqlerr.New("21000", "ON CONFLICT DO UPDATE command cannot affect row a second time").
				WithHint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
		}
		next, ok, err := c.update(on, append(old, row...))
		if err != nil || !ok {
			return err
		}
		c.note(next)
		c.n++
		c.dropRow(number)
		return c.addRow(next, true)
	}
	c.note(row)
	c.n++
	return c.addRow(row, false)
}

// note remembers the keys of a row that comes.
func (c *tableChange) note(row []types.Value) {
	for i := range c.t.Keys {
		if key, ok := c.keyOf(&c.t.Keys[i], row); ok {
			c.added[i][string(key)] = true
		}
	}
}

// update computes the row of ON CONFLICT DO UPDATE; false when its WHERE is not met.
func (c *tableChange) update(u *planner.Conflict, both []types.Value) ([]types.Value, bool, error) {
	if u.Where != nil {
		v, err := expr.EvalRow(c.context(), u.Where, both)
		if err != nil || v.Null || !v.Bool() {
			return nil, false, err
		}
	}
	out := make([]types.Value, len(u.Row))
	for i, e := range u.Row {
		var err error
		if out[i], err = expr.EvalRow(c.context(), e, both); err != nil {
			return nil, false, err
		}
	}
	return out, true, nil
}

// conflictOf plans ON CONFLICT.
func (s *Session) conflictOf(st *parse.Insert, t *target) (*planner.Conflict, error) {
	if st.Conflict == nil {
		return nil, nil
	}
	if t.table == nil {
		return nil, sqlerr.NotSupported("ON CONFLICT for something other than a table", "Leave it out: events may repeat, and an IOC list keeps the newest entry of a value.").
			At(st.Conflict.Pos)
	}
	return planner.OnConflict(s.env(), st, t.table)
}

// planUpdate plans UPDATE.
func (s *Session) planUpdate(st *parse.Update, hints []types.Type) (*statement, error) {
	ch, err := planner.Update(s.env(), st, hints)
	if err != nil {
		return nil, err
	}
	reads := st.Where != nil || len(st.From)+len(st.Returning) > 0 || readsTarget(st.Set)
	if err := s.allowChange(ch.Target, catalog.Update, reads); err != nil {
		return nil, err
	}
	n := len(ch.Target.RelSchema().Cols)
	return s.changeRows("UPDATE", ch, func(c *tableChange, row []types.Value, ret *returned) error {
		next := append([]types.Value(nil), row[1:1+n]...)
		if ret != nil {
			ret.add(append(next[:n:n], row[1+n+n:]...)) // in the place of the old row, which comes first
		}
		return c.addRow(next, true)
	}), nil
}

// planDelete plans DELETE FROM a table.
func (s *Session) planDelete(st *parse.Delete, hints []types.Type) (*statement, error) {
	ch, err := planner.Delete(s.env(), st, hints)
	if err != nil {
		return nil, err
	}
	if err := s.allowChange(ch.Target, catalog.Delete, st.Where != nil || len(st.From)+len(st.Returning) > 0); err != nil {
		return nil, err
	}
	return s.changeRows("DELETE", ch, func(_ *tableChange, row []types.Value, ret *returned) error {
		ret.add(append([]types.Value(nil), row[1:]...))
		return nil
	}), nil
}

// changeRows is a statement that does something with each row of a program over the table that it changes: once, however often
// a row was joined.
func (s *Session) changeRows(tag string, ch *planner.Change, each func(*tableChange, []types.Value, *returned) error) *statement {
	t := ch.Target.(*catalog.Table)
	return s.changing(tag, ch, func(ctx context.Context, params []types.Value, ret *returned, _ pgwire.Output) (int, error) {
		return s.changeTable(ctx, t, ret, func(c *tableChange) error {
			return s.run(ctx, planner.BindParams(ch.Rows, params), func(row []types.Value) error {
				number := uint64(row[0].I)
				if c.drop[number] {
					return nil
				}
				c.n++
				c.dropRow(number)
				return each(c, row, ret)
			})
		})
	})
}

// truncate runs TRUNCATE: all tables are emptied in one step.
func (s *Session) truncate(ctx context.Context, st *parse.Truncate) error {
	tables, err := s.truncated(st)
	if err != nil {
		return err
	}
	if st.Restart && s.changes() != nil { // sequences belong to no transaction: ROLLBACK could not undo it
		return sqlerr.NotSupported("TRUNCATE .. RESTART IDENTITY in a transaction block", "Run it outside, or ALTER SEQUENCE .. RESTART.")
	}
	if s.changes() == nil {
		s.srv.ddl.Lock()
		defer s.srv.ddl.Unlock()
	}
	view := s.tables()
	var all job.Change
	for _, t := range tables {
		numbers, err := rowNumbers(view, t.ID)
		if err != nil {
			return err
		}
		if len(numbers) == 0 {
			continue
		}
		if s.changes() == nil && !t.Temp {
			all.Tables = append(all.Tables, job.TableChange{TableID: t.ID, Change: table.Change{Drop: numbers}})
			continue
		}
		if err := s.applyTable(ctx, t, table.Change{Drop: numbers}); err != nil {
			return err
		}
	}
	if len(all.Tables) > 0 {
		if err := s.srv.eng.Apply(ctx, all); err != nil {
			return err
		}
	}
	return s.restartIdentity(st, tables)
}

// restartIdentity does what RESTART IDENTITY says: the sequences of the tables' columns begin again.
func (s *Session) restartIdentity(st *parse.Truncate, tables []*catalog.Table) error {
	for _, t := range tables {
		if !st.Restart {
			return nil
		}
		for _, q := range s.snapshot().OwnedBy(t.ID) {
			if err := s.srv.eng.SequenceSet(&q.SequenceDef, q.Start, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// truncated resolves the names of TRUNCATE, each table once.
func (s *Session) truncated(st *parse.Truncate) ([]*catalog.Table, error) {
	var list []*catalog.Table
	for _, name := range st.Tables {
		rel := s.relation(name)
		t, ok := rel.(*catalog.Table)
		if rel == nil {
			return nil, sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", name.Name).At(name.Pos)
		}
		if !ok {
			return nil, sqlerr.New(sqlerr.WrongObjectType, "%q is not a table", name.Name).At(name.Pos)
		}
		if err := s.allow(t, catalog.Truncate); err != nil {
			return nil, err
		}
		if !t.Temp {
			if err := s.writable("truncate table " + t.Name); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return list, nil
}

// copyTable loads rows into a table, all of them or none, as one version.
func (s *Session) copyTable(ctx context.Context, t *target, f *copyFormat, p *pieces) (string, error) {
	format, columns := f.codec(), t.columns
	if f.json { // a table has no format of its own
		format, columns = "JSON", nil
	}
	loose := &types.Schema{Cols: slices.Clone(t.schema.Cols)} // NOT NULL is checked when defaults are in
	for i := range loose.Cols {
		loose.Cols[i].NotNull = false
	}
	dec, err := s.srv.eng.Decoder(loose, format, columns)
	if err != nil {
		return "", err
	}
	l := &tableLoader{t: t, dec: dec, fill: make([]bool, len(t.schema.Cols)), ctx: &s.taskEnv().Ctx, held: s.newHolding()}
	for i := range l.fill {
		l.fill[i] = columns != nil
	}
	for _, c := range columns {
		l.fill[c] = false
	}
	for {
		data, err := p.next()
		if err := l.add(data); err != nil {
			return "", err
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	n, err := s.insertTable(ctx, t.table, l.rows, nil, nil)
	return fmt.Sprintf("COPY %d", n), err
}

// tableLoader gathers the rows of a COPY into a table.
type tableLoader struct {
	t     *target
	dec   codec.Decoder
	fill  []bool // columns that get their default
	ctx   *expr.Ctx
	rows  [][]types.Value
	held  holding
	lines int64
}

// add decodes a piece; the first row that is none ends the load.
func (l *tableLoader) add(data []byte) error {
	b := batch.New(l.t.schema, nil)
	var rej []codec.Reject
	for len(data) > 0 {
		b.Reset(nil)
		rej = rej[:0]
		n := l.dec.Decode(data, b, batch.RowsMax, &rej)
		if len(rej) > 0 {
			raw := rej[0].Raw[:min(len(rej[0].Raw), codec.RawMax)]
			return sqlerr.As(rej[0].Err).WithWhere("COPY %s, about line %d: %q", l.t.table.Name, l.lines+int64(b.N)+1, strings.TrimRight(string(raw), "\r\n"))
		}
		if n <= 0 {
			return nil
		}
		for i := range b.N {
			row := b.Row(nil, i)
			for c, fill := range l.fill {
				if x := l.t.table.Defaults[c]; fill && x != nil {
					var err error
					if row[c], err = expr.EvalRow(l.ctx, x, nil); err != nil {
						return err
					}
				}
			}
			if err := l.held.add(row); err != nil {
				return err
			}
			l.rows = append(l.rows, row)
		}
		l.lines += int64(b.N)
		data = data[n:]
	}
	return nil
}

// tableRows are the rows of vigil.tables.
func (srv *Server) tableRows(add func([]types.Value) error) error {
	view := srv.eng.Tables()
	for _, t := range srv.cat.Snapshot().Tables() {
		var key []string
		for _, k := range t.Key {
			key = append(key, t.Table.Schema.Cols[k].Name)
		}
		if err := add([]types.Value{text(t.Name), textOrNull(strings.Join(key, ", ")), big(int64(view.Len(t.ID))), text(t.SQL)}); err != nil {
			return err
		}
	}
	return nil
}
