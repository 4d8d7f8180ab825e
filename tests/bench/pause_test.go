package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// BenchmarkCheckpointPause prints for how long workers stand still for the checkpoints of five million keys (VIGIL_BENCH_KEYS says
// another number), all of which have changed, while events go on.
func BenchmarkCheckpointPause(b *testing.B) {
	keys := 5_000_000
	if s := os.Getenv("VIGIL_BENCH_KEYS"); s != "" {
		var err error
		if keys, err = strconv.Atoi(s); err != nil {
			b.Fatal("VIGIL_BENCH_KEYS:", err)
		}
	}
	store := listed(b, 0)
	f := newFeed()
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Store: store, Clock: inproc.NewClock(rulesDay), Workers: 2,
		CheckpointEvery: 10 * time.Second, Connectors: []connector.Def{f.def()}})
	if err != nil {
		b.Fatal(err)
	}
	err = db.Exec(`CREATE STREAM ev (ts TIMESTAMPTZ, k BIGINT, n BIGINT, WATERMARK FOR ts AS ts) WITH (connector = 'generator') FORMAT JSON;
		CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS c, sum(n) AS n FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '1 day')`)
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	send := func(from, n int, next func(i int) int) {
		var lines bytes.Buffer
		for i := range n {
			fmt.Fprintf(&lines, `{"ts":"2026-01-01T00:00:01Z","k":%d,"n":1}`+"\n", next(from+i))
		}
		f.in <- lines.Bytes()
	}
	const piece = 50_000
	for i := 0; i < keys; i += piece {
		send(i, piece, func(i int) int { return i })
	}
	if err := db.Settle(); err != nil {
		b.Fatal(err)
	}
	db.Engine().CheckpointPause()
	copied := db.Engine().CopiedAhead()
	for range b.N {
		// Three checkpoints' time; the pace leaves time for them.
		pace := time.NewTicker(50 * time.Millisecond)
		for range 3 * 10 * 20 {
			send(0, piece/5, func(int) int { return rng.IntN(keys) })
			<-pace.C
		}
		pace.Stop()
	}
	b.ReportMetric(float64(db.Engine().CheckpointPause().Microseconds())/1000, "ms-pause")
	b.ReportMetric(float64(db.Engine().CopiedAhead()-copied), "copied-ahead")
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}
