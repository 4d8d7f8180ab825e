package inproc_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// gatedStore is a store whose commits wait while the test holds the gate.
type gatedStore struct {
	kv.Store
	gate *sync.RWMutex
}

type gatedBatch struct {
	kv.Batch
	gate *sync.RWMutex
}

// NewBatch implements kv.Store.
func (s gatedStore) NewBatch() kv.Batch { return gatedBatch{s.Store.NewBatch(), s.gate} }

// Commit implements kv.Batch.
func (b gatedBatch) Commit(sync bool) error {
	b.gate.RLock()
	defer b.gate.RUnlock()
	return b.Batch.Commit(sync)
}

// gatedUDF is a function that gives what it is given, once the test lets it.
type gatedUDF struct{ gate *sync.RWMutex }

// Define implements job.UDF.
func (gatedUDF) Define(*spec.Function) error { return nil }

// Remove implements job.UDF.
func (gatedUDF) Remove(uint64) {}

// Call implements job.UDF.
func (f gatedUDF) Call(_ uint64, args []*batch.Vec, n int, out *batch.Vec, _ func(int, error)) error {
	f.gate.RLock()
	defer f.gate.RUnlock()
	for i := range n {
		out.AppendFrom(args[0], i)
	}
	return nil
}

// TestMetricsOfQueues: while one stage of the engine stands still, the queues before it fill to their bounds and no further, the rest waits in the event
// log, and /metrics says so to the item; then all of it is processed, once.
func TestMetricsOfQueues(t *testing.T) {
	const items = 45
	for _, c := range []struct {
		name, query string
		rows        int // of the query, in the end
		// What waits, of two workers, while the stage stands still.
		inbox, fronts, ordered, commits int
	}{
		// The sequencer waits with an epoch that it has ended.
		{"committer", "SELECT n FROM s", items, 4, 0, 0, 4},
		// Two fronts have an item each, the sequencer has one that is in order already, and the orderer waits for the first.
		{"fronts", "SELECT n FROM s WHERE hold(n) >= 0", items, 4, 4, 6, 0},
		// The orderer waits for a worker.
		{"workers", "SELECT n % 1 AS k, count(*) AS c FROM s GROUP BY n % 1, TUMBLE(ts, INTERVAL '1 second') HAVING hold(count(*)) > 0", items - 1, 4, 0, 8, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var gate sync.RWMutex
			o := inproc.Options{Disk: inproc.NewDisk(), CheckpointEvery: -1, EpochMax: time.Hour, UDF: gatedUDF{&gate}}
			if c.commits > 0 {
				o.EpochMax, o.UDF = time.Millisecond, gatedUDF{new(sync.RWMutex)}
				o.Store = gatedStore{o.Disk.KV, &gate}
			}
			db, _ := loaded(t, o)
			must(t, db, `CREATE FUNCTION hold(n BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$ return n $$`,
				`CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n BIGINT, t TEXT, WATERMARK FOR ts AS ts) FORMAT JSON`, `CREATE CONTINUOUS QUERY q AS `+c.query)
			var senders sync.WaitGroup
			gate.Lock()
			payload := func(i int) []byte {
				return fmt.Appendf(nil, `{"ts":"2026-03-01T12:00:%02dZ","n":%d,"t":"%s"}`+"\n", i, 10+i, strings.Repeat("x", 250<<10)) // an item of the queues
			}
			for i := range items {
				senders.Go(func() {
					if _, err := db.Append("s", payload(i)); err != nil {
						t.Error(err)
					}
				})
				// In this order: time goes on with each.
				until(t, func() string { return fmt.Sprint(scrape(t, db)) }, func() bool { return scrape(t, db)[`eventlog_bytes{stream="s"}`] >= (i+1)*len(payload(i)) })
			}
			want := map[string]int{`queue_items{queue="inbox"}`: c.inbox, `queue_items{queue="fronts"}`: c.fronts, `queue_items{queue="ordered"}`: c.ordered, `queue_items{queue="commits"}`: c.commits}
			until(t, func() string { return fmt.Sprint(want, scrape(t, db)) }, func() bool {
				m := scrape(t, db)
				for name, n := range want {
					if m[name] != n {
						return false
					}
				}
				return true
			})
			m := scrape(t, db)
			one := m[`eventlog_bytes{stream="s"}`] / items
			says(t, db, "full", map[string]int{`queue_max_items{queue="inbox"}`: 4, `queue_max_items{queue="fronts"}`: 4, `queue_max_items{queue="ordered"}`: 8, `queue_max_items{queue="commits"}`: 4,
				`queue_max_items{queue="changes"}`: 256, `queue_items{queue="changes"}`: 0, `stream_pending_bytes{stream="s"}`: one * (items - m[`stream_rows_total{stream="s"}`])})
			gate.Unlock()
			senders.Wait()
			if err := db.Settle(); err != nil {
				t.Fatal(err)
			}
			clear(want)
			for _, q := range []string{"inbox", "fronts", "ordered", "commits", "changes"} {
				want[`queue_items{queue="`+q+`"}`] = 0
			}
			want[`stream_pending_bytes{stream="s"}`], want[`stream_rows_total{stream="s"}`] = 0, items
			until(t, func() string { return fmt.Sprint(scrape(t, db)) }, func() bool { return scrape(t, db)[`queue_items{queue="commits"}`] == 0 })
			says(t, db, "in the end", want)
			if n := number(t, db, "SELECT count(*) FROM q"); n != c.rows {
				t.Errorf("the query has %d rows, want %d", n, c.rows)
			}
		})
	}
}

// TestMetricsOfAppendQueue: while the disk stands still no more waits to be written than may; other senders wait outside.
func TestMetricsOfAppendQueue(t *testing.T) {
	const senders, size, most = 12, 8 << 20, 64 << 20
	fs := &gatedFS{FS: eventlog.NewMemFS()}
	db, _ := loaded(t, inproc.Options{LogFS: fs, CheckpointEvery: -1})
	must(t, db, `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n BIGINT, WATERMARK FOR ts AS ts) FORMAT JSON`)
	payload := []byte(`{"ts":"2026-03-01T12:00:00Z","n":1}` + strings.Repeat(" ", size) + "\n")
	fs.mu.Lock()
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			if _, err := db.Append("s", payload); err != nil {
				t.Error(err)
			}
		})
	}
	// One is being written; of the others as many wait as fit.
	queued := func() int { return scrape(t, db)[`eventlog_queue_bytes{stream="s"}`] }
	until(t, func() string { return fmt.Sprint(queued()) }, func() bool { return queued() > most-size-size/8 })
	for range 100 {
		if n := queued(); n > most {
			t.Fatalf("%d bytes wait to be written", n)
		}
	}
	fs.mu.Unlock()
	all.Wait()
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	says(t, db, "in the end", map[string]int{`eventlog_queue_bytes{stream="s"}`: 0, `stream_rows_total{stream="s"}`: senders})
}
