package results

import (
	"encoding/binary"
	"math/bits"
)

// Rows lie packed one behind the other, as AppendRow appends them. Where a query's rows of an epoch are kept, those that have much in
// common with the row before tell only the difference: alerts of one rule are much alike, and each is written several times before it
// is where it stays.

const (
	// sharedRow is the bit of a row's operation which says that the row tells what it shares with the one before.
	sharedRow = 0x80
	// sharedMin is how many bytes rows must have in common for that.
	sharedMin = 8
	// sharedMax is how many bytes of rows may follow one that does not share, so that who reads backwards need not unpack more.
	sharedMax = 64 << 10
)

// AppendRow appends a row as blocks and packs hold it; see Put.Packed. op is less than 0x80.
func AppendRow(dst []byte, op byte, data []byte) []byte {
	dst = append(dst, op)
	dst = binary.AppendUvarint(dst, uint64(len(data)))
	return append(dst, data...)
}

// OpenRow begins a row as AppendRow makes it; its bytes are appended next, and then CloseRow is called with their place at.
func OpenRow(dst []byte, op byte) (row []byte, at int) {
	return append(dst, op, 0), len(dst) + 2
}

// CloseRow ends a row that OpenRow began.
func CloseRow(dst []byte, at int) []byte {
	size := len(dst) - at
	if size < 0x80 {
		dst[at-1] = byte(size)
		return dst
	}
	return closeLong(dst, at)
}

func closeLong(dst []byte, at int) []byte {
	size := len(dst) - at
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(size))
	dst = append(dst, head[1:n]...) // room
	copy(dst[at-1+n:], dst[at:at+size])
	copy(dst[at-1:], head[:n])
	return dst
}

// shape is what two rows of a query that follow each other had in common, in bytes at the beginning and at the end: most often the next two
// have it, too, and to compare is faster than to look for more.
type shape struct{ from, upTo int }

// shapeMiddleMax is how many bytes between them may be written without a look for fewer.
const shapeMiddleMax = 8

// append is appendShared, which may share a byte less.
func (s *shape) append(dst []byte, op byte, data, before []byte) []byte {
	from, upTo, n := s.from, s.upTo, len(data)
	middle := n - from - upTo
	if from+upTo >= sharedMin && middle >= 2 && middle <= shapeMiddleMax && n == len(before) && from|upTo < 0x80 &&
		data[n-upTo-1] != before[n-upTo-1] && (data[from] != before[from] || data[from+1] != before[from+1]) &&
		string(data[:from]) == string(before[:from]) && string(data[n-upTo:]) == string(before[n-upTo:]) {
		dst = append(dst, op|sharedRow, byte(from), byte(upTo), byte(middle))
		return append(dst, data[from:n-upTo]...)
	}
	s.from = commonPrefix(data, before)
	s.upTo = commonSuffix(data[s.from:], before[s.from:])
	return appendParts(dst, op, data, s.from, s.upTo)
}

// appendShared appends a row by what it does not share with before, the row before it: as AppendRow if that is little.
func appendShared(dst []byte, op byte, data, before []byte) []byte {
	from := commonPrefix(data, before)
	return appendParts(dst, op, data, from, commonSuffix(data[from:], before[from:]))
}

// appendParts is appendShared for a row of which from bytes at the beginning and upTo at the end are those of the row before.
func appendParts(dst []byte, op byte, data []byte, from, upTo int) []byte {
	if from+upTo < sharedMin {
		return AppendRow(dst, op, data)
	}
	middle := data[from : len(data)-upTo]
	if from|upTo|len(middle) < 0x80 {
		dst = append(dst, op|sharedRow, byte(from), byte(upTo), byte(len(middle)))
	} else {
		dst = append(dst, op|sharedRow)
		dst = binary.AppendUvarint(dst, uint64(from))
		dst = binary.AppendUvarint(dst, uint64(upTo))
		dst = binary.AppendUvarint(dst, uint64(len(middle)))
	}
	return append(dst, middle...)
}

func commonPrefix(a, b []byte) int {
	n, i := min(len(a), len(b)), 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for ; i < n && a[i] == b[i]; i++ {
	}
	return i
}

func commonSuffix(a, b []byte) int {
	n, i := min(len(a), len(b)), 0
	a, b = a[len(a)-n:], b[len(b)-n:]
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[n-i-8:]) ^ binary.LittleEndian.Uint64(b[n-i-8:]); x != 0 {
			return i + bits.LeadingZeros64(x)/8
		}
	}
	for ; i < n && a[n-1-i] == b[n-1-i]; i++ {
	}
	return i
}

// rowReader reads packed rows one by one.
type rowReader struct {
	rest []byte
	// data is the row that was read last: in what is read, or in own.
	data, own []byte
	inOwn     bool
}

// next reads a row; ok is false when the bytes are damaged. data is valid until the next call.
func (r *rowReader) next() (op byte, data []byte, ok bool) {
	if len(r.rest) == 0 {
		return 0, nil, false
	}
	if op = r.rest[0]; op&sharedRow != 0 {
		return op &^ sharedRow, r.data, r.shared()
	}
	op, r.data, r.rest, ok = nextRow(r.rest)
	r.inOwn = false
	return op, r.data, ok
}

// shared makes a row of the one before and the difference.
func (r *rowReader) shared() bool {
	f := fields{b: r.rest[1:]}
	from, upTo, size := f.uvarint(), f.uvarint(), f.uvarint()
	old := uint64(len(r.data))
	if f.bad || from > old || upTo > old-from || size > uint64(len(f.b)) {
		return false
	}
	middle := f.b[:size]
	r.rest = f.b[size:]
	if !r.inOwn {
		r.own, r.inOwn = append(r.own[:0], r.data...), true
	}
	n := int(from + size + upTo)
	if grow := n - len(r.own); grow > 0 {
		r.own = append(r.own, make([]byte, grow)...)
	}
	copy(r.own[from+size:n], r.own[old-upTo:old])
	copy(r.own[from:], middle)
	r.own = r.own[:n]
	r.data = r.own
	return true
}

// nextRow splits the first row off packed ones, which does not share; ok is false when they are damaged.
func nextRow(packed []byte) (op byte, data, rest []byte, ok bool) {
	if len(packed) < 2 {
		return 0, nil, nil, false
	}
	op = packed[0]
	size, n := uint64(packed[1]), 1
	if size >= 0x80 {
		size, n = binary.Uvarint(packed[1:])
	}
	packed = packed[1:]
	if n <= 0 || size > uint64(len(packed)-n) {
		return 0, nil, nil, false
	}
	end := n + int(size)
	return op, packed[n:end:end], packed[end:], true
}

// EachPacked calls fn for each of n rows that AppendRow has packed. It panics when they are not.
func EachPacked(packed []byte, n int, fn func(op byte, data []byte)) {
	for range n {
		op, data, rest, ok := nextRow(packed)
		if !ok {
			panic("results: rows that are not packed")
		}
		fn(op, data)
		packed = rest
	}
}
