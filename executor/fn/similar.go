package fn

import (
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// similarToRegex translates a pattern of SQL's SIMILAR TO: the match is of the whole text.
func similarToRegex(_ *Ctx, a values) (value, error) {
	parts, err := similarParts(a)
	if err != nil {
		return value{}, err
	}
	out := "^(?:" + parts[0]
	for i, p := range parts[1:] { // the part before the first separator is as short as possible
		out += []string{"){1,1}?(", "){1,1}(?:"}[i] + p
	}
	return text(out + ")$")
}

// similarParts translates the parts of a pattern of SQL between its separators, which are the escape and a double quote.
// % and _ are .* and ., and what only regular expressions know is taken literally.
func similarParts(a values) ([]string, error) {
	escape := "\\"
	if len(a) > 1 {
		if escape = a[1].S; utf8.RuneCountInString(escape) > 1 {
			return nil, sqlerr.New(sqlerr.InvalidEscapeSequence, "invalid escape string").
				WithHint("Escape string must be empty or one character.")
		}
	}
	var b strings.Builder
	var parts []string
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
		case c == escape && strings.HasPrefix(s, `"`):
			if len(parts) == 2 {
				return nil, sqlerr.New("2200C", "SQL regular expression may not contain more than two escape-double-quote separators")
			}
			parts = append(parts, b.String())
			b.Reset()
			s = s[1:]
		case c == escape && s != "":
			_, n = utf8.DecodeRuneInString(s)
			b.WriteString("\\" + s[:n])
			s = s[n:]
		case c == escape: // at the end it escapes nothing
		default:
			b.WriteString(similarChar(c))
			if c == "[" {
				class = 1
			}
		}
	}
	return append(parts, b.String()), nil
}

// similarTextMax bounds the texts whose parts are found one after the other, which takes time that grows with the square.
const similarTextMax = 10_000

// similarSubstring is what the marked part of a pattern of SQL takes: the part before is as short as possible, it as long as
// possible. Without a mark it is the whole text.
func similarSubstring(ctx *Ctx, a values) (value, error) {
	if a[1].Null || a[2].Null {
		return null(tText)
	}
	parts, err := similarParts(a[1:]) // which tells a wrong escape even where there is no text
	if err != nil || a[0].Null {
		return types.Null(tText), err
	}
	s := a[0].S
	whole := func(pattern, s string) (bool, error) {
		re, err := ctx.patterns.get("^(?:"+pattern+")$", "")
		return err == nil && re.MatchString(s), err
	}
	if len(parts) == 1 {
		if ok, err := whole(parts[0], s); !ok {
			return types.Null(tText), err
		}
		return text(s)
	}
	if len(s) > similarTextMax {
		return value{}, sqlerr.New(sqlerr.ProgramLimitExceeded, "substring takes texts up to %d bytes with separators in its pattern", similarTextMax)
	}
	before, taken, after := parts[0], parts[1], strings.Join(parts[2:], "")
	from, err := firstCut(s, true, func(head, tail string) (bool, error) {
		if ok, err := whole(before, head); !ok {
			return false, err
		}
		return whole("(?:"+taken+")(?:"+after+")", tail)
	})
	if err != nil || from < 0 {
		return types.Null(tText), err
	}
	to, err := firstCut(s[from:], false, func(head, tail string) (bool, error) {
		if ok, err := whole(taken, head); !ok {
			return false, err
		}
		return whole(after, tail)
	})
	if err != nil || to < 0 {
		return types.Null(tText), err
	}
	return text(s[from : from+to])
}

// firstCut is the first place between characters, from the start or from the end, at which ok holds; -1 if there is none.
func firstCut(s string, forward bool, ok func(head, tail string) (bool, error)) (int, error) {
	for i := range len(s) + 1 {
		if !forward {
			i = len(s) - i
		}
		if i < len(s) && !utf8.RuneStart(s[i]) {
			continue
		}
		if yes, err := ok(s[:i], s[i:]); yes || err != nil {
			return i, err
		}
	}
	return -1, nil
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
