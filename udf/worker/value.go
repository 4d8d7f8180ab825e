package worker

import (
	"math"
	"math/big"

	"github.com/dop251/goja"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// argument returns row i of v as a JavaScript value. The error is a JavaScript exception or a broken limit.
func (r *realm) argument(v *batch.Vec, i int) (goja.Value, error) {
	if v.IsNull(i) {
		return goja.Null(), nil
	}
	switch v.Type.Phys() {
	case types.PhysInt:
		return r.intArgument(v.Type.Kind, v.I64[i])
	case types.PhysFloat:
		return r.rt.ToValue(v.F64[i]), nil
	}
	return r.bytesArgument(v.Type, string(v.Bytes(i)))
}

// scalar is argument for an element of an array.
func (r *realm) scalar(v types.Value) (goja.Value, error) {
	if v.Null {
		return goja.Null(), nil
	}
	switch v.Type.Phys() {
	case types.PhysInt:
		return r.intArgument(v.Type.Kind, v.I)
	case types.PhysFloat:
		return r.rt.ToValue(v.F), nil
	}
	return r.bytesArgument(v.Type, v.S)
}

const (
	msPerDay    = 86400 * 1000
	msMax       = 8640000000000000 // the ends of JavaScript's time
	microsPerMS = 1000
)

func (r *realm) intArgument(k types.Kind, x int64) (goja.Value, error) {
	switch k {
	case types.Bool:
		return r.rt.ToValue(x != 0), nil
	case types.Int8:
		return r.rt.ToValue(big.NewInt(x)), nil
	case types.Date:
		return r.newDate(x, msPerDay)
	case types.Timestamp, types.TimestampTZ:
		ms := x / microsPerMS
		if x%microsPerMS < 0 {
			ms--
		}
		d, err := r.newDate(ms, 1)
		if err != nil {
			return nil, err
		}
		err = d.DefineDataProperty("micros", r.rt.ToValue(big.NewInt(x)), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
		return d, err
	}
	return r.rt.ToValue(x), nil
}

// newDate returns the Date of n units of unit milliseconds; what JavaScript cannot express, infinity too, is an invalid Date.
func (r *realm) newDate(n, unit int64) (*goja.Object, error) {
	ms := math.NaN()
	if n >= -msMax/unit && n <= msMax/unit {
		ms = float64(n * unit)
	}
	return r.rt.New(r.date, r.rt.ToValue(ms))
}

// bytesArgument converts the stored form of a value that is laid out as bytes.
func (r *realm) bytesArgument(t types.Type, s string) (goja.Value, error) {
	switch t.Kind {
	case types.Bytea:
		return r.newBytes([]byte(s))
	case types.JSON, types.JSONB:
		return r.parse(goja.Undefined(), r.rt.ToValue(s))
	case types.Interval:
		iv, err := types.DecodeInterval(s)
		if err != nil {
			return nil, err
		}
		return r.rt.ToValue(float64(iv.Span()) / microsPerMS), nil
	case types.Inet, types.CIDR, types.UUID:
		return r.rt.ToValue(string(types.AppendText(nil, types.Value{Type: t, S: s}, nil))), nil
	case types.Array:
		elems, err := types.DecodeArray(t.Elem, s)
		if err != nil {
			return nil, err
		}
		items := make([]any, len(elems))
		for i := range elems {
			if items[i], err = r.scalar(elems[i]); err != nil {
				return nil, err
			}
		}
		return r.rt.NewArray(items...), nil
	}
	return r.rt.ToValue(s), nil
}

// newBytes returns a Uint8Array that owns b.
func (r *realm) newBytes(b []byte) (*goja.Object, error) {
	return r.rt.New(r.bytes, r.rt.ToValue(r.rt.NewArrayBuffer(b)))
}
