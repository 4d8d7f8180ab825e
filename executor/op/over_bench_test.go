package op

import (
	"fmt"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// benchVisits makes batches of rows whose keys are spread over so many values, a microsecond apart.
func benchVisits(batches, keys int) []*batch.Batch {
	var out []*batch.Batch
	at := int64(0)
	for range batches {
		b := batch.New(&visitSchema, nil)
		for range batch.RowsMax {
			at++
			who := types.NewText(fmt.Sprint("user ", uint64(at)*0x9E3779B97F4A7C15>>20%uint64(keys)))
			b.AppendRow([]types.Value{types.NewTime(types.EventTime(at)), who, types.NewInt(types.Int8, at%1000),
				{Type: types.T(types.Float8), F: float64(at % 100)}, types.NewText("note")})
		}
		out = append(out, b)
	}
	return out
}

// benchKeyed feeds batches again and again, moved on in time.
func benchKeyed(b *testing.B, o Operator, batches []*batch.Batch) {
	quiet := emitFunc(func(Input) error { return nil })
	if err := o.Open(&expr.Ctx{}); err != nil {
		b.Fatal(err)
	}
	span := int64(len(batches) * batch.RowsMax)
	b.ReportAllocs()
	b.ResetTimer()
	rows := 0
	for i := 0; b.Loop(); i++ {
		in := batches[i%len(batches)]
		if err := o.Process(0, Input{B: in, Sel: batch.All(in.N)}, quiet); err != nil {
			b.Fatal(err)
		}
		if err := o.Advance(types.EventTime(in.Cols[0].I64[in.N-1]), quiet); err != nil {
			b.Fatal(err)
		}
		for r := range in.Cols[0].I64 {
			in.Cols[0].I64[r] += span
		}
		rows += in.N
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkFirstSeen(b *testing.B) {
	for _, keys := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			f := newFirstSeen(b, 4_000_000)
			benchKeyed(b, f, benchVisits(1024, keys))
			if n := f.seen.size(); n > 0 {
				b.ReportMetric(float64(f.Bytes())/float64(n), "bytes/key")
			}
		})
	}
}

func BenchmarkOver(b *testing.B) {
	rows60, hour := spec.Frame{Rows: true, Start: -60, End: -1}, spec.Frame{Start: -100_000}
	for name, frame := range map[string]spec.Frame{"rows60": rows60, "range": hour, "start": {Start: -unbounded}} {
		b.Run(name, func(b *testing.B) {
			benchKeyed(b, newOver(b, []spec.OverFunc{overAgg(b, "avg", frame, visitCol("n")), overAgg(b, "stddev_pop", frame, visitCol("n"))}), benchVisits(256, 1000))
		})
	}
	b.Run("float60", func(b *testing.B) {
		benchKeyed(b, newOver(b, []spec.OverFunc{overAgg(b, "avg", rows60, visitCol("f")), overAgg(b, "max", rows60, visitCol("n"))}), benchVisits(256, 1000))
	})
}
