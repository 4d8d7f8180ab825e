package inproc

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// costsDB is a vigil that looks at costs with every epoch.
func costsDB(t *testing.T, o Options) *DB {
	t.Helper()
	if o.Disk == nil {
		o.Disk = NewDisk()
	}
	if o.Clock == nil {
		o.Clock = NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	}
	if o.CheckpointEvery == 0 {
		o.CheckpointEvery = -1
	}
	if o.CostsEvery == 0 {
		o.CostsEvery = 1
	}
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func mustExec(t *testing.T, db *DB, sql ...string) {
	t.Helper()
	for _, s := range sql {
		if err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func mustRows(t *testing.T, db *DB, sql string) [][]string {
	t.Helper()
	rows, err := db.Rows(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestCostsAreAttributed: of two queries with the same costly work on a row, the one that matches ten times the rows has cost
// most of it; all parts add up to the whole; rows, results and state are the query's.
func TestCostsAreAttributed(t *testing.T) {
	db := costsDB(t, Options{Workers: 2})
	defer db.Close()
	work := "length(regexp_replace(repeat(line, 40), '(a|b|c|d)+x?', '-', 'g'))"
	mustExec(t, db, "CREATE STREAM log (ts TIMESTAMPTZ NOT NULL, n BIGINT, line TEXT, WATERMARK FOR ts AS ts)",
		"CREATE CONTINUOUS QUERY heavy AS SELECT n, max("+work+") AS m FROM log WHERE n < 1000 GROUP BY n, TUMBLE(ts, INTERVAL '1 hour')",
		"CREATE CONTINUOUS QUERY light AS SELECT n, max("+work+") AS m FROM log WHERE n < 100 GROUP BY n, TUMBLE(ts, INTERVAL '1 hour')",
		"CREATE CONTINUOUS QUERY idle AS SELECT n FROM log WHERE n < 0")
	var lines strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&lines, `{"ts":"2026-03-01T12:00:00Z","n":%d,"line":"abcd-%d-bcdabcdx"}`+"\n", i%1000, i)
	}
	for range 5 {
		if _, err := db.Append("log", []byte(lines.String())); err != nil {
			t.Fatal(err)
		}
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, r := range mustRows(t, db, "SELECT name, cpu_ms, rows_in, rows_out, keys, state_bytes, cpu_share FROM vigil.query_costs WHERE kind = 'query'") {
		got[r[0]] = r[1:]
	}
	for name, want := range map[string][]string{"heavy": {"10000", "0", "1000"}, "light": {"1000", "0", "100"}, "idle": {"0", "0", "0"}} {
		if r := got[name]; strings.Join(r[1:4], " ") != strings.Join(want, " ") {
			t.Errorf("%s: rows in, rows out and keys are %v, want %v", name, r[1:4], want)
		}
	}
	heavy, light := number(t, got["heavy"][0]), number(t, got["light"][0])
	if ratio := heavy / light; ratio < 3 || ratio > 30 {
		t.Errorf("%v ms and %v ms: a ratio of %.1f, want about 10", heavy, light, ratio)
	}
	if number(t, got["idle"][0]) > light || number(t, got["heavy"][4]) == 0 || got["idle"][4] != "0" {
		t.Errorf("costs are %v", got)
	}
	costs := db.Engine().Costs()
	sum := costs.Server.CPU
	for _, c := range costs.Queries {
		sum += c.CPU
	}
	for _, c := range costs.Streams {
		sum += c.CPU
	}
	if sum != costs.Total.CPU || sum == 0 {
		t.Errorf("the parts are %v, the whole is %v", sum, costs.Total.CPU)
	}
	mustExec(t, db, "DROP CONTINUOUS QUERY heavy")
	if rows := mustRows(t, db, "SELECT count(*) FROM vigil.query_costs"); rows[0][0] != "4" {
		t.Errorf("%v rows, want two queries, a stream, the server", rows)
	}
	if n := len(db.Engine().Costs().Queries); n != 2 {
		t.Errorf("the costs of %d queries are kept, want those of 2", n)
	}
}
