package planner_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
)

// each repeats a text that may hold its number as %[1]d and that of the one before as %[2]d.
func each(first int, n int, format string) string {
	var b strings.Builder
	for i := first; i < n; i++ {
		fmt.Fprintf(&b, format, i, i-1)
	}
	return b.String()
}

func chain(first, next string, n int) string { return first + strings.Repeat(next, n) }

func doubled(filter string) string {
	sql := "SELECT oid::int AS x FROM pg_class"
	for range 40 {
		sql = "SELECT x + x AS x FROM (" + sql + ") t" + filter
	}
	return "SELECT x FROM (" + sql + ") t WHERE x > 1"
}

// large are statements that are long, deep or multiply, and what must come of them: a plan, or an error of this SQLSTATE.
var large = []struct {
	name, sql string
	code      sqlerr.Code
}{
	{"or", chain("SELECT relname FROM pg_class WHERE relname = 'a'", " OR relname = 'b'", 9000), ""},
	{"and", chain("SELECT relname FROM pg_class WHERE relname <> 'a'", " AND relname <> 'b'", 9000), ""},
	{"or too long", chain("SELECT relname FROM pg_class WHERE relname = 'a'", " OR relname = 'b'", 100_000), sqlerr.StatementTooComplex},
	{"concat", chain("SELECT 'a' || relname", " || 'x'", 5000) + " FROM pg_class", ""},
	{"concat too long", chain("SELECT 'a'", " || 'x'", 100_000), sqlerr.StatementTooComplex},
	{"plus", chain("SELECT oid::int", " + 1", 5000) + " FROM pg_class", ""},
	{"casts", chain("SELECT relname", "::text", 5000) + " FROM pg_class", ""},
	{"casts too long", chain("SELECT 1", "::int", 100_000), sqlerr.StatementTooComplex},
	{"union all", chain("SELECT 1", " UNION ALL SELECT 2", 4000), ""},
	{"union", chain("SELECT 1", " UNION SELECT 2", 4000), ""},
	{"union all too long", chain("SELECT 1", " UNION ALL SELECT 2", 100_000), sqlerr.StatementTooComplex},
	{"union all in parentheses", strings.Repeat("(SELECT 1 UNION ALL ", 300) + "SELECT 2" + strings.Repeat(")", 300), ""},
	{"in", chain("SELECT 1 WHERE 1 IN (1", ", 2", 200_000) + ")", ""},
	{"in columns", chain("SELECT relname FROM pg_class WHERE relname IN ('a'", ", relname", 50_000) + ")", ""},
	{"values", chain("VALUES (1, 'a')", ", (2, 'b')", 50_000), ""},
	{"items", chain("SELECT 1", ", 2", 1663), ""},
	{"items too many", chain("SELECT 1", ", 2", 1664), sqlerr.TooManyColumns},
	{"order", "SELECT relname FROM pg_class ORDER BY 1" + each(1, 1660, ", oid::int + %[1]d"), ""},
	{"order too many", "SELECT relname FROM pg_class ORDER BY 1" + each(1, 5000, ", oid::int + %[1]d"), sqlerr.TooManyColumns},
	{"aggregates", "SELECT 1" + each(1, 1600, ", sum(oid::int + %[1]d)") + " FROM pg_class", ""},
	{"joins", "SELECT 1 FROM pg_class a0" + each(1, 400, " JOIN pg_class a%[1]d ON a%[1]d.oid = a%[2]d.oid"), ""},
	{"joins of streams' times", "SELECT 1 FROM pg_class a0" + each(1, 400, " LEFT JOIN pg_class a%[1]d ON a%[1]d.oid = a0.oid"), ""},
	{"comma joins", "SELECT 1 FROM pg_class a0" + each(1, 400, ", pg_class a%[1]d"), ""},
	{"lateral", "SELECT 1 FROM pg_class a0" + each(1, 60, ", LATERAL (SELECT a%[2]d.oid) a%[1]d"), ""},
	{"with", "WITH a0 AS (SELECT 1 AS x)" + each(1, 40, ", a%[1]d AS (SELECT x.x FROM a%[2]d x, a%[2]d y)") + " SELECT * FROM a39", sqlerr.ProgramLimitExceeded},
	{"with chain", "WITH a0 AS (SELECT 1 AS x)" + each(1, 450, ", a%[1]d AS (SELECT x FROM a%[2]d)") + " SELECT * FROM a449", ""},
	{"doubled columns", doubled(""), ""},
	{"doubled conditions", doubled(" WHERE x > 1"), ""},
	{"parentheses too deep", "SELECT " + strings.Repeat("(", 501) + "1" + strings.Repeat(")", 501), sqlerr.StatementTooComplex},
	{"not too deep", "SELECT " + strings.Repeat("NOT ", 100_000) + "true", sqlerr.StatementTooComplex},
	{"case", strings.Repeat("SELECT CASE WHEN true THEN ", 1) + strings.Repeat("CASE WHEN true THEN ", 300) + "1" + strings.Repeat(" END", 301), ""},
	{"case branches", "SELECT CASE relname" + strings.Repeat(" WHEN 'a' THEN 'b'", 20_000) + " END FROM pg_class", ""},
	{"calls", "SELECT " + strings.Repeat("abs(", 300) + "1" + strings.Repeat(")", 300), ""},
	{"arguments", chain("SELECT coalesce(NULL", ", relname", 20_000) + ") FROM pg_class", ""},
	{"subqueries in a list", chain("SELECT (SELECT c.relname LIMIT 1)", ", (SELECT c.relname LIMIT 1)", 1500) + " FROM pg_class c", ""},
	{"exists", "SELECT 1 WHERE " + strings.Repeat("EXISTS (SELECT 1 WHERE ", 100) + "true" + strings.Repeat(")", 100), ""},
	{"derived tables", strings.Repeat("SELECT * FROM (", 200) + "SELECT 1 AS a" + strings.Repeat(") x", 200), ""},
	{"long name", "SELECT " + strings.Repeat("a", 1_000_000), sqlerr.UndefinedColumn},
	{"long literal", "SELECT '" + strings.Repeat("a", 10_000_000) + "'", ""},
	{"long number", "SELECT " + strings.Repeat("9", 1_000_000), sqlerr.NumericValueOutOfRange},
	{"deep json", "SELECT '" + strings.Repeat("[", 100_000) + "'::jsonb", sqlerr.StatementTooComplex},
	{"nul", "SELECT 'a\x00b'", sqlerr.CharacterNotInRepertoire},
	{"not utf-8", "SELECT 'a\xff\xfeb'", sqlerr.CharacterNotInRepertoire},
	{"unterminated string", "SELECT 'abc", sqlerr.SyntaxError},
	{"unterminated name", `SELECT "abc`, sqlerr.SyntaxError},
	{"unterminated dollars", "SELECT $a$ b $a", sqlerr.SyntaxError},
	{"unterminated comment", "SELECT " + strings.Repeat("/*", 100_000), sqlerr.SyntaxError},
	{"unterminated escape", `SELECT E'abc\`, sqlerr.SyntaxError},
	{"parameter", "SELECT $65536", sqlerr.UndefinedParameter},
}

// largeBytes bounds what one of them may allocate, all passes together: none is longer than ten megabytes.
const largeBytes = 1 << 30

// TestLarge takes each statement through all of the planner, EXPLAIN, and its canonical form, and runs what reads no relation.
func TestLarge(t *testing.T) {
	w := newWorld()
	for _, c := range large {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := through(w, c.sql)
			runtime.ReadMemStats(&after)
			if got := sqlerr.CodeOf(err); err != nil && got != c.code || err == nil && c.code != "" {
				t.Errorf("%.200v, expected %q", err, c.code)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > largeBytes {
				t.Errorf("%d MB allocated", n>>20)
			}
		})
	}
}

func through(w *world, sql string) error {
	list, err := parse.Parse(sql)
	if err != nil {
		return err
	}
	printed := parse.Print(list[0].Stmt)
	if _, err := parse.Parse(printed); err != nil && sqlerr.CodeOf(err) != sqlerr.StatementTooComplex {
		return fmt.Errorf("its canonical form: %w", err)
	}
	p, err := planner.Select(w.env(), list[0].Stmt.(*parse.SelectStmt).Query, nil)
	if err != nil {
		return err
	}
	spec.Explain(p)
	if reads(p.Root) {
		return nil
	}
	_, err = runProgram(p)
	if sqlerr.CodeOf(err) == sqlerr.ProgramLimitExceeded { // plans are run to their own depth
		return nil
	}
	return err
}

func reads(n *spec.Node) bool {
	if _, ok := n.Op.(*spec.VirtualScan); ok {
		return true
	}
	for _, in := range n.In {
		if reads(in) {
			return true
		}
	}
	return false
}
