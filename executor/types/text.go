package types

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// TextFormat is how a connection wants values printed and read; nil means ISO dates in UTC and no clock.
type TextFormat struct {
	TimeZone *time.Location // nil: UTC
	// Now is what 'now' and 'today' mean; 0: there is no clock and they are refused.
	Now EventTime
	// RegName names what an oid of a reg type stands for, "" when it names nothing; nil: oids are printed as numbers.
	RegName func(k Kind, oid int64) string
	// RegLookup finds the oid of a name of a reg type; nil: they are read as numbers only.
	RegLookup func(k Kind, name string) (int64, error)
}

func (f *TextFormat) location() *time.Location {
	if f == nil || f.TimeZone == nil {
		return time.UTC
	}
	return f.TimeZone
}

// badText is the error of every input function for text that is not of the type.
func badText(t Type, s string) *sqlerr.Error {
	return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid input syntax for type %s: \"%s\"", t, clip(s))
}

// clip shortens a value for a message, at a character boundary.
func clip(s string) string {
	const max = 200
	if len(s) <= max {
		return s
	}
	n := max
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// ParseText reads a value as Postgres' input function of the type does, the type's modifier included.
func ParseText(t Type, s string, f *TextFormat) (Value, error) {
	v, err := parsePlain(t, s, f)
	if err != nil || t.Mod == 0 {
		return v, err
	}
	return ApplyMod(v, t.Mod, false)
}

func parsePlain(t Type, s string, f *TextFormat) (Value, error) {
	v := Value{Type: t}
	var err error
	switch t.Kind {
	case Bool:
		v.I, err = parseBool(s)
	case RegClass, RegType, RegProc, RegNamespace:
		if f != nil && f.RegLookup != nil {
			v.I, err = f.RegLookup(t.Kind, s)
			break
		}
		v.I, err = parseInt(t, s)
	case Int2, Int4, Int8, OID:
		v.I, err = parseInt(t, s)
	case Float4, Float8:
		v.F, err = parseFloat(t, s)
	case Numeric:
		v.S, err = parseNumeric(s)
	case Date:
		v.I, err = parseDate(s, f)
	case Timestamp, TimestampTZ:
		v.I, err = parseTimestamp(t, s, f)
	case Interval:
		var iv IntervalValue
		iv, err = parseInterval(s)
		v.S = iv.stored()
	default:
		return parseBytesKind(t, s, f)
	}
	return v, err
}

// parseBytesKind is parsePlain for the kinds that are stored as bytes and are not numbers or times.
func parseBytesKind(t Type, s string, f *TextFormat) (Value, error) {
	v := Value{Type: t, S: s}
	var err error
	switch t.Kind {
	case Bytea:
		v.S, err = parseBytea(s)
	case Inet, CIDR:
		v.S, err = parseInetText(t, s)
	case UUID:
		v.S, err = parseUUID(s)
	case JSON:
		err = CheckJSON(s)
	case JSONB:
		v.S, err = CanonicalJSON(s)
	case Array:
		if t.IsVector() {
			s = "{" + strings.Join(strings.Fields(s), ",") + "}"
		}
		v.S, err = parseArray(t, s, f)
	case Char:
		if len(s) > 1 {
			v.S = s[:1]
		}
	case Name:
		if len(s) > 63 {
			v.S = s[:63]
		}
	case Void:
		v.S = ""
	case Record:
		return v, sqlerr.NotSupported("input of anonymous composite types", "")
	default:
		if strings.IndexByte(s, 0) >= 0 {
			return v, sqlerr.New(sqlerr.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0x00")
		}
	}
	return v, err
}

func parseBool(s string) (int64, error) {
	t := strings.ToLower(trim(s))
	switch {
	case t == "":
	case strings.HasPrefix("true", t), strings.HasPrefix("yes", t), t == "on", t == "1":
		return 1, nil
	case strings.HasPrefix("false", t), strings.HasPrefix("no", t), t == "of", t == "off", t == "0":
		return 0, nil
	}
	return 0, badText(T(Bool), s)
}

// trim drops what isspace() calls white space.
func trim(s string) string { return strings.Trim(s, " \t\n\v\f\r") }

// IntRange returns the smallest and largest value of an integer kind.
func IntRange(k Kind) (lo, hi int64) {
	switch k {
	case Int2:
		return math.MinInt16, math.MaxInt16
	case Int4:
		return math.MinInt32, math.MaxInt32
	case OID, RegClass, RegType, RegProc, RegNamespace:
		return 0, math.MaxUint32
	}
	return math.MinInt64, math.MaxInt64
}

// OutOfRange is Postgres' error for a number that its type cannot hold: "integer out of range".
func OutOfRange(k Kind) error {
	name := T(k).String()
	switch k {
	case OID:
		name = "OID"
	case Float4, Float8:
		return sqlerr.New(sqlerr.NumericValueOutOfRange, "value out of range: overflow")
	}
	return sqlerr.New(sqlerr.NumericValueOutOfRange, "%s out of range", name)
}

func parseInt(t Type, s string) (int64, error) {
	d := trim(s)
	digits := strings.TrimPrefix(d, "-")
	if len(digits) == len(d) {
		digits = strings.TrimPrefix(d, "+")
	}
	if digits == "" {
		return 0, badText(t, s)
	}
	for i := 0; i < len(digits); i++ {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, badText(t, s)
		}
	}
	i, err := strconv.ParseInt(d, 10, 64)
	lo, hi := IntRange(t.Kind)
	if lo == 0 && i < 0 && i >= math.MinInt32 { // oid input wraps negative numbers
		i += 1 << 32
	}
	if err != nil || i < lo || i > hi {
		return 0, sqlerr.New(sqlerr.NumericValueOutOfRange, "value \"%s\" is out of range for type %s", clip(s), t)
	}
	return i, nil
}

func parseFloat(t Type, s string) (float64, error) {
	d := trim(s)
	if i := strings.IndexAny(d, "_xXpP"); i >= 0 || d == "" { // Go reads more than Postgres
		return 0, badText(t, s)
	}
	bits := 64
	if t.Kind == Float4 {
		bits = 32
	}
	f, err := strconv.ParseFloat(d, bits)
	if err != nil {
		if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
			return 0, sqlerr.New(sqlerr.NumericValueOutOfRange, "\"%s\" is out of range for type %s", clip(s), t)
		}
		return 0, badText(t, s)
	}
	if f == 0 && strings.ContainsAny(mantissa(d), "123456789") {
		return 0, sqlerr.New(sqlerr.NumericValueOutOfRange, "\"%s\" is out of range for type %s", clip(s), t)
	}
	return f, nil
}

func mantissa(s string) string {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		return s[:i]
	}
	return s
}

func parseBytea(s string) (string, error) {
	if strings.HasPrefix(s, `\x`) {
		b := make([]byte, 0, len(s)/2)
		for i := 2; i < len(s); {
			if strings.IndexByte(" \t\n\r", s[i]) >= 0 {
				i++
				continue
			}
			if i+1 >= len(s) {
				return "", sqlerr.New(sqlerr.InvalidParameterValue, "invalid hexadecimal data: odd number of digits")
			}
			x, err := hex.DecodeString(s[i : i+2])
			if err != nil {
				return "", sqlerr.New(sqlerr.InvalidParameterValue, "invalid hexadecimal digit: \"%s\"", badHexDigit(s[i:]))
			}
			b = append(b, x[0])
			i += 2
		}
		return string(b), nil
	}
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	return parseByteaEscape(s)
}

func badHexDigit(s string) string {
	for _, r := range s {
		if !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return string(r)
		}
	}
	return ""
}

func parseByteaEscape(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\':
			b = append(b, s[i])
		case i+1 < len(s) && s[i+1] == '\\':
			b = append(b, '\\')
			i++
		case i+3 < len(s) && s[i+1] >= '0' && s[i+1] <= '3' && isOctal(s[i+2]) && isOctal(s[i+3]):
			b = append(b, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
		default:
			return "", sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid input syntax for type bytea")
		}
	}
	return string(b), nil
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }

func parseUUID(s string) (string, error) {
	var out [16]byte
	d := s
	if strings.HasPrefix(d, "{") && strings.HasSuffix(d, "}") && len(d) > 2 {
		d = d[1 : len(d)-1]
	}
	n := 0
	for i := 0; i < len(d); {
		if d[i] == '-' && n%2 == 0 && n > 0 && n < 16 && i > 0 && d[i-1] != '-' {
			i++
			continue
		}
		if n == 16 || i+1 >= len(d) {
			return "", badText(T(UUID), s)
		}
		if _, err := hex.Decode(out[n:n+1], []byte(d[i:i+2])); err != nil {
			return "", badText(T(UUID), s)
		}
		n++
		i += 2
	}
	if n != 16 {
		return "", badText(T(UUID), s)
	}
	return string(out[:]), nil
}

// AppendText appends the value, which is not NULL, in Postgres' text format.
func AppendText(dst []byte, v Value, f *TextFormat) []byte {
	switch v.Type.Kind {
	case Bool:
		if v.I != 0 {
			return append(dst, 't')
		}
		return append(dst, 'f')
	case Int2, Int4, Int8, OID:
		return strconv.AppendInt(dst, v.I, 10)
	case RegClass, RegType, RegProc, RegNamespace:
		if v.I == 0 {
			return append(dst, '-')
		}
		if f != nil && f.RegName != nil {
			if name := f.RegName(v.Type.Kind, v.I); name != "" {
				return append(dst, name...)
			}
		}
		return strconv.AppendInt(dst, v.I, 10)
	case Float4:
		return appendFloat(dst, v.F, 32)
	case Float8:
		return appendFloat(dst, v.F, 64)
	case Date:
		return appendDate(dst, v.I)
	case Timestamp:
		return appendTimestamp(dst, EventTime(v.I))
	case TimestampTZ:
		return appendTimestampTZ(dst, EventTime(v.I), f.location())
	case Interval:
		iv, err := DecodeInterval(v.S)
		if err != nil {
			return append(dst, "??"...)
		}
		return iv.AppendText(dst)
	case Bytea:
		dst = append(dst, '\\', 'x')
		return hex.AppendEncode(dst, []byte(v.S))
	case Inet:
		return AppendInetText(dst, []byte(v.S))
	case CIDR:
		return appendCIDRText(dst, []byte(v.S))
	case UUID:
		return appendUUID(dst, v.S)
	case Array:
		return appendArrayText(dst, v, f)
	case Record:
		return appendRecordText(dst, v, f)
	}
	return append(dst, v.S...)
}

func appendUUID(dst []byte, s string) []byte {
	if len(s) != 16 {
		return append(dst, "??"...)
	}
	for i := 0; i < 16; i++ {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, "0123456789abcdef"[s[i]>>4], "0123456789abcdef"[s[i]&15])
	}
	return dst
}

// appendFloat prints the shortest digits that read back, with Postgres' choice between plain and exponent form.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1e6 && !(f == 0 && math.Signbit(f)) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	digits := 15
	if bits == 32 {
		digits = 6
	}
	var tmp [32]byte
	e := strconv.AppendFloat(tmp[:0], f, 'e', -1, bits)
	exp := 0
	for i := len(e) - 1; i >= 0; i-- {
		if e[i] == 'e' {
			exp, _ = strconv.Atoi(string(e[i+1:]))
			break
		}
	}
	if exp < -4 || exp >= digits {
		return append(dst, e...)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, bits)
}
