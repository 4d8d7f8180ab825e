package op

import (
	"cmp"
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

// paneQuery is a query of these tests over trafficSchema, grouped by user: count(*), sum(n), max(user), count(DISTINCT n),
// and with inOrder also array_agg(n); with exact only the first two, which can be taken back,
// and with having only the first.
type paneQuery struct {
	kind                      window.Kind // None: no window
	size, slide, offset, pane int64
	mode                      spec.EmitMode
	every, lateness           int64
	having                    bool // count(*) BETWEEN 2 AND 4
	inOrder, exact            bool
}

type paneRow struct {
	at   int64
	user string // "" is NULL
	n    int64
}

func (q paneQuery) build(t testing.TB, ctx *expr.Ctx) Grouper {
	t.Helper()
	keys := []expr.Expr{trafficCol("user")}
	aggs := []spec.AggCall{aggOf(t, "count"), aggOf(t, "sum", trafficCol("n"))}
	switch {
	case q.exact && q.having:
		aggs = aggs[:1] // HAVING is a range then
	case !q.exact:
		aggs = append(aggs, aggOf(t, "max", trafficCol("user")), distinctCount(t))
	}
	if q.inOrder {
		aggs = append(aggs, aggOf(t, "array_agg", trafficCol("n")))
	}
	var cols []types.Column
	if q.kind != window.None {
		ts := types.T(types.TimestampTZ)
		cols = []types.Column{{Name: "window_start", Type: ts}, {Name: "window_end", Type: ts}}
	}
	first := len(cols) + 1
	cols = append(cols, types.Column{Name: "user", Type: types.T(types.Text)})
	for _, a := range aggs {
		cols = append(cols, types.Column{Name: a.Name, Type: a.Typ})
	}
	schema, emit := &types.Schema{Cols: cols}, spec.Emit{Mode: q.mode, Every: q.every}
	var g Grouper
	var err error
	if q.kind == window.None {
		g, err = NewGroupAgg(&spec.GroupAgg{Keys: keys, Aggs: aggs, Emit: emit, TimeCol: 0}, schema)
	} else {
		w := window.Spec{Kind: q.kind, Size: q.size, Slide: q.slide, Offset: q.offset}
		g, err = NewPaneAgg(&spec.WindowAgg{Window: w, Keys: keys, Aggs: aggs, Emit: emit, Lateness: q.lateness}, schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	if q.having {
		count := &expr.Column{Index: first, Name: "count", Typ: types.T(types.Int8)}
		bound := func(op expr.CmpOp, n int64) expr.Expr {
			return &expr.Compare{Op: op, L: count, R: &expr.Const{Val: types.NewInt(types.Int8, n)}}
		}
		if err := g.Having(&spec.Filter{Cond: &expr.And{Args: []expr.Expr{bound(expr.GE, 2), bound(expr.LE, 4)}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Open(ctx); err != nil {
		t.Fatal(err)
	}
	return g
}

func distinctCount(t testing.TB) spec.AggCall {
	t.Helper()
	a := aggOf(t, "count", trafficCol("n"))
	d, _ := agg.Find("count")
	k, ok := d.Bind([]types.Type{types.T(types.Int8)}, true)
	if !ok {
		t.Fatal("count(DISTINCT bigint) is not known")
	}
	a.Kernel, a.Distinct = k, true
	return a
}

// windows counts out, in the order of their ends, those that hold a time.
func (q paneQuery) windows(at int64) [][2]int64 {
	var out [][2]int64
	floor := func(t, step int64) int64 {
		n := (t - q.offset) / step
		for n*step+q.offset > t {
			n--
		}
		return n*step + q.offset
	}
	switch q.kind {
	case window.None:
		return [][2]int64{{0, 0}}
	case window.Tumble:
		s := floor(at, q.size)
		return [][2]int64{{s, s + q.size}}
	case window.Hop:
		for s := floor(at, q.slide); s+q.size > at; s -= q.slide {
			out = append([][2]int64{{s, s + q.size}}, out...)
		}
	case window.Cumulate:
		base := floor(at, q.size)
		for e := base + q.slide; e <= base+q.size; e += q.slide {
			if e > at {
				out = append(out, [2]int64{base, e})
			}
		}
	}
	return out
}

// slowGroup is a group of a window: its rows, in order of arrival.
type slowGroup struct {
	win   [2]int64
	user  string
	rows  []paneRow
	fired bool
}

// text is the group's row, "" when it does not pass.
func (q paneQuery) text(g *slowGroup) string {
	if q.having && (len(g.rows) < 2 || len(g.rows) > 4) {
		return ""
	}
	rows := slices.Clone(g.rows)
	if q.kind != window.None { // panes in order, and in them the order of arrival
		slices.SortStableFunc(rows, func(a, b paneRow) int {
			return cmp.Compare(slowFloor(a.at-q.offset, q.pane), slowFloor(b.at-q.offset, q.pane))
		})
	}
	sum, values, list := int64(0), map[int64]bool{}, []string{}
	for _, r := range rows {
		sum += r.n
		values[r.n] = true
		list = append(list, fmt.Sprint(r.n))
	}
	user := g.user
	if user == "" {
		user = "NULL"
	}
	text := fmt.Sprintf("%s %d", user, len(rows))
	if !q.exact || !q.having {
		text += fmt.Sprintf(" %d", sum)
	}
	if !q.exact {
		text += fmt.Sprintf(" %s %d", user, len(values))
	}
	if q.inOrder {
		text += " {" + strings.Join(list, ",") + "}"
	}
	if q.kind != window.None {
		text = fmt.Sprintf("%d %d %s", g.win[0], g.win[1], text)
	}
	return text
}

func slowFloor(t, step int64) int64 {
	n := t / step
	for n*step > t {
		n--
	}
	return n
}

// slowAnswer is what a query gives.
type slowAnswer struct {
	final []string // the rows that are left in the end, sorted
	first []string // EMIT FIRST: in order
	late  []string
	// how often the interesting cases came up
	partial, corrected, gaps int
}

// slowly computes the answer row by row.
func (q paneQuery) slowly(rows []paneRow, delay int64) slowAnswer {
	var out slowAnswer
	groups := map[string]*slowGroup{}
	watermark := int64(types.MinTime)
	for _, r := range rows {
		wins := q.windows(r.at)
		kept := 0
		for _, w := range wins {
			if q.kind != window.None && watermark != int64(types.MinTime) && w[1]+q.lateness <= watermark {
				continue
			}
			kept++
			if w[1] <= watermark && q.kind != window.None {
				out.corrected++
			}
			id := fmt.Sprint(w, r.user)
			if groups[id] == nil {
				groups[id] = &slowGroup{win: w, user: r.user}
			}
			g := groups[id]
			g.rows = append(g.rows, r)
			if text := q.text(g); q.mode == spec.EmitFirst && !g.fired && text != "" {
				g.fired = true
				out.first = append(out.first, text)
			}
		}
		switch {
		case len(wins) == 0:
			out.gaps++
		case kept == 0:
			out.late = append(out.late, fmt.Sprint(r))
		case kept < len(wins):
			out.partial++
		}
		watermark = max(watermark, r.at-delay)
	}
	for _, g := range groups {
		if text := q.text(g); text != "" {
			out.final = append(out.final, text)
		}
	}
	slices.Sort(out.final)
	return out
}

// paneRun is a query in work.
type paneRun struct {
	t       *testing.T
	q       paneQuery
	rng     *rand.Rand
	workers []Grouper
	router  *Router
	ctx     expr.Ctx
	store   workerState
	fresh   bool // since a restart there has been no snapshot
	lazy    bool // Advance only when something is due

	watermark types.EventTime
	current   []paneRow
	late      []string
	log       []string // op and row
	updates   int
	restored  int
}

func (r *paneRun) start(workers int) {
	r.t.Helper()
	r.ctx.LateRow = func(row uint32, wm types.EventTime) {
		if wm < r.watermark && wm == types.MinTime {
			r.t.Errorf("late by %d", wm)
		}
		r.late = append(r.late, fmt.Sprint(r.current[row]))
	}
	router, err := NewRouter(&spec.Exchange{Keys: []expr.Expr{trafficCol("user")}})
	if err != nil {
		r.t.Fatal(err)
	}
	router.Open(&r.ctx)
	r.router, r.workers = router, nil
	for range workers {
		w := r.q.build(r.t, &r.ctx)
		w.(*PaneAgg).renumberMin = r.rng.IntN(6)
		r.workers = append(r.workers, w)
	}
}

func (r *paneRun) feed(rows []paneRow, delay int64) {
	r.t.Helper()
	b := batch.New(&trafficSchema, nil)
	for i, row := range rows {
		user := types.NewText(row.user)
		if row.user == "" {
			user = types.Null(types.T(types.Text))
		}
		b.AppendRow([]types.Value{types.NewTime(types.EventTime(row.at)), user, types.NewInt(types.Int8, row.n)})
		if types.EventTime(row.at) < r.watermark {
			b.Behind = append(b.Behind, batch.Behind{Row: uint32(i), Watermark: r.watermark})
		}
		r.watermark = max(r.watermark, types.EventTime(row.at-delay))
	}
	r.current = rows
	parts := make([]Part, len(r.workers))
	if err := r.router.Route(wholeInput(b), parts); err != nil {
		r.t.Fatal(err)
	}
	for i, w := range r.workers {
		if len(parts[i].Sel) > 0 {
			if err := w.Process(0, parts[i].Input(b), emitFunc(r.take)); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	r.tell(r.watermark)
}

func (r *paneRun) tell(wm types.EventTime) {
	r.t.Helper()
	for _, w := range r.workers {
		if r.lazy && w.Deadline() > wm {
			continue
		}
		if err := w.Advance(wm, emitFunc(r.take)); err != nil {
			r.t.Fatal(err)
		}
		if d := w.Deadline(); d <= wm && wm != types.MaxTime {
			r.t.Fatalf("at %d something is still due at %d", wm, d)
		}
	}
}

// endEpoch ends an epoch in all workers.
func (r *paneRun) endEpoch() {
	r.t.Helper()
	for _, w := range r.workers {
		for _, f := range []func() error{
			func() error { return w.Advance(r.watermark, emitFunc(r.take)) },
			func() error { return w.(EpochEnder).EndEpoch(emitFunc(r.take)) }} {
			if err := f(); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

func (r *paneRun) take(in Input) error {
	if rule := badInput(in); rule != "" || len(in.Sel) == 0 {
		r.t.Fatalf("bad output: %s", rule)
	}
	for _, row := range in.Sel {
		var parts []string
		for c, v := range in.B.Row(nil, int(row)) {
			if r.q.kind != window.None && c < 2 {
				parts = append(parts, fmt.Sprint(v.I))
				continue
			}
			if v.Null {
				parts = append(parts, "NULL")
				continue
			}
			parts = append(parts, v.Text())
		}
		op := in.B.Op(int(row))
		if op == batch.UpdateBefore {
			r.updates++
			if in.B.Op(int(row)+1) != batch.UpdateAfter {
				r.t.Fatal("an update before without its after")
			}
		}
		text := strings.Join(parts, " ")
		if op == batch.UpdateAfter && r.log[len(r.log)-1][1:] == text {
			r.t.Fatalf("%s is told again", text)
		}
		r.log = append(r.log, string("?+-+-"[op])+text)
	}
	return nil
}

// restart takes a snapshot and goes on from it with other workers.
func (r *paneRun) restart() {
	r.t.Helper()
	r.endEpoch()
	if r.fresh { // as in a job, which forgets all that earlier workers wrote
		r.store.blocks, r.fresh = nil, false
	}
	for i, w := range r.workers {
		if err := w.Snapshot(&workerPart{&r.store, i}); err != nil {
			r.t.Fatal(err)
		}
	}
	if r.rng.IntN(2) == 0 {
		return
	}
	r.restored++
	r.fresh = true
	r.start(1 + r.rng.IntN(3))
	for i, w := range r.workers {
		own := func(hash uint64) bool { return Owner(hash, len(r.workers)) == i }
		if err := w.Restore(&r.store, own); err != nil {
			r.t.Fatal(err)
		}
	}
}

// current is what a changelog leaves; it must be valid at each step.
func (r *paneRun) left() []string {
	r.t.Helper()
	have := map[string]int{}
	for _, l := range r.log {
		if l[0] == '+' {
			have[l[1:]]++
			continue
		}
		if have[l[1:]]--; have[l[1:]] < 0 {
			r.t.Fatalf("%s is taken back, but is not there", l[1:])
		}
	}
	var out []string
	for row, n := range have {
		for range n {
			out = append(out, row)
		}
	}
	slices.Sort(out)
	return out
}

// workerState is a checkpoint in memory that knows who wrote what.
type workerState struct{ blocks []workerBlock }

type workerBlock struct {
	slice  int64
	worker int
	data   []byte
}

type workerPart struct {
	s      *workerState
	worker int
}

func (w *workerPart) Block(slice int64, data []byte) error {
	w.s.blocks = append(w.s.blocks, workerBlock{slice, w.worker, data})
	return nil
}

func (w *workerPart) Drop(slice int64) error {
	w.s.blocks = slices.DeleteFunc(w.s.blocks, func(b workerBlock) bool { return b.slice == slice })
	return nil
}

func (w *workerPart) Rewrite(slice int64) error {
	w.s.blocks = slices.DeleteFunc(w.s.blocks, func(b workerBlock) bool { return b.slice == slice && b.worker == w.worker })
	return nil
}

func (s *workerState) Blocks(fn func(int64, []byte) error) error {
	blocks := slices.Clone(s.blocks)
	slices.SortStableFunc(blocks, func(a, b workerBlock) int { return cmp.Compare(a.slice, b.slice) })
	for _, b := range blocks {
		if err := fn(b.slice, slices.Clone(b.data)); err != nil {
			return err
		}
	}
	return nil
}

func randomPaneQuery(rng *rand.Rand) paneQuery {
	q := paneQuery{kind: []window.Kind{window.None, window.Tumble, window.Hop, window.Hop, window.Cumulate}[rng.IntN(5)],
		mode: spec.EmitMode(rng.IntN(4)), having: rng.IntN(2) == 0, inOrder: rng.IntN(3) == 0}
	q.exact = !q.inOrder && rng.IntN(2) == 0
	q.size, q.slide, q.offset = 1+rng.Int64N(40), 1+rng.Int64N(12), rng.Int64N(30)-15
	switch q.kind {
	case window.None:
		q.mode = max(q.mode, spec.EmitUpdate)
	case window.Tumble:
		q.slide, q.pane = q.size, q.size
	case window.Hop:
		for q.pane = min(q.size, q.slide); q.size%q.pane != 0 || q.slide%q.pane != 0; q.pane-- {
		}
	case window.Cumulate:
		q.size, q.pane = q.slide*(1+rng.Int64N(6)), q.slide
	}
	if q.mode == spec.EmitEvery {
		q.every = 1 + rng.Int64N(20)
	}
	if rng.IntN(2) == 0 && q.kind != window.None {
		q.lateness = rng.Int64N(60)
	}
	return q
}

func randomPaneRows(rng *rand.Rand, n int) []paneRow {
	rows := make([]paneRow, n)
	now := rng.Int64N(400) - 300
	for i := range rows {
		now += rng.Int64N(3)
		if rng.IntN(40) == 0 {
			now += rng.Int64N(200)
		}
		rows[i] = paneRow{at: now - rng.Int64N(30)*rng.Int64N(2), user: []string{"", "a", "b", "root", "x"}[rng.IntN(5)], n: rng.Int64N(4) - 1}
	}
	return rows
}

// TestPaneAggLaws: whatever the batches, workers, snapshots and restarts, what is left of the changelog is the answer of the
// slow model; the order of windows that emit once, and of EMIT FIRST, is too.
func TestPaneAggLaws(t *testing.T) {
	var hit slowAnswer
	late, updates, restored := 0, 0, 0
	for seed := range uint64(250) {
		rng := rand.New(rand.NewPCG(seed, 7))
		q := randomPaneQuery(rng)
		rows, delay := randomPaneRows(rng, 60+rng.IntN(200)), rng.Int64N(25)
		want := q.slowly(rows, delay)
		hit.partial, hit.corrected, hit.gaps = hit.partial+want.partial, hit.corrected+want.corrected, hit.gaps+want.gaps
		late += len(want.late)
		for variant := range 4 {
			r := &paneRun{t: t, q: q, rng: rng, watermark: types.MinTime, lazy: rng.IntN(2) == 0}
			most := []int{1, 1 << 20, 30, 20}[variant]
			r.start(1 + variant%3)
			for left := rows; len(left) > 0; {
				n := min(1+rng.IntN(most), len(left))
				r.feed(left[:n], delay)
				if left = left[n:]; variant == 3 && rng.IntN(3) == 0 {
					r.restart()
				}
			}
			r.tell(types.MaxTime)
			updates, restored = updates+r.updates, restored+r.restored
			what := fmt.Sprintf("seed %d variant %d %+v delay %d", seed, variant, q, delay)
			slices.Sort(r.late)
			slices.Sort(want.late)
			checkSame(t, what+": late", r.late, want.late)
			if q.mode == spec.EmitFirst {
				checkFirst(t, what, r, want.first)
			} else {
				checkSame(t, what, r.left(), want.final)
			}
			if q.mode == spec.EmitFinal && q.lateness == 0 && len(r.log) != len(want.final) {
				t.Fatalf("%s: %d rows are told, of which %d are left", what, len(r.log), len(want.final))
			}
			for _, w := range r.workers {
				if n := w.(*PaneAgg).Groups(); n != 0 && q.kind != window.None {
					t.Fatalf("%s: %d groups are left", what, n)
				}
			}
		}
	}
	if late < 300 || hit.partial < 300 || hit.corrected < 300 || hit.gaps < 20 || updates < 1000 || restored < 200 {
		t.Fatalf("too tame: %d late, %+v, %d updates, %d restarts", late, hit, updates, restored)
	}
}

func checkFirst(t *testing.T, what string, r *paneRun, want []string) {
	t.Helper()
	got := make([]string, len(r.log))
	for i, l := range r.log {
		got[i] = strings.TrimPrefix(l, "+")
	}
	if len(r.workers) > 1 || r.restored > 0 {
		want = slices.Clone(want)
		slices.Sort(got)
		slices.Sort(want)
	}
	checkSame(t, what, got, want)
}

func checkSame(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Fatalf("%s: %d rows, want %d; row %d is\n%s\nwant\n%s", what, len(got), len(want), i, g, w)
		}
	}
}
