// Package sim runs operators through scripts and random traffic, without clocks, goroutines or disks: hours of event time
// pass in milliseconds, the same way each time. Its slow model (model_test.go) shares no code with the operators.
package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// plan is a filter and a windowed grouping over one stream; column 0 is the time.
type plan struct {
	schema types.Schema
	filter expr.Expr // nil: all rows
	having expr.Expr // over out; nil: all groups
	// havingText is having before the output schema is known.
	havingText string
	agg        spec.WindowAgg
	out        types.Schema
}

// delayManual: the watermark moves only when told.
const delayManual = -1

// engine runs a plan as the server would: batches in sequence order, a router, workers that own keys, checkpoints, and
// recovery by restoring the last checkpoint and running again what came after it.
type engine struct {
	t     *testing.T
	plan  *plan
	delay int64 // of the watermark behind the largest time seen, microseconds; or delayManual

	watermark types.EventTime
	router    *op.Router
	filter    op.Operator // nil: none
	workers   []op.Operator
	parts     []op.Part
	ctx       expr.Ctx

	store stateStore
	fresh bool // since a restart there has been no checkpoint
	// since holds what happened after the last checkpoint: to be run again after a restart.
	since  []step
	marked types.EventTime // the watermark of the last checkpoint

	current *batch.Batch // being processed, for the report of late rows

	rows []outRow // emitted and not yet taken
	late []string // late rows and not yet taken
}

// step is a batch of rows, the end of an epoch, or a watermark.
type step struct {
	rows      [][]types.Value
	end       bool
	watermark types.EventTime
}

// outRow is an emitted row with what it is ordered by.
type outRow struct {
	end  int64
	key  string
	text string
}

func newEngine(t *testing.T, p *plan, workers int, delay int64) *engine {
	t.Helper()
	e := &engine{t: t, plan: p, delay: delay, watermark: types.MinTime, marked: types.MinTime}
	e.build(workers)
	return e
}

// build makes fresh operators.
func (e *engine) build(workers int) {
	e.t.Helper()
	e.ctx.LateRow = func(row uint32, _ types.EventTime) { e.takeLate(row) }
	keys := e.plan.agg.Keys
	r, err := op.NewRouter(&spec.Exchange{Keys: keys})
	e.must(err)
	r.Open(&e.ctx)
	e.router, e.workers, e.parts, e.filter = r, nil, make([]op.Part, workers), nil
	if e.plan.filter != nil {
		f, err := op.NewFilter(&spec.Filter{Cond: e.plan.filter})
		e.must(err)
		e.filter = op.Check(f)
		e.must(e.filter.Open(&e.ctx))
	}
	for range workers {
		w, err := op.NewWindowed(&e.plan.agg, &e.plan.out)
		e.must(err)
		if h := e.plan.having; h != nil {
			e.must(w.(op.Grouper).Having(&spec.Filter{Cond: h}))
		}
		c := op.Check(w)
		e.must(c.Open(&e.ctx))
		e.workers = append(e.workers, c)
	}
}

func (e *engine) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *engine) takeLate(row uint32) {
	e.late = append(e.late, rowText(e.current.Row(nil, int(row))))
}

// feed processes one batch; the watermark moves row by row, as the sequencer's does, and the operators learn of it after.
func (e *engine) feed(rows [][]types.Value) {
	e.t.Helper()
	e.since = append(e.since, step{rows: rows})
	e.process(rows)
}

func (e *engine) process(rows [][]types.Value) {
	e.t.Helper()
	b := batch.New(&e.plan.schema, nil)
	for i, row := range rows {
		b.AppendRow(row)
		at := types.EventTime(row[0].I)
		if at < e.watermark {
			b.Behind = append(b.Behind, batch.Behind{Row: uint32(i), Watermark: e.watermark})
		}
		if e.delay != delayManual {
			e.watermark = max(e.watermark, at-types.EventTime(e.delay))
		}
	}
	e.current = b
	in := op.Input{B: b, Sel: batch.All(b.N)}
	if e.filter == nil {
		e.must(e.route(in))
	} else {
		e.must(e.filter.Process(0, in, emitFunc(e.route)))
	}
	e.tell()
}

// route hands each worker its rows.
func (e *engine) route(in op.Input) error {
	if err := e.router.Route(in, e.parts); err != nil {
		return err
	}
	for i, w := range e.workers {
		if len(e.parts[i].Sel) == 0 {
			continue
		}
		if err := w.Process(0, e.parts[i].Input(in.B), emitFunc(e.take)); err != nil {
			return err
		}
	}
	return nil
}

// advance moves the watermark.
func (e *engine) advance(to types.EventTime) {
	e.t.Helper()
	e.since = append(e.since, step{watermark: to})
	e.watermark = max(e.watermark, to)
	e.tell()
}

// endEpoch ends an epoch.
func (e *engine) endEpoch() {
	e.t.Helper()
	e.since = append(e.since, step{end: true})
	e.tellEnd()
}

// tellEnd lets the workers tell what they hold back until the end of an epoch.
func (e *engine) tellEnd() {
	e.t.Helper()
	e.inOrder(func(w op.Operator) error { return w.(op.EpochEnder).EndEpoch(emitFunc(e.take)) })
}

// tell gives the watermark to all workers.
func (e *engine) tell() {
	e.t.Helper()
	e.inOrder(func(w op.Operator) error { return w.Advance(e.watermark, emitFunc(e.take)) })
}

// inOrder has all workers emit, and puts that into one order.
func (e *engine) inOrder(emit func(w op.Operator) error) {
	e.t.Helper()
	n := len(e.rows)
	for _, w := range e.workers {
		e.must(emit(w))
	}
	slices.SortStableFunc(e.rows[n:], func(a, b outRow) int {
		return cmp.Or(cmp.Compare(a.end, b.end), strings.Compare(a.key, b.key))
	})
}

type emitFunc func(op.Input) error

// Emit implements op.Emitter.
func (f emitFunc) Emit(in op.Input) error { return f(in) }

// take keeps emitted rows.
func (e *engine) take(in op.Input) error {
	for _, r := range in.Sel {
		row := in.B.Row(nil, int(r))
		key := []byte{}
		for _, v := range row[2 : 2+len(e.plan.agg.Keys)] {
			key = batch.AppendKeyValue(key, v)
		}
		text := fmt.Sprintf("[%s, %s)", seconds(row[0].I), seconds(row[1].I))
		if len(row) > 2 {
			text += " " + rowText(row[2:])
		}
		text = [...]string{batch.Insert: "", batch.UpdateBefore: "-U ", batch.UpdateAfter: "+U ", batch.Delete: "-D "}[in.B.Op(int(r))] + text
		e.rows = append(e.rows, outRow{row[1].I, string(key), text})
	}
	return nil
}

// taken returns the rows emitted since the last call.
func (e *engine) taken() []string {
	out := make([]string, len(e.rows))
	for i := range e.rows {
		out[i] = e.rows[i].text
	}
	e.rows = nil
	return out
}

// checkpoint snapshots all workers into the store, after the end of an epoch.
func (e *engine) checkpoint() {
	e.t.Helper()
	n := len(e.rows)
	if e.tellEnd(); len(e.rows) > n {
		e.t.Fatal("a checkpoint before the epoch has ended")
	}
	if e.fresh { // as in a job, which forgets all that earlier workers wrote
		e.store.blocks, e.fresh = nil, false
	}
	for i, w := range e.workers {
		e.must(w.(op.Stateful).Snapshot(&stateWriter{&e.store, i}))
	}
	e.since, e.marked = nil, e.watermark
}

// restart throws the operators away and recovers with another number of workers. What is emitted again must be what was
// emitted before; before is that, since the last checkpoint.
func (e *engine) restart(workers int, before []string) {
	e.t.Helper()
	since, kept, late := e.since, e.rows, e.late
	e.rows, e.late = nil, nil
	for _, w := range e.workers {
		e.must(w.Close())
	}
	e.build(workers)
	e.fresh = true
	for i, w := range e.workers {
		own := func(hash uint64) bool { return op.Owner(hash, workers) == i }
		e.must(w.(op.Stateful).Restore(&e.store, own))
	}
	e.watermark = e.marked
	for _, s := range since {
		if s.rows != nil {
			e.process(s.rows)
			continue
		}
		if s.end {
			e.tellEnd()
			continue
		}
		e.watermark = max(e.watermark, s.watermark)
		e.tell()
	}
	if again := e.taken(); !slices.Equal(again, before) {
		e.t.Fatalf("run again after a restart, these rows came out:\n%s\nwant\n%s", strings.Join(again, "\n"), strings.Join(before, "\n"))
	}
	e.rows, e.late = kept, late
}

// stateStore is a checkpoint in memory.
type stateStore struct {
	blocks []stateBlock
	log    []string
}

type stateBlock struct {
	slice  int64
	worker int
	data   []byte
}

type stateWriter struct {
	store  *stateStore
	worker int
}

var (
	_ op.StateWriter = (*stateWriter)(nil)
	_ op.StateReader = (*stateStore)(nil)
)

// Block implements op.StateWriter.
func (w *stateWriter) Block(slice int64, data []byte) error {
	w.store.blocks = append(w.store.blocks, stateBlock{slice, w.worker, data})
	w.store.note("block", slice)
	return nil
}

// Drop implements op.StateWriter.
func (w *stateWriter) Drop(slice int64) error {
	w.store.blocks = slices.DeleteFunc(w.store.blocks, func(b stateBlock) bool { return b.slice == slice })
	w.store.note("drop", slice)
	return nil
}

// Rewrite implements op.StateWriter.
func (w *stateWriter) Rewrite(slice int64) error {
	w.store.blocks = slices.DeleteFunc(w.store.blocks, func(b stateBlock) bool { return b.slice == slice && b.worker == w.worker })
	w.store.note("rewrite", slice)
	return nil
}

func (s *stateStore) note(what string, slice int64) {
	s.log = append(s.log, fmt.Sprintf("%s of %s", what, seconds(slice)))
}

// Blocks implements op.StateReader; the bytes are gone after the call.
func (s *stateStore) Blocks(fn func(slice int64, data []byte) error) error {
	var starts []int64
	for _, b := range s.blocks {
		if !slices.Contains(starts, b.slice) {
			starts = append(starts, b.slice)
		}
	}
	for _, start := range starts {
		for _, b := range s.blocks {
			if b.slice != start {
				continue
			}
			data := slices.Clone(b.data)
			if err := fn(start, data); err != nil {
				return err
			}
			for i := range data {
				data[i] = 0xA5
			}
		}
	}
	return nil
}

// seconds prints a time as seconds since 1970, exact to the microsecond.
func seconds(micros int64) string {
	switch types.EventTime(micros) {
	case types.MinTime:
		return "-infinity"
	case types.MaxTime:
		return "infinity"
	}
	sign := ""
	if micros < 0 {
		sign, micros = "-", -micros
	}
	s := fmt.Sprintf("%s%d.%06d", sign, micros/1e6, micros%1e6)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// rowText prints scalars; times as seconds.
func rowText(row []types.Value) string {
	parts := make([]string, len(row))
	for i, v := range row {
		if parts[i] = v.Text(); v.Type.Kind == types.TimestampTZ && !v.Null {
			parts[i] = seconds(v.I)
		}
	}
	return strings.Join(parts, " ")
}

// tumble returns the window of a plan.
func tumble(size, offset int64) window.Spec {
	return window.Spec{Kind: window.Tumble, Size: size, Offset: offset}
}
