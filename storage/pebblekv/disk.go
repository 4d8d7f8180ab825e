package pebblekv

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// waitFS is a file system whose calls wait and try again, as waiter says. What Pebble hands to it is what it cannot do without.
type waitFS struct {
	vfs.FS
	w *waiter
}

// Unwrap implements vfs.FS.
func (f waitFS) Unwrap() vfs.FS { return f.FS }

// file is what open gives, whose calls wait too.
func (f waitFS) file(name string, open func() (vfs.File, error)) (*waitFile, error) {
	file := &waitFile{name: name, w: f.w}
	err := f.w.retry(name, func() (err error) { file.File, err = open(); return err })
	return file, err
}

// written is file for one that is written from its beginning on.
func (f waitFS) written(name string, open func() (vfs.File, error)) (vfs.File, error) {
	file := &waitFile{name: name, w: f.w}
	err := f.w.must(name, func() (err error) { file.File, err = open(); return err })
	switch {
	case err != nil:
		return nil, err
	case f.w.covers(name):
		return &journal{waitFile: file, fs: f.FS}, nil
	}
	return file, nil
}

// Create implements vfs.FS.
func (f waitFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(filepath.Base(name), "marker.") && f.w.covers(name) {
		// It will name a file that was made before it: no disk may have the one name without the other.
		if err := f.syncDir(filepath.Dir(name)); err != nil {
			return nil, err
		}
	}
	return f.written(name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

// ReuseForWrite implements vfs.FS, in two steps, since what is half done cannot be done again.
func (f waitFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.Rename(from, to); err != nil {
		return nil, err
	}
	return f.written(to, func() (vfs.File, error) { return f.FS.OpenReadWrite(to, c) })
}

// OpenReadWrite implements vfs.FS.
func (f waitFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.read(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

// Open implements vfs.FS.
func (f waitFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	return f.read(name, func() (vfs.File, error) { return f.FS.Open(name, o...) })
}

func (f waitFS) read(name string, open func() (vfs.File, error)) (vfs.File, error) {
	file, err := f.file(name, open)
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (f waitFS) syncDir(name string) error {
	dir, err := f.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// OpenDir implements vfs.FS.
func (f waitFS) OpenDir(name string) (vfs.File, error) {
	var dir vfs.File
	err := f.w.retry(name, func() (err error) { dir, err = f.FS.OpenDir(name); return err })
	if err != nil {
		return nil, err
	}
	return &waitDir{dir, name, f.w}, nil
}

// List implements vfs.FS.
func (f waitFS) List(dir string) (names []string, err error) {
	err = f.w.retry(dir, func() (err error) { names, err = f.FS.List(dir); return err })
	return names, err
}

// Stat implements vfs.FS.
func (f waitFS) Stat(name string) (info vfs.FileInfo, err error) {
	err = f.w.retry(name, func() (err error) { info, err = f.FS.Stat(name); return err })
	return info, err
}

// MkdirAll implements vfs.FS.
func (f waitFS) MkdirAll(dir string, perm fs.FileMode) error {
	return f.w.retry(dir, func() error { return f.FS.MkdirAll(dir, perm) })
}

// again is a call that can be made again: when it was done and failed all the same, it says done the next time.
func again(done error, call func() error) func() error {
	first := true
	return func() error {
		err := call()
		if !first && errors.Is(err, done) {
			return nil
		}
		first = false
		return err
	}
}

// Link implements vfs.FS.
func (f waitFS) Link(from, to string) error {
	return f.w.must(to, again(fs.ErrExist, func() error { return f.FS.Link(from, to) }))
}

// Rename implements vfs.FS.
func (f waitFS) Rename(from, to string) error {
	return f.w.must(to, again(fs.ErrNotExist, func() error { return f.FS.Rename(from, to) }))
}

// Remove implements vfs.FS.
func (f waitFS) Remove(name string) error {
	return f.w.retry(name, again(fs.ErrNotExist, func() error { return f.FS.Remove(name) }))
}

type waitFile struct {
	vfs.File
	name string
	w    *waiter
}

// Write implements vfs.File. What was taken of p is not written again.
func (f *waitFile) Write(p []byte) (int, error) {
	done := 0
	err := f.w.must(f.name, func() error {
		n, err := f.File.Write(p[done:])
		done += n
		return err
	})
	return done, err
}

// WriteAt implements vfs.File.
func (f *waitFile) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	err := f.w.must(f.name, func() error {
		n, err := f.File.WriteAt(p[done:], off+int64(done))
		done += n
		return err
	})
	return done, err
}

// ReadAt implements vfs.File.
func (f *waitFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.w.retry(f.name, func() (err error) { n, err = f.File.ReadAt(p, off); return err })
	return n, err
}

// Read implements vfs.File.
func (f *waitFile) Read(p []byte) (n int, err error) {
	err = f.w.retry(f.name, func() (err error) {
		n, err = f.File.Read(p)
		if n > 0 && err != io.EOF {
			err = nil // what comes next tells
		}
		return err
	})
	return n, err
}

// Stat implements vfs.File.
func (f *waitFile) Stat() (info vfs.FileInfo, err error) {
	err = f.w.retry(f.name, func() (err error) { info, err = f.File.Stat(); return err })
	return info, err
}

// Preallocate implements vfs.File. It only saves time, so a disk that is full or fails is no reason to wait for it.
func (f *waitFile) Preallocate(off, length int64) error {
	if err := f.File.Preallocate(off, length); !isFull(err) && !isTransient(err) {
		return err
	}
	return nil
}

// SyncTo implements vfs.File. It promises nothing, so that it need not be taken for the end.
func (f *waitFile) SyncTo(length int64) (bool, error) {
	all, err := f.File.SyncTo(length)
	if !all && (isFull(err) || isTransient(err)) {
		return false, nil
	}
	return all, err
}

// waitDir is an open directory. A file system whose names cannot be written takes nothing more, so that a later success of a sync is true.
type waitDir struct {
	vfs.File
	name string
	w    *waiter
}

// Sync implements vfs.File.
func (d *waitDir) Sync() error {
	return d.w.must(d.name, func() error { return d.w.health.timed(d.File.Sync) })
}

const (
	// unsyncedMax is how much a file holds in memory before it syncs by itself.
	unsyncedMax = 8 << 20
	// unsyncedChunk is the memory that is taken for that at a time.
	unsyncedChunk = 128 << 10
)

// unsynced are bytes of a file, one behind the other in chunks: tables are written by the gigabyte, and new memory for each of them would
// cost more than to copy them.
type unsynced struct {
	chunks []*[unsyncedChunk]byte
	size   int
}

var unsyncedChunks = sync.Pool{New: func() any { return new([unsyncedChunk]byte) }}

// add appends a copy of p.
func (u *unsynced) add(p []byte) {
	for len(p) > 0 {
		at := u.size % unsyncedChunk
		if u.size == len(u.chunks)*unsyncedChunk {
			u.chunks = append(u.chunks, unsyncedChunks.Get().(*[unsyncedChunk]byte))
		}
		n := copy(u.chunks[u.size/unsyncedChunk][at:], p)
		u.size, p = u.size+n, p[n:]
	}
}

// cut leaves the first size bytes. Of their chunks one is kept in any case: what syncs little syncs often.
func (u *unsynced) cut(size int) {
	u.size = size
	for keep := max(1, (size+unsyncedChunk-1)/unsyncedChunk); len(u.chunks) > keep; {
		last := len(u.chunks) - 1
		unsyncedChunks.Put(u.chunks[last])
		u.chunks[last] = nil
		u.chunks = u.chunks[:last]
	}
}

// free gives all memory back; the bytes are gone.
func (u *unsynced) free() {
	u.cut(0)
	for _, c := range u.chunks {
		unsyncedChunks.Put(c)
	}
	*u = unsynced{}
}

// bytes is a copy.
func (u *unsynced) bytes() []byte {
	out := make([]byte, 0, u.size)
	for _, c := range u.chunks {
		out = append(out, c[:min(unsyncedChunk, u.size-len(out))]...)
	}
	return out
}

// journal is a file that is being written, and keeps what is not known to be on disk. After a failed sync the system may have forgotten it, and
// a second sync may claim success; so all of it is written again, through another descriptor, and that is synced. Pebble takes a failed sync of its
// log or its manifest for the end, and does not always survive that of a table. One goroutine calls it at a time.
type journal struct {
	*waitFile
	fs vfs.FS
	// unsynced was written from offset off on.
	unsynced unsynced
	off      int64
}

// Write implements vfs.File.
func (f *journal) Write(p []byte) (int, error) {
	// The file may change p.
	at := f.unsynced.size
	f.unsynced.add(p)
	n, err := f.waitFile.Write(p)
	f.unsynced.cut(at + n)
	if err == nil && f.unsynced.size >= unsyncedMax {
		err = f.SyncData()
	}
	return n, err
}

// Sync implements vfs.File.
func (f *journal) Sync() error { return f.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *journal) SyncData() error { return f.sync(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *journal) SyncTo(length int64) (bool, error) {
	all, err := f.waitFile.SyncTo(length)
	if all && err != nil {
		return true, f.SyncData()
	}
	return all, err
}

// Close implements vfs.File. Of a file whose content is on disk it has nothing to say.
func (f *journal) Close() error {
	lost := f.unsynced.size > 0
	f.unsynced.free()
	if err := f.File.Close(); lost || !isTransient(err) {
		return err
	}
	return nil
}

func (f *journal) sync(sync func() error) error {
	call := sync
	err := f.w.must(f.name, func() error {
		err := f.w.health.timed(call)
		call = f.rewrite
		return err
	})
	if err == nil {
		f.off += int64(f.unsynced.size)
		f.unsynced.cut(0)
	}
	return err
}

// rewrite writes again what may be lost, and syncs it.
func (f *journal) rewrite() (err error) {
	again, err := f.fs.OpenReadWrite(f.name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, again.Close()) }()
	if f.unsynced.size > 0 {
		// The file may change what it is given.
		if _, err := again.WriteAt(f.unsynced.bytes(), f.off); err != nil {
			return err
		}
	}
	return again.Sync()
}
