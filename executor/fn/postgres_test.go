package fn

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// pgCall is a line of testdata: a call and what Postgres 15 answered.
type pgCall struct {
	name string
	args values
	want [3]*string // "=", text or nil, type; or "!", SQLSTATE, message
	text string
}

func readCalls(t *testing.T) []pgCall {
	t.Helper()
	f, err := os.Open("testdata/postgres15.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []pgCall
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var raw [5]json.RawMessage
		var in [][2]*string
		c := pgCall{text: sc.Text()}
		if err := json.Unmarshal(sc.Bytes(), &raw); err != nil {
			t.Fatal(err)
		}
		must(t, json.Unmarshal(raw[0], &c.name))
		must(t, json.Unmarshal(raw[1], &in))
		for i := range c.want {
			must(t, json.Unmarshal(raw[2+i], &c.want[i]))
		}
		for _, a := range in {
			c.args = append(c.args, argument(t, a))
		}
		out = append(out, c)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func argument(t *testing.T, a [2]*string) value {
	t.Helper()
	elem, isArray := strings.CutSuffix(*a[0], "[]")
	k, ok := types.KindByName(elem)
	if !ok {
		t.Fatalf("no type %q", *a[0])
	}
	typ := types.T(k)
	if isArray {
		typ = types.ArrayOf(k)
	}
	if a[1] == nil {
		return types.Null(typ)
	}
	v, err := types.ParseText(typ, *a[1], nil)
	must(t, err)
	return v
}

// resolve finds the signature for exactly these types, or the one that costs the fewest widenings.
func resolve(defs []Def, name string, in values) *Def {
	var best *Def
	bestCost := 1 << 20
	for i := range defs {
		d := &defs[i]
		if d.Name != name || len(in) < len(d.Args) || len(in) > len(d.Args) && !d.Variadic {
			continue
		}
		cost := 0
		for j, v := range in {
			cost += fit(v.Type, d.Args[min(j, len(d.Args)-1)])
		}
		if cost < bestCost {
			best, bestCost = d, cost
		}
	}
	return best
}

func fit(have, want types.Type) int {
	switch {
	case have == want:
		return 0
	case want.Kind == types.Array && want.Elem == types.Unknown && have.Kind == types.Array:
		return 1
	case want.Kind == types.Unknown:
		return 2
	case have.Kind == types.CIDR && want.Kind == types.Inet:
		return 1
	case have.Kind == types.Int4 && want.Kind == types.Int8:
		return 1
	}
	return 1 << 20
}

// different lists calls where vigil's answer is meant to differ, by a part of their line.
var different = map[string]string{
	`"ÄÖÜ straße"]], "=", "Ä`: "the answers are of the C locale; vigil knows Unicode's cases",
	`["->", [["jsonb", "\"s`:  "Postgres takes a jsonb scalar for an array of one", `["->>", [["jsonb", "\"s`: "the same",
	`["->", [["jsonb", "3`: "the same", `["->>", [["jsonb", "3`: "the same", `["->", [["jsonb", "null`: "the same",
	`["age", [["timestamp", "infinity"`:     "Postgres 15 counts with infinity as with a number",
	`["timestamp", "infinity"]], "=", "-29`: "the same",
	`["cbrt", [["double precision", "2.5"`:  "the last bit", `["cbrt", [["double precision", "3.5"`: "the last bit",
	`["cbrt", [["double precision", "-2.5"`: "the last bit", `["cbrt", [["double precision", "0.5"`: "the last bit",
	`["power", [["double precision", "1.0001"`: "the last bits", `["power", [["double precision", "3.789"`: "the last bits",
	`["power", [["double precision", "100"`: "the last bits",
}

func meant(line string) bool {
	for part := range different {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

func TestPostgresCalls(t *testing.T) {
	defs := Builtins()
	n := 0
	for _, c := range readCalls(t) {
		d := resolve(defs, c.name, c.args)
		if d == nil {
			t.Errorf("no function for %s", c.text)
			continue
		}
		n++
		if meant(c.text) {
			continue
		}
		checkCall(t, d, c)
	}
	if n < 2500 {
		t.Fatalf("only %d calls", n)
	}
}

func checkCall(t *testing.T, d *Def, c pgCall) {
	t.Helper()
	ctx := &Ctx{}
	got, kind := "NULL", ""
	null := false
	for _, v := range c.args {
		null = null || v.Null
	}
	var v value
	var err error
	if !null || d.CalledOnNull {
		v, err = d.Eval(ctx, c.args)
	} else {
		v = types.Null(d.Ret)
	}
	if err != nil {
		e := sqlerr.As(err)
		if *c.want[0] != "!" || string(e.Code) != *c.want[1] || e.Message != *c.want[2] {
			t.Errorf("%s\n   got %s %s", c.text, e.Code, e.Message)
		}
		return
	}
	ret := d.Ret
	if d.RetOf != nil {
		in := make([]types.Type, len(c.args))
		for i := range c.args {
			in[i] = c.args[i].Type
		}
		ret = d.RetOf(in)
	}
	v.Type = ret
	if !v.Null {
		got = strings.ReplaceAll(v.Text(), "\n", "")
	}
	kind = ret.String()
	want := "NULL"
	if *c.want[0] == "=" && c.want[1] != nil {
		want = strings.ReplaceAll(*c.want[1], "\n", "")
	}
	if *c.want[0] != "=" || got != want || kind != *c.want[2] {
		t.Errorf("%s\n   got %q %s", c.text, got, kind)
	}
}
