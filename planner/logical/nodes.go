// Package logical owns the relational tree between binding and lowering: what a query means, free of how it is run. The
// binder makes it, package rules rewrites it, package lower turns it into a spec.Program.
//
// Scalars are expr nodes. While a query is logical, expr.Subquery.Plan holds a *Node.
package logical

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// Node is one relational operator with its inputs and its row type. Nodes are immutable once built: a rewrite makes new
// ones and shares what did not change.
type Node struct {
	Op     Op
	In     []*Node
	Schema types.Schema
}

// Op is one of the structs below.
type Op interface{ op() }

// JoinKind is the kind of a join.
type JoinKind uint8

// The join kinds.
const (
	Inner JoinKind = iota
	Left
	Right
	Full
	// Semi and Anti come from EXISTS and NOT EXISTS in continuous queries; their output is the left row.
	Semi
	Anti
)

// Temporal makes a join look each left row up in In[1], a changelog, as it was at the row's time. LeftTime and RightTime are
// columns of In[0] and In[1].
type Temporal struct{ LeftTime, RightTime int }

// Window is the time side of a grouping. TimeCol indexes the input's columns; -1 without one (COUNT_WINDOW). Lateness
// (microseconds) is how long after its end a window takes rows.
type Window struct {
	window.Spec
	Lateness int64
}

// SortKey is one term of ORDER BY over the input's columns.
type SortKey struct {
	X                expr.Expr
	Desc, NullsFirst bool
}

// AggCall is one aggregate of a grouping.
type AggCall struct {
	Def      *agg.Def
	Args     []expr.Expr
	Distinct bool
	Filter   expr.Expr // nil: every row counts
	OrderBy  []SortKey
	// Desc is the direction of WITHIN GROUP.
	Desc bool
	Typ  types.Type
}

// Func is a set-returning function call.
type Func struct {
	Name       string
	Args       []expr.Expr
	Ordinality bool
	// Row, in the select list, makes a row of several columns; Typ is what the call gives there.
	Row bool
	Typ types.Type
	// Record are the columns that the query defines for a function of any row.
	Record []types.Column
	// With are functions beside this one (ROWS FROM); Value, without a name, is one row of a value.
	With []Func
}

// The operators.
type (
	// Scan reads a named relation. Want marks the columns somebody reads; nil means all, until columns are pruned. Bounds are
	// of streams: rows of other times do not matter. They come last, when expressions are not moved any more.
	Scan struct {
		Rel    catalog.Relation
		Want   []bool
		Bounds []spec.TimeBound
	}
	// Values is literal rows.
	Values struct{ Rows [][]expr.Expr }
	// FuncScan is a set-returning function in FROM.
	FuncScan struct{ Func Func }
	// Filter keeps the rows for which every conjunct is true, tried in order.
	Filter struct{ Conds []expr.Expr }
	// Project computes columns.
	Project struct{ Exprs []expr.Expr }
	// ProjectSet passes the input's columns on and appends one column per set-returning function.
	ProjectSet struct{ Funcs []Func }
	// Aggregate groups. Output: window_start, window_end (with Window), keys, aggregates. Scalar: no input gives one row. Emit
	// is of continuous queries. Sets and Groupings, of queries that end, are those of spec.GroupingSets; without Sets the rows
	// are grouped once, by all keys.
	Aggregate struct {
		Window    *Window
		Emit      spec.Emit
		Keys      []expr.Expr
		Aggs      []AggCall
		Scalar    bool
		Sets      [][]int
		Groupings [][]int
	}
	// Distinct drops rows equal in On, or in all columns when On is empty.
	Distinct struct{ On []expr.Expr }
	// Join joins In[0] and In[1]: equalities of LeftKeys (over In[0]) and RightKeys (over In[1]), and Conds over the
	// concatenated row. Lateral: In[1] sees In[0]'s row as Outer depth 1.
	Join struct {
		Kind                JoinKind
		LeftKeys, RightKeys []expr.Expr
		Conds               []expr.Expr
		Lateral             bool
		Temporal            *Temporal // nil: the sides are joined as they are
		// Pos is where the right side is written and Labels what the columns of both sides are called, for errors.
		Pos    int
		Labels []string
	}
	// SetOp is "UNION", "INTERSECT" or "EXCEPT" over two inputs of one row type.
	SetOp struct {
		Kind string
		All  bool
	}
	// Sort orders rows.
	Sort struct{ Keys []SortKey }
	// Limit skips Offset rows and passes Count; either may be nil.
	Limit struct{ Count, Offset expr.Expr }
	// Result gives a continuous query's rows to its changelog.
	Result struct {
		QueryID uint64
		Name    string
	}
)

func (*Scan) op()       {}
func (*Values) op()     {}
func (*FuncScan) op()   {}
func (*Filter) op()     {}
func (*Project) op()    {}
func (*ProjectSet) op() {}
func (*Aggregate) op()  {}
func (*Distinct) op()   {}
func (*Join) op()       {}
func (*SetOp) op()      {}
func (*Sort) op()       {}
func (*Limit) op()      {}
func (*Result) op()     {}

// Query is a bound statement.
type Query struct {
	Root *Node
	// Params are the types of $1.., inferred where the client did not say.
	Params     []types.Type
	Continuous bool
	// TablePos is where tables are named, by id, for errors.
	TablePos map[uint64]int
}

// NewFilter puts conds over in; without conds it is in itself. A filter directly below is merged, its conds first.
func NewFilter(in *Node, conds []expr.Expr) *Node {
	if len(conds) == 0 {
		return in
	}
	if f, ok := in.Op.(*Filter); ok {
		conds = append(append([]expr.Expr(nil), f.Conds...), conds...)
		in = in.In[0]
	}
	return &Node{Op: &Filter{Conds: conds}, In: []*Node{in}, Schema: in.Schema}
}

// Conjuncts splits nested ANDs into a list.
func Conjuncts(e expr.Expr) []expr.Expr {
	if e == nil {
		return nil
	}
	a, ok := e.(*expr.And)
	if !ok {
		return []expr.Expr{e}
	}
	var out []expr.Expr
	for _, x := range a.Args {
		out = append(out, Conjuncts(x)...)
	}
	return out
}

// AndAll is the conjunction of conds: nil for none, the term itself for one.
func AndAll(conds []expr.Expr) expr.Expr {
	switch len(conds) {
	case 0:
		return nil
	case 1:
		return conds[0]
	}
	return &expr.And{Args: conds}
}
