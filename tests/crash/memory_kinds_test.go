package crash

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/harness"
)

var (
	kindsMB    = flag.Int("kinds-mb", 0, "TestResidentMemoryOfKinds: the budget, MB; 0: it does not run")
	kindsTimes = flag.Int("kinds-times", 10, "TestResidentMemoryOfKinds: how many times over it the keys are")
)

// memoryKinds are queries that hold something of every key, each in its own way, and about how many bytes: a key is a number, so that what
// operators have beside it is the most of it.
var memoryKinds = []struct {
	name, sql string
	bytes     int
}{
	{"TUMBLE", "SELECT k, count(*) AS c, sum(n) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day') HAVING count(*) > 9", 60},
	{"HOP", "SELECT k, count(*) AS c FROM s GROUP BY k, HOP(ts, INTERVAL '12 hours', INTERVAL '1 day') HAVING count(*) > 9", 80},
	{"GROUP BY", "SELECT k, count(*) AS c FROM s GROUP BY k HAVING count(*) > 9 EMIT EVERY INTERVAL '1 day'", 60},
	{"SESSION", "SELECT k, count(*) AS c FROM s GROUP BY k, SESSION(ts, INTERVAL '1 day') HAVING count(*) > 9", 90},
	{"SLIDE", "SELECT k, count(*) AS c FROM s GROUP BY k, SLIDE(ts, INTERVAL '1 day') HAVING count(*) > 9", 130},
	{"COUNT_WINDOW", "SELECT k, count(*) AS c FROM s GROUP BY k, COUNT_WINDOW(1000, 1000)", 60},
	{"FIRST_SEEN", "SELECT k FROM s WHERE FIRST_SEEN(k, INTERVAL '1 day') AND n < 0", 40},
	{"SUPPRESS", "SELECT ts, k FROM s WHERE n > 0 SUPPRESS FOR INTERVAL '1 day' BY (k)", 60},
	{"OVER", "SELECT k, sum(n) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM s", 130},
	{"MATCH_RECOGNIZE", "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES LAST(ts) AS e PATTERN (a (b | c)+ d) WITHIN INTERVAL '1 day' DEFINE a AS n >= 0, b AS n >= 0, c AS n >= 0, d AS n < 0) m", 200},
	{"SEQUENCE", "SEQUENCE BY k WITHIN INTERVAL '1 day' [s WHERE n >= 0] [s WHERE n < 0]", 130},
	{"JOIN", "SELECT l.k, l.n FROM s l JOIN s r ON l.k = r.k AND r.ts BETWEEN l.ts AND l.ts + INTERVAL '1 day' WHERE r.n < 0", 130},
	{"DISTINCT", "SELECT k, count(DISTINCT n) AS c FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day') HAVING count(*) > 9", 120},
	{"AS OF", "SELECT k, count(*) AS c FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 second'); SELECT s.k, m.c FROM s JOIN q0 FOR SYSTEM_TIME AS OF s.ts AS m ON m.k = s.k", 130},
	{"array_agg", "SELECT k, array_agg(n) AS c FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day') HAVING count(*) > 9", 120},
}

// TestResidentMemoryOfKinds: with keys many times over the budget each kind of query keeps the server within the budget and a quarter; what cannot leave
// memory takes the query out of service, with the reason, and no other.
func TestResidentMemoryOfKinds(t *testing.T) {
	if *kindsMB == 0 {
		t.Skip("takes minutes: -kinds-mb 128 has it run")
	}
	for _, kind := range memoryKinds {
		t.Run(kind.name, func(t *testing.T) { residentMemoryOfKind(t, kind.sql, *kindsMB<<20*(*kindsTimes)/kind.bytes) })
	}
}

func residentMemoryOfKind(t *testing.T, sql string, keys int) {
	p := harness.Start(t, t.TempDir(), "--memory", fmt.Sprintf("%dMB", *kindsMB), "--checkpoint-every", "4s")
	watch := watchResident(p.PID())
	c := p.Connect(t)
	harness.Exec(t, c, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k BIGINT, n BIGINT, WATERMARK FOR ts AS ts) WITH (retention_bytes = '64MB')",
		"CREATE CONTINUOUS QUERY other AS SELECT count(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1 day')")
	list := strings.Split(sql, "; ")
	for i, sql := range list[:len(list)-1] {
		harness.Exec(t, c, fmt.Sprintf("CREATE CONTINUOUS QUERY q%d AS %s", i, sql))
	}
	harness.Exec(t, c, "CREATE CONTINUOUS QUERY q AS "+list[len(list)-1])
	state := float64(0)
	const piece = 20_000
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sent := 0
	for ; sent < keys; sent += piece {
		var b bytes.Buffer
		for i := range piece {
			fmt.Fprintf(&b, `{"ts":%q,"k":%d,"n":1}`+"\n", start.Add(time.Duration(sent/piece)*time.Second).Format(time.RFC3339), sent+i)
		}
		postRows(t, p, b.Bytes())
		state = max(state, metric(t, p, "vigil_memory_state_bytes"))
		if sent%(piece*16) == 0 && !strings.HasPrefix(harness.Rows(t, c, "SELECT state FROM vigil.queries WHERE name = 'q'")[0], "running") {
			break
		}
	}
	rows := harness.Rows(t, c, "SELECT name || ' ' || state, coalesce(reason, '') FROM vigil.queries WHERE name IN ('q', 'other') ORDER BY name")
	most := watch.stop()
	t.Logf("%d keys of %d; state of %d MiB beside the Go heap, %d MiB resident at most, budget %d MiB: %q", sent, keys, int(state)>>20, most>>20, *kindsMB, rows)
	if most > int64(*kindsMB)<<20*5/4 {
		t.Errorf("%d MiB were in memory, the budget is %d MiB", most>>20, *kindsMB)
	}
	if rows[0] != "other running|" || rows[1] != "q running|" && !strings.Contains(rows[1], "memory of the server") {
		t.Errorf("states: %q", rows)
	}
}
