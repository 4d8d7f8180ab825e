package rules

import "strings"

// pattern turns a quoted regular expression of Python's re.search into one of Postgres. What is the same in both is left; these
// differ:
//
//	.      matches all but a line's end in Python       [^\n]
//	$      matches before a last line's end as well     \n?$      which is the same as long as nothing follows it
//	\b     is a word's boundary, in Postgres a backspace  \y
//	\Z     is the end                                   $
//
// Which characters beyond ASCII are digits, letters and spaces is left to each.
func pattern(quoted string) string {
	var b strings.Builder
	class := -1 // where the bracket expression in work began
	for i := 0; i < len(quoted); i++ {
		c := quoted[i]
		switch {
		case c == '\\' && i+1 < len(quoted)-1:
			i++
			b.WriteString(escape(quoted[i], class >= 0))
			continue
		case class >= 0:
			if c == ']' && i > class+1 && !(i == class+2 && quoted[i-1] == '^') {
				class = -1
			}
		case c == '[':
			class = i
		case c == '.':
			b.WriteString(`[^\n]`)
			continue
		case c == '$':
			b.WriteString(`\n?$`)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// escape is an escape of Python's in Postgres' syntax.
func escape(c byte, class bool) string {
	switch {
	case c == 'b' && !class:
		return `\y`
	case c == 'Z' && !class:
		return "$"
	}
	return `\` + string(c)
}
