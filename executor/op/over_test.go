package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

const unbounded = spec.FrameUnbounded

func overAgg(t testing.TB, name string, frame spec.Frame, args ...expr.Expr) spec.OverFunc {
	t.Helper()
	a := aggOf(t, name, args...)
	return spec.OverFunc{Name: name, Kernel: a.Kernel, Args: args, Frame: frame, Typ: a.Typ}
}

func overFn(name string, frame spec.Frame, args ...expr.Expr) spec.OverFunc {
	typ := types.T(types.Int8)
	if len(args) > 0 {
		typ = args[0].Type()
	}
	return spec.OverFunc{Name: name, Args: args, Frame: frame, Typ: typ}
}

func constInt(n int64) expr.Expr { return &expr.Const{Val: types.NewInt(types.Int8, n)} }

func newOver(t testing.TB, funcs []spec.OverFunc) *Over {
	t.Helper()
	schema := visitSchema
	schema.Cols = schema.Cols[:len(schema.Cols):len(schema.Cols)]
	for i, f := range funcs {
		schema.Cols = append(schema.Cols, types.Column{Name: fmt.Sprint("f", i), Type: f.Typ})
	}
	o, err := NewOver(&spec.Over{Keys: []expr.Expr{visitCol("who")}, Funcs: funcs}, &schema)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// overModel computes functions for each row from the whole partition.
type overModel struct {
	t     *testing.T
	empty int // frames without rows
}

func (m *overModel) run(visits []visit, funcs []spec.OverFunc) (out, late []string) {
	parts := map[string][]visit{}
	for _, v := range visits {
		if v.t < int64(v.closed) {
			late = append(late, rowOf(v.values))
			continue
		}
		parts[v.key] = append(parts[v.key], v)
	}
	for _, rows := range parts {
		slices.SortStableFunc(rows, func(a, b visit) int { return int(a.t - b.t) })
		for i := range rows {
			text := rowOf(rows[i].values)
			for _, f := range funcs {
				v := m.value(f, rows, i)
				if v.Null {
					text += " NULL"
				} else {
					text += " " + v.Text()
				}
			}
			out = append(out, text)
		}
	}
	return out, late
}

// frame returns the rows of the frame around row i.
func (m *overModel) frame(f spec.Frame, rows []visit, i int) []visit {
	var in []visit
	for j := range rows {
		at := int64(j - i)
		if !f.Rows {
			at = rows[j].t - rows[i].t
		}
		if (f.Start == -unbounded || at >= f.Start) && at <= f.End {
			in = append(in, rows[j])
		}
	}
	if len(in) == 0 {
		m.empty++
	}
	return in
}

func (m *overModel) value(f spec.OverFunc, rows []visit, i int) types.Value {
	peers, distinct := 0, int64(1)
	for j := 1; j <= i; j++ {
		if rows[j].t != rows[j-1].t {
			peers, distinct = j, distinct+1
		}
	}
	switch f.Name {
	case "row_number":
		return types.NewInt(types.Int8, int64(i+1))
	case "rank":
		return types.NewInt(types.Int8, int64(peers+1))
	case "dense_rank":
		return types.NewInt(types.Int8, distinct)
	}
	in := m.frame(f.Frame, rows, i)
	if f.Kernel != nil {
		return m.fold(f, in)
	}
	nth := 0
	switch f.Name {
	case "last_value":
		nth = len(in) - 1
	case "nth_value":
		nth = int(f.Args[1].(*expr.Const).Val.I) - 1
	}
	if nth < 0 || nth >= len(in) {
		if f.Name == "lag" && len(f.Args) == 2 {
			return rows[i].values[f.Args[1].(*expr.Column).Index]
		}
		return types.Null(f.Typ)
	}
	return in[nth].values[f.Args[0].(*expr.Column).Index]
}

// fold is an aggregate over the rows of a frame, from nothing.
func (m *overModel) fold(f spec.OverFunc, in []visit) types.Value {
	_, stride := agg.Layout([]agg.Kernel{f.Kernel})
	s := agg.Slab{Stride: stride}
	s.Grow(1)
	var vecs []*batch.Vec
	for _, a := range f.Args {
		v := &batch.Vec{}
		v.Reset(a.Type())
		vecs = append(vecs, v)
	}
	var gids []uint32
	for _, r := range in {
		if f.Filter != nil && (r.values[2].Null || r.values[2].I <= 0) {
			continue
		}
		for i, a := range f.Args {
			switch a := a.(type) {
			case *expr.Const:
				vecs[i].AppendValue(a.Val)
			case *expr.Column:
				vecs[i].AppendValue(r.values[a.Index])
			}
		}
		gids = append(gids, 0)
	}
	if len(gids) > 0 {
		if err := f.Kernel.Update(&s, 0, gids, vecs); err != nil {
			m.t.Fatal(err)
		}
	}
	v, err := f.Kernel.Result(&s, 0, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	return v
}

// positive is a filter over n.
func positive() expr.Expr {
	return &expr.Compare{Op: expr.GT, L: visitCol("n"), R: constInt(0)}
}

// overSets are sets of functions that work together.
func overSets(t *testing.T) map[string][]spec.OverFunc {
	n, f, s := visitCol("n"), visitCol("f"), visitCol("s")
	rows := func(start, end int64) spec.Frame { return spec.Frame{Rows: true, Start: start, End: end} }
	span := func(start, end int64) spec.Frame { return spec.Frame{Start: start, End: end} }
	filtered := func(f spec.OverFunc) spec.OverFunc { f.Filter = positive(); return f }
	aggs := func(fr spec.Frame) []spec.OverFunc {
		return []spec.OverFunc{
			overAgg(t, "count", fr), overAgg(t, "count", fr, n), overAgg(t, "sum", fr, n), overAgg(t, "avg", fr, n), overAgg(t, "stddev_pop", fr, n),
			overAgg(t, "max", fr, n), overAgg(t, "min", fr, f), overAgg(t, "sum", fr, f), overAgg(t, "stddev_samp", fr, f), overAgg(t, "max", fr, s),
			filtered(overAgg(t, "sum", fr, n)), filtered(overAgg(t, "count", fr)), filtered(overAgg(t, "min", fr, n)),
			overAgg(t, "string_agg", fr, s, &expr.Const{Val: types.NewText("-")}), overAgg(t, "array_agg", fr, s),
			overFn("first_value", fr, n), overFn("last_value", fr, s), overFn("nth_value", fr, s, constInt(3)),
		}
	}
	sets := map[string][]spec.OverFunc{
		"rows 3 before": aggs(rows(-3, -1)), "rows with current": aggs(rows(-2, 0)), "rows far back": aggs(rows(-5, -4)),
		"current row": aggs(rows(0, 0)), "rows nothing": aggs(rows(-1, -2)), "range nothing": aggs(span(-1, -2)),
		"range": aggs(span(-12, 0)), "range before": aggs(span(-20, -5)), "range ahead": aggs(span(-5, 9)), "range only ahead": aggs(span(4, 9)),
		"range peers": aggs(span(0, 0)), "default": aggs(span(-unbounded, 0)), "rows from start": aggs(rows(-unbounded, 0)),
		"rows from start to 3 before": aggs(rows(-unbounded, -3)), "range from start": aggs(span(-unbounded, -10)), "range from start ahead": aggs(span(-unbounded, 6)),
		"places": {overFn("row_number", spec.Frame{}), overFn("rank", spec.Frame{}), overFn("dense_rank", spec.Frame{})},
		"lag":    {overFn("lag", rows(-1, -1), s), overFn("lag", rows(-3, -3), n), overFn("lag", rows(-2, -2), n, visitCol("n")), overFn("rank", spec.Frame{})},
	}
	sets["mixed"] = append(slices.Clone(sets["places"]), overAgg(t, "max", span(-12, 7), n), overAgg(t, "sum", rows(-4, -1), n), overAgg(t, "count", span(-unbounded, 0)), overFn("first_value", rows(-unbounded, -2), s))
	return sets
}

// TestOver compares every set of functions with the model, whatever batches, workers and restarts there are.
func TestOver(t *testing.T) {
	m := &overModel{t: t}
	late, restarted, whole := 0, 0, 0
	for name, funcs := range overSets(t) {
		for seed := range uint64(8) {
			rng := rand.New(rand.NewPCG(seed, 3))
			delay := 1 + rng.Int64N(20)
			visits := visitsOf(rng, 150, 5, delay)
			want, wantLate := m.run(visits, funcs)
			k := &keyedRun{t: t, rng: rng, keys: []expr.Expr{visitCol("who")}, workers: 1 + rng.IntN(3), restarts: seed > 2,
				make: func() Operator { return newOver(t, funcs) }}
			k.feed(visits, delay)
			sameRows(t, fmt.Sprintf("%s, seed %d", name, seed), k.out, want)
			sameRows(t, fmt.Sprintf("%s, seed %d, late", name, seed), k.late, wantLate)
			late, restarted, whole = late+len(wantLate), restarted+k.restarted, whole+k.store.whole
		}
	}
	if late == 0 || restarted == 0 || whole == 0 || m.empty == 0 {
		t.Errorf("%d late rows, %d restarts, %d rewrites, %d empty frames: some case was not met", late, restarted, whole, m.empty)
	}
}

// TestOverOrder: rows come out by time, those of one time as they came.
func TestOverOrder(t *testing.T) {
	o := newOver(t, []spec.OverFunc{overFn("row_number", spec.Frame{})})
	_ = o.Open(&expr.Ctx{})
	var got []string
	out := emitFunc(func(in Input) error {
		for _, r := range in.Sel {
			row := in.B.Row(nil, int(r))
			got = append(got, fmt.Sprint(row[0].I, " ", row[1].S, row[5].I))
		}
		return nil
	})
	for i, at := range []int64{5, -3, 5, 4, 7} {
		v := visit{values: []types.Value{types.NewTime(types.EventTime(at)), types.NewText(string(rune('a' + i%2))), types.Null(types.T(types.Int8)), types.Null(types.T(types.Float8)), types.NewText("")}}
		if err := o.Process(0, wholeInput(visitBatch(v)), out); err != nil {
			t.Fatal(err)
		}
	}
	if o.Deadline() != -2 {
		t.Errorf("deadline %d", o.Deadline())
	}
	for _, wm := range []types.EventTime{-3, 5, 6, 100} {
		if err := o.Advance(wm, out); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint("-- ", wm))
	}
	wantRows(t, got, "-- -3", "-3 b1", "4 b2", "-- 5", "5 a1", "5 a2", "-- 6", "7 a3", "-- 100")
}

// TestOverLetsGo: partitions out of reach of RANGE are forgotten; with ROWS n rows of each stay.
func TestOverLetsGo(t *testing.T) {
	quiet := emitFunc(func(Input) error { return nil })
	run := func(frame spec.Frame) (*Over, int, int) {
		o := newOver(t, []spec.OverFunc{overAgg(t, "sum", frame, visitCol("n")), overAgg(t, "max", frame, visitCol("s"))})
		_ = o.Open(&expr.Ctx{})
		most, rows := 0, 0
		for i := range int64(20000) {
			v := visit{values: []types.Value{types.NewTime(types.EventTime(i)), types.NewText(fmt.Sprint(i % 5000 / 50)), types.NewInt(types.Int8, i), types.Null(types.T(types.Float8)), types.NewText("some text of a row")}}
			if err := o.Process(0, wholeInput(visitBatch(v)), quiet); err != nil {
				t.Fatal(err)
			}
			if err := o.Advance(types.EventTime(i), quiet); err != nil {
				t.Fatal(err)
			}
			p, r := o.Held()
			most, rows = max(most, p), max(rows, r)
		}
		return o, most, rows
	}
	o, parts, rows := run(spec.Frame{Start: -100})
	if parts > 12 || rows > 300 || len(o.rows.buf) > 2*overGarbageMin {
		t.Errorf("RANGE holds %d partitions, %d rows, %d bytes", parts, rows, len(o.rows.buf))
	}
	if o, parts, rows = run(spec.Frame{Rows: true, Start: -3, End: -1}); parts != 100 || rows > 500 {
		t.Errorf("ROWS holds %d partitions, %d rows", parts, rows)
	}
	if _, _, rows = run(spec.Frame{Start: -unbounded}); rows > 200 {
		t.Errorf("an unbounded frame holds %d rows", rows)
	}
}

// TestOverErrors: a result that is an error concerns its row.
func TestOverErrors(t *testing.T) {
	k, _ := agg.Find("sum")
	kernel, _ := k.Bind([]types.Type{types.T(types.Int4)}, false) // a sum that is bigint and can overflow
	f := spec.OverFunc{Name: "sum", Kernel: kernel, Args: []expr.Expr{visitCol("n")}, Frame: spec.Frame{Rows: true, Start: -1}, Typ: kernel.Type()}
	o := newOver(t, []spec.OverFunc{f})
	failed := 0
	_ = o.Open(&expr.Ctx{RowError: func(row uint32, err error) {
		failed++
		if row != noRow || sqlerr.CodeOf(err) != sqlerr.NumericValueOutOfRange {
			t.Errorf("row %d: %v", row, err)
		}
	}})
	var got []string
	out := emitFunc(func(in Input) error {
		for _, r := range in.Sel {
			got = append(got, in.B.Cols[5].Value(int(r)).Text())
		}
		return nil
	})
	for i, n := range []int64{1, 1 << 62, 1 << 62, -5, 2} {
		v := visit{values: []types.Value{types.NewTime(types.EventTime(i + 1)), types.NewText("a"), types.NewInt(types.Int8, n), types.Null(types.T(types.Float8)), types.NewText("")}}
		if err := o.Process(0, wholeInput(visitBatch(v)), out); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Advance(100, out); err != nil {
		t.Fatal(err)
	}
	wantRows(t, got, "1", "4611686018427387905", "4611686018427387899", "-3")
	if failed != 1 {
		t.Errorf("%d rows failed", failed)
	}
}

func TestOverRefuses(t *testing.T) {
	schema := visitSchema
	schema.Cols = append(schema.Cols[:5:5], types.Column{Name: "f", Type: types.T(types.Int8)})
	for name, f := range map[string]spec.OverFunc{
		"rows ahead":     overAgg(t, "count", spec.Frame{Rows: true, End: 1}),
		"range for ever": overAgg(t, "count", spec.Frame{End: unbounded}),
		"unknown":        overFn("ntile", spec.Frame{}, visitCol("n")),
		"no argument":    overFn("lag", spec.Frame{}),
		"nth of 0":       overFn("nth_value", spec.Frame{}, visitCol("n"), constInt(0)),
	} {
		if _, err := NewOver(&spec.Over{Funcs: []spec.OverFunc{f}}, &schema); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// overState makes a checkpoint with rows that wait, partitions and lasting accumulators.
func overState(t testing.TB, funcs []spec.OverFunc) *memState {
	o := newOver(t, funcs)
	_ = o.Open(&expr.Ctx{})
	rng := rand.New(rand.NewPCG(5, 5))
	quiet := emitFunc(func(Input) error { return nil })
	visits := visitsOf(rng, 60, 5, 5)
	var store memState
	for i, v := range visits {
		_ = o.Process(0, wholeInput(visitBatch(v)), quiet)
		if i == 30 || i == 55 {
			_ = o.Advance(v.closed, quiet)
			if err := o.Snapshot(&store); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &store
}

// TestOverRestoreRefuses: damaged blocks are errors or harmless; nothing panics, then or later.
func TestOverRestoreRefuses(t *testing.T) {
	fr, all := spec.Frame{Rows: true, Start: -3, End: -1}, spec.Frame{Start: -unbounded, End: 4}
	funcs := []spec.OverFunc{overAgg(t, "sum", fr, visitCol("n")), overAgg(t, "max", all, visitCol("s")), overAgg(t, "avg", all, visitCol("f")),
		overFn("nth_value", all, visitCol("s"), constInt(2)), overFn("rank", spec.Frame{})}
	store := overState(t, funcs)
	if len(store.blocks) < 4 {
		t.Fatalf("%d blocks", len(store.blocks))
	}
	quiet := emitFunc(func(Input) error { return nil })
	rng := rand.New(rand.NewPCG(9, 9))
	refused := 0
	for try := range 4000 {
		bad := &memState{starts: slices.Clone(store.starts)}
		for _, b := range store.blocks {
			bad.blocks = append(bad.blocks, slices.Clone(b))
		}
		if try > 0 {
			b := bad.blocks[rng.IntN(len(bad.blocks))]
			for range 1 + rng.IntN(3) {
				b[rng.IntN(len(b))] = byte(rng.Uint32())
			}
			if i := rng.IntN(4 * len(bad.blocks)); i < len(bad.blocks) {
				bad.blocks[i] = bad.blocks[i][:rng.IntN(len(bad.blocks[i]))]
			}
		}
		o := newOver(t, funcs)
		_ = o.Open(&expr.Ctx{RowError: func(uint32, error) {}})
		if err := o.Restore(bad, ownAll); err != nil {
			if sqlerr.CodeOf(err) != sqlerr.DataCorrupted || try == 0 {
				t.Fatalf("got %v", err)
			}
			refused++
			continue
		}
		var again memState
		if err := o.Snapshot(&again); err != nil {
			t.Fatal(err)
		}
		_ = o.Advance(types.MaxTime, quiet)
	}
	if refused < 1000 {
		t.Errorf("%d blocks were refused", refused)
	}
}
