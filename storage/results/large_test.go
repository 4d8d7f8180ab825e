package results

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// largeRun is a store to which epochs come of which some are written ahead, and what must be in it.
type largeRun struct {
	t   *testing.T
	rnd *rand.Rand
	mem *kv.Mem
	s   *Store
	pad string
	// next and clocks are, by query, where it stands and the clock of each of its rows.
	next, oldest map[uint64]int64
	clocks       map[uint64][]int64
	met          struct{ ahead, retracted, lost, both, dropped, trimmed int }
}

// large puts rows of a query ahead; false: it ends before that is done.
func (r *largeRun) large(p *Put, id uint64, n int) bool {
	r.t.Helper()
	l, err := p.Large(r.s.Changelog(id))
	if err != nil {
		r.t.Fatal(err)
	}
	if l.First() != r.next[id] {
		r.t.Fatalf("put at %d, want %d", l.First(), r.next[id])
	}
	stop := -1
	if r.rnd.IntN(4) == 0 {
		stop = r.rnd.IntN(n)
	}
	for i := range n {
		if i == stop {
			return false
		}
		data := fmt.Appendf(nil, "row %d%s", r.next[id]+int64(i), r.pad[:r.rnd.IntN(len(r.pad))])
		if err := l.Row(1, data); err != nil {
			r.t.Fatal(err)
		}
		clear(data) // it is not retained
	}
	if err := l.End(); err != nil {
		r.t.Fatal(err)
	}
	return true
}

func (r *largeRun) reopen() {
	r.mem = r.mem.Crash(r.rnd.IntN(r.mem.Unsynced() + 1))
	r.s = open(r.t, r.mem)
	r.s.aheadMax = 300 << 10
}

// epoch puts the rows of an epoch, small ones and large ones, and commits them or does not.
func (r *largeRun) epoch(n uint64) {
	r.t.Helper()
	clock := int64(n) * 10
	b := r.mem.NewBatch()
	p := r.s.Begin(b, n, clock)
	came, whole := map[uint64]int{}, true
	for id := uint64(1); id <= 3 && whole; id++ {
		switch r.rnd.IntN(3) {
		case 0:
			came[id] = 1 + r.rnd.IntN(30)
			if r.rnd.IntN(4) == 0 {
				came[id] = 1 + r.rnd.IntN(3)
			}
			whole = r.large(p, id, came[id])
			r.met.ahead++
		case 1:
			if r.s.Changelog(id).tail != nil {
				r.met.both++
			}
			came[id] = 1 + r.rnd.IntN(5)
			p.Query(r.s.Changelog(id))
			for i := range came[id] {
				p.Row(1, fmt.Append(nil, "row ", r.next[id]+int64(i)))
			}
		}
	}
	p.End()
	if whole && r.rnd.IntN(8) > 0 {
		if err := b.Commit(true); err != nil {
			r.t.Fatal(err)
		}
		publish(r.t, p)
		for id, n := range came {
			r.next[id] += int64(n)
			for range n {
				r.clocks[id] = append(r.clocks[id], clock)
			}
		}
		return
	}
	b.Discard()
	if r.rnd.IntN(2) == 0 {
		r.met.lost++
		r.reopen()
		return
	}
	if err := p.Retract(); err != nil {
		r.t.Fatal(err)
	}
	r.met.retracted++
}

func (r *largeRun) check() {
	r.t.Helper()
	for id := uint64(1); id <= 3; id++ {
		if r.s.Next(id) != r.next[id] || r.s.Oldest(id) != r.oldest[id] {
			r.t.Fatalf("query %d is %d..%d, want %d..%d", id, r.s.Oldest(id), r.s.Next(id), r.oldest[id], r.next[id])
		}
		checkSize(r.t, r.s, id)
		checkScans(r.t, r.s, id, [2]int64{r.oldest[id], r.next[id]}, r.oldest[id]+int64(r.rnd.IntN(int(r.next[id]-r.oldest[id])+2)), r.rnd.IntN(100))
	}
}

// TestLarge: rows that are written ahead of their epoch's commit are there with it, and nothing of them is when it does not come to be,
// whether the store goes on or is opened again.
func TestLarge(t *testing.T) {
	r := &largeRun{t: t, rnd: rand.New(rand.NewPCG(3, 1)), mem: kv.NewMem(), pad: strings.Repeat("x", 60<<10),
		next: map[uint64]int64{}, oldest: map[uint64]int64{}, clocks: map[uint64][]int64{}}
	r.s = open(t, r.mem)
	r.s.aheadMax = 300 << 10
	for epoch := uint64(1); epoch < 250; epoch++ {
		id := 1 + uint64(r.rnd.IntN(3))
		switch r.rnd.IntN(12) {
		case 0:
			if err := r.s.Drop(id); err != nil {
				t.Fatal(err)
			}
			r.next[id], r.oldest[id], r.clocks[id] = 0, 0, nil
			r.met.dropped++
		case 1:
			r.reopen()
		case 2:
			before := (int64(epoch) - int64(r.rnd.IntN(20))) * 10
			if err := r.s.Trim(id, Bounds{BeforeClock: before, KeepFrom: math.MaxInt64}); err != nil {
				t.Fatal(err)
			}
			for r.oldest[id] < r.next[id] && r.clocks[id][r.oldest[id]] < before {
				r.oldest[id]++
				r.met.trimmed++
			}
		}
		if err := r.mem.NewBatch().Commit(true); err != nil { // what was dropped and trimmed stays so
			t.Fatal(err)
		}
		r.epoch(epoch)
		r.check()
	}
	if m := r.met; m.ahead == 0 || m.retracted == 0 || m.lost == 0 || m.both == 0 || m.dropped == 0 || m.trimmed == 0 {
		t.Fatalf("not all cases were met: %+v", m)
	}
	r.s.Close()
}
