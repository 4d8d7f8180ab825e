package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// words are the ones of the rules' dialect; all others are columns, but for true.
var words = []string{"LIKE", "ESCAPE", "OR", "AND", "NOT", "IS", "NULL", "REGEXP", "true"}

// errQuote: generators of rules wrote \' for a quote within a string. No SQL reads it so, SQLite included.
var errQuote = errors.New("what follows a backslash and a quote is no SQL")

// rewrite turns a rule, which matches where any of its statements does, into one condition. SQLite's meaning is kept, over
// columns that are text which ignores the case of ASCII letters (NOCASE):
//
//	column = 'Text'         lower(column) = 'text'        an index by hash can find it
//	column = 4688           column = '4688'               SQLite makes the number text
//	column = true           column = '1'                  SQLite's true is a number
//	column LIKE 'x' ESCAPE  column ILIKE 'x' ESCAPE       see like
//	column REGEXP 'x'       column ~ 'x'                  see pattern
//
// Both lower and ILIKE fold K (Kelvin) to k and the Turkish dotted I to i, which NOCASE does not.
func rewrite(statements []string) (Rule, error) {
	const head = "SELECT * FROM logs WHERE "
	var list []string
	var rule Rule
	for _, sql := range statements {
		if !strings.HasPrefix(sql, head) {
			return Rule{}, fmt.Errorf("a statement of another kind: %.40s", sql)
		}
		r := rewriter{tokens: tokens(sql[len(head):])}
		if err := r.run(); err != nil {
			return Rule{}, err
		}
		list = append(list, r.out.String())
		rule.comparisons = append(rule.comparisons, r.comparisons...)
	}
	if rule.Where = list[0]; len(list) > 1 {
		rule.Where = "(" + strings.Join(list, ") OR (") + ")"
	}
	return rule, nil
}

// tokens cuts text, white space left out.
func tokens(text string) []string {
	var list []string
	for text != "" {
		n := tokenLen(text)
		if text[0] != ' ' {
			list = append(list, text[:n])
		}
		text = text[n:]
	}
	return list
}

// rewriter reads the tokens of a condition and writes them in vigil's SQL.
type rewriter struct {
	tokens      []string
	out         strings.Builder
	comparisons []comparison
}

// comparison is one of a rule's: what it compares a column with, as it stands in the rule.
type comparison struct{ column, operator, value string }

func (r *rewriter) run() error {
	for len(r.tokens) > 0 {
		tok := r.tokens[0]
		switch {
		case tok == "(" || tok == ")":
			r.out.WriteString(tok)
			r.tokens = r.tokens[1:]
		case slices.Contains(words[2:5], tok):
			r.out.WriteString(" " + tok + " ")
			r.tokens = r.tokens[1:]
		case isLetter(tok[0]) && !slices.Contains(words, tok):
			n, err := r.predicate()
			if err != nil {
				return err
			}
			r.tokens = r.tokens[n:]
		default:
			return errQuote
		}
	}
	return nil
}

// at is token i, or nothing beyond the last.
func (r *rewriter) at(i int) string {
	if i >= len(r.tokens) {
		return ""
	}
	return r.tokens[i]
}

// predicate writes one comparison and returns how many tokens it takes.
func (r *rewriter) predicate() (int, error) {
	name := strings.ToLower(r.tokens[0])
	column := `"` + name + `"`
	operator, value := r.at(1), r.at(2)
	n, text := 3, ""
	switch {
	case operator == "IS" && value == "NULL":
		text = column + " IS NULL"
	case operator == "=" && value == "true":
		text = column + " = '1'"
	case operator == "=" && isNumber(value):
		text = column + " = '" + value + "'"
	case !isString(value):
		return 0, errQuote
	case operator == "=":
		text = equal(column, value)
	case operator == "LIKE" && r.at(3) == "ESCAPE" && r.at(4) == `'\'`:
		n, text = 5, like(column, value)
	case operator == "REGEXP":
		text = column + " ~ " + pattern(value)
	default:
		return 0, errQuote
	}
	r.comparisons = append(r.comparisons, comparison{column: name, operator: operator, value: value})
	r.out.WriteString(text)
	return n, nil
}

// asciiLower is an expression in which only the ASCII letters are lower case, which SQLite's comparisons ignore the case of.
func asciiLower(column string) string {
	return "translate(" + column + ", 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"
}

// equal compares without the case of ASCII letters.
func equal(column, value string) string {
	ascii, other := cased(value)
	switch {
	case !ascii:
		return column + " = " + value
	case other:
		return asciiLower(column) + " = " + lowerASCII(value)
	}
	return "lower(" + column + ") = " + lowerASCII(value)
}

// like matches without the case of ASCII letters, and with that of all others, which ILIKE ignores.
func like(column, value string) string {
	ascii, other := cased(value)
	switch {
	case !other:
		return column + " ILIKE " + value + ` ESCAPE '\'`
	case ascii:
		return asciiLower(column) + " LIKE " + lowerASCII(value) + ` ESCAPE '\'`
	}
	return column + " LIKE " + value + ` ESCAPE '\'`
}

// cased tells whether text has ASCII letters, and whether it has other letters of two cases.
func cased(text string) (ascii, other bool) {
	for _, c := range text {
		if c < 0x80 {
			ascii = ascii || isLetter(byte(c)) && c != '_'
		} else {
			other = other || unicode.ToLower(c) != c || unicode.ToUpper(c) != c
		}
	}
	return ascii, other
}

func lowerASCII(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNumber(tok string) bool { return tok != "" && isDigit(tok[0]) }

func isString(tok string) bool { return len(tok) > 1 && tok[0] == '\'' && tok[len(tok)-1] == '\'' }

// tokenLen is the length of the token that text begins with.
func tokenLen(text string) int {
	n := 1
	switch c := text[0]; {
	case c == '\'':
		for ; n < len(text); n++ {
			if text[n] == '\'' {
				n++
				if n == len(text) || text[n] != '\'' {
					return n
				}
			}
		}
	case isLetter(c) || isDigit(c):
		for n < len(text) && (isLetter(text[n]) || isDigit(text[n])) {
			n++
		}
	}
	return n
}
