package task

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func observe(t *Tracker, split int32, clock types.EventTime, ts ...int64) []batch.Behind {
	return t.Observe(split, clock, ts, batch.All(len(ts)), nil)
}

func TestTrackerOneSplit(t *testing.T) {
	tr := NewTracker(5, 100)
	if wm := tr.Watermark(); wm != types.MinTime {
		t.Fatalf("watermark before the first row is %d", wm)
	}
	behind := observe(tr, 0, 0, 10, 20, 14, 15, 30, 24, 25)
	if got, want := fmt.Sprint(behind), "[{2 15} {5 25}]"; got != want || tr.Watermark() != 25 {
		t.Fatalf("behind %s, want %s; watermark %d, want 25", got, want, tr.Watermark())
	}
	if behind := observe(tr, 0, 0, 25); len(behind) != 0 {
		t.Fatalf("a row at the watermark is not behind it: %v", behind)
	}
}

func TestTrackerSplitsMergeByMinimum(t *testing.T) {
	tr := NewTracker(0, 100)
	tr.Announce(0, 0)
	tr.Announce(1, 0)
	observe(tr, 0, 0, 1000)
	if tr.Watermark() != types.MinTime {
		t.Fatal("a split that has not spoken must hold the watermark")
	}
	observe(tr, 1, 10, 500)
	if tr.Watermark() != 500 {
		t.Fatalf("watermark %d, want the slower split's 500", tr.Watermark())
	}
	// Split 0 goes on at clock 90, split 1 is silent since 10: idle from clock 110 on.
	observe(tr, 0, 90, 2000)
	if wm := tr.Tick(109); wm != 500 {
		t.Fatalf("watermark %d before the split is idle, want 500", wm)
	}
	if wm := tr.Tick(110); wm != 2000 {
		t.Fatalf("watermark %d once the split is idle, want 2000", wm)
	}
	// It comes back with old rows: they are behind, and the watermark does not go back.
	if behind := observe(tr, 1, 120, 600); len(behind) != 1 || tr.Watermark() != 2000 {
		t.Fatalf("behind %v, watermark %d", behind, tr.Watermark())
	}
}

func TestTrackerFollowsTheClockWhenAllIsSilent(t *testing.T) {
	tr := NewTracker(5, 100)
	observe(tr, 0, 1000, 50_000)
	for _, c := range []struct{ clock, want types.EventTime }{{1099, 49_995}, {1100, 50_095}, {1300, 50_295}, {1200, 50_295}} {
		if wm := tr.Tick(c.clock); wm != c.want {
			t.Errorf("clock %d: watermark %d, want %d", c.clock, wm, c.want)
		}
	}
	tr.Touch(5000)
	if wm := tr.Tick(5099); wm != 50_295 {
		t.Errorf("watermark %d right after a restart, want the old 50295", wm)
	}
}

func TestTrackerStateSurvives(t *testing.T) {
	a := NewTracker(5, 100)
	observe(a, 0, 10, 700)
	observe(a, 3, 20, 900, 100)
	b := NewTracker(5, 100)
	b.Restore(a.Watermark(), a.Splits())
	for _, x := range []int64{650, 800, 5000} {
		if fmt.Sprint(observe(a, 0, 30, x)) != fmt.Sprint(observe(b, 0, 30, x)) || a.Tick(200) != b.Tick(200) {
			t.Fatal("a restored tracker behaves differently")
		}
	}
}

// TestTrackerIgnoresBatches cuts the same rows into batches at random: what is behind, and the watermark, must not change.
func TestTrackerIgnoresBatches(t *testing.T) {
	rng := rand.New(rand.NewSource(7))
	met := 0
	for range 200 {
		ts := make([]int64, 1+rng.Intn(60))
		split := make([]int32, len(ts))
		for i := range ts {
			ts[i], split[i] = rng.Int63n(100)+int64(i), int32(rng.Intn(3))
		}
		whole := NewTracker(20, 1000)
		var want []string
		for i := range ts {
			for _, b := range observe(whole, split[i], 0, ts[i]) {
				want = append(want, fmt.Sprint(i, b.Watermark))
			}
		}
		cut := NewTracker(20, 1000)
		var got []string
		for i := 0; i < len(ts); {
			n := i + 1
			for n < len(ts) && split[n] == split[i] && rng.Intn(4) > 0 {
				n++
			}
			for _, b := range observe(cut, split[i], 0, ts[i:n]...) {
				got = append(got, fmt.Sprint(i+int(b.Row), b.Watermark))
			}
			i = n
		}
		met += len(want)
		if fmt.Sprint(got) != fmt.Sprint(want) || cut.Watermark() != whole.Watermark() {
			t.Fatalf("batches change the outcome: %v, want %v", got, want)
		}
	}
	if met == 0 {
		t.Fatal("the rows were never behind the watermark: the test shows nothing")
	}
}

// TestTrackerEnds: at the end nothing holds the watermark back, neither a split without rows nor the delay.
func TestTrackerEnds(t *testing.T) {
	tr := NewTracker(5, 0)
	tr.Announce(1, 0)
	observe(tr, 0, 0, 10)
	if wm := tr.Watermark(); wm != types.MinTime {
		t.Fatal(wm)
	}
	if wm := tr.End(); wm != types.MaxTime || tr.Watermark() != wm {
		t.Error(wm, tr.Watermark())
	}
}

// TestWaits: the watermark waits for splits that have had rows, and for others until they are idle.
func TestWaits(t *testing.T) {
	tr := NewTracker(0, 100)
	tr.Announce(1, 0)
	tr.Announce(2, 0)
	tr.Observe(2, 0, []int64{5}, []uint32{0}, nil)
	check := func(when string, want ...bool) {
		t.Helper()
		for i, w := range want {
			if got := tr.Waits(int32(i)); got != w {
				t.Errorf("%s: split %d is waited for: %t", when, i, got)
			}
		}
	}
	check("announced", false, true, true)
	tr.Tick(99)
	check("not silent for long", false, true, true)
	tr.Tick(100)
	check("silent", false, false, true)
	tr.Observe(1, 150, []int64{7}, []uint32{0}, nil)
	check("with rows", false, true, true)
}
