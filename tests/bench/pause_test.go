package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/storage/pebblekv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// pauseShapes are queries that hold something of every key, each in its own way.
var pauseShapes = []struct{ name, sql string }{
	{"TUMBLE", "SELECT k, count(*) AS c, sum(n) AS n FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '1 day')"},
	{"TUMBLE twice, shared", "SELECT k, count(*) AS c FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '1 day'); SELECT k, sum(n) AS n FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '1 day')"},
	{"HOP", "SELECT k, count(*) AS c FROM ev GROUP BY k, HOP(ts, INTERVAL '12 hours', INTERVAL '1 day')"},
	{"GROUP BY, EMIT EVERY", "SELECT k, count(*) AS c FROM ev GROUP BY k EMIT EVERY INTERVAL '1 day'"},
	{"SESSION", "SELECT k, count(*) AS c FROM ev GROUP BY k, SESSION(ts, INTERVAL '1 day')"},
	{"SLIDE", "SELECT k, count(*) AS c FROM ev GROUP BY k, SLIDE(ts, INTERVAL '1 day') HAVING count(*) > 100000"},
	{"COUNT_WINDOW", "SELECT k, count(*) AS c FROM ev GROUP BY k, COUNT_WINDOW(1000, 1000)"},
	{"FIRST_SEEN", "SELECT k FROM ev WHERE n < 0 AND FIRST_SEEN(k, INTERVAL '1 day') OR FIRST_SEEN(k, INTERVAL '1 day') AND n < 0"},
	{"SUPPRESS", "SELECT ts, k FROM ev SUPPRESS FOR INTERVAL '1 day' BY (k)"},
	{"OVER", "SELECT k, sum(n) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM ev"},
	{"MATCH_RECOGNIZE", "SELECT * FROM ev MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES LAST(ts) AS e PATTERN (a b+ d) WITHIN INTERVAL '1 day' DEFINE a AS n = 1, b AS n = 1, d AS n < 0) m"},
	{"JOIN", "SELECT l.k, l.n FROM ev l JOIN ev r ON l.k = r.k AND r.ts BETWEEN l.ts AND l.ts + INTERVAL '1 day' WHERE r.n < 0"},
	{"SEQUENCE", "SEQUENCE BY k WITHIN INTERVAL '1 day' [ev WHERE n = 1] [ev WHERE n < 0]"},
}

// benchKeys is the number of keys that VIGIL_BENCH_KEYS says, else one million.
func benchKeys(b *testing.B) int {
	s := os.Getenv("VIGIL_BENCH_KEYS")
	if s == "" {
		return 1_000_000
	}
	keys, err := strconv.Atoi(s)
	if err != nil || keys < 1 {
		b.Fatalf("VIGIL_BENCH_KEYS = %q: want a number of keys", s)
	}
	return keys
}

// pauseEvery is the time between checkpoints.
const pauseEvery = 5 * time.Second

// BenchmarkCheckpointPause prints for how long workers stand still for the checkpoints of a million keys (VIGIL_BENCH_KEYS says
// another number), all of which have changed, while events go on, and how long their threads work then, which does not depend on what else
// the machine does: first while the keys are made, then while they change; and what checkpoints write for an event. VIGIL_BENCH_SHAPE
// chooses the query by a part of its name.
func BenchmarkCheckpointPause(b *testing.B) {
	keys := benchKeys(b)
	fmt.Printf("%-22s %9s %10s %8s %10s %8s %10s %9s %11s\n", "", "keys", "load, ms", "CPU, ms", "pause, ms", "CPU, ms", "ahead", "cut, KiB", "bytes/event")
	for _, shape := range pauseShapes {
		if strings.Contains(shape.name, os.Getenv("VIGIL_BENCH_SHAPE")) {
			b.Run(strings.ReplaceAll(shape.name, " ", "_"), func(b *testing.B) {
				p := newPause(b, shape.sql)
				defer p.close()
				load := p.load(keys)
				before, ahead := p.db.Engine().Checkpoints(), p.db.Engine().CopiedAhead()
				events := p.change(keys)
				pause, cut, after := p.db.Engine().CheckpointPause(), p.db.Engine().CutBytes(), p.db.Engine().Checkpoints()
				b.ReportMetric(ms(pause.Wall), "ms-pause")
				fmt.Printf("%-22s %9d %10.1f %8.1f %10.1f %8.1f %10d %9d %11d\n", shape.name, keys, ms(load.Wall), ms(load.CPU), ms(pause.Wall), ms(pause.CPU),
					p.db.Engine().CopiedAhead()-ahead, cut>>10, (after.Bytes-before.Bytes)/int64(events))
			})
		}
	}
}

// pause is a query whose checkpoints are measured.
type pause struct {
	b  *testing.B
	f  *feed
	db *inproc.DB
	// disk and store are what it lies on.
	disk  *inproc.Disk
	store *pebblekv.Store
}

func newPause(b *testing.B, sql string) *pause {
	p := &pause{b: b, f: newFeed(), disk: inproc.NewDisk(), store: listed(b, 0)}
	var err error
	p.db, err = inproc.Open(inproc.Options{Disk: p.disk, Store: p.store, Clock: inproc.NewClock(rulesDay), Workers: 2,
		CheckpointEvery: pauseEvery, ThreadCPU: threadCPU, Connectors: []connector.Def{p.f.def()}})
	if err != nil {
		b.Fatal(err)
	}
	p.exec(`CREATE STREAM ev (ts TIMESTAMPTZ, k BIGINT, n BIGINT, WATERMARK FOR ts AS ts) WITH (connector = 'generator') FORMAT JSON`)
	for i, q := range strings.Split(sql, "; ") {
		p.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY q%d AS %s", i, q))
	}
	return p
}

func (p *pause) exec(sql string) {
	p.b.Helper()
	if err := p.db.Exec(sql); err != nil {
		p.b.Fatal(err)
	}
}

// send hands over events of the keys that next gives.
func (p *pause) send(n int, next func(i int) int) {
	var lines bytes.Buffer
	for i := range n {
		fmt.Fprintf(&lines, `{"ts":"2026-01-01T00:00:01Z","k":%d,"n":1}`+"\n", next(i))
	}
	p.f.in <- lines.Bytes()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// load makes all keys, and waits for a checkpoint of them; it returns for how long workers stood still for that.
func (p *pause) load(keys int) job.Pause {
	const piece = 50_000
	for from := 0; from < keys; from += piece {
		p.send(min(piece, keys-from), func(i int) int { return from + i })
	}
	if err := p.db.Settle(); err != nil {
		p.b.Fatal(err)
	}
	e := p.db.Engine()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for done := e.Checkpoints().Done; e.Checkpoints().Done == done; <-pace.C {
		p.send(1, func(int) int { return 0 })
	}
	e.CutBytes()
	return e.CheckpointPause()
}

// change changes some keys for the time of three checkpoints, and returns how many events that took; the pace leaves time for them.
func (p *pause) change(keys int) (events int) {
	rng := rand.New(rand.NewPCG(5, 6))
	const piece = 5_000
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for range 3 * pauseEvery / (50 * time.Millisecond) {
		p.send(piece, func(int) int { return rng.IntN(keys) })
		events += piece
		<-pace.C
	}
	return events
}

func (p *pause) close() {
	if err := p.db.Close(); err != nil {
		p.b.Fatal(err)
	}
}
