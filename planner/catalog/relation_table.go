package catalog

import (
	"maps"
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Table is a keyed relation that statements change.
type Table struct {
	spec.Table
	Namespace
	SQL string // canonical CREATE TABLE
	// Temp: it is one connection's own, and goes with it.
	Temp bool
	// Defaults are the values of columns that an INSERT does not name, by column; nil: NULL. They read no rows.
	Defaults []expr.Expr
	// DefaultText is what was written, "" where nothing was.
	DefaultText []string
	// Keys are the primary key, if there is one, unique constraints and indexes.
	Keys   []Key
	Checks []Check
	// Identity tells per column whether it is GENERATED AS IDENTITY: 'a' ALWAYS, 'd' BY DEFAULT, 0 not.
	Identity []byte
}

// Key is an index of a table: of its primary key, of a unique constraint, or made by CREATE INDEX (Index).
type Key struct {
	Name            string
	Cols            []int
	Primary, Unique bool
	Index           bool
	// SQL is the canonical CREATE INDEX.
	SQL string
	// Options are Postgres' indoption bits by column: 1 is DESC, 2 is NULLS FIRST.
	Options []int64
}

// Check is a CHECK constraint: X over the table's row must not be false.
type Check struct {
	Name string
	X    expr.Expr
	Text string
	Cols []int
}

// HasDefault tells whether a column has a default.
func (t *Table) HasDefault(col int) bool { return t.Defaults[col] != nil }

// RelName, RelID and RelSchema implement Relation.
func (t *Table) RelName() string          { return t.bare(t.Name) }
func (t *Table) RelID() uint64            { return t.ID }
func (t *Table) RelSchema() *types.Schema { return &t.Table.Schema }

// Tables lists the tables by name, the connection's temporary ones last.
func (s *Snapshot) Tables() []*Table {
	out := relationsOf[*Table](s)
	for _, name := range slices.Sorted(maps.Keys(s.temp)) {
		out = append(out, s.temp[name])
	}
	return out
}

// TableUsers lists the queries that look rows up in a table, by name.
func (s *Snapshot) TableUsers(id uint64) []*Query {
	return s.users(func(q *Query) bool { return contains(q.Tables, id) })
}

// TableRows is a table's rows with the numbers of their versions behind them, as statements that change them read it.
type TableRows struct{ *Table }

// RelSchema implements Relation.
func (t *TableRows) RelSchema() *types.Schema {
	cols := t.Table.Table.Schema.Cols
	return &types.Schema{Cols: append(cols[:len(cols):len(cols)], types.Column{Name: "number", Type: types.T(types.Int8), NotNull: true})}
}
