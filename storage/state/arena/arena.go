// Package arena owns memory for state without pointers that lies outside the Go heap: the garbage collector does not look at it, it
// grows without being copied, and when the process has more memory than its budget, parts of it move to a file while their addresses
// stay the same. From then on they are in memory only where they are used. What lies in it is the caller's: the package knows bytes.
//
// A Pool is the memory of a server, an Arena the part of one goroutine (a worker), a Part what one operator has of that. Memory is had
// by Grow and Make and freed by Free; a Block that is forgotten is freed when the garbage collector finds it. A nil *Part stands for
// the Go heap, and where the system cannot do what is needed (anything but Linux) all memory comes from there.
package arena

import (
	"os"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	// chunkBytes is what moves to the file at a time. Addresses of chunks are multiples of it.
	chunkBytes = 2 << 20
	// leastBytes is the size below which memory comes from the Go heap.
	leastBytes = 32 << 10
	// relieveMost is what one call of Relieve moves to the file, for the goroutine stands still meanwhile.
	relieveMost = 16 << 20
	// fewBytes is how much of a chunk must be in memory to make moving it to the file worth while.
	fewBytes = 128 << 10
	// pageMost is the size of the system's pages up to which a chunk has enough of them for all this to be of use.
	pageMost = chunkBytes / 8
)

// pageBytes is the size of the system's pages, which does not change.
var pageBytes = os.Getpagesize()

// Arena is the memory of one goroutine: it alone writes to what it has and calls what is said to be the owner's; others may read what they
// were handed, and free it. Addresses change only where a Block grows, or is freed.
type Arena struct {
	pool *Pool
	// want is how many bytes are to leave memory at the next occasion.
	want atomic.Int64
	// mapped are the bytes that spans have.
	mapped atomic.Int64

	mu    sync.Mutex
	spans []*span
	look  []byte // scratch of pages.resident
	// hand is where the clock stands: a span, and a chunk of it.
	hand, chunk int
	// rooms are, by class, the spans cut into pieces that have a free one.
	rooms [classes][]*span
}

// span is a run of addresses: one large block, or pieces of one class.
type span struct {
	arena *Arena
	base  unsafe.Pointer
	bytes int // a multiple of chunkBytes
	// at is its place in the arena's list.
	at int
	// slots are, by chunk, the place in the file plus 1; 0: it is not in the file.
	slots []int32
	// Of a span cut into pieces: their class, or -1; the free ones; and those that have been used before, by bit.
	class int
	free  []uint16
	used  [2]uint64
}

// Part is the memory of one operator: what is had by it is counted.
type Part struct {
	arena *Arena
	bytes atomic.Int64
}

// Part begins an account. That of a nil Arena is nil: the Go heap.
func (a *Arena) Part() *Part {
	if a == nil {
		return nil
	}
	return &Part{arena: a}
}

// Bytes is how much memory the part has, wherever it is.
func (p *Part) Bytes() int64 {
	if p == nil {
		return 0
	}
	return p.bytes.Load()
}

// Short is Part.Short.
func (a *Arena) Short() bool { return a != nil && a.pool.short.Load() }

// Short reports that memory is scarce: what is kept for reuse only is better given back. Cheap; the owner's.
func (p *Part) Short() bool { return p != nil && p.arena.Short() }

// Relieve is Arena.Relieve for those who write much at once; the owner's.
func (p *Part) Relieve() {
	if p != nil {
		p.arena.Relieve()
	}
}

// Block is who holds the memory behind a slice; the zero Block holds none. The memory is gone when the Block is freed or forgotten,
// so it lies beside its slice, and is not copied without it.
type Block struct{ h *handle }

// handle is what the garbage collector watches.
type handle struct {
	*held
	cleanup runtime.Cleanup
}

// held is a block's memory: a span, or a piece of one.
type held struct {
	part  *Part
	span  *span
	piece int
	bytes int
}

func (h *held) base() unsafe.Pointer {
	if h.span.class < 0 {
		return h.span.base
	}
	return unsafe.Add(h.span.base, h.piece*classBytes(h.span.class))
}

// Grow returns s with room for n elements at least, the same elements, and b as its holder; s may be of no block, or of b. It grows by a
// quarter at least. What is beyond the length of s is not zero. The owner's.
func Grow[T any](p *Part, b *Block, s []T, n int) []T {
	if n <= cap(s) {
		return s
	}
	size := int(unsafe.Sizeof(*new(T)))
	n = max(n, cap(s)+cap(s)/4, min(2*cap(s), chunkBytes/size))
	if p == nil || n*size < leastBytes {
		return append(make([]T, 0, n), s...)
	}
	if !flat[T]() {
		panic("arena: elements have pointers")
	}
	old := unsafe.Pointer(unsafe.SliceData(s))
	to := p.grow(b, old, len(s)*size, n*size)
	if to == nil {
		return append(make([]T, 0, n), s...)
	}
	return unsafe.Slice((*T)(to), b.h.bytes/size)[:len(s)]
}

// Make returns n zeros, and b as their holder, instead of what it held. The owner's.
func Make[T any](p *Part, b *Block, n int) []T {
	b.Free()
	size := int(unsafe.Sizeof(*new(T)))
	if p == nil || n*size < leastBytes {
		return make([]T, n)
	}
	if !flat[T]() {
		panic("arena: elements have pointers")
	}
	fresh, to := p.alloc(b, n*size)
	if to == nil {
		return make([]T, n)
	}
	s := unsafe.Slice((*T)(to), n)
	if !fresh {
		clear(s)
	}
	return s
}

// Append appends to a slice whose memory b holds. The owner's.
func Append[T any](p *Part, b *Block, s []T, v ...T) []T {
	if len(s)+len(v) > cap(s) {
		s = Grow(p, b, s, len(s)+len(v))
	}
	return append(s, v...)
}

// Words is how many of the words that Carve is given it takes for s.
func Words[T any](s []T) int { return (len(s)*int(unsafe.Sizeof(*new(T))) + 7) / 8 }

// Carve copies s to the beginning of room, and returns the copy, which has no room to grow, and the rest of room: for those who keep many
// small slices in one block.
func Carve[T any](room []uint64, s []T) (moved []T, rest []uint64) {
	n := Words(s)
	if n == 0 {
		return nil, room
	}
	if !flat[T]() {
		panic("arena: elements have pointers")
	}
	moved = unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(room[:n]))), len(s))
	copy(moved, s)
	return moved, room[n:]
}

// flat reports that values of T hold no pointers.
func flat[T any]() bool { return isFlat(reflect.TypeFor[T]()) }

func isFlat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16,
		reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return true
	case reflect.Array:
		return isFlat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !isFlat(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return false
}

// Free gives the memory back, if there is any. Slices of it must not be used any more. Anybody's.
func (b *Block) Free() {
	if b.h == nil {
		return
	}
	b.h.cleanup.Stop()
	b.h.free()
	b.h = nil
}

// Evict takes what the block holds out of memory, as far as the file has it; it comes back when it is asked for. For those who go through
// much that they will not come back to, and are not its owner, whose Relieve would do it. Anybody's who may read.
func (b *Block) Evict() {
	if b.h != nil {
		b.h.span.arena.evict(b.h.held)
	}
}

func (a *Arena) evict(h *held) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := h.span; s.class >= 0 {
		s.evictPiece(h.piece)
		return
	}
	for i, slot := range h.span.slots {
		if slot != 0 {
			dropPages(h.span.chunkAt(i), chunkBytes)
		}
	}
}

// grow gives b at least n bytes, the first used of which are those of old.
func (p *Part) grow(b *Block, old unsafe.Pointer, used, n int) unsafe.Pointer {
	if h := b.h; h != nil && used > 0 && old != h.base() {
		b.Free() // the slice has left the block
	}
	if h := b.h; h != nil && h.span.class < 0 && n > h.bytes {
		if n = roundUp(n, chunkBytes); p.arena.extend(h.span, n) {
			p.had(int64(n - h.bytes))
			h.bytes = n
			return h.span.base
		}
	}
	was := *b
	b.h = nil
	_, to := p.alloc(b, n)
	if to == nil {
		*b = was // its memory is given back when the Block is: the slice goes to the heap
		return nil
	}
	copy(unsafe.Slice((*byte)(to), used), unsafe.Slice((*byte)(old), used))
	was.Free()
	return to
}

// alloc gives b, which holds nothing, n bytes; fresh: they are zero. nil where the system has none.
func (p *Part) alloc(b *Block, n int) (fresh bool, to unsafe.Pointer) {
	h := &held{part: p}
	fresh, ok := p.arena.alloc(h, n)
	if !ok {
		return false, nil
	}
	p.had(int64(h.bytes))
	b.h = &handle{held: h}
	b.h.cleanup = runtime.AddCleanup(b.h, (*held).free, h)
	return fresh, h.base()
}

func (h *held) free() {
	h.part.bytes.Add(-int64(h.bytes))
	h.span.arena.free(h)
}

// had counts what was had. Where there is no room for it, as much leaves memory.
func (p *Part) had(n int64) {
	p.bytes.Add(n)
	a := p.arena
	if a.pool.room.Add(-n) < 0 {
		a.pool.short.Store(true)
		a.want.Add(n)
	}
	a.Relieve()
}

func (a *Arena) alloc(h *held, n int) (fresh, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	class := classOf(n)
	if class >= 0 {
		return a.allocPiece(h, class)
	}
	h.span = a.newSpan(roundUp(n, chunkBytes), -1)
	if h.span == nil {
		return false, false
	}
	h.bytes = h.span.bytes
	return true, true
}

// newSpan maps zeros; nil where the system has none. Called with mu held.
func (a *Arena) newSpan(n, class int) *span {
	base := mapZeros(n, class >= 0)
	if base == nil {
		return nil
	}
	s := &span{arena: a, base: base, bytes: n, at: len(a.spans), slots: make([]int32, n/chunkBytes), class: class}
	a.spans = append(a.spans, s)
	a.grew(int64(n))
	return s
}

// extend makes a large span longer, at another address; false where that cannot be.
func (a *Arena) extend(s *span, n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	base := mapZeros(n, false)
	if base == nil {
		return false
	}
	for i := range s.slots {
		to, from := unsafe.Add(base, i*chunkBytes), s.chunkAt(i)
		if moveChunk(to, from) {
			continue
		}
		// The process has as many mappings as it may have.
		copy(unsafe.Slice((*byte)(to), chunkBytes), unsafe.Slice((*byte)(from), chunkBytes))
		unmap(from, chunkBytes)
		a.leaveFile(s, i)
	}
	a.grew(int64(n - s.bytes))
	s.base, s.bytes = base, n
	s.slots = append(s.slots, make([]int32, n/chunkBytes-len(s.slots))...)
	return true
}

func (s *span) chunkAt(i int) unsafe.Pointer { return unsafe.Add(s.base, i*chunkBytes) }

// leaveFile gives up a chunk's place in the file, if it has one. Called with mu held.
func (a *Arena) leaveFile(s *span, i int) {
	if s.slots[i] != 0 {
		a.pool.file.free(int(s.slots[i] - 1))
		s.slots[i] = 0
	}
}

// grew counts what is mapped.
func (a *Arena) grew(n int64) {
	a.mapped.Add(n)
	a.pool.mapped.Add(n)
}

func (a *Arena) free(h *held) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := h.span; s.class < 0 || a.freePiece(s, h.piece) {
		a.drop(s)
	}
}

// drop unmaps a span. Called with mu held.
func (a *Arena) drop(s *span) {
	unmap(s.base, s.bytes)
	for i := range s.slots {
		a.leaveFile(s, i)
	}
	a.grew(-int64(s.bytes))
	last := len(a.spans) - 1
	a.spans[s.at] = a.spans[last]
	a.spans[s.at].at = s.at
	a.spans[last] = nil
	a.spans = a.spans[:last]
	s.base, s.slots = nil, nil
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }
