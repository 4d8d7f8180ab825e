package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// visitSchema is the stream of the tests of keyed operators that work row by row.
var visitSchema = types.Schema{Cols: []types.Column{{Name: "ts", Type: types.T(types.TimestampTZ)},
	{Name: "who", Type: types.T(types.Text)}, {Name: "n", Type: types.T(types.Int8)},
	{Name: "f", Type: types.T(types.Float8)}, {Name: "s", Type: types.T(types.Text)}}}

func visitCol(name string) expr.Expr {
	i := visitSchema.Index(name)
	return &expr.Column{Index: i, Name: name, Typ: visitSchema.Cols[i].Type}
}

// visit is one row, with what a model needs to know of it.
type visit struct {
	values []types.Value
	t      int64
	key    string
	// closed is the watermark before the row.
	closed types.EventTime
}

// visitsOf makes rows: out of order, with ties, NULL keys and values, and times on both sides of 1970.
func visitsOf(rng *rand.Rand, n int, step, delay int64) []visit {
	t, wm := -int64(n)*step/2, types.MinTime
	var out []visit
	for range n {
		t += rng.Int64N(step + 1)
		at := t - rng.Int64N(3*delay+1)*int64(rng.IntN(2))
		if rng.IntN(4) == 0 && len(out) > 0 {
			at = out[len(out)-1].t
		}
		maybe := func(v types.Value) types.Value {
			v.Null = rng.IntN(6) == 0
			return v
		}
		who := maybe(types.NewText(fmt.Sprint("u", rng.IntN(4))))
		v := visit{t: at, key: who.Text(), closed: wm}
		if who.Null {
			v.key = "NULL"
		}
		f := types.Value{Type: types.T(types.Float8), F: float64(rng.IntN(1000))/7 - 50}
		v.values = []types.Value{types.NewTime(types.EventTime(at)), who, maybe(types.NewInt(types.Int8, int64(rng.IntN(20)-10))),
			maybe(f), maybe(types.NewText(strings.Repeat(string(rune('a'+rng.IntN(5))), rng.IntN(4)+1)))}
		for i := range v.values {
			if v.values[i].Null {
				v.values[i] = types.Null(v.values[i].Type)
			}
		}
		out = append(out, v)
		wm = max(wm, types.EventTime(at-delay))
	}
	return out
}

// cutStore is a checkpoint that knows workers, as the real one does: Drop is for all, Rewrite for one.
type cutStore struct {
	blocks []cutBlock
	drops  int
	whole  int
}

type cutBlock struct {
	worker int
	slice  int64
	data   []byte
}

type cutWriter struct {
	s      *cutStore
	worker int
}

func (w cutWriter) Block(slice int64, data []byte) error {
	w.s.blocks = append(w.s.blocks, cutBlock{w.worker, slice, data})
	return nil
}

func (w cutWriter) Drop(slice int64) error {
	w.s.drops++
	w.s.blocks = slices.DeleteFunc(w.s.blocks, func(b cutBlock) bool { return b.slice == slice })
	return nil
}

func (w cutWriter) Rewrite(slice int64) error {
	w.s.whole++
	w.s.blocks = slices.DeleteFunc(w.s.blocks, func(b cutBlock) bool { return b.slice == slice && b.worker == w.worker })
	return nil
}

// Blocks gives slices in order, blocks as they were written.
func (s *cutStore) Blocks(fn func(int64, []byte) error) error {
	list := slices.Clone(s.blocks)
	slices.SortStableFunc(list, func(a, b cutBlock) int {
		if a.slice < b.slice {
			return -1
		}
		if a.slice > b.slice {
			return 1
		}
		return 0
	})
	for _, b := range list {
		if err := fn(b.slice, slices.Clone(b.data)); err != nil {
			return err
		}
	}
	return nil
}

// keyedRun drives workers of an operator as a job does.
type keyedRun struct {
	t        testing.TB
	rng      *rand.Rand
	make     func() Operator
	keys     []expr.Expr
	workers  int
	restarts bool // checkpoints, some followed by a restart with another number of workers

	ops    []Operator
	ctx    expr.Ctx
	router *Router
	store  cutStore
	out    []string
	late   []string
	// restarted and snapshots count what happened.
	restarted, snapshots int
	fresh                bool
}

func (k *keyedRun) start() {
	k.ops = k.ops[:0]
	for range k.workers {
		o := check(k.make(), true)
		if err := o.Open(&k.ctx); err != nil {
			k.t.Fatal(err)
		}
		k.ops = append(k.ops, o)
	}
}

func (k *keyedRun) raw(i int) Operator { return k.ops[i].(*checkedStateful).op }

func (k *keyedRun) emitter() Emitter {
	return emitFunc(func(in Input) error {
		for _, r := range in.Sel {
			k.out = append(k.out, rowOf(in.B.Row(nil, int(r))))
		}
		return nil
	})
}

func rowOf(row []types.Value) string {
	var parts []string
	for i, v := range row {
		switch {
		case v.Null:
			parts = append(parts, "NULL")
		case i == 0:
			parts = append(parts, fmt.Sprint(v.I))
		default:
			parts = append(parts, v.Text())
		}
	}
	return strings.Join(parts, " ")
}

// feed passes all rows through, in batches of random size, then the end of the input.
func (k *keyedRun) feed(visits []visit, delay int64) {
	var err error
	if k.router, err = NewRouter(&spec.Exchange{Keys: k.keys}); err != nil {
		k.t.Fatal(err)
	}
	k.router.Open(&expr.Ctx{})
	k.start()
	wm := types.MinTime
	for len(visits) > 0 {
		n := min(1+k.rng.IntN(9), len(visits))
		b := batch.New(&visitSchema, nil)
		for i, v := range visits[:n] {
			b.AppendRow(v.values)
			if v.t < int64(v.closed) {
				b.Behind = append(b.Behind, batch.Behind{Row: uint32(i), Watermark: v.closed})
			}
			wm = max(wm, types.EventTime(v.t-delay))
		}
		visits = visits[n:]
		k.ctx.LateRow = func(row uint32, _ types.EventTime) { k.late = append(k.late, rowOf(b.Row(nil, int(row)))) }
		k.process(b)
		k.advance(wm)
		if k.restarts && k.rng.IntN(5) == 0 {
			k.checkpoint()
		}
	}
	k.advance(types.MaxTime)
}

func (k *keyedRun) process(b *batch.Batch) {
	parts := make([]Part, k.workers)
	if err := k.router.Route(wholeInput(b), parts); err != nil {
		k.t.Fatal(err)
	}
	for i := range parts {
		if len(parts[i].Sel) == 0 {
			continue
		}
		in := parts[i].Input(b)
		if k.rng.IntN(2) == 0 {
			in.Keys = nil // as after a filter
		}
		if err := k.ops[i].Process(0, in, k.emitter()); err != nil {
			k.t.Fatal(err)
		}
	}
}

func (k *keyedRun) advance(wm types.EventTime) {
	for i, o := range k.ops {
		if k.raw(i).(Deadliner).Deadline() > wm {
			continue
		}
		if err := o.Advance(wm, k.emitter()); err != nil {
			k.t.Fatal(err)
		}
	}
}

func (k *keyedRun) checkpoint() {
	k.snapshots++
	if k.fresh { // as in a job: what earlier workers wrote goes, restored state is written whole
		k.store.blocks, k.fresh = nil, false
	}
	for i, o := range k.ops {
		if err := o.(Stateful).Snapshot(cutWriter{&k.store, i}); err != nil {
			k.t.Fatal(err)
		}
	}
	if k.rng.IntN(2) == 0 {
		return
	}
	k.restarted++
	k.fresh = true
	k.workers = 1 + k.rng.IntN(3)
	k.start()
	for i, o := range k.ops {
		own := func(hash uint64) bool { return Owner(hash, k.workers) == i }
		if err := o.(Stateful).Restore(&k.store, own); err != nil {
			k.t.Fatal(err)
		}
	}
}

// sameRows compares rows without their order.
func sameRows(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	slices.Sort(got)
	slices.Sort(want)
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			g, w := "nothing", "nothing"
			if i < len(got) {
				g = got[i]
			}
			if i < len(want) {
				w = want[i]
			}
			t.Fatalf("%s: %d rows, want %d; first difference\ngot  %s\nwant %s", what, len(got), len(want), g, w)
		}
	}
}

// visitBatch is a batch of one row.
func visitBatch(v visit) *batch.Batch {
	b := batch.New(&visitSchema, nil)
	b.AppendRow(v.values)
	return b
}
