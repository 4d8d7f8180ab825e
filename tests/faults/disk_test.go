package faults

import (
	"math/rand"
	randv2 "math/rand/v2"
	"strings"

	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/storage/pebblekv"
)

// disk is the disk of a server: the store's part and the event logs'. Its hook is called before each call that can fail; when that
// returns an error the call fails.
type disk struct {
	kv   *pebblekv.MemDisk
	log  *eventlog.MemFS
	hook func(what, name string) error
}

func newDisk() *disk {
	return (&disk{kv: pebblekv.NewMemDisk(), log: eventlog.NewMemFS()}).ready()
}

func (d *disk) ready() *disk {
	d.kv.SetHook(func(what, name string) error {
		if strings.HasSuffix(name, "LOCK") || name == "." || strings.HasPrefix(name, "/") {
			return nil // before there is a store
		}
		return d.call("kv "+what, name)
	})
	return d
}

func (d *disk) call(what, name string) error {
	if d.hook == nil {
		return nil
	}
	return d.hook(what, name)
}

// crash is the disk as it is found after losing power now; with rnd, some of what was not synced is there. The store first: what an epoch
// names was synced in a log before it.
func (d *disk) crash(rnd *randv2.Rand) *disk {
	c := &disk{kv: d.kv.Crash(rnd)}
	if rnd == nil {
		c.log = d.log.Crash(nil)
	} else {
		c.log = d.log.Crash(rand.New(rand.NewSource(rnd.Int64())))
	}
	return c.ready()
}

// logFS is the event logs' part.
type logFS struct {
	eventlog.FS
	d *disk
}

func (f logFS) file(what, name string, open func(string) (eventlog.File, error)) (eventlog.File, error) {
	if err := f.d.call("log "+what, name); err != nil {
		return nil, err
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	return &logFile{File: file, d: f.d, name: name}, nil
}

func (f logFS) Create(name string) (eventlog.File, error) {
	return f.file("create", name, f.FS.Create)
}
func (f logFS) Open(name string) (eventlog.File, error) { return f.file("open", name, f.FS.Open) }
func (f logFS) OpenRead(name string) (eventlog.File, error) {
	return f.file("open", name, f.FS.OpenRead)
}

func (f logFS) List(dir string) ([]string, error) {
	if err := f.d.call("log list", dir); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

func (f logFS) MkdirAll(dir string) error {
	if err := f.d.call("log mkdir", dir); err != nil {
		return err
	}
	return f.FS.MkdirAll(dir)
}

func (f logFS) Link(from, to string) error {
	if err := f.d.call("log link", to); err != nil {
		return err
	}
	return f.FS.Link(from, to)
}

func (f logFS) Remove(name string) error {
	if err := f.d.call("log remove", name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f logFS) Rename(from, to string) error {
	if err := f.d.call("log rename", to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f logFS) SyncDir(dir string) error {
	if err := f.d.call("log sync", dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

type logFile struct {
	eventlog.File
	d    *disk
	name string
	// lost: a sync failed. The system has forgotten what was to be synced, and claims that further syncs succeed.
	lost bool
}

func (f *logFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.d.call("log read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *logFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.d.call("log write", f.name); err != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], off)
		return n, err
	}
	return f.File.WriteAt(p, off)
}

func (f *logFile) Sync() error {
	if err := f.d.call("log sync", f.name); err != nil {
		f.lost = true
		return err
	}
	if f.lost {
		return nil
	}
	return f.File.Sync()
}

func (f *logFile) Truncate(size int64) error {
	if err := f.d.call("log truncate", f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}
