package state

import "math/bits"

// Live is an Index that remembers which keys were touched: for state that ends key by key, where a Table is for state that is
// dropped whole. The zero Live is ready for use. One goroutine uses it at a time.
type Live struct {
	Index
	// dirty are the numbers of the keys touched since ClearDirty, by bit.
	dirty []uint64
}

// Free forgets all keys and gives the memory back.
func (t *Live) Free() {
	t.Index.Free()
	t.dirty = nil
}

// Bytes returns the memory held, used or not.
func (t *Live) Bytes() int64 { return t.Index.Bytes() + int64(cap(t.dirty))*8 }

// FindOrAdd appends to gids the number of the key of each row that sel lists, adding keys that are new, and marks them
// dirty. What is kept beside a new number may be that of a removed key. On ErrFull the keys before the failing one have been
// added.
func (t *Live) FindOrAdd(r Rows, sel []uint32, gids []uint32) ([]uint32, error) {
	from := len(gids)
	gids, err := t.Index.FindOrAdd(r, sel, gids)
	for len(t.dirty)*64 < t.ids {
		t.dirty = append(t.dirty, 0)
	}
	for _, gid := range gids[from:] {
		t.dirty[gid>>6] |= 1 << (gid & 63)
	}
	return gids, err
}

// Remove forgets a key. Its number may come back from the next FindOrAdd.
func (t *Live) Remove(gid uint32) {
	t.dirty[gid>>6] &^= 1 << (gid & 63)
	t.Index.Remove(gid)
}

// Mark makes a key dirty.
func (t *Live) Mark(gid uint32) { t.dirty[gid>>6] |= 1 << (gid & 63) }

// MarkAll makes all keys dirty.
func (t *Live) MarkAll() { t.Each(t.Mark) }

// Dirty appends the numbers of the keys found, added or marked since ClearDirty, ascending.
func (t *Live) Dirty(dst []uint32) []uint32 {
	for i, w := range t.dirty {
		for ; w != 0; w &= w - 1 {
			dst = append(dst, uint32(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return dst
}

// DirtyLen returns how many keys Dirty would append.
func (t *Live) DirtyLen() int {
	n := 0
	for _, w := range t.dirty {
		n += bits.OnesCount64(w)
	}
	return n
}

// TakeDirty appends what Dirty would, up to about most numbers, and makes those clean.
func (t *Live) TakeDirty(dst []uint32, most int) []uint32 {
	for i, w := range t.dirty {
		if most <= 0 {
			break
		}
		most -= bits.OnesCount64(w)
		for ; w != 0; w &= w - 1 {
			dst = append(dst, uint32(i<<6+bits.TrailingZeros64(w)))
		}
		t.dirty[i] = 0
	}
	return dst
}

// ClearDirty starts a new round of Dirty.
func (t *Live) ClearDirty() { clear(t.dirty) }
