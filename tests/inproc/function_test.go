package inproc

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// times is a pool whose functions multiply by the number that is their body; the argument 100 breaks a limit, 13 is an exception.
type times struct {
	mu   sync.Mutex
	list map[uint64]int64
}

// Define implements job.UDF.
func (p *times) Define(f *spec.Function) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.list == nil {
		p.list = map[uint64]int64{}
	}
	var by int64
	_, err := fmt.Sscan(f.Body, &by)
	p.list[f.ID] = by
	return err
}

// Remove implements job.UDF.
func (p *times) Remove(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.list, id)
}

// Call implements job.UDF.
func (p *times) Call(id uint64, args []*batch.Vec, n int, out *batch.Vec, rowErr func(int, error)) error {
	p.mu.Lock()
	by, ok := p.list[id]
	p.mu.Unlock()
	if !ok {
		return sqlerr.New(sqlerr.UndefinedFunction, "function %d is not defined", id)
	}
	for i := range n {
		switch x := args[0].I64[i]; x {
		case 100:
			return sqlerr.New(sqlerr.UDFTimeLimit, "function f used more than 1ms of CPU time").WithDetail("It happened in row %d of the batch.", i+1)
		case 13:
			rowErr(i, sqlerr.New(sqlerr.ExternalRoutineException, "Error: 13"))
			out.AppendNull()
		default:
			out.AppendInt(x * by)
		}
	}
	return nil
}

func (p *times) defined() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.list)
}

// functionQueries call f: alone, before a window, behind one, and through a view; canary does not.
var functionQueries = map[string]string{
	"plain":  "AS SELECT n, f(n) AS x FROM log",
	"before": "AS SELECT f(n % 7) AS k, count(*) AS c, sum(f(n)) AS s FROM log GROUP BY f(n % 7), TUMBLE(ts, INTERVAL '1 minute')",
	"behind": "AS SELECT n % 5 AS k, count(*) AS c FROM log WHERE n <> 100 GROUP BY n % 5, TUMBLE(ts, INTERVAL '1 minute') HAVING f(count(*)) > 0",
	"viewed": "AS SELECT x FROM double WHERE x > 10",
	"canary": "AS SELECT n % 5 AS k, count(*) AS c FROM log GROUP BY n % 5, TUMBLE(ts, INTERVAL '1 minute')",
}

func functionDB(t *testing.T, o Options) *DB {
	t.Helper()
	o.UDF = &times{}
	return costsDB(t, o)
}

func functionWorld(t *testing.T, db *DB) {
	t.Helper()
	mustExec(t, db, logStream, "CREATE FUNCTION f(n BIGINT) RETURNS BIGINT LANGUAGE javascript AS '2'",
		"CREATE VIEW double AS SELECT f(n) AS x FROM log WHERE n <> 100")
	for name, body := range functionQueries {
		mustExec(t, db, "CREATE CONTINUOUS QUERY "+name+" "+body)
	}
}

// sameResults compares all changelogs, and what is said of queries and functions, with a server that was not disturbed.
func sameResults(t *testing.T, what string, got, want *DB) {
	t.Helper()
	for name := range functionQueries {
		g, w := sorted(changelog(t, got, name)), sorted(changelog(t, want, name))
		if !slices.Equal(g, w) {
			t.Fatalf("%s: %s\n got %v\nwant %v", what, name, g, w)
		}
	}
	for _, sql := range []string{"SELECT name, state, reason FROM vigil.queries ORDER BY name", "SELECT name, state, reason, detail FROM vigil.functions",
		"SELECT query, what, code, reason, function FROM vigil.query_events WHERE what <> 'created' ORDER BY epoch, query, what",
		"SELECT query, code, raw FROM vigil.rejected ORDER BY epoch, query, raw"} {
		if g, w := flat(t, got, sql), flat(t, want, sql); g != w {
			t.Fatalf("%s: %s\n got %s\nwant %s", what, sql, g, w)
		}
	}
}

// TestFunctionDeactivated: a function that breaks a limit is out of service with all queries that call it; what they made before
// stands, an exception is one row's, and a query beside them loses nothing. Whenever the server crashes, it goes on as one that did not.
func TestFunctionDeactivated(t *testing.T) {
	for _, every := range []time.Duration{-1, time.Nanosecond} {
		disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		o := Options{Disk: disk, Clock: clock, Workers: 2, CheckpointEvery: every}
		db := functionDB(t, o)
		functionWorld(t, db)
		dbs := []*DB{db}
		crash := func(step int) {
			if len(dbs) > 3 {
				_ = dbs[1].Close()
				dbs = slices.Delete(dbs, 1, 2)
			}
			o.Disk, o.Workers = disk.Crash(nil), 1+step%3
			dbs = append(dbs, functionDB(t, o))
		}
		rows := 0
		appendAll := func(step, first, n int) {
			clock.Step(20 * time.Second)
			at := fmt.Sprintf("12:%02d:%02d", step/3, step%3*20)
			for i, d := range dbs {
				appendAt(t, d, at, first, n)
				if i > 0 {
					sameResults(t, fmt.Sprintf("checkpoints %v, step %d, crash %d", every, step, i), d, db)
				}
			}
			rows += n
		}
		all := func(sql string) {
			for _, d := range dbs {
				mustExec(t, d, sql)
			}
		}
		for step := range 12 {
			switch step {
			case 5:
				appendAll(step, 95, 10) // 100 is among them
				expect(t, db, states, "before deactivated, behind deactivated, canary running, plain deactivated, viewed deactivated")
				expect(t, db, "SELECT state, reason, detail, violations > 0 FROM vigil.functions",
					"deactivated function f used more than 1ms of CPU time It happened in row 6 of the batch. t")
			case 8:
				all("ALTER CONTINUOUS QUERY plain RESUME")
				expect(t, db, "SELECT state FROM vigil.functions", "running")
				all("RESUME CONTINUOUS QUERY before")
				appendAll(step, 10, 20)
			default:
				appendAll(step, step, 12)
			}
			crash(step)
		}
		expect(t, db, "SELECT count(*) FROM plain WHERE x IS DISTINCT FROM n * 2", "0")
		expect(t, db, "SELECT count(*) > 0 FROM vigil.rejected WHERE query = 'plain' AND code = '38000'", "t")
		if got := mustRows(t, db, "SELECT count(*) FROM log"); got[0][0] != fmt.Sprint(rows) {
			t.Errorf("the stream has %v rows, want %d", got, rows)
		}
		clock.Step(time.Hour)
		appendAt(t, db, "13:30:00", 1, 1)
		expect(t, db, "SELECT sum(c) FROM canary WHERE window_end < '2026-03-01 13:00:00Z'", fmt.Sprint(rows))
		for _, d := range dbs {
			_ = d.Close()
		}
	}
}

// TestFunctionReplaced: another definition counts from one place in the stream on, for all queries; epochs that run again after a crash meet
// the definition that they met.
func TestFunctionReplaced(t *testing.T) {
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	o := Options{Disk: disk, Clock: clock, Workers: 2}
	db := functionDB(t, o)
	functionWorld(t, db)
	want := 0
	for step := range 6 {
		mustExec(t, db, fmt.Sprintf("CREATE OR REPLACE FUNCTION f(n BIGINT) RETURNS BIGINT LANGUAGE javascript AS '%d'", step+1))
		appendAt(t, db, fmt.Sprintf("12:00:%02d", step), 1, 3)
		want += 6 * (step + 1)
	}
	if got := mustRows(t, db, "SELECT sum(x) FROM plain"); got[0][0] != fmt.Sprint(want) {
		t.Errorf("%v, want %d", got, want)
	}
	o.Disk, o.Workers = disk.Crash(nil), 1
	again := functionDB(t, o)
	if again.Rerun < 6 {
		t.Fatalf("%d epochs ran again", again.Rerun)
	}
	for _, d := range []*DB{db, again} {
		appendAt(t, d, "12:05:00", 1, 1)
		expect(t, d, "SELECT sum(s) FROM before", fmt.Sprint(want))
		_ = d.Close()
	}
	sum := disk.Crash(nil)
	o.Disk, o.UDF = sum, &times{}
	last := costsDB(t, o)
	defer last.Close()
	if n := o.UDF.(*times).defined(); n != 1 {
		t.Errorf("%d definitions are kept", n)
	}
}

// TestFunctionNotice: the connected owner is told, and nobody else.
func TestFunctionNotice(t *testing.T) {
	db := functionDB(t, Options{})
	defer db.Close()
	functionWorld(t, db)
	mustExec(t, db, "CREATE ROLE guest LOGIN PASSWORD 'x'", "GRANT EXECUTE ON FUNCTION f TO guest")
	other, err := db.Session().Connect(context.Background(), pgwire.ConnInfo{User: "other", Database: "vigil"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := runOn(other, "SET ROLE guest; SELECT f(100)"); sqlerr.CodeOf(err) != sqlerr.UDFTimeLimit {
		t.Fatal(err)
	}
	expect(t, db, "SELECT state, violations FROM vigil.functions", "running 1") // whoever may call it must not put the owner's queries out of service
	appendAt(t, db, "12:00:00", 100, 1)
	expect(t, db, "SELECT state FROM vigil.functions", "deactivated")
	var told []string
	for _, n := range db.conn.Notifications().Take() {
		told = append(told, n.Notice.Severity+" "+n.Notice.Err.Message)
	}
	slices.SortFunc(told, func(a, b string) int { return cmp.Compare(a, b) })
	if len(told) != 5 || !strings.HasPrefix(told[4], `NOTICE function "f" is deactivated: function f used more than`) || !strings.HasPrefix(told[0], `NOTICE continuous query "before" is deactivated`) {
		t.Errorf("%q", told)
	}
	if n, _ := other.Notifications().Size(); n != 0 {
		t.Errorf("guest was told %d things", n)
	}
}

// runOn runs statements on a connection.
func runOn(conn pgwire.Session, sql string) error {
	d := &DB{conn: conn}
	return d.Exec(sql)
}
