package types

import (
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// NumericSign returns -1, 0 or 1; NaN counts as positive.
func NumericSign(s string) int {
	switch {
	case strings.HasPrefix(s, "-"):
		return -1
	case strings.Trim(s, "0.") == "":
		return 0
	}
	return 1
}

// NumericNeg returns -a.
func NumericNeg(a string) string {
	switch {
	case a == "NaN" || NumericSign(a) == 0:
		return a
	case a[0] == '-':
		return a[1:]
	}
	return "-" + a
}

// NumericAbs returns |a|.
func NumericAbs(a string) string { return strings.TrimPrefix(a, "-") }

// NumericCmp orders decimals: -Infinity, finite values, Infinity, NaN.
func NumericCmp(a, b string) int {
	if a == b {
		return 0
	}
	if x, y, _, ok := smallPair(a, b); ok {
		return cmpOrdered(x, y)
	}
	if isSpecial(a) || isSpecial(b) {
		return cmpOrdered(specialRank(a), specialRank(b))
	}
	return decimal(a).Cmp(decimal(b))
}

func specialRank(s string) int {
	switch s {
	case "-Infinity":
		return -1
	case "Infinity":
		return 1
	case "NaN":
		return 2
	}
	return 0
}

// NumericRound rounds half away from zero to scale digits after the point; a negative scale rounds before it.
func NumericRound(a string, scale int32) (string, error) {
	if isSpecial(a) {
		return a, nil
	}
	return NumericRoundDecimal(decimal(a), scale)
}

// NumericRoundDecimal is NumericRound for a decimal at hand.
func NumericRoundDecimal(x *apd.Decimal, scale int32) (string, error) {
	scale = max(min(scale, numericScaleMax), -numericWholeMax)
	c := rounding(int(x.NumDigits()) + int(max(scale, 0)) + int(max(x.Exponent, 0)) + 2)
	var r apd.Decimal
	_, _ = c.Quantize(&r, x, -scale)
	if r.Exponent > 0 { // round(1234, -2) prints as 1200
		_, _ = rounding(int(r.NumDigits())+int(r.Exponent)+2).Quantize(&r, &r, 0)
	}
	return numericText(&r)
}

// NumericTrunc cuts to scale digits after the point.
func NumericTrunc(a string, scale int32) (string, error) {
	if isSpecial(a) || scale >= 0 && int(scale) == scaleOf(a) {
		return a, nil
	}
	if int(scale) >= scaleOf(a) {
		return NumericRound(a, scale)
	}
	whole, frac, _ := strings.Cut(a, ".")
	if scale > 0 {
		return tidyPlain(whole + "." + frac[:scale]), nil
	}
	neg := strings.HasPrefix(whole, "-")
	whole = strings.TrimPrefix(whole, "-")
	drop := int(-scale)
	if drop >= len(whole) {
		return "0", nil
	}
	whole = whole[:len(whole)-drop] + strings.Repeat("0", drop)
	if neg {
		whole = "-" + whole
	}
	return tidyPlain(whole), nil
}

// NumericCeil returns the smallest integer not below a.
func NumericCeil(a string) (string, error) {
	t, err := NumericTrunc(a, 0)
	if err != nil || NumericCmp(t, a) >= 0 {
		return t, err
	}
	return NumericAdd(t, "1")
}

// NumericFloor returns the largest integer not above a.
func NumericFloor(a string) (string, error) {
	t, err := NumericTrunc(a, 0)
	if err != nil || NumericCmp(t, a) <= 0 {
		return t, err
	}
	return NumericSub(t, "1")
}

// NumericFromInt returns an integer as numeric.
func NumericFromInt(i int64) string { return strconv.FormatInt(i, 10) }

// NumericFromFloat converts with 15 significant digits (6 from single precision), as Postgres' casts do.
func NumericFromFloat(f float64, single bool) string {
	if s := viaFloat(f); s != "0" {
		return s
	}
	digits := 15
	if single {
		digits = 6
	}
	s, err := parseNumeric(strconv.FormatFloat(f, 'g', digits, 64))
	if err != nil {
		return "0"
	}
	return s
}

// NumericToFloat returns the nearest double.
func NumericToFloat(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f == 0 && NumericSign(s) != 0 {
		return 0, sqlerr.New(sqlerr.NumericValueOutOfRange, "\"%s\" is out of range for type double precision", s)
	}
	return f, nil
}

// NumericToInt rounds half away from zero; ok is false when the result is no int64.
func NumericToInt(s string) (i int64, ok bool) {
	if isSpecial(s) {
		return 0, false
	}
	if scaleOf(s) > 0 {
		r, err := NumericRound(s, 0)
		if err != nil {
			return 0, false
		}
		s = r
	}
	i, err := strconv.ParseInt(s, 10, 64)
	return i, err == nil
}

// rootDigitsMax bounds the digits that roots, powers and exponentials compute: they cost the square of it.
const rootDigitsMax = 2000

func checkDigits(n int) error {
	if n <= rootDigitsMax {
		return nil
	}
	return sqlerr.New(sqlerr.ProgramLimitExceeded, "the result would have %d digits", n).
		WithHint("Roots, powers and exponentials of numeric have at most %d; use double precision.", rootDigitsMax)
}

// NumericSqrt returns the square root with at least 16 significant digits.
func NumericSqrt(a string) (string, error) {
	switch {
	case a == "NaN" || a == "Infinity":
		return a, nil
	case NumericSign(a) < 0:
		return "", sqlerr.New("2201F", "cannot take square root of a negative number")
	}
	x := decimal(a)
	w, _ := base10000(x)
	sw := 1 - (1-w*4)/2
	if w >= 0 {
		sw = w*4/2 + 1
	}
	scale := min(max(minSigDigits-sw, int(-x.Exponent), 0), displayScaleMax)
	if err := checkDigits(max(sw, 0) + scale); err != nil {
		return "", err
	}
	var r apd.Decimal
	_, err := rounding(max(sw, 0)+scale+8).Sqrt(&r, x)
	if err != nil {
		return "", errNumericOverflow
	}
	return NumericRoundDecimal(&r, int32(scale))
}

// NumericExp returns e to the power a.
func NumericExp(a string) (string, error) {
	if isSpecial(a) {
		return viaFloat(math.Exp(floatOf(a))), nil
	}
	f, _ := strconv.ParseFloat(a, 64)
	val := f * 0.434294481903252
	if val > numericWholeMax {
		return "", errNumericOverflow
	}
	if val < -displayScaleMax-minSigDigits {
		return NumericRound("0", displayScaleMax)
	}
	scale := min(max(minSigDigits-int(val), scaleOf(a), 0), displayScaleMax)
	if err := checkDigits(max(int(val), 0) + scale); err != nil {
		return "", err
	}
	var r apd.Decimal
	if _, err := rounding(max(int(val), 0)+scale+10).Exp(&r, decimal(a)); err != nil {
		return "", errNumericOverflow
	}
	return NumericRoundDecimal(&r, int32(scale))
}

func checkLog(a string) error {
	switch NumericSign(a) {
	case 0:
		return sqlerr.New("2201E", "cannot take logarithm of zero")
	case -1:
		return sqlerr.New("2201E", "cannot take logarithm of a negative number")
	}
	return nil
}

// NumericLn returns the natural logarithm.
func NumericLn(a string) (string, error) {
	if err := checkLog(a); err != nil {
		return "", err
	}
	if isSpecial(a) {
		return a, nil
	}
	var r apd.Decimal
	if err := ln(rounding(lnDigits(a)), &r, decimal(a)); err != nil {
		return "", err
	}
	scale := min(max(minSigDigits-weightOf(&r), scaleOf(a), 0), displayScaleMax)
	return NumericRoundDecimal(&r, int32(scale))
}

// ln computes ln(m * 10^e) as ln(m) + e*ln(10), 1 <= m < 10: the series itself takes time that grows with the number of digits.
func ln(c *apd.Context, r, x *apd.Decimal) error {
	e := x.NumDigits() + int64(x.Exponent) - 1
	var m, lnM, ln10 apd.Decimal
	m.Set(x)
	m.Exponent = int32(1 - x.NumDigits())
	if _, err := c.Round(&m, &m); err != nil {
		return errNumericOverflow
	}
	_, err1 := c.Ln(&lnM, &m)
	_, err2 := c.Ln(&ln10, apd.New(10, 0))
	if err1 != nil || err2 != nil {
		return errNumericOverflow
	}
	_, _ = c.Mul(&ln10, &ln10, apd.New(e, 0))
	_, _ = c.Add(r, &lnM, &ln10)
	return nil
}

func lnDigits(a string) int { return min(scaleOf(a), displayScaleMax) + 3*minSigDigits }

// weightOf estimates the decimal weight as Postgres does: cut towards zero.
func weightOf(x *apd.Decimal) int {
	f, _ := x.Float64()
	if f == 0 {
		return 0
	}
	return int(math.Log10(math.Abs(f)))
}

// NumericLog returns the logarithm of a to a base.
func NumericLog(base, a string) (string, error) {
	if err := checkLog(base); err != nil {
		return "", err
	}
	if err := checkLog(a); err != nil {
		return "", err
	}
	switch {
	case base == "NaN" || a == "NaN":
		return "NaN", nil
	case isInfText(base) && isInfText(a):
		return "NaN", nil
	case isInfText(base):
		return "0", nil
	case isInfText(a):
		return a, nil
	}
	var x, y, q apd.Decimal
	c := rounding(lnDigits(a) + lnDigits(base))
	if err := ln(c, &x, decimal(base)); err != nil {
		return "", err
	}
	if err := ln(c, &y, decimal(a)); err != nil {
		return "", err
	}
	if x.IsZero() {
		return "", errDivisionByZero
	}
	if _, err := c.Quo(&q, &y, &x); err != nil {
		return "", errNumericOverflow
	}
	scale := min(max(minSigDigits-weightOf(&y)+weightOf(&x), scaleOf(a), scaleOf(base), 0), displayScaleMax)
	return NumericRoundDecimal(&q, int32(scale))
}

// NumericPower returns a to the power b.
func NumericPower(a, b string) (string, error) {
	if isSpecial(a) || isSpecial(b) {
		return viaFloatPow(a, b)
	}
	fa, _ := strconv.ParseFloat(a, 64)
	fb, _ := strconv.ParseFloat(b, 64)
	switch {
	case fa == 0 && fb < 0:
		return "", sqlerr.New("2201F", "zero raised to a negative power is undefined")
	case fa < 0 && NumericCmp(b, mustTrunc(b)) != 0:
		return "", sqlerr.New("2201F", "a negative number raised to a non-integer power yields a complex result")
	}
	val := 0.0
	if fa != 0 {
		val = fb * math.Log10(math.Abs(fa))
	}
	if val > numericWholeMax {
		return "", errNumericOverflow
	}
	digits := minSigDigits
	if NumericCmp(b, mustTrunc(b)) != 0 { // whole exponents always give 16 places
		digits -= int(max(val, -2*displayScaleMax))
	}
	scale := min(max(digits, scaleOf(a), scaleOf(b), 0), displayScaleMax)
	if fa == 0 || val < -displayScaleMax {
		base := "0"
		if fb == 0 {
			base = "1"
		}
		return NumericRound(base, int32(scale))
	}
	if err := checkDigits(int(max(val, 0)) + scale); err != nil {
		return "", err
	}
	var r apd.Decimal
	if _, err := rounding(int(max(val, 0))+scale+12).Pow(&r, decimal(a), decimal(b)); err != nil {
		return "", errNumericOverflow
	}
	return NumericRoundDecimal(&r, int32(scale))
}

func mustTrunc(s string) string {
	t, err := NumericTrunc(s, 0)
	if err != nil {
		return s
	}
	return t
}

func viaFloatPow(a, b string) (string, error) {
	fa, err := NumericToFloat(a)
	if err != nil {
		return "", err
	}
	fb, err := NumericToFloat(b)
	if err != nil {
		return "", err
	}
	f := math.Pow(fa, fb)
	if f == 1 {
		return "1", nil
	}
	return viaFloat(f), nil
}
