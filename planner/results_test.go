package planner_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
)

const (
	queriesFile = "testdata_postgres/queries.sql"
	rowsFile    = "testdata_postgres/rows.txt"
)

// runSelect plans and runs a query without stored relations; rows are printed as psql -A prints them.
func runSelect(w *world, sql string) string {
	parsed, err := parse.Parse(sql)
	if err != nil {
		return describeError(sql, err)
	}
	p, err := planner.Select(w.env(), parsed[0].Stmt.(*parse.SelectStmt).Query, nil)
	if err != nil {
		return describeError(sql, err)
	}
	rows, err := runProgram(p)
	if err != nil {
		return describeError(sql, err)
	}
	return strings.Join(rows, " / ")
}

// runProgram runs a program without stored relations and prints its rows.
func runProgram(p *spec.Program) ([]string, error) {
	var rows []string
	err := task.Run(context.Background(), p, &task.Env{}, func(in op.Input) error {
		for _, i := range in.Sel {
			var cells []string
			for c := range in.B.Cols {
				v := in.B.Cols[c].Value(int(i))
				text := "NULL"
				if !v.Null {
					text = string(types.AppendText(nil, v, nil))
				}
				cells = append(cells, text)
			}
			rows = append(rows, strings.Join(cells, "|"))
		}
		return nil
	})
	return rows, err
}

// TestRowsLikePostgres runs what was planned: the rows must be those that a real Postgres gave (rows.txt; taken anew with
// VIGIL_TEST_POSTGRES).
func TestRowsLikePostgres(t *testing.T) {
	rowsLikePostgres(t, queriesFile, rowsFile)
}

func rowsLikePostgres(t *testing.T, queriesFile, rowsFile string) {
	queries, want := recordedAnswers(t, queriesFile, rowsFile, func(conn, q string) string {
		res, err := exec.Command("psql", conn, "-X", "-q", "-A", "-t", "-P", "null=NULL", "-c", q).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", q, err, res)
		}
		return strings.ReplaceAll(strings.TrimSpace(string(res)), "\n", " / ")
	})
	w := newWorld()
	for i, q := range queries {
		if got := runSelect(w, q); got != want[i] {
			t.Errorf("%s\n  postgres: %s\n  vigil:    %s", q[strings.LastIndex(q, "4)) ")+4:], want[i], got)
		}
	}
}
