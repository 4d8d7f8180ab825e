// Package spec is the physical plan as data: what the planner produces, EXPLAIN prints, tests write by hand and the
// executor runs. It has no behaviour of its own besides printing.
package spec

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// Program is a physical operator DAG: a tree of nodes whose root produces the result.
type Program struct {
	Root *Node
	// Params are the types of $1.. as inferred.
	Params []types.Type
	// Continuous: sources do not end, the result is a changelog. Otherwise the program is a snapshot that ends.
	Continuous bool
	// Stages are the parts of a continuous program that were cut off as queries of their own, lower ones first.
	Stages []*Query
	// Origins tell, for each column of a bounded SELECT, whether it is a relation's; nil where nobody asks.
	Origins []Origin
}

// Origin is the column of a relation that a result's column is, unchanged. ID is the relation's, 0 where the column is
// computed; Virtual tells the two numberings of relations apart.
type Origin struct {
	ID      uint64
	Virtual bool
	Col     int // 0-based
}

// Node is one operator with its inputs and output schema.
type Node struct {
	Op     Op
	In     []*Node
	Schema types.Schema
}

// Op is one of the structs below.
type Op interface{ op() }

// JoinKind is the kind of a bounded join.
type JoinKind uint8

// The join kinds; Semi and Anti come from EXISTS and NOT EXISTS, and occur in continuous programs only.
const (
	Inner JoinKind = iota
	Left
	Right
	Full
	Cross
	Semi
	Anti
)

// SortKey is one term of ORDER BY; X reads the input schema.
type SortKey struct {
	X          expr.Expr
	Desc       bool
	NullsFirst bool
}

// AggCall is one aggregate of a grouping.
type AggCall struct {
	Name     string
	Kernel   agg.Kernel
	Args     []expr.Expr
	Distinct bool
	// Filter restricts the rows (FILTER (WHERE ..)); nil: all.
	Filter expr.Expr
	// OrderBy orders the input of array_agg, string_agg; bounded queries only.
	OrderBy []SortKey
	Typ     types.Type
}

// EmitMode says when results of a grouping come.
type EmitMode uint8

// The modes: when the window closes; with each batch that changes a group, as updates of its row; every so much event time,
// as updates; and once per group, at the moment HAVING becomes true.
const (
	EmitFinal EmitMode = iota
	EmitUpdate
	EmitEvery
	EmitFirst
)

// Emit is the EMIT clause. Every (microseconds) is of EmitEvery: results come when the watermark passes a multiple of it.
type Emit struct {
	Mode  EmitMode
	Every int64
}

// OverFunc is one window function: an aggregate (Kernel), or another one by Name: row_number, rank, dense_rank, lag, lead,
// first_value, last_value, nth_value. lag is the first value of a frame of one row, its second argument what stands for a
// row that is not there; the second argument of nth_value is a constant.
type OverFunc struct {
	Name   string
	Kernel agg.Kernel
	Args   []expr.Expr
	Filter expr.Expr
	Frame  Frame
	Typ    types.Type
}

// Frame is ROWS (offsets count rows) or RANGE (microseconds of event time) around the current row: offsets from Start to
// End, negative before it. FrameUnbounded and -FrameUnbounded mean the partition's ends.
type Frame struct {
	Rows       bool
	Start, End int64
}

// FrameUnbounded is the offset that no row has.
const FrameUnbounded = 1<<63 - 1

// The operators.
type (
	// StreamScan reads a stream: without end in continuous programs, its retained history in bounded ones.
	// The schema is the stream's; Want marks the columns that are read. Bounds, of bounded programs only, tell which times the
	// rows that matter have: others may be left out, or not. Within is what Run made of them: nil where nothing is known.
	StreamScan struct {
		StreamID uint64
		Name     string
		Want     []bool
		Bounds   []TimeBound
		Within   *TimeRange
	}
	// ResultScan reads a continuous query's result: its current rows in bounded programs, its changelog from now on in
	// continuous ones, where Delay (microseconds) is how far rows may lie behind the watermark that the query hands on, by
	// the time column that the reader uses.
	ResultScan struct {
		QueryID uint64
		Name    string
		Delay   int64
	}
	// VirtualScan reads a relation computed on the spot: pg_catalog, information_schema, vigil.*, IOC lists.
	VirtualScan struct {
		Schema, Name string
	}
	// Values emits literal rows; expressions read nothing but parameters and outer rows.
	Values struct{ Rows [][]expr.Expr }
	// FuncScan is a set-returning function in FROM (generate_series, unnest, ...).
	// Record are the columns that the query defines for a function of any row. With are functions whose rows stand beside this
	// one's, the shorter sets filled up with NULL (ROWS FROM). Without a name it is one row of the values of Args. Row, in a
	// ProjectSet, makes one value of several columns.
	FuncScan struct {
		Name       string
		Args       []expr.Expr
		Ordinality bool
		Record     []types.Column
		With       []*FuncScan
		Row        bool
	}
	// Filter keeps the rows where Cond is true.
	Filter struct{ Cond expr.Expr }
	// Project computes the output columns.
	Project struct{ Exprs []expr.Expr }
	// ProjectSet is Project where some expressions return sets (generate_series, unnest in the SELECT list): FuncScans[i] is
	// non-nil for those.
	ProjectSet struct {
		Exprs []expr.Expr
		Funcs []*FuncScan
	}
	// Exchange routes rows to the worker that owns their key.
	Exchange struct{ Keys []expr.Expr }
	// WindowAgg groups by keys and window and emits as Emit says. Output: window_start, window_end, keys..., aggregates...
	// Lateness (microseconds) is how long after its end a window accepts rows and corrects what it has emitted.
	WindowAgg struct {
		Window   window.Spec
		Keys     []expr.Expr
		Aggs     []AggCall
		Emit     Emit
		Lateness int64
	}
	// GroupAgg groups a stream without a window, for ever. Output: keys..., aggregates... TimeCol is the input's time column,
	// -1 without one; Emit is EmitUpdate, EmitEvery or EmitFirst.
	GroupAgg struct {
		Keys    []expr.Expr
		Aggs    []AggCall
		Emit    Emit
		TimeCol int
	}
	// IntervalJoin joins two streams, In[0] and In[1], by equal keys and by time: right.time - left.time lies in [Lo, Hi]
	// (microseconds). Cond is a residual over the concatenated row, nil for none. Kind is Inner, Left, Right, Full, Semi or
	// Anti. Output: the left row, then (not for Semi and Anti) the right one. Lateness: rows so far behind the watermark
	// still take part.
	IntervalJoin struct {
		Kind                JoinKind
		LeftKeys, RightKeys []expr.Expr
		LeftTime, RightTime int
		Lo, Hi              int64
		Cond                expr.Expr
		Lateness            int64
	}
	// TemporalJoin looks each row of In[0] up in In[1], a changelog, as it was at the row's time: the newest version of the key
	// whose RightTime is at or before LeftTime. Kind is Inner or Left. Output: both rows.
	TemporalJoin struct {
		Kind                JoinKind
		LeftKeys, RightKeys []expr.Expr
		LeftTime, RightTime int
		Cond                expr.Expr
	}
	// LookupJoin looks rows up in a table: its rows whose columns Cols equal Keys (over the input), as they were at AsOf (an
	// expression over the input; nil: now). It holds nothing back. Kind is Inner, Left, Semi or Anti. Output: the input row,
	// then (not for Semi and Anti) the table's; Cond is a residual over both, nil for none. Without keys every row is found.
	// NullAware (Anti with one key) is NOT IN: a NULL equals everything, on either side. TableSchema is the table's row type, Want
	// marks the columns of it that are read (nil: all).
	LookupJoin struct {
		TableID     uint64
		Name        string
		Kind        JoinKind
		Keys        []expr.Expr
		Cols        []int
		AsOf        expr.Expr
		Cond        expr.Expr
		NullAware   bool
		TableSchema types.Schema
		Want        []bool
	}
	// TableScan reads the current rows of a table in bounded programs. The schema is the table's; with Numbers a column with the
	// number of each row's version (BIGINT) follows, for the statements that change it. With Values only the rows are read whose
	// columns Key, a unique key, are equal to one of them: constants, and parameters until they are bound.
	TableScan struct {
		TableID uint64
		Name    string
		Numbers bool
		Key     []int
		Values  [][]expr.Expr
	}
	// Over computes window functions over the rows of a partition in order of event time: TimeCol plus TimeShift
	// (microseconds; -1 for window_end, which is the first moment after a row's time). A row leaves when the watermark has
	// passed it, and what its frames look ahead. Output: the input row, then one column per function.
	Over struct {
		Keys      []expr.Expr
		TimeCol   int
		TimeShift int64
		Funcs     []OverFunc
	}
	// FirstSeen appends a BOOLEAN column: true when no row with these keys came with a time in the Span (microseconds) before
	// the row's. It answers at once.
	FirstSeen struct {
		Keys    []expr.Expr
		Span    int64
		TimeCol int
	}
	// Suppress drops rows whose keys had passed less than For (microseconds of event time) before. TimeCol is the column that
	// tells the time of a row.
	Suppress struct {
		Keys    []expr.Expr
		For     int64
		TimeCol int
	}
	// HashAgg groups a bounded input. Output: keys..., aggregates... With Scalar, no input still gives one row.
	HashAgg struct {
		Keys   []expr.Expr
		Aggs   []AggCall
		Scalar bool
	}
	// GroupingSets groups a bounded input several times at once: each of Sets lists the Keys (by number) of one grouping, the
	// others are NULL in its rows; a set of no keys gives a row even for no input. Output: keys..., aggregates..., and one
	// integer per list of Groupings, whose bits tell which of the listed keys are not in the row's set, the first one highest.
	GroupingSets struct {
		Keys      []expr.Expr
		Aggs      []AggCall
		Sets      [][]int
		Groupings [][]int
	}
	// SortedOver computes window functions over a bounded input. Rows leave sorted by Partition, ascending, and Order within
	// one. Output: the input row, then one column per function.
	SortedOver struct {
		Partition []expr.Expr
		Order     []SortKey
		Funcs     []SortedFunc
	}
	// Distinct drops duplicate rows; On (may be empty) restricts the comparison to leading expressions (DISTINCT ON).
	Distinct struct{ On []expr.Expr }
	// Join joins In[0] and In[1]. LeftKeys and RightKeys are equal-length equalities (hash join), Cond the residual over the
	// concatenated row (nil: none). Lateral: In[1] is re-run for each row of In[0], which it sees as Outer depth 1.
	Join struct {
		Kind                JoinKind
		LeftKeys, RightKeys []expr.Expr
		Cond                expr.Expr
		Lateral             bool
	}
	// Union concatenates its inputs; SetOp other than UNION ALL is Union + Distinct or Intersect/Except below.
	Union struct{}
	// SetOp is INTERSECT or EXCEPT, with or without ALL.
	SetOp struct {
		Except bool
		All    bool
	}
	// Sort orders a bounded input.
	Sort struct{ Keys []SortKey }
	// Limit skips Offset rows and passes Count (-1: all); expressions are constant or parameters.
	Limit struct{ Count, Offset expr.Expr }
	// Result is the root of a continuous program: rows go to the query's changelog. Delay (microseconds) is how far behind
	// the inputs' watermark rows may still come, by the result's time column.
	Result struct {
		QueryID uint64
		Name    string
		Delay   int64
	}
)

func (*StreamScan) op()   {}
func (*ResultScan) op()   {}
func (*VirtualScan) op()  {}
func (*Values) op()       {}
func (*FuncScan) op()     {}
func (*Filter) op()       {}
func (*Project) op()      {}
func (*ProjectSet) op()   {}
func (*Exchange) op()     {}
func (*WindowAgg) op()    {}
func (*HashAgg) op()      {}
func (*GroupAgg) op()     {}
func (*IntervalJoin) op() {}
func (*TemporalJoin) op() {}
func (*LookupJoin) op()   {}
func (*TableScan) op()    {}
func (*Over) op()         {}
func (*FirstSeen) op()    {}
func (*Suppress) op()     {}
func (*GroupingSets) op() {}
func (*SortedOver) op()   {}
func (*Distinct) op()     {}
func (*Join) op()         {}
func (*Union) op()        {}
func (*SetOp) op()        {}
func (*Sort) op()         {}
func (*Limit) op()        {}
func (*Result) op()       {}
