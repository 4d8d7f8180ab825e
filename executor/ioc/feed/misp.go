package feed

import (
	"encoding/json"
	"strings"

	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// mispKinds are the types of lists that hold MISP's types of attributes. Of a pair, a|b, each half has its own; "": none.
var mispKinds = map[string]string{
	"ip-src": ioc.IP, "ip-dst": ioc.IP, "ip": ioc.IP, "domain": ioc.Domain, "hostname": ioc.Domain, "url": ioc.URL, "uri": ioc.URL, "link": ioc.URL,
	"md5": ioc.Hash, "sha1": ioc.Hash, "sha224": ioc.Hash, "sha256": ioc.Hash, "sha384": ioc.Hash, "sha512": ioc.Hash,
	"x509-fingerprint-md5": ioc.Hash, "x509-fingerprint-sha1": ioc.Hash, "x509-fingerprint-sha256": ioc.Hash,
	"email": ioc.Email, "email-src": ioc.Email, "email-dst": ioc.Email, "email-reply-to": ioc.Email,
	"filename": ioc.Text, "mutex": ioc.Text, "regkey": ioc.Text, "named pipe": ioc.Text, "user-agent": ioc.Text, "windows-service-name": ioc.Text,
}

type mispTag struct {
	Name string `json:"name"`
}

// mispAttribute is what is read of an attribute.
type mispAttribute struct {
	Type      string          `json:"type"`
	Value     json.RawMessage `json:"value"`
	ToIDS     json.RawMessage `json:"to_ids"`
	Deleted   json.RawMessage `json:"deleted"`
	FirstSeen string          `json:"first_seen"`
	Tag       []mispTag       `json:"Tag"`
}

// eventMax bounds what is held of one event until its end, where its tags may stand.
const eventMax = 64 << 20

// mispReader reads events and warning lists.
type mispReader struct {
	*document
	event *mispEvent
}

// mispEvent is an event that is being read.
type mispEvent struct {
	held   []heldEntry
	bytes  int
	source string
	tags   []mispTag
}

type heldEntry struct {
	Entry
	kind string
}

// misp reads events, alone, in {"Event": ..} or in {"response": [..]}, and warning lists.
func (f *reader) misp() error {
	r := &mispReader{document: f.document()}
	return r.roots(r.container)
}

// container reads an object that is an event, has one or more, or is a warning list.
func (r *mispReader) container() error {
	outer := r.event
	r.event = &mispEvent{}
	warning := ""
	err := r.object(func(key string) error {
		switch key {
		case "Event":
			return r.nested(false)
		case "response":
			return r.nested(true)
		case "list":
			return r.array(key, r.warning)
		case "type":
			raw, _, err := r.raw()
			warning, _ = jsonText(raw)
			return err
		}
		return r.eventKey(key)
	})
	// Domains that names contain are mostly those that names end in; other parts of values are nothing that a list holds.
	if err == nil && (warning == "regex" || warning == "substring" && r.f.o.Kind != ioc.Domain) {
		err = damaged("a warning list of type %q has parts of values, which an IOC list cannot hold", warning)
	}
	if err == nil {
		err = r.flush()
	}
	r.event = outer
	return err
}

// nested reads a container, or several in an array.
func (r *mispReader) nested(several bool) error {
	t, err := r.token()
	switch {
	case err != nil:
		return unexpectedEnd(err)
	case t == json.Delim('{'):
		return r.container()
	case t != json.Delim('[') || !several:
		return r.rest(t)
	}
	for r.more() {
		if err := r.nested(false); err != nil {
			return err
		}
	}
	_, err = r.token()
	return unexpectedEnd(err)
}

// eventKey reads what an event has.
func (r *mispReader) eventKey(key string) error {
	switch key {
	case "Attribute":
		return r.array(key, func() error {
			raw, line, err := r.raw()
			if err != nil {
				return err
			}
			return r.attribute(raw, line)
		})
	case "Object":
		return r.array(key, r.mispObject)
	case "Orgc":
		raw, _, err := r.raw()
		var org struct {
			Name string `json:"name"`
		}
		if err == nil && json.Unmarshal(raw, &org) == nil {
			r.event.source = strings.Clone(org.Name)
		}
		return err
	case "Tag":
		raw, line, err := r.raw()
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &r.event.tags); err != nil {
			return r.f.refuse(line, string(raw), jsonError(err))
		}
		return nil
	}
	return r.skip()
}

// mispObject reads an object of attributes.
func (r *mispReader) mispObject() error {
	raw, line, err := r.raw()
	if err != nil {
		return err
	}
	var o struct {
		Deleted   json.RawMessage   `json:"deleted"`
		Attribute []json.RawMessage `json:"Attribute"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return r.f.refuse(line, string(raw), jsonError(err))
	}
	if isTrue(o.Deleted) {
		r.f.stats.Inactive += int64(len(o.Attribute))
		return nil
	}
	for _, a := range o.Attribute {
		if err := r.attribute(a, line); err != nil {
			return err
		}
	}
	return nil
}

// isTrue reads what MISP writes as booleans.
func isTrue(raw json.RawMessage) bool {
	switch string(raw) {
	case "true", "1", `"1"`, `"true"`:
		return true
	}
	return false
}

// attribute holds the entries of an attribute.
func (r *mispReader) attribute(raw json.RawMessage, line int64) error {
	var a mispAttribute
	if err := json.Unmarshal(raw, &a); err != nil {
		return r.f.refuse(line, string(raw), jsonError(err))
	}
	if !isTrue(a.ToIDS) || isTrue(a.Deleted) {
		r.f.stats.Inactive++
		return nil
	}
	value, err := jsonText(a.Value)
	if err != nil {
		return r.f.refuse(line, string(a.Value), err)
	}
	e := Entry{Confidence: -1, Line: line}
	if a.FirstSeen != "" {
		if e.FirstSeen, err = parseTime(a.FirstSeen); err != nil {
			return r.f.refuse(line, value, err)
		}
	}
	for _, t := range a.Tag {
		if err := e.tag(t.Name); err != nil {
			return r.f.refuse(line, value, err)
		}
	}
	if a.Type == "malware-sample" {
		a.Type = "filename|md5"
	}
	types, values := strings.Split(a.Type, "|"), []string{value}
	if len(types) == 2 {
		i := strings.LastIndexByte(value, '|')
		if i < 0 {
			return r.f.refuse(line, value, refusal("an attribute of type %q has two values with | between them", short(a.Type)))
		}
		values = []string{value[:i], value[i+1:]}
	}
	known := false
	for i, v := range values {
		if kind := mispKinds[types[i]]; kind != "" {
			known = true
			if kind == ioc.IP && strings.Contains(v, "/") {
				kind = ioc.CIDR
			}
			e.Value = strings.Clone(v)
			if err := r.hold(e, kind); err != nil {
				return err
			}
		}
	}
	if !known {
		r.f.stats.OtherType++
	}
	return nil
}

func (r *mispReader) hold(e Entry, kind string) error {
	if !fits(kind, r.f.o.Kind) {
		r.f.stats.OtherType++
		return nil
	}
	r.event.bytes += len(e.Value) + 128
	if r.event.bytes > eventMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "line %d: the event has more than %d bytes of attributes", e.Line, eventMax)
	}
	r.event.held = append(r.event.held, heldEntry{e, kind})
	return nil
}

// flush gives the entries of an event that was read to its end.
func (r *mispReader) flush() error {
	for _, h := range r.event.held {
		h.Source = r.event.source
		var err error
		for _, t := range r.event.tags {
			if err == nil {
				err = h.tag(t.Name)
			}
		}
		if err != nil {
			err = r.f.refuse(h.Line, h.Value, err)
		} else {
			err = r.f.emit(h.Entry, h.kind)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// warning reads an element of a warning list.
func (r *mispReader) warning() error {
	raw, line, err := r.raw()
	if err != nil {
		return err
	}
	value, err := jsonText(raw)
	if err != nil {
		return r.f.refuse(line, string(raw), err)
	}
	return r.f.emit(Entry{Value: value, Confidence: -1, Line: line}, "")
}
