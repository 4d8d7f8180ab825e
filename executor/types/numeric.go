package types

import (
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Numeric values are decimal text as Postgres prints it; the digits after the point are the display scale. The functions
// here take and return that text. Arguments are well-formed: they come from ParseText or from these functions.

// Postgres' limits of numeric.
const (
	numericWholeMax = 131072
	numericScaleMax = 16383
	displayScaleMax = 1000
	minSigDigits    = 16
)

// exact computes without rounding (precision 0).
var exact = func() *apd.Context {
	c := apd.BaseContext
	c.MaxExponent, c.MinExponent = apd.MaxExponent, apd.MinExponent
	c.Traps = 0
	return &c
}()

// rounding returns a context of so many significant digits, rounding half away from zero as Postgres does.
func rounding(digits int) *apd.Context {
	c := exact.WithPrecision(uint32(max(digits, 1)))
	c.Rounding = apd.RoundHalfUp
	return c
}

func isInfText(s string) bool { return s == "Infinity" || s == "-Infinity" }

func isSpecial(s string) bool { return s == "NaN" || isInfText(s) }

var errNumericOverflow = sqlerr.New(sqlerr.NumericValueOutOfRange, "value overflows numeric format")

// parseNumeric reads the text form: plain or with exponent, NaN, Infinity.
func parseNumeric(s string) (string, error) {
	d := trim(s)
	switch strings.ToLower(d) {
	case "nan":
		return "NaN", nil
	case "inf", "infinity", "+inf", "+infinity":
		return "Infinity", nil
	case "-inf", "-infinity":
		return "-Infinity", nil
	}
	if !plainNumber(d) {
		return "", badText(T(Numeric), s)
	}
	if i := strings.IndexAny(d, "eE"); i >= 0 {
		if e, err := strconv.Atoi(d[i+1:]); err != nil || e > numericWholeMax || e < -numericScaleMax {
			return "", errNumericOverflow
		}
	} else if len(d) <= 18 {
		return tidyPlain(d), nil
	}
	x, _, err := apd.NewFromString(d)
	if err != nil { // the syntax is right: the exponent is beyond apd's 100,000
		return "", errNumericOverflow
	}
	return numericText(x)
}

// plainNumber checks [+-]digits[.digits][e[+-]digits] with at least one digit.
func plainNumber(s string) bool {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	m := mantissa(s)
	if m != s {
		e := s[len(m)+1:]
		if e != "" && (e[0] == '-' || e[0] == '+') {
			e = e[1:]
		}
		if !allDigits(e) {
			return false
		}
	}
	whole, frac, _ := strings.Cut(m, ".")
	return (whole != "" || frac != "") && (whole == "" || allDigits(whole)) && (frac == "" || allDigits(frac))
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// tidyPlain puts a plain number without exponent into canonical form: no plus, no extra zeros, no minus zero.
func tidyPlain(s string) string {
	neg := s[0] == '-'
	if neg || s[0] == '+' {
		s = s[1:]
	}
	s = strings.TrimSuffix(s, ".")
	for len(s) > 1 && s[0] == '0' && s[1] != '.' {
		s = s[1:]
	}
	if s[0] == '.' {
		s = "0" + s
	}
	if neg && strings.Trim(s, "0.") != "" {
		return "-" + s
	}
	return s
}

// numericText prints a finite decimal, refusing what Postgres cannot hold.
func numericText(x *apd.Decimal) (string, error) {
	if x.Form != apd.Finite {
		return "", errNumericOverflow
	}
	whole := int64(x.NumDigits()) + int64(x.Exponent)
	if x.Coeff.Sign() != 0 && whole > numericWholeMax || -int64(x.Exponent) > numericScaleMax {
		return "", errNumericOverflow
	}
	if x.Coeff.Sign() == 0 {
		x.Negative = false
		x.Exponent = min(x.Exponent, 0)
	}
	return x.Text('f'), nil
}

// decimal reads numeric text; it was checked when the value was made.
func decimal(s string) *apd.Decimal {
	x, _, err := apd.NewFromString(s)
	if err != nil {
		return apd.New(0, 0)
	}
	return x
}

func scaleOf(s string) int {
	if i := strings.IndexByte(s, '.'); i >= 0 {
		return len(s) - i - 1
	}
	return 0
}

// small reads a numeric of at most 18 digits as an integer and its scale.
func small(s string) (coef int64, scale int, ok bool) {
	if len(s) > 19 || len(s) == 0 {
		return 0, 0, false
	}
	i, neg := 0, s[0] == '-'
	if neg {
		i = 1
	}
	point := -1
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			point = i
		case c < '0' || c > '9':
			return 0, 0, false
		default:
			coef = coef*10 + int64(c-'0')
		}
	}
	if coef < 0 || coef >= 1e17 {
		return 0, 0, false
	}
	if neg {
		coef = -coef
	}
	if point >= 0 {
		scale = len(s) - point - 1
	}
	return coef, scale, true
}

var pow10 = [...]int64{1, 10, 100, 1000, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// smallPair reads two short numbers at their common scale, small enough that sums and comparisons cannot overflow.
func smallPair(a, b string) (x, y int64, scale int, ok bool) {
	x, sx, ok1 := small(a)
	y, sy, ok2 := small(b)
	if !ok1 || !ok2 || sx-sy > 9 || sy-sx > 9 {
		return 0, 0, 0, false
	}
	const limit = 1e17
	if sx < sy {
		if x > limit/pow10[sy-sx] || x < -limit/pow10[sy-sx] {
			return 0, 0, 0, false
		}
		return x * pow10[sy-sx], y, sy, true
	}
	if y > limit/pow10[sx-sy] || y < -limit/pow10[sx-sy] {
		return 0, 0, 0, false
	}
	return x, y * pow10[sx-sy], sx, true
}

// smallText prints coef / 10^scale.
func smallText(coef int64, scale int) string {
	var tmp [40]byte
	b := tmp[:0]
	u := uint64(coef)
	if coef < 0 {
		b = append(b, '-')
		u = uint64(-coef)
	}
	var db [20]byte
	d := strconv.AppendUint(db[:0], u, 10)
	if scale == 0 {
		return string(append(b, d...))
	}
	if len(d) <= scale {
		b = append(b, "0."...)
		for i := len(d); i < scale; i++ {
			b = append(b, '0')
		}
		return string(append(b, d...))
	}
	b = append(b, d[:len(d)-scale]...)
	b = append(b, '.')
	return string(append(b, d[len(d)-scale:]...))
}

// NumericAdd returns a + b; the scale is the larger one.
func NumericAdd(a, b string) (string, error) {
	if x, y, scale, ok := smallPair(a, b); ok {
		return smallText(x+y, scale), nil
	}
	if isSpecial(a) || isSpecial(b) {
		return viaFloat(floatOf(a) + floatOf(b)), nil
	}
	var r apd.Decimal
	_, _ = exact.Add(&r, decimal(a), decimal(b))
	return numericText(&r)
}

// NumericSub returns a - b.
func NumericSub(a, b string) (string, error) {
	if isSpecial(a) || isSpecial(b) {
		return viaFloat(floatOf(a) - floatOf(b)), nil
	}
	return NumericAdd(a, NumericNeg(b))
}

// NumericMul returns a * b; the scales add.
func NumericMul(a, b string) (string, error) {
	if isSpecial(a) || isSpecial(b) {
		return viaFloat(floatOf(a) * floatOf(b)), nil
	}
	var r apd.Decimal
	_, _ = exact.Mul(&r, decimal(a), decimal(b))
	if r.Exponent < -numericScaleMax {
		return NumericRoundDecimal(&r, numericScaleMax)
	}
	return numericText(&r)
}

// viaFloat turns the result of arithmetic with NaN or infinities back into numeric text; finite results are zero.
func viaFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return "0"
}

// floatOf is the sign and specialness of a numeric; large finite numbers stay finite.
func floatOf(s string) float64 {
	switch s {
	case "NaN":
		return math.NaN()
	case "Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	return float64(NumericSign(s))
}

var errDivisionByZero = sqlerr.New(sqlerr.DivisionByZero, "division by zero")

// base10000 returns the weight and the first digit of a non-negative decimal in Postgres' base of 10,000.
func base10000(x *apd.Decimal) (weight, first int) {
	if x.Coeff.Sign() == 0 {
		return 0, 0
	}
	d := x.Coeff.String()
	e := len(d) + int(x.Exponent) - 1
	weight = e >> 2 // floor
	n := e - 4*weight + 1
	for len(d) < n {
		d += "0"
	}
	first, _ = strconv.Atoi(d[:n])
	return weight, first
}

// divScale is select_div_scale: at least 16 significant digits and no less than either input's scale.
func divScale(a, b *apd.Decimal) int {
	w1, f1 := base10000(a)
	w2, f2 := base10000(b)
	q := w1 - w2
	if f1 <= f2 {
		q--
	}
	s := max(minSigDigits-q*4, int(-a.Exponent), int(-b.Exponent), 0)
	return min(s, displayScaleMax)
}

// NumericDiv returns a / b with Postgres' result scale, rounded half away from zero.
func NumericDiv(a, b string) (string, error) {
	if isSpecial(a) || isSpecial(b) {
		if b != "NaN" && a != "NaN" && NumericSign(b) == 0 {
			return "", errDivisionByZero
		}
		return viaFloat(floatOf(a) / floatOf(b)), nil
	}
	x, y := decimal(a), decimal(b)
	if y.Coeff.Sign() == 0 {
		return "", errDivisionByZero
	}
	scale := divScale(x, y)
	return quoRound(x, y, scale)
}

// quoRound divides exactly to scale digits, rounding half away from zero.
func quoRound(x, y *apd.Decimal, scale int) (string, error) {
	// |x|/|y| * 10^scale = cx * 10^(ex + scale - ey) / cy
	shift := int64(x.Exponent) + int64(scale) - int64(y.Exponent)
	var num, den, q, r apd.BigInt
	num.Set(&x.Coeff)
	den.Set(&y.Coeff)
	var p apd.BigInt
	p.Exp(apd.NewBigInt(10), apd.NewBigInt(abs64(shift)), nil)
	if shift >= 0 {
		num.Mul(&num, &p)
	} else {
		den.Mul(&den, &p)
	}
	q.QuoRem(&num, &den, &r)
	r.Lsh(&r, 1)
	if r.Cmp(&den) >= 0 {
		q.Add(&q, apd.NewBigInt(1))
	}
	out := apd.NewWithBigInt(&q, int32(-scale))
	out.Negative = x.Negative != y.Negative
	return numericText(out)
}

func abs64(i int64) int64 {
	if i < 0 {
		return -i
	}
	return i
}

// NumericRem returns the remainder of the truncated division; it has the sign of a.
func NumericRem(a, b string) (string, error) {
	switch {
	case a == "NaN" || b == "NaN":
		return "NaN", nil
	case !isInfText(b) && NumericSign(b) == 0:
		return "", errDivisionByZero
	case isInfText(a):
		return "NaN", nil
	case isInfText(b):
		return a, nil
	}
	x, y := decimal(a), decimal(b)
	e := min(x.Exponent, y.Exponent)
	cx, cy := scaledTo(x, e), scaledTo(y, e)
	var q, r apd.BigInt
	q.QuoRem(cx, cy, &r)
	out := apd.NewWithBigInt(&r, e)
	out.Negative = x.Negative
	return numericText(out)
}

func scaledTo(x *apd.Decimal, e int32) *apd.BigInt {
	var p apd.BigInt
	p.Exp(apd.NewBigInt(10), apd.NewBigInt(int64(x.Exponent-e)), nil)
	return p.Mul(&p, &x.Coeff)
}
