package agg

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// gathered keeps all values of a group that are not NULL, for aggregates that sort them when they are asked. Words: number
// of values, block of them: 8 bytes each, or a length and the stored form.
type gathered struct{ x cell }

const gatheredWords = 2

func (gathered) Words() int { return gatheredWords }

func (k gathered) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	var scratch []byte
	for i, g := range gids {
		if v.IsNull(i) {
			continue
		}
		scratch = scratch[:0]
		switch k.x.typ.Phys() {
		case types.PhysInt:
			scratch = binary.LittleEndian.AppendUint64(scratch, uint64(v.I64[i]))
		case types.PhysFloat:
			scratch = binary.LittleEndian.AppendUint64(scratch, math.Float64bits(v.F64[i]))
		default:
			scratch = appendBytes(scratch, v.Bytes(i))
		}
		at := s.word(off, g)
		if err := s.appendBlock(at+1, scratch); err != nil {
			return err
		}
		s.Words[at]++
	}
	return nil
}

func (gathered) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	at, from := dst.word(off, dg), src.word(off, sg)
	n := src.Words[from]
	if n == 0 {
		return nil
	}
	if err := dst.appendBlock(at+1, dst.foreign(src, from+1)); err != nil {
		return err
	}
	dst.Words[at] += n
	return nil
}

// sortedValues are the values of a group in order.
type sortedValues struct {
	n      int
	typ    types.Type
	desc   bool
	ints   []int64
	floats []float64
	bytes  []string
}

// at returns value i.
func (v *sortedValues) at(i int) types.Value {
	if v.desc {
		i = v.n - 1 - i
	}
	out := types.Value{Type: v.typ}
	switch v.typ.Phys() {
	case types.PhysInt:
		out.I = v.ints[i]
	case types.PhysFloat:
		out.F = v.floats[i]
	default:
		out.S = v.bytes[i]
	}
	return out
}

// sorted returns the values whose words start at at.
func (k gathered) sorted(s *Slab, at int, desc bool) sortedValues {
	v := sortedValues{n: int(s.Words[at]), typ: k.x.typ, desc: desc}
	b := s.block(at + 1)
	switch k.x.typ.Phys() {
	case types.PhysInt:
		v.ints = make([]int64, v.n)
		for i := range v.ints {
			v.ints[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
		}
		slices.Sort(v.ints)
	case types.PhysFloat:
		v.floats = make([]float64, v.n)
		for i := range v.floats {
			v.floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
		slices.SortFunc(v.floats, func(a, b float64) int {
			return totalCompare(types.NewFloat(a), types.NewFloat(b))
		})
	default:
		v.bytes = make([]string, v.n)
		text := string(b)
		for i := range v.bytes {
			n, used := binary.Uvarint(b)
			v.bytes[i] = text[used : used+int(n)]
			b, text = b[used+int(n):], text[used+int(n):]
		}
		slices.SortFunc(v.bytes, func(a, b string) int {
			return totalCompare(types.Value{Type: k.x.typ, S: a}, types.Value{Type: k.x.typ, S: b})
		})
	}
	return v
}

func (gathered) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	at := s.word(off, gid)
	dst = binary.AppendUvarint(dst, s.Words[at])
	if s.Words[at] == 0 {
		return dst
	}
	return append(dst, s.block(at+1)...)
}

func (k gathered) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	rest := src
	if k.x.typ.Phys() != types.PhysBytes {
		if n > uint64(len(src)/8) {
			return nil, errState("values end early")
		}
		rest = src[8*n:]
	} else {
		for range n { // each round takes at least one byte of src or fails
			var b []byte
			if b, rest, err = takeBytes(rest); err != nil {
				return nil, err
			}
			if err := checkStored(k.x.typ, b); err != nil {
				return nil, err
			}
		}
	}
	at := s.word(off, gid)
	s.Words[at] = n
	return rest, s.setBlock(at+1, src[:len(src)-len(rest)])
}
