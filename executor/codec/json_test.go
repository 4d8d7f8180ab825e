package codec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// wideSchema has a column of every kind that has a path of its own.
func wideSchema() *types.Schema {
	col := func(name string, k types.Kind) types.Column { return types.Column{Name: name, Type: types.T(k)} }
	return &types.Schema{Cols: []types.Column{
		col("t", types.Text), col("i", types.Int8), col("s", types.Int2), col("f", types.Float8), col("n", types.Numeric),
		col("b", types.Bool), col("ts", types.TimestampTZ), col("ip", types.Inet), col("j", types.JSONB), col("u", types.UUID),
		col("d", types.Date), col("y", types.Bytea), col("v", types.Interval), col("t0", types.Timestamp),
	}}
}

// decodeAll decodes a payload, max rows a call, and prints the rows and rejects.
func decodeAll(t testing.TB, d Decoder, s *types.Schema, payload []byte, limit int) (rows, rejects []string) {
	t.Helper()
	var rej []Reject
	b := batch.New(s, nil)
	for calls := 0; len(payload) > 0; calls++ {
		b.Reset(nil)
		n := d.Decode(payload, b, limit, &rej)
		if n < 0 || n > len(payload) || (n == 0 && b.N == 0) || calls > 1<<20 {
			t.Fatalf("Decode consumed %d of %d bytes for %d rows", n, len(payload), b.N)
		}
		payload = payload[n:]
		rows = append(rows, printRows(t, b)...)
	}
	for _, r := range rej {
		rejects = append(rejects, fmt.Sprintf("%s %s | %s", sqlerr.CodeOf(r.Err), sqlerr.As(r.Err).Message, r.Raw))
	}
	return rows, rejects
}

func printRows(t testing.TB, b *batch.Batch) (rows []string) {
	t.Helper()
	for c := range b.Cols {
		if b.Cols[c].N != b.N && !b.Cols[c].Absent {
			t.Fatalf("column %d has %d rows, batch has %d", c, b.Cols[c].N, b.N)
		}
	}
	for i := range b.N {
		var sb strings.Builder
		for c := range b.Cols {
			if b.Cols[c].Absent || b.Cols[c].IsNull(i) {
				continue
			}
			fmt.Fprintf(&sb, "%s=%s ", b.Schema.Cols[c].Name, b.Cols[c].Value(i).Text())
		}
		rows = append(rows, strings.TrimSpace(sb.String()))
	}
	return rows
}

func newDecoder(t testing.TB, name string, o Options) Decoder {
	t.Helper()
	for _, def := range Builtins() {
		if def.Name == name {
			d, err := def.New(o)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	}
	t.Fatalf("no codec %s", name)
	return nil
}

// jsonCases: one record each, the row it becomes, or the SQLSTATE and part of the message it is rejected with.
var jsonCases = []struct{ in, row, code, msg string }{
	{in: `{}`},
	{in: ` { } `},
	{in: "\ufeff" + `{"t":"bom"}`, row: "t=bom"},
	{in: `{"t":"plain"}`, row: "t=plain"},
	{in: `{ "t" : "spaced" , "x" : [ 1 , {"a" : "}"} ] }` + "\r", row: "t=spaced"},
	{in: `{"t":"äöü 日本"}`, row: "t=äöü 日本"},
	{in: `{"t":"q\"b\\s\/n\n\u0041\ud83d\ude00"}`, row: "t=q\"b\\s/n\nA😀"},
	{in: `{"\u0074":"escaped key"}`, row: "t=escaped key"},
	{in: `{"T":"other case"}`},
	{in: `{"t":12.50}`, row: "t=12.50"},
	{in: `{"t":true}`, row: "t=true"},
	{in: `{"t":{"a": [1]}}`, row: `t={"a": [1]}`},
	{in: `{"t":null}`},
	{in: `{"t":""}`, row: "t="},
	{in: `{"t":"a","t":"b"}`, row: "t=b"},
	{in: `{"t":"a","t":null}`},
	{in: `{"i":"x","i":5}`, row: "i=5"},
	{in: `{"i":5,"i":"x"}`, code: "22P02", msg: `column "i": invalid input syntax for type bigint: "x"`},
	{in: `{"i":0}`, row: "i=0"},
	{in: `{"i":-0}`, row: "i=0"},
	{in: `{"i":-12345678901}`, row: "i=-12345678901"},
	{in: `{"i":9223372036854775807}`, row: "i=9223372036854775807"},
	{in: `{"i":9223372036854775808}`, code: "22003", msg: "out of range for type bigint"},
	{in: `{"i":1e3}`, row: "i=1000"},
	{in: `{"i":1.0}`, row: "i=1"},
	{in: `{"i":1.5e1}`, row: "i=15"},
	{in: `{"i":0e99999999999999999999}`, row: "i=0"},
	{in: `{"i":1e99999999999999999999}`, code: "22003"},
	{in: `{"i":1.5}`, code: "22P02", msg: `invalid input syntax for type bigint: "1.5"`},
	{in: `{"i":"42"}`, row: "i=42"},
	{in: `{"i":" 42 "}`, row: "i=42"},
	{in: `{"i":true}`, code: "22P02"},
	{in: `{"i":[1]}`, code: "22P02"},
	{in: `{"s":32767}`, row: "s=32767"},
	{in: `{"s":32768,"x":1}`, code: "22003"},
	{in: `{"f":1.5}`, row: "f=1.5"},
	{in: `{"f":-0.1e-2}`, row: "f=-0.001"},
	{in: `{"f":123456789012345678901234567890}`, row: "f=1.2345678901234568e+29"},
	{in: `{"f":"NaN"}`, row: "f=NaN"},
	{in: `{"f":1e400}`, code: "22003"},
	{in: `{"n":1.50}`, row: "n=1.50"},
	{in: `{"n":-0.0}`, row: "n=0.0"},
	{in: `{"n":12345678901234567890.123456789}`, row: "n=12345678901234567890.123456789"},
	{in: `{"n":1e3}`, row: "n=1000"},
	{in: `{"b":true}`, row: "b=t"},
	{in: `{"b":false}`, row: "b=f"},
	{in: `{"b":"true"}`, row: "b=t"},
	{in: `{"b":"f"}`, row: "b=f"},
	{in: `{"b":2}`, code: "22P02"},
	{in: `{"ts":"2024-02-29T23:59:59.123456Z"}`, row: "ts=2024-02-29 23:59:59.123456+00"},
	{in: `{"ts":"2024-02-29T23:59:59.1234567+02:00"}`, row: "ts=2024-02-29 21:59:59.123457+00"},
	{in: `{"ts":"2024-02-29T23:59:59-0530"}`, row: "ts=2024-03-01 05:29:59+00"},
	{in: `{"ts":"2024-02-29 23:59"}`, row: "ts=2024-02-29 23:59:00+00"},
	{in: `{"ts":"2024-02-30T00:00:00Z"}`, code: "22008"},
	{in: `{"ts":"yesterday's"}`, code: "22007"},
	{in: `{"ts":1700000000}`, row: "ts=2023-11-14 22:13:20+00"},
	{in: `{"ts":1700000000.123456}`, row: "ts=2023-11-14 22:13:20.123456+00"},
	{in: `{"ts":1700000000123}`, row: "ts=2023-11-14 22:13:20.123+00"},
	{in: `{"ts":1700000000123456}`, row: "ts=2023-11-14 22:13:20.123456+00"},
	{in: `{"ts":1700000000123456789}`, row: "ts=2023-11-14 22:13:20.123457+00"},
	{in: `{"ts":1.7e9}`, row: "ts=2023-11-14 22:13:20+00"},
	{in: `{"ts":-1.5}`, row: "ts=1969-12-31 23:59:58.5+00"},
	{in: `{"ts":1e300}`, code: "22003"},
	{in: `{"t0":1700000000}`, row: "t0=2023-11-14 22:13:20"},
	{in: `{"t0":"2024-02-29T01:02:03"}`, row: "t0=2024-02-29 01:02:03"},
	{in: `{"ip":"10.1.2.3"}`, row: "ip=10.1.2.3"},
	{in: `{"ip":"10.1.2.0/24"}`, row: "ip=10.1.2.0/24"},
	{in: `{"ip":"2001:db8::1"}`, row: "ip=2001:db8::1"},
	{in: `{"ip":"10.1.2.256"}`, code: "22P02"},
	{in: `{"j":{"a":[1,"x"]}}`, row: `j={"a":[1,"x"]}`},
	{in: `{"j":"s"}`, row: `j="s"`},
	{in: `{"j":null}`},
	{in: `{"j":"\u0000"}`, code: "22021"},
	{in: `{"u":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}`, row: "u=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	{in: `{"d":"2024-02-29"}`, row: "d=2024-02-29"},
	{in: `{"y":"\\x00ff"}`, row: `y=\x00ff`},
	{in: `{"v":"5 minutes"}`, row: "v=00:05:00"},
	{in: `{"t":"\u0000"}`, code: "22021", msg: `column "t"`},
	{in: `{"t":"\ud800"}`, code: "22021"},
	{in: `{"x":"\u0000\ud800"}`},
	{in: "{\"t\":\"\xff\"}", code: "22021", msg: "0xff"},
	{in: "{\"x\":\"\xff\"}"},
	{in: `{"t":"x"`, code: "22P02", msg: "ends early"},
	{in: `{"t":"x`, code: "22P02", msg: "ends early"},
	{in: `{"t":"x"}}`, code: "22P02", msg: "after the object"},
	{in: `{"t":"x",}`, code: "22P02", msg: "key"},
	{in: `{"t" "x"}`, code: "22P02", msg: "colon"},
	{in: `{"x":tru}`, code: "22P02"},
	{in: `{"x":01}`, code: "22P02"},
	{in: `{"x":1.}`, code: "22P02"},
	{in: `{"x":-}`, code: "22P02"},
	{in: `{"x":"\x"}`, code: "22P02", msg: "escape"},
	{in: "{\"x\":\"\t\"}", code: "22P02", msg: "control"},
	{in: `{"x":[1,2}}`, code: "22P02"},
	{in: `{"x":` + strings.Repeat("[", JSONDepthMax) + strings.Repeat("]", JSONDepthMax) + `}`},
	{in: `{"x":` + strings.Repeat("[", JSONDepthMax+1) + strings.Repeat("]", JSONDepthMax+1) + `}`, code: "22P02", msg: "nested"},
	{in: `[1`, code: "22P02"},
	{in: `"x"`, code: "22P02", msg: "not an object"},
	{in: `nonsense`, code: "22P02", msg: "not an object"},
}

func TestJSONCases(t *testing.T) {
	s := wideSchema()
	for _, c := range jsonCases {
		// Cold, then warm (predicted), then predicted with bytes behind it for the wide loads.
		pad := "\n" + `{"t":"` + strings.Repeat("p", 40) + `"}` + "\n"
		for _, payload := range []string{c.in, c.in + "\n" + c.in, c.in + pad + c.in + pad} {
			if strings.HasPrefix(c.in, "[") && payload != c.in {
				continue // an array swallows what follows
			}
			d := newDecoder(t, "JSON", Options{Schema: s, TimeCol: -1})
			rows, rejects := decodeAll(t, d, s, []byte(payload), 1024)
			bad := false
			for _, r := range rows {
				bad = bad || r != c.row && !strings.HasPrefix(r, "t=pppp")
			}
			for _, r := range rejects {
				bad = bad || !strings.HasPrefix(r, c.code+" ") || !strings.Contains(r, c.msg)
			}
			if bad || (c.code == "") != (len(rejects) == 0) || c.code == "" && len(rows) == 0 {
				t.Errorf("%s\n got rows %q\n rejects %q", payload, rows, rejects)
				break
			}
		}
	}
}

func TestJSONRequired(t *testing.T) {
	s := thesisSchema()
	d := newDecoder(t, "JSON", Options{Schema: s, TimeCol: 0})
	in := `{"username":"a"}` + "\n" + `{"ts":null,"username":"b"}` + "\n" + `{"ts":"2024-01-01T00:00:00Z"}` + "\n"
	rows, rejects := decodeAll(t, d, s, []byte(in), 10)
	if len(rows) != 1 || len(rejects) != 2 || !strings.HasPrefix(rejects[0], "VG002 ") || !strings.HasPrefix(rejects[1], "VG002 ") {
		t.Fatalf("rows %q rejects %q", rows, rejects)
	}
	// Nobody reads the column: its presence is checked all the same, so that a row's fate does not depend on the readers.
	s.Cols[1].NotNull = true
	d = newDecoder(t, "JSON", Options{Schema: s, TimeCol: 0})
	b := batch.New(s, []bool{true, false, true, true})
	var rej []Reject
	in = `{"ts":"2024-01-01T00:00:00Z"}` + "\n" + `{"ts":"2024-01-01T00:00:00Z","username":null}` + "\n" + `{"ts":"2024-01-01T00:00:00Z","username":1}`
	d.Decode([]byte(in), b, 10, &rej)
	if b.N != 1 || len(rej) != 2 || sqlerr.CodeOf(rej[0].Err) != sqlerr.NotNullViolation || sqlerr.CodeOf(rej[1].Err) != sqlerr.NotNullViolation {
		t.Fatalf("N %d rejects %v", b.N, rej)
	}
}

func TestJSONArray(t *testing.T) {
	s := wideSchema()
	for _, c := range []struct {
		in            string
		rows, rejects int
	}{
		{`[]`, 0, 0},
		{` [ ] ` + "\n", 0, 0},
		{"[\n {\"i\":1},\n {\"i\":\n2}\n]\n", 2, 0},
		{`[{"i":1},{"i":"x"},{"i":3}]`, 2, 1},
		{`[{"i":1},{"i":tru},{"i":3}]`, 2, 1},
		{`[{"i":1},7,{"i":3}]`, 2, 1},
		{`[{"i":1},{"i":2`, 1, 2},
		{`[{"i":1} {"i":2}]`, 1, 1},
		{`[{"i":1}] x`, 1, 1},
		{`[{"i":1},]`, 1, 1},
	} {
		for limit := 1; limit < 4; limit++ {
			d := newDecoder(t, "JSON", Options{Schema: s, TimeCol: -1})
			rows, rejects := decodeAll(t, d, s, []byte(c.in), limit)
			if len(rows) != c.rows || len(rejects) != c.rejects {
				t.Errorf("%s limit %d: rows %q rejects %q", c.in, limit, rows, rejects)
			}
		}
	}
}

// TestJSONPrediction mixes shapes so that guesses fail in every place, and compares with a decoder that never guesses.
func TestJSONPrediction(t *testing.T) {
	s := wideSchema()
	var payload []byte
	var want []string
	for i := range 3000 {
		line := jsonCases[(i*i+i/7)%len(jsonCases)]
		if strings.ContainsAny(line.in, "\n[") && strings.HasPrefix(line.in, "[") {
			continue
		}
		payload = append(append(payload, line.in...), '\n')
		fresh := newDecoder(t, "JSON", Options{Schema: s, TimeCol: -1})
		rows, _ := decodeAll(t, fresh, s, []byte(line.in), 1)
		want = append(want, rows...)
	}
	d := newDecoder(t, "JSON", Options{Schema: s, TimeCol: -1})
	rows, _ := decodeAll(t, d, s, payload, 100)
	if strings.Join(rows, "\n") != strings.Join(want, "\n") {
		t.Fatal("predicted decode differs from a fresh decoder's")
	}
	if len(rows) < 1000 {
		t.Fatal("too few good rows to prove anything")
	}
}

func TestJSONManyKeys(t *testing.T) {
	s := wideSchema()
	d := newDecoder(t, "JSON", Options{Schema: s, TimeCol: -1})
	var payload []byte
	for i := range 3 * nodesMax {
		payload = fmt.Appendf(payload, `{"k%d":1,"t":"x"}`+"\n", i)
	}
	rows, rejects := decodeAll(t, d, s, payload, 1024)
	if len(rows) != 3*nodesMax || len(rejects) != 0 || rows[len(rows)-1] != "t=x" {
		t.Fatalf("%d rows, rejects %q", len(rows), rejects)
	}
	if n := len(d.(*jsonDecoder).nodes); n > nodesMax {
		t.Fatalf("%d nodes", n)
	}
}

func TestJSONRejectsBounded(t *testing.T) {
	s := wideSchema()
	d := newDecoder(t, "JSON", Options{Schema: s, TimeCol: -1})
	payload := []byte(strings.Repeat("x\n", 5*RejectsMax))
	var rej []Reject
	if n := d.Decode(payload, batch.New(s, nil), 10, &rej); n != 2*RejectsMax || len(rej) != RejectsMax {
		t.Fatalf("consumed %d, %d rejects", n, len(rej))
	}
}
