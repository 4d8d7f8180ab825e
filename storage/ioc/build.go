package ioc

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"runtime"
	"slices"

	"github.com/vigil-sql/vigil/storage/kv"
)

// Build builds the filters of the lists that were there when the store was opened. Until it has, they answer from their rows.
func (s *Store) Build(ctx context.Context) error {
	for _, id := range s.IDs() {
		l := s.List(id)
		for i := 0; i < shardCount; {
			if err := ctx.Err(); err != nil {
				return err
			}
			if l.shards[i].Load() != nil {
				i++
				continue
			}
			next, err := l.buildFrom(i)
			if err != nil {
				return err
			}
			i = next
		}
	}
	return nil
}

// buildMax is about how many entries are read at a time; changes wait for that long.
const buildMax = 32 << 10

// buildFrom builds shards from one on, and returns the next one.
func (l *List) buildFrom(i int) (int, error) {
	l.s.write.Lock()
	defer l.s.write.Unlock()
	at, n, ended := i, 0, true
	var all []hashes
	publish := func(upTo int) {
		for ; at < upTo; at++ {
			l.shards[at].Store(newShard(all))
			all = all[:0]
		}
	}
	err := l.scanHashes(i, shardCount, func(h hashes) bool {
		if to := int(h.a >> 56); to > at {
			if publish(to); n >= buildMax {
				ended = false
				return false
			}
		}
		all, n = append(all, h), n+1
		return true
	})
	if err != nil {
		return at, err
	}
	if ended {
		publish(shardCount)
	}
	return at, nil
}

// scanHashes gives the hashes of all values that have rows, in order of the first, from a shard on to before another.
func (l *List) scanHashes(from, to int, fn func(hashes) bool) error {
	lo := append(listKey(kindRow, l.id), byte(from))
	hi := kv.PrefixEnd(listKey(kindRow, l.id))
	if to < shardCount {
		hi = append(listKey(kindRow, l.id), byte(to))
	}
	var last []byte
	return l.s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		if len(key) > 8 && string(last) == string(key[:len(key)-8]) {
			return true, nil
		}
		r, err := decodeRow(key, value)
		if err != nil {
			return false, err
		}
		last = append(last[:0], key[:len(key)-8]...)
		h := l.s.hash(r.value)
		h.a = r.hash
		return fn(h), nil
	})
}

// rowHashes are those of a shard that is to be built anew.
func (l *List) rowHashes(i int) ([]hashes, error) {
	var all []hashes
	err := l.scanHashes(i, i+1, func(h hashes) bool { all = append(all, h); return true })
	return all, err
}

// merge puts hashes together, without those that are there twice.
func merge(a, b []hashes) []hashes {
	all := append(a, b...)
	slices.SortFunc(all, func(x, y hashes) int {
		if x.a != y.a {
			return cmp.Compare(x.a, y.a)
		}
		return cmp.Compare(x.b, y.b)
	})
	return slices.Compact(all)
}

// Scan calls fn for the entries of a version, in no order that means anything, until it returns false or an error. The slices are
// valid during the call.
func (l *List) Scan(seq uint64, fn func(value []byte, e Entry) (bool, error)) error {
	var last []byte
	return l.Rows(func(r Row) (bool, error) {
		if r.Seq > seq || string(last) == string(r.Value) {
			return true, nil
		}
		if last = append(last[:0], r.Value...); r.Gone {
			return true, nil
		}
		return fn(r.Value, r.Entry)
	})
}

// Row is a version of an entry: from change Seq on it is as it says, or gone.
type Row struct {
	Value []byte
	Seq   uint64
	Gone  bool
	Entry
}

// Rows calls fn for all rows that are kept, those of a value one after the other, the newest first, until it returns false or an error. The slices
// are valid during the call.
func (l *List) Rows(fn func(Row) (bool, error)) error {
	lo := listKey(kindRow, l.id)
	return l.s.kv.Scan(lo, kv.PrefixEnd(lo), func(key, value []byte) (bool, error) {
		r, err := decodeRow(key, value)
		if err != nil {
			return false, err
		}
		return fn(Row{Value: r.value, Seq: r.seq, Gone: r.gone, Entry: Entry{r.info, r.expires}})
	})
}

// trimMax is how many changes of entries one call of Trim forgets, purgeMax how many at a time.
const (
	trimMax  = 200_000
	purgeMax = 500
	// yieldEvery is after how many of them others go first.
	yieldEvery = 64
)

// Trim forgets rows that nobody asks for any more: no epoch before the given one will run again.
func (s *Store) Trim(epoch uint64) error {
	s.cursors.drain()
	oldest := s.oldest(epoch)
	dead := map[uint64]*[shardCount]int{}
	from := kindKey(kindUndo)
	for n := 0; n < trimMax; {
		did, err := s.purge(oldest, dead, &from)
		if err != nil {
			return err
		}
		if n += did; did < purgeMax {
			break
		}
	}
	if err := s.rebuild(dead); err != nil {
		return err
	}
	if err := s.dropGone(oldest); err != nil {
		return err
	}
	return s.trimVersions(epoch, oldest)
}

// purge removes the rows that changes up to one have replaced or ended; some of them. It begins at from, and leaves there where it came to, so that the
// next call need not pass over what this one removed.
func (s *Store) purge(oldest uint64, dead map[uint64]*[shardCount]int, from *[]byte) (n int, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	b := s.kv.NewBatch()
	defer b.Discard()
	lo := kindKey(kindRow)
	rows, err := kv.NewCursor(s.kv, lo, kv.PrefixEnd(lo))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	err = s.kv.Scan(bytes.Clone(*from), kv.PrefixEnd(kindKey(kindUndo)), func(key, value []byte) (bool, error) {
		u, err := decodeUndo(key, value)
		if err != nil || u.seq > oldest || n == purgeMax {
			return false, err
		}
		*from = append((*from)[:0], key...)
		if n++; n%yieldEvery == 0 {
			runtime.Gosched()
		}
		b.Delete(key)
		if u.prev != 0 {
			b.Delete(u.rowKeyOf(u.prev))
		}
		if !u.gone {
			return true, nil
		}
		b.Delete(u.rowKeyOf(u.seq))
		first, _, ok, err := rows.Seek(u.rowKeyOf(^uint64(0)), len(u.entry)+rowHead)
		if ok && ^binary.BigEndian.Uint64(first[len(first)-8:]) == u.seq {
			if dead[u.list] == nil {
				dead[u.list] = new([shardCount]int)
			}
			dead[u.list][u.entry[8]]++
		}
		return err == nil, err
	})
	if err != nil {
		return 0, err
	}
	return n, b.Commit(false)
}

// rebuild notes how many values of shards have no row any more, and builds anew those of which many have none.
func (s *Store) rebuild(dead map[uint64]*[shardCount]int) error {
	for id, list := range dead {
		s.mu.Lock()
		l := s.lists[id]
		s.mu.Unlock()
		for i, n := range list {
			if l == nil || n == 0 {
				continue
			}
			if err := l.noteDead(i, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *List) noteDead(i, n int) error {
	l.s.write.Lock()
	defer l.s.write.Unlock()
	old := l.shards[i].Load()
	if old == nil {
		return nil
	}
	next := *old
	if next.dead += n; next.dead <= next.n/8 {
		l.shards[i].Store(&next)
		return nil
	}
	all, err := l.rowHashes(i)
	if err != nil {
		return err
	}
	l.shards[i].Store(newShard(all))
	return nil
}

// dropGone removes the entries of lists that were dropped.
func (s *Store) dropGone(oldest uint64) error {
	s.mu.Lock()
	var gone []uint64
	s.gone = slices.DeleteFunc(s.gone, func(x goneList) bool {
		if x.seq <= oldest {
			gone = append(gone, x.list)
		}
		return x.seq <= oldest
	})
	s.mu.Unlock()
	return s.Forget(gone...)
}

// Forget removes lists that nobody asks for any more.
func (s *Store) Forget(ids ...uint64) error {
	if len(ids) == 0 {
		return nil
	}
	s.write.Lock()
	defer s.write.Unlock()
	b := s.kv.NewBatch()
	s.mu.Lock()
	for _, id := range ids {
		for _, kind := range []byte{kindRow, kindStat} {
			lo := listKey(kind, id)
			b.DeleteRange(lo, kv.PrefixEnd(lo))
		}
		delete(s.lists, id)
	}
	s.mu.Unlock()
	return b.Commit(false)
}

// trimVersions forgets which epochs had versions that nobody asks for any more.
func (s *Store) trimVersions(epoch, oldest uint64) error {
	b := s.kv.NewBatch()
	s.mu.Lock()
	for len(s.epochs) > 1 && s.epochs[1].epoch <= epoch {
		b.Delete(numberKey(kindEpoch, s.epochs[0].epoch))
		s.epochs = s.epochs[1:]
	}
	for _, l := range s.lists {
		for len(l.stats) > 1 && l.stats[1].seq <= oldest {
			b.Delete(statKey(l.id, l.stats[0].seq))
			l.stats = l.stats[1:]
		}
	}
	s.mu.Unlock()
	return b.Commit(false)
}

// Clear removes all lists.
func (s *Store) Clear() error {
	if err := s.Forget(s.IDs()...); err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	b := s.kv.NewBatch()
	for _, kind := range []byte{kindEpoch, kindStat, kindMark, kindRow, kindUndo, kindExpiry} {
		b.DeleteRange(kindKey(kind), kindKey(kind+1))
	}
	s.mu.Lock()
	s.epochs, s.gone = nil, nil
	s.mu.Unlock()
	return b.Commit(false)
}
