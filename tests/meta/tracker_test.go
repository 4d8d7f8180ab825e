package meta

import "math"

// never is the watermark before the first row.
const never = math.MinInt64

// tracker computes a stream's watermark from the definition, with no regard to cost: the largest time of each split less the
// delay, the least of those over the splits that are not idle, never going back; and if all are idle, time goes on by the clock.
type tracker struct {
	delay, idle int64
	splits      map[int]*splitState
	watermark   int64
	idled, woke int // how often a split fell idle and came back
}

type splitState struct {
	seen    bool
	max     int64
	arrival int64
	idle    bool
}

func newTracker(s shape, clock int64) *tracker {
	t := &tracker{delay: s.delay, idle: s.idle, splits: map[int]*splitState{}, watermark: never}
	if s.announce {
		for i := range s.splits {
			t.splits[i] = &splitState{arrival: clock}
		}
	}
	return t
}

// row takes an event at a reading of the clock.
func (t *tracker) row(split int, at, clock int64) {
	s := t.splits[split]
	if s == nil {
		s = &splitState{}
		t.splits[split] = s
	}
	if s.idle {
		t.woke++
	}
	if !s.seen || at > s.max && (behindRowsCount || at >= t.watermark) {
		s.max = at
	}
	s.seen, s.arrival, s.idle = true, clock, false
	t.merge()
}

// merge moves the watermark to the least of the splits that are not idle.
func (t *tracker) merge() {
	least, active := int64(math.MaxInt64), false
	for _, s := range t.splits {
		switch {
		case s.idle:
		case !s.seen:
			return
		default:
			least, active = min(least, s.max-t.delay), true
		}
	}
	if active {
		t.watermark = max(t.watermark, least)
	}
}

// tick takes a reading of the clock.
func (t *tracker) tick(clock int64) {
	all, most := true, int64(never)
	for _, s := range t.splits {
		if clock-s.arrival >= t.idle {
			if !s.idle {
				t.idled++
			}
			s.idle = true
		}
		all = all && s.idle
		if s.idle && s.seen {
			most = max(most, s.max+clock-s.arrival-t.delay)
		}
	}
	if !all {
		t.merge()
	} else if len(t.splits) > 0 {
		t.watermark = max(t.watermark, most)
	}
}

// restart: the time in which the server was down does not count as silence.
func (t *tracker) restart(clock int64) {
	for _, s := range t.splits {
		s.arrival, s.idle = clock, false
	}
}

// row is an event as the model's queries see it.
type row struct {
	*event
	// before are the watermarks of all streams before the event, after those behind it.
	before, after []int64
}

// watched gives each event the watermarks at its turn.
func watched(s shape, order []step, clock int64) (rows []row, idled, woke int) {
	ts := make([]*tracker, s.streams)
	for i := range ts {
		ts[i] = newTracker(s, clock)
	}
	marks := func() []int64 {
		out := make([]int64, len(ts))
		for i, t := range ts {
			out[i] = t.watermark
		}
		return out
	}
	for _, st := range order {
		if st.ev == nil {
			clock += st.clock.Microseconds()
			for _, t := range ts {
				t.tick(clock)
				if st.restart {
					t.restart(clock)
				}
			}
			continue
		}
		r := row{event: st.ev, before: marks()}
		ts[st.ev.stream].row(st.ev.split, st.ev.at, clock)
		r.after = marks()
		rows = append(rows, r)
	}
	for _, t := range ts {
		idled, woke = idled+t.idled, woke+t.woke
	}
	return rows, idled, woke
}
