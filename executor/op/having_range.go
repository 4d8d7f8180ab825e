package op

import (
	"math"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// havingRange is a HAVING that only bounds the result of one aggregate by constants, such as count(*) > 10: it is applied to
// states, without making rows of them. The other aggregates have no errors that somebody must hear of.
type havingRange struct {
	kernel agg.Ranger // nil: HAVING is of another kind
	call   int        // the aggregate's index
	in     agg.Range
}

// rangeOf recognises such a condition over rows in which the aggregates begin at column first.
func rangeOf(cond expr.Expr, first int, aggs []aggCall) havingRange {
	r := havingRange{call: -1, in: agg.Range{Lo: math.MinInt64, Hi: math.MaxInt64}}
	if !r.narrow(cond, first) || r.call < 0 || r.call >= len(aggs) {
		return havingRange{}
	}
	for i := range aggs {
		if i != r.call && !agg.NeverFails(aggs[i].kernel) {
			return havingRange{}
		}
	}
	r.kernel, _ = agg.RangerOf(aggs[r.call].kernel)
	return r
}

// narrow takes a condition into the bounds; false when it is none on the one aggregate.
func (r *havingRange) narrow(cond expr.Expr, first int) bool {
	if and, ok := cond.(*expr.And); ok {
		for _, arg := range and.Args {
			if !r.narrow(arg, first) {
				return false
			}
		}
		return len(and.Args) > 0
	}
	cmp, ok := cond.(*expr.Compare)
	if !ok {
		return false
	}
	col, op, at := cmp.L, cmp.Op, cmp.R
	if _, ok := col.(*expr.Const); ok {
		col, at, op = cmp.R, cmp.L, mirrored(op)
	}
	x, isCol := col.(*expr.Column)
	c, isConst := at.(*expr.Const)
	if !isCol || !isConst || c.Val.Null || !bigint(x.Typ) || !bigint(c.Val.Type) || x.Index < first {
		return false
	}
	if r.call >= 0 && r.call != x.Index-first {
		return false
	}
	r.call = x.Index - first
	return r.bound(op, c.Val.I)
}

func bigint(t types.Type) bool { return t.Kind == types.Int8 }

// mirrored is the comparison with its sides changed over.
func mirrored(op expr.CmpOp) expr.CmpOp {
	switch op {
	case expr.LT:
		return expr.GT
	case expr.LE:
		return expr.GE
	case expr.GT:
		return expr.LT
	case expr.GE:
		return expr.LE
	}
	return op
}

func (r *havingRange) bound(op expr.CmpOp, c int64) bool {
	switch op {
	case expr.EQ:
		r.in.Lo, r.in.Hi = max(r.in.Lo, c), min(r.in.Hi, c)
	case expr.LE:
		r.in.Hi = min(r.in.Hi, c)
	case expr.GE:
		r.in.Lo = max(r.in.Lo, c)
	case expr.LT:
		if c == math.MinInt64 {
			return false
		}
		r.in.Hi = min(r.in.Hi, c-1)
	case expr.GT:
		if c == math.MaxInt64 {
			return false
		}
		r.in.Lo = max(r.in.Lo, c+1)
	default:
		return false
	}
	return true
}
