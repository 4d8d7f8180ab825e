package pebblekv

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// mergeEvery is how many memtables are written between two looks for tables to merge.
	mergeEvery = 16
	// mergeTables is how many small tables of a kind must lie side by side in a level to be merged, and a table is small below smallTable bytes: each
	// byte of keys that only ascend is written a few times more, until it is in a table that is not small.
	mergeTables = 8
	smallTable  = 1 << 20
	// mergeMax is the most that is written at a time, bytes.
	mergeMax = 16 << 20
)

// merging merges small tables below the top level in the background. By itself Pebble never does: a table that overlaps nothing in the level below it is
// moved there as it is, so that keys that only ascend leave some table there for each few memtables, for as long as they are kept.
type merging struct {
	flushes atomic.Int64
	look    chan struct{}
	ctx     context.Context
	stop    context.CancelFunc
	done    chan struct{}
}

// init comes before the store is opened, start after it.
func (m *merging) init() {
	m.look = make(chan struct{}, 1)
	m.ctx, m.stop = context.WithCancel(context.Background())
}

// flushed is told of each memtable that was written. The first one asks for a look too, for stores that are never open for long.
func (m *merging) flushed(pebble.FlushInfo) {
	if m.flushes.Add(1)%mergeEvery == 1 {
		select {
		case m.look <- struct{}{}:
		default: // it was asked for already
		}
	}
}

func (m *merging) start(s *Store) {
	m.done = make(chan struct{})
	go func() {
		defer close(m.done)
		for {
			select {
			case <-m.ctx.Done():
				return
			case <-m.look:
			}
			if err := s.mergeSmall(m.ctx); err != nil && m.ctx.Err() == nil && s.opts.Logger != nil {
				s.opts.Logger.Warn("small tables are not merged: trying again later", "error", err)
			}
		}
	}()
}

// span is a stretch of keys: from lo to last, and to before hi.
type span struct{ lo, last, hi []byte }

// mergeSmall merges the small tables that lie side by side.
func (s *Store) mergeSmall(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	levels, err := s.db.SSTables()
	if err != nil {
		return fmt.Errorf("list the tables of data directory %s: %w", s.dir, err)
	}
	spans := smallSpans(levels)
	if len(spans) == 0 {
		return nil
	}
	// A compaction begins with a table that overlaps what is to be merged. There are no range keys, so that their deletion deletes nothing, and it is
	// gone with the compaction.
	b := s.db.NewBatch()
	for _, x := range spans {
		if err := b.RangeKeyDelete(x.lo, x.hi, nil); err != nil {
			_ = b.Close() // releases memory, cannot fail
			return err
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write to data directory %s: %w", s.dir, err)
	}
	written, err := s.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("write tables of data directory %s: %w", s.dir, err)
	}
	select {
	case <-written:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, x := range spans {
		if err := s.db.Compact(ctx, x.lo, x.last, false); err != nil {
			return fmt.Errorf("merge tables of data directory %s: %w", s.dir, err)
		}
	}
	return nil
}

// smallSpans are those of small tables of one kind that lie side by side in a level, where little is to be written with them.
func smallSpans(levels [][]pebble.SSTableInfo) (spans []span) {
	for level := 1; level < len(levels); level++ {
		tables := levels[level]
		for from := 0; from < len(tables); {
			to, size := from, uint64(0)
			for to < len(tables) && tables[to].Size < smallTable && size < mergeMax/2 && sameKind(&tables[from], &tables[to]) {
				size += tables[to].Size
				to++
			}
			if to-from >= mergeTables {
				if x := spanOf(tables[from:to]); overlapBytes(levels, x) < mergeMax {
					spans = append(spans, x)
				}
			}
			from = max(to, from+1)
		}
	}
	return spans
}

// sameKind reports whether two tables hold keys of the same kind, see ownTables.
func sameKind(a, b *pebble.SSTableInfo) bool {
	ka, kb := a.Smallest.UserKey, b.Smallest.UserKey
	return len(ka) > 1 && len(kb) > 1 && bytes.Equal(ka[:2], kb[:2])
}

func spanOf(tables []pebble.SSTableInfo) span {
	end := tables[len(tables)-1].Largest
	x := span{lo: tables[0].Smallest.UserKey, last: end.UserKey, hi: end.UserKey}
	if !end.IsExclusiveSentinel() {
		x.hi = append(bytes.Clone(end.UserKey), 0)
	}
	return x
}

// overlapBytes is the size of the tables in all levels that hold keys of a span.
func overlapBytes(levels [][]pebble.SSTableInfo, x span) (size uint64) {
	for _, tables := range levels {
		for i := range tables {
			if t := &tables[i]; bytes.Compare(t.Smallest.UserKey, x.last) <= 0 && bytes.Compare(t.Largest.UserKey, x.lo) >= 0 {
				size += t.Size
			}
		}
	}
	return size
}
