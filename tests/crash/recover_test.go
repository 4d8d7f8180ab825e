package crash

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// world is a server in this process that is stopped and started on its disk.
type world struct {
	t       *testing.T
	disk    *inproc.Disk
	clock   *inproc.Clock
	db      *inproc.DB
	workers int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, disk: inproc.NewDisk(), clock: inproc.NewClock(time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)), workers: 2}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	// Checkpoints come with the end of a server only.
	w.db, err = inproc.Open(inproc.Options{Disk: w.disk, Clock: w.clock, Workers: w.workers, EpochMin: time.Millisecond, CheckpointEvery: time.Hour})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.db.Close() }) // it may be closed already
}

// restart stops in order, with a checkpoint.
func (w *world) restart() {
	w.t.Helper()
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.workers = 1 + w.workers%3
	w.open()
}

// crash loses all that was not synced.
func (w *world) crash() {
	w.t.Helper()
	disk := w.disk.Crash(nil)
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.disk = disk
	w.workers = 1 + w.workers%3
	w.open()
}

func (w *world) exec(list ...string) {
	w.t.Helper()
	for _, sql := range list {
		if err := w.db.Exec(sql); err != nil {
			w.t.Fatalf("%s\n%v", sql, err)
		}
	}
}

// rows are sorted text.
func (w *world) rows(sql string) []string {
	w.t.Helper()
	list, err := w.db.Rows(sql)
	if err != nil {
		w.t.Fatalf("%s\n%v", sql, err)
	}
	out := []string{}
	for _, row := range list {
		out = append(out, strings.Join(row, "|"))
	}
	slices.Sort(out)
	return out
}

func (w *world) expect(sql string, want ...string) {
	w.t.Helper()
	if got := w.rows(sql); !slices.Equal(got, want) {
		w.t.Errorf("%s\n got %q\nwant %q", sql, got, want)
	}
}

const smallStream = `CREATE STREAM %s (ts TIMESTAMPTZ NOT NULL, k TEXT, n BIGINT, WATERMARK FOR ts AS ts IDLE AFTER INTERVAL '1 day') FORMAT JSON`

// TestReaderBeginsWithNextRows: a query over a query's result gets what comes after it was created, also when the server
// ends before that.
func TestReaderBeginsWithNextRows(t *testing.T) {
	for _, again := range []func(w *world){(*world).restart, (*world).crash, func(w *world) { w.crash(); w.restart(); w.restart() }} {
		w := newWorld(t)
		w.exec(fmt.Sprintf(smallStream, "a"),
			`CREATE CONTINUOUS QUERY q AS SELECT k, sum(n)::bigint AS n FROM a GROUP BY k, TUMBLE(ts, INTERVAL '1 second')`,
			`INSERT INTO a VALUES ('2026-03-01 12:00:00Z', 'x', 1), ('2026-03-01 12:00:01Z', 'x', 2), ('2026-03-01 12:00:02Z', 'x', 4)`,
			`CREATE CONTINUOUS QUERY r AS SELECT k, sum(n) AS n FROM q GROUP BY k, TUMBLE(INTERVAL '1 minute')`)
		again(w)
		w.exec(`CREATE OR REPLACE CONTINUOUS QUERY r AS SELECT k, sum(n) AS n, count(*) AS c FROM q GROUP BY k, TUMBLE(INTERVAL '1 minute')`)
		again(w)
		w.exec(`INSERT INTO a VALUES ('2026-03-01 12:00:03Z', 'x', 8), ('2026-03-01 12:01:10Z', 'x', 16)`)
		w.expect(`SELECT k, n, c FROM r`, "x|12|2")
		again(w)
		w.expect(`SELECT k, n FROM q`, "x|1", "x|2", "x|4", "x|8")
	}
}

// TestTimeOfQuietStream: a join that was created after the last checkpoint has, when its epochs run again, the time of a stream of
// which nothing came since.
func TestTimeOfQuietStream(t *testing.T) {
	w := newWorld(t)
	w.exec(fmt.Sprintf(smallStream, "a"), fmt.Sprintf(smallStream, "b"), `CREATE CONTINUOUS QUERY other AS SELECT k FROM b`,
		`INSERT INTO b VALUES ('2026-03-01 13:00:00Z', 'y', 1)`)
	w.restart()
	w.exec(`CREATE CONTINUOUS QUERY j AS SELECT a.k, b.n FROM a LEFT JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '1 second'`,
		`INSERT INTO a VALUES ('2026-03-01 12:00:00Z', 'x', 1)`, `INSERT INTO a VALUES ('2026-03-01 12:01:00Z', 'x', 2)`)
	w.expect(`SELECT k, n FROM j`, "x|NULL")
	w.crash()
	if w.db.Rerun == 0 {
		t.Error("no epochs were run again")
	}
	w.exec(`INSERT INTO b VALUES ('2026-03-01 13:00:01Z', 'y', 1)`)
	w.expect(`SELECT k, n FROM j`, "x|NULL")
	w.exec(`INSERT INTO a VALUES ('2026-03-01 12:02:00Z', 'x', 3)`)
	w.expect(`SELECT k, n FROM j`, "x|NULL", "x|NULL")
}

// TestJoinSurvivesTwoRestarts: what waits for a partner is in the checkpoint of a server that did nothing else.
func TestJoinSurvivesTwoRestarts(t *testing.T) {
	w := newWorld(t)
	w.exec(fmt.Sprintf(smallStream, "a"), fmt.Sprintf(smallStream, "b"),
		`CREATE CONTINUOUS QUERY j AS SELECT a.k, b.n FROM a LEFT JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '1 minute'`,
		`INSERT INTO a VALUES ('2026-03-01 12:00:00Z', 'x', 1), ('2026-03-01 12:00:00Z', 'y', 1), ('2026-03-01 12:00:00Z', 'z', 1)`)
	w.restart()
	w.restart()
	w.exec(`INSERT INTO b VALUES ('2026-03-01 12:00:10Z', 'x', 7), ('2026-03-01 12:05:00Z', 'q', 7)`, `INSERT INTO a VALUES ('2026-03-01 12:05:00Z', 'w', 1)`)
	w.expect(`SELECT k, n FROM j`, "x|7", "y|NULL", "z|NULL")
}

// TestResultsOfDroppedQueryGo: results that a server could not remove any more are removed by the next one.
func TestResultsOfDroppedQueryGo(t *testing.T) {
	w := newWorld(t)
	w.exec(fmt.Sprintf(smallStream, "a"), `CREATE CONTINUOUS QUERY q AS SELECT k FROM a`,
		`CREATE CONTINUOUS QUERY keep AS SELECT k, count(*) AS n FROM (SELECT k, n, count(*) AS m FROM a GROUP BY k, n, TUMBLE(ts, INTERVAL '1 second')) x GROUP BY k, TUMBLE(INTERVAL '1 minute')`,
		`INSERT INTO a VALUES ('2026-03-01 12:00:00Z', 'x', 1), ('2026-03-01 12:02:00Z', 'x', 1)`, `DROP CONTINUOUS QUERY q`)
	w.crash()
	if ids := w.db.Engine().Results().Queries(); len(ids) != 2 {
		t.Errorf("results are kept of %v, want the query and its stage", ids)
	}
	w.expect(`SELECT k, n FROM keep`, "x|1")
}

// TestStageResultsAreTrimmed: what a stage handed on goes with the checkpoint that says so, unless recovery may need it.
func TestStageResultsAreTrimmed(t *testing.T) {
	w := newWorld(t)
	w.exec(fmt.Sprintf(smallStream, "a"),
		`CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS n FROM (SELECT k, n, count(*) AS m FROM a GROUP BY k, n, TUMBLE(ts, INTERVAL '1 second')) x GROUP BY k, TUMBLE(INTERVAL '1 minute')`)
	for i := range 100 {
		w.exec(fmt.Sprintf(`INSERT INTO a VALUES ('2026-03-01 12:00:00Z'::timestamptz + INTERVAL '%d seconds', 'x', %d)`, i, i))
	}
	stage := func() (id uint64, kept int64) {
		res := w.db.Engine().Results()
		for _, id = range res.Queries() {
			if n := res.Next(id); n > 50 {
				return id, n - res.Oldest(id)
			}
		}
		t.Fatal("no results of a stage")
		return 0, 0
	}
	id, before := stage()
	w.crash() // without a checkpoint all of it is needed
	w.restart()
	res := w.db.Engine().Results()
	if kept := res.Next(id) - res.Oldest(id); before < 90 || kept > 2 {
		t.Errorf("%d results of a stage are kept, %d before the checkpoint", kept, before)
	}
	w.crash()
	w.exec(`INSERT INTO a VALUES ('2026-03-01 12:03:00Z', 'x', 1)`)
	w.expect(`SELECT k, n FROM q`, "x|40", "x|60")
}

// TestResumeForgets: a query that went out of service and is resumed begins anew, also when its old state was still in the
// checkpoint from which the server started.
func TestResumeForgets(t *testing.T) {
	dir := t.TempDir()
	never := []string{"--checkpoint-every", "1h"}
	p := harness.Start(t, dir, never...)
	harness.Exec(t, p.Connect(t), fmt.Sprintf(smallStream, "a"),
		`CREATE FUNCTION weigh(s TEXT) RETURNS INT LANGUAGE javascript AS $$ if (s === 'boom') for (;;); return s.length $$ WITH (timeout = '20ms')`,
		`CREATE CONTINUOUS QUERY q AS SELECT weigh(k) AS w, count(*) AS n FROM a GROUP BY weigh(k), TUMBLE(ts, INTERVAL '1 minute')`,
		`CREATE CONTINUOUS QUERY r AS SELECT w, sum(n) AS n FROM q GROUP BY w, TUMBLE(INTERVAL '1 hour')`,
		`INSERT INTO a VALUES ('2026-03-01 11:59:00Z', 'abcd', 1), ('2026-03-01 12:00:00Z', 'x', 1), ('2026-03-01 12:00:00Z', 'yy', 1)`)
	p.Stop(t)
	p = harness.Start(t, dir, never...)
	c := p.Connect(t)
	harness.Exec(t, c, `INSERT INTO a VALUES ('2026-03-01 12:00:01Z', 'boom', 1)`)
	harness.WaitRows(t, c, "SELECT state FROM vigil.queries WHERE name = 'q'", func(rows []string) bool { return slices.Equal(rows, []string{"deactivated"}) })
	p.Kill()
	p = harness.Start(t, dir, never...)
	harness.Exec(t, p.Connect(t), `RESUME CONTINUOUS QUERY q`, `INSERT INTO a VALUES ('2026-03-01 12:00:02Z', 'zzz', 1)`)
	p.Stop(t)
	p = harness.Start(t, dir, never...)
	c = p.Connect(t)
	harness.Exec(t, c, `INSERT INTO a VALUES ('2026-03-01 13:02:00Z', 'end', 1), ('2026-03-01 14:02:00Z', 'end', 1)`)
	rows := harness.Rows(t, c, "SELECT w, n FROM q")
	slices.Sort(rows)
	if want := []string{"3|1", "3|1", "4|1"}; !slices.Equal(rows, want) {
		t.Errorf("got %q, want %q", rows, want)
	}
	harness.WaitRows(t, c, "SELECT w, n FROM r", func(rows []string) bool {
		slices.Sort(rows)
		return slices.Equal(rows, []string{"3|1", "3|1", "4|1"})
	})
	_ = c.Close(context.Background()) // the server is stopped next
	if code := p.Stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.Log())
	}
}
