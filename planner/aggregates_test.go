package planner_test

import (
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
)

// TestAggregateExamples plans and runs the examples of every aggregate as they are printed in the reference.
func TestAggregateExamples(t *testing.T) {
	w := newWorld()
	n := 0
	for _, d := range agg.Builtins() {
		for _, e := range d.Examples {
			n++
			if got := runSelect(w, e.SQL); got != e.Want {
				t.Errorf("%s\n gives %s, want %s", e.SQL, got, e.Want)
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d examples ran", n)
	}
}

// TestAggregatesLikePostgres: the results of the aggregates are a real Postgres', see TestRowsLikePostgres.
func TestAggregatesLikePostgres(t *testing.T) {
	rowsLikePostgres(t, "testdata_postgres/aggregates.sql", "testdata_postgres/aggregates_rows.txt")
}
