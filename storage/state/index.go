package state

import (
	"bytes"
	"encoding/binary"

	"github.com/vigil-sql/vigil/storage/state/arena"
)

// Index is an open-addressing hash table whose keys come and go: it numbers them like Table, but numbers of removed keys
// are given out again. Beside each key it holds a few words of the caller's, in the same cache line. The zero Index is
// ready for use. One goroutine uses it at a time.
type Index struct {
	// Mem is where the memory comes from; nil: the Go heap. It is set before the first key comes.
	Mem *arena.Part
	// slots holds, for each place, the lower half of the key's hash above its number plus 1; 0 is an empty place.
	slots []uint64
	pages [][]indexEntry
	ids   int      // numbers ever given out
	free  []uint32 // numbers to give out again
	live  int
	// long holds the bytes of keys that do not fit their entry; longDead counts those of removed keys.
	long     []byte
	longDead int
	// extents are behind pages.
	extents []arena.Block
	blocks  struct{ slots, free, long arena.Block }

	probe []uint64 // scratch: the first slot of each row of a batch
	sum   uint64   // where touch leaves what it read, so that the reads stay
}

// IndexWords are the caller's words of a key: zero for a new one.
type IndexWords [4]uint32

// indexEntry is one cache line. A short key lies in it; of a long one, its place in Index.long.
type indexEntry struct {
	words IndexWords
	hash  uint64
	size  uint32 // of the key in bytes
	_     uint32
	key   [indexInline]byte
}

const (
	indexInline = 32
	// indexFree is the size of an entry that has no key.
	indexFree = ^uint32(0)
	// indexPage is how many entries are made at once.
	indexPage = 1 << 10
	// pagesMost is how many pages are had at once at most.
	pagesMost = 1 << 5
	// longMin is the number of dead bytes from which the long keys are packed anew.
	longMin = 1 << 16
)

// Len returns the number of keys.
func (x *Index) Len() int { return x.live }

// Bytes returns the memory held, used or not.
func (x *Index) Bytes() int64 {
	return int64(cap(x.slots)+cap(x.probe))*8 + int64(cap(x.free))*4 + int64(len(x.pages))*indexPage*64 + int64(cap(x.long))
}

func (x *Index) entry(id uint32) *indexEntry { return &x.pages[id/indexPage][id%indexPage] }

// Cap is the number after the largest that a key has or had: what is kept beside the index has so many elements.
func (x *Index) Cap() int { return x.ids }

// Has tells whether id is the number of a key.
func (x *Index) Has(id uint32) bool { return int(id) < x.ids && x.entry(id).size != indexFree }

// Words returns the caller's words of key id; valid until it is removed.
func (x *Index) Words(id uint32) *IndexWords { return &x.entry(id).words }

// Hash returns the hash that key id came with.
func (x *Index) Hash(id uint32) uint64 { return x.entry(id).hash }

// Key returns the bytes of key id; valid until the next FindOrAdd or Remove.
func (x *Index) Key(id uint32) []byte {
	e := x.entry(id)
	if e.size <= indexInline {
		return e.key[:e.size]
	}
	at := binary.LittleEndian.Uint64(e.key[:])
	return x.long[at : at+uint64(e.size)]
}

// FindOrAdd appends to ids the number of the key of each row that sel lists, adding keys that are new. Rows are read in
// passes, so that the memory accesses of different rows overlap. On ErrFull the keys before the failing one have been added.
func (x *Index) FindOrAdd(r Rows, sel []uint32, ids []uint32) ([]uint32, error) {
	x.reserve(len(sel))
	if x.Mem.Short() {
		x.claim(r, sel)
	}
	x.touch(r, sel)
	mask := uint64(len(x.slots) - 1)
	for _, i := range sel {
		h := r.Hash[i]
		key := r.Buf[r.Off[i]:r.Off[i+1]]
		at := h & mask
		for {
			slot := x.slots[at]
			if slot == 0 {
				id, err := x.add(key, h, at)
				if err != nil {
					return ids, err
				}
				ids = append(ids, id)
				break
			}
			if uint32(slot>>32) == uint32(h) {
				if id := uint32(slot) - 1; x.equal(id, key) {
					ids = append(ids, id)
					break
				}
			}
			at = (at + 1) & mask
		}
	}
	return ids, nil
}

// Find returns the number of a key, false when the index does not have it.
func (x *Index) Find(key []byte, hash uint64) (id uint32, ok bool) {
	if len(x.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(x.slots) - 1)
	for at := hash & mask; x.slots[at] != 0; at = (at + 1) & mask {
		slot := x.slots[at]
		if uint32(slot>>32) == uint32(hash) && x.equal(uint32(slot)-1, key) {
			return uint32(slot) - 1, true
		}
	}
	return 0, false
}

// Each calls f for every key, in the order of their numbers; f does not add or remove keys.
func (x *Index) Each(f func(id uint32)) {
	for id := range uint32(x.ids) {
		if x.entry(id).size != indexFree {
			f(id)
		}
	}
}

func (x *Index) equal(id uint32, key []byte) bool {
	e := x.entry(id)
	if e.size <= indexInline {
		return string(e.key[:e.size]) == string(key)
	}
	return bytes.Equal(x.Key(id), key)
}

// touch loads the first slot of every row, and then the entry it names, or one that the row's new key may get.
func (x *Index) touch(r Rows, sel []uint32) {
	x.probe = x.probe[:0]
	mask := uint64(len(x.slots) - 1)
	for _, i := range sel {
		x.probe = append(x.probe, x.slots[r.Hash[i]&mask])
	}
	sum, fresh := uint64(0), x.free
	for _, slot := range x.probe {
		switch {
		case slot != 0:
			sum += x.entry(uint32(slot) - 1).hash
		case len(fresh) > 0:
			sum += x.entry(fresh[len(fresh)-1]).hash
			fresh = fresh[:len(fresh)-1]
		}
	}
	x.sum = sum
}

// claim brings in what touch reads.
func (x *Index) claim(r Rows, sel []uint32) {
	mask := uint64(len(x.slots) - 1)
	for _, i := range sel {
		at := r.Hash[i] & mask
		arena.Claim(x.slots, int(at))
		if slot := x.slots[at]; slot != 0 {
			id := uint32(slot) - 1
			arena.Claim(x.pages[id/indexPage], int(id%indexPage))
		}
	}
}

// Touch reads ahead the entries of ids, all at once.
func (x *Index) Touch(ids []uint32) {
	sum := uint64(0)
	for _, id := range ids {
		sum += x.entry(id).hash
	}
	x.sum = sum
}

// TouchPlaces reads ahead what Remove of ids reads.
func (x *Index) TouchPlaces(ids []uint32) {
	x.Touch(ids)
	sum, mask := x.sum, uint64(len(x.slots)-1)
	for _, id := range ids {
		sum += x.slots[x.entry(id).hash&mask]
	}
	x.sum = sum
}

// add gives a new key, whose place is at, a number.
func (x *Index) add(key []byte, hash, at uint64) (uint32, error) {
	if x.live >= KeysMax {
		return 0, ErrFull
	}
	var id uint32
	if n := len(x.free); n > 0 {
		id, x.free = x.free[n-1], x.free[:n-1]
	} else {
		if x.ids == len(x.pages)*indexPage {
			x.addPages()
		}
		id = uint32(x.ids)
		x.ids++
	}
	e := x.entry(id)
	e.words, e.hash, e.size = IndexWords{}, hash, uint32(len(key))
	if len(key) <= indexInline {
		copy(e.key[:], key)
	} else {
		binary.LittleEndian.PutUint64(e.key[:], uint64(len(x.long)))
		x.long = arena.Append(x.Mem, &x.blocks.long, x.long, key...)
	}
	x.live++
	x.slots[at] = hash<<32 | uint64(id+1)
	return id, nil
}

// Remove forgets key id; its number may be given out again.
func (x *Index) Remove(id uint32) {
	e := x.entry(id)
	mask := uint64(len(x.slots) - 1)
	at := e.hash & mask
	for uint32(x.slots[at]) != id+1 {
		at = (at + 1) & mask
	}
	x.closeGap(at, mask)
	if e.size > indexInline {
		x.longDead += int(e.size)
	}
	e.size = indexFree
	x.free = arena.Append(x.Mem, &x.blocks.free, x.free, id)
	x.live--
	if x.longDead > longMin && x.longDead*2 > len(x.long) {
		x.packLong()
	}
}

// closeGap empties a place and moves up those behind it that would not be found any more.
func (x *Index) closeGap(at, mask uint64) {
	next := at
	for {
		next = (next + 1) & mask
		slot := x.slots[next]
		if slot == 0 {
			break
		}
		if home := slot >> 32 & mask; (next-home)&mask >= (next-at)&mask {
			x.slots[at] = slot
			at = next
		}
	}
	x.slots[at] = 0
}

// packLong copies the long keys that are left.
func (x *Index) packLong() {
	var block arena.Block
	long := arena.Grow(x.Mem, &block, []byte(nil), (len(x.long)-x.longDead)*3/2)
	for id := range x.ids {
		e := x.entry(uint32(id))
		if e.size <= indexInline || e.size == indexFree {
			continue
		}
		key := x.Key(uint32(id))
		binary.LittleEndian.PutUint64(e.key[:], uint64(len(long)))
		long = append(long, key...)
	}
	x.blocks.long.Free()
	x.long, x.longDead, x.blocks.long = long, 0, block
}

// reserve makes places for n more keys, at most two thirds of them full.
func (x *Index) reserve(n int) {
	need := (x.live + n) * 3 / 2
	if need < len(x.slots) {
		return
	}
	size := max(len(x.slots), slotsMin)
	for size <= need {
		size *= 2
	}
	x.slots = growSlots(x.Mem, &x.blocks.slots, x.slots, size)
}

// addPages makes room for more keys: on the Go heap a page, else as many as there are, so that the system is asked rarely.
func (x *Index) addPages() {
	n := 1
	if x.Mem != nil {
		n = min(max(len(x.pages), 1), pagesMost)
	}
	var block arena.Block
	entries := arena.Make[indexEntry](x.Mem, &block, n*indexPage)
	for i := range n {
		x.pages = append(x.pages, entries[i*indexPage:(i+1)*indexPage])
	}
	x.extents = append(x.extents, block)
}

// Free forgets all keys and gives the memory back.
func (x *Index) Free() {
	for i := range x.extents {
		x.extents[i].Free()
	}
	x.blocks.slots.Free()
	x.blocks.free.Free()
	x.blocks.long.Free()
	*x = Index{Mem: x.Mem}
}
