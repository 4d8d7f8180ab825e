package op

import (
	"cmp"

	"github.com/vigil-sql/vigil/executor/batch"
)

// havingFailures takes the errors of a HAVING: they are of groups. Whoever takes errors of input rows would look for them in the wrong
// batch.
type havingFailures struct {
	cells []cell
	fail  onError
	err   error                       // of fail, the first one
	note  func(row uint32, err error) // the method note1, bound once
}

func (h *havingFailures) note1(row uint32, err error) {
	if err := h.fail(h.cells[row], err); h.err == nil {
		h.err = err
	}
}

// passing appends those of rows of b that pass HAVING, which there is; cells are what the rows of b are of, fail takes the errors.
func (p *PaneAgg) passing(b *batch.Batch, rows, dst []uint32, cells []cell, fail onError) ([]uint32, error) {
	h := &p.judged
	if h.note == nil {
		h.note = h.note1
	}
	h.cells, h.fail, h.err = cells, fail, nil
	report := p.ctx.RowError
	p.ctx.RowError = h.note
	dst, err := p.having.Filter(p.ctx, b, rows, dst)
	p.ctx.RowError = report
	h.cells, h.fail = nil, nil
	return dst, cmp.Or(err, h.err)
}

// passing appends those of rows of the batch of a window that pass HAVING, which there is.
func (w *WindowAgg) passing(sl *slice, b *batch.Batch, rows, dst []uint32) ([]uint32, error) {
	if w.GroupError == nil {
		return w.having.Filter(w.ctx, b, rows, dst)
	}
	report := w.ctx.RowError
	w.ctx.RowError = func(_ uint32, err error) { w.GroupError(sl.Window, err) }
	dst, err := w.having.Filter(w.ctx, b, rows, dst)
	w.ctx.RowError = report
	return dst, err
}
