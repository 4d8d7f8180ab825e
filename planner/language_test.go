package planner_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
)

// The outcomes in testdata_postgres/language_outcomes.txt are a real Postgres 15's: the types and names of the columns and the
// rows, or SQLSTATE, position, message and hint. With VIGIL_TEST_POSTGRES set to psql's connection string they are taken anew.
const (
	languageFile      = "testdata_postgres/language.sql"
	languageOutcomes  = "testdata_postgres/language_outcomes.txt"
	languageKnownFile = "testdata_postgres/language_known_differences.txt"
)

// TestLanguageLikePostgres runs recursion, row values, functions in FROM and subqueries: rows, types and errors are Postgres'.
func TestLanguageLikePostgres(t *testing.T) {
	statements, want := recordedAnswers(t, languageFile, languageOutcomes, func(conn, sql string) string { return languageAnswer(t, conn, sql) })
	known, _ := os.ReadFile(languageKnownFile)
	w := postgresWorld(t)
	same := 0
	for i, sql := range statements {
		got, listed := w.answer(sql), strings.Contains(string(known), sql+"\n")
		switch {
		case got == want[i] && listed:
			t.Errorf("%s\nis like Postgres now: take it out of %s", sql, languageKnownFile)
		case got == want[i]:
			same++
		case !strings.Contains(string(known), sql+"\n  "+got+"\n"):
			t.Errorf("%s\n  postgres: %s\n  vigil:    %s", sql, want[i], got)
		}
	}
	if same < 200 {
		t.Errorf("only %d statements answer as Postgres does", same)
	}
}

// answer runs a statement: columns and rows, or the error.
func (w *world) answer(sql string) string {
	parsed, err := parse.Parse(sql)
	if err != nil {
		return errorAnswer(err)
	}
	p, err := planner.Select(w.env(), parsed[0].Stmt.(*parse.SelectStmt).Query, nil)
	if err != nil {
		return errorAnswer(err)
	}
	rows, err := runProgram(p)
	if err != nil {
		return errorAnswer(err)
	}
	return outcomeColumns(p.Root.Schema) + ": " + strings.Join(rows, " / ")
}

func errorAnswer(err error) string {
	e := sqlerr.As(err)
	return outcomeError(string(e.Code), e.Position, e.Message, e.Hint)
}

var typeMods = regexp.MustCompile(`\([0-9,]+\)`)

// languageAnswer is the same of a real Postgres.
func languageAnswer(t *testing.T, conn, sql string) string {
	psql := func(script string) (string, error) {
		cmd := exec.Command("psql", conn, "-X", "-q", "-A", "-t", "-P", "null=NULL", "-v", "ON_ERROR_STOP=1")
		cmd.Stdin = strings.NewReader("SET timezone = 'UTC'; SET statement_timeout = '5s';\n\\set VERBOSITY verbose\n" + script)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	rows, err := psql(sql + ";\n")
	if err != nil {
		return parsePsql(sql, strings.ReplaceAll(rows, sql+";", sql))
	}
	types, err := psql("\\pset fieldsep ' '\n" + sql + " \\gdesc\n")
	if err != nil {
		t.Fatalf("%s: %v\n%s", sql, err, types)
	}
	types = typeMods.ReplaceAllString(strings.ReplaceAll(types, "\n", ", "), "")
	return "ok " + types + ": " + strings.ReplaceAll(rows, "\n", " / ")
}
