package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestEveryTellsByEpoch: what EMIT EVERY has told by the end of each epoch depends on the epoch's rows, not on how they are cut
// into batches, on the number of workers, or on a restart before the epoch.
func TestEveryTellsByEpoch(t *testing.T) {
	told, quiet := 0, 0
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 71))
		q := randomPaneQuery(rng)
		q.mode, q.every = spec.EmitEvery, 1+rng.Int64N(20)
		rows, delay := randomPaneRows(rng, 60+rng.IntN(100)), rng.Int64N(25)
		var ends []int // of epochs
		for at := 0; at < len(rows); {
			at = min(at+1+rng.IntN(30), len(rows))
			ends = append(ends, at)
		}
		var want [][]string
		for variant := range 4 {
			r := &paneRun{t: t, q: q, rng: rng, watermark: types.MinTime, lazy: variant > 0}
			r.start(1 + variant%3)
			from := 0
			for i, end := range ends {
				had := r.left()
				for from < end {
					n := min(1+rng.IntN([]int{1000, 1, 7, 12}[variant]), end-from)
					r.feed(rows[from:from+n], delay)
					from += n
				}
				if variant == 3 {
					r.restart()
				} else {
					r.endEpoch()
				}
				left := r.left()
				if variant == 0 {
					want = append(want, left)
					if told++; slices.Equal(had, left) {
						quiet++
					}
					continue
				}
				checkSame(t, fmt.Sprintf("seed %d variant %d %+v delay %d: epoch %d", seed, variant, q, delay, i), left, want[i])
			}
		}
	}
	if told < 500 || quiet < 100 || quiet > told-300 {
		t.Errorf("too tame: %d of %d epochs tell nothing", quiet, told)
	}
}
