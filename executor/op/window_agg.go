package op

import (
	"fmt"
	"slices"
	"time"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state"
)

// WindowAgg groups rows by keys and windows of event time, and emits a window's groups when the watermark reaches its end.
// State is kept per slice: a run of event time that is dropped whole, here a window. Groups of a window come out ordered by
// the bytes of their encoded keys, so that the outputs of several workers merge into the same sequence whatever their number.
type WindowAgg struct {
	// Late, when set, takes each row (its number in the batch) whose window had closed before its turn. Set it before Open.
	Late func(row uint32)
	// GroupError, when set, takes an error in the result of one group of a window, such as an overflow; the group's row is
	// left out and the others go on. When nil, such an error ends Advance.
	GroupError func(w window.Window, err error)

	grouping
	spec *spec.WindowAgg

	// watermark is the largest value given to Advance; windows ending at or before it are closed.
	watermark types.EventTime
	late      int64
	open      []*slice // by start
	free      []*slice // emptied, for reuse
	dropped   []int64  // starts of closed slices that the checkpoint still has blocks of

	// Of the batch being processed:
	touched []*slice // slices that rows fall into
	current *slice   // the slice of the latest row: most batches fall into it whole

	schema *types.Schema // of what comes out
	emit   *windowOutput // of shared windows while they drive the operator

	// shared are the windows that this is a member of; nil: it is alone. sharing: these are shared windows, and late rows are their
	// members' to report.
	shared, sharing *SharedWindows
	// owned are the starts of windows that a member has itself.
	owned map[types.EventTime]struct{}
}

var _ Grouper = (*WindowAgg)(nil)

// slice is the state of one window.
type slice struct {
	window.Window
	table state.Table
	slab  agg.Slab
	// rows and places are those of the batch being processed that fall into the slice: row numbers, and their indexes in
	// the input's selection.
	rows, places []uint32
	sliceSave
	// aggs is how many of the aggregates the groups have: shared windows may have got more since.
	aggs int
}

// slicesFreeMax bounds the emptied slices that are kept for reuse.
const slicesFreeMax = 4

// NewWindowAgg compiles keys and aggregates; schema is the output schema: window_start, window_end, keys, aggregates.
func NewWindowAgg(s *spec.WindowAgg, schema *types.Schema) (*WindowAgg, error) {
	if s.Window.Kind != window.Tumble || s.Window.Size <= 0 {
		return nil, sqlerr.NotSupported("this kind of window", "Use TUMBLE(time, INTERVAL '...').")
	}
	if want := 2 + len(s.Keys) + len(s.Aggs); len(schema.Cols) != want {
		return nil, fmt.Errorf("window aggregate: output schema has %d columns, want %d", len(schema.Cols), want)
	}
	w := &WindowAgg{spec: s, watermark: types.MinTime, schema: schema, emit: &windowOutput{}}
	if err := w.grouping.init(s.Keys, s.Aggs, windowCols); err != nil {
		return nil, err
	}
	w.emit.use(schema)
	return w, nil
}

// Open implements Operator.
func (w *WindowAgg) Open(ctx *expr.Ctx) error {
	w.ctx, w.mem = ctx, ctx.State.Part()
	w.emit.sorter.Mem = w.mem
	return nil
}

// OnGroupError implements Grouper.
func (w *WindowAgg) OnGroupError(fn func(w window.Window, err error)) { w.GroupError = fn }

// Process implements Operator.
func (w *WindowAgg) Process(_ int, in Input, _ Emitter) error {
	if len(in.Sel) == 0 {
		return nil
	}
	if err := w.takeKeys(&in); err != nil {
		return err
	}
	if w.allCurrent(in) {
		return w.fold(w.current, in, in.Sel, batch.All(len(in.Sel)))
	}
	w.touched = w.touched[:0]
	w.assign(in)
	return w.foldTouched(in)
}

// foldTouched adds the rows that were assigned to their slices.
func (w *WindowAgg) foldTouched(in Input) error {
	for _, sl := range w.touched {
		err := w.fold(sl, in, sl.rows, sl.places)
		sl.rows, sl.places = sl.rows[:0], sl.places[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// allCurrent reports that all rows fall into the current slice and none of them is late.
func (w *WindowAgg) allCurrent(in Input) bool {
	sl := w.current
	if sl == nil {
		return false
	}
	if n := len(in.B.Behind); n > 0 && in.B.Behind[n-1].Watermark >= sl.End {
		return false
	}
	times := in.B.Cols[w.spec.Window.TimeCol].I64
	start, size := sl.Start, uint64(sl.End)-uint64(sl.Start)
	for _, row := range in.Sel {
		if uint64(times[row])-uint64(start) >= size {
			return false
		}
	}
	return true
}

// assign gives each row to its window's slice; late rows are counted, reported and left out.
func (w *WindowAgg) assign(in Input) {
	var (
		times  = in.B.Cols[w.spec.Window.TimeCol].I64
		behind = in.B.Behind
		win    window.Window // empty: holds no time
		sl     *slice
	)
	for i, row := range in.Sel {
		t := types.EventTime(times[row])
		if t < win.Start || t >= win.End {
			win, sl = window.TumbleAt(t, w.spec.Window.Size, w.spec.Window.Offset), nil
		}
		for len(behind) > 0 && behind[0].Row < row {
			behind = behind[1:]
		}
		closed := w.watermark
		if len(behind) > 0 && behind[0].Row == row {
			closed = max(closed, in.Closed(behind[0]))
		}
		if win.End <= closed {
			w.late++
			w.reportLate(row, closed)
			continue
		}
		if sl == nil {
			sl = w.sliceOf(win)
		}
		if len(sl.rows) == 0 {
			w.touched = append(w.touched, sl)
		}
		sl.rows, sl.places = append(sl.rows, row), append(sl.places, uint32(i))
	}
	if sl != nil {
		w.current = sl
	}
}

// reportLate tells who wants to know about a late row.
func (w *WindowAgg) reportLate(row uint32, closed types.EventTime) {
	if w.sharing != nil {
		w.sharing.left = append(w.sharing.left, LeftRow{Row: row, Closed: closed})
		return
	}
	if w.Late != nil {
		w.Late(row)
	}
	if w.ctx.LateRow != nil {
		w.ctx.LateRow(row, closed)
	}
}

// sliceOf finds the slice of an open window, or makes it.
func (w *WindowAgg) sliceOf(win window.Window) *slice {
	at, ok := slices.BinarySearchFunc(w.open, win.Start, func(sl *slice, start types.EventTime) int {
		switch {
		case sl.Start < start:
			return -1
		case sl.Start > start:
			return 1
		}
		return 0
	})
	if ok {
		return w.open[at]
	}
	var sl *slice
	if n := len(w.free); n > 0 {
		sl, w.free = w.free[n-1], w.free[:n-1]
	}
	if sl == nil || sl.slab.Stride != w.stride { // of before the aggregates became more
		sl = &slice{table: state.Table{Mem: w.mem}, slab: agg.Slab{Stride: w.stride, Mem: w.mem}}
	}
	sl.Window, sl.aggs = win, len(w.aggs)
	w.open = slices.Insert(w.open, at, sl)
	return sl
}

// fold adds rows to a slice; places are their indexes in the input's selection.
func (w *WindowAgg) fold(sl *slice, in Input, rows, places []uint32) error {
	kept, keys, places, err := w.foldRows(in, rows, places)
	if err != nil || len(kept) == 0 {
		return err
	}
	if w.gids, err = sl.table.FindOrAdd(keys, places, w.gids[:0]); err != nil {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d groups in a window", state.KeysMax)
	}
	sl.slab.Grow(sl.table.Len())
	sl.slab.Claim(w.gids)
	for i := range w.aggs[:sl.aggs] {
		if err := w.aggs[i].update(w.ctx, &sl.slab, w.offs[i], kept, w.gids); err != nil {
			return err
		}
	}
	return nil
}

// Advance implements Operator: it closes the windows that end at or before the watermark, in order.
func (w *WindowAgg) Advance(watermark types.EventTime, out Emitter) error {
	w.watermark = max(w.watermark, watermark)
	for len(w.open) > 0 && w.open[0].End <= w.watermark {
		sl := w.open[0]
		if err := w.emitSlice(sl, out); err != nil {
			return err
		}
		w.open = slices.Delete(w.open, 0, 1)
		w.release(sl)
	}
	return nil
}

// release empties a closed slice.
func (w *WindowAgg) release(sl *slice) {
	if sl.stored() {
		w.dropped = append(w.dropped, int64(sl.Start))
	}
	if w.current == sl {
		w.current = nil
	}
	sl.sliceSave = sliceSave{}
	sl.table.Reset()
	sl.slab.Reset()
	if len(w.free) < slicesFreeMax {
		w.free = append(w.free, sl)
		return
	}
	sl.table.Free()
	sl.slab.Free()
}

// Bytes returns the memory of all state, in use or kept for reuse; of shared windows a member's part.
func (w *WindowAgg) Bytes() int64 {
	n := w.emit.bytes()
	for _, list := range [2][]*slice{w.open, w.free} {
		for _, sl := range list {
			n += sl.table.Bytes() + sl.slab.Bytes()
		}
	}
	if w.shared != nil {
		n += w.shared.Bytes() / int64(len(w.shared.members))
	}
	return n
}

// Spillable implements Spiller.
func (w *WindowAgg) Spillable() int64 {
	n := w.mem.Bytes()
	if w.shared != nil {
		n += w.shared.all.mem.Bytes() / int64(len(w.shared.members))
	}
	return n
}

func freeSlices(list []*slice) {
	for _, sl := range list {
		sl.table.Free()
		sl.slab.Free()
	}
}

// Groups returns the number of groups in open windows.
func (w *WindowAgg) Groups() int {
	n := 0
	for _, sl := range w.open {
		n += sl.table.Len()
	}
	if w.shared != nil {
		n += w.sharedGroups()
	}
	return n
}

// LateRows implements LateCounter.
func (w *WindowAgg) LateRows() int64 { return w.late }

// Close implements Operator.
func (w *WindowAgg) Close() error {
	freeSlices(w.open)
	freeSlices(w.free)
	w.open, w.free, w.current, w.touched = nil, nil, nil, nil
	return nil
}

// String implements Operator.
func (w *WindowAgg) String() string {
	size := time.Duration(w.spec.Window.Size) * time.Microsecond
	return fmt.Sprintf("WindowAgg tumble(%s) %s%s", size, groupingText(w.spec.Keys, w.spec.Aggs), w.havingText)
}
