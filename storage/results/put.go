package results

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/storage/kv"
)

// The rows of an epoch are written together, in packs: the rows of thousands of queries, a few each, as a few values of the store
// instead of thousands. What is published of packs stays in memory too, as the ends of the changelogs, until there is enough of it
// to be made blocks of (flush); then the packs go. A query's rows of one epoch that are many become blocks at once.

const (
	kindPack = 0x05
	kindGone = 0x06

	packVersion1 = 1 // rows share nothing; read, not written
	packVersion  = 2
	// packBytes is the size at which another pack is begun.
	packBytes = 1 << 20
	// directBytes is how much a query without an end in memory must have in an epoch for its rows to become blocks at once.
	directBytes = 16 << 10
	// runBytes is what a run in memory takes beside its rows.
	runBytes = 64
)

func packKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kv.PrefixResults, kindPack}, seq)
}

// goneKey says up to which pack a query's rows are those of one that was dropped.
func goneKey(queryID uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kv.PrefixResults, kindGone}, queryID)
}

// Put is the rows of one epoch on their way into the store. One goroutine uses it:
//
//	p := s.Begin(batch, epoch, clock)
//	for each query: p.Query(log), then p.Packed or p.Row for its rows, at least one
//	p.End()
//	the commit of batch
//	p.Publish(), or p.Retract() if it failed
//
// and no other Put of the Store meanwhile.
type Put struct {
	s     *Store
	b     kv.Batch
	epoch uint64
	clock int64

	pack []byte
	head int // where the head of the query in work ends, in pack
	list []pending
	from int // the first of list whose rows are in pack
	open bool
	// packed is the size of the packs that are written.
	packed int64
	// last is the query's row that was put last; shared is how many bytes of rows in a row share.
	last   []byte
	shared int
	shape  shape
	// ahead are the changelogs of which rows were written before the commit.
	ahead []*Changelog
}

// pending is the rows of a query that are put and not published; of those that became blocks the run has no rows.
type pending struct {
	log      *Changelog
	run      run
	from, to int // in pack, while that grows
	end      int64
	bytes    int64
}

// Begin begins to put an epoch's rows; their batch is b, clock is the epoch's, in microseconds.
func (s *Store) Begin(b kv.Batch, epoch uint64, clock int64) *Put {
	p := &Put{s: s, b: b, epoch: epoch, clock: clock, list: s.spare, pack: s.sparePack}
	s.spare, s.sparePack = nil, nil
	return p
}

// Query begins the rows of a query; the offset of the first one is returned.
func (p *Put) Query(log *Changelog) (first int64) {
	p.endQuery()
	if len(p.pack) == 0 {
		p.pack = append(p.pack, packVersion)
		p.pack = binary.AppendUvarint(p.pack, p.epoch)
		p.pack = binary.LittleEndian.AppendUint64(p.pack, uint64(p.clock))
	}
	p.pack = binary.AppendUvarint(p.pack, log.id)
	p.pack = binary.AppendUvarint(p.pack, uint64(log.next))
	p.pack = append(p.pack, 0, 0, 0, 0, 0, 0, 0, 0) // rows and bytes, see endQuery
	p.open, p.head, p.last = true, len(p.pack), nil
	p.list = append(p.list, pending{log: log, from: p.head, run: run{first: log.next, epoch: p.epoch, clock: p.clock}})
	return log.next
}

// Packed adds n rows of the query, packed by AppendRow. They stay as they are until the next Query, or the End; they are not retained
// beyond that. It panics when they are not packed.
func (p *Put) Packed(rows []byte, n int) {
	for range n {
		op, data, rest, ok := nextRow(rows)
		if !ok {
			panic("results: rows that are not packed")
		}
		p.Row(op, data)
		rows = rest
	}
}

// Row adds a row of the query; its bytes are kept as those of Packed are.
func (p *Put) Row(op byte, data []byte) {
	if p.last == nil || p.shared+len(data) > sharedMax {
		p.pack = AppendRow(p.pack, op, data)
		p.shared = 0
	} else {
		p.pack = p.shape.append(p.pack, op, data, p.last)
		p.shared += len(data)
	}
	p.last = data
	p.list[len(p.list)-1].run.rows++
}

// endQuery ends the rows of a query.
func (p *Put) endQuery() {
	if !p.open {
		return
	}
	p.open = false
	x := &p.list[len(p.list)-1]
	x.to = len(p.pack)
	x.log.next += x.run.rows
	x.end, x.bytes = x.log.next, int64(x.to-x.from)
	binary.LittleEndian.PutUint32(p.pack[p.head-8:], uint32(x.run.rows))
	binary.LittleEndian.PutUint32(p.pack[p.head-4:], uint32(x.to-x.from))
	if x.to-x.from >= directBytes && p.s.untailed(x.log) {
		p.direct(x)
	}
	if len(p.pack) >= packBytes {
		p.endPack()
	}
}

// direct makes blocks of the last query's rows, and takes them out of the pack.
func (p *Put) direct(x *pending) {
	r := x.run
	r.packed = p.pack[x.from:x.to]
	w := blockWriter{b: p.b, key: func(first int64) []byte { return blockKey(x.log.id, first) }}
	w.add(r)
	w.end()
	x.bytes += w.grown
	putSize(p.b, x.log.id, x.end, p.s.putSoFar(x.log)+x.bytes)
	// Its head stays, without rows: that costs less than to know where it began.
	binary.LittleEndian.PutUint64(p.pack[p.head-8:], 0)
	p.pack = p.pack[:p.head]
	x.run, x.to = run{}, x.from
}

// endPack writes the pack that is begun, if it has rows.
func (p *Put) endPack() {
	if slices.ContainsFunc(p.list[p.from:], func(x pending) bool { return x.run.rows > 0 }) {
		pack := bytes.Clone(p.pack) // as large as it is: it stays in memory
		for i := p.from; i < len(p.list); i++ {
			if x := &p.list[i]; x.run.rows > 0 {
				x.run.packed = pack[x.from:x.to:x.to]
			}
		}
		p.b.Set(packKey(p.s.nextPack), pack)
		p.s.nextPack++
		p.packed += int64(len(pack))
	}
	p.pack, p.from = p.pack[:0], len(p.list)
}

// End ends the rows of the epoch; the commit of the batch follows.
func (p *Put) End() {
	p.endQuery()
	p.last = nil
	if len(p.pack) > 0 {
		p.endPack()
	}
}

// Publish makes the rows visible and wakes those who wait for them. Where the ends in memory have grown too large, it writes them
// out first, and may fail at that.
func (p *Put) Publish() error {
	s := p.s
	s.mu.Lock()
	for i := range p.list {
		x := &p.list[i]
		x.log.published, x.log.put, x.log.epoch = x.end, x.log.put+x.bytes, p.epoch
		s.total += x.bytes
		if x.run.rows > 0 {
			x.log.tail = append(x.log.tail, x.run)
			s.tailBytes += runBytes
			if !x.log.listed {
				x.log.listed = true
				s.tailed = append(s.tailed, x.log)
			}
		}
		x.log.wakeAll()
	}
	s.packsUpTo, s.tailBytes = s.nextPack, s.tailBytes+p.packed
	full := s.tailBytes > tailsFull*s.tailsMax
	start := !full && s.tailBytes > s.tailsMax && !s.flushing && !s.closed
	if start {
		s.flushing = true
		s.background.Add(1)
	}
	s.mu.Unlock()
	p.end()
	if full {
		return s.Flush()
	}
	if start {
		go s.flushBeside()
	}
	return nil
}

// Retract forgets the rows: their batch was not committed.
func (p *Put) Retract() error {
	for i := range p.list {
		p.list[i].log.next = p.list[i].log.published
	}
	ahead := p.ahead
	p.end()
	if len(ahead) == 0 {
		return nil
	}
	b := p.s.kv.NewBatch()
	for _, log := range ahead {
		deleteAhead(b, log.id, log.published)
	}
	return b.Commit(false)
}

// end keeps memory for the next Put.
func (p *Put) end() {
	clear(p.list)
	p.s.spare, p.s.sparePack = p.list[:0], p.pack[:0]
	if cap(p.pack) > 2*packBytes { // of one row, or a few, that are larger
		p.s.sparePack = nil
	}
	p.list, p.pack, p.ahead = nil, nil, nil
}

// untailed reports that a changelog has nothing in memory, nor will have when the epoch is published.
func (s *Store) untailed(log *Changelog) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(log.tail) == 0
}

// putSoFar is what of a changelog was published in total, bytes.
func (s *Store) putSoFar(log *Changelog) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return log.put
}

// loadPack takes what a pack holds into the ends of the changelogs.
func (s *Store) loadPack(seq uint64, value []byte) error {
	bad := func(what string) error { return fmt.Errorf("%w: pack %d: %s", ErrCorrupt, seq, what) }
	if err := kv.CheckVersion("a pack of results", value, packVersion1, packVersion); err != nil {
		return fmt.Errorf("%w: pack %d: %w", ErrCorrupt, seq, err)
	}
	r := &fields{b: append([]byte(nil), value[1:]...)}
	epoch, clock := r.uvarint(), r.fixed()
	for !r.bad && len(r.b) > 0 {
		id, first := r.uvarint(), int64(r.uvarint())
		rows, size := int64(r.fixed4()), int(r.fixed4())
		if r.bad || first < 0 || size > len(r.b) || rows > int64(size)/2 || size > 0 && rows == 0 {
			return bad(fmt.Sprintf("the rows of query %d", id))
		}
		one := run{first: first, rows: rows, epoch: epoch, clock: clock, packed: r.b[:size:size]}
		r.b = r.b[size:]
		if !whole(one.packed, rows) {
			return bad(fmt.Sprintf("a row of query %d is damaged", id))
		}
		if gone, ok := s.gone[id]; ok && seq <= gone || rows == 0 {
			continue
		}
		if !s.loadRun(s.changelog(id), one) {
			return bad(fmt.Sprintf("the rows of query %d do not follow those before", id))
		}
	}
	if r.bad {
		return bad("it ends early")
	}
	return nil
}

// loadRun takes a run into the end of a changelog, unless it is there or was trimmed; false when it is neither.
func (s *Store) loadRun(log *Changelog, one run) bool {
	if one.end() > log.counted {
		log.put, log.counted = log.put+int64(len(one.packed)), one.end()
	}
	log.epoch = max(log.epoch, one.epoch)
	switch {
	case one.end() <= log.next: // of a flush that was not finished, or of rows that are trimmed
		return true
	case one.first < log.next, one.first > log.next && log.next > 0:
		return false
	}
	if len(log.tail) == 0 {
		log.listed = true
		s.tailed = append(s.tailed, log)
	}
	if log.next == 0 {
		log.oldest = one.first
	}
	log.tail = append(log.tail, one)
	log.published, log.next = one.end(), one.end()
	s.tailBytes += int64(len(one.packed)) + runBytes
	return true
}

// whole reports that packed consists of n rows.
func whole(packed []byte, n int64) bool {
	rows := rowReader{rest: packed}
	for ; n > 0; n-- {
		if _, _, ok := rows.next(); !ok {
			return false
		}
	}
	return len(rows.rest) == 0
}
