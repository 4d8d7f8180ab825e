package op

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// sightings remembers for each key the latest time at which it was noted, for as long as that time can matter: until the
// watermark is keep past it. Keys lie in buckets by that time. A key that is noted again in a later bucket stays in the
// earlier one too, until the bucket is dropped whole: nothing is ever deleted or moved, and a checkpoint drops a bucket
// as a slice. What it costs is 24 bytes and the key, for each bucket that a key is in.
type sightings struct {
	keep, width int64
	open        []*sightBucket // by start
	dropped     []int64        // starts of buckets that the checkpoint still has blocks of
	mem         *arena.Part
	gids        []uint32
	one         [1]uint32
}

// sightBucket holds the keys noted from start to start+width.
type sightBucket struct {
	start int64
	table state.Table
	// last is by number of the key: the latest time within the bucket, never when it is only about to be noted.
	last      []int64
	lastBlock arena.Block
	sliceSave
}

// never is the time of what did not happen.
const never = int64(types.MinTime)

// count is how many sightings are held; a key counts in each bucket that it is in.
func (s *sightings) count() int {
	n := 0
	for _, b := range s.open {
		n += b.table.Len()
	}
	return n
}

// bucketOf finds the bucket of a time, or makes it.
func (s *sightings) bucketOf(t int64) *sightBucket {
	start := floorTo(t, s.width)
	at := len(s.open)
	for at > 0 && s.open[at-1].start > start {
		at--
	}
	if at > 0 && s.open[at-1].start == start {
		return s.open[at-1]
	}
	b := &sightBucket{start: start, table: state.Table{Mem: s.mem}}
	s.open = slices.Insert(s.open, at, b)
	return b
}

// findOrAdd returns the numbers of keys in a bucket, valid until the next call.
func (s *sightings) findOrAdd(b *sightBucket, keys *batch.Keys, places []uint32) ([]uint32, error) {
	var err error
	if s.gids, err = b.table.FindOrAdd(stateRows(keys), places, s.gids[:0]); err != nil {
		return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d keys in one span of time", state.KeysMax)
	}
	for len(b.last) < b.table.Len() {
		b.last = arena.Append(s.mem, &b.lastBlock, b.last, never)
	}
	return s.gids, nil
}

// latest is the latest time at which a key was noted; own is what bucket b, which the key is in, says.
func (s *sightings) latest(b *sightBucket, own int64, key []byte, hash uint64) int64 {
	for i := len(s.open) - 1; i >= 0; i-- {
		o := s.open[i]
		if o == b {
			if own != never {
				return own
			}
			continue
		}
		if gid, ok := o.table.Find(key, hash); ok && o.last[gid] != never {
			return o.last[gid]
		}
	}
	return never
}

// within tells whether a key was noted at a time above lo and below hi. A bucket knows the latest time only: callers that
// note a key at most once in a bucket get an exact answer.
func (s *sightings) within(key []byte, hash uint64, lo, hi int64) bool {
	for i := len(s.open) - 1; i >= 0; i-- {
		b := s.open[i]
		if b.start >= hi {
			continue
		}
		if addTime(b.start, s.width) <= lo {
			return false
		}
		if gid, ok := b.table.Find(key, hash); ok && b.last[gid] > lo && b.last[gid] < hi {
			return true
		}
	}
	return false
}

// note adds one key at a time.
func (s *sightings) note(keys *batch.Keys, place uint32, t int64) error {
	b := s.bucketOf(t)
	s.one[0] = place
	gids, err := s.findOrAdd(b, keys, s.one[:])
	if err == nil {
		b.last[gids[0]] = max(b.last[gids[0]], t)
	}
	return err
}

// due is when the earliest bucket can be dropped.
func (s *sightings) due() types.EventTime {
	if len(s.open) == 0 {
		return types.MaxTime
	}
	return types.EventTime(addTime(addTime(s.open[0].start, s.width), s.keep))
}

// advance drops the buckets that no longer matter.
func (s *sightings) advance(watermark types.EventTime) {
	n := 0
	for ; n < len(s.open); n++ {
		b := s.open[n]
		if addTime(addTime(b.start, s.width), s.keep) > int64(watermark) {
			break
		}
		if b.stored() {
			s.dropped = append(s.dropped, b.start)
		}
		b.free()
	}
	s.open = slices.Delete(s.open, 0, n)
}

// free gives the memory of a bucket back.
func (b *sightBucket) free() {
	b.table.Free()
	b.lastBlock.Free()
	b.last = nil
}

// close gives all memory back.
func (s *sightings) close() {
	for _, b := range s.open {
		b.free()
	}
	s.open = nil
}

// bytes is the memory of all buckets.
func (s *sightings) bytes() int64 {
	n := capBytes(s.gids)
	for _, b := range s.open {
		n += b.table.Bytes() + capBytes(b.last)
	}
	return n
}

// size is the number of keys in all buckets, those in several of them counted several times.
func (s *sightings) size() int {
	n := 0
	for _, b := range s.open {
		n += b.table.Len()
	}
	return n
}
