package parse

import (
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// tokenKind says what a token is. Keywords are unquoted identifiers: what they mean depends on where they stand.
type tokenKind uint8

const (
	tokEOF    tokenKind = iota
	tokIdent            // unquoted identifier or keyword, folded to lower case
	tokQuoted           // "identifier"
	tokString           // any spelling of a string literal, decoded
	tokNumber           // unsigned numeric literal as written
	tokParam            // $N, val holds the digits
	tokOp               // operator or punctuation
	tokSemi             // ;
)

// token is one Postgres token with its place in the text.
type token struct {
	kind tokenKind
	val  string
	// off and end delimit the raw text in bytes.
	off, end int
	// pos is the 1-based character position of off.
	pos Pos
	// match is the index of the closing token for "(" and "[", 0 where there is none.
	match int
}

// lexer cuts a query string into tokens by Postgres' rules (scan.l).
type lexer struct {
	src  string
	off  int
	toks []token
	// charsAt and posAt convert byte offsets to characters step by step: charsAt is an offset already counted.
	charsAt, posAt int
	open           []int
}

// lex returns the tokens of sql, the last one of kind tokEOF.
func lex(sql string) ([]token, *sqlerr.Error) {
	l := &lexer{src: sql, posAt: 1, toks: make([]token, 0, len(sql)/5+8)}
	if i := strings.IndexByte(sql, 0); i >= 0 || !utf8.ValidString(sql) {
		return nil, sqlerr.New(sqlerr.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\" in the statement")
	}
	for {
		if err := l.skipSpace(); err != nil {
			return nil, err
		}
		if l.off >= len(sql) {
			l.push(tokEOF, "", l.off)
			return l.toks, nil
		}
		if err := l.next(); err != nil {
			return nil, err
		}
	}
}

// posOf returns the character position of a byte offset; offsets must not decrease from call to call.
func (l *lexer) posOf(off int) Pos {
	l.posAt += utf8.RuneCountInString(l.src[l.charsAt:off])
	l.charsAt = off
	return l.posAt
}

// push appends a token that started at start and ends at l.off.
func (l *lexer) push(kind tokenKind, val string, start int) {
	l.toks = append(l.toks, token{kind: kind, val: val, off: start, end: l.off, pos: l.posOf(start)})
}

// fail makes an error at a byte offset.
func (l *lexer) fail(off int, format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.SyntaxError, format, args...).At(l.posOf(off))
}

// skipSpace moves over white space and comments; block comments nest.
func (l *lexer) skipSpace() *sqlerr.Error {
	for l.off < len(l.src) {
		rest := l.src[l.off:]
		switch {
		case isSpace(rest[0]):
			l.off++
		case strings.HasPrefix(rest, "--"):
			n := strings.IndexAny(rest, "\n\r")
			if n < 0 {
				n = len(rest)
			}
			l.off += n
		case strings.HasPrefix(rest, "/*"):
			if err := l.skipBlock(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) skipBlock() *sqlerr.Error {
	start, depth := l.off, 0
	for l.off < len(l.src) {
		rest := l.src[l.off:]
		switch {
		case strings.HasPrefix(rest, "/*"):
			depth++
			l.off += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			l.off += 2
			if depth == 0 {
				return nil
			}
		default:
			l.off++
		}
	}
	return l.fail(start, "unterminated /* comment at or near %q", clip(l.src[start:]))
}

// next reads one token; the caller has skipped white space and checked that text is left.
func (l *lexer) next() *sqlerr.Error {
	start, c := l.off, l.src[l.off]
	switch {
	case isIdentStart(c):
		if quoted, err := l.prefixedString(); quoted || err != nil {
			return err
		}
		for l.off < len(l.src) && isIdentPart(l.src[l.off]) {
			l.off++
		}
		l.push(tokIdent, foldASCII(l.src[start:l.off]), start)
		return nil
	case c >= '0' && c <= '9', c == '.' && l.digitAt(l.off+1):
		return l.number()
	case c == '\'':
		return l.string(start, false)
	case c == '"':
		return l.quotedIdent()
	case c == '$':
		return l.dollar()
	case c == ';':
		l.off++
		l.push(tokSemi, ";", start)
		return nil
	}
	return l.operator()
}

// prefixedString reads E'..' and N'..' and rejects the bit and unicode strings that vigil lacks.
func (l *lexer) prefixedString() (bool, *sqlerr.Error) {
	start := l.off
	if start+1 >= len(l.src) {
		return false, nil
	}
	c, n := l.src[start]|0x20, l.src[start+1]
	switch {
	case n == '\'' && (c == 'e' || c == 'n'):
		l.off++
		return true, l.string(start, c == 'e')
	case n == '\'' && (c == 'b' || c == 'x'):
		return false, sqlerr.NotSupported("a bit string literal", "write bytea as '\\x..'::bytea").At(l.posOf(start))
	case c == 'u' && n == '&' && start+2 < len(l.src) && (l.src[start+2] == '\'' || l.src[start+2] == '"'):
		return false, sqlerr.NotSupported("U& syntax", "write the characters themselves, or E'\\u00e9'").At(l.posOf(start))
	}
	return false, nil
}

func (l *lexer) digitAt(i int) bool { return i < len(l.src) && l.src[i] >= '0' && l.src[i] <= '9' }

// number reads digits, a fraction and an exponent. "1..2" leaves the dots alone: array slices need them.
func (l *lexer) number() *sqlerr.Error {
	start := l.off
	for l.digitAt(l.off) {
		l.off++
	}
	if l.off < len(l.src) && l.src[l.off] == '.' && !strings.HasPrefix(l.src[l.off:], "..") {
		l.off++
		for l.digitAt(l.off) {
			l.off++
		}
	}
	if l.off < len(l.src) && l.src[l.off]|0x20 == 'e' {
		i := l.off + 1
		if i < len(l.src) && (l.src[i] == '+' || l.src[i] == '-') {
			i++
		}
		if l.digitAt(i) {
			for l.digitAt(i) {
				i++
			}
			l.off = i
		}
	}
	if l.off < len(l.src) && isIdentStart(l.src[l.off]) {
		return l.junk(start, "numeric literal")
	}
	l.push(tokNumber, l.src[start:l.off], start)
	return nil
}

// junk reports letters glued to a number or a parameter.
func (l *lexer) junk(start int, what string) *sqlerr.Error {
	end := l.off
	for end < len(l.src) && isIdentPart(l.src[end]) {
		end++
	}
	return l.fail(start, "trailing junk after %s at or near \"%s\"", what, clip(l.src[start:end]))
}

// string reads '..' from l.off; adjacent literals on further lines are one literal, as the standard wants.
func (l *lexer) string(start int, escapes bool) *sqlerr.Error {
	var sb strings.Builder
	for {
		l.off++
		if err := l.stringPart(&sb, start, escapes); err != nil {
			return err
		}
		save := l.off
		if !l.continuation() {
			l.off = save
			break
		}
	}
	l.push(tokString, sb.String(), start)
	if !utf8.ValidString(sb.String()) || strings.IndexByte(sb.String(), 0) >= 0 {
		return sqlerr.New(sqlerr.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\"").At(l.posAt)
	}
	return nil
}

// stringPart reads up to and including the closing quote.
func (l *lexer) stringPart(sb *strings.Builder, start int, escapes bool) *sqlerr.Error {
	for l.off < len(l.src) {
		c := l.src[l.off]
		switch {
		case c == '\'' && strings.HasPrefix(l.src[l.off:], "''"):
			sb.WriteByte('\'')
			l.off += 2
		case c == '\'':
			l.off++
			return nil
		case c == '\\' && escapes && l.off+1 < len(l.src):
			if err := l.escape(sb); err != nil {
				return err
			}
		default:
			sb.WriteByte(c)
			l.off++
		}
	}
	return l.fail(start, "unterminated quoted string at or near \"%s\"", clip(l.src[start:]))
}

// continuation moves to the quote of a literal that continues this one: white space with a line break lies between.
func (l *lexer) continuation() bool {
	newline := false
	for l.off < len(l.src) && isSpace(l.src[l.off]) {
		newline = newline || l.src[l.off] == '\n' || l.src[l.off] == '\r'
		l.off++
	}
	return newline && l.off < len(l.src) && l.src[l.off] == '\''
}

// escape decodes one backslash sequence of E'..'.
func (l *lexer) escape(sb *strings.Builder) *sqlerr.Error {
	at := l.off
	c := l.src[l.off+1]
	l.off += 2
	switch c {
	case 'b':
		sb.WriteByte('\b')
	case 'f':
		sb.WriteByte('\f')
	case 'n':
		sb.WriteByte('\n')
	case 'r':
		sb.WriteByte('\r')
	case 't':
		sb.WriteByte('\t')
	case 'v':
		sb.WriteByte('\v')
	case 'x':
		if v, n := l.digits(16, 2); n > 0 {
			sb.WriteByte(byte(v))
		} else {
			sb.WriteByte('x')
		}
	case 'u', 'U':
		want := 4
		if c == 'U' {
			want = 8
		}
		v, n := l.digits(16, want)
		if n != want || v > utf8.MaxRune || (v >= 0xD800 && v < 0xE000) {
			return sqlerr.New(sqlerr.InvalidEscapeSequence, "invalid Unicode escape").At(l.posOf(at)).
				WithHint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.")
		}
		sb.WriteRune(rune(v))
	default:
		if c >= '0' && c <= '7' {
			l.off--
			v, _ := l.digits(8, 3)
			sb.WriteByte(byte(v))
			return nil
		}
		sb.WriteByte(c)
	}
	return nil
}

// digits reads up to limit digits of the base and returns their value and count.
func (l *lexer) digits(base, limit int) (value, n int) {
	for n < limit && l.off < len(l.src) {
		d := strings.IndexByte("0123456789abcdef", l.src[l.off]|0x20)
		if c := l.src[l.off]; c >= '0' && c <= '9' {
			d = int(c - '0')
		}
		if d < 0 || d >= base {
			break
		}
		value, n = value*base+d, n+1
		l.off++
	}
	return value, n
}

func (l *lexer) quotedIdent() *sqlerr.Error {
	start := l.off
	l.off++
	for {
		n := strings.IndexByte(l.src[l.off:], '"')
		if n < 0 {
			return l.fail(start, "unterminated quoted identifier at or near \"%s\"", clip(l.src[start:]))
		}
		l.off += n + 1
		if l.off >= len(l.src) || l.src[l.off] != '"' {
			break
		}
		l.off++
	}
	name := l.src[start+1 : l.off-1]
	if name == "" {
		return l.fail(start, "zero-length delimited identifier at or near \"\"\"\"")
	}
	l.push(tokQuoted, strings.ReplaceAll(name, `""`, `"`), start)
	return nil
}

// dollar reads $N and $tag$..$tag$.
func (l *lexer) dollar() *sqlerr.Error {
	start := l.off
	if l.digitAt(start + 1) {
		l.off++
		for l.digitAt(l.off) {
			l.off++
		}
		if l.off < len(l.src) && isIdentStart(l.src[l.off]) {
			return l.junk(start, "parameter")
		}
		l.push(tokParam, l.src[start+1:l.off], start)
		return nil
	}
	i := start + 1
	for i < len(l.src) && (isIdentStart(l.src[i]) || (i > start+1 && l.digitAt(i))) {
		i++
	}
	if i >= len(l.src) || l.src[i] != '$' {
		return l.fail(start, "syntax error at or near \"$\"")
	}
	tag := l.src[start : i+1]
	n := strings.Index(l.src[i+1:], tag)
	if n < 0 {
		return l.fail(start, "unterminated dollar-quoted string at or near \"%s\"", clip(l.src[start:]))
	}
	l.off = i + 1 + n + len(tag)
	l.push(tokString, l.src[i+1:i+1+n], start)
	return nil
}

// operator reads punctuation, or the longest operator by Postgres' rules.
func (l *lexer) operator() *sqlerr.Error {
	start := l.off
	rest := l.src[start:]
	for _, two := range [...]string{"::", ":=", ".."} {
		if strings.HasPrefix(rest, two) {
			l.off += 2
			l.push(tokOp, two, start)
			return nil
		}
	}
	if strings.IndexByte("()[],.:{}", rest[0]) >= 0 {
		l.off++
		l.punct(rest[:1], start)
		return nil
	}
	n := 0
	for n < min(len(rest), operatorMax) && strings.IndexByte(opChars, rest[n]) >= 0 {
		if strings.HasPrefix(rest[n:], "--") || strings.HasPrefix(rest[n:], "/*") {
			break
		}
		n++
	}
	if n == 0 {
		_, size := utf8.DecodeRuneInString(rest)
		return l.fail(start, "syntax error at or near \"%s\"", rest[:size])
	}
	// A longer operator may end in + or - only if it holds a character that SQL operators lack.
	special := strings.IndexAny(rest[:n], "~!@#^&|`?%")
	for n > 1 && (rest[n-1] == '+' || rest[n-1] == '-') && (special < 0 || special >= n-1) {
		n--
	}
	l.off += n
	op := rest[:n]
	if op == "!=" {
		op = "<>"
	}
	l.push(tokOp, op, start)
	return nil
}

// operatorMax bounds how far the lexer looks for an operator's end, so that a long run of signs is read in linear time. No
// operator is as long: the parts of a longer one are unknown, as it is.
const operatorMax = 256

const opChars = "~!@#^&|`?+-*/%<>="

// punct pushes a punctuation token and pairs brackets.
func (l *lexer) punct(p string, start int) {
	switch p {
	case "(", "[":
		l.open = append(l.open, len(l.toks))
	case ")", "]":
		if n := len(l.open); n > 0 {
			l.toks[l.open[n-1]].match = len(l.toks)
			l.open = l.open[:n-1]
		}
	}
	l.push(tokOp, p, start)
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isIdentStart(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= utf8.RuneSelf
}

func isIdentPart(c byte) bool { return isIdentStart(c) || c >= '0' && c <= '9' || c == '$' }

// foldASCII lowers ASCII letters only, as Postgres does in UTF-8 databases.
func foldASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] |= 0x20
				}
			}
			return string(b)
		}
	}
	return s
}

// clip shortens text that goes into a message.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	end := most
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
