package faults

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	simHours = flag.Float64("sim-hours", 1, "TestSimulation: hours of event time of each run")
	simRuns  = flag.Uint64("sim-runs", 4, "TestSimulation: how many runs, from -sim-first on")
	simFirst = flag.Uint64("sim-first", 0, "TestSimulation: number of the first run")
)

// sim is a run of random events and random changes, with a model of what must come of them.
type sim struct {
	w       *world
	rng     *rand.Rand
	t       *testing.T
	events  []event
	parts   *parts
	queries map[string]*live
	hosts   map[string]string
	bad     map[string]bool
	now, wm int64 // event time; wm of nothing yet
	marks   marks
	steps   int
	files   int
	dir     string
	seen    map[string]int // what came up
}

// TestSimulation plays hours of event time with late events while queries of all kinds, sinks, lists and tables come, change and go, and the power goes at random
// calls to the disk; what the queries give is what a model gives, and what is in the files of sinks is what the queries gave.
func TestSimulation(t *testing.T) {
	total := map[string]int{}
	for run := *simFirst; run < *simFirst+*simRuns; run++ {
		s := newSim(t, run)
		s.run()
		for k, n := range s.seen {
			total[k] += n
		}
		if t.Failed() {
			t.Fatalf("run %d of seed %d", run, *seed)
		}
	}
	t.Log(total)
	for _, k := range []string{"late", "create", "drop", "pause", "resume", "limits", "alter", "history", "upsert", "delete", "list", "unlist", "restart", "crash", "rerun", "check", "rows", "carried", "scarce"} {
		if total[k] == 0 {
			t.Errorf("there was no %s", k)
		}
	}
	for _, x := range kinds(rand.New(rand.NewPCG(1, 1))) {
		if total["rows of "+x.what] == 0 {
			t.Errorf("there were no rows of %s", x.what)
		}
	}
}

func newSim(t *testing.T, run uint64) *sim {
	s := &sim{w: newWorld(t), rng: rand.New(rand.NewPCG(*seed, run)), t: t, parts: newParts(), queries: map[string]*live{}, hosts: map[string]string{}, bad: map[string]bool{},
		now: begin.UnixMicro(), dir: t.TempDir(), seen: map[string]int{}}
	s.wm = s.now - 3600*second
	s.marks = marks{s.wm, s.wm}
	s.w.connectors = s.parts.def()
	s.w.stateDir, s.w.files = t.TempDir(), s.dir
	return s
}

const columns = ` (ts TIMESTAMPTZ NOT NULL, id BIGINT, k TEXT, ip INET, v BIGINT, WATERMARK FOR ts AS ts - INTERVAL '5 seconds') `

func (s *sim) run() {
	s.w.fault = s.powerLoss()
	s.w.open()
	for _, sql := range []string{`CREATE STREAM IF NOT EXISTS ev` + columns + `FORMAT JSON`, `CREATE STREAM IF NOT EXISTS fl` + columns + `FORMAT JSON`,
		`CREATE STREAM IF NOT EXISTS pa` + columns + `WITH (connector = 'kafka', brokers = '127.0.0.1:1', topic = 't') FORMAT JSON`,
		`CREATE IOC LIST IF NOT EXISTS bad TYPE ip`, `CREATE TABLE IF NOT EXISTS hosts (ip INET PRIMARY KEY, owner TEXT)`, partsRows, partsWindows} {
		s.do(step{sql: sql})
	}
	base := windows(int(baseSize/second), int(baseSize/second))
	s.create("base", base, false, true)
	for end := s.now + int64(*simHours*3600)*second; s.now < end && !s.t.Failed(); {
		s.feed()
		s.parts.feed(s.rng, s.now)
		for s.rng.IntN(3) == 0 {
			s.change()
		}
		if s.rng.IntN(20) == 0 {
			s.check()
		}
	}
	s.check()
	s.seen["crash"] += s.w.restart
	s.seen["rerun"] += int(s.w.reran)
	s.seen["scarce"] += s.w.scarcely
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
		s.w.workers, s.w.checkpoints, s.w.scarce = 1+rng.IntN(3), time.Duration(1+rng.IntN(20))*time.Millisecond, rng.IntN(2) == 0
		return nil
	}
}

func (s *sim) do(x step) {
	s.w.do(s.steps, x)
	s.steps++
}

// feed sends some events to one of the streams.
func (s *sim) feed() {
	stream := min(1, s.rng.IntN(4)/2*s.rng.IntN(2))
	s.settle() // the order of events of two streams that wait is anybody's guess
	s.w.clock.Step(time.Millisecond)
	var b bytes.Buffer
	for range 1 + s.rng.IntN(40) {
		s.now += int64(s.rng.IntN(3_000_000))
		e := event{stream: stream, at: s.now - int64(s.rng.IntN(4_000_000)), id: len(s.events), k: fmt.Sprint("k", s.rng.IntN(4)), ip: fmt.Sprint("10.0.0.", s.rng.IntN(8)), v: s.rng.IntN(100), wmBefore: s.marks}
		switch s.rng.IntN(20) {
		case 0:
			e.at -= int64(s.rng.IntN(90)) * second
		case 1, 2, 3:
			e.at -= e.at % second // of the same time as others, on the bounds of windows
		}
		e.owner, e.listed = s.hosts[e.ip], s.bad[e.ip]
		s.marks[stream] = max(s.marks[stream], e.at-5*second)
		if e.wm = s.marks; e.at < e.wmBefore[stream] {
			s.seen["late"]++
		}
		s.events = append(s.events, e)
		fmt.Fprintf(&b, `{"ts":%q,"id":%d,"k":%q,"ip":%q,"v":%d}`+"\n", time.UnixMicro(e.at).UTC().Format(time.RFC3339Nano), e.id, e.k, e.ip, e.v)
	}
	s.do(step{events: b.Bytes(), stream: []string{"ev", "fl"}[stream]})
}

// settle waits until what came in, and what queries give, has reached those that read it: a change of a reader does not wait for that.
func (s *sim) settle() {
	s.w.steady(func() error {
		for ; ; <-time.After(time.Millisecond) {
			rows, err := s.w.db.Rows("SELECT coalesce(sum(pending_bytes), 0) FROM vigil.streams WHERE name <> 'pa'")
			if err != nil {
				return err
			}
			if rows[0][0] == "0" {
				return s.w.db.Settle()
			}
		}
	})
}
