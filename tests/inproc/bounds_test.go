package inproc_test

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
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
	if f := db.Engine().Meta().Journals()["rejected"]; f.Dropped() < 900-256 || f.Dropped() > 900-240 || f.Old+f.Skipped > 0 {
		t.Errorf("%+v are said to have gone", f)
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

// TestResultsTogether: the results of all queries take no more than they may together, also without checkpoints: the oldest rows go, whosever they
// are.
func TestResultsTogether(t *testing.T) {
	const most, rounds = 40 << 10, 300
	clock := inproc.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Clock: clock, Workers: 2, EpochMin: time.Millisecond, CheckpointEvery: -1, ResultsMax: most})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, t TEXT, WATERMARK FOR ts AS ts) FORMAT JSON`,
		`CREATE CONTINUOUS QUERY often AS SELECT n, t FROM s`,
		`CREATE CONTINUOUS QUERY seldom AS SELECT n, t FROM s WHERE n % 7 = 0`)
	n := 0
	add := func() {
		must(t, db, fmt.Sprintf("INSERT INTO s VALUES ('2026-03-01 12:00:00Z', %d, '%0*d')", n, 150+n%100, n))
		clock.Step(time.Second)
		n++
	}
	for n < rounds {
		add()
	}
	// They are trimmed beside, when more come, one query after the other: in between there may be more of one.
	var often, seldom int
	together := func() bool {
		often, seldom = number(t, db, "SELECT min(n) FROM often"), number(t, db, "SELECT min(n) FROM seldom")
		return often >= n/4 && seldom >= often && seldom <= often+n/16 && db.Engine().Storage().Results <= most+most/32
	}
	for !together() {
		if add(); n > 2*rounds {
			t.Fatalf("of %d rows those from %d and %d on are left, of %d bytes", n, often, seldom, db.Engine().Storage().Results)
		}
	}
	if got := db.Engine().Storage().Results; got < most/2 {
		t.Errorf("%d bytes are left", got)
	}
	// From then on no more than a 64th comes on top before they are trimmed.
	for range 40 {
		add()
		until(t, func() string { return fmt.Sprint(db.Engine().Storage().Results, " bytes are left") }, func() bool {
			if err := db.Settle(); err != nil { // what was being trimmed as the last one came is looked at again with the next epoch
				t.Fatal(err)
			}
			return db.Engine().Storage().Results <= most+most/64
		})
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
	// Who begins with a snapshot of rows that are updated gets what has gone as the rows that it left.
	must(t, db, "DECLARE totals CURSOR FOR SUBSCRIBE totals WITH (SNAPSHOT)")
	next, _ := db.Changes("totals")
	changes, err := db.Rows("FETCH " + strconv.Itoa(next+5) + " totals")
	if err != nil || len(changes) != next+5 {
		t.Fatal(len(changes), err)
	}
	state, before := map[string]int{}, changes[0][0]
	for i, c := range changes {
		n, _ := strconv.Atoi(c[4])
		if k := c[3]; c[1] == "+I" || c[1] == "+U" {
			state[k] = n
		} else if state[k] != n {
			t.Errorf("change %d takes back %v, which is not there", i, c)
		}
		if (c[0] == before) != (i < 5) {
			t.Errorf("change %d: %v", i, c)
		}
	}
	for k, n := range state {
		if n != rounds/5 {
			t.Errorf("%s counts %d events", k, n)
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

// TestRepeatedCopy: a COPY of several pieces that breaks off is repeated with its key, over a restart, and each row counts once.
func TestRepeatedCopy(t *testing.T) {
	disk, clock := inproc.NewDisk(), inproc.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	start := func() *inproc.DB {
		db, err := inproc.Open(inproc.Options{Disk: disk, Clock: clock, Workers: 2, EpochMin: time.Millisecond, CheckpointEvery: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	db := start()
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, t TEXT, WATERMARK FOR ts AS ts)`)
	const rows = 5000
	var data strings.Builder
	for i := range rows {
		fmt.Fprintf(&data, "2026-03-01 12:00:00Z\t%d\t%s\n", i, strings.Repeat("x", 1000))
	}
	for _, part := range []int{data.Len() / 2, data.Len() * 3 / 4} {
		err := db.Copy("COPY s FROM STDIN WITH (IDEMPOTENCY_KEY 'k')", io.MultiReader(strings.NewReader(data.String()[:part]), iotest.ErrReader(io.ErrUnexpectedEOF)))
		if err == nil {
			t.Fatal("a COPY that broke off was taken as a whole")
		}
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
		if n := number(t, db, "SELECT count(*) FROM s WHERE length(t) = 1000"); n == 0 || n > rows*part/data.Len() {
			t.Fatalf("%d rows of the first %d bytes", n, part)
		}
		if n := number(t, db, "SELECT count(*) FROM s WHERE length(t) < 1000"); n > 0 {
			t.Fatal("half a row was taken")
		}
		disk = disk.Crash(nil)
		db = start()
	}
	for range 2 {
		if err := db.Copy("COPY s FROM STDIN WITH (IDEMPOTENCY_KEY 'k')", strings.NewReader(data.String())); err != nil {
			t.Fatal(err)
		}
		if n, distinct := number(t, db, "SELECT count(*) FROM s"), number(t, db, "SELECT count(DISTINCT n) FROM s"); n != rows || distinct != rows {
			t.Fatalf("%d rows, %d different ones", n, distinct)
		}
	}
}

// TestStatementBytes: the rows of one statement are bounded where they take effect together, at the bound they are all there, and
// beyond it none is; COPY in text has no bound for a stream.
func TestStatementBytes(t *testing.T) {
	disk, clock := inproc.NewDisk(), inproc.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db, err := inproc.Open(inproc.Options{Disk: disk, Clock: clock, Workers: 2, EpochMin: time.Millisecond, StatementBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, t TEXT, WATERMARK FOR ts AS ts)`, `CREATE TABLE tab (n INT, t TEXT)`, `CREATE IOC LIST list TYPE text`)
	var text, values, list strings.Builder
	binary := []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for i := range 5000 {
		fmt.Fprintf(&text, "2026-03-01 12:00:00Z\t%d\t%s\n", i, strings.Repeat("x", 1000))
		fmt.Fprintf(&values, "%d\t%s\n", i, strings.Repeat("x", 1000))
		fmt.Fprintf(&list, "v%d%s\n", i, strings.Repeat("x", 1000))
		binary = append(binary, 0, 2, 0, 0, 0, 4, 0, 0, byte(i>>8), byte(i), 0, 0, 3, 232)
		binary = append(binary, strings.Repeat("x", 1000)...)
	}
	binary = append(binary, 0xff, 0xff)
	const refused = "one statement"
	for _, c := range []struct {
		sql, in, count string
		want           int
		err            string
	}{
		{"INSERT INTO s SELECT '2026-03-01 12:00:00Z', n, repeat('x', 1000) FROM generate_series(1, 5000) AS n", "", "s", 0, refused},
		{"INSERT INTO s SELECT '2026-03-01 12:00:00Z', n, repeat('x', 1000) FROM generate_series(1, 4000) AS n", "", "s", 4000, ""},
		{"COPY s FROM STDIN", text.String(), "s", 9000, ""},
		{"INSERT INTO tab SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) AS n", "", "tab", 0, refused},
		{"COPY tab FROM STDIN", values.String(), "tab", 0, refused},
		{"COPY tab FROM STDIN WITH (FORMAT binary)", string(binary), "tab", 0, refused},
		{"INSERT INTO tab SELECT n, repeat('x', 1000) FROM generate_series(1, 3000) AS n", "", "tab", 3000, ""},
		{"COPY list (value) FROM STDIN", list.String(), "list", 0, refused},
		{"COPY s (n, t) FROM STDIN WITH (FORMAT binary)", string(binary), "s", 9000, "null value in column \"ts\""},
	} {
		err := db.Copy(c.sql, strings.NewReader(c.in))
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v", c.sql, err)
		}
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
		if n := number(t, db, "SELECT count(*) FROM "+c.count); n != c.want {
			t.Errorf("%s: %d rows, want %d", c.sql, n, c.want)
		}
	}
}
