package bind

import (
	"cmp"
	"strconv"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/parse"
)

// FunctionLimitsDefault is what a function may use when CREATE FUNCTION does not say.
var FunctionLimitsDefault = spec.FunctionLimits{TimeoutMicros: int64(50 * time.Millisecond / time.Microsecond), MemoryBytes: 16 << 20, StackFrames: 256,
	OutputBytes: 1 << 20, OnError: "fail"}

// FunctionLimitsMax is the most that a function may ask for where the server sets no maxima of its own.
var FunctionLimitsMax = spec.FunctionLimits{TimeoutMicros: int64(time.Minute / time.Microsecond), MemoryBytes: 1 << 30, StackFrames: 10000,
	OutputBytes: 16 << 20}

// functionLimits reads the options of CREATE FUNCTION. A stored function that asks for more than the server allows by now gets what it
// allows.
func functionLimits(env *Env, list []parse.Option) (spec.FunctionLimits, error) {
	out, most := FunctionLimitsDefault, functionMax(env)
	out.TimeoutMicros, out.MemoryBytes = min(out.TimeoutMicros, most.TimeoutMicros), min(out.MemoryBytes, most.MemoryBytes)
	out.StackFrames, out.OutputBytes = min(out.StackFrames, most.StackFrames), min(out.OutputBytes, most.OutputBytes)
	for _, o := range list {
		if err := functionOption(&out, o); err != nil {
			return out, err
		}
	}
	stack, stackMost := int64(out.StackFrames), int64(most.StackFrames)
	for _, b := range []struct {
		option, flag, most string
		value              *int64
		max                int64
	}{
		{"timeout", "timeout", (time.Duration(most.TimeoutMicros) * time.Microsecond).String(), &out.TimeoutMicros, most.TimeoutMicros},
		{"memory", "memory", strconv.FormatInt(most.MemoryBytes, 10) + " bytes", &out.MemoryBytes, most.MemoryBytes},
		{"stack", "stack", strconv.FormatInt(stackMost, 10) + " calls", &stack, stackMost},
		{"max_output", "output", strconv.FormatInt(most.OutputBytes, 10) + " bytes", &out.OutputBytes, most.OutputBytes},
	} {
		switch {
		case *b.value <= b.max:
		case env.Stored:
			*b.value = b.max
		default:
			return out, sqlerr.New(sqlerr.InvalidParameterValue, "option %q is more than this server allows: %s", b.option, b.most).At(position(list, b.option)).
				WithHint("vigil serve --javascript-%s-max sets what it allows.", b.flag)
		}
	}
	out.StackFrames = int(stack)
	return out, nil
}

// functionMax is the most that functions may ask for.
func functionMax(env *Env) spec.FunctionLimits {
	m, usual := env.FunctionMax, FunctionLimitsMax
	return spec.FunctionLimits{TimeoutMicros: cmp.Or(m.TimeoutMicros, usual.TimeoutMicros), MemoryBytes: cmp.Or(m.MemoryBytes, usual.MemoryBytes),
		StackFrames: cmp.Or(m.StackFrames, usual.StackFrames), OutputBytes: cmp.Or(m.OutputBytes, usual.OutputBytes)}
}

func position(list []parse.Option, key string) int {
	for _, o := range list {
		if o.Key == key {
			return o.Pos
		}
	}
	return 0
}

func functionOption(out *spec.FunctionLimits, o parse.Option) (err error) {
	switch o.Key {
	case "timeout":
		if out.TimeoutMicros, err = DurationText(o.Value); err != nil || out.TimeoutMicros <= 0 {
			return badOption(o, "a positive duration such as '50ms'")
		}
	case "memory":
		if out.MemoryBytes, err = SizeText(o.Value); err != nil || out.MemoryBytes <= 0 {
			return badOption(o, "a size such as '16MB'")
		}
	case "max_output":
		if out.OutputBytes, err = SizeText(o.Value); err != nil || out.OutputBytes <= 0 {
			return badOption(o, "a size such as '1MB'")
		}
	case "stack":
		if out.StackFrames, err = strconv.Atoi(o.Value); err != nil || out.StackFrames < 1 || out.StackFrames > FunctionLimitsMax.StackFrames {
			return badOption(o, "a number of calls from 1 to 10000")
		}
	case "on_error":
		if out.OnError = o.Value; !oneOf(o.Value, "null", "fail", "skip", "deactivate") {
			return badOption(o, "'null', 'fail', 'skip' or 'deactivate'")
		}
	default:
		return unknownOption(o, "max_output", "memory", "on_error", "stack", "timeout")
	}
	return nil
}
