package dialect

import (
	"slices"
	"strings"
	"unicode"
)

// tok is a token of another engine's SQL.
type tok struct {
	kind byte // 'w' word, 'q' quoted name, 's' string, 'n' number, 'p' punctuation
	text string
	// tight: no white space comes before it.
	tight bool
}

func word(s string) tok  { return tok{kind: 'w', text: s} }
func punct(s string) tok { return tok{kind: 'p', text: s, tight: s == "(" || s == ")" || s == ","} }

// is tells whether the token is one of the words or marks; words are compared without case.
func (t tok) is(list ...string) bool {
	if t.kind != 'w' && t.kind != 'p' {
		return false
	}
	for _, s := range list {
		if strings.EqualFold(t.text, s) {
			return true
		}
	}
	return false
}

// operators are the marks of more than one character, longest first.
var operators = []string{"#>>", "->>", "::", "->", "<=", ">=", "<>", "!=", "==", "||", "#>", "@>", "<@", "=>"}

// lex splits SQL into tokens; comments go.
func lex(sql string) []tok {
	var out []tok
	tight := false
	add := func(kind byte, text string) { out, tight = append(out, tok{kind, text, tight}), true }
	for len(sql) > 0 {
		n, c := 1, rune(sql[0])
		switch {
		case unicode.IsSpace(c):
			tight = false
		case strings.HasPrefix(sql, "--"):
			if n = strings.IndexByte(sql, '\n'); n < 0 {
				n = len(sql)
			}
			tight = false
		case c == '\'' || c == '"' || c == '`':
			n = quotedEnd(sql)
			kind := byte('q')
			if c == '\'' {
				kind = 's'
			}
			add(kind, sql[:n])
		case strings.HasPrefix(sql, "$$"):
			if i := strings.Index(sql[2:], "$$"); i >= 0 {
				n = i + 4
			}
			add('s', sql[:n])
		case unicode.IsLetter(c) || c == '_':
			n = strings.IndexFunc(sql, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' })
			if n < 0 {
				n = len(sql)
			}
			add('w', sql[:n])
		case unicode.IsDigit(c):
			n = strings.IndexFunc(sql, func(r rune) bool { return !unicode.IsDigit(r) && r != '.' })
			if n < 0 {
				n = len(sql)
			}
			add('n', sql[:n])
		default:
			for _, o := range operators {
				if strings.HasPrefix(sql, o) {
					n = len(o)
					break
				}
			}
			add('p', sql[:n])
		}
		sql = sql[n:]
	}
	return out
}

// quotedEnd is the length of the quoted text at the start; a doubled quote stands for one.
func quotedEnd(s string) int {
	q := s[0]
	for i := 1; i < len(s); i++ {
		if s[i] != q {
			continue
		}
		if i+1 < len(s) && s[i+1] == q {
			i++
			continue
		}
		return i + 1
	}
	return len(s)
}

// text prints tokens.
func text(toks []tok) string {
	var b strings.Builder
	for i, t := range toks {
		if i > 0 && !t.tight {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return b.String()
}

// closing finds the parenthesis that closes the one at i; len(toks) when there is none.
func closing(toks []tok, i int) int {
	depth := 0
	for ; i < len(toks); i++ {
		switch {
		case toks[i].is("(", "["):
			depth++
		case toks[i].is(")", "]"):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(toks)
}

// find is the place of the first of the words outside of parentheses, at or after from; -1 when there is none.
func find(toks []tok, from int, words ...string) int {
	for i := from; i < len(toks); i++ {
		if toks[i].is(words...) {
			return i
		}
		if toks[i].is("(", "[") {
			i = closing(toks, i)
		}
	}
	return -1
}

// split cuts at the marks outside of parentheses.
func split(toks []tok, mark string) [][]tok {
	var out [][]tok
	for {
		i := find(toks, 0, mark)
		if i < 0 {
			if len(toks) > 0 {
				out = append(out, toks)
			}
			return out
		}
		out, toks = append(out, toks[:i]), toks[i+1:]
	}
}

// join puts a mark between lists.
func join(lists [][]tok, mark string) []tok {
	var out []tok
	for i, l := range lists {
		if i > 0 {
			out = append(out, punct(mark))
		}
		out = append(out, l...)
	}
	return out
}

// clauses are the parts of a SELECT, in the order in which they are written.
type clauses struct {
	items               [][]tok
	from, where, parts  []tok // parts: PARTITION BY of the whole query (Proton)
	group               [][]tok
	having, order, tail []tok // tail: LIMIT, EMIT, SETTINGS, UNION and what follows
}

// cutSelect takes a SELECT apart; ok is false when it is something else.
func cutSelect(toks []tok) (c clauses, ok bool) {
	if len(toks) == 0 || !toks[0].is("select") {
		return c, false
	}
	marks := []string{"from", "where", "partition", "group", "having", "order", "limit", "emit", "settings", "union", "qualify"}
	cut := func(from int) (body []tok, next int) {
		next = find(toks, from, marks...)
		for next > 0 && toks[next-1].is("within") { // WITHIN GROUP
			next = find(toks, next+1, marks...)
		}
		if next < 0 {
			next = len(toks)
		}
		return toks[from:next], next
	}
	items, at := cut(1)
	c.items = split(items, ",")
	for at < len(toks) {
		start := at + 1
		if toks[at].is("partition", "group", "order") {
			start++ // BY
		}
		head := toks[at]
		if head.is("limit", "emit", "settings", "union", "qualify") {
			c.tail = toks[at:]
			return c, true
		}
		var body []tok
		body, at = cut(min(start, len(toks)))
		switch {
		case head.is("from"):
			c.from = body
		case head.is("where"):
			c.where = body
		case head.is("partition"):
			c.parts = body
		case head.is("group"):
			c.group = split(body, ",")
		case head.is("having"):
			c.having = body
		case head.is("order"):
			c.order = body
		}
	}
	return c, true
}

// tokens writes the SELECT again.
func (c *clauses) tokens() []tok {
	out := append([]tok{word("SELECT")}, join(c.items, ",")...)
	add := func(words string, body []tok) {
		if len(body) > 0 {
			out = append(append(out, lex(words)...), loosen(body)...)
		}
	}
	add("FROM", c.from)
	add("WHERE", c.where)
	add("GROUP BY", join(c.group, ","))
	add("HAVING", c.having)
	add("ORDER BY", c.order)
	return append(out, c.tail...)
}

// loosen puts white space before the first token.
func loosen(toks []tok) []tok {
	out := slices.Clone(toks)
	if len(out) > 0 {
		out[0].tight = false
	}
	return out
}
