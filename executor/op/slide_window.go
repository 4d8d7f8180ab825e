package op

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/window"
)

// result makes the result of the row that the window of its key ends at, and returns its group among the results.
func (a *SlideAgg) result(id uint32) (uint32, error) {
	r := &a.results
	gid := uint32(len(r.rows))
	r.slab.Grow(len(r.rows) + 1)
	row := &a.rows[id]
	if err := a.fold(&r.slab, gid, row.key); err != nil {
		return 0, err
	}
	r.rows = append(r.rows, outRow{gid: gid, key: row.key, start: satAdd(row.t, -a.size), end: row.t, tag: gid})
	return gid, nil
}

// tell adds the result of a row that the window of its key ends at.
func (a *SlideAgg) tell(id, prev uint32, out Emitter) error {
	if a.fails(a.rows[id].key) {
		return nil
	}
	if _, err := a.result(id); err != nil {
		return err
	}
	a.results.list = append(a.results.list, slideResult{id: id, prev: prev, kind: slideInsert})
	if len(a.results.list) < batch.RowsMax {
		return nil
	}
	return a.send(out)
}

// fails reports that HAVING does not hold for the window of a key, where that can be told from its state.
func (a *SlideAgg) fails(key uint32) bool {
	r := &a.inRange
	if r.kernel == nil || !a.running || len(a.walked) > 0 {
		return false
	}
	a.one[0] = key
	var ok bool
	a.one, ok = r.kernel.InRange(a.one[:1], &a.back, a.offs[r.call], a.one[:1], r.in)
	return ok && len(a.one) == 1
}

// send passes on the results that are waiting.
func (a *SlideAgg) send(out Emitter) error {
	r := &a.results
	if len(r.list) == 0 {
		return nil
	}
	if err := a.judge(0); err != nil {
		return err
	}
	var err error
	switch {
	case a.mode == spec.EmitFirst:
		err = a.sendFirst(out)
	case len(r.passed) > 0:
		err = out.Emit(Input{B: r.b, Sel: r.passed})
	}
	a.clearResults()
	return err
}

func (a *SlideAgg) clearResults() {
	r := &a.results
	r.list, r.rows = r.list[:0], r.rows[:0]
	r.slab.Reset()
}

// judge makes rows of the results and finds those that HAVING lets through. The first of them, old, are as they were before a correction:
// their errors have been told.
func (a *SlideAgg) judge(old int) error {
	r := &a.results
	r.b.Reset(nil)
	r.at, r.passed = r.at[:0], r.passed[:0]
	for range r.rows {
		r.at = append(r.at, -1)
	}
	if told := a.GroupError; old > 0 {
		if told != nil {
			a.GroupError = func(window.Window, error) {}
		}
		err := a.judgeRows(r.rows[:old])
		a.GroupError = told
		if err != nil {
			return err
		}
	}
	return a.judgeRows(r.rows[old:])
}

// judgeRows is judge for some of the results.
func (a *SlideAgg) judgeRows(list []outRow) error {
	r := &a.results
	from, passed := r.b.N, len(r.passed)
	rows, err := a.fill(r.b, &r.slab, &a.table, list)
	if err != nil || len(rows) == 0 {
		return err
	}
	if made := batch.All(r.b.N)[from:]; a.having == nil {
		r.passed = append(r.passed, made...)
	} else if r.passed, err = a.passingAmong(r.b, made, r.passed); err != nil {
		return err
	}
	for _, i := range r.passed[passed:] {
		r.at[rows[int(i)-from].tag] = int(i)
	}
	return nil
}

// sendChanges sends inserts and corrections in order.
func (a *SlideAgg) sendChanges(out Emitter) error {
	r := &a.results
	for _, res := range r.list {
		before, after := -1, r.at[res.id]
		if res.kind == slideBefore {
			before, after = after, r.at[res.prev]
		}
		if err := r.pairs.change(r.b, before, r.b, after, out); err != nil {
			return err
		}
	}
	return r.pairs.flush(out)
}

// sendFirst sends the results of rows in order for which HAVING has become true.
func (a *SlideAgg) sendFirst(out Emitter) error {
	r := &a.results
	told := r.passed[:0]
	for i, res := range r.list {
		if r.at[i] < 0 {
			continue
		}
		row := &a.rows[res.id]
		row.flags |= slideOn
		if !a.onBefore(res.prev, row.t) {
			told = append(told, uint32(r.at[i]))
		}
		a.saved.touch(row, res.id)
	}
	if len(told) == 0 {
		return nil
	}
	return out.Emit(Input{B: r.b, Sel: told})
}

// onBefore reports whether HAVING held for a row that is within the size before t.
func (a *SlideAgg) onBefore(prev uint32, t int64) bool {
	if prev == 0 {
		return false
	}
	p := &a.rows[prev-1]
	return p.flags&slideOn != 0 && p.t > satAdd(t, -a.size)
}

// disorder puts a row before others of its key, and corrects the results of those that have it in their windows now and are not
// final.
func (a *SlideAgg) disorder(id uint32, final int64, out Emitter) error {
	if err := a.send(out); err != nil {
		return err
	}
	row := &a.rows[id]
	prev := a.follows(id)
	next := a.keys[row.key].oldest
	if prev != 0 {
		next = a.rows[prev-1].next
	}
	a.steps = a.steps[:0]
	until := satAdd(row.t, a.size)
	for at := next; at != 0 && a.rows[at-1].t < until; at = a.rows[at-1].next {
		if u := &a.rows[at-1]; u.t >= final && (a.mode != spec.EmitFinal || u.flags&slideOut != 0) {
			a.steps = append(a.steps, slideStep{id: at - 1})
		}
	}
	if a.mode == spec.EmitFirst {
		a.link(id, prev)
		return a.disorderFirst(id, final, out)
	}
	return a.correct(id, prev, final, out)
}

// correct tells the results of a row and of those in steps, before and after it was there.
func (a *SlideAgg) correct(id, prev uint32, final int64, out Emitter) error {
	r := &a.results
	for i := range a.steps {
		s := &a.steps[i]
		if err := a.moveTo(a.rows[s.id].key, s.id); err != nil {
			return err
		}
		var err error
		if s.before, err = a.result(s.id); err != nil {
			return err
		}
	}
	a.link(id, prev)
	row := &a.rows[id]
	row.flags |= slideOut
	order := r.list[:0]
	if row.t >= final {
		if err := a.moveTo(row.key, id); err != nil {
			return err
		}
		gid, err := a.result(id)
		if err != nil {
			return err
		}
		order = append(order, slideResult{id: gid, kind: slideInsert})
	}
	for i := range a.steps {
		s := &a.steps[i]
		if err := a.moveTo(row.key, s.id); err != nil {
			return err
		}
		gid, err := a.result(s.id)
		if err != nil {
			return err
		}
		order = append(order, slideResult{id: s.before, prev: gid, kind: slideBefore})
	}
	r.list = order
	err := a.judge(len(a.steps))
	if err == nil {
		err = a.sendChanges(out)
	}
	a.clearResults()
	return err
}

// disorderFirst looks anew at a row that came out of order and those after it, and tells of runs for which HAVING holds now
// and of which nothing has been told.
func (a *SlideAgg) disorderFirst(id uint32, final int64, out Emitter) error {
	r := &a.results
	row := &a.rows[id]
	if row.t >= final {
		a.steps = slices.Insert(a.steps, 0, slideStep{id: id})
	}
	if len(a.steps) == 0 {
		return nil
	}
	for i := range a.steps {
		if err := a.moveTo(row.key, a.steps[i].id); err != nil {
			return err
		}
		if _, err := a.result(a.steps[i].id); err != nil {
			return err
		}
	}
	if err := a.judge(0); err != nil {
		return err
	}
	told := r.passed[:0]
	for i := 0; i < len(a.steps); i++ {
		u := &a.rows[a.steps[i].id]
		if r.at[i] < 0 || a.runBefore(i, u) {
			continue
		}
		if !a.runTold(i) {
			told = append(told, uint32(r.at[i]))
		}
	}
	for i := range a.steps {
		u := &a.rows[a.steps[i].id]
		before := u.flags
		u.flags &^= slideOn
		if r.at[i] >= 0 {
			u.flags |= slideOn
		}
		if u.flags != before {
			a.saved.touch(u, a.steps[i].id)
		}
	}
	var err error
	if len(told) > 0 {
		err = out.Emit(Input{B: r.b, Sel: told})
	}
	a.clearResults()
	return err
}

// runBefore reports whether HAVING holds now for the row before step i, within the size.
func (a *SlideAgg) runBefore(i int, u *slideRow) bool {
	if i > 0 && a.steps[i-1].id+1 == u.prev {
		return a.results.at[i-1] >= 0 && a.rows[u.prev-1].t > satAdd(u.t, -a.size)
	}
	return a.onBefore(u.prev, u.t)
}

// runTold reports whether HAVING held before for some row of the run that begins at step i.
func (a *SlideAgg) runTold(i int) bool {
	for ; i < len(a.steps) && a.results.at[i] >= 0; i++ {
		u := &a.rows[a.steps[i].id]
		if u.flags&slideOn != 0 {
			return true
		}
		if u.next == 0 || a.rows[u.next-1].t >= satAdd(u.t, a.size) {
			return false
		}
		if i+1 == len(a.steps) || a.steps[i+1].id+1 != u.next {
			return a.rows[u.next-1].flags&slideOn != 0
		}
	}
	return false
}
