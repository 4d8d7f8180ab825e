package eventlog

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand"
	"path/filepath"
	"sync"
	"syscall"
)

// ErrInjected is the error of a call that MemFS was told to fail.
var ErrInjected = errors.New("injected input/output error")

// MemFS is a disk in memory for tests. It is as unforgiving as a disk may be: what is not synced, bytes and names, can be lost
// by Crash; a call can be made to fail; and it can be full. It is safe for concurrent use.
type MemFS struct {
	mu    sync.Mutex
	files map[string]*memData
	names map[string]*memData // the names that are durable
	// failIn counts down to the call that fails; 0 is off.
	failIn int
	fired  bool
	// failing tells, bit by bit, which of the next calls fail.
	failing uint64
	// capacity in bytes, negative: unlimited.
	capacity int64
	used     int64
	noLinks  bool
	// Syncs counts File.Sync calls.
	syncs int64
}

// memData is the content of a file: data as processes see it, durable as a crash leaves it. They agree below dirty.
type memData struct {
	data, durable []byte
	dirty         int
	// lost: a sync failed. The system has forgotten what was to be synced, and claims that further syncs succeed.
	lost bool
}

// NewMemFS returns an empty disk of unlimited size.
func NewMemFS() *MemFS {
	return &MemFS{files: map[string]*memData{}, names: map[string]*memData{}, capacity: -1}
}

// FailCall makes the n-th call from now that can fail do so once, a write after having written half; 0 switches that off.
func (m *MemFS) FailCall(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failIn, m.fired = n, false
}

// FailCalls makes those of the next 64 calls fail whose bits are set, the lowest for the next.
func (m *MemFS) FailCalls(bits uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = bits
}

// Fired reports whether the fault has happened since FailCall.
func (m *MemFS) Fired() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fired
}

// SetCapacity makes writes fail with ENOSPC beyond so many bytes in all files; negative is unlimited.
func (m *MemFS) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Syncs is the number of File.Sync calls so far.
func (m *MemFS) Syncs() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.syncs
}

// Crash returns the disk as it is found after losing power. With a nil rnd all that was not synced is lost. Otherwise each file
// keeps a random part of it, in which stretches may read as zeros, and each unsynced name may be kept.
func (m *MemFS) Crash(rnd *rand.Rand) *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemFS()
	names := maps.Clone(m.names)
	if rnd != nil {
		for name, f := range m.files {
			if rnd.Intn(2) == 0 {
				names[name] = f
			}
		}
	}
	for name, f := range names {
		data := f.crash(rnd)
		d := &memData{data: data, durable: append([]byte(nil), data...), dirty: len(data)}
		c.files[name], c.names[name] = d, d
		c.used += int64(len(data))
	}
	return c
}

func (f *memData) crash(rnd *rand.Rand) []byte {
	data := append([]byte(nil), f.durable...)
	if rnd == nil || len(f.data) <= len(f.durable) || f.dirty < len(f.durable) {
		return data
	}
	tail := append([]byte(nil), f.data[len(f.durable):]...)
	tail = tail[:rnd.Intn(len(tail)+1)]
	if len(tail) > 0 && rnd.Intn(3) == 0 {
		from := rnd.Intn(len(tail))
		clear(tail[from : from+rnd.Intn(len(tail)-from)+1])
	}
	return append(data, tail...)
}

// fail is called with mu held at the start of each call that can fail.
func (m *MemFS) fail() error {
	now := m.failing&1 != 0
	m.failing >>= 1
	if m.failIn > 0 {
		if m.failIn--; m.failIn == 0 {
			now, m.fired = true, true
		}
	}
	if now {
		return ErrInjected
	}
	return nil
}

// MkdirAll implements FS; directories need not exist here.
func (m *MemFS) MkdirAll(string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fail()
}

// List implements FS.
func (m *MemFS) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail(); err != nil {
		return nil, err
	}
	var names []string
	for name := range m.files {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

// Create implements FS.
func (m *MemFS) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail(); err != nil {
		return nil, err
	}
	d := m.files[name]
	if d == nil {
		d = &memData{}
		m.files[name] = d
	}
	m.used -= int64(len(d.data))
	d.data, d.dirty = nil, 0
	return &memFile{m, d}, nil
}

// Open implements FS.
func (m *MemFS) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail(); err != nil {
		return nil, err
	}
	d := m.files[name]
	if d == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{m, d}, nil
}

// OpenRead implements FS.
func (m *MemFS) OpenRead(name string) (File, error) { return m.Open(name) }

// Remove implements FS.
func (m *MemFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail(); err != nil {
		return err
	}
	d := m.files[name]
	if d == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	m.forget(name)
	return nil
}

// forget takes a name away; with the last one goes the file. Called with mu held.
func (m *MemFS) forget(name string) {
	d := m.files[name]
	delete(m.files, name)
	for _, other := range m.files {
		if other == d {
			return
		}
	}
	m.used -= int64(len(d.data))
}

// Link implements FS.
func (m *MemFS) Link(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail(); err != nil {
		return err
	}
	d := m.files[from]
	switch {
	case d == nil:
		return &fs.PathError{Op: "link", Path: from, Err: fs.ErrNotExist}
	case m.files[to] != nil:
		return &fs.PathError{Op: "link", Path: to, Err: fs.ErrExist}
	case m.noLinks:
		return ErrNoLink
	}
	m.files[to] = d
	return nil
}

// Rename implements FS.
func (m *MemFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail(); err != nil {
		return err
	}
	d := m.files[from]
	if d == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if m.files[to] != nil {
		m.forget(to)
	}
	delete(m.files, from)
	m.files[to] = d
	return nil
}

// SyncDir implements FS.
func (m *MemFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail(); err != nil {
		return err
	}
	for name := range m.names {
		if filepath.Dir(name) == filepath.Clean(dir) && m.files[name] == nil {
			delete(m.names, name)
		}
	}
	for name, d := range m.files {
		if filepath.Dir(name) == filepath.Clean(dir) {
			m.names[name] = d
		}
	}
	return nil
}

type memFile struct {
	m *MemFS
	d *memData
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.fail(); err != nil {
		return 0, err
	}
	if off >= int64(len(f.d.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.d.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	m, d := f.m, f.d
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.fail()
	if err != nil {
		p = p[:len(p)/2]
	}
	grow := off + int64(len(p)) - int64(len(d.data))
	if m.capacity >= 0 && grow > 0 && m.used+grow > m.capacity {
		fit := max(0, int64(len(p))-(m.used+grow-m.capacity))
		p, err = p[:fit], &fs.PathError{Op: "write", Path: "memory", Err: syscall.ENOSPC}
	}
	for int64(len(d.data)) < off+int64(len(p)) {
		n := min(off+int64(len(p))-int64(len(d.data)), 4096)
		d.data = append(d.data, make([]byte, n)...)
		m.used += n
	}
	copy(d.data[off:], p)
	d.dirty = min(d.dirty, int(off))
	return len(p), err
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	d := f.d
	if err := f.m.fail(); err != nil {
		d.lost = d.lost || d.dirty < len(d.data)
		return err
	}
	f.m.syncs++
	if d.lost {
		return nil
	}
	d.durable = append(d.durable[:d.dirty], d.data[d.dirty:]...)
	d.dirty = len(d.data)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.fail(); err != nil {
		return err
	}
	d := f.d
	if size < int64(len(d.data)) {
		f.m.used -= int64(len(d.data)) - size
		d.data = d.data[:size]
		d.dirty = min(d.dirty, int(size))
	}
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.fail(); err != nil {
		return 0, err
	}
	return int64(len(f.d.data)), nil
}

func (f *memFile) Close() error { return nil }
