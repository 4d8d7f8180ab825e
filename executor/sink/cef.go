package sink

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// cefEncoder writes rows in ArcSight's Common Event Format, version 0: a header, and the columns as the extension.
type cefEncoder struct {
	header []byte // up to the extension
	id     string // key of the row's id; "" : none
	names  []string
	cols   []types.Column
	keys   []int
	// updates: rows tell what they do.
	updates bool
}

var _ encoder = (*cefEncoder)(nil)

// cefKnown are columns that people name so, with the keys that the format has for them. Others keep their names.
var cefKnown = map[string]string{
	"src_ip": "src", "src_addr": "src", "source_ip": "src", "dst_ip": "dst", "dst_addr": "dst", "dest_ip": "dst", "destination_ip": "dst",
	"src_port": "spt", "dst_port": "dpt", "dest_port": "dpt", "src_host": "shost", "dst_host": "dhost", "host": "dvchost", "hostname": "dvchost",
	"username": "suser", "user_name": "suser", "protocol": "proto", "action": "act", "message": "msg", "window_start": "start", "window_end": "end",
	"ts": "rt", "count": "cnt", "n": "cnt", "url": "request", "bytes_in": "in", "bytes_out": "out", "outcome": "outcome",
}

// newCEF reads the options of FORMAT CEF: vendor, product, version, signature, name, severity, and key.COLUMN.
func newCEF(s *Spec, id string, keys []int) (*cefEncoder, error) {
	e := &cefEncoder{cols: s.Columns, keys: keys, updates: s.Updates}
	if id != "none" {
		e.id = cefKey(strings.TrimLeft(id, "_"))
	}
	o := maps.Clone(s.FormatOptions)
	take := func(name, def string) string {
		v, ok := o[name]
		delete(o, name)
		if !ok {
			return def
		}
		return v
	}
	severity := take("severity", strconv.Itoa(s.Severity))
	if n, err := strconv.Atoi(severity); err != nil || n < 0 || n > 10 {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, `option "severity" of FORMAT CEF must be a number from 0 to 10, not "%s"`, severity)
	}
	e.header = append(e.header, "CEF:0|"...)
	for _, field := range []string{take("vendor", "vigil"), take("product", "vigil"), take("version", "1"), take("signature", s.QueryName), take("name", s.QueryName), severity} {
		e.header = append(appendCEF(e.header, field, '|'), '|')
	}
	for _, c := range s.Columns {
		known, ok := cefKnown[c.Name]
		if !ok {
			known = c.Name
		}
		e.names = append(e.names, e.unused(cefKey(take("key."+c.Name, known)), c.Name))
	}
	for _, k := range slices.Sorted(maps.Keys(o)) {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "FORMAT CEF has no option %q", k).
			WithHint("It has vendor, product, version, signature, name, severity, and key.COLUMN for the columns of the query.")
	}
	return e, nil
}

// unused is a key that no column has yet: the one wanted, the column's own name, or that with a number.
func (e *cefEncoder) unused(key, column string) string {
	for n := 0; slices.Contains(e.names, key) || key == e.id; n++ {
		if key = cefKey(column); n > 0 {
			key += strconv.Itoa(n)
		}
	}
	return key
}

func (e *cefEncoder) contentType() string { return "text/plain; charset=utf-8" }

// row implements encoder. A column without a value is not there.
func (e *cefEncoder) row(dst []byte, r encoded) []byte {
	dst = append(dst, e.header...)
	start := len(dst)
	pair := func(key string) {
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = append(append(dst, key...), '=')
	}
	if e.id != "" {
		pair(e.id)
		dst = append(dst, r.id...)
	}
	if name := opNames[r.op]; e.updates || name != "+I" {
		pair("vigilOp")
		dst = append(dst, name...)
	}
	for i, v := range r.vals {
		if v.Null {
			continue
		}
		pair(e.names[i])
		if v.Type.Kind == types.TimestampTZ && v.I != int64(types.MinTime) && v.I != int64(types.MaxTime) {
			dst = strconv.AppendInt(dst, floorMillis(v.I), 10) // milliseconds since 1970, as receivers read them
			continue
		}
		dst = appendCEF(dst, string(types.AppendText(nil, v, nil)), '=')
	}
	return dst
}

func floorMillis(micros int64) int64 {
	if micros < 0 {
		return -((-micros + 999) / 1000)
	}
	return micros / 1000
}

// key implements encoder.
func (e *cefEncoder) key(dst []byte, vals []types.Value) []byte { return appendKey(dst, e.keys, vals) }

// appendCEF appends a value; special is what ends one besides a line's end: | in the header, = in the extension.
func appendCEF(dst []byte, text string, special byte) []byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' || c == special:
			dst = append(dst, '\\', c)
		case c == '\n' && special == '=':
			dst = append(dst, '\\', 'n')
		case c == '\r' && special == '=':
			dst = append(dst, '\\', 'r')
		case c < ' ':
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// cefKey makes a key of a name: letters and digits, dots and underscores.
func cefKey(name string) string {
	var b strings.Builder
	for _, c := range name {
		if c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c > utf8.RuneSelf {
			b.WriteRune(c)
		}
	}
	if b.Len() == 0 {
		return "column"
	}
	return b.String()
}
