package job

import (
	"container/heap"

	"github.com/vigil-sql/vigil/executor/types"
)

// deadlines are the queries of one stream, in one worker, that have something to do by themselves at some watermark: a heap, the
// earliest first. A query changes its deadline only while it is driven, so whoever drives it calls set after.
type deadlines []*workerQuery

var _ heap.Interface = (*deadlines)(nil)

// next is the least watermark at which a query has something to do; MaxTime: none has.
func (d deadlines) next() types.EventTime {
	if len(d) == 0 {
		return types.MaxTime
	}
	return d[0].due
}

// set notes when a query has something to do; MaxTime takes it out.
func (d *deadlines) set(wq *workerQuery, due types.EventTime) {
	switch {
	case due == types.MaxTime && wq.place == 0:
	case due == types.MaxTime:
		heap.Remove(d, wq.place-1)
	case wq.place == 0:
		wq.due = due
		heap.Push(d, wq)
	case wq.due != due:
		wq.due = due
		heap.Fix(d, wq.place-1)
	}
}

// take takes the queries out that have something to do at a watermark, and appends them to dst.
func (d *deadlines) take(wm types.EventTime, dst []*workerQuery) []*workerQuery {
	for len(*d) > 0 && (*d)[0].due <= wm {
		dst = append(dst, (*d)[0])
		heap.Pop(d)
	}
	return dst
}

// Len, Less, Swap, Push and Pop implement heap.Interface. Queries that are due at once leave in the order of their ids.
func (d deadlines) Len() int { return len(d) }
func (d deadlines) Less(i, j int) bool {
	if d[i].due != d[j].due {
		return d[i].due < d[j].due
	}
	return d[i].q.spec.ID < d[j].q.spec.ID
}
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i+1, j+1
}
func (d *deadlines) Push(x any) {
	wq := x.(*workerQuery)
	*d = append(*d, wq)
	wq.place = len(*d)
}
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	wq := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	wq.place = 0
	return wq
}
