package codec

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/vigil-sql/vigil/executor/types"
)

// AppendJSONRow appends a row as a JSON object: numbers as numbers, timestamps in ISO 8601 with Z, jsonb as it is, NULL as
// null. Numbers are exact; a reader that keeps them in doubles may round large ones.
func AppendJSONRow(dst []byte, cols []types.Column, row []types.Value) []byte {
	dst = append(dst, '{')
	for i := range row {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSONText(dst, cols[i].Name)
		dst = append(dst, ':')
		dst = AppendJSONValue(dst, row[i])
	}
	return append(dst, '}')
}

// AppendJSONValue appends a value as AppendJSONRow does.
func AppendJSONValue(dst []byte, v types.Value) []byte {
	if v.Null {
		return append(dst, "null"...)
	}
	switch v.Type.Kind {
	case types.Bool:
		return strconv.AppendBool(dst, v.I != 0)
	case types.Int2, types.Int4, types.Int8, types.OID:
		return strconv.AppendInt(dst, v.I, 10)
	case types.Float4, types.Float8:
		if math.IsNaN(v.F) || math.IsInf(v.F, 0) {
			break
		}
		return types.AppendText(dst, v, nil)
	case types.Numeric:
		if v.S == "NaN" || v.S == "Infinity" || v.S == "-Infinity" {
			break
		}
		return append(dst, v.S...)
	case types.JSON, types.JSONB:
		return append(dst, v.S...)
	case types.TimestampTZ:
		if v.I == int64(types.MinTime) || v.I == int64(types.MaxTime) {
			break
		}
		dst = append(dst, '"')
		dst = time.UnixMicro(v.I).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
		return append(dst, '"')
	case types.Array:
		if elems, err := types.DecodeArray(v.Type.Elem, v.S); err == nil {
			dst = append(dst, '[')
			for i, e := range elems {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = AppendJSONValue(dst, e)
			}
			return append(dst, ']')
		}
	}
	return AppendJSONText(dst, string(types.AppendText(nil, v, nil)))
}

// AppendJSONText appends a string.
func AppendJSONText(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return append(dst, `""`...) // strings always marshal
	}
	return append(dst, b...)
}
