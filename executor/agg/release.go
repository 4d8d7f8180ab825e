package agg

import "github.com/vigil-sql/vigil/storage/state/arena"

// Flat reports that the states of a kernel are words only, of a fixed number: merging two costs a few instructions, and
// emptying one needs nothing but zeros.
func Flat(k Kernel) bool {
	switch k.(type) {
	case countRows, countValues, sumInt, sumInterval, sumFloat, extremeInt, extremeFloat, boolFold, spreadFloat,
		bitsFold, bitXor, countPairs, regr:
		return true
	}
	return false
}

// Sure reports that no row makes Update of a kernel fail, whatever its values and whatever came before.
func Sure(k Kernel) bool {
	if _, script := ScriptOf(k); script {
		return false
	}
	_, distinct := k.(distinctRows) // fails at billions of values, when there is no memory left
	return distinct || Flat(k)
}

// Release empties the state of a group, so that its number can be given to another one. What the state held on the heap is
// garbage then, which is collected in time.
func (s *Slab) Release(gid uint32) {
	from := int(gid) * s.Stride
	words := s.Words[from : from+s.Stride]
	for _, set := range s.Heap.sets {
		if head := words[set.off+1]; head != 0 {
			set.release(uint32(head))
			words[set.off], words[set.off+1] = 0, 0
			if set.dead > setDeadMin && set.dead > len(set.entries)/2 {
				set.compact(s)
			}
		}
	}
	if len(s.Heap.buf) > 0 {
		for i := range words {
			if s.owns(from + i) {
				s.freeBlock(from + i)
			}
		}
	}
	clear(words)
}

// owns reports that word w points at a block that names it as its owner. A number that happens to look so does no harm: the
// heap only thinks that it has more garbage than it has.
func (s *Slab) owns(w int) bool {
	at := s.Words[w] - 1 // wraps around for 0
	if at > uint64(len(s.Heap.buf)) || uint64(len(s.Heap.buf))-at < blockHeader {
		return false
	}
	owner, size, used := s.header(int(at))
	return owner == uint64(w) && used <= size && uint64(size) <= uint64(len(s.Heap.buf))-at-blockHeader
}

const (
	// noGroup is the group of entries that belong to none any more.
	noGroup = 1<<32 - 1
	// setDeadMin is the number of dead entries below which compaction does not pay.
	setDeadMin = 1024
)

// release gives up the entries of a group, whose chain starts at head.
func (s *set) release(head uint32) {
	for e := head; e != 0; {
		entry := &s.entries[e-1]
		entry.gid = noGroup
		s.dead++
		e = entry.next
	}
}

// compact moves the living entries together. Chains go from newer to older entries, so that they can be tied anew in one
// pass.
func (s *set) compact(slab *Slab) {
	var block arena.Block
	to := arena.Make[uint32](s.mem, &block, len(s.entries))
	for i := range s.entries {
		if i%setRelieve == 0 {
			s.mem.Relieve()
		}
		if g := s.entries[i].gid; g != noGroup {
			slab.Words[slab.word(s.off, g)+1] = 0
		}
	}
	kept, end := 0, uint64(0)
	for i := range s.entries {
		if i%setRelieve == 0 {
			s.mem.Relieve()
		}
		e := s.entries[i]
		if e.gid == noGroup {
			continue
		}
		value := s.value(uint32(i))
		head := &slab.Words[slab.word(s.off, e.gid)+1]
		e.at, e.next = end, uint32(*head)
		copy(s.values[end:], value)
		end += uint64(len(value))
		s.entries[kept] = e
		kept++
		to[i], *head = uint32(kept), uint64(kept)
	}
	s.entries, s.values, s.dead = s.entries[:kept], s.values[:end], 0
	s.refill(len(s.slots), to)
	block.Free()
}

// Exact reports that a kernel is flat and that its states merge in any order and grouping to the same words.
func Exact(k Kernel) bool {
	switch k.(type) {
	case sumFloat, spreadFloat, regr:
		return false
	}
	return Flat(k)
}
