package rules

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/bind"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/tests/inproc"
	"github.com/vigil-sql/vigil/tests/need"
)

func load(t *testing.T) *Set {
	t.Helper()
	s, err := Load(need.Shared(t, "data/rules/sigma-sql"))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rules) < 3800 || len(s.Foreign) > 20 {
		t.Fatalf("%d rules, %d in a foreign dialect", len(s.Rules), len(s.Foreign))
	}
	return s
}

// world is a catalogue with the rules' stream.
func world(t *testing.T, s *Set) *bind.Env {
	env := &bind.Env{Catalog: catalog.New(), Now: 1, TimeZone: time.UTC, Database: "vigil"}
	stream, err := planner.Stream(env, statement(t, s.Stream("logs", "")).(*parse.CreateStream), 1)
	if err != nil {
		t.Fatal(err)
	}
	cat := env.Catalog.(*catalog.Catalog)
	if err := cat.Put(stream); err != nil {
		t.Fatal(err)
	}
	return env
}

func statement(t *testing.T, sql string) parse.Statement {
	list, err := parse.Parse(sql)
	if err != nil || len(list) != 1 {
		t.Fatalf("%.200s: %v", sql, err)
	}
	return list[0].Stmt
}

// cpu is the time that this process has computed.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The bounds of TestTenThousand: what it costs to parse a rule, in times of the reference (reading its tokens once), and what
// it costs to plan it, in times of parsing it.
const (
	rules        = 10_000
	parseRatio   = 250
	planRatio    = 4.0
	longestBytes = 256 << 20
)

// TestTenThousand parses and plans ten thousand rules. The long ones count: they are what is quadratic if anything is.
func TestTenThousand(t *testing.T) {
	s := load(t)
	env := world(t, s)
	texts := make([]string, rules)
	bytes := 0
	for i := range texts {
		texts[i] = s.Query("logs", "*", i)
		bytes += len(texts[i])
	}
	start := cpu()
	tokens := 0
	for range 10 {
		for _, sql := range texts {
			for ; sql != ""; tokens++ {
				sql = sql[tokenLen(sql):]
			}
		}
	}
	reference := (cpu() - start) / 10
	var parsing, planning time.Duration
	for i, sql := range texts {
		start := cpu()
		q := statement(t, sql).(*parse.CreateQuery)
		parsed := cpu()
		if _, err := planner.Continuous(env, q, uint64(i+2)); err != nil {
			t.Errorf("%s: %v\n%.300s", s.Rules[i%len(s.Rules)].ID, err, sql)
		}
		parsing += parsed - start
		planning += cpu() - parsed
	}
	t.Logf("%d rules, %.1f MB: tokens read in %v; parsed in %v (%.1f times that), planned in %v (%.2f times that); %v in all", rules,
		float64(bytes)/1e6, reference, parsing, float64(parsing)/float64(reference), planning, float64(planning)/float64(parsing), parsing+planning)
	if parsing > parseRatio*reference {
		t.Errorf("parsing takes %v, the bound is %v", parsing, parseRatio*reference)
	}
	if float64(planning) > planRatio*float64(parsing) {
		t.Errorf("planning takes %v, the bound is %.1f times parsing", planning, planRatio)
	}
}

// TestCreate creates rules through the server, one by one and many in one message, and prints what that takes.
func TestCreate(t *testing.T) {
	s := load(t)
	for _, together := range []int{1, 100} {
		db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Clock: inproc.NewClock(time.Unix(1, 0))})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Exec(s.Stream("logs", "")); err != nil {
			t.Fatal(err)
		}
		start, wall := cpu(), time.Now()
		const n = 1000
		for i := 0; i < n; i += together {
			list := make([]string, together)
			for j := range list {
				list[j] = s.Query("logs", "*", i+j)
			}
			if err := db.Exec(strings.Join(list, ";")); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d rules created, %d at a time: %v of the clock, %v computed", n, together, time.Since(wall), cpu()-start)
		if rows, err := db.Rows("SELECT count(*) FROM vigil.queries"); err != nil || rows[0][0] != "1000" {
			t.Fatal(rows, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLongest: the longest rule plans within bounds of memory, and so does the same rule made many times as long.
func TestLongest(t *testing.T) {
	s := load(t)
	env := world(t, s)
	longest := 0
	for i := range s.Rules {
		if len(s.Rules[i].Where) > len(s.Rules[longest].Where) {
			longest = i
		}
	}
	sql := s.Query("logs", "*", longest)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpu()
	if _, err := planner.Continuous(env, statement(t, sql).(*parse.CreateQuery), 2); err != nil {
		t.Fatal(err)
	}
	took := cpu() - start
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d characters: %d bytes allocated, %v", len(sql), allocated, took)
	if allocated > longestBytes {
		t.Errorf("%d bytes allocated, the bound is %d", allocated, int64(longestBytes))
	}
}
