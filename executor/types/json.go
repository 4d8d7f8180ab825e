package types

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// jsonBytesMax bounds the canonical text of a jsonb value.
const jsonBytesMax = 64 << 20

// jsonDepthMax bounds the nesting of JSON values.
const jsonDepthMax = 1000

// JSONNode is a JSON value taken apart.
type JSONNode struct {
	// Kind is '{', '[', '"', '0' (number), 't', 'f' or 'n'.
	Kind  byte
	Str   string // the string, unescaped, or the number as written
	Keys  []string
	Elems []*JSONNode
}

type jsonReader struct {
	s string
	i int
	// build makes nodes; otherwise the text is only checked.
	build bool
	depth int
}

// CheckJSON returns an error (22P02) unless s is one JSON value.
func CheckJSON(s string) error {
	r := jsonReader{s: s}
	_, err := r.document()
	return err
}

// ParseJSON takes one JSON value apart; jsonb's rules: no \u0000.
func ParseJSON(s string) (*JSONNode, error) {
	r := jsonReader{s: s, build: true}
	return r.document()
}

// CanonicalJSON returns jsonb's text: duplicate keys removed (the last wins), keys sorted by length then bytes, one space
// after : and commas, numbers as numeric.
func CanonicalJSON(s string) (string, error) {
	n, err := ParseJSON(s)
	if err != nil {
		return "", err
	}
	b, err := n.AppendCanonical(nil)
	return string(b), err
}

func (r *jsonReader) document() (*JSONNode, error) {
	n, err := r.value()
	if err != nil {
		return nil, err
	}
	r.space()
	if r.i < len(r.s) {
		return nil, r.bad("Expected end of input, but found %s.", r.token())
	}
	return n, nil
}

func (r *jsonReader) bad(detail string, args ...any) error {
	return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid input syntax for type json").WithDetail(detail, args...)
}

func (r *jsonReader) badToken() error {
	if r.i >= len(r.s) {
		return r.bad("The input string ended unexpectedly.")
	}
	return r.bad("Token %s is invalid.", r.token())
}

// token is the word at the reading position, for messages.
func (r *jsonReader) token() string {
	j := r.i
	for j < len(r.s) && (isAlpha(r.s[j]) || isDigit(r.s[j]) || r.s[j] >= 0x80 || r.s[j] == '_') {
		j++
	}
	if j == r.i && j < len(r.s) {
		_, w := utf8.DecodeRuneInString(r.s[j:])
		j += w
	}
	return `"` + clip(r.s[r.i:j]) + `"`
}

func (r *jsonReader) space() {
	for r.i < len(r.s) && (r.s[r.i] == ' ' || r.s[r.i] == '\t' || r.s[r.i] == '\n' || r.s[r.i] == '\r') {
		r.i++
	}
}

func (r *jsonReader) value() (*JSONNode, error) {
	r.space()
	if r.i >= len(r.s) {
		return nil, r.badToken()
	}
	switch c := r.s[r.i]; {
	case c == '{' || c == '[':
		if r.depth++; r.depth > jsonDepthMax {
			return nil, sqlerr.New("54001", "stack depth limit exceeded").WithHint("JSON values may nest %d deep.", jsonDepthMax)
		}
		n, err := r.container(c)
		r.depth--
		return n, err
	case c == '"':
		s, err := r.str()
		return r.node('"', s), err
	case c == '-' || isDigit(c):
		s, ok := r.number()
		if !ok {
			return nil, r.badToken()
		}
		return r.node('0', s), nil
	}
	for _, w := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(r.s[r.i:], w) && r.token() == `"`+w+`"` {
			r.i += len(w)
			return r.node(w[0], ""), nil
		}
	}
	return nil, r.badToken()
}

func (r *jsonReader) node(kind byte, s string) *JSONNode {
	if !r.build {
		return nil
	}
	return &JSONNode{Kind: kind, Str: s}
}

// container reads an object or an array, whose bracket open is at the reading position.
func (r *jsonReader) container(open byte) (*JSONNode, error) {
	n := r.node(open, "")
	end := open + 2 // '{' + 2 == '}', '[' + 2 == ']'
	r.i++
	r.space()
	if r.i < len(r.s) && r.s[r.i] == end {
		r.i++
		return n, nil
	}
	for {
		if open == '{' {
			key, err := r.key()
			if err != nil {
				return nil, err
			}
			if r.build {
				n.Keys = append(n.Keys, key)
			}
		}
		e, err := r.value()
		if err != nil {
			return nil, err
		}
		if r.build {
			n.Elems = append(n.Elems, e)
		}
		r.space()
		if r.i >= len(r.s) {
			return nil, r.badToken()
		}
		switch r.s[r.i] {
		case ',':
			r.i++
		case end:
			r.i++
			return n, nil
		default:
			return nil, r.bad("Expected \",\" or \"%c\", but found %s.", end, r.token())
		}
	}
}

func (r *jsonReader) key() (string, error) {
	r.space()
	if r.i >= len(r.s) {
		return "", r.badToken()
	}
	if r.s[r.i] != '"' {
		return "", r.bad("Expected string, but found %s.", r.token())
	}
	key, err := r.str()
	if err != nil {
		return "", err
	}
	r.space()
	if r.i >= len(r.s) {
		return "", r.badToken()
	}
	if r.s[r.i] != ':' {
		return "", r.bad("Expected \":\", but found %s.", r.token())
	}
	r.i++
	return key, nil
}

func (r *jsonReader) number() (string, bool) {
	j := r.i
	if r.s[j] == '-' {
		j++
	}
	digits := func() bool {
		k := j
		for j < len(r.s) && isDigit(r.s[j]) {
			j++
		}
		return j > k
	}
	zero := j < len(r.s) && r.s[j] == '0'
	start := j
	if !digits() || zero && j > start+1 {
		return "", false
	}
	if j < len(r.s) && r.s[j] == '.' {
		if j++; !digits() {
			return "", false
		}
	}
	if j < len(r.s) && r.s[j]|32 == 'e' {
		j++
		if j < len(r.s) && (r.s[j] == '+' || r.s[j] == '-') {
			j++
		}
		if !digits() {
			return "", false
		}
	}
	if j < len(r.s) && (isAlpha(r.s[j]) || r.s[j] == '_') {
		return "", false
	}
	s := r.s[r.i:j]
	r.i = j
	return s, true
}

// str reads the string literal at the reading position and returns it unescaped (only when building nodes).
func (r *jsonReader) str() (string, error) {
	start := r.i + 1
	j := start
	for j < len(r.s) && r.s[j] != '"' && r.s[j] != '\\' && r.s[j] >= 0x20 {
		j++
	}
	if j < len(r.s) && r.s[j] == '"' {
		r.i = j + 1
		return r.s[start:j], nil
	}
	out := []byte(r.s[start:j])
	for j < len(r.s) {
		switch c := r.s[j]; {
		case c == '"':
			r.i = j + 1
			return string(out), nil
		case c < 0x20:
			r.i = j
			return "", r.bad("Character with value 0x%02x must be escaped.", c)
		case c != '\\':
			out = append(out, c)
			j++
		default:
			w, err := r.escape(&out, j)
			if err != nil {
				return "", err
			}
			j += w
		}
	}
	r.i = len(r.s)
	return "", r.bad("Token \"%s\" is invalid.", clip(r.s[start-1:]))
}

const jsonEscapes = "\"\"\\\\//b\bf\fn\nr\rt\t"

// escape reads the escape sequence at j and returns its length.
func (r *jsonReader) escape(out *[]byte, j int) (int, error) {
	if j+1 >= len(r.s) {
		r.i = len(r.s)
		return 0, r.badToken()
	}
	c := r.s[j+1]
	for k := 0; k < len(jsonEscapes); k += 2 {
		if jsonEscapes[k] == c {
			*out = append(*out, jsonEscapes[k+1])
			return 2, nil
		}
	}
	if c != 'u' {
		return 0, r.bad("Escape sequence \"\\%c\" is invalid.", c)
	}
	u, ok := hex4(r.s[j+2:])
	if !ok {
		return 0, r.bad("\"\\u\" must be followed by four hexadecimal digits.")
	}
	switch {
	case u == 0 && r.build:
		return 0, sqlerr.New("22P05", "unsupported Unicode escape sequence").WithDetail("\\u0000 cannot be converted to text.")
	case u >= 0xd800 && u < 0xe000 && !r.build && !strings.HasPrefix(r.s[j+6:], "\\u"):
		*out = utf8.AppendRune(*out, utf8.RuneError) // json is checked loosely, jsonb strictly
		return 6, nil
	case u >= 0xd800 && u < 0xdc00:
		if strings.HasPrefix(r.s[j+6:], "\\u") {
			if lo, ok := hex4(r.s[j+8:]); ok && lo >= 0xdc00 && lo < 0xe000 {
				*out = utf8.AppendRune(*out, utf16.DecodeRune(rune(u), rune(lo)))
				return 12, nil
			}
		}
		return 0, r.bad("Unicode low surrogate must follow a high surrogate.")
	case u >= 0xdc00 && u < 0xe000:
		return 0, r.bad("Unicode low surrogate must follow a high surrogate.")
	}
	*out = utf8.AppendRune(*out, rune(u))
	return 6, nil
}

func hex4(s string) (uint32, bool) {
	if len(s) < 4 {
		return 0, false
	}
	u := uint32(0)
	for i := 0; i < 4; i++ {
		d := hexDigit(s[i])
		if d > 15 {
			return 0, false
		}
		u = u<<4 | uint32(d)
	}
	return u, true
}

// AppendJSONString appends s as a JSON string literal, escaped as Postgres does.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			if c < 0x20 {
				dst = append(dst, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
				continue
			}
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// AppendCanonical appends jsonb's text of a node; the node's objects are sorted in place.
func (n *JSONNode) AppendCanonical(dst []byte) ([]byte, error) {
	var err error
	switch n.Kind {
	case '{':
		n.sortKeys()
		dst = append(dst, '{')
		for i, k := range n.Keys {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = AppendJSONString(dst, k)
			dst = append(dst, ": "...)
			if dst, err = n.Elems[i].AppendCanonical(dst); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case '[':
		dst = append(dst, '[')
		for i, e := range n.Elems {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			if dst, err = e.AppendCanonical(dst); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case '"':
		return AppendJSONString(dst, n.Str), nil
	case '0':
		s, err := parseNumeric(n.Str)
		if len(dst)+len(s) > jsonBytesMax { // 1e99999 is short to write
			return dst, sqlerr.New(sqlerr.ProgramLimitExceeded, "jsonb value is too large").WithHint("The limit is %d bytes.", jsonBytesMax)
		}
		return append(dst, s...), err
	case 't':
		return append(dst, "true"...), nil
	case 'f':
		return append(dst, "false"...), nil
	}
	return append(dst, "null"...), nil
}

// JSONKindName is jsonb_typeof of a kind.
func JSONKindName(kind byte) string {
	switch kind {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case '0':
		return "number"
	case 'n':
		return "null"
	}
	return "boolean"
}
