package planner_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgcatalog"
)

// The outcomes in testdata_postgres/outcomes.txt are a real Postgres 15's: column names and types, or SQLSTATE, message,
// position and hint. With VIGIL_TEST_POSTGRES set to psql's connection string they are taken anew.
const (
	statementsFile = "testdata_postgres/statements.sql"
	outcomesFile   = "testdata_postgres/outcomes.txt"
	knownFile      = "testdata_postgres/known_differences.txt"
)

const postgresSchema = `CREATE TEMP TABLE auth (ts TIMESTAMPTZ NOT NULL, host TEXT, username TEXT, src_ip INET, dst TEXT, action TEXT,
 bytes BIGINT, score DOUBLE PRECISION, detail JSONB, port INT, day DATE, raw JSON, tags TEXT[], code VARCHAR(10), price NUMERIC, flag BOOLEAN, small SMALLINT);
CREATE TEMP TABLE hosts (host TEXT, owner TEXT, port INT);`

func postgresWorld(t *testing.T) *world {
	w := newWorld()
	w.cat.Register(pgcatalog.New(nil).Relations()...)
	sql := strings.ReplaceAll(postgresSchema, "CREATE TEMP TABLE", "CREATE STREAM")
	if out := w.run(sql); strings.Contains(out, "ERROR") {
		t.Fatal(out)
	}
	return w
}

// ours is the outcome of planning a statement.
func (w *world) ours(sql string) string {
	parsed, err := parse.Parse(sql)
	var p *spec.Program
	if err == nil {
		p, err = planner.Select(w.env(), parsed[0].Stmt.(*parse.SelectStmt).Query, nil)
	}
	if err == nil {
		return outcomeColumns(p.Root.Schema)
	}
	e := sqlerr.As(err)
	return outcomeError(string(e.Code), e.Position, e.Message, e.Hint)
}

// recordedAnswers reads statements, one a line, and what a real Postgres answered to each; with VIGIL_TEST_POSTGRES it is asked anew.
func recordedAnswers(t *testing.T, statementsFile, answersFile string, ask func(conn, sql string) string) (statements, answers []string) {
	t.Helper()
	data, err := os.ReadFile(statementsFile)
	if err != nil {
		t.Fatal(err)
	}
	statements = strings.Split(strings.TrimSpace(string(data)), "\n")
	if conn := os.Getenv("VIGIL_TEST_POSTGRES"); conn != "" {
		var out strings.Builder
		for _, sql := range statements {
			out.WriteString(ask(conn, sql) + "\n")
		}
		if err := os.WriteFile(answersFile, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if data, err = os.ReadFile(answersFile); err != nil {
		t.Fatal(err)
	}
	answers = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(answers) != len(statements) {
		t.Fatalf("%d answers for %d statements of %s: record them anew with VIGIL_TEST_POSTGRES", len(answers), len(statements), statementsFile)
	}
	return statements, answers
}

func outcomeColumns(s types.Schema) string {
	parts := make([]string, len(s.Cols))
	for i, c := range s.Cols {
		parts[i] = c.Name + " " + c.Type.String()
	}
	return "ok " + strings.Join(parts, ", ")
}

func outcomeError(code string, pos int, message, hint string) string {
	s := fmt.Sprintf("%s at %d: %s", code, pos, message)
	if hint != "" {
		s += " | " + hint
	}
	return s
}

func TestLikePostgres(t *testing.T) {
	statements, outcomes := recordedAnswers(t, statementsFile, outcomesFile, func(conn, sql string) string { return askPostgres(t, conn, sql) })
	known, _ := os.ReadFile(knownFile)
	w := postgresWorld(t)
	for i, sql := range statements {
		got := w.ours(sql)
		if got == outcomes[i] {
			if strings.Contains(string(known), sql+"\n") {
				t.Errorf("%s\nis like Postgres now: take it out of %s", sql, knownFile)
			}
			continue
		}
		if !strings.Contains(string(known), sql+"\n  "+got+"\n") {
			t.Errorf("%s\n  postgres: %s\n  vigil:    %s", sql, outcomes[i], got)
		}
	}
}

var (
	errorLine = regexp.MustCompile(`(?m)ERROR:  ([0-9A-Z]{5}): (.*)`)
	hintLine  = regexp.MustCompile(`(?m)^HINT:  (.*)`)
	caretLine = regexp.MustCompile(`(?m)^LINE 1: (.*)\n( *)\^`)
)

// askPostgres is a real Postgres' outcome of planning a statement.
func askPostgres(t *testing.T, conn, sql string) string {
	t.Helper()
	cmd := exec.Command("psql", conn, "-X", "-q", "-A", "-t", "-F", " ")
	cmd.Stdin = strings.NewReader(postgresSchema + "\n\\set VERBOSITY verbose\n" + sql + " \\gdesc\n")
	res, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, res)
	}
	return parsePsql(sql, string(res))
}

// parsePsql reads psql's answer; the position is found by laying the shown part of the line over the statement.
func parsePsql(sql, res string) string {
	m := errorLine.FindStringSubmatch(res)
	if m == nil {
		lines := strings.Split(strings.TrimSpace(res), "\n")
		for i, l := range lines {
			l = strings.ReplaceAll(l, "pg_temp_3.", "")
			if cut := strings.IndexByte(l, '('); cut > 0 { // type modifiers
				l = l[:cut] + l[strings.IndexByte(l, ')')+1:]
			}
			lines[i] = l
		}
		return "ok " + strings.Join(lines, ", ")
	}
	pos, hint := 0, ""
	if c := caretLine.FindStringSubmatch(res); c != nil {
		shown := strings.TrimSuffix(strings.TrimPrefix(c[1], "..."), "...")
		lead := len(c[2]) - len("LINE 1: ")
		if strings.HasPrefix(c[1], "...") {
			lead -= 3
		}
		pos = strings.Index(sql, strings.TrimRight(shown, " ")) + lead + 1
	}
	if h := hintLine.FindStringSubmatch(res); h != nil {
		hint = h[1]
	}
	return outcomeError(m[1], pos, m[2], hint)
}
