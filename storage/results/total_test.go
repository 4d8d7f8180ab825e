package results

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// TestTrimAll: of all results together the oldest rows go, as many as must and few more; what is to be kept stays.
func TestTrimAll(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 1))
	s := open(t, kv.NewMem())
	kept, met := 0, 0
	for epoch := uint64(1); epoch < 3000; epoch++ {
		put(t, s, 1+uint64(rnd.IntN(20)), epoch, int64(epoch)*10, 1+rnd.IntN(8))
		if rnd.IntN(60) > 0 {
			continue
		}
		if rnd.IntN(3) == 0 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		had, oldest := clocks(t, s, 7), int64(math.MaxInt64)
		before, most := s.Total(), int64(1000+rnd.IntN(20_000))
		if rnd.IntN(4) == 0 {
			most = 10
		}
		var list []Bounded
		keepFrom := int64(math.MaxInt64)
		for _, id := range s.Queries() {
			x := Bounded{Query: id, Bounds: Bounds{KeepFrom: math.MaxInt64}}
			if clock, ok, err := s.oldestClock(id); err != nil {
				t.Fatal(err)
			} else if ok {
				oldest = min(oldest, clock)
			}
			if id == 7 { // somebody has still to read half of it
				x.Bounds.KeepFrom = (s.Oldest(id) + s.Next(id)) / 2
				keepFrom = x.Bounds.KeepFrom
			}
			list = append(list, x)
		}
		if err := s.TrimAll(list, most, int64(epoch)*10); err != nil {
			t.Fatal(err)
		}
		switch total := s.Total(); {
		case before <= most && total != before:
			t.Fatalf("%d bytes may be there, of %d there are %d", most, before, total)
		case total > most:
			if kept++; s.Oldest(7) > keepFrom {
				t.Fatalf("rows that were to be kept are gone: from %d on, not %d", s.Oldest(7), keepFrom)
			}
			for _, id := range s.Queries() {
				if clock, ok, err := s.oldestClock(id); err != nil || ok && id != 7 && clock < int64(epoch)*10 {
					t.Fatalf("%d bytes are there, %d may be, and query %d has rows of %d: %v", total, most, id, clock, err)
				}
			}
		case before > most:
			checkOldest(t, had, clocks(t, s, 7))
			if step := (int64(epoch)*10 - oldest) / trimSteps; total+(step/10+2)*epochBytes <= most {
				t.Fatalf("%d bytes may be there, of %d only %d are, with steps of %d", most, before, total, step)
			}
			met++
		}
		for _, id := range s.Queries() {
			checkSize(t, s, id)
		}
	}
	if met < 10 || kept == 0 {
		t.Errorf("trimmed %d times, and %d times not far enough", met, kept)
	}
}

// clocks are those of the rows of all queries but one that are there.
func clocks(t *testing.T, s *Store, but uint64) (list []int64) {
	t.Helper()
	for _, id := range s.Queries() {
		if id == but {
			continue
		}
		if err := s.Scan(id, 0, 0, func(r Row) (bool, error) {
			list = append(list, r.Clock)
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(list)
	return list
}

// epochBytes is more than the rows take that TestTrimAll puts in an epoch.
const epochBytes = 8 * 16

// checkOldest checks that those rows have gone that were the oldest.
func checkOldest(t *testing.T, before, after []int64) {
	t.Helper()
	if !slices.Equal(before[len(before)-len(after):], after) {
		t.Fatalf("%d of %d rows are left, and not the newest ones", len(after), len(before))
	}
}
