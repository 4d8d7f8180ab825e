package job

import (
	"context"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/meta"
)

// TestLimitRows: what is left of an epoch's results is a beginning of them, the halves of an update stay together, corrections are
// published whole, a new minute begins anew, and stages are not results.
func TestLimitRows(t *testing.T) {
	insert := func(names ...string) []outRow {
		var list []outRow
		for _, n := range names {
			list = append(list, out(batch.Insert, n, 0, 0))
		}
		return list
	}
	update := []outRow{out(batch.UpdateBefore, "a1", 0, 0), out(batch.UpdateAfter, "a2", 0, 0)}
	type step struct {
		minute    int64
		rows      []outRow
		corrected bool
		want      []string
		withheld  int64
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a beginning", []step{{5, insert("a", "b"), false, []string{"+I a", "+I b"}, 0}, {5, insert("c", "d"), false, []string{"+I c"}, 1}}},
		{"nothing", []step{{5, insert("a", "b", "c"), false, []string{"+I a", "+I b", "+I c"}, 0}, {5, insert("d", "e"), false, nil, 2}}},
		{"a new minute", []step{{5, insert("a", "b", "c", "d"), false, []string{"+I a", "+I b", "+I c"}, 1}, {6, insert("e"), false, []string{"+I e"}, 1}}},
		{"halves", []step{{5, slices.Concat(update, update), false, []string{"-U a1", "+U a2"}, 2}}},
		{"a whole update", []step{{5, slices.Concat(insert("x"), update, insert("y")), false, []string{"+I x", "-U a1", "+U a2"}, 1}}},
		{"corrections", []step{{5, slices.Concat(update, update), true, []string{"-U a1", "+U a2", "-U a1", "+U a2"}, 0}}},
	} {
		e := &Engine{queries: map[uint64]*query{}, cfg: Config{Clock: func() types.EventTime { return 0 }}}
		e.openCosts()
		q := &query{spec: &spec.Query{ID: 1, Name: "q"}}
		stage := &query{spec: &spec.Query{ID: spec.StageID(1, 0)}, owner: q}
		q.owner = q
		q.setLimits(&spec.Limits{RowsPerMinute: 3})
		e.costs.attach(q)
		for i, s := range c.steps {
			ep := &epoch{n: uint64(i + 1), clock: types.EventTime(s.minute*minuteMicros + 17)}
			if s.corrected {
				ep.changes = append(ep.changes, &change{Change: Change{Corrections: []Correction{{QueryID: 1, rows: s.rows}}}})
			}
			rows := map[*query][]outRow{q: s.rows, stage: insert("1", "2", "3", "4", "5")}
			e.limitRows(ep, rows)
			if got := texts(rows[q]); !slices.Equal(got, s.want) || len(rows[stage]) != 5 {
				t.Errorf("%s, step %d: %v, want %v", c.name, i, got, s.want)
			}
			if q.rows.published > 3 && !s.corrected {
				t.Errorf("%s, step %d: %d rows count as published", c.name, i, q.rows.published)
			}
			if _, there := rows[q]; there != (len(s.want) > 0) {
				t.Errorf("%s, step %d: a query without rows is in the epoch's results", c.name, i)
			}
			if q.cost.withheld != s.withheld || (len(ep.verdicts) > 0) != (len(s.rows) > len(s.want)) {
				t.Errorf("%s, step %d: %d rows withheld, want %d; verdicts: %v", c.name, i, q.cost.withheld, s.withheld, ep.verdicts)
			}
		}
	}
}

// TestOneEpochTwoChanges: an epoch in which a query is altered and goes out of service leaves both in its object.
func TestOneEpochTwoChanges(t *testing.T) {
	e, err := OpenMemory(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(context.Background()); err != nil { // from here on its goroutines are out of the way
		t.Fatal(err)
	}
	b := e.kv.NewBatch()
	if err := e.meta.Put(b, meta.Object{Kind: "query", ID: 1, Name: "q", SQL: "old"}); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	q := &query{spec: &spec.Query{ID: 1, Name: "q"}}
	q.owner = q
	e.queries[1] = q
	ep := &epoch{n: 5, verdicts: []verdict{{q: q, why: broken("memory", "too much"), until: 1_000_000}}}
	c := &change{Change: Change{Alter: []Object{{Meta: meta.Object{Kind: "query", ID: 1, Name: "r", SQL: "new"}}}}}
	b = e.kv.NewBatch()
	if err := c.persist(e, b, ep); err != nil {
		t.Fatal(err)
	}
	if err := e.putVerdicts(b, ep); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	o, err := e.meta.Object(1)
	if err != nil {
		t.Fatal(err)
	}
	if o.SQL != "new" || o.Name != "r" || o.Props[PropState] != StateThrottled || o.Props[PropUntil] != "1000000" || q.deadFrom.Load() != 6 {
		t.Errorf("%+v, dead from epoch %d", o, q.deadFrom.Load())
	}
	if want := "memory: too much; it goes on at 1970-01-01 00:00:01Z"; o.Props[PropReason] != want {
		t.Errorf("the reason is %s", o.Props[PropReason])
	}
}
