package fn

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// pathItemsMax bounds the items that a path may come to.
const pathItemsMax = 1 << 20

type items = []*types.JSONNode

// truth is a predicate's value.
type truth int

const (
	unknownTruth truth = iota - 1
	falseTruth
	trueTruth
)

// pathRun evaluates a path over one document.
type pathRun struct {
	ctx    *Ctx
	strict bool
	root   *types.JSONNode
	vars   *types.JSONNode // an object, or nil
	last   []int           // sizes of the arrays whose subscripts are being computed
	count  int
	fatal  error
}

func pathError(code sqlerr.Code, format string, args ...any) error {
	return sqlerr.New(code, format, args...)
}

// runPath evaluates a path given as text.
func runPath(ctx *Ctx, doc, path string, vars *string) (items, error) {
	p, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	r := &pathRun{ctx: ctx, strict: p.strict}
	if r.root, err = types.ParseJSON(doc); err != nil {
		return nil, err
	}
	if vars != nil {
		if r.vars, err = types.ParseJSON(*vars); err != nil {
			return nil, err
		}
		if r.vars.Kind != '{' {
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, "\"vars\" argument is not an object").
				WithDetail("Jsonpath parameters should be encoded as key-value pairs of \"vars\" object.")
		}
	}
	out, err := r.eval(p.root, r.root)
	if r.fatal != nil {
		return nil, r.fatal
	}
	return out, err
}

// stop notes an error that is the whole path's, even where a predicate would take it for unknown.
func (r *pathRun) stop(err error) error {
	r.fatal = err
	return err
}

// eval computes the items of a node; cur is what @ is.
func (r *pathRun) eval(n *pathNode, cur *types.JSONNode) (items, error) {
	if n.pred {
		switch r.test(n, cur) {
		case trueTruth:
			return items{{Kind: 't'}}, nil
		case falseTruth:
			return items{{Kind: 'f'}}, nil
		}
		return items{{Kind: 'n'}}, nil
	}
	switch n.op {
	case "$":
		return items{r.root}, nil
	case "@":
		return items{cur}, nil
	case "lit":
		return items{n.lit}, nil
	case "last":
		if len(r.last) == 0 {
			return nil, sqlerr.New(sqlerr.SyntaxError, "LAST is allowed only in array subscripts")
		}
		return items{{Kind: '0', Str: itoa(int64(r.last[len(r.last)-1] - 1))}}, nil
	case "var":
		if r.vars != nil {
			if v := r.vars.Field(n.name); v != nil {
				return items{v}, nil
			}
		}
		return nil, r.stop(sqlerr.New(sqlerr.UndefinedObject, "could not find jsonpath variable \"%s\"", n.name))
	case "+", "-", "*", "/", "%", "unary+", "unary-":
		return r.arithmetic(n, cur)
	}
	in, err := r.eval(n.kids[0], cur)
	if err != nil {
		return nil, err
	}
	var out items
	for _, item := range in {
		if out, err = r.access(n, item, cur, out); err != nil {
			return nil, err
		}
		if r.count += len(out); len(out) > pathItemsMax || r.count > 64*pathItemsMax {
			return nil, r.stop(sqlerr.New(sqlerr.ProgramLimitExceeded, "an SQL/JSON path comes to too many items").WithHint("The limit is %d.", pathItemsMax))
		}
	}
	return out, nil
}

// unwraps tells accessors that in lax mode see the elements of an array in its place.
func (n *pathNode) unwraps() bool {
	return n.op == ".key" || n.op == ".*" || n.op == "?" || n.op == "method" && n.name != "type" && n.name != "size"
}

// access applies an accessor to one item.
func (r *pathRun) access(n *pathNode, item, cur *types.JSONNode, out items) (items, error) {
	if item.Kind == '[' && !r.strict && n.unwraps() {
		var err error
		for _, e := range item.Elems {
			if out, err = r.accessOne(n, e, out); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	switch n.op {
	case "[*]":
		switch {
		case item.Kind == '[':
			return append(out, item.Elems...), nil
		case r.strict:
			return nil, pathError("22039", "jsonpath wildcard array accessor can only be applied to an array")
		}
		return append(out, item), nil
	case "[]":
		return r.subscripts(n, item, cur, out)
	case ".**":
		return r.descend(n, item, 0, out), nil
	}
	return r.accessOne(n, item, out)
}

// accessOne applies an accessor without unwrapping.
func (r *pathRun) accessOne(n *pathNode, item *types.JSONNode, out items) (items, error) {
	switch n.op {
	case ".key":
		if v := item.Field(n.name); v != nil {
			return append(out, v), nil
		}
		switch {
		case !r.strict:
			return out, nil
		case item.Kind == '{':
			return nil, pathError("2203A", "JSON object does not contain key \"%s\"", n.name)
		}
		return nil, pathError("2203A", "jsonpath member accessor can only be applied to an object")
	case ".*":
		if item.Kind == '{' {
			return append(out, item.Elems...), nil
		}
		if r.strict {
			return nil, pathError("2203C", "jsonpath wildcard member accessor can only be applied to an object")
		}
		return out, nil
	case "?":
		if r.test(n.kids[1], item) == trueTruth {
			out = append(out, item)
		}
		return out, nil
	}
	return r.method(n.name, item, out)
}

// descend adds an item and what is in it, of the levels asked for.
func (r *pathRun) descend(n *pathNode, item *types.JSONNode, level int, out items) items {
	leaf := len(item.Elems) == 0
	if level >= n.from && n.from >= 0 && (n.to < 0 || level <= n.to) || n.from < 0 && leaf {
		out = append(out, item)
	}
	if n.to >= 0 && level >= n.to || len(out) > pathItemsMax {
		return out
	}
	for _, e := range item.Elems {
		out = r.descend(n, e, level+1, out)
	}
	return out
}

func (r *pathRun) subscripts(n *pathNode, item, cur *types.JSONNode, out items) (items, error) {
	list := item.Elems
	if item.Kind != '[' {
		if r.strict {
			return nil, pathError("22039", "jsonpath array accessor can only be applied to an array")
		}
		list = items{item}
	}
	r.last = append(r.last, len(list))
	defer func() { r.last = r.last[:len(r.last)-1] }()
	for i := 1; i < len(n.kids); i += 2 {
		lo, err := r.subscript(n.kids[i], cur)
		if err != nil {
			return nil, err
		}
		hi := lo
		if n.kids[i+1] != nil {
			if hi, err = r.subscript(n.kids[i+1], cur); err != nil {
				return nil, err
			}
		}
		if r.strict && (lo < 0 || lo > hi || hi >= int64(len(list))) {
			return nil, pathError("22033", "jsonpath array subscript is out of bounds")
		}
		for k := max(lo, 0); k <= hi && k < int64(len(list)); k++ {
			out = append(out, list[k])
		}
	}
	return out, nil
}

func (r *pathRun) subscript(n *pathNode, cur *types.JSONNode) (int64, error) {
	v, err := r.eval(n, cur)
	if err != nil {
		return 0, err
	}
	if len(v) != 1 || v[0].Kind != '0' {
		return 0, pathError("22033", "jsonpath array subscript is not a single numeric value")
	}
	s, err := types.NumericTrunc(v[0].Str, 0)
	if err != nil {
		return 0, err
	}
	i, ok := types.NumericToInt(s)
	if !ok || i != int64(int32(i)) {
		return 0, pathError("22033", "jsonpath array subscript is out of integer range")
	}
	return i, nil
}

// unwrapped are the items, in lax mode with arrays replaced by their elements.
func (r *pathRun) unwrapped(n *pathNode, cur *types.JSONNode) (items, error) {
	in, err := r.eval(n, cur)
	if err != nil || r.strict {
		return in, err
	}
	var out items
	for _, v := range in {
		if v.Kind == '[' {
			out = append(out, v.Elems...)
		} else {
			out = append(out, v)
		}
	}
	return out, nil
}

func (r *pathRun) arithmetic(n *pathNode, cur *types.JSONNode) (items, error) {
	l, err := r.unwrapped(n.kids[0], cur)
	if err != nil {
		return nil, err
	}
	if op, ok := strings.CutPrefix(n.op, "unary"); ok {
		out := make(items, len(l))
		for i, v := range l {
			if v.Kind != '0' {
				return nil, pathError("2203B", "operand of unary jsonpath operator %s is not a numeric value", op)
			}
			if out[i] = v; op == "-" {
				out[i] = &types.JSONNode{Kind: '0', Str: types.NumericNeg(v.Str)}
			}
		}
		return out, nil
	}
	x, err := r.unwrapped(n.kids[1], cur)
	switch {
	case err != nil:
		return nil, err
	case len(l) != 1 || l[0].Kind != '0':
		return nil, pathError("22038", "left operand of jsonpath operator %s is not a single numeric value", n.op)
	case len(x) != 1 || x[0].Kind != '0':
		return nil, pathError("22038", "right operand of jsonpath operator %s is not a single numeric value", n.op)
	}
	f := map[string]func(a, b string) (string, error){"+": types.NumericAdd, "-": types.NumericSub, "*": types.NumericMul, "/": types.NumericDiv, "%": types.NumericRem}[n.op]
	if (n.op == "/" || n.op == "%") && types.NumericSign(x[0].Str) == 0 {
		return nil, errDivisionByZero
	}
	s, err := f(l[0].Str, x[0].Str)
	return items{{Kind: '0', Str: s}}, err
}

func (r *pathRun) method(name string, item *types.JSONNode, out items) (items, error) {
	number := func(f func(string) (string, error)) (items, error) {
		if item.Kind != '0' {
			return nil, pathError("22036", "jsonpath item method .%s() can only be applied to a numeric value", name)
		}
		s, err := f(item.Str)
		return append(out, &types.JSONNode{Kind: '0', Str: s}), err
	}
	switch name {
	case "type":
		return append(out, &types.JSONNode{Kind: '"', Str: types.JSONKindName(item.Kind)}), nil
	case "size":
		switch {
		case item.Kind == '[':
			return append(out, &types.JSONNode{Kind: '0', Str: itoa(int64(len(item.Elems)))}), nil
		case r.strict:
			return nil, pathError("22039", "jsonpath item method .size() can only be applied to an array")
		}
		return append(out, &types.JSONNode{Kind: '0', Str: "1"}), nil
	case "abs":
		return number(func(s string) (string, error) { return types.NumericAbs(s), nil })
	case "floor":
		return number(types.NumericFloor)
	case "ceiling":
		return number(types.NumericCeil)
	case "double":
		return r.double(item, out)
	}
	return r.keyvalue(item, out)
}

func (r *pathRun) double(item *types.JSONNode, out items) (items, error) {
	if item.Kind != '0' && item.Kind != '"' {
		return nil, pathError("22036", "jsonpath item method .double() can only be applied to a string or numeric value")
	}
	v, err := types.ParseText(tFloat8, item.Str, nil)
	if err != nil || v.F-v.F != 0 {
		return nil, pathError("22036", "%s argument of jsonpath item method .double() is not a valid representation of a double precision number", map[byte]string{'0': "numeric", '"': "string"}[item.Kind])
	}
	if item.Kind == '0' {
		return append(out, item), nil
	}
	return append(out, &types.JSONNode{Kind: '0', Str: types.NumericFromFloat(v.F, false)}), nil
}

// keyvalue is for the document itself: the ids of objects within are offsets into PostgreSQL's storage.
func (r *pathRun) keyvalue(item *types.JSONNode, out items) (items, error) {
	if item.Kind != '{' {
		return nil, pathError("2203C", "jsonpath item method .keyvalue() can only be applied to an object")
	}
	if item != r.root {
		return nil, sqlerr.NotSupported("keyvalue() of an object within the document in an SQL/JSON path", "Use jsonb_each.")
	}
	for i, k := range item.Keys {
		out = append(out, &types.JSONNode{Kind: '{', Keys: []string{"id", "key", "value"},
			Elems: items{{Kind: '0', Str: "0"}, {Kind: '"', Str: k}, item.Elems[i]}})
	}
	return out, nil
}
