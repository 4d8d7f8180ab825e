package session

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// tempIDs is where the numbers of temporary tables begin: above those of users' objects, below those of system relations.
const tempIDs = 1 << 29

// tempTablesMax is how many temporary tables a connection may have.
const tempTablesMax = 1000

// tempTables are the tables of one connection. They are in memory, nobody else sees them, and they end with it.
type tempTables struct {
	draft *table.Draft
	list  []*catalog.Table
	// onCommit is what COMMIT does with a table, by its number: "DROP", "DELETE ROWS", or nothing.
	onCommit map[uint64]string
	next     uint64
	// base and seen are the snapshot that on was asked for last, and its answer; base is nil when the tables have changed.
	base, seen *catalog.Snapshot
}

func newTempTables() *tempTables {
	return &tempTables{draft: table.NewDraft(tempLevel), onCommit: map[uint64]string{}, next: tempIDs}
}

// set replaces the list.
func (t *tempTables) set(list []*catalog.Table) { t.list, t.base, t.seen = list, nil, nil }

// on is a snapshot with the tables; the same one for the same snapshot, as long as the tables are the same.
func (t *tempTables) on(cur *catalog.Snapshot) *catalog.Snapshot {
	if len(t.list) == 0 {
		return cur
	}
	if t.base != cur {
		t.base, t.seen = cur, cur.WithTemp(t.list)
	}
	return t.seen
}

func (t *tempTables) table(id uint64) *catalog.Table {
	for _, x := range t.list {
		if x.ID == id {
			return x
		}
	}
	return nil
}

func (t *tempTables) named(name string) *catalog.Table {
	for _, x := range t.list {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// createTemp runs CREATE TEMP TABLE.
func (s *Session) createTemp(st *parse.CreateStream, out pgwire.Output) error {
	if have, _ := s.snapshot().Held(s.actor(), catalog.ClassDatabase, catalog.DatabaseAccess); have&catalog.Temporary == 0 {
		return denied("permission denied to create temporary tables in database %q", databaseName)
	}
	if st.Name.Schema != "" && st.Name.Schema != catalog.PgTemp {
		return sqlerr.New(sqlerr.InvalidTableDefinition, "cannot create temporary relation in non-temporary schema").At(st.Name.Pos)
	}
	if s.temp.named(st.Name.Name) != nil {
		if st.IfNotExists {
			out.Notice(notice(sqlerr.DuplicateTable, "relation %q already exists, skipping", st.Name.Name))
			return nil
		}
		return sqlerr.New(sqlerr.DuplicateTable, "relation %q already exists", st.Name.Name).At(st.Name.Pos)
	}
	if len(s.temp.list) >= tempTablesMax {
		return sqlerr.New("54000", "a connection can have at most %d temporary tables", tempTablesMax).WithHint("DROP those that are done with.")
	}
	for _, c := range st.Columns {
		if c.Identity != nil {
			return sqlerr.NotSupported("an identity column of a temporary table", "Give the values in INSERT, or use row_number().").At(c.Pos)
		}
	}
	planner.NameConstraints(st, func(string) bool { return false })
	s.temp.next++
	c, err := planner.Table(s.env(), st, s.temp.next)
	if err != nil {
		return err
	}
	c.Temp, c.SQL, c.Namespace = true, parse.Print(st), catalog.PgTemp
	s.temp.add(c, st.OnCommit)
	if b := s.changes(); b != nil {
		b.undo = append(b.undo, func() { s.temp.remove(c.ID) })
	}
	return nil
}

func (t *tempTables) add(c *catalog.Table, onCommit string) {
	t.set(append(t.list, c))
	t.draft.Create(c.ID, &c.Table.Schema, c.Key)
	t.onCommit[c.ID] = onCommit
}

func (t *tempTables) remove(id uint64) {
	t.set(slices.DeleteFunc(t.list, func(x *catalog.Table) bool { return x.ID == id }))
	t.draft.Remove(id)
}

// dropTemp takes the temporary ones out of the names of DROP TABLE, and drops them.
func (s *Session) dropTemp(st *parse.Drop) *parse.Drop {
	rest := *st
	rest.Names = nil
	for _, n := range st.Names {
		t := s.temp.named(n.Name)
		if st.Kind != "TABLE" || t == nil || n.Schema != "" && n.Schema != catalog.PgTemp {
			rest.Names = append(rest.Names, n)
			continue
		}
		b := s.changes()
		if b == nil {
			s.temp.remove(t.ID)
			continue
		}
		s.temp.set(slices.DeleteFunc(s.temp.list, func(x *catalog.Table) bool { return x.ID == t.ID }))
		b.undo = append(b.undo, func() { s.temp.set(append(s.temp.list, t)) })
	}
	return &rest
}

// committed does what ON COMMIT says.
func (t *tempTables) committed() error {
	for _, x := range slices.Clone(t.list) {
		switch t.onCommit[x.ID] {
		case "DROP":
			t.remove(x.ID)
		case "DELETE ROWS":
			t.draft.Remove(x.ID)
			t.draft.Create(x.ID, &x.Table.Schema, x.Key)
		}
	}
	return nil
}

// snapshot is the catalogue as the connection sees it: with what its open transaction changed, and its temporary tables.
func (s *Session) snapshot() *catalog.Snapshot {
	cur := s.srv.cat.Snapshot()
	if s.block != nil && s.block.cat != nil {
		cur = s.block.cat.Snapshot()
	}
	return s.temp.on(cur)
}

// tables is all tables as the connection sees them.
func (s *Session) tables() table.Reader {
	r := s.temp.draft.On(s.srv.eng.Tables())
	if s.block != nil {
		for i := range s.block.levels {
			r = s.block.levels[i].draft.On(r)
		}
	}
	return r
}

// rowNumbers lists the versions of a table's living rows.
func rowNumbers(r table.Reader, id uint64) (list []uint64, err error) {
	err = r.Scan(id, func(_ *batch.Batch, numbers []uint64) error {
		list = append(list, numbers...)
		return nil
	})
	return list, err
}
