package op

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// SharedWindows are the open windows of several WindowAggs that are given the same rows and group them by the same keys and
// windows: each row is folded once, into the union of their aggregates. Every WindowAgg applies its own HAVING to a window that
// closes, and emits its own columns of it.
//
// A window belongs to a WindowAgg alone where that has it open itself: its rows from before it joined, or from a checkpoint, are
// there. Of such a window it takes the rows itself, and the shared one is none of its business. So who joins is given, empty, the
// windows that are open here: it has not seen their first rows. Checkpoints know nothing of sharing: each WindowAgg writes
// what it would hold alone.
type SharedWindows struct {
	all     WindowAgg // of the union; never emits
	calls   map[string]*sharedCall
	members int
	late    []LateRow
}

// sharedCall is an aggregate of the union. Without users it is not computed any more, and its columns need not be there; who
// asks for it later has no part in the windows that are open until then.
type sharedCall struct{ at, users int }

// LateRow is a row whose window had closed by a watermark.
type LateRow struct {
	Row    uint32
	Closed types.EventTime
}

// Shareable reports that a grouping may keep its windows in SharedWindows: it emits when a window closes, and none of its
// aggregates can fail on a row, which the others would then miss.
func Shareable(s *spec.WindowAgg) bool {
	if s.Window.Kind != window.Tumble || s.Emit.Mode != spec.EmitFinal || s.Lateness != 0 {
		return false
	}
	for i := range s.Aggs {
		a := &s.Aggs[i]
		if !agg.Flat(a.Kernel) || a.Filter != nil || a.Distinct || len(a.OrderBy) > 0 {
			return false
		}
		for _, x := range a.Args {
			if _, ok := x.(*expr.Column); !ok {
				return false
			}
		}
	}
	return true
}

// callText tells aggregates apart that are over the same rows.
func callText(a *spec.AggCall) string {
	args := make([]string, len(a.Args))
	for i, x := range a.Args {
		args[i] = x.String()
	}
	return fmt.Sprintf("%s(%s) %T%+v", a.Name, strings.Join(args, ", "), a.Kernel, a.Kernel)
}

// NewSharedWindows makes shared windows without members, with the window and keys of s.
func NewSharedWindows(s *spec.WindowAgg, ctx *expr.Ctx) (*SharedWindows, error) {
	w := &SharedWindows{calls: map[string]*sharedCall{}}
	w.all.spec, w.all.watermark = &spec.WindowAgg{Window: s.Window, Keys: s.Keys}, types.MinTime
	if err := w.all.grouping.init(s.Keys, nil, windowCols); err != nil {
		return nil, err
	}
	return w, w.all.Open(ctx)
}

// Join makes m a member, before it is given the next rows.
func (s *SharedWindows) Join(m *WindowAgg) error {
	m.shared, m.sharedOffs = s, make([]int, len(m.aggs))
	s.members++
	for i := range m.spec.Aggs {
		text := callText(&m.spec.Aggs[i])
		c := s.calls[text]
		if c == nil {
			call, err := newAggCall(&m.spec.Aggs[i])
			if err != nil {
				return err
			}
			c = &sharedCall{at: len(s.all.aggs)}
			s.calls[text] = c
			s.all.aggs, s.all.offs = append(s.all.aggs, call), append(s.all.offs, s.all.stride)
			s.all.stride += call.kernel.Words()
		}
		c.users++
		s.all.aggs[c.at].off = false
		m.sharedOffs[i] = s.all.offs[c.at]
	}
	return nil
}

// Keep gives m the windows that are open, for it to take their rows itself.
func (s *SharedWindows) Keep(m *WindowAgg) {
	for _, sl := range s.all.open {
		m.sliceOf(sl.Window)
	}
}

// Leave ends m's membership: it takes all rows itself from now on. What is open here is lost to it.
func (s *SharedWindows) Leave(m *WindowAgg) {
	m.shared, m.sharedOffs = nil, nil
	s.members--
	for i := range m.spec.Aggs {
		c := s.calls[callText(&m.spec.Aggs[i])]
		c.users--
		s.all.aggs[c.at].off = c.users == 0
	}
}

// Open reports whether a window is open.
func (s *SharedWindows) Open() bool { return len(s.all.open) > 0 }

// Deadline is the end of the earliest open window.
func (s *SharedWindows) Deadline() types.EventTime { return s.all.Deadline() }

// Process folds rows; it returns those that were late, for each member to report. They are valid until the next call.
func (s *SharedWindows) Process(in Input) ([]LateRow, error) {
	s.late = s.late[:0]
	s.all.sharing = s
	err := s.all.Process(0, in, nil)
	return s.late, err
}

// CloseFirst moves time to the end of the earliest window and forgets it, after all members have emitted it.
func (s *SharedWindows) CloseFirst() {
	sl := s.all.open[0]
	s.all.watermark = max(s.all.watermark, sl.End)
	s.all.open = slices.Delete(s.all.open, 0, 1)
	s.all.release(sl)
	s.all.dropped = s.all.dropped[:0] // the members' to tell
}

// View is a member with where its checkpoint goes.
type View struct {
	Agg *WindowAgg
	Out StateWriter
}

// Snapshot writes, for each of the members that run, what it would write alone of the groups that changed.
func (s *SharedWindows) Snapshot(views []View) error {
	for _, sl := range s.all.open {
		gids := sl.table.Dirty(s.all.gids[:0])
		if s.all.gids = gids; len(gids) == 0 {
			continue
		}
		anew := sl.entries+len(gids) > rewriteRatio*sl.table.Len()+rewriteMin
		if anew {
			gids, sl.entries = batch.All(sl.table.Len()), 0
		}
		for _, v := range views {
			if v.Agg.openAt(sl.Window) != nil {
				continue
			}
			if err := v.Agg.writeShared(sl, gids, anew, v.Out); err != nil {
				return fmt.Errorf("snapshot of window from %s: %w", types.NewTime(sl.Start).Text(), err)
			}
		}
		sl.entries += len(gids)
		sl.table.ClearDirty()
	}
	return nil
}

// Bytes returns the memory of the shared state.
func (s *SharedWindows) Bytes() int64 { return s.all.Bytes() }

// openAt is the slice of a window that w has open itself, nil for none.
func (w *WindowAgg) openAt(win window.Window) *slice {
	for _, sl := range w.open {
		if sl.Start == win.Start {
			return sl
		}
	}
	return nil
}

// TakeOpen folds the rows of windows that w has open itself, and counts those that were late for the shared windows.
func (w *WindowAgg) TakeOpen(in Input, late int) error {
	w.late += int64(late)
	if len(w.open) == 0 {
		return nil
	}
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

// EmitShared emits the earliest shared window, after its own ones that end before.
func (w *WindowAgg) EmitShared(out Emitter) error {
	sl := w.shared.all.open[0]
	if err := w.Advance(sl.Start, out); err != nil {
		return err
	}
	if w.openAt(sl.Window) != nil {
		return nil
	}
	if sl.entries > 0 {
		w.dropped = append(w.dropped, int64(sl.Start))
	}
	defer w.lookShared()()
	return w.emitSlice(sl, out)
}

// writeShared writes groups of a shared window as if they were its own.
func (w *WindowAgg) writeShared(sl *slice, gids []uint32, anew bool, out StateWriter) error {
	defer w.lookShared()()
	if anew {
		if err := out.Rewrite(int64(sl.Start)); err != nil {
			return err
		}
	}
	for len(gids) > 0 {
		var block []byte
		block, gids = w.appendBlock(nil, sl, gids)
		if err := out.Block(int64(sl.Start), block); err != nil {
			return err
		}
	}
	return nil
}

// lookShared has w find its aggregates where shared windows have them, until what it returns is called.
func (w *WindowAgg) lookShared() (back func()) {
	own := w.offs
	w.offs = w.sharedOffs
	return func() { w.offs = own }
}

// sharedGroups counts the groups of shared windows that are the member's too.
func (w *WindowAgg) sharedGroups() int {
	n := 0
	for _, sl := range w.shared.all.open {
		if w.openAt(sl.Window) == nil {
			n += sl.table.Len()
		}
	}
	return n
}
