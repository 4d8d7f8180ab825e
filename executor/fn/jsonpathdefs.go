package fn

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// test evaluates a predicate; an error within it makes it unknown.
func (r *pathRun) test(n *pathNode, cur *types.JSONNode) truth {
	switch n.op {
	case "&&":
		if l := r.test(n.kids[0], cur); l == falseTruth {
			return l
		} else if x := r.test(n.kids[1], cur); x == falseTruth || l == trueTruth {
			return x
		}
		return unknownTruth
	case "||":
		if l := r.test(n.kids[0], cur); l == trueTruth {
			return l
		} else if x := r.test(n.kids[1], cur); x == trueTruth || l == falseTruth {
			return x
		}
		return unknownTruth
	case "!":
		if l := r.test(n.kids[0], cur); l != unknownTruth {
			return 1 - l
		}
		return unknownTruth
	case "unknown":
		return truthOf(r.test(n.kids[0], cur) == unknownTruth)
	case "exists":
		v, err := r.eval(n.kids[0], cur)
		if err != nil {
			return unknownTruth
		}
		return truthOf(len(v) > 0)
	}
	return r.testPairs(n, cur)
}

func truthOf(b bool) truth {
	if b {
		return trueTruth
	}
	return falseTruth
}

// testPairs compares every item of the left with every one of the right: one that holds is enough. Strictly, one that is
// unknown makes all unknown.
func (r *pathRun) testPairs(n *pathNode, cur *types.JSONNode) truth {
	left, err := r.unwrapped(n.kids[0], cur)
	if err != nil {
		return unknownTruth
	}
	right := items{nil}
	if len(n.kids) > 1 {
		if right, err = r.unwrapped(n.kids[1], cur); err != nil {
			return unknownTruth
		}
	}
	found, failed := false, false
	for _, a := range left {
		for _, b := range right {
			switch t := r.testPair(n, a, b); {
			case t == unknownTruth && r.strict:
				return t
			case t == unknownTruth:
				failed = true
			case t == trueTruth && !r.strict:
				return t
			case t == trueTruth:
				found = true
			}
		}
	}
	if failed && !found {
		return unknownTruth
	}
	return truthOf(found)
}

func (r *pathRun) testPair(n *pathNode, a, b *types.JSONNode) truth {
	switch n.op {
	case "like_regex":
		re, err := r.ctx.patterns.get(n.name, n.flags)
		if err != nil || a.Kind != '"' {
			return unknownTruth
		}
		return truthOf(re.MatchString(a.Str))
	case "starts":
		if a.Kind != '"' || b.Kind != '"' {
			return unknownTruth
		}
		return truthOf(strings.HasPrefix(a.Str, b.Str))
	}
	kind := func(n *types.JSONNode) byte {
		if n.Kind == 'f' {
			return 't'
		}
		return n.Kind
	}
	switch {
	case kind(a) != kind(b) && (a.Kind == 'n' || b.Kind == 'n'):
		return truthOf(n.op == "!=")
	case kind(a) != kind(b) || a.Kind == '{' || a.Kind == '[':
		return unknownTruth
	}
	c := a.Compare(b)
	switch n.op {
	case "==":
		return truthOf(c == 0)
	case "!=":
		return truthOf(c != 0)
	case "<":
		return truthOf(c < 0)
	case "<=":
		return truthOf(c <= 0)
	case ">":
		return truthOf(c > 0)
	}
	return truthOf(c >= 0)
}

// jsonPathDefs are the functions over SQL/JSON paths. A path is given as text; a literal needs no cast.
func jsonPathDefs() []Def {
	var out []Def
	add := func(name string, ret types.Type, f func(items) (value, error), doc string, examples ...string) {
		e := pathCall(ret, f)
		in := args{tJSONB, tText, tJSONB, tBool}
		for n := 2; n <= 4; n++ {
			d := def(name, in[:n], ret, e).about([]string{doc, "The same with variables.", "The same; the last argument tells to answer NULL in place of an error."}[n-2])
			if n == 2 {
				d = d.about(doc, examples...)
			}
			d.Check = checkPath
			out = append(out, d)
		}
	}
	exists := func(v items) (value, error) { return boolean(len(v) > 0) }
	match := func(v items) (value, error) {
		if len(v) == 1 {
			switch v[0].Kind {
			case 't', 'f':
				return boolean(v[0].Kind == 't')
			case 'n':
				return null(tBool)
			}
		}
		return value{}, pathError("22038", "single boolean result is expected")
	}
	add("jsonb_path_exists", tBool, exists, "Whether an SQL/JSON path finds something.", `jsonb_path_exists('{"a":[1,2,3]}'::jsonb, '$.a[*] ? (@ > 2)')`, "t")
	add("jsonb_path_match", tBool, match, "The predicate that an SQL/JSON path is.", `jsonb_path_match('{"a":[1,2,3]}'::jsonb, 'exists($.a[*] ? (@ >= 2))')`, "t")
	add("jsonb_path_query_array", tJSONB, func(v items) (value, error) { return canonical(&types.JSONNode{Kind: '[', Elems: v}) },
		"What an SQL/JSON path finds, as an array.", `jsonb_path_query_array('{"a":[1,2,3]}'::jsonb, '$.a[*] ? (@ >= 2)')`, "[2, 3]")
	add("jsonb_path_query_first", tJSONB, func(v items) (value, error) {
		if len(v) == 0 {
			return null(tJSONB)
		}
		return canonical(v[0])
	}, "What an SQL/JSON path finds first.", `jsonb_path_query_first('{"a":[1,2,3]}'::jsonb, '$.a[last] * 2')`, "6")
	silent := func(f func(items) (value, error)) eval {
		e := pathCall(tBool, f)
		return func(ctx *Ctx, a values) (value, error) {
			return e(ctx, values{a[0], a[1], stored(types.JSONB, "{}"), types.NewBool(true)})
		}
	}
	two := args{tJSONB, tText}
	ops := []Def{
		def("@?", two, tBool, silent(exists)).about("Whether an SQL/JSON path finds something; NULL on an error.", `'{"a":[1,2,3]}'::jsonb @? '$.a[*] ? (@ > 2)'`, "t"),
		def("@@", two, tBool, silent(match)).about("The predicate that an SQL/JSON path is; NULL on an error.", `'{"a":[1,2,3]}'::jsonb @@ '$.a[*] > 2'`, "t"),
	}
	for _, d := range ops {
		d.Check = checkPath
		out = append(out, d)
	}
	return out
}

// checkPath reads a path that is a literal.
func checkPath(i int, v value) error {
	if i != 1 {
		return nil
	}
	_, err := parsePath(v.S)
	return err
}

// pathCall is (document, path [, variables [, silent]]).
func pathCall(ret types.Type, f func(items) (value, error)) eval {
	return func(ctx *Ctx, a values) (value, error) {
		v, err := pathItems(ctx, a)
		var out value
		if err == nil {
			out, err = f(v)
		}
		if err != nil && len(a) > 3 && a[3].I != 0 && suppressed(err) {
			return null(ret)
		}
		return out, err
	}
}

func pathItems(ctx *Ctx, a values) (items, error) {
	var vars *string
	if len(a) > 2 {
		vars = &a[2].S
	}
	return runPath(ctx, a[0].S, a[1].S, vars)
}

// suppressed are the errors that silence covers: of the document, not of the path.
func suppressed(err error) bool {
	code := string(sqlerr.As(err).Code)
	return strings.HasPrefix(code, "2203") || code == "22012"
}

func jsonPathSets() []SetDef {
	var out []SetDef
	for n := 2; n <= 4; n++ {
		out = append(out, SetDef{Name: "jsonb_path_query", Args: args{tJSONB, tText, tJSONB, tBool}[:n],
			Cols: func(args) []types.Column { return []types.Column{col("jsonb_path_query", tJSONB)} },
			Eval: pathQuery, Doc: "What an SQL/JSON path finds, a row each; then with variables, and with true in place of errors no rows."})
	}
	out[0].Examples = []SetExample{{`jsonb_path_query('{"a":[1,2,3]}'::jsonb, '$.a[*] ? (@ >= 2)')`, []string{"2", "3"}}}
	return out
}

func pathQuery(ctx *Ctx, a values, emit func(values) error) error {
	v, err := pathItems(ctx, a)
	if err != nil && len(a) > 3 && a[3].I != 0 && suppressed(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range v {
		row, err := canonical(n)
		if err == nil {
			err = emit(values{row})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
