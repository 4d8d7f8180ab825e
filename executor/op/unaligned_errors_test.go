package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// each calls fn with an operator of each kind over the aggregates, keyed by user.
func each(t *testing.T, aggs []spec.AggCall, fn func(name string, o unaligned)) {
	t.Helper()
	session, slide, count := sessionSpec(t, 10, 0), slideSpec(t, 10), countSpec(t, 2, 1)
	for _, s := range []*spec.WindowAgg{session, slide, count} {
		s.Aggs = aggs
	}
	fn("session", newSession(t, session, nil))
	fn("slide", newSlide(t, slide, nil))
	fn("count", newCount(t, count, nil))
}

// TestUnalignedRowErrors: a row whose argument fails is reported once and is as if it had not come.
func TestUnalignedRowErrors(t *testing.T) {
	rows := []eventRow{{t: 1, user: "a", n: 1}, {t: 2, user: "a"}, {t: 3, user: "a", n: 2}, {t: 4, user: "b"}, {t: 20, user: "a"}, {t: 5, user: "c", n: 4}}
	want := map[string][]string{
		"session": {"1 13 a 2 1500 1500", "5 15 c 1 250 250"},
		"slide":   {"-5 5 c 1 250 250", "-7 3 a 2 1500 1500", "-9 1 a 1 1000 1000"},
		"count":   {"1 4 a 2 1500 1500"},
	}
	each(t, []spec.AggCall{aggOf(t, "count"), aggOf(t, "sum", failing()), aggOf(t, "sum", failing())}, func(name string, o unaligned) {
		var failed []string
		ctx := &expr.Ctx{RowError: func(row uint32, err error) { failed = append(failed, fmt.Sprint(row, " ", sqlerr.CodeOf(err))) }}
		if err := o.Open(ctx); err != nil {
			t.Fatal(err)
		}
		out := newContent(t)
		if err := o.Process(0, wholeInput(batchOf(rows)), out); err != nil {
			t.Fatal(err)
		}
		if err := o.Advance(types.MaxTime, out); err != nil {
			t.Fatal(err)
		}
		sameRows(t, name, out.sorted(), want[name])
		wantRows(t, failed, "1 22012", "3 22012", "4 22012")
	})
}

// TestUnalignedGroupErrors: an overflow concerns its group; the others come out. Without a taker the call fails.
func TestUnalignedGroupErrors(t *testing.T) {
	sum := aggOf(t, "sum", trafficCol("n"))
	d, _ := agg.Find("sum")
	sum.Kernel, _ = d.Bind([]types.Type{types.T(types.Int4)}, false) // a sum that is bigint and can overflow
	sum.Typ = sum.Kernel.Type()
	const big = 1 << 62
	rows := []eventRow{{t: 1, user: "a", n: big}, {t: 1, user: "b", n: 1}, {t: 2, user: "a", n: big}, {t: 2, user: "b", n: 1}, {t: 3, user: "c", n: 5}}
	for _, taken := range []bool{true, false} {
		each(t, []spec.AggCall{sum}, func(name string, o unaligned) {
			if err := o.Open(&expr.Ctx{}); err != nil {
				t.Fatal(err)
			}
			var errs []string
			if taken {
				o.OnGroupError(func(w window.Window, err error) { errs = append(errs, fmt.Sprint(w, " ", sqlerr.CodeOf(err))) })
			}
			out := newContent(t)
			err := o.Process(0, wholeInput(batchOf(rows)), out)
			if err == nil {
				err = o.Advance(types.MaxTime, out)
			}
			if !taken {
				if sqlerr.CodeOf(err) != sqlerr.NumericValueOutOfRange {
					t.Errorf("%s: %v", name, err)
				}
				return
			}
			if err != nil || len(errs) != 1 || !strings.HasSuffix(errs[0], "22003") {
				t.Errorf("%s: errors %v, %v", name, errs, err)
			}
			for _, row := range out.inserts {
				if strings.HasSuffix(row, fmt.Sprint(uint64(1)<<63)) || strings.Contains(row, " a 9") {
					t.Errorf("%s: %s", name, row)
				}
			}
			if len(out.inserts) == 0 {
				t.Errorf("%s: nothing came out", name)
			}
		})
	}
}

// TestUnalignedHavingReadsAll: HAVING over keys, bounds and aggregates passes the rows that a filter after the operator passes.
func TestUnalignedHavingReadsAll(t *testing.T) {
	rows := randomRows(rand.New(rand.NewPCG(5, 6)), 800, 6, 1, 0)
	user := &expr.Column{Index: 2, Name: "user", Typ: types.T(types.Text)}
	start := &expr.Column{Index: 0, Name: "window_start", Typ: types.T(types.TimestampTZ)}
	for _, cond := range []expr.Expr{
		&expr.Compare{Op: expr.GE, L: user, R: &expr.Const{Val: types.NewText("u3")}},
		&expr.Compare{Op: expr.LT, L: start, R: &expr.Const{Val: types.NewTime(0)}},
		&expr.And{Args: []expr.Expr{countOver(1).Cond, &expr.Compare{Op: expr.LT, L: user, R: &expr.Const{Val: types.NewText("u4")}}}},
	} {
		results := map[string][]string{}
		for _, fused := range []bool{false, true} {
			each(t, richAggs(t), func(name string, o unaligned) {
				out := newContent(t)
				var to Emitter = out
				if fused {
					if err := o.Having(&spec.Filter{Cond: cond}); err != nil || !o.Filtered() {
						t.Fatal(err)
					}
				} else {
					f, err := NewFilter(&spec.Filter{Cond: cond})
					if err != nil {
						t.Fatal(err)
					}
					if err := f.Open(&expr.Ctx{}); err != nil {
						t.Fatal(err)
					}
					to = emitFunc(func(in Input) error { return f.Process(0, in, out) })
				}
				if err := o.Open(&expr.Ctx{}); err != nil {
					t.Fatal(err)
				}
				for i := 0; i < len(rows); i += 100 {
					if err := o.Process(0, wholeInput(batchOf(rows[i:i+100])), to); err != nil {
						t.Fatal(err)
					}
					if err := o.Advance(types.EventTime(rows[i+99].t), to); err != nil {
						t.Fatal(err)
					}
				}
				if err := o.Advance(types.MaxTime, to); err != nil {
					t.Fatal(err)
				}
				if fused {
					if want := results[name]; len(want) == 0 || !slices.Equal(out.inserts, want) {
						t.Errorf("%s having %s: %d rows, the filter passes %d", name, cond, len(out.inserts), len(want))
					}
					return
				}
				results[name] = out.inserts
			})
		}
	}
}
