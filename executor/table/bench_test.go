package table

import (
	"math/rand"
	"testing"

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
