package codec

import (
	"bytes"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

var cefDef = Def{
	Name: "CEF",
	Doc: "Common Event Format, a line each, with or without a syslog header before it. Fields: cef_version, device_vendor, device_product, " +
		"device_version, signature_id (or device_event_class_id), name, severity, those of SYSLOG's header but severity, and the extension's keys, " +
		"by their short or full names (src, sourceAddress). Options: timezone and year for timestamps without them.",
	New: newCEF,
}

var leefDef = Def{
	Name: "LEEF",
	Doc: "Log Event Extended Format 1.0 and 2.0, a line each, with or without a syslog header before it. Fields: leef_version, vendor, product, " +
		"product_version, event_id, those of SYSLOG's header, and the event's attributes. Options: timezone and year for timestamps without them.",
	New: newLEEF,
}

// headedDecoder reads lines of PREFIX:version|field|field|..|rest, perhaps behind a syslog header: CEF and LEEF.
type headedDecoder struct {
	named
	format  string // "CEF" or "LEEF"
	prefix  []byte
	header  syslogHeader
	fields  []string // what the parts between the bars are called
	entries []int32  // their columns
	buf     []byte   // a value without its escapes
}

var (
	cefFields  = []string{"cef_version", "device_vendor", "device_product", "device_version", "signature_id", "name", "severity"}
	leefFields = []string{"leef_version", "vendor", "product", "product_version", "event_id"}
)

// cefAlias gives the other names of CEF's fields.
func cefAlias(column string) []string {
	switch column {
	case "device_event_class_id", "event_class_id":
		return []string{"signature_id"}
	case "host":
		return []string{"hostname"}
	}
	if short := cefKeys[column]; short != "" {
		return []string{short}
	}
	for full, short := range cefKeys {
		if short == column {
			return []string{full}
		}
	}
	return nil
}

func leefAlias(column string) []string {
	if column == "host" {
		return []string{"hostname"}
	}
	return nil
}

func newCEF(o Options) (Decoder, error)  { return newHeaded(o, "CEF", cefFields, cefAlias) }
func newLEEF(o Options) (Decoder, error) { return newHeaded(o, "LEEF", leefFields, leefAlias) }

func newHeaded(o Options, format string, fields []string, alias func(string) []string) (Decoder, error) {
	if err := onlyParams(format, o.Params, logTimeParams...); err != nil {
		return nil, err
	}
	d := &headedDecoder{format: format, prefix: []byte(format + ":"), fields: fields, entries: make([]int32, len(fields))}
	var err error
	d.named, err = newNamed(o, format, alias)
	return d, err
}

// Decode implements Decoder.
func (d *headedDecoder) Decode(payload []byte, b *batch.Batch, limit int, rej *[]Reject) int {
	if d.prepare(b, limit) {
		d.header.locate(&d.named)
		if d.format == "CEF" {
			d.header.severity = noEntry // CEF's own
		}
		d.header.version = noEntry
		for i, name := range d.fields {
			d.entries[i] = d.field(name)
		}
	}
	i := 0
	for rejects := len(*rej) + RejectsMax; i < len(payload) && b.N < limit && len(*rej) < rejects; {
		var text []byte
		if text, i = line(payload, i); len(text) == 0 {
			continue
		}
		d.begin(b.N)
		d.end(b, text, d.record(text), rej)
	}
	d.remember(b)
	return i
}

func (d *headedDecoder) record(text []byte) error {
	at := bytes.Index(text, d.prefix)
	if at < 0 {
		return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid %s event: the line does not contain %q", d.format, d.prefix)
	}
	if at > 0 {
		if _, err := d.header.put(&d.named, text[:at]); err != nil {
			d.begin(d.row) // something else stands before the event
			d.dropRow()
		}
	}
	i := at + len(d.prefix)
	for k, e := range d.entries {
		value, end := d.part(text, i)
		if end == len(text) && k < len(d.entries)-1 {
			return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid %s event: the header ends behind its part %d of %d", d.format, k+1, len(d.entries))
		}
		if k == 0 {
			value = bytes.TrimLeft(value, " ")
		}
		d.store(e, value)
		i = min(end+1, len(text))
	}
	if d.format == "CEF" {
		d.extension(text[i:])
		return nil
	}
	d.attributes(text[at+len(d.prefix):], text[i:])
	return nil
}

// dropRow takes back what the row under way has put.
func (n *named) dropRow() {
	for i := range n.slots {
		if v := n.slots[i].vec; v != nil {
			v.Truncate(n.row)
		}
	}
}

// part returns the header's part at i without its escapes, and the place of the bar behind it.
func (d *headedDecoder) part(s []byte, i int) (value []byte, end int) {
	from := i
	for i < len(s) && s[i] != '|' && s[i] != '\\' {
		i++
	}
	if i == len(s) || s[i] == '|' {
		return s[from:i], i
	}
	d.buf = append(d.buf[:0], s[from:i]...)
	for i < len(s) && s[i] != '|' {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '|' || s[i+1] == '\\') {
			i++
		}
		d.buf = append(d.buf, s[i])
		i++
	}
	return d.buf, i
}

// extension puts the pairs of a CEF extension: key=value with blanks between the pairs and within values. A value ends where a
// word follows that ends with an equals sign; an equals sign in a value has a backslash before it, or stands in a word that is no key.
func (d *headedDecoder) extension(s []byte) {
	i := 0
	for i < len(s) && s[i] == ' ' {
		i++
	}
	for i < len(s) {
		eq := bytes.IndexByte(s[i:], '=')
		if eq < 0 {
			return
		}
		if k := bytes.LastIndexByte(s[i:i+eq], ' '); k >= 0 { // words before the key belong to nothing
			i, eq = i+k+1, eq-k-1
		}
		key := s[i : i+eq]
		from := i + eq + 1
		end, next, escaped := cefValue(s, from)
		value := s[from:end]
		if escaped {
			d.buf = cefUnescape(d.buf[:0], value)
			value = d.buf
		}
		if len(key) > 0 {
			d.put(key, value)
		}
		i = next
	}
}

// cefValue finds the end of the value at i, and the next key.
func cefValue(s []byte, i int) (end, next int, escaped bool) {
	blank := -1 // the last one before which no equals sign was
	clean := true
	from := i
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			escaped = true
			i++
			clean = false
		case c == ' ':
			blank, clean = i, true
		case c == '=':
			if clean && blank >= 0 && i > blank+1 {
				end = blank
				for end > from && s[end-1] == ' ' {
					end--
				}
				return end, blank + 1, escaped
			}
			clean = false
		case !cefKeyBytes[c]:
			clean = false
		}
	}
	end = len(s)
	for end > from && s[end-1] == ' ' {
		end--
	}
	return end, len(s), escaped
}

// cefKeyBytes are the bytes of an extension's keys.
var cefKeyBytes = func() (t [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-[]:") {
		t[c] = true
	}
	return t
}()

func cefUnescape(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			switch s[i+1] {
			case '=', '\\', '|':
				i++
				c = s[i]
			case 'n':
				i++
				c = '\n'
			case 'r':
				i++
				c = '\r'
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// attributes puts the attributes of a LEEF event. In version 2 a part before them may say what separates them: a character, or its
// code as x09 or 0x09. Else it is a tab.
func (d *headedDecoder) attributes(version, s []byte) {
	sep := byte('\t')
	if version = bytes.TrimLeft(version, " "); len(version) > 0 && version[0] == '2' {
		if bar := bytes.IndexByte(s, '|'); bar >= 0 && bar <= 5 {
			if c, ok := leefSeparator(s[:bar]); ok {
				sep, s = c, s[bar+1:]
			}
		} else if len(s) > 1 && s[0] == '|' && s[1] == '|' {
			sep, s = '|', s[2:]
		}
	}
	for len(s) > 0 {
		pair := s
		if k := bytes.IndexByte(s, sep); k >= 0 {
			pair, s = s[:k], s[k+1:]
		} else {
			s = nil
		}
		if eq := bytes.IndexByte(pair, '='); eq > 0 {
			d.put(bytes.Trim(pair[:eq], " "), pair[eq+1:])
		}
	}
}

// leefSeparator reads the part that says what separates attributes; an empty one leaves the tab.
func leefSeparator(s []byte) (byte, bool) {
	switch {
	case len(s) == 0:
		return '\t', true
	case len(s) == 1:
		return s[0], true
	}
	h := bytes.TrimPrefix(bytes.TrimPrefix(s, []byte("0")), []byte("x"))
	if len(h) == len(s) || len(h) == 0 || len(h) > 4 {
		return 0, false
	}
	v, n := number(h, 16, 4)
	return byte(v), n == len(h) && v > 0 && v < 0x80
}
