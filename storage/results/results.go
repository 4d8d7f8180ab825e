// Package results keeps what queries have produced: one changelog per query, rows with an offset that grows by one, in packed
// blocks in a kv.Store, and the newest of them in memory and in packs. Rows become durable with the batch of their epoch and visible by Publish; readers wait for that without
// a goroutine each. It knows nothing of SQL: a row is an operation and opaque bytes. Format: docs/formats/kv.md.
package results

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vigil-sql/vigil/storage/kv"
)

// ErrDropped is returned to those who wait for a query that was dropped, ErrClosed after Close.
var (
	ErrDropped = errors.New("the results of the query were dropped")
	ErrClosed  = errors.New("the result store is closed")
)

// ErrCorrupt is wrapped by the errors about stored bytes that cannot be read.
var ErrCorrupt = errors.New("stored results cannot be read")

// Row is a change of a query's result.
type Row struct {
	// Offset, Epoch and Clock (microseconds) are given by Scan.
	Offset int64
	Epoch  uint64
	Clock  int64
	// Op is what the change does; the meaning is the caller's.
	Op byte
	// Data is the row. In Scan it is valid during the call only.
	Data []byte
}

// Store is the changelogs of all queries. It is safe for concurrent use, but for Put: one at a time.
type Store struct {
	kv kv.Store

	// shrink serialises Trim and Drop; it is taken before mu.
	shrink sync.Mutex

	mu     sync.Mutex
	logs   map[uint64]*Changelog
	closed bool
	// tailed are the changelogs with an end in memory; all ends together take tailBytes, and are in the packs before packsUpTo.
	tailed    []*Changelog
	tailBytes int64
	// total is what is kept of all rows, bytes.
	total      int64
	packsUpTo  uint64
	flushing   bool
	background sync.WaitGroup

	// tailsMax and aheadMax are tailsMax and flushBatch, but for tests.
	tailsMax int64
	aheadMax int
	// nextPack is the number of the next pack. Of Put alone.
	nextPack  uint64
	spare     []pending
	sparePack []byte
	// gone are the dropped queries of which rows are in packs: up to which one. Guarded by shrink.
	gone map[uint64]uint64
}

// Changelog is what is in memory of a query's rows.
type Changelog struct {
	id uint64
	// oldest and published bound what readers see: [oldest, published). next is where a Put goes on.
	oldest, published, next int64
	// tail is the end of the rows, as far as it is not in blocks. Readers keep it beyond the mutex: it is only appended to, or replaced.
	tail   []run
	listed bool
	sizes
	trimmed Trimmed
	// wake is closed when published moves; nil while nobody waits.
	wake chan struct{}
}

// Open finds the changelogs in s; two small reads per query, and the packs of what is not in blocks yet.
func Open(s kv.Store) (*Store, error) {
	st := &Store{kv: s, logs: map[uint64]*Changelog{}, gone: map[uint64]uint64{}, tailsMax: tailsMax, aheadMax: flushBatch}
	if err := st.load(); err != nil {
		return nil, fmt.Errorf("open results: %w", err)
	}
	return st, nil
}

// Changelog finds or makes a query's changelog. After Drop another one takes its place.
func (s *Store) Changelog(queryID uint64) *Changelog {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changelog(queryID)
}

// changelog is called with mu held (or by Open).
func (s *Store) changelog(id uint64) *Changelog {
	log := s.logs[id]
	if log == nil {
		log = &Changelog{id: id}
		s.logs[id] = log
	}
	return log
}

// ID is the query's.
func (log *Changelog) ID() uint64 { return log.id }

func (log *Changelog) wakeAll() {
	if log.wake != nil {
		close(log.wake)
		log.wake = nil
	}
}

// Next is the offset that the next published row of the query will have.
func (s *Store) Next(queryID uint64) int64 {
	_, next := s.bounds(queryID)
	return next
}

// Oldest is the offset of the oldest row still kept; Next when there is none.
func (s *Store) Oldest(queryID uint64) int64 {
	oldest, _ := s.bounds(queryID)
	return oldest
}

func (s *Store) bounds(queryID uint64) (oldest, next int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if log := s.logs[queryID]; log != nil {
		return log.oldest, log.published
	}
	return 0, 0
}

// Wait returns when Next is greater than after, or with the error of ctx, ErrDropped or ErrClosed. Thousands may wait.
func (s *Store) Wait(ctx context.Context, queryID uint64, after int64) error {
	s.mu.Lock()
	log := s.changelog(queryID)
	for {
		switch {
		case s.closed:
			s.mu.Unlock()
			return ErrClosed
		case s.logs[queryID] != log:
			s.mu.Unlock()
			return ErrDropped
		case log.published > after:
			s.mu.Unlock()
			return nil
		}
		if log.wake == nil {
			log.wake = make(chan struct{})
		}
		wake := log.wake
		s.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
	}
}

// Trimmed are the rows of a query that Trim has dropped since the store was opened: because there were too many, or too many bytes of them; because of
// their age; and, by TrimAll, because those of all queries together took too much.
type Trimmed struct{ Large, Old, Together int64 }

// Trimmed tells what was dropped of a query's rows.
func (s *Store) Trimmed(queryID uint64) Trimmed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if log := s.logs[queryID]; log != nil {
		return log.trimmed
	}
	return Trimmed{}
}

// Bounds say which rows Trim drops.
type Bounds struct {
	// BeforeClock: rows of epochs with an earlier clock (microseconds) go.
	BeforeClock int64
	// MaxRows: while more are kept, the oldest go; 0: any number is kept.
	MaxRows int64
	// MaxBytes: while the rows kept take more, the oldest go, but for those of the newest epoch; 0: any size is kept.
	MaxBytes int64
	// KeepFrom: rows from this offset on stay in any case.
	KeepFrom int64
	// Fold, when set, makes of the rows that go, with the base before them, the base that takes their place; see Content.
	Fold func(rows []Row) []Row
	// together: BeforeClock is as early as it is because the rows of all queries take too much.
	together bool
}

// Trim drops old rows, as much of them as one epoch brought at a time. Unpublished rows stay.
func (s *Store) Trim(queryID uint64, bounds Bounds) error {
	s.shrink.Lock()
	defer s.shrink.Unlock()
	v := s.view(queryID)
	if v.oldest >= v.next {
		return nil
	}
	c, err := s.trimTo(queryID, v, bounds)
	if err != nil {
		return fmt.Errorf("trim results: %w", err)
	}
	if c.to <= v.oldest {
		return nil
	}
	b := s.kv.NewBatch()
	base := v.base
	if bounds.Fold != nil {
		if base, err = s.foldBase(b, queryID, c.to, bounds.Fold); err != nil {
			return fmt.Errorf("trim results: %w", err)
		}
	}
	if lo, _ := queryRange(queryID); c.blocks > 0 {
		if err := kv.Remove(s.kv, b, lo, blockKey(queryID, c.blocks)); err != nil {
			b.Discard()
			return fmt.Errorf("trim results: %w", err)
		}
	}
	// A block may begin before the cut; and without blocks nothing else would say where the offsets had come to.
	b.Set(tailKey(queryID), tailValue(c.to, v.cut+c.bytes, base))
	if err := b.Commit(false); err != nil {
		return fmt.Errorf("trim results: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if log := s.logs[queryID]; log != nil {
		log.oldest = max(log.oldest, c.to)
		s.total -= c.bytes
		log.cut, log.base = v.cut+c.bytes, base
		log.trimmed.Large += c.large
		if bounds.together {
			log.trimmed.Together += c.old
		} else {
			log.trimmed.Old += c.old
		}
	}
	return nil
}

// cut is what Trim drops: the rows before offset to, which take bytes, and the blocks before offset blocks. old and large are the rows by what they broke.
type cut struct{ to, blocks, bytes, old, large int64 }

// trimTo finds what goes.
func (s *Store) trimTo(queryID uint64, v view, bounds Bounds) (cut, error) {
	c := cut{to: v.oldest}
	// take takes a run in; false: it stays.
	take := func(r *run) bool {
		if r.end() <= v.oldest {
			return true
		}
		old, many := r.clock < bounds.BeforeClock, bounds.MaxRows > 0 && v.next-r.end() >= bounds.MaxRows
		large := bounds.MaxBytes > 0 && v.put-v.cut-c.bytes > bounds.MaxBytes && r.epoch < v.epoch
		if !(old || many || large) || r.end() > bounds.KeepFrom {
			return false
		}
		if n := r.end() - c.to; old {
			c.old += n
		} else {
			c.large += n
		}
		c.to, c.bytes = r.end(), c.bytes+int64(len(r.packed))
		return true
	}
	lo, _ := queryRange(queryID)
	more := true
	err := s.kv.Scan(lo, blockKey(queryID, v.tailFrom), func(key, value []byte) (bool, error) {
		b, err := parseBlock(key, value)
		if err != nil {
			return false, err
		}
		for i := range b.runs {
			if more = take(&b.runs[i]); !more {
				return false, nil
			}
		}
		c.blocks = b.end()
		return true, nil
	})
	for i := 0; i < len(v.tail) && more && err == nil; i++ {
		more = take(&v.tail[i])
	}
	return c, err
}

// TailBytes is the memory that the ends of all changelogs take, which are not in blocks yet.
func (s *Store) TailBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tailBytes
}

// Queries returns the ids that rows are known of, so that what dropped queries left can be found.
func (s *Store) Queries() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]uint64, 0, len(s.logs))
	for id := range s.logs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
