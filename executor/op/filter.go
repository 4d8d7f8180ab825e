package op

import (
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
	return out.Emit(Input{B: in.B, Sel: sel})
}

// Advance implements Operator: a filter holds nothing back.
func (f *Filter) Advance(types.EventTime, Emitter) error { return nil }

// Close implements Operator.
func (f *Filter) Close() error { return nil }

// String implements Operator.
func (f *Filter) String() string { return "Filter " + f.spec.Cond.String() }
