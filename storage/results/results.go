// Package results keeps what queries have produced: one changelog per query, rows with an offset that grows by one, in packed
// blocks in a kv.Store. Rows become durable with the batch of their epoch and visible by Publish; readers wait for that without
// a goroutine each. It knows nothing of SQL: a row is an operation and opaque bytes. Format: docs/formats/kv.md.
package results

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
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
	// Offset, Epoch and Clock (microseconds) are set by Put and given by Scan.
	Offset int64
	Epoch  uint64
	Clock  int64
	// Op is what the change does; the meaning is the caller's.
	Op byte
	// Data is the row. In Scan it is valid during the call only.
	Data []byte
}

// Source is rows to be put: what each does, and its bytes.
type Source interface {
	Len() int
	Row(i int) (op byte, data []byte)
}

// Rows are rows as a Source.
type Rows []Row

// Len implements Source.
func (r Rows) Len() int { return len(r) }

// Row implements Source.
func (r Rows) Row(i int) (byte, []byte) { return r[i].Op, r[i].Data }

// Store is the changelogs of all queries. It is safe for concurrent use; but for one query, Put, the commit of its batch and
// Publish or Retract follow each other without another Put in between.
type Store struct {
	kv kv.Store

	// shrink serialises Trim and Drop; it is taken before mu.
	shrink sync.Mutex

	mu      sync.Mutex
	queries map[uint64]*query
	closed  bool
}

// query is what is in memory for a query that has, or had, rows or waiters.
type query struct {
	// oldest and published bound what readers see: [oldest, published). next is where Put goes on.
	oldest, published, next int64
	// wake is closed when published moves; nil while nobody waits.
	wake chan struct{}
}

// Open finds the changelogs in s; two small reads per query.
func Open(s kv.Store) (*Store, error) {
	st := &Store{kv: s, queries: map[uint64]*query{}}
	if err := st.load(); err != nil {
		return nil, fmt.Errorf("open results: %w", err)
	}
	return st, nil
}

func (s *Store) load() error {
	lo, hi := []byte{kv.PrefixResults, kindTail}, []byte{kv.PrefixResults, kindTail + 1}
	err := s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		if len(key) != 10 || len(value) != 8 {
			return false, fmt.Errorf("%w: tail %x = %x", ErrCorrupt, key, value)
		}
		next := int64(binary.BigEndian.Uint64(value))
		s.queries[binary.BigEndian.Uint64(key[2:])] = &query{oldest: next, published: next, next: next}
		return true, nil
	})
	if err != nil {
		return err
	}
	lo, hi = []byte{kv.PrefixResults, kindBlock}, []byte{kv.PrefixResults, kindBlock + 1}
	for {
		// The first block of the next query, then its last one; then skip to the query after it.
		var id uint64
		var oldest, next int64
		found := false
		err := s.kv.Scan(lo, hi, func(key, _ []byte) (more bool, err error) {
			found = true
			id, oldest, err = parseBlockKey(key)
			return false, err
		})
		if err != nil || !found {
			return err
		}
		from, to := queryRange(id)
		err = s.kv.ScanBack(from, to, func(key, value []byte) (bool, error) {
			b, err := parseBlock(key, value)
			next = b.first + b.rows
			return false, err
		})
		if err != nil {
			return err
		}
		q := s.query(id)
		q.oldest, q.published, q.next = oldest, next, next
		lo = to
	}
}

// query is called with mu held (or by Open); it makes the entry where there is none.
func (s *Store) query(id uint64) *query {
	q := s.queries[id]
	if q == nil {
		q = &query{}
		s.queries[id] = q
	}
	return q
}

// Put adds the rows of a query's epoch to b; their offsets begin at first. clock is the epoch's, in microseconds. The rows are not
// retained. They are not visible before Publish, which follows the commit of b; Retract follows if the commit failed.
func (s *Store) Put(b kv.Batch, queryID, epoch uint64, clock int64, rows Source) (first int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.query(queryID)
	first = q.next
	for from := 0; from < rows.Len(); {
		n, value := packBlock(epoch, clock, rows, from)
		b.Set(blockKey(queryID, q.next), value)
		q.next += int64(n)
		from += n
	}
	return first
}

// Publish makes all rows put so far for these queries visible and wakes those who wait for them.
func (s *Store) Publish(queryIDs ...uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range queryIDs {
		q := s.queries[id]
		if q == nil || q.published == q.next {
			continue
		}
		q.published = q.next
		q.wakeAll()
	}
}

// Retract forgets the rows put since the last Publish: their batch was not committed.
func (s *Store) Retract(queryIDs ...uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range queryIDs {
		if q := s.queries[id]; q != nil {
			q.next = q.published
		}
	}
}

func (q *query) wakeAll() {
	if q.wake != nil {
		close(q.wake)
		q.wake = nil
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
	if q := s.queries[queryID]; q != nil {
		return q.oldest, q.published
	}
	return 0, 0
}

// Wait returns when Next is greater than after, or with the error of ctx, ErrDropped or ErrClosed. Thousands may wait.
func (s *Store) Wait(ctx context.Context, queryID uint64, after int64) error {
	s.mu.Lock()
	q := s.query(queryID)
	for {
		switch {
		case s.closed:
			s.mu.Unlock()
			return ErrClosed
		case s.queries[queryID] != q:
			s.mu.Unlock()
			return ErrDropped
		case q.published > after:
			s.mu.Unlock()
			return nil
		}
		if q.wake == nil {
			q.wake = make(chan struct{})
		}
		wake := q.wake
		s.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
	}
}

// Scan calls fn for the published rows from offset from on, at most limit of them (0: all), until it returns false or an
// error. Rows before Oldest are skipped.
func (s *Store) Scan(queryID uint64, from int64, limit int, fn func(Row) (bool, error)) error {
	oldest, next := s.bounds(queryID)
	if from = max(from, oldest); from >= next {
		return nil
	}
	if limit <= 0 {
		limit = math.MaxInt
	}
	lo, hi := queryRange(queryID)
	// The block that holds from begins at or before it.
	err := s.kv.ScanBack(lo, blockKey(queryID, from+1), func(key, _ []byte) (bool, error) {
		lo = append([]byte(nil), key...)
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	return s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		b, err := parseBlock(key, value)
		if err != nil {
			return false, err
		}
		return b.each(func(r Row) (bool, error) {
			if r.Offset >= next || limit == 0 {
				return false, nil
			}
			if r.Offset < from {
				return true, nil
			}
			limit--
			more, err := fn(r)
			return more && limit > 0, err
		})
	})
}

// ScanBack is Scan from the row before offset before downwards.
func (s *Store) ScanBack(queryID uint64, before int64, limit int, fn func(Row) (bool, error)) error {
	oldest, next := s.bounds(queryID)
	if before = min(before, next); before <= oldest {
		return nil
	}
	if limit <= 0 {
		limit = math.MaxInt
	}
	lo, _ := queryRange(queryID)
	var rows []Row
	return s.kv.ScanBack(lo, blockKey(queryID, before), func(key, value []byte) (bool, error) {
		b, err := parseBlock(key, value)
		if err != nil {
			return false, err
		}
		rows = rows[:0]
		if _, err := b.each(func(r Row) (bool, error) { rows = append(rows, r); return true, nil }); err != nil {
			return false, err
		}
		for _, r := range slices.Backward(rows) {
			if r.Offset >= before {
				continue
			}
			if limit == 0 || r.Offset < oldest {
				return false, nil
			}
			limit--
			if more, err := fn(r); !more || err != nil {
				return false, err
			}
		}
		return limit > 0, nil
	})
}

// Bounds say which rows Trim drops.
type Bounds struct {
	// BeforeClock: rows of epochs with an earlier clock (microseconds) go.
	BeforeClock int64
	// MaxRows: while more are kept, the oldest go; 0: any number is kept.
	MaxRows int64
	// KeepFrom: rows from this offset on stay in any case.
	KeepFrom int64
	// Fold, when set, makes of the rows that go, with the base before them, the base that takes their place; see Content.
	Fold func(rows []Row) []Row
}

// Trim drops old rows, whole blocks of them. Unpublished rows stay.
func (s *Store) Trim(queryID uint64, bounds Bounds) error {
	s.shrink.Lock()
	defer s.shrink.Unlock()
	oldest, next := s.bounds(queryID)
	if oldest >= next {
		return nil
	}
	lo, hi := queryRange(queryID)
	cut := oldest
	err := s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		b, err := parseBlock(key, value)
		if err != nil || b.first >= next {
			return false, err
		}
		old, many := b.clock < bounds.BeforeClock, bounds.MaxRows > 0 && next-b.first-b.rows >= bounds.MaxRows
		if !old && !many || b.first+b.rows > bounds.KeepFrom {
			return false, nil
		}
		cut = b.first + b.rows
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("trim results: %w", err)
	}
	if cut == oldest {
		return nil
	}
	b := s.kv.NewBatch()
	if bounds.Fold != nil {
		if err := s.foldBase(b, queryID, cut, bounds.Fold); err != nil {
			return fmt.Errorf("trim results: %w", err)
		}
	}
	b.DeleteRange(lo, blockKey(queryID, cut))
	// Without blocks nothing else would say where the offsets had come to.
	b.Set(tailKey(queryID), binary.BigEndian.AppendUint64(nil, uint64(cut)))
	if err := b.Commit(false); err != nil {
		return fmt.Errorf("trim results: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queries[queryID]; q != nil {
		q.oldest = max(q.oldest, cut)
	}
	return nil
}

// Drop removes all rows of a query; those who wait for it get ErrDropped. Its offsets begin at 0 again.
func (s *Store) Drop(queryID uint64) error {
	s.shrink.Lock()
	defer s.shrink.Unlock()
	b := s.kv.NewBatch()
	lo, hi := queryRange(queryID)
	b.DeleteRange(lo, hi)
	from, to := baseRange(queryID)
	b.DeleteRange(from, to)
	b.Delete(tailKey(queryID))
	if err := b.Commit(false); err != nil {
		return fmt.Errorf("drop results: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queries[queryID]; q != nil {
		delete(s.queries, queryID)
		q.wakeAll()
	}
	return nil
}

// Queries returns the ids that rows are known of, so that what dropped queries left can be found.
func (s *Store) Queries() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]uint64, 0, len(s.queries))
	for id := range s.queries {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Close wakes all who wait with ErrClosed. The kv.Store stays open.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, q := range s.queries {
		q.wakeAll()
	}
}
