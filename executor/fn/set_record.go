package fn

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// recordSets make rows of JSON objects; the query defines the columns.
func recordSets() []SetDef {
	var out []SetDef
	for _, t := range []types.Type{tJSON, tJSONB} {
		one, set := t.String()+"_to_record", t.String()+"_to_recordset"
		out = append(out,
			SetDef{Name: one, Args: args{t}, Doc: "The fields of a JSON object as a row: FROM " + one + "(x) AS r(a int, b text).",
				EvalRecord: func(ctx *Ctx, a values, cols []types.Column, emit func(values) error) error {
					return jsonRow(ctx, "populate_composite", a[0], cols, emit)
				}},
			SetDef{Name: set, Args: args{t}, Doc: "The objects of a JSON array as rows: FROM " + set + "(x) AS r(a int, b text).",
				EvalRecord: func(ctx *Ctx, a values, cols []types.Column, emit func(values) error) error {
					return jsonRows(ctx, set, a[0], cols, emit)
				}})
	}
	return out
}

// jsonRow makes one row of an object: a column is the field of its name.
func jsonRow(ctx *Ctx, name string, v value, cols []types.Column, emit func(values) error) error {
	kind, parts, err := jsonParts(v)
	if err != nil {
		return err
	}
	if kind != '{' {
		what := "a scalar"
		if kind == '[' {
			what = "an array"
		}
		return sqlerr.New(sqlerr.InvalidParameterValue, "cannot call %s on %s", name, what)
	}
	row := make(values, len(cols))
	for i, c := range cols {
		row[i] = types.Null(c.Type)
		for _, p := range parts {
			if p.key != c.Name { // of equal names the last counts
				continue
			}
			if row[i], err = jsonTyped(ctx, p.raw, c.Type); err != nil {
				return err
			}
		}
	}
	return emit(row)
}

func jsonRows(ctx *Ctx, name string, v value, cols []types.Column, emit func(values) error) error {
	kind, parts, err := jsonParts(v)
	if err != nil {
		return err
	}
	if kind != '[' {
		what := "a non-array"
		if kind == '{' && v.Type.Kind == types.JSON {
			what = "an object"
		}
		return sqlerr.New(sqlerr.InvalidParameterValue, "cannot call %s on %s", name, what)
	}
	for _, p := range parts {
		if !strings.HasPrefix(strings.TrimSpace(p.raw), "{") {
			return sqlerr.New(sqlerr.InvalidParameterValue, "argument of %s must be an array of objects", name)
		}
		err := jsonRow(ctx, name, value{Type: v.Type, S: p.raw}, cols, emit)
		if err != nil {
			return err
		}
	}
	return nil
}

// jsonTyped reads a JSON value as a type: JSON types take it as it is, arrays their elements, all others its text.
func jsonTyped(ctx *Ctx, raw string, t types.Type) (value, error) {
	raw = strings.TrimSpace(raw)
	switch {
	case t.Kind == types.JSON:
		return stored(types.JSON, raw), nil
	case t.Kind == types.JSONB:
		return types.ParseText(t, raw, nil)
	case raw == "null":
		return types.Null(t), nil
	case t.Kind == types.Array && strings.HasPrefix(raw, "["):
		_, parts, err := jsonParts(stored(types.JSON, raw))
		if err != nil {
			return value{}, err
		}
		elems := make(values, len(parts))
		for i, p := range parts {
			if elems[i], err = jsonTyped(ctx, p.raw, types.Type{Kind: t.Elem, Mod: t.Mod}); err != nil {
				return value{}, err
			}
		}
		return types.NewArray(t.Elem, elems), nil
	case t.Kind == types.Array && !strings.HasPrefix(raw, `"`):
		return value{}, sqlerr.New(sqlerr.InvalidTextRepresentation, "expected JSON array")
	}
	s := raw
	if strings.HasPrefix(raw, `"`) {
		s, _ = types.JSONScalarText(raw)
	}
	return types.ParseText(t, s, ctx.format())
}
