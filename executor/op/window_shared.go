package op

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// SharedWindows are the open windows of several WindowAggs. A window belongs to a WindowAgg alone where that has it open itself.
// So who joins is given, empty, the windows that are open here: it has not seen their first rows.
type SharedWindows struct {
	all     WindowAgg // of the union; never emits: members do so with its scratch, one after the other
	calls   sharedCalls
	members []*Member
	left    []LeftRow
	in      Input // being processed
}

var _ SharedState = (*SharedWindows)(nil)

func newSharedWindows(s *spec.WindowAgg, risks []string, ctx *expr.Ctx) (*SharedWindows, error) {
	w := &SharedWindows{calls: sharedCalls{risks: risks}}
	w.all.spec, w.all.watermark, w.all.sharing = &spec.WindowAgg{Window: s.Window, Keys: s.Keys}, types.MinTime, w
	if err := w.all.grouping.init(s.Keys, nil, windowCols); err != nil {
		return nil, err
	}
	w.all.union, w.all.emit = &unionCalls{}, &windowOutput{}
	w.all.failed.take = func(row uint32, err error) { w.left = append(w.left, LeftRow{Row: row, err: err}) }
	return w, w.all.Open(ctx)
}

// Join implements SharedState.
func (s *SharedWindows) Join(m *Member) error {
	if err := s.join(m); err != nil {
		return err
	}
	w := m.windows
	for _, sl := range w.open {
		w.owned[sl.Start] = struct{}{}
	}
	for _, sl := range s.all.open {
		w.owned[sl.Start] = struct{}{}
		w.sliceOf(sl.Window)
	}
	return nil
}

// join makes m a member that has no windows of its own.
func (s *SharedWindows) join(m *Member) error {
	w, ok := m.Agg.(*WindowAgg)
	if !ok {
		return fmt.Errorf("shared windows: %s is none of them", m.Agg)
	}
	if _, err := s.calls.join(&s.all.grouping, &w.grouping, w.spec.Aggs); err != nil {
		return err
	}
	m.windows, w.shared, w.owned, m.number = w, s, map[types.EventTime]struct{}{}, s.calls.next()
	w.failed.take = ignoreRow // all rows are taken there, too
	m.take = func() error { return w.takeOpen(s.in) }
	m.emit = func() error { return w.emitShared(m.Out) }
	s.members = append(s.members, m)
	return nil
}

// Give implements SharedState.
func (s *SharedWindows) Give(m *Member) error {
	w := m.windows
	r := restorer{w: w, own: allKeys, blocks: blockList{mem: w.mem}}
	defer r.blocks.free()
	for _, sl := range s.all.open {
		if w.owns(sl) {
			continue
		}
		if err := w.writeShared(sl, batch.All(sl.table.Len()), &r.blocks); err != nil {
			return err
		}
		r.start = int64(sl.Start)
		if err := r.finish(); err != nil {
			return err
		}
	}
	return nil
}

// Leave implements SharedState.
func (s *SharedWindows) Leave(m *Member) {
	m.windows.shared, m.windows.owned, m.windows.failed.take = nil, nil, nil
	s.calls.leave(&s.all.grouping, &m.windows.grouping, m.windows.spec.Aggs)
	s.members = without(s.members, m)
}

// Open implements SharedState.
func (s *SharedWindows) Open() bool { return len(s.all.open) > 0 }

// Deadline implements SharedState.
func (s *SharedWindows) Deadline() types.EventTime { return s.all.Deadline() }

// Left implements SharedState.
func (s *SharedWindows) Left() []LeftRow { return s.left }

// Process implements SharedState.
func (s *SharedWindows) Process(in Input) error {
	s.left, s.in = s.left[:0], in
	if err := s.all.Process(0, in, nil); err != nil {
		return err
	}
	for _, m := range s.members {
		if len(m.windows.open) > 0 {
			m.Drive(m.take)
		}
	}
	s.in = Input{}
	return nil
}

// Advance implements SharedState: it closes windows, in order.
func (s *SharedWindows) Advance(watermark types.EventTime) error {
	for len(s.all.open) > 0 && s.all.open[0].End <= watermark {
		for _, m := range s.members {
			m.Drive(m.emit)
		}
		s.closeFirst()
	}
	return nil
}

// EndEpoch implements SharedState.
func (s *SharedWindows) EndEpoch(watermark types.EventTime) error { return s.Advance(watermark) }

// closeFirst moves time to the end of the earliest window and forgets it, after all members have emitted it.
func (s *SharedWindows) closeFirst() {
	sl := s.all.open[0]
	s.all.watermark = max(s.all.watermark, sl.End)
	s.all.open = slices.Delete(s.all.open, 0, 1)
	s.all.release(sl)
}

// Snapshot implements SharedState.
func (s *SharedWindows) Snapshot(out StateWriter) error { return s.all.Snapshot(out) }

// Record implements SharedState: the windows that the member has open itself.
func (s *SharedWindows) Record(dst []byte, m *Member) []byte {
	for start := range m.windows.owned {
		if m.windows.openAt(window.Window{Start: start}) == nil {
			delete(m.windows.owned, start)
		}
	}
	dst = appendMember(dst, m, m.windows.sharedAt, len(m.windows.owned) > 0)
	dst = binary.AppendUvarint(dst, uint64(len(m.windows.owned)))
	for _, start := range slices.Sorted(maps.Keys(m.windows.owned)) {
		dst = binary.AppendVarint(dst, int64(start))
	}
	return dst
}

// Restore implements SharedState.
func (s *SharedWindows) Restore(members []SavedMember, in StateReader, own func(hash uint64) bool) error {
	s.all.union.begin()
	for i := range members {
		m := members[i].Member
		if m.windows == nil {
			if err := s.join(m); err != nil {
				return err
			}
		}
		rest, err := s.all.union.member(m.windows.sharedAt, members[i].Record)
		if err == nil {
			err = m.windows.loadOwned(rest)
		}
		if err != nil {
			return err
		}
	}
	return s.all.Restore(in, own)
}

// loadOwned reads which windows a member has itself; those in which it had no rows are opened anew.
func (w *WindowAgg) loadOwned(record []byte) error {
	n, record, err := cutUvarint(record)
	for ; err == nil && n > 0; n-- {
		var start int64
		if start, record, err = cutVarint(record); err != nil {
			break
		}
		win := window.TumbleAt(types.EventTime(start), w.spec.Window.Size, w.spec.Window.Offset)
		if int64(win.Start) != start {
			return fmt.Errorf("%d is not the start of a window of the query", start)
		}
		w.owned[win.Start] = struct{}{}
		w.sliceOf(win)
	}
	if err == nil && len(record) > 0 {
		err = errRecord
	}
	return err
}

// Changed implements SharedState.
func (s *SharedWindows) Changed() int { return s.all.Changed() }

// CopyAhead implements SharedState.
func (s *SharedWindows) CopyAhead(out StateWriter, most int) (int, error) {
	return s.all.CopyAhead(out, most)
}

// Bytes implements SharedState.
func (s *SharedWindows) Bytes() int64 { return s.all.Bytes() }

// owns reports that a member has a shared window itself.
func (w *WindowAgg) owns(sl *slice) bool {
	_, ok := w.owned[sl.Start]
	return ok
}

// Close implements SharedState.
func (s *SharedWindows) Close() { _ = s.all.Close() }

// openAt is the slice of a window that w has open itself, nil for none.
func (w *WindowAgg) openAt(win window.Window) *slice {
	for _, sl := range w.open {
		if sl.Start == win.Start {
			return sl
		}
	}
	return nil
}

// TakeLeft implements Leaver.
func (w *WindowAgg) TakeLeft(left []LeftRow) error {
	late, err := w.reportLeft(left)
	w.late += late
	return err
}

// takeOpen folds the rows of windows that w has open itself.
func (w *WindowAgg) takeOpen(in Input) error {
	if err := w.takeKeys(&in); err != nil {
		return err
	}
	w.touched = w.touched[:0]
	w.assignOpen(in)
	return w.foldTouched(in)
}

// assignOpen gives the rows of windows that are open to their slices.
func (w *WindowAgg) assignOpen(in Input) {
	var (
		times  = in.B.Cols[w.spec.Window.TimeCol].I64
		behind = in.B.Behind
		win    window.Window // empty: holds no time
		sl     *slice
	)
	for i, row := range in.Sel {
		t := types.EventTime(times[row])
		if t < win.Start || t >= win.End {
			win = window.TumbleAt(t, w.spec.Window.Size, w.spec.Window.Offset)
			sl = w.openAt(win)
		}
		for len(behind) > 0 && behind[0].Row < row {
			behind = behind[1:]
		}
		if sl == nil || len(behind) > 0 && behind[0].Row == row && win.End <= in.Closed(behind[0]) {
			continue
		}
		if len(sl.rows) == 0 {
			w.touched = append(w.touched, sl)
		}
		sl.rows, sl.places = append(sl.rows, row), append(sl.places, uint32(i))
	}
}

// emitShared emits the earliest shared window, after its own ones that end before.
func (w *WindowAgg) emitShared(out Emitter) error {
	own := w.emit
	defer func() { w.emit = own }()
	w.emit = w.shared.all.emit
	w.emit.use(w.schema)
	sl := w.shared.all.open[0]
	if err := w.Advance(sl.Start, out); err != nil {
		return err
	}
	if w.owns(sl) {
		return nil
	}
	defer w.lookShared()()
	return w.emitSlice(sl, out)
}

// writeShared writes groups of a shared window as if they were its own.
func (w *WindowAgg) writeShared(sl *slice, gids []uint32, out StateWriter) error {
	defer w.lookShared()()
	return w.writeSlice(sl, gids, out)
}

// sharedGroups counts the groups of shared windows that are the member's too.
func (w *WindowAgg) sharedGroups() int {
	n := 0
	for _, sl := range w.shared.all.open {
		if !w.owns(sl) {
			n += sl.table.Len()
		}
	}
	return n
}
