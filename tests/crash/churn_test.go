package crash

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/harness"
)

// churn is a random change of the queries that read other queries, in statements that may be run twice.
func churn(rng *rand.Rand) []string {
	i := rng.Intn(3)
	switch rng.Intn(8) {
	case 0, 1:
		return []string{fmt.Sprintf(`CREATE OR REPLACE CONTINUOUS QUERY r%d AS SELECT k, sum(n)::bigint AS n FROM q GROUP BY k, TUMBLE(INTERVAL '%d seconds')`, i, 2+rng.Intn(4))}
	case 2:
		return []string{fmt.Sprintf(`DROP CONTINUOUS QUERY IF EXISTS r%d`, i)}
	case 3, 4:
		return []string{`CREATE CONTINUOUS QUERY IF NOT EXISTS c_a AS SELECT k, count(*) AS n FROM a GROUP BY k, TUMBLE(ts, INTERVAL '1 second')`,
			`CREATE CONTINUOUS QUERY IF NOT EXISTS c_b AS SELECT k, sum(n)::bigint AS n FROM c_a GROUP BY k, TUMBLE(INTERVAL '2 seconds')`,
			`CREATE CONTINUOUS QUERY IF NOT EXISTS c_c AS SELECT k, max(n) AS n FROM c_b GROUP BY k, TUMBLE(INTERVAL '4 seconds')`}
	case 5:
		return []string{`DROP CONTINUOUS QUERY IF EXISTS c_a CASCADE`}
	case 6:
		return []string{`CREATE OR REPLACE CONTINUOUS QUERY staged AS SELECT k, max(c) AS c FROM (SELECT k, n, count(*) AS c FROM a GROUP BY k, n, TUMBLE(ts, INTERVAL '1 second')) x GROUP BY k, TUMBLE(INTERVAL '3 seconds')`}
	}
	return []string{`CREATE OR REPLACE CONTINUOUS QUERY asof AS SELECT a.ts, a.k, q.n FROM a LEFT JOIN q FOR SYSTEM_TIME AS OF a.ts ON q.k = a.k`}
}

// TestChurnKilled creates, replaces and drops readers of queries while results are on their way to them, with kill -9 in
// between: what stays is exact, and so is what the last readers get from then on.
func TestChurnKilled(t *testing.T) {
	const pieces, perPiece, kills = 60, 100, 30
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	r := &timeRun{t: t, dir: t.TempDir(), rng: rng, kills: map[int]int{}, args: func() []string {
		return []string{"--workers", fmt.Sprint(1 + rng.Intn(3)), "--checkpoint-every", fmt.Sprint(2+rng.Intn(100), "ms")}
	}}
	r.start()
	harness.Exec(t, r.p.Connect(t), fmt.Sprintf(smallStream, "a"), `CREATE STREAM barrier (n INT) FORMAT JSON`,
		`CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS n FROM a GROUP BY k, TUMBLE(ts, INTERVAL '1 second')`,
		`CREATE CONTINUOUS QUERY s AS SELECT k, sum(n)::bigint AS n FROM q GROUP BY k, TUMBLE(INTERVAL '10 seconds')`)
	for len(r.kills) < kills {
		r.kills[rng.Intn(pieces*2)] = killDuring + rng.Intn(2)
	}
	start, n := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0
	send := func(piece int) {
		var b bytes.Buffer
		for range perPiece {
			fmt.Fprintf(&b, `{"ts":%q,"k":"k%d","n":%d}`+"\n", start.Add(time.Duration(n)*10*time.Millisecond).Format(time.RFC3339Nano), n%4, n%3)
			n++
		}
		r.post("a", fmt.Sprint("piece-", piece), b.Bytes())
	}
	for piece := range pieces {
		send(piece)
		r.statements(churn(rng)...)
	}
	r.settle()
	r.statements(`CREATE OR REPLACE CONTINUOUS QUERY r0 AS SELECT k, sum(n)::bigint AS n FROM q GROUP BY k, TUMBLE(INTERVAL '10 seconds')`,
		`DROP CONTINUOUS QUERY IF EXISTS c_a CASCADE`)
	r.p.Kill()
	r.start()
	for piece := range 21 {
		send(pieces + piece)
	}
	r.settle()
	c := r.p.Connect(t)
	// Of the pieces' seconds the last is open; r0 began with the result for the second that was open then.
	for sql, want := range map[string][]string{
		"SELECT k, n, count(*) FROM q GROUP BY k, n ORDER BY k":                                      {"k0|25|80", "k1|25|80", "k2|25|80", "k3|25|80"},
		"SELECT k, n, count(*) FROM s GROUP BY k, n ORDER BY k":                                      {"k0|250|8", "k1|250|8", "k2|250|8", "k3|250|8"},
		"SELECT k, min(n), max(n), count(*) FROM r0 GROUP BY k ORDER BY k":                           {"k0|25|250|3", "k1|25|250|3", "k2|25|250|3", "k3|25|250|3"},
		"SELECT count(*) FROM vigil.queries WHERE state <> 'running' OR name LIKE 'c!_%' ESCAPE '!'": {"0"},
	} {
		if got := harness.Rows(t, c, sql); !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", sql, got, want)
		}
	}
	if r.starts < kills/2 || !r.cut || !r.reran {
		t.Errorf("%d starts; one met a checkpoint and epochs after it: %v, one met epochs: %v", r.starts, r.cut, r.reran)
	}
}
