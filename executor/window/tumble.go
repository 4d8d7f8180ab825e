package window

import (
	"math"

	"github.com/vigil-sql/vigil/executor/types"
)

// TumbleAt returns the tumbling window of the given size and offset (microseconds; size > 0) that holds t. Windows at the ends of
// event time are cut off there: one that would begin before types.MinTime begins at it, one that would end after
// types.MaxTime ends at it.
func TumbleAt(t types.EventTime, size, offset int64) Window {
	into := (floorMod(int64(t), size) - floorMod(offset, size) + size) % size
	w := Window{Start: types.MinTime, End: types.MaxTime}
	if int64(t) >= math.MinInt64+into {
		w.Start = t - types.EventTime(into)
	}
	if left := size - into; int64(t) <= math.MaxInt64-left {
		w.End = t + types.EventTime(left)
	}
	return w
}

// floorMod is the remainder that is never negative.
func floorMod(a, size int64) int64 {
	if a %= size; a < 0 {
		return a + size
	}
	return a
}
