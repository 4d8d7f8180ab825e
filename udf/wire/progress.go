//go:build unix

package wire

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// State is what a worker is doing.
type State uint64

// The states. Setting up is not counted against the row budget of a function.
const (
	Idle State = iota
	Rows
	SettingUp
)

// Progress is a word of memory that both processes see: how many rows the worker has begun since it started, and its
// state. It costs one store per row, and outlives a worker that crashes, so the row to blame is known.
type Progress struct {
	page []byte
	word *atomic.Uint64
}

// progressSize is one page.
const progressSize = 4096

// OpenProgress maps the word that file holds. The server passes a new file, the worker the descriptor it inherited.
func OpenProgress(f *os.File) (*Progress, error) {
	page, err := unix.Mmap(int(f.Fd()), 0, progressSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the progress page: %w", err)
	}
	if len(page) < 8 || uintptr(unsafe.Pointer(&page[0]))%8 != 0 {
		return nil, fmt.Errorf("progress page of %d bytes is not usable", len(page))
	}
	return &Progress{page, (*atomic.Uint64)(unsafe.Pointer(&page[0]))}, nil
}

// NewProgress makes a file for OpenProgress to map.
func NewProgress() (*os.File, error) {
	f, err := sharedFile()
	if err != nil {
		return nil, fmt.Errorf("make the progress page: %w", err)
	}
	if err := f.Truncate(progressSize); err != nil {
		f.Close()
		return nil, fmt.Errorf("make the progress page: %w", err)
	}
	return f, nil
}

// Close unmaps the word; nobody may use it any more.
func (p *Progress) Close() error { return unix.Munmap(p.page) }

// Load returns the number of rows begun, and the state.
func (p *Progress) Load() (rows uint64, s State) {
	w := p.word.Load()
	return w >> 2, State(w & 3)
}

// Store sets both.
func (p *Progress) Store(rows uint64, s State) { p.word.Store(rows<<2 | uint64(s)) }
