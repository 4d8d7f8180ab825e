// Package op owns the physical operators, one file each. An operator is a single-threaded state machine: it starts no
// goroutine and reads no clock; time reaches it as event times in rows, as watermarks, and as the epoch's clock in Ctx.
package op

import (
	"errors"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Input is selected rows of a batch. It and all it points at are only valid during the call, and read-only.
type Input struct {
	B *batch.Batch
	// Sel lists the row numbers, ascending.
	Sel []uint32
	// Keys, after an Exchange, are the encoded keys of the rows of Sel (Keys.Key(i) belongs to row Sel[i]); nil otherwise.
	Keys *batch.Keys
	// Others, where the operator's query reads several inputs, is the least watermark of the other inputs: a row of this one
	// is measured against min(Others, the watermark before it). Its zero value is of no meaning: see Closed.
	Others types.EventTime
	// Several says that Others counts.
	Several bool
}

// Closed is the watermark that a row of B.Behind was measured against, with the other inputs of the query taken into account.
func (in *Input) Closed(b batch.Behind) types.EventTime {
	if in.Several {
		return min(in.Others, b.Watermark)
	}
	return b.Watermark
}

// Emitter takes an operator's output; blocking is back-pressure. It returns ErrDone when no more rows are wanted.
type Emitter interface{ Emit(in Input) error }

// ErrDone tells a producer that its consumer has enough (LIMIT reached). It is not a failure.
var ErrDone = errors.New("op: consumer has enough")

// Operator is one node of a running program. One goroutine calls everything: Open, then Process and Advance in any
// order, then Close. Advance(types.MaxTime) marks the end of bounded input: blocking operators emit then. For operators
// with two inputs all rows of port 1 (the build side) come before those of port 0; AdvancePort tells when it is complete.
type Operator interface {
	Open(ctx *expr.Ctx) error
	// Process takes rows that came in at a port.
	Process(port int, in Input, out Emitter) error
	// Advance says that no row with an earlier event time follows, except late ones, which batch.Behind marks. It never
	// decreases.
	Advance(watermark types.EventTime, out Emitter) error
	Close() error
	// String is the operator's EXPLAIN line.
	String() string
}

// Stateful is an operator whose keyed state is checkpointed.
type Stateful interface {
	Operator
	// Snapshot writes what changed since the previous Snapshot (everything the first time). It must be quick: it copies
	// bytes, the I/O happens elsewhere.
	Snapshot(w StateWriter) error
	// Restore rebuilds the state from the blocks of all snapshots since the slice began, oldest first; called once after
	// Open. own tells which keys this worker owns (by batch.HashKey). After it nothing that lies in the checkpoint counts any
	// more: keys may have changed hands. The next Snapshot writes everything, each slice after a Rewrite, because a store
	// may still have the slice's blocks; the engine forgets all blocks of the operator, by all workers, right before that.
	Restore(r StateReader, own func(hash uint64) bool) error
}

// StateWriter takes packed blocks of one operator. A slice is a unit of state that is dropped whole: a window's start.
type StateWriter interface {
	// Block adds a block of entries to a slice; data is taken over.
	Block(slice int64, data []byte) error
	// Drop forgets a slice and all its blocks.
	Drop(slice int64) error
	// Rewrite forgets all earlier blocks of a slice that this worker wrote; Block calls that follow replace them.
	Rewrite(slice int64) error
}

// AheadCopier is a Stateful, as all are, whose changes can be copied ahead of a Snapshot, a piece at a time, so that the Snapshot, for which a
// worker stops, has little left to do. What is copied ahead and changes again is written once more by the Snapshot; the later one of
// two entries counts.
type AheadCopier interface {
	// Changed is about how many entries a Snapshot would write, or should: those that have changed and were not copied, and those that
	// are to be written anew.
	Changed() int
	// CopyAhead copies about most of them, and returns how many. What it writes comes before what the next Snapshot writes.
	CopyAhead(out StateWriter, most int) (int, error)
}

// StateReader gives an operator its blocks back, slice by slice in the order they were written.
type StateReader interface {
	Blocks(fn func(slice int64, data []byte) error) error
}

// Reclaimer is an operator that can give back memory which it keeps for reuse.
type Reclaimer interface{ Reclaim() }

// Deadliner is an operator that knows when it next has something to do by itself: Advance to an earlier watermark does
// nothing. MaxTime: nothing is due.
type Deadliner interface{ Deadline() types.EventTime }

// Delayer is an operator whose output lies behind its input in event time: rows that it emits after Advance(w) have times
// of w - OutDelay or later (microseconds). What follows it is advanced to that. Other operators delay nothing.
type Delayer interface{ OutDelay() int64 }

// EpochEnder is an operator that holds results back until the epoch ends. When an epoch runs again its rows may be cut into
// other batches, and the watermark stands elsewhere between them; at the end both are what they were. EndEpoch comes after
// Advance to the epoch's last watermark, due or not, and before the epoch's Snapshot, if there is one.
type EpochEnder interface {
	EndEpoch(out Emitter) error
	// Holding tells whether results wait. While none do, and no row comes, and nothing is due, the ends of several epochs may be
	// told by the last of them alone.
	Holding() bool
}

// Late rows are reported through expr.Ctx.LateRow, by the number of the row in the batch given to Process.

// LateCounter is implemented by operators that drop late rows: how many since Open.
type LateCounter interface{ LateRows() int64 }
