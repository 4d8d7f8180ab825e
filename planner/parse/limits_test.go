package parse

import (
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// TestNesting stands at the bound on both sides for everything that nests.
func TestNesting(t *testing.T) {
	forms := []struct{ name, open, core, closing string }{
		{"parentheses", "(", "1", ")"},
		{"not", "NOT ", "a", ""},
		{"minus", "- ", "a", ""},
		{"calls", "f(", "a", ")"},
		{"case", "CASE WHEN a THEN ", "1", " END"},
		{"arrays", "ARRAY[", "1", "]"},
		{"bare arrays", "[", "1", "]"},
		{"casts", "CAST(", "1", " AS int)"},
		{"rows", "(1, ", "1", ")"},
		{"in", "a IN (", "1", ")"},
		{"queries", "(SELECT ", "1", ")"},
		{"exists", "EXISTS (SELECT ", "1", ")"},
	}
	for _, f := range forms {
		prefix := "SELECT "
		if f.name == "bare arrays" {
			prefix += "ARRAY"
		}
		deep := func(n int) string {
			return prefix + strings.Repeat(f.open, n) + f.core + strings.Repeat(f.closing, n)
		}
		if _, err := Parse(deep(100)); err != nil {
			t.Errorf("%s: 100 levels: %v", f.name, err)
		}
		for _, n := range []int{nestMax + 1, 100000} {
			if _, err := Parse(deep(n)); sqlerr.CodeOf(err) != sqlerr.StatementTooComplex {
				t.Errorf("%s: %d levels: %v", f.name, n, err)
			}
		}
		// The same without its end.
		if _, err := Parse(prefix + strings.Repeat(f.open, 100000)); err == nil {
			t.Errorf("%s: accepted unfinished", f.name)
		}
	}
	for _, open := range []string{"SELECT * FROM (", "SELECT * FROM a JOIN (", "EXPLAIN ", "SELECT * FROM (SELECT * FROM ", "SELECT 1 UNION (", "a JOIN "} {
		for _, head := range []string{"", "SELECT * FROM "} {
			if _, err := Parse(head + strings.Repeat(open, 50000)); err == nil {
				t.Errorf("%s: accepted", open)
			}
		}
	}
}

// TestChains proves that long flat lists work, that chains have a bound, and that neither takes quadratic time.
func TestChains(t *testing.T) {
	chain := func(first, next string, n int) string { return first + strings.Repeat(next, n) }
	start := time.Now()
	for _, sql := range []string{
		chain("SELECT a", " OR a = 1", heightMax/2),
		chain("SELECT 1", " + 1", heightMax/2),
		chain("SELECT a", " || 'x'", heightMax/2),
		chain("SELECT a", "::text", heightMax/2),
		chain("SELECT a IN (1", ", 2", 50000) + ")",
		chain("INSERT INTO t VALUES (1, 'x')", ", (2, 'y')", 20000),
		chain("SELECT a", ", f(b) AS c", 20000),
		chain("SELECT 1", " UNION ALL SELECT 2", 1000),
		chain("SELECT * FROM t", " JOIN t ON TRUE", 500),
		chain("SELECT 1", "; SELECT 1", 5000),
	} {
		if _, err := Parse(sql); err != nil {
			t.Errorf("%.40s: %v", sql, err)
		}
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("long statements took %v", d)
	}
	for _, sql := range []string{
		chain("SELECT a", " OR a", 2*heightMax),
		chain("SELECT a", " ~ a", 2*heightMax),
		chain("SELECT a", "::text", 2*heightMax),
		chain("SELECT a", "[1]", 2*heightMax),
		chain("SELECT a", " IS NULL", 2*heightMax),
		chain("SELECT * FROM t", " CROSS JOIN t", 2*joinMax),
		chain("SELECT 1", " UNION SELECT 1", 2*setOpMax),
	} {
		if _, err := Parse(sql); sqlerr.CodeOf(err) != sqlerr.StatementTooComplex {
			t.Errorf("%.40s: %v", sql, err)
		}
	}
}

const thesisRule = `CREATE CONTINUOUS QUERY brute_force WITH (severity = 'high') AS
	SELECT username, dst, count(*) AS denied FROM auth
	WHERE action = 'denied' AND src_ip NOT IN IOC allowed_scanners AND lower(host) LIKE 'dc%' AND bytes > 100
	GROUP BY username, dst, TUMBLE(ts, INTERVAL '5 seconds') HAVING count(*) > 10 EMIT FIRST`

func BenchmarkRule(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(thesisRule); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSimple(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("SELECT * FROM brute_force WHERE username = $1 ORDER BY window_start DESC LIMIT 10"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCorpus(b *testing.B) {
	statements := corpus(b)
	n := 0
	for b.Loop() {
		if _, err := Parse(statements[n%len(statements)].SQL); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
