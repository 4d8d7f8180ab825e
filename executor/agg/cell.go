package agg

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// cell is one word of a state that holds a value of a type: a number in place, anything else as a block of the heap. That
// there is no value is told by another word.
type cell struct{ typ types.Type }

// cellOf makes a cell for values of an argument's type.
func cellOf(t types.Type) cell {
	if t.Kind == types.Unknown {
		return cell{types.T(types.Text)}
	}
	return cell{types.Type{Kind: t.Kind, Elem: t.Elem}}
}

// ordered reports that values of a type have an order; Postgres has none for json.
func ordered(t types.Type) bool {
	switch t.Kind {
	case types.JSON, types.Void:
		return false
	case types.Array:
		return ordered(types.T(t.Elem))
	}
	return true
}

// put stores row i of v, which is not NULL.
func (c cell) put(s *Slab, at int, v *batch.Vec, i int) error {
	switch c.typ.Phys() {
	case types.PhysInt:
		s.Words[at] = uint64(v.I64[i])
	case types.PhysFloat:
		s.Words[at] = math.Float64bits(v.F64[i])
	default:
		return s.setBlock(at, v.Bytes(i))
	}
	return nil
}

// copyFrom stores the value of another cell.
func (c cell) copyFrom(dst *Slab, at int, src *Slab, from int) error {
	if c.typ.Phys() == types.PhysBytes {
		return dst.setBlock(at, dst.foreign(src, from))
	}
	dst.Words[at] = src.Words[from]
	return nil
}

// foreign is the block of word w of src, copied when src is s itself, so that it can be written to s.
func (s *Slab) foreign(src *Slab, w int) []byte {
	b := src.block(w)
	if s == src {
		return bytes.Clone(b)
	}
	return b
}

// value returns what the cell holds.
func (c cell) value(s *Slab, at int) types.Value {
	v := types.Value{Type: c.typ}
	switch c.typ.Phys() {
	case types.PhysInt:
		v.I = int64(s.Words[at])
	case types.PhysFloat:
		v.F = math.Float64frombits(s.Words[at])
	default:
		v.S = string(s.block(at))
	}
	return v
}

// compareRow orders row i of v, which is not NULL, and the cell's value.
func (c cell) compareRow(v *batch.Vec, i int, s *Slab, at int) int {
	if c.typ.Phys() == types.PhysInt {
		a, b := v.I64[i], int64(s.Words[at])
		switch {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	}
	return types.Compare(c.row(v, i), c.value(s, at))
}

// row returns row i of v as a value of the cell's type.
func (c cell) row(v *batch.Vec, i int) types.Value {
	x := v.Value(i)
	x.Type = c.typ
	return x
}

// totalCompare orders values; those that are equal but written differently (1.0, 1.00) by their bytes, so that the order of
// rows does not show.
func totalCompare(a, b types.Value) int {
	if c := types.Compare(a, b); c != 0 {
		return c
	}
	if a.Type.Phys() == types.PhysFloat {
		return cmp.Compare(int64(math.Float64bits(a.F)), int64(math.Float64bits(b.F))) // -0 first
	}
	return strings.Compare(a.S, b.S)
}

// compare orders the values of two cells.
func (c cell) compare(a *Slab, at int, b *Slab, bt int) int {
	return types.Compare(c.value(a, at), c.value(b, bt))
}

func (c cell) append(dst []byte, s *Slab, at int) []byte {
	switch c.typ.Phys() {
	case types.PhysInt:
		return binary.AppendVarint(dst, int64(s.Words[at]))
	case types.PhysFloat:
		return binary.LittleEndian.AppendUint64(dst, s.Words[at])
	}
	return appendBytes(dst, s.block(at))
}

func (c cell) load(src []byte, s *Slab, at int) ([]byte, error) {
	switch c.typ.Phys() {
	case types.PhysInt:
		i, rest, err := takeVarint(src)
		if err == nil {
			s.Words[at] = uint64(i)
		}
		return rest, err
	case types.PhysFloat:
		w, rest, err := takeWord(src)
		if err == nil {
			s.Words[at] = w
		}
		return rest, err
	}
	b, rest, err := takeBytes(src)
	if err != nil {
		return nil, err
	}
	if err := checkStored(c.typ, b); err != nil {
		return nil, err
	}
	return rest, s.setBlock(at, b)
}
