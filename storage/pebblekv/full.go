package pebblekv

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fullPause is the time between two attempts to write to a disk that is full.
const fullPause = 100 * time.Millisecond

// waiter makes writes to the data directory wait while its disk is full: Pebble takes a failed write for the end, but one that
// only lasts goes on as if nothing had been. Writes elsewhere fail as they do.
type waiter struct {
	dir     string
	log     *slog.Logger // may be nil
	pause   time.Duration
	waiting atomic.Int64
	// stop ends the waiting: writes fail then.
	stop chan struct{}
	once sync.Once
}

func newWaiter(dir string, log *slog.Logger) *waiter {
	return &waiter{dir: filepath.Clean(dir), log: log, pause: fullPause, stop: make(chan struct{})}
}

func (w *waiter) giveUp() { w.once.Do(func() { close(w.stop) }) }

// retry calls write until it gives another error than that the disk is full, or the waiting is ended.
func (w *waiter) retry(name string, write func() error) error {
	err := write()
	if !isFull(err) || !w.covers(name) {
		return err
	}
	if w.waiting.Add(1) == 1 && w.log != nil {
		w.log.Error("the disk is full: writes wait until there is room", "file", name, "error", err)
	}
	defer w.waiting.Add(-1)
	for isFull(err) {
		select {
		case <-time.After(w.pause):
		case <-w.stop:
			return err
		}
		err = write()
	}
	return err
}

func (w *waiter) covers(name string) bool {
	return name == w.dir || strings.HasPrefix(name, w.dir+string(filepath.Separator))
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// waitFS is a file system whose writes wait.
type waitFS struct {
	vfs.FS
	w *waiter
}

// Unwrap implements vfs.FS.
func (f waitFS) Unwrap() vfs.FS { return f.FS }

// file is what open gives, whose writes wait too.
func (f waitFS) file(name string, open func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	err := f.w.retry(name, func() (err error) { file, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return &waitFile{File: file, name: name, w: f.w}, nil
}

// Create implements vfs.FS.
func (f waitFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (f waitFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite implements vfs.FS.
func (f waitFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(to, func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

// Link implements vfs.FS.
func (f waitFS) Link(from, to string) error {
	return f.w.retry(to, func() error { return f.FS.Link(from, to) })
}

// Rename implements vfs.FS.
func (f waitFS) Rename(from, to string) error {
	return f.w.retry(to, func() error { return f.FS.Rename(from, to) })
}

type waitFile struct {
	vfs.File
	name string
	w    *waiter
}

// Write implements vfs.File. What a full disk took of p is not written again.
func (f *waitFile) Write(p []byte) (int, error) {
	done := 0
	err := f.w.retry(f.name, func() error {
		n, err := f.File.Write(p[done:])
		done += n
		return err
	})
	return done, err
}

// WriteAt implements vfs.File.
func (f *waitFile) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	err := f.w.retry(f.name, func() error {
		n, err := f.File.WriteAt(p[done:], off+int64(done))
		done += n
		return err
	})
	return done, err
}

// Preallocate implements vfs.File. It only saves time, so a full disk is no reason to wait for it.
func (f *waitFile) Preallocate(off, length int64) error {
	if err := f.File.Preallocate(off, length); !isFull(err) {
		return err
	}
	return nil
}

// Waiting reports whether writes wait for room on the disk. Commits last as long as they do.
func (s *Store) Waiting() bool { return s.waiter.waiting.Load() > 0 }

// GiveUp makes writes that wait for room fail, now and from now on; the store cannot go on then.
func (s *Store) GiveUp() { s.waiter.giveUp() }
