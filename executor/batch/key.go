package batch

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"strings"

	"github.com/vigil-sql/vigil/executor/types"
)

// Keys are the encoded grouping keys of some rows: key i is Buf[Off[i]:Off[i+1]], Hash[i] its hash in this process.
// Two rows have equal bytes exactly when GROUP BY puts them into one group (NULL equals NULL, 1.0 equals 1.00, -0 equals 0).
type Keys struct {
	Hash []uint64
	Off  []uint32
	Buf  []byte
}

var hashSeed = maphash.MakeSeed()

// HashKey hashes an encoded key; stable within a process only.
func HashKey(key []byte) uint64 { return maphash.Bytes(hashSeed, key) }

// Key returns key i.
func (k *Keys) Key(i int) []byte { return k.Buf[k.Off[i]:k.Off[i+1]] }

// Build encodes and hashes the keys of n rows of dense columns, replacing the contents of k.
func (k *Keys) Build(cols []*Vec, n int) {
	k.Off, k.Buf, k.Hash = append(k.Off[:0], 0), k.Buf[:0], k.Hash[:0]
	buf := k.Buf
	for i := 0; i < n; i++ {
		for _, c := range cols {
			buf = AppendKey(buf, c, i)
		}
		k.Off = append(k.Off, uint32(len(buf)))
	}
	k.Buf = buf
	for i := 0; i < n; i++ {
		k.Hash = append(k.Hash, maphash.Bytes(hashSeed, buf[k.Off[i]:k.Off[i+1]]))
	}
}

// AppendKey appends the key form of row i: a NULL is byte 0; else byte 1 and 8 little-endian bytes (integers, floats) or a
// uvarint length and the bytes.
func AppendKey(dst []byte, c *Vec, i int) []byte {
	if c.IsNull(i) {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	switch c.Type.Phys() {
	case types.PhysInt:
		return binary.LittleEndian.AppendUint64(dst, uint64(c.I64[i]))
	case types.PhysFloat:
		return binary.LittleEndian.AppendUint64(dst, floatKey(c.F64[i]))
	}
	b := c.Bytes(i)
	if c.Type.Kind == types.Numeric {
		return appendLenString(dst, NormalizeNumeric(string(b)))
	}
	if c.Type.Kind == types.Record {
		return appendLenString(dst, recordKey(string(b)))
	}
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// recordKey is a row without the names of its fields, and with the key forms of decimals: equal rows are equal bytes.
func recordKey(s string) string {
	fields, err := types.DecodeRecord(s)
	if err != nil {
		return s
	}
	for i := range fields {
		switch f := &fields[i]; {
		case f.Null:
		case f.Type.Kind == types.Numeric:
			f.S = NormalizeNumeric(f.S)
		case f.Type.Kind == types.Record:
			f.S = recordKey(f.S)
		}
	}
	return string(types.AppendRecordBytes(nil, fields, nil))
}

// AppendKeyValue is AppendKey for a scalar.
func AppendKeyValue(dst []byte, v types.Value) []byte {
	if v.Null {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	switch v.Type.Phys() {
	case types.PhysInt:
		return binary.LittleEndian.AppendUint64(dst, uint64(v.I))
	case types.PhysFloat:
		return binary.LittleEndian.AppendUint64(dst, floatKey(v.F))
	}
	if v.Type.Kind == types.Numeric {
		return appendLenString(dst, NormalizeNumeric(v.S))
	}
	if v.Type.Kind == types.Record {
		return appendLenString(dst, recordKey(v.S))
	}
	return appendLenString(dst, v.S)
}

func appendLenString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// floatKey gives equal floats equal bits: one zero, one NaN.
func floatKey(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case f != f:
		return 0x7ff8000000000001
	}
	return math.Float64bits(f)
}

// NormalizeNumeric drops the trailing zeros of a decimal's fraction.
func NormalizeNumeric(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

// DecodeKey appends the key's columns to vectors of the given types (already Reset) and returns the bytes left over. It
// rejects malformed input and never panics; on error the vectors may hold a partial row.
func DecodeKey(key []byte, cols []*Vec) ([]byte, error) {
	for _, c := range cols {
		if len(key) == 0 {
			return nil, fmt.Errorf("key ends early")
		}
		tag := key[0]
		key = key[1:]
		if tag == 0 {
			c.AppendNull()
			continue
		}
		if tag != 1 {
			return nil, fmt.Errorf("key has tag %d", tag)
		}
		switch c.Type.Phys() {
		case types.PhysInt, types.PhysFloat:
			if len(key) < 8 {
				return nil, fmt.Errorf("key ends early")
			}
			u := binary.LittleEndian.Uint64(key)
			key = key[8:]
			if c.Type.Phys() == types.PhysInt {
				c.AppendInt(int64(u))
			} else {
				c.AppendFloat(math.Float64frombits(u))
			}
		default:
			n, w := binary.Uvarint(key)
			if w <= 0 || n > uint64(len(key)-w) {
				return nil, fmt.Errorf("key ends early")
			}
			c.AppendBytes(key[w : w+int(n)])
			key = key[w+int(n):]
		}
	}
	return key, nil
}
