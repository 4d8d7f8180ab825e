package types

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

var be = binary.BigEndian

// AppendBinary appends the value, which is not NULL, in the binary format of Postgres' send function.
func AppendBinary(dst []byte, v Value) []byte {
	switch v.Type.Kind {
	case Bool:
		return append(dst, byte(v.I))
	case Int2:
		return be.AppendUint16(dst, uint16(v.I))
	case Int4, OID, RegClass, RegType, RegProc, RegNamespace:
		return be.AppendUint32(dst, uint32(v.I))
	case Int8:
		return be.AppendUint64(dst, uint64(v.I))
	case Float4:
		if v.F != v.F {
			return be.AppendUint32(dst, 0x7fc00000) // one NaN for all
		}
		return be.AppendUint32(dst, math.Float32bits(float32(v.F)))
	case Float8:
		if v.F != v.F {
			return be.AppendUint64(dst, 0x7ff8000000000000)
		}
		return be.AppendUint64(dst, math.Float64bits(v.F))
	case Date:
		if v.I != dateMin && v.I != dateMax {
			return be.AppendUint32(dst, uint32(v.I-pgEpochDays))
		}
		return be.AppendUint32(dst, uint32(v.I))
	case Timestamp, TimestampTZ:
		if t := EventTime(v.I); t != MinTime && t != MaxTime {
			return be.AppendUint64(dst, uint64(v.I-pgEpochMicros))
		}
		return be.AppendUint64(dst, uint64(v.I))
	case Char:
		return append(dst, (v.S + "\x00")[0])
	case Numeric:
		return appendNumericBinary(dst, v.S)
	case Interval:
		iv, _ := DecodeInterval(v.S)
		dst = be.AppendUint64(dst, uint64(iv.Micros))
		dst = be.AppendUint32(dst, uint32(iv.Days))
		return be.AppendUint32(dst, uint32(iv.Months))
	case Inet, CIDR:
		return appendInetBinary(dst, v)
	case JSONB:
		return append(append(dst, 1), v.S...)
	case Array:
		return appendArrayBinary(dst, v)
	case Record:
		return appendRecordBinary(dst, v)
	}
	return append(dst, v.S...)
}

func appendInetBinary(dst []byte, v Value) []byte {
	if len(v.S) < 5 {
		return dst
	}
	family, cidr := byte(2), byte(0)
	if len(v.S) == 17 {
		family = 3
	}
	if v.Type.Kind == CIDR {
		cidr = 1
	}
	dst = append(dst, family, v.S[0], cidr, byte(len(v.S)-1))
	return append(dst, v.S[1:]...)
}

func appendSized(dst []byte, v Value) []byte {
	if v.Null {
		return be.AppendUint32(dst, math.MaxUint32)
	}
	n := len(dst)
	dst = AppendBinary(append(dst, 0, 0, 0, 0), v)
	be.PutUint32(dst[n:], uint32(len(dst)-n-4))
	return dst
}

func appendArrayBinary(dst []byte, v Value) []byte {
	elems, _ := DecodeArray(v.Type.Elem, v.S)
	dims, nulls := uint32(0), uint32(0)
	if len(elems) > 0 {
		dims = 1
	}
	for i := range elems {
		if elems[i].Null {
			nulls = 1
		}
	}
	dst = be.AppendUint32(dst, dims)
	dst = be.AppendUint32(dst, nulls)
	dst = be.AppendUint32(dst, T(v.Type.Elem).OID())
	if dims == 0 {
		return dst
	}
	dst = be.AppendUint32(dst, uint32(len(elems)))
	dst = be.AppendUint32(dst, uint32(v.Type.LowerBound()))
	for i := range elems {
		dst = appendSized(dst, elems[i])
	}
	return dst
}

func appendRecordBinary(dst []byte, v Value) []byte {
	fields, _ := DecodeRecord(v.S)
	dst = be.AppendUint32(dst, uint32(len(fields)))
	for i := range fields {
		dst = be.AppendUint32(dst, fields[i].Type.OID())
		dst = appendSized(dst, fields[i])
	}
	return dst
}

// Signs of numeric on the wire.
const (
	wirePos  = 0x0000
	wireNeg  = 0x4000
	wireNaN  = 0xC000
	wirePInf = 0xD000
	wireNInf = 0xF000
)

func appendNumericHead(dst []byte, ndigits, weight int, sign uint16, scale int) []byte {
	dst = be.AppendUint16(dst, uint16(ndigits))
	dst = be.AppendUint16(dst, uint16(weight))
	dst = be.AppendUint16(dst, sign)
	return be.AppendUint16(dst, uint16(scale))
}

// appendNumericBinary writes base-10,000 digits, the weight of the first, sign and display scale.
func appendNumericBinary(dst []byte, s string) []byte {
	switch s {
	case "NaN":
		return appendNumericHead(dst, 0, 0, wireNaN, 0)
	case "Infinity":
		return appendNumericHead(dst, 0, 0, wirePInf, 0x20)
	case "-Infinity":
		return appendNumericHead(dst, 0, 0, wireNInf, 0x20)
	}
	sign := uint16(wirePos)
	if strings.HasPrefix(s, "-") {
		sign, s = wireNeg, s[1:]
	}
	whole, frac, _ := strings.Cut(s, ".")
	scale := len(frac)
	whole = strings.TrimLeft(whole, "0")
	if r := len(whole) % 4; r != 0 {
		whole = "0000"[r:] + whole
	}
	if r := len(frac) % 4; r != 0 {
		frac += "0000"[r:]
	}
	weight := len(whole)/4 - 1
	digits := whole + frac
	for strings.HasPrefix(digits, "0000") {
		digits, weight = digits[4:], weight-1
	}
	for strings.HasSuffix(digits, "0000") && len(digits)%4 == 0 && len(digits) > 0 {
		digits = digits[:len(digits)-4]
	}
	if digits == "" {
		return appendNumericHead(dst, 0, 0, wirePos, scale)
	}
	dst = appendNumericHead(dst, len(digits)/4, weight, sign, scale)
	for i := 0; i < len(digits); i += 4 {
		d := uint16(digits[i]-'0')*1000 + uint16(digits[i+1]-'0')*100 + uint16(digits[i+2]-'0')*10 + uint16(digits[i+3]-'0')
		dst = be.AppendUint16(dst, d)
	}
	return dst
}

func badBinary(t Type) error {
	return sqlerr.New(sqlerr.InvalidBinaryRepr, "incorrect binary data format for type %s", t)
}

// ParseBinary reads the binary format of Postgres' receive function.
func ParseBinary(t Type, b []byte) (Value, error) {
	v := Value{Type: t}
	if n := t.Size(); n > 0 && t.Kind != Name && t.Kind != Char && t.Kind != Void && len(b) != int(n) {
		return v, badBinary(t)
	}
	var err error
	switch t.Kind {
	case Bool:
		if v.I = int64(b[0]); v.I > 1 {
			v.I = 1
		}
	case Int2:
		v.I = int64(int16(be.Uint16(b)))
	case Int4:
		v.I = int64(int32(be.Uint32(b)))
	case OID, RegClass, RegType, RegProc, RegNamespace:
		v.I = int64(be.Uint32(b))
	case Int8:
		v.I = int64(be.Uint64(b))
	case Float4:
		v.F = float64(math.Float32frombits(be.Uint32(b)))
	case Float8:
		v.F = math.Float64frombits(be.Uint64(b))
	case Date:
		if v.I = int64(int32(be.Uint32(b))); v.I != dateMin && v.I != dateMax {
			v.I += pgEpochDays
		}
	case Timestamp, TimestampTZ:
		v.I, err = timeFromWire(int64(be.Uint64(b)))
	case UUID:
		v.S = string(b)
	case Interval:
		v.S = IntervalValue{Months: int32(be.Uint32(b[12:])), Days: int32(be.Uint32(b[8:])), Micros: int64(be.Uint64(b))}.stored()
	default:
		return parseBinaryBytes(t, b)
	}
	if err == nil && t.Mod != 0 {
		return ApplyMod(v, t.Mod, false)
	}
	return v, err
}

func timeFromWire(us int64) (int64, error) {
	if us == math.MinInt64 || us == math.MaxInt64 {
		return us, nil
	}
	if us > math.MaxInt64-pgEpochMicros-1 {
		return 0, sqlerr.New(sqlerr.DatetimeFieldOverflow, "timestamp out of range")
	}
	return us + pgEpochMicros, nil
}

// parseBinaryBytes is ParseBinary for kinds of variable length.
func parseBinaryBytes(t Type, b []byte) (Value, error) {
	v := Value{Type: t}
	var err error
	switch t.Kind {
	case Numeric:
		v.S, err = parseNumericBinary(b)
	case Bytea:
		v.S = string(b)
	case Inet, CIDR:
		v.S, err = parseInetBinary(t, b)
	case JSONB:
		if len(b) == 0 || b[0] != 1 {
			return v, badBinary(t)
		}
		v.S, err = CanonicalJSON(string(b[1:]))
	case JSON:
		v.S = string(b)
		err = CheckJSON(v.S)
	case Array:
		v.S, err = parseArrayBinary(t, b)
	case Record:
		return v, sqlerr.NotSupported("binary input of anonymous composite types", "")
	case Char, Void:
		v.S = strings.TrimRight(string(b[:min(len(b), 1)]), "\x00")
	default:
		if !utf8.Valid(b) || strings.IndexByte(string(b), 0) >= 0 {
			return v, sqlerr.New(sqlerr.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\"")
		}
		v.S = string(b)
	}
	if err == nil && t.Mod != 0 {
		return ApplyMod(v, t.Mod, false)
	}
	return v, err
}

func parseInetBinary(t Type, b []byte) (string, error) {
	if len(b) < 4 || int(b[3]) != len(b)-4 {
		return "", badBinary(t)
	}
	want := 4
	if b[0] == 3 {
		want = 16
	}
	if b[0] != 2 && b[0] != 3 || len(b)-4 != want || int(b[1]) > 8*want {
		return "", badBinary(t)
	}
	out := append([]byte{b[1]}, b[4:]...)
	if t.Kind == CIDR && hasHostBits(out) {
		return "", badBinary(t)
	}
	return string(out), nil
}

func parseNumericBinary(b []byte) (string, error) {
	t := T(Numeric)
	if len(b) < 8 {
		return "", badBinary(t)
	}
	n, weight := int(be.Uint16(b)), int(int16(be.Uint16(b[2:])))
	sign, scale := be.Uint16(b[4:]), int(be.Uint16(b[6:]))
	switch sign {
	case wireNaN:
		return "NaN", nil
	case wirePInf:
		return "Infinity", nil
	case wireNInf:
		return "-Infinity", nil
	case wirePos, wireNeg:
	default:
		return "", sqlerr.New(sqlerr.InvalidBinaryRepr, "invalid sign in external \"numeric\" value")
	}
	if len(b) != 8+2*n || scale > numericScaleMax {
		return "", badBinary(t)
	}
	digits := make([]byte, 0, 4*n)
	for i := 0; i < n; i++ {
		d := be.Uint16(b[8+2*i:])
		if d > 9999 {
			return "", sqlerr.New(sqlerr.InvalidBinaryRepr, "invalid digit in external \"numeric\" value")
		}
		digits = append(digits, byte('0'+d/1000), byte('0'+d/100%10), byte('0'+d/10%10), byte('0'+d%10))
	}
	x := apd.New(0, 0)
	if len(digits) > 0 {
		var ok bool
		if _, ok = x.Coeff.SetString(string(digits), 10); !ok {
			return "", badBinary(t)
		}
		x.Exponent = int32(4 * (weight + 1 - n))
	}
	x.Negative = sign == wireNeg
	s, err := NumericRoundDecimal(x, int32(scale))
	return s, err
}

func parseArrayBinary(t Type, b []byte) (string, error) {
	if len(b) < 12 {
		return "", badBinary(t)
	}
	dims, oid := be.Uint32(b), be.Uint32(b[8:])
	if oid != T(t.Elem).OID() {
		return "", sqlerr.New(sqlerr.DatatypeMismatch, "wrong element type: array of oid %d where %s is wanted", oid, t)
	}
	b = b[12:]
	if dims == 0 {
		return string(AppendArrayBytes(nil, nil)), nil
	}
	if dims != 1 {
		return "", sqlerr.NotSupported("an array of more than one dimension", "Use an array of one dimension, or jsonb.")
	}
	if len(b) < 8 {
		return "", badBinary(t)
	}
	n := be.Uint32(b)
	b = b[8:]
	if uint64(n)*4 > uint64(len(b)) {
		return "", badBinary(t)
	}
	elems := make([]Value, n)
	for i := range elems {
		if len(b) < 4 {
			return "", badBinary(t)
		}
		size := be.Uint32(b)
		b = b[4:]
		if size == math.MaxUint32 {
			elems[i] = Null(T(t.Elem))
			continue
		}
		if uint64(size) > uint64(len(b)) {
			return "", badBinary(t)
		}
		e, err := ParseBinary(T(t.Elem), b[:size])
		if err != nil {
			return "", err
		}
		elems[i], b = e, b[size:]
	}
	if len(b) != 0 {
		return "", badBinary(t)
	}
	return string(AppendArrayBytes(nil, elems)), nil
}
