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

// TestRowBehindMakesDue: what a row behind the watermark makes due at once comes out without waiting for the watermark to move,
// so that it comes out in the same epoch however the epoch's rows are cut into batches.
func TestRowBehindMakesDue(t *testing.T) {
	db, err := Open(Options{Disk: NewDisk(), Clock: NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, sql := range []string{
		`CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, WATERMARK FOR ts AS ts) WITH (allowed_lateness = '1 minute')`,
		`CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS n FROM s GROUP BY k, SESSION(ts, INTERVAL '5 seconds')`,
		`INSERT INTO s VALUES ('2025-12-31 10:00:30Z', 'a')`,
		`INSERT INTO s VALUES ('2025-12-31 10:00:01Z', 'b')`} {
		if err := db.Exec(sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	if rows, err := db.Rows("SELECT k, n FROM q"); err != nil || fmt.Sprint(rows) != "[[b 1]]" {
		t.Errorf("a session that had ended when its first row came gave %v, %v", rows, err)
	}
}
