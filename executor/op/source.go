package op

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Source is a leaf of a bounded program: a producer whose rows end. It may be opened again after Close.
type Source interface {
	Open(ctx *expr.Ctx) error
	// Run emits all rows and returns; an error of out ends it at once and is returned as it is.
	Run(out Emitter) error
	Close() error
	// String is the source's EXPLAIN line.
	String() string
}

// PortAdvancer is implemented by operators with a build side: AdvancePort(1) tells that the rows of port 1 are
// complete, before the first row of port 0. The end of port 0 is an ordinary Advance.
type PortAdvancer interface {
	Operator
	AdvancePort(port int, watermark types.EventTime, out Emitter) error
}

// Sated is implemented by operators that may know before any row comes that they want none (LIMIT 0).
type Sated interface{ Sated() bool }
