package expr

import "github.com/vigil-sql/vigil/executor/batch"

// Tables looks rows up in one version of all tables. Implementations are safe for concurrent use.
type Tables interface {
	// Lookup finds the rows of p's table for the probing rows, and replaces p's results. It sets p.More when it stopped because
	// there are about batch.RowsMax of them: the next call goes on with the rest.
	Lookup(p *TableProbe) error
}

// TableVersions is an optional ability of Tables.
type TableVersions interface {
	// TableVersion returns a number that is the same for two views of a table that hold the same rows; false when it is not known.
	TableVersion(id uint64) (uint64, bool)
}

// Mark says which probing rows get a row of NULLs behind their results.
type Mark uint8

// The marks: no row, those that found nothing, all.
const (
	MarkNone Mark = iota
	MarkMissed
	MarkAll
)

// TableProbe is a lookup of many rows in a table. The probing rows are numbered from 0 to N-1.
type TableProbe struct {
	Table uint64
	// Cols are the table's columns that must equal the keys; none: every row is found.
	Cols []int
	// Keys holds the values per probing row, Null (may be empty) tells where one of them is NULL: those find nothing.
	Keys *batch.Keys
	Null []bool
	N    int
	// Nulls: what is found are the rows with a NULL among Cols, whatever the keys.
	Nulls bool
	// NullAware: NULL equals everything, on either side. For NOT IN.
	NullAware bool
	// AsOf is the time asked for by probing row (microseconds; NULL finds nothing); nil: now.
	AsOf *batch.Vec
	// First: one row per probing row is enough.
	First bool
	Mark  Mark

	// Rows are the results: the probing row of each, ascending. Marks tells which are rows of NULLs; Into, one vector per table
	// column or none at all, takes their columns, appended; not
	// those that are Absent.
	Rows  []uint32
	Marks []bool
	Into  []batch.Vec

	// More: the lookup is not at its end; the next call goes on at Row. State is the implementation's, kept for reuse.
	More  bool
	Row   int
	State any
}
