package op

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// SharedPanes are the panes of several PaneAggs. The windows of a member that end up to a time, its upTo, are its own: those that hold
// a pane that was there when it joined, here or there. The others are shared. So are panes: those in whose first window a
// member has no part of its own are shared, it takes the rows of the others itself until they are dropped. A pane of which only some
// windows are its own had no rows when it joined, so that it has the same ones here and there, and either will do.
type SharedPanes struct {
	all     PaneAgg // of the union; never emits
	calls   sharedCalls
	members []*Member
	left    []LeftRow

	// What members are driven to: rows from to to of in, a watermark, a window that ends at end, changes in order up to told.
	in       Input
	from, to int
	wm, end  types.EventTime
	epoch    bool // the epoch ends
	states   windowStates
	order    []uint32

	rows  [2]sharedRows // of a window; of changes before and after
	lent  paneScratch
	keys  []uint32 // of the window that closes
	kids  []uint32 // of keys, those in rows
	oldAt []int32  // by place in order: the row before, -1: none

	saved map[uint32]*Member // while a checkpoint is loaded: by the numbers that it has
}

var _ SharedState = (*SharedPanes)(nil)

func newSharedPanes(s *spec.WindowAgg, risks []string, ctx *expr.Ctx) (*SharedPanes, error) {
	w := &SharedPanes{calls: sharedCalls{risks: risks}}
	p := &w.all
	p.windowed, p.emit, p.lateness, p.timeCol = s.Window.Kind != window.None, s.Emit, s.Lateness, s.Window.TimeCol
	p.sharing = w
	none := types.Schema{Cols: make([]types.Column, len(s.Keys))}
	if p.windowed {
		var ok bool
		if p.grid, ok = window.GridOf(s.Window); !ok {
			return nil, fmt.Errorf("shared panes: no grid of windows")
		}
		none.Cols = append(none.Cols, make([]types.Column, windowCols)...)
	}
	if err := p.init(s.Keys, nil, &none); err != nil {
		return nil, err
	}
	p.union = &unionCalls{}
	p.failed.take = func(row uint32, err error) { w.left = append(w.left, LeftRow{Row: row, err: err}) }
	return w, errors.Join(w.restride(), p.Open(ctx))
}

// Join implements SharedState.
func (s *SharedPanes) Join(m *Member) error {
	if err := s.join(m); err != nil {
		return err
	}
	p := m.panes
	for _, of := range [2]*PaneAgg{&s.all, p} {
		if n := len(of.panes); n > 0 {
			p.upTo = max(p.upTo, p.lastEnd(of.panes[n-1]))
		}
	}
	return nil
}

// join makes m a member that has no windows of its own.
func (s *SharedPanes) join(m *Member) error {
	p, ok := m.Agg.(*PaneAgg)
	if !ok {
		return fmt.Errorf("shared panes: %s is none of them", m.Agg)
	}
	more, err := s.calls.join(&s.all.grouping, &p.grouping, p.calls)
	if err == nil && more {
		err = s.restride()
	}
	if err != nil {
		return err
	}
	m.panes, p.shared, p.upTo, m.number = p, s, types.MinTime, s.calls.next()
	p.failed.take = ignoreRow // all rows are taken there, too
	m.take, m.advance = func() error { return p.takeOwn(s, m.Out) }, func() error { return p.advanceOwn(s, m.Out) }
	m.tell, m.emit = p.lend(s, func() error { return p.tellShared(s, m.Out) }), p.lend(s, func() error { return p.emitShared(s, m.Out) })
	m.pass, m.examine = p.lend(s, func() error { return p.passShared(s) }), p.lend(s, func() error { return p.examineShared(s) })
	if p.emit.Mode == spec.EmitFirst {
		m.tell = p.lend(s, func() error { return p.tellHits(m.Out) })
	}
	s.members = append(s.members, m)
	return nil
}

// lastEnd is the end of the last window that holds a pane.
func (p *PaneAgg) lastEnd(pn *pane) types.EventTime {
	if !p.windowed {
		return types.MaxTime
	}
	return p.grid.LastEnd(pn.start)
}

// restride makes room for more aggregates; the panes that are there do without them.
func (s *SharedPanes) restride() error {
	p := &s.all
	p.past = pastPanes{}
	p.past.init(p)
	p.useMemory()
	p.walk = keyWalk{}
	p.walk.init(p)
	p.firsts.check = agg.Slab{Stride: p.stride}
	s.lent.out.slab.Free()
	s.lent.out.sorter.Mem, s.lent.out.slab.Mem = p.mem, p.mem
	for i := range s.rows {
		s.rows[i].init(p)
	}
	return p.changes.restride()
}

// Give implements SharedState. The member's own panes stay as they are: they are complete, and have what they set off in shared windows.
func (s *SharedPanes) Give(m *Member) error {
	p := m.panes
	r := paneRestorer{p: p, own: allKeys, blocks: blockList{mem: p.mem}}
	defer r.blocks.free()
	for _, pn := range s.all.panes {
		if !p.sharesPane(pn) {
			continue
		}
		if err := p.writeShared(pn, batch.All(len(pn.ids)), &r.blocks); err != nil {
			return err
		}
		r.start = int64(pn.start)
		if err := r.finish(); err != nil {
			return err
		}
	}
	for src := p.appendSharedChanges(nil); len(src) > 0; {
		var err error
		if src, err = r.loadChange(src); err != nil {
			return err
		}
	}
	p.watermark, p.ended = max(p.watermark, s.all.watermark), max(p.ended, s.all.ended)
	return nil
}

// Leave implements SharedState.
func (s *SharedPanes) Leave(m *Member) {
	m.panes.shared, m.panes.upTo, m.panes.failed.take = nil, types.MaxTime, nil
	m.panes.firsts.shared = sharedFirsts{}
	s.calls.leave(&s.all.grouping, &m.panes.grouping, m.panes.calls)
	s.members = without(s.members, m)
}

// Open implements SharedState.
func (s *SharedPanes) Open() bool { return len(s.all.panes) > 0 }

// Deadline implements SharedState.
func (s *SharedPanes) Deadline() types.EventTime { return s.all.Deadline() }

// Left implements SharedState.
func (s *SharedPanes) Left() []LeftRow { return s.left }

// Bytes implements SharedState.
func (s *SharedPanes) Bytes() int64 { return s.all.Bytes() + s.scratch() }

// Close implements SharedState.
func (s *SharedPanes) Close() { _ = s.all.Close() }

// own calls do for the members that have windows of their own.
func (s *SharedPanes) own(do func(m *Member) func() error) {
	for _, m := range s.members {
		if m.panes.upTo > types.MinTime {
			m.Drive(do(m))
		}
	}
}

func (m *Member) toTake() func() error    { return m.take }
func (m *Member) toAdvance() func() error { return m.advance }

// Process implements SharedState. Time moves within it as within PaneAgg.Process, for all alike.
func (s *SharedPanes) Process(in Input) error {
	p := &s.all
	s.left, s.in = s.left[:0], in
	if err := p.takeKeys(&in); err != nil {
		return err
	}
	p.behind = in.B.Behind
	for from := 0; from < len(in.Sel); {
		to, closed := p.cut(in, from)
		if err := s.fold(in, from, to); err != nil {
			return err
		}
		if to < len(in.Sel) {
			if err := s.Advance(closed); err != nil {
				return err
			}
		}
		from = to
	}
	s.in = Input{}
	if p.emit.Mode == spec.EmitEvery {
		return nil // EndEpoch tells
	}
	return s.flush(types.MaxTime)
}

// fold adds rows of the selection, here and in what is the members' own.
func (s *SharedPanes) fold(in Input, from, to int) error {
	if s.all.emit.Mode == spec.EmitFirst {
		return s.foldFirst(in, from, to)
	}
	if err := s.all.fold(in, from, to); err != nil {
		return err
	}
	s.from, s.to = from, to
	s.own((*Member).toTake)
	return nil
}

// Advance implements SharedState.
func (s *SharedPanes) Advance(watermark types.EventTime) error {
	p := &s.all
	if watermark <= p.watermark {
		return nil
	}
	s.wm, s.epoch = watermark, false
	s.own((*Member).toAdvance)
	upTo := types.MaxTime
	if p.emit.Mode == spec.EmitEvery && watermark != types.MaxTime {
		upTo = minus(watermark, p.lateness)
	}
	if err := s.flush(upTo); err != nil {
		return err
	}
	if p.emit.Mode == spec.EmitFinal {
		for end := p.nextEnd(); end <= watermark && end != types.MaxTime; end = p.nextEnd() {
			if err := s.closeWindow(end); err != nil {
				return err
			}
			p.watermark = end
		}
	}
	p.watermark = watermark
	p.dropPanes()
	for _, m := range s.members {
		m.panes.endOwn()
	}
	return nil
}

// EndEpoch implements SharedState.
func (s *SharedPanes) EndEpoch(watermark types.EventTime) error {
	if err := s.Advance(watermark); err != nil {
		return err
	}
	if s.all.emit.Mode != spec.EmitEvery {
		return nil
	}
	s.wm, s.epoch = watermark, true
	s.own((*Member).toAdvance)
	return s.flush(s.all.endEpoch())
}

// flush has the members tell what changed in shared windows that end at or before upTo.
func (s *SharedPanes) flush(upTo types.EventTime) error {
	c := &s.all.changes
	if due, err := c.due(upTo); err != nil || !due {
		return err
	}
	if err := s.tellAll(c.order); err != nil {
		return err
	}
	return c.keep(upTo)
}

// closeWindow has the members emit a window that ends.
func (s *SharedPanes) closeWindow(end types.EventTime) (err error) {
	if !slices.ContainsFunc(s.members, func(m *Member) bool { return end > m.panes.upTo }) {
		return nil
	}
	s.end = end
	if s.states, err = s.all.statesOf(end); err != nil {
		return err
	}
	if err := s.passAll(); err != nil {
		return err
	}
	for _, m := range s.members {
		if end > m.panes.upTo {
			m.Drive(m.emit)
		}
	}
	return nil
}

// leavePane has members forget what the rows of a pane have set off.
func (s *SharedPanes) leavePane(pn *pane) {
	for _, m := range s.members {
		m.panes.leaveShared(pn)
	}
}

// Snapshot implements SharedState.
func (s *SharedPanes) Snapshot(out StateWriter) error { return s.all.Snapshot(out) }

// Record implements SharedState: up to where windows are the member's own.
func (s *SharedPanes) Record(dst []byte, m *Member) []byte {
	dst = appendMember(dst, m, m.panes.sharedAt, m.panes.upTo > types.MinTime)
	return binary.AppendVarint(dst, int64(m.panes.upTo))
}

// Restore implements SharedState.
func (s *SharedPanes) Restore(members []SavedMember, in StateReader, own func(hash uint64) bool) error {
	s.saved = map[uint32]*Member{}
	s.all.union.begin()
	for i := range members {
		m := members[i].Member
		if m.panes == nil {
			if err := s.join(m); err != nil {
				return err
			}
		}
		rest, err := s.all.union.member(m.panes.sharedAt, members[i].Record)
		if err != nil {
			return err
		}
		upTo, rest, err := cutVarint(rest)
		if err != nil || len(rest) > 0 {
			return errRecord
		}
		m.panes.upTo = max(m.panes.upTo, types.EventTime(upTo))
		s.saved[s.all.union.number] = m
	}
	err := s.all.Restore(in, own)
	s.saved = nil
	return err
}

// markRestored notes that a group of a pane had set off a window for a member, which may be none any more.
func (s *SharedPanes) markRestored(number uint32, pn *pane, mark firedMark) {
	if m := s.saved[number]; m != nil {
		m.panes.firsts.addShared(pn, mark)
	}
}

// appendFired writes what a group of a pane has set off for members.
func (s *SharedPanes) appendFired(dst []byte, pn *pane, gid uint32) []byte {
	n := 0
	for _, m := range s.members {
		n += len(marksOfGroup(m.panes.firsts.shared.of(pn).byGroup(), gid))
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	for _, m := range s.members {
		for _, mark := range marksOfGroup(m.panes.firsts.shared.of(pn).byGroup(), gid) {
			dst = binary.AppendUvarint(dst, uint64(mark.window))
			dst = binary.AppendUvarint(dst, uint64(m.number))
		}
	}
	return dst
}

// Changed implements SharedState.
func (s *SharedPanes) Changed() int { return s.all.Changed() }

// CopyAhead implements SharedState.
func (s *SharedPanes) CopyAhead(out StateWriter, most int) (int, error) {
	return s.all.CopyAhead(out, most)
}

// sharesPane reports that a shared pane stands for one of the member's.
func (p *PaneAgg) sharesPane(pn *pane) bool {
	if !p.windowed {
		return p.upTo < types.MaxTime
	}
	return p.grid.FirstEnd(pn.start) > p.upTo
}

// TakeLeft implements Leaver.
func (p *PaneAgg) TakeLeft(left []LeftRow) error {
	late, err := p.reportLeft(left)
	p.late += late
	return err
}

// lookAt has results made of shared panes, until what it returns is called.
func (p *PaneAgg) lookAt(s *SharedPanes) (back func()) {
	own := p.lookShared()
	p.from = &s.all
	return func() {
		own()
		p.from = p
	}
}

// takeOwn folds rows of panes of its own.
func (p *PaneAgg) takeOwn(s *SharedPanes, out Emitter) error {
	if err := p.advance(s.all.watermark, out); err != nil {
		return err
	}
	in := s.in
	if err := p.takeKeys(&in); err != nil {
		return err
	}
	if p.emit.Mode == spec.EmitFirst {
		return p.foldHits(in, s.from, s.to)
	}
	if err := p.fold(in, s.from, s.to); err != nil || s.to < len(in.Sel) || p.emit.Mode == spec.EmitEvery {
		return err
	}
	return p.changes.flush(types.MaxTime, out)
}

// advanceOwn moves time on for windows of its own.
func (p *PaneAgg) advanceOwn(s *SharedPanes, out Emitter) error {
	if err := p.advance(s.wm, out); err != nil || !s.epoch {
		return err
	}
	return p.EndEpoch(out)
}

// endOwn gives up what was for panes of its own, when no row falls into them any more.
func (p *PaneAgg) endOwn() {
	if p.upTo == types.MinTime || len(p.panes) > 0 || plus(p.upTo, p.grid.Size+p.grid.Slide+p.lateness) > p.watermark {
		return
	}
	p.dict.Free()
	p.upTo, p.refs, p.alive = types.MinTime, nil, 0
	p.refBlock.Free()
	p.free, p.touched, p.current = nil, nil, nil
	p.out.freeMemory()
	p.firsts.freeMemory()
	p.past = pastPanes{}
	p.past.init(p)
	p.useMemory()
	p.changes = changes{}
	p.changes.init(p)
}

// emitShared emits a shared window that closes.
func (p *PaneAgg) emitShared(s *SharedPanes, out Emitter) error {
	asks := p.asksRows(s)
	defer p.lookAt(s)()
	if asks {
		kept := p.passed
		p.passed = nil
		return p.out.emit(p, s.end, s.states, kept, out)
	}
	return p.out.window(p, s.end, s.states, out)
}

// writeShared writes groups of a shared pane as if it were its own.
func (p *PaneAgg) writeShared(pn *pane, gids []uint32, out StateWriter) error {
	defer p.lookAt(p.shared)()
	return p.writePane(pn, gids, out)
}

// appendSharedChanges writes what changed in shared windows as if it had been noted here.
func (p *PaneAgg) appendSharedChanges(dst []byte) []byte {
	defer p.lookAt(p.shared)()
	c := &p.shared.all.changes
	for i, ch := range c.list {
		if ch.end > p.upTo {
			dst = p.appendChange(dst, c, i, ch)
		}
	}
	return dst
}

// sharedGroups counts the groups of shared panes that are the member's too.
func (p *PaneAgg) sharedGroups() int {
	n := 0
	for _, pn := range p.shared.all.panes {
		if p.sharesPane(pn) {
			n += len(pn.ids)
		}
	}
	return n
}
