package task

import (
	"context"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestProfile counts rows, loops and time by a clock that moves a millisecond each time it is read. The times of all operators
// together are less than the total, and none is lost between them.
func TestProfile(t *testing.T) {
	bigint := types.T(types.Int8)
	schema := types.Schema{Cols: []types.Column{{Name: "n", Type: bigint}}}
	var rows [][]expr.Expr
	for i := range 5 {
		rows = append(rows, []expr.Expr{&expr.Const{Val: types.NewInt(types.Int8, int64(i))}})
	}
	n := &expr.Column{Index: 0, Name: "n", Typ: bigint}
	values := &spec.Node{Op: &spec.Values{Rows: rows}, Schema: schema}
	filter := &spec.Node{Op: &spec.Filter{Cond: &expr.Compare{Op: expr.GT, L: n, R: &expr.Const{Val: types.NewInt(types.Int8, 1)}}},
		In: []*spec.Node{values}, Schema: schema}
	sort := &spec.Node{Op: &spec.Sort{Keys: []spec.SortKey{{X: n}}}, In: []*spec.Node{filter}, Schema: schema}
	never := &spec.Node{Op: &spec.Limit{}, Schema: schema}
	now := time.Unix(0, 0)
	p := &Profile{Timing: true, Now: func() time.Time { now = now.Add(time.Millisecond); return now }}
	program := &spec.Program{Root: sort}
	for range 2 { // the second run is not counted
		if err := Run(context.Background(), program, &Env{Profile: p}, func(op.Input) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if p.Program != program || p.Stats(never) != nil {
		t.Error("it counts what did not run")
	}
	for _, x := range []struct {
		node             *spec.Node
		in, out, batches int64
	}{{values, 0, 5, 1}, {filter, 5, 3, 1}, {sort, 3, 3, 1}} {
		st := p.Stats(x.node)
		if st == nil || st.In != x.in || st.Out != x.out || st.Batches != x.batches || st.Loops != 1 || st.Self <= 0 {
			t.Errorf("%s: %+v", spec.Describe(x.node), st)
		}
	}
	if st := p.Stats(sort); st.Memory() <= 0 || p.Peak < st.Memory() {
		t.Error("memory", st.Memory(), p.Peak)
	}
	if sum := p.Stats(values).Self + p.Stats(filter).Self + p.Stats(sort).Self; sum > p.Total || p.Total > sum+5*time.Millisecond {
		t.Error("times", sum, "of", p.Total)
	}
}
