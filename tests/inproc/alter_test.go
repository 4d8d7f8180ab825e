package inproc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/job"
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

// text is one of the queries that TestAlterModel changes between: a count of windows of size seconds, of rows whose v is a multiple of
// filter, times factor, where it is over having.
type text struct{ filter, size, factor, having int }

func (x text) sql() string {
	where := ""
	if x.filter > 1 {
		where = fmt.Sprintf("WHERE v %% %d = 0 ", x.filter)
	}
	return fmt.Sprintf("SELECT k, window_end, %d * count(*) AS n FROM s %sGROUP BY k, TUMBLE(ts, INTERVAL '%d seconds') HAVING count(*) > %d", x.factor, where, x.size, x.having)
}

// model is what a query over stream s holds and has found, written down plainly: its windows by key and end.
type model struct {
	text
	open map[string]map[int64]int
	out  []string
}

// row counts a row; watermark is that before it.
func (m *model) row(at, watermark int64, k string, v int) {
	end := (at/(int64(m.size)*1000) + 1) * int64(m.size) * 1000
	if v%m.filter != 0 || end <= watermark {
		return
	}
	if m.open[k] == nil {
		m.open[k] = map[int64]int{}
	}
	m.open[k][end]++
}

// close takes the windows out that a watermark has reached.
func (m *model) close(watermark int64) {
	for k, windows := range m.open {
		for end, n := range windows {
			if end <= watermark {
				if delete(windows, end); n > m.having {
					m.out = append(m.out, fmt.Sprintf("%s|%s|%d", k, time.UnixMilli(end).UTC().Format("2006-01-02 15:04:05+00"), n*m.factor))
				}
			}
		}
	}
}

// TestAlterModel: a query is altered at random, again and again, in the midst of its windows, over crashes. Where only what follows the
// windows changed it goes on with them; where its condition or its windows changed it begins anew, says which, and has nothing of before.
func TestAlterModel(t *testing.T) {
	kept, rows, anew := 0, 0, map[string]int{}
	for seed := range uint64(6) {
		w := newPastWorld(t, rand.New(rand.NewPCG(seed, 11)), time.Millisecond)
		if seed%2 == 0 {
			w.options.CheckpointEvery = -1
		}
		w.open()
		w.streams()
		m := &model{text{1, 20, 1, 0}, map[string]map[int64]int{}, nil}
		w.exec("CREATE CONTINUOUS QUERY q AS " + m.sql())
		newest := int64(0)
		for range 300 {
			ms := w.at.UnixMilli() + int64(w.rng.IntN(1500))
			w.at = time.UnixMilli(ms).UTC()
			at := ms - int64(w.rng.IntN(2500))
			if w.rng.IntN(15) == 0 {
				at -= 30_000
			}
			k, v := fmt.Sprint("k", w.rng.IntN(3)), w.rng.IntN(100)
			w.id++
			w.exec(fmt.Sprintf("INSERT INTO s VALUES ('%s', %d, '%s', %d)", time.UnixMilli(at).UTC().Format(time.RFC3339Nano), w.id, k, v))
			m.row(at, newest-2000, k, v)
			newest = max(newest, at)
			m.close(newest - 2000)
			if w.rng.IntN(12) == 0 {
				next, part := m.text, ""
				switch w.rng.IntN(20) {
				case 0:
					if next.filter = 1 + w.rng.IntN(3); next.filter != m.filter {
						part = "its condition before grouping differs"
					}
				case 1:
					if next.size = 10 * (1 + w.rng.IntN(3)); next.size != m.size {
						part = "its window differs"
					}
				case 2, 3, 4, 5, 6, 7, 8, 9:
					next.factor = 1 + w.rng.IntN(5)
				default:
					next.having = w.rng.IntN(3)
				}
				w.settled()
				w.exec("ALTER CONTINUOUS QUERY q AS " + next.sql())
				if m.text = next; part == "" {
					kept++
				} else {
					anew[part]++
					m.open, m.out = map[string]map[int64]int{}, nil
				}
				w.told(part)
			}
			if w.rng.IntN(25) == 0 {
				w.crash()
			}
		}
		w.settled()
		got := w.changes("q")
		for i := range m.out {
			m.out[i] = fmt.Sprint(job.OpInsert, m.out[i])
		}
		slices.Sort(got)
		slices.Sort(m.out)
		rows += len(got)
		if !slices.Equal(got, m.out) {
			t.Errorf("seed %d: %d rows, want %d\n%s", seed, len(got), len(m.out), firstDifference(got, m.out))
		}
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if kept < 10 || len(anew) != 2 || rows < 50 {
		t.Errorf("altered %d times with the state, %v without; %d rows", kept, anew, rows)
	}
}

// told checks what ALTER said: that the query goes on, or which part of it differs.
func (w *pastWorld) told(part string) {
	w.t.Helper()
	want := "goes on with its state and results"
	if part != "" {
		want = "begin anew: " + part
	}
	if said := w.db.Notices(); len(said) == 0 || !strings.Contains(said[len(said)-1], want) {
		w.t.Fatalf("ALTER said %q, want %q", said, want)
	}
}
