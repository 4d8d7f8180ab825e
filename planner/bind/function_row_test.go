package bind

import (
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestRowFields: no field that a body can read is missing.
func TestRowFields(t *testing.T) {
	for body, want := range map[string]string{
		"return 1":                          "",
		"return e.a":                        "a",
		"return e.a > 1 && e . b && e\n.c":  "a b c",
		"return e?.a + e?.['b'] + e[\"c\"]": "a b c",
		"return e [ 'user agent' ]":         "user agent",
		"return e.a + e.a":                  "a",
		"return x.e.a + ee.b + e.ü":         "ü",
		"return e[k]":                       "*",
		"return e['a' + k]":                 "*",
		"return e['\\x61']":                 "*",
		"return e[`a`]":                     "*",
		"const {a} = e; return a":           "*",
		"return f(e)":                       "*",
		"return {...e}.a":                   "*",
		"return {e}.e.a":                    "*",
		"return \\u0065.a":                  "*",
		"return e/**/.a":                    "*",
		"return e.a // e":                   "*",
		"return e":                          "*",
		"return e.":                         "*",
		"return e['a":                       "*",
		"return (e).a":                      "*",
		"return e.a.e":                      "a",
		"return [...e.a]":                   "a",
	} {
		names, all := RowFields(body, "e")
		got := strings.Join(names, " ")
		if all {
			got = "*"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// TestReadsMore: a definition that reads what callers do not hand over is found out, also when an older one that may run again reads it.
func TestReadsMore(t *testing.T) {
	f := func(body string, before ...string) *spec.Function {
		out := &spec.Function{Body: body, Params: []types.Column{{Name: "e", Type: types.T(types.Record)}}}
		for _, b := range before {
			out.Before = append(out.Before, spec.FunctionBefore{Function: &spec.Function{Body: b, Params: out.Params}})
		}
		return out
	}
	for _, c := range []struct {
		old, next *spec.Function
		want      string
	}{
		{f("return e.a"), f("return e.a"), ""},
		{f("return e.a + e.b"), f("return e.b"), ""},
		{f("return e.a"), f("return e.b"), "e.b"},
		{f("return e.a"), f("return f(e)"), "all columns of e"},
		{f("return f(e)"), f("return e.b"), ""},
		{f("return e.a", "return e.b"), f("return e.b"), ""},
		{f("return e.a", "return e"), f("return e"), ""},
	} {
		if got := ReadsMore(c.old, c.next); got != c.want {
			t.Errorf("%s -> %s: %q, want %q", c.old.Body, c.next.Body, got, c.want)
		}
	}
}
