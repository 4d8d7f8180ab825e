package job

import (
	"container/heap"

	"github.com/vigil-sql/vigil/executor/types"
)

// timer is a watermark at which a query, or a group of them, has something to do by itself.
type timer struct {
	due types.EventTime
	// place is where it is in the deadlines, from 1; 0: nowhere.
	place int
	// id orders timers that are due at once.
	id    uint64
	wq    *workerQuery
	group *group // nil: it is wq's
}

// deadlines are the timers of one stream in one worker: a heap, the earliest first. A query changes its deadline only while it is
// driven, so whoever drives it calls set after.
type deadlines []*timer

var _ heap.Interface = (*deadlines)(nil)

// next is the least watermark at which something is due; MaxTime: nothing is.
func (d deadlines) next() types.EventTime {
	if len(d) == 0 {
		return types.MaxTime
	}
	return d[0].due
}

// set notes when a timer is due; MaxTime takes it out.
func (d *deadlines) set(t *timer, due types.EventTime) {
	switch {
	case due == types.MaxTime && t.place == 0:
	case due == types.MaxTime:
		heap.Remove(d, t.place-1)
	case t.place == 0:
		t.due = due
		heap.Push(d, t)
	case t.due != due:
		t.due = due
		heap.Fix(d, t.place-1)
	}
}

// take takes the timers out that are due at a watermark, and appends them to dst.
func (d *deadlines) take(wm types.EventTime, dst []*timer) []*timer {
	for len(*d) > 0 && (*d)[0].due <= wm {
		dst = append(dst, (*d)[0])
		heap.Pop(d)
	}
	return dst
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (d deadlines) Len() int { return len(d) }
func (d deadlines) Less(i, j int) bool {
	if d[i].due != d[j].due {
		return d[i].due < d[j].due
	}
	return d[i].id < d[j].id
}
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i+1, j+1
}
func (d *deadlines) Push(x any) {
	t := x.(*timer)
	*d = append(*d, t)
	t.place = len(*d)
}
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	t := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	t.place = 0
	return t
}
