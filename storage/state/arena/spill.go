package arena

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Relieve moves memory out, as far as there is too much: chunks that are not in the file go there, pages of others are dropped from memory;
// the file has them. The owner's, at any time: no address changes, and nothing is lost. It costs next to nothing while memory is
// not scarce, and else a question to the system.
func (a *Arena) Relieve() {
	if a == nil || !a.pool.short.Load() && a.want.Load() <= 0 {
		return
	}
	if a.pool.short.Load() {
		if over := a.pool.over(a.pool.measure(a.pool)); over > 0 {
			a.want.Store(max(a.want.Load(), a.pool.share(a, over)))
		}
	}
	left := a.want.Swap(0)
	if left <= 0 {
		return
	}
	done := a.sweep(left, relieveMost)
	if rest := left - done; done > 0 && rest > 0 {
		a.want.Add(rest)
	}
}

// Claim brings the page of an element into memory, alone, to be written to. Reading it first would bring its neighbours along, as far as the
// system has them, and be slower when it is written to later. For those who are about to go to many elements while Short; the owner's.
func Claim[T any](s []T, i int) {
	atomic.AddUint32((*uint32)(unsafe.Pointer(uintptr(unsafe.Pointer(&s[i]))&^3)), 0)
}

// sweep makes the clock's hand go once round at most, until so many bytes have left memory, but not more than so many by moving chunks to
// the file; it returns how many have. Only the owner may move chunks: meanwhile nobody writes to them.
func (a *Arena) sweep(most, moves int64) (done int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := 0
	for _, s := range a.spans {
		all += len(s.slots)
	}
	for ; all > 0 && done < most; all-- {
		if a.hand >= len(a.spans) {
			a.hand, a.chunk = 0, 0
		}
		s := a.spans[a.hand]
		if a.chunk < len(s.slots) {
			was := s.slots[a.chunk]
			n := a.push(s, a.chunk, moves > 0)
			if done += n; was == 0 {
				moves -= n
			}
			a.chunk++
		}
		if a.chunk >= len(s.slots) {
			a.hand, a.chunk = a.hand+1, 0
		}
	}
	return done
}

// push makes a chunk leave memory, if it may be by moving it, and returns by how many bytes. Called with mu held.
func (a *Arena) push(s *span, i int, move bool) int64 {
	at, n := s.chunkAt(i), a.residentPages(s, i)
	switch {
	case s.slots[i] != 0 && n > 0:
		dropPages(at, chunkBytes)
	case s.slots[i] != 0 || !move || n*pageBytes < fewBytes:
		return 0
	case s.empty(): // its pages are nobody's
		dropPages(at, chunkBytes)
		s.used = [2]uint64{}
	default:
		slot, err := a.pool.file.move(at)
		a.pool.note(err)
		if err != nil {
			return 0
		}
		s.slots[i] = int32(slot + 1)
	}
	return int64(n) * int64(pageBytes)
}

// residentPages is how many pages of a chunk are in memory. Called with mu held.
func (a *Arena) residentPages(s *span, i int) int {
	if a.look == nil {
		a.look = make([]byte, chunkBytes/pageBytes*8)
	}
	return a.pool.pages.resident(s.chunkAt(i), a.look)
}

// file is where chunks are, in places of chunkBytes. It has no name, so that nothing of it is left after the process. Safe for concurrent
// use.
type file struct {
	dir string

	mu   sync.Mutex
	f    *os.File
	open []int // places that are free
	end  int   // places there have been
	used int64
	// hold is why nothing is moved at the moment.
	hold error
	done bool // nothing is moved any more
}

// move copies a chunk to the file and maps the file in its place.
func (f *file) move(at unsafe.Pointer) (slot int, err error) {
	if slot, err = f.place(); err != nil {
		return 0, err
	}
	if err = f.fill(at, slot); err != nil {
		f.free(slot)
		return 0, err
	}
	return slot, nil
}

func (f *file) fill(at unsafe.Pointer, slot int) error {
	// All of the room is reserved before: a page that the file had no room for would end the process when it is written to.
	if err := reserve(f.f, int64(slot)*chunkBytes); err != nil {
		return fmt.Errorf("reserve room for state in %s: %w", f.dir, err)
	}
	// Page by page: what is written at once the system keeps together, and brings all of it into memory when one page is asked for.
	for off := 0; off < chunkBytes; off += pageBytes {
		page := unsafe.Slice((*byte)(unsafe.Add(at, off)), pageBytes)
		if _, err := f.f.WriteAt(page, int64(slot)*chunkBytes+int64(off)); err != nil {
			return fmt.Errorf("write state to %s: %w", f.dir, err)
		}
	}
	if err := mapFile(at, f.f, int64(slot)*chunkBytes); err != nil {
		return fmt.Errorf("map state that was written to %s: %w", f.dir, err)
	}
	return nil
}

// place returns the number of a free place.
func (f *file) place() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return 0, os.ErrClosed
	}
	if f.hold != nil {
		return 0, f.hold
	}
	if f.f == nil {
		var err error
		if f.f, err = openUnnamed(f.dir); err != nil {
			return 0, fmt.Errorf("make a file for state in %s: %w", f.dir, err)
		}
	}
	f.used += chunkBytes
	if n := len(f.open); n > 0 {
		slot := f.open[n-1]
		f.open = f.open[:n-1]
		return slot, nil
	}
	f.end++
	return f.end - 1, nil
}

// free gives a place, and its room on the disk, back.
func (f *file) free(slot int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	punch(f.f, int64(slot)*chunkBytes)
	f.open = append(f.open, slot)
	f.used -= chunkBytes
}

func (f *file) setHold(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hold = why
}

func (f *file) bytes() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used
}

// close ends moving. What is in the file stays until it is unmapped.
func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done || f.f == nil {
		f.done = true
		return nil
	}
	f.done = true
	return f.f.Close()
}
