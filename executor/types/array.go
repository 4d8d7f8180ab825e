package types

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

var errArrayShort = errors.New("stored array ends early")

// AppendArrayBytes appends the stored form of a one-dimensional array: a uvarint count, then for each element 0 for NULL, or
// 1 and 8 little-endian bytes (integers, floats) or a uvarint length and the bytes. Elements all have one layout.
func AppendArrayBytes(dst []byte, elems []Value) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(elems)))
	for i := range elems {
		dst = appendElem(dst, &elems[i])
	}
	return dst
}

func appendElem(dst []byte, e *Value) []byte {
	if e.Null {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	switch e.Type.Phys() {
	case PhysInt:
		return binary.LittleEndian.AppendUint64(dst, uint64(e.I))
	case PhysFloat:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.F))
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.S)))
	return append(dst, e.S...)
}

// NewArray returns an array of elements of one kind.
func NewArray(elem Kind, elems []Value) Value {
	return Value{Type: ArrayOf(elem), S: string(AppendArrayBytes(nil, elems))}
}

// DecodeArray reads the stored form; it rejects malformed bytes and never panics.
func DecodeArray(elem Kind, s string) ([]Value, error) {
	n, s, err := cutUvarint(s)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(s)) { // each element takes a byte at least
		return nil, errArrayShort
	}
	out := make([]Value, n)
	for i := range out {
		out[i].Type = T(elem)
		if s, err = decodeElem(&out[i], s); err != nil {
			return nil, err
		}
	}
	if s != "" {
		return nil, errors.New("stored array has bytes left over")
	}
	return out, nil
}

func cutUvarint(s string) (uint64, string, error) {
	var n uint64
	for i := 0; i < len(s) && i < 10; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, s[i+1:], nil
		}
	}
	return 0, "", errArrayShort
}

// decodeElem reads one element of the type that e already has.
func decodeElem(e *Value, s string) (string, error) {
	if s == "" {
		return "", errArrayShort
	}
	tag := s[0]
	s = s[1:]
	if tag == 0 {
		e.Null = true
		return s, nil
	}
	if tag != 1 {
		return "", errors.New("stored array has a bad tag")
	}
	if e.Type.Phys() == PhysBytes {
		n, rest, err := cutUvarint(s)
		if err != nil || n > uint64(len(rest)) {
			return "", errArrayShort
		}
		e.S = rest[:n]
		return rest[n:], nil
	}
	if len(s) < 8 {
		return "", errArrayShort
	}
	var u uint64
	for i := 7; i >= 0; i-- {
		u = u<<8 | uint64(s[i])
	}
	if e.Type.Phys() == PhysInt {
		e.I = int64(u)
	} else {
		e.F = math.Float64frombits(u)
	}
	return s[8:], nil
}

func badArray(s, detail string) error {
	return sqlerr.New(sqlerr.InvalidTextRepresentation, "malformed array literal: \"%s\"", clip(s)).WithDetail("%s", detail)
}

// parseArray reads {a,"b c",NULL}.
func parseArray(t Type, s string, f *TextFormat) (string, error) {
	d := trim(s)
	if d == "" || d[0] != '{' {
		return "", badArray(s, "Array value must start with \"{\" or dimension information.")
	}
	if d[len(d)-1] != '}' || len(d) == 1 {
		return "", badArray(s, "Unexpected end of input.")
	}
	body := d[1 : len(d)-1]
	var elems []Value
	if trim(body) == "" {
		return string(AppendArrayBytes(nil, nil)), nil
	}
	for {
		text, quoted, rest, err := arrayElem(body, s)
		if err != nil {
			return "", err
		}
		e := Null(T(t.Elem))
		if quoted || !strings.EqualFold(text, "null") {
			if e, err = ParseText(T(t.Elem), text, f); err != nil {
				return "", err
			}
		}
		elems = append(elems, e)
		if rest == "" {
			return string(AppendArrayBytes(nil, elems)), nil
		}
		body = rest[1:]
	}
}

// arrayElem cuts the first element off; rest is empty or begins with the comma.
func arrayElem(body, whole string) (text string, quoted bool, rest string, err error) {
	i := 0
	for i < len(body) && strings.IndexByte(" \t\n\r\v\f", body[i]) >= 0 {
		i++
	}
	var out []byte
	keep := 0 // bytes of out that trimming must not touch
	for i < len(body) && body[i] != ',' {
		switch c := body[i]; c {
		case '{', '}':
			if c == '{' && len(out) == 0 && !quoted {
				return "", false, "", sqlerr.NotSupported("an array of more than one dimension", "Use an array of one dimension, or jsonb.")
			}
			return "", false, "", badArray(whole, "Unexpected \""+string(c)+"\" character.")
		case '\\':
			if i+1 >= len(body) {
				return "", false, "", badArray(whole, "Unexpected end of input.")
			}
			out = append(out, body[i+1])
			i, keep = i+2, len(out)
		case '"':
			if quoted || len(trim(string(out))) > 0 {
				return "", false, "", badArray(whole, "Unexpected array element.")
			}
			quoted = true
			n, e := quotedElem(body[i:], &out)
			if e != nil || n < 0 {
				return "", false, "", badArray(whole, "Unexpected end of input.")
			}
			i, keep = i+n, len(out)
		default:
			if quoted && strings.IndexByte(" \t\n\r\v\f", c) < 0 {
				return "", false, "", badArray(whole, "Unexpected array element.")
			}
			out = append(out, c)
			i++
		}
	}
	n := len(out)
	for n > keep && strings.IndexByte(" \t\n\r\v\f", out[n-1]) >= 0 {
		n--
	}
	if n == 0 && !quoted {
		return "", false, "", badArray(whole, "Unexpected \",\" character.")
	}
	return string(out[:n]), quoted, body[i:], nil
}

// quotedElem reads a quoted element at the start of s and returns its length, -1 when it does not end.
func quotedElem(s string, out *[]byte) (int, error) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i + 1, nil
		case '\\':
			if i++; i >= len(s) {
				return -1, nil
			}
		}
		*out = append(*out, s[i])
	}
	return -1, nil
}

func appendArrayText(dst []byte, v Value, f *TextFormat) []byte {
	elems, err := DecodeArray(v.Type.Elem, v.S)
	if err != nil {
		return append(dst, "??"...)
	}
	if v.Type.IsVector() {
		for i := range elems {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = AppendText(dst, elems[i], f)
		}
		return dst
	}
	dst = append(dst, '{')
	for i := range elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		if elems[i].Null {
			dst = append(dst, "NULL"...)
			continue
		}
		n := len(dst)
		dst = AppendText(dst, elems[i], f)
		if text := string(dst[n:]); mustQuoteElem(text) {
			dst = appendQuoted(dst[:n], text, '\\')
		}
	}
	return append(dst, '}')
}

func mustQuoteElem(s string) bool {
	return s == "" || strings.EqualFold(s, "null") || strings.ContainsAny(s, "{}\"\\, \t\n\r\v\f")
}

// appendQuoted writes s in double quotes; quotes and backslashes are preceded by a backslash, or doubled when esc is 0.
func appendQuoted(dst []byte, s string, esc byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			if esc == 0 {
				dst = append(dst, s[i])
			} else {
				dst = append(dst, esc)
			}
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}
