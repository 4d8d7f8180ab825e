package job

import (
	"errors"
	"sync"

	"github.com/vigil-sql/vigil/executor/op"
)

// restorePart gives the workers the keyed state of a query or stage.
func (r *recovery) restorePart(q *query) error {
	e := r.e
	if !q.parts.HasKeyed() {
		return nil
	}
	saved := false
	for i := range q.ops {
		saved = saved || r.saved[opID(q, i)]
	}
	var list []*workerQuery
	for _, w := range e.workers {
		wq, err := w.attach(q)
		if err != nil {
			return err
		}
		for i, ws := range wq.inputs {
			ws.watermark = e.streams[q.begun[i]].order.now()
		}
		if at, ok := r.cut.reached[q.spec.ID]; ok {
			wq.reached = at
		}
		if saved && wq.tree == nil {
			if err := wq.build(); err != nil {
				return err
			}
		}
		list = append(list, wq)
	}
	if !saved {
		return nil
	}
	// The workers do not run yet: each one's state is loaded by itself.
	errs, wg := make([]error, len(list)), sync.WaitGroup{}
	for i, w := range e.workers {
		wg.Go(func() { errs[i] = guard(func() error { return r.restoreTree(w, list[i]) }) })
	}
	wg.Wait()
	for i, w := range e.workers {
		w.note(list[i])
	}
	return errors.Join(errs...)
}

// restoreTree gives one worker its keys of a query's state.
func (r *recovery) restoreTree(w *worker, wq *workerQuery) error {
	e := r.e
	for i, o := range wq.tree.Ops() {
		st, ok := o.(op.Stateful)
		if !ok {
			continue
		}
		own := func(hash uint64) bool { return op.Owner(hash, len(e.workers)) == w.index }
		if err := st.Restore(opBlocks{e, opID(wq.q, i)}, own); err != nil {
			return err
		}
	}
	w.touch(wq)
	wq.setDeadline()
	return nil
}

// opBlocks gives an operator its blocks.
type opBlocks struct {
	e  *Engine
	op uint64
}

// Blocks implements op.StateReader.
func (b opBlocks) Blocks(fn func(slice int64, data []byte) error) error {
	load := &b.e.load
	return b.e.ckpt.store.Read(b.op, func(slice int64, _ uint16, data []byte) error {
		if err := load.ctx.Err(); err != nil {
			return err
		}
		load.stateBytes.Add(int64(len(data)))
		return fn(slice, data)
	})
}
