package inproc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// alterPairs are queries and what they are altered to; their state goes on.
var alterPairs = [][2]string{
	{"SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds')", "SELECT k, 10 * count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds')"},
	{"SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds') HAVING count(*) > 1", "SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds') HAVING count(*) > 2"},
	{"SELECT k, sum(v) AS n FROM s GROUP BY k, HOP(ts, INTERVAL '5 seconds', INTERVAL '20 seconds')", "SELECT k, sum(v) AS n FROM s GROUP BY k, HOP(ts, INTERVAL '5 seconds', INTERVAL '20 seconds') HAVING sum(v) > 50"},
	{"SELECT k, sum(v) AS n FROM s GROUP BY k, SESSION(ts, INTERVAL '7 seconds') HAVING sum(v) > 50", "SELECT k, sum(v) AS n FROM s GROUP BY k, SESSION(ts, INTERVAL '7 seconds')"},
	{"SELECT id, count(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '10 seconds' PRECEDING AND CURRENT ROW) AS n FROM s",
		"SELECT id, 1 + count(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '10 seconds' PRECEDING AND CURRENT ROW) AS n FROM s"},
	{"SELECT s.id, t.id AS other FROM s JOIN t ON s.k = t.k AND t.ts BETWEEN s.ts - INTERVAL '5 seconds' AND s.ts + INTERVAL '5 seconds'",
		"SELECT s.id, -t.id AS other FROM s JOIN t ON s.k = t.k AND t.ts BETWEEN s.ts - INTERVAL '5 seconds' AND s.ts + INTERVAL '5 seconds'"},
	{"SELECT id, v FROM s WHERE v % 3 = 0", "SELECT id + 1 AS id, v FROM s WHERE v % 3 = 1"},
	{"SELECT count(*) AS n, sum(a) AS a FROM (SELECT k, count(*) AS a FROM s GROUP BY k, TUMBLE(ts, INTERVAL '10 seconds')) x GROUP BY TUMBLE(window_time, INTERVAL '30 seconds')",
		"SELECT -count(*) AS n, sum(a) AS a FROM (SELECT k, count(*) AS a FROM s GROUP BY k, TUMBLE(ts, INTERVAL '10 seconds')) x GROUP BY TUMBLE(window_time, INTERVAL '30 seconds')"},
	{"SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds') HAVING count(*) > 1 EMIT FIRST",
		"SELECT k, 10 * count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds') HAVING count(*) > 1 EMIT FIRST"},
}

// TestAlterKeepsState: a query that is altered finds, from then on, what one finds that was so from the beginning, and before what it was
// gave: windows that were open go on. Crashes right after change nothing, nor do windows that it shares.
func TestAlterKeepsState(t *testing.T) {
	for seed := range uint64(4) {
		every := time.Duration(-1)
		if seed%2 == 0 {
			every = time.Millisecond
		}
		w := newPastWorld(t, rand.New(rand.NewPCG(seed, 3)), every)
		w.open()
		w.streams()
		for i, p := range alterPairs {
			w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY a%d AS %s", i, p[0]))
			w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY b%d AS %s", i, p[1]))
			w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY x%d AS %s", i, p[0]))
		}
		want := make([][]string, len(alterPairs))
		skip := make([]int, len(alterPairs))
		for step := range 60 {
			w.insert()
			if i := step - 20; i >= 0 && i < len(alterPairs) {
				w.settled()
				want[i] = w.changes(fmt.Sprint("a", i))
				skip[i] = len(w.changes(fmt.Sprint("b", i)))
				w.exec(fmt.Sprintf("ALTER CONTINUOUS QUERY x%d AS %s", i, alterPairs[i][1]))
				w.altered(fmt.Sprint("x", i))
				if w.rng.IntN(2) == 0 {
					w.crash()
				}
			} else if w.rng.IntN(15) == 0 {
				w.crash()
			}
		}
		w.settled()
		if err := w.db.Pass(time.Hour); err != nil {
			t.Fatal(err)
		}
		for i, p := range alterPairs {
			after := w.changes(fmt.Sprint("b", i))[skip[i]:]
			list := append(want[i], after...)
			got := w.changes(fmt.Sprint("x", i))
			slices.Sort(list)
			slices.Sort(got)
			if len(want[i]) == 0 || len(after) == 0 || !slices.Equal(got, list) {
				t.Errorf("seed %d: %s:\n%d rows, want %d (%d before)\n%s", seed, p[1], len(got), len(list), len(want[i]), firstDifference(got, list))
			}
		}
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// changes is a query's changelog.
func (w *pastWorld) changes(query string) []string {
	w.t.Helper()
	list, err := w.db.Changelog(query)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, fmt.Sprint(c.Op, c.Text))
	}
	return out
}

// altered checks that a query went on.
func (w *pastWorld) altered(query string) {
	w.t.Helper()
	rows, err := w.db.Rows("SELECT what FROM vigil.query_events WHERE query = '" + query + "' ORDER BY epoch DESC LIMIT 1")
	if err != nil || len(rows) != 1 || rows[0][0] != "altered" {
		w.t.Fatal(query, rows, err)
	}
}
