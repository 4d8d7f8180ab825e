package agg

import (
	"bytes"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// set holds the distinct values of all groups of one aggregate: an open-addressing table over (group, encoded value) in
// one run of bytes, and a chain through the values of each group, which starts at a word of the group's state.
type set struct {
	off     int      // the aggregate's offset within a group's state
	slots   []uint64 // upper half of the hash, by which it has its place, above entry+1; 0 is empty
	entries []setEntry
	values  []byte
	mem     *arena.Part
	blocks  struct{ slots, entries, values arena.Block }
	dead    int    // entries of released groups
	scratch []byte // a value under construction
	moved   []byte // a copy of a value
}

type setEntry struct {
	hash uint64
	at   uint64 // where the value starts in values; it ends where the next entry's starts
	gid  uint32
	next uint32 // the group's next entry + 1; 0 ends the chain
}

const (
	setSlotsMin   = 64
	setEntriesMax = 1<<32 - 2
)

// setAt returns the set of the aggregate at an offset.
func (s *Slab) setAt(off int) *set {
	h := &s.Heap
	for _, s := range h.sets {
		if s.off == off {
			return s
		}
	}
	made := &set{off: off, mem: s.Mem}
	h.sets = append(h.sets, made)
	return made
}

func (s *set) reset() {
	if len(s.slots) > setSlotsMin && len(s.entries) < len(s.slots)/32 {
		s.freeMemory()
		*s = set{off: s.off, mem: s.mem}
		return
	}
	clear(s.slots)
	s.entries, s.values, s.dead = s.entries[:0], s.values[:0], 0
}

// freeMemory gives the memory back; the set is not used any more.
func (s *set) freeMemory() {
	s.blocks.slots.Free()
	s.blocks.entries.Free()
	s.blocks.values.Free()
}

func (s *set) bytes() int64 {
	return int64(cap(s.slots))*8 + int64(cap(s.entries))*24 + int64(cap(s.values))
}

// value returns the encoded value of an entry.
func (s *set) value(e uint32) []byte {
	end := uint64(len(s.values))
	if int(e)+1 < len(s.entries) {
		end = s.entries[e+1].at
	}
	return s.values[s.entries[e].at:end]
}

// add puts a value into a group whose chain starts at *head; it reports whether the value is new there.
func (s *set) add(gid uint32, value []byte, head *uint64) (bool, error) {
	if (len(s.entries)+1)*4 > len(s.slots)*3 {
		s.grow()
	}
	hash := batch.HashKey(value) ^ uint64(gid+1)*0x9e3779b97f4a7c15
	hash ^= hash >> 29
	mask := uint64(len(s.slots) - 1)
	at := hash >> 32 & mask
	if s.mem.Short() {
		arena.Claim(s.slots, int(at))
	}
	for ; s.slots[at] != 0; at = (at + 1) & mask {
		if (s.slots[at]^hash)>>32 != 0 {
			continue
		}
		e := uint32(s.slots[at]) - 1
		if s.entries[e].gid == gid && bytes.Equal(s.value(e), value) {
			return false, nil
		}
	}
	if len(s.entries) >= setEntriesMax {
		return false, sqlerr.New(sqlerr.ProgramLimitExceeded, "too many distinct values in an aggregate")
	}
	e := uint32(len(s.entries))
	if len(s.values)+len(value) > cap(s.values) { // the value may be one of those that move
		s.moved = append(s.moved[:0], value...)
		value = s.moved
	}
	s.entries = arena.Append(s.mem, &s.blocks.entries, s.entries, setEntry{hash: hash, at: uint64(len(s.values)), gid: gid, next: uint32(*head)})
	s.values = arena.Append(s.mem, &s.blocks.values, s.values, value...)
	s.slots[at] = hash>>32<<32 | uint64(e+1)
	*head = uint64(e + 1)
	return true, nil
}

func (s *set) grow() { s.refill(max(2*len(s.slots), setSlotsMin), nil) }

// setRelieve is after how many places memory is looked after.
const setRelieve = 1 << 16

// refill makes a table of so many places, which are enough, in the order of the places that there were: so memory is read and written in runs.
// to says which number an entry has now, by its number, and 1 more, 0 for those that have gone; nil: the same as before.
func (s *set) refill(size int, to []uint32) {
	old, was := s.slots, s.blocks.slots
	s.blocks.slots = arena.Block{}
	slots := arena.Make[uint64](s.mem, &s.blocks.slots, size)
	mask := uint64(size - 1)
	for i, slot := range old {
		if i%setRelieve == 0 {
			s.mem.Relieve()
		}
		if slot == 0 {
			continue
		}
		if to != nil {
			now := to[uint32(slot)-1]
			if now == 0 {
				continue
			}
			slot = slot>>32<<32 | uint64(now)
		}
		at := slot >> 32 & mask
		for slots[at] != 0 {
			at = (at + 1) & mask
		}
		slots[at] = slot
	}
	was.Free()
	s.slots = slots
}
