package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var (
	every   = flag.Bool("every", false, "each call, not a sample of them")
	samples = flag.Int("samples", 25, "how many calls")
	seed    = flag.Uint64("seed", 1, "of what is drawn")
)

// calm is the outcome of an undisturbed run and how many calls it made.
func calm(t *testing.T) (map[string][]string, int) {
	t.Helper()
	w := newWorld(t)
	out := w.play()
	for _, q := range outcomes {
		if len(out[q]) == 0 {
			t.Fatalf("the run gives no rows of %q: the comparison would show nothing", q)
		}
	}
	if w.restart > 0 || len(w.logs) > 0 {
		t.Fatal("something went wrong in an undisturbed run:", w.logs)
	}
	return out, w.calls
}

// chosen are the calls that something happens at.
func chosen(calls int, rng *rand.Rand) []int {
	var list []int
	if *every {
		for k := 1; k <= calls; k++ {
			list = append(list, k)
		}
		return list
	}
	for range *samples {
		list = append(list, 1+rng.IntN(calls))
	}
	return list
}

func compare(t *testing.T, what string, got, want map[string][]string) {
	t.Helper()
	for _, q := range outcomes {
		if slices.Equal(got[q], want[q]) {
			continue
		}
		t.Errorf("%s: %s: %d rows, undisturbed %d", what, q, len(got[q]), len(want[q]))
		for i := range max(len(got[q]), len(want[q])) {
			if i >= len(got[q]) || i >= len(want[q]) || got[q][i] != want[q][i] {
				t.Fatalf("first difference at row %d of\n%.2000q\n%.2000q", i, got[q], want[q])
			}
		}
	}
}

// TestEachCallFailsOnce: whichever call to the disk fails once, the results are those of an undisturbed run, and no process
// ends but while it starts or stops.
func TestEachCallFailsOnce(t *testing.T) {
	want, calls := calm(t)
	rng := rand.New(rand.NewPCG(*seed, 1))
	kinds := map[string]int{}
	restarts := 0
	for _, k := range chosen(calls, rng) {
		w, failed := newWorld(t), ""
		w.resultBytes = k % 2
		w.fault = func(n int, what, name string) error {
			if n != k {
				return nil
			}
			failed = what + " " + name
			return syscall.EIO
		}
		got := w.play()
		compare(t, fmt.Sprintf("call %d failed: %s; %q", k, failed, w.logs), got, want)
		if failed != "" {
			kinds[strings.Join(strings.Fields(failed)[:2], " ")]++
		}
		restarts += w.restart
		if w.amid > 0 {
			t.Errorf("call %d: %s: the process ended: %q", k, failed, w.logs)
		} else if w.restart > 0 {
			t.Logf("call %d: %s: %q", k, failed, w.logs)
		}
	}
	t.Log(calls, kinds, restarts)
}

// TestPowerLoss: whenever the power goes, also once more while the server recovers, what was acknowledged is there, once, and the results are those of an
// undisturbed run.
func TestPowerLoss(t *testing.T) {
	want, calls := calm(t)
	rng := rand.New(rand.NewPCG(*seed, 2))
	kinds := map[string]int{}
	for _, k := range chosen(calls, rng) {
		w, at := newWorld(t), []int{k, k + 1 + rng.IntN(100)}
		torn := rng.IntN(2) == 0
		w.resultBytes = k % 2
		w.fault = func(n int, what, name string) error {
			if len(at) == 0 || n != at[0] {
				return nil
			}
			at = at[1:]
			kinds[what]++
			if torn {
				w.next = w.disk.crash(rng)
			} else {
				w.next = w.disk.crash(nil)
			}
			return nil
		}
		compare(t, fmt.Sprintf("power lost at call %d, torn %v; %q", k, torn, w.logs), w.play(), want)
	}
	t.Log(calls, kinds)
}

// TestDiskFailsForAWhile: the disk fails again and again. Then the process may end, and another one goes on.
func TestDiskFailsForAWhile(t *testing.T) {
	want, calls := calm(t)
	rng := rand.New(rand.NewPCG(*seed, 3))
	ended := 0
	for _, k := range chosen(calls, rng) {
		w, length := newWorld(t), 2+rng.IntN(30)
		w.fault = func(n int, what, name string) error {
			if n < k || n >= k+length {
				return nil
			}
			return syscall.EIO
		}
		compare(t, fmt.Sprintf("calls from %d on failed, %d of them; %q", k, length, w.logs), w.play(), want)
		ended += w.restart
	}
	t.Log("processes that ended:", ended)
}
