package kv

import (
	"errors"
	"sync/atomic"
)

// ErrInjected is the error that Faulty returns.
var ErrInjected = errors.New("kv: injected fault")

// Faulty wraps a Store for tests: the n-th call that does I/O (reads, commits, snapshot reads, Backup) fails once with
// ErrInjected and does nothing else; all others pass. A test loops over n until Fired is false: then each call has
// failed once.
type Faulty struct {
	store Store
	left  atomic.Int64
	fired atomic.Bool
}

// NewFaulty wraps store; n counts from 1, and 0 never fails.
func NewFaulty(store Store, n int) *Faulty {
	f := &Faulty{store: store}
	f.left.Store(int64(n))
	return f
}

var _ Store = (*Faulty)(nil)

// Fired reports whether the fault has happened.
func (f *Faulty) Fired() bool { return f.fired.Load() }

func (f *Faulty) check() error {
	if f.left.Add(-1) == 0 {
		f.fired.Store(true)
		return ErrInjected
	}
	return nil
}

// Get implements Reader.
func (f *Faulty) Get(key []byte) ([]byte, bool, error) {
	return faultyReader{f, f.store}.Get(key)
}

// Scan implements Reader.
func (f *Faulty) Scan(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	return faultyReader{f, f.store}.Scan(lo, hi, fn)
}

// ScanBack implements Reader.
func (f *Faulty) ScanBack(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	return faultyReader{f, f.store}.ScanBack(lo, hi, fn)
}

// NewBatch implements Store.
func (f *Faulty) NewBatch() Batch { return faultyBatch{f.store.NewBatch(), f} }

// Snapshot implements Store.
func (f *Faulty) Snapshot() Snapshot {
	s := f.store.Snapshot()
	return faultySnapshot{faultyReader{f, s}, s}
}

// NewCursor implements Seeker; each look-up is I/O.
func (f *Faulty) NewCursor(lo, hi []byte) (Cursor, error) {
	c, err := NewCursor(f.store, lo, hi)
	return faultyCursor{c, f}, err
}

// Backup implements Store.
func (f *Faulty) Backup(dir string, read func(Store) error) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.store.Backup(dir, read)
}

// Metrics implements Store.
func (f *Faulty) Metrics() Metrics { return f.store.Metrics() }

// Close implements Store.
func (f *Faulty) Close() error { return f.store.Close() }

type faultyReader struct {
	f *Faulty
	r Reader
}

func (r faultyReader) Get(key []byte) ([]byte, bool, error) {
	if err := r.f.check(); err != nil {
		return nil, false, err
	}
	return r.r.Get(key)
}

func (r faultyReader) Scan(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	if err := r.f.check(); err != nil {
		return err
	}
	return r.r.Scan(lo, hi, fn)
}

func (r faultyReader) ScanBack(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	if err := r.f.check(); err != nil {
		return err
	}
	return r.r.ScanBack(lo, hi, fn)
}

type faultySnapshot struct {
	faultyReader
	s Snapshot
}

func (s faultySnapshot) Close() error { return s.s.Close() }

type faultyBatch struct {
	Batch
	f *Faulty
}

func (b faultyBatch) Commit(sync bool) error {
	if err := b.f.check(); err != nil {
		b.Batch.Discard()
		return err
	}
	return b.Batch.Commit(sync)
}

type faultyCursor struct {
	Cursor
	f *Faulty
}

func (c faultyCursor) Seek(key []byte, prefix int) (found, value []byte, ok bool, err error) {
	if err := c.f.check(); err != nil {
		return nil, nil, false, err
	}
	return c.Cursor.Seek(key, prefix)
}
