package fn

import (
	"math"
	"math/rand/v2"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// float1 makes an Eval of a function of one double.
func float1(f func(float64) float64) eval {
	return func(_ *Ctx, a values) (value, error) { return checkedFloat(types.Float8, f(a[0].F), a[0].F, 0) }
}

func numeric1(f func(string) (string, error)) eval {
	return func(_ *Ctx, a values) (value, error) { return numeric(f(a[0].S)) }
}

func mathDefs() []Def {
	f1, n1 := args{tFloat8}, args{tNumeric}
	round0 := func(s string) (string, error) { return types.NumericRound(s, 0) }
	trunc0 := func(s string) (string, error) { return types.NumericTrunc(s, 0) }
	out := []Def{
		def("ceil", f1, tFloat8, float1(math.Ceil)).about("Smallest integer not below.", "ceil(-42.8::float8)", "-42"),
		def("floor", f1, tFloat8, float1(math.Floor)).about("Largest integer not above.", "floor(-42.8::float8)", "-43"),
		def("round", f1, tFloat8, float1(math.RoundToEven)).about("Nearest integer, ties to even.", "round(2.5::float8)", "2"),
		def("trunc", f1, tFloat8, float1(math.Trunc)).about("Cut towards zero.", "trunc(-42.8::float8)", "-42"),
		def("ceil", n1, tNumeric, numeric1(types.NumericCeil)).about("Smallest integer not below.", "ceil(42.2)", "43"),
		def("floor", n1, tNumeric, numeric1(types.NumericFloor)).about("Largest integer not above.", "floor(-42.8)", "-43"),
		def("round", n1, tNumeric, numeric1(round0)).about("Nearest integer, ties away from zero.", "round(42.5)", "43"),
		def("trunc", n1, tNumeric, numeric1(trunc0)).about("Cut towards zero.", "trunc(42.8)", "42"),
		def("round", args{tNumeric, tInt4}, tNumeric, func(_ *Ctx, a values) (value, error) {
			return numeric(types.NumericRound(a[0].S, clamp32(a[1].I)))
		}).about("Rounds to so many digits after the point.", "round(42.4382, 2)", "42.44", "round(1234.56, -2)", "1200"),
		def("trunc", args{tNumeric, tInt4}, tNumeric, func(_ *Ctx, a values) (value, error) {
			return numeric(types.NumericTrunc(a[0].S, clamp32(a[1].I)))
		}).about("Cuts to so many digits after the point.", "trunc(42.4382, 2)", "42.43"),
		def("sign", f1, tFloat8, float1(func(f float64) float64 { return float64(sign(f)) })).about("-1, 0 or 1.", "sign(-8.4::float8)", "-1"),
		def("sign", n1, tNumeric, func(_ *Ctx, a values) (value, error) {
			if a[0].S == "NaN" {
				return a[0], nil
			}
			return numeric(types.NumericFromInt(int64(types.NumericSign(a[0].S))), nil)
		}).about("-1, 0 or 1.", "sign(-8.4)", "-1"),
		def("trim_scale", n1, tNumeric, func(_ *Ctx, a values) (value, error) {
			return numeric(batch.NormalizeNumeric(a[0].S), nil)
		}).about("Without zeros at the end of the fraction.", "trim_scale(8.4100)", "8.41"),
		def("random", nil, tFloat8, func(*Ctx, values) (value, error) { return float(rand.Float64()) }).
			volatile().about("A random number in [0, 1); each row and each run differ."),
		def("pi", nil, tFloat8, func(*Ctx, values) (value, error) { return float(math.Pi) }).about("Pi.", "pi()", "3.141592653589793"),
	}
	out = append(out, ceilings(out)...)
	return append(out, powerDefs()...)
}

// ceilings are the entries of ceil under their second name.
func ceilings(defs []Def) []Def {
	out := ByName(defs, "ceil")
	for i := range out {
		out[i].Name, out[i].Examples = "ceiling", nil
	}
	return out
}

func powerDefs() []Def {
	f1, n1 := args{tFloat8}, args{tNumeric}
	root := func(_ *Ctx, a values) (value, error) {
		if a[0].F < 0 {
			return value{}, sqlerr.New("2201F", "cannot take square root of a negative number")
		}
		return float(math.Sqrt(a[0].F))
	}
	logOf := func(f func(float64) float64) eval {
		return func(_ *Ctx, a values) (value, error) {
			if err := checkLog(a[0].F); err != nil {
				return value{}, err
			}
			return float(f(a[0].F))
		}
	}
	return []Def{
		def("sqrt", f1, tFloat8, root).about("Square root.", "sqrt(2::float8)", "1.4142135623730951"),
		def("|/", f1, tFloat8, root).about("Square root.", "|/ 25.0::float8", "5"),
		def("cbrt", f1, tFloat8, float1(math.Cbrt)).about("Cube root.", "cbrt(64.0::float8)", "4"),
		def("sqrt", n1, tNumeric, numeric1(types.NumericSqrt)).about("Square root.", "sqrt(2.0)", "1.414213562373095"),
		def("power", args{tFloat8, tFloat8}, tFloat8, power).about("a to the power b.", "power(9::float8, 3)", "729"),
		def("power", args{tNumeric, tNumeric}, tNumeric, func(_ *Ctx, a values) (value, error) {
			return numeric(types.NumericPower(a[0].S, a[1].S))
		}).about("a to the power b."),
		def("pow", args{tFloat8, tFloat8}, tFloat8, power).about("a to the power b."),
		def("exp", f1, tFloat8, float1(math.Exp)).about("e to the power x.", "exp(0::float8)", "1"),
		def("exp", n1, tNumeric, numeric1(types.NumericExp)).about("e to the power x.", "exp(1.0)", "2.7182818284590452"),
		def("ln", f1, tFloat8, logOf(math.Log)).about("Natural logarithm.", "ln(2.0::float8)", "0.6931471805599453"),
		def("ln", n1, tNumeric, numeric1(types.NumericLn)).about("Natural logarithm.", "ln(2.0)", "0.6931471805599453"),
		def("log", f1, tFloat8, logOf(math.Log10)).about("Logarithm to base 10.", "log(100::float8)", "2"),
		def("log10", f1, tFloat8, logOf(math.Log10)).about("Logarithm to base 10.", "log10(100::float8)", "2"),
		def("log", n1, tNumeric, numeric1(numericLog10)).about("Logarithm to base 10.", "log(100.0)", "2.0000000000000000"),
		def("log10", n1, tNumeric, numeric1(numericLog10)).about("Logarithm to base 10."),
		def("log", args{tNumeric, tNumeric}, tNumeric, logBase).about("Logarithm to base a.", "log(2.0, 64.0)", "6.0000000000000000"),
		def("degrees", f1, tFloat8, float1(func(f float64) float64 { return f / (math.Pi / 180) })).about("Radians to degrees.", "degrees(0.5::float8)", "28.64788975654116"),
		def("radians", f1, tFloat8, float1(func(f float64) float64 { return f * (math.Pi / 180) })).about("Degrees to radians.", "radians(45.0::float8)", "0.7853981633974483"),
		def("atan2", args{tFloat8, tFloat8}, tFloat8, func(_ *Ctx, a values) (value, error) { return float(math.Atan2(a[0].F, a[1].F)) }).
			about("Angle of (x, y).", "atan2(1::float8, 0)", "1.5707963267948966"),
		def("width_bucket", args{tFloat8, tFloat8, tFloat8, tInt4}, tInt4, widthBucket).
			about("Number of the equal-width bucket between low and high.", "width_bucket(5.35::float8, 0.024, 10.06, 5)", "3"),
	}
}

func sign(f float64) int {
	switch {
	case f > 0:
		return 1
	case f < 0:
		return -1
	}
	return 0
}

func clamp32(i int64) int32 { return int32(max(min(i, math.MaxInt32), math.MinInt32)) }

func checkLog(f float64) error {
	switch {
	case f == 0:
		return sqlerr.New("2201E", "cannot take logarithm of zero")
	case f < 0:
		return sqlerr.New("2201E", "cannot take logarithm of a negative number")
	}
	return nil
}

func power(_ *Ctx, a values) (value, error) {
	x, y := a[0].F, a[1].F
	if x == 0 && y < 0 {
		return value{}, sqlerr.New("2201F", "zero raised to a negative power is undefined")
	}
	if x < 0 && y != math.Trunc(y) && !math.IsInf(y, 0) && !math.IsNaN(y) {
		return value{}, sqlerr.New("2201F", "a negative number raised to a non-integer power yields a complex result")
	}
	return checkedFloat(types.Float8, math.Pow(x, y), x, y)
}

func logBase(_ *Ctx, a values) (value, error) { return numeric(types.NumericLog(a[0].S, a[1].S)) }

func numericLog10(s string) (string, error) { return types.NumericLog("10", s) }

func widthBucket(_ *Ctx, a values) (value, error) {
	x, lo, hi, n := a[0].F, a[1].F, a[2].F, a[3].I
	switch {
	case n <= 0:
		return value{}, sqlerr.New("2201G", "count must be greater than zero")
	case math.IsNaN(x) || math.IsNaN(lo) || math.IsNaN(hi):
		return value{}, sqlerr.New("2201G", "operand, lower bound, and upper bound cannot be NaN")
	case math.IsInf(lo, 0) || math.IsInf(hi, 0):
		return value{}, sqlerr.New("2201G", "lower and upper bounds must be finite")
	case lo == hi:
		return value{}, sqlerr.New("2201G", "lower bound cannot equal upper bound")
	}
	if lo > hi {
		x, lo, hi = -x, -lo, -hi
	}
	switch {
	case x < lo:
		return int4(0)
	case x >= hi:
		return int4(n + 1)
	}
	return int4(min(int64((x-lo)/(hi-lo)*float64(n))+1, n))
}
