package codec

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// sample writes records of one format for the laws' schema: ts TIMESTAMPTZ NOT NULL, t TEXT, i BIGINT. Every registered codec
// has one; TestLaws fails for one that has not.
type sample struct {
	good func(dst []byte, ts string, t *string, i *int64) []byte
	bad  [][]byte // records that must be rejected, alone
	// from is what FROM says of the schema's columns, where the format needs it; plain: a text cannot hold tabs and line ends.
	from   []string
	params map[string]string
	plain  bool
}

func (s *sample) options() Options {
	return Options{Schema: lawSchema(), TimeCol: 0, From: s.from, Params: s.params}
}

func lawSchema() *types.Schema {
	return &types.Schema{Cols: []types.Column{
		{Name: "ts", Type: types.T(types.TimestampTZ), NotNull: true}, {Name: "t", Type: types.T(types.Text)},
		{Name: "i", Type: types.T(types.Int8)},
	}}
}

func samples() map[string]sample {
	ts := "2024-01-01 00:00:00"
	return map[string]sample{
		"JSON": {good: jsonSample, bad: [][]byte{
			[]byte("{\"ts\":\"2024-01-01T00:00:00Z\",\"i\":\"x\"}\n"), []byte("{\"ts\":\n"), []byte("{\n"), []byte("}\n"), []byte("{\"ts\":\"\n"),
			[]byte("rubbish\n"), []byte("{\"t\":\"no time\"}\n"), []byte("{\"ts\":\"2024-01-01T00:00:00Z\",\"t\":\"\\ud800\"}\n"),
		}},
		"CSV": {good: csvSample, bad: [][]byte{
			[]byte(ts + ",a\n"), []byte(ts + ",a,1,2\n"), []byte(ts + ",a,x\n"), []byte(",a,1\n"), []byte(ts + ",\"open,1\n"),
		}},
		"COPY": {good: copySample, bad: [][]byte{
			[]byte(ts + "\ta\n"), []byte(ts + "\ta\t1\t2\n"), []byte(ts + "\ta\tx\n"), []byte("\\N\ta\t1\n"), []byte(ts + "\t\\xff\t1\n"),
		}},
		"ROWS": {good: rowsSample, bad: [][]byte{
			AppendRow(nil, []types.Value{types.NewTime(0)}),
			AppendRow(nil, []types.Value{types.Null(types.T(types.TimestampTZ)), types.NewText("a"), types.NewInt(types.Int8, 1)}),
			AppendRow(nil, []types.Value{types.NewTime(0), types.NewText("\xff"), types.NewInt(types.Int8, 1)}),
			{rowsVersion, 2, 0, 0, 0, 3, 0}, {rowsVersion, 0, 0, 0, 0},
		}},
		"SYSLOG": {good: syslogSample, from: []string{"timestamp", "message", "x.i"}, bad: lines("rubbish", "<999>1 x", "<13>1 2024-01-01T00:00:00Z h a",
			`<13>1 2024-01-01T00:00:00Z h a - - [x i="zz"] m`, `<13>1 2024-01-01T00:00:00Z h a - - [x i="1] m`, "<13>1 - h a - - - m",
			"9999999 <13>1 2024-01-01T00:00:00Z h a - - - m", "<13>1 2024-01-01T00:00:00Z h a - - - \xff", "<13>1 2024-01-01T00:00:00Z h a - - -m")},
		"CEF": {good: cefSample, bad: lines("rubbish", "CEF:0|a|b", "CEF:0|v|p|1|id|n|5|ts=2024-01-01T00:00:00Z i=x", "CEF:0|v|p|1|id|n|5|i=1",
			"CEF:0|v|p|1|id|n|5|ts=2024-01-01T00:00:00Z t=\xff i=1")},
		"LEEF": {good: leefSample, plain: true, bad: lines("rubbish", "LEEF:1.0|a|b", "LEEF:1.0|v|p|1|id|ts=2024-01-01T00:00:00Z\ti=x",
			"LEEF:1.0|v|p|1|id|i=1", "LEEF:1.0|v|p|1|id|ts=2024-01-01T00:00:00Z\tt=\xff")},
		"ZEEK":    {good: jsonSample, bad: lines("rubbish", "{", `{"ts":"2024-01-01T00:00:00Z","i":"x"}`)},
		"EVE":     {good: jsonSample, bad: lines("rubbish", "{", `{"ts":"2024-01-01T00:00:00Z","i":"x"}`)},
		"WINDOWS": {good: jsonSample, bad: lines("rubbish", "{", `{"ts":"2024-01-01T00:00:00Z","i":"x"}`)},
		"RAW":     {good: rawSample, plain: true, params: rawParams, bad: lines("rubbish", "at 2024-01-01 00:00:00 i=x", "at x i=1", "at 2024-01-01 00:00:00 t=\xff")},
		"GROK":    {good: rawSample, plain: true, params: rawParams, bad: lines("rubbish", "at 2024-01-01 00:00:00 i=x", "at x i=1", "at 2024-01-01 00:00:00 t=\xff")},
		"KV":      {good: kvSample, bad: lines("rubbish", "ts=2024-01-01T00:00:00Z i=x", "i=1", `ts=2024-01-01T00:00:00Z t="open`, "ts=2024-01-01T00:00:00Z t=\xff")},
	}
}

var rawParams = map[string]string{"pattern": `^at (?<ts>\S+ \S+)(?: i=%{NOTSPACE:i})?(?: t=%{GREEDYDATA:t})?$`}

func rawSample(dst []byte, ts string, t *string, i *int64) []byte {
	dst = fmt.Appendf(dst, "at %s", ts)
	if i != nil {
		dst = fmt.Appendf(dst, " i=%d", *i)
	}
	if t != nil {
		dst = append(append(dst, " t="...), *t...)
	}
	return append(dst, '\n')
}

func lines(texts ...string) (out [][]byte) {
	for _, text := range texts {
		out = append(out, []byte(text+"\n"))
	}
	return out
}

func syslogSample(dst []byte, ts string, t *string, i *int64) []byte {
	rec := fmt.Appendf(nil, "<13>1 %sZ host app 12 - ", strings.Replace(ts, " ", "T", 1))
	if i != nil {
		rec = fmt.Appendf(rec, `[x i="%d"][y]`, *i)
	} else {
		rec = append(rec, '-')
	}
	if t != nil {
		rec = append(append(rec, ' '), *t...)
	}
	return append(fmt.Appendf(dst, "%d ", len(rec)), rec...)
}

func cefSample(dst []byte, ts string, t *string, i *int64) []byte {
	dst = fmt.Appendf(dst, `CEF:0|ven\|dor|p\\|1|id|name|5|ts=%s`, ts)
	if t != nil {
		dst = append(append(dst, " t="...), strings.NewReplacer("\\", `\\`, "=", `\=`, "\n", `\n`, "\r", `\r`).Replace(*t)...)
	}
	if i != nil {
		dst = fmt.Appendf(dst, " i=%d", *i)
	}
	return append(dst, '\n')
}

func leefSample(dst []byte, ts string, t *string, i *int64) []byte {
	dst = fmt.Appendf(dst, "LEEF:2.0|v|p|1|id|x09|ts=%s", ts)
	if t != nil {
		dst = append(append(dst, "\tt="...), *t...)
	}
	if i != nil {
		dst = fmt.Appendf(dst, "\ti=%d", *i)
	}
	return append(dst, '\n')
}

func kvSample(dst []byte, ts string, t *string, i *int64) []byte {
	dst = fmt.Appendf(dst, "ts=%q", ts)
	if t != nil {
		dst = fmt.Appendf(dst, " t=%q", *t)
	}
	if i != nil {
		dst = fmt.Appendf(dst, " i=%d", *i)
	}
	return append(dst, '\n')
}

func jsonSample(dst []byte, ts string, t *string, i *int64) []byte {
	dst = fmt.Appendf(dst, `{"ts":"%sZ"`, strings.Replace(ts, " ", "T", 1))
	if t != nil {
		dst = append(append(dst, `,"t":`...), types.AppendText(nil, types.NewText(jsonQuote(*t)), nil)...)
	}
	if i != nil {
		dst = fmt.Appendf(dst, `,"i":%d`, *i)
	}
	return append(dst, "}\n"...)
}

func jsonQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < 0x20 || r == '"' || r == '\\' || r > 0xffff {
			for _, u := range utf16Of(r) {
				fmt.Fprintf(&b, `\u%04x`, u)
			}
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}

func utf16Of(r rune) []rune {
	if r < 0x10000 {
		return []rune{r}
	}
	r -= 0x10000
	return []rune{0xd800 + r>>10, 0xdc00 + r&0x3ff}
}

func csvSample(dst []byte, ts string, t *string, i *int64) []byte {
	dst = append(append(dst, ts...), ',')
	if t != nil {
		dst = append(append(append(dst, '"'), strings.ReplaceAll(*t, `"`, `""`)...), '"')
	}
	dst = append(dst, ',')
	if i != nil {
		dst = fmt.Append(dst, *i)
	}
	return append(dst, '\n')
}

func copySample(dst []byte, ts string, t *string, i *int64) []byte {
	dst = append(append(dst, ts...), '\t')
	if t != nil {
		dst = append(dst, strings.NewReplacer("\\", `\\`, "\n", `\n`, "\t", "\\\t", "\r", `\r`).Replace(*t)...)
	} else {
		dst = append(dst, `\N`...)
	}
	dst = append(dst, '\t')
	if i != nil {
		dst = fmt.Append(dst, *i)
	} else {
		dst = append(dst, `\N`...)
	}
	return append(dst, '\n')
}

func rowsSample(dst []byte, ts string, t *string, i *int64) []byte {
	at, err := types.ParseText(types.T(types.TimestampTZ), ts, nil)
	if err != nil {
		panic(err)
	}
	row := []types.Value{at, types.Null(types.T(types.Text)), types.Null(types.T(types.Int8))}
	if t != nil {
		row[1] = types.NewText(*t)
	}
	if i != nil {
		row[2] = types.NewInt(types.Int8, *i)
	}
	return AppendRow(dst, row)
}

// lawRecords makes random records and the rows they must become.
func lawRecords(r *rand.Rand, s sample, n int) (records [][]byte, want []string) {
	pieces := []string{"a", "longer piece of text", `"`, `""`, "\\", "\n", "\t", ",", "\r", "ä", "日本", "😀", " ", "{", "}", "N", ".", "=", "]"}
	if s.plain {
		pieces = slices.DeleteFunc(pieces, func(p string) bool { return strings.ContainsAny(p, "\n\t\r") })
	}
	for range n {
		ts := fmt.Sprintf("2024-%02d-%02d %02d:%02d:%02d.%06d", 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6))
		x, err := types.ParseText(types.T(types.TimestampTZ), ts, nil)
		if err != nil {
			panic(err)
		}
		row := "ts=" + x.Text()
		var t *string
		var i *int64
		if r.IntN(4) > 0 {
			var sb strings.Builder
			for range r.IntN(6) {
				sb.WriteString(pieces[r.IntN(len(pieces))])
			}
			text := sb.String() + "."
			t = &text
			row += " t=" + text
		}
		if r.IntN(4) > 0 {
			v := r.Int64() >> r.IntN(63)
			if r.IntN(2) == 0 {
				v = -v
			}
			i = &v
			row += fmt.Sprintf(" i=%d", v)
		}
		records = append(records, s.good(nil, ts, t, i))
		want = append(want, row)
	}
	return records, want
}

// TestLaws: for every codec, rows come out as they went in; cutting a payload between records changes nothing; a bad record
// loses only itself; the same bytes decode the same way when other columns are wanted.
func TestLaws(t *testing.T) {
	for _, def := range Builtins() {
		t.Run(def.Name, func(t *testing.T) {
			s, ok := samples()[def.Name]
			if !ok {
				t.Fatal("the codec has no sample in laws_test.go")
			}
			schema := lawSchema()
			r := rand.New(rand.NewPCG(7, 11))
			for round := range 60 {
				records, want := lawRecords(r, s, 1+r.IntN(30))
				var payload []byte
				for _, rec := range records {
					payload = append(payload, rec...)
				}
				d := newDecoder(t, def.Name, s.options())
				rows, rejects := decodeAll(t, d, schema, payload, 1+r.IntN(40))
				if strings.Join(rows, "\x00") != strings.Join(want, "\x00") || len(rejects) != 0 {
					t.Fatalf("round %d\n got %q\nwant %q\nrejects %q", round, rows, want, rejects)
				}
				lawSplit(t, d, records, want, r)
				lawBadRecord(t, def.Name, records, want, r)
				lawAbsent(t, d, payload, len(want))
			}
		})
	}
}

func lawSplit(t *testing.T, d Decoder, records [][]byte, want []string, r *rand.Rand) {
	t.Helper()
	var rows []string
	for len(records) > 0 {
		n := 1 + r.IntN(len(records))
		var payload []byte
		for _, rec := range records[:n] {
			payload = append(payload, rec...)
		}
		got, rejects := decodeAll(t, d, lawSchema(), payload, 1+r.IntN(8))
		if len(rejects) != 0 {
			t.Fatalf("rejects %q", rejects)
		}
		rows, records = append(rows, got...), records[n:]
	}
	if strings.Join(rows, "\x00") != strings.Join(want, "\x00") {
		t.Fatalf("split: got %q\nwant %q", rows, want)
	}
}

func lawBadRecord(t *testing.T, name string, records [][]byte, want []string, r *rand.Rand) {
	t.Helper()
	for _, bad := range samples()[name].bad {
		at := r.IntN(len(records) + 1)
		if name == "CSV" && strings.Contains(string(bad), `"`) && strings.Contains(string(joined(records)), `"`) {
			continue // an open quote is closed by the next one; see docs/formats/csv.md
		}
		payload := append(append(joined(records[:at]), bad...), joined(records[at:])...)
		law := samples()[name]
		d := newDecoder(t, name, law.options())
		rows, rejects := decodeAll(t, d, lawSchema(), payload, 1+r.IntN(8))
		if strings.Join(rows, "\x00") != strings.Join(want, "\x00") || len(rejects) != 1 {
			t.Fatalf("bad record %q at %d of %d: rejects %q\n got %q\nwant %q", bad, at, len(records), rejects, rows, want)
		}
	}
}

func joined(records [][]byte) []byte {
	var p []byte
	for _, rec := range records {
		p = append(p, rec...)
	}
	return p
}

func lawAbsent(t *testing.T, d Decoder, payload []byte, rows int) {
	t.Helper()
	for _, want := range [][]bool{{false, false, false}, {true, false, true}, {false, true, false}} {
		b := batch.New(lawSchema(), want)
		var rej []Reject
		if d.Decode(payload, b, 1000, &rej); b.N != rows || len(rej) != 0 {
			t.Fatalf("wanted %v: %d rows, want %d, rejects %v", want, b.N, rows, rej)
		}
		printRows(t, b)
	}
}

func TestUnknownOption(t *testing.T) {
	for _, def := range Builtins() {
		_, err := def.New(Options{Schema: lawSchema(), TimeCol: -1, Params: map[string]string{"no_such": "1"}})
		if sqlerr.CodeOf(err) != sqlerr.InvalidParameterValue || !strings.Contains(err.Error(), "no_such") {
			t.Errorf("%s: %v", def.Name, err)
		}
		if def.Doc == "" {
			t.Errorf("%s has no Doc", def.Name)
		}
	}
}

// FuzzDecode feeds every codec hostile bytes: no panic, no row with holes, progress, and the same number of rows whatever the
// limit.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 5))
	for n, def := range Builtins() {
		records, _ := lawRecords(r, samples()[def.Name], 3)
		f.Add(uint8(n), joined(records))
		for _, bad := range samples()[def.Name].bad {
			f.Add(uint8(n), append(append(joined(records[:1]), bad...), records[2]...))
		}
	}
	f.Fuzz(fuzzDecode)
}
