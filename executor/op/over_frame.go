package op

import (
	"fmt"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// overKind is how a function gets its value.
type overKind uint8

const (
	// An aggregate whose accumulator gives up rows that leave the frame; one that is folded anew over the frame when rows
	// leave it, the accumulator being kept in between (min, max: mostly what leaves is not what decides); and one that is
	// folded anew each time the frame's start has moved, for states that are rounded or are as large as the frame.
	overExact overKind = iota
	overExtreme
	overRefold
	// Functions of the row's place, and values of rows of the frame.
	overRowNumber
	overRank
	overDenseRank
	overFirst
	overLast
	overNth
)

// overFunc is one function.
type overFunc struct {
	kind   overKind
	frame  int   // -1: none
	args   []int // of the operator's arguments
	filter int   // argument that tells which rows count, -1: all
	kernel agg.Kernel
	exact  agg.Subtracter
	off    int // of the accumulator in a partition's, and in tmp
	nth    uint64
	// instead is the argument whose value, in the current row, stands for a row that is not there; -1: NULL.
	instead int
	typ     types.Type
}

// overFrame is a distinct frame; functions share it.
type overFrame struct {
	spec.Frame
	fromStart bool // it begins where the partition does
	empty     bool // its end is before its start, always
}

// overCursor is where a frame of a partition lies: rows start to end-1, by number. start is the slot of the first row
// (noSlot: not known), last that of the last one, which means nothing when the frame is empty.
type overCursor struct {
	startRow, endRow uint64
	start, last      uint32
	// stale: the frame is to be found anew, from the first row that is kept.
	stale bool
}

// plan works the functions out; it returns the distinct arguments.
func (o *Over) plan() ([]expr.Expr, error) {
	var args []expr.Expr
	arg := func(e expr.Expr) int {
		for i, a := range args {
			x, ok := a.(*expr.Column)
			y, ok2 := e.(*expr.Column)
			if ok && ok2 && x.Index == y.Index || a == e {
				return i
			}
		}
		args = append(args, e)
		return len(args) - 1
	}
	var kernels []agg.Kernel
	for i := range o.spec.Funcs {
		s := &o.spec.Funcs[i]
		f := overFunc{frame: -1, filter: -1, instead: -1, typ: s.Typ, kernel: s.Kernel}
		if s.Filter != nil {
			f.filter = arg(s.Filter)
		}
		if err := o.planFunc(s, &f, arg); err != nil {
			return nil, err
		}
		if f.kernel != nil {
			kernels = append(kernels, f.kernel)
		}
		o.funcs = append(o.funcs, f)
	}
	offs, stride := agg.Layout(kernels)
	o.slab.Stride, o.tmp.Stride = stride, stride
	next := 0
	for i := range o.funcs {
		if o.funcs[i].kernel != nil {
			o.funcs[i].off = offs[next]
			next++
		}
	}
	o.planReach()
	return args, nil
}

func (o *Over) planFunc(s *spec.OverFunc, f *overFunc, arg func(expr.Expr) int) error {
	wantArgs := 1
	switch {
	case s.Kernel != nil:
		f.kind, wantArgs = overKindOf(s), len(s.Args)
		f.exact, _ = s.Kernel.(agg.Subtracter)
	case s.Name == "row_number":
		f.kind, wantArgs = overRowNumber, 0
	case s.Name == "rank":
		f.kind, wantArgs = overRank, 0
	case s.Name == "dense_rank":
		f.kind, wantArgs = overDenseRank, 0
	case s.Name == "first_value" || s.Name == "lag":
		f.kind, f.nth = overFirst, 1
		if s.Name == "lag" && len(s.Args) == 2 {
			f.instead, wantArgs = arg(s.Args[1]), 2
		}
	case s.Name == "last_value":
		f.kind = overLast
	case s.Name == "nth_value":
		n, ok := (*expr.Const)(nil), false
		if wantArgs = 2; len(s.Args) == 2 {
			n, ok = s.Args[1].(*expr.Const)
		}
		if !ok || n.Val.Null || n.Val.I < 1 {
			return fmt.Errorf("over: nth_value needs a positive constant")
		}
		f.kind, f.nth = overNth, uint64(n.Val.I)
	default:
		return fmt.Errorf("over: unknown function %s", s.Name)
	}
	if len(s.Args) != wantArgs {
		return fmt.Errorf("over: %s has %d arguments", s.Name, len(s.Args))
	}
	if f.kind == overRowNumber || f.kind == overRank || f.kind == overDenseRank {
		return nil
	}
	if f.kernel == nil {
		f.args = []int{arg(s.Args[0])}
	} else {
		for _, a := range s.Args {
			f.args = append(f.args, arg(a))
		}
	}
	var err error
	f.frame, err = o.frameOf(s.Frame)
	return err
}

// overKindOf tells how an aggregate gives up rows.
func overKindOf(s *spec.OverFunc) overKind {
	if _, ok := s.Kernel.(agg.Subtracter); ok || s.Frame.Start == -spec.FrameUnbounded {
		return overExact
	}
	if (s.Name == "min" || s.Name == "max") && s.Kernel.Type().Phys() != types.PhysBytes {
		return overExtreme
	}
	return overRefold
}

// frameOf finds or adds a frame.
func (o *Over) frameOf(s spec.Frame) (int, error) {
	for i := range o.frames {
		if o.frames[i].Frame == s {
			return i, nil
		}
	}
	if s.End == spec.FrameUnbounded || s.Rows && s.End > 0 || s.Start == spec.FrameUnbounded || s.End == -spec.FrameUnbounded {
		return 0, fmt.Errorf("over: frame from %d to %d", s.Start, s.End)
	}
	f := overFrame{Frame: s, fromStart: s.Start == -spec.FrameUnbounded}
	f.empty = s.Start > s.End
	o.frames = append(o.frames, f)
	return len(o.frames) - 1, nil
}

// planReach finds how far the frames reach.
func (o *Over) planReach() {
	for _, f := range o.frames {
		if !f.Rows && !f.empty {
			o.ahead = max(o.ahead, f.End)
		}
		if f.Rows || f.fromStart {
			o.back = overForever
		} else {
			o.back = max(o.back, -f.Start)
		}
	}
	for _, f := range o.funcs {
		if f.frame < 0 {
			o.back = overForever
		}
		if f.frame >= 0 && o.frames[f.frame].fromStart && (f.kind == overFirst || f.kind == overNth) {
			o.pins = max(o.pins, f.nth)
		}
	}
}

// take puts a row at the end of its partition.
func (o *Over) take(r overRef) error {
	g := r.chunk.gids[r.row]
	p := &o.parts[g]
	o.touch(g, p)
	p.taken++
	if len(o.frames) == 0 {
		p.base = p.taken
		return nil
	}
	slot, err := o.rows.add(r.time, r.chunk.args.Cols, int(r.row))
	if err != nil {
		return err
	}
	o.chain(p, slot)
	return nil
}

// chain puts a slot at the end of a partition's chain.
func (o *Over) chain(p *overPart, slot uint32) {
	if p.head == noSlot {
		p.head = slot
	} else {
		o.rows.link(p.tail, slot)
	}
	p.tail = slot
}

// noRow stands for a row that is in no batch any more, where errors of rows are reported.
const noRow = uint32(math.MaxUint32)

// compute fills in values for a row that leaves; false when a result is an error and the row is left out.
func (o *Over) compute(r overRef) (bool, error) {
	g := r.chunk.gids[r.row]
	p := &o.parts[g]
	o.touch(g, p)
	switch {
	case p.left == 0:
		p.rank, p.dense = 1, 1
	case r.time != p.last:
		p.rank, p.dense = p.left+1, p.dense+1
	}
	row := p.left
	p.left, p.last = p.left+1, r.time
	p.waiting--
	for f := range o.frames {
		if err := o.move(g, f, row, r.time); err != nil {
			return false, err
		}
	}
	var failed error
	for i := range o.funcs {
		var err error
		if o.values[i], err = o.result(&o.funcs[i], g, r); err != nil {
			failed = err
		}
	}
	o.release(g)
	if failed != nil && o.keys.ctx.RowError != nil {
		o.keys.ctx.RowError(noRow, failed)
		return false, nil
	}
	return failed == nil, failed
}

// move brings a frame of a partition to the row with a number and a time, and the accumulators with it.
func (o *Over) move(g uint32, f int, row uint64, t int64) error {
	fr, p := &o.frames[f], &o.parts[g]
	if fr.empty {
		return nil
	}
	c := &o.cursors[int(g)*len(o.frames)+f]
	if c.stale {
		*c = overCursor{startRow: p.base, endRow: p.base, start: p.head, last: noSlot}
		if err := o.zero(g, f); err != nil {
			return err
		}
	}
	o.come, o.gone = o.come[:0], o.gone[:0]
	for c.endRow < p.taken {
		slot := o.after(p, c, fr)
		if fr.Rows && int64(c.endRow)-int64(row) > fr.End || !fr.Rows && o.rows.time(slot) > addTime(t, fr.End) {
			break
		}
		if c.startRow == c.endRow && !fr.fromStart {
			c.start = slot
		}
		c.last = slot
		c.endRow++
		o.come = append(o.come, slot)
	}
	for !fr.fromStart && c.startRow < c.endRow {
		if fr.Rows && int64(c.startRow)-int64(row) >= fr.Start || !fr.Rows && o.rows.time(c.start) >= addTime(t, fr.Start) {
			break
		}
		o.gone = append(o.gone, c.start)
		c.start = o.rows.next(c.start)
		c.startRow++
	}
	return o.fold(g, f)
}

// after is the slot of the row that comes after a frame; there is one.
func (o *Over) after(p *overPart, c *overCursor, fr *overFrame) uint32 {
	if c.endRow > c.startRow && !fr.fromStart || fr.fromStart && c.last != noSlot {
		return o.rows.next(c.last)
	}
	if c.start != noSlot && !fr.fromStart {
		return c.start
	}
	slot := p.head
	for n := p.base; n < c.endRow; n++ {
		slot = o.rows.next(slot)
	}
	return slot
}

// zero empties the accumulators of a frame.
func (o *Over) zero(g uint32, f int) error {
	for i := range o.funcs {
		fn := &o.funcs[i]
		if fn.frame != f || fn.kernel == nil || fn.kind == overRefold {
			continue
		}
		at := int(g)*o.slab.Stride + fn.off
		words := o.slab.Words[at : at+fn.kernel.Words()]
		if fn.kind == overExtreme { // it has nothing but its words
			clear(words)
			continue
		}
		if fn.exact == nil || !slices.ContainsFunc(words, func(w uint64) bool { return w != 0 }) {
			continue
		}
		o.state = fn.kernel.Append(o.state[:0], &o.slab, fn.off, g)
		o.tmp.Reset()
		o.tmp.Grow(1)
		if _, err := fn.kernel.Load(o.state, &o.tmp, fn.off, 0); err != nil {
			return err
		}
		if err := fn.exact.Subtract(&o.slab, g, &o.tmp, 0, fn.off); err != nil {
			return err
		}
	}
	return nil
}

// fold brings the accumulators of a frame up to date with the rows in come and gone.
func (o *Over) fold(g uint32, f int) error {
	for i := range o.funcs {
		fn := &o.funcs[i]
		if fn.frame != f || fn.kernel == nil || fn.kind == overRefold {
			continue
		}
		if err := o.update(fn, &o.slab, g, o.come); err != nil {
			return err
		}
		if len(o.gone) == 0 {
			continue
		}
		if err := o.tmpOf(fn, o.gone); err != nil {
			return err
		}
		if fn.kind == overExact {
			if err := fn.exact.Subtract(&o.slab, g, &o.tmp, 0, fn.off); err != nil {
				return err
			}
			continue
		}
		if err := o.foldExtreme(fn, g); err != nil {
			return err
		}
	}
	return nil
}

// foldExtreme folds min or max anew when what decided it has left; tmp has the state of what left.
func (o *Over) foldExtreme(fn *overFunc, g uint32) error {
	left, err := fn.kernel.Result(&o.tmp, fn.off, 0)
	if err != nil {
		return err
	}
	have, err := fn.kernel.Result(&o.slab, fn.off, g)
	if err != nil || left.Null || types.Compare(left, have) != 0 {
		return err
	}
	at := int(g)*o.slab.Stride + fn.off
	clear(o.slab.Words[at : at+fn.kernel.Words()])
	return o.update(fn, &o.slab, g, o.frameSlots(g, fn.frame))
}

// frameSlots lists the rows of a frame; valid until the next call.
func (o *Over) frameSlots(g uint32, f int) []uint32 {
	c := &o.cursors[int(g)*len(o.frames)+f]
	o.within = o.within[:0]
	slot := c.start
	for n := c.startRow; n < c.endRow && !o.frames[f].empty; n++ {
		o.within = append(o.within, slot)
		slot = o.rows.next(slot)
	}
	return o.within
}

// tmpOf folds rows into the empty accumulators of tmp.
func (o *Over) tmpOf(fn *overFunc, slots []uint32) error {
	o.tmp.Reset()
	o.tmp.Grow(1)
	return o.update(fn, &o.tmp, 0, slots)
}

// update folds rows into an accumulator of partition g.
func (o *Over) update(fn *overFunc, s *agg.Slab, g uint32, slots []uint32) error {
	if fn.filter >= 0 {
		o.sel = o.sel[:0]
		for _, slot := range slots {
			if o.rows.holds(slot, fn.filter) {
				o.sel = append(o.sel, slot)
			}
		}
		slots = o.sel
	}
	if len(slots) == 0 {
		return nil
	}
	o.vecs, o.gids = o.vecs[:0], o.gids[:0]
	for n, a := range fn.args {
		v := &o.dense[n]
		v.Reset(o.rows.types[a])
		o.rows.gather(v, slots, a)
		o.vecs = append(o.vecs, v)
	}
	for range slots {
		o.gids = append(o.gids, g)
	}
	return fn.kernel.Update(s, fn.off, o.gids, o.vecs)
}

// result is a function's value for the row that leaves.
func (o *Over) result(fn *overFunc, g uint32, r overRef) (types.Value, error) {
	p := &o.parts[g]
	switch fn.kind {
	case overRowNumber:
		return types.Value{Type: fn.typ, I: int64(p.left)}, nil
	case overRank:
		return types.Value{Type: fn.typ, I: int64(p.rank)}, nil
	case overDenseRank:
		return types.Value{Type: fn.typ, I: int64(p.dense)}, nil
	case overExact, overExtreme:
		if o.frames[fn.frame].empty {
			break
		}
		return fn.kernel.Result(&o.slab, fn.off, g)
	}
	if fn.kernel != nil {
		if err := o.tmpOf(fn, o.frameSlots(g, fn.frame)); err != nil {
			return types.Value{}, err
		}
		return fn.kernel.Result(&o.tmp, fn.off, 0)
	}
	slot := o.pick(fn, g)
	switch {
	case slot != noSlot:
		return o.rows.value(slot, fn.args[0]), nil
	case fn.instead >= 0:
		return r.chunk.args.Cols[fn.instead].Value(int(r.row)), nil
	}
	return types.Null(fn.typ), nil
}

// pick is the slot of the row of the frame that a function names, noSlot when the frame has none.
func (o *Over) pick(fn *overFunc, g uint32) uint32 {
	fr, p, c := &o.frames[fn.frame], &o.parts[g], &o.cursors[int(g)*len(o.frames)+fn.frame]
	start := c.startRow
	if fr.fromStart {
		start = 0
	}
	if fr.empty || start == c.endRow {
		return noSlot
	}
	if fn.kind == overLast {
		return c.last
	}
	at := start + fn.nth - 1
	if fn.nth > c.endRow || at >= c.endRow {
		return noSlot
	}
	slot, n := c.start, start
	if fr.fromStart {
		if slot, n = p.head, p.base; at < p.base {
			slot, n = p.pin, 0
		}
	}
	for ; n < at; n++ {
		slot = o.rows.next(slot)
	}
	return slot
}

// release lets go the rows of a partition that no frame can reach any more.
func (o *Over) release(g uint32) {
	p := &o.parts[g]
	need := p.left
	for f := range o.frames {
		fr, c := &o.frames[f], &o.cursors[int(g)*len(o.frames)+f]
		switch {
		case fr.empty:
		case fr.fromStart:
			need = min(need, max(c.endRow, 1)-1)
		default:
			need = min(need, c.startRow)
		}
	}
	for p.base < need {
		slot := p.head
		p.head = o.rows.next(slot)
		o.letGo(p, slot)
		p.base++
	}
	if p.head == noSlot {
		p.tail = noSlot
	}
}

// letGo drops the slot of row base, or keeps it with the partition's first ones.
func (o *Over) letGo(p *overPart, slot uint32) {
	if p.base >= o.pins {
		o.rows.drop(slot)
		return
	}
	o.rows.link(slot, noSlot)
	if p.pin == noSlot {
		p.pin = slot
	} else {
		o.rows.link(p.pinEnd, slot)
	}
	p.pinEnd = slot
}
