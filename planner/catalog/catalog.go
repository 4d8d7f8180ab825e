// Package catalog owns names: which stream, query, list, function or virtual relation a name stands for. It is the
// planner's view; durability belongs to storage/meta, execution to executor/job.
package catalog

import (
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// State is the life state of a query or function.
type State string

// The states as users see them.
const (
	Running     State = "running"
	Paused      State = "paused"
	Deactivated State = "deactivated"
	// Throttled: it used more than a limit allows, and goes on by itself.
	Throttled State = "throttled"
)

// Relation is what a name in FROM can stand for: *Stream, *Table, *Query, *View, *IOCList or *Virtual; a *Sink shares their names and stands for
// no rows. Relations are immutable once
// in the catalogue: a change puts a new one in their place.
type Relation interface {
	// RelName is the name without schema, RelNamespace the schema. See Display for both.
	RelName() string
	RelNamespace() string
	RelID() uint64
	// RelSchema is the row type of SELECT * FROM name.
	RelSchema() *types.Schema
}

// Stream is a named schema with a source.
type Stream struct {
	spec.Stream
	Namespace
	SQL string // canonical CREATE STREAM
}

// Query is a continuous query.
type Query struct {
	spec.Query
	Namespace
	Schema types.Schema // result columns
	// Times tells per result column how far (microseconds) rows may lie behind the query's watermark when they come, by that
	// column as event time; -1: the column is none. See logical.Times.
	Times   []int64
	SQL     string // canonical CREATE CONTINUOUS QUERY
	Options map[string]string
	// Streams, Lists, Functions name what the query reads; DROP of those is refused while it exists.
	Streams   []uint64
	Queries   []uint64
	Lists     []string
	Functions []uint64
	Tables    []uint64
	Views     []uint64
	// Corrected: late rows were replayed, so that the changelog holds more than inserts although Updates is false.
	Corrected bool
	State     State
	Reason    string // why it is not running
}

// Changes reports that the query's changelog may hold more than inserts.
func (q *Query) Changes() bool { return q.Updates || q.Corrected }

// Stateless reports that the query's rows depend on one row of its input each.
func (q *Query) Stateless() bool {
	return q.Program != nil && !spec.Keyed(q.Program.Root)
}

// IOCList is a list of indicators; as a relation it has the columns of IOCSchema.
type IOCList struct {
	spec.IOCList
	Namespace
	SQL     string
	Options map[string]string
	// Refresh is how often the list is made what its source has, ExpireAfter how long an entry is valid of which nothing is said;
	// microseconds, 0: not at all, for ever.
	Refresh, ExpireAfter int64
}

// Function is a user function.
type Function struct {
	spec.Function
	SQL   string
	State State
	// Reason and Detail say why it is not in service, Since from when on.
	Reason, Detail string
	Since          types.EventTime
}

// Virtual is a relation computed when read (pg_catalog, information_schema, vigil).
type Virtual struct {
	SchemaName, Name string
	ID               uint64
	Columns          types.Schema
	// Hidden columns (xmin, ctid, tableoid) exist but are not part of *: their indexes.
	Hidden []int
}

// IOCSchema is the row type of every IOC list.
var IOCSchema = types.Schema{Cols: []types.Column{
	{Name: "value", Type: types.T(types.Text), NotNull: true},
	{Name: "source", Type: types.T(types.Text)},
	{Name: "confidence", Type: types.T(types.Int4)},
	{Name: "expires_at", Type: types.T(types.TimestampTZ)},
	{Name: "added_at", Type: types.T(types.TimestampTZ)},
	{Name: "first_seen", Type: types.T(types.TimestampTZ)},
	{Name: "tags", Type: types.ArrayOf(types.Text)},
}}

// LateSuffix ends the name of the relation that holds a stream's late rows.
const LateSuffix = "$late"

// lateColumns are what it has beside the stream's columns: for which query the row was late, what had passed its time, and the
// clock and number of the epoch in which it came.
var lateColumns = []types.Column{
	{Name: "late_query", Type: types.T(types.Text)}, {Name: "late_watermark", Type: types.T(types.TimestampTZ)},
	{Name: "late_at", Type: types.T(types.TimestampTZ)}, {Name: "late_epoch", Type: types.T(types.Int8)},
}

// Late is the relation of the stream's late rows.
func (s *Stream) Late() *Virtual {
	cols := append(append([]types.Column(nil), s.Stream.Schema.Cols...), lateColumns...)
	return &Virtual{SchemaName: s.RelNamespace(), Name: s.RelName() + LateSuffix, ID: s.ID, Columns: types.Schema{Cols: cols}}
}

// RelName, RelID and RelSchema implement Relation.
func (s *Stream) RelName() string          { return s.bare(s.Name) }
func (s *Stream) RelID() uint64            { return s.ID }
func (s *Stream) RelSchema() *types.Schema { return &s.Stream.Schema }

// RelName, RelID and RelSchema implement Relation.
func (q *Query) RelName() string          { return q.bare(q.Name) }
func (q *Query) RelID() uint64            { return q.ID }
func (q *Query) RelSchema() *types.Schema { return &q.Schema }

// RelName, RelID and RelSchema implement Relation.
func (l *IOCList) RelName() string          { return l.bare(l.Name) }
func (l *IOCList) RelID() uint64            { return l.ID }
func (l *IOCList) RelSchema() *types.Schema { return &IOCSchema }

// RelName, RelID and RelSchema implement Relation.
func (v *Virtual) RelName() string          { return v.Name }
func (v *Virtual) RelID() uint64            { return v.ID }
func (v *Virtual) RelNamespace() string     { return v.SchemaName }
func (v *Virtual) RelSchema() *types.Schema { return &v.Columns }

// Reader is what the planner needs of a catalogue. It is a consistent view: two calls see the same state.
type Reader interface {
	// Relation finds a relation; schema "" searches pg_catalog, then public. nil when there is none.
	Relation(schema, name string) Relation
	// Function finds the user function called name; nil when there is none.
	Function(name string) *Function
	// Schemas lists the schema names ("pg_catalog", "public", "information_schema", "vigil").
	HasSchema(name string) bool
}
