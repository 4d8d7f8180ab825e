package session

import (
	"fmt"
	"time"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// running is what a continuous query has done so far.
type running struct {
	q      *catalog.Query
	in     *job.Inspection
	counts task.CountMap
}

func newRunning(q *catalog.Query, in *job.Inspection) *running {
	r := &running{q: q, in: in, counts: task.CountMap{}}
	for i := range in.Parts {
		r.counts.AddAll(in.Parts[i].Counts)
	}
	return r
}

// seconds is how long has been counted, by the engine's clock.
func (r *running) seconds() float64 { return float64(r.in.Clock-r.in.Since) / 1e6 }

// more is what follows an operator's line. A filter that the grouping below it checks itself has no counts of its own.
func (r *running) more(o *spec.Outline) string {
	c, ok := r.counts[o.Node]
	if !ok {
		if _, isFilter := o.Node.Op.(*spec.Filter); isFilter {
			return "  (in the operator below)"
		}
		return ""
	}
	return countsText(c, r.seconds(), len(o.In) == 0)
}

// text is what is known of the query as a whole.
func (r *running) text(s *Session) []string {
	lines := []string{fmt.Sprintf("Counted: %s, %d workers, all operators together", spanText(int64(r.in.Clock-r.in.Since)), r.in.Workers)}
	for i := range r.in.Parts {
		p := &r.in.Parts[i]
		lines = append(lines, fmt.Sprintf("Query %s: %d changes out, %d late, watermark %s", p.Name, p.RowsOut, p.Late, r.watermark(s, p.Watermark)))
		for _, in := range p.Inputs {
			line := fmt.Sprintf("  Input %s: watermark %s", in.Name, r.watermark(s, in.Watermark))
			if in.Silent {
				line += ", silent"
			}
			lines = append(lines, line+behindText(in))
		}
	}
	return lines
}

func behindText(in job.InputStatus) string {
	switch {
	case in.Behind < 0:
		return ""
	case in.IsResult:
		return fmt.Sprintf(", %d rows behind", in.Behind)
	}
	return fmt.Sprintf(", %d bytes behind", in.Behind)
}

// watermark prints a watermark and how far it is behind the clock.
func (r *running) watermark(s *Session, wm types.EventTime) string {
	if wm == types.MinTime {
		return "none yet"
	}
	return timeText(s, wm) + " (lag " + spanText(int64(r.in.Clock-wm)) + ")"
}

func timeText(s *Session, t types.EventTime) string {
	return string(types.AppendText(nil, types.NewTime(t), s.TextFormat()))
}

// spanText prints microseconds as "1m30s".
func spanText(micros int64) string { return (time.Duration(micros) * time.Microsecond).String() }
