// Package task is what the goroutines of a dataflow are made of: watermarks over splits, chains of operators, and the
// runner of queries that end. Goroutines that outlive a call belong to package job.
package task

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// Tracker computes the watermark of one stream from its rows in sequence order, so that it depends on the order of rows
// only, never on how they were cut into batches. The watermark is the minimum over the stream's splits of (largest event
// time seen - Delay). A split that is silent for IdleAfter no longer holds it back; when all are, it follows the clock.
// Not safe for concurrent use.
type Tracker struct {
	// Delay and IdleAfter are microseconds.
	Delay, IdleAfter int64
	watermark        types.EventTime
	splits           []Split
}

// Split is what a Tracker remembers of one split.
type Split struct {
	ID   int32
	Seen bool            // whether a row came at all
	Max  types.EventTime // largest event time, when Seen
	// Arrival is the epoch clock when the split last had rows, or when it was announced.
	Arrival types.EventTime
	Idle    bool
}

// NewTracker returns a tracker before its first row.
func NewTracker(delay, idleAfter int64) *Tracker {
	return &Tracker{Delay: delay, IdleAfter: idleAfter, watermark: types.MinTime}
}

// Watermark is the current watermark; MinTime before the first row.
func (t *Tracker) Watermark() types.EventTime { return t.watermark }

// Splits and Restore give and take the state for a checkpoint; the slice is copied.
func (t *Tracker) Splits() []Split { return append([]Split(nil), t.splits...) }

// Restore sets the state that Splits and Watermark gave.
func (t *Tracker) Restore(watermark types.EventTime, splits []Split) {
	t.watermark, t.splits = watermark, append([]Split(nil), splits...)
}

// Announce makes a split known before its first row: it holds the watermark back until it has rows or is idle.
func (t *Tracker) Announce(id int32, clock types.EventTime) { t.split(id, clock) }

// Touch restarts the idle time of all splits, after a time in which rows could not arrive.
func (t *Tracker) Touch(clock types.EventTime) {
	for i := range t.splits {
		t.splits[i].Arrival, t.splits[i].Idle = clock, false
	}
}

func (t *Tracker) split(id int32, clock types.EventTime) *Split {
	for i := range t.splits {
		if t.splits[i].ID == id {
			return &t.splits[i]
		}
	}
	t.splits = append(t.splits, Split{ID: id, Arrival: clock})
	return &t.splits[len(t.splits)-1]
}

// Observe takes the event times of the selected rows of a batch of one split, at an epoch's clock, and appends to behind
// the rows that are older than the watermark at their turn.
func (t *Tracker) Observe(id int32, clock types.EventTime, ts []int64, sel []uint32, behind []batch.Behind) []batch.Behind {
	if len(sel) == 0 {
		return behind
	}
	s := t.split(id, clock)
	s.Arrival, s.Idle = clock, false
	others := t.minExcept(s)
	wm, peak := t.watermark, s.Max
	if !s.Seen {
		peak = types.MinTime
	}
	for _, r := range sel {
		at := types.EventTime(ts[r])
		if at < wm {
			behind = append(behind, batch.Behind{Row: r, Watermark: wm})
			peak = max(peak, at)
			continue
		}
		if at > peak {
			peak = at
			wm = max(wm, min(others, minus(at, t.Delay)))
		}
	}
	s.Seen, s.Max, t.watermark = true, peak, wm
	return behind
}

// minExcept is the smallest watermark of the active splits other than s; MaxTime when there are none.
func (t *Tracker) minExcept(s *Split) types.EventTime {
	least := types.MaxTime
	for i := range t.splits {
		o := &t.splits[i]
		if o == s || o.Idle {
			continue
		}
		if !o.Seen {
			return types.MinTime
		}
		least = min(least, minus(o.Max, t.Delay))
	}
	return least
}

// Tick applies a clock reading: silent splits become idle, and a wholly idle stream's time follows the clock. It returns
// the watermark.
func (t *Tracker) Tick(clock types.EventTime) types.EventTime {
	if t.IdleAfter <= 0 || len(t.splits) == 0 {
		return t.watermark
	}
	active, follow, seen := 0, types.MinTime, false
	for i := range t.splits {
		s := &t.splits[i]
		if int64(clock-s.Arrival) >= t.IdleAfter {
			s.Idle = true
		}
		if !s.Idle {
			active++
		} else if s.Seen {
			seen = true
			follow = max(follow, minus(s.Max+(clock-s.Arrival), t.Delay))
		}
	}
	if active > 0 {
		if m := t.minExcept(nil); m != types.MaxTime {
			t.watermark = max(t.watermark, m)
		}
	} else if seen {
		t.watermark = max(t.watermark, follow)
	}
	return t.watermark
}

// End moves the watermark to the end of time: no row follows.
func (t *Tracker) End() types.EventTime {
	t.watermark = types.MaxTime
	return t.watermark
}

// Silent reports that the stream has splits and none of them has had a row for IdleAfter: as of the last Tick. It has no time
// then, and what reads other streams as well need not wait for it.
func (t *Tracker) Silent() bool {
	for i := range t.splits {
		if t.splits[i].Seen || !t.splits[i].Idle {
			return false
		}
	}
	return len(t.splits) > 0
}

// Waits reports that the watermark may have to wait for a split: it has had rows, or was announced and is not idle.
func (t *Tracker) Waits(id int32) bool {
	for i := range t.splits {
		if t.splits[i].ID == id {
			return t.splits[i].Seen || !t.splits[i].Idle
		}
	}
	return false
}

// minus subtracts without wrapping below MinTime.
func minus(t types.EventTime, d int64) types.EventTime {
	if t < types.MinTime+types.EventTime(d) {
		return types.MinTime
	}
	return t - types.EventTime(d)
}
