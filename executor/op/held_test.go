package op_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// heldKinds are queries that hold state of other kinds than those of aheadKinds: on the heap of aggregates, and in several windows.
var heldKinds = map[string]string{
	"distinct":        "SELECT k, count(DISTINCT x) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL 'W seconds')",
	"least text":      "SELECT k, min(c) AS c, max(k) AS m FROM s GROUP BY k, TUMBLE(ts, INTERVAL 'W seconds')",
	"array":           "SELECT k, array_agg(x) AS n FROM s GROUP BY k, HOP(ts, INTERVAL '3 seconds', INTERVAL 'W seconds')",
	"strings":         "SELECT k, string_agg(c, ',') AS n FROM s GROUP BY k, SESSION(ts, INTERVAL 'W seconds')",
	"percentile":      "SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS n FROM s GROUP BY k, SLIDE(ts, INTERVAL 'W seconds')",
	"session update":  "SELECT k, count(*) AS n FROM s GROUP BY k, SESSION(ts, INTERVAL 'W seconds') EMIT ON UPDATE",
	"session late":    "SELECT k, count(*) AS n FROM l GROUP BY k, SESSION(ts, INTERVAL 'W seconds')",
	"slide update":    "SELECT k, max(x) AS n FROM s GROUP BY k, SLIDE(ts, INTERVAL 'W seconds') EMIT ON UPDATE",
	"hop update":      "SELECT k, count(*) AS n FROM s GROUP BY k, HOP(ts, INTERVAL '3 seconds', INTERVAL 'W seconds') EMIT ON UPDATE",
	"cumulate first":  "SELECT k, count(*) AS n FROM s GROUP BY k, CUMULATE(ts, INTERVAL '3 seconds', INTERVAL 'W seconds') HAVING count(*) > 1 EMIT FIRST",
	"group first":     "SELECT k, count(*) AS n FROM s GROUP BY k HAVING count(*) > 1 EMIT FIRST",
	"match rows":      "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES FIRST(a.k) AS f PATTERN (a a+ d) WITHIN INTERVAL 'W seconds' DEFINE a AS c <> 'd', d AS c = 'd') m",
	"over rows of k":  "SELECT ts, k, lag(k, 3) OVER (PARTITION BY k ORDER BY ts) AS f, lag(c) OVER (PARTITION BY k ORDER BY ts) AS g FROM s",
	"distinct slide":  "SELECT k, count(DISTINCT c) AS n FROM s GROUP BY k, SLIDE(ts, INTERVAL 'W seconds')",
	"distinct forget": "SELECT k, count(DISTINCT x) AS n FROM s GROUP BY k, SESSION(ts, INTERVAL 'W seconds')",
}

// eachHeldKind calls f for every kind of state, in order.
func eachHeldKind(f func(name, sql string)) {
	all := map[string]string{}
	for _, kinds := range []map[string]string{aheadKinds, heldKinds} {
		for name, sql := range kinds {
			all[name] = sql
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f(name, all[name])
	}
}

func heapBytes() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestHeldIsTrue: what operators say that they hold is what the heap has of them, within a factor of two: with many keys that have few rows,
// with few that have many, and when time has passed what there was.
func TestHeldIsTrue(t *testing.T) {
	shapes := []struct {
		name       string
		keys, rows int
	}{{"many keys", 20_000, 40_000}, {"few keys", 400, 40_000}}
	eachHeldKind(func(name, sql string) {
		for _, sh := range shapes {
			t.Run(name+", "+sh.name, func(t *testing.T) { heldIsTrue(t, sql, sh.keys, sh.rows) })
		}
	})
}

// heldLeast is what need not be compared, bytes: where there is less, the scratch of batches, which is not counted, may be the most.
const heldLeast = 5 << 18

func heldIsTrue(t *testing.T, sql string, keys, rows int) {
	parts := aheadParts(t, strings.ReplaceAll(sql, "W sec", "90 sec"))
	a := newAheadTree(t, parts, nil)
	a.deaf = true
	a.epoch(aheadStep{})
	before := heapBytes()
	now := int64(5_000_000)
	for from := 0; from < rows; from += 1000 {
		st := aheadStep{wm: types.EventTime(now - 10_000_000)}
		for i := range 1000 {
			n := from + i
			e := event{ts: now + int64(i), k: fmt.Sprintf("the key of number %06d", n%keys), c: "a", x: int64(n / 10)}
			st.rows[0], st.rows[1] = append(st.rows[0], e), append(st.rows[1], e)
		}
		now += 200_000
		a.epoch(st)
	}
	check := func(when string) {
		_, claimed := a.tree.Held()
		grown := heapBytes() - before
		if claimed < heldLeast && grown < heldLeast {
			return
		}
		if ratio := float64(claimed) / float64(max(grown, 1)); ratio < 0.5 || ratio > 2 {
			t.Errorf("%s: %d bytes are claimed, the heap has %d, %.2f times", when, claimed, grown, float64(claimed)/float64(grown))
		}
	}
	check("full")
	a.epoch(aheadStep{wm: types.EventTime(now + 1_000_000_000)})
	check("after its time")
	for _, o := range a.tree.Raw() {
		if o, ok := o.(op.Reclaimer); ok {
			o.Reclaim()
		}
	}
	check("given back")
	runtime.KeepAlive(a)
}

// reclaimStep are the rows of the i-th of twenty epochs. After the first one most keys have gone, and a few are left in windows that have told
// something; after the last one there is silence.
func reclaimStep(rng *rand.Rand, i int, now *int64) (st aheadStep, few bool) {
	keys, rows := 3000, rng.IntN(2000)
	switch i {
	case 0:
		keys = 900
	case 1, 2:
		keys, rows, few = 30, 300, true
	}
	if i == 1 {
		*now += 20_000_000
	}
	st = aheadRows(rng, *now, keys, rows)
	*now += rng.Int64N(3_000_000)
	if i == 19 {
		*now += 40_000_000
		st = aheadStep{}
	}
	return st, few
}

// endless are the kinds whose state stays however much time passes.
var endless = []string{"group", "group every", "group first", "count window", "over rows", "over range", "over start", "over rows of k", "temporal join"}

// TestReclaim: what operators give back, in the midst of rows, snapshots and restores, changes nothing; and when time has passed what there
// was, those that hold state by time have next to nothing.
func TestReclaim(t *testing.T) {
	pool := arena.NewPool(t.TempDir(), 1<<40, nil)
	eachHeldKind(func(name, sql string) {
		least := int64(0)
		for seed := range uint64(3) {
			rng := rand.New(rand.NewPCG(seed, 8))
			parts := aheadParts(t, strings.ReplaceAll(sql, "W sec", "9 sec"))
			var state *arena.Arena
			if seed == 2 {
				state = pool.Arena()
			}
			sure, a := newAheadTree(t, parts, nil), newAheadTreeIn(t, parts, nil, state)
			reclaim := func() {
				for _, o := range a.tree.Raw() {
					if o, ok := o.(op.Reclaimer); ok {
						o.Reclaim()
					}
				}
			}
			now, most := int64(0), int64(0)
			for i := range 60 {
				st, few := reclaimStep(rng, i%20, &now)
				st.wm = types.EventTime(now)
				sure.epoch(st)
				a.epoch(st)
				_, held := a.tree.Held()
				most = max(most, held)
				switch rng.IntN(4) {
				case 0:
					a.copyAhead(1 + rng.IntN(3000))
				case 1:
					a.snapshot()
				case 2:
					a.snapshot()
					lines := a.lines
					a = newAheadTreeIn(t, parts, cloneAll(a.stores), state)
					a.lines = lines
				}
				if i%20 == 19 {
					a.snapshot() // it tells the checkpoint of what has gone
					a.epoch(aheadStep{wm: st.wm})
				}
				if i%20 == 19 || few || rng.IntN(2) == 0 {
					reclaim()
				}
				if _, held := a.tree.Held(); i%20 == 19 && !slices.Contains(endless, name) && max(held, a.tree.Spillable()) > most/20 {
					t.Errorf("%s: %d bytes are held of %d, %d in the arena", name, held, most, a.tree.Spillable())
				}
			}
			least = max(least, most)
			sure.epoch(aheadStep{wm: types.MaxTime})
			a.epoch(aheadStep{wm: types.MaxTime})
			want, got := slices.Sorted(slices.Values(sure.lines)), slices.Sorted(slices.Values(a.lines))
			if !slices.Equal(got, want) || len(want) == 0 {
				t.Fatalf("%s, seed %d: %d rows, want %d, or others", name, seed, len(got), len(want))
			}
		}
		if least < 200_000 {
			t.Errorf("%s: at most %d bytes were held", name, least)
		}
	})
}
