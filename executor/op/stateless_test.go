package op

import (
	"fmt"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// biggerThan is n > x.
func biggerThan(x int64) expr.Expr {
	return &expr.Compare{Op: expr.GT, L: trafficCol("n"), R: &expr.Const{Val: types.NewInt(types.Int8, x)}}
}

func open(t testing.TB, o Operator, err error, ctx *expr.Ctx) Operator {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	o = check(o, true)
	if err := o.Open(ctx); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestFilter(t *testing.T) {
	made, err := NewFilter(&spec.Filter{Cond: biggerThan(2)})
	f := open(t, made, err, &expr.Ctx{})
	b := traffic([3]any{1, "a", 1}, [3]any{2, "b", 5}, [3]any{3, "c", 3}, [3]any{4, "d", 9})
	b.Behind = []batch.Behind{{Row: 3, Watermark: 7}}
	emitted := 0
	for _, c := range []struct{ sel, want []uint32 }{
		{[]uint32{0, 1, 2, 3}, []uint32{1, 2, 3}}, {[]uint32{0, 3}, []uint32{3}}, {[]uint32{0}, nil}, {nil, nil},
	} {
		err := f.Process(0, Input{B: b, Sel: c.sel}, emitFunc(func(in Input) error {
			emitted++
			if !slices.Equal(in.Sel, c.want) || in.B.N != b.N || len(in.B.Behind) != 1 {
				t.Errorf("of %v passes %v, want %v", c.sel, in.Sel, c.want)
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	if emitted != 2 {
		t.Errorf("%d batches passed, want 2", emitted)
	}
	if f.String() != "Filter (n > 2)" {
		t.Error(f)
	}
}

// TestProject: columns, order, selections; a row that fails is reported and left out; marks of rows behind follow.
func TestProject(t *testing.T) {
	schema := &types.Schema{Cols: []types.Column{{Name: "user", Type: types.T(types.Text)}, {Name: "i", Type: types.T(types.Int8)}}}
	var failed []uint32
	ctx := &expr.Ctx{RowError: func(row uint32, err error) {
		failed = append(failed, row)
		if sqlerr.CodeOf(err) != sqlerr.DivisionByZero {
			t.Error(err)
		}
	}}
	made, err := NewProject(&spec.Project{Exprs: []expr.Expr{trafficCol("user"), failing()}}, schema)
	p := open(t, made, err, ctx)
	b := traffic([3]any{1, "a", 1}, [3]any{2, "b", 0}, [3]any{3, "c", 10}, [3]any{4, "d", 4})
	b.Behind = []batch.Behind{{Row: 1, Watermark: 5}, {Row: 2, Watermark: 6}, {Row: 3, Watermark: 7}}
	for _, c := range []struct {
		sel    []uint32
		want   string
		behind []batch.Behind
		failed []uint32
	}{
		{[]uint32{0, 2, 3}, "[a 1000] [c 100] [d 250] ", []batch.Behind{{Row: 1, Watermark: 6}, {Row: 2, Watermark: 7}}, nil},
		{[]uint32{0, 1, 2, 3}, "[a 1000] [c 100] [d 250] ", []batch.Behind{{Row: 1, Watermark: 6}, {Row: 2, Watermark: 7}}, []uint32{1}},
		{[]uint32{1}, "", nil, []uint32{1}},
		{[]uint32{3}, "[d 250] ", []batch.Behind{{Row: 0, Watermark: 7}}, nil},
	} {
		got := ""
		failed = nil
		err := p.Process(0, Input{B: b, Sel: c.sel}, emitFunc(func(in Input) error {
			for _, r := range in.Sel {
				got += fmt.Sprintf("[%s %s] ", in.B.Cols[0].Value(int(r)).Text(), in.B.Cols[1].Value(int(r)).Text())
			}
			if !slices.Equal(in.B.Behind, c.behind) {
				t.Errorf("of %v behind %v, want %v", c.sel, in.B.Behind, c.behind)
			}
			return nil
		}))
		if err != nil || got != c.want || !slices.Equal(failed, c.failed) {
			t.Errorf("of %v comes %q (failed %v), want %q; %v", c.sel, got, failed, c.want, err)
		}
	}
	if p.String() != "Project user, inverse(n)" {
		t.Error(p)
	}
}

// TestRouter: over any number of workers each row goes to one, with its key, in order; the same key always to the same.
func TestRouter(t *testing.T) {
	var rows [][3]any
	for i := range 500 {
		rows = append(rows, [3]any{i, fmt.Sprint("user", i%40), i % 3})
	}
	b := traffic(rows...)
	keys := []expr.Expr{trafficCol("user"), trafficCol("n")}
	sel := make([]uint32, 0, b.N)
	for i := range b.N {
		if i%5 != 0 {
			sel = append(sel, uint32(i))
		}
	}
	for workers := 1; workers <= 5; workers++ {
		owner := map[string]int{}
		seen, used := 0, 0
		for w, p := range routed(t, Input{B: b, Sel: sel}, keys, workers) {
			if rule := badInput(p.Input(b)); rule != "" {
				t.Fatal(rule)
			}
			seen += len(p.Sel)
			used += min(len(p.Sel), 1)
			for i, row := range p.Sel {
				key := batch.AppendKey(batch.AppendKey(nil, &b.Cols[1], int(row)), &b.Cols[2], int(row))
				if string(p.Keys.Key(i)) != string(key) || p.Keys.Hash[i] != batch.HashKey(key) {
					t.Fatalf("row %d has the key %q, want %q", row, p.Keys.Key(i), key)
				}
				if o, ok := owner[string(key)]; ok && o != w || Owner(p.Keys.Hash[i], workers) != w {
					t.Fatalf("key %q is at workers %d and %d", key, o, w)
				}
				owner[string(key)] = w
			}
		}
		if seen != len(sel) || used != workers {
			t.Errorf("%d of %d rows went to %d of %d workers", seen, len(sel), used, workers)
		}
	}
}

// TestRouterRowErrors: a row without a key goes nowhere.
func TestRouterRowErrors(t *testing.T) {
	r, err := NewRouter(&spec.Exchange{Keys: []expr.Expr{failing()}})
	if err != nil {
		t.Fatal(err)
	}
	var failed []uint32
	r.Open(&expr.Ctx{RowError: func(row uint32, _ error) { failed = append(failed, row) }})
	b := traffic([3]any{1, "a", 0}, [3]any{2, "b", 5}, [3]any{3, "c", 0})
	parts := make([]Part, 1)
	if err := r.Route(wholeInput(b), parts); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(parts[0].Sel, []uint32{1}) || len(parts[0].Keys.Hash) != 1 || !slices.Equal(failed, []uint32{0, 2}) {
		t.Errorf("routed %v, failed %v", parts[0].Sel, failed)
	}
}
