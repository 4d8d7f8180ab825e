package codec

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

var csvDef = Def{
	Name: "CSV",
	Doc: "Comma-separated values as COPY ... CSV reads them (RFC 4180; quoted fields may hold newlines). Options: header " +
		"(true: the first record of each payload is skipped; match: it names the columns, in any order, and unknown names are " +
		"ignored), delimiter, null, quote, escape.",
	New: newCSV,
}

type csvDecoder struct {
	positional
	header        string // "", "true" or "match"
	delim, quote  byte
	escape        byte
	null          []byte
	delims, quots uint64 // delimiter and quote in every byte of a word
	declared      []int  // columns without a header
	buf           []byte // fields that are not a piece of the payload
	rest          resume
	// lineQuotes: a quote stayed open up to the payload's end, so from here on quoted fields end with their line. It keeps
	// the loss to one line and the work linear.
	lineQuotes bool
}

func newCSV(o Options) (Decoder, error) {
	if err := onlyParams("CSV", o.Params, "header", "delimiter", "null", "quote", "escape"); err != nil {
		return nil, err
	}
	p, err := newPositional(o)
	if err != nil {
		return nil, err
	}
	d := &csvDecoder{positional: p, null: []byte(o.Params["null"]), declared: p.columns}
	if d.delim, err = oneByte(o.Params, "delimiter", ','); err != nil {
		return nil, err
	}
	if d.quote, err = oneByte(o.Params, "quote", '"'); err != nil {
		return nil, err
	}
	if d.escape, err = oneByte(o.Params, "escape", d.quote); err != nil {
		return nil, err
	}
	if d.quote == d.delim {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "CSV quote must not be the delimiter")
	}
	switch h := o.Params["header"]; h {
	case "", "false", "off", "0":
	case "true", "on", "1":
		d.header = "true"
	case "match":
		d.header = "match"
	default:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, `header requires a Boolean value or "match"`)
	}
	d.delims, d.quots = ones*uint64(d.delim), ones*uint64(d.quote)
	return d, nil
}

// oneByte reads an option that is one ASCII character.
func oneByte(params map[string]string, name string, def byte) (byte, error) {
	s, ok := params[name]
	if !ok {
		return def, nil
	}
	if len(s) != 1 || s[0] == '\n' || s[0] == '\r' || s[0] == 0 || s[0] >= 0x80 {
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "%s must be a single one-byte character, not a newline", name)
	}
	return s[0], nil
}

// Decode implements Decoder.
func (d *csvDecoder) Decode(payload []byte, b *batch.Batch, limit int, rej *[]Reject) int {
	i := 0
	if !d.rest.is(payload) {
		d.lineQuotes, d.columns = false, d.declared
		if d.header != "" {
			i = d.readHeader(payload)
		}
	}
	d.prepare(b, limit)
	for rejects := len(*rej) + RejectsMax; i < len(payload) && b.N < limit && len(*rej) < rejects; {
		if n := blankLine(payload[i:], len(d.columns)); n > 0 {
			i += n
			continue
		}
		end, err := d.record(payload, i, b)
		if err == nil {
			err = d.finish(b)
		} else {
			b.Truncate(b.N)
		}
		if err != nil {
			*rej = append(*rej, Reject{Raw: clip(trimEOL(payload[i:end])), Err: err})
		}
		i = end
	}
	d.rest.set(payload[i:])
	d.remember(b)
	return i
}

// blankLine returns the length of a line that holds no record: an empty one (it is a row where there is just one column), or
// the end marker `\.` that some clients send.
func blankLine(s []byte, columns int) int {
	switch {
	case bytes.HasPrefix(s, []byte("\\.\n")):
		return 3
	case bytes.HasPrefix(s, []byte("\\.\r\n")):
		return 4
	case string(s) == `\.`:
		return 2
	case columns == 1:
		return 0
	case s[0] == '\n':
		return 1
	case len(s) > 1 && s[0] == '\r' && s[1] == '\n':
		return 2
	}
	return 0
}

// record puts the fields of the record at i and returns where the next one starts. Its error is one of form.
func (d *csvDecoder) record(data []byte, i int, b *batch.Batch) (int, error) {
	start := i
	d.begin()
	for {
		text, quoted, end := d.field(data, i)
		if end < 0 { // a quote is open: only the first line is lost
			d.lineQuotes = true
			return start + lineLen(data[start:]), sqlerr.New(sqlerr.BadCopyFileFormat, "unterminated CSV quoted field")
		}
		d.put(b, text, !quoted && bytes.Equal(text, d.null))
		if end >= len(data) {
			return len(data), nil
		}
		if data[end] == '\n' {
			return end + 1, nil
		}
		i = end + 1
	}
}

// field returns the text of the field at i, whether any of it was quoted, and the place of the delimiter or newline behind
// it; -1 when a quote stays open. A carriage return before the newline is not part of the field.
func (d *csvDecoder) field(data []byte, i int) (text []byte, quoted bool, end int) {
	end = d.plain(data, i)
	if end >= len(data) || data[end] != d.quote {
		text = data[i:end]
		if (end == len(data) || data[end] == '\n') && len(text) > 0 && text[len(text)-1] == '\r' {
			text = text[:len(text)-1]
		}
		return text, false, end
	}
	d.buf = append(d.buf[:0], data[i:end]...)
	for {
		if i = d.quotedPart(data, end+1); i < 0 {
			return nil, true, -1
		}
		end = d.plain(data, i)
		part := data[i:end]
		if end < len(data) && data[end] == d.quote {
			d.buf = append(d.buf, part...)
			continue
		}
		if (end == len(data) || data[end] == '\n') && len(part) > 0 && part[len(part)-1] == '\r' {
			part = part[:len(part)-1]
		}
		d.buf = append(d.buf, part...)
		return d.buf, true, end
	}
}

// plain returns the next delimiter, quote or newline at or after i.
func (d *csvDecoder) plain(data []byte, i int) int {
	for len(data)-i >= 8 {
		x := binary.LittleEndian.Uint64(data[i:])
		a, q, n := x^d.delims, x^d.quots, x^(ones*'\n')
		if m := ((a-ones)&^a | (q-ones)&^q | (n-ones)&^n) & highs; m != 0 {
			return i + markIndex(m)
		}
		i += 8
	}
	for i < len(data) && data[i] != d.delim && data[i] != d.quote && data[i] != '\n' {
		i++
	}
	return i
}

// quotedPart appends the contents of a quoted part to d.buf, i being behind its opening quote, and returns the place behind
// the closing one, or -1.
func (d *csvDecoder) quotedPart(data []byte, i int) int {
	for from := i; i < len(data); i++ {
		c := data[i]
		switch {
		case c == d.escape && i+1 < len(data) && (data[i+1] == d.quote || data[i+1] == d.escape):
			d.buf = append(d.buf, data[from:i]...)
			i++
			from = i
		case c == d.quote:
			d.buf = append(d.buf, data[from:i]...)
			return i + 1
		case c == '\n' && d.lineQuotes:
			return -1
		}
	}
	return -1
}

// readHeader consumes the first record; with match it maps the fields by the names it finds.
func (d *csvDecoder) readHeader(data []byte) int {
	i := 0
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		i = 3
	}
	var columns []int
	for i < len(data) {
		text, _, end := d.field(data, i)
		if end < 0 {
			return lineLen(data)
		}
		c := columnOf(d.schema, d.declared, string(text))
		if slices.Contains(columns, c) {
			c = -1 // a name that comes twice counts once
		}
		columns = append(columns, c)
		if i = end + 1; end >= len(data) || data[end] == '\n' {
			break
		}
	}
	if d.header == "match" {
		d.columns = columns
	}
	return min(i, len(data))
}

// columnOf finds a name among the declared columns, -1 if it is none.
func columnOf(s *types.Schema, declared []int, name string) int {
	for _, c := range declared {
		if s.Cols[c].Name == name {
			return c
		}
	}
	return -1
}
