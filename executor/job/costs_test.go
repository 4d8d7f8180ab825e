package job

import (
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
)

// manualClock is a clock of meters that a test moves.
type manualClock struct{ at int64 }

func (c *manualClock) now() int64 { return c.at }

type discard struct{}

// Emit implements op.Emitter.
func (discard) Emit(op.Input) error { return nil }

// meteredQuery is an input of a query with a filter that lets rows below a bound through, for a meter to charge.
func meteredQuery(t *testing.T, bound int64) (*frontQuery, *batch.Batch) {
	t.Helper()
	schema := types.Schema{Cols: []types.Column{{Name: "n", Type: types.T(types.Int8)}}}
	cond := &expr.Compare{Op: expr.LT, L: &expr.Column{Name: "n", Typ: schema.Cols[0].Type}, R: &expr.Const{Val: types.NewInt(types.Int8, bound)}}
	chain, err := task.NewChain(&expr.Ctx{}, []*spec.Node{{Op: &spec.Filter{Cond: cond}, Schema: schema}}, discard{})
	if err != nil {
		t.Fatal(err)
	}
	b := batch.New(&schema, nil)
	for i := range int64(1000) {
		b.AppendRow([]types.Value{types.NewInt(types.Int8, i)})
	}
	return &frontQuery{chain: chain, foreign: true}, b
}

// TestFrontMeter: what a query's own chain takes is its own, to the nanosecond; what an index of predicates takes for all is shared
// by matched rows, with the batch itself as one more sharer; nothing is lost or counted twice.
func TestFrontMeter(t *testing.T) {
	clock := &manualClock{at: 5_000}
	m := &frontMeter{meter: meter{now: clock.now}}
	many, b := meteredQuery(t, 500)
	few, _ := meteredQuery(t, 50)
	none, _ := meteredQuery(t, 0)
	m.begin()
	begun := clock.at
	const rounds = 3
	for range rounds {
		clock.at += 700 // decoding
		m.keep()
		clock.at += 31_000 // the index
		m.pool()
		for i, fq := range []*frontQuery{many, few, none} {
			if err := fq.chain.Process(op.Input{B: b, Sel: batch.All(b.N)}); err != nil {
				t.Fatal(err)
			}
			clock.at += int64(100 * (i + 1))
			m.charge(fq)
		}
		m.settle(b.N)
	}
	for _, c := range []struct {
		name       string
		fq         *frontQuery
		busy, rows int64
	}{
		{"many", many, rounds * (100 + 10_000), rounds * 500},
		{"few", few, rounds * (200 + 1_000), rounds * 50},
		{"none", none, rounds * 300, 0},
	} {
		if c.fq.spent.busy != c.busy || c.fq.spent.rows != c.rows {
			t.Errorf("%s: %d ns, %d rows; want %d, %d", c.name, c.fq.spent.busy, c.fq.spent.rows, c.busy, c.rows)
		}
	}
	if sum := many.spent.busy + few.spent.busy + none.spent.busy + m.own; sum != clock.at-begun {
		t.Errorf("the parts are %d ns, the whole %d", sum, clock.at-begun)
	}
}

// TestFold: on a machine that gives the process half of the time that its goroutines seem busy, all are charged half; with CPU time
// to spare, what nobody was seen to use is the server's. The sum is what the process had.
func TestFold(t *testing.T) {
	for _, c := range []struct {
		name                     string
		cpu                      time.Duration
		light, heavy, own, other time.Duration
	}{
		{"half", 550 * time.Millisecond, 50 * time.Millisecond, 450 * time.Millisecond, 25 * time.Millisecond, 25 * time.Millisecond},
		{"plenty", 2 * time.Second, 100 * time.Millisecond, 900 * time.Millisecond, 50 * time.Millisecond, 950 * time.Millisecond},
	} {
		cpu := time.Hour
		e := &Engine{cfg: Config{CPU: func() time.Duration { return cpu }, Clock: func() types.EventTime { return 0 }},
			streams: map[uint64]*stream{}, queries: map[uint64]*query{}}
		e.openCosts()
		for id := uint64(1); id <= 2; id++ {
			q := &query{spec: &spec.Query{ID: id}}
			q.owner = q
			e.queries[id] = q
			e.costs.attach(q)
		}
		s := &stream{spec: &spec.Stream{ID: 3}}
		e.streams[3] = s
		e.costs.gather(e.queries[1], int64(100*time.Millisecond), 0)
		e.costs.gather(e.queries[2], int64(900*time.Millisecond), 0)
		s.stats.busy.Store(int64(50 * time.Millisecond))
		e.costs.epochs.Store(int64(50 * time.Millisecond))
		cpu += c.cpu
		e.costs.fold(e, time.Second)
		got := e.Costs()
		if got.Queries[1].CPU != c.light || got.Queries[2].CPU != c.heavy || got.Streams[3].CPU != c.own || got.Server.CPU != c.other || got.Total.CPU != c.cpu {
			t.Errorf("%s: %+v", c.name, got)
		}
		if share := got.Queries[2].Share; share != float64(c.heavy)/float64(c.cpu) {
			t.Errorf("%s: a share of %v", c.name, share)
		}
		if rate := got.Queries[2].PerSecond; rate != float64(c.heavy.Milliseconds()) {
			t.Errorf("%s: %v ms per second", c.name, rate)
		}
		e.costs.fold(e, 11*time.Second)
		if again := e.Costs(); again.Queries[2].CPU != c.heavy || again.Queries[2].PerSecond >= rateOf(got) {
			t.Errorf("%s: a second without work: %+v", c.name, again)
		}
	}
}

func rateOf(c Costs) float64 { return c.Queries[2].PerSecond }

// TestMinutes: the rate of results is that of the last minute, whatever minute of the clock it began in.
func TestMinutes(t *testing.T) {
	var m minutes
	m.add(100, 60)
	for _, c := range []struct {
		now  int64
		want float64
	}{{100*minuteMicros + 1, 60}, {101 * minuteMicros, 60}, {101*minuteMicros + minuteMicros/2, 30}, {102 * minuteMicros, 0}} {
		if got := m.rate(c.now); got != c.want {
			t.Errorf("at %d: %v a minute, want %v", c.now, got, c.want)
		}
	}
}

// TestLeavingQuery: what a query cost between the last sweep and its end is not lost.
func TestLeavingQuery(t *testing.T) {
	e := &Engine{cfg: Config{Clock: func() types.EventTime { return 0 }}, streams: map[uint64]*stream{}, queries: map[uint64]*query{}}
	e.openCosts()
	q := &query{spec: &spec.Query{ID: 1}, parts: &task.Parts{Inputs: []task.Input{{Source: 2}}}}
	q.owner = q
	e.costs.attach(q)
	q.gone.Store(true)
	fq, r := &frontQuery{q: q, spent: frontSpent{rows: 7}}, reader{q, 0}
	s := &stream{spec: &spec.Stream{ID: 2}}
	f := &front{e: e, queries: map[reader]*frontQuery{r: fq}, plans: map[uint64]*frontPlan{2: {plan: &plan{stream: s}, sampler: &sampler{}, queries: []*frontQuery{fq}}},
		it: &item{plan: &plan{stream: s, removals: sweepAfter + 2}}}
	e.frontList = []*front{f}
	if left := f.plan(); len(left.queries) != 0 || len(f.queries) != 0 {
		t.Fatal("the query did not leave")
	}
	for range 2 {
		e.sweepCosts(&epoch{})
		if got := e.Costs().Queries[1].RowsIn; got != 7 {
			t.Errorf("%d rows, want 7", got)
		}
	}
}

// BenchmarkSweep is a sweep over ten thousand queries that all had something to do; it runs once a second.
func BenchmarkSweep(b *testing.B) {
	e := &Engine{cfg: Config{Clock: func() types.EventTime { return 0 }}, streams: map[uint64]*stream{}, queries: map[uint64]*query{}}
	e.openCosts()
	f := &front{e: e, queries: map[reader]*frontQuery{}}
	e.frontList = []*front{f}
	ep := &epoch{outs: make([]epochOut, 1)}
	for id := range uint64(10_000) {
		q := &query{spec: &spec.Query{ID: id + 1}}
		q.owner = q
		q.limits.Store(&spec.Limits{CPUMicros: 1e12, KeysMax: 1e12})
		e.queries[id+1] = q
		e.costs.attach(q)
		f.queries[reader{q, 0}] = &frontQuery{q: q}
		ep.outs[0].spent = append(ep.outs[0].spent, spentReport{q: q, busy: 10, held: held{keys: 1, bytes: 2}})
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, fq := range f.queries {
			fq.spent.busy, fq.spent.rows = 100, 1
		}
		e.sweepCosts(ep)
	}
}

// BenchmarkCharge is what measuring costs per query and batch.
func BenchmarkCharge(b *testing.B) {
	e := &Engine{}
	e.openCosts()
	m := &frontMeter{meter: meter{now: e.costs.now}}
	chain, err := task.NewChain(&expr.Ctx{}, nil, discard{})
	if err != nil {
		b.Fatal(err)
	}
	fq := &frontQuery{chain: chain}
	b.ReportAllocs()
	for b.Loop() {
		m.charge(fq)
	}
}
