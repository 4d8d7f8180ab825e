package op

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// halves holds the rows of keys (of a count window: runs of rows) in the order of a number t, each with its state, and makes
// the states of windows (t - size, t].
type halves struct {
	windowCalls
	size int64

	table  state.Live
	keys   []slideKey // by key
	rows   []slideRow
	free   []uint32
	own    agg.Slab // by row: its state alone
	suffix agg.Slab // by row: of it and the rows after it in the front of the window
	back   agg.Slab // by key: of the back of the window
	exact  []int    // aggregates that the two halves of a window give
	walked []int    // the others: they are folded from the rows of each window
	// running: all of exact can be taken away again. Then back is the whole window, rows that leave it are taken away, and there
	// is no front.
	running bool
	kids    []uint32 // keys of the rows of the batch being processed
	sum     int64    // where touch leaves what it read, so that the reads stay

	mem                *arena.Part
	keyBlock, rowBlock arena.Block
	freeBlock          arena.Block
}

// Open implements Operator.
func (h *halves) Open(ctx *expr.Ctx) error {
	h.mem = ctx.State.Part()
	h.table.Mem, h.own.Mem, h.suffix.Mem, h.back.Mem = h.mem, h.mem, h.mem, h.mem
	return h.windowCalls.Open(ctx)
}

// Spillable implements Spiller.
func (h *halves) Spillable() int64 { return h.mem.Bytes() + h.shared.part(spillableOf) }

// Groups returns the number of keys held.
func (h *halves) Groups() int { return h.table.Len() + h.shared.groupsOf() }

// slideKey is the rows of a key, oldest first, and the window that ends at one of them, in two halves: the front, of whose
// rows each has the state of all from it on, and the back, which has one state. So the window moves on at a few merges a row.
// Rows are numbers + 1, 0 for none.
type slideKey struct {
	oldest, newest uint32
	// first to last is the window; split is the first row of the back. last 0: there is none, it is made when needed.
	first, split, last uint32
	at                 int64 // of the timer
	gen                uint32
	timed              bool
}

// slideRow is a row that windows still may hold.
type slideRow struct {
	t          int64
	seq        uint64 // order of arrival
	prev, next uint32
	key        uint32
	gen        uint32
	flags      uint8
}

// split sets the size, and tells aggregates whose states can be merged in any order from the others.
func (a *halves) split(size int64) {
	a.size, a.running = size, true
	for i := range a.aggs {
		if agg.Exact(a.aggs[i].kernel) {
			a.exact = append(a.exact, i)
			_, ok := a.aggs[i].kernel.(agg.Subtracter)
			a.running = a.running && ok
		} else {
			a.walked = append(a.walked, i)
		}
	}
	a.own.Stride, a.suffix.Stride, a.back.Stride = a.stride, a.stride, a.stride
}

// growKeys makes room for what is kept beside the keys of the table.
func (a *halves) growKeys() {
	a.keys = growIn(a.mem, &a.keyBlock, a.keys, a.table.Cap())
	a.back.Grow(len(a.keys))
}

// touch reads ahead the rows at both ends of the keys of the batch, all at once, so that what follows does not wait for memory at
// each.
func (a *halves) touch() {
	if a.mem.Short() {
		a.claim()
	}
	sum := int64(0)
	for _, key := range a.kids {
		sum += a.keys[key].at
	}
	for _, key := range a.kids {
		if k := &a.keys[key]; k.newest != 0 {
			sum += a.rows[k.newest-1].t + a.rows[k.oldest-1].t
		}
	}
	for _, key := range a.kids {
		if k := &a.keys[key]; k.newest != 0 {
			if next := a.rows[k.oldest-1].next; next != 0 {
				sum += a.rows[next-1].t
			}
			if a.stride > 0 {
				sum += int64(a.own.Words[int(k.oldest-1)*a.stride] + a.back.Words[int(key)*a.stride])
			}
		}
	}
	a.sum = sum
}

// claim brings in what touch reads, while memory is scarce.
func (a *halves) claim() {
	for _, key := range a.kids {
		arena.Claim(a.keys, int(key))
	}
	for _, key := range a.kids {
		if k := &a.keys[key]; k.newest != 0 {
			arena.Claim(a.rows, int(k.newest-1))
			arena.Claim(a.rows, int(k.oldest-1))
			if a.stride > 0 {
				arena.Claim(a.own.Words, int(k.oldest-1)*a.stride)
			}
		}
	}
	a.back.Claim(a.kids)
}

// take takes a number for a row, whose state is empty.
func (a *halves) take(t int64) uint32 {
	var id uint32
	if n := len(a.free); n > 0 {
		id, a.free = a.free[n-1], a.free[:n-1]
	} else {
		id = uint32(len(a.rows))
		a.rows = arena.Append(a.mem, &a.rowBlock, a.rows, slideRow{})
		a.own.Grow(len(a.rows))
		if !a.running {
			a.suffix.Grow(len(a.rows))
		}
	}
	a.rows[id] = slideRow{t: t, gen: a.rows[id].gen, flags: a.rows[id].flags & slideListed}
	return id
}

// drop gives back the number of a row that is in no list any more.
func (a *halves) drop(id uint32) {
	row := &a.rows[id]
	row.flags &= slideListed
	row.gen++
	a.own.Release(id)
	a.free = arena.Append(a.mem, &a.freeBlock, a.free, id)
}

func (a *halves) bytes() int64 {
	return a.table.Bytes() + a.own.Bytes() + a.suffix.Bytes() + a.back.Bytes() + capBytes(a.keys) + capBytes(a.rows) + capBytes(a.free)
}

func (a *halves) clear() {
	a.table.Free()
	a.own.Free()
	a.suffix.Free()
	a.back.Free()
	a.keyBlock.Free()
	a.rowBlock.Free()
	a.freeBlock.Free()
	a.keys, a.rows, a.free = nil, nil, nil
}

// mergeExact folds a state into another for the aggregates that the halves of a window give.
func (a *halves) mergeExact(dst *agg.Slab, dg uint32, src *agg.Slab, sg uint32) error {
	for _, i := range a.exact {
		if err := a.aggs[i].kernel.Merge(dst, dg, src, sg, a.offs[i]); err != nil {
			return err
		}
	}
	return nil
}

// moveTo makes the window of a key the one that ends at a row.
func (a *halves) moveTo(key, id uint32) error {
	k := &a.keys[key]
	limit := satAdd(a.rows[id].t, -a.size)
	if k.last == 0 || a.after(k.last-1, id) {
		a.restart(key, id, limit)
	}
	for k.last != id+1 {
		next := k.first
		if k.last != 0 {
			next = a.rows[k.last-1].next
		}
		if err := a.mergeExact(&a.back, key, &a.own, next-1); err != nil {
			return err
		}
		if k.split == 0 {
			k.split = next
		}
		if k.first == 0 {
			k.first = next
		}
		k.last = next
	}
	return a.evict(key, limit)
}

// after reports whether row x comes after row y of the same key.
func (a *halves) after(x, y uint32) bool {
	p, q := &a.rows[x], &a.rows[y]
	return p.t > q.t || p.t == q.t && p.seq > q.seq
}

// restart empties the window of a key; first is set to the row that it will begin with when it ends at id.
func (a *halves) restart(key, id uint32, limit int64) {
	k := &a.keys[key]
	a.zero(&a.back, key)
	k.split, k.last = 0, 0
	k.first = id + 1
	for prev := a.rows[id].prev; prev != 0 && a.rows[prev-1].t > limit; prev = a.rows[prev-1].prev {
		k.first = prev
	}
}

func (a *halves) zero(s *agg.Slab, gid uint32) {
	clear(s.Words[int(gid)*s.Stride : int(gid+1)*s.Stride])
}

// evict takes the rows at or before limit out of the window; the last row may be one of them.
func (a *halves) evict(key uint32, limit int64) error {
	k := &a.keys[key]
	for k.first != 0 && a.rows[k.first-1].t <= limit {
		if a.running && k.first != k.last {
			if err := a.subtract(key, k.first-1); err != nil {
				return err
			}
			k.first = a.rows[k.first-1].next
			k.split = k.first
			continue
		}
		if k.first == k.last {
			a.zero(&a.back, key)
			k.first, k.split, k.last = 0, 0, 0
			return nil
		}
		if k.first != k.split {
			k.first = a.rows[k.first-1].next
			continue
		}
		// The front is used up: the back becomes the front, less what goes at once.
		for k.first != k.last && a.rows[k.first-1].t <= limit {
			k.first = a.rows[k.first-1].next
		}
		if a.rows[k.first-1].t <= limit {
			continue
		}
		if err := a.flip(k); err != nil {
			return err
		}
		a.zero(&a.back, key)
		k.split = 0
	}
	return nil
}

// subtract takes a row out of the window of a key, all of which is the back.
func (a *halves) subtract(key, id uint32) error {
	for _, i := range a.exact {
		if err := a.aggs[i].kernel.(agg.Subtracter).Subtract(&a.back, key, &a.own, id, a.offs[i]); err != nil {
			return err
		}
	}
	return nil
}

// flip gives the rows of the window, all of them in the back, the states of all from each on.
func (a *halves) flip(k *slideKey) error {
	for at, later := k.last, uint32(0); ; at = a.rows[at-1].prev {
		a.zero(&a.suffix, at-1)
		if err := a.mergeExact(&a.suffix, at-1, &a.own, at-1); err != nil {
			return err
		}
		if later != 0 {
			if err := a.mergeExact(&a.suffix, at-1, &a.suffix, later-1); err != nil {
				return err
			}
		}
		if later = at; at == k.first {
			return nil
		}
	}
}

// fold puts the state of the window of a key into an empty group of another slab.
func (a *halves) fold(dst *agg.Slab, gid, key uint32) error {
	k := &a.keys[key]
	if k.first != k.split {
		if err := a.mergeExact(dst, gid, &a.suffix, k.first-1); err != nil {
			return err
		}
	}
	if k.split != 0 {
		if err := a.mergeExact(dst, gid, &a.back, key); err != nil {
			return err
		}
	}
	if len(a.walked) > 0 {
		for at := k.first; ; at = a.rows[at-1].next {
			for _, i := range a.walked {
				if err := a.aggs[i].kernel.Merge(dst, gid, &a.own, at-1, a.offs[i]); err != nil {
					return err
				}
			}
			if at == k.last {
				break
			}
		}
	}
	return nil
}
