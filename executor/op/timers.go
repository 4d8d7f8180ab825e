package op

import (
	"math"
	"math/bits"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
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
	near  timerList
	least int64
	// ring has the buckets from base on, each at its number modulo timerRing, nil: empty; full are those that hold something, by bit.
	ring [timerRing]*timerList
	full [timerRing / 64]uint64
	base int64
	// beyond are the timers after the ring, beyondAt the least of their buckets.
	beyond   timerList
	beyondAt int64
	begun    bool      // base counts
	taken    timerList // those that take returned last
	spare    []*timerList
	// mem is where timers lie; nil: on the heap.
	mem *arena.Part
}

// timerList is timers in no order.
type timerList struct {
	list  []timer
	block arena.Block
}

func (l *timerList) add(mem *arena.Part, tm timer) { l.list = arena.Append(mem, &l.block, l.list, tm) }

func (l *timerList) free() {
	l.block.Free()
	l.list = nil
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
		t.near.add(t.mem, tm)
		t.least = min(t.least, tm.at)
	case uint64(n-t.base) < timerRing:
		at := n & (timerRing - 1)
		if t.ring[at] == nil {
			t.ring[at] = t.bucket()
			t.full[at>>6] |= 1 << (at & 63)
		}
		t.ring[at].add(t.mem, tm)
	default:
		t.beyond.add(t.mem, tm)
		t.beyondAt = min(t.beyondAt, n)
	}
}

// bucket is one without timers.
func (t *timers) bucket() *timerList {
	n := len(t.spare)
	if n == 0 {
		return &timerList{}
	}
	b := t.spare[n-1]
	t.spare = t.spare[:n-1]
	return b
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
	if len(t.beyond.list) > 0 && (!ok || t.beyondAt < n) {
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
	for len(t.near.list) < batch.RowsMax {
		n, ok := t.first()
		if !ok || n > w>>t.shift {
			t.begun, t.base = true, max(t.base, w>>t.shift+1)
			break
		}
		t.open(n)
	}
	if t.least > w || len(t.near.list) == 0 {
		return nil, false
	}
	t.takeNear(w)
	return t.taken.list, true
}

// takeNear takes those of near that are due at w.
func (t *timers) takeNear(w int64) {
	t.taken.list = t.taken.list[:0]
	kept := t.near.list[:0]
	t.least = math.MaxInt64
	for _, tm := range t.near.list {
		if tm.at <= w {
			t.taken.add(t.mem, tm)
			continue
		}
		t.least = min(t.least, tm.at)
		kept = append(kept, tm)
	}
	t.near.list = kept
}

// open moves the timers of bucket n, before which there are none, to where they belong now.
func (t *timers) open(n int64) {
	t.base = n + 1
	at := n & (timerRing - 1)
	if b := t.ring[at]; b != nil {
		t.ring[at] = nil
		t.full[at>>6] &^= 1 << (at & 63)
		for _, tm := range b.list {
			if due, ok := t.due(tm); ok {
				tm.at = due
				t.add(tm)
			}
		}
		if b.list = b.list[:0]; len(t.spare) < sparesMax && !t.mem.Short() {
			t.spare = append(t.spare, b)
		} else {
			b.free()
		}
	}
	if t.beyondAt < t.base+timerRing/2 {
		far := t.beyond
		t.beyond, t.beyondAt = timerList{}, math.MaxInt64
		for _, tm := range far.list {
			t.add(tm)
		}
		far.free()
	}
}

func (t *timers) clear() {
	for _, b := range append(t.spare, t.ring[:]...) {
		if b != nil {
			b.free()
		}
	}
	t.near.free()
	t.beyond.free()
	t.taken.free()
	*t = timers{shift: t.shift, due: t.due, mem: t.mem, least: math.MaxInt64, beyondAt: math.MaxInt64}
}

func (t *timers) bytes() int64 {
	n := cap(t.near.list) + cap(t.beyond.list) + cap(t.taken.list)
	for _, b := range t.ring {
		if b != nil {
			n += cap(b.list)
		}
	}
	for _, b := range t.spare {
		n += cap(b.list)
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
