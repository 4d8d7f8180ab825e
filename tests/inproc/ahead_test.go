package inproc

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// aheadShapes are queries that hold state of several kinds; twin shares the windows of sums.
var aheadShapes = map[string]string{
	"sums":    "SELECT k, count(*) AS c, sum(n) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 minute')",
	"twin":    "SELECT k, max(n) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 minute')",
	"hops":    "SELECT k, count(*) AS c FROM s GROUP BY k, HOP(ts, INTERVAL '20 seconds', INTERVAL '1 minute')",
	"hops2":   "SELECT k, min(n) AS n FROM s GROUP BY k, HOP(ts, INTERVAL '20 seconds', INTERVAL '1 minute')",
	"visits":  "SELECT k, count(*) AS c FROM s GROUP BY k, SESSION(ts, INTERVAL '7 seconds')",
	"slides":  "SELECT k, count(*) AS c FROM s GROUP BY k, SLIDE(ts, INTERVAL '9 seconds') HAVING count(*) > 1 EMIT FIRST",
	"news":    "SELECT ts, k FROM s WHERE FIRST_SEEN(k, INTERVAL '10 seconds')",
	"overs":   "SELECT ts, k, sum(n) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS n FROM s",
	"rises":   "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES LAST(ts) AS e PATTERN (a b) WITHIN INTERVAL '20 seconds' DEFINE b AS n > a.n) m",
	"updates": "SELECT k, count(*) AS c FROM s GROUP BY k EMIT EVERY INTERVAL '30 seconds'",
}

// TestCopyAhead: with much changed state, copied ahead of checkpoints a little at a time, and queries that come and go meanwhile, what
// a crash leaves goes on as if nothing had been.
func TestCopyAhead(t *testing.T) {
	for seed := range int64(3) {
		rnd := rand.New(rand.NewSource(seed))
		clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		disks := [2]*Disk{NewDisk(), NewDisk()}
		open := func(i int) *DB {
			o := Options{Disk: disks[i], Clock: clock, Workers: 2, EpochMin: time.Millisecond}
			if i == 0 {
				o.CheckpointEvery, o.CopyAhead = 40*time.Millisecond, 100
			} else {
				o.CheckpointEvery = -1
			}
			db, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			return db
		}
		dbs := [2]*DB{open(0), open(1)}
		both := func(sql string) {
			t.Helper()
			for _, db := range dbs {
				if err := db.Exec(sql); err != nil {
					t.Fatal(err)
				}
			}
		}
		both(`CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k TEXT, n BIGINT, WATERMARK FOR ts AS ts);
			CREATE CONTINUOUS QUERY few AS SELECT k, count(*) AS c FROM s WHERE n < 100 GROUP BY k, TUMBLE(ts, INTERVAL '5 minutes')`)
		names := slices.Sorted(maps.Keys(aheadShapes))
		for _, name := range names {
			both("CREATE CONTINUOUS QUERY " + name + " AS " + aheadShapes[name])
		}
		at := clock.Now()
		copied := 0
		for step := range 60 {
			var rows []string
			for range 200 {
				at += 20_000
				rows = append(rows, fmt.Sprintf("('%s', 'key %d', %d)", time.UnixMicro(int64(at)).UTC().Format("2006-01-02 15:04:05.000000Z"), rnd.Intn(800), rnd.Intn(1000)))
			}
			both("INSERT INTO s VALUES " + strings.Join(rows, ", "))
			if step%5 == 0 {
				copied += int(dbs[0].Engine().CopiedAhead())
			}
			switch rnd.Intn(8) {
			case 0:
				both("ALTER CONTINUOUS QUERY few AS SELECT k, count(*) AS c FROM s WHERE n < " + fmt.Sprint(rnd.Intn(900)) +
					" GROUP BY k, TUMBLE(ts, INTERVAL '5 minutes')")
			case 1:
				copied += int(dbs[0].Engine().CopiedAhead())
				disks[0] = disks[0].Crash(nil)
				old := dbs[0]
				dbs[0] = open(0)
				if err := old.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		both("INSERT INTO s VALUES ('2026-03-02 12:00:00Z', 'end', 0)")
		for _, db := range dbs {
			if err := db.Settle(); err != nil {
				t.Fatal(err)
			}
		}
		for _, q := range append(names, "few") {
			var lists [2][]string
			for i, db := range dbs {
				got, err := db.Rows("SELECT * FROM " + q)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range got {
					lists[i] = append(lists[i], strings.Join(r, " "))
				}
				slices.Sort(lists[i])
			}
			for j := range lists[0] {
				if j < len(lists[1]) && lists[0][j] != lists[1][j] {
					t.Log(lists[0][j], "|", lists[1][j])
				}
			}
			if len(lists[0]) < 50 || !slices.Equal(lists[0], lists[1]) {
				t.Errorf("seed %d: %s has %d rows, want %d, or others", seed, q, len(lists[0]), len(lists[1]))
			}
		}
		for _, db := range dbs {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if copied == 0 {
			t.Error("nothing was copied ahead: the test proves nothing")
		}
	}
}
