package task

import (
	"testing"

	"github.com/vigil-sql/vigil/executor/types"
)

// TestTrackerBatchesOfFirstRows: how far the clock carries a silent stream does not depend on how the rows of a split that are all
// behind the watermark were cut into batches.
func TestTrackerBatchesOfFirstRows(t *testing.T) {
	run := func(cuts ...[]uint32) types.EventTime {
		tr := NewTracker(0, 10)
		ts := []int64{100, 40, 70}
		tr.Observe(0, 0, ts, []uint32{0}, nil)
		for _, sel := range cuts {
			tr.Observe(1, 0, ts, sel, nil)
		}
		tr.Touch(0) // a restart
		for i := range tr.splits[:1] {
			tr.splits[i].Max = 0 // as if the first split had been far behind: only the second one carries the stream
		}
		return tr.Tick(50)
	}
	if one, two := run([]uint32{1, 2}), run([]uint32{1}, []uint32{2}); one != two || one != 120 {
		t.Errorf("%d in one batch, %d in two, want 120", one, two)
	}
}
