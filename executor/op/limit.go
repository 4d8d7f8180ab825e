package op

import (
	"fmt"
	"math"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Limit skips rows, passes some, and then wants no more.
type Limit struct {
	spec *spec.Limit
	// skip and left count down from OFFSET and LIMIT.
	skip, left int64
}

var (
	_ Operator = (*Limit)(nil)
	_ Sated    = (*Limit)(nil)
)

// NewLimit returns a LIMIT; its expressions are evaluated at Open.
func NewLimit(s *spec.Limit) *Limit { return &Limit{spec: s} }

// Open implements Operator.
func (l *Limit) Open(ctx *expr.Ctx) error {
	var err error
	if l.left, err = rowCount(ctx, l.spec.Count, math.MaxInt64, sqlerr.InvalidLimit, "LIMIT"); err != nil {
		return err
	}
	l.skip, err = rowCount(ctx, l.spec.Offset, 0, sqlerr.InvalidOffset, "OFFSET")
	return err
}

// rowCount evaluates LIMIT or OFFSET; absent and NULL mean none.
func rowCount(ctx *expr.Ctx, e expr.Expr, none int64, code sqlerr.Code, what string) (int64, error) {
	if e == nil {
		return none, nil
	}
	v, err := expr.EvalConst(ctx, e)
	if err != nil {
		return 0, err
	}
	if v.Null {
		return none, nil
	}
	if v.I < 0 {
		return 0, sqlerr.New(code, "%s must not be negative", what)
	}
	return v.I, nil
}

// Sated implements Sated.
func (l *Limit) Sated() bool { return l.left == 0 }

// Process implements Operator.
func (l *Limit) Process(_ int, in Input, out Emitter) error {
	if l.left == 0 {
		return ErrDone
	}
	n := int64(len(in.Sel))
	if n <= l.skip {
		l.skip -= n
		return nil
	}
	lo := l.skip
	hi := lo + min(n-lo, l.left)
	l.skip, l.left = 0, l.left-(hi-lo)
	in.Sel = in.Sel[lo:hi]
	in.Keys = nil
	if err := out.Emit(in); err != nil {
		return err
	}
	if l.left == 0 {
		return ErrDone
	}
	return nil
}

// Advance implements Operator.
func (l *Limit) Advance(types.EventTime, Emitter) error { return nil }

// Close implements Operator.
func (l *Limit) Close() error { return nil }

// String implements Operator.
func (l *Limit) String() string {
	s := "Limit"
	if l.spec.Count != nil {
		s += fmt.Sprintf(" %s", l.spec.Count)
	}
	if l.spec.Offset != nil {
		s += fmt.Sprintf(" offset %s", l.spec.Offset)
	}
	return s
}
