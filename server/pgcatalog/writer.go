package pgcatalog

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/types"
)

// writer builds rows of one relation by column name.
type writer struct {
	rel  *relation
	emit func([]types.Value) error
	row  []types.Value
}

// fields are the values of a row by column: string, bool, int, int64, uint32, types.EventTime, []string, []int64 or
// types.Value. Columns that are not named are NULL, or zero where NULL is not allowed.
type fields map[string]any

// add emits one row.
func (w *writer) add(f fields) error {
	row := w.rel.blank()
	for name, v := range f {
		i, ok := w.rel.index[name]
		if !ok {
			return fmt.Errorf("pgcatalog: %s has no column %s", w.rel.name, name)
		}
		x, err := toValue(v, row[i].Type)
		if err != nil {
			return fmt.Errorf("pgcatalog: %s.%s: %w", w.rel.name, name, err)
		}
		row[i] = x
	}
	return w.emit(row)
}

// toValue makes a value of type t.
func toValue(v any, t types.Type) (types.Value, error) {
	x := types.Value{Type: t}
	phys := types.PhysInt
	switch v := v.(type) {
	case types.Value:
		return v, nil
	case nil:
		return types.Null(t), nil
	case string:
		x.S, phys = v, types.PhysBytes
	case byte:
		x.S, phys = string(rune(v)), types.PhysBytes
	case bool:
		if t.Kind == types.Varchar {
			return types.Value{Type: t, S: map[bool]string{true: "YES", false: "NO"}[v]}, nil
		}
		x = types.NewBool(v)
	case int:
		x.I = int64(v)
	case int32:
		x.I = int64(v)
	case int64:
		x.I = v
	case uint32:
		x.I = int64(v)
	case types.EventTime:
		x.I = int64(v)
	case float64:
		x.F, phys = v, types.PhysFloat
	case []string:
		elems := make([]types.Value, len(v))
		for i, s := range v {
			elems[i] = types.NewBytes(t.Elem, s)
		}
		x.S, phys = string(types.AppendArrayBytes(nil, elems)), types.PhysBytes
	case []int64:
		elems := make([]types.Value, len(v))
		for i, n := range v {
			elems[i] = types.NewInt(t.Elem, n)
		}
		x.S, phys = string(types.AppendArrayBytes(nil, elems)), types.PhysBytes
	default:
		return x, fmt.Errorf("no value from %T", v)
	}
	if phys != t.Phys() {
		return x, fmt.Errorf("%T does not fit %s", v, t)
	}
	return x, nil
}
