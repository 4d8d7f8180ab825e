package op

import (
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// sightVersion is the version of a block of sightings; see docs/formats/state.md.
const sightVersion = 1

// snapshot writes the keys that were noted since the last one.
func (s *sightings) snapshot(out StateWriter) error {
	for _, start := range s.dropped {
		if err := out.Drop(start); err != nil {
			return fmt.Errorf("drop state from %s: %w", types.NewTime(types.EventTime(start)).Text(), err)
		}
	}
	s.dropped = s.dropped[:0]
	for _, b := range s.open {
		if err := s.snapshotBucket(b, out); err != nil {
			return fmt.Errorf("snapshot of keys from %s: %w", types.NewTime(types.EventTime(b.start)).Text(), err)
		}
	}
	return nil
}

func (s *sightings) snapshotBucket(b *sightBucket, out StateWriter) error {
	s.gids = b.table.Dirty(s.gids[:0])
	gids := s.gids
	if b.restored || len(gids) > 0 && b.entries+len(gids) > rewriteRatio*b.table.Len()+rewriteMin {
		if err := out.Rewrite(b.start); err != nil {
			return err
		}
		gids, b.entries, b.restored = batch.All(b.table.Len()), 0, false
	}
	b.entries += len(gids)
	for len(gids) > 0 {
		block := []byte{sightVersion}
		for len(gids) > 0 && len(block) < blockBytes {
			key := b.table.Key(gids[0])
			block = binary.AppendUvarint(block, uint64(len(key)))
			block = append(block, key...)
			block = binary.AppendUvarint(block, uint64(b.last[gids[0]]-b.start))
			gids = gids[1:]
		}
		s.mem.Relieve()
		if err := out.Block(b.start, block); err != nil {
			return err
		}
	}
	b.table.ClearDirty()
	return nil
}

// restore takes blocks back, oldest first.
func (s *sightings) restore(in StateReader, keys []types.Type, own func(hash uint64) bool) error {
	n := 0
	return in.Blocks(func(start int64, data []byte) error {
		n++
		if err := s.load(start, data, keys, own); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of keys from %s: block %d: %v",
				types.NewTime(types.EventTime(start)).Text(), n, err)
		}
		return nil
	})
}

func (s *sightings) load(start int64, src []byte, types []types.Type, own func(hash uint64) bool) error {
	if err := blockVersion("a block of FIRST_SEEN and SUPPRESS", src, sightVersion); err != nil {
		return err
	}
	if floorTo(start, s.width) != start {
		return fmt.Errorf("%d is not the start of a bucket of the query", start)
	}
	b, src := (*sightBucket)(nil), src[1:]
	for len(src) > 0 {
		key, rest, err := cutBytes(src)
		if err != nil {
			return err
		}
		at, width := binary.Uvarint(rest)
		if width <= 0 || at >= uint64(s.width) {
			return fmt.Errorf("bad time of a key")
		}
		src = rest[width:]
		hash := batch.HashKey(key)
		if !own(hash) {
			continue
		}
		if rest, err = agg.SkipKey(key, types); err == nil && len(rest) > 0 {
			err = fmt.Errorf("key has %d bytes too many", len(rest))
		}
		if err != nil {
			return err
		}
		if b == nil {
			b = s.bucketOf(start)
			b.restored = true
		}
		k := batch.Keys{Buf: append([]byte(nil), key...), Off: []uint32{0, uint32(len(key))}, Hash: []uint64{hash}}
		gids, err := s.findOrAdd(b, &k, batch.All(1))
		if err != nil {
			return err
		}
		b.last[gids[0]] = addTime(start, int64(at))
	}
	return nil
}
