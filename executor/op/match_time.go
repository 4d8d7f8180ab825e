package op

import (
	"cmp"
	"slices"

	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// waiting is a row that the watermark has not passed yet.
type waiting struct {
	time types.EventTime
	seq  uint64 // of arrival
	row  uint32
	gid  uint32
}

func (a *waiting) before(b *waiting) bool {
	return a.time < b.time || a.time == b.time && a.seq < b.seq
}

// timeQueue gives rows in the order of (time, arrival), when the watermark has passed them. Rows mostly come nearly in order, so
// that adding a batch moves only those it is mixed with.
type timeQueue struct {
	sorted []waiting // from head on
	head   int
	fresh  []waiting // since the last settle
	least  types.EventTime
	seq    uint64

	mem                     *arena.Part
	sortedBlock, freshBlock arena.Block
}

func (q *timeQueue) add(t types.EventTime, row, gid uint32) {
	if len(q.fresh) == 0 || t < q.least {
		q.least = t
	}
	q.seq++
	q.fresh = arena.Append(q.mem, &q.freshBlock, q.fresh, waiting{t, q.seq, row, gid})
}

// next is the time of the first row, MaxTime without rows.
func (q *timeQueue) next() types.EventTime {
	t := types.MaxTime
	if q.head < len(q.sorted) {
		t = q.sorted[q.head].time
	}
	if len(q.fresh) > 0 {
		t = min(t, q.least)
	}
	return t
}

// settle merges the fresh rows into the sorted ones.
func (q *timeQueue) settle() {
	if len(q.fresh) == 0 {
		return
	}
	order := func(a, b waiting) int {
		if c := cmp.Compare(a.time, b.time); c != 0 {
			return c
		}
		return cmp.Compare(a.seq, b.seq)
	}
	if !slices.IsSortedFunc(q.fresh, order) {
		slices.SortFunc(q.fresh, order)
	}
	if q.head > 0 && q.head >= len(q.sorted)/2 {
		n := copy(q.sorted, q.sorted[q.head:])
		q.sorted, q.head = q.sorted[:n], 0
	}
	i, j := len(q.sorted)-1, len(q.fresh)-1
	q.sorted = arena.Append(q.mem, &q.sortedBlock, q.sorted, q.fresh...)
	for k := len(q.sorted) - 1; j >= 0; k-- {
		if i >= q.head && q.fresh[j].before(&q.sorted[i]) {
			q.sorted[k] = q.sorted[i]
			i--
		} else {
			q.sorted[k] = q.fresh[j]
			j--
		}
	}
	q.fresh = q.fresh[:0]
}

// pop takes the first row if its time is below the watermark; settle first.
func (q *timeQueue) pop(watermark types.EventTime) (waiting, bool) {
	if q.head == len(q.sorted) || q.sorted[q.head].time >= watermark {
		return waiting{}, false
	}
	q.head++
	return q.sorted[q.head-1], true
}

// all calls f for each row that waits, in no particular order, so that it may renumber the key.
func (q *timeQueue) all(f func(w *waiting)) {
	for i := q.head; i < len(q.sorted); i++ {
		f(&q.sorted[i])
	}
	for i := range q.fresh {
		f(&q.fresh[i])
	}
}

// clear forgets all rows and gives the memory back.
func (q *timeQueue) clear() {
	q.sortedBlock.Free()
	q.freshBlock.Free()
	*q = timeQueue{mem: q.mem}
}

func (q *timeQueue) bytes() int64 { return int64(cap(q.sorted)+cap(q.fresh)) * 24 }

// keyTimer is the time at which something of a key is due.
type keyTimer struct {
	due types.EventTime
	gid uint32
}

func (a keyTimer) before(b keyTimer) bool { return a.due < b.due || a.due == b.due && a.gid < b.gid }

// timerHeap is a binary heap of timers. An entry may be out of date: whoever takes it looks at the key.
type timerHeap struct {
	list  []keyTimer
	mem   *arena.Part
	block arena.Block
}

func (h *timerHeap) push(t keyTimer) {
	h.list = arena.Append(h.mem, &h.block, h.list, t)
	s := h.list
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if !s[i].before(s[up]) {
			break
		}
		s[i], s[up] = s[up], s[i]
		i = up
	}
}

// next is when the first timer is due, MaxTime without timers.
func (h *timerHeap) next() types.EventTime {
	if len(h.list) == 0 {
		return types.MaxTime
	}
	return h.list[0].due
}

// clear forgets all timers and gives the memory back.
func (h *timerHeap) clear() {
	h.block.Free()
	h.list = nil
}

func (h *timerHeap) pop() keyTimer {
	s := h.list
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	h.list = s[:last]
	h.down(0)
	return top
}

func (h *timerHeap) down(i int) {
	s := h.list
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(s); c++ {
			if s[c].before(s[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}

// keep drops the timers for which f is false, and lets f renumber the others.
func (h *timerHeap) keep(f func(t *keyTimer) bool) {
	out := h.list[:0]
	for _, t := range h.list {
		if f(&t) {
			out = append(out, t)
		}
	}
	h.list = out
	for i := len(out)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}
