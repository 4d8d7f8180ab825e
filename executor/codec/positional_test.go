package codec

import (
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func abcSchema() *types.Schema {
	return &types.Schema{Cols: []types.Column{
		{Name: "a", Type: types.T(types.Text)}, {Name: "b", Type: types.T(types.Text)}, {Name: "c", Type: types.T(types.Int4)},
	}}
}

// delimitedCases: rows joined by "|"; rejects by SQLSTATE.
var delimitedCases = []struct {
	codec   string
	params  string // k=v;k=v
	columns []int
	in      string
	rows    string
	rejects string
}{
	{codec: "CSV", in: "x,y,1\n", rows: "a=x b=y c=1"},
	{codec: "CSV", in: "x,y,1", rows: "a=x b=y c=1"},
	{codec: "CSV", in: "x,y,1\r\n\r\nz,,\r\n", rows: "a=x b=y c=1|a=z"},
	{codec: "CSV", in: "\"\",,1\n", rows: "a= c=1"},
	{codec: "CSV", in: "\"a \"\"quoted\"\" one\",\"two\r\nlines\",1\n", rows: "a=a \"quoted\" one b=two\r\nlines c=1"},
	{codec: "CSV", in: "mid\"d,l\"e,y,1\n", rows: "a=midd,le b=y c=1"},
	{codec: "CSV", in: "\"long enough for the word scan, really\",\"y\",1\r\n", rows: "a=long enough for the word scan, really b=y c=1"},
	{codec: "CSV", in: "\\.\nx,y,1\n\\.\n", rows: "a=x b=y c=1"},
	{codec: "CSV", in: "x,y\nx,y,1,2\nx,y,q\nx,y,99999999999\n", rejects: "22P04|22P04|22P02|22003"},
	{codec: "CSV", in: "ok,y,1\n\"open,y,2\nfine,y,3\n\"two\nlines\",y,4\nend,y,5\n", rows: "a=ok b=y c=1|a=end b=y c=5", rejects: "22P04|22P04"},
	{codec: "CSV", in: "ok,y,1\n\"open,y,2\nfine,y,3\nend,y,5\n", rows: "a=ok b=y c=1|a=fine b=y c=3|a=end b=y c=5", rejects: "22P04"},
	{codec: "CSV", params: "header=true", in: "b,a,c\nx,y,1\n", rows: "a=x b=y c=1"},
	{codec: "CSV", params: "header=match", in: "\ufeffc,zzz,\"a\"\n1,zz,x\n2,zz,y\n", rows: "a=x c=1|a=y c=2"},
	{codec: "CSV", params: "header=match", in: "a,a,c\nx,y,1\n", rows: "a=x c=1"},
	{codec: "CSV", params: "delimiter=;;null=NULL", in: "x;NULL;1\n;\"NULL\";2\n", rows: "a=x c=1|a= b=NULL c=2"},
	{codec: "CSV", params: "quote=';escape=\\", in: "'it\\'s','a\\\\b',1\n", rows: `a=it's b=a\b c=1`},
	{codec: "CSV", columns: []int{2, 0}, in: "1,x\n", rows: "a=x c=1"},
	{codec: "CSV", columns: []int{0}, in: "x\n\ny\n", rows: "a=x||a=y"},
	{codec: "CSV", in: "\xff,y,1\n", rejects: "22021"},
	{codec: "COPY", in: "x\ty\t1\n", rows: "a=x b=y c=1"},
	{codec: "COPY", in: "x\t\\N\t1\n\t\\\\N\t\\N", rows: `a=x c=1|a= b=\N`},
	{codec: "COPY", in: "t\\ta\\\tb\\\nc\t\\101\\x42\\q\t1\r\n", rows: "a=t\ta\tb\nc b=ABq c=1"},
	{codec: "COPY", in: "x\ty\n" + "x\ty\t1\t2\n" + "\\0\ty\t1\n", rejects: "22P04|22P04|22021"},
	{codec: "COPY", in: "x\ty\t1\n\\.\n", rows: "a=x b=y c=1"},
	{codec: "COPY", params: "delimiter=,;null=", in: "x,,1\n", rows: "a=x c=1"},
	{codec: "COPY", in: "x\ty\t\\N\r\n", rows: "a=x b=y"},
	{codec: "COPY", columns: []int{1}, in: "x\n", rows: "b=x"},
}

func TestDelimited(t *testing.T) {
	for _, c := range delimitedCases {
		params := map[string]string{}
		text := strings.ReplaceAll(c.params, ";;", "\x00;")
		for _, kv := range strings.Split(text, ";") {
			if k, v, ok := strings.Cut(kv, "="); ok {
				params[k] = strings.ReplaceAll(v, "\x00", ";")
			}
		}
		for _, limit := range []int{1, 100} {
			d := newDecoder(t, c.codec, Options{Schema: abcSchema(), TimeCol: -1, Params: params, Columns: c.columns})
			rows, rejects := decodeAll(t, d, abcSchema(), []byte(c.in), limit)
			for i, r := range rejects {
				rejects[i], _, _ = strings.Cut(r, " ")
			}
			if got := strings.Join(rows, "|"); got != c.rows {
				t.Errorf("%s %q: rows %q, want %q", c.codec, c.in, got, c.rows)
			}
			if got := strings.Join(rejects, "|"); got != c.rejects {
				t.Errorf("%s %q: rejects %q, want %q", c.codec, c.in, got, c.rejects)
			}
		}
	}
}

// TestOpenQuotesAreLinear: each line opens a quote that only escaped quotes follow. If every line were searched to the
// payload's end for its closing quote, this would take hours.
func TestOpenQuotesAreLinear(t *testing.T) {
	const lines = 300_000
	d := newDecoder(t, "CSV", Options{Schema: abcSchema(), TimeCol: -1, Params: map[string]string{"escape": `\`}})
	payload := []byte(strings.Repeat("x\\\"\n", lines))
	b := batch.New(abcSchema(), nil)
	rejected := 0
	for len(payload) > 0 {
		var rej []Reject
		payload = payload[d.Decode(payload, b, 10, &rej):]
		rejected += len(rej)
	}
	if rejected != lines || b.N != 0 {
		t.Fatalf("%d rejects, %d rows", rejected, b.N)
	}
}

func TestPositionalOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		code sqlerr.Code
	}{
		{Options{Columns: []int{0, 0}}, sqlerr.DuplicateColumn},
		{Options{Columns: []int{3}}, sqlerr.UndefinedColumn},
		{Options{Params: map[string]string{"delimiter": "ab"}}, sqlerr.InvalidParameterValue},
		{Options{Params: map[string]string{"delimiter": `"`}}, sqlerr.InvalidParameterValue},
		{Options{Params: map[string]string{"quote": "\n"}}, sqlerr.InvalidParameterValue},
		{Options{Params: map[string]string{"header": "maybe"}}, sqlerr.InvalidParameterValue},
	} {
		c.o.Schema = abcSchema()
		if _, err := csvDef.New(c.o); sqlerr.CodeOf(err) != c.code {
			t.Errorf("%v: %v", c.o, err)
		}
	}
}

func TestRowRoundTrip(t *testing.T) {
	texts := map[types.Kind]string{
		types.Bool: "t", types.Int2: "-5", types.Int4: "7", types.Int8: "9223372036854775807", types.Float4: "1.5", types.Float8: "-0.25",
		types.Numeric: "12.50", types.Text: "text", types.Bytea: `\x00ff`, types.Date: "2024-02-29", types.Timestamp: "2024-02-29 01:02:03",
		types.TimestampTZ: "infinity", types.Interval: "1 day 02:00:00", types.Inet: "2001:db8::1", types.CIDR: "10.0.0.0/8",
		types.UUID: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", types.JSONB: `{"a": 1}`, types.OID: "4294967295",
	}
	var ts []types.Type
	var row []types.Value
	for k, s := range texts {
		v, err := types.ParseText(types.T(k), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		ts, row = append(ts, types.T(k), types.T(k)), append(row, v, types.Null(types.T(k)))
	}
	b := AppendRow(nil, row)
	got, err := DecodeRow(ts, b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range row {
		if got[i] != row[i] {
			t.Errorf("%v: got %v, want %v", ts[i], got[i], row[i])
		}
	}
	for n := range b {
		if _, err := DecodeRow(ts, b[:n]); sqlerr.CodeOf(err) != sqlerr.DataCorrupted {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if _, err := DecodeRow(ts[1:], b); err == nil {
		t.Fatal("another number of columns was accepted")
	}
}
