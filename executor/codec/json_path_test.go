package codec

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func TestJSONPaths(t *testing.T) {
	runNamed(t, []namedCase{
		{"nested keys and elements", "JSON", nil, `{"a":{"b":[{"c":"x"},{"c":"y","d":1}],"e":2},"f":true}` + "\n" + `{"a":{"b":[]},"f":null}` + "\n" + `{"a":5}` + "\n",
			[]string{"c text a.b[1].c", "first jsonb a.b[0]", "e int a.e", "f bool"}, "c=y first={\"c\":\"x\"} e=2 f=t\n\n"},
		{"a name with points is a key, too", "JSON", nil, `{"id.orig_h":"10.0.0.1"}` + "\n" + `{"id":{"orig_h":"10.0.0.2"}}` + "\n", []string{"src inet id.orig_h"}, "src=10.0.0.1\nsrc=10.0.0.2"},
		{"quoted names", "JSON", nil, `{"a.b":{"c\"d":1},"a":{"b":{"c\"d":2}}}` + "\n", []string{`x int "a.b"."c""d"`}, "x=1"},
		{"several columns of a key", "JSON", nil, `{"a":{"b":1}}` + "\n", []string{"a jsonb", "b int a.b", "c text a.b", "d text a"}, `a={"b":1} b=1 c=1 d={"b":1}`},
		{"the last value of a repeated key", "JSON", nil, `{"a":{"b":1,"b":2},"a":{"c":3}}` + "\n" + `{"a":{"b":"x"},"a":{"b":1,"b":2}}` + "\n", []string{"b int a.b", "c int a.c"}, "c=3\nb=2"},
		{"the rest", "JSON", nil, `{"a":1,"x":{"y":2},"z":"\u00e4","b":{"c":1,"d":2}}` + "\n" + `{"a":2,"b":null}` + "\n" + `{"a":3}` + "\n" + `[{"a":4,"q":[1,
2]}]`, []string{"a int", "c int b.c", "r jsonb *"}, "a=1 c=1 r={\"x\":{\"y\":2},\"z\":\"\\u00e4\",\"b\":{\"c\":1,\"d\":2}}\na=2 r={\"b\":null}\na=3\n" +
			`! 22P02 invalid input syntax for type json: the record is not an object | [{"a":4,"q":[1,` + "\n" + `! 22P02 invalid input syntax for type json: the record is not an object | 2]}]`},
		{"the rest of an array's elements", "JSON", nil, `[{"a":4,"q":[1,` + "\n" + `2]},{"q":"\\"}]`, []string{"a int", "r jsonb *"}, "a=4 r={\"q\":[1,\n2]}\n" + `r={"q":"\\"}`},
		{"what the rest cannot hold", "JSON", nil, `{"x":"` + "\xff" + `"}` + "\n" + `{"x":"\u0000"}` + "\n" + `{"x":"ok"}` + "\n", []string{"r jsonb *"},
			"r={\"x\":\"ok\"}\n! 22021 column \"r\": invalid byte sequence for encoding \"UTF8\": 0xff at byte 6 | {\"x\":\"\xff\"}\n" +
				`! 22021 column "r": unsupported Unicode escape sequence: \u0000 cannot be converted to text | {"x":"\u0000"}`},
		{"a value within that does not fit", "JSON", nil, `{"a":{"b":"x"}}` + "\n" + `{"a":{"b":2}}` + "\n", []string{"b int a.b"}, "b=2\n" + `! 22P02 column "b": invalid input syntax for type bigint: "x" | {"a":{"b":"x"}}`},
	})
	for _, path := range []string{"", "a.", ".a", "a..b", "[0]", "a[x]", "a[-1]", "a[1", `"a`, `""`, `"a"b`, "a[0]b", "a.[0]", strings.Repeat("a.", 40) + "a"} {
		if _, err := parsePath(path); err == nil || len(err.Error()) < 20 {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// FuzzJSONPaths compares columns of paths and the rest with encoding/json.
func FuzzJSONPaths(f *testing.F) {
	for _, s := range []string{`{"a":{"b":[{"c":"x"},{"c":"y"}]},"d":1}`, `{"a":{"b":1,"b":[0]},"a":[],"e":{}}`, `{"a":{"b":[1,{"c":{"d":null}}]}}`, `{"\u0061":{"b":2}}`, `{"\u0000":{}}`, `{"\ud800":1}`, `{"a.b":1,"a":{"b":2}}`,
		`{"x":[[[]]],"a" : { "b" : [ 1 , 2 ] } }`, strings.Repeat(`{"a":`, 600)} {
		f.Add([]byte(s + "\n" + s))
	}
	s := &types.Schema{Cols: []types.Column{benchColumn("b", types.JSON), benchColumn("c", types.JSON), benchColumn("whole", types.JSON), benchColumn("rest", types.JSON)}}
	f.Fuzz(func(t *testing.T, payload []byte) {
		d := newDecoder(t, "JSON", Options{Schema: s, TimeCol: -1, From: []string{`"a".b`, `"a".b[1].c`, "d", RestPath}})
		for range 2 { // cold, and with what was learned
			for _, line := range bytes.Split(payload, []byte("\n")) {
				b := batch.New(s, nil)
				var rej []Reject
				if d.Decode(line, b, 1, &rej); b.N == 0 || len(line) == 0 || line[0] != '{' {
					continue
				}
				printRows(t, b)
				var want map[string]json.RawMessage
				if json.Unmarshal(line, &want) != nil {
					continue // a byte order mark, deep nesting
				}
				checkPaths(t, line, want, b)
			}
		}
	})
}

func checkPaths(t *testing.T, line []byte, want map[string]json.RawMessage, b *batch.Batch) {
	t.Helper()
	has := func(col int, raw json.RawMessage) {
		if null := len(raw) == 0 || string(raw) == "null"; null != b.Cols[col].IsNull(0) || !null && !bytes.Equal(raw, b.Cols[col].Bytes(0)) {
			t.Fatalf("%q column %d: %q, want %q", line, col, b.Cols[col].Bytes(0), raw)
		}
	}
	var within map[string]json.RawMessage
	var elements []json.RawMessage
	var last map[string]json.RawMessage
	if a := want["a"]; len(a) > 0 && a[0] == '{' {
		_ = json.Unmarshal(a, &within) // it is valid
	}
	if v := within["b"]; len(v) > 0 && v[0] == '[' {
		_ = json.Unmarshal(v, &elements)
	}
	if len(elements) > 1 && elements[1][0] == '{' {
		_ = json.Unmarshal(elements[1], &last)
	}
	has(0, within["b"])
	has(1, last["c"])
	has(2, want["d"])
	var rest map[string]json.RawMessage
	if !b.Cols[3].IsNull(0) {
		if err := json.Unmarshal(b.Cols[3].Bytes(0), &rest); err != nil {
			t.Fatalf("%q: the rest is %q: %v", line, b.Cols[3].Bytes(0), err)
		}
	}
	delete(want, "d")
	if len(rest) != len(want) {
		t.Fatalf("%q: the rest has %d keys, want %d", line, len(rest), len(want))
	}
}
