package op

import (
	"fmt"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// FirstSeen appends to each row whether its key is seen for the first time within a span of event time. It answers at
// once, in the order of arrival:
//
//   - TRUE when no row of the key that arrived before has a time above the row's less the span. A row of the key with a
//     later time counts as well: what has been seen is not seen for the first time.
//   - Each row of a key refreshes it, up to the latest time that was met.
//   - A row that is behind the watermark is measured from the watermark instead of its own time, since older keys are
//     forgotten. One that is a whole span or more behind it is FALSE and is not remembered.
//   - NULL is a value of a key like any other.
type FirstSeen struct {
	spec *spec.FirstSeen
	keys keyedRows
	seen sightings
	out  batch.Batch

	// Of the batch being processed:
	answer []int64 // by row of the batch
	run    []uint32
	closed []int64 // by place in run, with rows and times
	rows   []uint32
}

var (
	_ Stateful  = (*FirstSeen)(nil)
	_ Deadliner = (*FirstSeen)(nil)
)

// NewFirstSeen compiles the keys; schema is the output schema: the input's columns and a boolean.
func NewFirstSeen(s *spec.FirstSeen, schema *types.Schema) (*FirstSeen, error) {
	if s.Span <= 0 || s.TimeCol < 0 || s.TimeCol >= len(schema.Cols)-1 {
		return nil, fmt.Errorf("first_seen: span %d over column %d of %d", s.Span, s.TimeCol, len(schema.Cols)-1)
	}
	f := &FirstSeen{spec: s, seen: sightings{keep: s.Span, width: max(s.Span/2, 1)}}
	f.out = batch.Batch{Schema: schema, Cols: make([]batch.Vec, len(schema.Cols))}
	return f, f.keys.init(s.Keys)
}

// Open implements Operator.
func (f *FirstSeen) Open(ctx *expr.Ctx) error {
	f.keys.ctx, f.seen.mem = ctx, ctx.State.Part()
	return nil
}

// Process implements Operator. The columns of the input are shared, not copied.
func (f *FirstSeen) Process(_ int, in Input, out Emitter) error {
	rows, places, keys, err := f.keys.of(in)
	if err != nil || len(rows) == 0 {
		return err
	}
	width := len(f.out.Cols) - 1
	if len(in.B.Cols) != width {
		return fmt.Errorf("first_seen: %d columns, want %d", len(in.B.Cols), width)
	}
	f.answer = f.answer[:0]
	for range in.B.N {
		f.answer = append(f.answer, 0)
	}
	if err := f.observe(in, rows, places, keys); err != nil {
		return err
	}
	copy(f.out.Cols, in.B.Cols)
	v := &f.out.Cols[width]
	v.Reset(types.T(types.Bool))
	v.I64, v.N = f.answer, in.B.N
	f.out.N, f.out.Behind, f.out.Src = in.B.N, in.B.Behind, in.B.Src
	return out.Emit(Input{B: &f.out, Sel: rows, Others: in.Others, Several: in.Several})
}

// observe answers for the rows: those that follow each other into one bucket are looked up together.
func (f *FirstSeen) observe(in Input, rows, places []uint32, keys *batch.Keys) error {
	times := in.B.Cols[f.spec.TimeCol].I64
	marks := newMarks(&in)
	var bucket *sightBucket
	f.run, f.rows, f.closed = f.run[:0], f.rows[:0], f.closed[:0]
	for i, row := range rows {
		t, closed := times[row], int64(marks.closed(row))
		if addTime(t, f.spec.Span) <= closed {
			continue
		}
		if bucket == nil || t < bucket.start || t-bucket.start >= f.seen.width {
			if err := f.look(bucket, times, keys); err != nil {
				return err
			}
			bucket = f.seen.bucketOf(t)
		}
		f.run, f.rows, f.closed = append(f.run, places[i]), append(f.rows, row), append(f.closed, closed)
	}
	return f.look(bucket, times, keys)
}

// look answers for the gathered rows, whose times lie in a bucket.
func (f *FirstSeen) look(b *sightBucket, times []int64, keys *batch.Keys) error {
	if len(f.run) == 0 {
		return nil
	}
	gids, err := f.seen.findOrAdd(b, keys, f.run)
	if err != nil {
		return err
	}
	if f.seen.mem.Short() {
		for _, gid := range gids {
			arena.Claim(b.last, int(gid))
		}
	}
	newest := b == f.seen.open[len(f.seen.open)-1]
	for i, gid := range gids {
		row, place := f.rows[i], int(f.run[i])
		t, last := times[row], b.last[gid]
		b.last[gid] = max(last, t)
		if !newest || last == never {
			last = f.seen.latest(b, last, keys.Key(place), keys.Hash[place])
		}
		if last == never || last <= addTime(max(t, f.closed[i]), -f.spec.Span) {
			f.answer[row] = 1
		}
	}
	f.run, f.rows, f.closed = f.run[:0], f.rows[:0], f.closed[:0]
	return nil
}

// Advance implements Operator: it forgets the keys that are out of the span.
func (f *FirstSeen) Advance(watermark types.EventTime, _ Emitter) error {
	f.seen.advance(watermark)
	return nil
}

// Deadline implements Deadliner.
func (f *FirstSeen) Deadline() types.EventTime { return f.seen.due() }

// Snapshot implements Stateful.
func (f *FirstSeen) Snapshot(w StateWriter) error { return f.seen.snapshot(w) }

// Changed implements AheadCopier.
func (f *FirstSeen) Changed() int { return f.seen.changed() }

// CopyAhead implements AheadCopier.
func (f *FirstSeen) CopyAhead(w StateWriter, most int) (int, error) { return f.seen.copyAhead(w, most) }

// Restore implements Stateful.
func (f *FirstSeen) Restore(r StateReader, own func(hash uint64) bool) error {
	return f.seen.restore(r, f.keys.types, own)
}

// Groups returns the number of sightings held.
func (f *FirstSeen) Groups() int { return f.seen.count() }

// Bytes returns the memory of the state.
func (f *FirstSeen) Bytes() int64 { return f.seen.bytes() }

// Spillable implements Spiller.
func (f *FirstSeen) Spillable() int64 { return f.seen.mem.Bytes() }

// Close implements Operator.
func (f *FirstSeen) Close() error {
	f.seen.close()
	return nil
}

// String implements Operator.
func (f *FirstSeen) String() string {
	return fmt.Sprintf("FirstSeen keys: %s span: %s", exprText(f.spec.Keys), time.Duration(f.spec.Span)*time.Microsecond)
}
