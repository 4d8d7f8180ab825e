// Package window owns the window kinds: which half-open intervals of event time a row belongs to.
package window

import "github.com/vigil-sql/vigil/executor/types"

// Window is [Start, End) in event time.
type Window struct{ Start, End types.EventTime }

// Spec is a window as data: what the planner bound and the plan carries. Durations are microseconds.
type Spec struct {
	Kind Kind
	// Size is the length; of SESSION the gap that ends one, of COUNT_WINDOW a number of rows.
	Size   int64
	Slide  int64 // HOP; CUMULATE: step; COUNT_WINDOW: rows from one window to the next
	Offset int64 // shift of the alignment from 1970-01-01 UTC
	Max    int64 // SESSION: the longest one may become; 0: any length
	// TimeCol is the index of the time column in the input schema.
	TimeCol int
}

// Kind names a window function.
type Kind uint8

// The kinds.
const (
	None Kind = iota
	Tumble
	Hop
	Session
	Cumulate
	Slide
	Count
)

// Start returns the start of the tumbling window of the given size and offset that holds t; floor division, so that
// times before 1970 fall into the right window.
func Start(t types.EventTime, size, offset int64) types.EventTime {
	r := (int64(t) - offset) % size
	if r < 0 {
		r += size
	}
	return t - types.EventTime(r)
}
