package agg

import (
	"math/rand/v2"
	"testing"
)

// TestOrderFree: kernels that say so give the same results, to the last digit, for rows in any order and states merged in
// any order; and flat ones keep nothing on the heap.
func TestOrderFree(t *testing.T) {
	const rows, parts = 40, 4
	free, flat := map[string]bool{}, map[string]bool{}
	for n, f := range forms() {
		rng := rand.New(rand.NewPCG(17, uint64(n)))
		for range 4 {
			cols := f.rows(rng, rows)
			whole := slabOf(f.kernel, 1)
			fold(t, f, whole, make([]uint32, rows), cols)
			if Flat(f.kernel) {
				flat[f.name] = true
				if whole.Heap.bytes() != 0 {
					t.Fatalf("%v is flat, but has %d bytes on the heap", f, whole.Heap.bytes())
				}
			}
			if !OrderFree(f.kernel) {
				continue
			}
			free[f.name] = true
			s, order := slabOf(f.kernel, parts), rng.Perm(rows)
			gids := make([]uint32, rows)
			for i := range gids {
				gids[i] = 1 + uint32(rng.IntN(parts-1))
			}
			fold(t, f, s, gids, gather(cols, order))
			for _, p := range rng.Perm(parts - 1) {
				if err := f.kernel.Merge(s, 0, s, 1+uint32(p), lawOff); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := mustResult(t, f, s, 0), mustResult(t, f, whole, 0); got != want {
				t.Fatalf("%v: %s in another order, want %s", f, got, want)
			}
		}
	}
	for _, name := range []string{"count", "sum", "percentile_cont", "mode", "approx_percentile", "approx_count_distinct", "arg_min", "max_by", "bit_xor", "regr_count"} {
		if !free[name] {
			t.Errorf("%s does not say that it is free of order", name)
		}
	}
	for _, name := range []string{"count", "corr", "bit_and", "regr_count"} {
		if !flat[name] {
			t.Errorf("%s does not say that it is flat", name)
		}
	}
}
