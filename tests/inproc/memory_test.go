package inproc

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/job"
)

// memoryQueries are those whose state is to be larger than the budget, all at once.
var memoryQueries = []struct{ name, sql string }{
	{"tumbling", "SELECT k, count(*) AS c, sum(n) AS total FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day') HAVING count(*) <> 2"},
	{"hopping", "SELECT k, count(*) AS c, min(n) AS least, count(DISTINCT n) AS d FROM s GROUP BY k, HOP(ts, INTERVAL '1 day', INTERVAL '2 days') HAVING count(*) <> 2"},
	{"sessions", "SELECT k, count(*) AS c FROM s GROUP BY k, SESSION(ts, INTERVAL '20 hours') HAVING count(*) <> 2"},
	{"first", "SELECT k, n FROM s WHERE FIRST_SEEN(k, INTERVAL '1 day')"},
	{"joined", "SELECT a.k, a.n AS one, b.n AS two FROM s a JOIN s b ON a.k = b.k AND b.ts BETWEEN a.ts + INTERVAL '1 second' AND a.ts + INTERVAL '10 hours' WHERE b.n % 5 = 0"},
	{"sliding", "SELECT k, count(*) AS c, max(n) AS most FROM s GROUP BY k, SLIDE(ts, INTERVAL '1 day') HAVING count(*) > 2"},
	{"counted", "SELECT k, count(*) AS c, sum(n) AS total FROM s GROUP BY k, COUNT_WINDOW(3)"},
	{"before", "SELECT k, n, c, least FROM (SELECT k, n, count(*) OVER w AS c, min(n) OVER w AS least FROM s " +
		"WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '10 hours' PRECEDING AND CURRENT ROW)) AS x WHERE c > 2"},
	{"texts", "SELECT k, max(k) AS most, sum(n::numeric) AS total, array_agg(n) AS list FROM s GROUP BY k, HOP(ts, INTERVAL '1 day', INTERVAL '2 days') HAVING count(*) <> 2"},
	{"waiting", "SELECT k, count(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND INTERVAL '7 hours' FOLLOWING) AS c FROM s"},
	{"matched", "SELECT k, least, most FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES f.n AS least, l.n AS most PATTERN (f b l) " +
		"WITHIN INTERVAL '10 hours' DEFINE f AS n > 0, b AS n > 0, l AS n > 0) m"},
	{"followed", "SEQUENCE BY k WITHIN INTERVAL '10 hours' [s WHERE n > 0] [s WHERE n > 2] ![s WHERE n > 16]"},
	// All that a window has comes out at once, and goes into another query.
	{"all_keys", "SELECT k, count(*) AS c, window_end FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day')"},
	{"all_again", "SELECT left(k, 198) AS k, sum(c) AS c FROM all_keys GROUP BY left(k, 198), TUMBLE(window_end, INTERVAL '1 day')"},
}

const (
	memoryBudget = 16 << 20
	memoryKeys   = 40_000
	// memoryStep is what a portion of rows, or a step of a window that closes, brings into memory between two looks.
	memoryStep = 16 << 20
)

// memoryRun is a database that is filled, restarted and emptied.
type memoryRun struct {
	t    *testing.T
	opts Options
	db   *DB
	// most is the most that was measured, in any of the looks.
	most, looks atomic.Int64
	largest     int64 // state, wherever it was
	onDisk      int64
}

func newMemoryRun(t *testing.T, budget int64) *memoryRun {
	r := &memoryRun{t: t}
	r.opts = Options{Disk: NewDisk(), Clock: NewClock(time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)), Workers: 2, CheckpointEvery: 300 * time.Millisecond,
		Memory: budget, StateDir: t.TempDir(), MemoryUse: func(state func() int64) (int64, int64) {
			n := state()
			r.looks.Add(1)
			for most := r.most.Load(); n > most && !r.most.CompareAndSwap(most, n); most = r.most.Load() {
			}
			return n, 0
		}}
	r.open()
	mustExec(t, r.db, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k TEXT, n BIGINT, WATERMARK FOR ts AS ts - INTERVAL '1 minute')")
	for _, q := range memoryQueries {
		mustExec(t, r.db, "CREATE CONTINUOUS QUERY "+q.name+" AS "+q.sql)
	}
	return r
}

func (r *memoryRun) open() {
	r.t.Helper()
	var err error
	if r.db, err = Open(r.opts); err != nil {
		r.t.Fatal(err)
	}
}

// send has each step-th key come once, at a time of the clock after the first of March, so many rows at once; keys are long, so that they lie outside
// of their entries. Where hop, which has no divisor in common with memoryKeys, is not 1, they come in no order of their places.
func (r *memoryRun) send(at time.Duration, step, batch, hop int) {
	r.t.Helper()
	ts := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Add(at).Format(time.RFC3339)
	for from := 0; from < memoryKeys; from += batch * step {
		var b bytes.Buffer
		for i := from; i < min(from+batch*step, memoryKeys); i += step {
			k := i * hop % memoryKeys
			fmt.Fprintf(&b, `{"ts":%q,"k":"%0200d","n":%d}`+"\n", ts, k, k%1000+step)
		}
		if rejected, err := r.db.Append("s", b.Bytes()); err != nil || rejected > 0 {
			r.t.Fatal(rejected, err)
		}
		m := r.db.Engine().Memory()
		r.largest, r.onDisk = max(r.largest, m.State), max(r.onDisk, m.OnDisk)
	}
	if err := r.db.Settle(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *memoryRun) run() {
	r.t.Helper()
	r.send(time.Hour, 1, 200, 1)
	if err := r.db.Close(); err != nil { // with a checkpoint
		r.t.Fatal(err)
	}
	r.open()
	if r.db.Rerun != 0 {
		r.t.Errorf("%d epochs ran again, not from the last checkpoint", r.db.Rerun)
	}
	r.send(5*time.Hour, 3, 2000, 7919)
	r.send(6*time.Hour, 17, 2000, 7919)
	if rejected, err := r.db.Append("s", []byte(`{"ts":"2026-03-09T00:00:00Z","k":"end","n":1}`+"\n")); err != nil || rejected > 0 {
		r.t.Fatal(rejected, err)
	}
	if err := r.db.Settle(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *memoryRun) results(query string) []Change {
	r.t.Helper()
	list, err := r.db.Changelog(query)
	if err != nil {
		r.t.Fatal(err)
	}
	// Rows that are found as they come are in the order of the workers.
	slices.SortFunc(list, func(a, b Change) int { return bytes.Compare([]byte(a.Text), []byte(b.Text)) })
	return list
}

// TestStateBeyondMemory: state ten times larger than memory gives what it gives in memory, over a restart from a checkpoint; and what is
// in memory stays about the budget (tests/crash TestResidentMemory has the bound for a whole process).
func TestStateBeyondMemory(t *testing.T) {
	free, small := newMemoryRun(t, 1<<40), newMemoryRun(t, memoryBudget)
	for _, r := range []*memoryRun{free, small} {
		defer func() { _ = r.db.Close() }()
		r.run()
	}
	for _, q := range memoryQueries {
		want, got := free.results(q.name), small.results(q.name)
		if len(want) < memoryKeys/100 {
			t.Errorf("%s has %d results: too few to compare", q.name, len(want))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d results with little memory, %d with enough, or others", q.name, len(got), len(want))
		}
		if rows := mustRows(t, small.db, "SELECT state FROM vigil.queries WHERE name = '"+q.name+"'"); len(rows) != 1 || rows[0][0] != job.StateRunning {
			t.Errorf("%s: %v", q.name, rows)
		}
	}
	t.Logf("budget %d MiB: at most %d MiB of %d MiB state in memory in %d looks; with enough: %d of %d", memoryBudget>>20, small.most.Load()>>20,
		small.largest>>20, small.looks.Load(), free.most.Load()>>20, free.largest>>20)
	if free.most.Load() < 10*memoryBudget {
		t.Errorf("the state is %d MiB in memory, not ten times the budget", free.most.Load()>>20)
	}
	if small.onDisk == 0 || small.most.Load() > memoryBudget*5/4+memoryStep {
		t.Errorf("%d bytes were in memory at most, %d on disk, the budget is %d", small.most.Load(), small.onDisk, memoryBudget)
	}
}

// TestHeapBeyondMemory: when what cannot leave memory is more than the server may have, the query that holds most of it goes out of
// service and says why; the others go on.
func TestHeapBeyondMemory(t *testing.T) {
	const budget = 8 << 20
	var heap, looks atomic.Int64
	db, err := Open(Options{Disk: NewDisk(), Clock: NewClock(time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)), Workers: 2, CostsEvery: time.Millisecond,
		Memory: budget, StateDir: t.TempDir(), MemoryUse: func(func() int64) (int64, int64) {
			looks.Add(1)
			return budget / 2, heap.Load()
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	mustExec(t, db, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k TEXT, WATERMARK FOR ts AS ts)")
	mustExec(t, db, "CREATE CONTINUOUS QUERY much AS SELECT k, count(*) AS n FROM s GROUP BY k, HOP(ts, INTERVAL '1 minute', INTERVAL '20 minutes') HAVING count(*) > 0 EMIT FIRST")
	mustExec(t, db, "CREATE CONTINUOUS QUERY little AS SELECT count(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1 day')")
	mustExec(t, db, "INSERT INTO s SELECT '2026-03-01 00:00:00Z', repeat('x', 200) || n FROM generate_series(1, 10000) AS n")
	mustExec(t, db, "INSERT INTO s VALUES ('2026-03-01 00:01:00Z', 'later'), ('2026-03-01 00:02:00Z', 'later')")
	states := func() map[string]string {
		out := map[string]string{}
		for _, row := range mustRows(t, db, "SELECT name, state, coalesce(reason, '') FROM vigil.queries") {
			out[row[0]] = row[1] + " " + row[2]
		}
		return out
	}
	heap.Store(budget / 2) // three quarters may be in use
	const enough = 60      // looks, of which some are at the heap
	for from := looks.Load(); looks.Load() < from+enough; {
		mustExec(t, db, "INSERT INTO s VALUES ('2026-03-01 00:02:00Z', 'one more')")
	}
	for name, state := range states() {
		if state != job.StateRunning+" " {
			t.Errorf("%s is %s while there is memory", name, state)
		}
	}
	heap.Store(budget * 9 / 10)
	for strings.HasPrefix(states()["much"], job.StateRunning) {
		mustExec(t, db, "INSERT INTO s VALUES ('2026-03-01 00:02:00Z', 'one more')")
	}
	heap.Store(0)
	if now := states(); !strings.HasPrefix(now["much"], job.StateDeactivated+" memory of the server: ") || now["little"] != job.StateRunning+" " {
		t.Errorf("%v", now)
	}
	mustExec(t, db, "INSERT INTO s VALUES ('2026-03-03 00:00:00Z', 'end')")
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	want := mustRows(t, db, "SELECT count(*) FROM s WHERE ts < '2026-03-02 00:00:00Z'")
	if got := mustRows(t, db, "SELECT n FROM little"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the other query gives %v, not %v", got, want)
	}
}
