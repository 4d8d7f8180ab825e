package inproc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// pastBodies are queries over streams s and t, with rows of the same shape. Those that end in ON UPDATE or EVERY are compared by their
// content, the others by their changes.
var pastBodies = []string{
	"SELECT id, k FROM s WHERE v % 3 = 0",
	"SELECT k, window_end, count(*) AS n, sum(v) AS v, min(id) AS id FROM s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds')",
	"SELECT k, window_end, count(*) AS n FROM s GROUP BY k, HOP(ts, INTERVAL '5 seconds', INTERVAL '20 seconds')",
	"SELECT k, window_end, count(*) AS n FROM s GROUP BY k, SESSION(ts, INTERVAL '7 seconds')",
	"SELECT k, window_end, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds') HAVING count(*) > 1 EMIT FIRST",
	"SELECT k, count(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '10 seconds' PRECEDING AND CURRENT ROW) AS n FROM s",
	"SELECT s.id, t.id AS other FROM s JOIN t ON s.k = t.k AND t.ts BETWEEN s.ts - INTERVAL '5 seconds' AND s.ts + INTERVAL '5 seconds'",
	"SELECT count(*) AS n, sum(a) AS a FROM (SELECT k, count(*) AS a FROM s GROUP BY k, TUMBLE(ts, INTERVAL '10 seconds')) x " +
		"GROUP BY TUMBLE(window_time, INTERVAL '30 seconds')",
	"SELECT k, count(*) AS n, sum(v) AS v FROM s GROUP BY k EMIT ON UPDATE",
}

// pastWorld is a DB with streams whose rows come out of order, now and then too late.
type pastWorld struct {
	t       *testing.T
	rng     *rand.Rand
	options Options
	db      *DB
	at      time.Time
	id      int
	opened  int
	// seen counts queries that were found reading history, and joined while events came.
	seen int
}

func newPastWorld(t *testing.T, rng *rand.Rand, checkpoints time.Duration) *pastWorld {
	return &pastWorld{t: t, rng: rng, at: time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC),
		options: Options{Disk: NewDisk(), Clock: NewClock(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)), EpochMin: time.Millisecond,
			CheckpointEvery: checkpoints, HistoryBytes: 1 + rng.IntN(400), JoinWithin: 1 + int64(rng.IntN(300))}}
}

// streams makes s and t.
func (w *pastWorld) streams() {
	w.t.Helper()
	for _, s := range []string{"s", "t"} {
		w.exec("CREATE STREAM " + s + " (ts TIMESTAMPTZ, id BIGINT, k TEXT, v BIGINT, WATERMARK FOR ts AS ts - INTERVAL '2 seconds')")
	}
}

func (w *pastWorld) open() {
	w.t.Helper()
	var err error
	w.opened++
	w.options.Workers = 1 + w.opened%3
	if w.db, err = Open(w.options); err != nil {
		w.t.Fatal(err)
	}
}

// crash goes on with what is on the disk after losing power.
func (w *pastWorld) crash() {
	w.t.Helper()
	old := w.db
	w.options.Disk = w.options.Disk.Crash(nil)
	_ = old.Close() // on the disk that was
	w.open()
}

func (w *pastWorld) exec(sql string) {
	w.t.Helper()
	if err := w.db.Exec(sql); err != nil {
		w.t.Fatal(sql, err)
	}
}

// insert adds some rows to the streams, settled or not.
func (w *pastWorld) insert() {
	w.t.Helper()
	for _, stream := range []string{"s", "t"} {
		var rows []string
		for range w.rng.IntN(8) {
			w.at = w.at.Add(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
			at := w.at.Add(-time.Duration(w.rng.IntN(2500)) * time.Millisecond)
			if w.rng.IntN(20) == 0 {
				at = at.Add(-30 * time.Second)
			}
			w.id++
			rows = append(rows, fmt.Sprintf("('%s', %d, 'k%d', %d)", at.Format(time.RFC3339Nano), w.id, w.rng.IntN(4), w.rng.IntN(100)))
		}
		if len(rows) > 0 {
			w.exec("INSERT INTO " + stream + " VALUES " + strings.Join(rows, ", "))
		}
	}
	w.options.Clock.Step(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
}

// state is the state of a query in vigil.queries.
func (w *pastWorld) state(query string) string {
	w.t.Helper()
	rows, err := w.db.Rows("SELECT state, progress FROM vigil.queries WHERE name = '" + query + "'")
	if err != nil || len(rows) != 1 {
		w.t.Fatal(rows, err)
	}
	if rows[0][0] == "backfilling" {
		w.seen++
	}
	return rows[0][0]
}

// result is what a query gave, in one order.
func (w *pastWorld) result(query, body string) []string {
	w.t.Helper()
	var out []string
	if strings.HasSuffix(body, "ON UPDATE") {
		rows, err := w.db.Rows("SELECT * FROM " + query)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range rows {
			out = append(out, strings.Join(r, "|"))
		}
	} else {
		list, err := w.db.Changelog(query)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, c := range list {
			out = append(out, fmt.Sprint(c.Op, c.Text))
		}
	}
	slices.Sort(out)
	return out
}

// settled waits until all that came in was processed, which after a crash takes a moment, and no query reads history any more.
func (w *pastWorld) settled() {
	w.t.Helper()
	for {
		if err := w.db.Settle(); err != nil {
			w.t.Fatal(err)
		}
		rows, err := w.db.Rows("SELECT name FROM vigil.queries WHERE state = 'backfilling' UNION ALL SELECT name FROM vigil.streams WHERE pending_bytes > 0")
		if err != nil {
			w.t.Fatal(err)
		}
		if len(rows) == 0 {
			if err := w.db.Settle(); err != nil {
				w.t.Fatal(err)
			}
			return
		}
	}
}

// TestStartEarliest: queries that are created at any time, and read history first, find what the same queries find that were there before
// the first event: while events come, over crashes and restarts, with whatever workers.
func TestStartEarliest(t *testing.T) {
	seen := 0
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { seen += startEarliest(t, seed) })
	}
	if seen == 0 {
		t.Error("no query was seen to read history")
	}
}

func startEarliest(t *testing.T, seed uint64) int {
	rng := rand.New(rand.NewPCG(seed, 7))
	checkpoints := time.Millisecond
	if seed%2 == 0 {
		checkpoints = -1
	}
	w := newPastWorld(t, rng, checkpoints)
	w.open()
	w.streams()
	for i, body := range pastBodies {
		w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY base%d AS %s", i, body))
	}
	created := w.late(pastBodies, 24)
	for name, i := range created {
		got, want := w.result(name, pastBodies[i]), w.result(fmt.Sprint("base", i), pastBodies[i])
		if len(want) < 3 || !slices.Equal(got, want) {
			t.Errorf("%s (%s):\n%d rows, want %d\n%s", name, pastBodies[i], len(got), len(want), firstDifference(got, want))
		}
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	return w.seen
}

// late has rows come, queries with history among them, as many as most, and the server crash and start again; then all windows close. It
// tells which of bodies each query has.
func (w *pastWorld) late(bodies []string, most int) map[string]int {
	w.t.Helper()
	created := map[string]int{}
	for step := range 120 {
		w.insert()
		if i := w.rng.IntN(len(bodies)); w.rng.IntN(4) == 0 && len(created) < most {
			name := fmt.Sprintf("late%d_%d", step, i)
			w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY %s WITH (start = 'earliest') AS %s", name, bodies[i]))
			created[name] = i
			w.state(name)
		}
		switch w.rng.IntN(20) {
		case 0:
			w.crash()
		case 1:
			if err := w.db.Close(); err != nil {
				w.t.Fatal(err)
			}
			w.open()
		}
	}
	w.settled()
	if err := w.db.Pass(time.Hour); err != nil {
		w.t.Fatal(err)
	}
	return created
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("at %d: %s, want %s", i, a[i], b[i])
		}
	}
	return "one is longer"
}

// resultBodies are queries over the results of low, which are windows of stream s, and of plain, which are rows of it.
var resultBodies = []string{
	"SELECT k, n FROM low WHERE n > 1",
	"SELECT id, v FROM plain WHERE v % 2 = 0",
	"SELECT k, sum(n) AS n, count(*) AS windows FROM low GROUP BY k, TUMBLE(window_time, INTERVAL '30 seconds')",
	"SELECT k, max(n) AS n FROM low GROUP BY k, SESSION(window_time, INTERVAL '15 seconds')",
	"SELECT a.k, a.n, b.n AS other FROM low AS a JOIN low AS b ON a.k = b.k AND b.window_time BETWEEN a.window_time AND a.window_time + INTERVAL '10 seconds'",
	"SELECT n, count(*) AS a FROM (SELECT k, sum(n) AS n FROM low GROUP BY k, TUMBLE(window_time, INTERVAL '10 seconds')) x GROUP BY n, TUMBLE(window_time, INTERVAL '30 seconds')",
}

// TestStartEarliestOfResult: TestStartEarliest over the results of other queries.
func TestStartEarliestOfResult(t *testing.T) {
	seen := 0
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 23))
		checkpoints := time.Millisecond
		if seed%2 == 0 {
			checkpoints = -1
		}
		w := newPastWorld(t, rng, checkpoints)
		w.open()
		w.streams()
		w.exec("CREATE CONTINUOUS QUERY low AS SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '5 seconds')")
		w.exec("CREATE CONTINUOUS QUERY plain AS SELECT id, v FROM s WHERE v % 3 > 0")
		bases := seed >= 2 // where there are none, nobody else reads the results
		for i, body := range resultBodies {
			if bases {
				w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY base%d AS %s", i, body))
			}
		}
		created := w.late(resultBodies, 16)
		want := map[int][]string{}
		for name, i := range created {
			got := w.result(name, resultBodies[i])
			if bases {
				want[i] = w.result(fmt.Sprint("base", i), resultBodies[i])
			} else if want[i] == nil {
				want[i] = got // the same one at other times
			}
			if len(want[i]) < 3 || !slices.Equal(got, want[i]) {
				t.Errorf("seed %d: %s (%s):\n%d rows, want %d\n%s", seed, name, resultBodies[i], len(got), len(want[i]), firstDifference(got, want[i]))
			}
		}
		seen += w.seen
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if seen == 0 {
		t.Error("no query was seen to read history")
	}
}
