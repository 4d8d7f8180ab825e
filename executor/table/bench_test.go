package table

import (
	"math/rand"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// BenchmarkLookup looks batches of random keys up in a million rows; ns per row.
func BenchmarkLookup(b *testing.B) {
	const rows = 1_000_000
	set := NewSet()
	tab := set.Create(1, schema, []int{0})
	for from := int64(0); from < rows; from += 100_000 {
		var ch Change
		for i := from; i < from+100_000; i++ {
			ch.Add = append(ch.Add, Row{Values: row(i, "owner", i%7)})
		}
		if _, _, err := tab.Apply(ch, 1, 10); err != nil {
			b.Fatal(err)
		}
	}
	view := set.At(1, 10)
	rnd := rand.New(rand.NewSource(1))
	p := &expr.TableProbe{Table: 1, Cols: []int{0}, N: batch.RowsMax}
	var keys [64]batch.Keys
	for i := range keys {
		vec := batch.Vec{}
		vec.Reset(types.T(types.Int8))
		for range batch.RowsMax {
			vec.AppendInt(rnd.Int63n(rows * 2))
		}
		keys[i].Build([]*batch.Vec{&vec}, batch.RowsMax)
	}
	out := batch.New(schema, nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		out.Reset(nil)
		p.Keys, p.Into, p.More = &keys[i%len(keys)], out.Cols, false
		if err := view.Lookup(p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch.RowsMax, "ns/row")
}

// BenchmarkTableQuery asks a table of 100,000 rows by batches of rows, in forms of subqueries; ns per row that asks.
func BenchmarkTableQuery(b *testing.B) {
	const rows = 100_000
	set := NewSet()
	tab := set.Create(1, schema, []int{0})
	var ch Change
	for i := range int64(rows) {
		ch.Add = append(ch.Add, Row{Values: row(i, "owner", i%7)})
	}
	if _, _, err := tab.Apply(ch, 1, 10); err != nil {
		b.Fatal(err)
	}
	big := types.T(types.Int8)
	asks := batch.New(&types.Schema{Cols: []types.Column{{Name: "id", Type: big}, {Name: "n", Type: big}}}, nil)
	rnd := rand.New(rand.NewSource(1))
	for range batch.RowsMax {
		asks.AppendRow([]types.Value{types.NewInt(types.Int8, rnd.Int63n(rows*2)), types.NewInt(types.Int8, rnd.Int63n(7))})
	}
	id, n := &expr.Column{Index: 0, Name: "id", Typ: big}, &expr.Column{Index: 1, Name: "n", Typ: big}
	key, level := &expr.Column{Index: 0, Name: "key", Typ: big}, &expr.Column{Index: 2, Name: "level", Typ: big}
	arg := func(i int) expr.Expr { return &expr.Column{Index: len(schema.Cols) + i, Name: "arg", Typ: big} }
	equal := func(l, r expr.Expr) expr.Expr { return &expr.Compare{Op: expr.EQ, L: l, R: r} }
	count, _ := agg.Builtins()[0].Bind(nil, false)
	base := expr.TableQuery{Table: 1, Name: "t", Schema: *schema, Typ: types.T(types.Bool)}
	for _, c := range []struct {
		name string
		make func(q *expr.TableQuery)
	}{
		{"exists", func(q *expr.TableQuery) {
			q.Keys, q.Cols, q.Args, q.Where = []expr.Expr{id}, []int{0}, []expr.Expr{n}, &expr.Compare{Op: expr.GT, L: level, R: arg(0)}
		}},
		{"pair", func(q *expr.TableQuery) {
			q.Args, q.TestKeys, q.TestCols = []expr.Expr{id, n}, []expr.Expr{id, n}, []int{0, 2}
			q.Test = &expr.And{Args: []expr.Expr{equal(arg(0), key), equal(arg(1), level)}}
		}},
		{"value", func(q *expr.TableQuery) {
			q.Kind, q.Typ, q.Keys, q.Cols, q.Item = expr.TableOne, big, []expr.Expr{id}, []int{0}, level
		}},
		{"count", func(q *expr.TableQuery) {
			q.Kind, q.Typ, q.Keys, q.Cols, q.Item = expr.TableGroup, big, []expr.Expr{id}, []int{0}, &expr.Column{Index: 0, Name: "count", Typ: big}
			q.Aggs = []expr.TableAgg{{Name: "count(", Kernel: count}}
		}},
		{"same for all", func(q *expr.TableQuery) {
			q.Kind, q.Typ, q.Item = expr.TableGroup, big, &expr.Column{Index: 0, Name: "count", Typ: big}
			q.Aggs = []expr.TableAgg{{Name: "count(", Kernel: count}}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			q := base
			c.make(&q)
			ev, err := expr.Compile(&q)
			if err != nil {
				b.Fatal(err)
			}
			ctx, all := &expr.Ctx{Tables: set.At(1, 10)}, batch.All(asks.N)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ev.Eval(ctx, asks, all); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(asks.N), "ns/row")
		})
	}
}
