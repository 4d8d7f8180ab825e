package op

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// sortedSchema is rows of (id, part, key, x); all but id may be NULL.
var sortedSchema = types.Schema{Cols: []types.Column{{Name: "id", Type: types.T(types.Int8)}, {Name: "part", Type: types.T(types.Int8)},
	{Name: "key", Type: types.T(types.Int8)}, {Name: "x", Type: types.T(types.Int8)}}}

func sortedCol(i int) expr.Expr {
	c := sortedSchema.Cols[i]
	return &expr.Column{Index: i, Name: c.Name, Typ: c.Type}
}

// sortedModel answers from the definition of a frame: a row is in it or not.
type sortedModel struct {
	rows       []sortedRow // of a partition, in order
	desc       bool
	nullsFirst bool
	group      []int
}

type sortedRow struct {
	id     int64
	key, x *int64
}

// rank is where a key lies in the order, as a number that offsets can be added to.
func (m *sortedModel) rank(i int) float64 {
	key := m.rows[i].key
	switch {
	case key == nil && m.nullsFirst:
		return math.Inf(-1)
	case key == nil:
		return math.Inf(1)
	case m.desc:
		return -float64(*key)
	}
	return float64(*key)
}

// place is what a unit counts.
func (m *sortedModel) place(unit spec.FrameUnit, i int) float64 {
	switch unit {
	case spec.FrameRows:
		return float64(i)
	case spec.FrameGroups:
		return float64(m.group[i])
	}
	return m.rank(i)
}

func (m *sortedModel) in(f *spec.RowFrame, i, j int) bool {
	edge := func(e *spec.FrameEdge, start bool) bool {
		if e.Kind == spec.EdgeUnbounded {
			return true
		}
		unit := f.Unit
		if unit == spec.FrameRange && e.Kind == spec.EdgeCurrent {
			unit = spec.FrameGroups
		}
		at, by := m.place(unit, i), 0.0
		if e.Kind == spec.EdgeOffset {
			by = float64(e.Offset.(*expr.Const).Val.I)
		}
		if !e.Following {
			by = -by
		}
		if start {
			return m.place(unit, j) >= at+by
		}
		return m.place(unit, j) <= at+by
	}
	peers := m.group[i] == m.group[j]
	switch {
	case !edge(&f.Start, true) || !edge(&f.End, false):
		return false
	case f.Exclude == spec.ExcludeCurrent:
		return i != j
	case f.Exclude == spec.ExcludeGroup:
		return !peers
	case f.Exclude == spec.ExcludeTies:
		return i == j || !peers
	}
	return true
}

// value computes a function for row i.
func (m *sortedModel) value(f *spec.SortedFunc, i int) (text string, frame int) {
	var ids []string
	var xs []int64
	for j := range m.rows {
		if m.in(&f.Frame, i, j) {
			ids = append(ids, fmt.Sprint(m.rows[j].id))
			if x := m.rows[j].x; x != nil && (f.Filter == nil || m.rows[j].id > 10) {
				xs = append(xs, *x)
			}
		}
	}
	frame = len(ids)
	switch f.Name {
	case "count":
		return fmt.Sprint(len(xs)), frame
	case "array_agg":
		if frame == 0 {
			return "NULL", frame
		}
		return "{" + strings.Join(ids, ",") + "}", frame
	case "first_value", "last_value", "nth_value":
		at := map[string]int{"first_value": 0, "last_value": frame - 1, "nth_value": 2}[f.Name]
		if at < 0 || at >= frame {
			return "NULL", frame
		}
		return ids[at], frame
	}
	if len(xs) == 0 {
		return "NULL", frame
	}
	switch f.Name {
	case "min":
		return fmt.Sprint(slices.Min(xs)), frame
	case "max":
		return fmt.Sprint(slices.Max(xs)), frame
	}
	var sum int64
	for _, x := range xs {
		sum += x
	}
	return fmt.Sprint(sum), frame
}

// TestSortedFramesAgainstModel compares random frames over random partitions with their definition.
func TestSortedFramesAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var empty, wide, taken, trees int
	for round := range 250 {
		n := []int{0, 1, 20, 150, 500}[rng.IntN(5)]
		parts, keys := 1+rng.IntN(3), int64(1+rng.IntN(40))
		b := sortedRows(rng, n, parts, keys)
		o := &spec.SortedOver{Partition: []expr.Expr{sortedCol(1)},
			Order: []spec.SortKey{{X: sortedCol(2), Desc: rng.IntN(2) == 0, NullsFirst: rng.IntN(2) == 0}}}
		for range 1 + rng.IntN(4) {
			o.Funcs = append(o.Funcs, randomFunc(t, rng))
		}
		out := sortedSchema
		out.Cols = slices.Clone(out.Cols)
		for _, f := range o.Funcs {
			out.Cols = append(out.Cols, types.Column{Name: f.Name, Type: f.Typ})
		}
		mem := NewMemory(0)
		w, err := NewSortedOver(o, &out, mem)
		if err != nil {
			t.Fatal(err)
		}
		got := sortedRun(t, w, b, func() { trees += planted(w) })
		want, e, wd, tk := sortedWant(o, b)
		empty, wide, taken = empty+e, wide+wd, taken+tk
		if !slices.Equal(got, want) {
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("round %d: %s\nrow %d: %s\nwant:   %s", round, w, i, got[i], want[i])
				}
			}
			t.Fatalf("round %d: %d rows, want %d", round, len(got), len(want))
		}
		if mem.Used() != 0 {
			t.Fatalf("%d bytes are still held", mem.Used())
		}
	}
	if empty < 1000 || wide < 1000 || taken < 1000 || trees < 10 {
		t.Errorf("the generator missed its aim: %d empty frames, %d wide ones, %d that lost rows, %d trees", empty, wide, taken, trees)
	}
}

func sortedRows(rng *rand.Rand, n, parts int, keys int64) *batch.Batch {
	b := batch.New(&sortedSchema, nil)
	orNull := func(v int64) types.Value {
		if rng.IntN(8) == 0 {
			return types.Null(types.T(types.Int8))
		}
		return types.NewInt(types.Int8, v)
	}
	for i := range n {
		part := types.NewInt(types.Int8, 0)
		if parts > 1 {
			part = orNull(int64(rng.IntN(parts)))
		}
		b.AppendRow([]types.Value{types.NewInt(types.Int8, int64(i)), part, orNull(rng.Int64N(keys)), orNull(rng.Int64N(100) - 50)})
	}
	return b
}

// randomFunc makes a function with a frame whose start does not lie behind its end by its kind.
func randomFunc(t *testing.T, rng *rand.Rand) spec.SortedFunc {
	var f spec.SortedFunc
	edge := func() spec.FrameEdge {
		e := spec.FrameEdge{Kind: spec.EdgeKind(rng.IntN(3)), Following: rng.IntN(2) == 0}
		if e.Kind == spec.EdgeOffset {
			e.Offset = constInt([]int64{0, 1, 3, 10, 100, math.MaxInt64}[rng.IntN(6)])
		}
		return e
	}
	order := func(e spec.FrameEdge) int {
		return map[spec.EdgeKind]int{spec.EdgeUnbounded: 2, spec.EdgeOffset: 1}[e.Kind] * map[bool]int{true: 1, false: -1}[e.Following]
	}
	frame := spec.RowFrame{Unit: spec.FrameUnit(rng.IntN(3)), Start: edge(), End: edge(), Exclude: spec.FrameExclude(max(0, rng.IntN(7)-3))}
	for frame.Start.Kind == spec.EdgeUnbounded && frame.Start.Following || frame.End.Kind == spec.EdgeUnbounded && !frame.End.Following ||
		order(frame.Start) > order(frame.End) {
		frame.Start, frame.End = edge(), edge()
	}
	name := []string{"count", "sum", "min", "max", "array_agg", "first_value", "last_value", "nth_value"}[rng.IntN(8)]
	switch name {
	case "count", "sum", "min", "max":
		a := aggOf(t, name, sortedCol(3))
		f = spec.SortedFunc{Name: name, Kernel: a.Kernel, Args: a.Args, Typ: a.Typ}
		if rng.IntN(3) == 0 {
			f.Filter = &expr.Compare{Op: expr.GT, L: sortedCol(0), R: constInt(10)}
		}
	case "array_agg":
		a := aggOf(t, name, sortedCol(0))
		f = spec.SortedFunc{Name: name, Kernel: a.Kernel, Args: a.Args, Typ: a.Typ}
	default:
		f = spec.SortedFunc{Name: name, Args: []expr.Expr{sortedCol(0)}, Typ: types.T(types.Int8)}
		if name == "nth_value" {
			f.Args = append(f.Args, constInt(3))
		}
	}
	f.Frame = frame
	return f
}

// sortedRun runs the operator; before it is closed then is called.
func sortedRun(t *testing.T, w *SortedOver, b *batch.Batch, then func()) []string {
	t.Helper()
	if err := w.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	for lo := 0; lo < b.N; lo += 37 { // batches of any size
		if err := w.Process(0, Input{B: b, Sel: batch.All(b.N)[lo:min(lo+37, b.N)]}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := w.Advance(types.MaxTime, emitFunc(func(in Input) error {
		for _, r := range in.Sel {
			got = append(got, rowOf(in.B.Row(nil, int(r))))
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	then()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return got
}

// planted counts the functions whose last partition needed the tree.
func planted(w *SortedOver) (n int) {
	for _, f := range w.funcs {
		if a, ok := f.(*sortedAgg); ok && len(a.levels) > 0 {
			n++
		}
	}
	return n
}

// sortedWant computes all rows by the model, and counts empty frames, wide ones, and those of aggregates that can subtract
// which do not begin where the partition does.
func sortedWant(o *spec.SortedOver, b *batch.Batch) (want []string, empty, wide, taken int) {
	order := make([]int, b.N)
	for i := range order {
		order[i] = i
	}
	key := o.Order[0]
	slices.SortStableFunc(order, func(i, j int) int {
		if c := compareKey(&b.Cols[1], i, &b.Cols[1], j, &spec.SortKey{}); c != 0 {
			return c
		}
		return compareKey(&b.Cols[2], i, &b.Cols[2], j, &key)
	})
	same := func(c, i, j int) bool { return b.Cols[c].Value(i) == b.Cols[c].Value(j) }
	for lo := 0; lo < len(order); {
		m := &sortedModel{desc: key.Desc, nullsFirst: key.NullsFirst}
		hi := lo
		for ; hi < len(order) && same(1, order[lo], order[hi]); hi++ {
			r := sortedRow{id: b.Cols[0].I64[order[hi]]}
			for c, p := range map[int]**int64{2: &r.key, 3: &r.x} {
				if v := b.Cols[c].Value(order[hi]); !v.Null {
					*p = &v.I
				}
			}
			g := 0
			if hi > lo {
				if g = m.group[hi-lo-1]; !same(2, order[hi-1], order[hi]) {
					g++
				}
			}
			m.rows, m.group = append(m.rows, r), append(m.group, g)
		}
		for i := range m.rows {
			text := rowOf(b.Row(nil, order[lo+i]))
			for k := range o.Funcs {
				v, frame := m.value(&o.Funcs[k], i)
				text += " " + v
				_, subtracts := o.Funcs[k].Kernel.(agg.Subtracter)
				switch {
				case frame == 0:
					empty++
				case subtracts && !m.in(&o.Funcs[k].Frame, i, 0):
					taken++
				case frame > foldMax:
					wide++
				}
			}
			want = append(want, text)
		}
		lo = hi
	}
	return want, empty, wide, taken
}
