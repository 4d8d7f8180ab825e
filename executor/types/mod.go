package types

import (
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// VarcharMod returns the modifier of varchar(n) and char(n).
func VarcharMod(n int32) int32 { return n + 4 }

// NumericMod returns the modifier of numeric(precision, scale).
func NumericMod(precision, scale int32) int32 { return precision<<16 | scale&0x7ff + 4 }

// TimestampMod returns the modifier of timestamp(p) and timestamptz(p).
func TimestampMod(p int32) int32 { return min(p, 6) + 1 }

// The fields of an interval modifier, as bits of its upper half; the lower half is the precision.
const (
	monthBit, yearBit, dayBit, hourBit, minuteBit, secondBit = 1 << 1, 1 << 2, 1 << 3, 1 << 10, 1 << 11, 1 << 12

	allFields     = 0x7fff
	fullPrecision = 0xffff
)

// intervalFieldBits are the fields that an interval's type may name.
var intervalFieldBits = map[string]int32{
	"": allFields, "YEAR": yearBit, "MONTH": monthBit, "DAY": dayBit, "HOUR": hourBit, "MINUTE": minuteBit, "SECOND": secondBit,
	"YEAR TO MONTH": yearBit | monthBit, "DAY TO HOUR": dayBit | hourBit, "DAY TO MINUTE": dayBit | hourBit | minuteBit,
	"DAY TO SECOND": dayBit | hourBit | minuteBit | secondBit, "HOUR TO MINUTE": hourBit | minuteBit,
	"HOUR TO SECOND": hourBit | minuteBit | secondBit, "MINUTE TO SECOND": minuteBit | secondBit,
}

// IntervalMod returns the modifier of an interval with fields ("DAY TO SECOND", "" for all) and a precision, -1 for all digits.
func IntervalMod(fields string, precision int32) (mod int32, ok bool) {
	bits, ok := intervalFieldBits[fields]
	if precision < 0 {
		precision = fullPrecision
	} else {
		precision = min(precision, 6)
	}
	if bits == allFields && precision == fullPrecision {
		return 0, ok
	}
	return bits<<16 | precision, ok
}

// fitInterval drops what is smaller than the last field, and rounds the fraction.
func fitInterval(s string, mod int32) (string, error) {
	iv, err := DecodeInterval(s)
	if err != nil {
		return s, err
	}
	bits, precision := mod>>16, mod&fullPrecision
	switch {
	case bits&secondBit != 0:
	case bits&minuteBit != 0:
		iv.Micros -= iv.Micros % (60 * 1_000_000)
	case bits&hourBit != 0:
		iv.Micros -= iv.Micros % (3600 * 1_000_000)
	case bits&dayBit != 0:
		iv.Micros = 0
	case bits&monthBit != 0:
		iv.Micros, iv.Days = 0, 0
	default:
		iv.Micros, iv.Days = 0, 0
		iv.Months -= iv.Months % 12
	}
	if precision < 6 {
		iv.Micros = roundMicros(iv.Micros, precision)
	}
	return iv.stored(), nil
}

// LastField is the unit of a bare number in an interval of a modifier, "" where that is seconds.
func LastField(mod int32) string {
	bits := mod >> 16
	for _, f := range []struct {
		bit  int32
		name string
	}{{secondBit, ""}, {minuteBit, " minutes"}, {hourBit, " hours"}, {dayBit, " days"}, {monthBit, " months"}, {yearBit, " years"}} {
		if bits&f.bit != 0 {
			return f.name
		}
	}
	return ""
}

// numericPS takes a numeric modifier apart.
func numericPS(mod int32) (precision, scale int32) {
	m := mod - 4
	scale = m & 0x7ff
	if scale >= 1024 { // eleven bits, signed
		scale -= 2048
	}
	return m >> 16 & 0xffff, scale
}

// ApplyMod fits a value to a type modifier: cuts or refuses strings that are too long (22001), rounds decimals and refuses
// those that do not fit (22003), rounds fractions of seconds. explicit is for CAST, which cuts strings without a word.
func ApplyMod(v Value, mod int32, explicit bool) (Value, error) {
	v.Type.Mod = mod
	if v.Null || mod == 0 || v.Type.IsVector() {
		return v, nil
	}
	var err error
	switch v.Type.Kind {
	case Varchar, BPChar:
		v.S, err = fitString(v, int(mod-4), explicit)
	case Numeric:
		v.S, err = fitNumeric(v.S, mod)
	case Timestamp, TimestampTZ:
		v.I = roundTime(v.I, mod-1)
	case Interval:
		v.S, err = fitInterval(v.S, mod)
	case Array:
		return applyArrayMod(v, mod, explicit)
	}
	return v, err
}

func applyArrayMod(v Value, mod int32, explicit bool) (Value, error) {
	elems, err := DecodeArray(v.Type.Elem, v.S)
	if err != nil {
		return v, err
	}
	for i := range elems {
		if elems[i], err = ApplyMod(elems[i], mod, explicit); err != nil {
			return v, err
		}
	}
	v.S = string(AppendArrayBytes(nil, elems))
	return v, nil
}

func fitString(v Value, max int, explicit bool) (string, error) {
	n := utf8.RuneCountInString(v.S)
	if n <= max {
		if v.Type.Kind == BPChar {
			return v.S + strings.Repeat(" ", max-n), nil
		}
		return v.S, nil
	}
	cut := 0
	for i := 0; i < max; i++ {
		_, w := utf8.DecodeRuneInString(v.S[cut:])
		cut += w
	}
	if !explicit && strings.Trim(v.S[cut:], " ") != "" {
		return "", sqlerr.New(sqlerr.StringRightTruncation, "value too long for type %s(%d)", T(v.Type.Kind), max)
	}
	return v.S[:cut], nil
}

func fitNumeric(s string, mod int32) (string, error) {
	precision, scale := numericPS(mod)
	if s == "NaN" {
		return s, nil
	}
	overflow := sqlerr.New(sqlerr.NumericValueOutOfRange, "numeric field overflow")
	if isInfText(s) {
		return "", overflow.WithDetail("A field with precision %d, scale %d cannot hold an infinite value.", precision, scale)
	}
	r, err := NumericRound(s, scale)
	if err != nil {
		return "", err
	}
	if numericWeight(r) > int(precision-scale) {
		power := "1"
		if precision != scale {
			power = "10^" + NumericFromInt(int64(precision-scale))
		}
		return "", overflow.WithDetail("A field with precision %d, scale %d must round to an absolute value less than %s.", precision, scale, power)
	}
	return r, nil
}

// numericWeight is the number of digits before the point of a plain decimal text, negative when zeros follow the point; a
// zero weighs least.
func numericWeight(s string) int {
	s = strings.TrimLeft(s, "-0")
	whole, frac, _ := strings.Cut(s, ".")
	if whole != "" {
		return len(whole)
	}
	t := strings.TrimLeft(frac, "0")
	if t == "" {
		return -1 << 20
	}
	return len(t) - len(frac)
}

// roundTime rounds a time to p digits of a second, as its distance from 2000 is rounded.
func roundTime(us int64, p int32) int64 {
	const epoch = 946_684_800_000_000
	if p >= 6 || us == int64(MinTime) || us == int64(MaxTime) || us < epoch+int64(MinTime) {
		return us
	}
	return roundMicros(us-epoch, p) + epoch
}

// roundMicros rounds microseconds to p digits of a second, half away from zero.
func roundMicros(us int64, p int32) int64 {
	unit := int64(1)
	for i := p; i < 6; i++ {
		unit *= 10
	}
	if us >= 0 {
		return (us + unit/2) / unit * unit
	}
	return (us - unit/2) / unit * unit
}
