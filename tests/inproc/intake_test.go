package inproc

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// appendAt appends one event for each of n numbers from first on, at a time of the day.
func appendAt(t *testing.T, db *DB, at string, first, n int) {
	t.Helper()
	appendTo(t, db, "log", burst{at, first, n})
}

// burst is one event for each of n numbers from first on, at a time of the day.
type burst struct {
	at       string
	first, n int
}

func appendTo(t *testing.T, db *DB, stream string, x burst) {
	t.Helper()
	var b strings.Builder
	for i := range x.n {
		fmt.Fprintf(&b, `{"ts":"2026-03-01T%sZ","n":%d,"line":"x"}`+"\n", x.at, x.first+i)
	}
	if rejected, err := db.Append(stream, []byte(b.String())); err != nil || rejected != 0 {
		t.Fatal(rejected, err)
	}
	settle(t, db)
}

const (
	perHour = "AS SELECT n, count(*) AS c FROM log GROUP BY n, TUMBLE(ts, INTERVAL '1 hour')"
	counted = "SELECT (SELECT count(*) || '/' || sum(c) FROM few), (SELECT count(*) || '/' || sum(c) FROM free)"
	refused = "SELECT name, rows_in, input_withheld FROM vigil.query_costs WHERE name = 'few'"
)

// TestStateThrottle: a query that holds more than it may stays in service and takes no rows, while time goes on for it, until it
// has room again; others that would share its windows do not notice. What a crash brings back, by running epochs again, goes on as
// what was not disturbed: whenever it crashes, with checkpoints or without, and with whatever workers.
func TestStateThrottle(t *testing.T) {
	for _, every := range []time.Duration{-1, time.Nanosecond} {
		t.Run(fmt.Sprint("checkpoints ", every), func(t *testing.T) { stateThrottle(t, every) })
	}
}

func stateThrottle(t *testing.T, checkpoints time.Duration) {
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db := costsDB(t, Options{Disk: disk, Clock: clock, Workers: 2, CheckpointEvery: checkpoints})
	defer db.Close()
	mustExec(t, db, logStream, "CREATE CONTINUOUS QUERY few WITH (max_keys = 50, on_limit = throttle) "+perHour, "CREATE CONTINUOUS QUERY free "+perHour,
		"CREATE CONTINUOUS QUERY other "+perHour)
	steps := []struct {
		at         string
		first, n   int
		out, event string
	}{
		{"12:00:00", 0, 50, "NULL NULL", ""},
		{"12:00:00", 0, 51, "NULL NULL", "few throttled"},
		{"12:10:00", 10, 100, "NULL NULL", "few throttled"}, // not taken
		{"13:00:00", 0, 10, "51/101 110/201", "few throttled, few unthrottled"},
		{"13:10:00", 0, 20, "51/101 110/201", "few throttled, few unthrottled"},
		{"14:00:00", 0, 60, "71/121 130/231", "few throttled, few unthrottled, few throttled"},
		{"15:00:00", 0, 1, "131/181 190/291", "few throttled, few unthrottled, few throttled, few unthrottled"},
	}
	dbs := []*DB{db}
	for i, s := range steps {
		for j, d := range dbs {
			appendAt(t, d, s.at, s.first, s.n)
			what := fmt.Sprintf("step %d, crashed before step %d: ", i, j)
			if got := flat(t, d, counted); got != s.out {
				t.Errorf("%sgot %s, want %s", what, got, s.out)
			}
			if got := flat(t, d, whats); got != s.event {
				t.Errorf("%sgot %s, want %s", what, got, s.event)
			}
		}
		crashed := costsDB(t, Options{Disk: disk.Crash(nil), Clock: clock, Workers: 1 + i%3, CheckpointEvery: checkpoints})
		defer crashed.Close()
		dbs = append(dbs, crashed)
	}
	expect(t, db, states, "few running, free running, other running")
	expect(t, db, refused, "few 292 111")
	expect(t, db, "SELECT code, reason FROM vigil.query_events WHERE what = 'throttled' ORDER BY epoch LIMIT 1",
		"53400 max_keys: the query holds 51 keys, its limit is 50; it takes no rows until it holds less than 90 percent of that")
	expect(t, db, "SELECT reason FROM vigil.query_events WHERE what = 'unthrottled' ORDER BY epoch LIMIT 1",
		"the query holds 0 keys in 0 bytes; 110 rows were not taken")
	expect(t, db, "SELECT reason IS NULL FROM vigil.queries WHERE name = 'few'", "t")
}

// TestAlterToThrottle: a query that shares windows with others takes what it holds with it when it is to be throttled; one that is
// throttled goes on, or out of service, as its limits are changed.
func TestAlterToThrottle(t *testing.T) {
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db := costsDB(t, Options{Disk: disk, Clock: clock, Workers: 2})
	defer db.Close()
	mustExec(t, db, logStream, "CREATE CONTINUOUS QUERY few "+perHour, "CREATE CONTINUOUS QUERY free "+perHour)
	appendAt(t, db, "12:00:00", 0, 60)
	mustExec(t, db, "ALTER CONTINUOUS QUERY few SET (max_keys = 50, on_limit = throttle)")
	settle(t, db)
	const reason = "max_keys: the query holds 60 keys, its limit is 50; it takes no rows until it holds less than 90 percent of that"
	expect(t, db, "SELECT state, reason FROM vigil.queries WHERE name = 'few'", "running "+reason)
	appendAt(t, db, "12:10:00", 0, 70)
	crashed := costsDB(t, Options{Disk: disk.Crash(nil), Clock: clock, Workers: 3})
	defer crashed.Close()
	expect(t, crashed, "SELECT state, reason FROM vigil.queries WHERE name = 'few'", "running "+reason)
	for _, d := range []*DB{db, crashed} {
		mustExec(t, d, "ALTER CONTINUOUS QUERY few SET (max_keys = 100)")
		settle(t, d)
		expect(t, d, whats, "few throttled, few unthrottled")
		appendAt(t, d, "12:20:00", 0, 70)
		appendAt(t, d, "13:00:00", 0, 1)
		expect(t, d, counted, "70/130 70/200")
		appendAt(t, d, "13:10:00", 0, 101)
		expect(t, d, whats, "few throttled, few unthrottled, few throttled")
		mustExec(t, d, "ALTER CONTINUOUS QUERY few SET (on_limit = deactivate)")
		settle(t, d)
		expect(t, d, states, "few deactivated, free running")
		mustExec(t, d, "RESUME CONTINUOUS QUERY few")
		appendAt(t, d, "13:20:00", 0, 100)
		expect(t, d, states, "few running, free running")
	}
	again := costsDB(t, Options{Disk: disk.Crash(nil), Clock: clock, Workers: 1})
	defer again.Close()
	appendAt(t, again, "14:00:00", 0, 1)
	expect(t, again, counted, "170/230 171/402")
}

// TestThrottledStages: what a stage of a throttled query has taken passes its later stages; memory that windows kept is given back.
func TestThrottledStages(t *testing.T) {
	db := costsDB(t, Options{Workers: 2})
	defer db.Close()
	mustExec(t, db, logStream,
		"CREATE CONTINUOUS QUERY few WITH (max_keys = 50, on_limit = throttle) AS SELECT max(c) AS c FROM (SELECT n, line, count(*) AS c FROM log "+
			"GROUP BY n, line, TUMBLE(ts, INTERVAL '1 hour')) AS x GROUP BY n, TUMBLE(INTERVAL '1 day')",
		"CREATE CONTINUOUS QUERY big WITH (memory = '64kB', on_limit = throttle) "+perHour,
		"CREATE CONTINUOUS QUERY endless WITH (max_keys = 50, on_limit = throttle) AS SELECT n, count(*) FROM log GROUP BY n")
	appendAt(t, db, "12:00:00", 0, 5000)
	appendAt(t, db, "12:10:00", 0, 5000)
	expect(t, db, whats, "few throttled, big throttled, endless throttled")
	expect(t, db, "SELECT reason FROM vigil.queries WHERE name = 'endless'",
		"max_keys: the query holds 5000 keys, its limit is 50; it takes no rows, and what it holds does not shrink as time passes: raise the limit")
	if _, err := db.Append("log", []byte(`{"ts":"2026-03-02T00:00:00Z","n":1,"line":"x"}`)); err != nil {
		t.Fatal(err)
	}
	settle(t, db)
	expect(t, db, "SELECT (SELECT count(*) || '/' || sum(c) FROM few), (SELECT count(*) || '/' || sum(c) FROM big)", "5000/5000 5000/5000")
	expect(t, db, "SELECT query FROM vigil.query_events WHERE what = 'unthrottled' ORDER BY query", "big, few")
}

// TestGoesApart: a query that leaves those that it shares with, when it is altered, tells what it would have told among them, also
// when no row comes for it any more.
func TestGoesApart(t *testing.T) {
	for _, window := range []string{"TUMBLE(ts, INTERVAL '1 hour')", "HOP(ts, INTERVAL '20 minutes', INTERVAL '1 hour')",
		"CUMULATE(ts, INTERVAL '20 minutes', INTERVAL '1 hour')"} {
		for _, emit := range []string{"", " EMIT EVERY INTERVAL '20 minutes'", " EMIT FIRST"} {
			db := costsDB(t, Options{Workers: 2})
			body := " AS SELECT n, window_end, count(*) AS c FROM log WHERE n < 100 GROUP BY n, " + window + " HAVING count(*) > 1" + emit
			mustExec(t, db, logStream, "CREATE CONTINUOUS QUERY a"+body, "CREATE CONTINUOUS QUERY b"+body)
			for _, at := range []string{"12:00:00", "12:00:00", "13:30:00", "13:45:00", "14:05:00"} {
				appendAt(t, db, at, 0, 20)
			}
			mustExec(t, db, "ALTER CONTINUOUS QUERY a SET (max_keys = 1000, on_limit = throttle)")
			appendAt(t, db, "18:00:00", 100, 20)
			got, want := mustChanges(t, db, "a"), mustChanges(t, db, "b")
			if got != want || len(want) < 1000 {
				t.Errorf("%s%s: got\n%s\namong others\n%s", window, emit, got, want)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// mustChanges is a query's changelog, without the places of the changes.
func mustChanges(t *testing.T, db *DB, query string) string {
	t.Helper()
	log, err := db.Changelog(query)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(log)
}
