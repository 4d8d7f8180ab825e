package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/harness"
)

// churn is a random change of the queries that read other queries, in statements that may be run twice.
func churn(rng *rand.Rand) []string {
	i := rng.Intn(3)
	switch rng.Intn(14) {
	case 8, 9, 10: // what its rows say of k and n stays
		return []string{fmt.Sprintf(`ALTER CONTINUOUS QUERY alt AS SELECT k, count(*) AS n, %d AS v FROM a GROUP BY k, TUMBLE(ts, INTERVAL '1 second')`, rng.Intn(1000))}
	case 11:
		return []string{fmt.Sprintf(`CREATE OR REPLACE CONTINUOUS QUERY h%d WITH (start = 'earliest') AS SELECT k, count(*) AS n FROM a GROUP BY k, TUMBLE(ts, INTERVAL '1 second')`, i)}
	case 12:
		return []string{fmt.Sprintf(`CREATE CONTINUOUS QUERY IF NOT EXISTS h%d WITH (start = 'earliest') AS SELECT k, n FROM a WHERE n = 1`, i)}
	case 13:
		return []string{fmt.Sprintf(`DROP CONTINUOUS QUERY IF EXISTS h%d`, i)}
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

// TestChurnKilled creates, replaces, alters and drops queries, some of which begin with history, while results are on their way to those that read them, with kill -9 in
// between: what stays is exact, and so is what the last readers get from then on, and what sinks have carried out.
func TestChurnKilled(t *testing.T) {
	for kills := 0; kills < max(churnKills, *killsWanted) && !t.Failed(); kills += churnKills {
		churnKilled(t)
	}
}

const churnPieces, churnKills = 60, 30

// churnLoad sends pieces of events whose time goes on.
type churnLoad struct {
	*timeRun
	n int
}

func (l *churnLoad) send(piece int) {
	const perPiece = 100
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	for range perPiece {
		fmt.Fprintf(&b, `{"ts":%q,"k":"k%d","n":%d}`+"\n", start.Add(time.Duration(l.n)*10*time.Millisecond).Format(time.RFC3339Nano), l.n%4, l.n%3)
		l.n++
	}
	l.post("a", fmt.Sprint("piece-", piece), b.Bytes())
}

func churnKilled(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	r := &timeRun{t: t, dir: t.TempDir(), rng: rng, kills: map[int]int{}, args: func() []string {
		return []string{"--workers", fmt.Sprint(1 + rng.Intn(3)), "--checkpoint-every", fmt.Sprint(2+rng.Intn(100), "ms")}
	}}
	files := t.TempDir()
	r.start()
	harness.Exec(t, r.p.Connect(t), fmt.Sprintf(smallStream, "a"), `CREATE STREAM barrier (n INT) FORMAT JSON`,
		`CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS n FROM a GROUP BY k, TUMBLE(ts, INTERVAL '1 second')`,
		`CREATE CONTINUOUS QUERY alt AS SELECT k, count(*) AS n, 0 AS v FROM a GROUP BY k, TUMBLE(ts, INTERVAL '1 second')`,
		`CREATE CONTINUOUS QUERY s AS SELECT k, sum(n)::bigint AS n FROM q GROUP BY k, TUMBLE(INTERVAL '10 seconds')`,
		fmt.Sprintf(`CREATE SINK of_q FROM q WITH (connector = 'file', path = '%s/q.json', batch = 7)`, files),
		fmt.Sprintf(`CREATE SINK of_alt FROM alt WITH (connector = 'file', path = '%s/alt.json', batch = 50)`, files))
	for len(r.kills) < churnKills {
		r.kills[rng.Intn(churnPieces*2)] = killDuring + rng.Intn(2)
	}
	l := &churnLoad{timeRun: r}
	for piece := range churnPieces {
		l.send(piece)
		r.statements(churn(rng)...)
	}
	r.settle()
	r.statements(`CREATE OR REPLACE CONTINUOUS QUERY r0 AS SELECT k, sum(n)::bigint AS n FROM q GROUP BY k, TUMBLE(INTERVAL '10 seconds')`,
		`DROP CONTINUOUS QUERY IF EXISTS c_a CASCADE`,
		`CREATE OR REPLACE CONTINUOUS QUERY h0 WITH (start = 'earliest') AS SELECT k, count(*) AS n FROM a GROUP BY k, TUMBLE(ts, INTERVAL '1 second')`)
	r.p.Kill()
	r.start()
	for piece := range 21 {
		l.send(churnPieces + piece)
	}
	r.settle()
	l.compare(files)
	if r.starts < churnKills/2 || !r.cut || !r.reran {
		t.Errorf("%d starts; one met a checkpoint and epochs after it: %v, one met epochs: %v", r.starts, r.cut, r.reran)
	}
	r.p.Kill()
}

func (l *churnLoad) compare(files string) {
	t := l.t
	c := l.p.Connect(t)
	harness.WaitRows(t, c, "SELECT count(*) FROM vigil.queries WHERE state = 'backfilling'", func(rows []string) bool { return slices.Equal(rows, []string{"0"}) })
	harness.WaitRows(t, c, "SELECT sum(lag_rows) FROM vigil.sinks", func(rows []string) bool { return slices.Equal(rows, []string{"0"}) })
	perKey := []string{"k0|25|80", "k1|25|80", "k2|25|80", "k3|25|80"}
	// Of the pieces' seconds the last is open; r0 began with the result for the second that was open then.
	for sql, want := range map[string][]string{
		"SELECT k, n, count(*) FROM q GROUP BY k, n ORDER BY k":                                      perKey,
		"SELECT k, n, count(*) FROM alt GROUP BY k, n ORDER BY k":                                    perKey,
		"SELECT k, n, count(*) FROM h0 GROUP BY k, n ORDER BY k":                                     perKey,
		"SELECT k, n, count(*) FROM s GROUP BY k, n ORDER BY k":                                      {"k0|250|8", "k1|250|8", "k2|250|8", "k3|250|8"},
		"SELECT k, min(n), max(n), count(*) FROM r0 GROUP BY k ORDER BY k":                           {"k0|25|250|3", "k1|25|250|3", "k2|25|250|3", "k3|25|250|3"},
		"SELECT count(*) FROM vigil.queries WHERE state <> 'running' OR name LIKE 'c!_%' ESCAPE '!'": {"0"},
	} {
		if got := harness.Rows(t, c, sql); !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", sql, got, want)
		}
	}
	for _, q := range []string{"q", "alt"} {
		columns := map[string]string{"q": "k, n", "alt": "k, n, v"}[q]
		want := harness.Rows(t, c, "SELECT "+columns+" FROM "+q)
		got := carried(t, filepath.Join(files, q+".json"), strings.Split(columns, ", "))
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the sink of %s has carried out %d rows of %d: %q, want %q", q, len(got), len(want), got, want)
		}
	}
}

// carried are columns of the rows in a sink's file, which are numbered in order.
func carried(t *testing.T, path string, columns []string) (rows []string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var row map[string]any
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		if id := fmt.Sprint(row["_vigil_id"]); !strings.HasSuffix(id, fmt.Sprint(":", len(rows))) {
			t.Fatalf("%s: row %d has id %s", path, len(rows), id)
		}
		var words []string
		for _, c := range columns {
			words = append(words, fmt.Sprint(row[c]))
		}
		rows = append(rows, strings.Join(words, "|"))
	}
	return rows
}
