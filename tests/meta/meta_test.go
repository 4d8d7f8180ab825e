package meta

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/tests/inproc"
)

var (
	seeds = flag.Uint64("seeds", 12, "how many worlds")
	seed0 = flag.Uint64("seed", 0, "the first world's seed")
	loud  = flag.Bool("loud", false, "print each world")
	only  = flag.String("only", "", "only the queries of features whose name contains this")
)

// What the engine does not do right yet; each constant goes when its fault is gone.
const (
	// A fresh item of executor/job carries the watermark 0, which closes all windows before 1970.
	before1970 = true
	// Epochs in which a query's watermark moved without rows cannot run again: results.Scan takes the limit 0 for none.
	resultsRunAgain = true
	// Rows behind the watermark do not move the largest time of their split, except those of the split's first batch: how far the
	// clock carries a silent stream depends on batches, after a restart.
	behindRowsCount = true
	// Interval joins do not know the streams' allowed lateness.
	joinsAllowLateness = true
)

// mustWork are the features that may not be refused. The list only grows.
var mustWork = []string{"slide", "filter", "tumble", "interval join inner", "interval join left", "interval join semi", "interval join anti",
	"first_seen", "suppress", "over rows", "over range", "match_recognize", "hop", "cumulate", "session", "group without window", "allowed_lateness", "count_window", "rows of windows"}

// randomGrouping makes a grouped query with a window of a kind.
func randomGrouping(rng *rand.Rand, kind string, lateness int64) *grouping {
	g := &grouping{kind: kind, lateness: lateness}
	for _, k := range []string{"k", "v"} {
		if rng.IntN(3) > 0 {
			g.keys = append(g.keys, k)
		}
	}
	g.aggs = []aggregate{aggregates[0]}
	for range rng.IntN(4) {
		g.aggs = append(g.aggs, aggregates[rng.IntN(len(aggregates))])
	}
	if rng.IntN(3) == 0 {
		g.having = 1 + rng.IntN(3)
	}
	if rng.IntN(4) == 0 {
		g.where = ptr(rng.Int64N(4) - 2)
	}
	g.size = []int64{second, 5 * second, 7 * second / 2}[rng.IntN(3)]
	switch kind {
	case "tumble":
		if rng.IntN(3) == 0 {
			g.shift = rng.Int64N(g.size)
		}
	case "hop":
		g.slide = []int64{second / 2, second, g.size}[rng.IntN(3)]
	case "cumulate":
		g.size = 6 * second
		g.slide = []int64{second, 2 * second, 3 * second}[rng.IntN(3)]
	}
	return g
}

// randomQueries makes a world's queries, one or more of each feature.
func randomQueries(rng *rand.Rand, s shape) []query {
	var out []query
	add := func(feature, body string, eval func([]row) verdict) {
		out = append(out, query{name: fmt.Sprintf("q%d", len(out)), feature: feature, body: body, eval: eval})
	}
	kinds := []string{"tumble", "hop", "cumulate", "session"}
	for _, kind := range append(kinds, kinds...) {
		g := randomGrouping(rng, kind, s.lateness)
		add(kind, g.body(), g.eval)
	}
	for _, emit := range []string{"EMIT ON UPDATE", "EMIT EVERY INTERVAL '1 second'", "EMIT FIRST", "EMIT ON WINDOW CLOSE"} {
		kind := kinds[rng.IntN(len(kinds))]
		g := randomGrouping(rng, kind, s.lateness)
		g.emit = emit
		feature := kind + " " + emit
		if kind == "tumble" && emit == "EMIT ON WINDOW CLOSE" {
			feature = kind
		}
		add(feature, g.body(), g.eval)
	}
	randomRowQueries(rng, s, add)
	randomLooking(rng, s, add)
	least := rng.Int64N(5) - 2
	add("filter", fmt.Sprintf("SELECT id, k, ts FROM a WHERE n >= %d", least), func(rows []row) verdict {
		v := verdict{}
		for i := range rows {
			if r := &rows[i]; r.stream == 0 && r.n != nil && *r.n >= least {
				v.rows = append(v.rows, r.column("id")+"|"+r.column("k")+"|"+r.column("ts"))
			}
		}
		slices.Sort(v.rows)
		return v
	})
	return out
}

// accepted keeps the queries that the planner takes; the others are counted by feature.
func accepted(t *testing.T, w *world, refused map[string]int) {
	t.Helper()
	nothing := newFeeder(nil, w.shape, nil, 1)
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Clock: inproc.NewClock(worldStart), Connectors: []connector.Def{nothing.def()}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	plan := func(feature, sql string) bool {
		err := db.Exec(sql)
		if err == nil {
			return true
		}
		e, ok := errors.AsType[*sqlerr.Error](err)
		if !ok || !slices.Contains([]sqlerr.Code{sqlerr.FeatureNotSupported, sqlerr.UndefinedFunction}, e.Code) {
			t.Fatalf("seed %d: %s\n%v", w.seed, sql, err)
		}
		if slices.Contains(mustWork, feature) {
			t.Fatalf("seed %d: %s must work: %s\n%v", w.seed, feature, sql, err)
		}
		refused[feature]++
		return false
	}
	if w.shape.lateness > 0 && !plan("allowed_lateness", w.shape.streamDDL(2)) {
		w.shape.lateness = 0
	}
	for i := range w.shape.streams {
		sql := w.shape.streamDDL(i)
		if !plan("stream", sql) {
			t.Fatal(sql)
		}
		w.setup = append(w.setup, sql)
	}
	w.queries = slices.DeleteFunc(w.queries, func(q query) bool { return !strings.Contains(q.feature, *only) || !plan(q.feature, q.create()) })
}

func randomWorld(t *testing.T, seed uint64, refused map[string]int) *world {
	rng := rand.New(rand.NewPCG(seed, 77))
	w := &world{seed: seed, shape: randomShape(rng, 1+rng.IntN(2))}
	w.order = randomOrder(rng, w.shape)
	probe := *w
	accepted(t, &probe, map[string]int{}) // whether lateness works decides what the queries mean
	w.shape = probe.shape
	w.queries = randomQueries(rng, w.shape)
	accepted(t, w, refused)
	return w
}

// TestEngine: a world's results are those of the slow model, whatever the batches, workers, checkpoints and crashes.
func TestEngine(t *testing.T) {
	total, refused, worked := hits{}, map[string]int{}, map[string]int{}
	for seed := *seed0; seed < *seed0+*seeds; seed++ {
		w := randomWorld(t, seed, refused)
		rows, idled, woke := watched(w.shape, w.order, worldStart.UnixMicro())
		total.add(hits{"idle splits": idled, "woken splits": woke, "ties": ties(events(w.order))})
		want := map[string]verdict{}
		for _, q := range w.queries {
			v := q.eval(rows)
			slices.Sort(v.late)
			want[q.name] = v
			total.add(v.hits)
			total["late rows"] += len(v.late)
			total["rows"] += len(v.rows)
			worked[q.feature]++
		}
		rng := rand.New(rand.NewPCG(seed, 78))
		for range 3 {
			v := randomVariation(rng)
			if *loud {
				t.Logf("seed %d: %+v %+v", seed, w.shape, v)
			}
			got := w.run(t, v, rng)
			total.add(hits{"crashes": got.crashes, "epochs run again": int(got.rerun)})
			if got.aside > 0 {
				total["set aside"]++
			}
			w.check(t, v, got, want)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("met: %v\nworked: %v\nrefused: %v", total, worked, refused)
	if *seeds < 12 || *only != "" {
		return
	}
	for _, what := range []string{"late rows", "behind", "ties", "null keys", "boundaries", "idle splits", "woken splits", "crashes", "epochs run again",
		"set aside", "merged sessions", "corrections", "pairs", "matches", "suppressed"} {
		if total[what] < 5 {
			t.Errorf("the worlds are too tame: %d %s", total[what], what)
		}
	}
}

// check compares a run with the model.
func (w *world) check(t *testing.T, v variation, got answers, want map[string]verdict) {
	t.Helper()
	for _, q := range w.queries {
		if !slices.Equal(got.rows[q.name], want[q.name].rows) && len(got.rows[q.name])+len(want[q.name].rows) > 0 {
			t.Errorf("seed %d, %+v, streams %+v:\n%s\n%s", w.seed, v, w.shape, q.create(), differ(got.rows[q.name], want[q.name].rows))
		}
		w.checkLate(t, v, q, got, want[q.name])
	}
	for i := range w.shape.streams {
		n := 0
		for _, e := range events(w.order) {
			if e.stream == i {
				n++
			}
		}
		name := "seen_" + streamNames[i]
		if rows := got.rows[name]; len(rows) != n || len(slices.Compact(slices.Clone(rows))) != n {
			t.Errorf("seed %d, %+v: %s has %d rows, want each of %d once", w.seed, v, name, len(rows), n)
		}
	}
}

// checkLate compares the late rows: how many there were, which is counted since the start, and which ones, as NAME$late tells for
// the operators that report them.
func (w *world) checkLate(t *testing.T, v variation, q query, got answers, want verdict) {
	t.Helper()
	if want.anyLate {
		return
	}
	if n := int64(len(want.late)); got.crashes == 0 && got.lateCount[q.name] != n {
		t.Errorf("seed %d, %+v, streams %+v:\n%s\n%d late rows, want %d", w.seed, v, w.shape, q.create(), got.lateCount[q.name], n)
	}
	if ids := got.late[q.name]; len(ids) > 0 && !slices.Equal(ids, want.late) {
		t.Errorf("seed %d, %+v, streams %+v:\n%s\nlate rows: %s", w.seed, v, w.shape, q.create(), differ(ids, want.late))
	}
}
