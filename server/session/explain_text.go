package session

import (
	"fmt"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
)

// text is EXPLAIN in lines: the physical plan and what was done for it; with VERBOSE first the logical plan, before the rules
// and after.
func (x *explanation) text(s *Session) []string {
	var lines []string
	section := func(title string, list ...*spec.Outline) {
		lines = append(lines, title)
		for _, l := range spec.Lines(list, nil) {
			lines = append(lines, "  "+l)
		}
	}
	if x.opts.verbose {
		section("Logical plan, as written:", x.made.Written)
		section("Logical plan, after the rules:", x.made.Optimized)
		lines = append(lines, "Physical plan:")
	}
	for _, l := range spec.Lines(x.plans, x.more) {
		if x.opts.verbose {
			l = "  " + l
		}
		lines = append(lines, l)
	}
	if len(x.made.Notes) > 0 {
		lines = append(lines, "Rules:")
	}
	for _, n := range x.made.Notes {
		lines = append(lines, "  "+n.Topic+": "+n.Text)
	}
	if x.running != nil {
		lines = append(lines, x.running.text(s)...)
	}
	if x.opts.summary {
		lines = append(lines, "Planning Time: "+millis(x.planning)+" ms")
	}
	if x.profile != nil && x.opts.summary {
		lines = append(lines, fmt.Sprintf("Peak Memory: %d kB", kilobytes(x.profile.Peak)), "Execution Time: "+millis(x.profile.Total)+" ms")
	}
	return lines
}

// more is what follows an operator's line.
func (x *explanation) more(o *spec.Outline) (same string, below []string) {
	if x.opts.verbose && o.Node != nil {
		below = append(below, "Output: "+strings.Join(columnNames(&o.Node.Schema), ", "))
	}
	switch {
	case o.Node == nil:
	case x.running != nil:
		same = x.running.more(o)
	case x.profile != nil:
		var read []string
		same, read = x.profiled(o)
		below = append(below, read...)
	}
	return same, below
}

// profiled is what a run counted: in Postgres' parentheses what one loop did, in the next what all did.
func (x *explanation) profiled(o *spec.Outline) (same string, below []string) {
	st := x.profile.Stats(o.Node)
	if st == nil || st.Loops == 0 {
		return "  (never executed)", nil
	}
	timing := ""
	if x.opts.timing {
		timing = "time=" + millis(x.time(o)/time.Duration(st.Loops)) + " "
	}
	same = fmt.Sprintf("  (actual %srows=%d loops=%d)", timing, perLoop(st.Out, st.Loops), st.Loops)
	if len(o.In) > 0 {
		same += fmt.Sprintf(" (in=%d batches=%d", st.In, st.Batches)
	} else {
		same += fmt.Sprintf(" (batches=%d", st.Batches)
	}
	if m := st.Memory(); m > 0 {
		same += fmt.Sprintf(" memory=%dkB", kilobytes(m))
	}
	same += ")"
	if r := st.Scan; r != nil {
		text := fmt.Sprintf("Read: %d records, %d bytes, %d refused", r.Records, r.Bytes, r.Refused)
		if r.Skipped > 0 {
			text += fmt.Sprintf("; %d bytes skipped by the time index", r.Skipped)
		}
		below = append(below, text)
	}
	return same, below
}

// time is what an operator and all below it took.
func (x *explanation) time(o *spec.Outline) time.Duration {
	var sum time.Duration
	if o.Node != nil {
		if st := x.profile.Stats(o.Node); st != nil {
			sum = st.Self
		}
	}
	for _, list := range [2][]*spec.Outline{o.Subplans, o.In} {
		for _, in := range list {
			sum += x.time(in)
		}
	}
	return sum
}

// perLoop is the average over loops, rounded as Postgres does.
func perLoop(n, loops int64) int64 { return (n + loops/2) / loops }

func millis(d time.Duration) string { return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond)) }

func kilobytes(n int64) int64 { return (n + 1023) / 1024 }

func columnNames(s *types.Schema) []string {
	names := make([]string, len(s.Cols))
	for i, c := range s.Cols {
		names[i] = c.Name
	}
	return names
}

// countsText is what an operator of a running query has done.
func countsText(c task.Counts, seconds float64, leaf bool) string {
	var parts []string
	rows := c.Out
	if !leaf {
		rows = c.In
		parts = append(parts, fmt.Sprintf("in=%d", c.In))
	}
	parts = append(parts, fmt.Sprintf("out=%d", c.Out))
	if seconds > 0 {
		parts = append(parts, fmt.Sprintf("rate=%.1f/s", float64(rows)/seconds))
	}
	if c.Batches > 0 {
		parts = append(parts, fmt.Sprintf("batches=%d", c.Batches))
	}
	if c.Stateful {
		parts = append(parts, fmt.Sprintf("keys=%d state=%dkB", c.Keys, kilobytes(c.Bytes)))
	}
	if c.Late > 0 {
		parts = append(parts, fmt.Sprintf("late=%d", c.Late))
	}
	return "  (" + strings.Join(parts, " ") + ")"
}
