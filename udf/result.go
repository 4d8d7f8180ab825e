package udf

import (
	"bytes"
	"math"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// appendResult checks row i of res, whose layout is the carrier of t, and appends it to out as a value of t. Nothing that
// a worker says is believed: it may be in the hands of whoever wrote the function.
func appendResult(out *batch.Vec, t types.Type, res *batch.Vec, i int) error {
	if res.IsNull(i) {
		out.AppendNull()
		return nil
	}
	switch t.Kind {
	case types.Bool:
		out.AppendInt(res.I64[i] & 1)
		return nil
	case types.Int8:
		out.AppendInt(res.I64[i])
		return nil
	case types.Float8:
		out.AppendFloat(res.F64[i])
		return nil
	case types.Bytea:
		out.AppendBytes(res.Bytes(i))
		return nil
	case types.Text, types.Varchar:
		b := res.Bytes(i)
		if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
			return badText()
		}
		out.AppendBytes(b)
		return nil
	}
	v, err := landed(t, res.Value(i))
	if err == nil {
		out.AppendValue(v)
	}
	return err
}

func badText() error {
	return sqlerr.New(sqlerr.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\"")
}

// microsMin is the first instant that Postgres' timestamps hold, Julian day 0. JavaScript's time ends before Postgres'.
const (
	microsPerDay = 86400 * 1000000
	microsMin    = -210866803200000000
)

// landed turns a carrier's value into one of t.
func landed(t types.Type, v types.Value) (types.Value, error) {
	out := types.Value{Type: t, Null: v.Null, I: v.I, F: v.F}
	if v.Null {
		return types.Null(t), nil
	}
	switch t.Kind {
	case types.Bool:
		out.I &= 1
	case types.Int2, types.Int4, types.Int8, types.OID:
		if lo, hi := types.IntRange(t.Kind); v.I < lo || v.I > hi {
			return out, types.OutOfRange(t.Kind)
		}
	case types.Date:
		if v.I < microsMin/microsPerDay || v.I > math.MaxInt64/microsPerDay {
			return out, sqlerr.New(sqlerr.DatetimeFieldOverflow, "date out of range")
		}
	case types.Timestamp, types.TimestampTZ:
		if v.I < microsMin {
			return out, sqlerr.New(sqlerr.DatetimeFieldOverflow, "timestamp out of range")
		}
	case types.Float4:
		if out.F = float64(float32(v.F)); math.IsInf(out.F, 0) && !math.IsInf(v.F, 0) {
			return out, types.OutOfRange(t.Kind)
		}
	case types.Float8:
	case types.Interval:
		micros := math.Round(v.F * 1000)
		if !(math.Abs(micros) < 1<<62) {
			return out, sqlerr.New(sqlerr.DatetimeFieldOverflow, "interval out of range")
		}
		return types.NewInterval(types.IntervalValue{Micros: int64(micros)}), nil
	case types.Bytea:
		out.S = v.S
	case types.Array:
		return landedArray(t, v.S)
	default:
		if !utf8.ValidString(v.S) {
			return out, badText()
		}
		// As in Postgres, a length or precision in a function's type has no effect.
		return types.ParseText(types.T(t.Kind), v.S, nil)
	}
	return out, nil
}

// landedArray reads the stored form of an array of carriers.
func landedArray(t types.Type, s string) (types.Value, error) {
	carrier, _ := wire.Carrier(types.T(t.Elem))
	elems, err := types.DecodeArray(carrier.Kind, s)
	if err != nil {
		return types.Value{}, sqlerr.New(sqlerr.InvalidBinaryRepr, "malformed array: %v", err)
	}
	for i := range elems {
		if elems[i], err = landed(types.T(t.Elem), elems[i]); err != nil {
			return types.Value{}, err
		}
	}
	return types.NewArray(t.Elem, elems), nil
}
