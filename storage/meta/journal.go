package meta

import (
	"cmp"
	"fmt"
	"sync"

	"github.com/vigil-sql/vigil/storage/kv"
)

// Keep bounds a journal: the oldest rows go while there are more rows or bytes, or they are older.
type Keep struct {
	Rows, Bytes int64
	// Age is in microseconds.
	Age int64
}

// KeepDefault bounds a journal of which nothing else was said.
var KeepDefault = Keep{Rows: 100_000, Bytes: 64 << 20, Age: 30 * 24 * 3600 * 1e6}

// OrDefault is k with the default where it says nothing.
func (k Keep) OrDefault() Keep {
	return Keep{Rows: cmp.Or(k.Rows, KeepDefault.Rows), Bytes: cmp.Or(k.Bytes, KeepDefault.Bytes), Age: cmp.Or(k.Age, KeepDefault.Age)}
}

// chunkPart is the part of a bound that goes at a time, so that a journal that is full is not trimmed for each row.
const chunkPart = 64

// Journal is a list of rows with ascending numbers, kept within bounds. Open must come before Add. Safe for concurrent use, but for
// Add: one at a time, the batches committed in its order.
type Journal struct {
	kv   kv.Store
	kind byte

	mu      sync.Mutex
	keep    Keep
	next    uint64
	chunks  []chunk // oldest first; together they are all rows
	figures JournalFigures
}

// chunk is rows that go together.
type chunk struct {
	first          uint64
	rows, bytes    int64
	oldest, newest int64 // when they came, microseconds
}

// JournalFigures are for metrics.
type JournalFigures struct {
	// Rows and Bytes are what is kept.
	Rows, Bytes int64
	// Since the start: Large are the rows that went because there were too many, or too many bytes of them, Old those that went because of their age, and
	// Skipped those that were too many at a time to come in.
	Large, Old, Skipped int64
}

// Dropped are all that have gone, or did not even come in.
func (f *JournalFigures) Dropped() int64 { return f.Large + f.Old + f.Skipped }

// Open counts what is there, for which it reads the journal once; at tells when a row came, in microseconds.
func (j *Journal) Open(keep Keep, at func(data []byte) int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keep = keep
	j.chunks, j.next, j.figures = nil, 0, JournalFigures{}
	return j.Scan(0, func(seq uint64, data []byte) (bool, error) {
		j.next = seq
		j.count(at(data), int64(len(data)))
		return true, nil
	})
}

// Add adds a row that came at a time to b, and that those which it is too many for are forgotten.
func (j *Journal) Add(b kv.Batch, at int64, data []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b.Set(numberKey(j.kind, j.next), data)
	j.count(at, int64(len(data)))
	j.trim(b, at)
}

// Trim adds to b that rows are forgotten that are too old by now.
func (j *Journal) Trim(b kv.Batch, now int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trim(b, now)
}

// Skip counts rows that are too many at a time to come in.
func (j *Journal) Skip(n int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.figures.Skipped += n
}

// Bounds are what it was opened with.
func (j *Journal) Bounds() Keep {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.keep
}

// Figures are the journal's.
func (j *Journal) Figures() JournalFigures {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.figures
}

// count takes in a row, with the number that is next. Called with mu held, as all below.
func (j *Journal) count(at, bytes int64) {
	n := len(j.chunks)
	if n == 0 || j.chunks[n-1].full(&j.keep, at) {
		j.chunks = append(j.chunks, chunk{first: j.next, oldest: at, newest: at})
		n++
	}
	c := &j.chunks[n-1]
	c.rows, c.bytes, c.newest = c.rows+1, c.bytes+bytes, max(c.newest, at)
	j.figures.Rows, j.figures.Bytes = j.figures.Rows+1, j.figures.Bytes+bytes
	j.next++
}

// full reports that a row that comes now begins another chunk.
func (c *chunk) full(keep *Keep, now int64) bool {
	return c.rows >= keep.Rows/chunkPart || c.bytes >= keep.Bytes/chunkPart || now-c.oldest > keep.Age/chunkPart
}

// trim drops chunks. Age alone takes the newest one, which may hold the only row.
func (j *Journal) trim(b kv.Batch, now int64) {
	n := 0
	for n < len(j.chunks) {
		c := &j.chunks[n]
		many := j.figures.Rows > j.keep.Rows || j.figures.Bytes > j.keep.Bytes
		old := c.newest < now-j.keep.Age
		if !old && (!many || n == len(j.chunks)-1) {
			break
		}
		j.figures.Rows, j.figures.Bytes = j.figures.Rows-c.rows, j.figures.Bytes-c.bytes
		if old {
			j.figures.Old += c.rows
		} else {
			j.figures.Large += c.rows
		}
		n++
	}
	if n == 0 {
		return
	}
	begin := j.chunks[0].first // what was before is gone: ranges that overlap would multiply in the store
	j.chunks = append(j.chunks[:0], j.chunks[n:]...)
	end := j.next
	if len(j.chunks) > 0 {
		end = j.chunks[0].first
	}
	b.DeleteRange(numberKey(j.kind, begin), numberKey(j.kind, end))
}

// Scan calls fn for the rows from number from on, oldest first, until it returns false or an error. data is valid during the call.
func (j *Journal) Scan(from uint64, fn func(seq uint64, data []byte) (bool, error)) error {
	_, hi := kindRange(j.kind)
	return j.kv.Scan(numberKey(j.kind, from), hi, numbered(fn))
}

// ScanBack is Scan over all rows, newest first.
func (j *Journal) ScanBack(fn func(seq uint64, data []byte) (bool, error)) error {
	lo, hi := kindRange(j.kind)
	return j.kv.ScanBack(lo, hi, numbered(fn))
}

// OpenJournals opens all of them; see Journal.Open.
func (s *Store) OpenJournals(keep Keep, at func(data []byte) int64) error {
	for _, j := range []*Journal{s.Rejected, s.Events, s.Late, s.Dead} {
		if err := j.Open(keep, at); err != nil {
			return fmt.Errorf("open journals: %w", err)
		}
	}
	return nil
}

// JournalBounds are those of each journal.
func (s *Store) JournalBounds() Keep { return s.Rejected.Bounds() }

// Journals are the figures of all, by the relation that shows the rows.
func (s *Store) Journals() map[string]JournalFigures {
	return map[string]JournalFigures{"rejected": s.Rejected.Figures(), "query_events": s.Events.Figures(), "late": s.Late.Figures(), "sink_dead_letters": s.Dead.Figures()}
}
