package codec

import (
	"bytes"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

var kvDef = Def{
	Name: "KV",
	Doc: "key=value pairs, a line each: logfmt, and what firewalls write. Values may be quoted, with backslash escapes. A word without an equals " +
		"sign is a field with the value true. Options: delimiter (between pairs; default: blanks and tabs), separator (between key and value; default: " +
		"=), header (none; syslog: fields of a syslog header come first), timezone and year for timestamps without them.",
	New: newKV,
}

type kvDecoder struct {
	named
	delim   byte // between pairs; 0: blanks and tabs
	sep     byte
	syslog  bool
	header  syslogHeader
	message int32
	buf     []byte
}

func newKV(o Options) (Decoder, error) {
	if err := onlyParams("KV", o.Params, knownParams("delimiter", "header", "separator")...); err != nil {
		return nil, err
	}
	d := &kvDecoder{}
	var err error
	if d.delim, err = oneByte(o.Params, "delimiter", 0); err != nil {
		return nil, err
	}
	if d.delim == ' ' {
		d.delim = 0
	}
	if d.sep, err = oneByte(o.Params, "separator", '='); err != nil {
		return nil, err
	}
	if d.sep == d.delim || d.sep == '"' || d.delim == '"' {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "options delimiter and separator must differ from each other and from the quote")
	}
	switch h := o.Params["header"]; h {
	case "", "none":
	case "syslog":
		d.syslog = true
	default:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "option header must be none or syslog, not %q", h)
	}
	var own func(string) []string
	if d.syslog {
		own = syslogAlias
	}
	d.named, err = newNamed(o, "KV", own)
	return d, err
}

// Decode implements Decoder.
func (d *kvDecoder) Decode(payload []byte, b *batch.Batch, limit int, rej *[]Reject) int {
	if d.prepare(b, limit) && d.syslog {
		d.header.locate(&d.named)
		d.message = d.field("message")
	}
	i := 0
	for rejects := len(*rej) + RejectsMax; i < len(payload) && b.N < limit && len(*rej) < rejects; {
		var text []byte
		if text, i = line(payload, i); len(bytes.TrimLeft(text, " \t")) == 0 {
			continue
		}
		d.begin(b.N)
		d.end(b, text, d.record(text), rej)
	}
	d.remember(b)
	return i
}

var wordTrue = []byte("true")

func (d *kvDecoder) record(text []byte) error {
	if d.syslog {
		msg, err := d.header.put(&d.named, text)
		if err != nil {
			return err
		}
		d.store(d.message, msg)
		text = msg
	}
	pairs, err := d.pairs(text, d.delim == 0)
	if err == nil && pairs == 0 && !d.syslog {
		return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid key=value line: it holds no pair").
			WithDetail("It begins with %q.", text[:min(len(text), 30)])
	}
	return err
}

// pairs puts the pairs of a line, or those within a value of it, and returns their number; nests: its values may hold pairs.
func (d *kvDecoder) pairs(text []byte, nests bool) (pairs int, err error) {
	for i := 0; ; {
		for i < len(text) && (d.between(text[i]) || text[i] == ' ' || text[i] == '\t') {
			i++
		}
		if i == len(text) {
			return pairs, nil
		}
		key, end := d.key(text, i)
		if end == len(text) || text[end] != d.sep {
			if len(key) > 0 {
				d.flag(key)
			}
			i = max(end, i+1)
			continue
		}
		if at := end + 1; nests && len(key) > 0 && at < len(text) && text[at] == '\'' {
			inner, next := d.inner(text, at)
			nests = next >= 0
			if next > 0 {
				d.put(key, inner)
				n, err := d.pairs(inner, false)
				if pairs += n + 1; err != nil {
					return pairs, err
				}
				i = next
				continue
			}
		}
		value, next := d.value(text, end+1)
		if next < 0 {
			return pairs, sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid key=value line: a quoted value does not end").
				WithDetail("At byte %d: %q", end+2, text[end+1:min(len(text), end+31)])
		}
		if len(key) > 0 {
			d.put(key, value)
			pairs++
		}
		i = next
	}
}

// inner returns the pairs that stand in single quotes at i, as in the records of Linux's audit (msg='op=login res=success'), and
// the place behind the closing quote: 0 when it holds no pairs, -1 when no quote closes, not even one that would open later.
func (d *kvDecoder) inner(s []byte, i int) ([]byte, int) {
	for end := i + 1; ; end++ {
		k := bytes.IndexByte(s[end:], '\'')
		if k < 0 {
			return nil, -1
		}
		if end += k; end+1 < len(s) && !d.between(s[end+1]) {
			continue
		}
		if bytes.IndexByte(s[i+1:end], d.sep) < 0 {
			return nil, 0
		}
		return s[i+1 : end], end + 1
	}
}

// auditSeparator comes before the fields that Linux's audit adds to a record, names for its numbers.
const auditSeparator = 0x1d

// between reports whether a byte separates pairs.
func (d *kvDecoder) between(c byte) bool {
	if d.delim != 0 {
		return c == d.delim
	}
	return c == ' ' || c == '\t' || c == auditSeparator
}

// key returns the word at i, up to the separator or the end of the pair.
func (d *kvDecoder) key(s []byte, i int) ([]byte, int) {
	from := i
	for i < len(s) && s[i] != d.sep && !d.between(s[i]) {
		i++
	}
	key := s[from:i]
	if d.delim != 0 {
		key = bytes.Trim(key, " \t")
	}
	// What stands before a key without a blank, as in "[rule 5]IN=eth0", is no part of it.
	if k := bytes.LastIndexAny(key, "]}"); k >= 0 && k+1 < len(key) && bytes.IndexAny(key, "[{") < k {
		key = key[k+1:]
	} else {
		key = bytes.TrimLeft(key, "[{(")
	}
	return key, i
}

// value returns the value at i without quotes and escapes, and the place behind it; -1 when its quote stays open.
func (d *kvDecoder) value(s []byte, i int) ([]byte, int) {
	if d.delim != 0 {
		for i < len(s) && s[i] == ' ' {
			i++
		}
	}
	from := i
	if i < len(s) && s[i] == '"' {
		return d.quoted(s, i+1)
	}
	for i < len(s) && !d.between(s[i]) {
		i++
	}
	value := s[from:i]
	if d.delim != 0 {
		value = bytes.TrimRight(value, " \t")
	}
	return value, i
}

// quoted reads a value from behind its opening quote.
func (d *kvDecoder) quoted(s []byte, i int) ([]byte, int) {
	k := plainEnd(s, i)
	if k < len(s) && s[k] == '"' {
		return s[i:k], k + 1
	}
	d.buf = append(d.buf[:0], s[i:k]...)
	for i = k; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			return d.buf, i + 1
		}
		if c != '\\' || i+1 == len(s) {
			d.buf = append(d.buf, c)
			continue
		}
		i++
		switch c = s[i]; c {
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			if r, ok := hex4(s, i+1); ok {
				d.buf = utf8.AppendRune(d.buf, r)
				i += 4
				continue
			}
			d.buf = append(d.buf, '\\')
		case 'x':
			if v, n := number(s[i+1:], 16, 2); n == 2 && v < 0x80 {
				c, i = byte(v), i+2
				break
			}
			d.buf = append(d.buf, '\\')
		case '"', '\\':
		default: // a path of Windows
			d.buf = append(d.buf, '\\')
		}
		d.buf = append(d.buf, c)
	}
	return nil, -1
}

// flag gives a word without a value to the columns of its name; it is no field for the rest.
func (d *kvDecoder) flag(name []byte) {
	if len(name) <= fieldNameMax {
		d.fold = lowered(d.fold[:0], name)
		if e, ok := d.byName[string(d.fold)]; ok {
			d.store(e, wordTrue)
		}
	}
}
