package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/window"
)

func countSpec(t testing.TB, n, slide int64) *spec.WindowAgg {
	return &spec.WindowAgg{Window: window.Spec{Kind: window.Count, Size: n, Slide: slide}, Keys: []expr.Expr{trafficCol("user")}, Aggs: richAggs(t)}
}

func newCount(t testing.TB, s *spec.WindowAgg, having *spec.Filter) *CountAgg {
	t.Helper()
	a, err := NewCountAgg(s, outSchema(s))
	if err != nil {
		t.Fatal(err)
	}
	if having != nil {
		if err := a.Having(having); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// TestCountEqualsSlowOne: random streams, sizes, batches, workers and restarts, against windows cut from lists of rows.
func TestCountEqualsSlowOne(t *testing.T) {
	restarted, results := 0, 0
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 13))
		n, slide := 1+rng.Int64N(12), rng.Int64N(16)
		timeless := rng.IntN(4) == 0
		s := countSpec(t, n, slide)
		if timeless {
			s.Window.TimeCol = -1
		}
		if slide == 0 {
			slide = n
		}
		rows := randomRows(rng, 500, 1+rng.IntN(12), 1+rng.Int64N(60), rng.Int64N(30))
		byUser := map[string][]eventRow{}
		var want []string
		for _, r := range rows {
			list := append(byUser[r.user], r)
			byUser[r.user] = list
			if past := int64(len(list)) - n; past >= 0 && past%slide == 0 {
				in := list[past:]
				start, end := in[0].t, in[0].t
				for _, x := range in {
					start, end = min(start, x.t), max(end, x.t)
				}
				text := windowText(start, end+1, r.user, richText(in))
				if timeless {
					text = "NULL NULL " + text[len(fmt.Sprint(start, " ", end+1, " ")):]
				}
				want = append(want, text)
			}
		}
		d := &driver{t: t, rng: rng, batchMax: 1 + rng.IntN(200), restarts: rng.IntN(2) == 0, build: func() unaligned { return newCount(t, s, nil) }}
		d.run(rows)
		slices.Sort(want)
		sameUserRows(t, fmt.Sprintf("seed %d, count_window(%d, %d)", seed, n, slide), d.out.sorted(), want)
		restarted += d.restarted
		results += len(want)
		if d.out.ops[2]+d.out.ops[3]+d.out.ops[4] > 0 || d.late > 0 {
			t.Fatal("corrections, or late rows")
		}
	}
	if restarted == 0 || results == 0 {
		t.Errorf("%d restarts, %d results", restarted, results)
	}
}

// TestCountScript: results come with the last row of their windows, in that order, if HAVING holds.
func TestCountScript(t *testing.T) {
	s := countSpec(t, 3, 2)
	s.Emit.Mode = spec.EmitUpdate // what the planner gives where the statement does not say
	s.Aggs = []spec.AggCall{aggOf(t, "count"), aggOf(t, "array_agg", trafficCol("n"))}
	a := newCount(t, s, nil)
	if err := a.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	var rows []eventRow
	for i := range int64(6) {
		rows = append(rows, eventRow{t: 10 - i, user: "a", n: i}, eventRow{t: -i, user: "b", n: i})
	}
	out := newContent(t)
	if err := a.Process(0, wholeInput(batchOf(rows)), out); err != nil {
		t.Fatal(err)
	}
	sameUserRows(t, "script", out.inserts, []string{"8 11 a 3 {0,1,2}", "-2 1 b 3 {0,1,2}", "6 9 a 3 {2,3,4}", "-4 -1 b 3 {2,3,4}"})
}

// TestCountForgetsIdleKeys: a key whose window is full leaves nothing, after the checkpoint has been told.
func TestCountForgetsIdleKeys(t *testing.T) {
	a := newCount(t, countSpec(t, 2, 0), nil)
	if err := a.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	var store memState
	feed := func(n int) {
		var rows []eventRow
		for i := range n {
			rows = append(rows, eventRow{user: fmt.Sprint("u", i)})
		}
		if err := a.Process(0, wholeInput(batchOf(rows)), newContent(t)); err != nil {
			t.Fatal(err)
		}
		if err := a.Snapshot(&store); err != nil {
			t.Fatal(err)
		}
	}
	feed(100)
	feed(60)
	if a.table.Len() != 40 {
		t.Errorf("%d keys, want 40", a.table.Len())
	}
	again := newCount(t, countSpec(t, 2, 0), nil)
	if err := again.Restore(&store, ownAll); err != nil || again.table.Len() != 40 {
		t.Errorf("%d keys restored, want 40, %v", again.table.Len(), err)
	}
}

func TestUnalignedRefuse(t *testing.T) {
	every := spec.Emit{Mode: spec.EmitEvery, Every: 5}
	for name, build := range map[string]func() error{
		"session every": func() error {
			s := sessionSpec(t, 5, 0)
			s.Emit = every
			_, err := NewSessionAgg(s, outSchema(s))
			return err
		},
		"slide every": func() error {
			s := slideSpec(t, 5)
			s.Emit = every
			_, err := NewSlideAgg(s, outSchema(s))
			return err
		},
		"count first": func() error {
			s := countSpec(t, 5, 0)
			s.Emit.Mode = spec.EmitFirst
			_, err := NewCountAgg(s, outSchema(s))
			return err
		},
		"order by": func() error {
			s := countSpec(t, 5, 0)
			s.Aggs[0].OrderBy = []spec.SortKey{{}}
			_, err := NewCountAgg(s, outSchema(s))
			return err
		},
	} {
		if err := build(); sqlerr.CodeOf(err) != sqlerr.FeatureNotSupported {
			t.Errorf("%s: %v", name, err)
		}
	}
}
