package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// windowEvents is the number of events of a round; they are 10 us of event time apart, in order.
const (
	windowEvents = 1 << 20
	windowApart  = 10
)

var windowSchema = types.Schema{Cols: []types.Column{{Name: "ts", Type: types.T(types.TimestampTZ)}, {Name: "src", Type: types.T(types.Text)}}}

// windowBatches is events over so many keys.
func windowBatches(keys int) []*batch.Batch {
	rng := rand.New(rand.NewPCG(1, 2))
	var out []*batch.Batch
	for n := 0; n < windowEvents; {
		b := batch.New(&windowSchema, nil)
		for ; b.N < batch.RowsMax; n++ {
			k := rng.IntN(keys)
			b.AppendRow([]types.Value{types.NewTime(types.EventTime(n * windowApart)), types.NewText(fmt.Sprintf("10.%d.%d.%d", k>>16, k>>8&255, k&255))})
		}
		out = append(out, b)
	}
	return out
}

// windowKind is one kind of window and the program that it is compared with: a Go map, with no lateness, no state on disk and
// no order of the results. Both return how many results had a count of at least least, and the sum of those counts.
type windowKind struct {
	name   string
	window window.Spec
	emit   spec.EmitMode
	least  int64
	plain  func(batches []*batch.Batch, w window.Spec, least int64) (results, sum int64)
}

// tally is what a run produced.
type tally struct{ results, sum int64 }

// Emit implements op.Emitter.
func (t *tally) Emit(in op.Input) error {
	for _, i := range in.Sel {
		t.results++
		t.sum += in.B.Cols[3].I64[i]
	}
	return nil
}

// windowOp is what the operators of windows have in common.
type windowOp interface {
	op.Operator
	op.Deadliner
	Having(f *spec.Filter) error
}

// build makes the operator, and the router before it.
func (k *windowKind) build(b *testing.B) (*op.Router, windowOp, error) {
	src := &expr.Column{Index: 1, Name: "src", Typ: types.T(types.Text)}
	bigint, stamp := types.T(types.Int8), types.T(types.TimestampTZ)
	s := &spec.WindowAgg{Window: k.window, Keys: []expr.Expr{src}, Aggs: []spec.AggCall{{Name: "count", Kernel: kernel(b, "count"), Typ: bigint}},
		Emit: spec.Emit{Mode: k.emit}}
	out := &types.Schema{Cols: []types.Column{{Name: "window_start", Type: stamp}, {Name: "window_end", Type: stamp}, windowSchema.Cols[1], {Name: "n", Type: bigint}}}
	var made op.Operator
	var err error
	switch k.window.Kind {
	case window.Session:
		made, err = op.NewSessionAgg(s, out)
	case window.Slide:
		made, err = op.NewSlideAgg(s, out)
	default:
		made, err = op.NewWindowed(s, out)
	}
	if err != nil {
		return nil, nil, err
	}
	o, ok := made.(windowOp)
	if !ok {
		return nil, nil, fmt.Errorf("%s has no deadlines, or applies no HAVING", made)
	}
	having := &spec.Filter{Cond: &expr.Compare{Op: expr.GE, L: &expr.Column{Index: 3, Name: "n", Typ: bigint}, R: &expr.Const{Val: types.NewInt(types.Int8, k.least)}}}
	if err := o.Having(having); err != nil {
		return nil, nil, err
	}
	r, err := op.NewRouter(&spec.Exchange{Keys: s.Keys})
	if err != nil {
		return nil, nil, err
	}
	ctx := &expr.Ctx{}
	r.Open(ctx)
	return r, o, o.Open(ctx)
}

// run passes the batches through the operator as one worker gets them.
func (k *windowKind) run(b *testing.B, batches []*batch.Batch) tally {
	r, o, err := k.build(b)
	if err != nil {
		b.Fatal(err)
	}
	var out tally
	parts := make([]op.Part, 1)
	for _, in := range batches {
		if err := r.Route(op.Input{B: in, Sel: batch.All(in.N)}, parts); err != nil {
			b.Fatal(err)
		}
		if err := o.Process(0, parts[0].Input(in), &out); err != nil {
			b.Fatal(err)
		}
		if wm := types.EventTime(in.Cols[0].I64[in.N-1]); o.Deadline() <= wm {
			if err := o.Advance(wm, &out); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := o.Advance(types.MaxTime, &out); err != nil {
		b.Fatal(err)
	}
	return out
}

// plainTumble counts in one map per window.
func plainTumble(batches []*batch.Batch, w window.Spec, least int64) (results, sum int64) {
	counts := map[string]int64{}
	start := int64(0)
	flush := func() {
		for _, n := range counts {
			if n >= least {
				results, sum = results+1, sum+n
			}
		}
		clear(counts)
	}
	for _, b := range batches {
		for i, t := range b.Cols[0].I64 {
			if t >= start+w.Size {
				flush()
				start = t - t%w.Size
			}
			counts[string(b.Cols[1].Bytes(i))]++
		}
	}
	flush()
	return results, sum
}

// plainSession keeps a struct per key, which it forgets when the session ends: slots of time hold the keys to look at then, as a
// program does that tells of a session when it is over and does not run out of memory.
func plainSession(batches []*batch.Batch, w window.Spec, least int64) (results, sum int64) {
	type state struct {
		key     string
		last, n int64
	}
	const slots = 64
	open, slot := map[string]*state{}, w.Size/slots+1
	var wheel [2 * slots][]*state
	passed := int64(0) // slots
	end := func(s *state) {
		if s.n >= least {
			results, sum = results+1, sum+s.n
		}
	}
	for _, b := range batches {
		for i, t := range b.Cols[0].I64 {
			s := open[string(b.Cols[1].Bytes(i))]
			switch {
			case s == nil:
				s = &state{key: string(b.Cols[1].Bytes(i))}
				open[s.key] = s
				at := (t + w.Size) / slot % int64(len(wheel))
				wheel[at] = append(wheel[at], s)
			case t-s.last >= w.Size:
				end(s)
				s.n = 0
			}
			s.last = t
			s.n++
		}
		for now := b.Cols[0].I64[b.N-1] / slot; passed < now; passed++ {
			list := wheel[passed%int64(len(wheel))]
			wheel[passed%int64(len(wheel))] = nil
			for _, s := range list {
				if at := (s.last + w.Size) / slot; at > passed {
					at %= int64(len(wheel))
					wheel[at] = append(wheel[at], s)
					continue
				}
				end(s)
				delete(open, s.key)
			}
		}
	}
	for _, s := range open {
		end(s)
	}
	return results, sum
}

// plainSlide keeps the times of each key in a queue.
func plainSlide(batches []*batch.Batch, w window.Spec, least int64) (results, sum int64) {
	type queue struct{ times []int64 }
	open := map[string]*queue{}
	for _, b := range batches {
		for i, t := range b.Cols[0].I64 {
			q := open[string(b.Cols[1].Bytes(i))]
			if q == nil {
				q = new(queue)
				open[string(b.Cols[1].Bytes(i))] = q
			}
			q.times = append(q.times, t)
			for q.times[0] <= t-w.Size {
				q.times = q.times[1:]
			}
			if n := int64(len(q.times)); n >= least {
				results, sum = results+1, sum+n
			}
		}
	}
	return results, sum
}

// BenchmarkWindows prints the CPU time of an event in each kind of window, routing by key included, and that of the map program.
// Results below the threshold are cut off by HAVING, as in a rule. For HOP, which no plain program does in constant time per
// event, the map program is that of TUMBLE.
func BenchmarkWindows(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const minute, second = 60e6, 1e6
	for _, keys := range []int{10_000, 1_000_000} {
		batches := windowBatches(keys)
		between := int64(keys * windowApart) // of one key's events, on average
		var tumble float64                   // its cost
		for _, k := range []windowKind{
			{name: "TUMBLE 5 min", window: window.Spec{Kind: window.Tumble, Size: 5 * minute}, least: 130, plain: plainTumble},
			{name: "HOP 1 s, 5 min", window: window.Spec{Kind: window.Hop, Size: 5 * minute, Slide: second}, least: 130},
			{name: "SESSION", window: window.Spec{Kind: window.Session, Size: between}, least: 10, plain: plainSession},
			{name: "SLIDE", window: window.Spec{Kind: window.Slide, Size: 5 * between}, emit: spec.EmitUpdate, least: 15, plain: plainSlide},
		} {
			b.Run(fmt.Sprintf("%s/keys=%d", k.name, keys), func(b *testing.B) {
				cost := k.compare(b, batches)
				switch k.window.Kind {
				case window.Tumble:
					tumble = cost
				case window.Hop:
					if tumble > 0 {
						b.ReportMetric(cost/tumble, "x-tumble")
						fmt.Fprintf(os.Stderr, "%s: %.2f times TUMBLE\n", b.Name(), cost/tumble)
					}
				}
			})
		}
	}
}

// compare returns the cost of an event, in nanoseconds.
func (k *windowKind) compare(b *testing.B, batches []*batch.Batch) float64 {
	if _, _, err := k.build(b); sqlerr.CodeOf(err) == sqlerr.FeatureNotSupported {
		b.Skipf("%s is not there: %v", k.name, err)
	}
	plain, w := k.plain, k.window
	if plain == nil {
		plain, w = plainTumble, window.Spec{Size: k.window.Size}
	}
	var ours, theirs, ratios []float64
	for range max(b.N, 3) {
		runtime.GC()
		t0 := cpu(b)
		got := k.run(b, batches)
		t1 := cpu(b)
		runtime.GC()
		t2 := cpu(b)
		results, sum := plain(batches, w, k.least)
		t3 := cpu(b)
		if k.plain != nil && (got.results != results || got.sum != sum) {
			b.Fatalf("%d results, counts of %d; the map program has %d, %d", got.results, got.sum, results, sum)
		}
		x, y := float64(t1-t0)/windowEvents, float64(t3-t2)/windowEvents
		ours, theirs, ratios = append(ours, x), append(theirs, y), append(ratios, x/y)
	}
	for _, s := range [][]float64{ours, theirs, ratios} {
		slices.Sort(s)
	}
	mid := len(ours) / 2
	b.ReportMetric(ours[mid], "vigil-ns/event")
	b.ReportMetric(theirs[mid], "map-ns/event")
	b.ReportMetric(ratios[mid], "x-map")
	fmt.Fprintf(os.Stderr, "%s: vigil %.0f ns/event, Go map %.0f ns/event, ratio %.2f (%.2f..%.2f)\n",
		b.Name(), ours[mid], theirs[mid], ratios[mid], ratios[0], ratios[len(ratios)-1])
	return ours[mid]
}
