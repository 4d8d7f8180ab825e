package bind

import (
	"strconv"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/parse"
)

// limitOptions are the options of a continuous query that bound what it costs.
var limitOptions = []string{"cpu_ms_per_s", "max_keys", "max_rows_per_min", "memory", "on_limit"}

// LimitOptions are the options of a continuous query that bound what it costs; ALTER changes them while the query runs.
func LimitOptions() []string { return append([]string(nil), limitOptions...) }

// noLimit is the value of an option that takes a limit away.
const noLimit = "none"

// The largest values, so that nothing overflows.
const (
	cpuMax   = 1e6 // a thousand cores
	countMax = 1e15
)

// limit reads one of limitOptions; false: it is another option.
func limit(to *spec.Limits, o parse.Option) (known bool, err error) {
	if o.Key == "on_limit" {
		if !oneOf(o.Value, "deactivate", "throttle") {
			return true, sqlerr.New(sqlerr.InvalidParameterValue, "invalid value for option \"on_limit\": %q", o.Value).At(o.Pos).
				WithHint("Known values: deactivate, throttle.")
		}
		to.Throttle = o.Value == "throttle"
		return true, nil
	}
	if !oneOf(o.Key, limitOptions...) {
		return false, nil
	}
	if o.Value == noLimit {
		return true, nil
	}
	switch o.Key {
	case "cpu_ms_per_s":
		ms, err := strconv.ParseFloat(o.Value, 64)
		if err != nil || !(ms >= 0.001 && ms <= cpuMax) {
			return true, badOption(o, "milliseconds of CPU time per second of wall time, from 0.001, such as 50, or 'none'")
		}
		to.CPUMicros = int64(ms * 1000)
	case "memory":
		if to.MemoryBytes, err = SizeText(o.Value); err != nil || to.MemoryBytes <= 0 {
			return true, badOption(o, "a size such as '64MB', or 'none'")
		}
	case "max_keys":
		to.KeysMax, err = limitCount(o, "a number of keys such as 1000000, or 'none'")
	case "max_rows_per_min":
		to.RowsPerMinute, err = limitCount(o, "a number of rows such as 600, or 'none'")
	}
	return true, err
}

func limitCount(o parse.Option, want string) (int64, error) {
	n, err := strconv.ParseInt(o.Value, 10, 64)
	if err != nil || n < 1 || n > countMax {
		return 0, badOption(o, want)
	}
	return n, nil
}

// Throttling refuses what cannot be held back and go on by itself.
func Throttling(list []parse.Option, l spec.Limits, p *spec.Program) error {
	if !l.Throttle {
		return nil
	}
	if l.MemoryBytes > 0 && !frees(p) {
		return throttleRefused(list, "memory", "on_limit = 'throttle' with memory of a query that keeps memory for reuse",
			"Limit max_keys, or use on_limit = 'deactivate'. Memory is given back by windows of TUMBLE that emit when they close, SUPPRESS and FIRST_SEEN.")
	}
	if l.RowsPerMinute > 0 && spec.Updates(p.Root) {
		// What is left of a changelog that takes rows back would be no state that the result ever had.
		return throttleRefused(list, "max_rows_per_min", "on_limit = 'throttle' with max_rows_per_min of a query whose result is updated",
			"Use on_limit = 'deactivate', or EMIT ON WINDOW CLOSE.")
	}
	return nil
}

// frees reports that the state of a program and its stages takes less memory when it shrinks.
func frees(p *spec.Program) bool {
	for _, st := range p.Stages {
		if !spec.Frees(st.Program.Root) {
			return false
		}
	}
	return spec.Frees(p.Root)
}

func throttleRefused(list []parse.Option, key, what, hint string) error {
	for _, o := range list {
		if o.Key == key {
			return unsupported(throttlePos(list, o), what, hint)
		}
	}
	return nil
}

// throttlePos is where an option stands that cannot be throttled, or, when ALTER leaves it as it was, on_limit.
func throttlePos(list []parse.Option, o parse.Option) parse.Pos {
	for _, x := range list {
		if x.Key == "on_limit" && o.Pos == 0 {
			return x.Pos
		}
	}
	return o.Pos
}
