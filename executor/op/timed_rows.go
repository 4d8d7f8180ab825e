package op

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// timedRows holds rows of up to two inputs (sides) until event time has passed the due time of each. Rows of a key and
// side are linked in the order they came. Rows lie in chunks, chunks in buckets by due time, and a bucket goes as a whole;
// nothing in it is a pointer. A bucket is also a slice of the checkpoint.
type timedRows struct {
	width int64 // of a bucket in microseconds
	// fire[side]: the rows of the side that have not been answered are answered, one by one, when they are due.
	fire   [2]bool
	codecs [2]rowCodec
	// once[side]: an answered row of the side meets no other.
	once [2]bool
	// foreign, when set, tells slices of the checkpoint that are not buckets.
	foreign func(slice int64) bool
	// rightFirst: of rows due at the same time those of side 1 are answered first.
	rightFirst bool

	mem     *arena.Part
	index   state.Index // the words of a key: first and last row of side 0, of side 1
	chunks  []rowChunk
	free    []uint32     // chunks without rows
	buckets []*rowBucket // by number
	latest  *rowBucket   // of the row added last: most rows fall into it
	seq     uint64       // of the row added last
	rows    int
	dropped []int64 // numbers of buckets that are gone, but not from the checkpoint
	sum     uint64  // where touch leaves what it read, so that the reads stay
}

// rowRef names a row: chunk and place within it, plus 1; 0 is none.
type rowRef = uint32

const (
	chunkRows  = 1 << 10
	chunkBytes = 1 << 20 // a chunk takes no more rows when their bytes reach this
	chunksMax  = 1 << 21
	// chunksFreeMax bounds the empty chunks whose memory is kept.
	chunksFreeMax = 256
)

// The flags of a row.
const (
	rowAnswered = 1 << iota // it came out, or will not: nothing is due any more
	rowUnlinked             // it is no longer among its key's rows
	rowDeletes              // it ends its key's version
	rowFlagBits = iota
)

// timedRow is one row without its columns, which are encoded in its chunk.
type timedRow struct {
	time       int64
	tag        uint64 // sequence number above the flags
	off        uint32 // of its bytes in the chunk
	key        uint32
	prev, next rowRef // of the same key and side; prev of the first one is of no meaning
}

type rowChunk struct {
	rows   []timedRow
	data   []byte
	bucket *rowBucket
	side   uint8
	saved  int // rows that the checkpoint has
	// rowBlock and dataBlock are behind rows and data.
	rowBlock, dataBlock arena.Block
}

// rowRoom is the room for one more row that a chunk has where most rows are not longer, bytes.
const rowRoom = 512

// room makes room for another row.
func (c *rowChunk) room(mem *arena.Part) {
	c.rows = arena.Grow(mem, &c.rowBlock, c.rows, len(c.rows)+1)
	if mem != nil && cap(c.data)-len(c.data) < rowRoom {
		c.data = arena.Grow(mem, &c.dataBlock, c.data, len(c.data)+rowRoom)
	}
}

// free gives the memory back.
func (c *rowChunk) free() {
	c.rowBlock.Free()
	c.dataBlock.Free()
	*c = rowChunk{}
}

// rowBucket is the rows that are due in [number*width, (number+1)*width).
type rowBucket struct {
	number int64
	chunks [2][]uint32
	// least is a lower bound of the due times of rows to be answered; MaxTime: there are none.
	least int64
	// queue orders the rows to be answered once the bucket is open, which it is from the moment the first of them is due.
	queue dueQueue
	open  bool
	// saved: the checkpoint has blocks of it. deltas are blocks that tell which rows in them were answered since.
	// restored: they were read back, and the next snapshot replaces them.
	saved, restored bool
	deltas          [][]byte
	noted           int // entries in deltas
	// unsaved is per side the first chunk that may hold rows that the checkpoint does not have.
	unsaved [2]int
}

func (s *timedRows) row(ref rowRef) *timedRow {
	return &s.chunks[(ref-1)/chunkRows].rows[(ref-1)%chunkRows]
}

// bytesOf are the encoded columns of a row, and what follows them in the chunk.
func (s *timedRows) bytesOf(ref rowRef) []byte {
	c := &s.chunks[(ref-1)/chunkRows]
	return c.data[c.rows[(ref-1)%chunkRows].off:]
}

// first is the first row of a key and side.
func (s *timedRows) first(key uint32, side int) rowRef { return s.index.Words(key)[2*side] }

// touch reads ahead, for all keys at once, the first row of a side, and then its columns.
func (s *timedRows) touch(keys []uint32, side int) {
	if s.mem.Short() {
		s.claim(keys, side)
	}
	sum := uint64(0)
	for _, k := range keys {
		if ref := s.first(k, side); ref != 0 {
			sum += s.row(ref).tag
		}
		if ref := s.index.Words(k)[2*(1-side)+1]; ref != 0 {
			sum += s.row(ref).tag
		}
	}
	for _, k := range keys {
		if ref := s.first(k, side); ref != 0 {
			sum += uint64(s.bytesOf(ref)[0])
		}
	}
	s.sum = sum
}

// claim brings in what touch reads.
func (s *timedRows) claim(keys []uint32, side int) {
	for _, k := range keys {
		for _, ref := range [2]rowRef{s.first(k, side), s.index.Words(k)[2*(1-side)+1]} {
			if ref != 0 {
				arena.Claim(s.chunks[(ref-1)/chunkRows].rows, int((ref-1)%chunkRows))
			}
		}
		if ref := s.first(k, side); ref != 0 {
			arena.Claim(s.bytesOf(ref), 0)
		}
	}
}

// bucketNumber is the bucket of a due time.
func (s *timedRows) bucketNumber(due int64) int64 {
	n := due / s.width
	if due%s.width < 0 && n > int64(types.MinTime)/s.width {
		n--
	}
	return n
}

// end is the first due time after the bucket.
func (s *timedRows) end(b *rowBucket) int64 { return satAdd(b.number*s.width, s.width) }

// bucket finds the bucket of a number, or makes it.
func (s *timedRows) bucket(number int64) *rowBucket {
	if s.latest != nil && s.latest.number == number {
		return s.latest
	}
	at, ok := slices.BinarySearchFunc(s.buckets, number, func(b *rowBucket, n int64) int {
		switch {
		case b.number < n:
			return -1
		case b.number > n:
			return 1
		}
		return 0
	})
	if !ok {
		s.buckets = slices.Insert(s.buckets, at, &rowBucket{number: number, least: int64(types.MaxTime)})
	}
	s.latest = s.buckets[at]
	return s.latest
}

// add keeps row i of a batch under a key.
func (s *timedRows) add(side int, key uint32, time int64, b *batch.Batch, i int) (rowRef, error) {
	ref, c, err := s.place(side, key, time, s.seq+1)
	if err != nil {
		return 0, err
	}
	s.seq++
	c.data = s.codecs[side].appendRow(c.data, b, i)
	return ref, nil
}

// place makes a row whose bytes the caller appends to the chunk.
func (s *timedRows) place(side int, key uint32, time int64, seq uint64) (rowRef, *rowChunk, error) {
	due := s.dueOf(side, time)
	b := s.bucket(s.bucketNumber(due))
	c, id, err := s.roomIn(b, side)
	if err != nil {
		return 0, nil, err
	}
	s.rows++
	c.room(s.mem)
	ref := id*chunkRows + uint32(len(c.rows)) + 1
	c.rows = append(c.rows, timedRow{time: time, tag: seq << rowFlagBits, off: uint32(len(c.data)), key: key})
	s.link(ref, side, key)
	if s.fire[side] {
		b.least = min(b.least, due)
		if b.open {
			b.queue.push(s, dueRow{due, seq, ref})
		}
	}
	return ref, c, nil
}

// roomIn finds or makes a chunk of the bucket that takes another row.
func (s *timedRows) roomIn(b *rowBucket, side int) (*rowChunk, uint32, error) {
	list := b.chunks[side]
	if n := len(list); n > 0 {
		if c := &s.chunks[list[n-1]]; len(c.rows) < chunkRows && len(c.data) < chunkBytes {
			return c, list[n-1], nil
		}
	}
	var id uint32
	if n := len(s.free); n > 0 {
		id, s.free = s.free[n-1], s.free[:n-1]
	} else {
		if len(s.chunks) == chunksMax {
			return nil, 0, sqlerr.New(sqlerr.ProgramLimitExceeded, "a join keeps more than %d rows", chunksMax*chunkRows)
		}
		id = uint32(len(s.chunks))
		s.chunks = append(s.chunks, rowChunk{})
	}
	c := &s.chunks[id]
	c.bucket, c.side, c.saved = b, uint8(side), 0
	if n := len(list); n > 0 && cap(c.rows) == 0 { // the one before was filled: so will this
		c.rows = arena.Grow(s.mem, &c.rowBlock, c.rows, chunkRows)
		c.data = arena.Grow(s.mem, &c.dataBlock, c.data, len(s.chunks[list[n-1]].data)*9/8)
	}
	b.chunks[side] = append(list, id)
	return c, id, nil
}

// link appends a row to those of its key.
func (s *timedRows) link(ref rowRef, side int, key uint32) {
	w := s.index.Words(key)
	if last := w[2*side+1]; last != 0 {
		s.row(last).next = ref
		s.row(ref).prev = last
	} else {
		w[2*side] = ref
	}
	w[2*side+1] = ref
}

// unlink takes a row out of those of its key, and tells whether the key has no rows left; the caller removes it then.
func (s *timedRows) unlink(ref rowRef, side int) (key uint32, empty bool) {
	r := s.row(ref)
	if r.tag&rowUnlinked != 0 {
		return 0, false
	}
	r.tag |= rowUnlinked
	w := s.index.Words(r.key)
	first, last := &w[2*side], &w[2*side+1]
	switch {
	case *first == ref:
		if *first = r.next; r.next == 0 {
			*last = 0
		}
	case *last == ref:
		s.row(r.prev).next = 0
		*last = r.prev
	default:
		s.row(r.prev).next = r.next
		s.row(r.next).prev = r.prev
	}
	return r.key, w[0] == 0 && w[2] == 0
}

// removeEmpty forgets those of the keys that have no rows; it sorts the list.
func (s *timedRows) removeEmpty(keys []uint32) {
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		if w := s.index.Words(k); w[0] == 0 && w[2] == 0 {
			s.index.Remove(k)
		}
	}
}

// answer marks a row: nothing is due for it any more. It returns false when it was answered before.
func (s *timedRows) answer(ref rowRef) bool {
	c := &s.chunks[(ref-1)/chunkRows]
	at := int((ref - 1) % chunkRows)
	if c.rows[at].tag&rowAnswered != 0 {
		return false
	}
	c.rows[at].tag |= rowAnswered
	if at < c.saved {
		s.noteAnswered(c.bucket, &c.rows[at], c.side)
	}
	return true
}

// deadline is the earliest due horizon at which next or drop has something to do.
func (s *timedRows) deadline() int64 {
	if len(s.buckets) == 0 {
		return int64(types.MaxTime)
	}
	b := s.buckets[0]
	due := b.least
	if b.open {
		due = int64(types.MaxTime)
		if len(b.queue) > 0 {
			due = b.queue[0].due
		}
	}
	return min(satAdd(due, 1), s.end(b))
}

func (s *timedRows) sideOf(ref rowRef) int { return int(s.chunks[(ref-1)/chunkRows].side) }

// isOpen tells whether the bucket of a row is being answered from.
func (s *timedRows) isOpen(ref rowRef) bool { return s.chunks[(ref-1)/chunkRows].bucket.open }

// next returns the next row to be answered that is due before the horizon and marks it answered; 0 when there is none.
// Rows come in the order of (due, side 1 before side 0 where rightFirst says so, key bytes, arrival).
func (s *timedRows) next(horizon int64) (ref rowRef, side int) {
	for len(s.buckets) > 0 {
		b := s.buckets[0]
		if !b.open && b.least < horizon {
			s.openBucket(b)
		}
		for b.open && len(b.queue) > 0 && b.queue[0].due < horizon {
			top := b.queue.pop(s)
			if s.answer(top.ref) {
				return top.ref, s.sideOf(top.ref)
			}
		}
		if s.end(b) > horizon {
			return 0, 0
		}
		s.dropFirst()
	}
	return 0, 0
}

// openBucket queues the rows of a bucket that are still to be answered.
func (s *timedRows) openBucket(b *rowBucket) {
	b.open = true
	for side, list := range b.chunks {
		if !s.fire[side] {
			continue
		}
		for _, id := range list {
			for i := range s.chunks[id].rows {
				r := &s.chunks[id].rows[i]
				if r.tag&rowAnswered == 0 {
					b.queue = append(b.queue, dueRow{s.dueOf(side, r.time), r.tag >> rowFlagBits, id*chunkRows + uint32(i) + 1})
				}
			}
		}
	}
	b.queue.init(s)
}

// dropFirst forgets the rows of the first bucket.
func (s *timedRows) dropFirst() {
	b := s.buckets[0]
	s.buckets = slices.Delete(s.buckets, 0, 1)
	if s.latest == b {
		s.latest = nil
	}
	if b.saved {
		s.dropped = append(s.dropped, b.number)
	}
	var keys [64]uint32
	for side, list := range b.chunks {
		for _, id := range list {
			c := &s.chunks[id]
			s.rows -= len(c.rows)
			for from := 0; from < len(c.rows); from += len(keys) {
				part := c.rows[from:min(from+len(keys), len(c.rows))]
				some := keys[:0]
				for i := range part {
					if part[i].tag&rowUnlinked == 0 {
						some = append(some, part[i].key)
					}
				}
				s.index.TouchPlaces(some)
				for i := range part {
					if key, empty := s.unlink(id*chunkRows+uint32(from+i)+1, side); empty {
						s.index.Remove(key)
					}
				}
			}
			*c = rowChunk{rows: c.rows[:0], data: c.data[:0], rowBlock: c.rowBlock, dataBlock: c.dataBlock}
			if len(s.free) >= chunksFreeMax || s.mem.Short() {
				c.free()
			}
			s.free = append(s.free, id)
		}
	}
}

// dueOf is when a row is due.
func (s *timedRows) dueOf(side int, time int64) int64 { return satAdd(time, s.codecs[side].stay) }

// bytes is the memory held, used or not.
func (s *timedRows) bytes() int64 {
	n := s.index.Bytes() + capBytes(s.chunks) + capBytes(s.free)
	for i := range s.chunks {
		n += capBytes(s.chunks[i].rows) + capBytes(s.chunks[i].data)
	}
	for _, b := range s.buckets {
		n += capBytes(b.queue) + capBytes(b.chunks[0]) + capBytes(b.chunks[1])
		for _, d := range b.deltas {
			n += int64(cap(d))
		}
	}
	return n
}

// useMemory says where rows and keys lie, before there are any.
func (s *timedRows) useMemory(mem *arena.Part) { s.mem, s.index.Mem = mem, mem }

// reset forgets everything.
func (s *timedRows) reset() {
	for i := range s.chunks {
		s.chunks[i].free()
	}
	s.index.Free()
	*s = timedRows{mem: s.mem, index: state.Index{Mem: s.mem}, width: s.width, fire: s.fire, codecs: s.codecs, once: s.once, rightFirst: s.rightFirst}
}

// dueRow is a row in the queue of an open bucket.
type dueRow struct {
	due int64
	seq uint64
	ref rowRef
}

// dueQueue is a binary heap; the first one is the next.
type dueQueue []dueRow

// before orders rows by due time, then by key, so that the order does not depend on how keys are spread over workers, then
// as they came.
func (s *timedRows) before(a, b dueRow) bool {
	if a.due != b.due {
		return a.due < b.due
	}
	if s.rightFirst {
		if sa, sb := s.sideOf(a.ref), s.sideOf(b.ref); sa != sb {
			return sa > sb
		}
	}
	if ka, kb := s.row(a.ref).key, s.row(b.ref).key; ka != kb {
		return string(s.index.Key(ka)) < string(s.index.Key(kb))
	}
	return a.seq < b.seq
}

func (q *dueQueue) push(s *timedRows, r dueRow) {
	*q = append(*q, r)
	q.up(s)
}

func (q dueQueue) init(s *timedRows) {
	for i := len(q)/2 - 1; i >= 0; i-- {
		q.down(s, i)
	}
}

func (q dueQueue) down(s *timedRows, i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(q); c++ {
			if s.before(q[c], q[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
}

func (q *dueQueue) up(s *timedRows) {
	h := *q
	for i := len(h) - 1; i > 0; {
		p := (i - 1) / 2
		if !s.before(h[i], h[p]) {
			return
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
}

func (q *dueQueue) pop(s *timedRows) dueRow {
	h := *q
	top := h[0]
	h[0] = h[len(h)-1]
	*q = h[:len(h)-1]
	q.down(s, 0)
	return top
}
