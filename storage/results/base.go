package results

import (
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

// The base of a changelog is what the rows that Trim dropped leave: its content before its oldest row.

const kindBase = 0x04

func baseKey(queryID uint64, n uint64) []byte {
	key := append(make([]byte, 0, 18), kv.PrefixResults, kindBase)
	key = binary.BigEndian.AppendUint64(key, queryID)
	return binary.BigEndian.AppendUint64(key, n)
}

func baseRange(queryID uint64) (lo, hi []byte) {
	lo = baseKey(queryID, 0)[:10]
	return lo, kv.PrefixEnd(lo)
}

// Content calls fn for the base of a query's changelog, as rows before the oldest one, and then for its published rows. The
// changelog is not trimmed meanwhile, so fn should only take the rows in.
func (s *Store) Content(queryID uint64, fn func(Row) (bool, error)) error {
	s.shrink.Lock()
	defer s.shrink.Unlock()
	more := true
	err := s.scanBase(queryID, func(r Row) (bool, error) {
		var err error
		more, err = fn(r)
		return more, err
	})
	if err != nil || !more {
		return err
	}
	return s.Scan(queryID, 0, 0, fn)
}

// Base gives the base of a query's changelog and the offset of the row that follows it.
func (s *Store) Base(queryID uint64) (rows []Row, next int64, err error) {
	s.shrink.Lock()
	defer s.shrink.Unlock()
	err = s.scanBase(queryID, func(r Row) (bool, error) {
		r.Data = append([]byte(nil), r.Data...)
		rows = append(rows, r)
		return true, nil
	})
	return rows, s.Oldest(queryID), err
}

func (s *Store) scanBase(queryID uint64, fn func(Row) (bool, error)) error {
	lo, hi := baseRange(queryID)
	oldest := s.Oldest(queryID)
	err := s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		if len(key) != len(lo)+8 {
			return false, fmt.Errorf("%w: key %x", ErrCorrupt, key)
		}
		b, err := parseBlock(blockKey(queryID, 0), value)
		if err != nil {
			return false, err
		}
		return b.each(func(r Row) (bool, error) {
			r.Offset = oldest - 1
			return fn(r)
		})
	})
	if err != nil {
		return fmt.Errorf("read the base of results: %w", err)
	}
	return nil
}

// foldBase adds to b the base that is left when the rows before cut go: what fold makes of the old base and those rows. It takes size
// bytes.
func (s *Store) foldBase(b kv.Batch, queryID uint64, cut int64, fold func(rows []Row) []Row) (size int64, err error) {
	var rows []Row
	keep := func(r Row) (bool, error) {
		if r.Offset >= cut {
			return false, nil
		}
		r.Data = append([]byte(nil), r.Data...)
		rows = append(rows, r)
		return true, nil
	}
	if err := s.scanBase(queryID, keep); err != nil {
		return 0, err
	}
	if err := s.Scan(queryID, 0, 0, keep); err != nil {
		return 0, err
	}
	lo, hi := baseRange(queryID)
	if err := kv.Remove(s.kv, b, lo, hi); err != nil {
		return 0, err
	}
	n := uint64(0)
	w := blockWriter{b: b, key: func(int64) []byte { n++; return baseKey(queryID, n-1) }}
	for _, r := range fold(rows) {
		packed := AppendRow(nil, r.Op, r.Data)
		size += int64(len(packed))
		w.add(run{rows: 1, epoch: r.Epoch, clock: r.Clock, packed: packed})
	}
	w.end()
	return size, nil
}
