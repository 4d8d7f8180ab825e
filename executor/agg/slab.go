package agg

import "github.com/vigil-sql/vigil/storage/state/arena"

// Layout places the states of several aggregates into one group: the offset of each, and the words of a group.
func Layout(kernels []Kernel) (offs []int, stride int) {
	offs = make([]int, len(kernels))
	for i, k := range kernels {
		offs[i] = stride
		stride += k.Words()
	}
	return offs, stride
}

// Grow makes sure that groups 0 to n-1 exist; new ones are zeroed.
func (s *Slab) Grow(n int) {
	need, have := n*s.Stride, len(s.Words)
	if need <= have {
		return
	}
	if s.Mem == nil && need > cap(s.Words) {
		words := make([]uint64, need, max(need, 2*cap(s.Words)))
		copy(words, s.Words)
		s.Words = words
		return
	}
	s.Words = arena.Grow(s.Mem, &s.holder, s.Words, need)
	s.Words = s.Words[:need]
	clear(s.Words[have:])
}

// Reset drops all groups and keeps the memory for the next ones, unless memory is scarce.
func (s *Slab) Reset() {
	if s.Mem.Short() {
		s.Free()
		return
	}
	s.Words = s.Words[:0]
	s.Heap.reset()
}

// Claim brings the states of groups into memory, while memory is scarce: they are about to be updated. What they point at comes in when it is
// gone to, see header.
func (s *Slab) Claim(gids []uint32) {
	if !s.Mem.Short() {
		return
	}
	for _, g := range gids {
		if at := int(g) * s.Stride; at < len(s.Words) {
			arena.Claim(s.Words, at)
		}
	}
}

// Free drops all groups and gives the memory back.
func (s *Slab) Free() {
	s.holder.Free()
	s.Heap.holder.Free()
	for _, set := range s.Heap.sets {
		set.freeMemory()
	}
	*s = Slab{Stride: s.Stride, Mem: s.Mem}
}

// Bytes returns the memory held, used or not.
func (s *Slab) Bytes() int64 { return int64(cap(s.Words))*8 + s.Heap.bytes() }

// word returns the place of a group's state.
func (s *Slab) word(off int, gid uint32) int { return int(gid)*s.Stride + off }
