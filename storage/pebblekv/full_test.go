package pebblekv

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// smallFS is a disk that can be full: a write takes half of what it is given, then none.
type smallFS struct {
	vfs.FS
	full *atomic.Bool
	// refused counts what a full disk refused, by what was tried.
	mu      sync.Mutex
	refused map[string]int
	// refusals gets one for each; somebody must take it.
	refusals chan struct{}
}

func (f *smallFS) check(what string) error {
	if !f.full.Load() {
		return nil
	}
	f.mu.Lock()
	f.refused[what]++
	f.mu.Unlock()
	f.refusals <- struct{}{}
	return &vfsError{what}
}

type vfsError struct{ what string }

func (e *vfsError) Error() string { return e.what + ": no space left on device" }
func (e *vfsError) Unwrap() error { return syscall.ENOSPC }

func (f *smallFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.check("create"); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return &smallFile{file, f}, err
}

func (f *smallFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.check("open"); err != nil {
		return nil, err
	}
	file, err := f.FS.OpenReadWrite(name, c, o...)
	return &smallFile{file, f}, err
}

func (f *smallFS) Rename(from, to string) error {
	if err := f.check("rename"); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

type smallFile struct {
	vfs.File
	fs *smallFS
}

func (f *smallFile) Write(p []byte) (int, error) {
	if err := f.fs.check("write"); err != nil {
		n := 0
		if len(p) > 1 {
			n, _ = f.File.Write(p[:len(p)/2])
		}
		return n, err
	}
	return f.File.Write(p)
}

// await waits until so much more was refused.
func (f *smallFS) await(n int) {
	for range n {
		<-f.refusals
	}
}

// TestFullDiskWaits: commits and flushes on a full disk last until there is room, and then nothing is lost and nothing is there twice.
func TestFullDiskWaits(t *testing.T) {
	disk := &smallFS{FS: vfs.NewMem(), full: &atomic.Bool{}, refused: map[string]int{}, refusals: make(chan struct{})}
	s, err := Open("data", Options{FS: disk, Hasty: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		disk.full.Store(true)
		done := make(chan error, 2)
		go func() {
			b := s.NewBatch()
			b.Set(fmt.Appendf(nil, "key %d", i), make([]byte, 1000))
			done <- b.Commit(true)
		}()
		if i%5 == 4 {
			disk.await(1) // the commit is under way
			go func() { done <- s.Flush() }()
		} else {
			done <- nil
		}
		disk.await(4)
		if len(done) == 2 || !s.Waiting() {
			t.Fatalf("commit %d did not wait", i)
		}
		if _, ok, err := s.Get([]byte("key 0")); !ok && i > 0 || err != nil {
			t.Fatalf("reading beside it: %v %v", ok, err)
		}
		disk.full.Store(false)
		for n := 0; n < 2; {
			select {
			case err := <-done:
				if n++; err != nil {
					t.Fatal(err)
				}
			case <-disk.refusals:
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open("data", Options{FS: disk}); err != nil {
		t.Fatal(err)
	}
	if up, _ := list(t, s, nil, nil); len(up) != 30 || s.Waiting() {
		t.Fatalf("%d keys are left", len(up))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if disk.refused["write"] < 30 {
		t.Fatalf("refused: %v; too little", disk.refused)
	}
}

// TestFullElsewhere: a backup to a disk that is full fails, and so do writes after GiveUp.
func TestFullElsewhere(t *testing.T) {
	w := newWaiter(filepath.Join("x", "data"), Options{})
	full := func() error { return syscall.ENOSPC }
	for _, name := range []string{"x/other/f", "x/data2/f", "x"} {
		if err := w.retry(name, full); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	w.giveUp()
	w.giveUp()
	if err := w.retry("x/data/f", full); err != syscall.ENOSPC || w.waiting.Load() != 0 {
		t.Error(err)
	}
}
