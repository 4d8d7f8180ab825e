package op

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// trafficSchema is the stream of these tests.
var trafficSchema = types.Schema{Cols: []types.Column{{Name: "ts", Type: types.T(types.TimestampTZ)},
	{Name: "user", Type: types.T(types.Text)}, {Name: "n", Type: types.T(types.Int8)}}}

func trafficCol(name string) expr.Expr {
	i := trafficSchema.Index(name)
	return &expr.Column{Index: i, Name: name, Typ: trafficSchema.Cols[i].Type}
}

func traffic(rows ...[3]any) *batch.Batch {
	b := batch.New(&trafficSchema, nil)
	for _, r := range rows {
		b.AppendRow([]types.Value{types.NewTime(types.EventTime(r[0].(int))), types.NewText(r[1].(string)), types.NewInt(types.Int8, int64(r[2].(int)))})
	}
	return b
}

// failing is an expression over n that fails where n is 0, for the argument of aggregates and keys.
func failing() expr.Expr {
	def := &fn.Def{Name: "inverse", Args: []types.Type{types.T(types.Int8)}, Ret: types.T(types.Int8),
		Eval: func(_ *fn.Ctx, args []types.Value) (types.Value, error) {
			if args[0].I == 0 {
				return types.Value{}, sqlerr.New(sqlerr.DivisionByZero, "division by zero")
			}
			return types.NewInt(types.Int8, 1000/args[0].I), nil
		}}
	return &expr.Call{Def: def, Args: []expr.Expr{trafficCol("n")}, Typ: types.T(types.Int8)}
}

func aggOf(t testing.TB, name string, args ...expr.Expr) spec.AggCall {
	t.Helper()
	d, _ := agg.Find(name)
	var in []types.Type
	for _, a := range args {
		in = append(in, a.Type())
	}
	k, ok := d.Bind(in, false)
	if !ok {
		t.Fatalf("%s does not take %v", name, in)
	}
	return spec.AggCall{Name: name, Kernel: k, Args: args, Typ: k.Type()}
}

// newWindow makes a window aggregate of 10 microseconds, opened.
func newWindow(t testing.TB, ctx *expr.Ctx, keys []expr.Expr, aggs ...spec.AggCall) *WindowAgg {
	t.Helper()
	s := &spec.WindowAgg{Window: window.Spec{Kind: window.Tumble, Size: 10}, Keys: keys, Aggs: aggs}
	out := &types.Schema{Cols: []types.Column{{Name: "window_start", Type: types.T(types.TimestampTZ)}, {Name: "window_end", Type: types.T(types.TimestampTZ)}}}
	for _, k := range keys {
		out.Cols = append(out.Cols, types.Column{Name: k.String(), Type: k.Type()})
	}
	for _, a := range aggs {
		out.Cols = append(out.Cols, types.Column{Name: a.Name, Type: a.Typ})
	}
	w, err := NewWindowAgg(s, out)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Open(ctx); err != nil {
		t.Fatal(err)
	}
	return w
}

// rowsTo appends emitted rows, as text, to a list.
func rowsTo(list *[]string) Emitter {
	return emitFunc(func(in Input) error {
		for _, r := range in.Sel {
			var parts []string
			for c, v := range in.B.Row(nil, int(r)) {
				if c < 2 {
					parts = append(parts, fmt.Sprint(v.I))
					continue
				}
				parts = append(parts, v.Text())
			}
			*list = append(*list, strings.Join(parts, " "))
		}
		return nil
	})
}

func wholeInput(b *batch.Batch) Input { return Input{B: b, Sel: batch.All(b.N)} }

func closeAll(t *testing.T, w *WindowAgg) []string {
	t.Helper()
	var got []string
	if err := w.Advance(types.MaxTime, rowsTo(&got)); err != nil {
		t.Fatal(err)
	}
	return got
}

func wantRows(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestWindowAggRowErrors: a row whose key or argument fails is reported once and not folded, also not into other
// aggregates; the rest of the batch is, in whatever window, with keys of an Exchange or without.
func TestWindowAggRowErrors(t *testing.T) {
	b := traffic([3]any{1, "a", 1}, [3]any{2, "a", 0}, [3]any{3, "b", 2}, [3]any{12, "b", 0}, [3]any{13, "a", 4}, [3]any{4, "a", 5})
	for _, exchanged := range []bool{false, true} {
		var failed []string
		ctx := &expr.Ctx{RowError: func(row uint32, err error) { failed = append(failed, fmt.Sprint(row, " ", sqlerr.CodeOf(err))) }}
		w := newWindow(t, ctx, []expr.Expr{trafficCol("user")}, aggOf(t, "count"), aggOf(t, "sum", failing()), aggOf(t, "max", failing()))
		in := wholeInput(b)
		if exchanged {
			in = routed(t, in, []expr.Expr{trafficCol("user")}, 1)[0].Input(b)
		}
		if err := w.Process(0, in, nil); err != nil {
			t.Fatal(err)
		}
		wantRows(t, failed, "1 22012", "3 22012")
		if ctx.RowError == nil {
			t.Fatal("RowError was not put back")
		}
		wantRows(t, closeAll(t, w), "0 10 a 2 1200 1000", "0 10 b 1 500 500", "10 20 a 1 250 250")
	}
	// Without somebody who takes errors of rows, the first one ends the call.
	w := newWindow(t, &expr.Ctx{}, []expr.Expr{failing()}, aggOf(t, "count"))
	if err := w.Process(0, wholeInput(b), nil); sqlerr.CodeOf(err) != sqlerr.DivisionByZero {
		t.Errorf("got %v", err)
	}
}

// routed splits an input among workers.
func routed(t testing.TB, in Input, keys []expr.Expr, workers int) []Part {
	t.Helper()
	r, err := NewRouter(&spec.Exchange{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	r.Open(&expr.Ctx{})
	parts := make([]Part, workers)
	if err := r.Route(in, parts); err != nil {
		t.Fatal(err)
	}
	return parts
}

// TestWindowAggGroupErrors: an overflow concerns its group; the others come out. Without a taker, Advance fails.
func TestWindowAggGroupErrors(t *testing.T) {
	build := func() *WindowAgg {
		sum := aggOf(t, "sum", trafficCol("n"))
		k, _ := agg.Find("sum")
		sum.Kernel, _ = k.Bind([]types.Type{types.T(types.Int4)}, false) // a sum that is bigint and can overflow
		sum.Typ = sum.Kernel.Type()
		w := newWindow(t, &expr.Ctx{}, []expr.Expr{trafficCol("user")}, aggOf(t, "count"), sum)
		const big = 1 << 62
		b := traffic([3]any{1, "a", 1}, [3]any{2, "b", big}, [3]any{3, "b", big}, [3]any{4, "c", 2}, [3]any{5, "d", big}, [3]any{6, "d", big})
		if err := w.Process(0, wholeInput(b), nil); err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := build()
	var errs []string
	w.GroupError = func(win window.Window, err error) {
		errs = append(errs, fmt.Sprint(win, " ", sqlerr.CodeOf(err), " ", err))
	}
	wantRows(t, closeAll(t, w), "0 10 a 1 1", "0 10 c 1 2")
	wantRows(t, errs, "{0 10} 22003 bigint out of range", "{0 10} 22003 bigint out of range")
	var got []string
	if err := build().Advance(10, rowsTo(&got)); sqlerr.CodeOf(err) != sqlerr.NumericValueOutOfRange {
		t.Errorf("got %v", err)
	}
}

// TestWindowAggLate: marks are by row of the batch, keys by place in the selection.
func TestWindowAggLate(t *testing.T) {
	b := traffic([3]any{15, "a", 1}, [3]any{1, "x", 2}, [3]any{9, "b", 3}, [3]any{16, "b", 4}, [3]any{19, "a", 5})
	b.Behind = []batch.Behind{{Row: 1, Watermark: 9}, {Row: 2, Watermark: 10}, {Row: 3, Watermark: 17}}
	in := Input{B: b, Sel: []uint32{0, 2, 3, 4}}
	for _, exchanged := range []bool{false, true} {
		w := newWindow(t, &expr.Ctx{}, []expr.Expr{trafficCol("user")}, aggOf(t, "sum", trafficCol("n")))
		var late []uint32
		w.Late = func(row uint32) { late = append(late, row) }
		from := in
		if exchanged {
			from = routed(t, in, []expr.Expr{trafficCol("user")}, 1)[0].Input(b)
		}
		if err := w.Process(0, from, nil); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(late, []uint32{2}) || w.LateRows() != 1 {
			t.Errorf("late rows %v, counted %d", late, w.LateRows())
		}
		wantRows(t, closeAll(t, w), "10 20 a 6", "10 20 b 4")
	}
}

// TestWindowAggClosedIsClosed: a row of a closed window is late, even if nobody marked it.
func TestWindowAggClosedIsClosed(t *testing.T) {
	w := newWindow(t, &expr.Ctx{}, nil, aggOf(t, "count"))
	b := traffic([3]any{5, "a", 1})
	var got []string
	for range 2 {
		if err := errors.Join(w.Process(0, wholeInput(b), nil), w.Advance(10, rowsTo(&got))); err != nil {
			t.Fatal(err)
		}
	}
	wantRows(t, got, "0 10 1")
	if w.LateRows() != 1 || w.Groups() != 0 {
		t.Errorf("%d late rows, %d groups", w.LateRows(), w.Groups())
	}
}

// TestWindowAggManyGroups: output comes in batches of at most batch.RowsMax, ordered by key, and reuse leaves no trace.
func TestWindowAggManyGroups(t *testing.T) {
	w := newWindow(t, &expr.Ctx{}, []expr.Expr{trafficCol("user")}, aggOf(t, "count"))
	const groups = 2500
	for round := range 3 {
		var rows [][3]any
		for i := range groups {
			rows = append(rows, [3]any{round*10 + i%10, fmt.Sprintf("%04d", i*7%groups), 1})
		}
		b := traffic(rows...)
		if err := w.Process(0, wholeInput(b), nil); err != nil {
			t.Fatal(err)
		}
		sizes, last, n := []int{}, "", 0
		err := w.Advance(types.EventTime(round*10+10), emitFunc(func(in Input) error {
			sizes = append(sizes, len(in.Sel))
			for _, r := range in.Sel {
				row := in.B.Row(nil, int(r))
				if row[2].S <= last || row[3].I != 1 {
					t.Fatalf("%s after %s, count %d", row[2].S, last, row[3].I)
				}
				last = row[2].S
				n++
			}
			return nil
		}))
		if err != nil || n != groups || !slices.Equal(sizes, []int{1024, 1024, 452}) {
			t.Fatalf("%d groups in batches of %v, %v", n, sizes, err)
		}
		if w.Groups() != 0 || len(w.free) != 1 {
			t.Fatalf("%d groups and %d free slices are left", w.Groups(), len(w.free))
		}
	}
}

// memState is a checkpoint in memory.
type memState struct {
	starts  []int64
	blocks  [][]byte
	log     []string
	rewrite int
}

func (m *memState) Block(slice int64, data []byte) error {
	m.starts, m.blocks = append(m.starts, slice), append(m.blocks, data)
	return nil
}

func (m *memState) Drop(slice int64) error { return m.Rewrite(slice) }

func (m *memState) Rewrite(slice int64) error {
	m.rewrite++
	for i := len(m.starts) - 1; i >= 0; i-- {
		if m.starts[i] == slice {
			m.starts, m.blocks = slices.Delete(m.starts, i, i+1), slices.Delete(m.blocks, i, i+1)
		}
	}
	return nil
}

func (m *memState) Blocks(fn func(int64, []byte) error) error {
	order := make([]int, len(m.starts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(m.starts[a], m.starts[b]) })
	for _, i := range order {
		if err := fn(m.starts[i], m.blocks[i]); err != nil {
			return err
		}
	}
	return nil
}

func ownAll(uint64) bool { return true }

// TestWindowAggRewrites: a long window that is touched at every snapshot does not pile up blocks for ever.
func TestWindowAggRewrites(t *testing.T) {
	w := newWindow(t, &expr.Ctx{}, []expr.Expr{trafficCol("user")}, aggOf(t, "count"), aggOf(t, "max", trafficCol("user")))
	var store memState
	const groups, rounds = 3000, 20
	var rows [][3]any
	for i := range groups {
		rows = append(rows, [3]any{5, fmt.Sprintf("user %d", i), 1})
	}
	b := traffic(rows...)
	for range rounds {
		if err := w.Process(0, wholeInput(b), nil); err != nil {
			t.Fatal(err)
		}
		if err := w.Snapshot(&store); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for _, b := range store.blocks {
		total += len(b)
	}
	if store.rewrite == 0 || total > groups*40*4 {
		t.Errorf("%d bytes for %d groups after %d rewrites", total, groups, store.rewrite)
	}
	again := newWindow(t, &expr.Ctx{}, []expr.Expr{trafficCol("user")}, aggOf(t, "count"), aggOf(t, "max", trafficCol("user")))
	if err := again.Restore(&store, ownAll); err != nil {
		t.Fatal(err)
	}
	got := closeAll(t, again)
	if len(got) != groups || !strings.HasSuffix(got[0], fmt.Sprintf(" %d user 0", rounds)) {
		t.Errorf("%d rows, first %q", len(got), got[0])
	}
}

// TestWindowAggRestoreRefuses: blocks that are not of the query, or are damaged, are errors with the window's name.
func TestWindowAggRestoreRefuses(t *testing.T) {
	build := func() *WindowAgg {
		return newWindow(t, &expr.Ctx{}, []expr.Expr{trafficCol("user")}, aggOf(t, "count"), aggOf(t, "max", trafficCol("user")))
	}
	w := build()
	if err := w.Process(0, wholeInput(traffic([3]any{5, "a", 1}, [3]any{6, "b", 1})), nil); err != nil {
		t.Fatal(err)
	}
	var store memState
	if err := w.Snapshot(&store); err != nil {
		t.Fatal(err)
	}
	good := store.blocks[0]
	try := func(start int64, block []byte) error {
		return build().Restore(&memState{starts: []int64{start}, blocks: [][]byte{block}}, ownAll)
	}
	if err := try(0, good); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"start":   try(3, good),
		"empty":   try(0, nil),
		"version": try(0, append([]byte{9}, good[1:]...)),
		"aggs":    try(0, append([]byte{good[0], 7}, good[2:]...)),
		"cut":     try(0, good[:len(good)-1]),
		"key":     try(0, []byte{1, 2, 2, 1, 9, 2, 1, 0}),
		"long":    try(0, []byte{1, 2, 1, 0, 3, 1, 0, 0}),
	} {
		if sqlerr.CodeOf(err) != sqlerr.DataCorrupted || !strings.Contains(err.Error(), "1970-01-01") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzWindowAggRestore: no block makes Restore, or what follows it, panic.
func FuzzWindowAggRestore(f *testing.F) {
	keys := []expr.Expr{trafficCol("user"), trafficCol("n")}
	aggs := []spec.AggCall{aggOf(f, "count"), aggOf(f, "max", trafficCol("user")), aggOf(f, "sum", trafficCol("n"))}
	w := newWindow(f, &expr.Ctx{}, keys, aggs...)
	if err := w.Process(0, wholeInput(traffic([3]any{5, "a", 1}, [3]any{6, "b", 1})), nil); err != nil {
		f.Fatal(err)
	}
	var store memState
	if err := w.Snapshot(&store); err != nil {
		f.Fatal(err)
	}
	f.Add(store.blocks[0])
	f.Fuzz(func(t *testing.T, block []byte) {
		w := newWindow(t, &expr.Ctx{}, keys, aggs...)
		if err := w.Restore(&memState{starts: []int64{0}, blocks: [][]byte{bytes.Clone(block)}}, ownAll); err != nil {
			return
		}
		_ = w.Process(0, wholeInput(traffic([3]any{5, "a", 1}, [3]any{6, "b", 1})), nil)
		var out memState
		if err := w.Snapshot(&out); err != nil {
			t.Fatal(err)
		}
		w.GroupError = func(window.Window, error) {}
		if err := w.Advance(types.MaxTime, rowsTo(new([]string))); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWindowAggRefuses(t *testing.T) {
	for name, s := range map[string]*spec.WindowAgg{
		"hop":      {Window: window.Spec{Kind: window.Hop, Size: 10, Slide: 5}},
		"order by": {Window: window.Spec{Kind: window.Tumble, Size: 10}, Aggs: []spec.AggCall{{OrderBy: []spec.SortKey{{}}}}},
	} {
		out := &types.Schema{Cols: make([]types.Column, 2+len(s.Aggs))}
		if _, err := NewWindowAgg(s, out); sqlerr.CodeOf(err) != sqlerr.FeatureNotSupported {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := &spec.WindowAgg{Window: window.Spec{Kind: window.Tumble, Size: 10}}
	if _, err := NewWindowAgg(s, &types.Schema{}); err == nil {
		t.Error("an output schema without columns was taken")
	}
	w := newWindow(t, &expr.Ctx{}, nil, aggOf(t, "count"))
	if err := w.Process(0, Input{B: traffic([3]any{1, "a", 1}), Sel: batch.All(1), Keys: &batch.Keys{}}, nil); err == nil {
		t.Error("fewer keys than rows were taken")
	}
}

// TestEmitErrors: what the consumer says comes back.
func TestEmitErrors(t *testing.T) {
	w := newWindow(t, &expr.Ctx{}, nil, aggOf(t, "count"))
	if err := w.Process(0, wholeInput(traffic([3]any{1, "a", 1})), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Advance(10, emitFunc(func(Input) error { return ErrDone })); !errors.Is(err, ErrDone) {
		t.Errorf("got %v", err)
	}
}
