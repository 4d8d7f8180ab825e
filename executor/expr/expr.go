// Package expr owns bound, typed expressions: their nodes (this file, plain data), compilation and evaluation over
// batches. The planner makes them, spec carries them, operators evaluate them.
package expr

import (
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/types"
)

// Expr is a bound expression node. Nodes are immutable after binding and shared between goroutines.
type Expr interface {
	Type() types.Type
	// String prints SQL-like text for EXPLAIN; equal strings mean equal expressions over the same input schema.
	String() string
}

// CmpOp is a comparison operator.
type CmpOp uint8

// The comparisons.
const (
	EQ CmpOp = iota
	NE
	LT
	LE
	GT
	GE
)

// SubKind is how a subquery is used.
type SubKind uint8

// Scalar gives the single value, Exists a boolean, InSub compares X = any row, ArraySub collects an array.
const (
	Scalar SubKind = iota
	Exists
	InSub
	ArraySub
)

// The nodes.
type (
	// Column reads column Index of the input batch.
	Column struct {
		Index int
		Name  string
		Typ   types.Type
	}
	// Outer reads column Index of the row of an enclosing query, Depth levels up (1 = the directly enclosing one).
	Outer struct {
		Depth, Index int
		Name         string
		Typ          types.Type
	}
	// Const is a literal.
	Const struct{ Val types.Value }
	// Param is $N (1-based); executions replace it by Const before Compile.
	Param struct {
		N   int
		Typ types.Type
	}
	// And is the conjunction of two or more terms, evaluated left to right, each on the rows still undecided.
	And struct{ Args []Expr }
	// Or is the disjunction of two or more terms.
	Or struct{ Args []Expr }
	// Not negates a boolean.
	Not struct{ X Expr }
	// IsNull is X IS [NOT] NULL.
	IsNull struct {
		X   Expr
		Not bool
	}
	// IsBool is X IS [NOT] TRUE / FALSE (Want); UNKNOWN is IsNull.
	IsBool struct {
		X         Expr
		Want, Not bool
	}
	// Compare compares two values of the same type.
	Compare struct {
		Op   CmpOp
		L, R Expr
	}
	// Distinct is L IS [NOT] DISTINCT FROM R.
	Distinct struct {
		L, R Expr
		Not  bool
	}
	// In is X [NOT] IN (list), all of X's type.
	In struct {
		X    Expr
		List []Expr
		Not  bool
	}
	// InIOC is X [NOT] IN IOC (lists). Lists holds the catalogue names.
	InIOC struct {
		X     Expr
		Lists []string
		Not   bool
	}
	// IOCEntry is the entry of an IOC list that X hits, or what is known of it; NULL when it hits none. With Version it is the number of the list's
	// version, whatever X is.
	IOCEntry struct {
		X             Expr
		List          string
		Info, Version bool
	}
	// Like is X [NOT] [I]LIKE Pattern; Escape is the escape character, 0 for none, '\\' by default.
	Like struct {
		X, Pattern  Expr
		Escape      rune
		Insensitive bool
		Not         bool
	}
	// Call applies a registered function or operator.
	Call struct {
		Def  *fn.Def
		Args []Expr
		Typ  types.Type
	}
	// UDF applies a user's JavaScript function, found by its catalogue id.
	UDF struct {
		Name string
		ID   uint64
		Args []Expr
		Typ  types.Type
		// Shape says which arguments are fields of rows; nil: none is.
		Shape *RowShape
	}
	// Cast converts X to Typ; Explicit casts may lose more than assignment casts.
	Cast struct {
		X        Expr
		Typ      types.Type
		Explicit bool
	}
	// Case is CASE WHEN ... with conditions already boolean (CASE x WHEN y is bound to x = y).
	Case struct {
		Whens []When
		Else  Expr // nil: NULL
		Typ   types.Type
	}
	// Coalesce returns its first non-NULL argument; later ones are not evaluated for rows already decided.
	Coalesce struct {
		Args []Expr
		Typ  types.Type
	}
	// AnyArray is L op ANY|ALL (array).
	AnyArray struct {
		Op       CmpOp
		Like     *Like   // when set, the comparison is this LIKE with X, Pattern taken from L and the element
		Regex    *fn.Def // when set, the comparison is this boolean operator function over (L, element)
		L, Array Expr
		All      bool
	}
	// ArrayCtor is ARRAY[...].
	ArrayCtor struct {
		Elems []Expr
		Typ   types.Type
	}
	// Subscript is X[Index], counted from the lower bound of X's type.
	Subscript struct {
		X, Index Expr
		Typ      types.Type
	}
	// Subquery is a bounded query inside an expression. Plan is a *spec.Program, opaque here; the row under evaluation
	// becomes Outer depth 1 of the plan. X is the left side of IN.
	Subquery struct {
		Kind SubKind
		Plan any
		// Correlated: Plan refers to the enclosing row, so that it must be run for each row.
		Correlated bool
		X          Expr
		Not        bool
		Typ        types.Type
	}
)

// When is one arm of CASE.
type When struct{ Cond, Then Expr }
