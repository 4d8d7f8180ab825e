package op

import (
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
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// PaneAgg groups rows by keys, and by aligned windows or by none, and emits as spec.Emit says. A row updates the one pane of
// event time that it falls into; the results of a window are put together from its panes. WindowAgg does the same for the
// plain case, tumbling windows that emit once, with less work.
//
// Rows of a batch are judged one by one: where a row comes at a watermark that ends a window, the rows before it are folded
// and the window is closed first. So a window that is final never changes, and what closed windows hold does not depend on how
// rows were cut into batches. What EMIT ON UPDATE tells on the way does: only what it has told by the end of an epoch is the
// same for any cut. EMIT EVERY tells at the end of epochs.
type PaneAgg struct {
	// Late, when set, takes each row (its number in the batch) that came too late for all windows. Set it before Open.
	Late func(row uint32)

	grouping
	calls      []spec.AggCall
	schema     *types.Schema // of what comes out
	text       string        // the EXPLAIN line
	groupError func(w window.Window, err error)
	windowed   bool
	grid       window.Grid
	emit       spec.Emit
	lateness   int64 // microseconds after its end that a window takes rows
	timeCol    int

	// watermark is the largest value that time has reached here; windows ending at or before it have closed.
	watermark types.EventTime
	// ended is the watermark at the end of the last epoch.
	ended types.EventTime
	late  int64
	// dict numbers the keys of all panes; refs tells by that number how many panes have the key, alive how many keys any has.
	dict  state.Table
	refs  []uint32
	alive int
	// refBlock is behind refs.
	refBlock arena.Block
	// renumberMin is the constant; tests set it lower.
	renumberMin int
	panes       []*pane // by start
	free        []*pane // emptied, for reuse
	dropped     []int64 // starts of dropped panes that the checkpoint still has blocks of

	past       pastPanes
	changes    changes
	firsts     firsts
	out        *paneOutput // of shared panes while they drive the operator
	walk       keyWalk
	generation uint64 // of the last snapshot; see docs/formats/state.md
	time       sliceSave

	// shared are the panes that this is a member of; nil: it is alone. sharing: these are shared panes, and rows that are not taken are
	// their members' to report.
	shared, sharing *SharedPanes
	// upTo is the end of the last window that is the operator's own: those that end later are those of shared.
	upTo types.EventTime
	// passed are, while a shared window closes, the keys that pass having.
	passed []uint32
	judged havingFailures
	// from has the panes that results are made of: the operator itself but for shared windows.
	from *PaneAgg

	// Of the batch being processed:
	behind  []batch.Behind // not yet passed
	touched []*pane
	current *pane    // the pane of the latest row: most batches fall into it whole
	kids    []uint32 // keys of rows, by number in dict
}

var (
	_ Grouper    = (*PaneAgg)(nil)
	_ Delayer    = (*PaneAgg)(nil)
	_ EpochEnder = (*PaneAgg)(nil)
)

// panesFreeMax bounds the emptied panes that are kept for reuse.
const panesFreeMax = 8

// NewPaneAgg compiles a grouping by TUMBLE, HOP or CUMULATE windows; schema is the output schema: window_start, window_end,
// keys, aggregates.
func NewPaneAgg(s *spec.WindowAgg, schema *types.Schema) (*PaneAgg, error) {
	grid, ok := window.GridOf(s.Window)
	if !ok || s.Lateness < 0 || s.Emit.Mode == spec.EmitEvery && s.Emit.Every <= 0 {
		return nil, sqlerr.NotSupported("this kind of window", "Use TUMBLE, HOP or CUMULATE.")
	}
	p := &PaneAgg{windowed: true, grid: grid, emit: s.Emit, lateness: s.Lateness, timeCol: s.Window.TimeCol}
	if s.Window.Kind != window.Tumble {
		if err := checkMerges(s.Aggs, "windows that overlap"); err != nil {
			return nil, err
		}
	}
	p.text = fmt.Sprintf("WindowAgg %s %s", s.Text("time"), groupingText(s.Keys, s.Aggs))
	return p, p.init(s.Keys, s.Aggs, schema)
}

// NewGroupAgg compiles a grouping without a window; schema is the output schema: keys, aggregates.
func NewGroupAgg(s *spec.GroupAgg, schema *types.Schema) (*PaneAgg, error) {
	if s.Emit.Mode == spec.EmitFinal || s.Emit.Mode == spec.EmitEvery && s.Emit.Every <= 0 {
		return nil, sqlerr.NotSupported("results at the end of a grouping without a window", "Use EMIT ON UPDATE.")
	}
	p := &PaneAgg{emit: s.Emit, timeCol: s.TimeCol}
	p.text = fmt.Sprintf("GroupAgg %s%s", groupingText(s.Keys, s.Aggs), s.Emit.Text(spec.EmitUpdate))
	return p, p.init(s.Keys, s.Aggs, schema)
}

func (p *PaneAgg) init(keys []expr.Expr, aggs []spec.AggCall, schema *types.Schema) error {
	if p.windowed {
		p.before = windowCols
	}
	if want := p.before + len(keys) + len(aggs); len(schema.Cols) != want {
		return fmt.Errorf("grouping: output schema has %d columns, want %d", len(schema.Cols), want)
	}
	if err := p.grouping.init(keys, aggs, p.before); err != nil {
		return err
	}
	p.watermark, p.ended, p.renumberMin = types.MinTime, types.MinTime, renumberMin
	p.from, p.upTo, p.calls, p.schema, p.out = p, types.MaxTime, aggs, schema, &paneOutput{}
	p.past.init(p)
	p.changes.init(p)
	p.firsts.init(p, schema)
	p.out.use(schema)
	p.walk.init(p)
	return nil
}

// OnGroupError implements Grouper.
func (p *PaneAgg) OnGroupError(fn func(w window.Window, err error)) { p.groupError = fn }

// Open implements Operator.
func (p *PaneAgg) Open(ctx *expr.Ctx) error {
	p.ctx, p.mem = ctx, ctx.State.Part()
	p.useMemory()
	return nil
}

// useMemory says where the state lies, before there is any.
func (p *PaneAgg) useMemory() {
	p.dict.Mem, p.past.mem, p.past.back.Mem, p.past.late.Mem = p.mem, p.mem, p.mem, p.mem
	if p.past.running != nil {
		p.past.running.slab.Mem = p.mem
	}
	p.out.sorter.Mem, p.out.slab.Mem = p.mem, p.mem
}

// Process implements Operator.
func (p *PaneAgg) Process(_ int, in Input, out Emitter) error {
	if len(in.Sel) == 0 {
		return nil
	}
	if err := p.takeKeys(&in); err != nil {
		return err
	}
	p.behind = in.B.Behind
	for from := 0; from < len(in.Sel); {
		to, closed := p.cut(in, from)
		var err error
		if p.emit.Mode == spec.EmitFirst {
			err = p.foldFirst(in, from, to, out)
		} else {
			err = p.fold(in, from, to)
		}
		if err == nil && to < len(in.Sel) {
			err = p.advance(closed, out)
		}
		if err != nil {
			return err
		}
		from = to
	}
	if p.emit.Mode == spec.EmitEvery {
		return nil // EndEpoch tells
	}
	return p.changes.flush(types.MaxTime, out)
}

// cut returns the end of the rows from from on that can be folded before a window closes, or becomes final, and the watermark
// at which the row there came.
func (p *PaneAgg) cut(in Input, from int) (to int, closed types.EventTime) {
	if !p.windowed {
		return len(in.Sel), 0
	}
	behind := p.behind
	for i := from; i < len(in.Sel) && len(behind) > 0; i++ {
		for len(behind) > 0 && behind[0].Row < in.Sel[i] {
			behind = behind[1:]
		}
		if len(behind) > 0 && behind[0].Row == in.Sel[i] {
			if c := in.Closed(behind[0]); p.crosses(c) {
				return i, c
			}
		}
	}
	return len(in.Sel), 0
}

// crosses reports that a window ends, or becomes final, after the operator's watermark and at or before w.
func (p *PaneAgg) crosses(w types.EventTime) bool {
	if w <= p.watermark {
		return false
	}
	if p.endAfter(w) != p.endAfter(p.watermark) {
		return true
	}
	return p.lateness > 0 && p.endAfter(minus(w, p.lateness)) != p.endAfter(minus(p.watermark, p.lateness))
}

// endAfter is the grid's FirstEnd, for all times.
func (p *PaneAgg) endAfter(t types.EventTime) types.EventTime {
	switch {
	case p.grid.Within(t):
		return p.grid.FirstEnd(t)
	case t < 0:
		return types.MinTime
	}
	return types.MaxTime
}

// minus and plus stop at the ends of event time.
func minus(t types.EventTime, d int64) types.EventTime {
	if t < types.MinTime+types.EventTime(d) {
		return types.MinTime
	}
	return t - types.EventTime(d)
}

func plus(t types.EventTime, d int64) types.EventTime {
	if d > 0 && t > types.MaxTime-types.EventTime(d) {
		return types.MaxTime
	}
	return t + types.EventTime(d)
}

// fold adds rows of the selection to their panes.
func (p *PaneAgg) fold(in Input, from, to int) error {
	if from == 0 && to == len(in.Sel) && p.allCurrent(in) {
		return p.foldPane(p.current, in, in.Sel, batch.All(len(in.Sel)))
	}
	p.touched = p.touched[:0]
	if err := p.assign(in, from, to, nil); err != nil {
		return err
	}
	for _, pn := range p.touched {
		err := p.foldPane(pn, in, pn.rows, pn.places)
		pn.rows, pn.places = pn.rows[:0], pn.places[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// assign gives each row to its pane, or hands it to each, when that is set. Late rows are counted, reported and left out; so
// are rows between windows, without a report.
func (p *PaneAgg) assign(in Input, from, to int, each func(row, place uint32)) error {
	var (
		pn    *pane
		start types.EventTime // of the pane of the row before, of no length at first
		pane  int64
		fate  fate
	)
	for i := from; i < to; i++ {
		row := in.Sel[i]
		if p.windowed {
			t := types.EventTime(in.B.Cols[p.timeCol].I64[row])
			if uint64(t)-uint64(start) >= uint64(pane) {
				fate, pn = p.fateOf(t), nil
				if start, pane = t, 0; fate != outOfRange {
					start, pane = p.grid.PaneStart(t), p.grid.Pane
				}
			}
			if fate != taken {
				if err := p.leaveOut(in, row, fate); err != nil {
					return err
				}
				continue
			}
		}
		if each != nil {
			each(row, uint32(i))
			continue
		}
		if pn == nil {
			pn = p.paneOf(start)
		}
		if len(pn.rows) == 0 {
			p.touched = append(p.touched, pn)
		}
		pn.rows, pn.places = append(pn.rows, row), append(pn.places, uint32(i))
	}
	p.current = pn
	return nil
}

// allCurrent reports that all rows fall into the current pane, which takes them.
func (p *PaneAgg) allCurrent(in Input) bool {
	if p.current == nil || p.emit.Mode == spec.EmitFirst {
		return false
	}
	if !p.windowed {
		return true
	}
	start := p.current.start
	if p.fateOf(start) != taken {
		return false
	}
	times, size := in.B.Cols[p.timeCol].I64, uint64(p.grid.Pane)
	for _, row := range in.Sel {
		if uint64(times[row])-uint64(start) >= size {
			return false
		}
	}
	return true
}

// fate is what becomes of the rows of a pane.
type fate uint8

const (
	taken      fate = iota // at least one window holds them and is not final
	tooLate                // all windows that hold them are final
	between                // no window holds them: the slide is longer than the size
	outOfRange             // a bound of their windows would overflow
	others                 // no window of the operator's own holds them
)

// fateOf tells the fate of rows at t, which is that of the whole pane.
func (p *PaneAgg) fateOf(t types.EventTime) fate {
	switch {
	case !p.grid.Within(t):
		return outOfRange
	case p.grid.FirstEnd(t) > p.upTo:
		return others
	case p.grid.Start(p.grid.FirstEnd(t)) > t:
		return between
	case plus(p.grid.LastEnd(t), p.lateness) <= p.watermark:
		return tooLate
	}
	return taken
}

// leaveOut counts and reports a row that is not taken.
func (p *PaneAgg) leaveOut(in Input, row uint32, why fate) error {
	switch {
	case p.shared != nil || why != outOfRange && why != tooLate:
		return nil
	case why == outOfRange && p.sharing != nil:
		p.sharing.left = append(p.sharing.left, LeftRow{Row: row, err: errOutOfWindows})
		return nil
	case why == outOfRange && p.ctx.RowError == nil:
		return errOutOfWindows
	case why == outOfRange:
		p.ctx.RowError(row, errOutOfWindows)
		return nil
	}
	for len(p.behind) > 0 && p.behind[0].Row < row {
		p.behind = p.behind[1:]
	}
	closed := p.watermark
	if len(p.behind) > 0 && p.behind[0].Row == row {
		closed = max(closed, in.Closed(p.behind[0]))
	}
	if p.sharing != nil {
		p.sharing.left = append(p.sharing.left, LeftRow{Row: row, Closed: closed})
		return nil
	}
	p.late++
	if p.Late != nil {
		p.Late(row)
	}
	if p.ctx.LateRow != nil {
		p.ctx.LateRow(row, closed)
	}
	return nil
}

// startOf returns where the pane of t begins.
func (p *PaneAgg) startOf(t types.EventTime) types.EventTime {
	if !p.windowed {
		return 0
	}
	return p.grid.PaneStart(t)
}

// paneAt returns the index of the first pane that begins at t or later.
func (p *PaneAgg) paneAt(t types.EventTime) int {
	at, _ := slices.BinarySearchFunc(p.panes, t, func(pn *pane, t types.EventTime) int {
		switch {
		case pn.start < t:
			return -1
		case pn.start > t:
			return 1
		}
		return 0
	})
	return at
}

// paneOf finds the pane that begins at start, or makes it.
func (p *PaneAgg) paneOf(start types.EventTime) *pane {
	at := p.paneAt(start)
	if at < len(p.panes) && p.panes[at].start == start {
		return p.panes[at]
	}
	var pn *pane
	if n := len(p.free); n > 0 {
		pn, p.free = p.free[n-1], p.free[:n-1]
	}
	if pn == nil || pn.slab.Stride != p.stride { // of before the aggregates became more
		pn = &pane{keyIndex: keyIndex{mem: p.mem}, slab: agg.Slab{Stride: p.stride, Mem: p.mem}, suffix: agg.Slab{Stride: p.stride, Mem: p.mem}}
	}
	pn.start = start
	p.panes = slices.Insert(p.panes, at, pn)
	return pn
}

// foldPane adds rows to a pane; places are their indexes in the input's selection.
func (p *PaneAgg) foldPane(pn *pane, in Input, rows, places []uint32) error {
	kept, keys, at, err := p.foldRows(in, rows, places)
	if err != nil || len(kept) == 0 {
		return err
	}
	if err := p.number(keys, at); err != nil {
		return err
	}
	if lo, hi := p.telling(pn); lo <= hi {
		if err := p.changes.note(p.kids, lo, hi); err != nil {
			return err
		}
	}
	if p.emit.Mode == spec.EmitFinal && p.past.has(pn) {
		return p.past.fold(pn, kept)
	}
	return p.update(pn, kept, p.kids)
}

// number finds the numbers of keys.
func (p *PaneAgg) number(keys state.Rows, at []uint32) (err error) {
	if p.kids, err = p.dict.FindOrAdd(keys, at, p.kids[:0]); err != nil {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d groups in a query", state.KeysMax)
	}
	p.refs = growIn(p.mem, &p.refBlock, p.refs, p.dict.Len())
	return nil
}

// telling returns the ends of the first and last window whose groups are told again when a row falls into the pane; none when
// the first is greater.
func (p *PaneAgg) telling(pn *pane) (lo, hi types.EventTime) {
	if !p.windowed {
		return types.MaxTime, types.MaxTime
	}
	lo, hi = p.notFinal(pn.start)
	hi = min(hi, p.upTo)
	if p.emit.Mode == spec.EmitFinal {
		if p.lateness == 0 || lo > p.watermark {
			return 1, 0
		}
		hi = min(hi, p.endAfter(p.watermark)-types.EventTime(p.grid.Slide))
	}
	return lo, hi
}

// notFinal returns the ends of the first and last window that hold t and may change.
func (p *PaneAgg) notFinal(t types.EventTime) (lo, hi types.EventTime) {
	lo, hi = p.grid.FirstEnd(t), p.grid.LastEnd(t)
	if final := minus(p.watermark, p.lateness); final >= lo {
		lo = p.endAfter(final)
	}
	return lo, hi
}

// update folds rows with computed arguments into a pane.
func (p *PaneAgg) update(pn *pane, rows, kids []uint32) error {
	p.gids = p.enter(pn, kids, p.gids[:0])
	for i := range p.aggs[:p.within(pn.slab.Stride)] {
		if err := p.aggs[i].update(p.ctx, &pn.slab, p.offs[i], rows, p.gids); err != nil {
			return err
		}
	}
	return nil
}

// enter appends the groups of keys in a pane to gids, making new ones.
func (p *PaneAgg) enter(pn *pane, kids, gids []uint32) []uint32 {
	had := len(pn.ids)
	gids = pn.add(kids, gids)
	for _, kid := range pn.ids[had:] {
		if p.refs[kid] == 0 {
			p.alive++
		}
		p.refs[kid]++
	}
	pn.slab.Grow(len(pn.ids))
	pn.slab.Claim(gids)
	pn.mark(gids)
	return gids
}

// merge folds a group's state into another one's, in another slab.
func (p *PaneAgg) merge(dst *agg.Slab, dg uint32, src *agg.Slab, sg uint32) error {
	for i := range p.aggs[:p.within(min(dst.Stride, src.Stride))] {
		if err := p.aggs[i].kernel.Merge(dst, dg, src, sg, p.offs[i]); err != nil {
			return err
		}
	}
	return nil
}

// LateRows implements LateCounter.
func (p *PaneAgg) LateRows() int64 { return p.late }

// OutDelay implements Delayer: corrections concern windows that ended up to the lateness before.
func (p *PaneAgg) OutDelay() int64 { return p.lateness }

// Groups returns the number of groups in all panes.
func (p *PaneAgg) Groups() int {
	n := 0
	for _, pn := range p.panes {
		n += len(pn.ids)
	}
	if p.shared != nil {
		n += p.sharedGroups()
	}
	return n
}

// Bytes returns the memory of all state, in use or kept for reuse.
func (p *PaneAgg) Bytes() int64 {
	n := p.dict.Bytes() + capBytes(p.refs) + capBytes(p.kids) + p.past.bytes() + p.changes.bytes() + p.firsts.bytes() + p.out.bytes()
	for _, list := range [2][]*pane{p.panes, p.free} {
		for _, pn := range list {
			n += pn.bytes()
		}
	}
	if p.shared != nil {
		n += p.shared.Bytes() / int64(len(p.shared.members))
	}
	return n
}

// Spillable implements Spiller.
func (p *PaneAgg) Spillable() int64 {
	n := p.mem.Bytes()
	if p.shared != nil {
		n += p.shared.all.mem.Bytes() / int64(len(p.shared.members))
	}
	return n
}

// Close implements Operator.
func (p *PaneAgg) Close() error {
	for _, list := range [2][]*pane{p.panes, p.free} {
		for _, pn := range list {
			pn.freeMemory()
		}
	}
	p.dict.Free()
	p.panes, p.free, p.touched, p.current = nil, nil, nil, nil
	return nil
}

// String implements Operator.
func (p *PaneAgg) String() string { return p.text + p.havingText }
