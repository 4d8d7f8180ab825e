package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/storage/results"
)

// The benchmark of how late alerts are.
const (
	latencyTick   = 5 * time.Millisecond
	latencyTicks  = 300
	latencyWarmup = 60 // ticks that do not count
	// latencyReaders is how many rules somebody waits for the alerts of.
	latencyReaders = 100
)

// alerts are those of one rule: when the events that they are of were handed over, and how late they came.
type alerts struct {
	mu   sync.Mutex
	at   []time.Time
	late []time.Duration
}

// follow reads a rule's alerts as LISTEN and SUBSCRIBE do, until ctx is done.
func (a *alerts) follow(ctx context.Context, store *results.Store, query uint64, next int64) error {
	for {
		if err := store.Wait(ctx, query, next); err != nil {
			return nil // the benchmark is over
		}
		now := time.Now()
		err := store.Scan(query, next, 0, func(results.Row) (bool, error) {
			a.mu.Lock()
			if n := len(a.late); n < len(a.at) {
				a.late = append(a.late, now.Sub(a.at[n]))
			}
			a.mu.Unlock()
			next++
			return true, nil
		})
		if err != nil {
			return err
		}
	}
}

// BenchmarkAlertLatency prints how late alerts are under many rules of the thesis' shape, each event of which raises one, when events come
// every few milliseconds, half as many as one core, or what it has of one, can take: from the moment an event is handed over until one who waits for the rule's alerts
// has it.
func BenchmarkAlertLatency(b *testing.B) {
	store := listed(b, 2000)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "rules\tevents/s\talerts read\tp50, ms\tp90, ms\tp99, ms\tmost, ms\t")
	for _, n := range []int{100, 1000, 10_000} {
		w := thesisRules(n, 2000)
		x := start(b, store, w)
		rate, late := x.latency(b, w)
		x.close(b)
		at := func(part float64) float64 { return late[int(part*float64(len(late)-1))].Seconds() * 1000 }
		fmt.Fprintf(out, "%d\t%.0f\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n", n, rate, len(late), at(0.5), at(0.9), at(0.99), at(1))
	}
	_ = out.Flush()
	b.ReportMetric(0, "ns/op")
}

// latency finds what an event costs, hands over events at half that speed, and returns how late alerts were, ascending.
func (x *world) latency(b *testing.B, w *workload) (rate float64, late []time.Duration) {
	n := ruleEventsMin
	took := x.pace(b, w.events(nil, n))
	for ; took < rulePiece && n < ruleEventsMax; took = x.pace(b, w.events(nil, n)) {
		n *= 2
	}
	rate = 0.5 * float64(n) / took.Seconds()
	step := max(1, w.rules/latencyReaders)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	all := map[int]*alerts{}
	for i := 0; i < w.rules; i += step {
		q, ok := x.db.Catalog().Relation("", fmt.Sprintf("r%d", i)).(*catalog.Query)
		if !ok {
			b.Fatalf("there is no rule %d", i)
		}
		a := &alerts{}
		all[i] = a
		from := x.db.Engine().Results().Next(q.ID)
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := a.follow(ctx, x.db.Engine().Results(), q.ID, from); err != nil {
				b.Error(err)
			}
		}()
	}
	perTick := max(1, int(rate*latencyTick.Seconds()))
	pieces, found := make([][]byte, latencyTicks), make([][]int, latencyTicks)
	for i := range pieces {
		before := slices.Clone(w.found)
		pieces[i] = w.events(nil, perTick)
		found[i] = make([]int, w.rules)
		for r := range found[i] {
			found[i][r] = w.found[r] - before[r]
		}
	}
	x.events += int64(perTick * latencyTicks)
	ticker := time.NewTicker(latencyTick)
	defer ticker.Stop()
	skip := map[int]int{}
	for i, piece := range pieces {
		<-ticker.C
		now := time.Now()
		for r, a := range all {
			a.mu.Lock()
			for range found[i][r] {
				a.at = append(a.at, now)
			}
			if i < latencyWarmup {
				skip[r] = len(a.at)
			}
			a.mu.Unlock()
		}
		x.feed.in <- piece
	}
	x.settle(b)
	cancel()
	wg.Wait()
	for r, a := range all {
		late = append(late, a.late[min(skip[r], len(a.late)):]...)
	}
	slices.Sort(late)
	if len(late) < latencyTicks/10 {
		b.Fatalf("%d alerts prove too little", len(late))
	}
	return rate, late
}

// pace is how long events take: by CPU time, or by the clock where the machine has other work.
func (x *world) pace(b *testing.B, lines []byte) time.Duration {
	from := time.Now()
	busy := x.run(b, lines)
	return max(busy, time.Since(from))
}

// settle waits until what was handed over is committed.
func (x *world) settle(b *testing.B) {
	for st, _ := x.db.Engine().Stream(x.stream); st.Rows+st.Rejected < x.events; st, _ = x.db.Engine().Stream(x.stream) {
		<-time.After(latencyTick)
	}
	for range 2 {
		if err := x.db.Settle(); err != nil {
			b.Fatal(err)
		}
	}
}
