package fn

import (
	"strconv"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// jsonDefs is access to json and jsonb.
func jsonDefs() []Def {
	var out []Def
	for _, t := range []types.Type{tJSON, tJSONB} {
		k := t.Kind
		arrow := func(key bool) eval {
			return func(_ *Ctx, a values) (value, error) {
				raw, ok := types.JSONRaw(a[0].S, a[1].S, a[1].I, key)
				if !ok {
					return null(t)
				}
				return stored(k, raw), nil
			}
		}
		arrowText := func(key bool) eval {
			return func(_ *Ctx, a values) (value, error) {
				raw, ok := types.JSONRaw(a[0].S, a[1].S, a[1].I, key)
				return scalarText(raw, ok)
			}
		}
		path := func(_ *Ctx, a values) (value, error) {
			raw, ok, err := jsonPath(a)
			if !ok {
				return types.Null(t), err
			}
			return stored(k, raw), err
		}
		pathText := func(_ *Ctx, a values) (value, error) {
			raw, ok, err := jsonPath(a)
			if err != nil {
				return value{}, err
			}
			return scalarText(raw, ok)
		}
		n := t.String()
		length := def(n+"_array_length", args{t}, tInt4, jsonArrayLength).about("Number of elements.", n+"_array_length('[1,2,3]'::"+n+")", "3")
		kind := def(n+"_typeof", args{t}, tText, jsonTypeof).about("object, array, string, number, boolean or null.", n+"_typeof('-123.4'::"+n+")", "number")
		out = append(out, length, kind,
			def("->", args{t, tText}, t, arrow(true)).about("Field of an object.", `'{"a": {"b":"foo"}}'::`+n+` -> 'a' ->> 'b'`, "foo"),
			def("->", args{t, tInt4}, t, arrow(false)).about("Element of an array, from 0; negative from the end.", "'[1,2,3]'::"+n+" -> -1", "3"),
			def("->>", args{t, tText}, tText, arrowText(true)).about("Field of an object as text.", `'{"a":1,"b":"x"}'::`+n+` ->> 'b'`, "x"),
			def("->>", args{t, tInt4}, tText, arrowText(false)).about("Element of an array as text.", "'[1,2,3]'::"+n+" ->> 2", "3"),
			def("#>", args{t, tTextArray}, t, path).about("What a path of keys and indexes leads to.", `'{"a": {"b": ["foo","bar"]}}'::`+n+` #> '{a,b,1}'`, `"bar"`),
			def("#>>", args{t, tTextArray}, tText, pathText).about("The same as text.", `'{"a": {"b": ["foo","bar"]}}'::`+n+` #>> '{a,b,1}'`, "bar"),
			def(n+"_extract_path", args{t, tText}, t, pathArgs(path)).variadic().about("As #>, with the path as arguments.", n+`_extract_path('{"a":{"b":1}}'::`+n+`, 'a', 'b')`, "1"),
			def(n+"_extract_path_text", args{t, tText}, tText, pathArgs(pathText)).variadic().about("As #>>, with the path as arguments."))
	}
	return append(out, jsonbOpDefs()...)
}

func scalarText(raw string, ok bool) (value, error) {
	if ok {
		if s, ok := types.JSONScalarText(raw); ok {
			return text(s)
		}
	}
	return null(tText)
}

func pathArgs(f eval) eval {
	return func(ctx *Ctx, a values) (value, error) {
		return f(ctx, values{a[0], types.NewArray(types.Text, a[1:])})
	}
}

func jsonPath(a values) (raw string, ok bool, err error) {
	steps, err := types.DecodeArray(types.Text, a[1].S)
	if err != nil {
		return "", false, err
	}
	raw = a[0].S
	for _, s := range steps {
		if s.Null {
			return "", false, nil
		}
		next, ok := types.JSONRaw(raw, s.S, 0, true)
		if !ok {
			i, err := strconv.ParseInt(s.S, 10, 32)
			if err != nil {
				return "", false, nil
			}
			if next, ok = types.JSONRaw(raw, "", i, false); !ok {
				return "", false, nil
			}
		}
		raw = next
	}
	return raw, true, nil
}

func jsonArrayLength(_ *Ctx, a values) (value, error) {
	n, err := types.ParseJSON(a[0].S)
	if err != nil {
		return value{}, err
	}
	switch n.Kind {
	case '[':
		return int4(int64(len(n.Elems)))
	case '{':
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "cannot get array length of a non-array")
	}
	return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "cannot get array length of a scalar")
}

func jsonTypeof(_ *Ctx, a values) (value, error) {
	n, err := types.ParseJSON(a[0].S)
	if err != nil {
		return value{}, err
	}
	return text(types.JSONKindName(n.Kind))
}

// parsed reads two jsonb arguments.
func parsed(a values) (x, y *types.JSONNode, err error) {
	if x, err = types.ParseJSON(a[0].S); err == nil {
		y, err = types.ParseJSON(a[1].S)
	}
	return x, y, err
}

func canonical(n *types.JSONNode) (value, error) {
	b, err := n.AppendCanonical(nil)
	return stored(types.JSONB, string(b)), err
}

func jsonbOpDefs() []Def {
	two := args{tJSONB, tJSONB}
	contains := func(swap bool) eval {
		return func(_ *Ctx, a values) (value, error) {
			x, y, err := parsed(a)
			if err != nil {
				return value{}, err
			}
			if swap {
				x, y = y, x
			}
			return boolean(x.Contains(y))
		}
	}
	return []Def{
		def("@>", two, tBool, contains(false)).about("The first contains the second.", `'{"a":1, "b":2}'::jsonb @> '{"b":2}'::jsonb`, "t"),
		def("<@", two, tBool, contains(true)).about("The first is contained in the second.", `'{"b":2}'::jsonb <@ '{"a":1, "b":2}'::jsonb`, "t"),
		def("?", args{tJSONB, tText}, tBool, hasKey).about("Key or string element exists.", `'{"a":1}'::jsonb ? 'a'`, "t"),
		def("?|", args{tJSONB, tTextArray}, tBool, hasKeys(true)).about("Any of the keys exists.", `'{"a":1, "b":2}'::jsonb ?| array['b', 'd']`, "t"),
		def("?&", args{tJSONB, tTextArray}, tBool, hasKeys(false)).about("All keys exist.", `'["a", "b"]'::jsonb ?& array['a', 'b']`, "t"),
		def("||", two, tJSONB, jsonbConcat).about("Joins arrays, or objects (the second's keys win).", `'{"a": "b"}'::jsonb || '{"c": "d"}'::jsonb`, `{"a": "b", "c": "d"}`),
		def("-", args{tJSONB, tText}, tJSONB, jsonbDeleteKey).about("Without a key or string element.", `'{"a": "b", "c": "d"}'::jsonb - 'a'`, `{"c": "d"}`),
		def("-", args{tJSONB, tInt4}, tJSONB, jsonbDeleteIndex).about("Without an element.", `'["a", "b"]'::jsonb - 1`, `["a"]`),
		def("jsonb_exists", args{tJSONB, tText}, tBool, hasKey).about("As the ? operator."),
		def("jsonb_pretty", args{tJSONB}, tText, func(_ *Ctx, a values) (value, error) {
			n, err := types.ParseJSON(a[0].S)
			if err != nil {
				return value{}, err
			}
			b, err := pretty(nil, n, "")
			return types.NewText(string(b)), err
		}).about("Indented text.", `jsonb_pretty('[1]'::jsonb)`, "[\n    1\n]"),
	}
}

func keyExists(n *types.JSONNode, key string) bool {
	if n.Kind == '"' {
		return n.Str == key
	}
	if n.Kind == '[' {
		for _, e := range n.Elems {
			if e.Kind == '"' && e.Str == key {
				return true
			}
		}
	}
	return n.Field(key) != nil
}

func hasKey(_ *Ctx, a values) (value, error) {
	n, err := types.ParseJSON(a[0].S)
	if err != nil {
		return value{}, err
	}
	return boolean(keyExists(n, a[1].S))
}

func hasKeys(any bool) eval {
	return func(_ *Ctx, a values) (value, error) {
		n, err := types.ParseJSON(a[0].S)
		if err != nil {
			return value{}, err
		}
		keys, err := types.DecodeArray(types.Text, a[1].S)
		if err != nil {
			return value{}, err
		}
		for _, k := range keys {
			if !k.Null && keyExists(n, k.S) == any {
				return boolean(any)
			}
		}
		return boolean(!any)
	}
}

func jsonbConcat(_ *Ctx, a values) (value, error) {
	x, y, err := parsed(a)
	if err != nil {
		return value{}, err
	}
	if x.Kind == '{' && y.Kind == '{' {
		return canonical(&types.JSONNode{Kind: '{', Keys: append(x.Keys, y.Keys...), Elems: append(x.Elems, y.Elems...)})
	}
	out := &types.JSONNode{Kind: '['}
	for _, n := range []*types.JSONNode{x, y} {
		if n.Kind == '[' {
			out.Elems = append(out.Elems, n.Elems...)
		} else {
			out.Elems = append(out.Elems, n)
		}
	}
	return canonical(out)
}

func jsonbDeleteKey(_ *Ctx, a values) (value, error) {
	n, err := types.ParseJSON(a[0].S)
	if err != nil {
		return value{}, err
	}
	if n.Kind != '{' && n.Kind != '[' {
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "cannot delete from scalar")
	}
	out := &types.JSONNode{Kind: n.Kind}
	for i, e := range n.Elems {
		if n.Kind == '{' {
			if n.Keys[i] == a[1].S {
				continue
			}
			out.Keys = append(out.Keys, n.Keys[i])
		} else if e.Kind == '"' && e.Str == a[1].S {
			continue
		}
		out.Elems = append(out.Elems, e)
	}
	return canonical(out)
}

func jsonbDeleteIndex(_ *Ctx, a values) (value, error) {
	n, err := types.ParseJSON(a[0].S)
	if err != nil {
		return value{}, err
	}
	switch n.Kind {
	case '{':
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "cannot delete from object using integer index")
	case '[':
	default:
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "cannot delete from scalar")
	}
	i := a[1].I
	if i < 0 {
		i += int64(len(n.Elems))
	}
	if i >= 0 && i < int64(len(n.Elems)) {
		n.Elems = append(n.Elems[:i], n.Elems[i+1:]...)
	}
	return canonical(n)
}

func pretty(b []byte, n *types.JSONNode, indent string) ([]byte, error) {
	if n.Kind != '{' && n.Kind != '[' {
		return n.AppendCanonical(b)
	}
	var err error
	b = append(b, n.Kind)
	for i, e := range n.Elems {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\n"+indent+"    "...)
		if n.Kind == '{' {
			b = append(types.AppendJSONString(b, n.Keys[i]), ": "...)
		}
		if b, err = pretty(b, e, indent+"    "); err != nil {
			return b, err
		}
	}
	return append(append(b, "\n"+indent...), n.Kind+2), nil
}
