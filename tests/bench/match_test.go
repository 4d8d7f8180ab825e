package bench

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// A brute force: ten or more failed logons of a user and then a success, within ten minutes. One event a millisecond, one in
// fifty a success.
const (
	matchRows   = 1024
	matchWithin = 10 * 60 * 1_000_000
	matchStep   = 1000
)

var matchSchema = types.Schema{Cols: []types.Column{
	{Name: "ts", Type: types.T(types.TimestampTZ)}, {Name: "username", Type: types.T(types.Text)},
	{Name: "is f", Type: types.T(types.Bool)}, {Name: "is s", Type: types.T(types.Bool)},
}}

// bruteForce is f{10,} s as the planner makes it.
func bruteForce() *spec.Match {
	ts := &expr.Column{Index: 0, Name: "ts", Typ: types.T(types.TimestampTZ)}
	m := &spec.Match{
		Keys: []expr.Expr{&expr.Column{Index: 1, Name: "username", Typ: types.T(types.Text)}}, TimeCol: 0,
		Vars:  []spec.MatchVar{{Name: "f", Col: 2}, {Name: "s", Col: 3}},
		Start: []int32{0}, Within: matchWithin, Pattern: "f{10,} s", SkipVar: -1,
		Refs: []spec.MatchRef{
			{Var: 0, First: true, X: ts, Typ: ts.Typ, Name: "first(f.ts)"},
			{Var: 1, X: ts, Typ: ts.Typ, Name: "last(s.ts)"},
		},
		Measures: []expr.Expr{&expr.Column{Index: 4, Typ: ts.Typ}, &expr.Column{Index: 5, Typ: ts.Typ}},
	}
	for i := range 10 {
		next := []int32{int32(i + 1)}
		if i == 9 {
			next = []int32{9, 10}
		}
		m.States = append(m.States, spec.MatchState{Var: 0, Next: next})
	}
	m.States = append(m.States, spec.MatchState{Var: 1, Next: []int32{spec.MatchAccept}})
	return m
}

// matchBatches is one round over the keys, in an order that looks random.
func matchBatches(keys int) []*batch.Batch {
	var out []*batch.Batch
	b := batch.New(&matchSchema, nil)
	r := rand.New(rand.NewPCG(1, 2))
	for range max(keys*8, 16*matchRows) {
		k := r.IntN(keys)
		success := int64(0)
		if r.IntN(50) == 0 {
			success = 1
		}
		b.Cols[0].AppendInt(0)
		b.Cols[1].AppendString(fmt.Sprintf("user%07d", k))
		b.Cols[2].AppendInt(1 - success)
		b.Cols[3].AppendInt(success)
		if b.N++; b.N == matchRows {
			out = append(out, b)
			b = batch.New(&matchSchema, nil)
		}
	}
	return out
}

type countRows struct{ n int }

func (c *countRows) Emit(in op.Input) error { c.n += len(in.Sel); return nil }

// matchEvents is the number of events of a round.
const matchEvents = 1 << 21

// BenchmarkMatch runs the operator and the program by hand in turn over the same events and prints the CPU time of each.
func BenchmarkMatch(b *testing.B) {
	for _, keys := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			batches := matchBatches(keys)
			var ours, byHand time.Duration
			var found, want int
			for range b.N {
				start := cpu(b)
				found = benchMatch(b, batches)
				middle := cpu(b)
				want = benchMatchMap(batches)
				ours, byHand = ours+middle-start, byHand+cpu(b)-middle
			}
			if found > want || found < want*9/10 || keys < 100_000 && want == 0 { // the operator waits for late rows, at the end too
				b.Fatalf("%d matches, %d by hand", found, want)
			}
			n := float64(b.N) * matchEvents
			a, c := float64(ours.Nanoseconds())/n, float64(byHand.Nanoseconds())/n
			fmt.Printf("MATCH_RECOGNIZE f{10,} s, keys=%d: vigil %.0f ns/event, Go map %.0f ns/event, ratio %.2f\n", keys, a, c, a/c)
			b.ReportMetric(a, "vigil-ns/event")
			b.ReportMetric(c, "map-ns/event")
			b.ReportMetric(a/c, "x-map")
		})
	}
}

// stamp gives the rows of a batch their times.
func stamp(in *batch.Batch, now *int64) {
	for i := range in.Cols[0].I64 {
		*now += matchStep
		in.Cols[0].I64[i] = *now
	}
}

func benchMatch(b *testing.B, batches []*batch.Batch) int {
	out := types.Schema{Cols: []types.Column{matchSchema.Cols[1], {Name: "a", Type: types.T(types.TimestampTZ)}, {Name: "b", Type: types.T(types.TimestampTZ)}}}
	m, err := op.NewMatch(bruteForce(), &matchSchema, &out)
	if err != nil {
		b.Fatal(err)
	}
	_ = m.Open(&expr.Ctx{})
	sink, now := &countRows{}, int64(0)
	for n := 0; n < matchEvents; n += matchRows {
		in := batches[n/matchRows%len(batches)]
		stamp(in, &now)
		if err := m.Process(0, op.Input{B: in, Sel: batch.All(in.N)}, sink); err != nil {
			b.Fatal(err)
		}
		if err := m.Advance(types.EventTime(now-1_000_000), sink); err != nil {
			b.Fatal(err)
		}
	}
	return sink.n
}

// benchMatchMap is what one would write by hand for this one rule: the times of the failures in a row, in a map. It takes rows
// as they come, does not wait for late ones, and needs no condition evaluated.
func benchMatchMap(batches []*batch.Batch) int {
	type user struct{ fails []int64 }
	users := map[string]*user{}
	matches, now := 0, int64(0)
	for n := 0; n < matchEvents; n += matchRows {
		in := batches[n/matchRows%len(batches)]
		stamp(in, &now)
		for i := range in.N {
			u := users[string(in.Cols[1].Bytes(i))]
			if u == nil {
				u = &user{}
				users[string(in.Cols[1].Bytes(i))] = u
			}
			ts := in.Cols[0].I64[i]
			for len(u.fails) > 0 && ts-u.fails[0] > matchWithin {
				u.fails = u.fails[1:]
			}
			if in.Cols[2].I64[i] != 0 {
				u.fails = append(u.fails, ts)
				continue
			}
			if len(u.fails) >= 10 {
				matches++
			}
			u.fails = u.fails[:0]
		}
	}
	return matches
}
