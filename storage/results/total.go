package results

import (
	"cmp"
	"fmt"
	"slices"
)

// Total is how many bytes of rows are kept of all queries, without bases.
func (s *Store) Total() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Bounded is a changelog of which TrimAll may drop rows.
type Bounded struct {
	Query uint64
	// Bounds are KeepFrom and Fold; the others are TrimAll's.
	Bounds Bounds
	// oldest is the clock of the oldest row.
	oldest int64
}

// trimSteps is in how many steps TrimAll goes from the oldest row of all to now.
const trimSteps = 64

// TrimAll drops rows until those of all queries take most bytes at most: those go first that came first, whosever they are, in steps of a 64th of the
// time since the oldest of all, up to the clock now. What the list says stays; there may be too much of that.
func (s *Store) TrimAll(list []Bounded, most, now int64) error {
	if s.Total() <= most {
		return nil
	}
	kept := list[:0]
	for _, x := range list {
		clock, ok, err := s.oldestClock(x.Query)
		if err != nil {
			return err
		}
		if x.oldest = clock; ok {
			kept = append(kept, x)
		}
	}
	if list = kept; len(list) == 0 {
		return nil
	}
	from := slices.MinFunc(list, func(a, b Bounded) int { return cmp.Compare(a.oldest, b.oldest) }).oldest
	for step := int64(1); step <= trimSteps && s.Total() > most; step++ {
		before := from + max(0, now-from)/trimSteps*step
		if step == trimSteps {
			before = now
		}
		for i := range list {
			x := &list[i]
			if x.oldest >= before {
				continue
			}
			x.Bounds.BeforeClock, x.Bounds.together = before, true
			if err := s.Trim(x.Query, x.Bounds); err != nil {
				return err
			}
			x.oldest = before // or later
		}
	}
	return nil
}

// oldestClock is the clock of a query's oldest row; false: it has none.
func (s *Store) oldestClock(queryID uint64) (clock int64, found bool, err error) {
	err = s.Scan(queryID, 0, 1, func(r Row) (bool, error) {
		clock, found = r.Clock, true
		return false, nil
	})
	if err != nil {
		return 0, false, fmt.Errorf("find the oldest row: %w", err)
	}
	return clock, found, nil
}
