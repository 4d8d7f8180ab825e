package job

import (
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// Most of many queries have no rows in most epochs. They cost a worker nothing then: neither operators before the first row comes
// (workerQuery.tree is nil), nor calls at the ends of epochs. What they miss by that is that time passed. An operator without rows
// that is moved on by several watermarks is where the last of them alone would have brought it, so the last one is made up for
// by rouse, before the query is driven again.
//
// So who drives a query calls rouse before, and touch.

// rouse brings a query's operators to where they would be if they had been told the end of every epoch.
func (w *worker) rouse(wq *workerQuery) {
	if wq.dead || wq.tree != nil && (wq.several || !wq.tree.HoldsBack() || wq.told == w.ends) {
		return
	}
	w.wq, w.routed = wq, nil
	w.check(wq, guard(w.rouseOne))
}

func (w *worker) rouseQuery() error {
	wq := w.wq
	if wq.tree == nil {
		if err := wq.build(); err != nil {
			return err
		}
	}
	if !wq.tree.HoldsBack() || wq.told == w.ends {
		return nil
	}
	wq.told = w.ends
	return wq.tree.EndEpoch(earlier(wq.inputs[0].ended, wq.q.parts.Inputs[0].Delay))
}

// build makes the query's operators.
func (wq *workerQuery) build() error {
	w, q := wq.w, wq.q
	tree, err := task.NewTree(&w.ctx, q.parts, wq)
	if err != nil {
		return err
	}
	for _, o := range tree.Raw() {
		if g, ok := o.(groupErrors); ok {
			g.OnGroupError(func(_ window.Window, err error) { w.reject(wq, nil, err) })
		}
		if m, ok := o.(*op.Match); ok {
			m.Failed = func(_ types.EventTime, err error) { w.reject(wq, nil, err) }
		}
	}
	wq.tree = tree
	return nil
}

// touch notes that a query is driven in this epoch.
func (w *worker) touch(wq *workerQuery) {
	if !wq.touched {
		wq.touched = true
		w.touched = append(w.touched, wq)
	}
	w.change(wq)
}

// change notes that a query's state may not be what the last checkpoint has.
func (w *worker) change(wq *workerQuery) {
	if !wq.changed {
		wq.changed = true
		w.changed = append(w.changed, wq)
	}
}

// move notes that a stream's time is about to be another one.
func (w *worker) move(ws *workerStream) {
	if !ws.moved {
		ws.moved = true
		w.moved = append(w.moved, ws)
	}
}

// now is the watermark that queries over this stream alone have.
func (ws *workerStream) now() types.EventTime {
	if ws.silent {
		return types.MinTime
	}
	return ws.watermark
}

// settleEpoch ends the epoch for those who were driven in it. Those stay touched that must hear of the next end in any case:
// queries over several streams, and those that hold results back.
func (w *worker) settleEpoch() {
	w.ends++
	for _, ws := range w.moved {
		ws.ended, ws.moved = ws.now(), false
	}
	w.moved = w.moved[:0]
	kept := w.touched[:0]
	for _, wq := range w.touched {
		wq.countLate()
		wq.touched = !wq.gone && !wq.dead && (wq.several || wq.tree.Holding())
		if wq.touched {
			kept = append(kept, wq)
		}
	}
	clear(w.touched[len(kept):])
	w.touched = kept
}
