package fn

import (
	"regexp"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// areEscapes are the escapes of Postgres that Go's syntax spells differently.
var areEscapes = map[byte]string{
	'y': `\b`, 'Y': `\B`, 'A': `\A`, 'Z': `\z`, 'e': `\x1b`, 'B': `\\`, 'b': `\x08`, '0': `\x00`,
	'w': `[\p{L}\p{N}\p{M}_]`, 'W': `[^\p{L}\p{N}\p{M}_]`, 's': `[\s\v\x{85}\p{Z}]`, 'S': `[^\s\v\x{85}\p{Z}]`,
}

// classEscapes are those that differ within brackets.
var classEscapes = map[byte]string{'w': `\p{L}\p{N}\p{M}_`, 's': `\s\v\x{85}\p{Z}`, 'e': `\x1b`, 'B': `\\`, 'b': `\x08`, '0': `\x00`}

// classNames are the classes that know more than ASCII.
var classNames = map[string]string{
	"alpha": `\p{L}\p{M}\p{Nl}`, "alnum": `\p{L}\p{M}\p{N}`, "upper": `\p{Lu}`, "lower": `\p{Ll}`, "punct": `\p{P}\p{S}`, "space": `\s\v\x{85}\p{Z}`,
	"word": `\p{L}\p{N}\p{M}_`,
}

// translator rewrites the parts of Postgres' syntax that Go's lacks or reads differently, and refuses what has no counterpart.
type translator struct {
	in  string
	i   int
	out strings.Builder
	// What was met: quantifiers of both kinds, and |.
	greedy, lazy, alternatives bool
	// word: the atom before is certainly a word character.
	word bool
	// wantWord: \m stands before, so that a word character must follow.
	wantWord bool
}

func (t *translator) run() (string, error) {
	for t.i < len(t.in) {
		wanted := t.wantWord
		if err := t.step(); err != nil {
			return "", err
		}
		if wanted && !t.word {
			return "", boundary("m", "before")
		}
	}
	if t.wantWord {
		return "", boundary("m", "before")
	}
	return t.out.String(), nil
}

func boundary(escape, where string) error {
	return sqlerr.NotSupported("\\"+escape+" that is not "+where+" a word character in a regular expression", "Use \\y.")
}

func lookaround() error {
	return sqlerr.NotSupported("a lookaround constraint in a regular expression", "Matching time would be unbounded.")
}

// step translates one element.
func (t *translator) step() error {
	c := t.in[t.i]
	rest := t.in[t.i:]
	word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
	defer func() { t.word = word }()
	t.wantWord = false
	switch {
	case c == '[':
		n, err := translateClass(rest, &t.out)
		t.i += n
		return err
	case c == '\\' && len(rest) > 1:
		w, err := t.escape()
		word = w
		return err
	case strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!") || strings.HasPrefix(rest, "(?<"):
		return lookaround()
	case strings.HasPrefix(rest, "(?:"):
		t.out.WriteString("(?:")
		t.i += 3
		return nil
	case strings.HasPrefix(rest, "(?"):
		return badRegex("quantifier operand invalid")
	case c == '*' || c == '+' || c == '?' || c == '{' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		return t.quantifier()
	case c == '{': // not a repetition: itself
		t.out.WriteByte('\\')
	case c == '|':
		t.alternatives = true
	}
	t.out.WriteByte(c)
	t.i++
	return nil
}

// bounds is a repetition as Postgres writes it; a brace before a digit must begin one.
var bounds = regexp.MustCompile(`^\{[0-9]+(,[0-9]*)?\}`)

// quantifier copies a quantifier with the ? that makes it non-greedy.
func (t *translator) quantifier() error {
	q := t.in[t.i : t.i+1]
	if q == "{" {
		if q = bounds.FindString(t.in[t.i:]); q == "" {
			return badRegex("braces {} not balanced")
		}
	}
	t.i += len(q)
	lazy := t.i < len(t.in) && t.in[t.i] == '?'
	if lazy {
		q += "?"
		t.i++
		t.lazy = true
	} else if !fixedCount(q) {
		t.greedy = true
	}
	t.out.WriteString(q)
	if t.i < len(t.in) && (t.in[t.i] == '*' || t.in[t.i] == '+' || t.in[t.i] == '?') {
		return badRegex("quantifier operand invalid")
	}
	return nil
}

// fixedCount tells {m}, which has no preference.
func fixedCount(q string) bool { return strings.HasPrefix(q, "{") && !strings.Contains(q, ",") }

// escape translates a backslash and what follows; word: it is a word character.
func (t *translator) escape() (word bool, err error) {
	e := t.in[t.i+1]
	t.i += 2
	switch {
	case e >= '1' && e <= '9':
		return false, sqlerr.NotSupported("a back reference in a regular expression", "Matching time would be unbounded.")
	case e == 'm':
		t.out.WriteString(`\b`)
		t.wantWord = true
	case e == 'M':
		if !t.word {
			return false, boundary("M", "after")
		}
		t.out.WriteString(`\b`)
	case e == 'u' && t.i+4 <= len(t.in):
		t.out.WriteString(`\x{` + t.in[t.i:t.i+4] + `}`)
		t.i += 4
	case areEscapes[e] != "":
		t.out.WriteString(areEscapes[e])
		return e == 'w', nil
	case e == 'd':
		t.out.WriteString(`\d`)
		return true, nil
	case strings.IndexByte("DafnrtvxU", e) >= 0 || e < '0' || e > 'z' || e > '9' && e < 'A' || e > 'Z' && e < 'a':
		t.out.WriteByte('\\')
		if e >= 0x80 { // a character of several octets is itself
			t.i--
			s := t.out.String()
			t.out.Reset()
			t.out.WriteString(s[:len(s)-1])
			return false, nil
		}
		t.out.WriteByte(e)
	default:
		return false, badRegex("invalid escape \\ sequence")
	}
	return false, nil
}

// translateClass rewrites a bracket expression and returns its length.
func translateClass(p string, b *strings.Builder) (int, error) {
	if strings.HasPrefix(p, "[[:<:]]") || strings.HasPrefix(p, "[[:>:]]") {
		return 0, sqlerr.NotSupported("[[:<:]] or [[:>:]] in a regular expression", "Use \\y.")
	}
	i := 1
	b.WriteByte('[')
	if i < len(p) && p[i] == '^' {
		b.WriteByte('^')
		i++
	}
	for first := true; i < len(p); first = false {
		switch c := p[i]; {
		case c == ']' && !first:
			b.WriteByte(']')
			return i + 1, nil
		case c == '[' && i+1 < len(p) && p[i+1] == ':':
			end := strings.Index(p[i:], ":]")
			if end < 0 {
				return 0, errBrackets
			}
			if known := classNames[p[i+2:i+end]]; known != "" {
				b.WriteString(known)
			} else {
				b.WriteString(p[i : i+end+2])
			}
			i += end + 2
		case c == '[' && i+1 < len(p) && (p[i+1] == '.' || p[i+1] == '='):
			return 0, sqlerr.NotSupported("a collating element in a regular expression", "Write the character itself.")
		case c == '[' || c == ']':
			b.WriteByte('\\')
			b.WriteByte(c)
			i++
		case c == '\\' && i+1 < len(p):
			if known := classEscapes[p[i+1]]; known != "" {
				b.WriteString(known)
			} else {
				b.WriteByte('\\')
				b.WriteByte(p[i+1])
			}
			i += 2
		default:
			b.WriteByte(c)
			i++
		}
	}
	return 0, errBrackets
}
