package codec

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// fuzzSchema has columns whose values can be had from encoding/json without conversion rules.
func fuzzSchema() *types.Schema {
	return &types.Schema{Cols: []types.Column{
		{Name: "t", Type: types.T(types.Text)}, {Name: "username", Type: types.T(types.Text)},
		{Name: "i", Type: types.T(types.Int8)}, {Name: "f", Type: types.T(types.Float8)},
		{Name: "j", Type: types.T(types.JSON)}, {Name: "b", Type: types.T(types.Bool)},
	}}
}

// oracle decodes one line with encoding/json. unknown: the line has something on which the two differ by intent (invalid
// UTF-8 and lone surrogates, which encoding/json repairs; a byte order mark; deep nesting; values to be converted).
func oracle(line []byte) (row []string, ok, unknown bool) {
	if bytes.HasPrefix(line, []byte("\ufeff")) || bytes.Count(line, []byte("["))+bytes.Count(line, []byte("{")) > JSONDepthMax {
		return nil, false, true
	}
	if !json.Valid(line) {
		return nil, false, false
	}
	var m map[string]json.RawMessage
	if line = bytes.TrimSpace(line); line[0] != '{' || json.Unmarshal(line, &m) != nil {
		return nil, false, line[0] == '{'
	}
	if !utf8.Valid(line) || bytes.Contains(line, []byte(`\u0000`)) || bytes.Contains(bytes.ToLower(line), []byte(`\ud`)) {
		return nil, false, true
	}
	for _, c := range fuzzSchema().Cols {
		raw, has := m[c.Name]
		if !has || string(raw) == "null" {
			row = append(row, "NULL")
			continue
		}
		text := string(raw)
		switch {
		case c.Type.Kind == types.Text && raw[0] == '"':
			if json.Unmarshal(raw, &text) != nil {
				return nil, false, true
			}
		case c.Type.Kind == types.Int8:
			if i, err := strconv.ParseInt(text, 10, 64); err != nil {
				return nil, false, true
			} else {
				text = strconv.FormatInt(i, 10)
			}
		case c.Type.Kind == types.Float8:
			f, err := strconv.ParseFloat(text, 64)
			if err != nil || raw[0] == '"' {
				return nil, false, true
			}
			text = types.NewFloat(f).Text()
		case c.Type.Kind == types.Bool:
			if text != "true" && text != "false" {
				return nil, false, true
			}
			text = text[:1]
		}
		row = append(row, text)
	}
	return row, true, false
}

// checkLines decodes the payload twice (cold and with what was learned) and compares each line with the oracle.
func checkLines(t *testing.T, payload []byte) {
	s := fuzzSchema()
	d, err := newJSON(Options{Schema: s, TimeCol: -1})
	if err != nil {
		t.Fatal(err)
	}
	if first := bytes.TrimLeft(payload, " \t\r\n"); len(first) > 0 && first[0] == '[' {
		payload = append([]byte("{}\n"), payload...)
	}
	for range 2 {
		b := batch.New(s, nil)
		for _, line := range bytes.SplitAfter(payload, []byte("\n")) {
			if len(line) == 0 {
				continue
			}
			if first := bytes.TrimLeft(line, " \t\r\n\ufeff"); len(first) == 0 || first[0] == '[' {
				continue
			}
			var rej []Reject
			b.Reset(nil)
			if n := d.Decode(line, b, 10, &rej); n != len(line) || b.N+len(rej) != 1 {
				t.Fatalf("%q: consumed %d of %d, %d rows, %d rejects", line, n, len(line), b.N, len(rej))
			}
			row, ok, unknown := oracle(line)
			if unknown {
				continue
			}
			if ok != (b.N == 1) {
				t.Fatalf("%q: encoding/json accepts: %v, rejects: %v", line, ok, rej)
			}
			for c := range row {
				if got := b.Cols[c].Value(0).Text(); ok && got != row[c] {
					t.Fatalf("%q column %d: got %q, encoding/json %q", line, c, got, row[c])
				}
			}
		}
		whole := countRows(t, d, s, payload, 1<<20)
		if parts := countRows(t, d, s, payload, 3); parts != whole {
			t.Fatalf("%q: %d rows at once, %d in parts", payload, whole, parts)
		}
	}
}

func countRows(t *testing.T, d Decoder, s *types.Schema, payload []byte, limit int) int {
	rows, _ := decodeAll(t, d, s, bytes.Clone(payload), limit)
	return len(rows)
}

func FuzzJSON(f *testing.F) {
	for i, c := range jsonCases {
		f.Add([]byte(c.in + "\n" + jsonCases[(i+1)%len(jsonCases)].in))
	}
	f.Add([]byte(strings.Repeat(`{"t":"abc","username":"some longer name","i":1,"f":1.25,"j":{"a":1},"b":true}`+"\n", 3)))
	f.Add([]byte(`{"username":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n","t":"x","t":null}` + "\n" + `{"username":"aaaaaaaaaaaaaaa","t":"x","t":"y"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		checkLines(t, payload)
		// As an array payload: no panic, and limits do not matter.
		s := fuzzSchema()
		d, _ := newJSON(Options{Schema: s, TimeCol: -1})
		array := append(append([]byte("["), bytes.ReplaceAll(payload, []byte("\n"), []byte(","))...), ']')
		if a, b := countRows(t, d, s, array, 1<<20), countRows(t, d, s, array, 2); a != b {
			t.Fatalf("%q: %d rows at once, %d in parts", array, a, b)
		}
	})
}
