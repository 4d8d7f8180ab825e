package job

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// asideTest is workers that emit rows of a few queries, all of which come to one list each as well.
type asideTest struct {
	rnd     *rand.Rand
	workers []*worker
	queries []*query
	model   map[*query][][]outRow // by worker
}

func newAsideTest(seed uint64, workers int, pool *arena.Pool) *asideTest {
	a := &asideTest{rnd: rand.New(rand.NewPCG(seed, 1)), model: map[*query][][]outRow{}}
	e := &Engine{workers: make([]*worker, workers)}
	for range workers {
		a.workers = append(a.workers, &worker{e: e, out: &epochOut{}, aside: pool.Arena().Part()})
	}
	for id := range uint64(3) {
		q := &query{spec: &spec.Query{ID: id, Updates: id == 1}}
		q.owner = q
		a.queries, a.model[q] = append(a.queries, q), make([][]outRow, workers)
	}
	return a
}

// step has a worker emit a few rows, in an order that is not that of the watermark's steps.
func (a *asideTest) step(i int, step uint32) {
	w, q := a.workers[i], a.queries[a.rnd.IntN(len(a.queries))]
	for range a.rnd.IntN(9) {
		row := outRow{op: batch.Insert, step: step, data: fmt.Appendf(nil, "%0*d", 1+a.rnd.IntN(40), a.rnd.IntN(50))}
		if step%2 == 1 {
			row.time = int64(a.rnd.IntN(3))
		}
		rows := []outRow{row}
		if a.rnd.IntN(3) == 0 {
			after := row
			after.op, after.data = batch.UpdateAfter, fmt.Append(nil, a.rnd.IntN(50))
			rows[0].op = batch.UpdateBefore
			rows = append(rows, after)
		}
		for _, r := range rows {
			w.out.add(q, r)
			a.model[q][i] = append(a.model[q][i], r)
			if a.rnd.IntN(30) == 0 {
				w.setAside()
			}
		}
	}
}

// TestAsideOrder: rows of which some were set aside come out as those that were not.
func TestAsideOrder(t *testing.T) {
	merged := 0
	for seed := range uint64(12) {
		workers := 1 + int(seed%3)
		pool := arena.NewPool(t.TempDir(), 1<<40, nil)
		a := newAsideTest(seed, workers, pool)
		for step := range uint32(60 * (1 + seed)) {
			for i := range workers {
				a.step(i, 2+step)
			}
		}
		ep := &epoch{}
		out := &gathered{rows: map[*query][]outRow{}}
		var all [][]queryRow
		for _, w := range a.workers {
			_ = w.setRestAside()
			for _, runs := range w.out.aside {
				for i := range runs {
					merged = max(merged, runs[i].level)
				}
			}
			all, ep.outs = append(all, w.out.rows), append(ep.outs, *w.out)
		}
		out.rows = byQuery(all)
		(*Engine)(nil).gatherAside(ep, out)
		for _, q := range a.queries {
			want := slices.Concat(a.model[q]...)
			if workers > 1 {
				sortSteps(want)
			}
			m, got := out.manyOf(q), []outRow(nil)
			if m == nil {
				t.Fatalf("seed %d: nothing of query %d was set aside", seed, q.spec.ID)
			}
			if err := m.each(workers > 1, func(unit []outRow) error {
				for _, r := range unit {
					r.data = slices.Clone(r.data)
					got = append(got, r)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d, %d workers, query %d:\n%v\n%v", seed, workers, q.spec.ID, got, want)
			}
		}
		for _, w := range a.workers {
			if n := w.aside.Bytes(); n != 0 {
				t.Errorf("%d bytes were not given back", n)
			}
		}
		if err := pool.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if merged == 0 {
		t.Error("no runs were merged")
	}
}
