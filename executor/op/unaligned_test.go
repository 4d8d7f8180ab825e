package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// unaligned is what the operators of windows that are not aligned have in common.
type unaligned interface {
	Stateful
	LateCounter
	Deadliner
	Having(f *spec.Filter) error
	Filtered() bool
	OnGroupError(fn func(w window.Window, err error))
	Bytes() int64
}

var (
	_ unaligned = (*SessionAgg)(nil)
	_ unaligned = (*SlideAgg)(nil)
	_ unaligned = (*CountAgg)(nil)
)

// eventRow is a row of a random stream; wm is the watermark just before it.
type eventRow struct {
	t    int64
	user string // "" is NULL
	n    int64
	wm   int64
}

// randomRows makes a stream whose times wander around the watermark.
func randomRows(rng *rand.Rand, n, keys int, jitter, delay int64) []eventRow {
	rows := make([]eventRow, n)
	now, newest := int64(-300), int64(-1<<40)
	wm := int64(types.MinTime)
	for i := range rows {
		if rng.IntN(3) == 0 {
			now += rng.Int64N(6)
		}
		if rng.IntN(100) == 0 {
			now += 30
		}
		r := eventRow{t: now, n: rng.Int64N(9), wm: wm}
		if rng.IntN(3) == 0 {
			r.t -= rng.Int64N(jitter)
		}
		if k := rng.IntN(keys); k > 0 {
			r.user = fmt.Sprint("u", k)
		}
		newest = max(newest, r.t)
		wm = max(wm, newest-delay)
		rows[i] = r
	}
	return rows
}

// batchOf makes a batch of rows, with those behind the watermark marked.
func batchOf(rows []eventRow) *batch.Batch {
	b := batch.New(&trafficSchema, nil)
	for i, r := range rows {
		user := types.NewText(r.user)
		if r.user == "" {
			user = types.Null(types.T(types.Text))
		}
		b.AppendRow([]types.Value{types.NewTime(types.EventTime(r.t)), user, types.NewInt(types.Int8, r.n)})
		if r.t < r.wm {
			b.Behind = append(b.Behind, batch.Behind{Row: uint32(i), Watermark: types.EventTime(r.wm)})
		}
	}
	return b
}

// outSchema is window_start, window_end, keys, aggregates.
func outSchema(s *spec.WindowAgg) *types.Schema {
	out := &types.Schema{Cols: []types.Column{{Name: "window_start", Type: types.T(types.TimestampTZ)}, {Name: "window_end", Type: types.T(types.TimestampTZ)}}}
	for _, k := range s.Keys {
		out.Cols = append(out.Cols, types.Column{Name: k.String(), Type: k.Type()})
	}
	for _, a := range s.Aggs {
		out.Cols = append(out.Cols, types.Column{Name: a.Name, Type: a.Typ})
	}
	return out
}

// richAggs are count(*), sum(n) FILTER (WHERE n > 2), array_agg(n), count(DISTINCT n), max(user).
func richAggs(t testing.TB) []spec.AggCall {
	t.Helper()
	n := trafficCol("n")
	sum := aggOf(t, "sum", n)
	sum.Filter = &expr.Compare{Op: expr.GT, L: n, R: &expr.Const{Val: types.NewInt(types.Int8, 2)}}
	d, _ := agg.Find("count")
	k, _ := d.Bind([]types.Type{n.Type()}, true)
	distinct := spec.AggCall{Name: "count", Kernel: k, Args: []expr.Expr{n}, Distinct: true, Typ: k.Type()}
	return []spec.AggCall{aggOf(t, "count"), sum, aggOf(t, "array_agg", n), distinct, aggOf(t, "max", trafficCol("user"))}
}

// richText is what the aggregates of richAggs are over rows.
func richText(rows []eventRow) string {
	sum, some, user := int64(0), false, ""
	var all []string
	seen := map[int64]bool{}
	for _, r := range rows {
		all = append(all, fmt.Sprint(r.n))
		seen[r.n] = true
		if r.n > 2 {
			sum, some = sum+r.n, true
		}
		user = max(user, r.user)
	}
	parts := []string{fmt.Sprint(len(rows)), "NULL", "{" + strings.Join(all, ",") + "}", fmt.Sprint(len(seen)), "NULL"}
	if some {
		parts[1] = fmt.Sprint(sum)
	}
	if user != "" {
		parts[4] = user
	}
	return strings.Join(parts, " ")
}

// leanRows leaves only the first aggregate of rows, as a query does that has no other.
func leanRows(rows []string) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = strings.Join(strings.Fields(r)[:4], " ")
	}
	slices.Sort(out)
	return out
}

// windowText is a row of the output of an operator that groups by user.
func windowText(start, end int64, user, aggs string) string {
	if user == "" {
		user = "NULL"
	}
	return fmt.Sprint(start, " ", end, " ", user, " ", aggs)
}

// countOver is HAVING count(*) > n, where the only key is user.
func countOver(n int64) *spec.Filter {
	return &spec.Filter{Cond: &expr.Compare{Op: expr.GT, L: &expr.Column{Index: 3, Name: "count", Typ: types.T(types.Int8)},
		R: &expr.Const{Val: types.NewInt(types.Int8, n)}}}
}

// content is the rows that a changelog leaves, and its length.
type content struct {
	rows    map[string]int
	inserts []string
	ops     map[batch.Op]int
	t       *testing.T
	pending bool // an UpdateBefore waits for its UpdateAfter
}

func newContent(t *testing.T) *content {
	return &content{rows: map[string]int{}, ops: map[batch.Op]int{}, t: t}
}

// Emit implements Emitter.
func (c *content) Emit(in Input) error {
	for _, i := range in.Sel {
		var parts []string
		for col, v := range in.B.Row(nil, int(i)) {
			switch {
			case col < 2 && !v.Null:
				parts = append(parts, fmt.Sprint(v.I))
			case v.Null:
				parts = append(parts, "NULL")
			default:
				parts = append(parts, v.Text())
			}
		}
		text := strings.Join(parts, " ")
		op := in.B.Op(int(i))
		c.ops[op]++
		if c.pending != (op == batch.UpdateAfter) {
			c.t.Fatalf("operation %d of %q does not follow its other half", op, text)
		}
		c.pending = op == batch.UpdateBefore
		if op == batch.Insert || op == batch.UpdateAfter {
			c.rows[text]++
			c.inserts = append(c.inserts, text)
			continue
		}
		if c.rows[text]--; c.rows[text] < 0 {
			c.t.Fatalf("%q is taken back but was not there", text)
		}
		if c.rows[text] == 0 {
			delete(c.rows, text)
		}
	}
	if c.pending {
		c.t.Fatal("a batch ends between the halves of an update")
	}
	return nil
}

// sorted returns the rows, each as often as it is there.
func (c *content) sorted() []string {
	var out []string
	for text, n := range c.rows {
		for range n {
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return out
}

// driver passes a stream through workers, with batches cut anywhere, and snapshots and restarts in between.
type driver struct {
	t        *testing.T
	rng      *rand.Rand
	build    func() unaligned
	batchMax int
	restarts bool
	out      *content

	ops       []unaligned
	checked   []Operator // ops, whose use is checked, with inputs and outputs spoiled after each call
	stores    []*memState
	late      int64
	restarted int
	dropped   int
	lateMarks int
}

func (d *driver) run(rows []eventRow) {
	d.t.Helper()
	d.out = newContent(d.t)
	d.start(1+d.rng.IntN(4), nil)
	for len(rows) > 0 {
		n := min(1+d.rng.IntN(d.batchMax), len(rows))
		d.feed(rows[:n])
		w := rows[n-1].wm
		if n < len(rows) {
			w = rows[n].wm
		}
		rows = rows[n:]
		d.advance(types.EventTime(w), d.rng.IntN(4) == 0)
		if d.restarts && d.rng.IntN(4) == 0 {
			d.snapshot()
			if d.rng.IntN(2) == 0 {
				d.restart()
			}
		}
	}
	d.advance(types.MaxTime, true)
	for _, o := range d.ops {
		d.late += o.LateRows()
	}
}

func (d *driver) start(workers int, blocks *memState) {
	d.t.Helper()
	d.ops, d.checked, d.stores = nil, nil, nil
	for i := range workers {
		o := d.build()
		ctx := &expr.Ctx{LateRow: func(uint32, types.EventTime) { d.lateMarks++ }}
		c := check(o, true)
		if err := c.Open(ctx); err != nil {
			d.t.Fatal(err)
		}
		if blocks != nil {
			if err := c.(Stateful).Restore(blocks, func(hash uint64) bool { return Owner(hash, workers) == i }); err != nil {
				d.t.Fatal(err)
			}
		}
		d.ops, d.checked, d.stores = append(d.ops, o), append(d.checked, c), append(d.stores, &memState{})
	}
}

func (d *driver) feed(rows []eventRow) {
	d.t.Helper()
	b := batchOf(rows)
	for i, p := range routed(d.t, wholeInput(b), []expr.Expr{trafficCol("user")}, len(d.ops)) {
		if err := d.checked[i].Process(0, p.Input(b), d.out); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *driver) advance(w types.EventTime, always bool) {
	d.t.Helper()
	for i, o := range d.ops {
		if always || o.Deadline() <= w {
			if err := d.checked[i].Advance(w, d.out); err != nil {
				d.t.Fatal(err)
			}
			if o.Deadline() <= w && w != types.MaxTime {
				d.t.Fatalf("at %d the deadline is %d", w, o.Deadline())
			}
		}
	}
}

func (d *driver) snapshot() {
	d.t.Helper()
	for i, o := range d.ops {
		if err := o.Snapshot(d.stores[i]); err != nil {
			d.t.Fatal(err)
		}
		d.dropped += d.stores[i].rewrite
		d.stores[i].rewrite = 0
	}
}

// restart gives the blocks of all workers to new ones, slice by slice in the order they were written.
func (d *driver) restart() {
	d.t.Helper()
	all := &memState{}
	var starts []int64
	for _, s := range d.stores {
		starts = append(starts, s.starts...)
	}
	slices.Sort(starts)
	for _, start := range slices.Compact(starts) {
		for _, s := range d.stores {
			for i := range s.starts {
				if s.starts[i] == start {
					_ = all.Block(start, s.blocks[i])
				}
			}
		}
	}
	for _, o := range d.ops {
		d.late += o.LateRows()
	}
	d.restarted++
	d.start(1+d.rng.IntN(4), all)
}

func sameUserRows(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	shown := 0
	for i := 0; i < max(len(got), len(want)) && shown < 4; i++ {
		g, w := "-", "-"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%s: row %d\n got %s\nwant %s", what, i, g, w)
			shown++
		}
	}
	t.Fatalf("%s: %d rows, want %d", what, len(got), len(want))
}
