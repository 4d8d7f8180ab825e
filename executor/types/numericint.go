package types

import (
	"math/big"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// NumericScale is the number of digits after the point; ok is false for NaN and the infinities.
func NumericScale(a string) (n int, ok bool) {
	if isSpecial(a) {
		return 0, false
	}
	return scaleOf(a), true
}

// NumericMinScale is the number of digits after the point up to the last that is not zero.
func NumericMinScale(a string) (n int, ok bool) {
	if isSpecial(a) {
		return 0, false
	}
	_, frac, _ := strings.Cut(a, ".")
	return len(strings.TrimRight(frac, "0")), true
}

// unscaled is a*10^scale as an integer, for a scale that a does not exceed.
func unscaled(a string, scale int) *big.Int {
	whole, frac, _ := strings.Cut(a, ".")
	n, _ := new(big.Int).SetString(whole+frac+strings.Repeat("0", scale-len(frac)), 10)
	return n
}

// scaled is the text of n/10^scale.
func scaled(n *big.Int, scale int) (string, error) {
	s := new(big.Int).Abs(n).String()
	if scale > 0 {
		if len(s) <= scale {
			s = strings.Repeat("0", scale-len(s)+1) + s
		}
		s = s[:len(s)-scale] + "." + s[len(s)-scale:]
	}
	if n.Sign() < 0 {
		s = "-" + s
	}
	return s, checkDigits(len(s))
}

// commonScale brings two finite numerics to integers of one scale.
func commonScale(a, b string) (x, y *big.Int, scale int) {
	scale = max(scaleOf(a), scaleOf(b))
	return unscaled(a, scale), unscaled(b, scale), scale
}

// NumericGCD is the greatest number of which both are multiples.
func NumericGCD(a, b string) (string, error) {
	if isSpecial(a) || isSpecial(b) {
		return "NaN", nil
	}
	x, y, scale := commonScale(a, b)
	return scaled(new(big.Int).GCD(nil, nil, x.Abs(x), y.Abs(y)), scale)
}

// NumericLCM is the smallest positive multiple of both, 0 when one is 0.
func NumericLCM(a, b string) (string, error) {
	if isSpecial(a) || isSpecial(b) {
		return "NaN", nil
	}
	x, y, scale := commonScale(a, b)
	if x.Sign() == 0 || y.Sign() == 0 {
		return scaled(new(big.Int), scale)
	}
	g := new(big.Int).GCD(nil, nil, new(big.Int).Abs(x), new(big.Int).Abs(y))
	x.Quo(x, g).Mul(x, y)
	return scaled(x.Abs(x), scale)
}

// NumericDivTrunc is a/b cut to an integer.
func NumericDivTrunc(a, b string) (string, error) {
	switch {
	case isSpecial(a) || isSpecial(b):
		q, err := NumericDiv(a, b)
		if err != nil || isSpecial(q) {
			return q, err
		}
		return "0", nil
	case NumericSign(b) == 0:
		return "", sqlerr.New(sqlerr.DivisionByZero, "division by zero")
	}
	x, y, _ := commonScale(a, b)
	return scaled(x.Quo(x, y), 0)
}

// factorialMax bounds the factorials that are computed; a larger one has more digits than a numeric may have.
const factorialMax = 25000

// NumericFactorial is n!.
func NumericFactorial(n int64) (string, error) {
	switch {
	case n < 0:
		return "", sqlerr.New(sqlerr.NumericValueOutOfRange, "factorial of a negative number is undefined")
	case n > factorialMax:
		return "", sqlerr.New(sqlerr.NumericValueOutOfRange, "value overflows numeric format")
	}
	return scaled(new(big.Int).MulRange(1, n), 0)
}
