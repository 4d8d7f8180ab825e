package pebblekv

import (
	"sync/atomic"
	"time"
)

// SlowSync is how long a sync may last before it counts as slow.
const SlowSync = time.Second

// Health tells how the disk of a store is doing, since it was opened.
type Health struct {
	// Retries are calls that were made again after an error.
	Retries int64
	// Syncs are the syncs that are done, SyncTime what they took together, Slow how many took longer than SlowSync.
	Syncs, Slow int64
	SyncTime    time.Duration
	// Syncing is how long the sync that began first, of those under way, has lasted.
	Syncing time.Duration
}

// Health is how the disk is doing now.
func (s *Store) Health() Health { return s.waiter.health.now() }

// health counts. Safe for concurrent use.
type health struct {
	retries, syncs, slow, nanos atomic.Int64
	// running are when the syncs that are under way began, as nanoseconds since 1970; 0: none.
	running [8]atomic.Int64
}

// timed calls sync and counts it.
func (h *health) timed(sync func() error) error {
	begin := time.Now()
	at := begin.UnixNano()
	slot := -1
	for i := range h.running {
		if h.running[i].CompareAndSwap(0, at) {
			slot = i
			break
		}
	}
	err := sync()
	if slot >= 0 {
		h.running[slot].Store(0)
	}
	took := time.Since(begin)
	h.syncs.Add(1)
	h.nanos.Add(int64(took))
	if took > SlowSync {
		h.slow.Add(1)
	}
	return err
}

func (h *health) now() Health {
	n := Health{Retries: h.retries.Load(), Syncs: h.syncs.Load(), Slow: h.slow.Load(), SyncTime: time.Duration(h.nanos.Load())}
	for i := range h.running {
		if at := h.running[i].Load(); at > 0 {
			n.Syncing = max(n.Syncing, time.Since(time.Unix(0, at)))
		}
	}
	return n
}
