package eventlog

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// TestFailedWrites: whatever fails while an entry is appended, and however often, the log goes on, never trusting a file that could not be synced. What was
// acknowledged is there, in the running log as after losing power; what was refused is not, unless the error said that it may be.
func TestFailedWrites(t *testing.T) {
	outcomes := map[string]int{}
	rnd := rand.New(rand.NewSource(1))
	for _, before := range []int{0, 1, 3} {
		for i := range 300 {
			bits := rnd.Uint64() & rnd.Uint64()
			if i%2 == 0 {
				bits &= rnd.Uint64()
			}
			if i < 40 {
				bits = 1 << i
			}
			outcomes[failedWrite(t, rnd, before, bits)]++
		}
	}
	t.Log(outcomes)
	for _, o := range []string{"acknowledged", "refused", "uncertain", "uncertain and there"} {
		if outcomes[o] == 0 {
			t.Errorf("nothing was %s", o)
		}
	}
}

func failedWrite(t *testing.T, rnd *rand.Rand, before int, bits uint64) (outcome string) {
	t.Helper()
	what := fmt.Sprintf("%d entries before, calls %b", before, bits)
	fs := NewMemFS()
	l := openLog(t, fs, segmentBytesMin)
	var want []string
	for i := range before {
		p := fmt.Sprint("before", i, strings.Repeat("x", 1000))
		mustAppend(t, l, entry(p))
		want = append(want, p)
	}
	check := func(l *Log, when string, want ...string) {
		t.Helper()
		if got, damaged := readAll(t, l, 0); !slices.Equal(payloads(got), want) || damaged > 0 {
			t.Fatalf("%v, %s: %.80q, %d damaged places; want %.80q", what, when, payloads(got), damaged, want)
		}
	}
	fs.FailCalls(bits)
	_, _, _, err := l.Append(background, []Entry{entry("b")})
	fs.FailCalls(0)
	check2 := append(slices.Clone(want), "b")
	switch {
	case err == nil:
		outcome, want = "acknowledged", check2
	case errors.Is(err, ErrUncertain):
		outcome = "uncertain"
	case errors.Is(err, ErrInjected):
		outcome = "refused"
	default:
		t.Fatal(err)
	}
	check(l, "at once", want...)
	for range 4 {
		crashed := openLog(t, fs.Crash(rnd), segmentBytesMin)
		if got, _ := readAll(t, crashed, 0); outcome == "uncertain" && len(got) > len(want) {
			outcome = "uncertain and there"
			check(crashed, "crashed at once", check2...)
		} else if outcome != "uncertain and there" || len(got) < len(check2) {
			check(crashed, "crashed at once", want...)
		}
	}
	if failing, _ := l.Health(); (failing == nil) != (err == nil) {
		t.Fatalf("%v: the log says %v after %v", what, failing, err)
	}
	mustAppend(t, l, entry("c"))
	want = append(want, "c")
	check(l, "afterwards", want...)
	for range 4 {
		check(openLog(t, fs.Crash(rnd), segmentBytesMin), "crashed afterwards", want...)
	}
	check(openLog(t, fs.Crash(nil), segmentBytesMin), "crashed afterwards", want...)
	if failing, writing := l.Health(); failing != nil || writing != 0 {
		t.Fatal(failing, writing)
	}
	return outcome
}
