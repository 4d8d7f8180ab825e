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
