package op

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// Over computes window functions. A row waits until the watermark has passed its time, and as much more as a frame looks
// ahead; rows then go through their partitions in the order of (time, arrival) and come out in that order.
//
// Of rows that have gone through, only times and arguments are kept, as long as a frame can reach them; frames from the
// start of the partition keep an accumulator alone. A partition without rows in reach is forgotten when all frames are
// of RANGE; with frames of ROWS at most their length of rows stays for each partition.
//
// An error in a function's result, such as an overflow, concerns its row, which is left out: it is reported as of row noRow.
type Over struct {
	spec   *spec.Over
	keys   keyedRows
	args   exprList // arguments and filters
	funcs  []overFunc
	frames []overFrame
	ahead  int64 // how far frames look ahead, microseconds
	back   int64 // how far frames of RANGE look back; forever when something else needs a partition's past
	pins   uint64
	slab   agg.Slab
	tmp    agg.Slab

	table   state.Table
	parts   []overPart
	cursors []overCursor // of part g and frame f at g*len(frames)+f
	rows    overRows
	pending overPending
	// watermark is the largest value given to Advance: rows before it have been taken.
	watermark types.EventTime
	sweepAt   types.EventTime
	late      int64
	saved     overSaved

	mem                    *arena.Part
	partBlock, cursorBlock arena.Block

	// Scratch:
	gids, sel, places []uint32
	gone, come        []uint32 // slots
	vecs              []*batch.Vec
	dense             []batch.Vec
	within            []uint32 // slots
	state             []byte
	values            []types.Value
	out               *batch.Batch
	emitted           []overRef
}

var (
	_ Stateful    = (*Over)(nil)
	_ Deadliner   = (*Over)(nil)
	_ Delayer     = (*Over)(nil)
	_ LateCounter = (*Over)(nil)
)

// overPart is a partition. Its rows are numbered from 0 in their order.
type overPart struct {
	taken, left uint64 // rows that have been taken, and have left
	base        uint64 // number of the row in slot head
	head, tail  uint32 // the chain of rows that frames can reach
	pin, pinEnd uint32 // the chain of the partition's first rows, where a function wants them for ever
	waiting     uint32 // rows that have come and not left
	last        int64  // time of the row that left last
	rank, dense uint64 // of that row
	saved       uint64 // rows that a checkpoint has
	savedSlot   uint32 // of the last of them; what it says holds while that can be reached
	savedIn     uint32 // the overSaved.writing in which the partition was written whole
	changed     bool   // since the last checkpoint
}

// overForever is a reach that nothing is out of.
const overForever = int64(spec.FrameUnbounded)

// NewOver compiles functions and frames; schema is the output schema: the input's columns, then one per function.
func NewOver(s *spec.Over, schema *types.Schema) (*Over, error) {
	width := len(schema.Cols) - len(s.Funcs)
	if width < 1 || s.TimeCol < 0 || s.TimeCol >= width {
		return nil, fmt.Errorf("over: time column %d, %d functions, %d columns", s.TimeCol, len(s.Funcs), len(schema.Cols))
	}
	o := &Over{spec: s, watermark: types.MinTime, sweepAt: types.MinTime, saved: overSaved{writing: 1}, out: batch.New(schema, nil)}
	args, err := o.plan()
	if err != nil {
		return nil, err
	}
	if len(args) > overArgsMax {
		return nil, sqlerr.NotSupported(fmt.Sprintf("more than %d arguments of window functions", overArgsMax), "Split the query.")
	}
	if o.args, err = newExprList(args); err != nil {
		return nil, err
	}
	if err := o.keys.init(s.Keys); err != nil {
		return nil, err
	}
	if len(args) > 0 {
		o.keys.more = func(b *batch.Batch, rows []uint32) error { return o.args.eval(o.keys.ctx, b, rows) }
	}
	argSchema := &types.Schema{Cols: make([]types.Column, len(args))}
	list := make([]types.Type, len(args))
	for i, a := range args {
		list[i] = a.Type()
		argSchema.Cols[i] = types.Column{Name: a.String(), Type: list[i]}
	}
	o.rows.init(list)
	o.dense, o.values = make([]batch.Vec, len(args)), make([]types.Value, len(s.Funcs))
	o.pending.init(&types.Schema{Cols: schema.Cols[:width:width]}, argSchema)
	return o, nil
}

// Open implements Operator.
func (o *Over) Open(ctx *expr.Ctx) error {
	o.keys.ctx, o.mem = ctx, ctx.State.Part()
	o.table.Mem, o.slab.Mem, o.rows.mem, o.pending.mem = o.mem, o.mem, o.mem, o.mem
	return nil
}

// Spillable implements Spiller.
func (o *Over) Spillable() int64 { return o.mem.Bytes() }

// Process implements Operator: rows wait.
func (o *Over) Process(_ int, in Input, _ Emitter) error {
	rows, places, keys, err := o.keys.of(in)
	if err != nil || len(rows) == 0 {
		return err
	}
	if len(in.B.Cols) != len(o.pending.in.Cols) {
		return fmt.Errorf("over: %d columns, want %d", len(in.B.Cols), len(o.pending.in.Cols))
	}
	o.onTime(in, rows)
	if len(o.sel) == 0 {
		return nil
	}
	o.places = o.places[:0]
	for _, i := range o.sel {
		o.places = append(o.places, places[i])
	}
	if o.gids, err = o.table.FindOrAdd(stateRows(keys), o.places, o.gids[:0]); err != nil {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d partitions of a window function", state.KeysMax)
	}
	o.growParts()
	o.places = o.places[:0]
	for _, i := range o.sel {
		o.places = append(o.places, rows[i])
	}
	o.wait(in.B)
	return nil
}

// onTime puts into sel which of the rows are not late.
func (o *Over) onTime(in Input, rows []uint32) {
	times := in.B.Cols[o.spec.TimeCol].I64
	marks := newMarks(&in)
	o.sel = o.sel[:0]
	for i, row := range rows {
		closed := max(o.watermark, marks.closed(row))
		if addTime(times[row], o.spec.TimeShift) >= int64(closed) {
			o.sel = append(o.sel, uint32(i))
			continue
		}
		o.late++
		if o.keys.ctx.LateRow != nil {
			o.keys.ctx.LateRow(row, closed)
		}
	}
}

// wait copies the rows named by places, with the arguments at sel and the partitions gids.
func (o *Over) wait(b *batch.Batch) {
	times := b.Cols[o.spec.TimeCol].I64
	for done := 0; done < len(o.sel); {
		c, n := o.pending.add(b, o.places[done:], o.args.vecs, o.sel[done:])
		for i := done; i < done+n; i++ {
			o.parts[o.gids[i]].waiting++
			o.pending.note(c, o.gids[i], addTime(times[o.places[i]], o.spec.TimeShift))
		}
		done += n
	}
}

// growParts makes the partitions that the table has and the operator has not.
func (o *Over) growParts() {
	for len(o.parts) < o.table.Len() {
		o.parts = arena.Append(o.mem, &o.partBlock, o.parts, overPart{head: noSlot, tail: noSlot, pin: noSlot, pinEnd: noSlot})
		for range o.frames {
			o.cursors = arena.Append(o.mem, &o.cursorBlock, o.cursors, overCursor{start: noSlot, last: noSlot, stale: true})
		}
	}
	o.slab.Grow(o.table.Len())
}

// claim brings in what the partitions of some rows have, while memory is scarce.
func (o *Over) claim(refs []overRef) {
	for _, r := range refs {
		arena.Claim(o.parts, int(r.chunk.gids[r.row]))
	}
	for _, r := range refs {
		g := r.chunk.gids[r.row]
		p := &o.parts[g]
		o.rows.claim(p.head)
		o.rows.claim(p.tail)
		if n := len(o.frames); n > 0 {
			arena.Claim(o.cursors, int(g)*n)
		}
	}
}

// eachPiece calls fn for rows, a batch of them at a time: in between, while memory is scarce, some of what was used leaves it.
func (o *Over) eachPiece(refs []overRef, fn func(r overRef) error) error {
	for len(refs) > 0 {
		n := min(len(refs), batch.RowsMax)
		if o.mem.Relieve(); o.mem.Short() {
			o.claim(refs[:n])
		}
		for _, r := range refs[:n] {
			if err := fn(r); err != nil {
				return err
			}
		}
		refs = refs[n:]
	}
	return nil
}

// Advance implements Operator.
func (o *Over) Advance(watermark types.EventTime, out Emitter) error {
	if watermark <= o.watermark {
		return nil
	}
	o.watermark = watermark
	if err := o.eachPiece(o.pending.take(int64(watermark)), o.take); err != nil {
		return err
	}
	o.emitted = o.emitted[:0]
	o.out.Reset(nil)
	err := o.eachPiece(o.pending.leave(o.leaveLimit()), func(r overRef) error {
		ok, err := o.compute(r)
		if err != nil || !ok {
			return err
		}
		width := len(o.pending.in.Cols)
		for i, v := range o.values {
			o.out.Cols[width+i].AppendValue(v)
		}
		o.emitted = append(o.emitted, r)
		if len(o.emitted) == batch.RowsMax {
			return o.flush(out)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = o.flush(out)
	o.pending.tidy()
	o.rows.tidy()
	o.sweep()
	return err
}

// leaveLimit is the time below which rows leave.
func (o *Over) leaveLimit() int64 {
	if o.watermark == types.MaxTime {
		return int64(types.MaxTime)
	}
	return addTime(int64(o.watermark), -o.ahead)
}

// flush sends the rows whose functions are computed.
func (o *Over) flush(out Emitter) error {
	if len(o.emitted) == 0 {
		return nil
	}
	for c := range o.pending.in.Cols {
		dst := &o.out.Cols[c]
		for _, r := range o.emitted { // a column that some rows have not is none that anybody reads
			dst.Absent = dst.Absent || r.chunk.in.Cols[c].Absent
		}
		if dst.Absent {
			continue
		}
		for _, r := range o.emitted {
			dst.AppendFrom(&r.chunk.in.Cols[c], int(r.row))
		}
	}
	o.out.N = len(o.emitted)
	err := out.Emit(Input{B: o.out, Sel: batch.All(o.out.N)})
	o.out.Reset(nil)
	clear(o.emitted) // it holds chunks
	o.emitted = o.emitted[:0]
	return err
}

// Deadline implements Deadliner: the next row to be taken or to leave, or the next look for idle partitions.
func (o *Over) Deadline() types.EventTime {
	due := min(addTime(o.pending.dueTake, 1), addTime(addTime(o.pending.dueLeave, 1), o.ahead))
	if o.back != overForever && o.table.Len() > 0 {
		due = min(due, max(int64(o.sweepAt), addTime(int64(o.watermark), 1)))
	}
	return types.EventTime(due)
}

// OutDelay implements Delayer.
func (o *Over) OutDelay() int64 { return o.ahead }

// sweep forgets the partitions that no later row can look back to.
func (o *Over) sweep() {
	if o.back == overForever || o.watermark < o.sweepAt || o.table.Len() == 0 {
		return
	}
	o.sweepAt = types.EventTime(addTime(int64(o.watermark), max(o.back/2, 1)))
	live := 0
	for g := range o.parts {
		o.breathe(g)
		p := &o.parts[g]
		if p.waiting > 0 || addTime(p.last, o.back) >= o.leaveLimit() {
			live++
		} else {
			o.forget(uint32(g))
		}
	}
	if live <= len(o.parts)/2 {
		o.rebuild()
	}
}

// breathe looks after memory, for who goes through all partitions.
func (o *Over) breathe(g int) {
	if g%breathKeys == breathKeys-1 {
		o.mem.Relieve()
	}
}

// forget drops the rows of an idle partition.
func (o *Over) forget(g uint32) {
	p := &o.parts[g]
	for p.head != noSlot {
		next := o.rows.next(p.head)
		o.rows.drop(p.head)
		p.head = next
	}
	p.tail, p.base = noSlot, p.taken
	for f := range o.frames {
		o.cursors[int(g)*len(o.frames)+f].stale = true
	}
}

// rebuild makes the table anew without the partitions that hold nothing.
func (o *Over) rebuild() {
	old, parts, block := o.table, o.parts, o.partBlock
	o.cursorBlock.Free()
	o.table, o.parts, o.partBlock, o.cursors = state.Table{Mem: o.mem}, nil, arena.Block{}, nil
	to := make([]uint32, len(parts))
	dirty, at, end := o.saved.dirty[:0], 0, 0
	one := batch.Keys{Off: []uint32{0, 0}, Hash: []uint64{0}}
	for g := range parts {
		o.breathe(g)
		if parts[g].waiting == 0 && parts[g].head == noSlot {
			continue
		}
		key := old.Key(uint32(g))
		one.Buf, one.Off[1], one.Hash[0] = key, uint32(len(key)), old.Hash(uint32(g))
		o.gids, _ = o.table.FindOrAdd(stateRows(&one), batch.All(1), o.gids[:0]) // it held as many before
		to[g] = o.gids[0]
		o.growParts()
		o.parts[to[g]] = parts[g]
		if parts[g].changed {
			dirty = append(dirty, to[g])
		}
		if g < o.saved.at {
			at++
		}
		if g < o.saved.end {
			end++
		}
	}
	o.saved.dirty, o.saved.at, o.saved.end = dirty, at, end
	for _, c := range o.pending.chunks {
		o.mem.Relieve()
		for i := range c.gids {
			c.gids[i] = to[c.gids[i]]
		}
	}
	old.Free()
	block.Free()
	o.slab.Reset()
	o.slab.Grow(o.table.Len())
}

// Bytes returns the memory of the state.
func (o *Over) Bytes() int64 {
	return o.table.Bytes() + o.slab.Bytes() + o.rows.bytes() + o.pending.bytes() + capBytes(o.parts) + capBytes(o.cursors) +
		capBytes(o.saved.dirty) + capBytes(o.emitted)
}

// Groups returns the number of partitions held.
func (o *Over) Groups() int { return o.table.Len() }

// Held returns how many partitions and how many of their past rows the operator holds.
func (o *Over) Held() (partitions, rows int) { return o.table.Len(), o.rows.n }

// LateRows implements LateCounter.
func (o *Over) LateRows() int64 { return o.late }

// Close implements Operator.
func (o *Over) Close() error {
	o.table.Free()
	o.slab.Free()
	o.rows.clear()
	o.partBlock.Free()
	o.cursorBlock.Free()
	clear(o.emitted)
	o.pending.clear()
	o.parts, o.cursors = nil, nil
	return nil
}

// String implements Operator.
func (o *Over) String() string {
	names := make([]string, len(o.spec.Funcs))
	for i := range o.spec.Funcs {
		f := &o.spec.Funcs[i]
		names[i] = f.Name + "(" + exprText(f.Args) + ")"
	}
	return fmt.Sprintf("Over keys: %s functions: %s", exprText(o.spec.Keys), strings.Join(slices.Clone(names), ", "))
}
