package state

import (
	"bytes"
	"math/bits"
)

// Live is a Table from which single keys can be removed; numbers of removed keys are given to new ones. It is for state that
// ends key by key, where a Table is for state that is dropped whole. The zero Live is ready for use. One goroutine uses it at
// a time.
type Live struct {
	// slots is as in Table.
	slots []uint64
	// Indexed by gid: hash, and the key's place in the arena. A size of freeSize marks a number that no key has.
	hashes []uint64
	at     []uint64
	sizes  []uint32
	free   []uint32
	arena  []byte
	// garbage counts the bytes of removed keys in arena.
	garbage uint64
	dirty   []uint64
	probe   []uint64 // scratch: the first slot of each row of a batch
	sum     uint64   // where touch leaves what it read, so that the reads stay
}

const (
	freeSize = 1<<32 - 1
	// garbageMin is the garbage, in bytes, below which the arena is not compacted.
	garbageMin = 64 << 10
)

// Len returns the number of keys.
func (t *Live) Len() int { return len(t.hashes) - len(t.free) }

// Cap is the number after the largest that a key has or had: what is kept beside the table has so many elements.
func (t *Live) Cap() int { return len(t.hashes) }

// Has reports whether some key has the number.
func (t *Live) Has(gid uint32) bool { return int(gid) < len(t.sizes) && t.sizes[gid] != freeSize }

// Key returns the bytes of key gid; valid until the next FindOrAdd or Remove.
func (t *Live) Key(gid uint32) []byte {
	at := t.at[gid]
	return t.arena[at : at+uint64(t.sizes[gid])]
}

// Hash returns the hash that key gid came with.
func (t *Live) Hash(gid uint32) uint64 { return t.hashes[gid] }

// Bytes returns the memory held, used or not.
func (t *Live) Bytes() int64 {
	words := cap(t.slots) + cap(t.hashes) + cap(t.at) + cap(t.dirty) + cap(t.probe)
	return int64(words)*8 + int64(cap(t.sizes)+cap(t.free))*4 + int64(cap(t.arena))
}

// FindOrAdd appends to gids the number of the key of each row that sel lists, adding keys that are new, and marks them
// dirty. What is kept beside a new number may be that of a removed key. On ErrFull the keys before the failing one have been
// added.
func (t *Live) FindOrAdd(r Rows, sel []uint32, gids []uint32) ([]uint32, error) {
	t.reserve(len(sel))
	t.touch(r, sel)
	mask := uint64(len(t.slots) - 1)
	for _, i := range sel {
		h := r.Hash[i]
		key := r.Buf[r.Off[i]:r.Off[i+1]]
		at := h & mask
		for {
			slot := t.slots[at]
			if slot == 0 {
				gid, err := t.add(key, h, at)
				if err != nil {
					return gids, err
				}
				gids = append(gids, gid)
				break
			}
			if (slot^h)>>32 == 0 {
				if gid := uint32(slot) - 1; bytes.Equal(t.Key(gid), key) {
					t.dirty[gid>>6] |= 1 << (gid & 63)
					gids = append(gids, gid)
					break
				}
			}
			at = (at + 1) & mask
		}
	}
	return gids, nil
}

// touch loads the first slot of every row, and then the place of the key it names.
func (t *Live) touch(r Rows, sel []uint32) {
	if len(t.hashes) < touchKeysMin {
		return
	}
	t.probe = t.probe[:0]
	mask := uint64(len(t.slots) - 1)
	for _, i := range sel {
		t.probe = append(t.probe, t.slots[r.Hash[i]&mask])
	}
	sum := uint64(0)
	for _, slot := range t.probe {
		if slot != 0 {
			sum += t.at[uint32(slot)-1] + uint64(t.sizes[uint32(slot)-1])
		}
	}
	t.sum = sum
}

// Find returns the number of a key, false when the table does not have it.
func (t *Live) Find(key []byte, hash uint64) (gid uint32, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for at := hash & mask; t.slots[at] != 0; at = (at + 1) & mask {
		slot := t.slots[at]
		if (slot^hash)>>32 == 0 && bytes.Equal(t.Key(uint32(slot)-1), key) {
			return uint32(slot) - 1, true
		}
	}
	return 0, false
}

// add gives a new key, whose place is at, a number.
func (t *Live) add(key []byte, hash, at uint64) (uint32, error) {
	var gid uint32
	if n := len(t.free); n > 0 {
		gid, t.free = t.free[n-1], t.free[:n-1]
	} else {
		if len(t.hashes) >= KeysMax {
			return 0, ErrFull
		}
		gid = uint32(len(t.hashes))
		t.hashes, t.at, t.sizes = append(t.hashes, 0), append(t.at, 0), append(t.sizes, freeSize)
		if int(gid>>6) >= len(t.dirty) {
			t.dirty = append(t.dirty, 0)
		}
	}
	if t.garbage > garbageMin && t.garbage > uint64(len(t.arena))/2 {
		t.compact()
	}
	t.hashes[gid], t.at[gid], t.sizes[gid] = hash, uint64(len(t.arena)), uint32(len(key))
	t.arena = append(t.arena, key...)
	t.dirty[gid>>6] |= 1 << (gid & 63)
	t.slots[at] = hash>>32<<32 | uint64(gid+1)
	return gid, nil
}

// Remove forgets a key. Its number may come back from the next FindOrAdd.
func (t *Live) Remove(gid uint32) {
	mask := uint64(len(t.slots) - 1)
	at := t.hashes[gid] & mask
	for uint32(t.slots[at]) != gid+1 {
		at = (at + 1) & mask
	}
	// Later keys of the run move up, unless that would put them before their home.
	for next := (at + 1) & mask; t.slots[next] != 0; next = (next + 1) & mask {
		home := t.hashes[uint32(t.slots[next])-1] & mask
		if (next-home)&mask >= (next-at)&mask {
			t.slots[at] = t.slots[next]
			at = next
		}
	}
	t.slots[at] = 0
	t.garbage += uint64(t.sizes[gid])
	t.sizes[gid] = freeSize
	t.dirty[gid>>6] &^= 1 << (gid & 63)
	t.free = append(t.free, gid)
}

// compact copies the living keys into a new arena.
func (t *Live) compact() {
	arena := make([]byte, 0, 2*(uint64(len(t.arena))-t.garbage)+garbageMin)
	for gid, size := range t.sizes {
		if size != freeSize {
			at := t.at[gid]
			t.at[gid] = uint64(len(arena))
			arena = append(arena, t.arena[at:at+uint64(size)]...)
		}
	}
	t.arena, t.garbage = arena, 0
}

// reserve makes places for n more keys, at most three quarters of them full.
func (t *Live) reserve(n int) {
	need := (t.Len() + n) * 4 / 3
	if need < len(t.slots) {
		return
	}
	size := max(len(t.slots), slotsMin)
	for size <= need {
		size *= 2
	}
	t.slots = make([]uint64, size)
	mask := uint64(size - 1)
	for gid, h := range t.hashes {
		if t.sizes[gid] == freeSize {
			continue
		}
		at := h & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = h>>32<<32 | uint64(gid+1)
	}
}

// Mark makes a key dirty.
func (t *Live) Mark(gid uint32) { t.dirty[gid>>6] |= 1 << (gid & 63) }

// MarkAll makes all keys dirty.
func (t *Live) MarkAll() {
	for gid, size := range t.sizes {
		if size != freeSize {
			t.Mark(uint32(gid))
		}
	}
}

// Dirty appends the numbers of the keys found, added or marked since ClearDirty, ascending.
func (t *Live) Dirty(dst []uint32) []uint32 {
	for i, w := range t.dirty {
		for ; w != 0; w &= w - 1 {
			dst = append(dst, uint32(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return dst
}

// ClearDirty starts a new round of Dirty.
func (t *Live) ClearDirty() { clear(t.dirty) }
