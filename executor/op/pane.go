package op

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// pane is the state of a run of event time that no window's bound divides. Its groups are numbered 0, 1, 2, ... in order of
// arrival; ids gives the key of each as its number in the operator's dictionary.
type pane struct {
	start types.EventTime
	keyIndex
	slab  agg.Slab
	dirty state.Dirty // groups changed since the last snapshot
	// fired are the results that rows of this pane have set off (EMIT FIRST).
	fired firedMarks
	// suffix and next belong to pastPanes: by group, the state of the pane and of those that follow it up to the end of a
	// block, and where the key occurs next.
	suffix    agg.Slab
	next      []occurrence
	nextBlock arena.Block
	sliceSave
	// rows, places and kids are of the rows in work: their numbers in the batch, indexes in the selection, keys.
	rows, places, kids []uint32
}

// firedMarks are marks that come one by one and are wanted by group.
type firedMarks struct {
	list   []firedMark
	sorted int // so many are, by group; the others came since
	late   []firedMark
}

func (f *firedMarks) add(m firedMark) { f.list = append(f.list, m) }

// byGroup are the marks ordered by group.
func (f *firedMarks) byGroup() []firedMark {
	if f.sorted == len(f.list) {
		return f.list
	}
	f.late = append(f.late[:0], f.list[f.sorted:]...)
	slices.SortStableFunc(f.late, func(a, b firedMark) int { return cmp.Compare(a.gid, b.gid) })
	i, j := f.sorted-1, len(f.late)-1
	for k := len(f.list) - 1; j >= 0; k-- {
		if i >= 0 && f.list[i].gid > f.late[j].gid {
			f.list[k] = f.list[i]
			i--
		} else {
			f.list[k] = f.late[j]
			j--
		}
	}
	f.sorted = len(f.list)
	return f.list
}

// firedMark is a group of a pane, and which of the windows that hold the pane fired: 0 is the one that ends first.
type firedMark struct{ gid, window uint32 }

func (p *pane) reset() {
	p.keyIndex.reset()
	p.slab.Reset()
	p.suffix.Reset()
	p.dirty, p.fired, p.next = p.dirty[:0], firedMarks{list: p.fired.list[:0]}, p.next[:0]
	p.sliceSave = sliceSave{}
	if p.mem.Short() {
		p.nextBlock.Free()
		p.next = nil
	}
}

// freeMemory gives the memory of a pane back that is not used any more.
func (p *pane) freeMemory() {
	p.keyIndex.free()
	p.slab.Free()
	p.suffix.Free()
	p.nextBlock.Free()
	p.next = nil
}

// mark makes groups dirty.
func (p *pane) mark(gids []uint32) {
	p.dirty.Room(len(p.ids))
	for _, g := range gids {
		p.dirty.Mark(g)
	}
}

// left is how many groups are to be written.
func (p *pane) left() int { return p.sliceSave.left(p.dirty.Len(), len(p.ids)) }

// beginAnew makes all groups dirty where the pane is to be written whole and has at most so many; then it needs a Rewrite.
func (p *pane) beginAnew(most int) bool {
	if !p.anew(p.dirty.Len(), len(p.ids), most) {
		return false
	}
	p.dirty.Room(len(p.ids))
	p.dirty.MarkAll(len(p.ids))
	return true
}

func (p *pane) bytes() int64 {
	n := p.slab.Bytes() + p.suffix.Bytes() + p.keyIndex.bytes()
	return n + capBytes(p.dirty) + capBytes(p.next) + capBytes(p.fired.list) + capBytes(p.fired.late) + capBytes(p.rows) + capBytes(p.places) + capBytes(p.kids)
}

// keyIndex numbers keys, which are numbers of a dictionary themselves, by an open-addressing table.
type keyIndex struct {
	ids   []uint32 // by number: the key
	slots []uint32 // number + 1; 0 is empty
	shift uint
	// mem is where the memory comes from; nil: the Go heap.
	mem      *arena.Part
	idBlock  arena.Block
	slotMade arena.Block
}

// keySlotsKept bounds the places that an emptied index begins with again: clearing more costs more than growing.
const (
	keySlotsMin  = 16
	keySlotsKept = 1 << 16
)

// place is where the search for a key begins.
func (x *keyIndex) place(id uint32) uint32 { return uint32(uint64(id*0x9e3779b1) >> x.shift) }

// find returns the number of a key.
func (x *keyIndex) find(id uint32) (uint32, bool) {
	if len(x.slots) == 0 {
		return 0, false
	}
	mask := uint32(len(x.slots) - 1)
	for at := x.place(id); x.slots[at] != 0; at = (at + 1) & mask {
		if n := x.slots[at] - 1; x.ids[n] == id {
			return n, true
		}
	}
	return 0, false
}

// add appends the numbers of keys to dst; new keys get the next ones.
func (x *keyIndex) add(ids, dst []uint32) []uint32 {
	x.reserve(len(ids))
	if x.mem.Short() {
		x.claim(ids)
	}
	mask := uint32(len(x.slots) - 1)
	for _, id := range ids {
		at := x.place(id)
		for x.slots[at] != 0 && x.ids[x.slots[at]-1] != id {
			at = (at + 1) & mask
		}
		if x.slots[at] == 0 {
			x.ids = arena.Append(x.mem, &x.idBlock, x.ids, id)
			x.slots[at] = uint32(len(x.ids))
		}
		dst = append(dst, x.slots[at]-1)
	}
	return dst
}

// claim brings in what add reads.
func (x *keyIndex) claim(ids []uint32) {
	for _, id := range ids {
		at := x.place(id)
		arena.Claim(x.slots, int(at))
		if n := x.slots[at]; n != 0 {
			arena.Claim(x.ids, int(n-1))
		}
	}
}

// reserve makes places for n more keys, at most two thirds of them full.
func (x *keyIndex) reserve(n int) {
	need := (len(x.ids) + n) * 3 / 2
	if need < len(x.slots) {
		return
	}
	// Rows of a batch often have few keys: grow by what is there, not by what might come.
	size := max(keySlotsMin, len(x.slots))
	if size == keySlotsMin && cap(x.slots) <= keySlotsKept {
		size = max(size, cap(x.slots)) // of a pane that had as many keys, likely
	}
	for size <= need {
		size *= 2
	}
	if cap(x.slots) >= size {
		x.slots = x.slots[:size]
		clear(x.slots)
	} else {
		x.slots = arena.Make[uint32](x.mem, &x.slotMade, size)
	}
	x.shift = uint(32 - bits.TrailingZeros(uint(size)))
	mask := uint32(size - 1)
	for n, id := range x.ids {
		at := x.place(id)
		for x.slots[at] != 0 {
			at = (at + 1) & mask
		}
		x.slots[at] = uint32(n + 1)
	}
}

// renumber replaces each key by to[key].
func (x *keyIndex) renumber(to []uint32) {
	for i, id := range x.ids {
		x.ids[i] = to[id]
	}
	x.slots = x.slots[:0]
	x.reserve(0)
}

func (x *keyIndex) reset() {
	if x.mem.Short() {
		x.free()
		return
	}
	x.ids, x.slots = x.ids[:0], x.slots[:0]
}

// free gives the memory back.
func (x *keyIndex) free() {
	x.idBlock.Free()
	x.slotMade.Free()
	*x = keyIndex{mem: x.mem}
}

func (x *keyIndex) bytes() int64 { return int64(cap(x.ids)+cap(x.slots)) * 4 }
