package kafka_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vigil-sql/vigil/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// post sends the numbers [from, from+n) to a server, with a key that makes a repetition count once.
func post(t *testing.T, p *harness.Process, from, n int) {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"ts":"2026-03-01T12:00:00Z","n":%d}`+"\n", from+i)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.HTTP+"/v1/streams/log/events", &b)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", fmt.Sprint("from-", from))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
}

// committed reads the numbers that a reader of committed records finds, until it has found n and then for a moment more.
func (b *broker) committed(ctx context.Context, n int) []int {
	b.t.Helper()
	c := b.client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	var numbers []int
	quiet := 0
	for quiet < 2 {
		wait, cancel := context.WithTimeout(ctx, time.Second)
		fetches := c.PollFetches(wait)
		cancel()
		if ctx.Err() != nil {
			b.t.Fatalf("%d of %d rows, then nothing", len(numbers), n)
		}
		got := len(numbers)
		for r := range fetches.RecordsAll() {
			var row struct {
				ID string `json:"_vigil_id"`
				N  int
			}
			if err := json.Unmarshal(r.Value, &row); err != nil || len(r.Headers) != 1 || string(r.Headers[0].Value) != row.ID {
				b.t.Fatalf("%s %v: %v", r.Value, r.Headers, err)
			}
			numbers = append(numbers, row.N)
		}
		if len(numbers) >= n && len(numbers) == got {
			quiet++
		}
	}
	return numbers
}

// TestSink: vigil and the broker are killed in turns, and together, while a sink delivers. Readers of committed records find each row
// once; while the broker is away the query goes on and the lag grows.
func TestSink(t *testing.T) {
	const rounds, rows = 8, 3000
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	b := newBroker(t)
	b.start()
	b.createTopic(ctx)
	dir := t.TempDir()
	p := harness.Start(t, dir, "--checkpoint-every", "50ms")
	harness.Exec(t, p.Connect(t), `CREATE STREAM log (ts TIMESTAMPTZ NOT NULL, n BIGINT, WATERMARK FOR ts AS ts)`, `CREATE CONTINUOUS QUERY q AS SELECT n FROM log`,
		fmt.Sprintf("CREATE SINK out FROM q WITH (connector = 'kafka', brokers = '%s', topic = '%s', key = 'n', batch = 100)", b.addr, topic))
	away := false
	for round := range rounds {
		post(t, p, round*rows, rows)
		c := p.Connect(t)
		harness.WaitRows(t, c, "SELECT count(*) FROM q", func(got []string) bool { return got[0] == fmt.Sprint((round+1)*rows) })
		if round == 0 { // all goes well before anything is killed
			harness.WaitRows(t, c, "SELECT state, lag_rows FROM vigil.sinks", func(got []string) bool { return got[0] == "running|0" })
		}
		if round%2 == 1 {
			b.kill()
			state := harness.Rows(t, c, "SELECT lag_rows > 0 FROM vigil.sinks")
			away = away || state[0] == "t"
		}
		if round%4 != 1 {
			p.Kill()
		}
		if round%2 == 1 {
			b.start()
		}
		if round%4 != 1 {
			p = harness.Start(t, dir, "--checkpoint-every", "50ms")
		}
	}
	c := p.Connect(t)
	harness.WaitRows(t, c, "SELECT state, lag_rows FROM vigil.sinks", func(got []string) bool { return got[0] == "running|0" })
	numbers := b.committed(ctx, rounds*rows)
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != i {
			t.Fatalf("row %d is %d: lost or there twice", i, n)
		}
	}
	if len(numbers) != rounds*rows || !away {
		t.Errorf("%d rows of %d; a broker was away while rows waited: %v", len(numbers), rounds*rows, away)
	}
	if log := p.Log(); strings.Contains(log, "panic") {
		t.Error(log)
	}
}
