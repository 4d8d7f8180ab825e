package inproc

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/udf"
	"github.com/vigil-sql/vigil/udf/worker"
)

// TestMain lets the test binary be the JavaScript worker too, as the server's binary is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "udf-worker" {
		os.Exit(worker.Main())
	}
	os.Exit(m.Run())
}

// scriptAggregates are sum, but for rows that fail after they changed the state, and string_agg with a comma.
var scriptAggregates = []string{
	`CREATE AGGREGATE jsum(v BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
		function init() { return { sum: null, seen: [] } }
		function accumulate(st, v) { if (v === null) return; st.sum = (st.sum ?? 0n) + v; st.seen = [v]; if (v % 13n === 0n) throw new Error('unlucky') }
		function merge(a, b) { return { sum: a.sum === null ? b.sum : b.sum === null ? a.sum : a.sum + b.sum, seen: b.seen } }
		function finish(st) { return st.sum } $$`,
	`CREATE AGGREGATE jlist(v TEXT) RETURNS TEXT LANGUAGE javascript AS $$
		function init() { return [] }
		function accumulate(st, v) { if (v !== null) st.push(v) }
		function merge(a, b) { a.push(...b); return a }
		function finish(st) { return st.length > 0 ? st.join(',') : null } $$`,
}

const (
	scriptPairs = "jsum(n) AS js, sum(n) FILTER (WHERE n % 13 <> 0) AS s, jlist(t) AS jl, string_agg(t, ',') AS l, count(*) AS c"
	// same is true of a row whose aggregates in JavaScript are those built in.
	same = "js IS NOT DISTINCT FROM s AND jl IS NOT DISTINCT FROM l"
)

// scriptQueries have each aggregate beside the one that is built in.
var scriptQueries = map[string]string{
	"tumble":    "SELECT window_start, k, " + scriptPairs + " FROM s GROUP BY k, TUMBLE(ts, INTERVAL '10 seconds')",
	"updates":   "SELECT window_start, k, " + scriptPairs + " FROM s GROUP BY k, TUMBLE(ts, INTERVAL '10 seconds') EMIT ON UPDATE",
	"hops":      "SELECT window_start, k, " + scriptPairs + " FROM s GROUP BY k, HOP(ts, INTERVAL '5 seconds', INTERVAL '20 seconds')",
	"cumulates": "SELECT window_start, window_end, k, " + scriptPairs + " FROM s GROUP BY k, CUMULATE(ts, INTERVAL '5 seconds', INTERVAL '20 seconds')",
	"sessions":  "SELECT window_start, window_end, k, " + scriptPairs + " FROM s GROUP BY k, SESSION(ts, INTERVAL '1 second')",
	"counted":   "SELECT k, " + scriptPairs + " FROM s GROUP BY k, COUNT_WINDOW(3)",
	"total":     "SELECT k, " + scriptPairs + " FROM s GROUP BY k",
}

// scriptDB opens a database with a pool of JavaScript workers of its own; end closes both.
func scriptDB(t *testing.T, o Options) (db *DB, end func()) {
	t.Helper()
	p := udf.NewPool(udf.Options{Workers: 1, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	o.UDF = p
	db = costsDB(t, o)
	return db, func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		p.Close()
	}
}

// scriptRows are rows about a time, of which some come so late that windows have closed, and some too late.
func scriptRows(rnd *rand.Rand, at time.Time, n int) []byte {
	var b bytes.Buffer
	for range n {
		late := time.Duration(rnd.Intn(8000))
		if rnd.Intn(4) == 0 {
			late = time.Duration(rnd.Intn(40_000))
		}
		number, text := fmt.Sprint(rnd.Intn(100)), fmt.Sprintf(`"x%d"`, rnd.Intn(1000))
		if rnd.Intn(10) == 0 {
			number = "null"
		}
		if rnd.Intn(10) == 0 {
			text = "null"
		}
		fmt.Fprintf(&b, `{"ts":%q,"k":"k%d","n":%s,"t":%s}`+"\n", at.Add(-late*time.Millisecond).Format(time.RFC3339Nano), rnd.Intn(5), number, text)
	}
	return b.Bytes()
}

// TestScriptAggregates: aggregates in JavaScript come to what the same built in come to, row by row, in every kind of window, with late rows and
// rows that fail; and where the server stops or loses power after each portion of rows, to what they come to in one that does not.
func TestScriptAggregates(t *testing.T) {
	for _, every := range []time.Duration{-1, time.Nanosecond} {
		t.Run(fmt.Sprint("checkpoints ", every), func(t *testing.T) { testScriptAggregates(t, every) })
	}
}

func testScriptAggregates(t *testing.T, every time.Duration) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := NewClock(start)
	steady, end := scriptDB(t, Options{Workers: 1, Clock: clock})
	defer func() { end() }()
	o := Options{Disk: NewDisk(), Clock: clock, Workers: 2, CheckpointEvery: every}
	db, endOther := scriptDB(t, o)
	defer func() { endOther() }()
	for _, d := range []*DB{steady, db} {
		mustExec(t, d, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k TEXT, n BIGINT, t TEXT, WATERMARK FOR ts AS ts - INTERVAL '5 seconds') WITH (allowed_lateness = '12 seconds')")
		mustExec(t, d, scriptAggregates...)
		for name, sql := range scriptQueries {
			mustExec(t, d, "CREATE CONTINUOUS QUERY "+name+" AS "+sql)
		}
	}
	rnd, rerun := Random(7), int64(0)
	for step := range 12 {
		clock.Step(7 * time.Second)
		rows := scriptRows(rnd, start.Add(time.Duration(step)*7*time.Second), 40)
		for _, d := range []*DB{steady, db} {
			if rejected, err := d.Append("s", rows); err != nil || rejected > 0 {
				t.Fatal(rejected, err)
			}
			settle(t, d)
		}
		sameScripts(t, fmt.Sprint("step ", step), db, steady)
		if step%3 == 2 {
			endOther() // with a checkpoint
		} else {
			crashed := o.Disk.Crash(nil)
			endOther()
			o.Disk = crashed
		}
		o.Workers = 1 + step%3
		db, endOther = scriptDB(t, o)
		rerun += db.Rerun
		sameScripts(t, fmt.Sprint("started after step ", step), db, steady)
	}
	late := steady.Late("tumble")
	scriptsAsBuiltIn(t, steady, 20)
	corrected, united := changesOf(t, steady, "tumble", job.OpUpdateAfter), changesOf(t, steady, "sessions", job.OpDelete)
	t.Logf("%d epochs ran again, %d rows were late, %d windows were corrected, %d sessions became part of another", rerun, late, corrected, united)
	if late == 0 || corrected == 0 || united == 0 || every < 0 && rerun == 0 {
		t.Error("no rows too late, none that corrected or united, or no epochs that ran again")
	}
	expect(t, steady, "SELECT count(*) > 10, bool_and(code = '38000' AND reason = 'Error: unlucky') FROM vigil.rejected", "t t")
}

// changesOf is how many changes of a kind a query made.
func changesOf(t *testing.T, db *DB, query string, op byte) (n int) {
	t.Helper()
	for _, c := range changelog(t, db, query) {
		if c.Op == op {
			n++
		}
	}
	return n
}

func sameScripts(t *testing.T, what string, got, want *DB) {
	t.Helper()
	for name := range scriptQueries {
		g, w := sorted(changelog(t, got, name)), sorted(changelog(t, want, name))
		if !slices.Equal(g, w) {
			in := func(list []Change) func(Change) bool {
				return func(c Change) bool { return slices.Contains(list, c) }
			}
			t.Fatalf("%s: %s has %d changes of %d\n beside %v\nwithout %v\n%s", what, name, len(g), len(w), slices.DeleteFunc(slices.Clone(g), in(w)),
				slices.DeleteFunc(slices.Clone(w), in(g)), flat(t, got, "SELECT name, state, reason FROM vigil.queries WHERE state <> 'running'"))
		}
	}
}

// scriptsAsBuiltIn compares the pairs of each query, of which there are some.
func scriptsAsBuiltIn(t *testing.T, db *DB, least int) {
	t.Helper()
	for name := range scriptQueries {
		got := mustRows(t, db, "SELECT count(*) >= "+fmt.Sprint(least)+", bool_and("+same+") FROM "+name)[0]
		if name == "total" {
			got[0] = "t" // one row a key
		}
		if got[0] != "t" || got[1] != "t" {
			t.Errorf("%s: %v %v", name, got, mustRows(t, db, "SELECT * FROM "+name+" WHERE NOT ("+same+") LIMIT 3"))
		}
	}
}

// TestScriptStateBeyondMemory: states of aggregates in JavaScript that move to the disk and back, over a restart, are what those built in are.
func TestScriptStateBeyondMemory(t *testing.T) {
	const keys = 6000
	o := Options{Disk: NewDisk(), Clock: NewClock(time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)), Workers: 2, Memory: 1 << 20, StateDir: t.TempDir(),
		MemoryUse: func(state func() int64) (int64, int64) { return state(), 0 }}
	db, end := scriptDB(t, o)
	defer func() { end() }()
	mustExec(t, db, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k TEXT, n BIGINT, t TEXT, WATERMARK FOR ts AS ts)")
	mustExec(t, db, scriptAggregates...)
	mustExec(t, db, "CREATE CONTINUOUS QUERY q AS SELECT k, "+scriptPairs+" FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day')")
	onDisk := int64(0)
	send := func(step int) {
		for from := 0; from < keys; from += 500 * step {
			var b bytes.Buffer
			for i := from; i < min(from+500*step, keys); i += step {
				fmt.Fprintf(&b, `{"ts":"2026-03-01T0%d:00:00Z","k":"%0100d","n":%d,"t":"%0100d"}`+"\n", step, i, i%100, i+step)
			}
			if rejected, err := db.Append("s", b.Bytes()); err != nil || rejected > 0 {
				t.Fatal(rejected, err)
			}
			onDisk = max(onDisk, db.Engine().Memory().OnDisk)
		}
		settle(t, db)
	}
	send(1)
	end() // with a checkpoint
	db, end = scriptDB(t, o)
	send(3)
	if rejected, err := db.Append("s", []byte(`{"ts":"2026-03-05T00:00:00Z","k":"end","n":1}`+"\n")); err != nil || rejected > 0 {
		t.Fatal(rejected, err)
	}
	settle(t, db)
	expect(t, db, "SELECT count(*), sum(c), bool_and("+same+") FROM q", fmt.Sprintf("%d %d t", keys, keys+keys/3))
	if onDisk < 1<<20 {
		t.Errorf("only %d bytes of state were on disk", onDisk)
	}
}
