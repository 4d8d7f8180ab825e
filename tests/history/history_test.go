// Package history proves that SELECT over a stream's retained history answers the same whether or not it uses the log's index
// by event time, and that it uses it.
package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/tests/inproc"
)

var begin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

type world struct {
	testing.TB
	disk  *inproc.Disk
	clock *inproc.Clock
	db    *inproc.DB
	rnd   *rand.Rand
}

func open(t testing.TB, seed uint64) *world {
	w := &world{TB: t, disk: inproc.NewDisk(), clock: inproc.NewClock(begin.Add(24 * time.Hour)), rnd: inproc.Random(seed)}
	w.reopen()
	return w
}

func (w *world) reopen() {
	w.Helper()
	db, err := inproc.Open(inproc.Options{Disk: w.disk, Clock: w.clock, Workers: 1})
	if err != nil {
		w.Fatal(err)
	}
	w.db = db
}

func (w *world) close() {
	w.Helper()
	if err := w.db.Close(); err != nil {
		w.Fatal(err)
	}
}

func (w *world) exec(sql string) {
	w.Helper()
	if err := w.db.Exec(sql); err != nil {
		w.Fatal(sql, err)
	}
}

func (w *world) rows(sql string) string {
	w.Helper()
	rows, err := w.db.Rows(sql)
	if err != nil {
		w.Fatal(sql, err)
	}
	return fmt.Sprint(rows)
}

// load appends n events over a day, in order but for a few, one in bad of them with a field that cannot be decoded.
func (w *world) load(stream string, n, bad int) (rejected int) {
	w.Helper()
	var b bytes.Buffer
	flush := func() {
		if _, err := w.db.Append(stream, b.Bytes()); err != nil {
			w.Fatal(err)
		}
		b = bytes.Buffer{}
	}
	for i := range n {
		at := begin.Add(24 * time.Hour * time.Duration(i) / time.Duration(n))
		if w.rnd.Intn(50) == 0 {
			at = at.Add(-time.Duration(w.rnd.Int63n(int64(time.Hour))))
			if i > n/3 && i < n*2/3 {
				at = begin.Add(8*time.Hour + time.Duration(w.rnd.Int63n(int64(8*time.Hour))))
			}
		}
		m := fmt.Sprint(w.rnd.Intn(1000))
		if bad > 0 && w.rnd.Intn(bad) == 0 {
			m = `"x"`
			rejected++
		}
		fmt.Fprintf(&b, `{"ts":%q,"host":"h%d","n":%d,"m":%s,"note":%q}`+"\n", at.Format(time.RFC3339Nano), w.rnd.Intn(9), i, m, strings.Repeat("y", w.rnd.Intn(60)))
		if b.Len() > 60<<10 {
			flush()
		}
	}
	flush()
	return rejected
}

func (w *world) scan(stream string, want []bool, within *spec.TimeRange, emit func(*batch.Batch) error) (job.ScanStats, error) {
	w.Helper()
	return w.db.Engine().ScanStream(context.Background(), &spec.StreamScan{StreamID: w.id(stream), Want: want, Within: within}, emit)
}

func nothing(*batch.Batch) error { return nil }

func hours(from, to int) *spec.TimeRange {
	at := func(h int) int64 { return begin.Add(time.Duration(h) * time.Hour).UnixMicro() }
	return &spec.TimeRange{Min: at(from), Max: at(to)}
}

const columns = "(ts TIMESTAMPTZ, host TEXT, n BIGINT, m BIGINT, note TEXT, WATERMARK FOR ts AS ts) WITH (retention = '30 days') FORMAT JSON"

// TestIndexIsUsed: a scan of some hours reads the blocks of those, before and after restarts and the loss of what was not synced;
// the first scan of a block decodes all columns, later ones those that are wanted.
func TestIndexIsUsed(t *testing.T) {
	w := open(t, 1)
	w.exec("CREATE STREAM s " + columns)
	w.load("s", 120_000, 0)
	whole, err := w.scan("s", nil, nil, nothing)
	if err != nil || whole.Skipped != 0 || whole.Full == 0 || whole.Narrow != 0 || whole.Bytes < 8<<20 {
		t.Fatalf("%+v %v", whole, err)
	}
	check := func(when string, want *spec.TimeRange) {
		t.Helper()
		st, err := w.scan("s", []bool{true, false, true, false, false}, want, nothing)
		if err != nil || st.Bytes+st.Skipped != whole.Bytes {
			t.Fatalf("%s: %+v of %+v: %v", when, st, whole, err)
		}
		t.Logf("%s: read %d of %d bytes", when, st.Bytes, whole.Bytes)
		if st.Bytes == 0 || st.Bytes > whole.Bytes/2 || st.Full != 0 || st.Narrow == 0 {
			t.Errorf("%s: %+v", when, st)
		}
	}
	check("at once", hours(2, 3))
	w.close()
	w.reopen()
	check("reopened", hours(2, 3))
	if st, err := w.scan("s", nil, hours(30, 40), nothing); err != nil || st.Bytes != 0 || st.Skipped != whole.Bytes {
		t.Errorf("times that nothing has: %+v %v", st, err)
	}
	w.close()
}

// TestIndexIsLearnt: after a crash that took the index, the next scan makes it again.
func TestIndexIsLearnt(t *testing.T) {
	w := open(t, 2)
	w.exec("CREATE STREAM s " + columns)
	w.load("s", 60_000, 0)
	w.disk = w.disk.Crash(nil)
	w.close()
	w.reopen()
	st, err := w.scan("s", []bool{true, false, false, false, false}, hours(30, 31), nothing)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.scan("s", []bool{true, false, false, false, false}, hours(30, 31), nothing)
	if err != nil || again.Bytes != 0 || again.Skipped == 0 {
		t.Errorf("first %+v, then %+v: %v", st, again, err)
	}
	w.close()
}

// TestBoundsChangeNothing: random bounds over disordered events, some of them broken, give what the same conditions give where
// they cannot be pushed down; count(*) agrees with what SELECT * gives.
func TestBoundsChangeNothing(t *testing.T) {
	for seed := range uint64(3) {
		w := open(t, seed+10)
		w.exec("CREATE STREAM s " + columns)
		w.exec(`CREATE STREAM g (at TEXT, ts TIMESTAMPTZ GENERATED ALWAYS AS (now()), n BIGINT, WATERMARK FOR ts AS ts) FORMAT JSON`)
		rejected := w.load("s", 25_000, 4000)
		for i := range 20 {
			w.exec(fmt.Sprintf("INSERT INTO g (at, n) VALUES ('a', %d), ('b', %d)", i, w.rnd.Intn(100)))
			w.clock.Step(time.Hour / 2)
		}
		if seed == 1 {
			w.disk = w.disk.Crash(w.rnd)
		}
		if seed > 0 {
			w.close()
			w.reopen()
		}
		if got := w.rows("SELECT count(*) FROM s"); got != fmt.Sprintf("[[%d]]", 25_000-rejected) || rejected == 0 {
			t.Errorf("count(*) is %s of 25000 - %d", got, rejected)
		}
		found := 0
		for range 40 {
			if w.compare() {
				found++
			}
		}
		if found < 10 {
			t.Errorf("only %d of the bounds had rows", found)
		}
		w.close()
	}
}

// compare asks with random bounds, once so that they reach the scan and once so that they do not.
func (w *world) compare() (rows bool) {
	w.Helper()
	at := func() string {
		switch w.rnd.Intn(8) {
		case 0:
			return fmt.Sprintf("now() - INTERVAL '%d minutes'", w.rnd.Intn(3000))
		case 1:
			return []string{"NULL::timestamptz", "'infinity'", "'-infinity'"}[w.rnd.Intn(3)]
		}
		return "'" + begin.Add(time.Duration(w.rnd.Int63n(int64(26*time.Hour)))).Format(time.RFC3339) + "'::timestamptz"
	}
	cmp := func() string { return []string{"<", "<=", ">", ">=", "="}[w.rnd.Intn(5)] }
	conds := []string{
		"ts BETWEEN " + at() + " AND " + at(),
		at() + " " + cmp() + " ts",
		"ts " + cmp() + " " + at() + " AND ts " + cmp() + " " + at(),
		"(ts > " + at() + " AND n % 3 = 1) AND " + at() + " > ts",
		"ts NOT BETWEEN " + at() + " AND " + at(),
		"ts < " + at() + " OR ts > " + at(),
	}
	cond := conds[w.rnd.Intn(len(conds))]
	hidden := regexp.MustCompile(`\bts\b`).ReplaceAllString(cond, "(ts + INTERVAL '0')")
	for _, from := range []string{"s", "g"} {
		sql := "SELECT count(*), sum(n), min(ts), max(ts) FROM " + from + " WHERE "
		a, b := w.rows(sql+cond), w.rows(sql+hidden)
		if a != b {
			w.Errorf("%s\n  %s\n  %s", sql+cond, a, b)
		}
		rows = rows || !strings.HasPrefix(a, "[[0 ")
	}
	return rows
}

// TestScanEnds: LIMIT ends a scan after the batch that has enough, a cancelled statement within a batch.
func TestScanEnds(t *testing.T) {
	w := open(t, 3)
	defer w.close()
	w.exec("CREATE STREAM s " + columns)
	w.load("s", 30_000, 0)
	st, err := w.scan("s", nil, nil, func(*batch.Batch) error { return op.ErrDone })
	if !errors.Is(err, op.ErrDone) || st.Full > 5 {
		t.Fatalf("%+v %v", st, err)
	}
	if got := w.rows("SELECT n FROM s LIMIT 2"); got != "[[0] [1]]" {
		t.Fatal(got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	st, err = w.db.Engine().ScanStream(ctx, &spec.StreamScan{StreamID: w.id("s")}, func(*batch.Batch) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) || st.Full > 5 {
		t.Fatalf("%+v %v", st, err)
	}
}

func (w *world) id(stream string) uint64 {
	w.Helper()
	id, err := w.db.StreamID(stream)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// TestRetentionDuringScan: what is dropped while a scan reads is passed over; what is kept is there, in order, once.
func TestRetentionDuringScan(t *testing.T) {
	w := &world{TB: t, disk: inproc.NewDisk(), clock: inproc.NewClock(begin)}
	db, err := inproc.Open(inproc.Options{Disk: w.disk, Clock: w.clock, Workers: 1, CheckpointEvery: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	w.db = db
	defer w.close()
	w.exec("CREATE STREAM s " + strings.Replace(columns, "'30 days'", "'1 hour'", 1))
	n, note := 0, strings.Repeat("z", 8<<10)
	fill := func(size int) {
		var b bytes.Buffer
		for b.Len() < size {
			fmt.Fprintf(&b, `{"ts":"2026-03-01T00:00:00Z","n":%d,"note":%q}`+"\n", n, note)
			n++
		}
		if _, err := w.db.Append("s", b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 * 20 { // three segments of 64 MiB
		fill(7 << 19)
	}
	before, last, gap, dropped := n, int64(-1), false, false
	_, err = w.scan("s", nil, nil, func(b *batch.Batch) error {
		if !dropped {
			dropped = true
			w.clock.Step(2 * time.Hour)
			for start := n; w.rows("SELECT min(n) FROM s") == "[[0]]"; fill(1) {
				if n > start+1000 {
					return errors.New("retention drops nothing")
				}
			}
		}
		for _, v := range b.Cols[2].I64[:b.N] {
			if v <= last {
				return fmt.Errorf("row %d after row %d", v, last)
			}
			gap = gap || v > last+1
			last = v
		}
		return nil
	})
	if err != nil || !gap && last != -1 && last == int64(before)-1 {
		t.Fatalf("%v; last row %d of %d, gap %v", err, last, before, gap)
	}
}

// damage flips a bit in the middle of the largest file of a stream's log.
func (w *world) damage(stream uint64) {
	w.Helper()
	dir := fmt.Sprintf("inproc/log/%d", stream)
	names, err := w.disk.FS.List(dir)
	if err != nil {
		w.Fatal(err)
	}
	var largest eventlog.File
	var most int64
	for _, name := range names {
		f, err := w.disk.FS.Open(filepath.Join(dir, name))
		if err != nil {
			w.Fatal(err)
		}
		if size, err := f.Size(); err != nil {
			w.Fatal(err)
		} else if size > most {
			largest, most = f, size
		}
	}
	if most < 100_000 {
		w.Fatalf("no large file in %s: %v", dir, names)
	}
	b := make([]byte, 1)
	if _, err := largest.ReadAt(b, most/2); err != nil {
		w.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := largest.WriteAt(b, most/2); err != nil {
		w.Fatal(err)
	}
}

// TestDamagedSegment: a damaged place of the log costs the rows behind it in its segment, is told of with its place, and stops nothing:
// what lies before it, what came after it and what comes is read.
func TestDamagedSegment(t *testing.T) {
	w := open(t, 7)
	w.exec("CREATE STREAM s " + columns)
	w.load("s", 20_000, 0)
	id := w.id("s")
	w.close()
	w.damage(id)
	w.reopen()
	rows := 0
	st, err := w.scan("s", nil, nil, func(b *batch.Batch) error { rows += b.N; return nil })
	if err != nil || len(st.Damaged) != 1 || rows == 0 || rows >= 20_000 {
		t.Fatalf("%d rows, damaged %v, %v", rows, st.Damaged, err)
	}
	if d := st.Damaged[0]; d.Segment == "" || d.Resume <= d.Offset {
		t.Fatalf("the place is %+v", d)
	}
	count := func(of string, want int) {
		t.Helper()
		if got := w.rows("SELECT count(*) FROM " + of); got != fmt.Sprintf("[[%d]]", want) {
			t.Fatalf("SELECT from %s gives %s, want %d", of, got, want)
		}
	}
	count("s", rows)
	w.load("s", 500, 0)
	count("s", rows+500)
	w.exec("CREATE CONTINUOUS QUERY q AS SELECT n FROM s")
	w.load("s", 300, 0)
	if err := w.db.Settle(); err != nil {
		t.Fatal(err)
	}
	count("s", rows+800)
	count("q", 300)
	w.close()
}
