package soak

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	samples = flag.Int("lines", 12, "lines of the table, at least 12")
	rate    = flag.Int("rate", 5000, "events a second")
	ease    = flag.Int("ease", 1, "all but the events comes so many times more seldom")
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
	`CREATE CONTINUOUS QUERY every WITH (retention = '1 minute') AS SELECT ts, id, k, ip, v FROM ev`, // the ends of results come to their bound in minutes
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
	met    atomic.Int64 // connections that came and went
}

// every is a clock for what is done at intervals.
func every(d time.Duration) *time.Ticker { return time.NewTicker(d * time.Duration(max(1, *ease))) }

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
	tick := every(20 * time.Millisecond)
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
	tick := every(50 * time.Millisecond)
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

const rules = 200

// rule is a rule of many, of three kinds.
func rule(i int) string {
	body := []string{"SELECT ts, id FROM ev WHERE k LIKE '%%%d' AND v = %d", "SELECT k, count(*) AS n FROM ev WHERE v > %d GROUP BY k, TUMBLE(ts, INTERVAL '%d seconds') HAVING count(*) > 100 EMIT FIRST",
		"SELECT ip, count(*) AS n FROM ev WHERE v %% 97 = %d GROUP BY ip, HOP(ts, INTERVAL '%d seconds', INTERVAL '60 seconds')"}[i%3]
	return fmt.Sprintf("CREATE OR REPLACE CONTINUOUS QUERY rule%d WITH (retention = '1 minute') AS "+body, i%rules, i%97, 1+i%20)
}

// change2 replaces rules, of which there are many, and drops some for a while.
func (l *load) change2(ctx context.Context) error {
	c, err := l.p.TryConnect()
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	tick := every(30 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		sql := rule(i)
		if i >= rules {
			<-tick.C
			if i%2 == 0 {
				sql = fmt.Sprintf("DROP CONTINUOUS QUERY IF EXISTS rule%d", i%rules)
			}
		}
		if _, err := harness.TryRows(c, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
		l.ddl.Add(1)
	}
	return nil
}

// visit comes, asks and goes; every third one goes without a word, in the middle of an answer.
func (l *load) visit(ctx context.Context) error {
	tick := every(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		<-tick.C
		c, err := l.p.TryConnect()
		if err != nil {
			return err
		}
		if i%3 == 0 {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			_ = c.PgConn().ExecParams(short, "SELECT * FROM generate_series(1, 100000)", nil, nil, nil, nil).Read()
			cancel()
			_ = c.PgConn().Conn().Close()
		} else if _, err = harness.TryRows(c, "SELECT count(*) FROM owned"); err != nil {
			return err
		}
		_ = c.Close(context.Background())
		l.met.Add(1)
	}
	return nil
}

// sample is a line of the table.
type sample struct {
	rss, heap, state, tails, tables, cache, store, log float64 // bytes
	goroutines, descriptors, files                     float64
	// kinds are the files by directory and ending: which are more, when there are more.
	kinds map[string]float64
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
		tables: sums["vigil_store_memory_bytes"], cache: sums["vigil_store_cache_bytes"], store: sums["vigil_store_disk_bytes"], log: sums["vigil_eventlog_bytes"], goroutines: sums["go_goroutines"], descriptors: sums["process_open_fds"]}
	s.kinds = map[string]float64{}
	err = filepath.WalkDir(l.p.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			s.files++
			s.kinds[kindOf(l.p.Dir, path)]++
		}
		if errors.Is(err, fs.ErrNotExist) { // gone meanwhile
			return nil
		}
		return err
	})
	return s, err
}

// kindOf is the first directory of a file, and how its name ends.
func kindOf(dir, path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, dir+string(filepath.Separator)), string(filepath.Separator))
	if ext := filepath.Ext(path); ext != "" && first != filepath.Base(path) {
		return first + "/*" + ext
	}
	return first
}

const mib = 1 << 20

// TestSoak: under ingest, SELECT, SUBSCRIBE, changes of the catalogue and connections that come and go, none fails, and once what is bounded has
// grown to its bound the server holds no more in the last third of the time than in the one before.
func TestSoak(t *testing.T) {
	// So that each thing that is bounded comes to its bound in the first minutes: journals have few rows, and the store and the newest results, whose parts of the
	// memory are written out when they are full, little of it.
	p := harness.Start(t, t.TempDir(), "--checkpoint-every", "1s", "--journal-rows", "2000", "--journal-mb", "1", "--memory", "256MB")
	c := p.Connect(t)
	harness.Exec(t, c, schema...)
	l := &load{t: t, p: p}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients sync.WaitGroup
	failed := make(chan error, 16)
	for _, f := range []func(context.Context) error{l.ingest, l.selects, l.selects, l.subscribe, l.subscribe, l.change, l.change2, l.visit} {
		clients.Go(func() {
			if err := f(ctx); err != nil {
				failed <- err
			}
		})
	}
	lines := max(12, *samples)
	t.Logf(strings.Repeat("%8s ", 15)+"%10s", "time", "rss MiB", "heap", "state", "tails", "memtable", "cache", "store", "log", "gorout", "fds", "files", "selects", "pushed", "ddl", "events")
	tick := time.NewTicker(*length / time.Duration(lines))
	defer tick.Stop()
	begin, list := time.Now(), []sample(nil)
	for len(list) < lines {
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
		t.Logf("%8s"+strings.Repeat("%9.1f", 8)+"%9.0f%9.0f%9.0f%9d%9d%9d %10d", time.Since(begin).Round(time.Second), s.rss/mib, s.heap/mib, s.state/mib, s.tails/mib, s.tables/mib, s.cache/mib,
			s.store/mib, s.log/mib, s.goroutines, s.descriptors, s.files, l.asked.Load(), l.pushed.Load(), l.ddl.Load(), l.events.Load())
	}
	cancel()
	clients.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	t.Logf("%d connections came and went; means of the thirds:", l.met.Load())
	t.Log(judge(t, list, *length))
	t.Logf("files of the data directory, by kind:\n%s", filesByKind(list))
	if l.met.Load() == 0 || l.events.Load() == 0 || l.asked.Load() == 0 || l.pushed.Load() == 0 || l.ddl.Load() == 0 {
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

// limits are by how much more the last third may hold than the second: a factor, and, in a run that is too short for what is bounded to come to its bound, room.
var limits = []struct {
	what   string
	of     func(sample) float64
	factor float64
	room   float64
}{
	{"resident memory", func(s sample) float64 { return s.rss }, 1.1, 96 * mib},
	{"heap", func(s sample) float64 { return s.heap }, 1.1, 64 * mib},
	{"state", func(s sample) float64 { return s.state }, 1.1, 16 * mib},
	{"goroutines", func(s sample) float64 { return s.goroutines }, 1.1, 30},
	{"open files", func(s sample) float64 { return s.descriptors }, 1.1, 60},
	{"files", func(s sample) float64 { return s.files }, 1.1, 60},
}

const longEnough = 30 * time.Minute

// judge compares thirds by their means, after a fourth of the time in which the server comes to its load.
func judge(t interface{ Errorf(string, ...any) }, list []sample, length time.Duration) (table string) {
	list = list[len(list)/4:]
	third := len(list) / 3
	for _, x := range limits {
		mean := func(part []sample) (m float64) {
			for _, s := range part {
				m += x.of(s) / float64(len(part))
			}
			return m
		}
		first, second, last := mean(list[:third]), mean(list[third:2*third]), mean(list[2*third:])
		table += fmt.Sprintf("%s %.0f %.0f %.0f\n", x.what, first, second, last)
		most := second * x.factor
		if length < longEnough {
			most += x.room
		}
		if last > most {
			t.Errorf("%s grows without bound: on average %.0f in the last third of the time, %.0f in the second", x.what, last, second)
		}
	}
	return table
}

// filesByKind are means of the thirds that judge compares, for who wants to know which files are more.
func filesByKind(list []sample) (table string) {
	list = list[len(list)/4:]
	third := len(list) / 3
	sums := map[string]*[3]float64{}
	for i, s := range list[:3*third] {
		for kind, n := range s.kinds {
			if sums[kind] == nil {
				sums[kind] = new([3]float64)
			}
			sums[kind][i/third] += n / float64(third)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(sums)) {
		table += fmt.Sprintf("%s %.1f\n", kind, *sums[kind])
	}
	return table
}

// complaints counts.
type complaints int

func (c *complaints) Errorf(string, ...any) { *c++ }

// TestGrowthIsSeen: each of the figures that grows steadily is told of, and none that is steady, or comes to a bound.
func TestGrowthIsSeen(t *testing.T) {
	var steady, growing, slowly []sample
	for i := range 60 {
		bounded := float64(min(i, 24)) / 24
		steady = append(steady, sample{rss: 500 * mib * bounded, heap: 200 * mib * bounded, state: 50 * mib, goroutines: 100, descriptors: 100, files: 100})
		f := float64(i)
		growing = append(growing, sample{rss: 100 * mib * f, heap: 100 * mib * f, state: 10 * mib * f, goroutines: 30 * f, descriptors: 30 * f, files: 30 * f})
		f = 100 + f
		slowly = append(slowly, sample{rss: mib * f, heap: mib * f, state: mib * f, goroutines: f, descriptors: f, files: f})
	}
	for _, x := range []struct {
		list   []sample
		length time.Duration
		want   int
	}{{steady, time.Minute, 0}, {steady, time.Hour, 0}, {growing, time.Minute, len(limits)}, {growing, time.Hour, len(limits)}, {slowly, time.Minute, 0}, {slowly, time.Hour, len(limits)}} {
		var c complaints
		if judge(&c, x.list, x.length); int(c) != x.want {
			t.Errorf("%d complaints of what holds %.0f MiB in the end, want %d", c, x.list[59].rss/mib, x.want)
		}
	}
}
