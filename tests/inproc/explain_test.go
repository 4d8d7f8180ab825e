package inproc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// explainedNode is an operator in EXPLAIN (FORMAT JSON).
type explainedNode struct {
	Type     string          `json:"Node Type"`
	Operator string          `json:"Operator"`
	In       int64           `json:"Rows In"`
	Out      int64           `json:"Rows Out"`
	Rate     float64         `json:"Rows Per Second"`
	Keys     int64           `json:"Keys"`
	State    int64           `json:"State Bytes"`
	Late     int64           `json:"Late Rows"`
	Plans    []explainedNode `json:"Plans"`
}

// explained is EXPLAIN (ANALYZE, FORMAT JSON) of a running query.
type explained struct {
	Plan    explainedNode
	Stages  []explainedNode
	Seconds float64 `json:"Counted Seconds"`
	Queries []struct {
		Name      string
		Changes   int64 `json:"Changes Out"`
		Late      int64 `json:"Late Rows"`
		Watermark *string
		Lag       *float64 `json:"Lag Seconds"`
		Inputs    []struct {
			Name      string
			Watermark *string
			Lag       *float64 `json:"Lag Seconds"`
			Silent    bool
			Rows      *int64 `json:"Rows Behind"`
			Bytes     *int64 `json:"Bytes Behind"`
		}
	}
}

func explain(t *testing.T, db *DB, query string) explained {
	t.Helper()
	rows, err := db.Rows("EXPLAIN (ANALYZE, FORMAT JSON) CONTINUOUS QUERY " + query)
	if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		t.Fatal(rows, err)
	}
	var list []explained
	if err := json.Unmarshal([]byte(rows[0][0]), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v\n%s", err, rows[0][0])
	}
	return list[0]
}

// chain lists a tree's operators from the root down its first inputs: name, rows in and out, keys, late rows.
func (n *explainedNode) chain() []string {
	name, _, _ := strings.Cut(n.Operator, " ")
	list := []string{fmt.Sprintf("%s %d %d keys %d late %d", name, n.In, n.Out, n.Keys, n.Late)}
	if len(n.Plans) > 0 {
		list = append(list, n.Plans[0].chain()...)
	}
	return list
}

func (n *explainedNode) find(prefix string) *explainedNode {
	if strings.HasPrefix(n.Operator, prefix) {
		return n
	}
	for i := range n.Plans {
		if m := n.Plans[i].find(prefix); m != nil {
			return m
		}
	}
	return nil
}

func want(t *testing.T, what string, got any, want string) {
	t.Helper()
	if g := fmt.Sprint(got); g != want {
		t.Errorf("%s: got\n%s\nwant\n%s", what, g, want)
	}
}

// TestExplainAnalyzeCounts feeds known rows and compares the rows of each operator, state, watermarks and lag exactly, by a
// clock that only the test moves; with one worker and with several the sums are the same.
func TestExplainAnalyzeCounts(t *testing.T) {
	for _, workers := range []int{1, 3} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			clock := NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			db, err := Open(Options{Disk: NewDisk(), Clock: clock, Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			exec := func(sql string) {
				t.Helper()
				if err := db.Exec(sql); err != nil {
					t.Fatal(sql, err)
				}
			}
			exec(`CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, n BIGINT, WATERMARK FOR ts AS ts - INTERVAL '2 seconds');
				CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS n FROM s WHERE n > 0 GROUP BY k, TUMBLE(ts, INTERVAL '10 seconds') HAVING count(*) > 1`)
			before := explain(t, db, "q")
			if before.Queries[0].Watermark != nil || before.Queries[0].Inputs[0].Lag != nil {
				t.Error("there is a watermark before the first row", before.Queries)
			}
			// Nine rows: one is filtered away, two windows close ([0,10) with a:2 b:1, [10,20) with a:1), c and d are open; the row at
			// 00:00:03 is late.
			exec(`INSERT INTO s VALUES ('2025-12-31 23:00:01Z', 'a', 1), ('2025-12-31 23:00:02Z', 'a', 1), ('2025-12-31 23:00:03Z', 'b', 1),
				('2025-12-31 23:00:04Z', 'b', 0), ('2025-12-31 23:00:12Z', 'a', 1), ('2025-12-31 23:00:32Z', 'c', 1), ('2025-12-31 23:00:33Z', 'd', 1)`)
			exec(`INSERT INTO s VALUES ('2025-12-31 23:00:03Z', 'b', 1), ('2025-12-31 23:00:34Z', 'c', 1)`)
			clock.Step(10 * time.Second)
			x := explain(t, db, "q")
			want(t, "operators", strings.Join(x.Plan.chain(), "\n"), `Result 1 1 keys 0 late 0
Project 1 1 keys 0 late 0
Filter 0 0 keys 0 late 0
WindowAgg 8 1 keys 2 late 1
Exchange 8 8 keys 0 late 0
Filter 9 8 keys 0 late 0
StreamScan 0 9 keys 0 late 0`)
			q := x.Queries[0]
			want(t, "query", fmt.Sprint(q.Name, q.Changes, q.Late, *q.Watermark, *q.Lag), fmt.Sprint("q", 1, 1, "2025-12-31 23:00:32+00", 3578))
			in := q.Inputs[0]
			want(t, "input", fmt.Sprint(in.Name, *in.Watermark, *in.Lag, in.Silent, *in.Bytes), fmt.Sprint("s", "2025-12-31 23:00:32+00", 3578, false, 0))
			if agg := x.Plan.find("WindowAgg"); agg.State <= 0 {
				t.Error("no state", agg)
			}
			want(t, "seconds", x.Seconds, "10")
			want(t, "rate", x.Plan.find("StreamScan").Rate, "0.9")
		})
	}
}

// TestExplainAnalyzeStages: a query over a query, and one cut into stages, count each part by itself; results are inputs.
func TestExplainAnalyzeStages(t *testing.T) {
	clock := NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	disk := NewDisk()
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
	exec(`CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, x TEXT, n BIGINT, WATERMARK FOR ts AS ts);
		CREATE CONTINUOUS QUERY staged AS SELECT k, sum(n) AS n FROM (SELECT k, x, sum(n) AS n FROM s GROUP BY k, x, TUMBLE(ts, INTERVAL '5 seconds')) z
			GROUP BY k, TUMBLE(INTERVAL '1 minute');
		CREATE CONTINUOUS QUERY flat AS SELECT ts, k FROM s WHERE n = 2;
		INSERT INTO s VALUES ('2025-12-31 10:00:01Z', 'a', 'x', 1), ('2025-12-31 10:00:02Z', 'a', 'y', 2), ('2025-12-31 10:00:03Z', 'a', 'y', 3),
			('2025-12-31 10:00:06Z', 'b', 'x', 2), ('2025-12-31 10:01:00Z', 'b', 'x', 9)`)
	x := explain(t, db, "staged")
	want(t, "upper part", strings.Join(x.Plan.chain(), "\n"), `Result 2 2 keys 0 late 0
Project 2 2 keys 0 late 0
WindowAgg 3 2 keys 0 late 0
Exchange 3 3 keys 0 late 0
ResultScan 0 3 keys 0 late 0`)
	want(t, "stage", strings.Join(x.Stages[0].chain(), "\n"), `Result 3 3 keys 0 late 0
Project 3 3 keys 0 late 0
Project 3 3 keys 0 late 0
WindowAgg 5 3 keys 1 late 0
Exchange 5 5 keys 0 late 0
StreamScan 0 5 keys 0 late 0`)
	if len(x.Queries) != 2 || x.Queries[0].Name != "staged$1" || x.Queries[1].Inputs[0].Rows == nil || *x.Queries[1].Inputs[0].Rows != 0 {
		t.Errorf("parts: %+v", x.Queries)
	}
	x = explain(t, db, "flat")
	want(t, "without keys", strings.Join(x.Plan.chain(), "\n"), `Result 2 2 keys 0 late 0
Project 2 2 keys 0 late 0
Filter 5 2 keys 0 late 0
StreamScan 0 5 keys 0 late 0`)
	want(t, "watermark", *x.Queries[0].Watermark, "2025-12-31 10:01:00+00")

	// Counting begins anew with the server.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	clock.Step(time.Minute)
	if db, err = Open(Options{Disk: disk, Clock: clock, Workers: 2}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec(`INSERT INTO s VALUES ('2025-12-31 10:01:01Z', 'b', 'x', 2)`)
	x = explain(t, db, "flat")
	want(t, "after a restart", strings.Join(x.Plan.chain(), "\n"), `Result 1 1 keys 0 late 0
Project 1 1 keys 0 late 0
Filter 1 1 keys 0 late 0
StreamScan 0 1 keys 0 late 0`)
	want(t, "seconds after a restart", x.Seconds, "0")
}

// TestExplainAnalyzeOfNothing: what does not run says so.
func TestExplainAnalyzeOfNothing(t *testing.T) {
	db, err := Open(Options{Disk: NewDisk(), Clock: NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Rows("EXPLAIN ANALYZE CONTINUOUS QUERY q"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Error(err)
	}
}

// TestExplainAnalyzeWhileRunning looks at a query again and again while rows come; under the race detector it shows that
// nobody reads what another writes. Counts never go back, and what passed the filter never exceeds what came to it.
func TestExplainAnalyzeWhileRunning(t *testing.T) {
	clock := NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	db, err := Open(Options{Disk: NewDisk(), Clock: clock, Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Exec(`CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, n BIGINT, WATERMARK FOR ts AS ts);
		CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS n FROM s WHERE n > 0 GROUP BY k, TUMBLE(ts, INTERVAL '1 second')`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	const appends = 200
	go func() {
		var err error
		for i := 0; i < appends && err == nil; i++ {
			_, err = db.Append("s", fmt.Appendf(nil, "{\"ts\":\"2025-12-31T10:%02d:%02dZ\",\"k\":\"k%d\",\"n\":%d}\n", i/60, i%60, i%7, i%2))
		}
		done <- err
	}()
	last, looks := int64(0), 0
	for running := true; running; looks++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		x := explain(t, db, "q")
		f, scan := x.Plan.find("Filter"), x.Plan.find("StreamScan")
		if f.In != scan.Out || f.Out > f.In || f.In < last {
			t.Fatalf("scan %+v filter %+v after %d", scan, f, last)
		}
		last = f.In
	}
	if last != appends {
		t.Errorf("%d rows in the end, after %d looks", last, looks)
	}
}
