package inproc

import (
	"fmt"
	"testing"
	"time"
)

// TestIndicatorsExpire: an entry is hit until its time and not from then on, in each type of list and through all that asks for it; an
// epoch that runs again sees what it saw; the entry leaves the store, unless it was given a later time.
func TestIndicatorsExpire(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	disk, clock := NewDisk(), NewClock(begin)
	start := func(every time.Duration) *DB {
		t.Helper()
		db, err := Open(Options{Disk: disk, Clock: clock, Workers: 2, EpochMin: time.Millisecond, CheckpointEvery: every})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := start(time.Hour)
	defer func() { _ = db.Close() }()
	exec := func(sql string) {
		t.Helper()
		if err := db.Exec(sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	want := func(sql, want string) {
		t.Helper()
		if rows, err := db.Rows(sql); err != nil || fmt.Sprint(rows) != want {
			t.Fatalf("%s: %v, %v; want %s", sql, rows, err, want)
		}
	}
	exec(`CREATE STREAM s (n INT, ip TEXT, name TEXT) FORMAT JSON`)
	exec(`CREATE IOC LIST ips TYPE ip`)
	exec(`CREATE IOC LIST nets TYPE cidr`)
	exec(`CREATE IOC LIST names TYPE domain`)
	exec(`CREATE CONTINUOUS QUERY q AS SELECT n, ip IN IOC ips AS a, ioc_match('nets', ip) AS net, ioc_match('names', name) AS name FROM s`)
	exec(`INSERT INTO ips (value, expires_at) VALUES ('10.0.0.1', '2026-03-01 12:00:10Z'), ('10.0.0.2', NULL)`)
	exec(`INSERT INTO nets (value, expires_at) VALUES ('10.0.0.0/8', NULL), ('10.0.0.0/24', '2026-03-01 12:00:10Z'), ('10.0.0.1', '2026-03-01 12:00:05Z')`)
	exec(`INSERT INTO names (value, expires_at) VALUES ('evil.example', '2026-03-01 12:00:20Z'), ('www.evil.example', '2026-03-01 12:00:10Z')`)
	event := func(n int) {
		t.Helper()
		exec(fmt.Sprintf(`INSERT INTO s VALUES (%d, '10.0.0.1', 'www.evil.example')`, n))
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	at := func(after time.Duration) {
		clock.Step(time.Duration(begin.Add(after).UnixMicro()-int64(clock.Now())) * time.Microsecond)
	}
	next := func() { // the next epoch begins now: it reads the clock as it begins
		t.Helper()
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	for i, after := range []time.Duration{0, 5 * time.Second, 10*time.Second - time.Microsecond, 10 * time.Second, 20 * time.Second} {
		at(after)
		next()
		event(i)
	}
	const results = "[[0 t 10.0.0.1/32 www.evil.example] [1 t 10.0.0.0/24 www.evil.example] [2 t 10.0.0.0/24 www.evil.example] [3 f 10.0.0.0/8 evil.example] [4 f 10.0.0.0/8 NULL]]"
	want(`SELECT * FROM q ORDER BY n`, results)
	want(`SELECT value FROM ips`, "[[10.0.0.2]]")
	want(`SELECT entries FROM vigil.ioc_lists ORDER BY name`, "[[2] [2] [3]]") // not swept yet

	disk = disk.Crash(nil)
	_ = db.Close()
	db = start(time.Hour)
	if db.Rerun == 0 {
		t.Fatal("no epoch ran again")
	}
	want(`SELECT * FROM q ORDER BY n`, results)
	exec(`INSERT INTO ips (value, expires_at) VALUES ('10.0.0.1', '2026-03-01 12:00:30Z')`)
	event(5)
	want(`SELECT n, a FROM q WHERE n = 5`, "[[5 t]]")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = start(time.Millisecond)
	for deadline := time.Now().Add(20 * time.Second); ; {
		event(6)
		rows, err := db.Rows(`SELECT entries FROM vigil.ioc_lists ORDER BY name`)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(rows) == "[[2] [0] [1]]" { // the one that came again is there
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("entries that have expired stay: %v", rows)
		}
	}
	want(`SELECT value FROM ips ORDER BY value`, "[[10.0.0.1] [10.0.0.2]]")
	want(`SELECT a FROM q WHERE n = 6 LIMIT 1`, "[[t]]")
}
