package worker

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// fault is why a row has no value: an error of this row alone, or a broken limit, which ends the batch.
type fault struct {
	limit wire.Limit // "" for an error
	code  sqlerr.Code
	text  string
	line  int
}

func (f *fault) Error() string { return f.text + string(f.limit) }

func tooLong() error { return &fault{limit: wire.OutputLimit} }

func mismatch(t types.Type, v goja.Value) error {
	return &fault{code: sqlerr.DatatypeMismatch, text: fmt.Sprintf("function returned %s where %s is expected", describeType(v), t)}
}

func describeType(v goja.Value) string {
	if o, ok := v.(*goja.Object); ok {
		switch o.ExportType() {
		case dateType:
			return "a Date"
		case bytesType, bufferType:
			return "bytes"
		}
		return "an object of class " + o.ClassName()
	}
	switch {
	case goja.IsString(v):
		return "a string"
	case goja.IsBigInt(v):
		return "a BigInt"
	case goja.IsNumber(v):
		return "the number " + v.String()
	}
	if _, ok := v.(*goja.Symbol); ok {
		return "a symbol"
	}
	return "a boolean"
}

var (
	dateType   = reflect.TypeFor[time.Time]()
	bytesType  = reflect.TypeFor[[]byte]()
	bufferType = reflect.TypeFor[goja.ArrayBuffer]()
)

// result converts what a function returned to the carrier of t. Objects may run code of the user while they are read.
func (r *realm) result(v goja.Value, t types.Type) (types.Value, error) {
	carrier, _ := wire.Carrier(t)
	out := types.Value{Type: carrier}
	if v == nil || goja.IsNull(v) || goja.IsUndefined(v) {
		out.Null = true
		return out, nil
	}
	var err error
	switch t.Kind {
	case types.Bool:
		b, ok := v.Export().(bool)
		if _, object := v.(*goja.Object); object || !ok {
			return out, mismatch(t, v)
		}
		if b {
			out.I = 1
		}
	case types.Int2, types.Int4, types.Int8, types.OID:
		out.I, err = integer(v, t)
	case types.Float4, types.Float8, types.Interval:
		out.F, err = number(v, t)
	case types.Date, types.Timestamp, types.TimestampTZ:
		out.I, err = r.instant(v, t)
	case types.Bytea:
		out.S, err = r.octets(v, t)
	case types.JSON, types.JSONB:
		return r.json(v, out)
	case types.Array:
		out.S, err = r.list(v, t)
	default:
		out.S, err = r.text(v, t)
	}
	if err == nil && int64(len(out.S)) > r.output {
		err = tooLong()
	}
	return out, err
}

// primitive returns the Go value of a primitive, nil for objects, whose Export may run code or build something huge.
func primitive(v goja.Value) any {
	if _, object := v.(*goja.Object); object || goja.IsString(v) {
		return nil
	}
	return v.Export()
}

func integer(v goja.Value, t types.Type) (int64, error) {
	lo, hi := types.IntRange(t.Kind)
	var i int64
	switch x := primitive(v).(type) {
	case int64:
		// A number beyond this may have lost digits before it came here.
		if i = x; x > exactMax || x < -exactMax {
			return 0, inexact(v, t)
		}
	case float64:
		if x != math.Trunc(x) || math.Abs(x) > exactMax {
			return 0, inexact(v, t)
		}
		i = int64(x)
	case *big.Int:
		if !x.IsInt64() {
			return 0, rangeFault(t)
		}
		i = x.Int64()
	default:
		return 0, mismatch(t, v)
	}
	if i < lo || i > hi {
		return 0, rangeFault(t)
	}
	return i, nil
}

// exactMax is Number.MAX_SAFE_INTEGER.
const exactMax = 1<<53 - 1

func inexact(v goja.Value, t types.Type) error {
	return &fault{code: sqlerr.NumericValueOutOfRange, text: fmt.Sprintf("function returned %s where %s is expected", v.String(), t)}
}

func rangeFault(t types.Type) error {
	return &fault{code: sqlerr.NumericValueOutOfRange, text: t.String() + " out of range"}
}

func number(v goja.Value, t types.Type) (float64, error) {
	switch x := primitive(v).(type) {
	case int64:
		return float64(x), nil
	case float64:
		return x, nil
	}
	return 0, mismatch(t, v)
}

// text converts strings, and for text types numbers, booleans and Dates too. Numbers become numeric by their text.
func (r *realm) text(v goja.Value, t types.Type) (string, error) {
	if s, ok := v.(goja.String); ok {
		if int64(s.Length()) > r.output {
			return "", tooLong()
		}
		out := s.String()
		if strings.IndexByte(out, 0) >= 0 {
			return "", &fault{code: sqlerr.CharacterNotInRepertoire, text: "invalid byte sequence for encoding \"UTF8\": 0x00"}
		}
		return strings.ToValidUTF8(out, "\uFFFD"), nil
	}
	switch x := primitive(v).(type) {
	case int64, float64:
		if t.Kind == types.Numeric || t.Kind.IsText() {
			return v.String(), nil
		}
	case *big.Int:
		// Bits bound the digits before they are made.
		if t.Kind == types.Numeric || t.Kind.IsText() {
			if int64(x.BitLen()/4) > r.output {
				return "", tooLong()
			}
			return x.String(), nil
		}
	case bool:
		if t.Kind.IsText() {
			return strconv.FormatBool(x), nil
		}
	}
	if o, ok := v.(*goja.Object); ok && t.Kind.IsText() && o.ExportType() == dateType {
		if d, ok := o.Export().(time.Time); ok {
			return d.UTC().Format("2006-01-02T15:04:05.000Z"), nil
		}
		return "", invalidDate()
	}
	return "", mismatch(t, v)
}

func invalidDate() error {
	return &fault{code: sqlerr.DatetimeFieldOverflow, text: "function returned an invalid Date"}
}

// instant returns microseconds since 1970, or days for date.
func (r *realm) instant(v goja.Value, t types.Type) (int64, error) {
	o, ok := v.(*goja.Object)
	if !ok || o.ExportType() != dateType {
		return 0, mismatch(t, v)
	}
	d, ok := o.Export().(time.Time)
	if !ok {
		return 0, invalidDate()
	}
	ms := d.UnixMilli()
	if t.Kind == types.Date {
		return floorDiv(ms, msPerDay), nil
	}
	// A Date that came in with microseconds and was not moved goes out with them.
	if m := o.Get("micros"); m != nil && goja.IsBigInt(m) {
		if b, ok := m.Export().(*big.Int); ok && b.IsInt64() && floorDiv(b.Int64(), microsPerMS) == ms {
			return b.Int64(), nil
		}
	}
	return ms * microsPerMS, nil
}

func floorDiv(a, b int64) int64 {
	if q := a / b; a%b >= 0 {
		return q
	}
	return a/b - 1
}

func (r *realm) octets(v goja.Value, t types.Type) (string, error) {
	o, ok := v.(*goja.Object)
	if !ok {
		return "", mismatch(t, v)
	}
	var b []byte
	switch o.ExportType() {
	case bytesType:
		b, _ = o.Export().([]byte)
	case bufferType:
		if a, ok := o.Export().(goja.ArrayBuffer); ok {
			b = a.Bytes()
		}
	default:
		return "", mismatch(t, v)
	}
	if int64(len(b)) > r.output {
		return "", tooLong()
	}
	return string(b), nil
}

func (r *realm) json(v goja.Value, out types.Value) (types.Value, error) {
	s, err := r.stringify(goja.Undefined(), v)
	if err != nil {
		return out, err
	}
	text, ok := s.(goja.String)
	if !ok { // a function or a symbol
		out.Null = true
		return out, nil
	}
	if int64(text.Length()) > r.output {
		return out, tooLong()
	}
	if out.S = strings.ToValidUTF8(text.String(), "\uFFFD"); int64(len(out.S)) > r.output {
		return out, tooLong()
	}
	return out, nil
}

// list converts an Array: its elements' carriers in the stored form of an array.
func (r *realm) list(v goja.Value, t types.Type) (string, error) {
	o, ok := v.(*goja.Object)
	if !ok || o.ClassName() != "Array" {
		return "", mismatch(t, v)
	}
	n := o.Get("length").ToInteger()
	if n < 0 || n > r.output {
		return "", tooLong()
	}
	var elems []types.Value
	size := int64(0)
	for i := range int(n) {
		e, err := r.result(o.Get(strconv.Itoa(i)), types.T(t.Elem))
		if err != nil {
			return "", err
		}
		if size += int64(len(e.S)) + 2; size > r.output {
			return "", tooLong()
		}
		elems = append(elems, e)
	}
	return string(types.AppendArrayBytes(nil, elems)), nil
}
