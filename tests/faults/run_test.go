package faults

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/server/session"
	"github.com/vigil-sql/vigil/storage/pebblekv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// A step is one thing that a client does until it is acknowledged: statements that can be said twice, or events with a key.
type step struct {
	sql    string
	events []byte
	stream string // of the events, "": ev
	// restart, flush and compact are of the server.
	restart, flush, compact bool
	// done is in the error of a statement that had been done, though nobody said so.
	done string
}

var begin = time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)

// steps are what is done in a run: every kind of catalogue object comes, changes and goes while events flow.
func steps() []step {
	rng := rand.New(rand.NewPCG(7, 7))
	list := []step{
		{sql: `CREATE STREAM IF NOT EXISTS ev (ts TIMESTAMPTZ NOT NULL, id BIGINT, k TEXT, ip INET, v BIGINT, WATERMARK FOR ts AS ts - INTERVAL '2 seconds') FORMAT JSON`},
		{sql: `CREATE IOC LIST IF NOT EXISTS bad TYPE ip`},
		{sql: `INSERT INTO bad VALUES ('10.0.0.3'), ('10.0.0.4')`},
		{sql: `CREATE TABLE IF NOT EXISTS hosts (ip INET PRIMARY KEY, owner TEXT)`},
		{sql: `INSERT INTO hosts SELECT ('10.0.0.' || g)::inet, 'first' FROM generate_series(0, 5) AS g ON CONFLICT (ip) DO UPDATE SET owner = EXCLUDED.owner`},
		{sql: `CREATE CONTINUOUS QUERY IF NOT EXISTS w AS SELECT k, count(*) AS n, sum(v) AS v FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '10 seconds')`},
		{sql: `CREATE CONTINUOUS QUERY IF NOT EXISTS se AS SELECT ip, count(*) AS n, min(id) AS first FROM ev GROUP BY ip, SESSION(ts, INTERVAL '7 seconds')`},
		{sql: `CREATE CONTINUOUS QUERY IF NOT EXISTS hits AS SELECT id, ip FROM ev WHERE ip IN IOC bad`},
		{sql: `CREATE CONTINUOUS QUERY IF NOT EXISTS owned AS SELECT id, owner FROM ev JOIN hosts ON hosts.ip = ev.ip`},
		{sql: `CREATE CONTINUOUS QUERY IF NOT EXISTS top AS SELECT n, count(*) AS keys FROM w GROUP BY n EMIT ON UPDATE`},
	}
	changes := map[int][]step{
		3:  {{sql: `CREATE CONTINUOUS QUERY IF NOT EXISTS gone AS SELECT k, max(v) AS v FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '5 seconds')`}},
		4:  {{flush: true}},
		6:  {{sql: `UPDATE hosts SET owner = 'second' WHERE ip <> '10.0.0.2'`}, {sql: `INSERT INTO bad VALUES ('10.0.0.1')`}},
		8:  {{sql: `DROP CONTINUOUS QUERY IF EXISTS gone`}},
		9:  {{restart: true}},
		11: {{sql: `ALTER CONTINUOUS QUERY hits SET (max_rows_per_min = 1000000)`}, {flush: true}, {compact: true}},
		13: {{sql: `CREATE CONTINUOUS QUERY IF NOT EXISTS gone AS SELECT id FROM ev WHERE v > 90`}, {sql: `DELETE FROM bad WHERE value = '10.0.0.3'`}},
		15: {{sql: `DELETE FROM hosts WHERE ip = '10.0.0.1'`}},
		16: {{restart: true}, {flush: true}},
	}
	id := 0
	for piece := range 18 {
		var b bytes.Buffer
		for range 20 {
			at := begin.Add(time.Duration(id)*200*time.Millisecond - time.Duration(rng.IntN(2500))*time.Millisecond)
			if id%37 == 36 {
				at = at.Add(-20 * time.Second) // late
			}
			fmt.Fprintf(&b, `{"ts":%q,"id":%d,"k":"k%d","ip":"10.0.0.%d","v":%d}`+"\n", at.Format(time.RFC3339Nano), id, rng.IntN(4), rng.IntN(6), rng.IntN(100))
			id++
		}
		b.WriteString("{\"ts\": 1\n")
		list = append(list, step{events: b.Bytes()})
		list = append(list, changes[piece]...)
	}
	end := fmt.Sprintf(`{"ts":%q,"id":-1,"k":"end","ip":"10.0.0.9","v":0}`+"\n", begin.Add(time.Hour).Format(time.RFC3339Nano))
	return append(list, step{events: []byte(end)})
}

// world is one run.
type world struct {
	t       *testing.T
	disk    *disk
	clock   *inproc.Clock
	store   *pebblekv.Store
	db      *inproc.DB
	fatal   chan struct{}
	logs    []string // what went wrong, for those who look why
	restart int
	// amid is how many processes ended by themselves while they neither started nor stopped.
	amid int
	// workers and checkpoints are how the next server runs.
	workers     int
	checkpoints time.Duration
	// resultBytes is of how many results of an epoch on they are set aside and written ahead of its commit; 0: of very many.
	resultBytes int
	reran       int64
	tries       int // to start, in a row
	connectors  []connector.Def
	// scarce: the next server has little memory, its state lies in a file in stateDir. scarcely counts those.
	scarce   bool
	scarcely int
	stateDir string
	// files is the directory of what sinks write, "": there is none; lengths are those of its files when the power went.
	files   string
	lengths map[string]int64

	mu    sync.Mutex
	calls int
	// fault is what comes of call n; it runs under mu.
	fault func(n int, what, name string) error
	// next is the disk that the server goes on with: it has lost power.
	next *disk
	done int // steps that were acknowledged
}

func newWorld(t *testing.T) *world {
	return &world{t: t, disk: newDisk(), clock: inproc.NewClock(begin.Add(24 * time.Hour)), workers: 2, checkpoints: 3 * time.Millisecond}
}

func (w *world) hook(what, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.fault == nil || w.next != nil {
		return nil
	}
	err := w.fault(w.calls, what, name)
	if w.next != nil && w.files != "" {
		w.lengths = lengthsIn(w.t, w.files)
	}
	return err
}

// lengthsIn are the lengths of the files in a directory, by name.
func lengthsIn(t *testing.T, dir string) map[string]int64 {
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	lengths := map[string]int64{}
	for _, entry := range list {
		if info, err := entry.Info(); err == nil {
			lengths[entry.Name()] = info.Size()
		}
	}
	return lengths
}

// cutFiles has the files outside of the disk be as they were when the power went: what the server did after that, which it only learns when
// it is closed, it did not do.
func (w *world) cutFiles() {
	for name, now := range lengthsIn(w.t, w.files) {
		path := filepath.Join(w.files, name)
		switch then, there := w.lengths[name]; {
		case !there:
			if err := os.Remove(path); err != nil {
				w.t.Error(err)
			}
		case then < now:
			if err := os.Truncate(path, then); err != nil {
				w.t.Error(err)
			}
		}
	}
}

// open starts a server; a failure is what a supervisor sees, who tries again.
func (w *world) open() {
	w.t.Helper()
	var err error
	for i := range 40 {
		w.setTries(i)
		w.disk.hook = w.hook
		if err = w.tryOpen(); err == nil && !w.crashed() {
			w.setTries(0)
			return
		}
		w.leave()
	}
	w.t.Fatalf("the server does not start: %v", err)
}

// opened is a server, or a part of one where an error came between.
type opened struct {
	store *pebblekv.Store
	db    *inproc.DB
	err   error
}

func (w *world) setTries(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tries = n
}

func (w *world) tryOpen() error {
	w.fatal = make(chan struct{})
	fatal, once := w.fatal, sync.Once{}
	done := make(chan opened, 1)
	d := w.disk
	options := inproc.Options{LogFS: logFS{d.log, d}, Clock: w.clock, Workers: w.workers, EpochMin: time.Millisecond, EpochMax: 5 * time.Millisecond, CheckpointEvery: w.checkpoints, Connectors: w.connectors,
		ResultBytes: w.resultBytes, AgainFor: 20 * time.Millisecond}
	if w.scarce {
		options.Memory, options.StateDir, options.MemoryUse = 1<<20, w.stateDir, func(func() int64) (int64, int64) { return 1 << 30, 0 }
		w.scarcely++
	}
	go func() {
		var o opened
		o.store, o.err = pebblekv.Open("kv", pebblekv.Options{FS: d.kv, Hasty: true, Fatal: func(string) {
			once.Do(func() { close(fatal) })
			select {} // a process would have ended
		}})
		if o.err == nil {
			options.Store = o.store
			o.db, o.err = inproc.Open(options)
		}
		done <- o
	}()
	var o opened
	select {
	case o = <-done:
	case <-fatal:
		o.err = errStore
	}
	if w.store, w.db = o.store, o.db; o.err != nil {
		w.db = nil
		w.logs = append(w.logs, "open: "+o.err.Error())
	} else {
		w.reran += o.db.Rerun
	}
	return o.err
}

var errStore = errors.New("the store could not go on")

func (w *world) crashed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next != nil
}

func (w *world) dead() bool {
	select {
	case <-w.fatal:
		return true
	default:
		return w.db == nil || w.db.Err() != nil
	}
}

// leave gives up a server that has ended or lost power, and takes the disk as it is then.
func (w *world) leave() {
	w.restart++
	w.mu.Lock()
	next := w.next
	w.mu.Unlock()
	dead := w.dead()
	if next == nil { // the process has ended: what it had written is there, as the system has it
		w.disk.hook = nil
		next = w.disk.crash(nil)
	}
	if !dead {
		_ = w.db.Close()
		_ = w.store.Close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil && w.files != "" {
		w.cutFiles()
	}
	w.disk, w.next = next, nil
}

// do does a step until it is acknowledged.
func (w *world) do(i int, s step) {
	w.t.Helper()
	for attempt := range 60 {
		err := w.try(i, s)
		if err != nil && attempt > 0 && s.done != "" && strings.Contains(err.Error(), s.done) {
			err = nil
		}
		w.mu.Lock()
		crashed := w.next != nil
		if err == nil && !crashed {
			w.done++
		}
		w.mu.Unlock()
		if err == nil && !crashed {
			return
		}
		if err != nil {
			w.logs = append(w.logs, fmt.Sprintf("step %d: %v", i, err))
		}
		if crashed || w.dead() || s.restart {
			if !crashed && !s.restart {
				w.amid++
			}
			w.leave()
			w.open()
		}
	}
	w.t.Fatalf("step %d (%s) is not acknowledged: %q", i, s.sql, w.logs)
}

func (w *world) try(i int, s step) error {
	done := make(chan error, 1)
	db, store := w.db, w.store
	go func() {
		switch {
		case s.sql != "":
			done <- db.Exec(s.sql)
		case s.restart:
			done <- errors.Join(db.Close(), store.Close())
		case s.flush:
			done <- store.Flush()
		case s.compact:
			done <- store.Compact()
		default:
			id, err := db.StreamID(cmp.Or(s.stream, "ev"))
			if err == nil {
				_, err = db.Session().Append(context.Background(), session.Ingest{Stream: id, Key: fmt.Sprint("piece", i), Data: bytes.Clone(s.events)})
			}
			done <- err
		}
	}()
	select {
	case err := <-done:
		if s.restart && err == nil && !w.crashed() {
			return w.tryOpen()
		}
		return err
	case <-w.fatal:
		return errStore
	}
}

// outcomes are what a user can see in the end.
var outcomes = []string{"SELECT * FROM w", "SELECT * FROM se", "SELECT * FROM hits", "SELECT * FROM owned", "SELECT * FROM top", "SELECT * FROM gone",
	"SELECT * FROM hosts", "SELECT name, entries FROM vigil.ioc_lists", "SELECT code, raw FROM vigil.rejected", "SELECT count(*), count(DISTINCT id), sum(v) FROM ev",
	"SELECT late_query, id FROM ev$late", "SELECT name FROM vigil.queries"}

// play does all steps and returns the outcome.
func (w *world) play() map[string][]string {
	w.t.Helper()
	w.open()
	for i, s := range steps() {
		w.do(i, s)
	}
	w.mu.Lock()
	w.fault = nil
	w.mu.Unlock()
	if w.crashed() {
		w.leave()
		w.open()
	}
	if err := w.db.Pass(time.Second); err != nil {
		w.t.Fatal(err, w.logs)
	}
	out := map[string][]string{}
	for _, q := range outcomes {
		rows, err := w.db.Rows(q)
		if err != nil {
			w.t.Fatal(q, err)
		}
		for _, r := range rows {
			out[q] = append(out[q], strings.Join(r, "|"))
		}
		slices.Sort(out[q])
	}
	if err := errors.Join(w.db.Close(), w.store.Close()); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// steady calls ask until it is done on one server, which did not lose power meanwhile.
func (w *world) steady(ask func() error) {
	w.t.Helper()
	for range 60 {
		err := ask()
		if err == nil && !w.crashed() {
			return
		}
		if err != nil {
			w.logs = append(w.logs, "ask: "+err.Error())
		}
		if w.crashed() || w.dead() {
			w.leave()
			w.open()
		}
	}
	w.t.Fatalf("no answer: %q", w.logs)
}
