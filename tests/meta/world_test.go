package meta

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// world is streams with their events in order, and queries over them.
type world struct {
	seed    uint64
	shape   shape
	order   []step
	queries []query
	// setup are statements before the queries.
	setup []string
}

// forever is how long late rows are kept, microseconds: a world ends with a jump of its clock.
const forever = 100 * 365 * 24 * 3600 * 1e6

// worldStart is what the clock shows when a world begins: after all its events.
var worldStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// variation is how one run of a world differs from another without changing its results.
type variation struct {
	workers, batchMax   int
	epochMin, epochMax  time.Duration
	checkpoint          time.Duration // between checkpoints; negative: never
	crashes             int
	resultBytes         int  // of an epoch's results from which on they are set aside
	losesUnsynced, tidy bool // whether a crash loses all that was not synced, or a part; tidy: restarts in order instead of crashes
}

func randomVariation(rng *rand.Rand) variation {
	v := variation{workers: 1 + rng.IntN(4), batchMax: []int{1, 7, 60, 1000}[rng.IntN(4)],
		epochMin: time.Duration(1+rng.IntN(3)) * time.Millisecond, epochMax: []time.Duration{2 * time.Millisecond, time.Hour}[rng.IntN(2)],
		checkpoint: []time.Duration{-1, 1, 5 * time.Millisecond}[rng.IntN(3)], crashes: rng.IntN(4), losesUnsynced: rng.IntN(2) == 0, tidy: rng.IntN(6) == 0}
	v.resultBytes = []int{0, 1, 2000}[rng.IntN(3)]
	return v
}

// answers is what a run gives: per query the rows that are current in the end, and the ids of rows that were late.
type answers struct {
	rows      map[string][]string
	late      map[string][]string
	lateCount map[string]int64 // since the last start
	// crashes, and epochs that ran again after them.
	crashes int
	rerun   int64
	// aside are the bytes of results that were too many for the memory that they may have.
	aside int64
}

// run is one run of a world.
type run struct {
	t     *testing.T
	w     *world
	v     variation
	rng   *rand.Rand
	disk  *inproc.Disk
	clock *inproc.Clock
	feed  *feeder
	db    *inproc.DB
	out   answers
	dead  []*inproc.DB
}

// begin opens an engine with the world's streams and queries.
func (w *world) begin(t *testing.T, v variation, rng *rand.Rand) *run {
	t.Helper()
	r := &run{t: t, w: w, v: v, rng: rng, disk: inproc.NewDisk(), clock: inproc.NewClock(worldStart),
		feed: newFeeder(events(w.order), w.shape, rng, v.batchMax)}
	r.out = answers{rows: map[string][]string{}, late: map[string][]string{}, lateCount: map[string]int64{}}
	r.open()
	r.create()
	return r
}

func (w *world) run(t *testing.T, v variation, rng *rand.Rand) answers {
	t.Helper()
	r := w.begin(t, v, rng)
	r.play()
	r.must(r.db.Pass(20*365*24*time.Hour), "let time pass")
	r.collect()
	r.out.aside = r.db.Engine().Memory().SetAside
	r.must(r.db.Close(), "close")
	return r.out
}

func (r *run) must(err error, what string) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("seed %d, %+v: %s: %v", r.w.seed, r.v, what, err)
	}
}

func (r *run) open() {
	r.t.Helper()
	var err error
	r.db, err = inproc.Open(inproc.Options{Disk: r.disk, Clock: r.clock, Connectors: []connector.Def{r.feed.def()}, Workers: r.v.workers,
		EpochMin: r.v.epochMin, EpochMax: r.v.epochMax, CheckpointEvery: r.v.checkpoint, ResultBytes: r.v.resultBytes, Journals: meta.Keep{Age: forever}})
	r.must(err, "open")
	r.out.rerun += r.db.Rerun
}

func (r *run) create() {
	r.t.Helper()
	for _, sql := range r.w.setup {
		r.must(r.db.Exec(sql), sql)
	}
	for _, q := range r.w.queries {
		r.must(r.db.Exec(q.create()), q.create())
	}
	// The feeder holds everything back until all streams are read, by these.
	for i := range r.w.shape.streams {
		sql := fmt.Sprintf("CREATE CONTINUOUS QUERY seen_%s WITH (retention = '36500 days') AS SELECT id FROM %[1]s", streamNames[i])
		r.must(r.db.Exec(sql), sql)
	}
}

// streamDDL are the statements that create a world's streams.
func (s *shape) streamDDL(i int) string {
	options := "connector = 'kafka', topic = 't'"
	if s.lateness > 0 {
		options += fmt.Sprintf(", allowed_lateness = '%d microseconds'", s.lateness)
	}
	return fmt.Sprintf("CREATE STREAM %s (%s, WATERMARK FOR ts AS ts - INTERVAL '%d microseconds' IDLE AFTER INTERVAL '%d microseconds') WITH (%s) FORMAT JSON",
		streamNames[i], streamColumns, s.delay, s.idle, options)
}

// play goes through the order. Without pauses of the clock a crash may come at any moment; a pause is a moment when everything
// before it has been committed, and there a crash may come too.
func (r *run) play() {
	r.t.Helper()
	var stops []int // events after which the engine crashes at once
	if !r.w.shape.pauses {
		for range r.v.crashes {
			stops = append(stops, r.rng.IntN(r.w.shape.rows))
		}
		sort.Ints(stops)
	}
	n := 0
	for _, s := range r.w.order {
		if s.ev != nil {
			n++
			if len(stops) > 0 && n == stops[0] {
				// The engine may have got much further than the events that are waited for.
				r.must(r.feed.until(min(n+r.rng.IntN(50), r.w.shape.rows), n), "feed")
				r.crash()
				stops = stops[1:]
				for len(stops) > 0 && stops[0] <= n {
					stops = stops[1:]
				}
			}
			continue
		}
		r.commit(n)
		r.clock.Step(s.clock)
		r.must(r.db.Settle(), "settle")
		if s.restart {
			r.crash()
			r.must(r.db.Settle(), "settle")
		}
	}
	r.commit(n)
}

// commit waits until so many events are committed.
func (r *run) commit(n int) {
	r.t.Helper()
	r.must(r.feed.until(n, n), "feed")
	counts := make([]int64, r.w.shape.streams)
	for _, e := range r.feed.list[:n] {
		counts[e.stream]++
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i := range counts {
		for ctx.Err() == nil {
			r.must(r.db.Settle(), "settle")
			log, err := r.db.Changelog("seen_" + streamNames[i])
			r.must(err, "read")
			if int64(len(log)) >= counts[i] {
				break
			}
		}
	}
	r.must(ctx.Err(), "wait for the commit")
}

// crash drops the engine and goes on with what its disks had.
func (r *run) crash() {
	r.t.Helper()
	if r.v.tidy {
		r.must(r.db.Close(), "close")
	} else {
		disk := r.disk.Crash(nil)
		if !r.v.losesUnsynced {
			disk = r.disk.Crash(inproc.Random(r.rng.Uint64()))
		}
		r.disk = disk
		if err := r.db.Close(); err != nil {
			r.t.Logf("the engine that is gone: %v", err)
		}
	}
	r.out.crashes++
	r.feed.reset()
	if r.rng.IntN(2) == 0 {
		r.v.workers = 1 + r.rng.IntN(4)
	}
	r.open()
}

// collect reads the results.
func (r *run) collect() {
	r.t.Helper()
	names := []string{}
	for _, q := range r.w.queries {
		names = append(names, q.name)
	}
	for i := range r.w.shape.streams {
		names = append(names, "seen_"+streamNames[i])
	}
	for _, name := range names {
		log, err := r.db.Changelog(name)
		r.must(err, name)
		rows, err := current(log)
		if err != nil {
			r.t.Errorf("seed %d, %+v, streams %+v:\n%s: %v", r.w.seed, r.v, r.w.shape, r.w.text(name), err)
		}
		r.out.rows[name] = rows
		r.out.lateCount[name] = r.db.Late(name)
	}
	for i := range r.w.shape.streams {
		late, err := r.db.Rows("SELECT late_query, id FROM " + streamNames[i] + "$late")
		r.must(err, "read late rows")
		for _, l := range late {
			r.out.late[l[0]] = append(r.out.late[l[0]], l[1])
		}
	}
	for _, ids := range r.out.late {
		slices.Sort(ids)
	}
}

// text is the statement that creates a query.
func (w *world) text(name string) string {
	for _, q := range w.queries {
		if q.name == name {
			return q.create()
		}
	}
	return name
}

// current plays a changelog: what is there in the end, sorted. A row must be there before it goes.
func current(log []inproc.Change) ([]string, error) {
	count := map[string]int{}
	for i, c := range log {
		switch c.Op {
		case job.OpInsert:
			count[c.Text]++
		case job.OpUpdateAfter:
			if i == 0 || log[i-1].Op != job.OpUpdateBefore {
				return nil, fmt.Errorf("change %d is the second half of an update without the first", i)
			}
			count[c.Text]++
		default:
			if c.Op == job.OpUpdateBefore && (i+1 == len(log) || log[i+1].Op != job.OpUpdateAfter) {
				return nil, fmt.Errorf("change %d is the first half of an update without the second", i)
			}
			if count[c.Text]--; count[c.Text] < 0 {
				return nil, fmt.Errorf("change %d takes away a row that is not there: %s", i, c.Text)
			}
		}
	}
	rows := []string{}
	for text, n := range count {
		for range n {
			rows = append(rows, text)
		}
	}
	slices.Sort(rows)
	return rows, nil
}

// differ shows the first rows that differ.
func differ(got, want []string) string {
	var b strings.Builder
	missing, extra := without(want, got), without(got, want)
	fmt.Fprintf(&b, "%d rows, want %d\n", len(got), len(want))
	for _, r := range extra[:min(5, len(extra))] {
		fmt.Fprintf(&b, "  too much: %s\n", r)
	}
	for _, r := range missing[:min(5, len(missing))] {
		fmt.Fprintf(&b, "  missing:  %s\n", r)
	}
	return b.String()
}

func without(a, b []string) []string {
	left := map[string]int{}
	for _, s := range b {
		left[s]++
	}
	var out []string
	for _, s := range a {
		if left[s]--; left[s] < 0 {
			out = append(out, s)
		}
	}
	return out
}
