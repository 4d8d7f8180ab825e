package agg

import (
	"encoding/binary"
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// sumFloat adds floats with Neumaier's compensation, so that the order of rows hardly ever shows. Words: sum of the finite
// values, compensation, number of values with the flags below in the top bits.
type sumFloat struct {
	avg bool
	typ types.Type // of the result
}

const (
	sawNaN    = 1 << 63
	sawPosInf = 1 << 62
	sawNegInf = 1 << 61
	flagsMask = sawNaN | sawPosInf | sawNegInf
)

func (sumFloat) Words() int         { return 3 }
func (k sumFloat) Type() types.Type { return k.typ }

func (sumFloat) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		if len(v.Nulls) == 0 || !v.IsNull(i) {
			addFloat(s.Words[int(g)*s.Stride+off:], v.F64[i])
		}
	}
	return nil
}

func addFloat(w []uint64, x float64) {
	_ = w[2]
	w[2]++
	if x-x != 0 { // not finite
		w[2] |= specialOf(x)
		return
	}
	addFinite(w, x)
}

// addFinite adds x, which is finite; a sum that has overflown stays infinite.
func addFinite(w []uint64, x float64) {
	sum, comp := math.Float64frombits(w[0]), math.Float64frombits(w[1])
	t := sum + x
	if t-t != 0 {
		w[0] = math.Float64bits(t)
		return
	}
	if math.Abs(sum) >= math.Abs(x) {
		comp += (sum - t) + x
	} else {
		comp += (x - t) + sum
	}
	w[0], w[1] = math.Float64bits(t), math.Float64bits(comp)
}

func specialOf(x float64) uint64 {
	switch {
	case x != x:
		return sawNaN
	case x > 0:
		return sawPosInf
	}
	return sawNegInf
}

func (sumFloat) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	d, f := dst.Words[dst.word(off, dg):], src.Words[src.word(off, sg):]
	addFinite(d, math.Float64frombits(f[0]))
	addFinite(d, math.Float64frombits(f[1]))
	d[2] = (d[2]|f[2])&flagsMask | (d[2]&^flagsMask + f[2]&^flagsMask)
	return nil
}

func (k sumFloat) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	w := s.Words[s.word(off, gid):]
	n, flags := w[2]&^flagsMask, w[2]&flagsMask
	if n == 0 {
		return null(k.typ)
	}
	if flags != 0 {
		return types.Value{Type: k.typ, F: special(flags)}, nil
	}
	sum := math.Float64frombits(w[0]) + math.Float64frombits(w[1])
	if k.avg {
		sum /= float64(n)
	}
	if k.typ.Kind == types.Float4 {
		sum = float64(float32(sum))
	}
	if sum-sum != 0 {
		return types.Value{}, sqlerr.New(sqlerr.NumericValueOutOfRange, "value out of range: overflow")
	}
	return types.Value{Type: k.typ, F: sum}, nil
}

// special is the sum of values of which some are not finite.
func special(flags uint64) float64 {
	switch flags {
	case sawPosInf:
		return math.Inf(1)
	case sawNegInf:
		return math.Inf(-1)
	}
	return math.NaN()
}

func (sumFloat) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	w := s.Words[s.word(off, gid):]
	dst = binary.AppendUvarint(dst, w[2])
	if w[2] == 0 {
		return dst
	}
	dst = binary.LittleEndian.AppendUint64(dst, w[0])
	return binary.LittleEndian.AppendUint64(dst, w[1])
}

func (sumFloat) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	return loadFloats(src, s.Words[s.word(off, gid):], [3]int{2, 0, 1})
}

// loadFloats reads a number of values and, unless it is 0, two floats into the words at the given places.
func loadFloats(src []byte, w []uint64, at [3]int) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	a, src, err := takeWord(src)
	if err != nil {
		return nil, err
	}
	b, src, err := takeWord(src)
	if err != nil {
		return nil, err
	}
	w[at[0]], w[at[1]], w[at[2]] = n, a, b
	return src, nil
}
