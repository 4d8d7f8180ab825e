package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sort"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/results"
)

// demoStream is the stream of the demonstration rule; demoQuery the rule: denied > 10 in 5 s per user and destination.
func demoStream() *spec.Stream {
	text := types.T(types.Text)
	return &spec.Stream{ID: 1, Name: "auth", Format: "JSON", Connector: "memory", TimeCol: 0, Delay: 0, IdleAfter: 30e6,
		MaxAhead: 1 << 60, Schema: types.Schema{Cols: []types.Column{{Name: "ts", Type: types.T(types.TimestampTZ)},
			{Name: "username", Type: text}, {Name: "dst", Type: text}, {Name: "action", Type: text}}}}
}

func kernel(t testing.TB, name string) agg.Kernel {
	for _, d := range agg.Builtins() {
		if d.Name == name {
			if k, ok := d.Bind(nil, false); ok {
				return k
			}
		}
	}
	t.Fatalf("no aggregate %s", name)
	return nil
}

func demoQuery(t testing.TB) *spec.Query {
	s := demoStream().Schema
	col := func(i int) *expr.Column { return &expr.Column{Index: i, Name: s.Cols[i].Name, Typ: s.Cols[i].Type} }
	keys := []expr.Expr{col(1), col(2)}
	bigint, stamp := types.T(types.Int8), types.T(types.TimestampTZ)
	out := types.Schema{Cols: []types.Column{{Name: "window_start", Type: stamp}, {Name: "window_end", Type: stamp},
		s.Cols[1], s.Cols[2], {Name: "denied", Type: bigint}}}
	n := &spec.Node{Op: &spec.StreamScan{StreamID: 1, Name: "auth", Want: []bool{true, true, true, true}}, Schema: s}
	n = &spec.Node{Op: &spec.Filter{Cond: &expr.Compare{Op: expr.EQ, L: col(3), R: &expr.Const{Val: types.NewText("denied")}}}, Schema: s, In: []*spec.Node{n}}
	n = &spec.Node{Op: &spec.Exchange{Keys: keys}, Schema: s, In: []*spec.Node{n}}
	n = &spec.Node{Op: &spec.WindowAgg{Window: window.Spec{Kind: window.Tumble, Size: windowSeconds * 1e6}, Keys: keys,
		Aggs: []spec.AggCall{{Name: "count", Kernel: kernel(t, "count"), Typ: bigint}}}, Schema: out, In: []*spec.Node{n}}
	n = &spec.Node{Op: &spec.Filter{Cond: &expr.Compare{Op: expr.GT, L: &expr.Column{Index: 4, Name: "denied", Typ: bigint},
		R: &expr.Const{Val: types.NewInt(types.Int8, deniedMax)}}}, Schema: out, In: []*spec.Node{n}}
	n = &spec.Node{Op: &spec.Result{QueryID: 2, Name: "brute_force"}, Schema: out, In: []*spec.Node{n}}
	return &spec.Query{ID: 2, Name: "brute_force", Program: &spec.Program{Root: n, Continuous: true}}
}

// runVigil passes the lines through the whole engine - sequencer, decode, filter, window, epochs, results - and returns the
// alerts as sorted text.
func runVigil(t testing.TB, lines []byte) []string {
	store := kv.NewMem()
	m, err := meta.Open(store)
	if err != nil {
		t.Fatal(err)
	}
	res, err := results.Open(store)
	if err != nil {
		t.Fatal(err)
	}
	src := &memorySource{data: lines, drain: make(chan struct{})}
	e, err := job.Open(job.Config{Dir: t.TempDir(), KV: store, Meta: m, Results: res, Workers: 1, Codecs: codec.Builtins(),
		CheckpointEvery: -1, Connectors: []connector.Def{{Name: "memory", New: func(connector.Options) (connector.Source, error) { return src, nil }}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	s, q := demoStream(), demoQuery(t)
	objects := []job.Object{{Meta: meta.Object{Kind: "stream", ID: 1, Name: s.Name}, Def: s}, {Meta: meta.Object{Kind: "query", ID: 2, Name: q.Name}, Def: q}}
	if err := e.Apply(ctx, job.Change{Create: objects}); err != nil {
		t.Fatal(err)
	}
	<-src.drain
	want := int64(bytes.Count(lines, []byte("\n")))
	for st, _ := e.Stream(1); st.Rows+st.Rejected < want; st, _ = e.Stream(1) {
		<-time.After(time.Millisecond)
	}
	if err := e.Close(ctx); err != nil {
		t.Fatal(err)
	}
	ts := []types.Type{types.T(types.TimestampTZ), types.T(types.TimestampTZ), types.T(types.Text), types.T(types.Text), types.T(types.Int8)}
	var alerts []string
	err = res.Scan(2, 0, 0, func(r results.Row) (bool, error) {
		row, err := codec.DecodeRow(ts, r.Data)
		if err != nil {
			return false, err
		}
		alerts = append(alerts, fmt.Sprintf("%d %s %s %d", row[0].I/1e6, row[2].S, row[3].S, row[4].I))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(alerts)
	return alerts
}

// closing is a row that closes the last window and is itself no alert.
const closing = `{"ts":"2026-01-02T00:00:00.000000Z","username":"nobody","dst":"nowhere","action":"closing"}` + "\n"

func TestDemoRuleEqualsBaseline(t *testing.T) {
	lines := append(demoEvents(60_000), closing...)
	got, want := runVigil(t, lines), baseline(lines)
	if len(want) < 10 || !slices.Equal(got, want) {
		t.Fatalf("%d alerts, baseline %d", len(got), len(want))
	}
}

// cpu is the process's CPU time.
func cpu(t testing.TB) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkDemoRule compares the engine with the baseline in alternating rounds on one core and prints events/s of CPU time
// and their ratio: the median of the rounds' ratios, because the machine may be shared.
func BenchmarkDemoRule(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const events = 500_000
	lines := append(demoEvents(events), closing...)
	var ratios, ours, theirs []float64
	for range max(b.N, 7) {
		runtime.GC()
		t0 := cpu(b)
		x := runVigil(b, lines)
		t1 := cpu(b)
		runtime.GC()
		t2 := cpu(b)
		y := baseline(lines)
		t3 := cpu(b)
		if !slices.Equal(x, y) {
			b.Fatal("the results differ")
		}
		v, w := float64(t1-t0)/events, float64(t3-t2)/events
		ratios, ours, theirs = append(ratios, w/v), append(ours, v), append(theirs, w)
	}
	for _, s := range [][]float64{ratios, ours, theirs} {
		slices.Sort(s)
	}
	mid := len(ratios) / 2
	b.ReportMetric(ratios[mid], "x-baseline")
	b.ReportMetric(ours[mid], "vigil-ns/event")
	b.ReportMetric(theirs[mid], "baseline-ns/event")
	fmt.Fprintf(os.Stderr, "demonstration rule, one core: vigil %.2f M events/s (%.0f ns), fastjson + map %.2f M events/s (%.0f ns), ratio %.2f (%.2f..%.2f)\n",
		1e3/ours[mid], ours[mid], 1e3/theirs[mid], theirs[mid], ratios[mid], ratios[0], ratios[len(ratios)-1])
}
