package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// paneStateQueries write every form of block.
func paneStateQueries() []paneQuery {
	return []paneQuery{
		{kind: window.Hop, size: 12, slide: 4, pane: 4, mode: spec.EmitFinal, lateness: 20, inOrder: true},
		{kind: window.Hop, size: 12, slide: 4, pane: 4, mode: spec.EmitFirst, lateness: 20},
		{kind: window.Cumulate, size: 12, slide: 4, pane: 4, mode: spec.EmitEvery, every: 1000},
		{kind: window.None, mode: spec.EmitEvery, every: 1000},
		{kind: window.None, mode: spec.EmitFirst, having: true},
	}
}

// paneBlocks are the blocks of a query that has seen some rows.
func paneBlocks(t testing.TB, q paneQuery) []workerBlock {
	t.Helper()
	g := q.build(t, &expr.Ctx{})
	b := traffic([3]any{5, "a", 1}, [3]any{6, "b", 2}, [3]any{-3, "a", 3}, [3]any{11, "a", 1}, [3]any{5, "b", 1})
	if err := g.Process(0, wholeInput(b), emitFunc(discard)); err != nil {
		t.Fatal(err)
	}
	if err := g.Advance(9, emitFunc(discard)); err != nil {
		t.Fatal(err)
	}
	if err := g.Process(0, wholeInput(traffic([3]any{7, "a", 4}, [3]any{12, "c", 4})), emitFunc(discard)); err != nil {
		t.Fatal(err)
	}
	var store workerState
	if err := g.Snapshot(&workerPart{&store, 0}); err != nil {
		t.Fatal(err)
	}
	return store.blocks
}

// useRestored goes on with what was restored: nothing may panic.
func useRestored(t testing.TB, q paneQuery, blocks []workerBlock) error {
	t.Helper()
	g := q.build(t, &expr.Ctx{RowError: func(uint32, error) {}})
	g.OnGroupError(func(window.Window, error) {})
	if err := g.Restore(&workerState{blocks}, ownAll); err != nil {
		return err
	}
	sink := emitFunc(discard)
	for _, at := range []types.EventTime{10, 40, types.MaxTime} {
		if err := g.Process(0, wholeInput(traffic([3]any{8, "a", 1}, [3]any{int(min(at, 100)), "b", 1})), sink); err != nil {
			t.Fatal(err)
		}
		if err := g.Snapshot(&workerPart{&workerState{}, 0}); err != nil {
			t.Fatal(err)
		}
		if err := g.Advance(at, sink); err != nil {
			t.Fatal(err)
		}
	}
	return nil
}

// TestPaneRestoreMutated: damaged blocks are errors with XX001, or what they say is a state; never a panic.
func TestPaneRestoreMutated(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	refused, taken := 0, 0
	for _, q := range paneStateQueries() {
		blocks := paneBlocks(t, q)
		if err := useRestored(t, q, blocks); err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		for range 1500 {
			bad := slices.Clone(blocks)
			at := rng.IntN(len(bad))
			data := slices.Clone(bad[at].data)
			switch rng.IntN(4) {
			case 0:
				data = data[:rng.IntN(len(data))]
			case 1:
				data = append(data, byte(rng.IntN(256)))
			case 2:
				bad[at].slice += rng.Int64N(9) - 4
			default:
				data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
			}
			bad[at].data = data
			err := useRestored(t, q, bad)
			if err == nil {
				taken++
				continue
			}
			if refused++; sqlerr.CodeOf(err) != sqlerr.DataCorrupted {
				t.Fatalf("%+v: %v", q, err)
			}
		}
	}
	if refused < 500 || taken < 100 {
		t.Fatalf("%d blocks refused, %d taken", refused, taken)
	}
}

// FuzzPaneAggRestore: no block makes Restore, or what follows it, panic.
func FuzzPaneAggRestore(f *testing.F) {
	for i, q := range paneStateQueries() {
		for _, b := range paneBlocks(f, q) {
			f.Add(uint8(i), b.slice, b.data)
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, slice int64, data []byte) {
		queries := paneStateQueries()
		_ = useRestored(t, queries[int(i)%len(queries)], []workerBlock{{slice, 0, slices.Clone(data)}})
	})
}

// TestPaneAggRewrites: a pane that is touched at every snapshot does not pile up blocks for ever.
func TestPaneAggRewrites(t *testing.T) {
	q := paneQuery{kind: window.None, mode: spec.EmitFirst, having: true}
	g := q.build(t, &expr.Ctx{})
	var rows [][3]any
	const groups, rounds = 3000, 20
	for i := range groups {
		rows = append(rows, [3]any{5, fmt.Sprintf("user %d", i), 1})
	}
	var store workerState
	for range rounds {
		if err := g.Process(0, wholeInput(traffic(rows...)), emitFunc(discard)); err != nil {
			t.Fatal(err)
		}
		if err := g.Snapshot(&workerPart{&store, 0}); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for _, b := range store.blocks {
		total += len(b.data)
	}
	if total > groups*60*4 {
		t.Errorf("%d bytes for %d groups", total, groups)
	}
	// What was fired is not told again.
	again := q.build(t, &expr.Ctx{})
	if err := again.Restore(&store, ownAll); err != nil {
		t.Fatal(err)
	}
	err := again.Process(0, wholeInput(traffic(rows...)), emitFunc(func(Input) error { return fmt.Errorf("told again") }))
	if err != nil {
		t.Error(err)
	}
}

// TestPaneAggErrors: rows that fail are reported once, those out of the range of windows too; an overflow concerns its group.
func TestPaneAggErrors(t *testing.T) {
	for _, mode := range []spec.EmitMode{spec.EmitFinal, spec.EmitUpdate, spec.EmitFirst} {
		s := &spec.WindowAgg{Window: window.Spec{Kind: window.Hop, Size: 10, Slide: 5}, Keys: []expr.Expr{trafficCol("user")},
			Aggs: []spec.AggCall{aggOf(t, "count"), aggOf(t, "sum", failing())}, Emit: spec.Emit{Mode: mode}}
		ts := types.T(types.TimestampTZ)
		schema := &types.Schema{Cols: []types.Column{{Name: "window_start", Type: ts}, {Name: "window_end", Type: ts}, {Name: "user", Type: types.T(types.Text)},
			{Name: "count", Type: types.T(types.Int8)}, {Name: "sum", Type: s.Aggs[1].Typ}}}
		g, err := NewPaneAgg(s, schema)
		if err != nil {
			t.Fatal(err)
		}
		var failed []string
		if err := g.Open(&expr.Ctx{RowError: func(row uint32, err error) { failed = append(failed, fmt.Sprint(row, " ", sqlerr.CodeOf(err))) }}); err != nil {
			t.Fatal(err)
		}
		var got []string
		b := traffic([3]any{1, "a", 1}, [3]any{2, "a", 0}, [3]any{3, "b", 2}, [3]any{-1 << 63, "b", 1}, [3]any{1<<63 - 1, "b", 1})
		if err := g.Process(0, wholeInput(b), rowsTo(&got)); err != nil {
			t.Fatal(err)
		}
		if err := g.Advance(types.MaxTime, rowsTo(&got)); err != nil {
			t.Fatal(err)
		}
		slices.Sort(failed)
		wantRows(t, failed, "1 22012", "3 22008", "4 22008")
		slices.Sort(got)
		wantRows(t, got, "-5 5 a 1 1000", "-5 5 b 1 500", "0 10 a 1 1000", "0 10 b 1 500")
	}
}

// TestPaneAggOthers: where a query has several inputs, the least of their watermarks judges lateness.
func TestPaneAggOthers(t *testing.T) {
	q := paneQuery{kind: window.Hop, size: 10, slide: 5, pane: 5}
	ctx, late := &expr.Ctx{}, 0
	ctx.LateRow = func(uint32, types.EventTime) { late++ }
	g := q.build(t, ctx)
	b := traffic([3]any{30, "a", 1}, [3]any{1, "a", 2})
	b.Behind = []batch.Behind{{Row: 1, Watermark: 30}}
	in := wholeInput(b)
	in.Several, in.Others = true, 7
	if err := g.Process(0, in, emitFunc(discard)); err != nil || late != 0 {
		t.Fatalf("%d late rows, %v", late, err)
	}
	var got []string
	if err := g.Advance(10, rowsTo(&got)); err != nil {
		t.Fatal(err)
	}
	// The window that ends at 5 had closed at 7.
	wantRows(t, got, "0 10 a 1 2 a 1")
	in.Others = 12
	if err := g.Process(0, in, emitFunc(discard)); err != nil || late != 1 || g.LateRows() != 1 {
		t.Fatalf("%d late rows, %v", late, err)
	}
}

// TestPaneAggGap: hours without rows cost nothing, and windows without rows do not come out.
func TestPaneAggGap(t *testing.T) {
	q := paneQuery{kind: window.Hop, size: 300e6, slide: 1e6, pane: 1e6}
	g := q.build(t, &expr.Ctx{})
	var got []string
	for _, at := range []int{0, 1e15, 1e15 + 1} {
		if err := g.Process(0, wholeInput(traffic([3]any{at, "a", 1})), nil); err != nil {
			t.Fatal(err)
		}
		if err := g.Advance(types.EventTime(at), rowsTo(&got)); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 300 || got[0] != "-299000000 1000000 a 1 1 a 1" || got[299] != "0 300000000 a 1 1 a 1" {
		t.Errorf("%d rows: %v", len(got), got[:min(3, len(got))])
	}
}

// TestPaneAggSteadyState: once the panes have seen their keys, a batch costs hardly an allocation.
func TestPaneAggSteadyState(t *testing.T) {
	ex, _ := thesisPlan(t)
	for _, mode := range []spec.EmitMode{spec.EmitFinal, spec.EmitUpdate, spec.EmitFirst} {
		s := &spec.WindowAgg{Window: window.Spec{Kind: window.Hop, Size: 5e6, Slide: 1e6}, Keys: ex.Keys, Aggs: []spec.AggCall{aggOf(t, "count")},
			Emit: spec.Emit{Mode: mode}}
		text := types.T(types.Text)
		out := &types.Schema{Cols: []types.Column{{Name: "window_start", Type: types.T(types.TimestampTZ)},
			{Name: "window_end", Type: types.T(types.TimestampTZ)}, {Name: "username", Type: text}, {Name: "dst", Type: text}, {Name: "count", Type: types.T(types.Int8)}}}
		g, err := NewPaneAgg(s, out)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Open(&expr.Ctx{RowError: func(uint32, error) {}}); err != nil {
			t.Fatal(err)
		}
		batches, sink, next := thesisTraffic(100, 4*batch.RowsMax), emitFunc(discard), int64(0)
		round := func() {
			for _, b := range batches {
				next += 1e6 / 4
				for i := range b.Cols[0].I64 {
					b.Cols[0].I64[i] = next
				}
				if err := g.Process(0, wholeInput(b), sink); err != nil {
					t.Fatal(err)
				}
				if err := g.Advance(types.EventTime(next), sink); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 30 {
			round()
		}
		if n := testing.AllocsPerRun(10, round); n > 16 {
			t.Errorf("%s: %v allocations for %d batches", g, n, len(batches))
		}
	}
}
