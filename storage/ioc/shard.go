package ioc

import (
	"encoding/binary"
	"math/bits"
	"slices"

	cuckoo "github.com/seiflotfy/cuckoofilter"
)

const (
	shardCount = 256
	// filterLoadMax is how full a filter may get: it loses keys silently from 0.95 on.
	filterLoadMax = 0.85
	// looseMax is how many hashes a shard holds beside its filters, so that a single one does not cost a copy of them.
	looseMax = 32
)

// hashes are two independent keyed hashes of a value. The first orders the rows; nobody who does not know the key can choose values
// that collide in it.
type hashes struct{ a, b uint64 }

// shard is what tells most absent values of a slice of the hashes from present ones: a pair of filters, each with its own hash. It
// never changes once it is published: a filter that is written to while it is read loses keys for a moment.
//
// A value that has a row of any version is in it. Values that have none any more stay until the shard is built anew: to take a
// fingerprint out that is another's would lose that one.
type shard struct {
	a, b *cuckoo.Filter // nil: all are loose
	// loose are values that are not in the filters.
	loose []hashes
	// room is how many slots each filter has.
	room uint
	// n counts the values in filters and loose, dead those that may have no row any more.
	n, dead int
}

// may says that a value may be in the shard. key is room for one hash.
func (s *shard) may(h hashes, key []byte) bool {
	if s.a != nil {
		binary.LittleEndian.PutUint64(key, h.a)
		if s.a.Lookup(key) {
			binary.LittleEndian.PutUint64(key, h.b)
			if s.b.Lookup(key) {
				return true
			}
		}
	}
	for i := range s.loose {
		if s.loose[i] == h {
			return true
		}
	}
	return false
}

// with is a shard that has some more values; nil: the filters are too full, build them anew.
func (s *shard) with(add []hashes) *shard {
	next := &shard{a: s.a, b: s.b, room: s.room, n: s.n + len(add), dead: s.dead}
	if len(s.loose)+len(add) <= looseMax {
		next.loose = slices.Concat(s.loose, add)
		return next
	}
	if s.a == nil || float64(next.n) > filterLoadMax*float64(s.room) {
		return nil
	}
	next.a, next.b = copyOf(s.a), copyOf(s.b)
	if !insert(next.a, next.b, s.loose) || !insert(next.a, next.b, add) {
		return nil
	}
	return next
}

// newShard builds a shard of values, all different. An insertion that fails would have evicted somebody, so it starts over, bigger.
func newShard(all []hashes) *shard {
	s := &shard{n: len(all)}
	if len(all) <= looseMax {
		s.loose = slices.Clone(all)
		return s
	}
	for capacity := slotsFor(len(all)); ; capacity *= 2 {
		s.a, s.b, s.room = cuckoo.NewFilter(capacity), cuckoo.NewFilter(capacity), capacity
		if insert(s.a, s.b, all) {
			return s
		}
	}
}

// slotsFor is how many slots hold n values at the most load.
func slotsFor(n int) uint { return 1 << bits.Len(uint(float64(n)/filterLoadMax)) }

func insert(a, b *cuckoo.Filter, list []hashes) bool {
	var key [8]byte
	k := key[:]
	for _, h := range list {
		binary.LittleEndian.PutUint64(k, h.a)
		if !a.Insert(k) {
			return false
		}
		binary.LittleEndian.PutUint64(k, h.b)
		if !b.Insert(k) {
			return false
		}
	}
	return true
}

// copyOf cannot fail: what Encode gives is what Decode takes.
func copyOf(f *cuckoo.Filter) *cuckoo.Filter {
	c, err := cuckoo.Decode(f.Encode())
	if err != nil {
		panic(err)
	}
	return c
}

// bytes is the memory of the shard.
func (s *shard) bytes() int64 {
	n := int64(len(s.loose)) * 16
	if s.a != nil {
		n += 2 * int64(s.room) // a byte a slot
	}
	return n
}
