package fn

import (
	"math"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// AppendJSON appends a value as to_json does: numbers and booleans bare, times in ISO 8601, arrays as arrays, json as it is,
// all else as strings; NULL is null.
func AppendJSON(ctx *Ctx, dst []byte, v value) []byte {
	if v.Null {
		return append(dst, "null"...)
	}
	switch k := v.Type.Kind; {
	case k == types.Bool:
		if v.I != 0 {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case k == types.JSON || k == types.JSONB:
		return append(dst, v.S...)
	case k.IsNumber():
		s := textOf(ctx, v)
		if s == "NaN" || s == "Infinity" || s == "-Infinity" || v.Type.Phys() == types.PhysFloat && (math.IsNaN(v.F) || math.IsInf(v.F, 0)) {
			return types.AppendJSONString(dst, s)
		}
		return append(dst, s...)
	case k == types.Array:
		return appendJSONList(ctx, dst, v)
	case k == types.Record:
		return appendJSONRow(ctx, dst, v)
	case k == types.Timestamp || k == types.TimestampTZ:
		return types.AppendJSONString(dst, isoTime(ctx, v))
	}
	return types.AppendJSONString(dst, textOf(ctx, v))
}

// isoTime prints with T between date and time, and the zone as +hh:mm.
func isoTime(ctx *Ctx, v value) string {
	s, bc := strings.CutSuffix(textOf(ctx, v), " BC")
	b := []byte(s)
	for i, c := range b {
		if c == ' ' {
			b[i] = 'T'
			break
		}
	}
	if v.Type.Kind == types.TimestampTZ && len(b) > 3 && (b[len(b)-3] == '+' || b[len(b)-3] == '-') {
		b = append(b, ":00"...)
	}
	if bc {
		b = append(b, " BC"...)
	}
	return string(b)
}

// appendJSONRow makes an object of a row; fields without a name are f1, f2, ...
func appendJSONRow(ctx *Ctx, dst []byte, v value) []byte {
	fields, names, err := types.DecodeRecordNames(v.S)
	if err != nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '{')
	for i := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		if names[i] == "" {
			names[i] = "f" + strconv.Itoa(i+1)
		}
		dst = append(types.AppendJSONString(dst, names[i]), ':')
		dst = AppendJSON(ctx, dst, fields[i])
	}
	return append(dst, '}')
}

func appendJSONList(ctx *Ctx, dst []byte, v value) []byte {
	elems, err := types.DecodeArray(v.Type.Elem, v.S)
	if err != nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '[')
	for i := range elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSON(ctx, dst, elems[i])
	}
	return append(dst, ']')
}

func jsonBuildDefs() []Def {
	toJSON := func(ctx *Ctx, a values) (value, error) {
		return stored(types.JSON, string(AppendJSON(ctx, nil, a[0]))), nil
	}
	return []Def{
		def("to_json", args{tAny}, tJSON, toJSON).alike().stable().about("Any value as json.", `to_json('Fred said "Hi."'::text)`, `"Fred said \"Hi.\""`),
		def("row_to_json", args{types.T(types.Record)}, tJSON, toJSON).stable().about("A row as a json object.", "row_to_json(row(1, 'foo'))", `{"f1":1,"f2":"foo"}`),
		def("array_to_json", args{tAnyArray}, tJSON, toJSON).alike().stable().about("An array as json.", "array_to_json('{1,5}'::int[])", "[1,5]"),
		def("to_jsonb", args{tAny}, tJSONB, func(ctx *Ctx, a values) (value, error) {
			return types.ParseText(tJSONB, string(AppendJSON(ctx, nil, a[0])), nil)
		}).alike().stable().about("Any value as jsonb.", "to_jsonb(array[1,2])", "[1, 2]"),
		def("json_build_object", args{tAny}, tJSON, buildObject).variadic().onNull().stable().
			about("An object of alternating keys and values.", "json_build_object('foo', 1, 'bar', 'x')", `{"foo" : 1, "bar" : "x"}`),
		def("json_build_object", nil, tJSON, buildObject).about("The empty object.", "json_build_object()", "{}"),
		def("json_build_array", args{tAny}, tJSON, buildArray).variadic().onNull().stable().about("An array of the arguments.", "json_build_array(1, 2, 'foo', NULL)", `[1, 2, "foo", null]`),
		def("jsonb_build_object", args{tAny}, tJSONB, toB(buildObject)).variadic().onNull().stable().
			about("An object of alternating keys and values.", "jsonb_build_object('foo', 1, 'bar', 'x')", `{"bar": "x", "foo": 1}`),
		def("jsonb_build_array", args{tAny}, tJSONB, toB(buildArray)).variadic().onNull().stable().about("An array of the arguments.", "jsonb_build_array(1, 'foo')", `[1, "foo"]`),
	}
}

// toB makes jsonb of a json result.
func toB(f eval) eval {
	return func(ctx *Ctx, a values) (value, error) {
		v, err := f(ctx, a)
		if err != nil {
			return v, err
		}
		return types.ParseText(tJSONB, v.S, nil)
	}
}

func buildObject(ctx *Ctx, a values) (value, error) {
	if len(a)%2 != 0 {
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "argument list must have even number of elements").
			WithHint("The arguments of json_build_object() must consist of alternating keys and values.")
	}
	b := []byte{'{'}
	for i := 0; i < len(a); i += 2 {
		if i > 0 {
			b = append(b, ", "...)
		}
		if a[i].Null {
			return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "argument %d cannot be null", i+1).
				WithHint("Object keys should be text.")
		}
		switch a[i].Type.Kind {
		case types.JSON, types.JSONB, types.Array, types.Record:
			return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "key value must be scalar, not array, composite, or json")
		}
		if key := AppendJSON(ctx, nil, a[i]); key[0] == '"' {
			b = append(b, key...)
		} else {
			b = types.AppendJSONString(b, string(key))
		}
		b = append(b, " : "...)
		b = AppendJSON(ctx, b, a[i+1])
	}
	return stored(types.JSON, string(append(b, '}'))), nil
}

func buildArray(ctx *Ctx, a values) (value, error) {
	b := []byte{'['}
	for i := range a {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = AppendJSON(ctx, b, a[i])
	}
	return stored(types.JSON, string(append(b, ']'))), nil
}
