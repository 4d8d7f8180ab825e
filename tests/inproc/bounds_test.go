package inproc_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/results"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// must runs statements.
func must(t *testing.T, db *inproc.DB, sql ...string) {
	t.Helper()
	for _, s := range sql {
		if err := db.Exec(s); err != nil {
			t.Fatalf("%s\n%v", s, err)
		}
	}
}

// number is the one number that a query gives.
func number(t *testing.T, db *inproc.DB, sql string) int {
	t.Helper()
	rows, err := db.Rows(sql)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%s: %v, %v", sql, rows, err)
	}
	n, err := strconv.Atoi(rows[0][0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestJournalsBetweenCheckpoints: what is kept of rejected and late rows and of query events is bounded without any checkpoint, the
// newest stay, and after a restart the figures are what they were.
func TestJournalsBetweenCheckpoints(t *testing.T) {
	disk, clock := inproc.NewDisk(), inproc.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	keep := meta.Keep{Rows: 256, Bytes: 100_000, Age: int64(24 * time.Hour / time.Microsecond)}
	start := func() *inproc.DB {
		db, err := inproc.Open(inproc.Options{Disk: disk, Clock: clock, Workers: 2, EpochMin: time.Millisecond, CheckpointEvery: time.Hour, Journals: keep})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	db := start()
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, WATERMARK FOR ts AS ts) FORMAT JSON`,
		`CREATE CONTINUOUS QUERY q AS SELECT n, count(*) FROM s GROUP BY n, TUMBLE(ts, INTERVAL '1 minute')`,
		`INSERT INTO s VALUES ('2026-03-01 12:00:00Z', 1)`)
	post := func(lines ...string) {
		t.Helper()
		if _, err := db.Append("s", []byte(strings.Join(lines, "\n")+"\n")); err != nil {
			t.Fatal(err)
		}
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 30 {
		var lines []string
		for k := range 30 {
			lines = append(lines, fmt.Sprintf(`{"n": "bad %d"}`, 30*i+k), fmt.Sprintf(`{"ts": "2026-03-01 11:00:00Z", "n": %d}`, 30*i+k))
		}
		post(lines...)
		must(t, db, fmt.Sprintf("ALTER CONTINUOUS QUERY q SET (tags = 't%d')", i), "PAUSE CONTINUOUS QUERY q", "RESUME CONTINUOUS QUERY q")
	}
	check := func(when string) {
		t.Helper()
		for name, rows := range map[string]string{"rejected": "vigil.rejected", "late": "s$late"} {
			n, f := number(t, db, "SELECT count(*) FROM "+rows), db.Engine().Meta().Journals()[name]
			if n > 256 || n < 240 || f.Rows != int64(n) || f.Bytes > keep.Bytes || f.Bytes < int64(50*n) {
				t.Errorf("%s, %s: %d rows, %+v", when, name, n, f)
			}
		}
	}
	check("before")
	if newest := number(t, db, "SELECT count(*) FROM vigil.rejected WHERE raw LIKE '%bad 899%'"); newest != 1 {
		t.Error("the newest rejected row has gone")
	}
	if d := db.Engine().Meta().Journals()["rejected"].Dropped; d < 900-256 || d > 900-240 {
		t.Errorf("%d rows are said to have gone", d)
	}
	disk = disk.Crash(nil)
	db = start()
	check("after")
	// Few large rows are bounded by bytes.
	for i := range 40 {
		post(fmt.Sprintf(`{"n": "large %d%s"}`, i, strings.Repeat("x", 10_000)))
	}
	if f := db.Engine().Meta().Journals()["rejected"]; f.Bytes > keep.Bytes || f.Rows < 3 || f.Rows > 10 {
		t.Errorf("large rows: %+v", f)
	}
	// And all by age, once something is committed.
	clock.Step(25 * time.Hour)
	if err := db.Settle(); err != nil { // an epoch that knows the time
		t.Fatal(err)
	}
	post(`{"n": "new"}`)
	if n := number(t, db, "SELECT count(*) FROM vigil.rejected"); n != 1 {
		t.Errorf("a day later there are %d rejected rows", n)
	}
}

// TestRetentionBytes: a result is kept within its size, its content is right all the same where rows are updated, and who comes too
// late for a row is told.
func TestRetentionBytes(t *testing.T) {
	disk, clock := inproc.NewDisk(), inproc.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	var db *inproc.DB
	start := func() {
		var err error
		if db, err = inproc.Open(inproc.Options{Disk: disk, Clock: clock, Workers: 2, EpochMin: time.Millisecond, CheckpointEvery: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	start()
	t.Cleanup(func() { _ = db.Close() })
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, t TEXT, WATERMARK FOR ts AS ts) FORMAT JSON`,
		`CREATE CONTINUOUS QUERY few WITH (retention_bytes = '10kB') AS SELECT n, t FROM s`,
		`CREATE CONTINUOUS QUERY many AS SELECT n, t FROM s`,
		`CREATE CONTINUOUS QUERY totals WITH (retention_bytes = '2kB') AS SELECT n % 5 AS k, count(*) AS n FROM s GROUP BY n % 5`,
		`CREATE CONTINUOUS QUERY above AS SELECT n FROM few WHERE n >= 0`)
	const rounds = 200
	for i := range rounds {
		must(t, db, fmt.Sprintf("INSERT INTO s VALUES ('2026-03-01 12:00:00Z', %d, '%s')", i, strings.Repeat("x", 200)))
		if i%50 == 49 { // the end has a checkpoint
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			start()
		}
	}
	size := func(name string) int {
		return number(t, db, "SELECT result_bytes FROM vigil.queries WHERE name = '"+name+"'")
	}
	if n := size("few"); n > 10<<10 || n < 9<<10 {
		t.Errorf("few takes %d bytes", n)
	}
	if n := size("many"); n < rounds*200 {
		t.Errorf("many takes %d bytes", n)
	}
	if n := size("totals"); n > 2<<10+500 || n == 0 {
		t.Errorf("totals takes %d bytes", n)
	}
	if n := number(t, db, "SELECT sum(n)::int FROM totals"); n != rounds {
		t.Errorf("totals counts %d events", n)
	}
	if n := number(t, db, "SELECT count(*) FROM above"); n != rounds {
		t.Errorf("the query above has %d rows", n)
	}
	kept := number(t, db, "SELECT count(*) FROM few")
	if newest := number(t, db, "SELECT max(n) FROM few"); newest != rounds-1 || kept > 50 || kept < 40 {
		t.Errorf("few has %d rows up to %d", kept, newest)
	}
	oldest := rounds - kept
	for i, c := range [][2]string{
		{fmt.Sprintf("AS OF CURSOR %d", oldest-1), fmt.Sprintf("rows %d to %d of continuous query \"few\" are not kept any more", oldest-1, oldest-1)},
		{fmt.Sprintf("AS OF CURSOR %d", oldest), ""},
		{"WITH (SNAPSHOT)", ""},
	} {
		sql, want := c[0], c[1]
		must(t, db, fmt.Sprintf("DECLARE c%d CURSOR FOR SUBSCRIBE few %s", i, sql))
		rows, err := db.Rows(fmt.Sprintf("FETCH %d c%d", kept, i))
		if want == "" && (err != nil || len(rows) != kept) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %d rows, %v", sql, len(rows), err)
		}
	}
	// Not a row is left.
	q := db.Catalog().Relation("", "few").(*catalog.Query)
	if err := db.Engine().Results().Trim(q.ID, results.Bounds{BeforeClock: int64(clock.Now()) + 1, KeepFrom: rounds}); err != nil {
		t.Fatal(err)
	}
	must(t, db, fmt.Sprintf("DECLARE late CURSOR FOR SUBSCRIBE few AS OF CURSOR %d", oldest))
	want := fmt.Sprintf("rows %d to %d of continuous query \"few\" are not kept any more", oldest, rounds-1)
	if rows, err := db.Rows("FETCH 1 late"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the late cursor got %v, %v, want %s", rows, err, want)
	}
	if n := size("few"); n != 0 {
		t.Errorf("nothing takes %d bytes", n)
	}
}
