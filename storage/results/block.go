package results

import (
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

// The second byte of a key.
const (
	kindBlock  = 0x01
	kindTail   = 0x02
	kindCursor = 0x03
)

const (
	blockVersion1 = 1 // rows of one epoch; read, not written
	blockVersion2 = 2 // rows share nothing; read, not written
	blockVersion  = 3
	// blockBytes is the size at which rows are split into another block, so that a reader in the middle does not unpack megabytes.
	blockBytes = 256 << 10
)

func blockKey(queryID uint64, first int64) []byte {
	key := append(make([]byte, 0, 18), kv.PrefixResults, kindBlock)
	key = binary.BigEndian.AppendUint64(key, queryID)
	return binary.BigEndian.AppendUint64(key, uint64(first))
}

// queryRange bounds the blocks of a query.
func queryRange(queryID uint64) (lo, hi []byte) {
	lo = blockKey(queryID, 0)[:10]
	return lo, kv.PrefixEnd(lo)
}

func tailKey(queryID uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kv.PrefixResults, kindTail}, queryID)
}

func parseBlockKey(key []byte) (queryID uint64, first int64, err error) {
	if len(key) != 18 {
		return 0, 0, fmt.Errorf("%w: key %x", ErrCorrupt, key)
	}
	return binary.BigEndian.Uint64(key[2:]), int64(binary.BigEndian.Uint64(key[10:])), nil
}

// run is rows of one query and epoch, that follow each other.
type run struct {
	first, rows int64
	epoch       uint64
	clock       int64
	packed      []byte
}

func (r *run) end() int64 { return r.first + r.rows }

// each calls fn for each row, in order; false means that fn ended it.
func (r *run) each(query uint64, fn func(Row) (bool, error)) (bool, error) {
	rows := rowReader{rest: r.packed}
	for i := int64(0); i < r.rows; i++ {
		op, data, ok := rows.next()
		if !ok {
			return false, fmt.Errorf("%w: query %d, offset %d: the row is damaged", ErrCorrupt, query, r.first+i)
		}
		if more, err := fn(Row{Offset: r.first + i, Epoch: r.epoch, Clock: r.clock, Op: op, Data: data}); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// parts cuts a run before its rows that share nothing with the row before.
func (r run) parts(dst []run) []run {
	rows := rowReader{rest: r.packed}
	from, n := 0, int64(0) // of the part in work
	for i := range r.rows {
		at := len(r.packed) - len(rows.rest)
		if at < len(r.packed) && r.packed[at]&sharedRow == 0 && i > n {
			part := r
			part.first, part.rows, part.packed = r.first+n, i-n, r.packed[from:at]
			dst = append(dst, part)
			from, n = at, i
		}
		if _, _, ok := rows.next(); !ok {
			break // reading it says so
		}
	}
	r.first, r.rows, r.packed = r.first+n, r.rows-n, r.packed[from:]
	return append(dst, r)
}

// block is the runs of one block.
type block struct {
	query uint64
	runs  []run
}

func (b *block) first() int64 { return b.runs[0].first }

func (b *block) end() int64 { return b.runs[len(b.runs)-1].end() }

// each calls fn for each row, in order; false means that fn ended it.
func (b *block) each(fn func(Row) (bool, error)) (bool, error) {
	for i := range b.runs {
		if more, err := b.runs[i].each(b.query, fn); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// blockWriter makes blocks of runs that follow each other.
type blockWriter struct {
	b     kv.Batch
	key   func(first int64) []byte
	runs  []run
	bytes int
	value []byte
	// grown is how many bytes more runs took because they were split.
	grown int64
}

// add takes a run in. Its rows need to stay as they are until the end.
func (w *blockWriter) add(r run) {
	for r.rows > 0 {
		part := r
		if w.bytes+len(r.packed) > blockBytes {
			whole := len(r.packed)
			part, r = r.split(blockBytes-w.bytes, w.bytes == 0)
			w.grown += int64(len(part.packed) + len(r.packed) - whole)
		} else {
			r.rows = 0
		}
		if part.rows > 0 {
			w.runs, w.bytes = append(w.runs, part), w.bytes+len(part.packed)
		}
		if r.rows > 0 {
			w.end()
		}
	}
}

// split cuts a run after the rows that fit into size bytes, or after the first one if that is too large and must fit.
func (r run) split(size int, must bool) (part, rest run) {
	rows := rowReader{rest: r.packed}
	part, rest = r, r
	part.rows = 0
	for part.rows < r.rows {
		from := len(r.packed) - len(rows.rest)
		op, data, ok := rows.next()
		if !ok {
			panic("results: rows that are not packed")
		}
		if len(r.packed)-len(rows.rest) > size && (part.rows > 0 || !must) {
			part.packed = r.packed[:from]
			rest.first, rest.rows = r.first+part.rows, r.rows-part.rows
			// The first of the rest has none before it to share with.
			rest.packed = append(AppendRow(make([]byte, 0, len(data)+len(rows.rest)+10), op, data), rows.rest...)
			return part, rest
		}
		part.rows++
	}
	return part, run{}
}

// end writes the block that is begun.
func (w *blockWriter) end() {
	if len(w.runs) == 0 {
		return
	}
	v := append(w.value[:0], blockVersion)
	v = binary.AppendUvarint(v, uint64(len(w.runs)))
	epoch, clock := uint64(0), int64(0)
	for i := range w.runs {
		r := &w.runs[i]
		v = binary.AppendVarint(v, int64(r.epoch-epoch))
		v = binary.AppendVarint(v, r.clock-clock)
		v = binary.AppendUvarint(v, uint64(r.rows))
		v = binary.AppendUvarint(v, uint64(len(r.packed)))
		epoch, clock = r.epoch, r.clock
	}
	for i := range w.runs {
		v = append(v, w.runs[i].packed...)
	}
	w.b.Set(w.key(w.runs[0].first), v)
	clear(w.runs)
	w.runs, w.bytes, w.value = w.runs[:0], 0, v
}

func parseBlock(key, value []byte) (block, error) {
	id, first, err := parseBlockKey(key)
	if err != nil {
		return block{}, err
	}
	b := block{query: id}
	bad := func(what string) (block, error) {
		return block{}, fmt.Errorf("%w: query %d, offset %d: %s", ErrCorrupt, id, first, what)
	}
	if err := kv.CheckVersion("a block of results", value, blockVersion1, blockVersion2, blockVersion); err != nil {
		return block{}, fmt.Errorf("%w: query %d, offset %d: %w", ErrCorrupt, id, first, err)
	}
	if value[0] == blockVersion1 {
		return parseBlock1(b, first, value[1:])
	}
	r := &fields{b: value[1:]}
	n := r.uvarint()
	if r.bad || n == 0 || n > uint64(len(value))/4 {
		return bad("number of runs")
	}
	b.runs = make([]run, n)
	epoch, clock := uint64(0), int64(0)
	sizes := uint64(0)
	for i := range b.runs {
		epoch, clock = epoch+uint64(r.varint()), clock+r.varint()
		rows, size := r.uvarint(), r.uvarint()
		if sizes += size; r.bad || rows == 0 || rows > size/2 || size > uint64(len(value)) || sizes > uint64(len(value)) {
			return bad("a run's head")
		}
		b.runs[i] = run{first: first, rows: int64(rows), epoch: epoch, clock: clock, packed: value[:size]}
		first += int64(rows)
	}
	rest := r.b
	if sizes != uint64(len(rest)) {
		return bad("its length")
	}
	for i := range b.runs {
		size := len(b.runs[i].packed)
		b.runs[i].packed, rest = rest[:size:size], rest[size:]
	}
	return b, nil
}

// parseBlock1 reads what follows the version of a block of version 1.
func parseBlock1(b block, first int64, value []byte) (block, error) {
	r := &fields{b: value}
	one := run{first: first, epoch: r.uvarint(), clock: r.fixed()}
	rows := r.uvarint()
	if r.bad || rows == 0 || rows > uint64(len(value))/2 {
		return block{}, fmt.Errorf("%w: query %d, offset %d: the block's head", ErrCorrupt, b.query, first)
	}
	one.rows, one.packed = int64(rows), r.b
	b.runs = []run{one}
	return b, nil
}

// fields reads numbers from bytes that may be damaged.
type fields struct {
	b   []byte
	bad bool
}

func (r *fields) took(n int) {
	if n <= 0 {
		r.bad, n = true, 0
	}
	r.b = r.b[n:]
}

func (r *fields) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.took(n)
	return v
}

func (r *fields) varint() int64 {
	v, n := binary.Varint(r.b)
	r.took(n)
	return v
}

// fixed reads a number of eight bytes.
func (r *fields) fixed() int64 {
	if len(r.b) < 8 {
		r.bad = true
		return 0
	}
	v := int64(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

// fixed4 reads a number of four bytes.
func (r *fields) fixed4() uint32 {
	if len(r.b) < 4 {
		r.bad = true
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}
