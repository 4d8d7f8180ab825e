package fn

import (
	"encoding/json"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// jsonSets take JSON arrays and objects apart, each for json and jsonb.
func jsonSets() []SetDef {
	var out []SetDef
	for _, t := range []types.Type{tJSON, tJSONB} {
		p := t.String()
		out = append(out,
			SetDef{Name: p + "_array_elements", Args: args{t}, Cols: oneCol("value", t), Eval: jsonElements(false),
				Doc: "The elements of a JSON array."},
			SetDef{Name: p + "_array_elements_text", Args: args{t}, Cols: oneCol("value", tText), Eval: jsonElements(true),
				Doc: "The elements of a JSON array as text."},
			SetDef{Name: p + "_each", Args: args{t}, Cols: cols(col("key", tText), col("value", t)), Eval: jsonEach("_each", false),
				Doc: "The fields of a JSON object."},
			SetDef{Name: p + "_each_text", Args: args{t}, Cols: cols(col("key", tText), col("value", tText)),
				Eval: jsonEach("_each_text", true), Doc: "The fields of a JSON object, values as text."},
			SetDef{Name: p + "_object_keys", Args: args{t}, Cols: oneCol(p+"_object_keys", tText), Eval: jsonKeys,
				Doc: "The keys of a JSON object."},
		)
	}
	return out
}

// jsonPart is a field or an element: its text as json keeps it, or as jsonb prints it.
type jsonPart struct{ key, raw string }

// jsonParts takes an array or object apart. kind is '[', '{', or 0 for a scalar, which has no parts.
func jsonParts(v value) (kind byte, parts []jsonPart, err error) {
	if v.Type.Kind == types.JSON {
		return rawParts(v.S)
	}
	n, err := types.ParseJSON(v.S)
	if err != nil || n.Kind != '[' && n.Kind != '{' {
		return 0, nil, err
	}
	for i, e := range n.Elems {
		b, err := e.AppendCanonical(nil)
		if err != nil {
			return 0, nil, err
		}
		p := jsonPart{raw: string(b)}
		if n.Kind == '{' {
			p.key = n.Keys[i]
		}
		parts = append(parts, p)
	}
	return n.Kind, parts, nil
}

// rawParts keeps white space and the order and number of equal keys, as json does.
func rawParts(s string) (kind byte, parts []jsonPart, err error) {
	d := json.NewDecoder(strings.NewReader(s))
	open, err := d.Token()
	if err != nil {
		return 0, nil, badJSON(err)
	}
	delim, ok := open.(json.Delim)
	if !ok {
		return 0, nil, nil
	}
	for d.More() {
		var p jsonPart
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return 0, nil, badJSON(err)
			}
			p.key, _ = key.(string)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return 0, nil, badJSON(err)
		}
		p.raw = string(raw)
		parts = append(parts, p)
	}
	return byte(delim), parts, nil
}

func badJSON(err error) error {
	return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid input syntax for type json").WithDetail("%v", err)
}

// partValue is a part as json, jsonb or text.
func partValue(raw string, t types.Type, asText bool) value {
	if !asText {
		return stored(t.Kind, raw)
	}
	s, ok := types.JSONScalarText(raw)
	if !ok {
		return types.Null(tText)
	}
	return types.NewText(s)
}

func jsonElements(asText bool) func(*Ctx, values, func(values) error) error {
	return func(_ *Ctx, a values, emit func(values) error) error {
		kind, parts, err := jsonParts(a[0])
		if err != nil {
			return err
		}
		if kind != '[' {
			return notAnArray(a[0].Type, kind, asText)
		}
		for _, p := range parts {
			if err := emit(values{partValue(p.raw, a[0].Type, asText)}); err != nil {
				return err
			}
		}
		return nil
	}
}

func notAnArray(t types.Type, kind byte, asText bool) error {
	what := "an object"
	if kind == 0 {
		what = "a scalar"
	}
	if t.Kind == types.JSONB {
		return sqlerr.New(sqlerr.InvalidParameterValue, "cannot extract elements from %s", what)
	}
	name := "json_array_elements"
	if asText {
		name += "_text"
	}
	if kind == '{' {
		what = "a non-array"
	}
	return sqlerr.New(sqlerr.InvalidParameterValue, "cannot call %s on %s", name, what)
}

func jsonEach(name string, asText bool) func(*Ctx, values, func(values) error) error {
	return func(_ *Ctx, a values, emit func(values) error) error {
		kind, parts, err := jsonParts(a[0])
		switch {
		case err != nil:
			return err
		case kind != '{' && a[0].Type.Kind == types.JSONB:
			return sqlerr.New(sqlerr.InvalidParameterValue, "cannot call jsonb%s on a non-object", name)
		case kind == '[':
			return sqlerr.New(sqlerr.InvalidParameterValue, "cannot deconstruct an array as an object")
		case kind == 0:
			return sqlerr.New(sqlerr.InvalidParameterValue, "cannot deconstruct a scalar")
		}
		for _, p := range parts {
			if err := emit(values{types.NewText(p.key), partValue(p.raw, a[0].Type, asText)}); err != nil {
				return err
			}
		}
		return nil
	}
}

func jsonKeys(_ *Ctx, a values, emit func(values) error) error {
	kind, parts, err := jsonParts(a[0])
	if err != nil {
		return err
	}
	if kind != '{' {
		what := "an array"
		if kind == 0 {
			what = "a scalar"
		}
		return sqlerr.New(sqlerr.InvalidParameterValue, "cannot call %s_object_keys on %s", a[0].Type, what)
	}
	for _, p := range parts {
		if err := emit(values{types.NewText(p.key)}); err != nil {
			return err
		}
	}
	return nil
}
