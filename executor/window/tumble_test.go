package window

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/executor/types"
)

// TestTumbleAt checks, over random times, sizes and offsets, the law of every window kind: the window holds the time,
// half-open, has the size, and its start is aligned; and that it agrees with Start.
func TestTumbleAt(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	negative := 0
	for range 20000 {
		size := 1 + rng.Int64N(1<<uint(1+rng.IntN(50)))
		at := types.EventTime(rng.Int64N(1<<60) - 1<<59)
		offset := rng.Int64N(1<<50) - 1<<49
		w := TumbleAt(at, size, offset)
		if at < 0 {
			negative++
		}
		if at < w.Start || at >= w.End || int64(w.End-w.Start) != size || (int64(w.Start)-offset)%size != 0 {
			t.Fatalf("TumbleAt(%d, %d, %d) = %v", at, size, offset, w)
		}
		if got := Start(at, size, offset); got != w.Start {
			t.Fatalf("Start(%d, %d, %d) = %d, TumbleAt says %d", at, size, offset, got, w.Start)
		}
	}
	if negative == 0 {
		t.Fatal("no time before 1970 was tried")
	}
}

func TestTumbleAtExamples(t *testing.T) {
	const s = 1_000_000
	for _, c := range []struct {
		at           types.EventTime
		size, offset int64
		want         Window
	}{
		{0, 5 * s, 0, Window{0, 5 * s}},
		{5*s - 1, 5 * s, 0, Window{0, 5 * s}},
		{5 * s, 5 * s, 0, Window{5 * s, 10 * s}},
		{-1, 5 * s, 0, Window{-5 * s, 0}},
		{0, 5 * s, 2 * s, Window{-3 * s, 2 * s}},
		{types.MinTime, 5 * s, 0, Window{types.MinTime, types.MinTime + 4_775_808}},
		{types.MaxTime, 5 * s, 0, Window{types.MaxTime - 4_775_807, types.MaxTime}},
		{types.MaxTime, math.MaxInt64, 1, Window{1, types.MaxTime}},
	} {
		if got := TumbleAt(c.at, c.size, c.offset); got != c.want {
			t.Errorf("TumbleAt(%d, %d, %d) = %v, want %v", c.at, c.size, c.offset, got, c.want)
		}
	}
}
