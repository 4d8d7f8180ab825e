package state

// Live is an Index that remembers which keys were touched: for state that ends key by key, where a Table is for state that is
// dropped whole. The zero Live is ready for use. One goroutine uses it at a time.
type Live struct {
	Index
	// dirty are the numbers of the keys touched since ClearDirty.
	dirty Dirty
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
	t.dirty.Room(t.ids)
	for _, gid := range gids[from:] {
		t.dirty.Mark(gid)
	}
	return gids, err
}

// Remove forgets a key. Its number may come back from the next FindOrAdd.
func (t *Live) Remove(gid uint32) {
	t.dirty.Clean(gid)
	t.Index.Remove(gid)
}

// Mark makes a key dirty.
func (t *Live) Mark(gid uint32) { t.dirty.Mark(gid) }

// MarkAll makes all keys dirty.
func (t *Live) MarkAll() { t.Each(t.Mark) }

// Dirty appends the numbers of the keys found, added or marked since ClearDirty, ascending.
func (t *Live) Dirty(dst []uint32) []uint32 { return t.dirty.Append(dst) }

// DirtyLen returns how many keys Dirty would append.
func (t *Live) DirtyLen() int { return t.dirty.Len() }

// TakeDirty appends what Dirty would, up to about most numbers, and makes those clean.
func (t *Live) TakeDirty(dst []uint32, most int) []uint32 { return t.dirty.Take(dst, most) }

// ClearDirty starts a new round of Dirty.
func (t *Live) ClearDirty() { clear(t.dirty) }
