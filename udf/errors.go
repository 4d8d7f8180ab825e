package udf

import (
	"fmt"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// refused is a definition that does not compile.
type refused struct{ why wire.Refusal }

func (e *refused) Error() string { return e.why.Message }

func (e *refused) sqlError(f *function) error {
	err := sqlerr.New(sqlerr.InvalidFunctionDefinition, "%s", clean(e.why.Message))
	if e.why.Line <= 0 {
		return err.WithWhere("JavaScript function %s", f.spec.Name)
	}
	return err.WithDetail("Line %d, column %d of the body.", e.why.Line, e.why.Column).
		WithWhere("JavaScript function %s, line %d, column %d", f.spec.Name, e.why.Line, e.why.Column)
}

// clean makes a worker's text fit for logs and the wire.
func clean(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), wire.MessageMax)], "")
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}

// exception is the error of one row.
func exception(f *function, e *wire.RowError) error {
	code := sqlerr.Code(e.Code)
	switch code {
	case sqlerr.NumericValueOutOfRange, sqlerr.CharacterNotInRepertoire, sqlerr.DatetimeFieldOverflow, sqlerr.InvalidTextRepresentation,
		sqlerr.DatatypeMismatch:
	default:
		code = sqlerr.ExternalRoutineException
	}
	err := sqlerr.New(code, "%s", clean(e.Text))
	if e.Line > 0 {
		return err.WithWhere("JavaScript function %s, line %d", f.spec.Name, e.Line)
	}
	return err.WithWhere("JavaScript function %s", f.spec.Name)
}

// violation is a broken limit.
type violation struct {
	limit wire.Limit
	row   int  // of the exchange
	setup bool // while it was compiled, not in a row
	whole bool // all rows together
	state bool // it was the state of an aggregate that was too big
}

func (e *violation) Error() string { return "broken limit: " + string(e.limit) }

func (e *violation) sqlError(f *function, c *call) error {
	name, l := f.spec.Name, f.def.Limits
	var err *sqlerr.Error
	switch {
	case e.setup:
		return sqlerr.New(sqlerr.UDFTimeLimit, "compiling function %s took more than %v of CPU time", name, setupMax).
			WithHint("Constant expressions are computed when the function is made.")
	case e.limit == wire.TimeLimit:
		err = sqlerr.New(sqlerr.UDFTimeLimit, "function %s used more than %v of CPU time", name, time.Duration(l.TimeoutMicros)*time.Microsecond).
			WithHint("Make it do less, or create it WITH (timeout = '...').")
	case e.limit == wire.MemoryLimit:
		err = memoryError(f)
	case e.limit == wire.StackLimit:
		err = sqlerr.New(sqlerr.UDFStackLimit, "function %s calls deeper than %d frames", name, l.StackFrames).
			WithHint("Make it recurse less, or create it WITH (stack = ...).")
	case e.limit == wire.OutputLimit && e.whole:
		err = sqlerr.New(sqlerr.UDFOutputLimit, "function %s returned more than %d bytes for one batch", name, callOutputMax)
	case e.limit == wire.OutputLimit && e.state:
		err = sqlerr.New(sqlerr.UDFOutputLimit, "a state of aggregate %s has more than %d bytes", name, l.StateBytes).
			WithHint("Make it keep less for a group, or create it WITH (max_state = '...').")
	case e.limit == wire.OutputLimit:
		err = sqlerr.New(sqlerr.UDFOutputLimit, "function %s returned more than %d bytes", name, l.OutputBytes)
	default:
		err = sqlerr.New(sqlerr.UDFCrash, "the JavaScript worker of function %s reported an unknown limit", name)
	}
	return c.blame(err, e.row)
}

func memoryError(f *function) *sqlerr.Error {
	return sqlerr.New(sqlerr.UDFMemoryLimit, "function %s used more than %d bytes of memory", f.spec.Name, f.def.Limits.MemoryBytes).
		WithHint("Make it keep less, or create it WITH (memory = '...').")
}

// blame adds which row it was.
func (c *call) blame(err *sqlerr.Error, row int) *sqlerr.Error {
	if row >= len(c.sent) {
		return err
	}
	return err.WithDetail("It happened in row %d of the batch.", c.sent[row]+1).WithWhere("JavaScript function %s", c.text(c.sent[row]))
}

// crash is a worker that died unasked, or answered nonsense.
type crash struct {
	err    error
	row    int
	slow   bool
	stderr string
}

func (e *crash) Error() string { return fmt.Sprintf("JavaScript worker died: %v", e.err) }

// sqlError reads what Go said last: the kernel's refusal of memory and Go's bound of its own stack end a process.
func (e *crash) sqlError(f *function, c *call) error {
	var err *sqlerr.Error
	switch {
	case strings.Contains(e.stderr, wire.NoSandbox):
		return sqlerr.New(sqlerr.FeatureNotSupported, "JavaScript is refused, because this system has no sandbox for it").
			WithDetail("%s", e.stderr).WithHint("Start the server with --allow-unsandboxed-javascript if you trust all who create functions.")
	case e.slow:
		err = sqlerr.New(sqlerr.UDFTimeLimit, "function %s did not answer in time", f.spec.Name)
	case strings.Contains(e.stderr, "stack overflow") || strings.Contains(e.stderr, "stack exceeds"):
		err = sqlerr.New(sqlerr.UDFStackLimit, "function %s made a built-in function of JavaScript recurse too deep", f.spec.Name)
	case outOfMemory(e.stderr):
		err = memoryError(f)
	default:
		err = sqlerr.New(sqlerr.UDFCrash, "the JavaScript worker died twice while it ran function %s", f.spec.Name)
	}
	return c.blame(err, e.row)
}

// outOfMemory recognizes what Go says when the kernel gives it no more. A nil pointer in JavaScript's engine is a panic,
// which the worker catches; one in Go's own runtime is the collector (spanQueue.tryDrain, Go 1.26), which does not check
// that it got the memory for its queue.
func outOfMemory(stderr string) bool {
	return strings.Contains(stderr, "out of memory") || strings.Contains(stderr, "cannot allocate memory") ||
		strings.Contains(stderr, "SIGSEGV") && strings.Contains(stderr, "addr=0x0")
}

// argsTextMax bounds the arguments that an error quotes, bytes.
const argsTextMax = 256

// text is the call of a row, as far as it fits.
func (c *call) text(row int) string {
	var b strings.Builder
	for i, a := range c.args {
		if b.Len() > argsTextMax {
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		switch v := a.Value(row); {
		case a.IsNull(row):
			b.WriteString("NULL")
		case a.Type.Phys() == types.PhysBytes:
			s := v.Text()
			b.WriteString("'" + s[:min(len(s), argsTextMax)] + "'")
		default:
			b.WriteString(v.Text())
		}
	}
	s := b.String()
	if len(s) > argsTextMax {
		s = strings.ToValidUTF8(s[:argsTextMax], "") + ".."
	}
	return c.f.spec.Name + "(" + clean(s) + ")"
}
