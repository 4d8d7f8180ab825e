package session

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// alteration is a table on its way to what ALTER TABLE or CREATE INDEX makes of it.
type alteration struct {
	s   *Session
	sc  *scope
	out pgwire.Output
	t   *catalog.Table
	// def and indexes are the statements that make the table.
	def     *parse.CreateStream
	indexes []*parse.CreateIndex
	// from tells per column of def where its values come from: a column of t, or -1 for its default.
	from []int
	// rebuilt: rows or the primary key are others, so a new table takes the place of the old one. meaning: queries that look the
	// table up may be planned otherwise afterwards.
	rebuilt, meaning bool
	rename           string
	sequences        []*catalog.Sequence
}

// alterationOf begins a change of a table.
func (s *Session) alterationOf(sc *scope, t *catalog.Table, out pgwire.Output) (*alteration, error) {
	if t.Temp {
		return nil, sqlerr.NotSupported("a change of a temporary table's definition", "Create it again as it should be.")
	}
	if err := sc.own(kindTable, t.ID, t.Name); err != nil {
		return nil, err
	}
	list, err := parse.Parse(t.SQL)
	if err != nil {
		return nil, err
	}
	a := &alteration{s: s, sc: sc, t: t, out: out, def: list[0].Stmt.(*parse.CreateStream)}
	for _, k := range t.Keys {
		if !k.Index {
			continue
		}
		x, err := parse.Parse(k.SQL)
		if err != nil {
			return nil, err
		}
		a.indexes = append(a.indexes, x[0].Stmt.(*parse.CreateIndex))
	}
	for i := range a.def.Columns {
		a.from = append(a.from, i)
	}
	return a, nil
}

// tableNamed finds the table of a statement; nil when it is missing and may be.
func (sc *scope) tableNamed(s *Session, name parse.Name, ifExists bool, out pgwire.Output) (*catalog.Table, error) {
	r := s.relation(name)
	t, ok := r.(*catalog.Table)
	switch {
	case r == nil && ifExists:
		out.Notice(notice(sqlerr.UndefinedTable, "relation %q does not exist, skipping", name.Name))
		return nil, nil
	case r == nil:
		return nil, sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", name.Name)
	case !ok:
		_, stream := r.(*catalog.Stream)
		if stream {
			return nil, sqlerr.NotSupported("an index or a change of the columns of a stream", "Streams need no indexes; for other columns drop the stream and create it again.").At(name.Pos)
		}
		return nil, sqlerr.New(sqlerr.WrongObjectType, "%q is not a table", name.Name).At(name.Pos)
	}
	return t, nil
}

// alterTable runs ALTER TABLE.
func (s *Session) alterTable(ctx context.Context, sc *scope, st *parse.AlterTable, out pgwire.Output) error {
	t, err := sc.tableNamed(s, st.Table, st.IfExists, out)
	if t == nil || err != nil {
		return err
	}
	a, err := s.alterationOf(sc, t, out)
	if err != nil {
		return err
	}
	for i := range st.Actions {
		if err := a.action(&st.Actions[i]); err != nil {
			return err
		}
	}
	return a.apply(ctx)
}

// column finds a column of the definition.
func (a *alteration) column(x *parse.AlterAction) (*parse.ColumnDef, int, error) {
	for i := range a.def.Columns {
		if a.def.Columns[i].Name == x.Name {
			return &a.def.Columns[i], i, nil
		}
	}
	return nil, -1, sqlerr.New(sqlerr.UndefinedColumn, "column %q of relation %q does not exist", x.Name, a.t.Name)
}

// action changes the definition.
func (a *alteration) action(x *parse.AlterAction) error {
	switch x.Kind {
	case "ADD COLUMN":
		return a.addColumn(x)
	case "ADD CONSTRAINT":
		return a.addConstraint(x)
	case "DROP CONSTRAINT":
		return a.dropConstraint(x)
	case "RENAME CONSTRAINT":
		return a.renameConstraint(x)
	case "RENAME":
		a.rename = x.To
		a.def.KeyName = a.primaryName()
		a.def.Name = parse.Name{Schema: string(a.t.Namespace), Name: x.To}
		for _, i := range a.indexes {
			i.Table = a.def.Name
		}
		return nil
	}
	d, i, err := a.column(x)
	if err != nil {
		if x.Kind == "DROP COLUMN" && x.Exists {
			a.out.Notice(notice(sqlerr.UndefinedColumn, "column %q of relation %q does not exist, skipping", x.Name, a.t.Name))
			return nil
		}
		return err
	}
	switch x.Kind {
	case "DROP COLUMN":
		return a.dropColumn(x, i)
	case "RENAME COLUMN":
		return a.renameColumn(x, d)
	case "SET DEFAULT", "DROP DEFAULT":
		if d.Identity != nil {
			return sqlerr.New(sqlerr.SyntaxError, "column %q of relation %q is an identity column", x.Name, a.t.Name)
		}
		d.Default = x.Default
	case "SET NOT NULL":
		d.NotNull = true
	case "DROP NOT NULL":
		switch {
		case d.Primary:
			return sqlerr.New(sqlerr.InvalidTableDefinition, "column %q is in a primary key", x.Name)
		case d.Identity != nil:
			return sqlerr.New(sqlerr.SyntaxError, "column %q of relation %q is an identity column", x.Name, a.t.Name)
		}
		a.meaning = a.meaning || d.NotNull
		d.NotNull = false
	}
	return nil
}

// primaryName is the name of the primary key, written out where there is one.
func (a *alteration) primaryName() string {
	for _, k := range a.t.Keys {
		if k.Primary && a.def.KeyName == "" {
			return k.Name
		}
	}
	return a.def.KeyName
}

func (a *alteration) addColumn(x *parse.AlterAction) error {
	if _, _, err := a.column(x); err == nil {
		if x.Exists {
			a.out.Notice(notice(sqlerr.DuplicateColumn, "column %q of relation %q already exists, skipping", x.Name, a.t.Name))
			return nil
		}
		return sqlerr.New(sqlerr.DuplicateColumn, "column %q of relation %q already exists", x.Name, a.t.Name)
	}
	if x.Columns[0].Primary {
		if a.hasPrimary() {
			return sqlerr.New(sqlerr.InvalidTableDefinition, "multiple primary keys for table %q are not allowed", a.t.Name)
		}
		a.def.KeyName = x.KeyName
	}
	a.def.Columns = append(a.def.Columns, x.Columns[0])
	a.def.Constraints = append(a.def.Constraints, x.Constraints...)
	a.from = append(a.from, -1)
	a.rebuilt = true
	return nil
}

func (a *alteration) hasPrimary() bool {
	return slices.ContainsFunc(a.def.Columns, func(d parse.ColumnDef) bool { return d.Primary })
}

func (a *alteration) addConstraint(x *parse.AlterAction) error {
	if len(x.Key) == 0 {
		a.def.Constraints = append(a.def.Constraints, x.Constraints...)
		return nil
	}
	if a.hasPrimary() {
		return sqlerr.New(sqlerr.InvalidTableDefinition, "multiple primary keys for table %q are not allowed", a.t.Name)
	}
	for _, name := range x.Key {
		d, _, err := a.column(&parse.AlterAction{Name: name})
		if err != nil {
			return sqlerr.New(sqlerr.UndefinedColumn, "column %q of relation %q does not exist", name, a.t.Name)
		}
		d.Primary = true
	}
	a.def.KeyName, a.rebuilt = x.KeyName, true
	return nil
}

func (a *alteration) dropConstraint(x *parse.AlterAction) error {
	if a.hasPrimary() && a.keyName() == x.Name {
		for i := range a.def.Columns {
			if d := &a.def.Columns[i]; d.Primary {
				d.Primary, d.NotNull = false, true
			}
		}
		a.def.KeyName, a.rebuilt = "", true
		return nil
	}
	before := len(a.def.Constraints)
	a.def.Constraints = slices.DeleteFunc(a.def.Constraints, func(k parse.Constraint) bool { return k.Name == x.Name })
	if len(a.def.Constraints) < before {
		return nil
	}
	if x.Exists {
		a.out.Notice(notice(sqlerr.UndefinedObject, "constraint %q of relation %q does not exist, skipping", x.Name, a.t.Name))
		return nil
	}
	return sqlerr.New(sqlerr.UndefinedObject, "constraint %q of relation %q does not exist", x.Name, a.t.Name)
}

// keyName is the name of the primary key as the definition stands.
func (a *alteration) keyName() string {
	if n := a.primaryName(); n != "" {
		return n
	}
	return a.def.Name.Name + "_pkey"
}

func (a *alteration) renameConstraint(x *parse.AlterAction) error {
	if a.hasPrimary() && a.keyName() == x.Name {
		a.def.KeyName = x.To
		return nil
	}
	for i := range a.def.Constraints {
		if k := &a.def.Constraints[i]; k.Name == x.Name {
			k.Name = x.To
			return nil
		}
	}
	return sqlerr.New(sqlerr.UndefinedObject, "constraint %q for table %q does not exist", x.Name, a.t.Name)
}

// dropColumn takes a column out, with the constraints and indexes over it.
func (a *alteration) dropColumn(x *parse.AlterAction, at int) error {
	names := func(k parse.Constraint) bool { return slices.Contains(k.Columns, x.Name) || mentions(k.Check, x.Name) }
	if len(a.def.Columns) == 1 {
		return sqlerr.NotSupported("a table without columns", "DROP TABLE drops it.").At(x.Pos)
	}
	if a.def.Columns[at].Primary {
		for i := range a.def.Columns {
			if d := &a.def.Columns[i]; d.Primary {
				d.Primary, d.NotNull = false, true
			}
		}
		a.def.KeyName = ""
	}
	a.def.Constraints = slices.DeleteFunc(a.def.Constraints, names)
	a.indexes = slices.DeleteFunc(a.indexes, func(i *parse.CreateIndex) bool {
		return slices.ContainsFunc(i.Columns, func(c parse.IndexColumn) bool { return c.Name == x.Name })
	})
	a.def.Columns = slices.Delete(a.def.Columns, at, at+1)
	a.from = slices.Delete(a.from, at, at+1)
	a.rebuilt = true
	return nil
}

// mentions tells whether an expression names a column.
func mentions(e parse.Expr, column string) (found bool) {
	if e == nil {
		return false
	}
	parse.Walk(e, func(n any) {
		if id, ok := n.(*parse.Ident); ok && id.Parts[len(id.Parts)-1] == column {
			found = true
		}
	})
	return found
}

func (a *alteration) renameColumn(x *parse.AlterAction, d *parse.ColumnDef) error {
	if _, _, err := a.column(&parse.AlterAction{Name: x.To}); err == nil {
		return sqlerr.New(sqlerr.DuplicateColumn, "column %q of relation %q already exists", x.To, a.t.Name)
	}
	d.Name = x.To
	for i := range a.def.Constraints {
		k := &a.def.Constraints[i]
		for c := range k.Columns {
			if k.Columns[c] == x.Name {
				k.Columns[c] = x.To
			}
		}
		parse.Walk(k.Check, func(n any) {
			if id, ok := n.(*parse.Ident); ok && id.Parts[len(id.Parts)-1] == x.Name {
				id.Parts[len(id.Parts)-1] = x.To
			}
		})
	}
	for _, i := range a.indexes {
		for c := range i.Columns {
			if i.Columns[c].Name == x.Name {
				i.Columns[c].Name = x.To
			}
		}
	}
	for _, q := range a.sc.cat.Snapshot().OwnedBy(a.t.ID) {
		if q.Column == x.Name {
			c := *q
			c.Column = x.To
			a.sequences = append(a.sequences, &c)
		}
	}
	a.meaning = true
	return nil
}

// apply makes the table what the definition says.
func (a *alteration) apply(ctx context.Context) error {
	id := a.t.ID
	if users := a.sc.cat.Snapshot().TableUsers(id); (a.rebuilt || a.meaning) && len(users) > 0 {
		slices.SortFunc(users, func(x, y *catalog.Query) int { return cmp.Compare(x.ID, y.ID) }) // who names the table before who reads that
		return sqlerr.New(sqlerr.DependentObjectsExist, "cannot alter table %s because other objects depend on it", a.t.Name).
			WithDetail("continuous query %s depends on table %s", users[0].Name, a.t.Name).
			WithHint("Drop the query first, and create it again afterwards.")
	}
	if a.rebuilt {
		var err error
		if id, err = a.sc.eng.NextID(); err != nil {
			return err
		}
	}
	def, made, err := a.sc.withSequences(a.def, id)
	if err != nil {
		return err
	}
	snap := a.sc.cat.Snapshot()
	planner.NameConstraints(def, snap.Taken(string(a.t.Namespace)))
	next, err := planner.Table(a.sc.env(), def, id, a.indexes...)
	if err != nil {
		return err
	}
	next.Name, next.Namespace = display(def.Name), a.t.Namespace
	if err := a.freeNames(next); err != nil {
		return err
	}
	rows, numbers, err := a.rows(next, made)
	if err != nil {
		return err
	}
	return a.step(ctx, next, made, rows, numbers)
}

// freeNames refuses names of new keys that are in use.
func (a *alteration) freeNames(next *catalog.Table) error {
	for i, k := range next.Keys {
		was := slices.ContainsFunc(a.t.Keys, func(o catalog.Key) bool { return o.Name == k.Name })
		twice := slices.ContainsFunc(next.Keys[:i], func(o catalog.Key) bool { return o.Name == k.Name })
		if twice || !was && a.sc.cat.Snapshot().Taken(string(a.t.Namespace))(k.Name) {
			return sqlerr.New(sqlerr.DuplicateTable, "relation %q already exists", k.Name)
		}
	}
	return nil
}

// rows computes the rows of the table as it will be, and sees that they keep its constraints; numbers are the rows as they are.
func (a *alteration) rows(next *catalog.Table, made []*catalog.Sequence) (rows [][]types.Value, numbers []uint64, err error) {
	env := &a.s.taskEnv().Ctx
	fresh := map[string]*spec.SequenceDef{}
	for _, q := range made {
		fresh[q.Column] = &q.SequenceDef
	}
	v := newValidation(a.s, next)
	err = a.s.tables().Scan(a.t.ID, func(b *batch.Batch, list []uint64) error {
		numbers = append(numbers, list...)
		for r := range b.N {
			old := b.Row(nil, r)
			row := make([]types.Value, len(a.from))
			for i, from := range a.from {
				switch d := next.Defaults[i]; {
				case from >= 0:
					row[i] = old[from]
				case fresh[next.Table.Schema.Cols[i].Name] != nil:
					n, err := a.sc.eng.SequenceNext(fresh[next.Table.Schema.Cols[i].Name])
					if err != nil {
						return err
					}
					row[i] = types.NewInt(next.Table.Schema.Cols[i].Type.Kind, n)
				case d != nil:
					var err error
					if row[i], err = expr.EvalRow(env, d, nil); err != nil {
						return err
					}
				default:
					row[i] = types.Null(next.Table.Schema.Cols[i].Type)
				}
			}
			if err := v.row(row); err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return nil
	})
	return rows, numbers, err
}

// step is the change that the alteration makes.
func (a *alteration) step(ctx context.Context, next *catalog.Table, made []*catalog.Sequence, rows [][]types.Value, numbers []uint64) error {
	s, id := a.sc, a.t.ID
	var st step
	if a.rename != "" {
		var err error
		if st, err = s.renamed(kindTable, a.t, a.rename, next); err != nil {
			return err
		}
	}
	st.change.Create = created(made, s.clock())
	o := object(kindTable, next.ID, next.Name, tableText(next), &next.Table)
	relations := []catalog.Relation{}
	for _, q := range made {
		relations = append(relations, q)
	}
	for _, q := range a.owned() {
		c := *q
		if c.Owner = next.ID; next.Table.Schema.Index(c.Column) < 0 { // it goes with its column
			st.change.Drop = append(st.change.Drop, object(kindSequence, q.ID, q.Name, q.SQL, &q.SequenceDef))
			continue
		}
		relations = append(relations, &c)
		st.change.Alter = append(st.change.Alter, sequenceObject(&c))
	}
	gone, first := st.change.Drop, st.publish
	if a.rebuilt {
		st.change.Drop = append(st.change.Drop, object(kindTable, id, a.t.Name, tableText(a.t), &a.t.Table))
		o.Meta.Props = map[string]string{propCreated: itoa64(int64(s.clock()))}
		access, err := s.withAccess(&o, s.existing(a.t))
		if err != nil {
			return err
		}
		first = access
		st.change.Create = append(st.change.Create, o)
	} else {
		st.change.Alter = append(st.change.Alter, o)
	}
	st.publish = func(cat *catalog.Catalog) {
		if first != nil {
			first(cat)
		}
		for _, g := range gone {
			cat.Remove(a.t.RelNamespace(), bareName(g.Meta.Name, a.t.Namespace))
		}
		if a.rebuilt {
			cat.Remove(a.t.RelNamespace(), a.t.RelName())
		}
		putting(append(relations, next)...)(cat)
	}
	st.unchanged = map[uint64][]uint64{id: a.ownNumbers(numbers)}
	if a.rebuilt {
		return a.rebuild(ctx, st, next, rows)
	}
	return s.apply(ctx, st)
}

// bareName is a sequence's name without its schema.
func bareName(name string, n catalog.Namespace) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, string(n)), map[bool]string{true: "."}[n != ""])
}

// owned are the table's sequences, as the actions left them.
func (a *alteration) owned() []*catalog.Sequence {
	list := a.sc.cat.Snapshot().OwnedBy(a.t.ID)
	for i, q := range list {
		for _, c := range a.sequences {
			if c.ID == q.ID {
				list[i] = c
			}
		}
	}
	return list
}

// ownNumbers leaves the rows of the open block out.
func (a *alteration) ownNumbers(list []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(list), func(n uint64) bool { return n>>table.LevelShift != 0 })
}

// rebuild puts a new table with the rows in the place of the old one.
func (a *alteration) rebuild(ctx context.Context, st step, next *catalog.Table, rows [][]types.Value) error {
	ch := table.Change{}
	for _, r := range rows {
		ch.Add = append(ch.Add, table.Row{Values: r})
	}
	if a.sc.block == nil {
		if len(rows) > 0 {
			st.change.Tables = []job.TableChange{{TableID: next.ID, Change: ch}}
		}
		return a.sc.apply(ctx, st)
	}
	if err := a.sc.apply(ctx, st); err != nil {
		return err
	}
	a.sc.block.top().Create(next.ID, &next.Table.Schema, next.Key)
	return a.sc.block.top().Apply(next.ID, &next.Table.Schema, next.Key, ch)
}
