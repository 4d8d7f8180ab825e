package faults

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	simHours = flag.Float64("sim-hours", 3, "TestSimulation: hours of event time of each run")
	simRuns  = flag.Uint64("sim-runs", 3, "TestSimulation: how many runs, from -seed on")
)

// sim is a run of random events and random changes, with a model of what must come of them.
type sim struct {
	w       *world
	rng     *rand.Rand
	t       *testing.T
	events  []event
	queries map[string]*live
	hosts   map[string]string
	bad     map[string]bool
	now     time.Time // event time
	wm      time.Time
	steps   int
	seen    map[string]int // what came up
}

// TestSimulation plays hours of event time with late events while queries, lists and tables come, change and go, and the power goes at random calls to the
// disk; what the queries give is what a model gives.
func TestSimulation(t *testing.T) {
	total := map[string]int{}
	for run := range *simRuns {
		s := &sim{w: newWorld(t), rng: rand.New(rand.NewPCG(*seed, run)), t: t, queries: map[string]*live{}, hosts: map[string]string{}, bad: map[string]bool{}, now: begin, wm: begin.Add(-time.Hour),
			seen: map[string]int{}}
		s.run()
		for k, n := range s.seen {
			total[k] += n
		}
		if t.Failed() {
			t.Fatalf("run %d of seed %d", run, *seed)
		}
	}
	t.Log(total)
	for _, k := range []string{"late", "create", "drop", "pause", "resume", "limits", "upsert", "delete", "list", "unlist", "restart", "crash", "rerun", "check", "rows"} {
		if total[k] == 0 {
			t.Errorf("there was no %s", k)
		}
	}
}

func (s *sim) run() {
	s.w.fault = s.powerLoss()
	s.w.open()
	s.do(step{sql: `CREATE STREAM IF NOT EXISTS ev (ts TIMESTAMPTZ NOT NULL, id BIGINT, k TEXT, ip INET, v BIGINT, WATERMARK FOR ts AS ts - INTERVAL '5 seconds') FORMAT JSON`})
	s.do(step{sql: `CREATE IOC LIST IF NOT EXISTS bad TYPE ip`})
	s.do(step{sql: `CREATE TABLE IF NOT EXISTS hosts (ip INET PRIMARY KEY, owner TEXT)`})
	s.create("base", windows(int(baseSize/time.Second), int(baseSize/time.Second)))
	for end := begin.Add(time.Duration(*simHours * float64(time.Hour))); s.now.Before(end) && !s.t.Failed(); {
		s.feed()
		for s.rng.IntN(3) == 0 {
			s.change()
		}
		if s.rng.IntN(12) == 0 {
			s.check()
		}
	}
	s.check()
	s.seen["crash"] += s.w.restart
	s.seen["rerun"] += int(s.w.reran)
	s.w.mu.Lock()
	s.w.fault = nil
	s.w.mu.Unlock()
	if err := s.w.db.Close(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.w.store.Close()
}

// powerLoss takes the power at random calls, and changes how the next server runs.
func (s *sim) powerLoss() func(int, string, string) error {
	rng := rand.New(rand.NewPCG(s.rng.Uint64(), 0)) // the calls of many goroutines come in any order
	next := 200 + rng.IntN(400)
	return func(n int, _, _ string) error {
		if n < next {
			return nil
		}
		// A server that is given ever less time than it needs to recover never does.
		next = n + 20 + rng.IntN(200<<rng.IntN(5)) + s.w.tries*2000
		if rng.IntN(2) == 0 {
			s.w.next = s.w.disk.crash(rng)
		} else {
			s.w.next = s.w.disk.crash(nil)
		}
		s.w.workers, s.w.checkpoints = 1+rng.IntN(3), time.Duration(1+rng.IntN(20))*time.Millisecond
		return nil
	}
}

func (s *sim) do(x step) {
	s.w.do(s.steps, x)
	s.steps++
}

// feed sends some events.
func (s *sim) feed() {
	var b bytes.Buffer
	for range 1 + s.rng.IntN(40) {
		s.now = s.now.Add(time.Duration(s.rng.IntN(3000)) * time.Millisecond)
		e := event{at: s.now.Add(-time.Duration(s.rng.IntN(4000)) * time.Millisecond).Truncate(time.Microsecond), id: len(s.events), k: fmt.Sprint("k", s.rng.IntN(4)), ip: fmt.Sprint("10.0.0.", s.rng.IntN(8)), v: s.rng.IntN(100)}
		if s.rng.IntN(20) == 0 {
			e.at = e.at.Add(-time.Duration(s.rng.IntN(90)) * time.Second)
		}
		e.owner, e.listed, e.wmBefore = s.hosts[e.ip], s.bad[e.ip], s.wm
		if wm := e.at.Add(-5 * time.Second); wm.After(s.wm) {
			s.wm = wm
		}
		if e.wm = s.wm; e.at.Before(e.wmBefore) {
			s.seen["late"]++
		}
		s.events = append(s.events, e)
		fmt.Fprintf(&b, `{"ts":%q,"id":%d,"k":%q,"ip":%q,"v":%d}`+"\n", e.at.Format(time.RFC3339Nano), e.id, e.k, e.ip, e.v)
	}
	s.do(step{events: b.Bytes()})
}

func (s *sim) create(name string, x shape) {
	s.do(step{sql: fmt.Sprintf("CREATE CONTINUOUS QUERY IF NOT EXISTS %s WITH (retention = '36500 days') AS %s", name, x.body)})
	s.queries[name] = &live{name: name, shape: x, spans: []span{{len(s.events), -1}}}
	s.seen["create"]++
}

// settle waits until what queries give has reached those that read them: a change of a reader does not wait for that.
func (s *sim) settle() { s.w.steady(func() error { return s.w.db.Settle() }) }

// change makes a random change.
func (s *sim) change() {
	host := fmt.Sprint("10.0.0.", s.rng.IntN(8))
	name := fmt.Sprint("q", s.rng.IntN(8))
	q := s.queries[name]
	if q == nil || q.shape.layered {
		s.settle()
	}
	switch kind := s.rng.IntN(12); {
	case kind < 5 && q == nil:
		size := 5 * (1 + s.rng.IntN(12))
		s.create(name, []shape{filter(s.rng.IntN(100)), windows(size, size), windows(size*2, size), above(), joined(), listed()}[s.rng.IntN(6)])
	case kind == 0:
		s.do(step{sql: "DROP CONTINUOUS QUERY IF EXISTS " + name})
		delete(s.queries, name)
		s.seen["drop"]++
	case kind < 3 && q != nil && !q.paused:
		s.do(step{sql: "PAUSE CONTINUOUS QUERY " + name, done: "paused"})
		q.paused, q.spans[len(q.spans)-1].to = true, len(s.events)
		s.seen["pause"]++
	case kind < 5 && q != nil && q.paused:
		s.do(step{sql: "RESUME CONTINUOUS QUERY " + name, done: "running"})
		q.paused, q.spans = false, append(q.spans, span{len(s.events), -1})
		s.seen["resume"]++
	case kind == 5 && q != nil:
		s.do(step{sql: fmt.Sprintf("ALTER CONTINUOUS QUERY %s SET (max_rows_per_min = %d)", name, 1_000_000+s.rng.IntN(9))})
		s.seen["limits"]++
	case kind < 8:
		owner := fmt.Sprint("o", s.rng.IntN(100))
		s.do(step{sql: fmt.Sprintf("INSERT INTO hosts VALUES ('%s', '%s') ON CONFLICT (ip) DO UPDATE SET owner = EXCLUDED.owner", host, owner)})
		s.hosts[host] = owner
		s.seen["upsert"]++
	case kind == 8:
		s.do(step{sql: fmt.Sprintf("DELETE FROM hosts WHERE ip = '%s'", host)})
		delete(s.hosts, host)
		s.seen["delete"]++
	case kind == 9:
		s.do(step{sql: fmt.Sprintf("INSERT INTO bad VALUES ('%s')", host)})
		s.bad[host] = true
		s.seen["list"]++
	case kind == 10:
		s.do(step{sql: fmt.Sprintf("DELETE FROM bad WHERE value = '%s'", host)})
		delete(s.bad, host)
		s.seen["unlist"]++
	case kind == 11 && s.rng.IntN(4) == 0:
		s.do(step{restart: true})
		s.seen["restart"]++
	}
}

// check compares everything with the model.
func (s *sim) check() {
	s.t.Helper()
	s.seen["check"]++
	got := map[string][]string{}
	s.w.steady(func() error {
		if err := s.w.db.Settle(); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(s.queries)) {
			rows, err := s.w.db.Rows("SELECT * FROM " + name)
			if err != nil {
				return err
			}
			got[name] = nil
			for _, r := range rows {
				got[name] = append(got[name], strings.Join(r, "|"))
			}
			slices.Sort(got[name])
		}
		rows, err := s.w.db.Rows("SELECT count(*), count(DISTINCT id) FROM ev")
		if want := fmt.Sprintf("[[%d %[1]d]]", len(s.events)); err == nil && fmt.Sprint(rows) != want {
			s.t.Fatalf("the stream has %v events, not %s", rows, want)
		}
		return err
	})
	for name, q := range s.queries {
		want := q.rows(s.events)
		if s.seen["rows"] += len(want); slices.Equal(got[name], want) {
			continue
		}
		s.t.Errorf("after %d events, %d restarts: %s (%s, %v): %d rows, the model has %d\n got %.600q\nwant %.600q\n%q", len(s.events), s.w.restart, name, q.shape.body, q.spans, len(got[name]), len(want),
			without(got[name], want), without(want, got[name]), s.w.logs)
	}
}

func without(a, b []string) (out []string) {
	count := map[string]int{}
	for _, x := range b {
		count[x]++
	}
	for _, x := range a {
		if count[x]--; count[x] < 0 {
			out = append(out, x)
		}
	}
	return out
}
