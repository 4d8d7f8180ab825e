package op

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// thesisPlan counts by two texts in windows of 5 seconds; the rule HAVING count(*) > 10 would follow.
func thesisPlan(t testing.TB) (*spec.Exchange, *WindowAgg) {
	t.Helper()
	user := &expr.Column{Index: 1, Name: "username", Typ: types.T(types.Text)}
	dst := &expr.Column{Index: 2, Name: "dst", Typ: types.T(types.Text)}
	keys := []expr.Expr{user, dst}
	s := &spec.WindowAgg{Window: window.Spec{Kind: window.Tumble, Size: 5e6}, Keys: keys, Aggs: []spec.AggCall{aggOf(t, "count")}}
	out := &types.Schema{Cols: []types.Column{{Name: "window_start", Type: types.T(types.TimestampTZ)},
		{Name: "window_end", Type: types.T(types.TimestampTZ)}, {Name: "username", Type: types.T(types.Text)},
		{Name: "dst", Type: types.T(types.Text)}, {Name: "count", Type: types.T(types.Int8)}}}
	w, err := NewWindowAgg(s, out)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	return &spec.Exchange{Keys: keys}, w
}

// thesisTraffic is events, 100,000 a second of event time, over so many pairs of user and destination.
func thesisTraffic(keys, events int) []*batch.Batch {
	schema := &types.Schema{Cols: []types.Column{{Name: "ts", Type: types.T(types.TimestampTZ)},
		{Name: "username", Type: types.T(types.Text)}, {Name: "dst", Type: types.T(types.Text)}}}
	rng := rand.New(rand.NewPCG(1, 2))
	var out []*batch.Batch
	for n := 0; n < events; {
		b := batch.New(schema, nil)
		for ; b.N < batch.RowsMax; n++ {
			k := rng.IntN(keys)
			b.AppendRow([]types.Value{types.NewTime(types.EventTime(n * 10)), types.NewText(fmt.Sprintf("user%05d", k/7)),
				types.NewText(fmt.Sprintf("10.%d.%d.%d", k%7, k>>8&255, k&255))})
		}
		out = append(out, b)
	}
	return out
}

// BenchmarkWindowAgg is the cost of an event: building and hashing its key, finding its group, counting, and its share of
// emitting the closed windows; with the state on the Go heap and outside of it.
func BenchmarkWindowAgg(b *testing.B) {
	pool := arena.NewPool(b.TempDir(), 1<<40, nil)
	for _, keys := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint("heap/keys=", keys), func(b *testing.B) { benchWindowAgg(b, keys, nil) })
		b.Run(fmt.Sprint("arena/keys=", keys), func(b *testing.B) { benchWindowAgg(b, keys, pool.Arena()) })
	}
}

func benchWindowAgg(b *testing.B, keys int, state *arena.Arena) {
	batches := thesisTraffic(keys, 1<<20)
	ex, w := thesisPlan(b)
	if err := w.Open(&expr.Ctx{State: state}); err != nil {
		b.Fatal(err)
	}
	r, err := NewRouter(ex)
	if err != nil {
		b.Fatal(err)
	}
	r.Open(&expr.Ctx{})
	parts := make([]Part, 1)
	rows := 0
	sink := emitFunc(func(in Input) error {
		rows += len(in.Sel)
		return nil
	})
	span := int64(len(batches)) * batch.RowsMax * 10
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += batch.RowsMax {
		n := i / batch.RowsMax
		in := batches[n%len(batches)]
		if n >= len(batches) { // again, one span later
			for j := range in.Cols[0].I64 {
				in.Cols[0].I64[j] += span
			}
		}
		if err := r.Route(wholeInput(in), parts); err != nil {
			b.Fatal(err)
		}
		if err := w.Process(0, parts[0].Input(in), sink); err != nil {
			b.Fatal(err)
		}
		if err := w.Advance(types.EventTime(in.Cols[0].I64[batch.RowsMax-1]), sink); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSnapshot is the cost of a changed group.
func BenchmarkSnapshot(b *testing.B) {
	batches := thesisTraffic(1_000_000, 1<<18)
	_, w := thesisPlan(b)
	for _, in := range batches {
		if err := w.Process(0, wholeInput(in), nil); err != nil {
			b.Fatal(err)
		}
	}
	groups := w.Groups()
	b.ResetTimer()
	for i := 0; i < b.N; i += groups {
		for _, sl := range w.open {
			sl.restored = true // all anew
		}
		if err := w.Snapshot(&memState{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSteadyStateAllocatesNothing: once the windows have seen their keys, a batch costs no allocation.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	ex, w := thesisPlan(t)
	filter, err := NewFilter(&spec.Filter{Cond: &expr.IsNull{X: ex.Keys[0], Not: true}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRouter(ex)
	if err != nil {
		t.Fatal(err)
	}
	ctx := &expr.Ctx{RowError: func(uint32, error) {}}
	r.Open(ctx)
	if err := filter.Open(ctx); err != nil {
		t.Fatal(err)
	}
	batches := thesisTraffic(100, 4*batch.RowsMax)
	parts := make([]Part, 2)
	discarded := emitFunc(discard)
	feed := emitFunc(func(in Input) error {
		if err := r.Route(in, parts); err != nil {
			return err
		}
		for i := range parts {
			if err := w.Process(0, parts[i].Input(in.B), discarded); err != nil {
				return err
			}
		}
		return nil
	})
	next := int64(0)
	round := func() {
		for _, b := range batches {
			next += 5e6 / 4 // a window closes every four batches
			for i := range b.Cols[0].I64 {
				b.Cols[0].I64[i] = next
			}
			if err := filter.Process(0, wholeInput(b), feed); err != nil {
				t.Fatal(err)
			}
			if err := w.Advance(types.EventTime(next), discarded); err != nil {
				t.Fatal(err)
			}
		}
	}
	round()
	round()
	if n := testing.AllocsPerRun(10, round); n > 1 {
		t.Errorf("%v allocations for %d batches", n, len(batches))
	}
}
