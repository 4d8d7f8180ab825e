package op

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/state"
)

// Restore implements Stateful.
func (m *Match) Restore(in StateReader, own func(hash uint64) bool) error {
	r := matchRestorer{m: m, own: own, later: map[uint32][]matchEntry{}}
	var blocks [][]byte
	err := in.Blocks(func(_ int64, data []byte) error {
		blocks = append(blocks, bytes.Clone(data))
		return nil
	})
	if err != nil {
		return err
	}
	for i := len(blocks) - 1; i >= 0; i-- {
		if err := r.block(blocks[i]); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of a pattern: block %d of %d: %v", i+1, len(blocks), err)
		}
	}
	if len(r.later) > 0 {
		return sqlerr.New(sqlerr.DataCorrupted, "state of a pattern: %d keys have no entry with all rows", len(r.later))
	}
	m.save.restored = m.save.restored || len(blocks) > 0
	return nil
}

// matchRestorer reads the entries of all keys, newest first, up to one that has all rows.
type matchRestorer struct {
	m   *Match
	own func(hash uint64) bool
	// later are the entries, newest first, of keys of which that one was not met yet.
	later map[uint32][]matchEntry
	gids  []uint32
}

// matchEntry is an entry of a key.
type matchEntry struct {
	number uint64
	// whole: it has all rows, else those since the entry before.
	whole bool
	// base is the number of the first row that is left, start of the first of the attempt, 0 without one; first of the first row that
	// follows.
	base, start, first, rows uint64
	rest                     []byte
}

// block takes over the entries of a block whose keys this worker owns and are not complete.
func (r *matchRestorer) block(block []byte) error {
	version := byte(matchVersion)
	if len(block) > 0 && block[0] == matchVersionWhole {
		version = matchVersionWhole
	}
	if err := blockVersion("a block of patterns", block, version); err != nil {
		return err
	}
	m := r.m
	n, width := binary.Uvarint(block[1:])
	if width <= 0 || n != uint64(len(m.rows.cols)) {
		return fmt.Errorf("state block is not of a pattern that keeps %d columns", len(m.rows.cols))
	}
	// A key may have several entries in a block, too.
	var list []matchKeyed
	for src := block[1+width:]; len(src) > 0; {
		var key, entry []byte
		var err error
		if key, entry, src, err = cutEntry(src); err != nil {
			return err
		}
		hash := batch.HashKey(key)
		if !r.own(hash) {
			continue
		}
		rest, err := agg.SkipKey(key, m.keyType)
		if err == nil && len(rest) > 0 {
			err = fmt.Errorf("key has %d bytes too many", len(rest))
		}
		if err != nil {
			return err
		}
		list = append(list, matchKeyed{key, entry, hash})
	}
	for _, e := range slices.Backward(list) {
		if err := r.entry(e, version); err != nil {
			return err
		}
	}
	return nil
}

type matchKeyed struct {
	key, entry []byte
	hash       uint64
}

// entry takes over an entry, unless its key is complete.
func (r *matchRestorer) entry(e matchKeyed, version byte) error {
	m := r.m
	gid, known := m.table.Find(e.key, e.hash)
	later := r.later[gid]
	if known && len(later) == 0 {
		return nil
	}
	if !known {
		rows := state.Rows{Buf: e.key, Off: []uint32{0, uint32(len(e.key))}, Hash: []uint64{e.hash}}
		var err error
		if r.gids, err = m.table.FindOrAdd(rows, batch.All(1), r.gids[:0]); err != nil {
			return err
		}
		gid, later = r.gids[0], nil
		m.growStates()
	}
	x, err := m.cutHead(e.entry, version)
	if err != nil {
		return err
	}
	later = append(later, x)
	if !x.whole {
		r.later[gid] = later
		return nil
	}
	delete(r.later, gid)
	return m.loadKey(gid, later)
}

// cutHead reads what an entry has before its rows.
func (m *Match) cutHead(src []byte, version byte) (x matchEntry, err error) {
	if x.number, src, err = cutUvarint(src); err != nil {
		return x, err
	}
	if m.spec.Sequence != nil {
		x.whole, x.rest = true, src
		return x, nil
	}
	if version == matchVersionWhole {
		var before uint64
		for _, u := range []*uint64{&before, &x.rows} {
			if *u, src, err = cutUvarint(src); err != nil {
				return x, err
			}
		}
		if before > x.rows {
			return x, fmt.Errorf("malformed entry")
		}
		if x.whole, x.base, x.first, x.rest = true, 1, 1, src; before < x.rows {
			x.start = before + 1
		}
		return x, nil
	}
	if len(src) == 0 || src[0] > 1 {
		return x, errEntryEnds
	}
	x.whole, src = src[0] == 1, src[1:]
	for _, u := range []*uint64{&x.base, &x.start, &x.first, &x.rows} {
		if *u, src, err = cutUvarint(src); err != nil {
			return x, err
		}
		if *u > math.MaxInt64 {
			return x, fmt.Errorf("malformed entry")
		}
	}
	x.rest = src
	return x, nil
}

// loadKey takes over a key's entries, newest first; the runs are found again from the rows.
func (m *Match) loadKey(gid uint32, entries []matchEntry) (err error) {
	k := &m.states[gid]
	newest := &entries[0]
	k.number = newest.number
	start, rest := uint32(0), newest.rest
	if m.spec.Sequence != nil {
		rest, err = m.loadSequence(k, rest)
	} else {
		k.order = max(newest.base, 1) - 1
		for i := len(entries) - 1; i >= 0 && err == nil; i-- {
			rest, err = m.loadRows(k, &entries[i], newest, &start)
		}
		if err == nil && (start == 0) != (newest.start == 0) {
			err = fmt.Errorf("malformed entry")
		}
	}
	if err != nil {
		return err
	}
	var held uint64
	if held, rest, err = cutUvarint(rest); err != nil {
		return err
	}
	for range held {
		var row uint32
		if row, rest, err = m.rows.loadRow(rest); err != nil {
			return err
		}
		m.hold(gid, row)
	}
	if len(rest) > 0 || k.rows > matchRowsMax {
		return fmt.Errorf("malformed entry")
	}
	return m.resume(gid, start)
}

// loadRows takes over the rows of an entry that are left in the newest one; start is told the first row of the attempt.
func (m *Match) loadRows(k *matchKey, x, newest *matchEntry, start *uint32) (rest []byte, err error) {
	rest = x.rest
	for i := range x.rows {
		var row uint32
		if row, rest, err = m.rows.loadRow(rest); err != nil {
			return nil, err
		}
		number := x.first + i
		if number < newest.base {
			m.rows.release(row)
			continue
		}
		if number != k.order+1 {
			return nil, fmt.Errorf("row %d follows row %d", number, k.order)
		}
		k.order = number
		m.rows.at(row)[wordOrder] = number
		m.rows.link(k.tail, row)
		if k.tail = row; k.head == 0 {
			k.head = row
		}
		k.rows++
		if number == newest.start {
			*start = row
		}
	}
	return rest, nil
}
