package op

import (
	"cmp"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// overPending holds rows until the watermark has passed them, in chunks in the order of arrival. A row is first *taken*, in
// the order of (time, arrival), when all rows of its time are there, and *left* when all rows that its frames look ahead
// to have been taken.
type overPending struct {
	mem      *arena.Part
	in, args *types.Schema
	chunks   []*overChunk
	spare    []*overChunk
	refs     []overRef
	seq      uint64
	// due is the least time of a row that is not taken, and of one that has not left.
	dueTake, dueLeave int64
}

// overChunk is up to batch.RowsMax rows.
type overChunk struct {
	in, args *batch.Batch
	gids     []uint32
	times    []int64
	seqs     []uint64
	// order lists rows by (time, arrival): the first left of them have left, the first taken are taken.
	order       []uint32
	taken, left int
	// nextTake and nextLeave are the times of the rows that are taken and leave next, of those in order; MaxTime: there are none.
	nextTake, nextLeave int64
	// saved counts the rows that a checkpoint has seen.
	saved int
	// packed: it takes no more rows, and all that it has lies in one block of state memory.
	packed bool
	block  arena.Block
}

// overRef is a row in a chunk.
type overRef struct {
	time  int64
	seq   uint64
	chunk *overChunk
	row   uint32
}

func (p *overPending) init(in, args *types.Schema) {
	p.in, p.args = in, args
	p.dueTake, p.dueLeave = int64(types.MaxTime), int64(types.MaxTime)
}

// room returns a chunk that can take rows with these columns. Which are there changes as other queries over the stream come and go;
// rows of a chunk have the same.
func (p *overPending) room(absent func(col int) bool) *overChunk {
	if n := len(p.chunks); n > 0 {
		if c := p.chunks[n-1]; !c.packed && len(c.times) < batch.RowsMax && c.alike(absent) {
			return c
		}
	}
	p.pack()
	var c *overChunk
	if n := len(p.spare); n > 0 {
		c, p.spare = p.spare[n-1], p.spare[:n-1]
	} else {
		c = &overChunk{in: batch.New(p.in, nil), args: batch.New(p.args, nil)}
	}
	for i := range c.in.Cols {
		c.in.Cols[i].Absent = absent(i)
	}
	p.chunks = append(p.chunks, c)
	return c
}

// overLoose is how many chunks lie on the Go heap while memory is not scarce: rows that soon leave stay there.
const overLoose = 8

// pack moves the chunks, which take no more rows, to state memory, when they are many or memory is scarce.
func (p *overPending) pack() {
	if p.mem == nil || len(p.chunks) < overLoose && !p.mem.Short() {
		return
	}
	for _, c := range p.chunks {
		if !c.packed {
			c.pack(p.mem)
		}
	}
}

// pack moves all that a chunk has into one block.
func (c *overChunk) pack(mem *arena.Part) {
	c.settle()
	n := arena.Words(c.gids) + arena.Words(c.times) + arena.Words(c.seqs) + arena.Words(c.order)
	for _, b := range [2]*batch.Batch{c.in, c.args} {
		for i := range b.Cols {
			v := &b.Cols[i]
			n += arena.Words(v.I64) + arena.Words(v.F64) + arena.Words(v.Off) + arena.Words(v.Buf) + arena.Words(v.Nulls)
		}
	}
	room := arena.Make[uint64](mem, &c.block, n)
	room = moveTo(room, &c.gids)
	room = moveTo(room, &c.times)
	room = moveTo(room, &c.seqs)
	room = moveTo(room, &c.order)
	for _, b := range [2]*batch.Batch{c.in, c.args} {
		for i := range b.Cols {
			v := &b.Cols[i]
			room = moveTo(room, &v.I64)
			room = moveTo(room, &v.F64)
			room = moveTo(room, &v.Off)
			room = moveTo(room, &v.Buf)
			room = moveTo(room, &v.Nulls)
		}
	}
	c.packed = true
}

// moveTo moves a slice to the beginning of room, and returns the rest of it.
func moveTo[T any](room []uint64, s *[]T) (rest []uint64) {
	*s, rest = arena.Carve(room, *s)
	return rest
}

// free gives the memory of a packed chunk back.
func (c *overChunk) free() {
	c.block.Free()
	*c = overChunk{}
}

// alike reports that the rows of the chunk have the same columns.
func (c *overChunk) alike(absent func(col int) bool) bool {
	for i := range c.in.Cols {
		if c.in.Cols[i].Absent != absent(i) {
			return false
		}
	}
	return true
}

// add copies rows of b; vecs hold their arguments, those of row rows[i] at places[i].
func (p *overPending) add(b *batch.Batch, rows []uint32, vecs []*batch.Vec, places []uint32) (*overChunk, int) {
	c := p.room(func(col int) bool { return b.Cols[col].Absent })
	n := min(len(rows), batch.RowsMax-len(c.times))
	for i := range c.in.Cols {
		if !b.Cols[i].Absent {
			appendRows(&c.in.Cols[i], &b.Cols[i], rows[:n])
		}
	}
	for i := range c.args.Cols {
		appendRows(&c.args.Cols[i], vecs[i], places[:n])
	}
	c.in.N, c.args.N = c.in.N+n, c.args.N+n
	return c, n
}

// note adds what is known of the row that was added last.
func (p *overPending) note(c *overChunk, gid uint32, t int64) {
	c.gids, c.times, c.seqs = append(c.gids, gid), append(c.times, t), append(c.seqs, p.seq)
	p.seq++
	p.dueTake, p.dueLeave = min(p.dueTake, t), min(p.dueLeave, t)
}

// settle orders the rows that came since the last call.
func (c *overChunk) settle() {
	if len(c.order) == len(c.times) {
		return
	}
	for i := len(c.order); i < len(c.times); i++ {
		c.order = append(c.order, uint32(i))
	}
	// Rows that are taken come before all new ones: a row that does not is late.
	slices.SortStableFunc(c.order[c.taken:], func(a, b uint32) int {
		if c.times[a] != c.times[b] {
			return cmp.Compare(c.times[a], c.times[b])
		}
		return cmp.Compare(c.seqs[a], c.seqs[b])
	})
	c.nextTake, c.nextLeave = c.timeAt(c.taken), c.timeAt(c.left)
}

// timeAt is the time of a row by its place in the order.
func (c *overChunk) timeAt(place int) int64 {
	if place >= len(c.order) {
		return int64(types.MaxTime)
	}
	return c.times[c.order[place]]
}

// take returns the rows with a time below limit that were not taken before, in order; valid until the next call.
func (p *overPending) take(limit int64) []overRef {
	p.forgetRefs()
	p.dueTake = int64(types.MaxTime)
	for _, c := range p.chunks {
		c.settle()
		if c.nextTake < limit {
			p.mem.Relieve()
			c.taken = p.refer(c, c.taken, limit)
			c.nextTake = c.timeAt(c.taken)
		}
		p.dueTake = min(p.dueTake, c.nextTake)
	}
	return p.sorted()
}

// leave is take for the rows that leave.
func (p *overPending) leave(limit int64) []overRef {
	p.forgetRefs()
	p.dueLeave = int64(types.MaxTime)
	for _, c := range p.chunks {
		if c.nextLeave < limit {
			p.mem.Relieve()
			c.left = p.refer(c, c.left, limit)
			c.nextLeave = c.timeAt(c.left)
		}
		p.dueLeave = min(p.dueLeave, c.nextLeave)
	}
	return p.sorted()
}

// refer adds the rows of a chunk from a place in its order on whose times are below limit, and returns the place after them.
func (p *overPending) refer(c *overChunk, from int, limit int64) int {
	for ; from < len(c.order); from++ {
		row := c.order[from]
		if c.times[row] >= limit {
			break
		}
		p.refs = append(p.refs, overRef{c.times[row], c.seqs[row], c, row})
	}
	return from
}

// forgetRefs empties refs: their chunks are no more held by them.
func (p *overPending) forgetRefs() {
	clear(p.refs)
	p.refs = p.refs[:0]
}

func (p *overPending) sorted() []overRef {
	compare := func(a, b overRef) int {
		if a.time != b.time {
			return cmp.Compare(a.time, b.time)
		}
		return cmp.Compare(a.seq, b.seq)
	}
	if !slices.IsSortedFunc(p.refs, compare) {
		slices.SortStableFunc(p.refs, compare)
	}
	return p.refs
}

// overSpareMax bounds the emptied chunks that are kept.
const overSpareMax = 4

// tidy lets go the chunks whose rows have left.
func (p *overPending) tidy() {
	p.forgetRefs()
	p.chunks = slices.DeleteFunc(p.chunks, func(c *overChunk) bool {
		if c.left < len(c.times) {
			return false
		}
		if c.packed {
			c.free()
			return true
		}
		if len(p.spare) < overSpareMax {
			c.in.Reset(nil)
			c.args.Reset(nil)
			*c = overChunk{in: c.in, args: c.args, gids: c.gids[:0], times: c.times[:0], seqs: c.seqs[:0], order: c.order[:0]}
			p.spare = append(p.spare, c)
		}
		return true
	})
}

// clear forgets all rows.
func (p *overPending) clear() {
	p.forgetRefs()
	for _, c := range p.chunks {
		if c.packed {
			c.free()
		}
	}
	p.chunks = nil
}

func (p *overPending) bytes() int64 {
	n := capBytes(p.refs)
	for _, list := range [2][]*overChunk{p.chunks, p.spare} {
		for _, c := range list {
			n += scratchBytes(c.in) + scratchBytes(c.args) + capBytes(c.gids) + capBytes(c.times) + capBytes(c.seqs) + capBytes(c.order)
		}
	}
	return n
}
