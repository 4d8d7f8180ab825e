package expr

import (
	"math"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// CastValue converts a value to another type and its modifier. explicit is for CAST and ::, which cut strings that are too
// long where assignment refuses them. reg* types need a catalogue: see Cast nodes.
func CastValue(v types.Value, to types.Type, explicit bool, f *types.TextFormat) (types.Value, error) {
	if v.Null {
		return types.Null(to), nil
	}
	mod := to.Mod
	to.Mod = 0
	out, err := castPlain(v, to, f)
	if err != nil || mod == 0 {
		return out, err
	}
	return types.ApplyMod(out, mod, explicit)
}

func castPlain(v types.Value, to types.Type, f *types.TextFormat) (types.Value, error) {
	from := v.Type.Kind
	switch {
	case from == to.Kind && (from != types.Array || v.Type.Elem == to.Elem):
		v.Type = to
		return v, nil
	case from == types.Array && to.Kind == types.Array:
		return castArray(v, to, f)
	case isString(to.Kind):
		return castToString(v, to, f)
	case v.Type.Kind.IsText():
		if from == types.Char && to.Kind == types.Int4 {
			if v.S == "" {
				return types.NewInt(types.Int4, 0), nil
			}
			return types.NewInt(types.Int4, int64(int8(v.S[0]))), nil
		}
		return types.ParseText(to, v.S, f)
	}
	switch {
	case to.Kind == types.Numeric:
		return castToNumeric(v, to)
	case to.Phys() == types.PhysFloat:
		return castToFloat(v, to)
	case to.Kind == types.Timestamp || to.Kind == types.TimestampTZ || to.Kind == types.Date:
		return castTime(v, to, f)
	case to.Phys() == types.PhysInt:
		return castToInt(v, to)
	case from == types.CIDR && to.Kind == types.Inet:
		v.Type = to
		return v, nil
	case from == types.Inet && to.Kind == types.CIDR:
		return inetToCIDR(v), nil
	case from == types.JSON && to.Kind == types.JSONB:
		return types.ParseText(to, v.S, f)
	case from == types.JSONB && to.Kind == types.JSON:
		return types.Value{Type: to, S: v.S}, nil
	}
	return v, cannotCast(v.Type, to)
}

func cannotCast(from, to types.Type) error {
	return sqlerr.New(sqlerr.CannotCoerce, "cannot cast type %s to %s", from, to)
}

func castArray(v types.Value, to types.Type, f *types.TextFormat) (types.Value, error) {
	elems, err := types.DecodeArray(v.Type.Elem, v.S)
	if err != nil {
		return v, err
	}
	for i := range elems {
		if elems[i], err = CastValue(elems[i], types.T(to.Elem), true, f); err != nil {
			return v, err
		}
	}
	return types.NewArray(to.Elem, elems), nil
}

// castToString prints; boolean, inet and char(n) have casts of their own that differ from their output.
func castToString(v types.Value, to types.Type, f *types.TextFormat) (types.Value, error) {
	out := types.Value{Type: to}
	special := to.Kind != types.Name && to.Kind != types.Char // those two take the output as it is
	switch {
	case v.Type.Kind == types.Bool && special:
		out.S = "false"
		if v.I != 0 {
			out.S = "true"
		}
	case v.Type.Kind == types.BPChar:
		out.S = strings.TrimRight(v.S, " ")
	case v.Type.Kind.IsText():
		out.S = v.S
	case v.Type.Kind == types.Inet && special:
		v.Type = types.T(types.CIDR) // prints the prefix length always
		out.S = v.Text()
	case v.Type.Kind == types.Int4 && to.Kind == types.Char:
		if v.I < -128 || v.I > 127 {
			return out, sqlerr.New(sqlerr.NumericValueOutOfRange, "\"char\" out of range")
		}
		out.S = string([]byte{byte(v.I)})
		return out, nil
	default:
		out.S = string(types.AppendText(nil, v, f))
	}
	switch {
	case to.Kind == types.Char && len(out.S) > 1:
		out.S = out.S[:1]
	case to.Kind == types.Name && len(out.S) > 63:
		out.S = out.S[:63]
	}
	return out, nil
}

func castToNumeric(v types.Value, to types.Type) (types.Value, error) {
	out := types.Value{Type: to}
	switch k := v.Type.Kind; {
	case k == types.JSONB:
		s, err := jsonScalar(v.S, '0', to)
		out.S = s
		return out, err
	case k.IsInteger():
		out.S = types.NumericFromInt(v.I)
	case v.Type.Phys() == types.PhysFloat:
		out.S = types.NumericFromFloat(v.F, k == types.Float4)
	default:
		return out, cannotCast(v.Type, to)
	}
	return out, nil
}

func castToFloat(v types.Value, to types.Type) (types.Value, error) {
	out := types.Value{Type: to}
	var err error
	switch k := v.Type.Kind; {
	case k.IsInteger():
		out.F = float64(v.I)
	case v.Type.Phys() == types.PhysFloat:
		out.F = v.F
	case k == types.Numeric:
		if out.F, err = types.NumericToFloat(v.S); err != nil {
			err = sqlerr.New(sqlerr.NumericValueOutOfRange, "\"%s\" is out of range for type %s", v.S, to)
		}
	case k == types.JSONB:
		var s string
		if s, err = jsonScalar(v.S, '0', to); err == nil {
			out.F, err = types.NumericToFloat(s)
		}
	default:
		return out, cannotCast(v.Type, to)
	}
	if to.Kind == types.Float4 {
		f := float64(float32(out.F))
		if math.IsInf(f, 0) && !math.IsInf(out.F, 0) {
			return out, sqlerr.New(sqlerr.NumericValueOutOfRange, "value out of range: overflow")
		}
		out.F = f
	}
	return out, err
}

// castToInt covers integers, boolean and the oid kinds.
func castToInt(v types.Value, to types.Type) (types.Value, error) {
	out := types.Value{Type: to}
	ok := true
	switch k := v.Type.Kind; {
	case to.Kind == types.Bool && k == types.Int4:
		if v.I != 0 {
			out.I = 1
		}
		return out, nil
	case k == types.JSONB && to.Kind == types.Bool:
		s, err := jsonScalar(v.S, 't', to)
		if s == "true" {
			out.I = 1
		}
		return out, err
	case k == types.JSONB:
		s, err := jsonScalar(v.S, '0', to)
		if err != nil {
			return out, err
		}
		out.I, ok = types.NumericToInt(s)
	case k == types.Date || k == types.Timestamp || k == types.TimestampTZ || to.Kind == types.Bool:
		return out, cannotCast(v.Type, to)
	case v.Type.Phys() == types.PhysInt:
		out.I = v.I
	case v.Type.Phys() == types.PhysFloat:
		f := math.RoundToEven(v.F)
		ok = f >= -1<<63 && f < 1<<63
		out.I = int64(f)
	case k == types.Numeric:
		if v.S == "NaN" || strings.HasSuffix(v.S, "Infinity") {
			what := "NaN"
			if v.S != what {
				what = "infinity"
			}
			return out, sqlerr.New(sqlerr.FeatureNotSupported, "cannot convert %s to %s", what, to)
		}
		out.I, ok = types.NumericToInt(v.S)
	default:
		return out, cannotCast(v.Type, to)
	}
	lo, hi := types.IntRange(to.Kind)
	if lo == 0 && out.I < 0 && out.I >= math.MinInt32 {
		out.I += 1 << 32 // int4 to oid keeps the bits
	}
	if lo == math.MinInt32 && out.I > hi && out.I <= math.MaxUint32 && v.Type.Kind != types.Int8 && v.Type.Phys() == types.PhysInt {
		out.I -= 1 << 32 // and back
	}
	if !ok || out.I < lo || out.I > hi {
		return out, types.OutOfRange(to.Kind)
	}
	return out, nil
}

// jsonScalar reads jsonb text as a number ('0') or boolean ('t').
func jsonScalar(s string, want byte, to types.Type) (string, error) {
	n, err := types.ParseJSON(s)
	if err != nil {
		return "", err
	}
	kind := types.JSONKindName(n.Kind)
	if kind != types.JSONKindName(want) {
		if kind == "number" {
			kind = "numeric"
		}
		return "", sqlerr.New(sqlerr.InvalidParameterValue, "cannot cast jsonb %s to type %s", kind, to)
	}
	return s, nil
}

func inetToCIDR(v types.Value) types.Value {
	b := []byte(v.S)
	if len(b) == 0 {
		return v
	}
	bits := int(b[0])
	for i := 1; i < len(b); i++ {
		keep := min(max(bits-8*(i-1), 0), 8)
		b[i] &= ^byte(0xff >> keep)
	}
	return types.NewBytes(types.CIDR, string(b))
}

const (
	microsPerDay = int64(86_400_000_000)
	dateMin      = math.MinInt32
	dateMax      = math.MaxInt32
)

// castTime converts between date, timestamp and timestamptz; local times are those of the format's zone.
func castTime(v types.Value, to types.Type, f *types.TextFormat) (types.Value, error) {
	out := types.Value{Type: to, I: v.I}
	loc := zoneOf(f)
	switch from := v.Type.Kind; {
	case from == types.Date:
		switch v.I {
		case dateMin:
			out.I = int64(types.MinTime)
			return out, nil
		case dateMax:
			out.I = int64(types.MaxTime)
			return out, nil
		}
		if v.I > math.MaxInt64/microsPerDay-1 || v.I < math.MinInt64/microsPerDay+1 {
			return out, sqlerr.New(sqlerr.DatetimeFieldOverflow, "date out of range for timestamp")
		}
		out.I = v.I * microsPerDay
		if to.Kind == types.TimestampTZ {
			out.I = int64(types.LocalToUTC(out.I, loc))
		}
		return out, nil
	case from != types.Timestamp && from != types.TimestampTZ:
		return out, cannotCast(v.Type, to)
	}
	if t := types.EventTime(v.I); t == types.MinTime || t == types.MaxTime {
		if to.Kind == types.Date {
			out.I = dateMax
			if t == types.MinTime {
				out.I = dateMin
			}
		}
		return out, nil
	}
	if v.Type.Kind == types.TimestampTZ {
		out.I += types.ZoneOffset(types.EventTime(v.I), loc)
	}
	switch to.Kind {
	case types.TimestampTZ:
		out.I = int64(types.LocalToUTC(out.I, loc))
	case types.Date:
		out.I = floorDiv(out.I, microsPerDay)
	}
	return out, nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func zoneOf(f *types.TextFormat) *time.Location {
	if f == nil {
		return nil
	}
	return f.TimeZone
}
