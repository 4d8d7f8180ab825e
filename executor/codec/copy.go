package codec

import (
	"bytes"
	"encoding/binary"

	"github.com/vigil-sql/vigil/executor/batch"
)

var copyDef = Def{
	Name: "COPY",
	Doc: `The text format of COPY: one row per line, tabs between the fields, \N for NULL, backslash escapes. Options: ` +
		"delimiter, null.",
	New: newCopy,
}

type copyDecoder struct {
	positional
	delim  byte
	null   []byte
	delims uint64
	buf    []byte
}

func newCopy(o Options) (Decoder, error) {
	if err := onlyParams("COPY", o.Params, "delimiter", "null"); err != nil {
		return nil, err
	}
	p, err := newPositional(o)
	if err != nil {
		return nil, err
	}
	d := &copyDecoder{positional: p, null: []byte(`\N`)}
	if s, ok := o.Params["null"]; ok {
		d.null = []byte(s)
	}
	if d.delim, err = oneByte(o.Params, "delimiter", '\t'); err != nil {
		return nil, err
	}
	d.delims = ones * uint64(d.delim)
	return d, nil
}

// Decode implements Decoder.
func (d *copyDecoder) Decode(payload []byte, b *batch.Batch, limit int, rej *[]Reject) int {
	d.prepare(b, limit)
	i := 0
	for rejects := len(*rej) + RejectsMax; i < len(payload) && b.N < limit && len(*rej) < rejects; {
		if n := blankLine(payload[i:], len(d.columns)); n > 0 {
			i += n
			continue
		}
		start := i
		d.begin()
		for more := true; more; {
			var text []byte
			var null bool
			text, null, i = d.field(payload, i)
			more = i < len(payload) && payload[i] == d.delim
			i = min(i+1, len(payload))
			d.put(b, text, null)
		}
		if err := d.finish(b); err != nil {
			*rej = append(*rej, Reject{Raw: clip(trimEOL(payload[start:i])), Err: err})
		}
	}
	d.remember(b)
	return i
}

// field returns the text of the field at i and the place of the delimiter or newline behind it. A carriage return before the
// newline is not part of the field.
func (d *copyDecoder) field(data []byte, i int) (text []byte, null bool, end int) {
	end = d.plain(data, i)
	if end >= len(data) || data[end] != '\\' {
		text = trimCR(data, i, end)
		return text, bytes.Equal(text, d.null), end
	}
	escape := end
	for end < len(data) && data[end] == '\\' {
		end = d.plain(data, min(end+2, len(data)))
	}
	raw := trimCR(data, i, end)
	if bytes.Equal(raw, d.null) {
		return raw, true, end
	}
	d.buf = append(d.buf[:0], data[i:escape]...)
	d.unescape(raw[escape-i:])
	return d.buf, false, end
}

func trimCR(data []byte, i, end int) []byte {
	if end > i && data[end-1] == '\r' && (end == len(data) || data[end] == '\n') {
		end--
	}
	return data[i:end]
}

// plain returns the next delimiter, backslash or newline at or after i.
func (d *copyDecoder) plain(data []byte, i int) int {
	for len(data)-i >= 8 {
		x := binary.LittleEndian.Uint64(data[i:])
		a, q, n := x^d.delims, x^(ones*'\\'), x^(ones*'\n')
		if m := ((a-ones)&^a | (q-ones)&^q | (n-ones)&^n) & highs; m != 0 {
			return i + markIndex(m)
		}
		i += 8
	}
	for i < len(data) && data[i] != d.delim && data[i] != '\\' && data[i] != '\n' {
		i++
	}
	return i
}

// unescape appends s to d.buf with its backslash sequences resolved, as CopyReadAttributesText does.
func (d *copyDecoder) unescape(s []byte) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' || i+1 == len(s) {
			d.buf = append(d.buf, c)
			continue
		}
		i++
		switch c = s[i]; {
		case c == 'b':
			c = '\b'
		case c == 'f':
			c = '\f'
		case c == 'n':
			c = '\n'
		case c == 'r':
			c = '\r'
		case c == 't':
			c = '\t'
		case c == 'v':
			c = '\v'
		case c >= '0' && c <= '7':
			v, n := number(s[i:], 8, 3)
			c, i = byte(v), i+n-1
		case c == 'x':
			if v, n := number(s[i+1:], 16, 2); n > 0 {
				c, i = byte(v), i+n
			}
		}
		d.buf = append(d.buf, c)
	}
}

// number reads up to most digits of a base and returns value and digit count.
func number(s []byte, base, most int) (v, n int) {
	for n < len(s) && n < most {
		digit := int(s[n] - '0')
		if c := s[n] | 0x20; c >= 'a' && c <= 'f' {
			digit = int(c-'a') + 10
		} else if s[n] < '0' || s[n] > '9' {
			break
		}
		if digit >= base {
			break
		}
		v = v*base + digit
		n++
	}
	return v, n
}
