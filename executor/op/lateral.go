package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// LateralJoin runs its right side anew for each row of the left side, which the right side sees as Outer depth 1.
type LateralJoin struct {
	spec  *spec.Join
	plan  *spec.Program
	left  int // column count of the left side
	ctx   *expr.Ctx
	cond  *expr.Evaluator
	rows  *outBatch // candidates of one left row
	kept  []uint32
	row   []types.Value
	outer [][]types.Value
	out   *outBatch
}

var _ Operator = (*LateralJoin)(nil)

// NewLateralJoin compiles a lateral join; plan is the right side, run through expr.Ctx.Subplans.
func NewLateralJoin(s *spec.Join, schema *types.Schema, plan *spec.Program) (*LateralJoin, error) {
	if s.Kind == spec.Right || s.Kind == spec.Full {
		return nil, sqlerr.New(sqlerr.InvalidColumnReference, "the combining JOIN type must be INNER or LEFT for a LATERAL reference")
	}
	j := &LateralJoin{spec: s, plan: plan, left: len(schema.Cols) - len(plan.Root.Schema.Cols),
		rows: newOutBatch(schema), out: newOutBatch(schema)}
	cond := s.Cond
	for i := range s.LeftKeys {
		// Keys of a lateral join are rare; they are checked like any condition.
		eq := expr.Expr(&expr.Compare{Op: expr.EQ, L: s.LeftKeys[i], R: shiftColumns(s.RightKeys[i], j.left)})
		if cond == nil {
			cond = eq
		} else {
			cond = &expr.And{Args: []expr.Expr{cond, eq}}
		}
	}
	var err error
	if cond != nil {
		j.cond, err = expr.Compile(cond)
	}
	return j, err
}

// shiftColumns returns e reading its columns n places further right.
func shiftColumns(e expr.Expr, n int) expr.Expr {
	return expr.Transform(e, func(x expr.Expr) expr.Expr {
		if c, ok := x.(*expr.Column); ok {
			return &expr.Column{Index: c.Index + n, Name: c.Name, Typ: c.Typ}
		}
		return x
	})
}

// Open implements Operator.
func (j *LateralJoin) Open(ctx *expr.Ctx) error {
	j.ctx = ctx
	j.rows.b.Reset(nil)
	j.out.b.Reset(nil)
	return nil
}

// Process implements Operator.
func (j *LateralJoin) Process(_ int, in Input, out Emitter) error {
	for _, r := range in.Sel {
		j.row = j.row[:0]
		for c := range in.B.Cols {
			if in.B.Cols[c].Absent {
				j.row = append(j.row, types.Null(in.B.Cols[c].Type))
				continue
			}
			j.row = append(j.row, in.B.Cols[c].Value(int(r)))
		}
		if err := j.one(out); err != nil {
			return err
		}
	}
	return j.out.flush(out)
}

// one joins the current left row.
func (j *LateralJoin) one(out Emitter) error {
	j.outer = append(append(j.outer[:0], j.row), j.ctx.OuterRows...)
	right, err := j.ctx.Subplans.RunSubplan(j.plan, j.outer)
	if err != nil {
		return err
	}
	hit := false
	wide := make([]types.Value, len(j.rows.b.Cols))
	copy(wide, j.row)
	for _, r := range right {
		copy(wide[j.left:], r)
		if j.cond != nil {
			ok, err := j.passes(wide)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
		}
		hit = true
		if err := j.out.row(wide, out); err != nil {
			return err
		}
	}
	if hit || j.spec.Kind != spec.Left {
		return nil
	}
	for i := j.left; i < len(wide); i++ {
		wide[i] = types.Null(j.out.b.Cols[i].Type)
	}
	return j.out.row(wide, out)
}

// passes evaluates the condition on one joined row.
func (j *LateralJoin) passes(wide []types.Value) (bool, error) {
	j.rows.b.Reset(nil)
	j.rows.b.AppendRow(wide)
	var err error
	j.kept, err = j.cond.Filter(j.ctx, j.rows.b, oneRow, j.kept[:0])
	return len(j.kept) == 1, err
}

// oneRow selects the only row of a batch.
var oneRow = []uint32{0}

// Advance implements Operator.
func (j *LateralJoin) Advance(types.EventTime, Emitter) error { return nil }

// Close implements Operator.
func (j *LateralJoin) Close() error { return nil }

// String implements Operator.
func (j *LateralJoin) String() string { return fmt.Sprintf("LateralJoin %s", joinKinds[j.spec.Kind]) }
