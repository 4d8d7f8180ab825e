package kv

import (
	"bytes"
	"errors"
	"hash/maphash"
	"sync"
)

// ErrClosed is returned by a store that was closed.
var ErrClosed = errors.New("kv: the store is closed")

// Mem is a Store in memory for tests. A state is an immutable tree, so a snapshot costs nothing and readers take no lock
// while they scan. It remembers which commits were synced: Crash gives what a machine would find after losing power.
type Mem struct {
	mu     sync.Mutex
	root   *node
	synced *node   // the state at the last synced commit
	later  []*node // the states after each commit since then, oldest first
	bytes  int64
	closed bool
	seed   maphash.Seed
}

// unsyncedMax bounds how many unsynced states Mem remembers; the oldest then count as synced.
const unsyncedMax = 1024

// NewMem returns an empty store.
func NewMem() *Mem { return &Mem{seed: maphash.MakeSeed()} }

var _ Store = (*Mem)(nil)

// Unsynced is the number of commits that a crash could lose.
func (m *Mem) Unsynced() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.later)
}

// Crash returns the store that is found after a power failure: everything up to the last synced commit and the first
// keep commits after it. The store itself goes on unharmed.
func (m *Mem) Crash(keep int) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Mem{root: m.synced, seed: m.seed}
	if keep > 0 && len(m.later) > 0 {
		c.root = m.later[min(keep, len(m.later))-1]
	}
	c.synced = c.root
	return c
}

func (m *Mem) state() (*node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	return m.root, nil
}

// Get implements Reader.
func (m *Mem) Get(key []byte) ([]byte, bool, error) {
	root, err := m.state()
	if err != nil {
		return nil, false, err
	}
	return root.get(key)
}

// Scan implements Reader.
func (m *Mem) Scan(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	root, err := m.state()
	if err != nil {
		return err
	}
	_, err = root.scan(lo, hi, fn)
	return err
}

// ScanBack implements Reader.
func (m *Mem) ScanBack(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	root, err := m.state()
	if err != nil {
		return err
	}
	_, err = root.scanBack(lo, hi, fn)
	return err
}

// NewBatch implements Store.
func (m *Mem) NewBatch() Batch { return &memBatch{m: m} }

// Snapshot implements Store.
func (m *Mem) Snapshot() Snapshot {
	root, err := m.state()
	return &memSnapshot{root: root, err: err}
}

// Backup implements Store: a store in memory has no files to copy.
func (m *Mem) Backup(string, func(Store) error) error {
	return errors.New("kv: a store in memory cannot be backed up")
}

// Metrics implements Store. MemBytes counts what was ever written.
func (m *Mem) Metrics() Metrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Metrics{MemBytes: m.bytes}
}

// Close implements Store. Closing twice is harmless.
func (m *Mem) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

type memSnapshot struct {
	root *node
	err  error
}

func (s *memSnapshot) Get(key []byte) ([]byte, bool, error) {
	if s.err != nil {
		return nil, false, s.err
	}
	return s.root.get(key)
}

func (s *memSnapshot) Scan(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	if s.err != nil {
		return s.err
	}
	_, err := s.root.scan(lo, hi, fn)
	return err
}

func (s *memSnapshot) ScanBack(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	if s.err != nil {
		return s.err
	}
	_, err := s.root.scanBack(lo, hi, fn)
	return err
}

func (s *memSnapshot) Close() error {
	s.root, s.err = nil, ErrClosed
	return nil
}

// change is one step of a batch: set, delete, or delete a range.
type change struct {
	kind       byte // 's', 'd', 'r'
	key, value []byte
}

type memBatch struct {
	m       *Mem
	changes []change
	bytes   int
	spent   bool
}

func (b *memBatch) add(kind byte, key, value []byte) {
	if b.spent {
		panic("kv: a batch was used after Commit or Discard")
	}
	b.changes = append(b.changes, change{kind, bytes.Clone(key), bytes.Clone(value)})
	b.bytes += len(key) + len(value) + 8
}

func (b *memBatch) Set(key, value []byte) { b.add('s', key, value) }
func (b *memBatch) Delete(key []byte)     { b.add('d', key, nil) }
func (b *memBatch) DeleteRange(lo, hi []byte) {
	if hi == nil {
		panic("kv: DeleteRange without an upper bound")
	}
	b.add('r', lo, hi)
}

func (b *memBatch) Len() int { return b.bytes }
func (b *memBatch) Discard() { b.spent, b.changes = true, nil }
func (b *memBatch) Commit(sync bool) error {
	if b.spent {
		panic("kv: a batch was committed twice")
	}
	b.spent = true
	m := b.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	root := m.root
	for _, c := range b.changes {
		switch c.kind {
		case 's':
			root = root.set(c.key, c.value, maphash.Bytes(m.seed, c.key))
		case 'd':
			root = root.deleteRange(c.key, append(bytes.Clone(c.key), 0))
		case 'r':
			root = root.deleteRange(c.key, c.value)
		}
	}
	m.root = root
	m.bytes += int64(b.bytes)
	if sync {
		m.synced, m.later = root, nil
		return nil
	}
	m.later = append(m.later, root)
	if len(m.later) > unsyncedMax {
		m.synced, m.later = m.later[0], append([]*node(nil), m.later[1:]...)
	}
	return nil
}
