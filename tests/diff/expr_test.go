package diff

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/tests/harness"
)

// slot stands in a form for an operand.
const slot = "\x01"

// node is an expression: a form with a slot for each operand.
type node struct {
	typ  types.Type
	form string
	kids []*node
}

func (n *node) sql() string {
	out := n.form
	for _, k := range n.kids {
		out = strings.Replace(out, slot, k.sql(), 1)
	}
	return out
}

// production is a way to make an expression of operands.
type production struct {
	name string
	ret  types.Type
	args []types.Type
	form string
}

// generator makes random expressions.
type generator struct {
	rnd    *rand.Rand
	pools  []pool
	prods  []production
	byType map[types.Type][]int
}

// postgresHas is the set of "name(oid,oid)" of PostgreSQL's functions and operators, and of their bare names.
func postgresHas(t *testing.T, p *pair) map[string]bool {
	t.Helper()
	has := map[string]bool{}
	for _, sql := range []string{
		"SELECT proname || '(' || array_to_string(proargtypes::oid[], ',') || ')' FROM pg_proc WHERE provariadic = 0",
		"SELECT oprname || '(' || CASE WHEN oprleft = 0 THEN '' ELSE oprleft || ',' END || oprright || ')' FROM pg_operator",
		"SELECT proname || '/' || CASE WHEN provariadic = 0 THEN pronargs::text ELSE '*' END FROM pg_proc",
		"SELECT oprname || '/' || CASE WHEN oprleft = 0 THEN 1 ELSE 2 END FROM pg_operator",
	} {
		for _, r := range harness.Rows(t, p.pg, sql) {
			has[r] = true
		}
	}
	return has
}

// fixed names functions whose results depend on more than their arguments.
func fixed(d *fn.Def) bool {
	if d.Name == "position" || d.Name == "extract" { // which have a syntax of their own
		return true
	}
	for _, prefix := range []string{"pg_", "has_", "current_", "txid_", "obj_", "col_", "to_reg", "format_type", "set_config", "inet_server", "inet_client", "row_to_json"} {
		if strings.HasPrefix(d.Name, prefix) && d.Name != "pg_typeof" {
			return true
		}
	}
	for _, a := range d.Args {
		switch a.Kind {
		case types.OID, types.RegClass, types.RegProc, types.RegType, types.RegNamespace, types.Char, types.Record:
			return true
		}
	}
	return len(d.Args) == 0 || d.Volatility == fn.Volatile || d.Name == "age" && len(d.Args) == 1
}

// takesPath tells the functions of SQL/JSON paths, which vigil takes as text and PostgreSQL as jsonpath: literals are both.
func takesPath(name string) bool {
	return strings.HasPrefix(name, "jsonb_path_") || name == "@?" || name == "@@"
}

func isOperator(name string) bool { return strings.ContainsAny(name[:1], "+-*/<>=~!@#%^&|?") }

func oids(args []types.Type) string {
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = fmt.Sprint(a.OID())
	}
	return strings.Join(list, ",")
}

func polymorphic(d *fn.Def) bool {
	for _, a := range d.Args {
		if a.Kind == types.Unknown || a.Kind == types.Array && a.Elem == types.Unknown {
			return true
		}
	}
	return d.Variadic
}

// productions are all functions and operators that both sides have, each polymorphic one for some types.
func productions(has map[string]bool, list []pool) []production {
	var out []production
	defs := fn.Builtins()
	for i := range defs {
		d := &defs[i]
		if fixed(d) {
			continue
		}
		if !polymorphic(d) {
			if has[d.Name+"("+oids(d.Args)+")"] || takesPath(d.Name) {
				out = append(out, call(d, d.Args))
			}
			continue
		}
		if !has[fmt.Sprintf("%s/%d", d.Name, len(d.Args))] && !has[d.Name+"/*"] && d.Name != "greatest" && d.Name != "least" {
			continue
		}
		for j, p := range list {
			elem := p.typ
			if elem.Kind == types.Array {
				continue
			}
			args := make([]types.Type, len(d.Args))
			for k, a := range d.Args {
				switch {
				case a.Kind == types.Unknown:
					args[k] = elem
				case a.Kind == types.Array && a.Elem == types.Unknown:
					args[k] = types.ArrayOf(elem.Kind)
				default:
					args[k] = a
				}
			}
			for n := j % 3; d.Variadic && n > 0; n-- {
				args = append(args, args[len(args)-1])
			}
			out = append(out, call(d, args))
		}
	}
	return append(out, special(list)...)
}

func call(d *fn.Def, args []types.Type) production {
	p := production{name: d.Name, ret: d.Ret, args: args}
	if d.RetOf != nil {
		p.ret = d.RetOf(args)
	}
	switch {
	case isOperator(d.Name) && len(args) == 2:
		p.form = "(" + slot + " " + d.Name + " " + slot + ")"
	case isOperator(d.Name):
		p.form = "(" + d.Name + " " + slot + ")"
	default:
		p.form = d.Name + "(" + strings.TrimSuffix(strings.Repeat(slot+", ", len(args)), ", ") + ")"
	}
	return p
}

// special are the expressions that are neither functions nor operators of the tables.
func special(list []pool) []production {
	b := types.T(types.Bool)
	var out []production
	add := func(name string, ret types.Type, form string, args ...types.Type) {
		out = append(out, production{name, ret, args, strings.ReplaceAll(form, "?", slot)})
	}
	for _, p := range list {
		t := p.typ
		if t.Kind != types.JSON {
			for _, op := range []string{"=", "<>", "<", "<=", ">", ">="} {
				add(op, b, "(? "+op+" ?)", t, t)
			}
			add("in", b, "(? IN (?, ?))", t, t, t)
			add("not in", b, "(? NOT IN (?, ?))", t, t, t)
			add("between", b, "(? BETWEEN ? AND ?)", t, t, t)
			add("not between symmetric", b, "(? NOT BETWEEN SYMMETRIC ? AND ?)", t, t, t)
			add("distinct", b, "(? IS DISTINCT FROM ?)", t, t)
			add("nullif", t, "nullif(?, ?)", t, t)
			add("simple case", t, "(CASE ? WHEN ? THEN ? WHEN ? THEN ? END)", t, t, t, t, t)
		}
		add("is null", b, "(? IS NULL)", t)
		add("is not null", b, "(? IS NOT NULL)", t)
		add("coalesce", t, "coalesce(?, ?)", t, t)
		add("case", t, "(CASE WHEN ? THEN ? ELSE ? END)", b, t, t)
		if t.Kind != types.Array {
			add("array", types.ArrayOf(t.Kind), "ARRAY[?, ?]", t, t)
			add("any", b, "(? = ANY (?))", t, types.ArrayOf(t.Kind))
			add("all", b, "(? <> ALL (?))", t, types.ArrayOf(t.Kind))
			add("subscript", t, "(?)[?]", types.ArrayOf(t.Kind), types.T(types.Int4))
			add("slice", types.ArrayOf(t.Kind), "(?)[?:?]", types.ArrayOf(t.Kind), types.T(types.Int4), types.T(types.Int4))
		}
		for _, to := range list { // half of them are refused
			add("cast", to.typ, "CAST(? AS "+nameOf(to.typ)+")", t)
		}
		for _, to := range []string{"varchar(3)", "char(4)", "numeric(5,2)", "numeric(3,-1)", "timestamp(0)", "timestamptz(2)", "interval(1)", "interval day to minute", "interval year", "text[]", "int[]", "numeric(4,1)[]", "varchar(2)[]"} {
			add("cast to "+to, types.T(types.Void), "CAST(? AS "+to+")", t)
		}
	}
	text := types.T(types.Text)
	for _, op := range []string{"LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE", "SIMILAR TO", "NOT SIMILAR TO"} {
		add(op, b, "(? "+op+" ?)", text, text)
	}
	add("and", b, "(? AND ?)", b, b)
	add("or", b, "(? OR ?)", b, b)
	add("not", b, "(NOT ?)", b)
	for _, is := range []string{"TRUE", "FALSE", "UNKNOWN", "NOT TRUE", "NOT FALSE", "NOT UNKNOWN"} {
		add("is "+is, b, "(? IS "+is+")", b)
	}
	for _, field := range []string{"year", "month", "day", "hour", "minute", "second", "milliseconds", "epoch", "dow", "isodow", "doy", "week", "quarter", "isoyear", "century", "decade",
		"millennium", "julian", "microseconds", "timezone", "timezone_hour"} {
		for _, k := range []types.Kind{types.Date, types.Timestamp, types.TimestampTZ, types.Interval} {
			add("extract "+field, types.T(types.Numeric), "EXTRACT("+field+" FROM ?)", types.T(k))
		}
	}
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "+03", "EST"} {
		add("at time zone", types.T(types.TimestampTZ), "(? AT TIME ZONE '"+zone+"')", types.T(types.Timestamp))
		add("at time zone", types.T(types.Timestamp), "(? AT TIME ZONE '"+zone+"')", types.T(types.TimestampTZ))
	}
	add("overlay", text, "overlay(? placing ? from ? for ?)", text, text, types.T(types.Int4), types.T(types.Int4))
	for _, k := range []types.Kind{types.Int4, types.Text} {
		add("subscript of jsonb", types.T(types.JSONB), "(?)[?]", types.T(types.JSONB), types.T(k))
	}
	add("substring similar", text, "substring(? similar ? escape ?)", text, text, text)
	add("position", types.T(types.Int4), "position(? in ?)", text, text)
	add("trim both", text, "trim(both ? from ?)", text, text)
	add("trim leading", text, "trim(leading from ?)", text)
	add("substring", text, "substring(? from ? for ?)", text, types.T(types.Int4), types.T(types.Int4))
	add("overlaps", b, "((?, ?) OVERLAPS (?, ?))", types.T(types.Timestamp), types.T(types.Timestamp), types.T(types.Timestamp), types.T(types.Interval))
	return out
}

func newGenerator(has map[string]bool) *generator {
	g := &generator{rnd: rand.New(rand.NewSource(1)), pools: pools(), byType: map[types.Type][]int{}}
	g.prods = productions(has, g.pools)
	for i, p := range g.prods {
		if !strings.HasPrefix(p.name, "cast") || g.rnd.Intn(8) == 0 {
			g.byType[p.ret] = append(g.byType[p.ret], i)
		}
	}
	return g
}

func (g *generator) seed(n int64) { g.rnd = rand.New(rand.NewSource(n)) }

func (g *generator) pick(list []string) string { return list[g.rnd.Intn(len(list))] }

func (g *generator) pool(t types.Type) *pool {
	for i := range g.pools {
		if g.pools[i].typ == t {
			return &g.pools[i]
		}
	}
	return nil
}

// leaf is a column, a literal or NULL.
func (g *generator) leaf(t types.Type) *node {
	p := g.pool(t)
	n := &node{typ: t}
	switch r := g.rnd.Intn(20); {
	case p == nil || r == 0:
		n.form = "NULL::" + t.String()
	case r < 9:
		n.form = p.column
	case r < 12 && t.Kind.IsInteger() && t.Kind == types.Int4:
		if n.form = g.pick(p.texts); n.form[0] == '-' {
			n.form = "(" + n.form + ")"
		}
	case r < 12: // its type is found by its context
		n.form = quote(g.pick(p.texts))
	default:
		n.form = quote(g.pick(p.texts)) + "::" + nameOf(t)
	}
	return n
}

func (g *generator) expr(t types.Type, depth int) *node {
	if list := g.byType[t]; depth > 0 && len(list) > 0 && g.rnd.Intn(4) > 0 {
		return g.apply(&g.prods[list[g.rnd.Intn(len(list))]], depth-1)
	}
	return g.leaf(t)
}

// apply makes an expression of a production; depth is its operands'.
func (g *generator) apply(p *production, depth int) *node {
	n := &node{typ: p.ret, form: p.form}
	for i, t := range p.args {
		if hint := hints[fmt.Sprintf("%s %d", p.name, i)]; hint != nil && (g.rnd.Intn(8) > 0 || takesPath(p.name)) {
			n.kids = append(n.kids, &node{typ: t, form: quote(g.pick(hint))})
			continue
		}
		if g.rnd.Intn(30) == 0 { // of another type: converted, or refused
			t = g.pools[g.rnd.Intn(len(g.pools))].typ
		}
		if bounded[p.name] && t.Kind.IsNumber() {
			n.kids = append(n.kids, &node{typ: t, form: g.pick([]string{"0", "1", "2", "5", "(-1)", "(-3)", "20", "NULL::int"})})
			continue
		}
		n.kids = append(n.kids, g.expr(t, depth))
	}
	return n
}

// bounded are functions whose large arguments take memory or time.
var bounded = map[string]bool{"repeat": true, "lpad": true, "rpad": true, "factorial": true, "^": true, "power": true, "pow": true, "exp": true, "array_fill": true, "round": true, "trunc": true, "dexp": true}

// hints are arguments worth giving: "function index".
var hints = map[string][]string{
	"date_trunc 0": {"year", "month", "day", "hour", "week", "quarter", "minute", "second", "century", "decade", "millennium", "milliseconds", "microseconds", "fortnight"},
	"date_part 0":  {"year", "month", "day", "hour", "week", "quarter", "epoch", "dow", "isodow", "doy", "isoyear", "century", "julian", "timezone", "nonsense"},
	"date_trunc 2": {"UTC", "Europe/Berlin", "America/New_York", "Nowhere/City"},
	"timezone 0":   {"UTC", "Europe/Berlin", "America/New_York", "+05:30", "Nowhere/City"},
	"encode 1":     {"hex", "base64", "escape", "bad"}, "decode 1": {"hex", "base64", "escape", "bad"}, "decode 0": {"616263", "YWJj", "a\\000b", "zz"},
	"convert_from 1": {"UTF8", "LATIN1", "SQL_ASCII"}, "convert_to 1": {"UTF8", "LATIN1"}, "normalize 1": {"NFC"},
	"to_char 1": {"YYYY-MM-DD HH24:MI:SS", "FMDay, DD Month YYYY", "999D99", "FM9990.00", "9,999,999", "S99", "MI:SS.US", "J", "Q WW IYYY IW ID", "RN", "L999", "9.9EEEE", "000", "HH12 AM", "TMMonth", "Dy Mon DDth", "PR", "999PR", "V99",
		"SSSS", "Y,YYY", "BC", "CC", "MS", "TZ OF", "99th", "\"quoted\" YYYY", "B99", "FMRN", "MI9", "SG99", "99S", "DDD", "D", "W", "RM", "rm", "a.m."},
	"to_date 1": {"YYYY-MM-DD", "DD Mon YYYY", "YYYYDDD", "J"}, "to_date 0": {"2024-02-29", "29 Feb 2024", "2024060", "2460000", "x"},
	"to_timestamp 1": {"YYYY-MM-DD HH24:MI:SS", "DD Mon YYYY HH12:MI AM", "YYYY-MM-DD\"T\"HH24:MI:SS.US", "Mon DD HH24:MI:SS"},
	"to_timestamp 0": {"2024-02-29 10:11:12", "29 Feb 2024 03:04 PM", "2024-02-29T01:02:03.456789", "Oct 11 22:14:15"},
	"to_number 1":    {"999D99", "S9999", "9G999D99", "99.99", "999"}, "to_number 0": {"12.34", "-123", "1,234.56", "  7", "12abc"},
	"~ 1": regexes, "~* 1": regexes, "!~ 1": regexes, "!~* 1": regexes, "regexp_match 1": regexes, "regexp_matches 1": regexes, "regexp_replace 1": regexes, "regexp_substr 1": regexes, "regexp_count 1": regexes,
	"regexp_like 1": regexes, "regexp_instr 1": regexes, "regexp_split_to_array 1": regexes, "substring 1": regexes, "LIKE 1": likes, "ILIKE 1": likes, "NOT LIKE 1": likes, "NOT ILIKE 1": likes,
	"SIMILAR TO 1": similars, "NOT SIMILAR TO 1": similars, "regexp_replace 2": {"X", `[\1]`, `<\&>`, ""}, "regexp_replace 3": {"g", "i", "gi", "x", "q"}, "regexp_match 2": {"i", "n", "x", "c"}, "regexp_like 2": {"i", "n", "g"},
	"format 0": {"%s", "%s-%s", "%I", "%L", "%1$s %1$s", "%10s|", "%-10s|", "%%", "%", "%2$s"},
	"-> 1":     {"a", "b", "x", "0", "-1"}, "->> 1": {"a", "b", "x"}, "#> 1": {"{a}", "{b,2,c}", "{x,y}", "{0}", "{}"}, "#>> 1": {"{a}", "{b,2,c}", "{x,y}", "{-1}"}, "#- 1": {"{a}", "{b,0}", "{x,y,z}", "{0}"},
	"jsonb_set 1": {"{a}", "{b,0}", "{x,y,z}", "{new}", "{0}", "{b,99}"}, "jsonb_insert 1": {"{a}", "{b,0}", "{x,y,n}", "{0}", "{b,-1}"}, "jsonb_set_lax 1": {"{a}", "{b,0}", "{new}"}, "jsonb_set_lax 4": {"use_json_null", "delete_key", "return_target", "raise_exception"},
	"@? 1": paths, "@@ 1": paths, "jsonb_path_exists 1": paths, "jsonb_path_match 1": paths, "jsonb_path_query_array 1": paths, "jsonb_path_query_first 1": paths,
	"subscript of jsonb 1": {"a", "b", "0", "-1", "x"}, "substring similar 1": sqlParts, "substring similar 2": {"#"}, "substring similar 0": {"abc", "foobar", "x#y", "aaa"},
	"? 1": {"a", "b", "x"}, "?| 1": {"{a,zz}", "{q}"}, "?& 1": {"{a,b}", "{}"}, "split_part 1": {",", ".", "", "l"}, "string_to_array 1": {",", ".", "", " "}, "translate 1": {"abc", "l", "aA"}, "digest 1": {"md5", "sha256"},
	"date_bin 0": {"15 minutes", "1 day", "1 month", "-1 hour"}, "make_interval 0": {"1"}, "to_hex 0": {"255", "-1"}, "network 0": {"10.1.2.3/8"}, "@> 1": {`{"a":1}`, "[1]", "{}", "1"},
	"ltrim 1": {" ", "a", "xyz"}, "rtrim 1": {" ", "z"}, "btrim 1": {"x", " "}, "starts_with 1": {"a", "", "ab"}, "array_to_string 1": {",", "", "--"}, "chr 0": {"65", "233", "26085", "0", "-1", "1114112"},
	"set_masklen 1": {"8", "24", "33", "-1", "0"}, "get_byte 1": {"0", "1", "9"}, "get_bit 1": {"0", "7", "99"}, "set_byte 1": {"0", "1"}, "set_bit 1": {"0", "7"}, "set_bit 2": {"0", "1", "2"},
}

var (
	regexes = []string{"a+", "^a", "b$", "(a)(b)?", "[[:alpha:]]+", `\d+`, `\w+\s\w+`, "a|ab", "(a|ab)(c|bcd)?", "l{2}", "[^a-c]+", `\mW`, `d\M`, `\yWorld\y`, "(?i)HELLO", "x*?y", "(", "[a", "a{2,1}", "a{,2}", "(?:ab)+", ".", "",
		`(\w)\1`, "a(?=b)", `[\d,]+`, "***=a.b", "^.*$", "(foo|bar)+", "xy+?", "a{1,3}?", `\s`, `\Aa`, `c\Z`, `[[:digit:]-]`, "z+x*", "(x)(y)(z)+", `\.`, "o.*?o", "(o.*?)+", "(l+)(.*)"}
	likes    = []string{"a%", "%b%", "_", "%", "", "a_c", `a\_b`, "ABC", "%o w%", `%\`, "h%d"}
	sqlParts = []string{`%#"b%#"%`, `a#"%#"`, `#"_#"%`, `f#"o+#"bar`, `%#"(a|aa)#"a%`, `a%`, `x##%`, `%#"[a-c]+#"_*`, `#"a#"#"b#"`, `#"%`}
	similars = []string{"a%", "(a|b)%", "[a-c]+", "%", "_+", "abc", "a{1,2}", "(foo)%", "%[0-9]", "[^x]*"}
	paths    = []string{"$", "$v", "$.b[*] ? (@ >= $v)", "$ ? (@.a == $v)", "$.a * 2 + 1", "$.b[0] / 0", "strict $.a.b", "strict $[*]", "strict $.b[9]", "$.a.double()", "$.size()", "strict $.size()",
		"$.**.c", "$.**{last}", "$.**{1 to 2}", "$ ? (@.x.y.z like_regex \"EP\" flag \"i\")", "$[0,2]", "$[1 to last]", "$[*].abs()", "$.b[*].floor()", "1 + 2", "$.a < 5 || $.b == 3", "$.b[*] > 1", "$.x.*", "-$.b[*]",
		"$.\"x\".\"y\"", "$.keyvalue().key", "$ ? (!(@.a > 0))", "$.x ? (@.y starts with \"d\")", "last", "$.a.b.c.d", "exists($.b[*] ? (@ > 1))", "$ ? ((@.a > \"x\") is unknown)", "true", "\"a\"", "$.b[*].type()",
		"$.", "@.a ==", "$.a ?", "$[", "$.1a", "$.a && $.b", "$.a", "$.b[*]", "$.b[0]", "$[*]", "$.x.y.z", "$.**", "$.b[*] ? (@ > 1)", "$.a == 1", "$[*] ? (@.type() == \"number\")", "$.b.size()", "$ ? (exists(@.a))", "strict $.q", "lax $.a[0]", "$[last]", "$[0 to 1]",
		"$.a + 1", "-$.a", "$.* ? (@ like_regex \"^s\")", "$.keyvalue()", "$.x.y.z starts with \"d\"", "$.b[1].double()", "$[*].type()", "$ ? (@.a > 0 && @.b[0] == 1)", "(", "$.a ? (@ == null)", "$.**{1}", "$.b[last - 1]", "exists($.a)", "$.a.ceiling()",
		"!($.a == 1)", "($.a == \"s\") is unknown", "$.\"a\"", "$.b[*] % 2", "$[*] ? (@ == \"x\" || @ == true)"}
)
