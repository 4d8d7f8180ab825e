package inproc_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/server/httpapi"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/results"
	"github.com/vigil-sql/vigil/tests/inproc"
)

var metricLine = regexp.MustCompile(`(?m)^vigil_([a-z_]+(?:\{[^}]*\})?) (\S+)$`)

// scrape is what /metrics says, by name and labels, without "vigil_".
func scrape(t *testing.T, db *inproc.DB) map[string]int {
	t.Helper()
	rec := httptest.NewRecorder()
	httpapi.New(db.Session(), httpapi.Options{}).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	m := map[string]int{}
	for _, line := range metricLine.FindAllStringSubmatch(rec.Body.String(), -1) {
		v, err := strconv.ParseFloat(line[2], 64)
		if err != nil {
			t.Fatal(line[0], err)
		}
		m[line[1]] = int(v)
	}
	return m
}

// says compares some of what /metrics says with what it must.
func says(t *testing.T, db *inproc.DB, when string, want map[string]int) {
	t.Helper()
	got := scrape(t, db)
	for name, v := range want {
		if x, ok := got[name]; !ok || x != v {
			t.Errorf("%s: %s is %d (it is there: %v), want %d", when, name, x, ok, v)
		}
	}
}

// until waits for something that comes to be beside; what tells of it when it does not.
func until(t *testing.T, what func() string, is func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(what())
		}
	}
}

// loaded opens a server whose clock the test moves.
func loaded(t *testing.T, o inproc.Options) (*inproc.DB, *inproc.Clock) {
	t.Helper()
	if o.Disk == nil {
		o.Disk = inproc.NewDisk()
	}
	o.Clock, o.Workers, o.EpochMin = inproc.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), 2, cmp.Or(o.EpochMin, time.Millisecond)
	db, err := inproc.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, o.Clock
}

// TestMetricsOfRejected: vigil.rejected is filled beyond its bounds of rows, of bytes, of age and of what one epoch may bring; it keeps what they allow,
// and /metrics counts each row that is not there.
func TestMetricsOfRejected(t *testing.T) {
	const rows, bytes = 128, 40_000
	disk := inproc.NewDisk()
	options := inproc.Options{Disk: disk, CheckpointEvery: -1, Journals: meta.Keep{Rows: rows, Bytes: bytes, Age: time.Hour.Microseconds()}}
	db, clock := loaded(t, options)
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, WATERMARK FOR ts AS ts) FORMAT JSON`)
	sent := 0
	post := func(n int, pad string) {
		t.Helper()
		var lines strings.Builder
		for range n {
			fmt.Fprintf(&lines, `{"n": "bad %04d%s"}`+"\n", sent, pad)
			sent++
		}
		if rejected, err := db.Append("s", []byte(lines.String())); err != nil || rejected != int64(n) {
			t.Fatal(rejected, err)
		}
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	// check compares with the rows that are there.
	check := func(when string, kept, large, old int) {
		t.Helper()
		size := 0
		if err := db.Engine().Meta().Rejected.Scan(0, func(_ uint64, data []byte) (bool, error) { size += len(data); return true, nil }); err != nil {
			t.Fatal(err)
		}
		if size > bytes {
			t.Errorf("%s: %d bytes are kept", when, size)
		}
		says(t, db, when, map[string]int{`journal_rows{journal="rejected"}`: kept, `journal_bytes{journal="rejected"}`: size, `journal_dropped_total{by="size",journal="rejected"}`: large,
			`journal_dropped_total{by="age",journal="rejected"}`: old, `journal_dropped_total{by="burst",journal="rejected"}`: 0, "journal_max_rows": rows, "journal_max_bytes": bytes,
			`stream_rejected_total{stream="s"}`: sent, `journal_rows{journal="late"}`: 0, `journal_dropped_total{by="size",journal="late"}`: 0})
		if n := number(t, db, "SELECT count(*) FROM vigil.rejected"); n != kept {
			t.Errorf("%s: vigil.rejected has %d rows, want %d", when, n, kept)
		}
		if n := number(t, db, "SELECT rejected FROM vigil.streams"); n != sent {
			t.Errorf("%s: vigil.streams tells of %d, want %d", when, n, sent)
		}
		for i, want := range map[int]int{sent - 1: 1, sent - kept: 1, sent - kept - 1: 0} {
			if n := number(t, db, fmt.Sprintf("SELECT count(*) FROM vigil.rejected WHERE raw LIKE '%%bad %04d%%'", i)); n != want {
				t.Errorf("%s: row %d is there %d times, want %d", when, i, n, want)
			}
		}
	}
	post(100, "")
	check("within the bounds", 100, 0, 0)
	post(100, "") // two rows go at a time, at an odd number
	check("too many rows", rows, 72, 0)
	post(30, strings.Repeat("x", 3000))
	var one int
	if err := db.Engine().Meta().Rejected.ScanBack(func(_ uint64, data []byte) (bool, error) { one = len(data); return false, nil }); err != nil {
		t.Fatal(err)
	}
	large := bytes / one // of the same size, each goes alone
	if large < 5 || large > 20 {
		t.Fatalf("a large row takes %d bytes", one)
	}
	check("too many bytes", large, 230-large, 0)
	clock.Step(2 * time.Hour)
	if err := db.Settle(); err != nil { // an epoch that knows the time
		t.Fatal(err)
	}
	post(1, "")
	check("too old", 1, 230-large, large)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, _ = loaded(t, options)
	says(t, db, "after a restart", map[string]int{`journal_rows{journal="rejected"}`: 1, `journal_dropped_total{by="size",journal="rejected"}`: 0, `journal_dropped_total{by="age",journal="rejected"}`: 0})
}

// TestMetricsOfBurst: of the rows that one item of the queues, and one epoch, rejects as many are kept as may come at a time, and the others are counted.
func TestMetricsOfBurst(t *testing.T) {
	const ofItem, ofEpoch, items, lines = 1024, 20_000, 20, 1100
	db, _ := loaded(t, inproc.Options{CheckpointEvery: -1, EpochMin: time.Hour, EpochMax: time.Hour})
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, WATERMARK FOR ts AS ts) FORMAT JSON`)
	post := func() {
		t.Helper()
		line := "x" + strings.Repeat(" ", 190) + "\n" // all are one item, alone
		if _, err := db.Append("s", []byte(strings.Repeat(line, lines))); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, kept, sent int) {
		t.Helper()
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
		says(t, db, when, map[string]int{`journal_rows{journal="rejected"}`: kept, `journal_dropped_total{by="burst",journal="rejected"}`: sent - kept, `journal_dropped_total{by="size",journal="rejected"}`: 0,
			`stream_rejected_total{stream="s"}`: sent, "journal_max_rows": 100_000, "journal_max_bytes": 64 << 20})
		if n := number(t, db, "SELECT count(*) FROM vigil.rejected"); n != kept {
			t.Errorf("%s: %d rows", when, n)
		}
	}
	post()
	check("an item", ofItem, lines)
	for range items {
		post()
	}
	check("an epoch", ofItem+ofEpoch, (1+items)*lines)
}

// TestMetricsOfEventLog: an event log is filled beyond its size, and grows old; what is on disk is what /metrics says, and the rest was dropped.
func TestMetricsOfEventLog(t *testing.T) {
	const most, segment, rows = 32 << 10, 4 << 10, 60
	disk := inproc.NewDisk()
	db, clock := loaded(t, inproc.Options{Disk: disk, CheckpointEvery: time.Millisecond, SegmentBytes: segment})
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, t TEXT, WATERMARK FOR ts AS ts) WITH (retention = '1 hour', retention_bytes = '32kB')`,
		`CREATE STREAM other (ts TIMESTAMPTZ NOT NULL, WATERMARK FOR ts AS ts)`)
	insert := `INSERT INTO s VALUES ('2026-03-01 12:00:00Z', '` + strings.Repeat("x", 1000) + `')`
	must(t, db, insert)
	one := scrape(t, db)[`eventlog_bytes{stream="s"}`]
	if one < 1000 || one > 1200 {
		t.Fatalf("a row takes %d bytes", one)
	}
	for i := 1; i < rows; i++ {
		must(t, db, insert)
	}
	// settled has checkpoints drop what they may, until the log is within a size.
	settled := func(size int) {
		t.Helper()
		until(t, func() string { return fmt.Sprint(scrape(t, db)) }, func() bool {
			must(t, db, `INSERT INTO other VALUES ('2026-03-01 12:00:00Z')`)
			return scrape(t, db)[`eventlog_bytes{stream="s"}`] <= size
		})
	}
	settled(most)
	id, err := db.StreamID("s")
	if err != nil {
		t.Fatal(err)
	}
	files, size := 0, 0
	dir := filepath.Join("inproc", "log", fmt.Sprint(id))
	names, err := disk.FS.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	const head = 16 // of a segment
	for _, name := range names {
		f, err := disk.FS.OpenRead(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := f.Size(); err != nil {
			t.Fatal(err)
		} else if strings.HasSuffix(name, ".log") {
			files, size = files+1, size+int(n)-head
		}
		_ = f.Close() // read only
	}
	says(t, db, "too large", map[string]int{`eventlog_bytes{stream="s"}`: size, `eventlog_segments{stream="s"}`: files, `eventlog_max_bytes{stream="s"}`: most,
		`eventlog_dropped_bytes_total{by="size",stream="s"}`: rows*one - size, `eventlog_dropped_bytes_total{by="age",stream="s"}`: 0,
		`eventlog_max_bytes{stream="other"}`: 8 << 30, `eventlog_dropped_bytes_total{by="size",stream="other"}`: 0, `stream_rows_total{stream="s"}`: rows})
	if size > most || size < most-segment-one {
		t.Errorf("%d bytes of %d are kept, in files of %d", size, most, segment)
	}
	if n := number(t, db, "SELECT count(*) FROM s"); n != size/one || size%one != 0 {
		t.Errorf("history has %d rows, %d bytes are kept of %d each", n, size, one)
	}
	clock.Step(2 * time.Hour)
	settled(0)
	says(t, db, "too old", map[string]int{`eventlog_bytes{stream="s"}`: 0, `eventlog_segments{stream="s"}`: 1, `eventlog_dropped_bytes_total{by="size",stream="s"}`: rows*one - size,
		`eventlog_dropped_bytes_total{by="age",stream="s"}`: size, `stream_rows_total{stream="s"}`: rows})
	if n := number(t, db, "SELECT count(*) FROM s"); n != 0 {
		t.Errorf("history has %d rows", n)
	}
}

// TestMetricsOfResults: a changelog is filled beyond its size, and grows old, and all of them take more than they may together: each row that has gone is
// counted by what took it, and the others are there.
func TestMetricsOfResults(t *testing.T) {
	const most, rows = 10 << 10, 200
	db, clock := loaded(t, inproc.Options{CheckpointEvery: time.Millisecond})
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, t TEXT, WATERMARK FOR ts AS ts)`, `CREATE STREAM other (ts TIMESTAMPTZ NOT NULL, WATERMARK FOR ts AS ts)`,
		`CREATE CONTINUOUS QUERY few WITH (retention = '1 hour', retention_bytes = '10kB') AS SELECT n, t FROM s`, `CREATE CONTINUOUS QUERY many AS SELECT n FROM s`)
	for i := range rows {
		must(t, db, fmt.Sprintf("INSERT INTO s VALUES ('2026-03-01 12:00:00Z', %d, '%s')", 1000+i, strings.Repeat("x", 200)))
	}
	bytes := func() int { return scrape(t, db)[`query_result_bytes{query="few"}`] }
	settled := func(size int) {
		t.Helper()
		until(t, func() string { return fmt.Sprint(scrape(t, db)) }, func() bool {
			must(t, db, `INSERT INTO other VALUES ('2026-03-01 12:00:00Z')`)
			return bytes() <= size
		})
	}
	settled(most)
	kept, size := number(t, db, "SELECT count(*) FROM few"), bytes()
	if one := size / kept; size%kept != 0 || one < 200 || one > 230 || kept != most/one {
		t.Fatalf("%d rows take %d bytes of %d", kept, size, most)
	}
	says(t, db, "too large", map[string]int{`query_result_dropped_rows_total{by="size",query="few"}`: rows - kept, `query_result_dropped_rows_total{by="age",query="few"}`: 0,
		`query_result_dropped_rows_total{by="together",query="few"}`: 0, `query_result_max_bytes{query="few"}`: most, `query_result_max_bytes{query="many"}`: 8 << 30,
		`query_result_dropped_rows_total{by="size",query="many"}`: 0, `query_rows_total{query="few"}`: rows,
		"results_bytes": size + number(t, db, "SELECT result_bytes FROM vigil.queries WHERE name = 'many'"), "results_max_bytes": 0})
	if n := number(t, db, "SELECT result_bytes FROM vigil.queries WHERE name = 'few'"); n != size {
		t.Errorf("vigil.queries has %d bytes, /metrics %d", n, size)
	}
	clock.Step(2 * time.Hour)
	settled(0)
	says(t, db, "too old", map[string]int{`query_result_dropped_rows_total{by="size",query="few"}`: rows - kept, `query_result_dropped_rows_total{by="age",query="few"}`: kept,
		`query_result_dropped_rows_total{by="age",query="many"}`: 0, `query_rows_total{query="few"}`: rows})
	if n := number(t, db, "SELECT count(*) FROM few"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if next := number(t, db, "SELECT next_offset FROM vigil.queries WHERE name = 'few'"); next != rows {
		t.Errorf("the next row is %d", next)
	}
}

// TestMetricsOfAllResults is TestMetricsOfResults for what all may take together.
func TestMetricsOfAllResults(t *testing.T) {
	const most, rows = 40 << 10, 400
	db, clock := loaded(t, inproc.Options{CheckpointEvery: -1, ResultsMax: most})
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, t TEXT, WATERMARK FOR ts AS ts)`,
		`CREATE CONTINUOUS QUERY often AS SELECT n, t FROM s`, `CREATE CONTINUOUS QUERY seldom AS SELECT n, t FROM s WHERE n % 7 = 0`)
	for i := range rows {
		must(t, db, fmt.Sprintf("INSERT INTO s VALUES ('2026-03-01 12:00:00Z', %d, '%s')", i, strings.Repeat("x", 200)))
		clock.Step(time.Second)
	}
	// They are trimmed beside; once that has ended all is accounted for.
	until(t, func() string { return fmt.Sprint(scrape(t, db)) }, func() bool {
		m := scrape(t, db)
		for name, all := range map[string]int{"often": rows, "seldom": (rows + 6) / 7} {
			gone := m[`query_result_dropped_rows_total{by="together",query="`+name+`"}`]
			if gone == 0 || gone+number(t, db, "SELECT count(*) FROM "+name) != all {
				return false
			}
		}
		return m["results_bytes"] <= most+most/64
	})
	says(t, db, "together", map[string]int{`query_result_dropped_rows_total{by="size",query="often"}`: 0, `query_result_dropped_rows_total{by="age",query="often"}`: 0,
		`query_result_dropped_rows_total{by="age",query="seldom"}`: 0, "results_max_bytes": most,
		"results_bytes": number(t, db, "SELECT result_bytes FROM vigil.queries WHERE name = 'often'") + number(t, db, "SELECT result_bytes FROM vigil.queries WHERE name = 'seldom'")})
}

// TestMetricsOfSubscriptions: a subscription that is not read holds no rows and is as far behind as /metrics says; when what it has to read is dropped it
// ends, and that is counted, as for a long poll.
func TestMetricsOfSubscriptions(t *testing.T) {
	db, _ := loaded(t, inproc.Options{CheckpointEvery: -1})
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, WATERMARK FOR ts AS ts)`, `CREATE CONTINUOUS QUERY q AS SELECT n FROM s`)
	insert := func(n int) {
		t.Helper()
		must(t, db, fmt.Sprintf("INSERT INTO s SELECT '2026-03-01 12:00:00Z', n FROM generate_series(1, %d) AS n", n))
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	insert(1000)
	poll := func(query string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		httpapi.New(db.Session(), httpapi.Options{}).ServeHTTP(rec, httptest.NewRequest("GET", "/v1/queries/q/results?"+query, nil))
		return rec
	}
	var page struct{ Cursor string }
	if rec := poll("limit=4"); json.Unmarshal(rec.Body.Bytes(), &page) != nil || page.Cursor == "" {
		t.Fatal(rec.Code, rec.Body)
	}
	must(t, db, "DECLARE slow CURSOR FOR SUBSCRIBE q AS OF CURSOR 0", "DECLARE fast CURSOR FOR SUBSCRIBE q AS OF CURSOR 0", "FETCH 3 slow", "FETCH 1000 fast")
	behind := func(subscriptions, rows int) {
		t.Helper()
		until(t, func() string { return fmt.Sprint(scrape(t, db)) }, func() bool {
			m := scrape(t, db)
			return m["subscriptions"] == subscriptions && m["subscription_behind_max_rows"] == rows
		})
		says(t, db, "behind", map[string]int{"subscription_overtaken_total": 0, "subscription_missed_rows_total": 0, "notification_queue": 0})
	}
	const ahead = 256 + 1 // a cursor holds that many rows ready, and has one on its way
	behind(2, 1000-3-ahead)
	insert(900)
	insert(600)
	behind(2, 2500-3-ahead)
	must(t, db, "FETCH 1500 fast")
	behind(2, 2500-3-ahead)
	q := db.Catalog().Relation("", "q").(*catalog.Query)
	if err := db.Engine().Results().Trim(q.ID, results.Bounds{MaxRows: 500, KeepFrom: 2500}); err != nil {
		t.Fatal(err)
	}
	// It has begun with the first 1,000 rows, and gets those; the next 900 have gone.
	rows, err := db.Rows("FETCH 2000 slow")
	if err == nil || !strings.Contains(err.Error(), "rows 1000 to 1899") {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	until(t, func() string { return fmt.Sprint(scrape(t, db)) }, func() bool { return scrape(t, db)["subscriptions"] == 1 })
	says(t, db, "overtaken", map[string]int{"subscription_overtaken_total": 1, "subscription_missed_rows_total": 900, "subscription_behind_max_rows": 0,
		`query_result_dropped_rows_total{by="size",query="q"}`: 1900})
	if rec := poll("after=" + page.Cursor); rec.Code != 410 {
		t.Fatalf("a long poll is answered %d: %s", rec.Code, rec.Body)
	}
	says(t, db, "a long poll", map[string]int{"subscription_overtaken_total": 2, "subscription_missed_rows_total": 900 + 1900 - 4})
}
