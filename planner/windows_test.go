package planner_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
)

// windowRows is the relation t of the queries in testdata_postgres/windows.sql: window functions and grouping sets.
const windowRows = `WITH t (id, k, a, f, n, d, ts, tz, iv, s) AS (VALUES
 (1, 'x', 10, 1.5::float8, 0.1, DATE '2026-01-31', TIMESTAMP '2026-01-31 10:00:00', TIMESTAMPTZ '2026-01-31 10:00:00+00', INTERVAL '1 day', 'b'),
 (2, 'y', NULL, 'NaN', 1.10, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00+00', '1 mon', NULL),
 (3, 'x', 30, '-Infinity', NULL, '2026-02-28', '2026-02-28 23:59:59.5', '2026-03-29 00:30:00+00', NULL, 'a'),
 (4, 'x', 10, 2.25, 1.1, '2026-02-28', '2026-02-28 23:59:59.5', '2026-03-29 02:30:00+00', '2 hours', 'ü'),
 (5, 'y', -7, 'Infinity', 3, '2026-03-01', NULL, NULL, '30 days', 'c'),
 (6, NULL, 10, NULL, 'NaN', '2026-03-31', '2026-03-31 00:00:00', '2026-03-31 00:00:00+00', '23 hours', 'a'),
 (7, 'y', 2147483647, 1e308, -2.5, '2027-01-01', '2026-03-31 00:00:01', '2026-10-25 00:00:00+00', '1 day', 'd'),
 (8, 'x', NULL, 0.1, 7, NULL, '2027-01-01 00:00:00', '2027-01-01 00:00:00+00', '1 year', 'e')) `

// TestWindowsLikePostgres: types and rows, or the error, are a real Postgres', see TestRowsLikePostgres.
func TestWindowsLikePostgres(t *testing.T) {
	prefix := strings.ReplaceAll(windowRows, "\n", "")
	queries, want := recordedAnswers(t, "testdata_postgres/windows.sql", "testdata_postgres/windows_rows.txt",
		func(conn, q string) string { return postgresAnswer(t, conn, prefix, q) })
	w := newWorld()
	for i, q := range queries {
		if got := answer(w, prefix, q); got != want[i] {
			t.Errorf("%s\n  postgres: %s\n  vigil:    %s", q, want[i], got)
		}
	}
}

// answer is the types of the columns and the rows of a query, or its error, with a position within q.
func answer(w *world, prefix, q string) string {
	parsed, err := parse.Parse(prefix + q)
	if err != nil {
		return windowError(err, len(prefix))
	}
	p, err := planner.Select(w.env(), parsed[0].Stmt.(*parse.SelectStmt).Query, nil)
	if err != nil {
		return windowError(err, len(prefix))
	}
	rows, err := runProgram(p)
	if err != nil {
		return windowError(err, len(prefix))
	}
	return outcomeColumns(p.Root.Schema) + ": " + strings.Join(rows, " / ")
}

// windowError prints an error with its position within the text after the prefix.
func windowError(err error, prefix int) string {
	e := sqlerr.As(err)
	pos := e.Position
	if pos > 0 {
		pos -= prefix - 1 // one character of the prefix has two bytes
	}
	return outcomeError(string(e.Code), pos, e.Message, e.Hint)
}

var psqlError = regexp.MustCompile(`(?m)^(?:psql:.*: )?ERROR:  `)

// postgresAnswer is answer by a real Postgres.
func postgresAnswer(t *testing.T, conn, prefix, q string) string {
	run := func(script string) string {
		cmd := exec.Command("psql", conn, "-X", "-q", "-A", "-t", "-P", "null=NULL")
		cmd.Stdin = strings.NewReader("\\set VERBOSITY verbose\nSET TimeZone = 'UTC';\nCREATE TEMP VIEW t AS " + prefix + "SELECT * FROM t;\n" + q + script)
		res, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("psql: %v\n%s", err, res)
		}
		return strings.TrimSpace(string(res))
	}
	res := run(" \\gdesc\n")
	if psqlError.MatchString(res) {
		return strings.Replace(parsePsql(q, res), "ok ", "", 1)
	}
	for i, line := range strings.Split(res, "\n") {
		if i == 0 {
			res = ""
		}
		res += ", " + strings.Replace(line, "|", " ", 1)
	}
	rows := run(";\n")
	if psqlError.MatchString(rows) {
		return parsePsql(q, rows)
	}
	return "ok " + strings.TrimPrefix(res, ", ") + ": " + strings.ReplaceAll(rows, "\n", " / ")
}
