package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// BenchmarkRecovery prints how long a server takes to load the state of two queries, each with a million keys (VIGIL_BENCH_KEYS says
// another number), from its last checkpoint on a disk.
func BenchmarkRecovery(b *testing.B) {
	keys := benchKeys(b)
	p := newPause(b, "SELECT k, count(*) AS c, sum(n) AS n FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '1 day'); SELECT ts, k FROM ev WHERE FIRST_SEEN(k, INTERVAL '1 day')")
	const piece = 50_000
	for from := 0; from < keys; from += piece {
		p.send(min(piece, keys-from), func(i int) int { return from + i })
	}
	p.close()
	b.ResetTimer()
	for range b.N {
		from := time.Now()
		db, err := inproc.Open(inproc.Options{Disk: p.disk, Store: p.store, Clock: inproc.NewClock(rulesDay), Workers: 2, CheckpointEvery: -1,
			Connectors: []connector.Def{newFeed().def()}})
		took := time.Since(from)
		if err != nil {
			b.Fatal(err)
		}
		fmt.Printf("state of 2 queries with %d keys each is loaded in %.2f s\n", keys, took.Seconds())
		b.ReportMetric(took.Seconds(), "s-load")
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
