package inproc

import (
	"fmt"
	"testing"
	"time"
)

// TestWindowClosesByTheClock: SQL in, rows out, and time goes on when the test says so; a crash keeps what was answered.
func TestWindowClosesByTheClock(t *testing.T) {
	disk, clock := NewDisk(), NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	db, err := Open(Options{Disk: disk, Clock: clock, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	exec := func(sql string) {
		t.Helper()
		if err := db.Exec(sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	exec(`CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, WATERMARK FOR ts AS ts); CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS n FROM s
		GROUP BY k, TUMBLE(ts, INTERVAL '5 seconds')`)
	exec(`INSERT INTO s VALUES ('2025-12-31 10:00:01Z', 'a'), ('2025-12-31 10:00:02Z', 'a'), ('2025-12-31 10:00:03Z', 'b')`)
	if rows, err := db.Rows("SELECT * FROM q"); err != nil || len(rows) != 0 {
		t.Fatal("an open window gave", rows, err)
	}
	if err := db.Pass(time.Hour); err != nil {
		t.Fatal(err)
	}
	check := func(db *DB) {
		t.Helper()
		rows, err := db.Rows("SELECT k, n FROM q ORDER BY k")
		if got := fmt.Sprint(rows); err != nil || got != "[[a 2] [b 1]]" {
			t.Fatal(got, err)
		}
		if log, err := db.Changelog("q"); err != nil || len(log) != 2 || log[0].Op != 1 {
			t.Fatal(log, err)
		}
	}
	check(db)
	crashed := disk.Crash(nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Options{Disk: crashed, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	check(again)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}
