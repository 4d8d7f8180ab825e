package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// everyAggregate calls every registered aggregate over the columns of traffic, in some form that binds, with DISTINCT too
// where it may be.
func everyAggregate(t *testing.T) []spec.AggCall {
	t.Helper()
	cast := func(e expr.Expr, k types.Kind) expr.Expr { return &expr.Cast{X: e, Typ: types.T(k), Explicit: true} }
	ts, user, n := trafficCol("ts"), trafficCol("user"), trafficCol("n")
	float, json := cast(n, types.Float8), cast(cast(n, types.Text), types.JSONB)
	half := &expr.Const{Val: types.NewFloat(0.5)}
	tries := [][]expr.Expr{
		{n}, {user}, {cast(n, types.Numeric)}, {&expr.Compare{Op: expr.GT, L: n, R: &expr.Const{Val: types.NewInt(types.Int8, 1)}}}, {user, ts}, {user, user}, {float, half}, {float, float}, {json},
		{json, &expr.Const{Val: types.NewInt(types.Int8, 3)}}, {user, json}, {cast(json, types.JSON)}, {user, cast(json, types.JSON)},
	}
	var calls []spec.AggCall
	for _, d := range agg.Builtins() {
		bound := 0
		for _, args := range tries {
			var kinds []types.Type
			for _, a := range args {
				kinds = append(kinds, a.Type())
			}
			if _, ok := args[len(args)-1].(*expr.Const); d.Fixed && !ok {
				continue // has one value in a group
			}
			for _, distinct := range []bool{false, true} {
				k, ok := d.Kernel(kinds, distinct && d.Within == nil, distinct)
				if ok {
					bound++
					calls = append(calls, spec.AggCall{Name: d.Name, Kernel: k, Args: args, Distinct: distinct, Typ: k.Type()})
				}
			}
		}
		if bound == 0 {
			t.Errorf("%s does not take any of the arguments", d.Name)
		}
	}
	return calls
}

// TestEveryAggregate: each aggregate has the same results in a window of one worker, in one that moves between workers
// through checkpoints, and in a bounded query; with NULL keys, NULL arguments and times before 1970.
func TestEveryAggregate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var batches []*batch.Batch
	for range 6 {
		b := batch.New(&trafficSchema, nil)
		for range 80 {
			user, n := types.NewText(fmt.Sprint("u", rng.IntN(4))), types.NewInt(types.Int8, rng.Int64N(9)-3)
			if rng.IntN(8) == 0 {
				user = types.Null(user.Type)
			}
			if rng.IntN(8) == 0 {
				n = types.Null(n.Type)
			}
			b.AppendRow([]types.Value{types.NewTime(types.EventTime(rng.IntN(10) - 10)), user, n})
		}
		batches = append(batches, b)
	}
	keys := []expr.Expr{&expr.Cast{X: trafficCol("n"), Typ: types.T(types.Text), Explicit: true}}
	for _, call := range everyAggregate(t) {
		if strings.Contains(call.Name, "object_agg") { // a key that is NULL is an error
			call.Filter = &expr.IsNull{X: trafficCol("user"), Not: true}
		}
		name := fmt.Sprintf("%s(%v) distinct=%v", call.Name, call.Args, call.Distinct)
		one := newWindow(t, &expr.Ctx{}, keys, call)
		for _, b := range batches {
			if err := one.Process(0, wholeInput(b), nil); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		want := closeAll(t, one)
		if len(want) != 10 {
			t.Fatalf("%s: %d groups", name, len(want))
		}
		if got := movedWindow(t, keys, call, batches); !slices.Equal(got, want) {
			t.Errorf("%s: moved between workers\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got := boundedRows(t, keys, call, batches); !slices.Equal(got, sortedTails(want)) {
			t.Errorf("%s: bounded\n%s\nwindow\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// movedWindow runs the batches through two workers, each time on new ones that take over from checkpoints.
func movedWindow(t *testing.T, keys []expr.Expr, call spec.AggCall, batches []*batch.Batch) []string {
	t.Helper()
	var stores []*memState
	var got []string
	for round, b := range batches {
		workers := 1 + (round+1)%2
		parts := routed(t, wholeInput(b), keys, workers)
		var next []*memState
		for p := range workers {
			w := newWindow(t, &expr.Ctx{}, keys, call)
			own := func(hash uint64) bool { return Owner(hash, workers) == p }
			for _, s := range stores {
				if err := w.Restore(s, own); err != nil {
					t.Fatal(err)
				}
			}
			if len(parts[p].Sel) > 0 {
				if err := w.Process(0, parts[p].Input(b), nil); err != nil {
					t.Fatal(err)
				}
			}
			if round == len(batches)-1 {
				got = append(got, closeAll(t, w)...)
			}
			store := new(memState)
			if err := w.Snapshot(store); err != nil {
				t.Fatal(err)
			}
			next = append(next, store)
		}
		stores = next
	}
	return got
}

// boundedRows runs the batches through a HashAgg.
func boundedRows(t *testing.T, keys []expr.Expr, call spec.AggCall, batches []*batch.Batch) []string {
	t.Helper()
	schema := &types.Schema{Cols: []types.Column{{Name: "k", Type: keys[0].Type()}, {Name: call.Name, Type: call.Typ}}}
	h, err := NewHashAgg(&spec.HashAgg{Keys: keys, Aggs: []spec.AggCall{call}}, schema, NewMemory(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := h.Process(0, wholeInput(b), nil); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err = h.Advance(types.MaxTime, emitFunc(func(in Input) error {
		for _, r := range in.Sel {
			got = append(got, in.B.Cols[0].Value(int(r)).Text()+" "+in.B.Cols[1].Value(int(r)).Text())
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	return got
}

// sortedTails drops the bounds of the window.
func sortedTails(rows []string) []string {
	var out []string
	for _, r := range rows {
		out = append(out, strings.SplitN(r, " ", 3)[2])
	}
	slices.Sort(out)
	return out
}
