package agg

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestBulk: what moves many states at once comes to the same as moving one after the other.
func TestBulk(t *testing.T) {
	const groups = 5
	for n, f := range forms() {
		if !OrderFree(f.kernel) {
			continue
		}
		rng := rand.New(rand.NewPCG(17, uint64(n)))
		slab := func() *Slab {
			s := slabOf(f.kernel, groups)
			gids := make([]uint32, rng.IntN(20))
			for i := range gids {
				gids[i] = uint32(rng.IntN(groups))
			}
			fold(t, f, s, gids, f.rows(rng, len(gids)))
			return s
		}
		src, many, one := slab(), slab(), slabOf(f.kernel, groups)
		to := []uint32{3, 0, 4}
		for g := range uint32(groups) {
			if err := f.kernel.Merge(one, g, many, g, lawOff); err != nil {
				t.Fatal(err)
			}
		}
		same := func(what string) {
			t.Helper()
			for g := range uint32(groups) {
				if got, want := mustResult(t, f, many, g), mustResult(t, f, one, g); got != want {
					t.Fatalf("%v: %s: group %d is %s, want %s", f, what, g, got, want)
				}
				if _, ok := f.kernel.(Subtracter); !ok {
					continue // the bytes of others tell the order in which they came
				}
				if got, want := f.kernel.Append(nil, many, lawOff, g), f.kernel.Append(nil, one, lawOff, g); !bytes.Equal(got, want) {
					t.Fatalf("%v: %s: group %d is % x, want % x", f, what, g, got, want)
				}
			}
		}
		if err := MergeAll(f.kernel, many, to, src, lawOff); err != nil {
			t.Fatal(err)
		}
		for sg, dg := range to {
			if err := f.kernel.Merge(one, dg, src, uint32(sg), lawOff); err != nil {
				t.Fatal(err)
			}
		}
		same("merged")
		sub, ok := f.kernel.(Subtracter)
		if !ok {
			continue
		}
		if err := SubtractAll(sub, many, to, src, lawOff); err != nil {
			t.Fatal(err)
		}
		for sg, dg := range to {
			if err := sub.Subtract(one, dg, src, uint32(sg), lawOff); err != nil {
				t.Fatal(err)
			}
		}
		same("taken away")
	}
}

// TestInRange: bounds on states agree with the results.
func TestInRange(t *testing.T) {
	tried, in, out := map[string]int{}, 0, 0
	for n, f := range forms() {
		r, ok := RangerOf(f.kernel)
		if !ok {
			continue
		}
		rng := rand.New(rand.NewPCG(19, uint64(n)))
		s := slabOf(f.kernel, 4)
		gids := []uint32{0, 1, 2, 0, 1, 2, 1}
		fold(t, f, s, gids, f.rows(rng, len(gids)))
		for range 50 {
			lo, hi := rng.Int64N(12)-6, rng.Int64N(12)-4
			if rng.IntN(4) == 0 {
				lo = math.MinInt64
			}
			if rng.IntN(4) == 0 {
				hi = math.MaxInt64
			}
			got, ok := r.InRange(nil, s, lawOff, []uint32{3, 0, 2, 1}, Range{lo, hi})
			if !ok {
				continue
			}
			tried[f.name]++
			for g := range uint32(4) {
				v, err := r.Result(s, lawOff, g)
				if err != nil {
					t.Fatal(err)
				}
				want := !v.Null && v.I >= lo && v.I <= hi
				if slices.Contains(got, g) != want {
					t.Fatalf("%v: %v is in %v from %d to %d", f, v, got, lo, hi)
				}
				if want {
					in++
				} else {
					out++
				}
			}
		}
	}
	if tried["count"] == 0 || tried["sum"] == 0 || in < 100 || out < 100 {
		t.Fatalf("too tame: %v, %d in, %d out", tried, in, out)
	}
	s := slabOf(sumInt{}, 1)
	s.Words[lawOff], s.Words[lawOff+1], s.Words[lawOff+2] = 1<<63, 0, 2
	if _, ok := (sumInt{}).InRange(nil, s, lawOff, []uint32{0}, Range{0, 1}); ok {
		t.Error("a sum that overflows is compared")
	}
}
