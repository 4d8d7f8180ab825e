package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestScripts runs testdata. Times are seconds since 1970. Commands:
//
//	op [workers=N] [delay=SECONDS]  the plan (see parsePlan); without delay the watermark moves by command only
//	feed                            one batch, a row per line; prints late rows and what closing windows emit
//	watermark at=SECONDS            moves the watermark; at=infinity ends the input
//	epoch                           ends an epoch; prints what was held back until then
//	snapshot                        takes a checkpoint, which follows the end of an epoch; prints what was written
//	restart [workers=N]             recovers from the last checkpoint and runs again what came after it
//	stats                           groups in memory and late rows
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			if s.e != nil {
				s.e.t = t
			}
			return s.run(d)
		})
	})
}

type script struct {
	t       *testing.T
	e       *engine
	workers int
	// emitted since the last checkpoint
	emitted []string
}

func (s *script) run(d *datadriven.TestData) string {
	s.t.Helper()
	switch d.Cmd {
	case "op":
		return s.open(d)
	case "feed":
		var rows [][]types.Value
		for line := range strings.Lines(d.Input) {
			row, err := s.e.plan.parseRow(line)
			if err != nil {
				d.Fatalf(s.t, "%v", err)
			}
			rows = append(rows, row)
		}
		s.e.feed(rows)
		return s.output()
	case "watermark":
		var at string
		d.ScanArgs(s.t, "at", &at)
		to, err := micros(at)
		if err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		s.e.advance(types.EventTime(to))
		return s.output()
	case "epoch":
		s.e.endEpoch()
		return s.output()
	case "snapshot":
		s.e.store.log = nil
		s.e.checkpoint()
		s.emitted = nil
		// Which worker owns a key differs from run to run, and with it how many write: only what was written counts.
		slices.Sort(s.e.store.log)
		return lines(slices.Compact(s.e.store.log))
	case "restart":
		d.MaybeScanArgs(s.t, "workers", &s.workers)
		s.e.restart(s.workers, s.emitted)
		return fmt.Sprintf("%d rows as before\n", len(s.emitted))
	case "stats":
		late := int64(0)
		for _, w := range s.e.workers {
			late += w.(op.LateCounter).LateRows()
		}
		return fmt.Sprintf("late: %d\n", late)
	}
	d.Fatalf(s.t, "unknown command %s", d.Cmd)
	return ""
}

func (s *script) open(d *datadriven.TestData) string {
	s.t.Helper()
	p, err := parsePlan(d.Input)
	if err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	s.workers, s.emitted = 1, nil
	d.MaybeScanArgs(s.t, "workers", &s.workers)
	delay := int64(delayManual)
	var text string
	if d.MaybeScanArgs(s.t, "delay", &text); text != "" {
		if delay, err = micros(text); err != nil {
			d.Fatalf(s.t, "%v", err)
		}
	}
	s.e = newEngine(s.t, p, s.workers, delay)
	out := s.e.workers[0].String()
	if s.e.filter != nil {
		out += "\n" + s.e.filter.String()
	}
	return out + "\n"
}

// output prints what came out of the last command: late rows, then results.
func (s *script) output() string {
	var out []string
	for _, l := range s.e.late {
		out = append(out, "late "+l)
	}
	s.e.late = nil
	rows := s.e.taken()
	s.emitted = append(s.emitted, rows...)
	return lines(append(out, rows...))
}

func lines(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Join(list, "\n") + "\n"
}
