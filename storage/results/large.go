package results

import (
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

// The rows of a query and epoch that are too many for one batch are written before the commit of their epoch, in batches of their own,
// which need no sync: that of the epoch makes them durable. Until then a mark says from which offset on a query's blocks do not count;
// the epoch's batch takes it away. Who opens the store and finds a mark deletes those blocks: their epoch never was.

const (
	kindAhead    = 0x08
	aheadVersion = 1
)

func aheadKey(queryID uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kv.PrefixResults, kindAhead}, queryID)
}

// Large is the rows of one query and epoch on their way into the store, however many:
//
//	l, err := p.Large(log)
//	l.Row for each of its rows
//	l.End()
//
// before the End of its Put, and no other rows of the query in that. An error leaves the Put of no use.
type Large struct {
	p   *Put
	log *Changelog
	b   kv.Batch
	w   blockWriter
	// run is the rows that are not in a block; bytes are those of all rows that are.
	run    run
	bytes  int64
	last   []byte
	shared int
}

// Large begins the rows of a query that are written ahead of the commit.
func (p *Put) Large(log *Changelog) (*Large, error) {
	p.endQuery()
	if !p.s.untailed(log) { // blocks follow blocks
		if err := p.s.Flush(); err != nil {
			return nil, err
		}
	}
	l := &Large{p: p, log: log}
	l.w.key = func(first int64) []byte { return blockKey(log.id, first) }
	l.begin(log.next)
	return l, nil
}

// First is the offset of the first row.
func (l *Large) First() int64 { return l.log.published }

// begin begins a block with the row at an offset.
func (l *Large) begin(first int64) {
	l.run = run{first: first, epoch: l.p.epoch, clock: l.p.clock, packed: l.run.packed[:0]}
	l.last = l.last[:0]
	l.shared = 0
}

// Row adds a row; its bytes are not retained.
func (l *Large) Row(op byte, data []byte) error {
	if l.run.rows > 0 && len(l.run.packed)+len(data)+binary.MaxVarintLen64 > blockBytes {
		if err := l.block(); err != nil {
			return err
		}
	}
	if l.run.rows == 0 || l.shared+len(data) > sharedMax {
		l.run.packed, l.shared = AppendRow(l.run.packed, op, data), 0
	} else {
		l.run.packed, l.shared = appendShared(l.run.packed, op, data, l.last), l.shared+len(data)
	}
	l.last = append(l.last[:0], data...)
	l.run.rows++
	return nil
}

// block writes the block that is begun.
func (l *Large) block() error {
	if l.b == nil {
		l.b = l.p.s.kv.NewBatch()
		if l.bytes == 0 {
			l.p.ahead = append(l.p.ahead, l.log)
		}
		l.b.Set(aheadKey(l.log.id), binary.BigEndian.AppendUint64([]byte{aheadVersion}, uint64(l.First())))
	}
	l.w.b, l.w.grown = l.b, 0
	l.w.add(l.run)
	l.w.end()
	l.bytes += int64(len(l.run.packed)) + l.w.grown
	l.begin(l.run.end())
	if l.b.Len() > l.p.s.aheadMax {
		return l.commit()
	}
	return nil
}

func (l *Large) commit() error {
	if l.b == nil {
		return nil
	}
	err := l.b.Commit(false)
	if l.b = nil; err != nil {
		return fmt.Errorf("write results ahead: %w", err)
	}
	return nil
}

// End ends the rows.
func (l *Large) End() error {
	if l.run.rows > 0 {
		if err := l.block(); err != nil {
			return err
		}
	}
	if err := l.commit(); err != nil {
		return err
	}
	if l.bytes == 0 { // there were none
		return nil
	}
	p := l.p
	l.log.next = l.run.first
	p.list = append(p.list, pending{log: l.log, end: l.log.next, bytes: l.bytes})
	putSize(p.b, l.log.id, l.log.next, p.s.putSoFar(l.log)+l.bytes)
	p.b.Delete(aheadKey(l.log.id))
	return nil
}

// forgetAhead deletes what was written ahead of epochs that were not committed.
func (s *Store) forgetAhead() error {
	lo, hi := []byte{kv.PrefixResults, kindAhead}, []byte{kv.PrefixResults, kindAhead + 1}
	b, found := s.kv.NewBatch(), false
	err := s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		if err := kv.CheckVersion("the mark of results written ahead", value, aheadVersion); err != nil {
			return false, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if len(key) != 10 || len(value) != 9 {
			return false, fmt.Errorf("%w: mark %x = %x", ErrCorrupt, key, value)
		}
		id := binary.BigEndian.Uint64(key[2:])
		deleteAhead(b, id, int64(binary.BigEndian.Uint64(value[1:])))
		found = true
		return true, nil
	})
	if err != nil || !found {
		b.Discard()
		return err
	}
	if err := b.Commit(false); err != nil {
		return fmt.Errorf("forget results of an epoch that was not committed: %w", err)
	}
	return nil
}

// deleteAhead adds to b that the blocks of a query from an offset on, which were written ahead, are gone.
func deleteAhead(b kv.Batch, queryID uint64, from int64) {
	_, end := queryRange(queryID)
	b.DeleteRange(blockKey(queryID, from), end)
	b.Delete(aheadKey(queryID))
}
