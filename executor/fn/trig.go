package fn

import (
	"math"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func inputRange() error {
	return sqlerr.New(sqlerr.NumericValueOutOfRange, "input is out of range")
}

// angle makes an Eval of a function that takes finite numbers of [lo, hi] only; NaN gives NaN.
func angle(lo, hi float64, f func(float64) float64) eval {
	return func(_ *Ctx, a values) (value, error) {
		x := a[0].F
		if math.IsInf(x, 0) && !math.IsInf(lo, 0) || x < lo || x > hi {
			return value{}, inputRange()
		}
		return float(f(x))
	}
}

// trigDefs are the trigonometric functions in radians, in degrees (which are exact where the answer is), and the hyperbolic ones.
func trigDefs() []Def {
	f1, big := args{tFloat8}, math.MaxFloat64
	inf := math.Inf(1)
	cot := func(x float64) float64 { return 1 / math.Tan(x) }
	return []Def{
		def("sin", f1, tFloat8, angle(-big, big, math.Sin)).about("Sine.", "sin(0::float8)", "0"),
		def("cos", f1, tFloat8, angle(-big, big, math.Cos)).about("Cosine.", "cos(0::float8)", "1"),
		def("tan", f1, tFloat8, angle(-big, big, math.Tan)).about("Tangent.", "tan(0::float8)", "0"),
		def("cot", f1, tFloat8, angle(-big, big, cot)).about("Cotangent.", "cot(0.5::float8)", "1.830487721712452"),
		def("asin", f1, tFloat8, angle(-1, 1, math.Asin)).about("Inverse sine.", "asin(1::float8)", "1.5707963267948966"),
		def("acos", f1, tFloat8, angle(-1, 1, math.Acos)).about("Inverse cosine.", "acos(1::float8)", "0"),
		def("atan", f1, tFloat8, angle(-inf, inf, math.Atan)).about("Inverse tangent.", "atan(1::float8)", "0.7853981633974483"),
		def("sind", f1, tFloat8, angle(-big, big, sinDegrees)).about("Sine of degrees.", "sind(30::float8)", "0.5"),
		def("cosd", f1, tFloat8, angle(-big, big, cosDegrees)).about("Cosine of degrees.", "cosd(60::float8)", "0.5"),
		def("tand", f1, tFloat8, angle(-big, big, tanDegrees)).about("Tangent of degrees.", "tand(45::float8)", "1"),
		def("cotd", f1, tFloat8, angle(-big, big, cotDegrees)).about("Cotangent of degrees.", "cotd(45::float8)", "1"),
		def("asind", f1, tFloat8, angle(-1, 1, asinDegrees)).about("Inverse sine in degrees.", "asind(0.5::float8)", "30"),
		def("acosd", f1, tFloat8, angle(-1, 1, acosDegrees)).about("Inverse cosine in degrees.", "acosd(0.5::float8)", "60"),
		def("atand", f1, tFloat8, angle(-inf, inf, func(x float64) float64 { return math.Atan(x) / math.Atan(1) * 45 })).
			about("Inverse tangent in degrees.", "atand(1::float8)", "45"),
		def("atan2d", args{tFloat8, tFloat8}, tFloat8, func(_ *Ctx, a values) (value, error) {
			return float(math.Atan2(a[0].F, a[1].F) / math.Atan(1) * 45)
		}).about("Angle of (x, y) in degrees.", "atan2d(1::float8, 0)", "90"),
		def("sinh", f1, tFloat8, angle(-inf, inf, math.Sinh)).about("Hyperbolic sine.", "sinh(0::float8)", "0"),
		def("cosh", f1, tFloat8, angle(-inf, inf, math.Cosh)).about("Hyperbolic cosine.", "cosh(0::float8)", "1"),
		def("tanh", f1, tFloat8, angle(-inf, inf, math.Tanh)).about("Hyperbolic tangent.", "tanh(0::float8)", "0"),
		def("asinh", f1, tFloat8, angle(-inf, inf, math.Asinh)).about("Inverse hyperbolic sine.", "asinh(0::float8)", "0"),
		def("acosh", f1, tFloat8, func(_ *Ctx, a values) (value, error) {
			if a[0].F < 1 {
				return value{}, inputRange()
			}
			return float(math.Acosh(a[0].F))
		}).about("Inverse hyperbolic cosine.", "acosh(1::float8)", "0"),
		def("atanh", f1, tFloat8, angle(-1, 1, math.Atanh)).about("Inverse hyperbolic tangent.", "atanh(0::float8)", "0"),
	}
}

const degree = math.Pi / 180

// sinFirst and cosFirst are sine and cosine of degrees in [0, 90], scaled so that those of 30 and 60 are exactly a half.
func sinFirst(x float64) float64 {
	if x <= 30 {
		return math.Sin(x*degree) / math.Sin(30*degree) / 2
	}
	return 1 - (1-math.Cos((90-x)*degree))/(1-math.Cos(60*degree))/2
}

func cosFirst(x float64) float64 { return sinFirst(90 - x) }

// fold brings an angle into [0, 90] and tells in which quadrant it was.
func fold(x float64) (first float64, quadrant int) {
	x = math.Mod(x, 360)
	if x < 0 {
		x += 360
	}
	switch {
	case x <= 90:
		return x, 0
	case x <= 180:
		return 180 - x, 1
	case x <= 270:
		return x - 180, 2
	}
	return 360 - x, 3
}

func sinDegrees(x float64) float64 {
	if math.IsNaN(x) {
		return x
	}
	neg := x < 0
	f, q := fold(math.Abs(x))
	s := sinFirst(f)
	if neg != (q >= 2) {
		return -s
	}
	return s
}

func cosDegrees(x float64) float64 {
	if math.IsNaN(x) {
		return x
	}
	f, q := fold(x)
	if q == 1 || q == 2 {
		return -cosFirst(f)
	}
	return cosFirst(f)
}

// tanDegrees is never minus zero: it would come of 180.
func tanDegrees(x float64) float64 {
	if math.IsNaN(x) {
		return x
	}
	f, q := fold(math.Abs(x))
	t := sinFirst(f) / cosFirst(f) / (sinFirst(45) / cosFirst(45))
	if (x < 0) != (q == 1 || q == 3) {
		t = -t
	}
	return t + 0
}

func cotDegrees(x float64) float64 {
	if math.IsNaN(x) {
		return x
	}
	f, q := fold(math.Abs(x))
	t := cosFirst(f) / sinFirst(f) / (cosFirst(45) / sinFirst(45))
	if math.Signbit(x) != (q == 1 || q == 3) {
		t = -t
	}
	return t + 0
}

func asinDegrees(x float64) float64 {
	if x < 0 {
		return -asinDegrees(-x)
	}
	if x <= 0.5 {
		return math.Asin(x) / math.Asin(0.5) * 30
	}
	return 90 - math.Acos(x)/math.Acos(0.5)*60
}

func acosDegrees(x float64) float64 {
	switch {
	case x < 0:
		return 90 + asinDegrees(-x)
	case x <= 0.5:
		return 90 - math.Asin(x)/math.Asin(0.5)*30
	}
	return math.Acos(x) / math.Acos(0.5) * 60
}

// integerMathDefs are the functions of divisors and digits.
func integerMathDefs() []Def {
	var out []Def
	for _, k := range []types.Kind{types.Int4, types.Int8} {
		t := types.T(k)
		out = append(out,
			def("gcd", args{t, t}, t, func(_ *Ctx, a values) (value, error) { return intInRange(k, gcd(a[0].I, a[1].I)) }).about("Greatest common divisor.", "gcd(1071, 462)", "21"),
			def("lcm", args{t, t}, t, func(_ *Ctx, a values) (value, error) {
				if a[0].I == 0 || a[1].I == 0 {
					return types.NewInt(k, 0), nil
				}
				g := gcd(a[0].I, a[1].I)
				if g == math.MinInt64 {
					return value{}, types.OutOfRange(k)
				}
				x, y := a[0].I/g, a[1].I
				p := x * y
				if p/x != y || p == math.MinInt64 {
					return value{}, types.OutOfRange(k)
				}
				return intInRange(k, max(p, -p))
			}).about("Least common multiple.", "lcm(1071, 462)", "23562"))
	}
	n1, n2 := args{tNumeric}, args{tNumeric, tNumeric}
	return append(out,
		def("gcd", n2, tNumeric, func(_ *Ctx, a values) (value, error) { return numeric(types.NumericGCD(a[0].S, a[1].S)) }).about("Greatest common divisor.", "gcd(1.5, 0.25)", "0.25"),
		def("lcm", n2, tNumeric, func(_ *Ctx, a values) (value, error) { return numeric(types.NumericLCM(a[0].S, a[1].S)) }).about("Least common multiple.", "lcm(1.5, 0.4)", "6.0"),
		def("div", n2, tNumeric, func(_ *Ctx, a values) (value, error) { return numeric(types.NumericDivTrunc(a[0].S, a[1].S)) }).about("Quotient, cut towards zero.", "div(9, 4)", "2"),
		def("factorial", args{tInt8}, tNumeric, func(_ *Ctx, a values) (value, error) { return numeric(types.NumericFactorial(a[0].I)) }).about("Factorial.", "factorial(5)", "120"),
		def("scale", n1, tInt4, digitsOf(types.NumericScale)).about("Number of digits after the point.", "scale(8.4100)", "4"),
		def("min_scale", n1, tInt4, digitsOf(types.NumericMinScale)).about("Number of digits after the point that it needs.", "min_scale(8.4100)", "2"))
}

func digitsOf(f func(string) (int, bool)) eval {
	return func(_ *Ctx, a values) (value, error) {
		n, ok := f(a[0].S)
		if !ok {
			return null(tInt4)
		}
		return int4(int64(n))
	}
}

// intInRange makes an integer of a kind, which must hold it.
func intInRange(k types.Kind, i int64) (value, error) {
	if lo, hi := types.IntRange(k); i < lo || i > hi {
		return value{}, types.OutOfRange(k)
	}
	if i == math.MinInt64 { // what no positive number is
		return value{}, types.OutOfRange(k)
	}
	return types.NewInt(k, i), nil
}

// gcd is never negative, except that of the two smallest integers, which has no positive.
func gcd(a, b int64) int64 {
	for b != 0 {
		if b == -1 {
			return 1
		}
		a, b = b, a%b
	}
	if a < 0 {
		return -a
	}
	return a
}
