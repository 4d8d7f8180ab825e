package spec

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Stream is what the executor must know of a stream. Durations are microseconds.
type Stream struct {
	ID     uint64
	Name   string
	Schema types.Schema
	// TimeCol is the watermark column, -1 when the stream has none.
	TimeCol int
	// Delay is the watermark's distance behind the largest event time seen.
	Delay int64
	// IdleAfter: a split silent for so long stops holding the watermark back; when all are, the watermark follows the clock.
	IdleAfter int64
	// MaxAhead: rows further ahead of the clock than this are rejected.
	MaxAhead int64
	// Connector is "" for streams fed by INSERT, COPY and HTTP.
	Connector     string
	Options       map[string]string
	Format        string
	FormatOptions map[string]string
	// From is by column what FROM '..' says; nil: no column has it.
	From []string
	// Normalize is "ecs" when columns are also found by the names of the Elastic Common Schema, else "".
	Normalize string
	// AllowedLateness: how long after a window's end rows still correct its result.
	AllowedLateness int64
	// LateDrop: rows that come later than that are counted and not kept.
	LateDrop bool
	// Retention bounds the history kept, by age since arrival (microseconds) and by size.
	Retention      int64
	RetentionBytes int64
	Created        types.EventTime
	// Generated are the columns that are computed and not read.
	Generated []Generated
}

// Generated is a generated column: X over the stream's other columns, the payload's arrival, or the epoch's clock.
type Generated struct {
	Col  int
	Kind GeneratedKind
	X    expr.Expr
}

// GeneratedKind says where a generated column's value comes from.
type GeneratedKind uint8

// The kinds.
const (
	GeneratedExpr GeneratedKind = iota
	GeneratedArrival
	GeneratedClock
)

// Query is a running continuous query.
type Query struct {
	ID      uint64
	Name    string
	Program *Program
	// Retention of result rows, microseconds, and RetentionBytes as they are stored.
	Retention      int64
	RetentionBytes int64
	Created        types.EventTime
	// Stages are the lower parts of the query, cut off where rows change hands between workers: hidden queries that come and
	// go with it, in an order in which each reads only those before it. Their ids are StageID's.
	Stages []*Query
	// Calls are the ids of the users' functions that it calls.
	Calls []uint64
	// Updates: the changelog may hold updates and deletes.
	Updates bool
	Limits  Limits
	// Start says where in its streams the query begins when it is created; nil: with the next event.
	Start *Start
}

// Start is a place in the history of streams: what arrived at a time or later, as its user wrote it.
type Start struct {
	At   types.EventTime
	Text string
}

// Limits bound what a continuous query may cost, its stages included; 0: no limit.
type Limits struct {
	// CPUMicros is microseconds of CPU time per second.
	CPUMicros int64
	// MemoryBytes and KeysMax bound the keyed state.
	MemoryBytes, KeysMax int64
	// RowsPerMinute bounds the changes of the result in a minute of the epochs' clock.
	RowsPerMinute int64
	// Throttle: a query that breaks a limit is held back for a while instead of being taken out of service.
	Throttle bool
}

// Any reports that there is a limit that is looked at once a second.
func (l *Limits) Any() bool { return l.CPUMicros > 0 || l.State() }

// Shuts reports that a query may have to take no rows for a while, for its state or, when its result is updated, for its rows: rows
// of such a result that were held back would leave what the result never was.
func (l *Limits) Shuts(updates bool) bool {
	return l.Throttle && (l.State() || l.RowsPerMinute > 0 && updates)
}

// State reports that the keyed state is bounded.
func (l *Limits) State() bool { return l.MemoryBytes > 0 || l.KeysMax > 0 }

// StageID is the id of the n-th stage (from 0) of a query; ids of catalogue objects are below 1<<40.
func StageID(query uint64, n int) uint64 { return query | uint64(n+1)<<40 }

// StageOwner is the query that an id belongs to: itself when it is no stage's.
func StageOwner(id uint64) uint64 { return id & (1<<40 - 1) }

// Function is a user's JavaScript function, or aggregate.
type Function struct {
	ID         uint64
	Name       string
	Params     []types.Column
	Ret        types.Type
	Body       string
	Strict     bool
	Volatility string // IMMUTABLE, STABLE, VOLATILE
	Aggregate  bool
	StateBytes int64 // the most that a state of an aggregate has; 0: the default
	Limits     FunctionLimits
	// Before are the definitions that counted before this one, oldest first, as far as recovery may need them.
	Before []FunctionBefore
}

// FunctionBefore is a definition that counted until another one took its place, at the start of epoch Until.
type FunctionBefore struct {
	Until    uint64
	Function *Function
}

// FunctionLimits bound one call of a function.
type FunctionLimits struct {
	TimeoutMicros int64  // CPU time per row
	MemoryBytes   int64  // heap growth
	StackFrames   int    // JavaScript call depth
	OutputBytes   int64  // per row
	OnError       string // what an exception does: "fail" (the row), "null" (the result is NULL), "deactivate" (the query)
}

// Table is a small keyed relation that statements change.
type Table struct {
	ID     uint64
	Name   string
	Schema types.Schema
	// Key lists the columns of the primary key; none: rows may repeat.
	Key []int
	// Indexes lists the columns by which rows are found, besides those that queries ask for.
	Indexes [][]int
}

// SequenceDef is a sequence, which gives out numbers.
type SequenceDef struct {
	ID   uint64
	Name string
	Type types.Type
	// Start is the first value; Min and Max are inclusive.
	Start, Min, Max, Increment, Cache int64
	Cycle                             bool
}

// IOCList is a named list of indicators.
type IOCList struct {
	ID   uint64
	Name string
	Type string // ip, cidr, domain, url, hash, email, text
	// Match is how values are compared: exact or subdomains (domain), exact or prefix (url); "": the usual way.
	Match string
}
