package inproc

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// broker keeps a topic of partitions for connector kafka: a source of a stream that can be read again. It outlives the servers.
type broker struct {
	mu    sync.Mutex
	parts [][]record
	// base is the first offset of each partition that is left.
	base []int64
	more chan struct{} // closed when there is more
	// atEnd: a stream begins behind what is there. reads counts ReadRange.
	atEnd bool
	reads int
	// asked, if it is there, is closed by a ReadRange, which then waits as for a broker that does not answer.
	asked chan struct{}
	// held, if it is there, is what a ReadRange waits for.
	held chan struct{}
}

type record struct {
	line    string
	arrival types.EventTime
}

func newBroker(parts int) *broker {
	return &broker{parts: make([][]record, parts), base: make([]int64, parts), more: make(chan struct{})}
}

func (b *broker) def() connector.Def {
	return connector.Def{Name: "kafka", New: func(connector.Options) (connector.Source, error) { return &consumer{b: b}, nil }}
}

func (b *broker) send(part int, line string, arrival types.EventTime) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parts[part] = append(b.parts[part], record{line, arrival})
	close(b.more)
	b.more = make(chan struct{})
}

// forget removes what is before an offset of a partition.
func (b *broker) forget(part int, before int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.base[part] = max(b.base[part], before)
}

// consumer is a Source over the broker.
type consumer struct {
	b    *broker
	next connector.Offsets
}

var _ connector.Historian = (*consumer)(nil)

func (c *consumer) Open(_ context.Context, from connector.Offsets) error {
	c.next = connector.Offsets{}
	for p, at := range from {
		c.next[p] = at
	}
	return nil
}

func (c *consumer) Poll(ctx context.Context, dst []connector.Payload, _ int) ([]connector.Payload, error) {
	for {
		c.b.mu.Lock()
		more := c.b.more
		for p := range c.b.parts { // before any rows: those of one partition must not make another's late
			n := int32(p)
			if _, known := c.next[n]; !known {
				if c.next[n] = c.b.base[p]; c.b.atEnd {
					c.next[n] = int64(len(c.b.parts[p]))
				}
				dst = append(dst, connector.Payload{Split: n, From: c.next[n], To: c.next[n]})
			}
		}
		for p := range c.b.parts {
			n := int32(p)
			if end := int64(len(c.b.parts[p])); c.next[n] < end {
				dst = append(dst, c.b.payload(n, c.next[n], end))
				c.next[n] = end
			}
		}
		c.b.mu.Unlock()
		if len(dst) > 0 {
			return dst, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
}

func (b *broker) payload(part int32, from, to int64) connector.Payload {
	var buf bytes.Buffer
	for _, r := range b.parts[part][from:to] {
		buf.WriteString(r.line + "\n")
	}
	return connector.Payload{Split: part, From: from, To: to, Bytes: buf.Bytes()}
}

func (c *consumer) ReadRange(ctx context.Context, part int32, from, to int64, dst []connector.Payload) ([]connector.Payload, error) {
	if c.b.asked != nil {
		close(c.b.asked)
		<-ctx.Done()
		return dst, ctx.Err()
	}
	if c.b.held != nil {
		<-c.b.held
	}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.reads++
	if from < c.b.base[part] {
		return dst, sqlerr.New(sqlerr.DataCorrupted, "offsets from %d on are gone", from)
	}
	for from < to { // a few records at a time, so that a crash comes between them
		end := min(to, from+7)
		dst, from = append(dst, c.b.payload(part, from, end)), end
	}
	return dst, nil
}

func (c *consumer) Beginnings(_ context.Context, arrival types.EventTime) (connector.Offsets, error) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	o := connector.Offsets{}
	for p := range c.b.parts {
		o[int32(p)] = c.b.base[p]
		for arrival != types.MinTime && o[int32(p)] < int64(len(c.b.parts[p])) && c.b.parts[p][o[int32(p)]].arrival < arrival {
			o[int32(p)]++
		}
	}
	return o, nil
}

func (c *consumer) Close() error { return nil }

// sourceBodies are queries over a stream of several partitions. No row of it is late.
var sourceBodies = []string{
	"SELECT id, k FROM s WHERE v % 3 = 0",
	"SELECT k, window_end, count(*) AS n, sum(v) AS v, min(id) AS id FROM s GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds')",
	"SELECT k, window_end, count(*) AS n FROM s GROUP BY k, SESSION(ts, INTERVAL '3 seconds')",
	"SELECT a.id, b.id AS other FROM s AS a JOIN s AS b ON a.k = b.k AND b.v = a.v AND b.ts BETWEEN a.ts - INTERVAL '5 seconds' AND a.ts + INTERVAL '5 seconds'",
	"SELECT k, count(*) AS n, sum(v) AS v FROM s GROUP BY k EMIT ON UPDATE",
}

const sourceStream = "CREATE STREAM s (ts TIMESTAMPTZ, id BIGINT, k TEXT, v BIGINT, WATERMARK FOR ts AS ts - INTERVAL '2 seconds') WITH (connector = 'kafka')"

// sourceWorld is a pastWorld whose stream s comes from a broker.
type sourceWorld struct {
	*pastWorld
	b *broker
}

func newSourceWorld(t *testing.T, seed uint64) *sourceWorld {
	checkpoints := time.Millisecond
	if seed%2 == 0 {
		checkpoints = -1
	}
	w := &sourceWorld{newPastWorld(t, rand.New(rand.NewPCG(seed, 17)), checkpoints), newBroker(3)}
	w.options.Connectors = []connector.Def{w.b.def()}
	return w
}

// send adds some rows to the topic.
func (w *sourceWorld) send() {
	for range w.rng.IntN(16) {
		w.at = w.at.Add(time.Duration(w.rng.IntN(700)) * time.Millisecond)
		at := w.at.Add(-time.Duration(w.rng.IntN(1900)) * time.Millisecond)
		part := min(2, w.rng.IntN(6)) // the last one has most
		line := fmt.Sprintf(`{"ts":%q,"id":%d,"k":"k%d","v":%d}`, at.Format(time.RFC3339Nano), w.id, w.rng.IntN(4), w.rng.IntN(100))
		w.b.send(part, line, w.options.Clock.Now())
		w.id++
	}
	w.options.Clock.Step(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
}

// settled waits until a query that takes all rows has n of them, and none reads history.
func (w *sourceWorld) settled(all string, n int) {
	w.t.Helper()
	for {
		if err := w.db.Settle(); err != nil {
			w.t.Fatal(err)
		}
		rows, err := w.db.Rows("SELECT (SELECT count(*) FROM " + all + "), (SELECT count(*) FROM vigil.queries WHERE state = 'backfilling')")
		if err != nil {
			w.t.Fatal(err)
		}
		if rows[0][0] == fmt.Sprint(n) && rows[0][1] == "0" {
			break
		}
		if w.t.Context().Err() != nil {
			w.t.Fatal(rows)
		}
	}
	if err := w.db.Settle(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *sourceWorld) upset() {
	w.t.Helper()
	switch w.rng.IntN(20) {
	case 0:
		w.crash()
	case 1:
		if err := w.db.Close(); err != nil {
			w.t.Fatal(err)
		}
		w.open()
	}
}

// TestStartEarliestOfSource: TestStartEarliest over a stream whose connector keeps what it delivered.
func TestStartEarliestOfSource(t *testing.T) {
	seen := 0
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { seen += earliestOfSource(t, seed) })
	}
	if seen == 0 {
		t.Error("no query was seen to read history")
	}
}

func earliestOfSource(t *testing.T, seed uint64) int {
	w := newSourceWorld(t, seed)
	w.open()
	w.exec(sourceStream)
	w.exec("CREATE CONTINUOUS QUERY everything AS SELECT id FROM s")
	for i, body := range sourceBodies {
		w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY base%d AS %s", i, body))
	}
	created := map[string]int{}
	for step := range 120 {
		w.send()
		if i := w.rng.IntN(len(sourceBodies)); w.rng.IntN(4) == 0 && len(created) < 16 {
			name := fmt.Sprintf("late%d_%d", step, i)
			w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY %s WITH (start = 'earliest') AS %s", name, sourceBodies[i]))
			created[name] = i
			w.state(name)
		}
		w.upset()
	}
	w.settled("everything", w.id)
	if err := w.db.Pass(time.Hour); err != nil {
		t.Fatal(err)
	}
	for name, i := range created {
		got, want := w.result(name, sourceBodies[i]), w.result(fmt.Sprint("base", i), sourceBodies[i])
		if len(want) < 3 || !slices.Equal(got, want) {
			t.Errorf("%s (%s):\n%d rows, want %d\n%s", name, sourceBodies[i], len(got), len(want), firstDifference(got, want))
		}
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	return w.seen
}

// TestStartOfSourceEmptySplit: a split that has no rows as history begins holds it up as it holds the stream: its first rows, which come
// meanwhile, are late in neither.
func TestStartOfSourceEmptySplit(t *testing.T) {
	w := newSourceWorld(t, 2)
	w.b.held = make(chan struct{})
	w.open()
	w.exec(sourceStream)
	w.exec("CREATE CONTINUOUS QUERY everything AS SELECT id FROM s")
	const body = "SELECT k, window_end, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 second')"
	w.exec("CREATE CONTINUOUS QUERY base AS " + body)
	send := func(part int) {
		for i := range 40 {
			ts := w.at.Add(time.Duration(i) * 250 * time.Millisecond).Format(time.RFC3339Nano)
			w.b.send(part, fmt.Sprintf(`{"ts":%q,"id":%d,"k":"k%d","v":1}`, ts, w.id, i%4), w.options.Clock.Now())
			w.id++
		}
	}
	send(0)
	send(1)
	w.settled("everything", w.id)
	w.exec("CREATE CONTINUOUS QUERY late WITH (start = 'earliest') AS " + body)
	send(2)
	for all := ""; all != fmt.Sprint(w.id); {
		if err := w.db.Settle(); err != nil {
			t.Fatal(err)
		}
		rows, err := w.db.Rows("SELECT count(*) FROM everything")
		if err != nil {
			t.Fatal(err)
		}
		all = rows[0][0]
	}
	close(w.b.held)
	w.settled("everything", w.id)
	if err := w.db.Pass(time.Hour); err != nil {
		t.Fatal(err)
	}
	if got, want := w.result("late", body), w.result("base", body); len(want) != 40 || !slices.Equal(got, want) {
		t.Errorf("%d rows, want %d\n%s", len(got), len(want), firstDifference(got, want))
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestStartOfSourceBehind: a stream that began behind what its source had. A query that wants that has each row once; one that begins at
// a time has those since.
func TestStartOfSourceBehind(t *testing.T) {
	for seed := range uint64(4) {
		w := newSourceWorld(t, seed)
		w.b.atEnd = true
		var since types.EventTime
		first := 0
		for i := range 60 {
			if i == 30 {
				since, first = w.options.Clock.Now(), w.id
			}
			w.send()
		}
		w.open()
		w.exec(sourceStream)
		w.exec("CREATE CONTINUOUS QUERY everything WITH (start = 'earliest') AS SELECT id FROM s")
		w.exec("CREATE CONTINUOUS QUERY recent WITH (start = '" + time.UnixMicro(int64(since)).UTC().Format(time.RFC3339Nano) + "') AS SELECT id FROM s")
		for range 60 {
			w.send()
			w.upset()
		}
		w.settled("everything", w.id)
		for query, from := range map[string]int{"everything": 0, "recent": first} {
			var want []string
			for id := from; id < w.id; id++ {
				want = append(want, fmt.Sprint(job.OpInsert, fmt.Sprint(id)))
			}
			slices.Sort(want)
			if got := w.result(query, ""); !slices.Equal(got, want) {
				t.Errorf("seed %d: %s has %d rows, want %d: %s", seed, query, len(got), len(want), firstDifference(got, want))
			}
		}
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSourceForgets: what a source has removed before it was read is passed over, and told of.
func TestSourceForgets(t *testing.T) {
	w := newSourceWorld(t, 1)
	w.open()
	w.exec(sourceStream)
	w.exec("CREATE CONTINUOUS QUERY everything AS SELECT id FROM s")
	for range 40 {
		w.send()
	}
	w.settled("everything", w.id)
	w.b.forget(2, 5)
	w.exec("CREATE CONTINUOUS QUERY late WITH (start = 'earliest') AS SELECT id FROM s")
	w.settled("everything", w.id)
	want := w.id - 5
	if got := w.result("late", ""); len(got) != want {
		t.Errorf("%d rows, want %d", len(got), want)
	}
	rows, err := w.db.Rows("SELECT reason FROM vigil.query_events WHERE query = 'late' AND what = 'backfilling'")
	if err != nil || len(rows) != 1 || !strings.Contains(rows[0][0], "what came before offset 5 of split 2 is gone there") {
		t.Error(rows, err)
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
}
