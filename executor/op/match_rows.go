package op

import (
	"math"
	"math/bits"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// heldRows keeps rows of all keys in slots of equal size, with the values that somebody reads later, and the lists of runs
// that wait after each. Nothing in it is a pointer. Rows of a key are linked in their order. A reference to a slot is its
// number + 1, so that 0 is none.
type heldRows struct {
	cols   []int // columns of the input that are kept
	colAt  []int // by column of the input: place among cols, -1 for those not kept
	schema *types.Schema
	stride int
	words  []uint64
	free   []uint32
	text   []byte // values of variable size
	dead   int    // bytes of text that belong to no row
	lists  wordPool

	mem                  *arena.Part
	wordBlock, textBlock arena.Block
	freeBlock            arena.Block
}

// The words of a slot; wordNulls is followed by a word of NULL bits per 64 columns, and a word per column: its bits, or for
// values of variable size their offset in text (upper half) and length.
const (
	wordTime  = iota
	wordTruth // which conditions that read the row alone are true, by variable
	wordList  // the runs that wait after the row: the one run, or where the list lies in lists
	wordMeta  // upper half: number of runs; lower half: 1 + the run that completed a match with this row, 0 for none
	wordLinks // upper half: the row before it, lower half: the one after it
	wordOrder // grows along the rows of a key
	wordNulls
)

// freeSlot in wordMeta marks a slot without a row.
const freeSlot = math.MaxUint64

// textMax bounds the bytes of all values of variable size, so that an offset fits into half a word.
const textMax = math.MaxUint32

func newHeldRows(schema *types.Schema, keep []bool) *heldRows {
	h := &heldRows{schema: schema, colAt: make([]int, len(schema.Cols))}
	for i := range schema.Cols {
		h.colAt[i] = -1
		if keep[i] {
			h.colAt[i] = len(h.cols)
			h.cols = append(h.cols, i)
		}
	}
	h.stride = wordNulls + (len(h.cols)+63)/64 + len(h.cols)
	return h
}

// at returns the words of a row.
func (h *heldRows) at(ref uint32) []uint64 {
	o := int(ref-1) * h.stride
	return h.words[o : o+h.stride : o+h.stride]
}

func (h *heldRows) time(ref uint32) types.EventTime { return types.EventTime(h.at(ref)[wordTime]) }
func (h *heldRows) before(ref uint32) uint32        { return uint32(h.at(ref)[wordLinks] >> 32) }
func (h *heldRows) after(ref uint32) uint32         { return uint32(h.at(ref)[wordLinks]) }

func (h *heldRows) link(a, b uint32) {
	if a != 0 {
		w := h.at(a)
		w[wordLinks] = w[wordLinks]>>32<<32 | uint64(b)
	}
	if b != 0 {
		w := h.at(b)
		w[wordLinks] = uint64(a)<<32 | uint64(uint32(w[wordLinks]))
	}
}

// slot returns an empty slot.
func (h *heldRows) slot() (uint32, []uint64) {
	var ref uint32
	if n := len(h.free); n > 0 {
		ref, h.free = h.free[n-1], h.free[:n-1]
	} else {
		n := len(h.words) + h.stride
		h.words = arena.Grow(h.mem, &h.wordBlock, h.words, n)[:n]
		ref = uint32(n / h.stride)
	}
	w := h.at(ref)
	clear(w)
	return ref, w
}

// add copies a row of a batch.
func (h *heldRows) add(b *batch.Batch, row int, t types.EventTime, truth uint64) (uint32, error) {
	ref, w := h.slot()
	w[wordTime], w[wordTruth] = uint64(t), truth
	base := h.stride - len(h.cols)
	for i, c := range h.cols {
		v := &b.Cols[c]
		if v.Absent || v.IsNull(row) {
			w[wordNulls+i>>6] |= 1 << (i & 63)
			continue
		}
		switch v.Type.Phys() {
		case types.PhysInt:
			w[base+i] = uint64(v.I64[row])
		case types.PhysFloat:
			w[base+i] = math.Float64bits(v.F64[row])
		default:
			s := v.Bytes(row)
			if err := h.reserve(len(s)); err != nil {
				return 0, err
			}
			w[base+i] = uint64(len(h.text))<<32 | uint64(len(s))
			h.addText(s)
		}
	}
	return ref, nil
}

func (h *heldRows) addText(s []byte) { h.text = arena.Append(h.mem, &h.textBlock, h.text, s...) }

// claim brings a row into memory, for who is about to go to many while that is scarce.
func (h *heldRows) claim(ref uint32) {
	if ref != 0 {
		arena.Claim(h.words, int(ref-1)*h.stride)
	}
}

// clear forgets all rows and gives the memory back.
func (h *heldRows) clear() {
	h.wordBlock.Free()
	h.textBlock.Free()
	h.freeBlock.Free()
	h.words, h.text, h.free, h.dead = nil, nil, nil, 0
	h.lists.clear()
}

// reserve makes sure that n more bytes of text fit.
func (h *heldRows) reserve(n int) error {
	if h.dead > compactTextMin && h.dead > len(h.text)/2 {
		h.compact()
	}
	if len(h.text)+n <= textMax {
		return nil
	}
	if h.compact(); len(h.text)+n > textMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "the rows held by a pattern exceed 4 GiB of text").
			WithHint("Bound the match with a shorter WITHIN.")
	}
	return nil
}

// compactTextMin is how many dead bytes are worth moving the others.
const compactTextMin = 1 << 16

// compact moves the values of living rows together.
func (h *heldRows) compact() {
	var block arena.Block
	text := arena.Grow(h.mem, &block, []byte(nil), len(h.text)-h.dead+compactTextMin)
	base := h.stride - len(h.cols)
	for o := 0; o < len(h.words); o += h.stride {
		if o/h.stride%breathKeys == breathKeys-1 {
			h.mem.Relieve()
		}
		w := h.words[o : o+h.stride]
		if w[wordMeta] == freeSlot {
			continue
		}
		for i, c := range h.cols {
			if h.schema.Cols[c].Type.Phys() != types.PhysBytes || w[base+i] == 0 {
				continue
			}
			at, n := w[base+i]>>32, w[base+i]&math.MaxUint32
			w[base+i] = uint64(len(text))<<32 | n
			text = append(text, h.text[at:at+n]...)
		}
	}
	h.textBlock.Free()
	h.text, h.textBlock, h.dead = text, block, 0
}

// release gives a slot back.
func (h *heldRows) release(ref uint32) {
	w := h.at(ref)
	h.setRuns(w, nil)
	base := h.stride - len(h.cols)
	for i, c := range h.cols {
		if h.schema.Cols[c].Type.Phys() == types.PhysBytes {
			h.dead += int(w[base+i] & math.MaxUint32)
		}
	}
	w[wordMeta] = freeSlot
	h.free = arena.Append(h.mem, &h.freeBlock, h.free, ref)
}

// load appends a row's kept columns to a batch whose first columns are those of the input; want selects among them.
func (h *heldRows) load(b *batch.Batch, ref uint32) {
	for i, c := range h.cols {
		if v := &b.Cols[c]; !v.Absent {
			h.appendValue(v, ref, i)
		}
	}
}

// appendValue appends the value of kept column i of a row.
func (h *heldRows) appendValue(v *batch.Vec, ref uint32, i int) {
	w := h.at(ref)
	if w[wordNulls+i>>6]&(1<<(i&63)) != 0 {
		v.AppendNull()
		return
	}
	x := w[h.stride-len(h.cols)+i]
	switch v.Type.Phys() {
	case types.PhysInt:
		v.AppendInt(int64(x))
	case types.PhysFloat:
		v.AppendFloat(math.Float64frombits(x))
	default:
		v.AppendBytes(h.text[x>>32 : x>>32+x&math.MaxUint32])
	}
}

// runs returns the runs that wait after a row; valid until lists change. one is scratch for the form without a list.
func (h *heldRows) runs(w []uint64) []uint64 {
	switch n := w[wordMeta] >> 32; n {
	case 0:
		return nil
	case 1:
		return w[wordList : wordList+1]
	default:
		return h.lists.get(w[wordList], int(n))
	}
}

// setRuns replaces the runs that wait after a row.
func (h *heldRows) setRuns(w []uint64, runs []uint64) {
	if n := w[wordMeta] >> 32; n > 1 {
		h.lists.put(w[wordList], int(n))
	}
	w[wordMeta] = uint64(len(runs))<<32 | uint64(uint32(w[wordMeta]))
	switch len(runs) {
	case 0:
	case 1:
		w[wordList] = runs[0]
	default:
		w[wordList] = h.lists.add(runs)
	}
}

// live is how many rows there are.
func (h *heldRows) live() int { return len(h.words)/h.stride - len(h.free) }

func (h *heldRows) bytes() int64 {
	return int64(cap(h.words))*8 + int64(cap(h.free))*4 + int64(cap(h.text)) + h.lists.bytes()
}

// wordPool keeps lists of words in one slab, in places of sizes that are powers of two.
type wordPool struct {
	words []uint64
	free  [33][]uint64 // places by the size's exponent

	mem        *arena.Part
	block      arena.Block
	freeBlocks [33]arena.Block
}

func (p *wordPool) get(at uint64, n int) []uint64 { return p.words[at : at+uint64(n)] }

// add copies a list of two or more words.
func (p *wordPool) add(list []uint64) uint64 {
	class := bits.Len(uint(len(list) - 1))
	var at uint64
	if n := len(p.free[class]); n > 0 {
		at, p.free[class] = p.free[class][n-1], p.free[class][:n-1]
	} else {
		at = uint64(len(p.words))
		need := len(p.words) + 1<<class
		p.words = arena.Grow(p.mem, &p.block, p.words, need)[:need]
	}
	copy(p.words[at:], list)
	return at
}

func (p *wordPool) put(at uint64, n int) {
	class := bits.Len(uint(n - 1))
	p.free[class] = arena.Append(p.mem, &p.freeBlocks[class], p.free[class], at)
}

// clear forgets all lists and gives the memory back.
func (p *wordPool) clear() {
	p.block.Free()
	for class := range p.free {
		p.freeBlocks[class].Free()
		p.free[class] = nil
	}
	p.words = nil
}

func (p *wordPool) bytes() int64 {
	n := int64(cap(p.words))
	for _, f := range p.free {
		n += int64(cap(f))
	}
	return n * 8
}
