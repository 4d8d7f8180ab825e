package job

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/op"
)

// portionRows is how many rows of a batch a query gets at a time while memory is scarce: each brings in the pages of its key and of what
// the query keeps of it, a few or some dozen, and what came in can leave before the next rows come.
const portionRows = 128

// portion is the part of the batch in work that queries are given: of the rows of each those from one place to another.
type portion struct {
	// on: it is not all of them.
	on       bool
	from, to int
	part     op.Part
}

// processAll gives all queries their rows of the batch in work: at once, or while memory is scarce in portions, with a look after memory
// between any two of them. That changes no result, as it does not how the rows came in batches.
func (w *worker) processAll(fb *frontBatch) {
	defer func() { w.portion.on = false }()
	s := &w.portion
	s.on, s.from = w.ctx.State.Short(), 0
	for more := true; more; s.from = s.to {
		s.to, more = s.from+portionRows, false
		w.batches++
		for i := range fb.routed[:fb.used] {
			r := &fb.routed[i]
			more = more || s.on && len(r.part(w.at, w.index).Sel) > s.to
			w.process(r)
			w.ctx.State.Relieve()
		}
	}
}

// part is what this worker gets of the batch in work; valid until the next call.
func (w *worker) part(r *routed) *op.Part {
	p, s := r.part(w.at, w.index), &w.portion
	if !s.on {
		return p
	}
	from, to := min(s.from, len(p.Sel)), min(s.to, len(p.Sel))
	s.part = op.Part{Sel: p.Sel[from:to]}
	if from < to {
		s.part.Keys = batch.Keys{Hash: p.Keys.Hash[from:to], Off: p.Keys.Off[from : to+1], Buf: p.Keys.Buf}
	}
	return &s.part
}
