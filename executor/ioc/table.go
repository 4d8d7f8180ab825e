package ioc

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"

	cuckoo "github.com/seiflotfy/cuckoofilter"
)

// table is an exact set of byte strings behind a cuckoo filter, built once and read-only after. The values lie in one
// arena and the slots hold no pointers, so that millions of entries cost the garbage collector nothing.
//
// The filter only spares most misses the look-up in the big table: its false positives (about 2 %) end there. It is never
// changed once built - a delete of a key it does not hold would take another's fingerprint - and is fed with keyed hashes,
// so that nobody can choose values that collide in it.
type table struct {
	n      int
	filter *cuckoo.Filter
	mask   uint64
	slots  []slot
	arena  []byte
	// infos are the different things known of entries, "" first; most entries of a feed share theirs.
	infos [][]byte
}

// entry is a value and what is known of it.
type entry struct {
	value string
	info  []byte
}

// slot locates a value: uvarint length, bytes and uvarint place in infos at off-1 in the arena; off 0 is free. tag is the high half of its hash.
type slot struct {
	off uint32
	tag uint32
}

// filterLoadMax is how full a filter may get: it loses keys silently from 0.95 on.
const filterLoadMax = 0.80

var seed = maphash.MakeSeed()

func hashOf(v []byte) uint64 { return maphash.Bytes(seed, v) }

// newTable builds a table of entries with distinct values; of duplicates the first stays.
func newTable(entries []entry) *table {
	size := 0
	for _, e := range entries {
		size += len(e.value) + 2*binary.MaxVarintLen16
	}
	slots := 1 << bits.Len(uint(len(entries)*3/2|7))
	t := &table{mask: uint64(slots - 1), slots: make([]slot, slots), arena: make([]byte, 0, size), infos: [][]byte{nil}}
	hashes := make([]uint64, 0, len(entries))
	ids := map[string]uint64{"": 0}
	for _, e := range entries {
		id, ok := ids[string(e.info)]
		if !ok {
			id = uint64(len(t.infos))
			ids[string(e.info)] = id
			t.infos = append(t.infos, e.info)
		}
		if h, ok := t.insert(e.value, id); ok {
			hashes = append(hashes, h)
		}
	}
	t.filter = newFilter(hashes)
	return t
}

func (t *table) insert(v string, info uint64) (uint64, bool) {
	key := []byte(v)
	h := hashOf(key)
	i := h & t.mask
	for t.slots[i].off != 0 {
		if t.slots[i].tag == uint32(h>>32) && bytes.Equal(t.value(t.slots[i]), key) {
			return h, false
		}
		i = (i + 1) & t.mask
	}
	t.slots[i] = slot{off: uint32(len(t.arena)) + 1, tag: uint32(h >> 32)}
	t.arena = binary.AppendUvarint(t.arena, uint64(len(key)))
	t.arena = append(t.arena, key...)
	t.arena = binary.AppendUvarint(t.arena, info)
	t.n++
	return h, true
}

// newFilter builds a filter over hashes; an insertion that fails would have evicted somebody, so it starts over, bigger.
func newFilter(hashes []uint64) *cuckoo.Filter {
	capacity := uint(float64(len(hashes))/filterLoadMax) + 64
	for {
		if f := tryFilter(hashes, capacity); f != nil {
			return f
		}
		capacity *= 2
	}
}

func tryFilter(hashes []uint64, capacity uint) *cuckoo.Filter {
	f := cuckoo.NewFilter(capacity)
	var key [8]byte
	for _, h := range hashes {
		binary.LittleEndian.PutUint64(key[:], h)
		if !f.Insert(key[:]) {
			return nil
		}
	}
	return f
}

func (t *table) value(s slot) []byte {
	rest := t.arena[s.off-1:]
	n, w := binary.Uvarint(rest)
	return rest[w : w+int(n)]
}

// known is what is known of the value at a slot.
func (t *table) known(s slot) []byte {
	rest := t.arena[s.off-1:]
	n, w := binary.Uvarint(rest)
	id, _ := binary.Uvarint(rest[w+int(n):])
	return t.infos[id]
}

// has says exactly whether v, whose hash is h, is in the table.
func (t *table) has(v []byte, h uint64) bool {
	_, ok := t.find(v, h)
	return ok
}

// get is what is known of v, if it is in the table.
func (t *table) get(v []byte, h uint64) ([]byte, bool) {
	s, ok := t.find(v, h)
	if !ok {
		return nil, false
	}
	return t.known(s), true
}

func (t *table) find(v []byte, h uint64) (slot, bool) {
	if t.n == 0 {
		return slot{}, false
	}
	var key [8]byte
	binary.LittleEndian.PutUint64(key[:], h)
	if !t.filter.Lookup(key[:]) {
		return slot{}, false
	}
	for i := h & t.mask; t.slots[i].off != 0; i = (i + 1) & t.mask {
		if s := t.slots[i]; s.tag == uint32(h>>32) && bytes.Equal(t.value(s), v) {
			return s, true
		}
	}
	return slot{}, false
}

func (t *table) each(fn func(v, info []byte)) {
	for _, s := range t.slots {
		if s.off != 0 {
			fn(t.value(s), t.known(s))
		}
	}
}

func (t *table) filterBytes() int64 { return int64(len(t.filter.Encode())) }
