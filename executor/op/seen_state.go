package op

import (
	"encoding/binary"
	"fmt"
	"math"

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
	_, err := s.save(b, savePart{math.MaxInt, cutAnewMost}, out)
	b.ahead = false
	return err
}

// save writes keys of a bucket that changed, all of it where that is due.
func (s *sightings) save(b *sightBucket, part savePart, out StateWriter) (int, error) {
	if b.anew(b.table.DirtyLen(), b.table.Len(), part.anewMost) {
		b.table.MarkAll()
		if err := out.Rewrite(b.start); err != nil {
			return 0, err
		}
	}
	s.gids = b.table.TakeDirty(s.gids[:0], part.most)
	return len(s.gids), s.write(b, s.gids, out)
}

// write adds keys to the checkpoint.
func (s *sightings) write(b *sightBucket, gids []uint32, out StateWriter) error {
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
	return nil
}

// changed is how many keys a snapshot would write.
func (s *sightings) changed() int {
	n := 0
	for _, b := range s.open {
		n += b.left(b.table.DirtyLen(), b.table.Len())
	}
	return n
}

// copyAhead writes about most of them.
func (s *sightings) copyAhead(out StateWriter, most int) (int, error) {
	return copySlices(s.open, most, func(b *sightBucket, part savePart) (int, error) {
		if b.left(b.table.DirtyLen(), b.table.Len()) == 0 {
			return 0, nil
		}
		n, err := s.save(b, part, out)
		b.ahead = true
		return n, err
	})
}

// restore takes blocks back, oldest first.
func (s *sightings) restore(in StateReader, keys []types.Type, own func(hash uint64) bool) error {
	n, r := 0, sightRestorer{s: s, types: keys, own: own}
	return in.Blocks(func(start int64, data []byte) error {
		n++
		if err := r.load(start, data); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of keys from %s: block %d: %v",
				types.NewTime(types.EventTime(start)).Text(), n, err)
		}
		return nil
	})
}

// sightRestorer takes over the entries of the keys that this worker owns, a block at a time.
type sightRestorer struct {
	s     *sightings
	types []types.Type
	own   func(hash uint64) bool
	keys  restoredKeys
	at    []int64 // of keys
}

func (r *sightRestorer) load(start int64, src []byte) error {
	if err := blockVersion("a block of FIRST_SEEN and SUPPRESS", src, sightVersion); err != nil {
		return err
	}
	if floorTo(start, r.s.width) != start {
		return fmt.Errorf("%d is not the start of a bucket of the query", start)
	}
	r.keys.reset()
	r.at = r.at[:0]
	for src = src[1:]; len(src) > 0; {
		key, rest, err := cutBytes(src)
		if err != nil {
			return err
		}
		at, width := binary.Uvarint(rest)
		if width <= 0 || at >= uint64(r.s.width) {
			return fmt.Errorf("bad time of a key")
		}
		src = rest[width:]
		hash := batch.HashKey(key)
		if !r.own(hash) {
			continue
		}
		if rest, err = agg.SkipKey(key, r.types); err == nil && len(rest) > 0 {
			err = fmt.Errorf("key has %d bytes too many", len(rest))
		}
		if err != nil {
			return err
		}
		r.keys.add(key, hash)
		r.at = append(r.at, addTime(start, int64(at)))
	}
	if len(r.at) == 0 {
		return nil
	}
	b := r.s.bucketOf(start)
	b.restored = true
	k := batch.Keys{Buf: r.keys.rows.Buf, Off: r.keys.rows.Off, Hash: r.keys.rows.Hash}
	gids, err := r.s.findOrAdd(b, &k, batch.All(len(r.at)))
	for i, gid := range gids {
		b.last[gid] = r.at[i]
	}
	return err
}
