package expr

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// Matcher answers IN IOC for one version of all lists. Implementations are immutable and safe for concurrent use.
type Matcher interface {
	// Match appends to dst the members of sel whose value in v (one row per batch row, text, inet or array thereof) is in at
	// least one of the lists. NULL matches nothing.
	Match(lists []string, v *batch.Vec, sel []uint32, dst []uint32) ([]uint32, error)
}

// EntryFinder is what a Matcher may do besides: tell which entry of a list a value hits. found is called once for each row of v
// (dense) that hits, in order; info, valid during the call, gives what is known of the entry, as jsonb has it. Version counts the changes of a list.
type EntryFinder interface {
	Version(list string) uint64
	FindEntries(list string, v *batch.Vec, found func(row int, entry string, info func() string)) error
}

// UDFCaller runs user functions on rows. Calls block until the rows are done or the function broke a limit.
type UDFCaller interface {
	// Call evaluates function id over n rows of args (dense) and appends n rows to out. Errors of single rows are given to
	// rowErr and leave NULL; a broken limit is the returned error (*sqlerr.Error with a UDF* code).
	Call(id uint64, args []*batch.Vec, n int, out *batch.Vec, rowErr func(row int, err error)) error
}

// BrokenLimit is the error of a user's function that broke a limit, or took its worker with it.
type BrokenLimit struct {
	// Function is its id in the catalogue.
	Function uint64
	Err      *sqlerr.Error
}

// Error implements error.
func (e *BrokenLimit) Error() string { return e.Err.Error() }

// Unwrap gives the error as users see it.
func (e *BrokenLimit) Unwrap() error { return e.Err }

// Skipped is the error of a row that a continuous query leaves out without a word, as its function's author wants.
type Skipped struct{ Err error }

// Error implements error.
func (e *Skipped) Error() string { return e.Err.Error() }

// Unwrap gives the error as users see it, who asked for the row.
func (e *Skipped) Unwrap() error { return e.Err }

// Subplans runs the plan of a Subquery node for one outer row and returns all its rows. outer[0] is the innermost row.
type Subplans interface {
	RunSubplan(plan any, outer [][]types.Value) ([][]types.Value, error)
}

// Ctx is what evaluation needs besides the batch. One goroutine uses it at a time.
type Ctx struct {
	fn.Ctx
	IOC      Matcher
	Tables   Tables
	UDF      UDFCaller
	Subplans Subplans
	// State is where state with many keys lies; nil: on the Go heap.
	State *arena.Arena
	// OuterRows are the rows of the enclosing queries, innermost first.
	OuterRows [][]types.Value
	// RowError, when set, takes errors that concern one row of the batch (its index in the batch, not in the selection); the
	// row's value is then NULL, and Filter drops it. When nil, the first such error ends the evaluation.
	RowError func(row uint32, err error)
	// LateRow, when set, takes rows of the batch in work that came too late to count, with the watermark that had passed
	// them.
	LateRow func(row uint32, watermark types.EventTime)
}
