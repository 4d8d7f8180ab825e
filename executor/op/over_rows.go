package op

import (
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// overRows keeps what window functions need of the rows that frames still reach: their times and arguments, as chains of
// slots in one array of words. Values of variable size lie in an arena beside it.
type overRows struct {
	types  []types.Type
	offs   []int // of each argument in a slot
	stride int
	words  []uint64
	free   uint32 // head of the chain of free slots, or noSlot
	n      int    // slots in use
	buf    []byte
	// garbage counts the bytes of buf that no slot has.
	garbage int

	mem                 *arena.Part
	wordBlock, bufBlock arena.Block
}

// noSlot is no slot.
const noSlot = uint32(math.MaxUint32)

// The words of a slot before its arguments: its time, the next slot of its chain with a mark that it is in use, and
// which arguments are NULL. An argument of variable size takes two words, its place in buf and its length.
const (
	slotTime, slotNext, slotNulls, slotArgs = 0, 1, 2, 3
	slotUsed                                = 1 << 32
	// overArgsMax bounds the arguments: a slot has one word to mark NULLs.
	overArgsMax = 64
	// overGarbageMin is the garbage, in bytes, below which buf is not compacted.
	overGarbageMin = 64 << 10
)

func (r *overRows) init(args []types.Type) {
	r.types, r.stride, r.free = args, slotArgs, noSlot
	for _, t := range args {
		r.offs = append(r.offs, r.stride)
		r.stride++
		if t.Phys() == types.PhysBytes {
			r.stride++
		}
	}
}

func (r *overRows) slot(i uint32) []uint64 {
	at := int(i) * r.stride
	return r.words[at : at+r.stride]
}

func (r *overRows) time(i uint32) int64 { return int64(r.slot(i)[slotTime]) }

func (r *overRows) next(i uint32) uint32 { return uint32(r.slot(i)[slotNext]) }

func (r *overRows) link(i, next uint32) { r.slot(i)[slotNext] = slotUsed | uint64(next) }

// add copies row i of the arguments into a new slot, the last of its chain.
func (r *overRows) add(t int64, args []batch.Vec, i int) (uint32, error) {
	at := r.free
	if at != noSlot {
		r.free = r.next(at)
	} else {
		if at = uint32(len(r.words) / r.stride); at >= noSlot-1 {
			return 0, sqlerr.New(sqlerr.ProgramLimitExceeded, "window functions hold more than %d rows", noSlot-1)
		}
		r.words = growIn(r.mem, &r.wordBlock, r.words, len(r.words)+r.stride)
	}
	r.n++
	w := r.slot(at)
	w[slotTime], w[slotNext], w[slotNulls] = uint64(t), slotUsed|uint64(noSlot), 0
	for a := range args {
		v, to := &args[a], w[r.offs[a]:]
		if v.IsNull(i) {
			w[slotNulls] |= 1 << a
			continue
		}
		switch r.types[a].Phys() {
		case types.PhysInt:
			to[0] = uint64(v.I64[i])
		case types.PhysFloat:
			to[0] = math.Float64bits(v.F64[i])
		default:
			b := v.Bytes(i)
			to[0], to[1] = uint64(len(r.buf)), uint64(len(b))
			r.buf = arena.Append(r.mem, &r.bufBlock, r.buf, b...)
		}
	}
	return at, nil
}

// drop gives a slot back.
func (r *overRows) drop(i uint32) {
	w := r.slot(i)
	for a, off := range r.offs {
		if r.types[a].Phys() == types.PhysBytes && w[slotNulls]&(1<<a) == 0 {
			r.garbage += int(w[off+1])
		}
	}
	w[slotNext] = uint64(r.free)
	r.free = i
	r.n--
}

// tidy compacts the arena when half of it is garbage.
func (r *overRows) tidy() {
	if r.garbage < overGarbageMin || r.garbage < len(r.buf)/2 {
		return
	}
	var block arena.Block
	buf := arena.Grow(r.mem, &block, []byte(nil), len(r.buf)-r.garbage)
	for at := 0; at < len(r.words); at += r.stride {
		if at/r.stride%breathKeys == breathKeys-1 {
			r.mem.Relieve()
		}
		w := r.words[at : at+r.stride]
		if w[slotNext]&slotUsed == 0 {
			continue
		}
		for a, off := range r.offs {
			if r.types[a].Phys() != types.PhysBytes || w[slotNulls]&(1<<a) != 0 {
				continue
			}
			from := w[off]
			w[off] = uint64(len(buf))
			buf = append(buf, r.buf[from:from+w[off+1]]...)
		}
	}
	r.bufBlock.Free()
	r.buf, r.bufBlock, r.garbage = buf, block, 0
}

// claim brings in the slots that come first in the chains of partitions, for who is about to go to many while memory is scarce.
func (r *overRows) claim(i uint32) {
	if i != noSlot {
		arena.Claim(r.words, int(i)*r.stride)
	}
}

// clear forgets all rows and gives the memory back.
func (r *overRows) clear() {
	r.wordBlock.Free()
	r.bufBlock.Free()
	r.words, r.buf, r.free, r.n, r.garbage = nil, nil, noSlot, 0, 0
}

// gather appends an argument of slots to a vector of its type.
func (r *overRows) gather(dst *batch.Vec, slots []uint32, arg int) {
	off := r.offs[arg]
	phys := r.types[arg].Phys()
	for _, s := range slots {
		w := r.slot(s)
		switch {
		case w[slotNulls]&(1<<arg) != 0:
			dst.AppendNull()
		case phys == types.PhysInt:
			dst.AppendInt(int64(w[off]))
		case phys == types.PhysFloat:
			dst.AppendFloat(math.Float64frombits(w[off]))
		default:
			dst.AppendBytes(r.buf[w[off] : w[off]+w[off+1]])
		}
	}
}

// value is an argument of a slot as a scalar.
func (r *overRows) value(slot uint32, arg int) types.Value {
	w, off := r.slot(slot), r.offs[arg]
	v := types.Value{Type: r.types[arg]}
	switch {
	case w[slotNulls]&(1<<arg) != 0:
		v.Null = true
	case v.Type.Phys() == types.PhysInt:
		v.I = int64(w[off])
	case v.Type.Phys() == types.PhysFloat:
		v.F = math.Float64frombits(w[off])
	default:
		v.S = string(r.buf[w[off] : w[off]+w[off+1]])
	}
	return v
}

// holds tells whether a boolean argument of a slot is true.
func (r *overRows) holds(slot uint32, arg int) bool {
	w := r.slot(slot)
	return w[slotNulls]&(1<<arg) == 0 && w[r.offs[arg]] != 0
}

func (r *overRows) bytes() int64 { return int64(cap(r.words))*8 + int64(cap(r.buf)) }
