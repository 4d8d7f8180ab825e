package codec

import (
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/executor/types"
)

// fuzzDecode decodes with the format whose number in Builtins is which; from 128 on with columns that take fields by FROM.
func fuzzDecode(t *testing.T, which uint8, payload []byte) {
	def := Builtins()[int(which)%len(Builtins())]
	s := wideSchema()
	if which >= 128 {
		s = lawSchema()
	}
	o := Options{Schema: s, TimeCol: -1}
	o.Params = samples()[def.Name].params
	if which >= 128 {
		o.From = samples()[def.Name].from
	}
	if def.Name == "CSV" && which&64 != 0 {
		o.Params = map[string]string{"header": "match", "escape": `\`}
	}
	d, err := def.New(o)
	if err != nil {
		t.Fatal(err)
	}
	all, rejects := decodeAll(t, d, s, payload, 1<<20)
	parts, again := decodeAll(t, d, s, payload, 2)
	if len(all) != len(parts) || len(rejects) != len(again) {
		t.Fatalf("%s %q: %d rows and %d rejects at once, %d and %d in parts", def.Name, payload, len(all), len(rejects), len(parts), len(again))
	}
	if row, err := DecodeRow([]types.Type{types.T(types.Text), types.T(types.Int4)}, payload); err == nil {
		if _, err := DecodeRow([]types.Type{types.T(types.Text), types.T(types.Int4)}, AppendRow(nil, row)); err != nil {
			t.Fatal(err)
		}
	}
}

// fuzzFormat is FuzzDecode of one format, so that all the time goes to it.
func fuzzFormat(f *testing.F, format string, seeds ...string) {
	which := -1
	for n, def := range Builtins() {
		if def.Name == format {
			which = n
		}
	}
	r := rand.New(rand.NewPCG(7, 11))
	records, _ := lawRecords(r, samples()[format], 3)
	f.Add(false, joined(records))
	for _, bad := range samples()[format].bad {
		f.Add(true, append(append(joined(records[:1]), bad...), records[2]...))
	}
	for _, seed := range seeds {
		f.Add(false, []byte(seed))
		f.Add(true, []byte(seed))
	}
	n := uint8(which)
	byFrom := n
	for int(byFrom) < 128 {
		byFrom += uint8(len(Builtins()))
	}
	f.Fuzz(func(t *testing.T, from bool, payload []byte) {
		if from {
			fuzzDecode(t, byFrom, payload)
			return
		}
		fuzzDecode(t, n, payload)
	})
}

func FuzzZeek(f *testing.F) {
	fuzzFormat(f, "ZEEK", "#separator |\n#fields|a|b\n#types|int|set[int]\n1|2,3\n", "#fields\ta\n1\n#fields\tb\tc\n1\t2\n", "1\n#fields\n\n")
}

func FuzzEve(f *testing.F) {
	fuzzFormat(f, "EVE", `{"timestamp":"2024-01-01T00:00:00.000000+0100","alert":{"signature":"a","signature":null},"alert":[1]}`+"\n")
}

func FuzzWindows(f *testing.F) {
	fuzzFormat(f, "WINDOWS", `{"Event":{"System":{"EventID":{"#text":1}},"EventData":null},"EventID":"2","winlog":{"event_id":3}}`+"\n")
}

func FuzzRaw(f *testing.F) { fuzzFormat(f, "RAW", "\r\n\n\r", "a\x00b\n\xff\n") }

func FuzzGrok(f *testing.F) { fuzzFormat(f, "GROK", "1 2 3\r\n\n", "\xff\n") }

func FuzzKV(f *testing.F) {
	fuzzFormat(f, "KV", "msg='a=1 b=\"2' c=3\n", "a='b a='b a='b' '\n", "a=1\x1db=2\n")
}
