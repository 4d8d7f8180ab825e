package worker

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// stop is what the watchdog interrupts a runtime with.
type stop struct {
	row   uint64 // the row that broke the limit, counted since the process began
	limit wire.Limit
}

// evaluate runs one row. Everything that can run code of the user, reading the result and describing an exception
// included, happens in here, so the row's limits hold for it.
func (f *function) evaluate(s *server, i int) (types.Value, *fault) {
	for {
		v, flt, stale := f.realm.row(f, s.cols, i, s.rows)
		if !stale {
			return v, flt
		}
		// The watchdog meant the row before, which ended by itself in the same moment. This one starts again.
		f.realm.rt.ClearInterrupt()
	}
}

func (r *realm) row(f *function, cols []batch.Vec, i int, row uint64) (out types.Value, flt *fault, stale bool) {
	defer func() {
		if x := recover(); x != nil {
			flt, stale = r.panicked(x, row)
		}
	}()
	for p := range r.args {
		a, err := r.argument(&cols[p], i)
		if err != nil {
			flt, stale = r.failed(err, row)
			return out, flt, stale
		}
		r.args[p] = a
	}
	v, err := r.call(goja.Undefined(), r.args...)
	if err != nil {
		flt, stale = r.failed(err, row)
		return out, flt, stale
	}
	if _, object := v.(*goja.Object); !object {
		out, err = r.result(v, f.def.Ret)
	} else if ex := r.rt.Try(func() { out, err = r.result(v, f.def.Ret) }); ex != nil {
		err = ex
	}
	if err != nil {
		flt, stale = r.failed(err, row)
	}
	return out, flt, stale
}

// failed says what an error of the engine, or of a conversion, means for the row.
func (r *realm) failed(err error, row uint64) (flt *fault, stale bool) {
	var (
		own         *fault
		interrupted *goja.InterruptedError
		overflow    *goja.StackOverflowError
		exception   *goja.Exception
	)
	switch {
	case errors.As(err, &own):
		return own, false
	case errors.As(err, &interrupted):
		if s, ok := interrupted.Value().(*stop); ok && s.row == row {
			return &fault{limit: s.limit}, false
		}
		return nil, true
	case errors.As(err, &overflow):
		return &fault{limit: wire.StackLimit}, false
	case errors.As(err, &exception):
		return r.exception(exception, row)
	}
	return &fault{code: sqlerr.ExternalRoutineException, text: clip(err.Error())}, false
}

// panicked is failed for what left the engine as a panic.
func (r *realm) panicked(x any, row uint64) (flt *fault, stale bool) {
	switch x := x.(type) {
	case *goja.InterruptedError, *goja.StackOverflowError, *goja.Exception:
		return r.failed(x.(error), row)
	case goja.Value:
		return r.described(x, row)
	}
	// A built-in function panicked in Go ("strings: Repeat output length overflow"). Nobody knows what it left behind.
	r.spoiled = true
	return &fault{code: sqlerr.ExternalRoutineException, text: clip(fmt.Sprint("the JavaScript engine failed: ", x))}, false
}

func (r *realm) exception(e *goja.Exception, row uint64) (*fault, bool) {
	flt, stale := r.described(e.Value(), row)
	if flt != nil {
		flt.line = lineOf(e)
	}
	return flt, stale
}

// lineOf returns the line of the body where an exception was thrown.
func lineOf(e *goja.Exception) int {
	for _, f := range e.Stack() {
		if f.SrcName() == sourceName {
			return max(f.Position().Line-1, 0)
		}
	}
	return 0
}

// described is the error for a thrown value. toString may throw, loop or not be there.
func (r *realm) described(v goja.Value, row uint64) (flt *fault, stale bool) {
	defer func() {
		x := recover()
		switch x := x.(type) {
		case nil:
		case *goja.InterruptedError, *goja.StackOverflowError:
			flt, stale = r.failed(x.(error), row)
		case goja.Value, *goja.Exception:
			flt = &fault{code: sqlerr.ExternalRoutineException, text: "an exception that has no text"}
		default:
			flt, stale = r.panicked(x, row)
		}
	}()
	text := "undefined"
	if v != nil {
		if ex := r.rt.Try(func() { text = v.String() }); ex != nil {
			text = "an exception that has no text"
		}
	}
	return &fault{code: sqlerr.ExternalRoutineException, text: clip(text)}, false
}

// clip cuts a text at wire.MessageMax and blanks control characters.
func clip(s string) string {
	if len(s) > wire.MessageMax {
		n := wire.MessageMax
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == utf8.RuneError {
			return ' '
		}
		return c
	}, s)
}

// chunk collects the rows of one Result.
type chunk struct {
	s      *server
	f      *function
	vec    batch.Vec
	errors []wire.RowError
}

func (c *chunk) begin() {
	carrier, _ := wire.Carrier(c.f.def.Ret)
	c.vec.Reset(carrier)
	c.errors = c.errors[:0]
}

func (c *chunk) add(v types.Value, flt *fault) {
	if flt == nil {
		c.vec.AppendValue(v)
		return
	}
	c.errors = append(c.errors, wire.RowError{Row: c.vec.N, Line: flt.line, Code: string(flt.code), Text: flt.text})
	c.vec.AppendNull()
}

func (c *chunk) flush(more bool) error {
	h := wire.ResultHead{Rows: c.vec.N, More: more, Errors: len(c.errors)}
	if c.s.watch.growing() {
		h.Retire = wornOut(c.f.def.Limits.MemoryBytes)
	}
	if r := c.f.realm; r != nil {
		h.Logged, r.logged = r.logged, 0
		h.Log, r.lines = r.lines, r.lines[:0]
	}
	c.s.frame = wire.AppendResultHead(wire.Begin(c.s.frame, wire.Result), h)
	c.s.frame = wire.AppendColumn(c.s.frame, &c.vec, c.vec.N)
	for _, e := range c.errors {
		c.s.frame = wire.AppendRowError(c.s.frame, e)
	}
	c.begin()
	return c.s.send(c.s.frame)
}
