// Package batch owns rows that travel together: typed vectors in Arrow's memory layout (values, uint32 offsets plus
// bytes, a bitmap), and selections over them. Vectors are filled once, by a decoder or an evaluator, and read-only after.
package batch

import (
	"github.com/vigil-sql/vigil/executor/types"
)

// RowsMax is the number of rows after which a producer starts a new batch.
const RowsMax = 1024

// Vec is one column of a batch. Exactly one of I64, F64 and Off+Buf is used, as Type.Phys says.
// Unlike Arrow's, the bitmap marks NULLs (bit set = NULL) and is empty when there are none.
type Vec struct {
	Type types.Type
	N    int // rows
	I64  []int64
	F64  []float64
	Off  []uint32 // N+1 offsets into Buf; Off[0] == 0
	Buf  []byte
	// Nulls has bit i%64 of word i/64 set when row i is NULL; empty, or at least (N+63)/64 words.
	// A NULL row holds 0 or the empty string.
	Nulls []uint64
	// Absent: nobody asked for this column, it was not decoded and must not be read.
	Absent bool
}

// Reset empties the vector for reuse with a type; capacity is kept.
func (v *Vec) Reset(t types.Type) {
	v.Type, v.N, v.Absent = t, 0, false
	v.I64, v.F64, v.Buf, v.Nulls = v.I64[:0], v.F64[:0], v.Buf[:0], v.Nulls[:0]
	v.Off = v.Off[:0]
	if t.Phys() == types.PhysBytes {
		v.Off = append(v.Off, 0)
	}
}

// IsNull reports whether row i is NULL.
func (v *Vec) IsNull(i int) bool {
	return len(v.Nulls) != 0 && v.Nulls[i>>6]&(1<<(uint(i)&63)) != 0
}

// Bytes returns the stored bytes of row i (PhysBytes); valid while the vector is.
func (v *Vec) Bytes(i int) []byte { return v.Buf[v.Off[i]:v.Off[i+1]] }

// SetNull marks row i, which must exist, as NULL.
func (v *Vec) SetNull(i int) {
	for len(v.Nulls) <= i>>6 || len(v.Nulls)*64 < v.N {
		v.Nulls = append(v.Nulls, 0)
	}
	v.Nulls[i>>6] |= 1 << (uint(i) & 63)
}

// growNulls keeps the bitmap long enough once it exists.
func (v *Vec) growNulls() {
	if len(v.Nulls) != 0 && len(v.Nulls)*64 < v.N {
		v.Nulls = append(v.Nulls, 0)
	}
}

// AppendInt adds a PhysInt row.
func (v *Vec) AppendInt(i int64) {
	v.I64 = append(v.I64, i)
	v.N++
	v.growNulls()
}

// AppendFloat adds a PhysFloat row.
func (v *Vec) AppendFloat(f float64) {
	v.F64 = append(v.F64, f)
	v.N++
	v.growNulls()
}

// AppendBytes adds a PhysBytes row, copying b.
func (v *Vec) AppendBytes(b []byte) {
	v.Buf = append(v.Buf, b...)
	v.Off = append(v.Off, uint32(len(v.Buf)))
	v.N++
	v.growNulls()
}

// AppendString adds a PhysBytes row.
func (v *Vec) AppendString(s string) {
	v.Buf = append(v.Buf, s...)
	v.Off = append(v.Off, uint32(len(v.Buf)))
	v.N++
	v.growNulls()
}

// AppendNull adds a NULL row.
func (v *Vec) AppendNull() {
	switch v.Type.Phys() {
	case types.PhysInt:
		v.I64 = append(v.I64, 0)
	case types.PhysFloat:
		v.F64 = append(v.F64, 0)
	default:
		v.Off = append(v.Off, uint32(len(v.Buf)))
	}
	v.N++
	v.growNulls()
	v.SetNull(v.N - 1)
}

// AppendValue adds a scalar whose type has the vector's layout.
func (v *Vec) AppendValue(x types.Value) {
	if x.Null {
		v.AppendNull()
		return
	}
	switch v.Type.Phys() {
	case types.PhysInt:
		v.AppendInt(x.I)
	case types.PhysFloat:
		v.AppendFloat(x.F)
	default:
		v.AppendString(x.S)
	}
}

// Value returns row i as a scalar that owns its bytes.
func (v *Vec) Value(i int) types.Value {
	x := types.Value{Type: v.Type}
	if v.IsNull(i) {
		x.Null = true
		return x
	}
	switch v.Type.Phys() {
	case types.PhysInt:
		x.I = v.I64[i]
	case types.PhysFloat:
		x.F = v.F64[i]
	default:
		x.S = string(v.Bytes(i))
	}
	return x
}

// AppendFrom adds row i of src, which has the same layout.
func (v *Vec) AppendFrom(src *Vec, i int) {
	if src.IsNull(i) {
		v.AppendNull()
		return
	}
	switch v.Type.Phys() {
	case types.PhysInt:
		v.AppendInt(src.I64[i])
	case types.PhysFloat:
		v.AppendFloat(src.F64[i])
	default:
		v.AppendBytes(src.Bytes(i))
	}
}

// Truncate drops rows from n on; a decoder uses it to take back a half-written row.
func (v *Vec) Truncate(n int) {
	if n >= v.N {
		return
	}
	for i := n; i < v.N && len(v.Nulls) != 0; i++ {
		v.Nulls[i>>6] &^= 1 << (uint(i) & 63)
	}
	v.N = n
	switch v.Type.Phys() {
	case types.PhysInt:
		v.I64 = v.I64[:n]
	case types.PhysFloat:
		v.F64 = v.F64[:n]
	default:
		v.Off = v.Off[:n+1]
		v.Buf = v.Buf[:v.Off[n]]
	}
}

// Behind marks a row that was older than its stream's watermark when its turn came.
type Behind struct {
	Row       uint32
	Watermark types.EventTime // the watermark just before the row
}

// Op is what a row does to a changelog. The numbers are those of stored results (docs/formats).
type Op byte

// The operations. An UpdateBefore is directly followed by its UpdateAfter.
const (
	Insert       Op = 1
	UpdateBefore Op = 2
	UpdateAfter  Op = 3
	Delete       Op = 4
)

// Batch is rows of one schema in sequence order.
type Batch struct {
	Schema *types.Schema
	Cols   []Vec // one per schema column
	N      int   // rows; every present column has as many
	// Behind lists, by ascending row, the rows older than the watermark at their turn. Whether such a row is late is for
	// each operator to say: it is, when all its windows end at or before that watermark. Rows not listed are never late.
	Behind []Behind
	// Src, when not empty, tells which row of the stream's own batch each row was computed from, ascending.
	Src []uint32
	// Ops is what each row does; empty: all rows are inserted. It has N elements otherwise.
	Ops []Op
}

// Op returns what row i does.
func (b *Batch) Op(i int) Op {
	if len(b.Ops) == 0 {
		return Insert
	}
	return b.Ops[i]
}

// New returns an empty batch for a schema; columns not in want (nil: all) are absent.
func New(s *types.Schema, want []bool) *Batch {
	b := &Batch{Schema: s, Cols: make([]Vec, len(s.Cols))}
	b.Reset(want)
	return b
}

// Reset empties the batch for reuse. Only the owner of a batch that nobody else holds may call it.
func (b *Batch) Reset(want []bool) {
	for i := range b.Cols {
		b.Cols[i].Reset(b.Schema.Cols[i].Type)
		b.Cols[i].Absent = want != nil && !want[i]
	}
	b.N, b.Behind, b.Ops, b.Src = 0, b.Behind[:0], b.Ops[:0], b.Src[:0]
}

// Truncate drops rows from n on in every present column.
func (b *Batch) Truncate(n int) {
	for i := range b.Cols {
		if !b.Cols[i].Absent {
			b.Cols[i].Truncate(n)
		}
	}
	b.N = n
	if len(b.Ops) > n {
		b.Ops = b.Ops[:n]
	}
}

// AppendRow adds one row of scalars; len(row) == len(Cols) and no column is absent.
func (b *Batch) AppendRow(row []types.Value) {
	for i := range b.Cols {
		b.Cols[i].AppendValue(row[i])
	}
	b.N++
}

// Row returns row i as scalars, appended to dst.
func (b *Batch) Row(dst []types.Value, i int) []types.Value {
	for c := range b.Cols {
		dst = append(dst, b.Cols[c].Value(i))
	}
	return dst
}

var identity = func() []uint32 {
	s := make([]uint32, 1<<16)
	for i := range s {
		s[i] = uint32(i)
	}
	return s
}()

// All returns the selection of the first n rows. It is shared: do not write to it.
func All(n int) []uint32 {
	if n <= len(identity) {
		return identity[:n]
	}
	s := make([]uint32, n)
	for i := range s {
		s[i] = uint32(i)
	}
	return s
}
