package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/vigil-sql/vigil/storage/state/arena"
)

// ranked is a key with eight of its bytes, big-endian, so that most comparisons need not visit their bytes.
type ranked struct {
	prefix uint64
	gid    uint32
}

// Sorter orders the keys of tables by their bytes; it keeps scratch between uses, unless memory is scarce. The zero Sorter is ready
// for use.
type Sorter struct {
	// Mem is where the scratch comes from; nil: the Go heap.
	Mem   *arena.Part
	items []ranked
	block arena.Block
}

// Sort appends all numbers of a table in the order of their keys' bytes.
func (s *Sorter) Sort(t *Table, dst []uint32) []uint32 {
	s.items = arena.Grow(s.Mem, &s.block, s.items[:0], t.Len())
	for gid := range t.Len() {
		s.items = append(s.items, ranked{gid: uint32(gid)})
	}
	return s.sort(t, dst)
}

// SortOf is Sort for some numbers of the table.
func (s *Sorter) SortOf(t *Table, gids, dst []uint32) []uint32 {
	s.items = arena.Grow(s.Mem, &s.block, s.items[:0], len(gids))
	if s.Mem.Short() && len(gids)*sparse < t.Len() {
		t.claimKeys(gids)
	}
	for _, gid := range gids {
		s.items = append(s.items, ranked{gid: gid})
	}
	return s.sort(t, dst)
}

func (s *Sorter) sort(t *Table, dst []uint32) []uint32 {
	t.sortFrom(s.items, 0)
	for i := range s.items {
		dst = append(dst, s.items[i].gid)
	}
	if s.Mem.Short() {
		s.Free()
	}
	return dst
}

// Free gives the scratch back.
func (s *Sorter) Free() {
	s.block.Free()
	s.items = nil
}

// Bytes returns the memory of the scratch.
func (s *Sorter) Bytes() int64 { return int64(cap(s.items)) * 16 }

// sparse is of how many keys one has to be asked for, at most, so that bringing in its neighbours with it would not pay.
const sparse = 16

// insertionMax is the size of a run below which whole keys are compared at once.
const insertionMax = 12

// sortFrom sorts keys that are equal up to byte depth. It recurses at most once for eight bytes of the longest common
// prefix.
func (t *Table) sortFrom(items []ranked, depth int) {
	depth += t.commonFrom(items, depth)
	for i := range items {
		t.breathe(i)
		items[i].prefix = prefixAt(t.Key(items[i].gid), depth)
	}
	slices.SortFunc(items, func(a, b ranked) int { return cmp.Compare(a.prefix, b.prefix) })
	for lo := 0; lo < len(items); {
		hi := lo + 1
		for hi < len(items) && items[hi].prefix == items[lo].prefix {
			hi++
		}
		if run := items[lo:hi]; len(run) > 1 {
			t.sortRun(run, depth)
		}
		lo = hi
	}
}

// breatheEvery is after how many keys those who read very many look after memory.
const breatheEvery = 1 << 12

// breathe lets keys that were read leave memory while that is scarce.
func (t *Table) breathe(i int) {
	if i%breatheEvery == breatheEvery-1 {
		t.Mem.Relieve()
	}
}

// commonFrom returns how many bytes from depth on all keys have in common.
func (t *Table) commonFrom(items []ranked, depth int) int {
	if len(items) == 0 {
		return 0
	}
	common := t.Key(items[0].gid)[depth:]
	for i := range items {
		if len(common) == 0 {
			break
		}
		t.breathe(i)
		key := t.Key(items[i].gid)[depth:]
		if len(key) >= len(common) && string(key[:len(common)]) == string(common) {
			continue
		}
		n := 0
		for n < min(len(key), len(common)) && key[n] == common[n] {
			n++
		}
		common = common[:n]
	}
	return len(common)
}

// sortRun sorts keys whose eight bytes from depth on are equal, where missing bytes count as zeros.
func (t *Table) sortRun(run []ranked, depth int) {
	long := true
	for i := range run {
		t.breathe(i)
		long = long && len(t.Key(run[i].gid)) >= depth+8
	}
	if long && len(run) > insertionMax && depth < depthMax {
		t.sortFrom(run, depth+8)
		return
	}
	slices.SortFunc(run, func(a, b ranked) int { return bytes.Compare(t.Key(a.gid), t.Key(b.gid)) })
}

// depthMax bounds the recursion: keys that agree on so many bytes are compared whole.
const depthMax = 4096

// prefixAt returns eight bytes of key from depth on, as a number that orders like them; missing bytes are zeros.
func prefixAt(key []byte, depth int) uint64 {
	if len(key) >= depth+8 {
		return binary.BigEndian.Uint64(key[depth:])
	}
	var b [8]byte
	if depth < len(key) {
		copy(b[:], key[depth:])
	}
	return binary.BigEndian.Uint64(b[:])
}
