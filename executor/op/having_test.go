package op

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestHavingEqualsFilter: a condition given to the window aggregate passes the groups, in the order, that a Filter after it
// passes, whether it reads aggregates, keys or the window's bounds.
func TestHavingEqualsFilter(t *testing.T) {
	user := &expr.Column{Index: 2, Name: "user", Typ: types.T(types.Text)}
	count := &expr.Column{Index: 3, Name: "count", Typ: types.T(types.Int8)}
	more := &expr.Compare{Op: expr.GT, L: count, R: &expr.Const{Val: types.NewInt(types.Int8, 20)}}
	late := &expr.Compare{Op: expr.GE, L: user, R: &expr.Const{Val: types.NewText("user3")}}
	rng := rand.New(rand.NewSource(5))
	var rows [][3]any
	for range 3000 {
		rows = append(rows, [3]any{rng.Intn(30), fmt.Sprint("user", rng.Intn(9)*rng.Intn(9)), 1})
	}
	b := traffic(rows...)
	for _, cond := range []expr.Expr{more, late, &expr.And{Args: []expr.Expr{late, more}}} {
		run := func(fused bool) (got []string, all int) {
			ctx := &expr.Ctx{}
			w := newWindow(t, ctx, []expr.Expr{trafficCol("user")}, aggOf(t, "count"))
			if err := w.Process(0, wholeInput(b), nil); err != nil {
				t.Fatal(err)
			}
			all = w.Groups()
			if fused {
				if err := w.Having(&spec.Filter{Cond: cond}); err != nil {
					t.Fatal(err)
				}
				return closeAll(t, w), all
			}
			f, err := NewFilter(&spec.Filter{Cond: cond})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Open(ctx); err != nil {
				t.Fatal(err)
			}
			err = w.Advance(types.MaxTime, emitFunc(func(in Input) error { return f.Process(0, in, rowsTo(&got)) }))
			if err != nil {
				t.Fatal(err)
			}
			return got, all
		}
		want, all := run(false)
		got, _ := run(true)
		if len(want) == 0 || len(want) == all || !slices.Equal(got, want) {
			t.Errorf("%s: %d of %d groups, the filter passes %d\n got %q\nwant %q", cond, len(got), all, len(want), got, want)
		}
	}
}

// TestRangeOf: bounds on one aggregate are recognised as what they are, and nothing else is.
func TestRangeOf(t *testing.T) {
	column := func(i int) expr.Expr { return &expr.Column{Index: i, Name: "c", Typ: types.T(types.Int8)} }
	num := func(n int64) expr.Expr { return &expr.Const{Val: types.NewInt(types.Int8, n)} }
	cmp := func(l expr.Expr, o expr.CmpOp, r expr.Expr) expr.Expr { return &expr.Compare{Op: o, L: l, R: r} }
	and := func(args ...expr.Expr) expr.Expr { return &expr.And{Args: args} }
	counts := []aggCall{{kernel: aggOf(t, "count").Kernel}, {kernel: aggOf(t, "sum", trafficCol("n")).Kernel}}
	means := []aggCall{counts[0], {kernel: aggOf(t, "avg", trafficCol("n")).Kernel}}
	const least, most = math.MinInt64, math.MaxInt64
	for _, c := range []struct {
		cond   expr.Expr
		aggs   []aggCall
		ok     bool
		lo, hi int64
	}{
		{cmp(column(3), expr.GT, num(5)), counts[:1], true, 6, most},
		{cmp(column(3), expr.GE, num(5)), counts[:1], true, 5, most},
		{cmp(column(3), expr.LT, num(5)), counts[:1], true, least, 4},
		{cmp(column(3), expr.LE, num(5)), counts[:1], true, least, 5},
		{cmp(num(5), expr.LT, column(3)), counts[:1], true, 6, most},
		{cmp(num(5), expr.GE, column(3)), counts[:1], true, least, 5},
		{cmp(column(3), expr.EQ, num(5)), counts[:1], true, 5, 5},
		{and(cmp(column(4), expr.GT, num(1)), cmp(column(4), expr.LT, num(9))), counts, true, 2, 8},
		{cmp(column(3), expr.NE, num(5)), counts[:1], false, 0, 0},
		{cmp(column(3), expr.GT, num(most)), counts[:1], false, 0, 0},
		{cmp(column(3), expr.LT, num(least)), counts[:1], false, 0, 0},
		{cmp(column(3), expr.GT, num(5)), counts, true, 6, most}, // a sum of bigint is numeric
		{cmp(column(3), expr.GT, num(5)), means, false, 0, 0},    // the mean may be an error
		{cmp(column(2), expr.GT, num(5)), counts[:1], false, 0, 0},
		{cmp(column(3), expr.GT, column(4)), counts, false, 0, 0},
		{cmp(column(3), expr.GT, &expr.Const{Val: types.Null(types.T(types.Int8))}), counts[:1], false, 0, 0},
		{and(cmp(column(3), expr.GT, num(1)), cmp(column(4), expr.LT, num(9))), counts, false, 0, 0},
		{and(cmp(column(3), expr.GT, num(1)), cmp(column(2), expr.LT, num(9))), counts[:1], false, 0, 0},
	} {
		r := rangeOf(c.cond, 3, c.aggs)
		if ok := r.kernel != nil; ok != c.ok || ok && (r.in.Lo != c.lo || r.in.Hi != c.hi) {
			t.Errorf("%s: %v from %d to %d", c.cond, ok, r.in.Lo, r.in.Hi)
		}
	}
}
