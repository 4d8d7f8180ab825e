package dialect

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/need"
)

// rewrite writes docs/dialects.md; read the diff before you commit it.
var rewrite = flag.Bool("rewrite", false, "rewrite docs/dialects.md")

// show prints statements with their outcome.
var show = flag.String("show", "", "print the statements of the cases whose name contains this")

// floors are how many cases of each suite pass at least. They only go up.
var floors = map[string]int{"Arroyo": 10, "RisingWave": 106, "Proton": 24}

const blockwise = "Proton moves the watermark after each block of rows, vigil after each row: here a row is late that Proton takes"

// notes explain outcomes that are what vigil means to do.
var notes = map[string]string{
	"0000_smoke_case 12":          blockwise,
	"0005_streaming_only_case 12": blockwise,
	"0000_smoke_case 34":          "vigil's outer window closes earlier: the watermark of a query's result is that of its input, not of its rows",
}

// TestSuites runs every case of the other engines' suites and compares the outcomes with docs/dialects.md.
func TestSuites(t *testing.T) {
	cases := slices.Concat(arroyoCases(t), risingwaveCases(t), protonCases(t))
	results := make([]result, len(cases))
	count := map[string]map[outcome]int{}
	for i := range cases {
		c := &cases[i]
		results[i] = c.run()
		if count[c.suite] == nil {
			count[c.suite] = map[outcome]int{}
		}
		count[c.suite][results[i].outcome]++
		if *show != "" && strings.Contains(c.name, *show) {
			c.print(t, results[i])
		}
	}
	for suite, floor := range floors {
		n := count[suite][passed]
		t.Logf("%s: %v", suite, count[suite])
		if n < floor {
			t.Errorf("%s: %d cases pass, %d did before", suite, n, floor)
		}
	}
	if t.Failed() {
		return
	}
	checkTable(t, table(cases, results, count))
}

func checkTable(t *testing.T, doc string) {
	file := filepath.Join(need.Root(), "docs", "dialects.md")
	if *rewrite {
		if err := os.WriteFile(file, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) == doc {
		return
	}
	a, b := strings.Split(string(old), "\n"), strings.Split(doc, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("docs/dialects.md is out of date at line %d:\n%s\nit is now\n%s\nrun go test ./tests/dialect -rewrite and read the diff", i+1, a[i], b[i])
		}
	}
	t.Fatal("docs/dialects.md is out of date: run go test ./tests/dialect -rewrite and read the diff")
}

// table prints docs/dialects.md.
func table(cases []testCase, results []result, count map[string]map[outcome]int) string {
	var b strings.Builder
	b.WriteString("# SQL of other engines\n\nThe test suites of other streaming engines ask questions and record answers. `tests/dialect` rewrites their SQL, token by\n" +
		"token, into vigil's, runs every case and compares; `go test ./tests/dialect -rewrite` writes this page, and the test\n" +
		"fails when the page and the outcomes differ.\n\n| suite | cases | passed | failed | not applicable |\n|---|---|---|---|---|\n")
	suites := []string{"Arroyo", "RisingWave", "Proton"}
	for _, s := range suites {
		n := count[s]
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", s, n[passed]+n[failed]+n[notApplicable], n[passed], n[failed], n[notApplicable])
	}
	b.WriteString("\n\"Failed\" with an error code means that vigil refuses a statement of the case (0A000: it says that it does not have it);\n" +
		"\"not applicable\" is what vigil does not mean to have, or what the adapter does not translate.\n")
	for _, s := range suites {
		fmt.Fprintf(&b, "\n## %s\n\n| case | outcome | reason |\n|---|---|---|\n", s)
		for i, c := range cases {
			if c.suite == s {
				for name, note := range notes {
					if strings.HasPrefix(c.name, name+":") && results[i].outcome == failed {
						results[i].reason += "; " + note
					}
				}
				reason := strings.ReplaceAll(strings.Join(strings.Fields(results[i].reason), " "), "|", `\|`)
				fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.ReplaceAll(c.name, "|", `\|`), results[i].outcome, reason)
			}
		}
	}
	return b.String()
}

func (c *testCase) print(t *testing.T, r result) {
	t.Logf("== %s: %s %s", c.name, r.outcome, r.reason)
	for i := range c.streams {
		t.Log(c.streams[i].ddl())
	}
	for _, v := range c.views {
		t.Log(v)
	}
	for _, f := range c.feeds {
		t.Log(clip(f.sql), f.stream, len(f.data))
	}
	for _, a := range c.asks {
		t.Log(a.sql, a.last, a.ordered, a.errors, a.want[:min(3, len(a.want))])
	}
}
