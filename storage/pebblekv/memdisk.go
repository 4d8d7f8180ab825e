package pebblekv

import (
	randv2 "math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// MemDisk is a disk in memory for tests, to give to Options.FS. It loses what was not synced when the power goes, and calls a hook before each
// call that a disk can fail. It is safe for concurrent use.
type MemDisk struct {
	vfs.FS
	mem  *vfs.MemFS
	hook atomic.Pointer[Hook]

	mu sync.Mutex
	// lost are files, by name, of which a sync failed: the system has forgotten what was to be synced, and further syncs claim success. They are
	// well again when something is written to a place.
	lost map[string]bool
}

// Hook is called before a call: what is done, such as "sync", to which file. When it returns an error the call fails with it: a write has
// then written half, everything else has done nothing.
type Hook func(what, name string) error

// NewMemDisk returns an empty disk.
func NewMemDisk() *MemDisk {
	mem := vfs.NewCrashableMem()
	return &MemDisk{FS: mem, mem: mem, lost: map[string]bool{}}
}

// NewRealDisk is the machine's own disk, with the hook alone: Crash is not for it.
func NewRealDisk() *MemDisk { return &MemDisk{FS: vfs.Default, lost: map[string]bool{}} }

// SetHook has hook called from now on; nil: none.
func (d *MemDisk) SetHook(hook Hook) {
	if hook == nil {
		d.hook.Store(nil)
		return
	}
	d.hook.Store(&hook)
}

// Crash returns the disk as it is found after losing power now: nothing that was not synced, when rnd is nil, else a random part of it. The
// disk itself goes on unharmed.
func (d *MemDisk) Crash(rnd *randv2.Rand) *MemDisk {
	cfg := vfs.CrashCloneCfg{}
	if rnd != nil {
		cfg = vfs.CrashCloneCfg{UnsyncedDataPercent: 1 + rnd.IntN(99), RNG: rnd}
	}
	mem := d.mem.CrashClone(cfg)
	return &MemDisk{FS: mem, mem: mem, lost: map[string]bool{}}
}

func (d *MemDisk) call(what, name string) error {
	if h := d.hook.Load(); h != nil {
		return (*h)(what, name)
	}
	return nil
}

func (d *MemDisk) file(what, name string, open func() (vfs.File, error)) (vfs.File, error) {
	if err := d.call(what, name); err != nil {
		return nil, err
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	return &memDiskFile{File: f, d: d, name: name}, nil
}

// Create implements vfs.FS.
func (d *MemDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	d.setLost(name, false)
	return d.file("create", name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

// Open implements vfs.FS.
func (d *MemDisk) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	return d.file("open", name, func() (vfs.File, error) { return d.FS.Open(name, o...) })
}

// OpenReadWrite implements vfs.FS.
func (d *MemDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.file("open", name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, o...) })
}

// OpenDir implements vfs.FS.
func (d *MemDisk) OpenDir(name string) (vfs.File, error) {
	return d.file("open", name, func() (vfs.File, error) { return d.FS.OpenDir(name) })
}

// Link implements vfs.FS.
func (d *MemDisk) Link(from, to string) error {
	if err := d.call("link", to); err != nil {
		return err
	}
	return d.FS.Link(from, to)
}

// Rename implements vfs.FS.
func (d *MemDisk) Rename(from, to string) error {
	if err := d.call("rename", to); err != nil {
		return err
	}
	return d.FS.Rename(from, to)
}

// ReuseForWrite implements vfs.FS.
func (d *MemDisk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Rename(from, to); err != nil {
		return nil, err
	}
	return d.OpenReadWrite(to, c)
}

// Remove implements vfs.FS.
func (d *MemDisk) Remove(name string) error {
	if err := d.call("remove", name); err != nil {
		return err
	}
	return d.FS.Remove(name)
}

// List implements vfs.FS.
func (d *MemDisk) List(dir string) ([]string, error) {
	if err := d.call("list", dir); err != nil {
		return nil, err
	}
	return d.FS.List(dir)
}

func (d *MemDisk) setLost(name string, lost bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if lost {
		d.lost[filepath.Clean(name)] = true
	} else {
		delete(d.lost, filepath.Clean(name))
	}
}

func (d *MemDisk) isLost(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost[filepath.Clean(name)]
}

type memDiskFile struct {
	vfs.File
	d     *MemDisk
	name  string
	dirty bool
}

func (f *memDiskFile) Write(p []byte) (int, error) {
	err := f.d.call("write", f.name)
	if err != nil {
		p = p[:len(p)/2]
	}
	f.dirty = true
	n, writeErr := f.File.Write(p)
	if err == nil {
		err = writeErr
	}
	return n, err
}

func (f *memDiskFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.d.call("write", f.name); err != nil {
		return 0, err
	}
	f.d.setLost(f.name, false)
	f.dirty = true
	return f.File.WriteAt(p, off)
}

func (f *memDiskFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.d.call("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *memDiskFile) Read(p []byte) (int, error) {
	if err := f.d.call("read", f.name); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *memDiskFile) Sync() error {
	if err := f.d.call("sync", f.name); err != nil {
		if f.dirty {
			f.d.setLost(f.name, true)
		}
		return err
	}
	if f.d.isLost(f.name) {
		return nil
	}
	f.dirty = false
	return f.File.Sync()
}

func (f *memDiskFile) SyncData() error { return f.Sync() }

// SyncTo implements vfs.File: it promises nothing.
func (f *memDiskFile) SyncTo(int64) (bool, error) { return false, nil }
