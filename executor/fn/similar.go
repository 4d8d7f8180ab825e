package fn

import (
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// similarToRegex translates a pattern of SQL's SIMILAR TO. % and _ are .* and ., what only regular expressions know is
// taken literally, and the match is of the whole text.
func similarToRegex(_ *Ctx, a values) (value, error) {
	escape := "\\"
	if len(a) > 1 {
		if escape = a[1].S; utf8.RuneCountInString(escape) > 1 {
			return value{}, sqlerr.New(sqlerr.InvalidEscapeSequence, "invalid escape string").
				WithHint("Escape string must be empty or one character.")
		}
	}
	var b strings.Builder
	b.WriteString("^(?:")
	class := 0 // in a bracket expression: how many characters it has so far, plus one
	for s := a[0].S; s != ""; {
		_, n := utf8.DecodeRuneInString(s)
		c := s[:n]
		s = s[n:]
		switch {
		case class > 0:
			if c == "\\" {
				b.WriteByte('\\')
			}
			b.WriteString(c)
			if c == "]" && class > 1 {
				class = 0
			} else if c != "^" || class > 1 {
				class++
			}
		case c == escape && s != "":
			_, n = utf8.DecodeRuneInString(s)
			b.WriteString("\\" + s[:n])
			s = s[n:]
		case c == escape:
			b.WriteString("\\")
		default:
			b.WriteString(similarChar(c))
			if c == "[" {
				class = 1
			}
		}
	}
	b.WriteString(")$")
	return text(b.String())
}

// similarChar is what a character outside of brackets means.
func similarChar(c string) string {
	switch c {
	case "%":
		return ".*"
	case "_":
		return "."
	case "(":
		return "(?:"
	case "\\", ".", "^", "$":
		return "\\" + c
	}
	return c
}
