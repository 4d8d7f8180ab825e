package arena

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// able: state can be moved to a file.
const able = true

// mapZeros maps n bytes of zeros at a multiple of chunkBytes; nil where the system refuses. sparse: not all of it will be used, so that
// it is not to be had in pages of megabytes.
func mapZeros(n int, sparse bool) unsafe.Pointer {
	const flags = unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_NORESERVE
	base, err := unix.MmapPtr(-1, 0, nil, uintptr(n+chunkBytes), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return nil
	}
	head := int(-uintptr(base) & (chunkBytes - 1))
	if head > 0 {
		unmap(base, head)
	}
	at := unsafe.Add(base, head)
	unmap(unsafe.Add(at, n), chunkBytes-head)
	if sparse {
		advise(at, n, unix.MADV_NOHUGEPAGE)
	}
	return at
}

// unmap gives memory back to the system, which cannot refuse to take it but by a bug here.
func unmap(at unsafe.Pointer, n int) {
	if err := unix.MunmapPtr(at, uintptr(n)); err != nil {
		panic("arena: munmap: " + err.Error())
	}
}

func advise(at unsafe.Pointer, n, advice int) {
	_ = unix.Madvise(unsafe.Slice((*byte)(at), n), advice) // advice is advice
}

// moveChunk makes the memory at from be at to. Where it returns false, all is as it was.
func moveChunk(to, from unsafe.Pointer) bool {
	const flags = unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED
	if _, err := unix.MremapPtr(from, chunkBytes, to, chunkBytes, flags); err == nil {
		return true
	}
	const anon = unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_NORESERVE | unix.MAP_FIXED
	if _, err := unix.MmapPtr(-1, 0, to, chunkBytes, unix.PROT_READ|unix.PROT_WRITE, anon); err != nil {
		panic("arena: mmap: " + err.Error())
	}
	return false
}

// dropPages takes the pages of a chunk that is mapped from the file, or of a part of one, out of the process. The system's cache has them until they are
// written, and as long as there is room.
func dropPages(at unsafe.Pointer, n int) { advise(at, n, unix.MADV_DONTNEED) }

// mapFile maps a chunk of the file at an address in place of what is there.
func mapFile(at unsafe.Pointer, f *os.File, off int64) error {
	const flags = unix.MAP_SHARED | unix.MAP_FIXED
	_, err := unix.MmapPtr(int(f.Fd()), off, at, chunkBytes, unix.PROT_READ|unix.PROT_WRITE, flags)
	if err == nil {
		advise(at, chunkBytes, unix.MADV_NOHUGEPAGE) // a page that is asked for is not to bring megabytes with it
	}
	return err
}

// openUnnamed makes a file that is gone with the process.
func openUnnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), "state of "+dir), nil
	}
	f, err := os.CreateTemp(dir, "state-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// reserve makes sure that a chunk of the file has room on the disk.
func reserve(f *os.File, off int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, off, chunkBytes)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// punch gives the room of a chunk of the file back.
func punch(f *os.File, off int64) {
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, chunkBytes) // kept, if not
}

// pages tells which pages are in memory.
type pages struct {
	mu sync.RWMutex
	f  *os.File // nil: the system does not tell
}

func openPages() *pages {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return &pages{}
	}
	return &pages{f: f}
}

// resident is how many pages of a chunk are in the process's memory; all of them where the system does not tell.
func (p *pages) resident(at unsafe.Pointer, buf []byte) int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.f == nil {
		return chunkBytes / pageBytes
	}
	if _, err := p.f.ReadAt(buf, int64(uintptr(at)/uintptr(pageBytes))*8); err != nil {
		return chunkBytes / pageBytes
	}
	n := 0
	for ; len(buf) > 0; buf = buf[8:] {
		n += int(binary.NativeEndian.Uint64(buf) >> 63)
	}
	return n
}

func (p *pages) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.f != nil {
		_ = p.f.Close()
		p.f = nil
	}
}

// Resident is how much memory the process has, that of files it has mapped included, bytes; false where the system does not tell.
func Resident() (int64, bool) {
	var buf [256]byte
	fd, err := unix.Open("/proc/self/statm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	n, err := unix.Read(fd, buf[:])
	_ = unix.Close(fd)
	if err != nil {
		return 0, false
	}
	field, value := 0, int64(0)
	for _, c := range buf[:max(n, 0)] {
		if c == ' ' {
			if field == 1 {
				break
			}
			field, value = field+1, 0
			continue
		}
		value = value*10 + int64(c-'0')
	}
	return value * int64(os.Getpagesize()), field == 1
}
