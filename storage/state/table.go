// Package state owns keyed state in memory: which number a key has within a slice of state, without pointers for the
// garbage collector to follow. What is kept per key lives beside it, in arrays indexed by that number. It knows nothing of
// SQL: keys and their hashes come in as bytes and words.
package state

import (
	"bytes"
	"errors"

	"github.com/vigil-sql/vigil/storage/state/arena"
)

// Table is an open-addressing hash table whose keys lie in one run of bytes. Keys are numbered 0, 1, 2, ... in the order
// they were first seen; the number is called gid. The zero Table is ready for use. One goroutine uses it at a time.
type Table struct {
	// Mem is where the memory comes from; nil: the Go heap. It is set before the first key comes.
	Mem *arena.Part
	// slots holds, for each place, the lower half of the key's hash above gid+1; 0 is an empty place.
	slots []uint64
	// hashes and offs are indexed by gid: the key's hash, and where its bytes start in arena; offs has one more element, so
	// that offs[gid+1] is where they end.
	hashes []uint64
	offs   []uint64
	keys   []byte
	blocks struct{ slots, hashes, offs, keys arena.Block }
	// dirty marks the gids touched since ClearDirty.
	dirty Dirty

	probe []uint64 // scratch: the first slot of each row of a batch
	sum   uint64   // where touch leaves what it read, so that the reads stay
}

// KeysMax bounds the keys of one table, so that gid+1 fits into half a slot.
const KeysMax = 1<<31 - 1

// ErrFull tells that a table has KeysMax keys.
var ErrFull = errors.New("state: table is full")

const (
	slotsMin = 64
	// shrinkRatio: a table that used less than this fraction of its places gives them back on Reset.
	shrinkRatio = 32
)

// Len returns the number of keys.
func (t *Table) Len() int { return len(t.hashes) }

// Key returns the bytes of key gid; valid until the next FindOrAdd or Reset.
func (t *Table) Key(gid uint32) []byte { return t.keys[t.offs[gid]:t.offs[gid+1]] }

// Touch reads ahead the keys of gids, all at once, so that a loop over Key does not wait for memory at each.
func (t *Table) Touch(gids []uint32) {
	if t.Mem.Short() {
		t.claimKeys(gids)
	}
	sum := uint64(0)
	for _, gid := range gids {
		if at := t.offs[gid]; at < uint64(len(t.keys)) {
			sum += uint64(t.keys[at])
		}
	}
	t.sum = sum
}

// Hash returns the hash that key gid came with.
func (t *Table) Hash(gid uint32) uint64 { return t.hashes[gid] }

// Bytes returns the memory held, used or not.
func (t *Table) Bytes() int64 {
	words := cap(t.slots) + cap(t.hashes) + cap(t.offs) + cap(t.dirty) + cap(t.probe)
	return int64(words)*8 + int64(cap(t.keys))
}

// Reset forgets all keys and keeps the memory, unless it was far more than needed, or memory is scarce.
func (t *Table) Reset() {
	if len(t.slots) > slotsMin && len(t.hashes) < len(t.slots)/shrinkRatio || t.Mem.Short() {
		t.Free()
		return
	}
	if len(t.offs) == 0 {
		return
	}
	clear(t.slots)
	t.hashes, t.offs, t.keys, t.dirty = t.hashes[:0], t.offs[:1], t.keys[:0], t.dirty[:0]
}

// Free forgets all keys and gives the memory back.
func (t *Table) Free() {
	b := &t.blocks
	b.slots.Free()
	b.hashes.Free()
	b.offs.Free()
	b.keys.Free()
	*t = Table{Mem: t.Mem}
}

// Rows are keys in bulk: key i is Buf[Off[i]:Off[i+1]], and Hash[i] its hash.
type Rows struct {
	Buf  []byte
	Off  []uint32
	Hash []uint64
}

// FindOrAdd appends to gids the number of the key of each row that sel lists, adding keys that are new, and marks them
// dirty. Rows are read in two passes, so that the memory accesses of different rows overlap. On ErrFull the keys before the
// failing one have been added.
func (t *Table) FindOrAdd(r Rows, sel []uint32, gids []uint32) ([]uint32, error) {
	t.reserve(len(sel))
	if t.Mem.Short() {
		t.claim(r, sel)
	}
	t.touch(r, sel)
	mask := uint64(len(t.slots) - 1)
	for n, i := range sel {
		h := r.Hash[i]
		key := r.Buf[r.Off[i]:r.Off[i+1]]
		at, slot := h&mask, t.probe[n]
		if slot == 0 {
			slot = t.slots[at] // an earlier row of this call may have filled it
		}
		for {
			if slot == 0 {
				gid, err := t.add(key, h, at)
				if err != nil {
					return gids, err
				}
				gids = append(gids, gid)
				break
			}
			if uint32(slot>>32) == uint32(h) {
				gid := uint32(slot) - 1
				if bytes.Equal(t.Key(gid), key) {
					t.dirty.Mark(gid)
					gids = append(gids, gid)
					break
				}
			}
			at = (at + 1) & mask
			slot = t.slots[at]
		}
	}
	return gids, nil
}

// touch loads the first slot of every row, and then the place of the key it names.
func (t *Table) touch(r Rows, sel []uint32) {
	t.probe = t.probe[:0]
	mask := uint64(len(t.slots) - 1)
	for _, i := range sel {
		t.probe = append(t.probe, t.slots[r.Hash[i]&mask])
	}
	if len(t.hashes) < touchKeysMin {
		return
	}
	sum := uint64(0)
	for _, slot := range t.probe {
		if slot != 0 {
			sum += t.offs[uint32(slot)-1]
		}
	}
	t.sum = sum
}

// claim brings in what touch and a comparison with a row's key read.
func (t *Table) claim(r Rows, sel []uint32) {
	mask := uint64(len(t.slots) - 1)
	for _, i := range sel {
		at := r.Hash[i] & mask
		arena.Claim(t.slots, int(at))
		if slot := t.slots[at]; slot != 0 {
			gid := int(uint32(slot)) - 1
			arena.Claim(t.offs, gid)
			if off := int(t.offs[gid]); off < len(t.keys) {
				arena.Claim(t.keys, off)
			}
		}
	}
}

// claimKeys brings in the keys of some of many.
func (t *Table) claimKeys(gids []uint32) {
	for i, gid := range gids {
		if i%claimsEvery == 0 {
			t.Mem.Relieve()
		}
		arena.Claim(t.offs, int(gid))
		if off := int(t.offs[gid]); off < len(t.keys) {
			arena.Claim(t.keys, off)
		}
	}
}

// claimsEvery is after how many claims memory is looked after.
const claimsEvery = 1 << 10

// touchKeysMin is the number of keys from which reading the key places ahead pays: below, they are in the cache.
const touchKeysMin = 1 << 13

// Find returns the number of a key, false when the table does not have it.
func (t *Table) Find(key []byte, hash uint64) (gid uint32, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for at := hash & mask; t.slots[at] != 0; at = (at + 1) & mask {
		slot := t.slots[at]
		if uint32(slot>>32) == uint32(hash) && bytes.Equal(t.Key(uint32(slot)-1), key) {
			return uint32(slot) - 1, true
		}
	}
	return 0, false
}

// add gives a new key, whose place is at, the next number.
func (t *Table) add(key []byte, hash, at uint64) (uint32, error) {
	if len(t.hashes) >= KeysMax {
		return 0, ErrFull
	}
	gid := uint32(len(t.hashes))
	t.keys = arena.Append(t.Mem, &t.blocks.keys, t.keys, key...)
	t.offs = arena.Append(t.Mem, &t.blocks.offs, t.offs, uint64(len(t.keys)))
	t.hashes = arena.Append(t.Mem, &t.blocks.hashes, t.hashes, hash)
	t.dirty.Room(int(gid) + 1)
	t.dirty.Mark(gid)
	t.slots[at] = hash<<32 | uint64(gid+1)
	return gid, nil
}

// Reserve makes room for n more keys of so many bytes together, so that the table need not grow while they are added.
func (t *Table) Reserve(n, size int) {
	if n = min(n, KeysMax-len(t.hashes)); n <= 0 {
		return
	}
	t.reserve(n)
	t.keys = arena.Grow(t.Mem, &t.blocks.keys, t.keys, len(t.keys)+size)
	t.hashes = arena.Grow(t.Mem, &t.blocks.hashes, t.hashes, len(t.hashes)+n)
	t.offs = arena.Grow(t.Mem, &t.blocks.offs, t.offs, len(t.offs)+n)
}

// reserve makes places for n more keys, at most three quarters of them full.
func (t *Table) reserve(n int) {
	if len(t.offs) == 0 {
		t.offs = append(t.offs, 0)
	}
	need := (len(t.hashes) + n) * 4 / 3
	if need < len(t.slots) {
		return
	}
	size := max(len(t.slots), slotsMin)
	for size <= need {
		size *= 2
	}
	t.slots = growSlots(t.Mem, &t.blocks.slots, t.slots, size)
}

// growSlots returns size places with what lies in old: in the order of the places, which is nearly that of the new ones, so that
// memory is read and written in runs.
func growSlots(mem *arena.Part, b *arena.Block, old []uint64, size int) []uint64 {
	was := *b
	*b = arena.Block{}
	slots := arena.Make[uint64](mem, b, size)
	mask := uint64(size - 1)
	for i, slot := range old {
		if i%relieveEvery == 0 {
			mem.Relieve()
		}
		if slot == 0 {
			continue
		}
		at := slot >> 32 & mask
		for slots[at] != 0 {
			at = (at + 1) & mask
		}
		slots[at] = slot
	}
	was.Free()
	return slots
}

// relieveEvery is after how many places of a table that grows memory is looked after.
const relieveEvery = 1 << 16

// DirtyLen returns how many keys were found or added since ClearDirty.
func (t *Table) DirtyLen() int { return t.dirty.Len() }

// Dirty appends the numbers of the keys found or added since ClearDirty, ascending.
func (t *Table) Dirty(dst []uint32) []uint32 { return t.dirty.Append(dst) }

// ClearDirty starts a new round of Dirty.
func (t *Table) ClearDirty() { clear(t.dirty) }

// MarkAll makes all keys dirty.
func (t *Table) MarkAll() { t.dirty.MarkAll(len(t.hashes)) }

// TakeDirty appends what Dirty would, up to about most numbers, and makes those clean.
func (t *Table) TakeDirty(dst []uint32, most int) []uint32 { return t.dirty.Take(dst, most) }
