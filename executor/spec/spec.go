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

// The join kinds; Semi and Anti come from EXISTS and IN.
const (
	Inner JoinKind = iota
	Left
	Right
	Full
	Cross
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

// The operators.
type (
	// StreamScan reads a stream: without end in continuous programs, its retained history in bounded ones.
	// The schema is the stream's; Want marks the columns that are read.
	StreamScan struct {
		StreamID uint64
		Name     string
		Want     []bool
	}
	// ResultScan reads the current result rows of a continuous query.
	ResultScan struct {
		QueryID uint64
		Name    string
	}
	// VirtualScan reads a relation computed on the spot: pg_catalog, information_schema, vigil.*, IOC lists.
	VirtualScan struct {
		Schema, Name string
	}
	// Values emits literal rows; expressions read nothing but parameters and outer rows.
	Values struct{ Rows [][]expr.Expr }
	// FuncScan is a set-returning function in FROM (generate_series, unnest, ...).
	FuncScan struct {
		Name       string
		Args       []expr.Expr
		Ordinality bool
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
	// WindowAgg groups by keys and window and emits when the watermark closes the window.
	// Output: window_start, window_end, keys..., aggregates...
	WindowAgg struct {
		Window window.Spec
		Keys   []expr.Expr
		Aggs   []AggCall
	}
	// HashAgg groups a bounded input. Output: keys..., aggregates... With Scalar, no input still gives one row.
	HashAgg struct {
		Keys   []expr.Expr
		Aggs   []AggCall
		Scalar bool
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
	// Result is the root of a continuous program: rows go to the query's changelog.
	Result struct {
		QueryID uint64
		Name    string
	}
)

func (*StreamScan) op()  {}
func (*ResultScan) op()  {}
func (*VirtualScan) op() {}
func (*Values) op()      {}
func (*FuncScan) op()    {}
func (*Filter) op()      {}
func (*Project) op()     {}
func (*ProjectSet) op()  {}
func (*Exchange) op()    {}
func (*WindowAgg) op()   {}
func (*HashAgg) op()     {}
func (*Distinct) op()    {}
func (*Join) op()        {}
func (*Union) op()       {}
func (*SetOp) op()       {}
func (*Sort) op()        {}
func (*Limit) op()       {}
func (*Result) op()      {}
