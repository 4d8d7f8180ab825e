// Package wire is what the server and its JavaScript workers say to each other: frames of a length, a kind and a payload
// over two pipes, and one shared word of progress. Neither side believes the other: lengths are checked before memory is
// taken, offsets before they are used. Both ends are the same build, so the format carries no version and is never stored.
package wire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// Kind tells what a frame holds.
type Kind byte

// The frames. The server sends Define, Eval and Step, each is answered: Define by Defined or Refused, Eval and Step by Results of
// which the last has no More, or by Violation, after which the worker ends.
const (
	Define    Kind = 'D' // Definition as JSON
	Eval      Kind = 'E' // handle, row count, the argument columns
	Step      Kind = 'S' // see StepHead
	Defined   Kind = 'd' // of an aggregate: Abilities as JSON
	Refused   Kind = 'r' // Refusal as JSON
	Result    Kind = 'R' // see ResultHead
	Violation Kind = 'V' // Broken as JSON
)

// Bounds of the format, in bytes unless said otherwise.
const (
	// BatchRowsMax is the number of rows of one Eval.
	BatchRowsMax = batch.RowsMax
	// RowArgsMax bounds the arguments of one row.
	RowArgsMax = 4 << 20
	// BatchArgsMax is the size after which the server starts a new Eval.
	BatchArgsMax = 1 << 20
	// ResultFlush is the size after which the worker sends the rows it has.
	ResultFlush = 4 << 20
	// MessageMax bounds the text of an error.
	MessageMax = 1 << 10
	// SourceMax bounds the body of a function; the parser's recursion is bounded by it too.
	SourceMax = 64 << 10
	// StateMax is the largest limit of an aggregate's state.
	StateMax = 1 << 20
	// MemoryMax is the largest memory limit of a function.
	MemoryMax = 1 << 30

	headSize = 5
	// rowOverhead is what a row costs besides its values: offsets, NULL bits, an error.
	rowOverhead = 64 + MessageMax
)

// EvalMax is the size that no Eval or Define exceeds.
const EvalMax = BatchArgsMax + RowArgsMax + 2*StateMax + BatchRowsMax*1024

// ResultMax is the size that no answer exceeds when a row's value has up to outputBytes.
func ResultMax(outputBytes int64) int {
	return ResultFlush + int(outputBytes) + BatchRowsMax*rowOverhead + LogLinesMax*(LogLineMax+2)
}

// UnsandboxedEnv is the variable that allows a worker to run where the system has no sandbox. NoSandbox is how one that may not says
// so on its standard error.
const (
	UnsandboxedEnv = "VIGIL_UNSANDBOXED_JAVASCRIPT"
	NoSandbox      = "no sandbox"
)

// Definition is a function as a worker sees it. Handle is new for each definition: a replaced function is another one.
type Definition struct {
	Handle   uint64
	Params   []Param
	Ret      types.Type
	Body     string
	Volatile bool
	Limits   Limits
	// Aggregate: the body has the functions of an aggregate, Able says which of those that it need not have.
	Aggregate bool
	Able      Abilities
}

// Abilities are what an aggregate can do besides what all can.
type Abilities struct{ Merge, Retract bool }

// Param is a parameter.
type Param struct {
	Name string
	Type types.Type
}

// Limits bound one call; all are positive.
type Limits struct {
	TimeoutMicros int64 // CPU time
	MemoryBytes   int64
	StackFrames   int
	OutputBytes   int64
	StateBytes    int64 // of an aggregate
}

// Refusal says why a definition was not taken. Line and Column are 1-based places in the body, 0 when not known.
type Refusal struct {
	Message      string
	Line, Column int
}

// Limit names a limit.
type Limit string

// The limits that a worker enforces itself.
const (
	TimeLimit   Limit = "time"
	MemoryLimit Limit = "memory"
	StackLimit  Limit = "stack"
	OutputLimit Limit = "output"
)

// Broken says which limit a row broke. Row counts within the Eval from 0.
type Broken struct {
	Limit Limit
	Row   int
}

// Begin empties dst and starts a frame in it; Finish completes it.
func Begin(dst []byte, k Kind) []byte {
	return append(dst[:0], 0, 0, 0, 0, byte(k))
}

// Finish writes the length into a frame that Begin started.
func Finish(frame []byte) []byte {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-headSize))
	return frame
}

// Read reads one frame into buf, which grows to at most max bytes, and returns the payload: a part of buf.
func Read(r io.Reader, buf *[]byte, max int) (Kind, []byte, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if uint64(n) > uint64(max) {
		return 0, nil, fmt.Errorf("frame of %d bytes, at most %d are allowed", n, max)
	}
	if cap(*buf) < int(n) {
		*buf = make([]byte, n)
	}
	p := (*buf)[:n]
	if _, err := io.ReadFull(r, p); err != nil {
		return 0, nil, fmt.Errorf("frame cut short: %w", err)
	}
	return Kind(head[4]), p, nil
}

// Carrier returns the type whose layout carries values of t, ok false when JavaScript has no form for t. Integers, times
// and booleans travel as bigint, floats and intervals (milliseconds) as double precision, the rest as bytes: text, octets,
// or the text form of what only the server may take apart. Arrays travel in their stored form: to the worker with the
// elements' own type, back with text elements.
func Carrier(t types.Type) (types.Type, bool) {
	switch t.Kind {
	case types.Bool, types.Int2, types.Int4, types.Int8, types.OID, types.Date, types.Timestamp, types.TimestampTZ:
		return types.T(types.Int8), true
	case types.Float4, types.Float8, types.Interval:
		return types.T(types.Float8), true
	case types.Text, types.Varchar, types.BPChar, types.Name, types.Bytea, types.Numeric, types.Inet, types.CIDR, types.UUID,
		types.JSON, types.JSONB:
		return types.T(types.Bytea), true
	case types.Array:
		_, ok := Carrier(types.T(t.Elem))
		return types.T(types.Bytea), ok && t.Elem != types.Array
	}
	return types.Type{}, false
}
