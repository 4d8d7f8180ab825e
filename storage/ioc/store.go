// Package ioc keeps the entries of IOC lists in a kv.Store, in every version that somebody may still ask for, and answers whether
// a value is an entry of a version, exactly: a pair of cuckoo filters turns most absent values away, what passes is looked up.
// Entries are bytes to it. docs/design/0011-ioc-store.md tells how it works.
package ioc

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dchest/siphash"

	"github.com/vigil-sql/vigil/storage/kv"
)

// Store holds all lists. It is safe for concurrent use; readers wait for nobody.
//
// Each change has a number, and a version of the lists is what the changes up to a number left. Changes are written ahead of the epoch
// at whose start they take effect (Stage), which makes them count (Publish): what was written for an epoch that was never committed
// is taken back when the store is opened.
type Store struct {
	kv     kv.Store
	k0, k1 uint64

	// write orders those who write rows or build filters anew; seq is the newest change.
	write sync.Mutex
	seq   uint64
	// failed are changes that broke off and could not be taken back.
	failed []mark
	// staged is the newest change whose rows are all there.
	staged atomic.Uint64

	mu     sync.Mutex
	lists  map[uint64]*List
	epochs []epochSeq
	// live counts the pins by version; gone are the lists that were dropped, with the change that did.
	live map[uint64]int
	gone []goneList

	cursors cursorPool
	hits    hitCache
}

// List is a list in all its versions.
type List struct {
	s  *Store
	id uint64
	// shards are by the top 8 bits of the hash; nil is not built yet: ask the rows.
	shards [shardCount]atomic.Pointer[shard]
	stats  []stat // by seq, of the last some versions; s.mu
}

// epochSeq says which version the epochs from one on have.
type epochSeq struct{ epoch, seq uint64 }

type goneList struct{ list, seq uint64 }

// Open reads what there is of lists beside their entries; those are read by Build.
func Open(s kv.Store) (*Store, error) {
	st := &Store{kv: s, lists: map[uint64]*List{}, live: map[uint64]int{}}
	st.cursors.s = st
	if err := st.openSecret(); err != nil {
		return nil, fmt.Errorf("open IOC lists: %w", err)
	}
	if err := st.load(); err != nil {
		return nil, fmt.Errorf("open IOC lists: %w", err)
	}
	return st, nil
}

// openSecret reads the key of the hashes; the first time it makes one.
func (s *Store) openSecret() error {
	value, ok, err := s.kv.Get(kindKey(kindSecret))
	if err != nil {
		return err
	}
	if !ok {
		value = append(make([]byte, 0, 17), secretVersion)
		value = value[:17]
		if _, err := rand.Read(value[1:]); err != nil {
			return err
		}
		b := s.kv.NewBatch()
		b.Set(kindKey(kindSecret), value)
		if err := b.Commit(true); err != nil {
			return err
		}
	}
	if err := kv.CheckVersion("the key of IOC hashes", value, secretVersion); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(value) != 17 {
		return fmt.Errorf("%w: the key of the hashes has %d bytes", ErrCorrupt, len(value))
	}
	s.k0, s.k1 = binary.LittleEndian.Uint64(value[1:]), binary.LittleEndian.Uint64(value[9:])
	return nil
}

func (s *Store) hash(v []byte) hashes {
	a, b := siphash.Hash128(s.k0, s.k1, v)
	return hashes{a, b}
}

// load takes back what no epoch made count, and reads versions and sizes.
func (s *Store) load() error {
	err := s.scan(kindMark, func(key, value []byte) error {
		m, err := decodeMark(key, value)
		s.failed = append(s.failed, m)
		s.seq = max(s.seq, m.seq)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.takeBack(); err != nil {
		return err
	}
	err = s.scan(kindEpoch, func(key, value []byte) error {
		if err := kv.CheckVersion("a version of the IOC lists", value, epochVersion); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if len(key) != 10 || len(value) != 9 {
			return fmt.Errorf("%w: key %x", ErrCorrupt, key)
		}
		x := epochSeq{binary.BigEndian.Uint64(key[2:]), binary.BigEndian.Uint64(value[1:])}
		s.epochs = append(s.epochs, x)
		s.seq = max(s.seq, x.seq)
		return nil
	})
	if err != nil {
		return err
	}
	err = s.scan(kindStat, func(key, value []byte) error {
		id, x, err := decodeStat(key, value)
		if err != nil {
			return err
		}
		l := s.lists[id]
		if l == nil {
			l = &List{s: s, id: id}
			s.lists[id] = l
		}
		l.stats = append(l.stats, x)
		s.seq = max(s.seq, x.seq)
		return nil
	})
	s.staged.Store(s.seq)
	s.hits.opened = s.seq
	return err
}

// scan reads all of a kind.
func (s *Store) scan(kind byte, fn func(key, value []byte) error) error {
	lo := kindKey(kind)
	return s.kv.Scan(lo, kv.PrefixEnd(lo), func(key, value []byte) (bool, error) {
		err := fn(key, value)
		return err == nil, err
	})
}

// Close gives back what readers held. Reading goes on to work while the kv.Store is open.
func (s *Store) Close() { s.cursors.drain() }

// List is the list of an id; one that has no entries if there is none.
func (s *Store) List(id uint64) *List {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lists[id]
	if l == nil {
		l = &List{s: s, id: id}
		for i := range l.shards {
			l.shards[i].Store(&shard{})
		}
		s.lists[id] = l
	}
	return l
}

// IDs are the lists that have ever been changed.
func (s *Store) IDs() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []uint64
	for id, l := range s.lists {
		if len(l.stats) > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// ID is the list's.
func (l *List) ID() uint64 { return l.id }

// Stat is what is known of the list in a version.
func (l *List) Stat(seq uint64) Stat {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	for i := len(l.stats) - 1; i >= 0; i-- {
		if l.stats[i].seq <= seq {
			return l.stats[i].Stat
		}
	}
	return Stat{}
}

// FilterBytes is the memory of the list's filters.
func (l *List) FilterBytes() int64 {
	n := int64(0)
	for i := range l.shards {
		if sh := l.shards[i].Load(); sh != nil {
			n += sh.bytes()
		}
	}
	return n
}

// Built reports whether all filters are there.
func (l *List) Built() bool {
	for i := range l.shards {
		if l.shards[i].Load() == nil {
			return false
		}
	}
	return true
}

// At is the version that an epoch sees.
func (s *Store) At(epoch uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at(epoch)
}

func (s *Store) at(epoch uint64) uint64 {
	for i := len(s.epochs) - 1; i >= 0; i-- {
		if s.epochs[i].epoch <= epoch {
			return s.epochs[i].seq
		}
	}
	return 0
}

// After are the versions that came after an epoch, by epoch, in order.
func (s *Store) After(epoch uint64, fn func(epoch, seq uint64)) {
	s.mu.Lock()
	list := slices.Clone(s.epochs)
	s.mu.Unlock()
	for _, x := range list {
		if x.epoch > epoch {
			fn(x.epoch, x.seq)
		}
	}
}

// Version keeps what a version needs, as long as somebody holds it.
type Version struct {
	s   *Store
	seq uint64
}

// Pin keeps a version, which must be the newest, or kept by another Version.
func (s *Store) Pin(seq uint64) *Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[seq]++
	v := &Version{s, seq}
	runtime.AddCleanup(v, s.unpin, seq)
	return v
}

// Seq is the number of the version.
func (v *Version) Seq() uint64 { return v.seq }

func (s *Store) unpin(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[seq]--; s.live[seq] == 0 {
		delete(s.live, seq)
	}
}

// oldest is the oldest version that somebody may ask for, when none before an epoch is run again.
func (s *Store) oldest(epoch uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq := uint64(math.MaxUint64)
	for n := range s.live {
		seq = min(seq, n)
	}
	return min(seq, s.at(epoch))
}
