package inproc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// TestRetro: new entries of a list are compared with the retained history, each once, in the shape of live rows.
func TestRetro(t *testing.T) {
	clock := NewClock(time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC))
	disk := NewDisk()
	db := costsDB(t, Options{Disk: disk, Clock: clock})
	check := func(sql, want string, notices ...string) {
		t.Helper()
		if got := flat(t, db, sql); got != want {
			t.Fatalf("%s:\n%s\nwant\n%s", sql, got, want)
		}
		for _, n := range notices {
			if got := fmt.Sprint(db.Notices()); !strings.Contains(got, n) {
				t.Fatalf("%s: notices %s, want %s", sql, got, n)
			}
		}
	}
	mustExec(t, db, "CREATE STREAM auth (ts TIMESTAMPTZ NOT NULL, src INET, who TEXT, WATERMARK FOR ts AS ts)",
		"INSERT INTO auth VALUES ('2026-03-01 12:00Z', '10.0.0.1', 'a'), ('2026-03-08 11:00Z', '10.0.0.1', 'b'), ('2026-03-08 11:30Z', '10.66.0.2', 'c'), ('2026-03-08 11:40Z', '10.66.0.3', 'd')",
		"CREATE IOC LIST bad TYPE cidr", "INSERT INTO bad (value, source) VALUES ('10.0.0.1', 'feed')")
	retro := "RETRO IOC LIST bad ON auth (src)"
	first := `2026-03-08 11:00:00+00 10.0.0.1 b 10.0.0.1/32 {"type": "cidr", "value": "10.0.0.1/32", "source": "feed", "added_at": "2026-03-08 12:00:00+00"}`
	check(retro+" SINCE INTERVAL '1 day'", first, `1 entry of IOC list "bad" is compared with the history of stream "auth"`)
	check(retro, "", `0 entries of IOC list "bad" added since 2026-03-08 12:00:00+00 are compared`)

	// What is added is compared; what was is not, nor what goes or is known better; another column is another history.
	clock.Step(2 * time.Hour)
	mustExec(t, db, "INSERT INTO bad (value) VALUES ('10.66.0.0/16'), ('10.99.0.0/16')", "ALTER IOC LIST bad ADD ('10.66.0.2')", "DELETE FROM bad WHERE value = '10.66.0.2/32'")
	check("SELECT count(*) FROM auth WHERE src IN IOC bad", "4")
	left := disk.Crash(nil)
	_ = db.Close()
	db = costsDB(t, Options{Disk: left, Clock: clock})
	info := `{"type": "cidr", "value": "10.66.0.0/16", "added_at": "2026-03-08 14:00:00+00"}`
	check(retro, "2026-03-08 11:30:00+00 10.66.0.2 c 10.66.0.0/16 "+info+", 2026-03-08 11:40:00+00 10.66.0.3 d 10.66.0.0/16 "+info, "2 entries")
	check(retro, "", "0 entries")
	check("SELECT count(*) FROM auth WHERE src IN IOC bad", "4")

	// ALL begins anew; another role, too. An entry that has expired, or was given again.
	check("SELECT 1", "1")
	rows, err := db.Rows(retro + " ALL")
	if err != nil || len(rows) != 4 {
		t.Fatalf("%v %v", rows, err)
	}
	mustExec(t, db, "CREATE ROLE eve", "GRANT USAGE ON SCHEMA public TO eve", "GRANT SELECT ON auth TO eve", "SET ROLE eve")
	if _, err := db.Rows(retro); sqlerr.CodeOf(err) != "42501" {
		t.Fatalf("%v", err)
	}
	mustExec(t, db, "RESET ROLE", "GRANT SELECT ON bad TO eve", "SET ROLE eve")
	if rows, err = db.Rows(retro); err != nil || len(rows) != 4 {
		t.Fatalf("%v %v", rows, err)
	}
	mustExec(t, db, "RESET ROLE", "INSERT INTO bad (value) VALUES ('10.0.0.1')")
	if rows, err = db.Rows(retro); err != nil || len(rows) != 2 {
		t.Fatalf("%v %v", rows, err)
	}
	for sql, message := range map[string]string{
		"RETRO IOC LIST nope ON auth (src)": "does not exist", "RETRO IOC LIST bad ON nope (src)": `stream "nope" does not exist`, "RETRO IOC LIST bad ON auth (nope)": `column "nope" does not exist`,
		"BEGIN; RETRO IOC LIST bad ON auth (src)": "cannot run inside a transaction block", "RETRO IOC LIST bad ON auth (ts)": "must be type text or inet",
	} {
		if err := db.Exec(sql); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", sql, err)
		}
		_ = db.Exec("ROLLBACK")
	}
}
