package results

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/storage/kv"
)

const (
	// tailsMax is how many bytes of the ends of changelogs are kept in memory, and in packs, before blocks are made of them.
	// Commits wait while it is tailsFull times as much.
	tailsMax  = 32 << 20
	tailsFull = 3
	// flushBatch is about how many bytes of blocks are committed at a time.
	flushBatch = 4 << 20
)

// BoundTails sets how many bytes of the ends of changelogs are kept in memory; thrice that for moments. Without it: 32 MiB. Call it before anything is put.
func (s *Store) BoundTails(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tailsMax = min(tailsMax, max(1, bytes))
}

// flushBeside is Flush in a goroutine of its own. What fails is tried again as more is published, and is reported there at the latest
// when the ends are full.
func (s *Store) flushBeside() {
	defer s.background.Done()
	_ = s.Flush()
	s.mu.Lock()
	s.flushing = false
	s.mu.Unlock()
}

// tailOf is the end of a changelog that is to become blocks: published up to an offset, put bytes in total.
type tailOf struct {
	log     *Changelog
	runs    []run
	to, put int64
	// grown is how much more the rows take in blocks.
	grown int64
}

// Flush makes blocks of all that is published and not in blocks. Readers and writers go on meanwhile.
func (s *Store) Flush() error {
	s.shrink.Lock()
	defer s.shrink.Unlock()
	list, upTo, bytes := s.tails()
	if bytes == 0 {
		return nil
	}
	b := s.kv.NewBatch()
	var id uint64
	w := blockWriter{key: func(first int64) []byte { return blockKey(id, first) }}
	for i := range list {
		x := &list[i]
		w.b, w.grown, id = b, 0, x.log.id
		for _, r := range x.runs {
			w.add(r)
		}
		w.end()
		x.grown = w.grown
		putSize(b, id, x.to, x.put+x.grown)
		if b.Len() > flushBatch { // the blocks of one query are in one batch
			if err := b.Commit(false); err != nil {
				return fmt.Errorf("write results out: %w", err)
			}
			b = s.kv.NewBatch()
		}
	}
	b.DeleteRange(packKey(0), packKey(upTo))
	var gone []uint64
	for id, seq := range s.gone {
		if seq < upTo {
			gone = append(gone, id)
			b.Delete(goneKey(id))
		}
	}
	if err := b.Commit(false); err != nil {
		return fmt.Errorf("write results out: %w", err)
	}
	for _, id := range gone {
		delete(s.gone, id)
	}
	s.flushed(list, bytes)
	return nil
}

// tails are the ends that can be made blocks of: those in the packs before upTo, which take bytes.
func (s *Store) tails() (list []tailOf, upTo uint64, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, log := range s.tailed {
		if runs := log.kept(); len(runs) > 0 {
			list = append(list, tailOf{log: log, runs: runs, to: log.published, put: log.put})
		} else if n := len(log.tail); n > 0 {
			list = append(list, tailOf{log: log, runs: log.tail[n:], to: log.published, put: log.put})
		}
	}
	slices.SortFunc(list, func(a, b tailOf) int { return cmp.Compare(a.log.id, b.log.id) })
	return list, s.packsUpTo, s.tailBytes
}

// kept are the runs of the end that are not trimmed.
func (log *Changelog) kept() []run {
	i := 0
	for i < len(log.tail) && log.tail[i].end() <= log.oldest {
		i++
	}
	return log.tail[i:]
}

// flushed takes out of the ends in memory what blocks have now, and what was trimmed.
func (s *Store) flushed(list []tailOf, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tailBytes -= bytes
	for _, x := range list {
		log := x.log
		if s.logs[log.id] != log {
			continue // dropped meanwhile
		}
		log.put += x.grown
		s.total += x.grown
		end := log.oldest
		if n := len(x.runs); n > 0 {
			end = x.runs[n-1].end()
		}
		n := 0
		for n < len(log.tail) && log.tail[n].end() <= end {
			n++
		}
		log.tail = append([]run(nil), log.tail[n:]...) // readers may have the old one
	}
	s.tailed = slices.DeleteFunc(s.tailed, func(log *Changelog) bool {
		log.listed = len(log.tail) > 0
		return !log.listed
	})
}

// load finds all changelogs.
func (s *Store) load() error {
	if err := s.forgetAhead(); err != nil {
		return err
	}
	if err := s.loadTails(); err != nil {
		return err
	}
	if err := s.loadBlocks(); err != nil {
		return err
	}
	if err := s.loadSizes(); err != nil {
		return err
	}
	lo, hi := []byte{kv.PrefixResults, kindGone}, []byte{kv.PrefixResults, kindGone + 1}
	err := s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		if len(key) != 10 || len(value) != 8 {
			return false, fmt.Errorf("%w: mark %x = %x", ErrCorrupt, key, value)
		}
		s.gone[binary.BigEndian.Uint64(key[2:])] = binary.BigEndian.Uint64(value)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, seq := range s.gone {
		s.nextPack = max(s.nextPack, seq+1)
	}
	lo, hi = []byte{kv.PrefixResults, kindPack}, []byte{kv.PrefixResults, kindPack + 1}
	err = s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		if len(key) != 10 {
			return false, fmt.Errorf("%w: key %x", ErrCorrupt, key)
		}
		seq := binary.BigEndian.Uint64(key[2:])
		s.nextPack = seq + 1
		return true, s.loadPack(seq, value)
	})
	s.packsUpTo = s.nextPack
	for _, log := range s.logs {
		s.total += log.put - log.cut
	}
	return err
}

// loadTails reads where the offsets of trimmed changelogs had come to.
func (s *Store) loadTails() error {
	lo, hi := []byte{kv.PrefixResults, kindTail}, []byte{kv.PrefixResults, kindTail + 1}
	return s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		next, cut, base, err := parseTail(key, value)
		if err != nil {
			return false, err
		}
		log := s.changelog(binary.BigEndian.Uint64(key[2:]))
		log.oldest, log.published, log.next = next, next, next
		log.cut, log.base = cut, base
		return true, nil
	})
}

// loadBlocks finds the first and the last block of each query: two small reads.
func (s *Store) loadBlocks() error {
	lo, hi := []byte{kv.PrefixResults, kindBlock}, []byte{kv.PrefixResults, kindBlock + 1}
	for {
		// The first block of the next query, then its last one; then skip to the query after it.
		var id uint64
		var oldest, next int64
		var epoch uint64
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
			if err == nil {
				next, epoch = b.end(), b.runs[len(b.runs)-1].epoch
			}
			return false, err
		})
		if err != nil {
			return err
		}
		log := s.changelog(id)
		log.oldest = max(log.oldest, oldest)
		log.next = max(next, log.oldest)
		log.published, log.epoch = log.next, epoch
		lo = to
	}
}

// Drop removes all rows of a query; those who wait for it get ErrDropped. Its offsets begin at 0 again.
func (s *Store) Drop(queryID uint64) error {
	s.shrink.Lock()
	defer s.shrink.Unlock()
	b := s.kv.NewBatch()
	lo, hi := queryRange(queryID)
	from, to := baseRange(queryID)
	if err := errors.Join(kv.Remove(s.kv, b, lo, hi), kv.Remove(s.kv, b, from, to)); err != nil {
		b.Discard()
		return fmt.Errorf("drop results: %w", err)
	}
	b.Delete(tailKey(queryID))
	b.Delete(sizeKey(queryID))
	s.mu.Lock()
	last, log := s.packsUpTo-1, s.logs[queryID]
	packed := log != nil && len(log.tail) > 0
	s.mu.Unlock()
	if packed {
		b.Set(goneKey(queryID), binary.BigEndian.AppendUint64(nil, last))
	}
	if err := b.Commit(false); err != nil {
		return fmt.Errorf("drop results: %w", err)
	}
	if packed {
		s.gone[queryID] = last
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if log != nil {
		s.total -= log.put - log.cut
		delete(s.logs, queryID)
		log.tail = nil
		log.wakeAll()
	}
	return nil
}

// Close wakes all who wait with ErrClosed, and waits for what is under way beside them. The kv.Store stays open.
func (s *Store) Close() {
	s.mu.Lock()
	s.closed = true
	for _, log := range s.logs {
		log.wakeAll()
	}
	s.mu.Unlock()
	s.background.Wait()
}
