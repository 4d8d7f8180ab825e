package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// The interval join of clients and servers by session id: within 20 minutes, a million sessions alive, half a match an event.
const (
	joinKeys   = 1_000_000
	joinWithin = int64(20 * time.Minute / time.Microsecond)
	// joinStep is the event time between two events: each second one begins a session, and sessions live as long as rows are kept.
	joinStep = joinWithin / joinKeys / 2
)

// joinEvents makes batches of one side each, in turns.
type joinEvents struct {
	rng     *rand.Rand
	n       int64 // events so far
	batches [2]*batch.Batch
}

func joinSchema() *types.Schema {
	return &types.Schema{Cols: []types.Column{{Name: "ts", Type: types.T(types.TimestampTZ)}, {Name: "session_id", Type: types.T(types.Int8)},
		{Name: "host", Type: types.T(types.Text)}}}
}

func newJoinEvents() *joinEvents {
	return &joinEvents{rng: rand.New(rand.NewPCG(3, 4)), batches: [2]*batch.Batch{batch.New(joinSchema(), nil), batch.New(joinSchema(), nil)}}
}

// next fills both sides' batches and returns the time that all later events have reached.
func (e *joinEvents) next() int64 {
	var text []byte
	for side, b := range e.batches {
		b.Reset(nil)
		for i := range int64(batch.RowsMax) {
			n := e.n + 2*i + int64(side) // events of the sides alternate in time
			session := n / 2
			if side == 1 {
				session -= e.rng.Int64N(joinKeys)
			}
			b.Cols[0].AppendInt(n * joinStep)
			b.Cols[1].AppendInt(session)
			text = fmt.Appendf(text[:0], "host%d", session%5000)
			b.Cols[2].AppendBytes(text)
			b.N++
		}
	}
	e.n += 2 * batch.RowsMax
	return e.n * joinStep
}

// joinByHand is what one would write: a map of slices, and a wheel of ten-second slots that tells which keys to look at.
type joinByHand struct {
	rows    map[int64]*handRows
	wheel   map[int64][]int64
	expired int64
	matches int
	sum     int64
}

type (
	handRow struct {
		ts   int64
		host string
	}
	handRows struct{ side [2][]handRow }
)

const handSlot = int64(10 * time.Second / time.Microsecond)

func (j *joinByHand) process(side int, b *batch.Batch) {
	for i := range b.N {
		ts, id, host := b.Cols[0].I64[i], b.Cols[1].I64[i], string(b.Cols[2].Bytes(i))
		rows := j.rows[id]
		if rows == nil {
			rows = &handRows{}
			j.rows[id] = rows
		}
		for _, o := range rows.side[1-side] {
			if d := ts - o.ts; d <= joinWithin && d >= -joinWithin {
				j.matches++
				j.sum += o.ts + int64(len(o.host))
			}
		}
		rows.side[side] = append(rows.side[side], handRow{ts, host})
		slot := (ts + joinWithin) / handSlot
		j.wheel[slot] = append(j.wheel[slot], id)
	}
}

func (j *joinByHand) advance(now int64) {
	for ; (j.expired+1)*handSlot <= now; j.expired++ {
		for _, id := range j.wheel[j.expired] {
			rows := j.rows[id]
			if rows == nil {
				continue
			}
			for side := range rows.side {
				kept := rows.side[side][:0]
				for _, r := range rows.side[side] {
					if (r.ts+joinWithin)/handSlot > j.expired {
						kept = append(kept, r)
					}
				}
				rows.side[side] = kept
			}
			if len(rows.side[0])+len(rows.side[1]) == 0 {
				delete(j.rows, id)
			}
		}
		delete(j.wheel, j.expired)
	}
}

// joinByVigil is the router and the operator, which a worker runs.
type joinByVigil struct {
	t       testing.TB
	join    *op.IntervalJoin
	routers [2]*op.Router
	parts   []op.Part
	matches int
}

func newJoinByVigil(t testing.TB) *joinByVigil {
	col := func(i int) expr.Expr {
		c := joinSchema().Cols[i]
		return &expr.Column{Index: i, Name: c.Name, Typ: c.Type}
	}
	keys := []expr.Expr{col(1)}
	j := &joinByVigil{t: t, parts: make([]op.Part, 1)}
	var err error
	if j.join, err = op.NewIntervalJoin(&spec.IntervalJoin{LeftKeys: keys, RightKeys: keys, Lo: -joinWithin, Hi: joinWithin}, joinSchema(), joinSchema()); err != nil {
		t.Fatal(err)
	}
	for side := range j.routers {
		if j.routers[side], err = op.NewRouter(&spec.Exchange{Keys: keys}); err != nil {
			t.Fatal(err)
		}
		j.routers[side].Open(&expr.Ctx{})
	}
	if err := j.join.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	return j
}

// Emit implements op.Emitter.
func (j *joinByVigil) Emit(in op.Input) error {
	j.matches += len(in.Sel)
	return nil
}

func (j *joinByVigil) process(side int, b *batch.Batch) {
	in := op.Input{B: b, Sel: batch.All(b.N)}
	if err := j.routers[side].Route(in, j.parts); err != nil {
		j.t.Fatal(err)
	}
	if err := j.join.Process(side, j.parts[0].Input(b), j); err != nil {
		j.t.Fatal(err)
	}
}

func (j *joinByVigil) advance(now int64) {
	if j.join.Deadline() <= types.EventTime(now) {
		if err := j.join.Advance(types.EventTime(now), j); err != nil {
			j.t.Fatal(err)
		}
	}
}

type joinProgram interface {
	process(side int, b *batch.Batch)
	advance(now int64)
}

// joinCost runs so many events after the sessions have filled up, and returns the CPU time of an event, that of making the events
// included: so the garbage collector's work counts wherever it falls. A nil program makes events only.
func joinCost(t testing.TB, p joinProgram, events int64) time.Duration {
	runtime.GC()
	e := newJoinEvents()
	var begin time.Duration
	fill := joinFill
	if p == nil {
		fill = 0 // making events costs the same at any time
	}
	for e.n < fill+events {
		if begin == 0 && e.n >= fill {
			begin = cpu(t)
		}
		now := e.next()
		if p == nil {
			continue
		}
		p.process(0, e.batches[0])
		p.process(1, e.batches[1])
		p.advance(now)
	}
	return (cpu(t) - begin) / time.Duration(events)
}

// joinFill is how many events come before the measured ones.
const joinFill = int64(2*joinKeys) * 5 / 4

// BenchmarkIntervalJoin is the cost of an event, next to that of a program of Go maps of slices in alternating rounds on one core:
// medians, because the machine may be shared.
func BenchmarkIntervalJoin(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const events = 600_000
	var ours, theirs, ratios []float64
	var vigil *joinByVigil
	for range b.N {
		making := joinCost(b, nil, events)
		vigil = newJoinByVigil(b)
		cost := joinCost(b, vigil, events) - making
		hand := &joinByHand{rows: map[int64]*handRows{}, wheel: map[int64][]int64{}}
		handCost := joinCost(b, hand, events) - making
		if vigil.matches != hand.matches {
			b.Fatalf("%d matches, by hand %d", vigil.matches, hand.matches)
		}
		ours, theirs, ratios = append(ours, float64(cost)), append(theirs, float64(handCost)), append(ratios, float64(handCost)/float64(cost))
	}
	for _, list := range [][]float64{ours, theirs, ratios} {
		slices.Sort(list)
	}
	mid := b.N / 2
	b.ReportMetric(ours[mid], "vigil-ns/event")
	b.ReportMetric(theirs[mid], "by-hand-ns/event")
	b.ReportMetric(ratios[mid], "x-by-hand")
	b.ReportMetric(float64(vigil.matches)/float64(joinFill+events), "matches/event")
	b.ReportMetric(float64(vigil.join.Bytes())/1e6, "MB")
	fmt.Fprintf(os.Stderr, "interval join, one core, %d keys: vigil %.2f M events/s (%.0f ns), Go maps of slices %.2f M events/s (%.0f ns), ratio %.2f (%.2f..%.2f)\n",
		vigil.join.Keys(), 1e3/ours[mid], ours[mid], 1e3/theirs[mid], theirs[mid], ratios[mid], ratios[0], ratios[b.N-1])
}
