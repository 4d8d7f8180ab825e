package op

import "github.com/vigil-sql/vigil/executor/types"

// Deadline is the end of the earliest open window: Advance to an earlier watermark does nothing. MaxTime: no window is open.
func (w *WindowAgg) Deadline() types.EventTime {
	if len(w.open) == 0 {
		return types.MaxTime
	}
	return w.open[0].End
}
