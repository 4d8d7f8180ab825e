package agg

import (
	"encoding/binary"
	"math/big"
	"math/bits"
	"strconv"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// sumInt adds integers exactly. Words: low and high half of the 128-bit sum, number of values.
type sumInt struct {
	// avg divides by the number of values; else a sum of typ: bigint (checked for overflow) or numeric.
	avg bool
	typ types.Type
}

func (sumInt) Words() int         { return 3 }
func (k sumInt) Type() types.Type { return k.typ }

func (sumInt) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	words, stride := s.Words, s.Stride
	if len(v.Nulls) == 0 {
		for i, g := range gids {
			addInt(words[int(g)*stride+off:], v.I64[i])
		}
		return nil
	}
	for i, g := range gids {
		if !v.IsNull(i) {
			addInt(words[int(g)*stride+off:], v.I64[i])
		}
	}
	return nil
}

func addInt(w []uint64, x int64) {
	_ = w[2]
	lo, carry := bits.Add64(w[0], uint64(x), 0)
	w[0] = lo
	w[1] += uint64(x>>63) + carry
	w[2]++
}

func (sumInt) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	d, f := dst.Words[dst.word(off, dg):], src.Words[src.word(off, sg):]
	lo, carry := bits.Add64(d[0], f[0], 0)
	d[0] = lo
	d[1] += f[1] + carry
	d[2] += f[2]
	return nil
}

func (k sumInt) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	w := s.Words[s.word(off, gid):]
	lo, hi, n := w[0], w[1], w[2]
	switch {
	case n == 0:
		return null(k.typ)
	case k.avg:
		return numericQuotient(text128(lo, hi), n)
	case k.typ.Kind == types.Numeric:
		return types.Value{Type: k.typ, S: text128(lo, hi)}, nil
	case int64(hi) != int64(lo)>>63:
		return types.Value{}, sqlerr.New(sqlerr.NumericValueOutOfRange, "bigint out of range")
	}
	return types.Value{Type: k.typ, I: int64(lo)}, nil
}

// Results implements BulkResult for sums that are bigint and fit.
func (k sumInt) Results(dst *batch.Vec, s *Slab, off int, gids []uint32) bool {
	if k.avg || k.typ.Kind != types.Int8 {
		return false
	}
	for _, g := range gids {
		if w := s.Words[s.word(off, g):]; int64(w[1]) != int64(w[0])>>63 {
			return false
		}
	}
	for _, g := range gids {
		if w := s.Words[s.word(off, g):]; w[2] == 0 {
			dst.AppendNull()
		} else {
			dst.AppendInt(int64(w[0]))
		}
	}
	return true
}

func (sumInt) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	w := s.Words[s.word(off, gid):]
	dst = binary.AppendUvarint(dst, w[2])
	if w[2] == 0 {
		return dst
	}
	fits := uint64(0)
	if int64(w[1]) == int64(w[0])>>63 {
		fits = 1
	}
	dst = append(dst, byte(fits))
	dst = binary.AppendVarint(dst, int64(w[0]))
	if fits == 0 {
		dst = binary.AppendVarint(dst, int64(w[1]))
	}
	return dst
}

func (sumInt) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	if len(src) == 0 || src[0] > 1 {
		return nil, errState("bad width of a sum")
	}
	fits := src[0] == 1
	lo, src, err := takeVarint(src[1:])
	if err != nil {
		return nil, err
	}
	hi := lo >> 63
	if !fits {
		if hi, src, err = takeVarint(src); err != nil {
			return nil, err
		}
	}
	w := s.Words[s.word(off, gid):]
	w[0], w[1], w[2] = uint64(lo), uint64(hi), n
	return src, nil
}

// int128 returns a two's complement number of two words.
func int128(lo, hi uint64) *big.Int {
	x := new(big.Int).SetInt64(int64(hi))
	return x.Lsh(x, 64).Add(x, new(big.Int).SetUint64(lo))
}

// text128 is the decimal text of such a number.
func text128(lo, hi uint64) string {
	if int64(hi) == int64(lo)>>63 {
		return strconv.FormatInt(int64(lo), 10)
	}
	return int128(lo, hi).String()
}

// numericQuotient divides a sum by the number of values, with as many digits as Postgres gives.
func numericQuotient(sum string, n uint64) (types.Value, error) {
	q, err := types.NumericDiv(sum, strconv.FormatUint(n, 10))
	if err != nil {
		return types.Value{}, err
	}
	return types.NewBytes(types.Numeric, q), nil
}
