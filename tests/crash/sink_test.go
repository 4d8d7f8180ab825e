package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/vigil-sql/vigil/tests/harness"
)

const (
	sinkStream = `CREATE STREAM log (ts TIMESTAMPTZ NOT NULL, n BIGINT, WATERMARK FOR ts AS ts)`
	sinkQuery  = `CREATE CONTINUOUS QUERY q AS SELECT n FROM log`
	sinkIdle   = "SELECT state, lag_rows FROM vigil.sinks"
)

// sinkLoad sends numbers to a server that is killed again and again.
type sinkLoad struct {
	t     *testing.T
	dir   string
	rng   *rand.Rand
	p     *harness.Process
	next  int // the first number that was not sent
	kills int
}

func newSinkLoad(t *testing.T) *sinkLoad {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	l := &sinkLoad{t: t, dir: t.TempDir(), rng: rand.New(rand.NewSource(seed))}
	l.start()
	return l
}

func (l *sinkLoad) start() {
	l.p = harness.Start(l.t, l.dir, "--checkpoint-every", "20ms", "--workers", fmt.Sprint(1+l.rng.Intn(3)))
}

// piece sends the next n numbers in one request, again until it is answered.
func (l *sinkLoad) piece(n int) {
	l.t.Helper()
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"ts":"2026-03-01T12:00:00Z","n":%d}`+"\n", l.next+i)
	}
	for try := 0; ; try++ {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+l.p.HTTP+"/v1/streams/log/events", bytes.NewReader(b.Bytes()))
		if err != nil {
			l.t.Fatal(err)
		}
		req.Header.Set("Idempotency-Key", fmt.Sprint("from-", l.next))
		client := http.Client{Timeout: harness.PatienceMax}
		res, err := client.Do(req)
		if err == nil {
			status := res.StatusCode
			if err := res.Body.Close(); err != nil || status != http.StatusOK {
				l.t.Fatal(status, err)
			}
			l.next += n
			return
		}
		if try > 3 {
			l.t.Fatal(err, l.p.Log())
		}
		l.p.Kill() // it was being killed
		l.start()
	}
}

// run sends pieces, with kills after a random while, and waits until the sink has delivered all.
func (l *sinkLoad) run(pieces, rows int) {
	l.t.Helper()
	for i := range pieces {
		if i%3 < 2 {
			l.piece(rows)
			continue
		}
		done, p := make(chan struct{}), l.p
		delay := time.Duration(l.rng.Intn(30_000)) * time.Microsecond
		go func() {
			defer close(done)
			<-time.After(delay)
			p.Kill()
		}()
		l.piece(rows)
		<-done
		l.kills++
		if l.p == p {
			l.start()
		}
	}
	// A request is answered when its rows are in the event log, which is before the query has seen them.
	c := l.p.Connect(l.t)
	harness.WaitRows(l.t, c, "SELECT count(*) FROM q", func(rows []string) bool { return slices.Equal(rows, []string{fmt.Sprint(l.next)}) })
	harness.WaitRows(l.t, c, sinkIdle, func(rows []string) bool { return slices.Equal(rows, []string{"running|0"}) })
	l.t.Logf("%d kills, %d rows", l.kills, l.next)
	if l.kills < 3 {
		l.t.Errorf("%d kills show little", l.kills)
	}
}

// TestKafkaSinkKilled: who reads committed records finds each row once, whatever was under way when the server was killed.
func TestKafkaSinkKilled(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "alerts"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	l := newSinkLoad(t)
	harness.Exec(t, l.p.Connect(t), sinkStream, sinkQuery,
		fmt.Sprintf("CREATE SINK out FROM q WITH (connector = 'kafka', brokers = '%s', topic = 'alerts', batch = 50)", cluster.ListenAddrs()[0]))
	l.run(20, 500)
	reader, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("alerts"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	seen := make([]int, l.next)
	for found, quiet := 0, 0; quiet < 2; {
		wait, cancel := context.WithTimeout(t.Context(), time.Second)
		fetches := reader.PollFetches(wait)
		cancel()
		before := found
		for r := range fetches.RecordsAll() {
			var row struct{ N int }
			if err := json.Unmarshal(r.Value, &row); err != nil || row.N >= l.next {
				t.Fatal(string(r.Value), err)
			}
			seen[row.N]++
			found++
		}
		if found >= l.next && found == before {
			quiet++
		}
	}
	for n, times := range seen {
		if times != 1 {
			t.Fatalf("row %d is there %d times", n, times)
		}
	}
}

// hook is a web hook that now and then fails in every way there is.
type hook struct {
	t   *testing.T
	mu  sync.Mutex
	rng *rand.Rand
	// rows are the bytes that a row came as, by id; twice counts those that came again.
	rows     map[string]string
	twice    int
	requests int
}

// ServeHTTP implements http.Handler.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		return // the server was killed while it sent
	}
	h.requests++
	what := h.rng.Intn(12)
	if what == 0 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	for _, raw := range list {
		var row struct {
			ID string `json:"_vigil_id"`
		}
		if err := json.Unmarshal(raw, &row); err != nil {
			h.t.Error(err)
		}
		if old, ok := h.rows[row.ID]; ok {
			h.twice++
			if old != string(raw) {
				h.t.Errorf("row %s came as %s and as %s", row.ID, old, raw)
			}
		}
		h.rows[row.ID] = string(raw)
	}
	switch what {
	case 1: // they are taken, and nobody is told
		panic(http.ErrAbortHandler)
	case 2:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// TestHTTPSinkKilled: a web hook gets each row, some of them again, each time with the same id and bytes.
func TestHTTPSinkKilled(t *testing.T) {
	h := &hook{t: t, rng: rand.New(rand.NewSource(1)), rows: map[string]string{}}
	target := httptest.NewServer(h)
	defer target.Close()
	l := newSinkLoad(t)
	harness.Exec(t, l.p.Connect(t), sinkStream, sinkQuery, fmt.Sprintf("CREATE SINK out FROM q WITH (connector = 'http', url = '%s', batch = 100)", target.URL))
	l.run(20, 500)
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := make([]int, l.next)
	for id, raw := range h.rows {
		var row struct{ N int }
		if err := json.Unmarshal([]byte(raw), &row); err != nil || row.N >= l.next || !strings.HasSuffix(id, fmt.Sprint(":", row.N)) {
			t.Fatalf("%s: %s %v", id, raw, err)
		}
		seen[row.N]++
	}
	if len(h.rows) != l.next || slices.Contains(seen, 0) {
		t.Errorf("%d rows, want %d", len(h.rows), l.next)
	}
	if h.twice == 0 {
		t.Error("no row came twice: the comparison shows little")
	}
	t.Logf("%d requests, %d rows came again", h.requests, h.twice)
}

// TestFileSinkKilled: what kill -9 leaves half-written is cut off, so that each row is in the files once, in order.
func TestFileSinkKilled(t *testing.T) {
	l := newSinkLoad(t)
	path := filepath.Join(t.TempDir(), "alerts.json")
	harness.Exec(t, l.p.Connect(t), sinkStream, sinkQuery,
		fmt.Sprintf("CREATE SINK out FROM q WITH (connector = 'file', path = '%s', rotate_size = '20kB', batch = 50)", path))
	l.run(25, 500)
	paths, err := filepath.Glob(strings.TrimSuffix(path, ".json") + "-*.json")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d files were rotated: %v", len(paths), err)
	}
	slices.Sort(paths)
	at := 0
	for _, p := range append(paths, path) {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var row struct {
				ID string `json:"_vigil_id"`
				N  int
			}
			if err := json.Unmarshal(line, &row); err != nil || row.N != at || !strings.HasSuffix(row.ID, fmt.Sprint(":", at)) {
				t.Fatalf("%s: row %d is %s: %v", p, at, line, err)
			}
			at++
		}
	}
	if at != l.next {
		t.Fatalf("%d rows in the files, want %d", at, l.next)
	}
}
