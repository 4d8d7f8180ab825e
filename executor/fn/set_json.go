package fn

import (
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
			SetDef{Name: p + "_each", Args: args{t}, Cols: cols(col("key", tText), col("value", t)), Eval: jsonEach(false),
				Doc: "The fields of a JSON object."},
			SetDef{Name: p + "_each_text", Args: args{t}, Cols: cols(col("key", tText), col("value", tText)), Eval: jsonEach(true),
				Doc: "The fields of a JSON object, values as text."},
			SetDef{Name: p + "_object_keys", Args: args{t}, Cols: oneCol(p+"_object_keys", tText), Eval: jsonKeys,
				Doc: "The keys of a JSON object."},
		)
	}
	return out
}

// jsonItem is a part of a JSON value as json, jsonb or text.
func jsonItem(n *types.JSONNode, t types.Type, asText bool) (value, error) {
	if asText {
		switch n.Kind {
		case 'n':
			return types.Null(tText), nil
		case '"':
			return types.NewText(n.Str), nil
		}
	}
	b, err := n.AppendCanonical(nil)
	if asText {
		return types.NewText(string(b)), err
	}
	return stored(t.Kind, string(b)), err
}

func jsonElements(asText bool) func(*Ctx, values, func(values) error) error {
	return func(_ *Ctx, a values, emit func(values) error) error {
		n, err := types.ParseJSON(a[0].S)
		if err != nil {
			return err
		}
		if n.Kind != '[' {
			return sqlerr.New(sqlerr.InvalidParameterValue, "cannot extract elements from %s", jsonWhat(n))
		}
		for _, e := range n.Elems {
			v, err := jsonItem(e, a[0].Type, asText)
			if err != nil {
				return err
			}
			if err := emit(values{v}); err != nil {
				return err
			}
		}
		return nil
	}
}

func jsonWhat(n *types.JSONNode) string {
	switch n.Kind {
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return "a scalar"
}

func jsonEach(asText bool) func(*Ctx, values, func(values) error) error {
	return func(_ *Ctx, a values, emit func(values) error) error {
		n, err := types.ParseJSON(a[0].S)
		if err != nil {
			return err
		}
		if n.Kind != '{' {
			return sqlerr.New(sqlerr.InvalidParameterValue, "cannot call %s_each on a non-object", a[0].Type)
		}
		for i, k := range n.Keys {
			v, err := jsonItem(n.Elems[i], a[0].Type, asText)
			if err != nil {
				return err
			}
			if err := emit(values{types.NewText(k), v}); err != nil {
				return err
			}
		}
		return nil
	}
}

func jsonKeys(_ *Ctx, a values, emit func(values) error) error {
	n, err := types.ParseJSON(a[0].S)
	if err != nil {
		return err
	}
	if n.Kind != '{' {
		return sqlerr.New(sqlerr.InvalidParameterValue, "cannot call %s_object_keys on %s", a[0].Type, jsonWhat(n))
	}
	for _, k := range n.Keys {
		if err := emit(values{types.NewText(k)}); err != nil {
			return err
		}
	}
	return nil
}
