package op

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
)

// exprList evaluates several expressions over the same rows.
type exprList struct {
	evs  []*expr.Evaluator
	vecs []*batch.Vec
}

func newExprList(list []expr.Expr) (exprList, error) {
	evs, err := compileAll(list)
	return exprList{evs: evs, vecs: make([]*batch.Vec, len(evs))}, err
}

// eval fills vecs with a dense vector per expression; valid until the next call.
func (l *exprList) eval(ctx *expr.Ctx, b *batch.Batch, sel []uint32) error {
	for i, ev := range l.evs {
		v, err := ev.Eval(ctx, b, sel)
		if err != nil {
			return err
		}
		l.vecs[i] = v
	}
	return nil
}

// rowFailures leaves out the rows for which an expression fails: the failure is reported once per row, through the
// context's RowError, and the row goes no further. Where the context takes no such errors, the first one ends the call.
type rowFailures struct {
	bits []uint64 // by batch row
	n    int
	next func(row uint32, err error)
	note func(row uint32, err error) // the method note1, bound once
	kept []uint32
	// take, where it is set, is told of failures in the place of the context's RowError.
	take func(row uint32, err error)
}

// run calls eval with the rows of sel and, if some failed, again with the others. It returns the rows that are left, which is
// sel itself when none failed; valid until the next call.
func (f *rowFailures) run(ctx *expr.Ctx, b *batch.Batch, sel []uint32, eval func(*batch.Batch, []uint32) error) ([]uint32, error) {
	if ctx.RowError == nil && f.take == nil {
		return sel, eval(b, sel)
	}
	f.start(ctx, b.N)
	err := eval(b, sel)
	if err == nil && f.n > 0 {
		ctx.RowError = ignoreRow
		if sel = f.without(sel); len(sel) > 0 {
			err = eval(b, sel)
		}
	}
	ctx.RowError, f.next = f.next, nil
	return sel, err
}

// ignoreRow takes errors of rows that have been reported already.
func ignoreRow(uint32, error) {}

func (f *rowFailures) start(ctx *expr.Ctx, rows int) {
	if f.note == nil {
		f.note = f.note1
	}
	if f.n > 0 {
		clear(f.bits)
		f.n = 0
	}
	for len(f.bits)*64 < rows {
		f.bits = append(f.bits, 0)
	}
	f.next, ctx.RowError = ctx.RowError, f.note
}

func (f *rowFailures) note1(row uint32, err error) {
	word, bit := &f.bits[row>>6], uint64(1)<<(row&63)
	if *word&bit != 0 {
		return
	}
	*word |= bit
	f.n++
	if f.take != nil {
		f.take(row, err)
		return
	}
	f.next(row, err)
}

// without returns the rows of sel that have not failed.
func (f *rowFailures) without(sel []uint32) []uint32 {
	f.kept = f.kept[:0]
	for _, row := range sel {
		if f.bits[row>>6]&(1<<(row&63)) == 0 {
			f.kept = append(f.kept, row)
		}
	}
	return f.kept
}
