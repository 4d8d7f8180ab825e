package fn

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// pathDepthMax bounds the nesting of an SQL/JSON path.
const pathDepthMax = 200

// pathNode is a part of an SQL/JSON path. Op names it: "$", "@", "last", "var", "lit", ".key", ".*", ".**", "[]", "[*]", "?",
// "method", an operator, "exists", "like_regex", "starts", "unknown". Accessors have what they are applied to as their first kid.
type pathNode struct {
	op    string
	kids  []*pathNode
	name  string          // key, variable, method, pattern
	flags string          // of like_regex, as Postgres' regular expressions have them
	lit   *types.JSONNode // of "lit"
	from  int             // of ".**": levels, -1 for the last
	to    int
	pred  bool // it is true, false or unknown
}

// sqlPath is an SQL/JSON path, read.
type sqlPath struct {
	strict bool
	root   *pathNode
}

type pathParser struct {
	s     string
	i     int
	tok   string // the token at hand; strings begin with a quote and are unescaped
	depth int
}

// parsePath reads a path.
func parsePath(s string) (p *sqlPath, err error) {
	r := &pathParser{s: s}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *sqlerr.Error:
			p, err = nil, e
		default:
			panic(e)
		}
	}()
	r.next()
	p = &sqlPath{}
	if r.tok == "strict" || r.tok == "lax" {
		p.strict = r.tok == "strict"
		r.next()
	}
	p.root = r.or()
	if r.tok != "" {
		r.fail()
	}
	return p, nil
}

// fail ends the reading; parsePath returns the error.
func (r *pathParser) fail() {
	if r.tok == "" {
		panic(sqlerr.New(sqlerr.SyntaxError, "syntax error at end of jsonpath input"))
	}
	panic(sqlerr.New(sqlerr.SyntaxError, "syntax error at or near \"%s\" of jsonpath input", strings.TrimPrefix(r.tok, `"`)))
}

func (r *pathParser) lack(what string) {
	panic(sqlerr.NotSupported(what+" in an SQL/JSON path", "docs/differences.md lists what paths have."))
}

func isPathWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

// next reads a token.
func (r *pathParser) next() {
	for r.i < len(r.s) && strings.IndexByte(" \t\n\r\f", r.s[r.i]) >= 0 {
		r.i++
	}
	if r.i >= len(r.s) {
		r.tok = ""
		return
	}
	start := r.i
	switch c := r.s[r.i]; {
	case c == '"':
		r.str()
		return
	case c >= '0' && c <= '9' || c == '.' && r.i+1 < len(r.s) && r.s[r.i+1] >= '0' && r.s[r.i+1] <= '9':
		r.number()
	case isPathWord(c) || c == '$':
		for r.i++; r.i < len(r.s) && isPathWord(r.s[r.i]); r.i++ {
		}
	default:
		n := 1
		for _, op := range []string{"**", "&&", "||", "==", "!=", "<>", "<=", ">="} {
			if strings.HasPrefix(r.s[r.i:], op) {
				n = 2
			}
		}
		r.i += n
	}
	r.tok = r.s[start:r.i]
}

func (r *pathParser) str() {
	for j := r.i + 1; j < len(r.s); j++ {
		switch r.s[j] {
		case '\\':
			j++
		case '"':
			n, err := types.ParseJSON(r.s[r.i : j+1])
			if err != nil || n.Kind != '"' {
				r.tok = r.s[r.i : j+1]
				r.fail()
			}
			r.i, r.tok = j+1, `"`+n.Str
			return
		}
	}
	r.tok = r.s[r.i:]
	r.fail()
}

func (r *pathParser) number() {
	digits := func() {
		for r.i < len(r.s) && r.s[r.i] >= '0' && r.s[r.i] <= '9' {
			r.i++
		}
	}
	digits()
	if r.i+1 < len(r.s) && r.s[r.i] == '.' && r.s[r.i+1] != '*' && !isPathWord(r.s[r.i+1]) || r.i+1 < len(r.s) && r.s[r.i] == '.' && r.s[r.i+1] >= '0' && r.s[r.i+1] <= '9' {
		r.i++
		digits()
	}
	if r.i < len(r.s) && r.s[r.i]|32 == 'e' {
		r.i++
		if r.i < len(r.s) && (r.s[r.i] == '-' || r.s[r.i] == '+') {
			r.i++
		}
		digits()
	}
}

func (r *pathParser) accept(tok string) bool {
	if r.tok != tok {
		return false
	}
	r.next()
	return true
}

func (r *pathParser) expect(tok string) {
	if !r.accept(tok) {
		r.fail()
	}
}

// predicate reads something that is true, false or unknown.
func (r *pathParser) predicate() *pathNode {
	n := r.or()
	if !n.pred {
		r.fail()
	}
	return n
}

func (r *pathParser) or() *pathNode  { return r.logical("||", r.and) }
func (r *pathParser) and() *pathNode { return r.logical("&&", r.compare) }

func (r *pathParser) logical(op string, part func() *pathNode) *pathNode {
	l := part()
	for r.tok == op {
		if !l.pred {
			r.fail()
		}
		r.next()
		x := part()
		if !x.pred {
			r.fail()
		}
		l = &pathNode{op: op, kids: []*pathNode{l, x}, pred: true}
	}
	return l
}

// compare reads an expression and what it is compared with.
func (r *pathParser) compare() *pathNode {
	if r.accept("!") {
		if r.tok != "(" && r.tok != "exists" {
			r.fail()
		}
		x := r.primary()
		if !x.pred {
			r.fail()
		}
		return &pathNode{op: "!", kids: []*pathNode{x}, pred: true}
	}
	l := r.sum()
	op := r.tok
	switch op {
	case "==", "!=", "<>", "<", "<=", ">", ">=":
		r.next()
		if op == "<>" {
			op = "!="
		}
		return &pathNode{op: op, kids: []*pathNode{l, r.sum()}, pred: true}
	case "like_regex":
		r.next()
		n := &pathNode{op: op, kids: []*pathNode{l}, name: r.literal(), pred: true}
		n.flags = "p"
		if r.accept("flag") {
			n.flags = regexFlags(r.literal())
		}
		if _, err := compileRegex(n.name, n.flags); err != nil {
			panic(sqlerr.As(err))
		}
		return n
	case "starts":
		r.next()
		r.expect("with")
		return &pathNode{op: op, kids: []*pathNode{l, r.primary()}, pred: true}
	}
	return l
}

// literal reads a string.
func (r *pathParser) literal() string {
	s, ok := strings.CutPrefix(r.tok, `"`)
	if !ok {
		r.fail()
	}
	r.next()
	return s
}

// regexFlags translates the flags of like_regex.
func regexFlags(f string) string {
	out := "p"
	for _, c := range f {
		switch c {
		case 's':
			out = strings.Replace(out, "p", "", 1)
		case 'i', 'q':
			out += string(c)
		case 'm':
			out += "w"
		case 'x':
			panic(sqlerr.New(sqlerr.FeatureNotSupported, "XQuery \"x\" flag (expanded regular expressions) is not implemented"))
		default:
			panic(sqlerr.New(sqlerr.SyntaxError, "invalid input syntax for type jsonpath").WithDetail("Unrecognized flag character \"%c\" in LIKE_REGEX predicate.", c))
		}
	}
	return out
}

func (r *pathParser) sum() *pathNode {
	return r.arithmetic([]string{"+", "-"}, func() *pathNode { return r.arithmetic([]string{"*", "/", "%"}, r.unary) })
}

func (r *pathParser) arithmetic(ops []string, part func() *pathNode) *pathNode {
	l := part()
	for {
		found := false
		for _, op := range ops {
			if !found && r.tok == op {
				found = true
				r.next()
				l = &pathNode{op: op, kids: []*pathNode{l, part()}}
			}
		}
		if !found {
			return l
		}
	}
}

func (r *pathParser) unary() *pathNode {
	if r.depth++; r.depth > pathDepthMax {
		panic(sqlerr.New("54001", "an SQL/JSON path is nested too deeply").WithHint("The limit is %d levels.", pathDepthMax))
	}
	defer func() { r.depth-- }()
	if r.tok == "-" || r.tok == "+" {
		op := "unary" + r.tok
		r.next()
		return &pathNode{op: op, kids: []*pathNode{r.unary()}}
	}
	n := r.primary()
	for r.tok == "." || r.tok == "[" || r.tok == "?" {
		n = r.accessor(n)
	}
	return n
}

func (r *pathParser) primary() *pathNode {
	t := r.tok
	switch {
	case t == "(":
		r.next()
		n := r.or()
		r.expect(")")
		if n.pred && r.accept("is") {
			r.expect("unknown")
			return &pathNode{op: "unknown", kids: []*pathNode{n}, pred: true}
		}
		return n
	case t == "exists":
		r.next()
		r.expect("(")
		n := &pathNode{op: t, kids: []*pathNode{r.sum()}, pred: true}
		r.expect(")")
		return n
	case t == "$" || t == "@" || t == "last":
		r.next()
		return &pathNode{op: t}
	case strings.HasPrefix(t, "$"):
		r.next()
		return &pathNode{op: "var", name: t[1:]}
	case strings.HasPrefix(t, `"`):
		return &pathNode{op: "lit", lit: &types.JSONNode{Kind: '"', Str: r.literal()}}
	case t == "true" || t == "false" || t == "null":
		r.next()
		return &pathNode{op: "lit", lit: &types.JSONNode{Kind: t[0]}}
	case t != "" && (t[0] >= '0' && t[0] <= '9' || t[0] == '.' && len(t) > 1):
		v, err := types.ParseText(tNumeric, t, nil)
		if err != nil {
			r.fail()
		}
		r.next()
		return &pathNode{op: "lit", lit: &types.JSONNode{Kind: '0', Str: v.S}}
	}
	r.fail()
	return nil
}

// accessor reads .key, .*, .**, [..], .method() or ?(..) after n.
func (r *pathParser) accessor(n *pathNode) *pathNode {
	kids := []*pathNode{n}
	switch {
	case r.accept("?"):
		r.expect("(")
		out := &pathNode{op: "?", kids: append(kids, r.predicate())}
		r.expect(")")
		return out
	case r.accept("["):
		if r.accept("*") {
			r.expect("]")
			return &pathNode{op: "[*]", kids: kids}
		}
		for {
			lo := r.sum()
			hi := (*pathNode)(nil)
			if r.accept("to") {
				hi = r.sum()
			}
			kids = append(kids, lo, hi)
			if !r.accept(",") {
				break
			}
		}
		r.expect("]")
		return &pathNode{op: "[]", kids: kids}
	}
	r.expect(".")
	switch {
	case r.accept("*"):
		return &pathNode{op: ".*", kids: kids}
	case r.accept("**"):
		out := &pathNode{op: ".**", kids: kids, to: -1}
		if r.accept("{") {
			out.from = r.level()
			out.to = out.from
			if r.accept("to") {
				out.to = r.level()
			}
			r.expect("}")
		}
		return out
	case strings.HasPrefix(r.tok, `"`):
		return &pathNode{op: ".key", kids: kids, name: r.literal()}
	case r.tok == "" || !isPathWord(r.tok[0]) || r.tok[0] >= '0' && r.tok[0] <= '9' || !utf8.ValidString(r.tok):
		r.fail()
	}
	name := r.tok
	r.next()
	if !r.accept("(") {
		return &pathNode{op: ".key", kids: kids, name: name}
	}
	switch name {
	case "type", "size", "double", "abs", "floor", "ceiling", "keyvalue":
	case "datetime":
		r.lack("the method datetime()")
	default:
		r.tok = name
		r.fail()
	}
	r.expect(")")
	return &pathNode{op: "method", kids: kids, name: name}
}

func (r *pathParser) level() int {
	if r.accept("last") {
		return -1
	}
	n, err := strconv.Atoi(r.tok)
	if err != nil || n < 0 {
		r.fail()
	}
	r.next()
	return n
}
