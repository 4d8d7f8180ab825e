package planner_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
)

// FuzzSelect plans whatever parses: the outcome is a plan that EXPLAIN can print, or an error of the user's.
func FuzzSelect(f *testing.F) {
	for _, file := range []string{statementsFile, queriesFile} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for i, line := range strings.Split(string(data), "\n") {
			if i%5 == 0 {
				f.Add(line)
			}
		}
	}
	w := corpusWorld()
	f.Fuzz(func(t *testing.T, sql string) {
		if len(sql) > 1<<12 {
			return
		}
		list, err := parse.Parse(sql)
		if err != nil {
			return
		}
		for _, p := range list {
			st, ok := p.Stmt.(*parse.SelectStmt)
			if !ok {
				continue
			}
			prog, err := planner.Select(w.env(), st.Query, nil)
			if err == nil {
				spec.Explain(prog)
				continue
			}
			if e := new(sqlerr.Error); !errors.As(err, &e) || e.Code == sqlerr.InternalError {
				t.Fatalf("%v", err)
			}
		}
	})
}
