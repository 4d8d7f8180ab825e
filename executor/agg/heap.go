package agg

import (
	"encoding/binary"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// Heap is the variable-sized side of a slab's states: blocks of bytes, each owned by one word of the slab, and the sets of
// distinct values. A block starts with a header that names its owner, so that the heap can be compacted without knowing
// the aggregates: a block is alive when its owner still points at it. Blocks lie where the slab's words do, and leave memory as these: a slice of one
// must not be used once another has been written.
type Heap struct {
	buf     []byte
	holder  arena.Block // of buf
	garbage int         // bytes of dead blocks, headers included
	sets    []*set
}

// A block is: index of the owning word (8 bytes), capacity (4), length (4), then capacity bytes. A word points at a block
// by its offset + 1; 0 is no block.
const blockHeader = 16

// BlockMax bounds the bytes of one state, in bytes: what string_agg, array_agg or a percentile may gather in a group.
const BlockMax = 16 << 20

// compactMin is the garbage, in bytes, below which compaction does not pay.
const compactMin = 64 << 10

// compactLook is after how many bytes of a heap that is compacted memory is looked after.
const compactLook = 256 << 10

func (h *Heap) reset() {
	h.buf, h.garbage = h.buf[:0], 0
	for _, s := range h.sets {
		s.reset()
	}
}

func (h *Heap) bytes() int64 {
	n := int64(cap(h.buf))
	for _, s := range h.sets {
		n += s.bytes()
	}
	return n
}

func (h *Heap) header(at int) (owner uint64, size, used int) {
	b := h.buf[at : at+blockHeader]
	return binary.LittleEndian.Uint64(b), int(binary.LittleEndian.Uint32(b[8:])), int(binary.LittleEndian.Uint32(b[12:]))
}

// header is Heap.header, for those who go to one block: while memory is scarce its page comes in alone, to be written to.
func (s *Slab) header(at int) (owner uint64, size, used int) {
	if s.Mem.Short() {
		arena.Claim(s.Heap.buf, at)
	}
	return s.Heap.header(at)
}

// block returns the bytes that word w points at, nil when it points at none; valid until the heap is next written to.
func (s *Slab) block(w int) []byte {
	if s.Words[w] == 0 {
		return nil
	}
	at := int(s.Words[w] - 1)
	_, _, used := s.header(at)
	return s.Heap.buf[at+blockHeader : at+blockHeader+used]
}

// setBlock makes word w point at a copy of b, which is not part of this heap.
func (s *Slab) setBlock(w int, b []byte) error {
	if err := s.roomFor(w, len(b)); err != nil {
		return err
	}
	at := int(s.Words[w] - 1)
	binary.LittleEndian.PutUint32(s.Heap.buf[at+12:], uint32(len(b)))
	copy(s.Heap.buf[at+blockHeader:], b)
	return nil
}

// appendBlock adds b, which is not part of this heap, to the bytes that word w points at.
func (s *Slab) appendBlock(w int, b []byte) error {
	used := len(s.block(w))
	if err := s.roomFor(w, used+len(b)); err != nil {
		return err
	}
	at := int(s.Words[w] - 1)
	binary.LittleEndian.PutUint32(s.Heap.buf[at+12:], uint32(used+len(b)))
	copy(s.Heap.buf[at+blockHeader+used:], b)
	return nil
}

// roomFor gives word w a block of at least n bytes that starts with the bytes it had.
func (s *Slab) roomFor(w, n int) error {
	if n > BlockMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "state of an aggregate exceeds the limit of %d bytes for one group", BlockMax).
			WithHint("Group by more columns, or aggregate over a shorter window.")
	}
	h := &s.Heap
	grown := n
	if s.Words[w] != 0 {
		_, size, _ := s.header(int(s.Words[w] - 1))
		if n <= size {
			return nil
		}
		grown = max(n, min(2*size, BlockMax))
	}
	if h.garbage > compactMin && h.garbage > len(h.buf)/2 {
		s.compact()
	}
	at := len(h.buf)
	end := at + blockHeader + grown
	h.buf = arena.Grow(s.Mem, &h.holder, h.buf, end)[:end]
	old := s.block(w)
	binary.LittleEndian.PutUint64(h.buf[at:], uint64(w))
	binary.LittleEndian.PutUint32(h.buf[at+8:], uint32(grown))
	binary.LittleEndian.PutUint32(h.buf[at+12:], uint32(len(old)))
	copy(h.buf[at+blockHeader:], old)
	if s.Words[w] != 0 {
		_, size, _ := s.header(int(s.Words[w] - 1))
		h.garbage += blockHeader + size
	}
	s.Words[w] = uint64(at + 1)
	return nil
}

// freeBlock makes word w point at nothing.
func (s *Slab) freeBlock(w int) {
	if s.Words[w] == 0 {
		return
	}
	_, size, _ := s.header(int(s.Words[w] - 1))
	s.Heap.garbage += blockHeader + size
	s.Words[w] = 0
}

// compact moves the living blocks together.
func (s *Slab) compact() {
	h := &s.Heap
	out, looked := 0, 0
	for at := 0; at < len(h.buf); {
		if at-looked >= compactLook {
			looked = at
			s.Mem.Relieve()
		}
		owner, size, _ := h.header(at)
		end := at + blockHeader + size
		if owner < uint64(len(s.Words)) && s.Words[owner] == uint64(at+1) {
			copy(h.buf[out:], h.buf[at:end])
			s.Words[owner] = uint64(out + 1)
			out += end - at
		}
		at = end
	}
	h.buf, h.garbage = h.buf[:out], 0
}
