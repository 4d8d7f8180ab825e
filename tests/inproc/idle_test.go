package inproc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// idleBodies are queries whose results of one key do not depend on rows of other keys. %s is a condition for WHERE.
var idleBodies = []string{
	"SELECT k, window_end, count(*) AS n FROM s %s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds')",
	"SELECT k, window_end, count(*) AS n FROM s %s GROUP BY k, HOP(ts, INTERVAL '5 seconds', INTERVAL '20 seconds')",
	"SELECT k, window_end, count(*) AS n FROM s %s GROUP BY k, HOP(ts, INTERVAL '5 seconds', INTERVAL '20 seconds') EMIT EVERY INTERVAL '10 seconds'",
	"SELECT k, window_end, count(*) AS n FROM s %s GROUP BY k, TUMBLE(ts, INTERVAL '1 minute') EMIT EVERY INTERVAL '10 seconds'",
	"SELECT k, count(*) AS n FROM s %s GROUP BY k EMIT EVERY INTERVAL '10 seconds'",
	"SELECT k, count(*) AS n FROM s %s GROUP BY k EMIT ON UPDATE",
	"SELECT k, window_end, count(*) AS n FROM s %s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds') HAVING count(*) > 1 EMIT FIRST",
	"SELECT k, window_end, count(*) AS n FROM s %s GROUP BY k, SESSION(ts, INTERVAL '7 seconds')",
	"SELECT k, count(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '10 seconds' PRECEDING AND CURRENT ROW) AS n FROM s %s",
}

// idleKeys have rows now and then; the others than the first have none for a long time, and then right after restarts only.
var idleKeys = []string{"x", "u", "v", "w", "z"}

// idleWorld is a DB on a disk that restarts.
type idleWorld struct {
	t     *testing.T
	disk  *Disk
	clock *Clock
	db    *DB
}

func (w *idleWorld) open() {
	w.t.Helper()
	var err error
	if w.db, err = Open(Options{Disk: w.disk, Clock: w.clock, Workers: 2, EpochMin: time.Millisecond}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *idleWorld) exec(sql string) {
	w.t.Helper()
	if err := w.db.Exec(sql); err != nil {
		w.t.Fatal(sql, err)
	}
}

// TestIdleQuery: a query that had no rows for a long time, over restarts too, tells of those that come then what a query tells
// that had rows in every epoch.
func TestIdleQuery(t *testing.T) {
	w := &idleWorld{t: t, disk: NewDisk(), clock: NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	w.open()
	w.exec("CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, WATERMARK FOR ts AS ts - INTERVAL '1 second')")
	for i, body := range idleBodies {
		w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY busy%d AS "+body, i, ""))
		for _, key := range idleKeys {
			w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY idle%d%s AS "+body, i, key, "WHERE k = '"+key+"'"))
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	burst, start := map[string]int{}, time.Date(2025, 12, 31, 10, 0, 0, 0, time.UTC)
	for second := range 600 {
		at := start.Add(time.Duration(second) * time.Second)
		rows := fmt.Sprintf("('%s', 'y')", at.Format(time.RFC3339))
		for i, key := range idleKeys {
			first := second%41 == 21 && rng.IntN(2) == 0 || i == 0 && rng.IntN(31) == 0
			if burst[key]--; first && second > i*70 {
				burst[key] = 3 // in one stretch of EMIT EVERY, mostly
			}
			if burst[key] > 0 {
				rows += fmt.Sprintf(", ('%s', '%s')", at.Add(-time.Duration(rng.IntN(3))*time.Second).Format(time.RFC3339), key)
			}
		}
		w.exec("INSERT INTO s VALUES " + rows)
		if err := w.db.Settle(); err != nil {
			t.Fatal(err)
		}
		if second%41 == 20 {
			if err := w.db.Close(); err != nil {
				t.Fatal(err)
			}
			w.open()
		}
	}
	if err := w.db.Pass(time.Hour); err != nil {
		t.Fatal(err)
	}
	for i, body := range idleBodies {
		for _, key := range idleKeys {
			idle, busy := w.of(fmt.Sprint("idle", i, key), key), w.of(fmt.Sprint("busy", i), key)
			if len(busy) < 2 || !slices.Equal(idle, busy) {
				t.Errorf(body+"\nidle: %v\nbusy: %v", "..", idle, busy)
			}
		}
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// of are the changes of a query's rows of a key.
func (w *idleWorld) of(query, key string) []Change {
	w.t.Helper()
	list, err := w.db.Changelog(query)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(c Change) bool { return !strings.HasPrefix(c.Text, key+"|") })
}
