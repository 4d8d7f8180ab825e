package inproc

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/job"
)

// updated are queries whose results are updated, some of them by time alone.
var updated = map[string]string{
	"plain": "AS SELECT n, count(*) AS c FROM log GROUP BY n",
	"hours": "AS SELECT n, count(*) AS c, window_end FROM log GROUP BY n, TUMBLE(ts, INTERVAL '1 hour') EMIT ON UPDATE",
	"every": "AS SELECT n, count(*) AS c, window_end FROM log GROUP BY n, HOP(ts, INTERVAL '10 minutes', INTERVAL '20 minutes') EMIT EVERY INTERVAL '1 minute'",
	"gaps":  "AS SELECT n, count(*) AS c FROM log GROUP BY n, SESSION(ts, INTERVAL '5 minutes') EMIT ON UPDATE",
}

// TestUpdatesThrottle: a query whose result is updated and changes more often in a minute than it may takes no rows until the minute is over:
// nothing of what it has taken is held back, no update is torn apart, and time goes on. Whenever it crashes it goes on as what was not
// disturbed.
func TestUpdatesThrottle(t *testing.T) {
	throttled, reopened := 0, 0
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 21))
		disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		o := Options{Disk: disk, Clock: clock, Workers: 2, CheckpointEvery: []time.Duration{-1, time.Nanosecond}[seed%2]}
		db := costsDB(t, o)
		mustExec(t, db, logStream)
		for name, body := range updated {
			mustExec(t, db, "CREATE CONTINUOUS QUERY "+name+" WITH (max_rows_per_min = 60, on_limit = throttle) "+body)
		}
		dbs, at := []*DB{db}, 0
		for step := range 14 {
			pass, first, n := rng.IntN(3) == 0, rng.IntN(20), 10+rng.IntN(40)
			if pass {
				clock.Step(61 * time.Second)
			}
			at += rng.IntN(180)
			for i, d := range dbs {
				before, shut := len(changelog(t, d, "plain")), flat(t, d, "SELECT reason FROM vigil.queries WHERE name = 'plain'")
				if !pass {
					appendAt(t, d, time.Time{}.Add(12*time.Hour+time.Duration(at)*time.Second).Format("15:04:05"), first, n)
				}
				settle(t, d)
				settle(t, d) // what a sweep decides comes with an epoch after the next
				after := len(changelog(t, d, "plain"))
				if shut != "NULL" && after > before && !pass {
					t.Errorf("seed %d, step %d: %d changes of a query that takes no rows", seed, step, after-before)
				}
				if i > 0 {
					sameChanges(t, fmt.Sprintf("seed %d, step %d, crash %d", seed, step, i), d, db)
				}
			}
			if len(dbs) > 3 {
				_ = dbs[1].Close()
				dbs = slices.Delete(dbs, 1, 2)
			}
			o.Disk, o.Workers = disk.Crash(nil), 1+step%3
			dbs = append(dbs, costsDB(t, o))
		}
		// Each row was taken, or counted among those that were not.
		expect(t, db, "SELECT (SELECT sum(c) FROM plain) = rows_in - input_withheld FROM vigil.query_costs WHERE name = 'plain'", "t")
		expect(t, db, "SELECT bool_and(rows_withheld = 0) FROM vigil.query_costs WHERE kind = 'query'", "t")
		for _, r := range mustRows(t, db, "SELECT what, reason FROM vigil.query_events WHERE what <> 'created'") {
			switch {
			case r[0] == "throttled" && r[1] == "max_rows_per_min: the result had more than 60 changes in a minute; the query takes no rows until the minute is over":
				throttled++
			case r[0] == "unthrottled" && strings.HasSuffix(r[1], " rows were not taken"):
				reopened++
			default:
				t.Error(r)
			}
		}
		for _, d := range dbs {
			_ = d.Close()
		}
	}
	if throttled < 8 || reopened < 4 {
		t.Errorf("throttled %d times, unthrottled %d times", throttled, reopened)
	}
}

// sameChanges compares what queries have told in two servers, and what happened to them.
func sameChanges(t *testing.T, what string, got, want *DB) {
	t.Helper()
	for name := range updated {
		if g, w := sorted(changelog(t, got, name)), sorted(changelog(t, want, name)); !slices.Equal(g, w) { // workers have no order
			t.Fatalf("%s: %s has %d changes, undisturbed %d, or others", what, name, len(g), len(w))
		}
	}
	const events = "SELECT query, what FROM vigil.query_events WHERE what <> 'created' ORDER BY query, epoch"
	if g, w := flat(t, got, events), flat(t, want, events); g != w {
		t.Fatalf("%s: got %s, undisturbed %s", what, g, w)
	}
}

func sorted(log []Change) []Change {
	return slices.SortedFunc(slices.Values(log), func(a, b Change) int { return cmp.Or(cmp.Compare(a.Text, b.Text), cmp.Compare(a.Op, b.Op)) })
}

// changelog is a query's changelog: each change is possible where it stands, and what is left is what SELECT gives.
func changelog(t *testing.T, db *DB, query string) []Change {
	t.Helper()
	log, err := db.Changelog(query)
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]int{}
	for i, c := range log {
		switch c.Op {
		case job.OpInsert:
			state[c.Text]++
		case job.OpUpdateAfter:
			if state[c.Text]++; i == 0 || log[i-1].Op != job.OpUpdateBefore {
				t.Fatalf("%s: change %d is half an update", query, i)
			}
		default:
			if state[c.Text]--; state[c.Text] < 0 {
				t.Fatalf("%s: change %d takes back what is not there: %s", query, i, c.Text)
			}
			if c.Op == job.OpUpdateBefore && (i+1 == len(log) || log[i+1].Op != job.OpUpdateAfter) {
				t.Fatalf("%s: change %d is half an update", query, i)
			}
		}
	}
	left := 0
	for _, n := range state {
		left += n
	}
	if n := len(mustRows(t, db, "SELECT * FROM "+query)); n != left {
		t.Fatalf("%s has %d rows, its changelog leaves %d", query, n, left)
	}
	return log
}

// drained are queries of which memory is asked for by time; STREAM stands for the stream.
var drained = map[string]string{
	"hop":     "SELECT n, window_end, count(*) AS c FROM STREAM WHERE n >= 0 GROUP BY n, HOP(ts, INTERVAL '10 minutes', INTERVAL '1 hour')",
	"update":  "SELECT n, window_end, count(*) AS c FROM STREAM WHERE n >= 0 GROUP BY n, TUMBLE(ts, INTERVAL '1 hour') EMIT ON UPDATE",
	"every":   "SELECT n, window_end, count(*) AS c FROM STREAM WHERE n >= 0 GROUP BY n, TUMBLE(ts, INTERVAL '1 hour') EMIT EVERY INTERVAL '1 minute'",
	"first":   "SELECT n, window_end, count(*) AS c FROM STREAM WHERE n >= 0 GROUP BY n, HOP(ts, INTERVAL '10 minutes', INTERVAL '1 hour') HAVING count(*) > 0 EMIT FIRST",
	"session": "SELECT n, window_end, count(*) AS c FROM STREAM WHERE n >= 0 GROUP BY n, SESSION(ts, INTERVAL '10 minutes')",
	"slide":   "SELECT n, window_end, count(*) AS c FROM STREAM WHERE n >= 0 GROUP BY n, SLIDE(ts, INTERVAL '10 minutes')",
	"unlike":  "SELECT n, count(DISTINCT line) AS c FROM STREAM WHERE n >= 0 GROUP BY n, SESSION(ts, INTERVAL '10 minutes')",
	"joined": "SELECT a.n, b.ts FROM STREAM AS a JOIN STREAM AS b ON a.n = b.n AND b.ts BETWEEN a.ts - INTERVAL '10 minutes' AND a.ts + INTERVAL '10 minutes' " +
		"WHERE a.n >= 0 AND b.n >= 0",
	"matched": "SELECT * FROM STREAM MATCH_RECOGNIZE (PARTITION BY n ORDER BY ts MEASURES count(a.*) AS c PATTERN (a b) WITHIN INTERVAL '10 minutes' " +
		"DEFINE a AS n >= 0, b AS n >= 0) m",
	"staged": "SELECT max(c) AS c FROM (SELECT n, line, count(*) AS c FROM STREAM WHERE n >= 0 GROUP BY n, line, HOP(ts, INTERVAL '10 minutes', INTERVAL '1 hour')) AS x " +
		"GROUP BY n, TUMBLE(INTERVAL '1 hour')",
	"seen":       "SELECT n, ts FROM STREAM WHERE n >= 0 AND FIRST_SEEN(n, INTERVAL '10 minutes')",
	"suppressed": "SELECT n, ts FROM STREAM WHERE n >= 0 SUPPRESS FOR INTERVAL '10 minutes' BY (n)",
}

// TestMemoryThrottle: a query of any kind that holds more memory than it may takes no rows, gives back what it needs no more as time passes,
// and takes rows again; its results are those of the rows that it took. Whenever it crashes it goes on as what was not disturbed.
func TestMemoryThrottle(t *testing.T) {
	for _, every := range []time.Duration{-1, time.Nanosecond} {
		disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		o := Options{Disk: disk, Clock: clock, Workers: 2, CheckpointEvery: every}
		db := costsDB(t, o)
		mustExec(t, db, logStream, strings.Replace(logStream, "log", "twin", 1))
		for name, body := range drained {
			mustExec(t, db, "CREATE CONTINUOUS QUERY "+name+" WITH (memory = '400kB', on_limit = throttle) AS "+strings.ReplaceAll(body, "STREAM", "log"),
				"CREATE CONTINUOUS QUERY "+name+"_free AS "+strings.ReplaceAll(body, "STREAM", "twin"))
		}
		steps := []struct {
			at       string
			n        int
			taken    bool
			unshut   int // how many are in service and take rows, after it
			moveOnly bool
		}{
			{"12:00:00", 10_000, true, 0, false},
			{"12:01:00", 1000, false, 0, false},
			{"18:00:00", 1, true, len(drained), true}, // a row that none of them takes moves time
			{"18:00:30", 40, true, len(drained), false},
			{"18:01:00", 40, true, len(drained), false},
			{"18:05:00", 10_000, true, 0, false},
			{"18:06:00", 100, false, 0, false},
			{"23:00:00", 1, true, len(drained), true},
		}
		dbs := []*DB{db}
		for i, s := range steps {
			for j, d := range dbs {
				what := fmt.Sprintf("checkpoints %v, step %d, crash %d: ", every, i, j)
				first := 0
				if s.moveOnly {
					first = -1
				}
				appendAt(t, d, s.at, first, s.n)
				if s.taken {
					appendTo(t, d, "twin", burst{s.at, first, s.n})
				}
				for range 4 {
					settle(t, d)
				}
				if got := flat(t, d, "SELECT string_agg(name, ' ' ORDER BY name) FROM vigil.queries WHERE reason IS NULL AND name NOT LIKE '%free'"); len(strings.Fields(strings.ReplaceAll(got, "NULL", ""))) != s.unshut {
					t.Errorf("%staking rows: %q, want %d; %s", what, got, s.unshut, flat(t, d, "SELECT name, keys, state_bytes FROM vigil.query_costs WHERE kind = 'query' AND name NOT LIKE '%free'"))
				}
				for name := range drained {
					if got, want := sorted(changelog(t, d, name)), sorted(changelog(t, d, name+"_free")); !slices.Equal(got, want) {
						t.Errorf("%s%s: %d changes, of the rows that it took %d, or others", what, name, len(got), len(want))
					}
				}
			}
			if t.Failed() {
				break
			}
			if len(dbs) > 2 {
				_ = dbs[1].Close()
				dbs = slices.Delete(dbs, 1, 2)
			}
			o.Disk, o.Workers = disk.Crash(nil), 1+i%3
			dbs = append(dbs, costsDB(t, o))
		}
		for _, d := range dbs {
			_ = d.Close()
		}
	}
}

// TestMemoryStays: what time does not shrink stays, and the reason says so; a higher limit lets the query take rows again.
func TestMemoryStays(t *testing.T) {
	db := costsDB(t, Options{Workers: 2})
	defer db.Close()
	mustExec(t, db, logStream, "CREATE CONTINUOUS QUERY grows WITH (memory = '150kB', on_limit = throttle) AS SELECT n, count(*) AS c FROM log GROUP BY n")
	appendAt(t, db, "12:00:00", 0, 4000)
	appendAt(t, db, "20:00:00", 0, 4000)
	if got := flat(t, db, "SELECT reason FROM vigil.queries"); !strings.Contains(got, "what it holds does not shrink as time passes: raise the limit") {
		t.Error(got)
	}
	expect(t, db, "SELECT count(*), sum(c) FROM grows", "4000 4000")
	mustExec(t, db, "ALTER CONTINUOUS QUERY grows SET (memory = '64MB')")
	settle(t, db)
	appendAt(t, db, "20:00:00", 0, 4000)
	expect(t, db, "SELECT count(*), sum(c) FROM grows", "4000 8000")
}
