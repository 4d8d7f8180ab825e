package fn

import (
	"errors"
	"math"
	"math/bits"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

var errDivisionByZero = sqlerr.New(sqlerr.DivisionByZero, "division by zero")

// errFallback sends a vector kernel's batch to the row by row path, which words the error.
var errFallback = errors.New("fn: not by vector")

var integers = []types.Kind{types.Int2, types.Int4, types.Int8}

// integerDefs is + - * / % over every pair of integer types (the wider one results), unary + - and @.
func integerDefs() []Def {
	var out []Def
	for _, l := range integers {
		for _, r := range integers {
			out = append(out, integerPair(l, r, max(l, r))...)
		}
		k := l
		t := types.T(k)
		neg := func(_ *Ctx, a values) (value, error) { return checked(k, -a[0].I, a[0].I == math.MinInt64) }
		abs := func(_ *Ctx, a values) (value, error) {
			if a[0].I < 0 {
				return neg(nil, a)
			}
			return a[0], nil
		}
		out = append(out,
			def("-", args{t}, t, neg).about("Negation.", "-(7)", "-7"),
			def("+", args{t}, t, func(_ *Ctx, a values) (value, error) { return a[0], nil }).about("The number itself.", "+(7)", "7"),
			def("@", args{t}, t, abs).about("Absolute value.", "@ (-7)", "7"),
			def("abs", args{t}, t, abs).about("Absolute value.", "abs(-7)", "7"))
	}
	return out
}

func integerPair(l, r, k types.Kind) []Def {
	in, t := args{types.T(l), types.T(r)}, types.T(k)
	rem := func(_ *Ctx, a values) (value, error) {
		if a[1].I == 0 {
			return value{}, errDivisionByZero
		}
		if a[1].I == -1 {
			return types.NewInt(k, 0), nil
		}
		return types.NewInt(k, a[0].I%a[1].I), nil
	}
	out := []Def{
		def("+", in, t, func(_ *Ctx, a values) (value, error) {
			s, over := addOver(a[0].I, a[1].I)
			return checked(k, s, over)
		}).vector(vectorInts(k, addOver)).about("Sum; 22003 when it does not fit the wider type.", "7 + 2", "9"),
		def("-", in, t, func(_ *Ctx, a values) (value, error) {
			s, over := subOver(a[0].I, a[1].I)
			return checked(k, s, over)
		}).vector(vectorInts(k, subOver)).about("Difference.", "7 - 2", "5"),
		def("*", in, t, func(_ *Ctx, a values) (value, error) {
			p, over := mulOver(a[0].I, a[1].I)
			return checked(k, p, over)
		}).vector(vectorInts(k, mulOver)).about("Product.", "7 * 2", "14"),
		def("/", in, t, func(_ *Ctx, a values) (value, error) {
			if a[1].I == 0 {
				return value{}, errDivisionByZero
			}
			if a[1].I == -1 {
				return checked(k, -a[0].I, a[0].I == math.MinInt64)
			}
			return types.NewInt(k, a[0].I/a[1].I), nil
		}).about("Quotient, cut towards zero.", "7 / 2", "3", "-7 / 2", "-3"),
		def("%", in, t, rem).about("Remainder, with the sign of the dividend.", "-7 % 2", "-1"),
	}
	if l == r { // operators mix the integers, functions do not
		out = append(out, def("mod", in, t, rem).about("Remainder, with the sign of the dividend.", "mod(7, 4)", "3"))
	}
	return out
}

// checked makes an integer of kind k from a result in 64 bits.
func checked(k types.Kind, i int64, over bool) (value, error) {
	lo, hi := types.IntRange(k)
	if over || i < lo || i > hi {
		return value{}, types.OutOfRange(k)
	}
	return types.NewInt(k, i), nil
}

func addOver(a, b int64) (int64, bool) {
	s := a + b
	return s, (a^s)&(b^s) < 0
}

func subOver(a, b int64) (int64, bool) {
	s := a - b
	return s, (a^b)&(a^s) < 0
}

func mulOver(a, b int64) (int64, bool) {
	if int64(int32(a)) == a && int64(int32(b)) == b {
		return a * b, false
	}
	ua, ub := uint64(a), uint64(b)
	if a < 0 {
		ua = -ua
	}
	if b < 0 {
		ub = -ub
	}
	hi, lo := bits.Mul64(ua, ub)
	limit := uint64(math.MaxInt64)
	if a < 0 != (b < 0) {
		limit++
	}
	return a * b, hi != 0 || lo > limit
}

// vectorInts lifts an operation with overflow to vectors; any overflow sends the batch to the row path.
func vectorInts(k types.Kind, f func(a, b int64) (int64, bool)) func(*Ctx, []*batch.Vec, int, *batch.Vec) error {
	lo, hi := types.IntRange(k)
	return func(_ *Ctx, in []*batch.Vec, n int, out *batch.Vec) error {
		x, y := in[0].I64[:n], in[1].I64[:n]
		for i := range x {
			s, over := f(x[i], y[i])
			if over || s < lo || s > hi {
				return errFallback
			}
			out.I64 = append(out.I64, s)
		}
		out.N = n
		mergeNulls(in, n, out)
		return nil
	}
}

// floatDefs is + - * / ^ over every pair of float types.
func floatDefs() []Def {
	var out []Def
	kinds := []types.Kind{types.Float4, types.Float8}
	for _, l := range kinds {
		for _, r := range kinds {
			out = append(out, floatPair(l, r, max(l, r))...)
		}
		t, k := types.T(l), l
		abs := func(_ *Ctx, a values) (value, error) { return value{Type: types.T(k), F: math.Abs(a[0].F)}, nil }
		out = append(out,
			def("-", args{t}, t, func(_ *Ctx, a values) (value, error) { return value{Type: types.T(k), F: -a[0].F}, nil }).
				about("Negation.", "-(1.5::float8)", "-1.5"),
			def("+", args{t}, t, func(_ *Ctx, a values) (value, error) { return a[0], nil }).about("The number itself."),
			def("@", args{t}, t, abs).about("Absolute value."),
			def("abs", args{t}, t, abs).about("Absolute value.", "abs(-1.5::float8)", "1.5"))
	}
	return append(out, def("^", args{tFloat8, tFloat8}, tFloat8, power).about("Power.", "2::float8 ^ 10", "1024"))
}

func floatPair(l, r, k types.Kind) []Def {
	in, t := args{types.T(l), types.T(r)}, types.T(k)
	make1 := func(f func(a, b float64) float64) eval {
		return func(_ *Ctx, a values) (value, error) { return checkedFloat(k, f(a[0].F, a[1].F), a[0].F, a[1].F) }
	}
	add := func(a, b float64) float64 { return a + b }
	sub := func(a, b float64) float64 { return a - b }
	product := func(_ *Ctx, a values) (value, error) {
		v, err := checkedFloat(k, a[0].F*a[1].F, a[0].F, a[1].F)
		if err == nil && v.F == 0 && a[0].F != 0 && a[1].F != 0 {
			return v, sqlerr.New(sqlerr.NumericValueOutOfRange, "value out of range: underflow")
		}
		return v, err
	}
	return []Def{
		def("+", in, t, make1(add)).vector(vectorFloats(k, add)).about("Sum.", "1.5::float8 + 1", "2.5"),
		def("-", in, t, make1(sub)).vector(vectorFloats(k, sub)).about("Difference.", "1.5::float8 - 1", "0.5"),
		def("*", in, t, product).about("Product.", "1.5::float8 * 3", "4.5"),
		def("/", in, t, func(_ *Ctx, a values) (value, error) {
			if a[1].F == 0 && !math.IsNaN(a[0].F) {
				return value{}, errDivisionByZero
			}
			q := a[0].F / a[1].F
			if q == 0 && a[0].F != 0 && !math.IsInf(a[1].F, 0) {
				return value{}, errUnderflow
			}
			return checkedFloat(k, q, a[0].F, a[1].F)
		}).about("Quotient.", "7::float8 / 2", "3.5"),
	}
}

var errUnderflow = sqlerr.New(sqlerr.NumericValueOutOfRange, "value out of range: underflow")

// checkedFloat rounds to the kind and refuses an infinity that finite operands made.
func checkedFloat(k types.Kind, f, a, b float64) (value, error) {
	if k == types.Float4 {
		f = float64(float32(f))
	}
	if math.IsInf(f, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0) {
		return value{}, types.OutOfRange(k)
	}
	return value{Type: types.T(k), F: f}, nil
}

func vectorFloats(k types.Kind, f func(a, b float64) float64) func(*Ctx, []*batch.Vec, int, *batch.Vec) error {
	return func(_ *Ctx, in []*batch.Vec, n int, out *batch.Vec) error {
		x, y := in[0].F64[:n], in[1].F64[:n]
		for i := range x {
			v, err := checkedFloat(k, f(x[i], y[i]), x[i], y[i])
			if err != nil {
				return errFallback
			}
			out.F64 = append(out.F64, v.F)
		}
		out.N = n
		mergeNulls(in, n, out)
		return nil
	}
}

// numericDefs is arithmetic on numeric.
func numericDefs() []Def {
	two := args{tNumeric, tNumeric}
	lift := func(f func(a, b string) (string, error)) eval {
		return func(_ *Ctx, a values) (value, error) { return numeric(f(a[0].S, a[1].S)) }
	}
	one := func(f func(a string) string) eval {
		return func(_ *Ctx, a values) (value, error) { return numeric(f(a[0].S), nil) }
	}
	return []Def{
		def("+", two, tNumeric, lift(types.NumericAdd)).about("Sum.", "1.50 + 1", "2.50"),
		def("-", two, tNumeric, lift(types.NumericSub)).about("Difference.", "1.50 - 2", "-0.50"),
		def("*", two, tNumeric, lift(types.NumericMul)).about("Product.", "1.5 * 1.5", "2.25"),
		def("/", two, tNumeric, lift(types.NumericDiv)).about("Quotient with at least 16 significant digits.", "1.0 / 3", "0.33333333333333333333"),
		def("%", two, tNumeric, lift(types.NumericRem)).about("Remainder.", "5.5 % 2", "1.5"),
		def("mod", two, tNumeric, lift(types.NumericRem)).about("Remainder.", "mod(5.5, 2)", "1.5"),
		def("^", two, tNumeric, lift(types.NumericPower)).about("Power.", "2.0 ^ 3", "8.0000000000000000"),
		def("-", args{tNumeric}, tNumeric, one(types.NumericNeg)).about("Negation.", "-(1.5)", "-1.5"),
		def("+", args{tNumeric}, tNumeric, one(func(s string) string { return s })).about("The number itself."),
		def("@", args{tNumeric}, tNumeric, one(types.NumericAbs)).about("Absolute value."),
		def("abs", args{tNumeric}, tNumeric, one(types.NumericAbs)).about("Absolute value.", "abs(-1.50)", "1.50"),
	}
}

// bitDefs is & | # ~ << >> on integers.
func bitDefs() []Def {
	var out []Def
	for _, kind := range integers {
		k, t := kind, types.T(kind)
		two := args{t, t}
		width := int64(types.T(k).Size()) * 8
		// As on the processors that Postgres runs on: int2 is shifted as int4.
		shiftMask := uint64(max(width, 32)) - 1
		op := func(f func(a, b int64) int64) eval {
			return func(_ *Ctx, a values) (value, error) { return types.NewInt(k, f(a[0].I, a[1].I)), nil }
		}
		cut := func(i int64) int64 { return i << (64 - width) >> (64 - width) }
		out = append(out,
			def("&", two, t, op(func(a, b int64) int64 { return a & b })).about("Bitwise AND.", "6 & 3", "2"),
			def("|", two, t, op(func(a, b int64) int64 { return a | b })).about("Bitwise OR.", "6 | 3", "7"),
			def("#", two, t, op(func(a, b int64) int64 { return a ^ b })).about("Bitwise exclusive OR.", "6 # 3", "5"),
			def("~", args{t}, t, func(_ *Ctx, a values) (value, error) { return types.NewInt(k, ^a[0].I), nil }).about("Bitwise NOT.", "~ 6", "-7"),
			def("<<", args{t, tInt4}, t, op(func(a, b int64) int64 { return cut(a << (uint64(b) & shiftMask)) })).
				about("Shift left.", "1 << 4", "16"),
			def(">>", args{t, tInt4}, t, op(func(a, b int64) int64 { return a >> (uint64(b) & shiftMask) })).
				about("Shift right, keeping the sign.", "-16 >> 2", "-4"))
	}
	return out
}
