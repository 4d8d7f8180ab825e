package arena

import (
	"math/bits"
	"slices"
	"unsafe"
)

// Blocks of less than half a chunk or so are pieces of a chunk. There are four classes for each power of two, from leastBytes up to
// chunkBytes/2.
const (
	classes    = 4*5 + 1
	leastShift = 15
)

// classBytes is the size of the pieces of a class: a multiple of 4 KiB. Where the system's pages are larger, pieces share them.
func classBytes(class int) int {
	step := class / 4
	return leastBytes<<step + (class%4)*leastBytes<<step/4
}

// classOf is the class of the least pieces that have n bytes, -1: of none.
func classOf(n int) int {
	if n > chunkBytes/2 {
		return -1
	}
	n = max(n, leastBytes)
	step := bits.Len(uint(n-1)) - 1 - leastShift
	if n == leastBytes {
		return 0
	}
	quarter := leastBytes << step / 4
	return 4*step + (n-leastBytes<<step+quarter-1)/quarter
}

// allocPiece takes a piece. Called with mu held.
func (a *Arena) allocPiece(h *held, class int) (fresh, ok bool) {
	rooms := a.rooms[class]
	if len(rooms) == 0 {
		s := a.newSpan(chunkBytes, class)
		if s == nil {
			return false, false
		}
		for i := chunkBytes/classBytes(class) - 1; i >= 0; i-- {
			s.free = append(s.free, uint16(i))
		}
		rooms = append(rooms, s)
	}
	s := rooms[len(rooms)-1]
	last := len(s.free) - 1
	h.span, h.piece, h.bytes = s, int(s.free[last]), classBytes(class)
	if s.free = s.free[:last]; last == 0 {
		rooms = rooms[:len(rooms)-1]
	}
	a.rooms[class] = rooms
	used := &s.used[h.piece>>6]
	fresh = *used&(1<<(h.piece&63)) == 0
	*used |= 1 << (h.piece & 63)
	return fresh, true
}

// empty reports that all pieces of a span are free. Called with mu held.
func (s *span) empty() bool { return s.class >= 0 && len(s.free) == chunkBytes/classBytes(s.class) }

// evictPiece takes the pages that are a piece's alone out of memory, if the file has them. Called with mu held.
func (s *span) evictPiece(piece int) {
	if s.slots[0] == 0 {
		return
	}
	from, to := roundUp(piece*classBytes(s.class), pageBytes), (piece+1)*classBytes(s.class)/pageBytes*pageBytes
	if from < to {
		dropPages(unsafe.Add(s.base, from), to-from)
	}
}

// freePiece gives a piece back, and tells whether its span is not needed any more. Called with mu held.
func (a *Arena) freePiece(s *span, piece int) bool {
	rooms := a.rooms[s.class]
	if len(s.free) == 0 {
		rooms = append(rooms, s)
	}
	s.free = append(s.free, uint16(piece))
	s.evictPiece(piece) // what nobody reads any more is not to wait for the clock's hand
	if s.empty() && (len(rooms) > 1 || s.slots[0] != 0) {
		at := slices.Index(rooms, s)
		rooms = slices.Delete(rooms, at, at+1)
		a.rooms[s.class] = rooms
		return true
	}
	a.rooms[s.class] = rooms
	return false
}
