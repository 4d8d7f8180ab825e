package codec

import (
	"encoding/json"
	"errors"

	"github.com/vigil-sql/vigil/executor/types"
)

// arrayDepthMax is Postgres' limit of an array's dimensions.
const arrayDepthMax = 6

var errArrayDepth = errors.New("too many dimensions")

// appendArrayLiteral writes a JSON array as Postgres' array literal, whose elements the column's type then reads: ["a", null] as
// {"a",NULL}. Elements of JSON arrays stay JSON.
func appendArrayLiteral(dst, raw []byte, elem types.Kind, depth int) ([]byte, error) {
	if depth == arrayDepthMax {
		return nil, errArrayDepth
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		isJSON := elem == types.JSON || elem == types.JSONB
		switch {
		case item[0] == 'n' && !isJSON:
			dst = append(dst, "NULL"...)
		case item[0] == '"' && !isJSON:
			var s string
			if err := json.Unmarshal(item, &s); err != nil {
				return nil, err
			}
			dst = appendQuotedElement(dst, s)
		case item[0] == '[' && !isJSON:
			var err error
			if dst, err = appendArrayLiteral(dst, item, elem, depth+1); err != nil {
				return nil, err
			}
		default:
			dst = appendQuotedElement(dst, string(item))
		}
	}
	return append(dst, '}'), nil
}

func appendQuotedElement(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}
