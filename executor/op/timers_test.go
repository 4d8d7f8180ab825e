package op

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/types"
)

// TestTimers: against a plain list; timers that move later and lapse, jumps of time, and times at the ends of the range.
func TestTimers(t *testing.T) {
	jumps, moved, lapsed, beyond := 0, 0, 0, 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 31))
		ahead := int64(1) << rng.IntN(24)
		now := rng.Int64N(1<<40) - 1<<39
		if seed%10 == 0 {
			now = math.MinInt64 + rng.Int64N(1000)
		}
		var due []int64 // by id, lapsedTimer for those that have lapsed
		ts := newTimers(ahead, func(tm timer) (int64, bool) { return due[tm.id], due[tm.id] != lapsedTimer })
		open := map[uint32]bool{}
		for range 300 {
			switch rng.IntN(6) {
			default:
				id, at := uint32(len(due)), satAdd(now, rng.Int64N(2*ahead)+1)
				if rng.IntN(20) == 0 {
					at = satAdd(now, rng.Int64N(1<<50))
					beyond++
				}
				due = append(due, at)
				open[id] = true
				ts.add(timer{at: at, id: id})
			case 1:
				for id := range open {
					due[id] = satAdd(due[id], rng.Int64N(ahead))
					moved++
					break
				}
			case 2:
				for id := range open {
					due[id] = lapsedTimer
					delete(open, id)
					lapsed++
					break
				}
			case 3:
				now = satAdd(now, rng.Int64N(ahead+1))
				if rng.IntN(30) == 0 {
					now = satAdd(now, ahead*rng.Int64N(5000))
					jumps++
				}
				takeAll(t, &ts, now, due, open)
			}
		}
		takeAll(t, &ts, math.MaxInt64, due, open)
		if len(open) > 0 || ts.next() != types.MaxTime {
			t.Fatalf("%d timers are left; next at %d", len(open), ts.next())
		}
	}
	if jumps < 50 || moved < 1000 || lapsed < 1000 || beyond < 100 {
		t.Fatalf("too tame: %d %d %d %d", jumps, moved, lapsed, beyond)
	}
}

// lapsedTimer is no time of a timer in these tests.
const lapsedTimer = math.MinInt64

// takeAll takes what is due at now, and checks that it is all of it.
func takeAll(t *testing.T, ts *timers, now int64, due []int64, open map[uint32]bool) {
	t.Helper()
	for list, ok := ts.take(now); ok; list, ok = ts.take(now) {
		for _, tm := range slices.Clone(list) {
			switch {
			case due[tm.id] > now:
				ts.add(timer{at: due[tm.id], id: tm.id})
			case due[tm.id] == lapsedTimer:
			case !open[tm.id]:
				t.Fatalf("timer %d comes twice", tm.id)
			default:
				delete(open, tm.id)
			}
		}
	}
	least := int64(math.MaxInt64)
	for id := range open {
		if due[id] <= now {
			t.Fatalf("timer %d of %d is not there at %d", id, due[id], now)
		}
		least = min(least, due[id])
	}
	if next := int64(ts.next()); next > least || next <= now && now != math.MaxInt64 {
		t.Fatalf("at %d the next timer is said to come at %d, it comes at %d", now, next, least)
	}
}
