package op

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// CountAgg groups the rows of a key by their number, in the order they come, whatever their times: a window has Size rows, and
// one begins every Slide rows (0: Size). Its result goes out with its last row, in the order of those rows; what has fewer
// rows than a window waits, for ever if need be, and has no result at the end of bounded input. No row is late.
// window_start is the least time of the window's rows, window_end the greatest plus one microsecond; both are NULL without a
// time column.
//
// Rows are gathered in runs of as many rows as divide both Size and Slide; windows are made of whole runs.
type CountAgg struct {
	halves
	run     int64 // rows of a run
	step    int64 // runs from one window to the next
	timed   bool
	counts  []countKey // by key
	block   arena.Block
	gids    []uint32
	full    []uint32 // the runs that the batch has filled, in order
	results slideResults
	saved   keyedState
}

var (
	_ Stateful    = (*CountAgg)(nil)
	_ LateCounter = (*CountAgg)(nil)
	_ Deadliner   = (*CountAgg)(nil)
)

// countKey is how far a key has come.
type countKey struct {
	number int64  // of the run being filled, from 0
	rows   int64  // in it
	open   uint32 // the row of halves that holds it + 1, 0 for none
}

// NewCountAgg compiles keys and aggregates; schema is the output schema: window_start, window_end, keys, aggregates. A negative
// TimeCol means that the input has no time column.
func NewCountAgg(s *spec.WindowAgg, schema *types.Schema) (*CountAgg, error) {
	w := &s.Window
	switch {
	case w.Kind != window.Count:
		return nil, fmt.Errorf("count aggregate: window of kind %d", w.Kind)
	case w.Size <= 0 || w.Slide < 0:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "the numbers of rows of COUNT_WINDOW must be positive")
	case s.Emit.Mode != spec.EmitFinal && s.Emit.Mode != spec.EmitUpdate: // both mean: with the last row
		return nil, sqlerr.NotSupported("EMIT over COUNT_WINDOW", "Leave EMIT out: the result of a count window comes with its last row.")
	}
	slide := w.Slide
	if slide == 0 {
		slide = w.Size
	}
	run := gcd(w.Size, slide)
	if run != w.Size {
		if err := checkMerges(s.Aggs, "windows that overlap"); err != nil {
			return nil, err
		}
	}
	a := &CountAgg{run: run, step: slide / run, timed: w.TimeCol >= 0}
	var bounds []spec.AggCall
	if a.timed {
		at := &expr.Column{Index: w.TimeCol, Name: "time", Typ: types.T(types.TimestampTZ)}
		for _, name := range []string{"min", "max"} {
			def, _ := agg.Find(name)
			k, ok := def.Bind([]types.Type{at.Typ}, false)
			if !ok {
				return nil, fmt.Errorf("count aggregate: no %s of times", name)
			}
			bounds = append(bounds, spec.AggCall{Name: name, Kernel: k, Args: []expr.Expr{at}, Typ: k.Type()})
		}
	}
	if err := a.init(s, schema, bounds...); err != nil {
		return nil, err
	}
	a.split(w.Size / run)
	a.results.init(schema, a.stride)
	a.saved.init(formCount, savedSliceMin)
	return a, nil
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Process implements Operator.
func (a *CountAgg) Process(_ int, in Input, out Emitter) error {
	if len(in.Sel) == 0 {
		return nil
	}
	rows, keys, places, err := a.prepare(in)
	if err != nil || len(rows) == 0 {
		return err
	}
	if a.kids, err = a.table.FindOrAdd(keys, places, a.kids[:0]); err != nil {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d keys with open windows", state.KeysMax)
	}
	a.growKeys()
	a.growCounts()
	a.gids, a.full = a.gids[:0], a.full[:0]
	for _, key := range a.kids {
		k := &a.counts[key]
		if k.open == 0 {
			id := a.take(k.number)
			a.rows[id].key = key
			k.open = id + 1
		}
		a.gids = append(a.gids, k.open-1)
		if k.rows++; k.rows == a.run {
			a.full = append(a.full, k.open-1)
			*k = countKey{number: k.number + 1}
		}
	}
	if err := a.update(&a.own, rows, a.gids); err != nil {
		return err
	}
	for _, id := range a.full {
		if err := a.filled(id, out); err != nil {
			return err
		}
	}
	return a.send(out)
}

func (a *CountAgg) growCounts() {
	a.counts = growIn(a.mem, &a.block, a.counts, a.table.Cap())
	if a.mem.Short() {
		for _, key := range a.kids {
			arena.Claim(a.counts, int(key))
		}
		a.claim()
	}
}

// filled puts a full run into the list of its key, and sends the window that ends with it, if one does.
func (a *CountAgg) filled(id uint32, out Emitter) error {
	row := &a.rows[id]
	key := row.key
	k := &a.keys[key]
	if k.newest != 0 {
		a.rows[k.newest-1].next = id + 1
	} else {
		k.oldest = id + 1
	}
	row.prev, k.newest = k.newest, id+1
	if err := a.moveTo(key, id); err != nil {
		return err
	}
	if past := row.t + 1 - a.size; past >= 0 && past%a.step == 0 {
		r := &a.results
		gid := uint32(len(r.rows))
		r.slab.Grow(len(r.rows) + 1)
		if err := a.fold(&r.slab, gid, key); err != nil {
			return err
		}
		r.rows = append(r.rows, outRow{gid: gid, key: key, timeless: true})
	}
	// The next window that is due begins at step runs after the last one; with step > size there are runs of no window.
	for limit := row.t + 1 - a.size; k.oldest != 0 && a.rows[k.oldest-1].t <= limit; {
		if err := a.evict(key, limit); err != nil {
			return err
		}
		gone := k.oldest - 1
		if k.oldest = a.rows[gone].next; k.oldest != 0 {
			a.rows[k.oldest-1].prev = 0
		} else {
			k.newest = 0
		}
		a.drop(gone)
	}
	if len(a.results.rows) < batch.RowsMax {
		return nil
	}
	return a.send(out)
}

// send passes on the results that are waiting.
func (a *CountAgg) send(out Emitter) error {
	r := &a.results
	if len(r.rows) == 0 {
		return nil
	}
	if err := a.setBounds(); err != nil {
		return err
	}
	r.b.Reset(nil)
	if _, err := a.fill(r.b, &r.slab, &a.table, r.rows); err != nil {
		return err
	}
	var err error
	if r.passed, err = a.passing(r.b, r.passed[:0]); err != nil {
		return err
	}
	if len(r.passed) > 0 {
		err = out.Emit(Input{B: r.b, Sel: r.passed})
	}
	r.rows = r.rows[:0]
	r.slab.Reset()
	return err
}

// setBounds reads the least and the greatest time of each result.
func (a *CountAgg) setBounds() error {
	if !a.timed {
		return nil
	}
	for i := range a.results.rows {
		row := &a.results.rows[i]
		var bounds [2]types.Value
		for n := range bounds {
			at, err := a.aggs[a.shown+n].kernel.Result(&a.results.slab, a.offs[a.shown+n], row.gid)
			if err != nil {
				return err
			}
			bounds[n] = at
		}
		row.timeless = bounds[0].Null
		row.start, row.end = bounds[0].I, satAdd(bounds[1].I, 1)
	}
	return nil
}

// Open implements Operator.
func (a *CountAgg) Open(ctx *expr.Ctx) error {
	err := a.halves.Open(ctx)
	a.saved.of.mem = a.mem
	return err
}

// Advance implements Operator: count windows know no time.
func (a *CountAgg) Advance(watermark types.EventTime, _ Emitter) error {
	a.watermark = max(a.watermark, watermark)
	return nil
}

// Deadline implements Deadliner.
func (a *CountAgg) Deadline() types.EventTime { return types.MaxTime }

// Bytes returns the memory of all state, in use or kept for reuse.
func (a *CountAgg) Bytes() int64 {
	return a.halves.bytes() + capBytes(a.counts) + a.saved.bytes() + a.results.bytes() + a.shared.part(wholeAgg.Bytes)
}

// Close implements Operator.
func (a *CountAgg) Close() error {
	a.halves.clear()
	a.block.Free()
	a.counts = nil
	a.saved.of.clear()
	return nil
}

// String implements Operator.
func (a *CountAgg) String() string {
	return a.text("CountAgg", fmt.Sprintf("count_window(%d, %d)", a.size*a.run, a.step*a.run))
}

// Snapshot implements Stateful: the keys that have had rows since the last one.
func (a *CountAgg) Snapshot(out StateWriter) error {
	if err := a.saved.snapshot(&a.windowCalls, &a.table, a, out); err != nil {
		return fmt.Errorf("snapshot of count windows: %w", err)
	}
	a.dropSaved()
	return nil
}

func (a *CountAgg) writeAll(out StateWriter) error {
	return a.saved.writeAll(&a.windowCalls, &a.table, a, out)
}

// Changed implements AheadCopier.
func (a *CountAgg) Changed() int { return a.saved.changed(&a.table) }

// CopyAhead implements AheadCopier.
func (a *CountAgg) CopyAhead(out StateWriter, most int) (int, error) {
	n, err := a.saved.copyAhead(&a.windowCalls, &a.table, a, out, most)
	if err != nil {
		return n, fmt.Errorf("copy of count windows: %w", err)
	}
	a.dropSaved()
	return n, nil
}

// dropSaved forgets keys of which the checkpoint knows now that nothing is left.
func (a *CountAgg) dropSaved() {
	for _, key := range a.saved.gids {
		if a.table.Has(key) {
			a.dropEmpty(key)
		}
	}
}

// dropEmpty forgets a key that is as if it had never been there.
func (a *CountAgg) dropEmpty(key uint32) {
	k := &a.counts[key]
	if k.open != 0 || a.keys[key].oldest != 0 || k.number%a.step != 0 || a.step < a.size {
		return
	}
	a.saved.forget(&a.table, key)
	*k = countKey{}
	a.back.Release(key)
	a.keys[key] = slideKey{gen: a.keys[key].gen}
	a.table.Remove(key)
}

// appendEntry implements saver: the number of the run being filled, its rows, and the runs that are kept, oldest first.
func (a *CountAgg) appendEntry(dst []byte, key uint32) ([]byte, int64) {
	k := &a.counts[key]
	dst = binary.AppendUvarint(dst, uint64(k.number))
	dst = binary.AppendUvarint(dst, uint64(k.rows))
	for at := a.keys[key].oldest; at != 0; at = a.rows[at-1].next {
		dst = append(dst, 1)
		dst = a.appendStates(dst, &a.own, at-1)
	}
	dst = append(dst, 0)
	if k.open != 0 {
		dst = a.appendStates(dst, &a.own, k.open-1)
	}
	return dst, math.MaxInt64
}

// Restore implements Stateful.
func (a *CountAgg) Restore(in StateReader, own func(hash uint64) bool) error {
	if err := a.saved.restore(&a.windowCalls, &a.table, in, restoring{own, a.loadEntry}); err != nil {
		return err
	}
	for key := range uint32(a.table.Cap()) {
		if a.table.Has(key) {
			a.dropEmpty(key)
		}
	}
	a.table.MarkAll()
	return nil
}

func (a *CountAgg) loadEntry(key uint32, entry []byte, _ int64) error {
	a.growKeys()
	a.growCounts()
	number, entry, err := cutUvarint(entry)
	if err != nil {
		return err
	}
	rows, entry, err := cutUvarint(entry)
	if err != nil || number > math.MaxInt64/4 || rows >= uint64(a.run) {
		return fmt.Errorf("bad count window")
	}
	var ids []uint32
	for {
		if len(entry) == 0 || entry[0] > 1 {
			return fmt.Errorf("runs of a count window end early")
		}
		more := entry[0] == 1
		if entry = entry[1:]; !more {
			break
		}
		if int64(len(ids)) >= a.size || uint64(len(ids)) >= number {
			return fmt.Errorf("too many runs in a count window")
		}
		id := a.take(0)
		a.rows[id].key = key
		ids = append(ids, id)
		if entry, err = a.loadStates(entry, &a.own, id); err != nil {
			return err
		}
	}
	k := &a.keys[key]
	for i, id := range ids {
		row := &a.rows[id]
		row.t = int64(number) - int64(len(ids)-i)
		row.prev, k.newest = k.newest, id+1
		if row.prev != 0 {
			a.rows[row.prev-1].next = id + 1
		} else {
			k.oldest = id + 1
		}
	}
	a.counts[key] = countKey{number: int64(number), rows: int64(rows)}
	if rows > 0 {
		id := a.take(int64(number))
		a.rows[id].key = key
		a.counts[key].open = id + 1
		if entry, err = a.loadStates(entry, &a.own, id); err != nil {
			return err
		}
	}
	if len(entry) > 0 {
		return fmt.Errorf("count window has %d bytes too many", len(entry))
	}
	return nil
}
