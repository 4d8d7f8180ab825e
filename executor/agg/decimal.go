package agg

import (
	"math/big"
	"strings"

	"github.com/vigil-sql/vigil/executor/types"
)

// Exact decimals inside states: an integer and a scale, the number of digits after the point. Everything that shows in a
// result with Postgres' number of digits goes through package types.

var ten = big.NewInt(10)

// pow10 returns 10^n.
func pow10(n int) *big.Int { return new(big.Int).Exp(ten, big.NewInt(int64(n)), nil) }

// decimalText prints u / 10^scale with exactly scale digits after the point.
func decimalText(u *big.Int, scale int) string {
	digits := new(big.Int).Abs(u).String()
	if scale > 0 {
		if len(digits) <= scale {
			digits = strings.Repeat("0", scale-len(digits)+1) + digits
		}
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if u.Sign() < 0 {
		return "-" + digits
	}
	return digits
}

// parseDecimal reads plain decimal text ("-12.50"); ok is false for anything else, such as NaN.
func parseDecimal(text string) (u *big.Int, scale int, ok bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	digits := strings.TrimPrefix(whole, "-") + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil, 0, false
	}
	u, ok = new(big.Int).SetString(digits, 10)
	if ok && strings.HasPrefix(whole, "-") {
		u.Neg(u)
	}
	return u, len(fraction), ok
}

// addDecimals adds two decimals as text; the scale is the larger one.
func addDecimals(a, b string) (string, error) {
	x, xScale, ok1 := parseDecimal(a)
	y, yScale, ok2 := parseDecimal(b)
	if !ok1 || !ok2 {
		return types.NumericAdd(a, b) // NaN and infinities
	}
	scale := max(xScale, yScale)
	x.Mul(x, pow10(scale-xScale))
	y.Mul(y, pow10(scale-yScale))
	return decimalText(x.Add(x, y), scale), nil
}

// squareRoot returns the root of u / 10^scale with the same scale, rounded half up.
func squareRoot(u *big.Int, scale int) *big.Int {
	wide := new(big.Int).Mul(u, pow10(scale+2)) // one digit more than wanted
	root := wide.Sqrt(wide)
	q, r := new(big.Int).QuoRem(root, ten, new(big.Int))
	if r.Int64() >= 5 {
		q.Add(q, big.NewInt(1))
	}
	return q
}
