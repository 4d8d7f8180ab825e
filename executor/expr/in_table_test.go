package expr

import (
	"fmt"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// plainTable is a table of rows (name, level), for one column of keys.
type plainTable [][]types.Value

func (rows plainTable) Lookup(p *TableProbe) error {
	p.Rows = p.Rows[:0]
	for i := range p.N {
		for _, r := range rows {
			switch {
			case p.Nulls && !r[0].Null:
				continue
			case !p.Nulls && len(p.Cols) > 0 && (p.Null[i] || r[0].Null || string(batch.AppendKeyValue(nil, r[0])) != string(p.Keys.Key(i))):
				continue
			}
			p.Rows = append(p.Rows, uint32(i))
			for c := range p.Into {
				if !p.Into[c].Absent {
					p.Into[c].AppendValue(r[c])
				}
			}
		}
	}
	return nil
}

// TestInTable: x [NOT] IN and [NOT] EXISTS over tables without rows, with and without NULL, as values and as filters, are what the
// subquery of a query that ends is.
func TestInTable(t *testing.T) {
	text, null := func(s string) types.Value { return types.NewText(s) }, types.Null(types.T(types.Text))
	schema := types.Schema{Cols: []types.Column{{Name: "name", Type: types.T(types.Text)}, {Name: "level", Type: types.T(types.Int8)}}}
	row := func(name types.Value, level int64) []types.Value {
		return []types.Value{name, types.NewInt(types.Int8, level)}
	}
	low := &Compare{Op: LT, L: &Column{Index: 1, Name: "level", Typ: types.T(types.Int8)}, R: &Const{Val: types.NewInt(types.Int8, 5)}}
	b := batch.New(&types.Schema{Cols: []types.Column{{Name: "x", Type: types.T(types.Text)}}}, nil)
	for _, v := range []types.Value{text("a"), null, text("b"), text("c"), null} {
		b.AppendRow([]types.Value{v})
	}
	seen := map[string]int{}
	for _, tab := range []plainTable{nil, {row(text("a"), 1)}, {row(text("a"), 1), row(null, 1)}, {row(text("a"), 9), row(text("b"), 1), row(text("a"), 1)},
		{row(null, 9)}, {row(null, 9), row(text("c"), 9)}} {
		for _, where := range []Expr{nil, low} {
			for _, exists := range []bool{false, true} {
				e := &InTable{Table: 1, Name: "t", Schema: schema, Keys: []Expr{&Column{Index: 0, Name: "x", Typ: types.T(types.Text)}}, Cols: []int{0},
					Where: where, Exists: exists}
				n := *e
				n.Not = true
				for i := range b.N {
					want := tab.answer(b.Cols[0].Value(i), where != nil, exists)
					seen[want]++
					for _, is := range []struct {
						e    Expr
						want string
					}{{e, want}, {&n, opposite[want]}, {&Not{X: e}, opposite[want]}, {&Not{X: &n}, want}, {&Not{X: &Not{X: e}}, want}} {
						if got := both(t, is.e, b, tab, i); got != is.want {
							t.Fatalf("%s for %v in %v is %s, want %s", is.e, b.Cols[0].Value(i), tab, got, is.want)
						}
					}
				}
			}
		}
	}
	if seen["true"] < 5 || seen["false"] < 5 || seen["NULL"] < 5 {
		t.Error(seen)
	}
}

var opposite = map[string]string{"true": "false", "false": "true", "NULL": "NULL"}

// answer is the subquery's.
func (rows plainTable) answer(x types.Value, low, exists bool) string {
	var list [][]types.Value
	for _, r := range rows {
		if !low || r[1].I < 5 {
			list = append(list, r[:1])
		}
	}
	v := inRows(x, list, false)
	switch {
	case v.Null && !exists:
		return "NULL"
	case !v.Null && v.I != 0:
		return "true"
	}
	return "false"
}

// both evaluates an expression for one row as a value, alone and with others, and as a filter.
func both(t *testing.T, e Expr, b *batch.Batch, tab Tables, i int) string {
	t.Helper()
	ev, err := Compile(e)
	if err != nil {
		t.Fatal(err)
	}
	ctx := &Ctx{Tables: tab}
	all, err := ev.Eval(ctx, b, batch.All(b.N))
	if err != nil {
		t.Fatal(err)
	}
	out := boolText(all.Value(i))
	one, err := EvalRow(ctx, e, []types.Value{b.Cols[0].Value(i)})
	if err != nil || boolText(one) != out {
		t.Fatalf("%s is %s of a batch and %s alone: %v", e, out, boolText(one), err)
	}
	sel, err := ev.Filter(ctx, b, []uint32{uint32(i)}, nil)
	if err != nil || (len(sel) == 1) != (out == "true") {
		t.Fatalf("%s is %s and passes %v: %v", e, out, sel, err)
	}
	return out
}

func boolText(v types.Value) string {
	if v.Null {
		return "NULL"
	}
	return fmt.Sprint(v.I != 0)
}
