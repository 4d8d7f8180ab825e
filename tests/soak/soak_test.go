package soak

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/vigil-sql/vigil/tests/harness"
)

var (
	length  = flag.Duration("duration", 10*time.Second, "how long the load lasts")
	samples = flag.Int("lines", 12, "lines of the table, at least 9")
	rate    = flag.Int("rate", 5000, "events a second")
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

var schema = []string{
	`CREATE STREAM ev (ts TIMESTAMPTZ NOT NULL, id BIGINT, k TEXT, ip INET, v BIGINT, WATERMARK FOR ts AS ts - INTERVAL '2 seconds')
	   WITH (retention = '1 minute', retention_bytes = '64MB') FORMAT JSON`,
	`CREATE TABLE hosts (ip INET PRIMARY KEY, owner TEXT)`,
	`INSERT INTO hosts SELECT ('10.0.0.' || g)::inet, 'o' FROM generate_series(0, 255) AS g`,
	`CREATE CONTINUOUS QUERY counts WITH (retention = '1 minute') AS SELECT k, count(*) AS n, sum(v) AS v FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '5 seconds')`,
	`CREATE CONTINUOUS QUERY calm WITH (retention = '1 minute') AS SELECT ip, count(*) AS n FROM ev GROUP BY ip, SESSION(ts, INTERVAL '1 second')`,
	`CREATE CONTINUOUS QUERY owned WITH (retention = '1 minute') AS SELECT id, owner FROM ev JOIN hosts ON hosts.ip = ev.ip WHERE v > 90`,
	`CREATE CONTINUOUS QUERY pairs WITH (retention = '1 minute') AS SELECT a.id, b.id AS other FROM ev AS a JOIN ev AS b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '1 second' WHERE a.v = 1 AND b.v = 2`,
}

// load is what clients do, each in a goroutine of its own, until ctx ends.
type load struct {
	t      *testing.T
	p      *harness.Process
	events atomic.Int64
	asked  atomic.Int64 // SELECTs
	pushed atomic.Int64 // rows by SUBSCRIBE
	ddl    atomic.Int64
}

// ingest sends events at a rate; event time goes with the clock, keys are ever new, some records are bad, some events late.
func (l *load) ingest(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(1, 1))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		var b bytes.Buffer
		for range max(1, *rate/20) {
			id := l.events.Add(1)
			at := time.Now().Add(-time.Duration(rng.IntN(3000)) * time.Millisecond)
			fmt.Fprintf(&b, `{"ts":%q,"id":%d,"k":"k%d","ip":"10.0.%d.%d","v":%d}`+"\n", at.UTC().Format(time.RFC3339Nano), id, id/50, rng.IntN(4), rng.IntN(256), rng.IntN(100))
		}
		b.WriteString("{\"ts\": 1\n")
		res, err := http.Post("http://"+l.p.HTTP+"/v1/streams/ev/events", "application/json", &b)
		if err != nil {
			return err
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
			return fmt.Errorf("ingest is answered %d", res.StatusCode)
		}
	}
	return nil
}

func (l *load) selects(ctx context.Context) error {
	c, err := l.p.TryConnect()
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		<-tick.C
		sql := []string{"SELECT count(*), max(n) FROM counts", "SELECT count(*) FROM ev WHERE ts > now() - INTERVAL '5 seconds'", "SELECT * FROM vigil.queries", "SELECT count(*) FROM vigil.rejected"}[i%4]
		if _, err := harness.TryRows(c, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
		l.asked.Add(1)
	}
	return nil
}

// subscribe reads a changelog for a while, again and again.
func (l *load) subscribe(ctx context.Context) error {
	for ctx.Err() == nil {
		c, err := l.p.TryConnect()
		if err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		_, err = c.PgConn().CopyTo(short, countLines{&l.pushed}, "COPY (SUBSCRIBE owned) TO STDOUT")
		cancel()
		_ = c.Close(context.Background())
		if err != nil && short.Err() == nil {
			return err
		}
	}
	return nil
}

type countLines struct{ n *atomic.Int64 }

// Write implements io.Writer.
func (w countLines) Write(p []byte) (int, error) {
	w.n.Add(int64(bytes.Count(p, []byte{'\n'})))
	return len(p), nil
}

// change creates, pauses, resumes and drops queries, and changes a table.
func (l *load) change(ctx context.Context) error {
	c, err := l.p.TryConnect()
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		<-tick.C
		name := fmt.Sprint("q", i%5)
		for _, sql := range []string{
			fmt.Sprintf("CREATE CONTINUOUS QUERY %s AS SELECT ip, max(v) AS v FROM ev GROUP BY ip, TUMBLE(ts, INTERVAL '%d seconds')", name, 1+i%7),
			fmt.Sprintf("UPDATE hosts SET owner = 'o%d' WHERE ip = '10.0.0.%d'", i, i%256),
			"PAUSE CONTINUOUS QUERY " + name, "RESUME CONTINUOUS QUERY " + name, "DROP CONTINUOUS QUERY " + name} {
			if _, err := c.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
			l.ddl.Add(1)
		}
	}
	return nil
}

// sample is a line of the table.
type sample struct {
	rss, heap, state, tails, store, log float64 // bytes
	goroutines, descriptors, files      float64
}

var metricLine = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{[^}]*\})? ([0-9.e+-]+)$`)

func (l *load) measure() (s sample, err error) {
	res, err := http.Get("http://" + l.p.HTTP + "/metrics")
	if err != nil {
		return s, err
	}
	text, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return s, err
	}
	sums := map[string]float64{}
	for _, m := range metricLine.FindAllStringSubmatch(string(text), -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return s, err
		}
		sums[m[1]] += v
	}
	s = sample{rss: sums["process_resident_memory_bytes"], heap: sums["go_memstats_heap_inuse_bytes"], state: sums["vigil_query_state_bytes"], tails: sums["vigil_result_tail_bytes"],
		store: sums["vigil_store_disk_bytes"], log: sums["vigil_eventlog_bytes"], goroutines: sums["go_goroutines"], descriptors: sums["process_open_fds"]}
	err = filepath.WalkDir(l.p.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			s.files++
		}
		if errors.Is(err, fs.ErrNotExist) { // gone meanwhile
			return nil
		}
		return err
	})
	return s, err
}

const mib = 1 << 20

// TestSoak: under ingest, SELECT, SUBSCRIBE and changes of the catalogue, none fails, and in the last third of the time the server holds no more
// than in the second, with some room.
func TestSoak(t *testing.T) {
	p := harness.Start(t, t.TempDir(), "--checkpoint-every", "1s")
	c := p.Connect(t)
	harness.Exec(t, c, schema...)
	l := &load{t: t, p: p}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients sync.WaitGroup
	failed := make(chan error, 16)
	for _, f := range []func(context.Context) error{l.ingest, l.selects, l.selects, l.subscribe, l.subscribe, l.change} {
		clients.Go(func() {
			if err := f(ctx); err != nil {
				failed <- err
			}
		})
	}
	t.Logf("%8s %8s %8s %8s %8s %8s %8s %6s %6s %6s %10s %8s %8s %6s", "time", "rss MiB", "heap", "state", "tails", "store", "log", "gorout", "fds", "files", "events", "selects", "pushed", "ddl")
	tick := time.NewTicker(*length / time.Duration(max(9, *samples)))
	defer tick.Stop()
	begin, list := time.Now(), []sample(nil)
	for len(list) < max(9, *samples) {
		select {
		case err := <-failed:
			t.Fatalf("%v\n%s", err, p.Log())
		case <-tick.C:
		}
		s, err := l.measure()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
		t.Logf("%8s %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f %6.0f %6.0f %6.0f %10d %8d %8d %6d", time.Since(begin).Round(time.Second), s.rss/mib, s.heap/mib, s.state/mib, s.tails/mib, s.store/mib, s.log/mib,
			s.goroutines, s.descriptors, s.files, l.events.Load(), l.asked.Load(), l.pushed.Load(), l.ddl.Load())
	}
	cancel()
	clients.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	judge(t, list)
	if l.events.Load() == 0 || l.asked.Load() == 0 || l.pushed.Load() == 0 || l.ddl.Load() == 0 {
		t.Error("some of the load did nothing")
	}
	_ = c.Close(context.Background())
	if code := p.Stop(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, p.Log())
	}
	if strings.Contains(p.Log(), "level=ERROR") {
		t.Errorf("the server's log has errors:\n%s", p.Log())
	}
}

// limits are by how much more the last third may hold than the second: a factor, and room for what comes and goes.
var limits = []struct {
	what   string
	of     func(sample) float64
	factor float64
	room   float64
}{
	{"resident memory", func(s sample) float64 { return s.rss }, 1.15, 96 * mib},
	{"heap", func(s sample) float64 { return s.heap }, 1.15, 64 * mib},
	{"state", func(s sample) float64 { return s.state }, 1.15, 16 * mib},
	{"goroutines", func(s sample) float64 { return s.goroutines }, 1.1, 30},
	{"open files", func(s sample) float64 { return s.descriptors }, 1.1, 60},
	{"files", func(s sample) float64 { return s.files }, 1.15, 60},
}

// judge compares thirds by their means.
func judge(t interface{ Errorf(string, ...any) }, list []sample) {
	third := len(list) / 3
	for _, x := range limits {
		mean := func(part []sample) (m float64) {
			for _, s := range part {
				m += x.of(s) / float64(len(part))
			}
			return m
		}
		second, last := mean(list[third:2*third]), mean(list[2*third:])
		if last > second*x.factor+x.room {
			t.Errorf("%s grows without bound: on average %.0f in the last third of the time, %.0f in the second", x.what, last, second)
		}
	}
}

// complaints counts.
type complaints int

func (c *complaints) Errorf(string, ...any) { *c++ }

// TestGrowthIsSeen: each of the figures that grows steadily is told of, and none that is steady.
func TestGrowthIsSeen(t *testing.T) {
	var steady, growing []sample
	for i := range 30 {
		steady = append(steady, sample{rss: 500 * mib, heap: 200 * mib, state: 50 * mib, goroutines: 100, descriptors: 100, files: 100})
		f := float64(i)
		growing = append(growing, sample{rss: 100 * mib * f, heap: 100 * mib * f, state: 10 * mib * f, goroutines: 30 * f, descriptors: 30 * f, files: 30 * f})
	}
	var calm, grown complaints
	judge(&calm, steady)
	judge(&grown, growing)
	if calm != 0 || int(grown) != len(limits) {
		t.Errorf("%d complaints of what is steady, %d of what grows", calm, grown)
	}
}
