package op

import (
	"math"
	"math/bits"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// timer asks to look at something (id) at a time; gen tells whether it is still the one that asked.
type timer struct {
	at      int64
	id, gen uint32
}

// timers hands timers back when their times have come, in no order. They lie unsorted in a ring of buckets by time; whether
// one has moved or lapsed in the meantime is asked when its bucket is opened, so that moving it costs nothing.
type timers struct {
	shift uint // a bucket is 1<<shift microseconds; at least 1, so that numbers of buckets do not overflow
	// due tells when a timer of a bucket is really due, false when it has lapsed.
	due func(tm timer) (at int64, ok bool)
	// near are the timers before bucket base, least the least of their times.
	near  []timer
	least int64
	// ring has the buckets from base on, each at its number modulo timerRing; full are those that hold something, by bit.
	ring [timerRing][]timer
	full [timerRing / 64]uint64
	base int64
	// beyond are the timers after the ring, beyondAt the least of their buckets.
	beyond   []timer
	beyondAt int64
	begun    bool    // base counts
	taken    []timer // those that take returned last
	spare    [][]timer
}

// sparesMax bounds the emptied buckets that are kept for reuse.
const sparesMax = 64

const (
	timerRing = 1 << 10
	// timerSpan is how many buckets the usual distance of a timer from the present is.
	timerSpan = timerRing / 4
)

// newTimers is for timers that are set up to so many microseconds before they are due, most of them.
func newTimers(ahead int64, due func(timer) (int64, bool)) timers {
	return timers{shift: uint(max(bits.Len64(uint64(ahead)/timerSpan), 1)), due: due, least: math.MaxInt64, beyondAt: math.MaxInt64}
}

// add sets a timer.
func (t *timers) add(tm timer) {
	n := tm.at >> t.shift
	if !t.begun {
		t.begun, t.base = true, n-timerRing/2
	}
	switch {
	case n < t.base:
		t.near, t.least = append(t.near, tm), min(t.least, tm.at)
	case uint64(n-t.base) < timerRing:
		at := n & (timerRing - 1)
		if n := len(t.spare); n > 0 && t.ring[at] == nil {
			t.ring[at], t.spare = t.spare[n-1], t.spare[:n-1]
		}
		t.ring[at] = appendTwice(t.ring[at], tm)
		t.full[at>>6] |= 1 << (at & 63)
	default:
		t.beyond, t.beyondAt = append(t.beyond, tm), min(t.beyondAt, n)
	}
}

// next is a time before which no timer is due; types.MaxTime when there is none.
func (t *timers) next() types.EventTime {
	if n, ok := t.first(); ok {
		return types.EventTime(min(t.least, n<<t.shift))
	}
	return types.EventTime(t.least)
}

// first is the first bucket from base on that holds something.
func (t *timers) first() (int64, bool) {
	n, ok := t.firstOfRing()
	if len(t.beyond) > 0 && (!ok || t.beyondAt < n) {
		return t.beyondAt, true
	}
	return n, ok
}

func (t *timers) firstOfRing() (int64, bool) {
	from := t.base & (timerRing - 1)
	for i := range int64(len(t.full)) + 1 {
		at := (from>>6 + i) & int64(len(t.full)-1)
		w := t.full[at]
		if i == 0 {
			w &= ^uint64(0) << (from & 63)
		}
		if w != 0 {
			n := at<<6 + int64(bits.TrailingZeros64(w))
			return t.base + (n-from)&(timerRing-1), true
		}
	}
	return 0, false
}

// take returns timers that are due at w, false when there are no more. They may have lapsed or moved. The list is valid until
// the next call; timers may be added meanwhile.
func (t *timers) take(w int64) ([]timer, bool) {
	for len(t.near) < batch.RowsMax {
		n, ok := t.first()
		if !ok || n > w>>t.shift {
			t.begun, t.base = true, max(t.base, w>>t.shift+1)
			break
		}
		t.open(n)
	}
	if t.least > w || len(t.near) == 0 {
		return nil, false
	}
	t.takeNear(w)
	return t.taken, true
}

// takeNear takes those of near that are due at w.
func (t *timers) takeNear(w int64) {
	t.taken = t.taken[:0]
	kept := t.near[:0]
	t.least = math.MaxInt64
	for _, tm := range t.near {
		if tm.at <= w {
			t.taken = append(t.taken, tm)
			continue
		}
		t.least = min(t.least, tm.at)
		kept = append(kept, tm)
	}
	t.near = kept
}

// open moves the timers of bucket n, before which there are none, to where they belong now.
func (t *timers) open(n int64) {
	t.base = n + 1
	at := n & (timerRing - 1)
	list := t.ring[at]
	t.ring[at] = nil
	t.full[at>>6] &^= 1 << (at & 63)
	for _, tm := range list {
		if due, ok := t.due(tm); ok {
			tm.at = due
			t.add(tm)
		}
	}
	if len(t.spare) < sparesMax && cap(list) > 0 {
		t.spare = append(t.spare, list[:0])
	}
	if t.beyondAt < t.base+timerRing/2 {
		far := t.beyond
		t.beyond, t.beyondAt = nil, math.MaxInt64
		for _, tm := range far {
			t.add(tm)
		}
	}
}

func (t *timers) clear() {
	*t = timers{shift: t.shift, due: t.due, least: math.MaxInt64, beyondAt: math.MaxInt64}
}

func (t *timers) bytes() int64 {
	n := cap(t.near) + cap(t.beyond) + cap(t.taken)
	for i := range t.ring {
		n += cap(t.ring[i])
	}
	for _, list := range t.spare {
		n += cap(list)
	}
	return int64(n) * 16
}

// floorDiv is division that rounds down; b > 0.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// satAdd adds without leaving the range of int64.
func satAdd(a, b int64) int64 {
	c := a + b
	switch {
	case b > 0 && c < a:
		return math.MaxInt64
	case b < 0 && c > a:
		return math.MinInt64
	}
	return c
}
