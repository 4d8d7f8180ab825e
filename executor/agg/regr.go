package agg

import (
	"encoding/binary"
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// regrDefs describes the family over pairs (y, x).
func regrDefs() []Def {
	def := func(name string, of regrOf, doc, want string) Def {
		return Def{
			Name: name,
			Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
				return bindPairs(args, distinct, regr{of})
			},
			Params: floatParams,
			Doc:    doc + " Over the pairs (y, x) of which neither is NULL; double precision.",
			Examples: []Example{{"SELECT " + name + "(y, x) FROM (VALUES (1::double precision, 1::double precision), (3, 2), (4, 3), (NULL, 7)) v(y, x)",
				want}},
		}
	}
	defs := []Def{
		def("corr", regrCorr, "Correlation coefficient; NULL when all x or all y are equal.", "0.9819805060619659"),
		def("covar_pop", regrCovarPop, "Population covariance.", "1"),
		def("covar_samp", regrCovarSamp, "Sample covariance; NULL for fewer than two pairs.", "1.5"),
		def("regr_avgx", regrAvgX, "Mean of x.", "2"),
		def("regr_avgy", regrAvgY, "Mean of y.", "2.6666666666666665"),
		def("regr_sxx", regrSXX, "Sum of squared distances of x from its mean.", "2"),
		def("regr_syy", regrSYY, "Sum of squared distances of y from its mean.", "4.666666666666666"),
		def("regr_sxy", regrSXY, "Sum of products of the distances of x and y from their means.", "3"),
		def("regr_slope", regrSlope, "Slope of the line of least squares; NULL when all x are equal.", "1.5"),
		def("regr_intercept", regrIntercept, "Where the line of least squares meets x = 0; NULL when all x are equal.", "-0.3333333333333333"),
		def("regr_r2", regrR2, "Square of the correlation coefficient; 1 when all y are equal, NULL when all x are.", "0.9642857142857144"),
	}
	return append(defs, Def{
		Name: "regr_count",
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			return bindPairs(args, distinct, countPairs{})
		},
		Params:   floatParams,
		Doc:      "Number of the pairs (y, x) of which neither is NULL.",
		Examples: []Example{{"SELECT regr_count(y, x) FROM (VALUES (1, 1), (2, NULL), (3, 2)) v(y, x)", "2"}},
	})
}

// floatParams makes numbers double precision.
func floatParams(args []types.Type) []types.Type {
	out := make([]types.Type, len(args))
	for i, a := range args {
		if !a.Kind.IsNumber() && a.Kind != types.Unknown {
			return nil
		}
		out[i] = types.T(types.Float8)
	}
	return out
}

func bindPairs(args []types.Type, distinct bool, k Kernel) (Kernel, bool) {
	if len(args) != 2 || args[0].Kind != types.Float8 || args[1].Kind != types.Float8 {
		return nil, false
	}
	if distinct {
		return distinctOf(args, k), true
	}
	return k, true
}

// countPairs is regr_count: one word.
type countPairs struct{ countRows }

func (countPairs) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	for i, g := range gids {
		if !args[0].IsNull(i) && !args[1].IsNull(i) {
			s.Words[s.word(off, g)]++
		}
	}
	return nil
}

type regrOf uint8

const (
	regrCorr regrOf = iota
	regrCovarPop
	regrCovarSamp
	regrAvgX
	regrAvgY
	regrSXX
	regrSYY
	regrSXY
	regrSlope
	regrIntercept
	regrR2
)

// regr follows Youngs and Cramer, as Postgres does. Words: number of pairs; as floats the sums of x and y, and the sums of
// squares and products of their distances from the means, NaN once a value was not finite.
type regr struct{ of regrOf }

const regrWords = 6

// regrSums are the floats of a state.
type regrSums struct{ n, sx, sy, sxx, syy, sxy float64 }

func loadSums(w []uint64) regrSums {
	f := math.Float64frombits
	return regrSums{float64(w[0]), f(w[1]), f(w[2]), f(w[3]), f(w[4]), f(w[5])}
}

// store writes all but the count.
func (r regrSums) store(w []uint64) {
	for i, x := range [...]float64{r.sx, r.sy, r.sxx, r.syy, r.sxy} {
		w[i+1] = math.Float64bits(x)
	}
}

func (regr) Words() int       { return regrWords }
func (regr) Type() types.Type { return types.T(types.Float8) }

func (regr) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	y, x := args[0], args[1]
	for i, g := range gids {
		if y.IsNull(i) || x.IsNull(i) {
			continue
		}
		w := s.Words[s.word(off, g):]
		r := loadSums(w)
		w[0]++
		r.add(x.F64[i], y.F64[i])
		r.store(w)
	}
	return nil
}

// add folds in a pair; n is the number of pairs before it.
func (r *regrSums) add(x, y float64) {
	n := r.n + 1
	r.sx += x
	r.sy += y
	if n > 1 {
		dx, dy, scale := x*n-r.sx, y*n-r.sy, 1/(n*r.n)
		r.sxx += dx * dx * scale
		r.syy += dy * dy * scale
		r.sxy += dx * dy * scale
	}
	if x-x != 0 {
		r.sxx, r.sxy = math.NaN(), math.NaN()
	}
	if y-y != 0 {
		r.syy, r.sxy = math.NaN(), math.NaN()
	}
	r.n = n
}

func (regr) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	d, f := dst.Words[dst.word(off, dg):], src.Words[src.word(off, sg):]
	switch {
	case f[0] == 0:
		return nil
	case d[0] == 0:
		copy(d[:regrWords], f[:regrWords])
		return nil
	}
	a, b := loadSums(d), loadSums(f)
	n := a.n + b.n
	gapX, gapY := a.sx/a.n-b.sx/b.n, a.sy/a.n-b.sy/b.n
	regrSums{
		sx: a.sx + b.sx, sy: a.sy + b.sy,
		sxx: a.sxx + b.sxx + a.n*b.n*gapX*gapX/n,
		syy: a.syy + b.syy + a.n*b.n*gapY*gapY/n,
		sxy: a.sxy + b.sxy + a.n*b.n*gapX*gapY/n,
	}.store(d)
	d[0] += f[0]
	return nil
}

func (k regr) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	r := loadSums(s.Words[s.word(off, gid):])
	if r.n == 0 {
		return null(k.Type())
	}
	if math.IsInf(r.sxx, 0) || math.IsInf(r.syy, 0) || math.IsInf(r.sxy, 0) {
		return types.Value{}, sqlerr.New(sqlerr.NumericValueOutOfRange, "value out of range: overflow")
	}
	v, ok := r.result(k.of)
	if !ok {
		return null(k.Type())
	}
	return types.NewFloat(v), nil
}

// result computes one of the family; false is NULL.
func (r regrSums) result(of regrOf) (float64, bool) {
	switch of {
	case regrCorr:
		return r.sxy / math.Sqrt(r.sxx*r.syy), r.sxx != 0 && r.syy != 0
	case regrCovarPop:
		return r.sxy / r.n, true
	case regrCovarSamp:
		return r.sxy / (r.n - 1), r.n > 1
	case regrAvgX:
		return r.sx / r.n, true
	case regrAvgY:
		return r.sy / r.n, true
	case regrSXX:
		return r.sxx, true
	case regrSYY:
		return r.syy, true
	case regrSXY:
		return r.sxy, true
	case regrSlope:
		return r.sxy / r.sxx, r.sxx != 0
	case regrIntercept:
		return (r.sy - r.sx*r.sxy/r.sxx) / r.n, r.sxx != 0
	}
	if r.syy == 0 {
		return 1, r.sxx != 0
	}
	return r.sxy * r.sxy / (r.sxx * r.syy), r.sxx != 0
}

func (regr) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	w := s.Words[s.word(off, gid):]
	dst = binary.AppendUvarint(dst, w[0])
	if w[0] == 0 {
		return dst
	}
	for _, x := range w[1:regrWords] {
		dst = binary.LittleEndian.AppendUint64(dst, x)
	}
	return dst
}

func (regr) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	w := s.Words[s.word(off, gid):]
	for i := 1; i < regrWords; i++ {
		if w[i], src, err = takeWord(src); err != nil {
			return nil, err
		}
	}
	w[0] = n
	return src, nil
}
