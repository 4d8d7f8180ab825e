package op

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Filter passes the rows for which a condition is true. It narrows the selection and copies nothing.
type Filter struct {
	spec *spec.Filter
	cond *expr.Evaluator
	ctx  *expr.Ctx
	sel  []uint32
	// halves is the batch with other operations, where only one half of an update passed.
	halves batch.Batch
}

var _ Operator = (*Filter)(nil)

// NewFilter compiles the condition.
func NewFilter(s *spec.Filter) (*Filter, error) {
	cond, err := expr.Compile(s.Cond)
	return &Filter{spec: s, cond: cond}, err
}

// Open implements Operator.
func (f *Filter) Open(ctx *expr.Ctx) error {
	f.ctx = ctx
	return nil
}

// Process implements Operator. Keys of the input are not passed on: they belong to rows by position.
func (f *Filter) Process(_ int, in Input, out Emitter) error {
	sel, err := f.cond.Filter(f.ctx, in.B, in.Sel, f.sel[:0])
	f.sel = sel
	if err != nil || len(sel) == 0 {
		return err
	}
	b := in.B
	if len(b.Ops) > 0 {
		b = f.splitUpdates(b, sel)
	}
	return out.Emit(Input{B: b, Sel: sel, Others: in.Others, Several: in.Several})
}

// splitUpdates turns an update of which one half was filtered out into an insert or a delete.
func (f *Filter) splitUpdates(b *batch.Batch, sel []uint32) *batch.Batch {
	ops := append(f.halves.Ops[:0], b.Ops...)
	for i, row := range sel {
		switch {
		case ops[row] == batch.UpdateBefore && (i+1 == len(sel) || sel[i+1] != row+1):
			ops[row] = batch.Delete
		case ops[row] == batch.UpdateAfter && (i == 0 || sel[i-1] != row-1):
			ops[row] = batch.Insert
		}
	}
	f.halves = *b
	f.halves.Ops = ops
	return &f.halves
}

// Advance implements Operator: a filter holds nothing back.
func (f *Filter) Advance(types.EventTime, Emitter) error { return nil }

// Close implements Operator.
func (f *Filter) Close() error { return nil }

// String implements Operator.
func (f *Filter) String() string { return "Filter " + f.spec.Cond.String() }
