package agg

import (
	"encoding/binary"
	"math"
	"math/big"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// stddevDef describes the family: sample or population, deviation (the root) or variance.
func stddevDef(name string, sample, root bool, doc string) Def {
	want := map[[2]bool]string{ // of 1, 2, 4: sample, root
		{true, true}: "1.5275252316519467", {true, false}: "2.3333333333333333",
		{false, true}: "1.2472191289246471", {false, false}: "1.5555555555555556",
	}[[2]bool{sample, root}]
	return Def{
		Name: name,
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			if len(args) != 1 {
				return nil, false
			}
			m := moment{sample, root}
			var k Kernel
			switch args[0].Kind {
			case types.Int2, types.Int4, types.Int8, types.Numeric:
				k = spreadExact{m, args[0].Kind == types.Numeric}
			case types.Float4, types.Float8:
				k = spreadFloat{m}
			default:
				return nil, false
			}
			if distinct {
				k = distinctOf(args, k)
			}
			return k, true
		},
		Doc:      doc + " Exact for integers and numeric.",
		Examples: []Example{{"SELECT " + name + "(x) FROM (VALUES (1), (2), (4), (NULL)) v(x)", want}},
	}
}

// moment says which of the four results is wanted.
type moment struct{ sample, root bool }

// tooFew reports that n values have no such result.
func (m moment) tooFew(n uint64) bool { return n == 0 || m.sample && n == 1 }

// spreadFloat follows Youngs and Cramer, as Postgres does. Words: number of values, sum, sum of squared distances from
// the mean; both NaN once a value was not finite.
type spreadFloat struct{ moment }

func (spreadFloat) Words() int       { return 3 }
func (spreadFloat) Type() types.Type { return types.T(types.Float8) }

func (k spreadFloat) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		if !v.IsNull(i) {
			addSpread(s.Words[s.word(off, g):], v.F64[i])
		}
	}
	return nil
}

func addSpread(w []uint64, x float64) {
	_ = w[2]
	sum, dist := math.Float64frombits(w[1]), math.Float64frombits(w[2])
	w[0]++
	n := float64(w[0])
	sum += x
	if w[0] > 1 {
		d := x*n - sum
		dist += d * d / (n * (n - 1))
	}
	if x-x != 0 {
		sum, dist = math.NaN(), math.NaN()
	}
	w[1], w[2] = math.Float64bits(sum), math.Float64bits(dist)
}

func (spreadFloat) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	d, f := dst.Words[dst.word(off, dg):], src.Words[src.word(off, sg):]
	if f[0] == 0 {
		return nil
	}
	if d[0] == 0 {
		copy(d[:3], f[:3])
		return nil
	}
	n1, n2 := float64(d[0]), float64(f[0])
	s1, s2 := math.Float64frombits(d[1]), math.Float64frombits(f[1])
	gap := s1/n1 - s2/n2
	dist := math.Float64frombits(d[2]) + math.Float64frombits(f[2]) + n1*n2*gap*gap/(n1+n2)
	d[0] += f[0]
	d[1], d[2] = math.Float64bits(s1+s2), math.Float64bits(dist)
	return nil
}

func (k spreadFloat) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	w := s.Words[s.word(off, gid):]
	if k.tooFew(w[0]) {
		return null(k.Type())
	}
	dist, n := math.Float64frombits(w[2]), float64(w[0])
	if math.IsInf(dist, 0) {
		return types.Value{}, sqlerr.New(sqlerr.NumericValueOutOfRange, "value out of range: overflow")
	}
	if k.sample {
		n--
	}
	result := dist / n
	if k.root {
		result = math.Sqrt(result)
	}
	return types.NewFloat(result), nil
}

func (spreadFloat) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	w := s.Words[s.word(off, gid):]
	dst = binary.AppendUvarint(dst, w[0])
	if w[0] == 0 {
		return dst
	}
	dst = binary.LittleEndian.AppendUint64(dst, w[1])
	return binary.LittleEndian.AppendUint64(dst, w[2])
}

func (spreadFloat) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	return loadFloats(src, s.Words[s.word(off, gid):], [3]int{0, 1, 2})
}

// spreadExact keeps the sums of the values and of their squares as decimals: two states of sumNumeric, the second of
// squares.
type spreadExact struct {
	moment
	numeric bool // the argument; else an integer
}

func (spreadExact) Words() int       { return 2 * numWords }
func (spreadExact) Type() types.Type { return types.T(types.Numeric) }

func (k spreadExact) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	var text []byte
	for i, g := range gids {
		if v.IsNull(i) {
			continue
		}
		if k.numeric {
			text = append(text[:0], v.Bytes(i)...)
		} else {
			text = big.NewInt(v.I64[i]).Append(text[:0], 10)
		}
		square, err := types.NumericMul(string(text), string(text))
		if err != nil {
			return err
		}
		at := s.word(off, g)
		if err := addNumeric(s, at, text); err != nil {
			return err
		}
		if err := addNumeric(s, at+numWords, []byte(square)); err != nil {
			return err
		}
	}
	return nil
}

func (k spreadExact) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	if err := (sumNumeric{}).Merge(dst, dg, src, sg, off); err != nil {
		return err
	}
	return sumNumeric{}.Merge(dst, dg, src, sg, off+numWords)
}

func (k spreadExact) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	n := s.Words[at+numCount]
	if k.tooFew(n) {
		return null(k.Type())
	}
	sum, err := sumNumeric{}.total(s, at)
	if err != nil {
		return types.Value{}, err
	}
	squares, err := sumNumeric{}.total(s, at+numWords)
	if err != nil {
		return types.Value{}, err
	}
	x, xScale, ok1 := parseDecimal(sum)
	xx, xxScale, ok2 := parseDecimal(squares)
	if !ok1 || !ok2 {
		return types.NewBytes(types.Numeric, "NaN"), nil
	}
	count := new(big.Int).SetUint64(n)
	// n*sum(x^2) - sum(x)^2, at the scale of the squares
	scale := max(2*xScale, xxScale)
	spread := new(big.Int).Mul(count, xx)
	spread.Mul(spread, pow10(scale-xxScale))
	spread.Sub(spread, new(big.Int).Mul(new(big.Int).Mul(x, x), pow10(scale-2*xScale)))
	if spread.Sign() <= 0 {
		return types.NewBytes(types.Numeric, "0"), nil
	}
	by := new(big.Int).Set(count)
	if k.sample {
		by.Sub(by, big.NewInt(1))
	}
	return k.finish(decimalText(spread, scale), by.Mul(by, count).String())
}

// finish divides, and takes the root with as many digits as the quotient has.
func (k spreadExact) finish(spread, by string) (types.Value, error) {
	q, err := types.NumericDiv(spread, by)
	if err != nil {
		return types.Value{}, err
	}
	if k.root {
		u, scale, ok := parseDecimal(q)
		if !ok {
			return types.Value{}, sqlerr.New(sqlerr.NumericValueOutOfRange, "value overflows numeric format")
		}
		q = decimalText(squareRoot(u, scale), scale)
	}
	return types.NewBytes(types.Numeric, q), nil
}

func (spreadExact) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	dst = sumNumeric{}.Append(dst, s, off, gid)
	return sumNumeric{}.Append(dst, s, off+numWords, gid)
}

func (spreadExact) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	src, err := sumNumeric{}.Load(src, s, off, gid)
	if err != nil {
		return nil, err
	}
	return sumNumeric{}.Load(src, s, off+numWords, gid)
}
