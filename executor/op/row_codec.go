package op

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// rowCodec turns rows of one input into bytes and back: a bitmap of the columns that are not NULL, then those, 8 bytes or a
// length and bytes each.
type rowCodec struct {
	typs    []types.Type
	timeCol int
	// stay is how much later than its time a row is due.
	stay int64
	// absent marks the columns that no row has had; known: there were rows.
	absent  []bool
	present []int
	known   bool
	seen    []bool // columns that restored rows have
}

func newRowCodec(schema *types.Schema, timeCol int, stay int64) rowCodec {
	c := rowCodec{timeCol: timeCol, stay: stay, absent: make([]bool, len(schema.Cols)),
		seen: make([]bool, len(schema.Cols))}
	for i, col := range schema.Cols {
		c.typs = append(c.typs, col.Type)
		c.present = append(c.present, i)
	}
	return c
}

// learn notes which columns the rows of a batch have.
func (c *rowCodec) learn(b *batch.Batch) {
	changed := false
	for i := range b.Cols {
		is := b.Cols[i].Absent && !c.seen[i] && (c.absent[i] || !c.known)
		changed = changed || is != c.absent[i]
		c.absent[i] = is
	}
	c.known = true
	if !changed {
		return
	}
	c.present = c.present[:0]
	for i := range c.absent {
		if !c.absent[i] {
			c.present = append(c.present, i)
		}
	}
}

// appendRow encodes row i of a batch.
func (c *rowCodec) appendRow(dst []byte, b *batch.Batch, i int) []byte {
	bitmap := len(dst)
	for range (len(c.typs) + 7) / 8 {
		dst = append(dst, 0)
	}
	for _, at := range c.present {
		v := &b.Cols[at]
		if v.Absent || v.IsNull(i) {
			continue
		}
		dst[bitmap+at>>3] |= 1 << (at & 7)
		switch v.Type.Phys() {
		case types.PhysInt:
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v.I64[i]))
		case types.PhysFloat:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.F64[i]))
		default:
			x := v.Bytes(i)
			dst = binary.AppendUvarint(dst, uint64(len(x)))
			dst = append(dst, x...)
		}
	}
	return dst
}

// decode appends a row to columns; src is what appendRow made and may be followed by other bytes.
func (c *rowCodec) decode(src []byte, cols []batch.Vec) {
	bitmap := src
	src = src[(len(c.typs)+7)/8:]
	for _, at := range c.present {
		v := &cols[at]
		if bitmap[at>>3]&(1<<(at&7)) == 0 {
			v.AppendNull()
			continue
		}
		switch v.Type.Phys() {
		case types.PhysInt:
			v.AppendInt(int64(binary.LittleEndian.Uint64(src)))
			src = src[8:]
		case types.PhysFloat:
			v.AppendFloat(math.Float64frombits(binary.LittleEndian.Uint64(src)))
			src = src[8:]
		default:
			n, w := uint64(src[0]), 1
			if n >= 0x80 {
				n, w = binary.Uvarint(src)
			}
			v.AppendBytes(src[w : uint64(w)+n])
			src = src[uint64(w)+n:]
		}
	}
}

// size is the length of an encoded row that may be followed by other bytes.
func (c *rowCodec) size(src []byte) int {
	at := (len(c.typs) + 7) / 8
	for i, t := range c.typs {
		switch {
		case src[i>>3]&(1<<(i&7)) == 0:
		case t.Phys() != types.PhysBytes:
			at += 8
		default:
			n, w := binary.Uvarint(src[at:])
			at += w + int(n)
		}
	}
	return at
}

// check refuses bytes that appendRow cannot have written as far as they could do harm, and returns the row's time.
func (c *rowCodec) check(row []byte) (time int64, err error) {
	n := (len(c.typs) + 7) / 8
	if len(row) < n {
		return 0, fmt.Errorf("row ends early")
	}
	src, hasTime := row[n:], false
	tagged := []byte{1}
	for i := range c.typs {
		if row[i>>3]&(1<<(i&7)) == 0 {
			continue
		}
		c.seen[i] = true
		tagged = append(tagged[:1], src...)
		rest, err := agg.SkipKey(tagged, c.typs[i:i+1])
		if err != nil {
			return 0, err
		}
		if i == c.timeCol {
			time, hasTime = int64(binary.LittleEndian.Uint64(src)), true
		}
		src = src[len(src)-len(rest):]
	}
	switch {
	case !hasTime:
		return 0, fmt.Errorf("row has no time")
	case len(src) > 0:
		return 0, fmt.Errorf("row has %d bytes too many", len(src))
	}
	return time, nil
}
