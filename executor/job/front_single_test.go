package job_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/inproc"
)

// conditions are of rules with and without conditions that can fail for a row; the last two share one.
var conditions = []string{"n > 3", "line LIKE '%7%' AND n % 2 = 1", "10 / (n - 5) > 0", "true", "line = 'l12' OR n IN (1, 2, 40)",
	"line ~ '^l1' AND 100 / (n - 12) > 5", "lower(line) = 'l3' AND n < 10", "n < 8", "n < 8"}

// rulesOver runs the rules over two loads of events, the second after what change does to the engine.
func rulesOver(t *testing.T, change func(db *inproc.DB)) (db *inproc.DB, got string) {
	t.Helper()
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Clock: inproc.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), Workers: 2, CheckpointEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	list := []string{"CREATE STREAM log (n BIGINT, line TEXT)"}
	for i, c := range conditions {
		list = append(list, fmt.Sprintf("CREATE CONTINUOUS QUERY r%d AS SELECT n, line FROM log WHERE %s", i, c))
	}
	for _, sql := range list {
		if err := db.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	change(db)
	for load := range 2 {
		var b strings.Builder
		for n := range 20 {
			fmt.Fprintf(&b, "{\"n\":%d,\"line\":\"l%d\"}\n", 20*load+n, 20*load+n)
		}
		if _, err := db.Append("log", []byte(b.String())); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	return db, results(t, db)
}

func results(t *testing.T, db *inproc.DB) string {
	t.Helper()
	var b strings.Builder
	for i := range conditions {
		fmt.Fprintln(&b, i, query(t, db, fmt.Sprintf("SELECT n FROM r%d", i)))
	}
	fmt.Fprintln(&b, query(t, db, "SELECT query, code, count(*) FROM vigil.rejected GROUP BY query, code ORDER BY query, code"))
	return b.String()
}

func query(t *testing.T, db *inproc.DB, sql string) [][]string {
	t.Helper()
	rows, err := db.Rows(sql)
	if err != nil {
		t.Fatal(sql, err)
	}
	return rows
}

// TestIndexBreaks: an index that panics, wherever it has come to, costs no rule a row, nor a row error; it is counted. A rule that
// breaks by itself then goes, alone.
func TestIndexBreaks(t *testing.T) {
	_, want := rulesOver(t, func(*inproc.DB) {})
	if !strings.Contains(want, "22012 1") {
		t.Fatalf("no row failed:\n%s", want)
	}
	for n := 0; n <= len(conditions); n++ {
		db, got := rulesOver(t, func(db *inproc.DB) { db.Engine().BreakIndex(n, -1) })
		if got != want {
			t.Errorf("broken at rule %d: got\n%s\nwant\n%s", n, got, want)
		}
		if count := db.Engine().IndexPanics(); count < 1 || count > 2 {
			t.Errorf("broken at rule %d: %d panics counted", n, count)
		}
		if out := query(t, db, "SELECT name, reason FROM vigil.queries WHERE state <> 'running'"); len(out) > 0 {
			t.Errorf("broken at rule %d: out of service: %v", n, out)
		}
	}
	db, got := rulesOver(t, func(db *inproc.DB) { db.Engine().BreakIndex(0, 3) })
	if out := fmt.Sprint(query(t, db, "SELECT name, state, reason FROM vigil.queries WHERE state <> 'running'")); out != "[[r3 deactivated internal error: the rule broke]]" {
		t.Errorf("out of service: %s", out)
	}
	for i, line := range strings.Split(got, "\n") {
		if all := strings.Split(want, "\n")[i]; i != 3 && line != all {
			t.Errorf("got %s, want %s", line, all)
		}
	}
}
