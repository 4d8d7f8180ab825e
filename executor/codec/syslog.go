package codec

import (
	"bytes"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

var syslogDef = Def{
	Name: "SYSLOG",
	Doc: "Messages of RFC 5424 and RFC 3164, a line each or with octet counting (RFC 6587), told apart record by record. Fields: priority, " +
		"facility, severity, version, timestamp (or ts), hostname (or host), app_name, proc_id, msg_id, structured_data, message, and the " +
		"parameters of structured data as ID.NAME. Options: framing (auto, line, octets), timezone and year for timestamps without them.",
	New: newSyslog,
}

var (
	facilityNames = []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
		"audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
	severityNames = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
)

// SyslogMessageMax bounds a message with octet counting, bytes.
const SyslogMessageMax = 1 << 20

// syslogHeader puts the fields before a message. It belongs to a decoder whose records may have a syslog header.
type syslogHeader struct {
	priority, facility, severity, version, timestamp, hostname, appName, procID, msgID, data int32
	sd                                                                                       []byte // structured data as JSON
	params                                                                                   bool   // parameters of structured data are wanted
	key, value                                                                               []byte // scratch
}

// syslogAlias gives the other names of syslog's fields.
func syslogAlias(column string) []string {
	switch column {
	case "ts":
		return []string{"timestamp"}
	case "host":
		return []string{"hostname"}
	case "program", "app":
		return []string{"app_name"}
	case "pid":
		return []string{"proc_id"}
	case "msg":
		return []string{"message"}
	}
	return nil
}

// syslogFields are the fields of a header and the message.
var syslogFields = []string{"priority", "facility", "severity", "version", "timestamp", "hostname", "app_name", "proc_id", "msg_id", "structured_data", "message"}

// locate looks up the header's fields; n was built anew.
func (h *syslogHeader) locate(n *named) {
	for i, e := range []*int32{&h.priority, &h.facility, &h.severity, &h.version, &h.timestamp, &h.hostname, &h.appName, &h.procID, &h.msgID, &h.data} {
		*e = n.field(syslogFields[i])
	}
	h.params = n.keepRest
	for _, names := range n.sources {
		for _, name := range names {
			h.params = h.params || bytes.IndexByte([]byte(name), '.') >= 0
		}
	}
}

type syslogDecoder struct {
	named
	header  syslogHeader
	message int32
	framing string
}

func newSyslog(o Options) (Decoder, error) {
	if err := onlyParams("SYSLOG", o.Params, knownParams("framing")...); err != nil {
		return nil, err
	}
	d := &syslogDecoder{framing: o.Params["framing"]}
	switch d.framing {
	case "", "auto", "line", "octets":
	default:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "option framing must be auto, line or octets, not %q", d.framing)
	}
	var err error
	d.named, err = newNamed(o, "SYSLOG", syslogAlias)
	return d, err
}

// Decode implements Decoder.
func (d *syslogDecoder) Decode(payload []byte, b *batch.Batch, limit int, rej *[]Reject) int {
	if d.prepare(b, limit) {
		d.header.locate(&d.named)
		d.message = d.field("message")
	}
	i := 0
	for rejects := len(*rej) + RejectsMax; i < len(payload) && b.N < limit && len(*rej) < rejects; {
		start := i
		var text []byte
		text, i = d.frame(payload, i)
		if len(text) == 0 && text != nil {
			continue
		}
		d.begin(b.N)
		var err error
		if text == nil {
			text, err = trimEOL(payload[start:i]), sqlerr.New(sqlerr.InvalidTextRepresentation, "syslog: the octet count is malformed or does not fit the message").
				WithDetail("At most %d octets are taken.", SyslogMessageMax)
		} else {
			err = d.record(text)
		}
		d.end(b, text, err, rej)
	}
	d.remember(b)
	return i
}

// frame returns the message at i and where the next one starts. It is nil where an octet count is wrong, and the line is lost.
func (d *syslogDecoder) frame(payload []byte, i int) (text []byte, next int) {
	if d.framing != "line" && payload[i]-'1' <= 8 {
		_, at := digits(payload, i, 7)
		counted := at+1 < len(payload) && payload[at] == ' ' && payload[at+1] == '<'
		switch n := SyslogCounted(payload[i:]); {
		case n > 0 && i+n <= len(payload):
			return trimEOL(payload[at+1 : i+n]), i + n
		case counted || d.framing == "octets":
			return nil, i + lineLen(payload[i:])
		}
	} else if d.framing == "octets" && payload[i] != '\n' && payload[i] != '\r' {
		return nil, i + lineLen(payload[i:])
	}
	text, next = line(payload, i)
	if text == nil {
		text = payload[i:i]
	}
	return text, next
}

// SyslogCounted returns the length of the message with octet counting that data begins with, with its count, in bytes; 0 when it
// begins otherwise. The message's first byte must be there, the others need not.
func SyslogCounted(data []byte) int {
	if len(data) == 0 || data[0]-'1' > 8 {
		return 0
	}
	count, at := digits(data, 0, 7)
	if at+1 >= len(data) || data[at] != ' ' || data[at+1] != '<' || count > SyslogMessageMax {
		return 0
	}
	return at + 1 + int(count)
}

// SyslogCountedHead is how many bytes SyslogCounted needs to tell.
const SyslogCountedHead = 9

// record puts the fields of one message.
func (d *syslogDecoder) record(text []byte) error {
	msg, err := d.header.put(&d.named, text)
	if err != nil {
		return err
	}
	if msg != nil {
		d.store(d.message, msg)
	}
	return nil
}

// put puts the header's fields and returns the message behind it.
func (h *syslogHeader) put(n *named, s []byte) (msg []byte, err error) {
	i, prioritised := 0, false
	if len(s) > 2 && s[0] == '<' {
		pri, end := digits(s, 1, 3)
		if end == 1 || end == len(s) || s[end] != '>' || pri > 191 {
			return nil, badSyslog("the priority is malformed", s, 0)
		}
		n.storeCode(h.priority, int(pri), nil)
		n.storeCode(h.facility, int(pri>>3), facilityNames)
		n.storeCode(h.severity, int(pri&7), severityNames)
		i, prioritised = end+1, true
	}
	if v, end := digits(s, i, 2); prioritised && end > i && end < len(s) && s[end] == ' ' && v > 0 {
		n.storeCode(h.version, int(v), nil)
		return h.modern(n, s, end+1)
	}
	return h.old(n, s, i, prioritised)
}

// modern reads RFC 5424 from behind the version.
func (h *syslogHeader) modern(n *named, s []byte, i int) ([]byte, error) {
	stamp, i := word(s, i)
	if string(stamp) != "-" {
		t, k := n.times.parse(stamp)
		if k != len(stamp) || k == 0 {
			return nil, badSyslog("the timestamp is malformed", s, i-len(stamp))
		}
		n.storeTime(h.timestamp, t, stamp)
	}
	for _, e := range [...]int32{h.hostname, h.appName, h.procID, h.msgID} {
		if i >= len(s) {
			return nil, badSyslog("the header ends early", s, i)
		}
		var f []byte
		if f, i = word(s, i+1); len(f) == 0 {
			return nil, badSyslog("a field of the header is empty", s, i)
		}
		if string(f) != "-" {
			n.store(e, f)
		}
	}
	if i+1 >= len(s) {
		return nil, badSyslog("the header ends early", s, i)
	}
	if i++; s[i] == '-' {
		i++
	} else {
		end := h.structured(n, s, i)
		if end < 0 {
			return nil, badSyslog("the structured data is malformed", s, -end)
		}
		i = end
	}
	switch {
	case i == len(s):
		return nil, nil
	case s[i] != ' ':
		return nil, badSyslog("a blank is missing before the message", s, i)
	}
	return bytes.TrimPrefix(s[i+1:], []byte("\ufeff")), nil
}

// word returns the bytes from i to the next blank, and the blank's place.
func word(s []byte, i int) ([]byte, int) {
	if i >= len(s) {
		return nil, i
	}
	if k := bytes.IndexByte(s[i:], ' '); k >= 0 {
		return s[i : i+k], i + k
	}
	return s[i:], len(s)
}

// structured reads the elements at s[i:] and returns the place behind them, or minus the place where they are malformed.
func (h *syslogHeader) structured(n *named, s []byte, i int) int {
	wanted := h.data >= 0
	h.sd = append(h.sd[:0], '{')
	for i < len(s) && s[i] == '[' {
		id, end := sdName(s, i+1)
		if len(id) == 0 {
			return -i
		}
		if wanted {
			if len(h.sd) > 1 {
				h.sd = append(h.sd, ',')
			}
			h.sd = append(appendJSONString(h.sd, id), ':', '{')
		}
		first := true
		for i = end; i < len(s) && s[i] == ' '; first = false {
			var name []byte
			if name, i = sdName(s, i+1); len(name) == 0 || i+1 >= len(s) || s[i] != '=' || s[i+1] != '"' {
				return -i
			}
			if i = h.param(s, i+2); i < 0 {
				return i
			}
			if wanted {
				if !first {
					h.sd = append(h.sd, ',')
				}
				h.sd = appendJSONString(append(appendJSONString(h.sd, name), ':'), h.value)
			}
			if h.params {
				h.key = append(append(append(h.key[:0], id...), '.'), name...)
				n.put(h.key, h.value)
			}
		}
		if i == len(s) || s[i] != ']' {
			return -i
		}
		i++
		h.sd = append(h.sd, '}')
	}
	if wanted && len(h.sd) > 1 {
		n.storeObject(h.data, append(h.sd, '}'))
	}
	return i
}

// sdName reads the name of an element or parameter.
func sdName(s []byte, i int) ([]byte, int) {
	from := i
	for i < len(s) && s[i] > ' ' && s[i] != '=' && s[i] != ']' && s[i] != '"' && s[i] < 0x7f {
		i++
	}
	return s[min(from, len(s)):i], i
}

// param reads a parameter's value into h.value, i being behind its opening quote, and returns the place behind the closing one,
// or minus the place where it is malformed.
func (h *syslogHeader) param(s []byte, i int) int {
	h.value = h.value[:0]
	for i < len(s) {
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c == 0:
			return -i
		case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\' || s[i+1] == ']'):
			i++
			c = s[i]
			fallthrough
		default:
			h.value = append(h.value, c)
		}
		i++
	}
	return -i
}

// badSyslog says what is wrong with a message, and where.
func badSyslog(what string, s []byte, at int) error {
	at = min(max(at, 0), len(s))
	return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid syslog message: %s", what).
		WithDetail("At byte %d of the message: %q", at+1, s[at:min(len(s), at+30)])
}
