package codec

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// skipSpace returns the first place at or after i that is not white space; newlines count when multi is set.
func skipSpace(data []byte, i int, multi bool) int {
	for i < len(data) {
		c := data[i]
		if c != ' ' && c != '\t' && c != '\r' && (c != '\n' || !multi) {
			break
		}
		i++
	}
	return i
}

// field walks one key and its value after node cur: data[i] is the brace that opens the object, or comes right behind the
// value before. It returns the place behind the value and the key's node, or objectEnd and the place behind the closing brace.
func (d *jsonDecoder) field(data []byte, i int, cur int32) (int, int32) {
	from := i
	i = skipSpace(data, i, d.multi)
	if i == len(data) {
		return d.fail(i, "the object does not end"), 0
	}
	opening := cur == nodeStart
	switch {
	case data[i] == '}' && !opening:
		return i + 1, objectEnd
	case !opening && data[i] != ',':
		return d.fail(i, "a comma or a closing brace is missing"), 0
	}
	i = skipSpace(data, i+1, d.multi)
	if opening && i < len(data) && data[i] == '}' {
		return i + 1, objectEnd
	}
	if i == len(data) || data[i] != '"' {
		return d.fail(i, "a key in quotes is missing"), 0
	}
	keyAt := i + 1
	d.seenU0 = false
	if i = d.skipString(data, keyAt); i < 0 {
		return -1, 0
	}
	key := data[keyAt : i-1]
	if i = skipSpace(data, i, d.multi); i == len(data) || data[i] != ':' {
		return d.fail(i, "a colon is missing after the key"), 0
	}
	i = skipSpace(data, i+1, d.multi)
	node, slot := int32(nodeNone), int32(-1)
	if bytes.IndexByte(key, '\\') < 0 {
		node = d.learn(data, from, i, key, cur)
		slot = d.nodes[node].slot
	} else {
		if d.keepRest {
			slot, d.restU0 = slotRest, d.restU0 || d.seenU0
		}
		if d.unescape(data, keyAt, len(key)) == "" {
			if s, ok := d.byName[string(d.buf)]; ok {
				slot = s
			}
		}
	}
	if slot <= slotRest {
		return d.other(data, i, slot, key), node
	}
	return d.value(data, i, slot), node
}

// skip walks over white space and one value of any kind, checking it, and returns the place behind it or -1.
func (d *jsonDecoder) skip(data []byte, i int) int {
	i = skipSpace(data, i, d.multi)
	if i == len(data) {
		return d.fail(i, "a value is missing")
	}
	switch c := data[i]; {
	case c == '"':
		return d.skipString(data, i+1)
	case c == '{' || c == '[':
		return d.skipNested(data, i)
	case c == 't':
		return d.literal(data, i, "true")
	case c == 'f':
		return d.literal(data, i, "false")
	case c == 'n':
		return d.literal(data, i, "null")
	case c == '-' || c-'0' <= 9:
		return d.skipNumber(data, i)
	}
	return d.fail(i, "a value is missing or malformed")
}

func (d *jsonDecoder) literal(data []byte, i int, word string) int {
	if len(data)-i < len(word) || string(data[i:i+len(word)]) != word {
		return d.fail(i, "unknown word")
	}
	return i + len(word)
}

// plainEnd returns the first quote, backslash or control character at or after i, or len(data).
func plainEnd(data []byte, i int) int {
	for len(data)-i >= 8 {
		if m := stringStop(load(data, i)); m != 0 {
			return i + markIndex(m)
		}
		i += 8
	}
	for i < len(data) && data[i] != '"' && data[i] != '\\' && data[i] >= 0x20 {
		i++
	}
	return i
}

// skipString walks over the rest of a string, i being behind its opening quote, and returns the place behind the closing one.
func (d *jsonDecoder) skipString(data []byte, i int) int {
	for {
		n, _ := scanString(data[i:])
		if i += n; i < len(data) && data[i] == '"' {
			return i + 1
		}
		i = plainEnd(data, i)
		switch {
		case i == len(data):
			return d.fail(i, "a string does not end")
		case data[i] == '"':
			return i + 1
		case data[i] != '\\':
			return d.fail(i, "a control character in a string")
		}
		if i = d.skipEscape(data, i+1); i < 0 {
			return -1
		}
	}
}

// skipEscape checks an escape, i being behind its backslash.
func (d *jsonDecoder) skipEscape(data []byte, i int) int {
	if i == len(data) {
		return d.fail(i, "a string does not end")
	}
	switch data[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if r, ok := hex4(data, i+1); ok {
			d.seenU0 = d.seenU0 || r == 0
			return i + 5
		}
	}
	return d.fail(i, "an unknown escape in a string")
}

// hex4 reads four hexadecimal digits.
func hex4(data []byte, i int) (rune, bool) {
	if len(data)-i < 4 {
		return 0, false
	}
	var r rune
	for _, c := range data[i : i+4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// skipNumber checks a number and returns the place behind it. Up to seven plain digits, the usual case, take one compare.
func (d *jsonDecoder) skipNumber(data []byte, i int) int {
	if end := shortNumber(data, i); end > 0 {
		return end
	}
	if i < len(data) && data[i] == '-' {
		i++
	}
	whole := skipDigits(data, i)
	if whole == i || data[i] == '0' && whole > i+1 {
		return d.fail(i, "a malformed number")
	}
	i = whole
	if i < len(data) && data[i] == '.' {
		end := skipDigits(data, i+1)
		if end == i+1 {
			return d.fail(i, "a malformed number")
		}
		i = end
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		end := skipDigits(data, i)
		if end == i {
			return d.fail(i, "a malformed number")
		}
		i = end
	}
	return i
}

func skipDigits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

// skipNested walks over an object or array without recursion; kinds has a bit per open level, set for objects.
func (d *jsonDecoder) skipNested(data []byte, i int) int {
	var kinds [JSONDepthMax/64 + 1]uint64
	depth := 0
	for { // data[i] opens a value
		c := data[i]
		if c == '{' || c == '[' {
			if depth++; depth > JSONDepthMax {
				return d.fail(i, "the record is nested too deeply")
			}
			kinds[depth>>6] &^= 1 << (depth & 63)
			closing := byte(']')
			if c == '{' {
				kinds[depth>>6] |= 1 << (depth & 63)
				closing = '}'
			}
			i = skipSpace(data, i+1, d.multi)
			if i == len(data) || data[i] != closing {
				if i = d.member(data, i, c == '{'); i < 0 {
					return -1
				}
				continue
			}
			i, depth = i+1, depth-1
		} else if i = d.skip(data, i); i < 0 {
			return -1
		}
		for { // behind a value
			if depth == 0 {
				return i
			}
			inObject := kinds[depth>>6]&(1<<(depth&63)) != 0
			i = skipSpace(data, i, d.multi)
			if i < len(data) && (data[i] == '}' && inObject || data[i] == ']' && !inObject) {
				i, depth = i+1, depth-1
				continue
			}
			if i == len(data) || data[i] != ',' {
				return d.fail(i, "a comma or a closing bracket is missing")
			}
			if i = d.member(data, skipSpace(data, i+1, d.multi), inObject); i < 0 {
				return -1
			}
			break
		}
	}
}

// member walks from the start of an object's or array's next member to its value.
func (d *jsonDecoder) member(data []byte, i int, inObject bool) int {
	if inObject {
		if i == len(data) || data[i] != '"' {
			return d.fail(i, "a key in quotes is missing")
		}
		if i = d.skipString(data, i+1); i < 0 {
			return -1
		}
		if i = skipSpace(data, i, d.multi); i == len(data) || data[i] != ':' {
			return d.fail(i, "a colon is missing after the key")
		}
		i = skipSpace(data, i+1, d.multi)
	}
	if i == len(data) {
		return d.fail(i, "a value is missing")
	}
	return i
}

// unescape decodes n bytes of string contents, which skipString has checked, into d.buf. It returns what is wrong with a
// string that JSON allows and text does not, or "".
func (d *jsonDecoder) unescape(data []byte, i, n int) string {
	d.buf = d.buf[:0]
	for end := i + n; i < end; {
		k := bytes.IndexByte(data[i:end], '\\')
		if k < 0 {
			d.buf = append(d.buf, data[i:end]...)
			break
		}
		d.buf = append(d.buf, data[i:i+k]...)
		i += k + 2
		c := data[i-1]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(data, i)
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(0)
				if end-i >= 6 && data[i] == '\\' && data[i+1] == 'u' {
					low, _ = hex4(data, i+2)
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return "a Unicode surrogate without its other half"
				}
				i += 6
			}
			if r == 0 {
				return `\u0000 cannot be converted to text`
			}
			d.buf = utf8.AppendRune(d.buf, r)
			continue
		}
		d.buf = append(d.buf, c)
	}
	return ""
}
