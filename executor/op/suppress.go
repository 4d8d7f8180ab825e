package op

import (
	"fmt"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Suppress passes a row when none of its key has passed less than For before or after it in event time; it decides in the
// order of arrival, at once. A row behind the watermark is measured from the watermark, as far as rows before it are
// concerned, because what passed longer ago is forgotten; one that is For or more behind it is late and dropped.
type Suppress struct {
	spec   *spec.Suppress
	keys   keyedRows
	passed sightings
	late   int64
	sel    []uint32
}

var (
	_ Stateful    = (*Suppress)(nil)
	_ Deadliner   = (*Suppress)(nil)
	_ LateCounter = (*Suppress)(nil)
)

// NewSuppress compiles the keys.
func NewSuppress(s *spec.Suppress) (*Suppress, error) {
	if s.For <= 0 || s.TimeCol < 0 {
		return nil, fmt.Errorf("suppress: for %d over column %d", s.For, s.TimeCol)
	}
	o := &Suppress{spec: s, passed: sightings{keep: s.For, width: s.For}}
	return o, o.keys.init(s.Keys)
}

// Open implements Operator.
func (s *Suppress) Open(ctx *expr.Ctx) error {
	s.keys.ctx, s.passed.mem = ctx, ctx.State.Part()
	return nil
}

// Process implements Operator. It narrows the selection and copies nothing.
func (s *Suppress) Process(_ int, in Input, out Emitter) error {
	rows, places, keys, err := s.keys.of(in)
	if err != nil || len(rows) == 0 {
		return err
	}
	times := in.B.Cols[s.spec.TimeCol].I64
	marks := newMarks(&in)
	s.sel = s.sel[:0]
	for i, row := range rows {
		closed := marks.closed(row)
		if addTime(times[row], s.spec.For) <= int64(closed) {
			s.late++
			if s.keys.ctx.LateRow != nil {
				s.keys.ctx.LateRow(row, closed)
			}
			continue
		}
		pass, err := s.pass(keys, places[i], times[row], int64(closed))
		if err != nil {
			return err
		}
		if pass {
			s.sel = append(s.sel, row)
		}
	}
	if len(s.sel) == 0 {
		return nil
	}
	return out.Emit(Input{B: in.B, Sel: s.sel, Others: in.Others, Several: in.Several})
}

func (s *Suppress) pass(keys *batch.Keys, place uint32, t, closed int64) (bool, error) {
	lo, hi := addTime(max(t, closed), -s.spec.For), addTime(t, s.spec.For)
	if s.passed.within(keys.Key(int(place)), keys.Hash[place], lo, hi) {
		return false, nil
	}
	return true, s.passed.note(keys, place, t)
}

// Advance implements Operator: it forgets what passed long enough ago.
func (s *Suppress) Advance(watermark types.EventTime, _ Emitter) error {
	s.passed.advance(watermark)
	return nil
}

// Deadline implements Deadliner.
func (s *Suppress) Deadline() types.EventTime { return s.passed.due() }

// Snapshot implements Stateful.
func (s *Suppress) Snapshot(w StateWriter) error { return s.passed.snapshot(w) }

// Changed implements AheadCopier.
func (s *Suppress) Changed() int { return s.passed.changed() }

// CopyAhead implements AheadCopier.
func (s *Suppress) CopyAhead(w StateWriter, most int) (int, error) {
	return s.passed.copyAhead(w, most)
}

// Restore implements Stateful.
func (s *Suppress) Restore(r StateReader, own func(hash uint64) bool) error {
	return s.passed.restore(r, s.keys.types, own)
}

// LateRows implements LateCounter.
func (s *Suppress) LateRows() int64 { return s.late }

// Groups returns the number of passages held.
func (s *Suppress) Groups() int { return s.passed.count() }

// Bytes returns the memory of the state.
func (s *Suppress) Bytes() int64 { return s.passed.bytes() }

// Spillable implements Spiller.
func (s *Suppress) Spillable() int64 { return s.passed.mem.Bytes() }

// Close implements Operator.
func (s *Suppress) Close() error {
	s.passed.close()
	return nil
}

// String implements Operator.
func (s *Suppress) String() string {
	return fmt.Sprintf("Suppress keys: %s for: %s", exprText(s.spec.Keys), time.Duration(s.spec.For)*time.Microsecond)
}
