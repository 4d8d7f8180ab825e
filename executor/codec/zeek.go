package codec

import (
	"bytes"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

var zeekDef = Def{
	Name: "ZEEK",
	Doc: "Logs of Zeek, as JSON or tab-separated with their header lines, which each payload must have. Columns id_orig_h and the like are id.orig_h. " +
		"Unset fields (-) are NULL; sets and vectors become arrays in columns of array and JSON types. No options.",
	New: newZeek,
}

// zeekAlias gives the name of a field whose column has no points.
func zeekAlias(column string) []string {
	if rest, ok := strings.CutPrefix(column, "id_"); ok {
		return []string{"id." + rest}
	}
	return nil
}

// zeekDecoder reads tab-separated logs itself and leaves JSON to a decoder of its own.
type zeekDecoder struct {
	named
	json   *jsonDecoder
	asJSON bool // the payload under way is JSON
	rest   resume
	sep    byte
	set    byte
	unset  []byte
	empty  []byte
	fields []zeekField // nil: no header yet
	buf    []byte
}

type zeekField struct {
	name  []byte
	list  bool
	entry int32
}

func newZeek(o Options) (Decoder, error) {
	if err := onlyParams("ZEEK", o.Params); err != nil {
		return nil, err
	}
	d := &zeekDecoder{}
	var err error
	if d.json, err = newJSONDecoder(o, "ZEEK"); err != nil {
		return nil, err
	}
	d.named, err = newNamed(o, "ZEEK", zeekAlias)
	return d, err
}

// Decode implements Decoder.
func (d *zeekDecoder) Decode(payload []byte, b *batch.Batch, limit int, rej *[]Reject) int {
	if !d.rest.is(payload) {
		d.asJSON = zeekJSON(payload)
		d.fields, d.sep, d.set, d.unset, d.empty = nil, '\t', ',', []byte("-"), []byte("(empty)")
	}
	var n int
	if d.asJSON {
		n = d.json.Decode(payload, b, limit, rej)
	} else {
		n = d.table(payload, b, limit, rej)
	}
	d.rest.set(payload[n:])
	return n
}

// zeekJSON reports whether the first line that is of either form is JSON.
func zeekJSON(payload []byte) bool {
	for text := range bytes.Lines(payload) {
		if text = bytes.TrimLeft(text, " \t\r\n"); len(text) > 0 && bytes.IndexByte([]byte("{[#"), text[0]) >= 0 {
			return text[0] != '#'
		}
	}
	return false
}

func (d *zeekDecoder) table(payload []byte, b *batch.Batch, limit int, rej *[]Reject) int {
	if d.prepare(b, limit) {
		d.locate()
	}
	i := 0
	for rejects := len(*rej) + RejectsMax; i < len(payload) && b.N < limit && len(*rej) < rejects; {
		var text []byte
		if text, i = line(payload, i); len(text) == 0 {
			continue
		}
		if text[0] == '#' {
			d.headerLine(text[1:])
			continue
		}
		d.begin(b.N)
		d.end(b, text, d.record(text), rej)
	}
	d.remember(b)
	return i
}

// locate looks up the columns of the fields.
func (d *zeekDecoder) locate() {
	for i := range d.fields {
		d.fields[i].entry = d.resolve(d.fields[i].name)
	}
}

// headerLine reads a line of the header, from behind the number sign.
func (d *zeekDecoder) headerLine(s []byte) {
	if v, ok := bytes.CutPrefix(s, []byte("separator ")); ok {
		if h, ok := bytes.CutPrefix(v, []byte(`\x`)); ok {
			if c, n := number(h, 16, 2); n == 2 {
				d.sep = byte(c)
			}
		} else if len(v) == 1 {
			d.sep = v[0]
		}
		return
	}
	key, value, _ := bytes.Cut(s, []byte{d.sep})
	switch string(key) {
	case "set_separator":
		if len(value) == 1 {
			d.set = value[0]
		}
	case "empty_field":
		d.empty = bytes.Clone(value)
	case "unset_field":
		d.unset = bytes.Clone(value)
	case "fields":
		d.fields = d.fields[:0]
		for name := range bytes.SplitSeq(value, []byte{d.sep}) {
			if len(d.fields) == fieldNodesMax {
				break
			}
			d.fields = append(d.fields, zeekField{name: bytes.Clone(name)})
		}
		d.locate()
	case "types":
		i := 0
		for typ := range bytes.SplitSeq(value, []byte{d.sep}) {
			if i < len(d.fields) {
				d.fields[i].list = bytes.HasPrefix(typ, []byte("set[")) || bytes.HasPrefix(typ, []byte("vector["))
			}
			i++
		}
	}
}

func (d *zeekDecoder) record(s []byte) error {
	if d.fields == nil {
		return sqlerr.New(sqlerr.BadCopyFileFormat, "invalid Zeek log: no #fields line comes before the record").
			WithHint("Each payload must begin with the log's header lines; vigil load repeats them.")
	}
	for k := range d.fields {
		f := &d.fields[k]
		if s == nil {
			return sqlerr.New(sqlerr.BadCopyFileFormat, "invalid Zeek log: the record has %d fields, not %d", k, len(d.fields))
		}
		value := s
		if i := bytes.IndexByte(s, d.sep); i >= 0 {
			value, s = s[:i], s[i+1:]
		} else {
			s = nil
		}
		if f.entry != noEntry && !bytes.Equal(value, d.unset) {
			d.putField(f, value)
		}
	}
	if s != nil {
		return sqlerr.New(sqlerr.BadCopyFileFormat, "invalid Zeek log: the record has more than %d fields", len(d.fields))
	}
	return nil
}

func (d *zeekDecoder) putField(f *zeekField, value []byte) {
	if f.list {
		d.putList(f, value)
		return
	}
	if bytes.Equal(value, d.empty) {
		value = value[:0]
	}
	value = d.unescape(value)
	if f.entry == restEntry {
		d.addRest(f.name, value)
		return
	}
	d.store(f.entry, value)
}

// unescape resolves \xhh.
func (d *zeekDecoder) unescape(s []byte) []byte {
	k := bytes.Index(s, []byte(`\x`))
	if k < 0 {
		return s
	}
	d.buf = append(d.buf[:0], s[:k]...)
	for i := k; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == 'x' {
			if c, n := number(s[i+2:], 16, 2); n == 2 {
				d.buf, i = append(d.buf, byte(c)), i+3
				continue
			}
		}
		d.buf = append(d.buf, s[i])
	}
	return d.buf
}

// putList gives a set or vector to its columns: an array, a JSON array, or the text as it is.
func (d *zeekDecoder) putList(f *zeekField, value []byte) {
	if bytes.Equal(value, d.empty) {
		value = nil
	}
	if f.entry == restEntry {
		d.addRest(f.name, d.unescape(value))
		return
	}
	for e := f.entry; e >= 0 && d.err == nil; e = d.entries[e].next {
		s := d.slot(e)
		switch {
		case s == nil:
		case s.conv == convJSON:
			d.err = d.storeText(s, d.listText(value, '[', ']'))
		case s.typ.Kind == types.Array:
			d.err = d.storeText(s, d.listText(value, '{', '}'))
		default:
			d.err = d.storeText(s, d.unescape(value))
		}
	}
}

// listText writes elements in quotes between brackets: an array's literal or JSON.
func (d *zeekDecoder) listText(value []byte, open, closing byte) []byte {
	out := append([]byte(nil), open)
	for i := 0; value != nil; i++ {
		v := value
		if k := bytes.IndexByte(value, d.set); k >= 0 {
			v, value = value[:k], value[k+1:]
		} else {
			value = nil
		}
		if i > 0 {
			out = append(out, ',')
		}
		switch v = d.unescape(v); {
		case open == '[':
			out = appendJSONString(out, v)
		default:
			out = append(out, '"')
			for _, c := range v {
				if c == '"' || c == '\\' {
					out = append(out, '\\')
				}
				out = append(out, c)
			}
			out = append(out, '"')
		}
	}
	return append(out, closing)
}
