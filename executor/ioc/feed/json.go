package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// jsonl reads one object a line, or one string.
func (f *reader) jsonl() error {
	l := &liner{f: f}
	return l.each(func(line []byte) error {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			return nil
		}
		e, kind := Entry{Confidence: -1, Line: l.no}, ""
		if err := f.jsonEntry(&e, line, &kind); err != nil {
			return f.refuse(l.no, string(line), err)
		}
		return f.emit(e, kind)
	})
}

func (f *reader) jsonEntry(e *Entry, line []byte, kind *string) error {
	if line[0] == '"' {
		return jsonError(json.Unmarshal(line, &e.Value))
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return jsonError(err)
	}
	found := false
	for i := range fields {
		for _, name := range namesOf(i, f.o.Kind) {
			raw, ok := object[name]
			if !ok {
				continue
			}
			if err := e.setJSON(i, raw, kind); err != nil {
				return err
			}
			found = found || i == fieldValue
			break
		}
	}
	if !found {
		return refusal("the object has no value").(*sqlerr.Error).WithHint("Its key is value, or one of %s.", strings.Join(namesOf(fieldValue, f.o.Kind)[1:], ", "))
	}
	return nil
}

// setJSON fills a field from a string or a number, the tags also from an array of strings.
func (e *Entry) setJSON(f field, raw json.RawMessage, kind *string) error {
	if f == fieldTags && len(raw) > 0 && raw[0] == '[' {
		var tags []string
		if err := json.Unmarshal(raw, &tags); err != nil {
			return jsonError(err)
		}
		return e.addTags(tags)
	}
	text, err := jsonText(raw)
	if err != nil {
		return err
	}
	return e.set(f, text, kind)
}

func (e *Entry) addTags(tags []string) error {
	for _, t := range tags {
		if err := e.tag(strings.TrimSpace(t)); err != nil {
			return err
		}
	}
	return nil
}

// jsonText is a string's or a number's text; null is nothing.
func jsonText(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	switch c := raw[0]; {
	case c == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, jsonError(err)
	case c == '-' || c >= '0' && c <= '9':
		return string(raw), nil
	}
	return "", refusal("invalid JSON: a string or a number is expected, not %s", short(string(raw)))
}

// jsonError words an error of encoding/json.
func jsonError(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		if wrong.Field != "" {
			return refusal("invalid JSON: %q is a %s, which it should not be", wrong.Field, wrong.Value)
		}
		return refusal("invalid JSON: there is a %s where it should not be", wrong.Value)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return refusal("invalid JSON: it ends too early")
	}
	return refusal("invalid JSON: %s", err)
}

// objectMax bounds what is held of a document at a time: one indicator, or another part that is read as a whole; depthMax how deep
// it is nested around them.
const (
	objectMax = 4 << 20
	depthMax  = 1000
)

// document reads a JSON document of any size part by part, and knows its lines.
type document struct {
	f   *reader
	dec *json.Decoder
	in  *meter
	// depth counts what is open.
	depth int
}

// meter bounds what the decoder reads for one part, and notes where lines end.
type meter struct {
	r    io.Reader
	left int
	off  int64
	// ends are the offsets of the ends of lines that were read and not counted yet, line the number of the first of them.
	ends []int64
	line int64
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, sqlerr.New(sqlerr.ProgramLimitExceeded, "line %d: a part of the JSON document is larger than %d bytes", m.line, objectMax)
	}
	n, err := m.r.Read(p)
	m.left -= n
	for i, c := range p[:n] {
		if c == '\n' {
			m.ends = append(m.ends, m.off+int64(i))
		}
	}
	m.off += int64(n)
	return n, err
}

// at is the line of an offset; offsets must not go back.
func (m *meter) at(off int64) int64 {
	n := 0
	for n < len(m.ends) && m.ends[n] < off {
		n++
	}
	m.ends = m.ends[:copy(m.ends, m.ends[n:])]
	m.line += int64(n)
	return m.line
}

func (f *reader) document() *document {
	if head, _ := f.in.Peek(3); string(head) == "\ufeff" {
		_, _ = f.in.Discard(3)
	}
	m := &meter{r: f.in, left: objectMax, line: 1}
	return &document{f: f, dec: json.NewDecoder(m), in: m}
}

// token is the next token; io.EOF comes at the end of the document.
func (d *document) token() (json.Token, error) {
	d.in.left = objectMax
	t, err := d.dec.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, d.broken(err)
	}
	d.in.at(d.dec.InputOffset())
	switch t {
	case json.Delim('['), json.Delim('{'):
		if d.depth++; d.depth > depthMax {
			return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "line %d: the JSON document is nested deeper than %d", d.in.line, depthMax)
		}
	case json.Delim(']'), json.Delim('}'):
		d.depth--
	}
	return t, err
}

// broken is the error of a document that is no JSON: nothing after it can be read.
func (d *document) broken(err error) error {
	var known *sqlerr.Error
	if errors.As(err, &known) {
		return known
	}
	return damaged("line %d: %s", d.in.at(d.dec.InputOffset()), jsonError(err))
}

// raw reads the next value as it is, and the line on which it begins.
func (d *document) raw() (json.RawMessage, int64, error) {
	d.in.left = objectMax
	var raw json.RawMessage
	if err := d.dec.Decode(&raw); err != nil {
		return nil, 0, d.broken(err)
	}
	end := d.in.at(d.dec.InputOffset())
	return raw, end - int64(bytes.Count(raw, []byte("\n"))), nil
}

// object calls fn for each key of an object whose { was read; fn reads the value.
func (d *document) object(fn func(key string) error) error {
	for d.more() {
		t, err := d.token()
		if err != nil {
			return unexpectedEnd(err)
		}
		key, _ := t.(string)
		if err := fn(key); err != nil {
			return err
		}
	}
	_, err := d.token()
	return unexpectedEnd(err)
}

// array calls fn for each element of the next value, which should be an array; fn reads the element. Another value is refused,
// but for null.
func (d *document) array(name string, fn func() error) error {
	t, err := d.token()
	if err != nil {
		return unexpectedEnd(err)
	}
	if t != json.Delim('[') {
		if t == nil {
			return nil
		}
		if err := d.f.refuse(d.in.line, "", refusal("%q is no array", name)); err != nil {
			return err
		}
		return d.rest(t)
	}
	for d.more() {
		if err := fn(); err != nil {
			return err
		}
	}
	_, err = d.token()
	return unexpectedEnd(err)
}

// skip passes over the next value, of any size.
func (d *document) skip() error {
	t, err := d.token()
	if err != nil {
		return unexpectedEnd(err)
	}
	return d.rest(t)
}

// rest passes over what comes after the first token of a value.
func (d *document) rest(t json.Token) error {
	depth := 0
	for {
		switch t {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		var err error
		if t, err = d.token(); err != nil {
			return unexpectedEnd(err)
		}
	}
}

// roots calls fn for each { that begins a document, or an element of an array that is one, of which there may be several; fn reads
// to the }.
func (d *document) roots(fn func() error) error {
	seen, open := false, 0
	for {
		t, err := d.token()
		switch {
		case errors.Is(err, io.EOF) && open > 0:
			return unexpectedEnd(err)
		case errors.Is(err, io.EOF) && seen:
			return nil
		case errors.Is(err, io.EOF):
			return damaged("the feed is empty: a JSON document is expected")
		case err != nil:
			return err
		case t == json.Delim('{'):
			err = fn()
		case t == json.Delim('['):
			open++
		case t == json.Delim(']'):
			open--
		default:
			return damaged("line %d: an object is expected", d.in.line)
		}
		if err != nil {
			return err
		}
		seen = true
	}
}

func (d *document) more() bool {
	d.in.left = objectMax
	return d.dec.More()
}

func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return damaged("the JSON document ends too early")
	}
	return err
}
