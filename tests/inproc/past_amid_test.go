package inproc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

// amidBodies are queries over s whose changelogs are in the order of what they read, whatever the number of workers: of one key each.
var amidBodies = []string{
	"SELECT id FROM s WHERE v % 3 = 0 AND k = 'k1'",
	"SELECT max(id) AS id, count(*) AS n, sum(v) AS v FROM s WHERE k = 'k1' GROUP BY TUMBLE(ts, INTERVAL '5 seconds')",
	"SELECT max(id) AS id, count(*) AS n FROM s WHERE k = 'k1' GROUP BY SESSION(ts, INTERVAL '2 seconds')",
}

// amidSeeds is how many worlds a test has at least. On a busy machine a history may be read before anything happens to it: then there are
// more, until it has happened often enough.
const amidSeeds = 6

// amid is a world in which queries are caught in the middle of a long history.
type amid struct{ *pastWorld }

func newAmid(t *testing.T, seed uint64) *amid {
	w := &amid{newPastWorld(t, rand.New(rand.NewPCG(seed, 11)), time.Millisecond)}
	w.options.HistoryBytes, w.options.JoinWithin, w.options.SegmentBytes = 60, 50, 4096
	w.open()
	return w
}

// fill adds many rows, in order of time and number.
func (w *amid) fill(pieces int) {
	w.t.Helper()
	for range pieces {
		w.insert()
	}
	w.settled()
}

// history begins a query with history and lets it read a part of it; false: it was too quick.
func (w *amid) history(name, body string) bool {
	w.t.Helper()
	w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY %s WITH (start = 'earliest') AS %s", name, body))
	return w.reads(name, float64(w.rng.IntN(60))/100)
}

// reads waits until a query has read a part of its history, and tells whether there is some left.
func (w *amid) reads(name string, part float64) bool {
	w.t.Helper()
	for {
		rows, err := w.db.Rows("SELECT state, coalesce(progress, 1) FROM vigil.queries WHERE name = '" + name + "'")
		if err != nil || len(rows) != 1 {
			w.t.Fatal(name, rows, err)
		}
		if progress, err := strconv.ParseFloat(rows[0][1], 64); err != nil || rows[0][0] != "backfilling" || progress >= part {
			return err == nil && rows[0][0] == "backfilling" && progress < 1
		}
	}
}

// finish closes all windows.
func (w *amid) finish() {
	w.t.Helper()
	w.settled()
	if err := w.db.Pass(time.Hour); err != nil {
		w.t.Fatal(err)
	}
}

// pauseAmid drops a query while it reads history, and pauses another one, with a crash before or after that; it tells whether that one was not done.
func (w *amid) pauseAmid(i, crash int) bool {
	w.t.Helper()
	paused, gone := fmt.Sprint("paused", i), fmt.Sprint("gone", i)
	w.history(gone, amidBodies[i])
	w.exec("DROP CONTINUOUS QUERY " + gone)
	caught := w.history(paused, amidBodies[i])
	if crash == 1 {
		w.crash()
	}
	w.exec("PAUSE CONTINUOUS QUERY " + paused)
	if crash == 2 {
		w.crash()
	}
	w.insert()
	return caught
}

// TestPausedAmidHistory: a query that is paused, or whose server ends, while it reads history has found by then what the first so many events give; RESUME has it
// go on with the events from then on, and nothing of either is lost or there twice. One that is dropped and made again finds all.
func TestPausedAmidHistory(t *testing.T) {
	caught := 0
	for seed := uint64(0); seed < amidSeeds || caught < 3 && seed < 20*amidSeeds; seed++ {
		w := newAmid(t, seed)
		w.streams()
		for i, body := range amidBodies {
			w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY base%d AS %s", i, body))
		}
		w.fill(150)
		before := make([][]string, len(amidBodies))
		for i := range amidBodies {
			if w.pauseAmid(i, int(seed)%3) {
				caught++
			}
			before[i] = w.changes(fmt.Sprint("paused", i))
			w.settled()
			w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY since%d AS %s", i, amidBodies[i]))
			w.exec(fmt.Sprint("RESUME CONTINUOUS QUERY paused", i))
			w.fill(10)
			w.history(fmt.Sprint("gone", i), amidBodies[i])
			w.crash()
			w.fill(3)
		}
		w.finish()
		for i, body := range amidBodies {
			base, got, since := w.changes(fmt.Sprint("base", i)), w.changes(fmt.Sprint("paused", i)), w.changes(fmt.Sprint("since", i))
			if n := len(before[i]); n > len(base) || !slices.Equal(before[i], base[:n]) {
				t.Errorf("seed %d: %s had found %d rows when it was paused, which are not the first of %d", seed, body, n, len(base))
			}
			if want := append(before[i], since...); len(since) == 0 || !slices.Equal(got, want) {
				t.Errorf("seed %d: %s: %d rows, want %d before and since: %s", seed, body, len(got), len(want), firstDifference(got, want))
			}
			if got := w.changes(fmt.Sprint("gone", i)); !slices.Equal(got, base) {
				t.Errorf("seed %d: %s: made again it gives %d rows, want %d: %s", seed, body, len(got), len(base), firstDifference(got, base))
			}
		}
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if t.Logf("%d queries were paused amid history", caught); caught < 3 {
		t.Errorf("%d queries were paused amid their history: the comparison shows little", caught)
	}
}

// checkpointed waits until so many checkpoints more are complete, each of which drops what retention does not hold.
func (w *amid) checkpointed(n int64) {
	w.t.Helper()
	for want := w.db.Engine().Checkpoints().Done + n; w.db.Engine().Checkpoints().Done < want; {
		w.insert()
		if err := w.db.Settle(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// count is how many rows s has retained for which a condition holds; max is its greatest id.
func (w *amid) count(where string) int { return w.number("SELECT count(*) FROM s WHERE " + where) }

func (w *amid) max() int { return w.number("SELECT max(id) FROM s") }

func (w *amid) number(sql string) int {
	w.t.Helper()
	rows, err := w.db.Rows(sql)
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := strconv.Atoi(rows[0][0])
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// TestRetentionAmidHistory: what a query has yet to read of a stream is not dropped, however old it is and whatever happens to the server; once it is read, or the
// query goes, the stream keeps what its retention says.
func TestRetentionAmidHistory(t *testing.T) {
	held := 0
	for seed := uint64(0); seed < amidSeeds || held < 3 && seed < 20*amidSeeds; seed++ {
		w := newAmid(t, seed)
		for _, s := range []string{"s", "t"} {
			w.exec("CREATE STREAM " + s + " (ts TIMESTAMPTZ, id BIGINT, k TEXT, v BIGINT, WATERMARK FOR ts AS ts - INTERVAL '2 seconds' IDLE AFTER INTERVAL '300 days') WITH (retention = '1 hour')")
		}
		body := amidBodies[seed%3]
		w.exec("CREATE CONTINUOUS QUERY base AS " + body)
		w.fill(300)
		old, last := w.count("true"), w.max()
		for _, name := range []string{"past", "gone"} {
			w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY %s WITH (start = 'earliest') AS %s", name, body))
		}
		w.options.Clock.Step(2 * time.Hour)
		for step := range 6 {
			w.checkpointed(2)
			if w.reads("past", 0) {
				held++
			}
			switch step {
			case 1, 3:
				w.crash()
			case 2:
				w.exec("DROP CONTINUOUS QUERY gone")
			}
		}
		w.finish()
		w.checkpointed(3)
		w.settled()
		// Not all that came since: how much that is depends on how long checkpoints took.
		if now := w.count(fmt.Sprint("id <= ", last)); now > 0 {
			t.Errorf("seed %d: %d rows are kept of the stream's first %d, which are all too old", seed, now, old)
		}
		base, past := w.changes("base"), w.changes("past")
		if len(base) == 0 || !slices.Equal(past, base) {
			t.Errorf("seed %d: %s: %d rows with history, want %d: %s", seed, body, len(past), len(base), firstDifference(past, base))
		}
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if t.Logf("a query was found reading what was too old %d times", held); held < 3 {
		t.Errorf("%d times only", held)
	}
}
