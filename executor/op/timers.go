package op

import (
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/types"
)

// timer asks to look at something (id) at a time; gen tells whether it is still the one that asked.
type timer struct {
	at      int64
	id, gen uint32
}

// timers hands timers back in the order of their times. Those far away lie unsorted in buckets by time; only the bucket at
// hand is a heap, so that a timer whose time has moved in the meantime costs a copy and not a heap's path.
type timers struct {
	width int64 // of a bucket, in microseconds
	// due tells when a timer of a bucket is really due, false when it has lapsed.
	due   func(tm timer) (at int64, ok bool)
	near  []timer // a heap: those up to last
	last  int64
	far   []timerBucket // by index, without empty ones
	spare [][]timer
}

type timerBucket struct {
	index int64 // holds the times from index*width on
	list  []timer
}

// sparesMax bounds the emptied buckets that are kept for reuse.
const sparesMax = 8

func newTimers(width int64, due func(timer) (int64, bool)) timers {
	return timers{width: max(width, 1), due: due, last: math.MinInt64}
}

// add sets a timer.
func (t *timers) add(tm timer) {
	if tm.at <= t.last {
		t.push(tm)
		return
	}
	index := floorDiv(tm.at, t.width)
	at := len(t.far)
	for at > 0 && t.far[at-1].index > index {
		at--
	}
	if at == 0 || t.far[at-1].index != index {
		var list []timer
		if n := len(t.spare); n > 0 {
			list, t.spare = t.spare[n-1], t.spare[:n-1]
		}
		t.far = slices.Insert(t.far, at, timerBucket{index: index, list: list})
		at++
	}
	b := &t.far[at-1]
	b.list = append(b.list, tm)
}

// next is a time before which no timer is due; types.MaxTime when there is none.
func (t *timers) next() types.EventTime {
	switch {
	case len(t.near) > 0:
		return types.EventTime(t.near[0].at)
	case len(t.far) > 0:
		return types.EventTime(t.far[0].index * t.width)
	}
	return types.MaxTime
}

// pop takes the earliest timer that is due at w. It may have lapsed or moved.
func (t *timers) pop(w int64) (timer, bool) {
	for {
		if len(t.near) > 0 {
			if t.near[0].at > w {
				return timer{}, false
			}
			return t.take(), true
		}
		if len(t.far) == 0 || t.far[0].index*t.width > w {
			return timer{}, false
		}
		t.open()
	}
}

// open moves the timers of the first bucket to where they belong now.
func (t *timers) open() {
	b := t.far[0]
	t.far = slices.Delete(t.far, 0, 1)
	t.last = satAdd(b.index*t.width, t.width-1)
	for _, tm := range b.list {
		if at, ok := t.due(tm); ok {
			tm.at = at
			t.add(tm)
		}
	}
	if len(t.spare) < sparesMax {
		t.spare = append(t.spare, b.list[:0])
	}
}

func (t *timers) push(tm timer) {
	t.near = append(t.near, tm)
	for at := len(t.near) - 1; at > 0; {
		up := (at - 1) / 2
		if t.near[up].at <= tm.at {
			break
		}
		t.near[at], t.near[up] = t.near[up], t.near[at]
		at = up
	}
}

// take removes the top of the heap.
func (t *timers) take() timer {
	top, n := t.near[0], len(t.near)-1
	t.near[0] = t.near[n]
	t.near = t.near[:n]
	for at := 0; ; {
		down := 2*at + 1
		if down >= n {
			return top
		}
		if down+1 < n && t.near[down+1].at < t.near[down].at {
			down++
		}
		if t.near[at].at <= t.near[down].at {
			return top
		}
		t.near[at], t.near[down] = t.near[down], t.near[at]
		at = down
	}
}

func (t *timers) bytes() int64 {
	n := cap(t.near)
	for i := range t.far {
		n += cap(t.far[i].list)
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
