package inproc

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// lines makes n events of the stream log.
func lines(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"ts":"2026-03-01T12:00:00Z","n":%d,"line":"abcd-%d-bcdabcdx"}`+"\n", i, i)
	}
	return []byte(b.String())
}

const logStream = "CREATE STREAM log (ts TIMESTAMPTZ NOT NULL, n BIGINT, line TEXT, WATERMARK FOR ts AS ts)"

func mustAppend(t *testing.T, db *DB, n int) {
	t.Helper()
	if rejected, err := db.Append("log", lines(n)); err != nil || rejected != 0 {
		t.Fatal(rejected, err)
	}
	settle(t, db)
}

// settle waits until the epochs that came of it are on disk, looked at, and what that decided too.
func settle(t *testing.T, db *DB) {
	t.Helper()
	for range 4 {
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
	}
}

func expect(t *testing.T, db *DB, sql, want string) {
	t.Helper()
	var got []string
	for _, r := range mustRows(t, db, sql) {
		got = append(got, strings.Join(r, " "))
	}
	if strings.Join(got, ", ") != want {
		t.Errorf("%s:\n got %s\nwant %s", sql, strings.Join(got, ", "), want)
	}
}

const (
	states = "SELECT name, state FROM vigil.queries ORDER BY name"
	whats  = "SELECT query, what FROM vigil.query_events WHERE what <> 'created' ORDER BY epoch"
	costly = "length(regexp_replace(repeat(line, 40), '(a|b|c|d)+x?', '-', 'g')) > 0"
)

// TestCPULimit: a query that costs more than it may goes out of service with a reason; the others, one of them with the same
// limit, go on; RESUME starts it again, and it is judged by what it costs from then on.
func TestCPULimit(t *testing.T) {
	db := costsDB(t, Options{Workers: 2})
	defer db.Close()
	mustExec(t, db, logStream,
		"CREATE CONTINUOUS QUERY costly WITH (cpu_ms_per_s = 2) AS SELECT n FROM log WHERE n >= 0 AND "+costly,
		"CREATE CONTINUOUS QUERY cheap WITH (cpu_ms_per_s = 1000) AS SELECT n FROM log WHERE n % 2 = 0",
		"CREATE CONTINUOUS QUERY free AS SELECT n FROM log WHERE n % 2 = 1")
	mustAppend(t, db, 1) // a burst below ten seconds' worth harms nobody
	expect(t, db, states, "cheap running, costly running, free running")
	mustAppend(t, db, 2000)
	expect(t, db, states, "cheap running, costly deactivated, free running")
	rows := mustRows(t, db, "SELECT reason FROM vigil.queries WHERE name = 'costly'")
	if r := rows[0][0]; !strings.HasPrefix(r, "cpu_ms_per_s: the query used ") || !strings.HasSuffix(r, "its limit is 2 ms per second") {
		t.Error(r)
	}
	expect(t, db, whats, "costly deactivated")
	expect(t, db, "SELECT code FROM vigil.query_events WHERE what = 'deactivated'", "53400")
	mustAppend(t, db, 1000)
	expect(t, db, "SELECT (SELECT count(*) FROM cheap), (SELECT count(*) FROM free)", "1501 1500")
	// The rows of the epoch that was judged stand: what it made was right.
	expect(t, db, "SELECT count(*) FROM costly", "2001")
	mustExec(t, db, "RESUME CONTINUOUS QUERY costly")
	mustAppend(t, db, 1)
	expect(t, db, states, "cheap running, costly running, free running")
	expect(t, db, "SELECT count(*) FROM costly", "2002")
	mustAppend(t, db, 2000)
	expect(t, db, states, "cheap running, costly deactivated, free running")
	// What a query has cost is its own when it is gone, and nobody else's.
	expect(t, db, "SELECT cpu_ms > 20, cpu_ms_per_s > 0, cpu_share > 0, keys, state_bytes FROM vigil.query_costs WHERE name = 'costly'", "t t t 0 0")
	expect(t, db, "SELECT round(sum(cpu_share)::numeric, 6) FROM vigil.query_costs", "1.000000")
	for range 10 {
		mustAppend(t, db, 1)
	}
	expect(t, db, "SELECT cpu_ms > 20, cpu_ms_per_s, cpu_share FROM vigil.query_costs WHERE name = 'costly'", "t 0 0")
}

// TestCPUThrottle: a throttled query is out of service for as long as what it used is worth at its limit, by the engine's clock, also
// over a restart; both ends of that are recorded. PAUSE keeps it from going on, RESUME does not wait.
func TestCPUThrottle(t *testing.T) {
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db := costsDB(t, Options{Disk: disk, Clock: clock, Workers: 2})
	mustExec(t, db, logStream,
		"CREATE CONTINUOUS QUERY costly WITH (cpu_ms_per_s = 2, on_limit = 'throttle') AS SELECT n, count(*) FROM log WHERE n >= 0 AND "+costly+
			" GROUP BY n, COUNT_WINDOW(1, 1)", "CREATE CONTINUOUS QUERY reader AS SELECT count(*) FROM costly", "CREATE CONTINUOUS QUERY free AS SELECT n FROM log")
	mustAppend(t, db, 2000)
	expect(t, db, states, "costly throttled, free running, reader running")
	reason := mustRows(t, db, "SELECT reason FROM vigil.queries WHERE name = 'costly'")[0][0]
	if !strings.Contains(reason, "its limit is 2 ms per second; it goes on at 2026-03-01 12:") {
		t.Error(reason)
	}
	mustAppend(t, db, 10)
	expect(t, db, "SELECT (SELECT count(*) FROM costly), (SELECT count(*) FROM free)", "2000 2010")
	if err := db.Pass(9 * time.Second); err != nil {
		t.Fatal(err)
	}
	expect(t, db, states, "costly throttled, free running, reader running")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = costsDB(t, Options{Disk: disk.Crash(nil), Clock: clock, Workers: 1})
	defer db.Close()
	expect(t, db, states, "costly throttled, free running, reader running")
	expect(t, db, "SELECT reason FROM vigil.queries WHERE name = 'costly'", reason)
	if err := db.Pass(time.Hour); err != nil {
		t.Fatal(err)
	}
	expect(t, db, states, "costly running, free running, reader running")
	expect(t, db, "SELECT reason IS NULL FROM vigil.queries WHERE name = 'costly'", "t")
	expect(t, db, whats, "costly throttled, costly resumed")
	mustAppend(t, db, 1)
	expect(t, db, "SELECT (SELECT count(*) FROM costly), (SELECT count FROM reader)", "2001 2001")
	mustAppend(t, db, 2000)
	expect(t, db, states, "costly throttled, free running, reader running")
	mustExec(t, db, "PAUSE CONTINUOUS QUERY costly")
	if err := db.Pass(10 * time.Hour); err != nil {
		t.Fatal(err)
	}
	expect(t, db, states, "costly paused, free running, reader running")
	mustExec(t, db, "RESUME CONTINUOUS QUERY costly")
	mustAppend(t, db, 2000)
	expect(t, db, states, "costly throttled, free running, reader running")
	mustExec(t, db, "ALTER CONTINUOUS QUERY costly SET (cpu_ms_per_s = none)", "RESUME CONTINUOUS QUERY costly")
	mustAppend(t, db, 2000)
	expect(t, db, states, "costly running, free running, reader running")
}

// TestAlterWhileThrottled: a query that goes on by itself does so with the limits that were set meanwhile.
func TestAlterWhileThrottled(t *testing.T) {
	db := costsDB(t, Options{Workers: 2})
	defer db.Close()
	mustExec(t, db, logStream,
		"CREATE CONTINUOUS QUERY costly WITH (cpu_ms_per_s = 2, on_limit = 'throttle') AS SELECT n FROM log WHERE n >= 0 AND "+costly)
	mustAppend(t, db, 2000)
	expect(t, db, states, "costly throttled")
	mustExec(t, db, "ALTER CONTINUOUS QUERY costly SET (cpu_ms_per_s = none)")
	expect(t, db, states, "costly throttled")
	if err := db.Pass(time.Hour); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, 2000)
	expect(t, db, states, "costly running")
	expect(t, db, whats, "costly throttled, costly resumed")
	mustExec(t, db, "ALTER CONTINUOUS QUERY costly SET (cpu_ms_per_s = 2)")
	mustAppend(t, db, 2000) // what it has used before may be forgotten, if many epochs have passed
	expect(t, db, states, "costly throttled")
	for range 2 {
		if err := db.Pass(time.Hour); err != nil { // and with those that were set before
			t.Fatal(err)
		}
		mustAppend(t, db, 2000)
		expect(t, db, states, "costly throttled")
	}
	if err := db.Pass(time.Hour); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "ALTER CONTINUOUS QUERY costly RENAME TO dear")
	mustAppend(t, db, 2000)
	expect(t, db, states, "dear throttled")
	mustExec(t, db, "DROP CONTINUOUS QUERY dear")
	if err := db.Pass(10 * time.Hour); err != nil {
		t.Fatal(err)
	}
	expect(t, db, states, "")
	expect(t, db, whats, strings.Repeat("costly throttled, costly resumed, ", 4)+"dear throttled, dear dropped")
}

// TestRowsThrottle: rows beyond the limit are counted and not published until the minute of the engine's clock is over; a restart
// within the minute changes nothing; the beginning and the end of it are events, however many minutes it takes.
func TestRowsThrottle(t *testing.T) {
	rowsThrottle(t, 0)
	rowsThrottle(t, 1) // results are set aside and written ahead of the commit
}

func rowsThrottle(t *testing.T, resultBytes int) {
	t.Helper()
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC))
	db := costsDB(t, Options{Disk: disk, Clock: clock, Workers: 2, ResultBytes: resultBytes})
	mustExec(t, db, logStream, "CREATE CONTINUOUS QUERY loud WITH (max_rows_per_min = 5, on_limit = throttle) AS SELECT n, count(*) FROM log GROUP BY n, COUNT_WINDOW(1, 1)",
		"CREATE CONTINUOUS QUERY reader AS SELECT n FROM loud WHERE n >= 0")
	out := func(db *DB, loud, reader string) {
		t.Helper()
		expect(t, db, "SELECT (SELECT count(*) FROM loud), (SELECT count(*) FROM reader)", loud+" "+reader)
	}
	mustAppend(t, db, 3)
	out(db, "3", "3")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	disk = disk.Crash(nil)
	db = costsDB(t, Options{Disk: disk, Clock: clock, Workers: 2, ResultBytes: resultBytes})
	defer db.Close()
	expect(t, db, whats, "")
	mustAppend(t, db, 4)
	out(db, "5", "5")
	mustAppend(t, db, 4)
	out(db, "5", "5")
	expect(t, db, "SELECT rows_withheld, rows_per_min FROM vigil.query_costs WHERE name = 'loud'", "6 2")
	if err := db.Pass(time.Minute); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, 20)
	out(db, "10", "10")
	expect(t, db, whats, "loud throttled")
	expect(t, db, "SELECT state, reason FROM vigil.queries WHERE name = 'loud'", "running max_rows_per_min: rows beyond 5 in a minute are not published")
	for range 2 {
		if err := db.Pass(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, db, whats, "loud throttled, loud unthrottled")
	expect(t, db, "SELECT reason FROM vigil.query_events WHERE what = 'unthrottled'", "max_rows_per_min: 21 rows were not published")
	expect(t, db, "SELECT reason IS NULL FROM vigil.queries WHERE name = 'loud'", "t")
	mustAppend(t, db, 5)
	out(db, "15", "15")
}

// TestStateLimits: a query that holds more than it may goes out of service, its stages counted; ALTER acts on what is held already;
// what a crash brings back is held to the limits too.
func TestStateLimits(t *testing.T) {
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db := costsDB(t, Options{Disk: disk, Clock: clock, Workers: 2})
	counts := "AS SELECT n, count(*) AS c FROM log GROUP BY n, TUMBLE(ts, INTERVAL '1 hour')"
	mustExec(t, db, logStream, "CREATE CONTINUOUS QUERY few WITH (max_keys = 50) "+counts, "CREATE CONTINUOUS QUERY many "+counts,
		"CREATE CONTINUOUS QUERY staged WITH (max_keys = 50) AS SELECT max(c) AS most FROM (SELECT n, line, count(*) AS c FROM log "+
			"GROUP BY n, line, TUMBLE(ts, INTERVAL '1 hour')) AS x GROUP BY n, TUMBLE(INTERVAL '1 day')")
	mustAppend(t, db, 50)
	expect(t, db, states, "few running, many running, staged running")
	mustAppend(t, db, 51)
	expect(t, db, states, "few deactivated, many running, staged deactivated")
	expect(t, db, "SELECT reason FROM vigil.queries WHERE name = 'few'", "max_keys: the query holds 51 keys, its limit is 50")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	disk = disk.Crash(nil)
	db = costsDB(t, Options{Disk: disk, Clock: clock, Workers: 1})
	defer db.Close()
	settle(t, db)
	expect(t, db, "SELECT name, state, keys FROM vigil.queries JOIN vigil.query_costs USING (name) ORDER BY name", "few deactivated 0, many running 51, staged deactivated 0")
	mustExec(t, db, "ALTER CONTINUOUS QUERY many SET (max_keys = 50)")
	settle(t, db)
	expect(t, db, states, "few deactivated, many deactivated, staged deactivated")
	mustExec(t, db, "RESUME CONTINUOUS QUERY few")
	mustAppend(t, db, 50)
	expect(t, db, states, "few running, many deactivated, staged deactivated")
	crashed := costsDB(t, Options{Disk: disk.Crash(nil), Clock: clock, Workers: 3})
	defer crashed.Close()
	settle(t, crashed)
	expect(t, crashed, states, "few running, many deactivated, staged deactivated")
	expect(t, crashed, "SELECT keys FROM vigil.query_costs WHERE name = 'few'", "50")
	mustAppend(t, crashed, 51)
	expect(t, crashed, states, "few deactivated, many deactivated, staged deactivated")
}
