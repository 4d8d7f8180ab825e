package pebblekv

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vigil-sql/vigil/storage/kv"
)

// enter begins a call into Pebble, leave ends it.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return kv.ErrClosed
	}
	s.inUse++
	return nil
}

func (s *Store) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inUse--; s.inUse == 0 {
		s.idle.Broadcast()
	}
}

// Get implements kv.Reader.
func (s *Store) Get(key []byte) ([]byte, bool, error) {
	if err := s.enter(); err != nil {
		return nil, false, err
	}
	defer s.leave()
	return get(s.db, key)
}

// Scan implements kv.Reader.
func (s *Store) Scan(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return scan(s.db, lo, hi, fn)
}

// ScanBack implements kv.Reader.
func (s *Store) ScanBack(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return scanBack(s.db, lo, hi, fn)
}

// NewBatch implements kv.Store.
func (s *Store) NewBatch() kv.Batch {
	return &batch{s: s, b: s.db.NewBatch(pebble.WithMaxRetainedSizeBytes(batchBytesKept))}
}

// Snapshot implements kv.Store. It must be closed before the store is.
func (s *Store) Snapshot() kv.Snapshot {
	if err := s.enter(); err != nil {
		return &snapshot{s: s}
	}
	defer s.leave()
	return &snapshot{s: s, snap: s.db.NewSnapshot()}
}

// Backup implements kv.Store. Files that never change are hard links where the file system allows it, so that a backup on
// the same disk costs little.
func (s *Store) Backup(dir string, read func(copy kv.Store) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	err := unbroken(func() error { return s.db.Checkpoint(dir, pebble.WithFlushedWAL()) })
	if err != nil {
		return fmt.Errorf("back up data directory %s to %s: %w", s.dir, dir, err)
	}
	if read == nil {
		return nil
	}
	return readCopy(dir, s.opts, read)
}

// unbroken makes a call of which Pebble panics where a directory of the copy cannot be synced: that is no reason for the store to end.
func unbroken(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if cause, ok := p.(error); ok {
				err = fmt.Errorf("it broke off: %w", cause)
				return
			}
			err = fmt.Errorf("it broke off: %v", p)
		}
	}()
	return call()
}

// readCopy opens a backup for reading alone, so that its files stay as they are.
func readCopy(dir string, o Options, read func(copy kv.Store) error) (err error) {
	c := &Store{dir: dir, opts: o, waiter: newWaiter(dir, o), cache: pebble.NewCache(copyCacheBytes)}
	c.idle.L = &c.mu
	defer c.cache.Unref()
	opts := dbOptions(o, c.cache)
	opts.ReadOnly = true
	if err = unbroken(func() (err error) { c.db, err = pebble.Open(dir, opts); return err }); err != nil {
		return fmt.Errorf("read the backup %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, c.db.Close()) }()
	return read(c)
}

// Compact writes everything anew, as it would become with time: what is measured after it does not pay for what was written before.
func (s *Store) Compact() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, true); err != nil {
		return fmt.Errorf("compact data directory %s: %w", s.dir, err)
	}
	return nil
}

// Metrics implements kv.Store.
func (s *Store) Metrics() kv.Metrics {
	if err := s.enter(); err != nil {
		return kv.Metrics{}
	}
	defer s.leave()
	m, h := s.db.Metrics(), s.Health()
	return kv.Metrics{
		Retries: h.Retries, Syncs: h.Syncs, SlowSyncs: h.Slow, SyncTime: h.SyncTime,
		DiskBytes:  int64(m.DiskSpaceUsage()),
		MemBytes:   int64(m.MemTable.Size),
		CacheBytes: m.BlockCache.Size,
	}
}

// Flush writes what is in memory to tables, so that the next Open replays no log. Nothing depends on it.
func (s *Store) Flush() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.db.Flush()
}

// Close waits for the calls that are under way, closes the files and gives up the lock. Closing twice is harmless.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.merging.stop()
	for s.inUse > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	<-s.merging.done
	s.cursors.closeAll()
	err := s.db.Close()
	s.cache.Unref()
	if err = errors.Join(err, s.lock.Close()); err != nil {
		return fmt.Errorf("close data directory %s: %w", s.dir, err)
	}
	return nil
}

type snapshot struct {
	s    *Store
	snap *pebble.Snapshot // nil after Close
}

func (n *snapshot) enter() error {
	if n.snap == nil {
		return kv.ErrClosed
	}
	return n.s.enter()
}

func (n *snapshot) Get(key []byte) ([]byte, bool, error) {
	if err := n.enter(); err != nil {
		return nil, false, err
	}
	defer n.s.leave()
	return get(n.snap, key)
}

func (n *snapshot) Scan(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.s.leave()
	return scan(n.snap, lo, hi, fn)
}

func (n *snapshot) ScanBack(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.s.leave()
	return scanBack(n.snap, lo, hi, fn)
}

func (n *snapshot) Close() error {
	if n.snap == nil {
		return nil
	}
	err := n.snap.Close()
	n.snap = nil
	return err
}

type batch struct {
	s *Store
	b *pebble.Batch // nil once spent
	// err is the first failure of a step; Commit returns it.
	err error
}

func (b *batch) note(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *batch) Set(key, value []byte) { b.note(b.b.Set(key, value, nil)) }
func (b *batch) Delete(key []byte)     { b.note(b.b.Delete(key, nil)) }

func (b *batch) DeleteRange(lo, hi []byte) {
	if hi == nil {
		panic("pebblekv: DeleteRange without an upper bound")
	}
	if bytes.Compare(lo, hi) < 0 {
		b.note(b.b.DeleteRange(lo, hi, nil))
	}
}

func (b *batch) Len() int {
	if b.b == nil {
		return 0
	}
	return b.b.Len()
}

func (b *batch) Commit(sync bool) error {
	defer b.Discard()
	if b.err != nil {
		return b.err
	}
	if err := b.s.enter(); err != nil {
		return err
	}
	defer b.s.leave()
	if b.b.Empty() {
		if !sync {
			return nil
		}
		return b.s.db.LogData(nil, pebble.Sync) // an empty batch still makes the earlier ones durable
	}
	return b.b.Commit(&pebble.WriteOptions{Sync: sync})
}

func (b *batch) Discard() {
	if b.b != nil {
		_ = b.b.Close() // releases memory, cannot fail
		b.b = nil
	}
}

func get(r pebble.Reader, key []byte) ([]byte, bool, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value = append([]byte{}, value...)
	return value, true, closer.Close()
}

func scan(r pebble.Reader, lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if more, err := step(it, fn); !more || err != nil {
			return first(err, it.Close())
		}
	}
	return it.Close()
}

func scanBack(r pebble.Reader, lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return err
	}
	for ok := it.Last(); ok; ok = it.Prev() {
		if more, err := step(it, fn); !more || err != nil {
			return first(err, it.Close())
		}
	}
	return it.Close()
}

func step(it *pebble.Iterator, fn func(key, value []byte) (bool, error)) (bool, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return false, err
	}
	return fn(it.Key(), value)
}

// first keeps the caller's own error as it is.
func first(err, closeErr error) error {
	if err != nil {
		return err
	}
	return closeErr
}
