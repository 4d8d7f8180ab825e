package op

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state"
)

// SlideAgg gives each row the aggregates over the rows of its key with times in (t - size, t], where t is its own time:
// window_start is t - size, window_end is t. Rows of equal time count in the order they came: a later one sees the earlier
// ones, not the other way round.
//
// With EMIT ON UPDATE a row's result goes out at once, if HAVING holds for it. A row that comes out of order corrects the
// results of the rows after it that have it in their windows. With EMIT FINAL a result goes out when the watermark has passed
// the row's time: by (time, key bytes, arrival). With EMIT FIRST a result goes out at once, when HAVING holds for the row and
// did not for the one before it, or there was none within the size; a row that comes out of order tells of a run of such rows
// only when none of the run has been told, and nothing is taken back. HAVING does not hold for a row without a result.
//
// The result of a row is final when the watermark less the allowed lateness has passed its time. A row that comes later than
// that has no result of its own, and changes none that is final, but counts for those that are not. It is late, and dropped,
// when there can be none: when all of (its time + size) has been passed.
type SlideAgg struct {
	halves
	mode spec.EmitMode
	keep int64

	expiry  timers // of keys: the oldest row can go
	pending timers // of rows that wait for the watermark (EMIT FINAL)
	seq     uint64 // of the newest row

	// Of the batch being processed:
	accepted  []slideArrival
	batchRows []uint32
	ids       []uint32

	results slideResults
	due     []uint32
	steps   []slideStep
	one     []uint32 // a key, and room for its being in range
	loaded  []uint32 // rows that Restore has read

	saved slideState
}

var (
	_ Stateful    = (*SlideAgg)(nil)
	_ LateCounter = (*SlideAgg)(nil)
	_ Deadliner   = (*SlideAgg)(nil)
)

const (
	// slideOn: HAVING held for the row when it was last looked at (EMIT FIRST).
	slideOn = 1 << iota
	// slideOut: the row has its result, or gets none (EMIT FINAL).
	slideOut
	// slideDirty: the checkpoint does not have the row as it is.
	slideDirty
	// slideSaved: the checkpoint has the row, perhaps as it was.
	slideSaved
	// slideListed: the row's number is in the list of dirty ones, perhaps for a row that had it before.
	slideListed

	// slideKept are the flags that are saved.
	slideKept = slideOn | slideOut
)

// slideArrival is a row of the batch being processed that is not late.
type slideArrival struct {
	id     uint32
	closed int64
}

// NewSlideAgg compiles keys and aggregates; schema is the output schema: window_start, window_end, keys, aggregates.
func NewSlideAgg(s *spec.WindowAgg, schema *types.Schema) (*SlideAgg, error) {
	if s.Window.Kind != window.Slide || s.Window.Size <= 0 {
		return nil, fmt.Errorf("slide aggregate: window of kind %d, size %d", s.Window.Kind, s.Window.Size)
	}
	if err := checkEmit(s, "SLIDE", spec.EmitFinal, spec.EmitUpdate, spec.EmitFirst); err != nil {
		return nil, err
	}
	if err := checkMerges(s.Aggs, "SLIDE"); err != nil {
		return nil, err
	}
	a := &SlideAgg{mode: s.Emit.Mode, keep: s.Lateness}
	if err := a.init(s, schema); err != nil {
		return nil, err
	}
	a.split(s.Window.Size)
	a.results.init(schema, a.stride)
	a.one = make([]uint32, 1, 2)
	a.expiry = newTimers(satAdd(a.size, a.keep), func(tm timer) (int64, bool) {
		if a.keys[tm.id].gen != tm.gen {
			return 0, false
		}
		return a.dueOf(tm.id), true
	})
	a.pending = newTimers(a.size/4, func(tm timer) (int64, bool) { return tm.at, a.rows[tm.id].gen == tm.gen })
	a.saved.init(formSlide, max(a.size/4, savedSliceMin))
	return a, nil
}

// Open implements Operator.
func (a *SlideAgg) Open(ctx *expr.Ctx) error {
	err := a.halves.Open(ctx)
	a.expiry.mem, a.pending.mem = a.mem, a.mem
	return err
}

// expires is the watermark at which nothing needs a row any more.
func (a *SlideAgg) expires(t int64) int64 { return satAdd(satAdd(t, a.size), a.keep) }

// dueOf is when a key to which no more rows come can go. A key to which they do come lets go of old ones then.
func (a *SlideAgg) dueOf(key uint32) int64 { return a.expires(a.rows[a.keys[key].newest-1].t) }

// Process implements Operator.
func (a *SlideAgg) Process(_ int, in Input, out Emitter) error {
	if len(in.Sel) == 0 {
		return nil
	}
	rows, keys, places, err := a.prepare(in)
	if err != nil || len(rows) == 0 {
		return err
	}
	if err := a.accept(in, rows, keys, places); err != nil {
		return err
	}
	a.touch()
	for _, r := range a.accepted {
		if err := a.trim(a.rows[r.id].key); err != nil {
			return err
		}
		if err := a.arrive(r, out); err != nil {
			return err
		}
	}
	return a.send(out)
}

// accept gives the rows that are not late numbers and states of their own.
func (a *SlideAgg) accept(in Input, rows []uint32, keys state.Rows, places []uint32) error {
	times, marks := in.B.Cols[a.spec.Window.TimeCol].I64, in.B.Behind
	a.accepted, a.batchRows, a.ids = a.accepted[:0], a.batchRows[:0], a.ids[:0]
	good := a.due[:0]
	for i, row := range rows {
		var closed int64
		closed, marks = a.behindAt(&in, marks, row)
		if a.expires(times[row]) <= closed {
			a.lateRow(row, closed)
			continue
		}
		id := a.newRow(times[row])
		a.accepted = append(a.accepted, slideArrival{id, closed})
		a.batchRows, a.ids, good = append(a.batchRows, row), append(a.ids, id), append(good, places[i])
	}
	a.due = good
	var err error
	if a.kids, err = a.table.FindOrAdd(keys, good, a.kids[:0]); err != nil {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d keys with rows in their windows", state.KeysMax)
	}
	a.growKeys()
	for i, id := range a.ids {
		a.rows[id].key = a.kids[i]
	}
	if len(a.batchRows) != len(rows) {
		if err := a.evalArgs(in.B, a.batchRows); err != nil {
			return err
		}
	}
	return a.update(&a.own, a.batchRows, a.ids)
}

// newRow takes a number for a row, whose state is empty.
func (a *SlideAgg) newRow(t int64) uint32 {
	id := a.take(t)
	a.seq++
	a.rows[id].seq = a.seq
	a.saved.touch(&a.rows[id], id)
	return id
}

// arrive puts a row into the list of its key, and what it says about results into the output.
func (a *SlideAgg) arrive(r slideArrival, out Emitter) error {
	row := &a.rows[r.id]
	k := &a.keys[row.key]
	final := satAdd(r.closed, -a.keep) // results of earlier rows are final
	if a.mode == spec.EmitFinal {
		return a.arriveFinal(r.id, final, out)
	}
	if k.newest == 0 || a.rows[k.newest-1].t <= row.t {
		prev := k.newest
		a.link(r.id, prev)
		if err := a.moveTo(row.key, r.id); err != nil {
			return err
		}
		if row.t < final {
			return nil
		}
		return a.tell(r.id, prev, out)
	}
	return a.disorder(r.id, final, out)
}

// arriveFinal is arrive for EMIT FINAL: only results that have gone out already are corrected.
func (a *SlideAgg) arriveFinal(id uint32, final int64, out Emitter) error {
	row := &a.rows[id]
	if row.t < int64(a.watermark) || row.t < final {
		// What is final already was so without this row, whether it has gone out yet or not.
		if err := a.settleBefore(row.key, final, out); err != nil {
			return err
		}
		if row.t < final {
			row.flags |= slideOut
		}
		if row.t < int64(a.watermark) {
			return a.disorder(id, final, out)
		}
	}
	a.link(id, a.follows(id))
	if row.flags&slideOut == 0 {
		a.pending.add(timer{at: satAdd(row.t, 1), id: id, gen: row.gen})
	}
	return nil
}

// settleBefore sends the results of a key's rows before a time that have not gone out.
func (a *SlideAgg) settleBefore(key uint32, final int64, out Emitter) error {
	from := a.keys[key].newest
	for at := from; at != 0 && a.rows[at-1].flags&slideOut == 0; at = a.rows[at-1].prev {
		from = at
	}
	for at := from; at != 0 && a.rows[at-1].t < final; at = a.rows[at-1].next {
		if a.rows[at-1].flags&slideOut != 0 {
			continue
		}
		if err := a.settle(at-1, out); err != nil {
			return err
		}
	}
	return nil
}

// settle sends the result of a row for good.
func (a *SlideAgg) settle(id uint32, out Emitter) error {
	row := &a.rows[id]
	row.flags |= slideOut
	row.gen++ // its timer has lapsed
	if err := a.moveTo(row.key, id); err != nil {
		return err
	}
	return a.tell(id, row.prev, out)
}

// follows returns the row that a new row of a key comes after, by (time, arrival).
func (a *SlideAgg) follows(id uint32) uint32 {
	at := a.keys[a.rows[id].key].newest
	for at != 0 && a.rows[at-1].t > a.rows[id].t {
		at = a.rows[at-1].prev
	}
	return at
}

// link puts a row behind another one of its key (0: before all), and into the window that is there.
func (a *SlideAgg) link(id, prev uint32) {
	row := &a.rows[id]
	k := &a.keys[row.key]
	next := k.oldest
	if prev != 0 {
		next = a.rows[prev-1].next
		a.rows[prev-1].next = id + 1
	} else {
		k.oldest = id + 1
	}
	if next != 0 {
		a.rows[next-1].prev = id + 1
	} else {
		k.newest = id + 1
	}
	row.prev, row.next = prev, next
	if k.last != 0 && row.t < a.rows[k.last-1].t {
		k.last = 0 // the window that is there lacks the row
	}
	if due := a.dueOf(row.key); !k.timed || due < k.at {
		k.gen++
		k.at, k.timed = due, true
		a.expiry.add(timer{at: due, id: row.key, gen: k.gen})
	}
}

// Advance implements Operator.
func (a *SlideAgg) Advance(watermark types.EventTime, out Emitter) error {
	a.watermark = max(a.watermark, watermark)
	w := int64(a.watermark)
	a.due = a.due[:0]
	for list, ok := a.pending.take(w); ok; list, ok = a.pending.take(w) {
		for _, tm := range list {
			if a.rows[tm.id].gen == tm.gen {
				a.due = append(a.due, tm.id)
			}
		}
	}
	slices.SortFunc(a.due, a.compare)
	for _, id := range a.due {
		if err := a.settle(id, out); err != nil {
			return err
		}
	}
	if err := a.send(out); err != nil {
		return err
	}
	for list, ok := a.expiry.take(w); ok; list, ok = a.expiry.take(w) {
		for len(list) > 0 {
			n := min(len(list), batch.RowsMax)
			if err := a.expireAll(list[:n]); err != nil {
				return err
			}
			list = list[n:]
		}
	}
	return nil
}

// expireAll looks at keys whose timers are due.
func (a *SlideAgg) expireAll(list []timer) error {
	a.kids = a.kids[:0]
	for _, tm := range list {
		if a.keys[tm.id].gen == tm.gen {
			a.kids = append(a.kids, tm.id)
		}
	}
	a.mem.Relieve()
	a.table.TouchPlaces(a.kids)
	a.touch()
	for _, key := range a.kids {
		a.keys[key].timed = false
		if err := a.expire(key); err != nil {
			return err
		}
	}
	return nil
}

// compare orders rows by time, key bytes and arrival.
func (a *SlideAgg) compare(x, y uint32) int {
	p, q := &a.rows[x], &a.rows[y]
	if c := cmp.Compare(p.t, q.t); c != 0 {
		return c
	}
	if p.key == q.key {
		return cmp.Compare(p.seq, q.seq)
	}
	return bytes.Compare(a.table.Key(p.key), a.table.Key(q.key))
}

// expire lets go of the rows of a key that nothing needs any more, and of a key without rows.
func (a *SlideAgg) expire(key uint32) error {
	if err := a.trim(key); err != nil {
		return err
	}
	k := &a.keys[key]
	if k.oldest == 0 {
		a.back.Release(key)
		*k = slideKey{gen: k.gen + 1}
		a.table.Remove(key)
		return nil
	}
	k.at, k.timed = a.dueOf(key), true
	a.expiry.add(timer{at: k.at, id: key, gen: k.gen})
	return nil
}

// trim lets go of the rows of a key that nothing needs any more.
func (a *SlideAgg) trim(key uint32) error {
	k := &a.keys[key]
	limit := satAdd(satAdd(int64(a.watermark), -a.keep), -a.size)
	if a.watermark == types.MaxTime {
		limit = int64(types.MaxTime)
	}
	if k.oldest == 0 || a.rows[k.oldest-1].t > limit {
		return nil
	}
	if k.last != 0 {
		if err := a.evict(key, limit); err != nil {
			return err
		}
	}
	for k.oldest != 0 && a.rows[k.oldest-1].t <= limit {
		id := k.oldest - 1
		row := &a.rows[id]
		k.oldest = row.next
		a.saved.forget(row, a.expires(row.t))
		a.drop(id)
	}
	if k.oldest == 0 {
		k.newest = 0
		return nil
	}
	a.rows[k.oldest-1].prev = 0
	return nil
}

// Deadline implements Deadliner.
func (a *SlideAgg) Deadline() types.EventTime { return min(a.expiry.next(), a.pending.next()) }

// Rows returns the number of rows that are kept.
func (a *SlideAgg) Rows() int { return len(a.rows) - len(a.free) }

// Bytes returns the memory of all state, in use or kept for reuse.
func (a *SlideAgg) Bytes() int64 {
	return a.halves.bytes() + a.expiry.bytes() + a.pending.bytes() + a.saved.bytes() + capBytes(a.saved.dirty) + a.results.bytes() +
		capBytes(a.accepted) + capBytes(a.due) + capBytes(a.steps) + a.shared.part(wholeAgg.Bytes)
}

// Close implements Operator.
func (a *SlideAgg) Close() error {
	a.halves.clear()
	a.expiry.clear()
	a.pending.clear()
	return nil
}

// String implements Operator.
func (a *SlideAgg) String() string {
	return a.text("SlideAgg", fmt.Sprintf("slide(%s)", micros(a.size)))
}

// slideStep is a row whose result an arrival touches.
type slideStep struct {
	id     uint32
	before uint32 // the group of its result before
}

// slideResults is results on their way out: groups of a slab, in the order in which they are told.
type slideResults struct {
	slab   agg.Slab
	list   []slideResult
	rows   []outRow
	b      *batch.Batch
	passed []uint32
	at     []int // by result: its row in b, -1 when it does not pass
	pairs  changeWriter
}

// slideResult is the result of a row, id, which comes after prev (+ 1) in its key. Of a correction, id and prev are the groups
// of the results before and after it.
type slideResult struct {
	id, prev uint32
	kind     uint8
}

const (
	slideInsert = iota
	slideBefore
)

func (r *slideResults) bytes() int64 {
	return r.slab.Bytes() + capBytes(r.list) + capBytes(r.rows) + capBytes(r.passed) + capBytes(r.at)
}

func (r *slideResults) init(schema *types.Schema, stride int) {
	r.slab.Stride = stride
	r.b = batch.New(schema, nil)
	r.pairs.out = batch.New(schema, nil)
}

// OutDelay implements Delayer: a row comes out when the watermark has passed its time, which is its window's end; counted as
// the end of a window, the row lies a microsecond before that.
func (a *SlideAgg) OutDelay() int64 { return 1 }
