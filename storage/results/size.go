package results

import (
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

// How much is kept of a query's rows is known at any time: what was put in total, less what was cut off. Both only grow, and
// each is written with what changes it - the first with blocks, the second by Trim - so that they need not wait for each other.

const (
	kindSize    = 0x07
	sizeVersion = 1
)

// sizes are bytes of rows as they are packed.
type sizes struct {
	// put is what was published in total, cut what of it was trimmed, base what the base takes.
	put, cut, base int64
	// counted is the offset up to which the stored size counts; of loading alone.
	counted int64
	// epoch is the newest that brought rows.
	epoch uint64
}

func sizeKey(queryID uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kv.PrefixResults, kindSize}, queryID)
}

// putSize adds to b that the rows of a query before offset to were put bytes in total.
func putSize(b kv.Batch, queryID uint64, to, put int64) {
	v := binary.BigEndian.AppendUint64([]byte{sizeVersion}, uint64(to))
	b.Set(sizeKey(queryID), binary.BigEndian.AppendUint64(v, uint64(put)))
}

// tailValue is what tailKey holds: where the rows begin that are kept, how many bytes were cut off before, and the size of the base.
func tailValue(oldest, cut, base int64) []byte {
	v := binary.BigEndian.AppendUint64(nil, uint64(oldest))
	v = binary.BigEndian.AppendUint64(v, uint64(cut))
	return binary.BigEndian.AppendUint64(v, uint64(base))
}

// parseTail reads a tailValue, also one of version 1, which is the offset alone.
func parseTail(key, value []byte) (oldest, cut, base int64, err error) {
	if len(key) != 10 || len(value) != 8 && len(value) != 24 {
		return 0, 0, 0, fmt.Errorf("%w: tail %x = %x", ErrCorrupt, key, value)
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(value[8*i:])) }
	if len(value) == 8 {
		return at(0), 0, 0, nil
	}
	return at(0), at(1), at(2), nil
}

// loadSizes reads the sizes; blocks of older versions have none and are counted, all of them.
func (s *Store) loadSizes() error {
	lo, hi := []byte{kv.PrefixResults, kindSize}, []byte{kv.PrefixResults, kindSize + 1}
	err := s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		if err := kv.CheckVersion("the size of results", value, sizeVersion); err != nil {
			return false, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if len(key) != 10 || len(value) != 17 {
			return false, fmt.Errorf("%w: size %x = %x", ErrCorrupt, key, value)
		}
		log := s.changelog(binary.BigEndian.Uint64(key[2:]))
		log.counted, log.put = int64(binary.BigEndian.Uint64(value[1:])), int64(binary.BigEndian.Uint64(value[9:]))
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, log := range s.logs {
		if log.counted > 0 || log.oldest >= log.published {
			continue
		}
		if err := s.countBlocks(log); err != nil {
			return err
		}
	}
	return nil
}

// countBlocks counts the rows of a changelog that are in blocks and kept.
func (s *Store) countBlocks(log *Changelog) error {
	log.put, log.counted = log.cut, log.published
	lo, hi := queryRange(log.id)
	return s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		b, err := parseBlock(key, value)
		if err != nil {
			return false, err
		}
		for i := range b.runs {
			if r := &b.runs[i]; r.end() > log.oldest {
				log.put += int64(len(r.packed))
			}
		}
		return true, nil
	})
}

// Size is how many bytes of rows are kept of a query, as they are packed, with the base.
func (s *Store) Size(queryID uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.logs[queryID]
	if log == nil {
		return 0
	}
	return log.put - log.cut + log.base
}
