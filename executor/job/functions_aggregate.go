package job

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

var _ agg.Runner = (*Functions)(nil)

// Merges implements agg.Runner.
func (f *Functions) Merges(id uint64) bool {
	r, ok := f.pool.(agg.Runner)
	if x, _, handle := f.at(id, newest); x != nil {
		id = handle
	}
	return ok && r.Merges(id)
}

// Aggregate implements agg.Runner with the newest definition: an aggregate that queries use is not replaced, as its states are those of
// the definition that made them. A broken limit comes as *expr.BrokenLimit.
func (f *Functions) Aggregate(id uint64, s *agg.Step) error {
	r, ok := f.pool.(agg.Runner)
	x, v, handle := f.at(id, newest)
	switch {
	case !ok:
		return sqlerr.NotSupported("an aggregate in JavaScript", "This server runs without JavaScript workers.")
	case x == nil:
		return r.Aggregate(id, s) // a test's engine: the functions are those of the server's
	}
	if why := x.out.Load(); why != nil {
		return FunctionDeactivated(x.name, *why)
	}
	x.stats.calls.Add(1)
	for _, n := range s.Counts {
		x.stats.rows.Add(int64(n))
	}
	step := *s
	step.RowErr = func(row int, err error) {
		x.stats.errors.Add(1)
		s.RowErr(row, err)
	}
	err := r.Aggregate(handle, &step)
	switch sqlerr.CodeOf(err) {
	case sqlerr.UDFTimeLimit, sqlerr.UDFMemoryLimit, sqlerr.UDFStackLimit, sqlerr.UDFOutputLimit, sqlerr.UDFCrash:
		x.stats.violations.Add(1)
		return &expr.BrokenLimit{Function: v.spec.ID, Err: sqlerr.As(err)}
	}
	return err
}
