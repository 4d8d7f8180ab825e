// Package predindex evaluates many predicates over the batches of one stream at a cost that hardly depends on how many there
// are: which rows for which rule.
//
// A predicate is taken apart into atoms, tests of one value against constants. For each rule one necessary condition is chosen,
// a disjunction of atoms that can be looked up (its access): equality and IN by hash, text that LIKE, ILIKE or a regular
// expression asks for by one automaton per column, networks by their prefixes, ranges by an interval tree. A batch is probed
// once per column; only the rules whose access was hit look at the row, and test the rest of their predicate: cheap atoms row by
// row, then what is dear (IN IOC, lookups in tables, JavaScript) batch-wise, once for all rules that share it. What a value of a
// column hits, and what it answered to costly atoms, is remembered per distinct value.
//
// The order in which a rule's conditions are tested does not depend on the other rules: those that cannot fail come first, then
// those that can, as they were written. So the index never changes which rows fail.
package predindex

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
)

// Filterer is a condition that is evaluated batch-wise: it appends to dst the members of sel (ascending) for which it is true.
// *expr.Evaluator is one. One goroutine uses it.
type Filterer interface {
	Filter(ctx *expr.Ctx, b *batch.Batch, sel, dst []uint32) ([]uint32, error)
}

// Term is a condition from outside this package, such as a lookup in a table. It must not fail for single rows.
type Term struct {
	// Key names it: terms with equal keys are the same condition, which is evaluated once for all of them.
	Key string
	New func() (Filterer, error)
}

// Item is a rule with rows of a batch, ascending.
type Item struct {
	Rule uint32
	Rows []uint32
}

// Consumer takes what Match finds. Its methods must not keep rows.
type Consumer interface {
	// Rows are the rows for which predicates are true, once per batch, in the order of the rules. Items without rows are to be
	// passed over.
	Rows(items []Item)
	// RowError: the predicate failed for one row, which is then not among the rule's rows.
	RowError(rule int, row uint32, err error)
	// Failed: the predicate failed as a whole; the rule gets no rows of this batch.
	Failed(rule int, err error)
	// Alone and Done enclose what is done for one rule alone: work that no other rule shares.
	Alone(rule int)
	Done(rule int)
}
