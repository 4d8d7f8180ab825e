package meta

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// byArrival are features whose answers depend on the order in which rows of different splits arrive, by what they mean.
var byArrival = []string{"first_seen", "suppress", "count_window", "EMIT FIRST"}

// splitOrders makes events that no interleaving of the splits can make late: each split is in order up to the delay of the
// watermark, and all splits are known before their first row. No two events share a time.
func splitOrders(rng *rand.Rand, s shape) map[[2]int][]*event {
	splits := map[[2]int][]*event{}
	now := s.start
	for id := range s.rows {
		now += 1 + rng.Int64N(second)
		if rng.IntN(40) == 0 {
			now += rng.Int64N(12 * second)
		}
		e := &event{stream: rng.IntN(s.streams), split: rng.IntN(s.splits), at: now, id: int64(id)}
		e.fill(rng)
		key := [2]int{e.stream, e.split}
		splits[key] = append(splits[key], e)
	}
	for _, list := range splits {
		for i := 1; i < len(list); i++ { // neighbours change places within the delay
			if list[i].at-list[i-1].at < s.delay && rng.IntN(2) == 0 {
				list[i], list[i-1] = list[i-1], list[i]
				i++
			}
		}
	}
	return splits
}

// interleaved merges the splits at random, in runs, each split in its own order.
func interleaved(rng *rand.Rand, splits map[[2]int][]*event) []step {
	var keys [][2]int
	at, left := map[[2]int]int{}, 0
	for key, list := range splits {
		keys = append(keys, key)
		left += len(list)
	}
	slices.SortFunc(keys, func(a, b [2]int) int { return 10*(a[0]-b[0]) + a[1] - b[1] })
	var out []step
	for len(out) < left {
		key := keys[rng.IntN(len(keys))]
		for n := 1 + rng.IntN(12); n > 0 && at[key] < len(splits[key]); n-- {
			out = append(out, step{ev: splits[key][at[key]]})
			at[key]++
		}
	}
	return out
}

// TestInterleavings: as long as no row is late, the order in which the splits' rows come together changes no result.
func TestInterleavings(t *testing.T) {
	compared, behind, moved := map[string]int{}, 0, 0
	for seed := range max(*seeds/2, 1) {
		rng := rand.New(rand.NewPCG(seed, 79))
		s := randomShape(rng, 1+rng.IntN(2))
		s.splits, s.announce, s.pauses, s.lateness, s.delay = 2+rng.IntN(3), true, false, 0, second
		splits := splitOrders(rng, s)
		w := &world{seed: seed, shape: s, order: interleaved(rng, splits)}
		for _, q := range randomQueries(rng, s) {
			if !slices.ContainsFunc(byArrival, func(f string) bool {
				return strings.Contains(strings.ToLower(q.feature+" "+q.create()), strings.ToLower(f))
			}) {
				w.queries = append(w.queries, q)
			}
		}
		accepted(t, w, map[string]int{})
		rows, _, _ := watched(s, w.order, worldStart.UnixMicro())
		want := map[string]verdict{}
		for _, q := range w.queries {
			want[q.name] = q.eval(rows)
			if n := len(want[q.name].late); n > 0 {
				t.Fatalf("seed %d: %d rows are late for %s", seed, n, q.create())
			}
			compared[q.feature] += len(want[q.name].rows)
		}
		for range 3 {
			before := w.order
			w.order = interleaved(rng, splits)
			for i := range w.order {
				if w.order[i].ev != before[i].ev {
					moved++
				}
				if i > 0 && w.order[i].ev.at < w.order[i-1].ev.at {
					behind++
				}
			}
			v := randomVariation(rng)
			w.check(t, v, w.run(t, v, rng), want)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("compared rows: %v, %d events elsewhere, %d behind their neighbour", compared, moved, behind)
	if *only != "" {
		return
	}
	for _, f := range []string{"tumble", "hop", "session", "interval join left", "over rows", "match_recognize", "slide"} {
		if compared[f] == 0 && *seeds >= 12 {
			t.Errorf("no result of %s was compared", f)
		}
	}
	if moved == 0 || behind == 0 {
		t.Errorf("the interleavings are tame: %d events elsewhere, %d behind", moved, behind)
	}
}
