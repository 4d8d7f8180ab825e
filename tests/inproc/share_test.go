package inproc

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var shareSeeds = flag.Uint64("share-seeds", 6, "how many scripts TestSharedWindows plays")

// shareShape is what queries have in common that may share state, without the filter.
type shareShape struct{ window, emit, with string }

// bounds are the columns that tell of the window.
func (s shareShape) bounds() string {
	if s.window == "" {
		return ""
	}
	return "window_start, "
}

// groupBy is the text after GROUP BY.
func (s shareShape) groupBy() string {
	if s.window == "" {
		return "k"
	}
	return "k, " + s.window
}

// risky are aggregates that fail on some rows, often on the same ones as those of others of the shape.
func (s shareShape) risky(rng *rand.Rand) []string {
	divided := []string{"sum(60 / n)", "max(60 / n)", "count(60 / n)"}[rng.IntN(3)]
	beyond := []string{"min(m * 30000000)", "count(*) FILTER (WHERE m * 30000000 > 5)"}[rng.IntN(2)]
	switch rng.IntN(8) {
	case 0, 1:
		return []string{divided}
	case 2:
		return []string{divided, beyond}
	case 3:
		return []string{beyond, divided}
	case 4:
		return []string{"sum(n + 1)"} // may fail, and does not
	}
	return nil
}

// shareShapes are all kinds of windows, and none, and when they emit.
func shareShapes() (all []shareShape) {
	for range 3 { // as likely as one kind of window
		for _, emit := range []string{"", " EMIT EVERY INTERVAL '7 seconds'", " EMIT FIRST"} {
			all = append(all, shareShape{emit: emit})
		}
	}
	for _, w := range []string{"SESSION(ts, INTERVAL '3 seconds')", "SESSION(ts, INTERVAL '4 seconds', max INTERVAL '15 seconds')", "SLIDE(ts, INTERVAL '8 seconds')"} {
		for _, emit := range []string{"", " EMIT ON UPDATE", " EMIT FIRST"} {
			for _, with := range []string{"", " WITH (allowed_lateness = '12 seconds')"} {
				all = append(all, shareShape{w, emit, with})
			}
		}
	}
	for range 2 {
		all = append(all, shareShape{window: "COUNT_WINDOW(3, 1)"}, shareShape{window: "COUNT_WINDOW(4)"})
	}
	for _, w := range []string{"TUMBLE(ts, INTERVAL '10 seconds')", "TUMBLE(ts, INTERVAL '25 seconds')",
		"HOP(ts, INTERVAL '5 seconds', INTERVAL '20 seconds')", "HOP(ts, INTERVAL '4 seconds', INTERVAL '10 seconds')",
		"HOP(ts, INTERVAL '9 seconds', INTERVAL '6 seconds')", "CUMULATE(ts, INTERVAL '5 seconds', INTERVAL '20 seconds')"} {
		for _, emit := range []string{"", " EMIT ON UPDATE", " EMIT EVERY INTERVAL '7 seconds'", " EMIT FIRST"} {
			for _, with := range []string{"", " WITH (allowed_lateness = '12 seconds')"} {
				all = append(all, shareShape{w, emit, with})
			}
		}
	}
	return all
}

// shareQuery is the text of a query that may share windows with others: of few filters, keys and windows there are many results.
func shareQuery(rng *rand.Rand, name string, of shareShape) string {
	aggs := []string{"count(*)", "sum(n)", "min(n)", "max(n)", "count(n)", "sum(m)", "sum(f)", "count(DISTINCT n)", "count(*) FILTER (WHERE n > 2)",
		"sum(m) FILTER (WHERE u = 'a')", "sum(CASE WHEN n > 3 THEN m ELSE n END)", "sum(DISTINCT m)", "avg(n)", "max(u)"}
	if rng.IntN(5) > 0 {
		aggs = aggs[:13] // the last one does not share
	}
	rng.Shuffle(len(aggs), func(i, j int) { aggs[i], aggs[j] = aggs[j], aggs[i] })
	aggs = append(aggs[:1+rng.IntN(4)], of.risky(rng)...)
	body := "SELECT " + of.bounds() + "k"
	for i, a := range aggs {
		body += fmt.Sprintf(", %s AS a%d", a, i)
	}
	body += " FROM s" + []string{"", " WHERE n > 1", " WHERE n > 1 AND u LIKE 'a%'"}[rng.IntN(3)]
	body += " GROUP BY " + of.groupBy()
	switch rng.IntN(16) {
	case 0, 3, 4, 5:
		body += fmt.Sprintf(" HAVING count(*) > %d", rng.IntN(3))
	case 1, 6, 7, 8:
		body += fmt.Sprintf(" HAVING sum(n) > %d AND k <> 'b'", rng.IntN(6))
	case 2:
		body += " HAVING 6 / (max(n) - 3) > 0" // breaks the query
	}
	return "CREATE OR REPLACE CONTINUOUS QUERY " + name + of.with + " AS " + body + of.emit
}

// shareScript is statements, one a line of time, and restarts and crashes.
func shareScript(rng *rand.Rand) (script []string) {
	at := time.Date(2025, 12, 31, 10, 0, 0, 0, time.UTC)
	all := shareShapes()
	shapes := []shareShape{all[rng.IntN(len(all))], all[rng.IntN(len(all))], {window: all[rng.IntN(len(all))].window}, all[rng.IntN(31)]}
	alive, paused := map[string]bool{}, map[string]bool{}
	pick := func(of map[string]bool) string {
		names := []string{}
		for name := range of {
			names = append(names, name)
		}
		if slices.Sort(names); len(names) == 0 {
			return ""
		}
		return names[rng.IntN(len(names))]
	}
	for i := range 400 {
		name := fmt.Sprint("q", rng.IntN(40))
		switch what := rng.IntN(24); {
		case what < 4 && !paused[name]:
			shape := shapes[rng.IntN(len(shapes))]
			for range 1 + rng.IntN(4) { // with no row between them
				if paused[name] {
					break
				}
				script = append(script, shareQuery(rng, name, shape))
				alive[name] = true
				name = fmt.Sprint("q", rng.IntN(40))
			}
		case what == 4 && len(alive) > 0:
			name = pick(alive)
			script = append(script, "DROP CONTINUOUS QUERY "+name)
			delete(alive, name)
		case what == 5 && len(alive) > 0:
			name = pick(alive)
			script = append(script, "PAUSE CONTINUOUS QUERY "+name)
			delete(alive, name)
			paused[name] = true
		case what == 6 && len(paused) > 0:
			name = pick(paused)
			script = append(script, "RESUME CONTINUOUS QUERY "+name)
			delete(paused, name)
			alive[name] = true
		case what == 7 && i%3 == 0:
			script = append(script, []string{"restart", "crash", "restart", "crash", "more workers", "fewer workers"}[rng.IntN(6)])
		case what == 8 && i%2 == 0 && len(alive) > 0:
			// It leaves those that it shares with, with all that it holds there.
			script = append(script, "ALTER CONTINUOUS QUERY "+pick(alive)+" SET (max_keys = 1000000, on_limit = throttle)")
		}
		at = at.Add(time.Duration(rng.IntN(4)) * time.Second)
		rows := []string{}
		for range 1 + rng.IntN(6) {
			back := time.Duration(rng.IntN(4)) * time.Second
			if rng.IntN(20) == 0 {
				back *= 12
			}
			rows = append(rows, fmt.Sprintf("('%s', '%c', '%c', %d, %d, %d.1e%d)", at.Add(-back).Format(time.RFC3339), 'a'+rune(rng.IntN(3)), 'a'+rune(rng.IntN(2)),
				rng.IntN(6), rng.IntN(100), rng.IntN(1000), 305*(1-min(rng.IntN(12), 1)))) // sums of f overflow now and then
		}
		script = append(script, "INSERT INTO s VALUES "+strings.Join(rows, ", "))
	}
	return script
}

// shareRun plays a script; it returns the changelogs of the queries that are there in the end, and what was late for
// each, after the errors of statements.
func shareRun(t *testing.T, script []string, o Options) (logs map[string][]Change, late []string) {
	t.Helper()
	o.Disk, o.Clock = NewDisk(), NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	var db *DB
	open := func() {
		var err error
		if db, err = Open(o); err != nil {
			t.Fatal(err)
		}
	}
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(what, err)
		}
	}
	open()
	must("stream", db.Exec("CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, u TEXT, n BIGINT, m INT, f FLOAT8, WATERMARK FOR ts AS ts - INTERVAL '3 seconds')"))
	for _, sql := range script {
		switch sql {
		case "more workers", "fewer workers", "restart":
			switch sql {
			case "more workers":
				o.Workers++
			case "fewer workers":
				o.Workers = max(1, o.Workers-1)
			}
			must("close", db.Close())
			open()
		case "crash":
			disk, dead := o.Disk.Crash(nil), db
			o.Disk = disk
			open()
			must("close", dead.Close())
		default:
			if err := db.Exec(sql); err != nil { // a query that broke is not there for what comes next
				late = append(late, fmt.Sprint(sql, ": ", err))
			}
			must("settle", db.Settle())
		}
	}
	must("pass", db.Pass(time.Hour))
	logs = map[string][]Change{}
	for i := range 40 {
		name := fmt.Sprint("q", i)
		if log, err := db.Changelog(name); err == nil {
			logs[name] = log
		}
	}
	rows, err := db.Rows(`SELECT late_query, ts, k, u, n, m, late_watermark FROM "s$late" ORDER BY 1, 2, 3, 4, 5, 6, 7`)
	must("late rows", err)
	for _, row := range rows {
		late = append(late, strings.Join(row, "|"))
	}
	rows, err = db.Rows("SELECT stream, query, code, reason, raw FROM vigil.rejected ORDER BY 2, 3, 4, 5")
	must("rejected rows", err)
	for _, row := range rows {
		late = append(late, "rejected "+strings.Join(row, "|"))
	}
	must("close", db.Close())
	return logs, late
}

// TestSharedWindows: what queries give that share windows is what they give when each keeps its own, whenever they come, go, pause
// and resume, or leave the others for a limit of their state, over restarts and crashes, for any number of workers.
func TestSharedWindows(t *testing.T) {
	rows, lates, rejected := 0, 0, 0
	for seed := range *shareSeeds {
		rng := rand.New(rand.NewPCG(seed, 9))
		script := shareScript(rng)
		o := Options{Workers: 1 + rng.IntN(3), EpochMin: time.Millisecond, CheckpointEvery: []time.Duration{-1, time.Nanosecond}[rng.IntN(2)]}
		got, late := shareRun(t, script, o)
		o.Alone = true
		want, wantLate := shareRun(t, script, o)
		for name, log := range want {
			rows += len(log)
			if !slices.Equal(got[name], log) {
				t.Errorf("seed %d: %s\nshared: %v\nalone:  %v", seed, name, got[name], log)
			}
		}
		if lates += len(late); !slices.Equal(late, wantLate) {
			t.Errorf("seed %d: late and rejected rows\n%s", seed, firstUnlike(late, wantLate))
		}
		for _, line := range late {
			if strings.HasPrefix(line, "rejected") {
				rejected++
			}
		}
		if t.Failed() {
			return
		}
	}
	if lates -= rejected; rows < 5000 || lates < 200 || rejected < 1000 {
		t.Errorf("the scripts are too tame: %d rows, %d late, %d rejected", rows, lates, rejected)
	}
}

// TestTablesOfOneName: tables of two schemas that share a name are not the same one, and queries that ask them do not share.
func TestTablesOfOneName(t *testing.T) {
	db := costsDB(t, Options{Workers: 1})
	defer db.Close()
	mustExec(t, db, "CREATE SCHEMA other", "CREATE TABLE list (u TEXT)", "CREATE TABLE other.list (u TEXT)", "INSERT INTO list VALUES ('a')",
		"CREATE STREAM s (ts TIMESTAMPTZ, u TEXT, WATERMARK FOR ts AS ts)")
	for _, name := range []string{"list", "other.list"} {
		mustExec(t, db, fmt.Sprintf(`CREATE CONTINUOUS QUERY of_%s AS SELECT u, count(*) FILTER (WHERE u IN (SELECT u FROM %s)) AS n FROM s
			GROUP BY u, TUMBLE(ts, INTERVAL '1 second')`, strings.ReplaceAll(name, ".", "_"), name))
	}
	for _, line := range []string{`{"ts":"2026-01-01T00:00:00Z","u":"a"}`, `{"ts":"2026-01-01T00:00:09Z","u":"x"}`} {
		if rejected, err := db.Append("s", []byte(line)); err != nil || rejected != 0 {
			t.Fatal(rejected, err)
		}
	}
	settle(t, db)
	expect(t, db, "SELECT n FROM of_list", "1")
	expect(t, db, "SELECT n FROM of_other_list", "0")
}

// TestMemberWithColumnLeaves: when the only one of queries with the same session, sliding or count window goes that reads a column, the
// others go on without it.
func TestMemberWithColumnLeaves(t *testing.T) {
	for _, window := range []string{"SESSION(ts, INTERVAL '3 seconds')", "SLIDE(ts, INTERVAL '3 seconds')", "COUNT_WINDOW(1)"} {
		db := costsDB(t, Options{Workers: 1})
		mustExec(t, db, "CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, f FLOAT8, WATERMARK FOR ts AS ts)",
			"CREATE CONTINUOUS QUERY reads AS SELECT k, sum(f) AS n FROM s GROUP BY k, "+window,
			"CREATE CONTINUOUS QUERY counts AS SELECT k, count(*) AS n FROM s GROUP BY k, "+window,
			"CREATE CONTINUOUS QUERY more AS SELECT k, count(*) AS n FROM s GROUP BY k, "+window)
		for i, line := range []string{`{"ts":"2026-01-01T00:00:00Z","k":"a","f":1}`, `{"ts":"2026-01-01T00:00:10Z","k":"a","f":1}`, `{"ts":"2026-01-01T00:00:20Z","k":"a","f":1}`} {
			if rejected, err := db.Append("s", []byte(line)); err != nil || rejected != 0 {
				t.Fatal(rejected, err)
			}
			if settle(t, db); i == 0 {
				mustExec(t, db, "DROP CONTINUOUS QUERY reads")
			}
		}
		expect(t, db, "SELECT name, state FROM vigil.queries ORDER BY name", "counts running, more running")
		expect(t, db, "SELECT count(*) >= 2, max(n) FROM counts", "t 1")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// firstUnlike tells where two lists part.
func firstUnlike(shared, alone []string) string {
	at := 0
	for at < min(len(shared), len(alone)) && shared[at] == alone[at] {
		at++
	}
	return fmt.Sprintf("after %d alike, shared: %q\nalone: %q", at, shared[at:min(at+3, len(shared))], alone[at:min(at+3, len(alone))])
}

// TestLikeAnyOfEitherCase: conditions that differ in how they compare text are not the same ones, and queries with one and with the other do
// not share.
func TestLikeAnyOfEitherCase(t *testing.T) {
	db := costsDB(t, Options{Workers: 1})
	defer db.Close()
	mustExec(t, db, "CREATE STREAM s (ts TIMESTAMPTZ, u TEXT, tags TEXT[], WATERMARK FOR ts AS ts)",
		"CREATE CONTINUOUS QUERY exact AS SELECT u, count(*) AS n FROM s WHERE u LIKE ANY (tags) GROUP BY u, TUMBLE(ts, INTERVAL '1 second')",
		"CREATE CONTINUOUS QUERY either AS SELECT u, count(*) AS n FROM s WHERE u ILIKE ANY (tags) GROUP BY u, TUMBLE(ts, INTERVAL '1 second')")
	for _, line := range []string{`{"ts":"2026-01-01T00:00:00Z","u":"abc","tags":["A%"]}`, `{"ts":"2026-01-01T00:00:09Z","u":"x","tags":[]}`} {
		if rejected, err := db.Append("s", []byte(line)); err != nil || rejected != 0 {
			t.Fatal(rejected, err)
		}
	}
	settle(t, db)
	expect(t, db, "SELECT count(*) FROM exact", "0")
	expect(t, db, "SELECT u, n FROM either", "abc 1")
}

// TestReaderComesAgain: the only reader of a result goes, and another comes; it has the rows that come from then on.
func TestReaderComesAgain(t *testing.T) {
	db := costsDB(t, Options{Workers: 1})
	defer db.Close()
	mustExec(t, db, "CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, WATERMARK FOR ts AS ts)",
		"CREATE CONTINUOUS QUERY lower AS SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 second')")
	second := 0
	row := func() {
		t.Helper()
		line := fmt.Sprintf(`{"ts":"2026-01-01T00:00:%02dZ","k":"a"}`, second)
		if rejected, err := db.Append("s", []byte(line)); err != nil || rejected != 0 {
			t.Fatal(rejected, err)
		}
		settle(t, db)
		second++
	}
	for i := range 3 {
		mustExec(t, db, fmt.Sprintf("CREATE CONTINUOUS QUERY upper%d AS SELECT k, n FROM lower WHERE n >= %d", i, i-5))
		row()
		row()
		expect(t, db, fmt.Sprintf("SELECT count(*) > 0 FROM upper%d", i), "t")
		mustExec(t, db, fmt.Sprintf("DROP CONTINUOUS QUERY upper%d", i))
	}
}
