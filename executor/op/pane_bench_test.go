package op

import (
	"fmt"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// benchPlan groups the traffic of thesisTraffic by its two texts in windows, HAVING count(*) > most.
func benchPlan(b *testing.B, w window.Spec, most int64, aggs ...spec.AggCall) Grouper {
	b.Helper()
	ex, _ := thesisPlan(b)
	s := &spec.WindowAgg{Window: w, Keys: ex.Keys, Aggs: aggs}
	out := &types.Schema{Cols: []types.Column{{Name: "window_start", Type: types.T(types.TimestampTZ)},
		{Name: "window_end", Type: types.T(types.TimestampTZ)}, {Name: "username", Type: types.T(types.Text)},
		{Name: "dst", Type: types.T(types.Text)}}}
	for _, a := range aggs {
		out.Cols = append(out.Cols, types.Column{Name: a.Name, Type: a.Typ})
	}
	var g Grouper
	var err error
	if w.Kind == window.Tumble {
		g, err = NewWindowAgg(s, out)
	} else {
		g, err = NewPaneAgg(s, out)
	}
	if err != nil {
		b.Fatal(err)
	}
	if most >= 0 {
		count := &expr.Column{Index: 4, Name: "count", Typ: types.T(types.Int8)}
		if err := g.Having(&spec.Filter{Cond: &expr.Compare{Op: expr.GT, L: count, R: &expr.Const{Val: types.NewInt(types.Int8, most)}}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := g.Open(&expr.Ctx{}); err != nil {
		b.Fatal(err)
	}
	return g
}

// benchFeed runs batches through a grouping, time going on by 10 microseconds a row times slow.
type benchFeed struct {
	g       Grouper
	r       *Router
	parts   []Part
	batches []*batch.Batch
	next    int
	at      int64 // time of the next row
	slow    int64
	rows    int
	spent   time.Duration
}

func (f *benchFeed) round(b *testing.B) {
	in := f.batches[f.next%len(f.batches)]
	for j := range in.Cols[0].I64 {
		in.Cols[0].I64[j] = f.at
		f.at += 10 * f.slow
	}
	f.next++
	sink := emitFunc(func(in Input) error {
		f.rows += len(in.Sel)
		return nil
	})
	from := time.Now()
	if err := f.r.Route(wholeInput(in), f.parts); err != nil {
		b.Fatal(err)
	}
	if err := f.g.Process(0, f.parts[0].Input(in), sink); err != nil {
		b.Fatal(err)
	}
	if wm := types.EventTime(in.Cols[0].I64[batch.RowsMax-1]); f.g.Deadline() <= wm {
		if err := f.g.Advance(wm, sink); err != nil {
			b.Fatal(err)
		}
	}
	f.spent += time.Since(from)
}

// fillSlow is how slow events come while windows fill: at 25,000 a second nine keys of ten have one in each.
const fillSlow = 4

// BenchmarkHop compares HOP 5 min / 1 s with TUMBLE 5 min in one run: both get the same batches in turn. The windows are full
// before the clock starts. slow=1 is 100,000 events a second of event time, slow=10 is 10,000.
func BenchmarkHop(b *testing.B) {
	count := func() spec.AggCall { return aggOf(b, "count") }
	latest := func() spec.AggCall {
		return aggOf(b, "max", &expr.Column{Index: 0, Name: "ts", Typ: types.T(types.TimestampTZ)})
	}
	for _, c := range []struct {
		name string
		slow int64
		most int64
		aggs func() []spec.AggCall
	}{
		{"count/having", 1, 1 << 40, func() []spec.AggCall { return []spec.AggCall{count()} }},
		{"count/all", 1, -1, func() []spec.AggCall { return []spec.AggCall{count()} }},
		{"count,max/having", 1, 1 << 40, func() []spec.AggCall { return []spec.AggCall{count(), latest()} }},
		{"count/having", 10, 1 << 40, func() []spec.AggCall { return []spec.AggCall{count()} }},
	} {
		b.Run(fmt.Sprintf("%s/slow=%d", c.name, c.slow), func(b *testing.B) {
			ex, _ := thesisPlan(b)
			batches := thesisTraffic(10_000, 1<<18)
			var feeds [2]*benchFeed
			for i, w := range []window.Spec{{Kind: window.Tumble, Size: 300e6}, {Kind: window.Hop, Size: 300e6, Slide: 1e6}} {
				r, err := NewRouter(ex)
				if err != nil {
					b.Fatal(err)
				}
				r.Open(&expr.Ctx{})
				feeds[i] = &benchFeed{g: benchPlan(b, w, c.most, c.aggs()...), r: r, parts: make([]Part, 1), batches: batches, slow: max(c.slow, fillSlow)}
				for feeds[i].at < 310e6 {
					feeds[i].round(b)
				}
				feeds[i].spent, feeds[i].slow = 0, c.slow
			}
			b.ResetTimer()
			for i := 0; i < b.N; i += batch.RowsMax {
				feeds[0].round(b)
				feeds[1].round(b)
			}
			tumble, hop := feeds[0].spent.Seconds(), feeds[1].spent.Seconds()
			b.ReportMetric(tumble*1e9/float64(b.N), "tumble-ns/event")
			b.ReportMetric(hop*1e9/float64(b.N), "hop-ns/event")
			b.ReportMetric(hop/tumble, "hop/tumble")
		})
	}
}
