package worker

import (
	_ "embed" // for lockdown.js
	"fmt"
	"strings"
	"time"

	"github.com/dop251/goja"

	"github.com/vigil-sql/vigil/udf/wire"
)

//go:embed lockdown.js
var lockdownSource string

// function is a definition that was compiled, and its realm once it was called.
type function struct {
	def   wire.Definition
	prg   *goja.Program
	realm *realm
	used  uint64 // when it was called last, in batches
}

// realm is a JavaScript world of its own for one function: runtime, frozen globals, the function itself.
type realm struct {
	rt        *goja.Runtime
	call      goja.Callable
	agg       [aggFunctions]goja.Callable // of an aggregate, instead of call; nil: it has none
	spread    goja.Callable               // Array.from, for the states of aggregates, as the next four
	mapSet    goja.Callable
	setAdd    goja.Callable
	mapOf     *goja.Object
	setOf     *goja.Object
	stringify goja.Callable
	parse     goja.Callable
	date      *goja.Object
	bytes     *goja.Object // the constructor Uint8Array
	yes       goja.Value
	args      []goja.Value
	logged    uint32   // console lines since the last Result
	lines     []string // the first of them
	output    int64    // bytes that a result may have
	// spoiled: the engine panicked; the realm may be inconsistent and is thrown away.
	spoiled bool
}

// newRealm costs a few milliseconds, most of them freezing the globals.
func newRealm(f *function, lockdown *goja.Program) (*realm, error) {
	r := &realm{rt: goja.New(), args: make([]goja.Value, len(f.def.Params)), output: f.def.Limits.OutputBytes}
	rt := r.rt
	rt.SetMaxCallStackSize(f.def.Limits.StackFrames)
	r.yes = rt.ToValue(true)
	r.date, _ = rt.Get("Date").(*goja.Object)
	r.bytes, _ = rt.Get("Uint8Array").(*goja.Object)
	if err := rt.Set("utils", newUtils(r)); err != nil {
		return nil, err
	}
	console := r.newConsole()
	v, err := rt.RunProgram(lockdown)
	if err != nil {
		return nil, fmt.Errorf("lock down: %w", err)
	}
	lock, ok := goja.AssertFunction(v)
	if !ok {
		return nil, fmt.Errorf("lock down: no function")
	}
	if v, err = lock(goja.Undefined(), rt.NewArray(console)); err != nil {
		return nil, fmt.Errorf("lock down: %w", err)
	}
	kept, _ := v.(*goja.Object)
	r.stringify, _ = goja.AssertFunction(kept.Get("0"))
	r.parse, _ = goja.AssertFunction(kept.Get("1"))
	if !f.def.Volatile {
		rt.SetTimeSource(func() time.Time {
			panic(rt.NewTypeError("the current time is not available in a function that is not VOLATILE"))
		})
		rt.SetRandSource(func() float64 {
			panic(rt.NewTypeError("Math.random is not available in a function that is not VOLATILE"))
		})
	}
	if v, err = rt.RunProgram(f.prg); err != nil {
		return nil, err
	}
	outer, _ := goja.AssertFunction(v)
	if v, err = outer(goja.Undefined(), console); err != nil {
		return nil, err
	}
	if f.def.Aggregate {
		return r, r.takeAggregate(v, kept.Get("2"))
	}
	r.call, _ = goja.AssertFunction(v)
	return r, nil
}

// newConsole returns a console whose lines are counted, and the first of them kept until the next Result.
func (r *realm) newConsole() *goja.Object {
	o := r.rt.NewObject()
	for _, n := range []string{"log", "info", "warn", "error", "debug"} {
		r.method(o, n, func(c goja.FunctionCall) goja.Value {
			if r.logged++; len(r.lines) < wire.LogLinesMax {
				r.lines = append(r.lines, logLine(c.Arguments))
			}
			return goja.Undefined()
		})
	}
	return o
}

// logLine is a line for the log. Of objects it tells the class alone: nothing of the user's runs in here.
func logLine(args []goja.Value) string {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		if b.Len() > wire.LogLineMax {
			break
		}
		if o, ok := a.(*goja.Object); ok {
			b.WriteString("[object " + o.ClassName() + "]")
			continue
		}
		b.WriteString(a.String())
	}
	return clip(b.String()[:min(b.Len(), wire.LogLineMax)])
}

// method gives o a function that does not tell the name it has in Go.
func (r *realm) method(o *goja.Object, name string, f func(goja.FunctionCall) goja.Value) {
	v := r.rt.ToValue(f)
	if fo, ok := v.(*goja.Object); ok {
		_ = fo.DefineDataProperty("name", r.rt.ToValue(name), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE)
	}
	_ = o.DefineDataProperty(name, v, goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE)
}
