package types

import (
	"encoding/binary"
	"strings"
)

// Rows are values of kind Record. A stored row tells the kinds and the names of its fields, so that it can be printed,
// compared and made JSON of without its type. Type.Mod of a row type is the planner's: a number for its fields' names and types
// in one statement.

// AppendRecordBytes appends the stored form of a row: a uvarint count, then for each field kind, element kind, a uvarint length and
// the field's name, and the value as an element of an array. Fields beyond the names have none.
func AppendRecordBytes(dst []byte, fields []Value, names []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(fields)))
	for i := range fields {
		dst = append(dst, byte(fields[i].Type.Kind), byte(fields[i].Type.Elem))
		name := ""
		if i < len(names) {
			name = names[i]
		}
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		dst = appendElem(dst, &fields[i])
	}
	return dst
}

// NewRecord returns a row.
func NewRecord(fields []Value, names []string) Value {
	return Value{Type: T(Record), S: string(AppendRecordBytes(nil, fields, names))}
}

// DecodeRecord reads the stored form of a row; it rejects malformed bytes and never panics.
func DecodeRecord(s string) ([]Value, error) {
	fields, _, err := DecodeRecordNames(s)
	return fields, err
}

// DecodeRecordNames is DecodeRecord with the names of the fields.
func DecodeRecordNames(s string) ([]Value, []string, error) {
	n, s, err := cutUvarint(s)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(s)) { // each field takes some bytes
		return nil, nil, errArrayShort
	}
	out, names := make([]Value, n), make([]string, n)
	for i := range out {
		if len(s) < 2 || Kind(s[0]) >= kindCount || Kind(s[1]) >= kindCount {
			return nil, nil, errArrayShort
		}
		out[i].Type = Type{Kind: Kind(s[0]), Elem: Kind(s[1])}
		var size uint64
		if size, s, err = cutUvarint(s[2:]); err != nil || size > uint64(len(s)) {
			return nil, nil, errArrayShort
		}
		names[i], s = s[:size], s[size:]
		if s, err = decodeElem(&out[i], s); err != nil {
			return nil, nil, err
		}
	}
	return out, names, nil
}

func appendRecordText(dst []byte, v Value, f *TextFormat) []byte {
	fields, err := DecodeRecord(v.S)
	if err != nil {
		return append(dst, "??"...)
	}
	dst = append(dst, '(')
	for i := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		if fields[i].Null {
			continue
		}
		n := len(dst)
		dst = AppendText(dst, fields[i], f)
		if text := string(dst[n:]); text == "" || strings.ContainsAny(text, "()\"\\, \t\n\r\v\f") {
			dst = appendQuoted(dst[:n], text, 0)
		}
	}
	return append(dst, ')')
}
