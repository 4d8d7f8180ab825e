package fn

import (
	"strconv"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// change is what setPath does at the end of a path.
type change uint8

const (
	replaceOnly change = iota
	replaceOrAdd
	insertBefore
	insertAfter
	deleteIt
)

func (c change) adds() bool { return c == replaceOrAdd || c == insertBefore || c == insertAfter }

func jsonChangeDefs() []Def {
	path := args{tJSONB, tTextArray, tJSONB}
	withFlag := args{tJSONB, tTextArray, tJSONB, tBool}
	set := func(_ *Ctx, a values) (value, error) {
		op := replaceOrAdd
		if len(a) > 3 && a[3].I == 0 {
			op = replaceOnly
		}
		return changePath(a, op)
	}
	insert := func(_ *Ctx, a values) (value, error) {
		op := insertBefore
		if len(a) > 3 && a[3].I != 0 {
			op = insertAfter
		}
		return changePath(a, op)
	}
	lax := func(n int) Def {
		return def("jsonb_set_lax", append(withFlag[:4:4], tText)[:n], tJSONB, setLax).onNull()
	}
	out := []Def{
		def("jsonb_set", path, tJSONB, set).about("With the value at a path replaced, or added where only the last step is missing.",
			`jsonb_set('[{"f1":1,"f2":null},2]'::jsonb, '{0,f1}', '[2,3,4]')`, `[{"f1": [2, 3, 4], "f2": null}, 2]`),
		def("jsonb_set", withFlag, tJSONB, set).about("The last argument tells whether to add.", `jsonb_set('{"a":1}'::jsonb, '{b}', '2', false)`, `{"a": 1}`),
		def("jsonb_insert", path, tJSONB, insert).about("With a value put before the element at a path, or under a new key.",
			`jsonb_insert('{"a": [0,1,2]}'::jsonb, '{a, 1}', '"new"')`, `{"a": [0, "new", 1, 2]}`),
		def("jsonb_insert", withFlag, tJSONB, insert).about("The last argument tells whether to put it after the element.",
			`jsonb_insert('{"a": [0,1,2]}'::jsonb, '{a, 1}', '"new"', true)`, `{"a": [0, 1, "new", 2]}`),
		lax(3).about("As jsonb_set; NULL becomes JSON's null.", `jsonb_set_lax('{"a":1}'::jsonb, '{a}', NULL)`, `{"a": null}`),
		lax(4).about("As jsonb_set with a flag; NULL becomes JSON's null."),
		lax(5).about("The last argument tells what NULL does: raise_exception, use_json_null, delete_key or return_target.",
			`jsonb_set_lax('{"a":1}'::jsonb, '{a}', NULL, true, 'delete_key')`, `{}`),
		def("#-", args{tJSONB, tTextArray}, tJSONB, func(_ *Ctx, a values) (value, error) { return changePath(a, deleteIt) }).
			about("Without what a path leads to.", `'["a", {"b":1}]'::jsonb #- '{1,b}'`, `["a", {}]`),
		def("-", args{tJSONB, tTextArray}, tJSONB, deleteKeys).about("Without the keys or string elements.", `'{"a": "b", "c": "d"}'::jsonb - '{a,c}'::text[]`, `{}`),
		def("jsonb_exists_any", args{tJSONB, tTextArray}, tBool, hasKeys(true)).about("As the ?| operator."),
		def("jsonb_exists_all", args{tJSONB, tTextArray}, tBool, hasKeys(false)).about("As the ?& operator."),
		def("json_strip_nulls", args{tJSON}, tJSON, func(_ *Ctx, a values) (value, error) {
			n, err := types.ParseJSON(a[0].S)
			if err != nil {
				return value{}, err
			}
			return stored(types.JSON, string(appendPlain(nil, stripNulls(n)))), nil
		}).about("Without fields that are null.", `json_strip_nulls('[{"f1":1, "f2":null}, 2, null]'::json)`, `[{"f1":1},2,null]`),
		def("jsonb_strip_nulls", args{tJSONB}, tJSONB, func(_ *Ctx, a values) (value, error) {
			n, err := types.ParseJSON(a[0].S)
			if err != nil {
				return value{}, err
			}
			return canonical(stripNulls(n))
		}).about("Without fields that are null.", `jsonb_strip_nulls('[{"f1":1, "f2":null}, 2, null]'::jsonb)`, `[{"f1": 1}, 2, null]`),
	}
	for _, t := range []types.Type{tJSON, tJSONB} {
		f := jsonObject
		if t.Kind == types.JSONB {
			f = toB(jsonObject)
		}
		n := t.String() + "_object"
		out = append(out,
			def(n, args{tTextArray}, t, f).about("An object of alternating keys and texts.", n+"('{a, 1, b, \"def\"}')::text", map[bool]string{true: `{"a": "1", "b": "def"}`, false: `{"a" : "1", "b" : "def"}`}[t == tJSONB]),
			def(n, args{tTextArray, tTextArray}, t, f).about("An object of keys and texts."))
	}
	return out
}

// changePath does op at a path of a jsonb; a[2] is the new value.
func changePath(a values, op change) (value, error) {
	n, err := types.ParseJSON(a[0].S)
	if err != nil {
		return value{}, err
	}
	steps, err := types.DecodeArray(types.Text, a[1].S)
	if err != nil {
		return value{}, err
	}
	if n.Kind != '{' && n.Kind != '[' {
		if op == deleteIt {
			return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "cannot delete path in scalar")
		}
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "cannot set path in scalar")
	}
	if len(steps) == 0 || len(n.Elems) == 0 && (op == replaceOnly || op == deleteIt) {
		return a[0], nil
	}
	p := pathChange{steps: steps, op: op}
	if op != deleteIt {
		if p.new, err = types.ParseJSON(a[2].S); err != nil {
			return value{}, err
		}
	}
	if n, err = p.apply(n, 0); err != nil {
		return value{}, err
	}
	return canonical(n)
}

// pathChange is a change on its way down a path.
type pathChange struct {
	steps values
	new   *types.JSONNode
	op    change
}

func (p *pathChange) apply(n *types.JSONNode, level int) (*types.JSONNode, error) {
	if level == len(p.steps) || n.Kind != '{' && n.Kind != '[' {
		return n, nil
	}
	if p.steps[level].Null {
		return nil, sqlerr.New(sqlerr.NullValueNotAllowed, "path element at position %d is null", level+1)
	}
	if n.Kind == '{' {
		return p.object(n, level)
	}
	return p.array(n, level)
}

func (p *pathChange) object(n *types.JSONNode, level int) (*types.JSONNode, error) {
	key, last := p.steps[level].S, level == len(p.steps)-1
	out := &types.JSONNode{Kind: '{'}
	found := false
	for i, e := range n.Elems {
		if n.Keys[i] == key {
			found = true
			switch {
			case last && p.op == deleteIt:
				continue
			case last && (p.op == insertBefore || p.op == insertAfter):
				return nil, sqlerr.New(sqlerr.InvalidParameterValue, "cannot replace existing key").
					WithHint("Try using the function jsonb_set to replace key value.")
			case last:
				e = p.new
			default:
				var err error
				if e, err = p.apply(e, level+1); err != nil {
					return nil, err
				}
			}
		}
		out.Keys, out.Elems = append(out.Keys, n.Keys[i]), append(out.Elems, e)
	}
	if !found && last && p.op.adds() {
		out.Keys, out.Elems = append(out.Keys, key), append(out.Elems, p.new)
	}
	return out, nil
}

func (p *pathChange) array(n *types.JSONNode, level int) (*types.JSONNode, error) {
	last, size := level == len(p.steps)-1, int64(len(n.Elems))
	at, err := strconv.ParseInt(p.steps[level].S, 10, 32)
	if err != nil {
		return nil, sqlerr.New(sqlerr.InvalidTextRepresentation, "path element at position %d is not an integer: \"%s\"", level+1, p.steps[level].S)
	}
	if at < 0 {
		at += size // before the first it stays negative
	}
	out := &types.JSONNode{Kind: '['}
	add := last && p.op.adds()
	if add && (at < 0 || size == 0) {
		out.Elems, add = append(out.Elems, p.new), false
	}
	for i, e := range n.Elems {
		if int64(i) != at {
			out.Elems = append(out.Elems, e)
			continue
		}
		add = false
		if !last {
			if e, err = p.apply(e, level+1); err != nil {
				return nil, err
			}
			out.Elems = append(out.Elems, e)
			continue
		}
		switch p.op {
		case insertBefore:
			out.Elems = append(out.Elems, p.new, e)
		case insertAfter:
			out.Elems = append(out.Elems, e, p.new)
		case replaceOnly, replaceOrAdd:
			out.Elems = append(out.Elems, p.new)
		}
	}
	if add {
		out.Elems = append(out.Elems, p.new)
	}
	return out, nil
}

func setLax(_ *Ctx, a values) (value, error) {
	if a[0].Null || a[1].Null || len(a) > 3 && a[3].Null {
		return null(tJSONB)
	}
	op := replaceOrAdd
	if len(a) > 3 && a[3].I == 0 {
		op = replaceOnly
	}
	treatment := "use_json_null"
	if len(a) > 4 {
		if treatment = a[4].S; a[4].Null {
			return value{}, badTreatment()
		}
	}
	if !a[2].Null {
		switch treatment {
		case "raise_exception", "use_json_null", "delete_key", "return_target":
		}
		return changePath(a, op)
	}
	switch treatment {
	case "raise_exception":
		return value{}, sqlerr.New(sqlerr.NullValueNotAllowed, "JSON value must not be null").
			WithDetail("Exception was raised because null_value_treatment is \"raise_exception\".").
			WithHint("To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.")
	case "use_json_null":
		return changePath(values{a[0], a[1], stored(types.JSONB, "null")}, op)
	case "delete_key":
		return changePath(a[:2], deleteIt)
	case "return_target":
		return a[0], nil
	}
	return value{}, badTreatment()
}

func badTreatment() error {
	return sqlerr.New(sqlerr.InvalidParameterValue, "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"")
}

func deleteKeys(ctx *Ctx, a values) (value, error) {
	keys, err := types.DecodeArray(types.Text, a[1].S)
	if err != nil {
		return value{}, err
	}
	out := a[0]
	if len(keys) == 0 {
		keys = values{types.Null(tText)} // a scalar is refused all the same
	}
	for _, k := range keys {
		if k.Null {
			n, err := types.ParseJSON(out.S)
			if err != nil {
				return value{}, err
			}
			if n.Kind != '{' && n.Kind != '[' {
				return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "cannot delete from scalar")
			}
			continue
		}
		if out, err = jsonbDeleteKey(ctx, values{out, k}); err != nil {
			return value{}, err
		}
	}
	return out, nil
}

func stripNulls(n *types.JSONNode) *types.JSONNode {
	if n.Kind != '{' && n.Kind != '[' {
		return n
	}
	out := &types.JSONNode{Kind: n.Kind}
	for i, e := range n.Elems {
		if n.Kind == '{' {
			if e.Kind == 'n' {
				continue
			}
			out.Keys = append(out.Keys, n.Keys[i])
		}
		out.Elems = append(out.Elems, stripNulls(e))
	}
	return out
}

// appendPlain prints json without spaces.
func appendPlain(b []byte, n *types.JSONNode) []byte {
	if n.Kind != '{' && n.Kind != '[' {
		b, _ = n.AppendCanonical(b) // fails for containers only
		return b
	}
	b = append(b, n.Kind)
	for i, e := range n.Elems {
		if i > 0 {
			b = append(b, ',')
		}
		if n.Kind == '{' {
			b = append(types.AppendJSONString(b, n.Keys[i]), ':')
		}
		b = appendPlain(b, e)
	}
	return append(b, n.Kind+2)
}

func jsonObject(_ *Ctx, a values) (value, error) {
	keys, err := elements(a[0])
	if err != nil {
		return value{}, err
	}
	var vals values
	if len(a) == 2 {
		if vals, err = elements(a[1]); err != nil {
			return value{}, err
		}
		if len(keys) != len(vals) {
			return value{}, sqlerr.New("2202E", "mismatched array dimensions")
		}
	} else {
		if len(keys)%2 != 0 {
			return value{}, sqlerr.New("2202E", "array must have even number of elements")
		}
		all := keys
		keys = nil
		for i := 0; i < len(all); i += 2 {
			keys, vals = append(keys, all[i]), append(vals, all[i+1])
		}
	}
	b := []byte{'{'}
	for i, k := range keys {
		if k.Null {
			return value{}, sqlerr.New(sqlerr.NullValueNotAllowed, "null value not allowed for object key")
		}
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(types.AppendJSONString(b, k.S), " : "...)
		if vals[i].Null {
			b = append(b, "null"...)
		} else {
			b = types.AppendJSONString(b, vals[i].S)
		}
	}
	return stored(types.JSON, string(append(b, '}'))), nil
}
