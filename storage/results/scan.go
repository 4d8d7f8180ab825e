package results

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// view is what there is of a changelog at one moment: published rows [oldest, next), from tailFrom on in tail, before it in blocks.
type view struct {
	log                    *Changelog
	oldest, next, tailFrom int64
	tail                   []run
	sizes
}

func (s *Store) view(queryID uint64) view {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.logs[queryID]
	if log == nil {
		return view{}
	}
	v := view{log: log, oldest: log.oldest, next: log.published, tailFrom: log.published, tail: log.tail, sizes: log.sizes}
	if len(v.tail) > 0 {
		v.tailFrom = v.tail[0].first
	}
	return v
}

// still is ErrDropped when the changelog of a view is not the query's any more. Blocks that are read after the view was taken may be
// those of rows that the query has brought since it was dropped.
func (s *Store) still(v view) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logs[v.log.id] != v.log {
		return ErrDropped
	}
	return nil
}

// Scan calls fn for the published rows from offset from on, at most limit of them (0: all), until it returns false or an
// error. Rows before Oldest are skipped. ErrDropped: the query was dropped meanwhile.
func (s *Store) Scan(queryID uint64, from int64, limit int, fn func(Row) (bool, error)) error {
	v := s.view(queryID)
	if from = max(from, v.oldest); from >= v.next {
		return nil
	}
	if limit <= 0 {
		limit = math.MaxInt
	}
	more := true
	one := func(r Row) (bool, error) {
		if r.Offset < from {
			return true, nil
		}
		limit--
		var err error
		more, err = fn(r)
		more = more && limit > 0
		return more, err
	}
	if from < v.tailFrom {
		if err := s.scanBlocks(v, from, one); err != nil || !more {
			return err
		}
	}
	i, _ := slices.BinarySearchFunc(v.tail, from, func(r run, from int64) int {
		if r.end() <= from {
			return -1
		}
		return 1
	})
	for ; i < len(v.tail); i++ {
		if ok, err := v.tail[i].each(queryID, one); !ok || err != nil {
			return err
		}
	}
	return nil
}

// scanBlocks calls fn for a view's rows in blocks, from the block on that holds from.
func (s *Store) scanBlocks(v view, from int64, fn func(Row) (bool, error)) error {
	queryID := v.log.id
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
		if err = errors.Join(err, s.still(v)); err != nil {
			return false, err
		}
		return b.each(func(r Row) (bool, error) {
			if r.Offset >= v.tailFrom {
				return false, nil
			}
			return fn(r)
		})
	})
}

// ScanBack is Scan from the row before offset before downwards.
func (s *Store) ScanBack(queryID uint64, before int64, limit int, fn func(Row) (bool, error)) error {
	v := s.view(queryID)
	if before = min(before, v.next); before <= v.oldest {
		return nil
	}
	if limit <= 0 {
		limit = math.MaxInt
	}
	var parts []run
	var rows []Row
	var copies []byte
	// down calls fn for the rows of a run, the last one first.
	down := func(r *run) (bool, error) {
		parts = r.parts(parts[:0])
		for i := len(parts) - 1; i >= 0; i-- {
			if parts[i].first >= before {
				continue
			}
			rows, copies = rows[:0], copies[:0]
			_, err := parts[i].each(queryID, func(r Row) (bool, error) {
				copies = append(copies, r.Data...)
				r.Data = copies[len(copies)-len(r.Data) : len(copies) : len(copies)]
				rows = append(rows, r)
				return true, nil
			})
			if err != nil {
				return false, err
			}
			for _, r := range slices.Backward(rows) {
				if r.Offset >= before {
					continue
				}
				if r.Offset < v.oldest {
					return false, nil
				}
				limit--
				if more, err := fn(r); !more || err != nil || limit == 0 {
					return false, err
				}
			}
		}
		return true, nil
	}
	for i := len(v.tail) - 1; i >= 0; i-- {
		if more, err := down(&v.tail[i]); !more || err != nil {
			return err
		}
	}
	lo, _ := queryRange(queryID)
	return s.kv.ScanBack(lo, blockKey(queryID, min(before, v.tailFrom)), func(key, value []byte) (bool, error) {
		b, err := parseBlock(key, value)
		if err = errors.Join(err, s.still(v)); err != nil {
			return false, err
		}
		for i := len(b.runs) - 1; i >= 0; i-- {
			if b.runs[i].first >= v.tailFrom {
				continue
			}
			if more, err := down(&b.runs[i]); !more || err != nil {
				return false, err
			}
		}
		return true, nil
	})
}
