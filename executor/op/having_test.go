package op

import (
	"fmt"
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
