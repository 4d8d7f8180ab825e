// Package kv is ordered bytes: the interface that everything durable except the event log is built on. It knows nothing
// of SQL. pebblekv is the durable implementation, Mem the one for tests.
package kv

import "time"

// Reader reads a consistent state.
type Reader interface {
	// Get returns the value of key, nil and false when there is none. The value is the caller's.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan calls fn for each key in [lo, hi) in order until fn returns false or an error; hi nil means to the end. The slices
	// are valid during the call only.
	Scan(lo, hi []byte, fn func(key, value []byte) (bool, error)) error
	// ScanBack is Scan in descending order.
	ScanBack(lo, hi []byte, fn func(key, value []byte) (bool, error)) error
}

// Store is the database. It is safe for concurrent use.
type Store interface {
	Reader
	// NewBatch starts an atomic set of changes.
	NewBatch() Batch
	// Snapshot is a consistent view at this moment.
	Snapshot() Snapshot
	// Backup writes a copy that a server can start on to dir, which must not exist, while the store is in use: the store as it is
	// at one moment of the call. Then read, unless it is nil, sees what the copy holds; it must not write.
	Backup(dir string, read func(copy Store) error) error
	Metrics() Metrics
	Close() error
}

// Batch is changes that become visible and durable together. Not for concurrent use; keys and values are copied.
type Batch interface {
	Set(key, value []byte)
	Delete(key []byte)
	// DeleteRange deletes [lo, hi); unlike in Scan, hi must be given.
	DeleteRange(lo, hi []byte)
	// Len is the approximate size in bytes.
	Len() int
	// Commit applies the batch; with sync it and every batch committed before it are on disk when Commit returns. Without, a
	// crash may lose it together with all batches after it, never out of order. The batch is then spent, also after an error.
	// After an error nothing of it is there, nor will be: a store that cannot tell must not return, but end the process.
	// Within a batch the order counts: a DeleteRange does not touch what is set after it.
	Commit(sync bool) error
	// Discard drops an uncommitted batch.
	Discard()
}

// Snapshot is a Reader that must be closed.
type Snapshot interface {
	Reader
	Close() error
}

// Metrics are the store's own figures.
type Metrics struct {
	DiskBytes, MemBytes, CacheBytes int64
	// Since the store was opened: calls to the disk that were made again after an error; syncs, how many of them took longer than a second, and what all
	// took.
	Retries, Syncs, SlowSyncs int64
	SyncTime                  time.Duration
}
