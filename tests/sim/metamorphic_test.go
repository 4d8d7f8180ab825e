package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/types"
)

const modelAggs = "aggs count(*) count(n) count(distinct:n) sum(n) min(n) max(user) sum(x) avg(x) count(*)|n>=3 count(distinct:user)|n>=3"

// text is the query in the form of scripts.
func (q shape) text() string {
	var b strings.Builder
	b.WriteString("input ts:timestamptz user:text port:integer n:bigint x:float8\n")
	if q.where {
		fmt.Fprintf(&b, "filter n > %d\n", q.minN)
	}
	fmt.Fprintf(&b, "window %s offset %s\nkeys", seconds(q.size), seconds(q.offset))
	if q.byUser {
		b.WriteString(" user")
	}
	if q.byPort {
		b.WriteString(" port")
	}
	return b.String() + "\n" + modelAggs + "\n"
}

func (ev event) row() []types.Value {
	row := []types.Value{types.NewTime(types.EventTime(ev.at)), types.Null(types.T(types.Text)), types.Null(types.T(types.Int4)),
		types.Null(types.T(types.Int8)), types.Null(types.T(types.Float8))}
	if ev.user != nil {
		row[1] = types.NewText(*ev.user)
	}
	if ev.port != nil {
		row[2] = types.NewInt(types.Int4, *ev.port)
	}
	if ev.n != nil {
		row[3] = types.NewInt(types.Int8, *ev.n)
	}
	if ev.x != nil {
		row[4] = types.NewFloat(*ev.x)
	}
	return row
}

// randomShape makes a query.
func randomShape(rng *rand.Rand) shape {
	size := []int64{1, 1000, 1e6, 5e6, 60e6}[rng.IntN(5)]
	return shape{size: size, offset: rng.Int64N(3*size) - size, byUser: rng.IntN(4) > 0, byPort: rng.IntN(2) > 0,
		where: rng.IntN(3) == 0, minN: rng.Int64N(3) - 1}
}

// randomEvents makes a stream in which time goes on by a fraction of a window, jumps, and goes back; many times are
// exactly on a boundary or a microsecond from it.
func randomEvents(rng *rand.Rand, q shape, n int) []event {
	events := make([]event, n)
	now := rng.Int64N(40*q.size) - 20*q.size
	for i := range events {
		now += rng.Int64N(q.size/20 + 2)
		if rng.IntN(50) == 0 {
			now += rng.Int64N(4*q.size + 1)
		}
		at := now - rng.Int64N(2*q.size+1)*rng.Int64N(2)
		if rng.IntN(4) == 0 {
			at = startOf(at, q.size, q.offset) + rng.Int64N(3) - 1
		}
		events[i] = event{at: at}
		ev := &events[i]
		if rng.IntN(8) > 0 {
			ev.user = ptr([]string{"a", "b", "root", "admin", "svc-backup", ""}[rng.IntN(5)])
		}
		if rng.IntN(8) > 0 {
			ev.port = ptr([]int64{22, 80, 443}[rng.IntN(3)])
		}
		if rng.IntN(6) > 0 {
			ev.n = ptr(rng.Int64N(8) - 2)
		}
		if rng.IntN(6) > 0 {
			ev.x = ptr(float64(rng.Int64N(64)-20) / 4)
		}
	}
	return events
}

func ptr[T any](x T) *T { return &x }

// chance is how a run differs from another without changing the result.
type chance struct {
	rng         *rand.Rand
	batchMax    int
	workers     int
	interrupted bool // snapshots and restarts in between
}

// run feeds events through operators and returns the rows, as ordered by the operators, and the late rows.
func (c chance) run(t *testing.T, q shape, delay int64, events []event) (answer, int) {
	t.Helper()
	p, err := parsePlan(q.text())
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, p, c.workers, delay)
	var out answer
	var since []string // rows since the last checkpoint
	restarts := 0
	take := func() {
		rows := e.taken()
		out.rows, since = append(out.rows, rows...), append(since, rows...)
	}
	for len(events) > 0 {
		n := min(1+c.rng.IntN(c.batchMax), len(events))
		rows := make([][]types.Value, n)
		for i := range rows {
			rows[i] = events[i].row()
		}
		e.feed(rows)
		take()
		events = events[n:]
		if !c.interrupted {
			continue
		}
		if c.rng.IntN(5) == 0 {
			e.checkpoint()
			since = nil
		}
		if c.rng.IntN(7) == 0 {
			e.restart(1+c.rng.IntN(4), since)
			restarts++
		}
	}
	e.advance(types.MaxTime)
	take()
	out.late = e.late
	return out, restarts
}

// TestMetamorphic: batch sizes, numbers of workers, snapshots and restarts at any moment never change the result, which
// is that of the slow model; nor do their order.
func TestMetamorphic(t *testing.T) {
	var hit answer
	restarts, several := 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		q := randomShape(rng)
		delay := rng.Int64N(2*q.size + 1)
		events := randomEvents(rng, q, 200+rng.IntN(200))
		want := slowly(q, delay, events)
		hit.lateRows += want.lateRows
		hit.boundaryRows += want.boundaryRows
		hit.nullKeys += want.nullKeys
		hit.windows += want.windows
		for _, c := range []chance{{rng, 1, 1, false}, {rng, 1024, 1, false}, {rng, 40, 3, false}, {rng, 20, 2, true}, {rng, 60, 1, true}} {
			got, n := c.run(t, q, delay, events)
			restarts += n
			checkOrder(t, seed, got.rows)
			sort.Strings(got.rows)
			compare(t, fmt.Sprintf("seed %d, %+v: rows", seed, c), got.rows, want.rows)
			slices.Sort(got.late)
			slices.Sort(want.late)
			compare(t, fmt.Sprintf("seed %d: late rows", seed), got.late, want.late)
			if c.batchMax == 1024 && want.windows > 2 {
				several++
			}
		}
	}
	if hit.lateRows < 100 || hit.boundaryRows < 100 || hit.nullKeys < 100 || restarts < 100 || several < 20 {
		t.Fatalf("the traffic is too tame: %d late rows, %d on boundaries, %d NULL keys, %d restarts, %d batches of several windows",
			hit.lateRows, hit.boundaryRows, hit.nullKeys, restarts, several)
	}
}

// TestInputOrder: rows that stay within the watermark's delay may come in any order.
func TestInputOrder(t *testing.T) {
	moved := 0
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 2))
		q := randomShape(rng)
		delay := rng.Int64N(3*q.size) + 1
		events := randomEvents(rng, q, 300)
		slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
		first, _ := chance{rng, 100, 2, true}.run(t, q, delay, events)
		shuffled := slices.Clone(events)
		// A row that is delayed by at most delay never falls behind the watermark.
		lag := make(map[int64]int64)
		for _, ev := range events {
			if lag[ev.at] == 0 {
				lag[ev.at] = rng.Int64N(delay + 1)
			}
		}
		slices.SortStableFunc(shuffled, func(a, b event) int { return int(a.at + lag[a.at] - b.at - lag[b.at]) })
		for i := range events {
			if events[i] != shuffled[i] {
				moved++
			}
		}
		second, _ := chance{rng, 100, 1, true}.run(t, q, delay, shuffled)
		compare(t, fmt.Sprintf("seed %d: rows in another order", seed), second.rows, first.rows)
		if len(first.late)+len(second.late) > 0 {
			t.Fatalf("seed %d: rows within the delay were late", seed)
		}
	}
	if moved < 1000 {
		t.Fatalf("only %d rows changed places", moved)
	}
}

// checkOrder: windows come out in the order of their ends.
func checkOrder(t *testing.T, seed uint64, rows []string) {
	t.Helper()
	last := ""
	seen := map[string]bool{}
	for _, r := range rows {
		win, _, _ := strings.Cut(r, ")")
		if win != last && seen[win] {
			t.Fatalf("seed %d: window %s) comes out twice", seed, win)
		}
		if last != "" && startIn(win) < startIn(last) {
			t.Fatalf("seed %d: window %s) after %s)", seed, win, last)
		}
		last, seen[win] = win, true
	}
}

// startIn reads the start of a printed window.
func startIn(win string) int64 {
	text, _, _ := strings.Cut(strings.TrimPrefix(win, "["), ",")
	negative := strings.HasPrefix(text, "-")
	at, err := micros(strings.TrimPrefix(text, "-"))
	if err != nil {
		panic(err)
	}
	if negative {
		return -at
	}
	return at
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Fatalf("%s: %d, want %d; the first that differs:\n%s\nwant\n%s", what, len(got), len(want), g, w)
		}
	}
}
