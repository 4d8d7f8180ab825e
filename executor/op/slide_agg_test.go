package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

func slideSpec(t testing.TB, size int64) *spec.WindowAgg {
	return &spec.WindowAgg{Window: window.Spec{Kind: window.Slide, Size: size}, Keys: []expr.Expr{trafficCol("user")}, Aggs: richAggs(t),
		Emit: spec.Emit{Mode: spec.EmitUpdate}}
}

func newSlide(t testing.TB, s *spec.WindowAgg, having *spec.Filter) *SlideAgg {
	t.Helper()
	a, err := NewSlideAgg(s, outSchema(s))
	if err != nil {
		t.Fatal(err)
	}
	a.saved.width = 7
	if having != nil {
		if err := a.Having(having); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// slowSlide is sliding windows as they are defined: all rows are kept, each window is made anew.
type slowSlide struct {
	size, keep, over int64
	rows             map[string][]*slowRow // by user, in order of time and arrival
	first            []string
	met              map[string]int
}

type slowRow struct {
	eventRow
	shown string // the result, "" for none
	on    bool
}

// window returns the rows in the window of row i.
func (m *slowSlide) window(rows []*slowRow, i int) (in []eventRow) {
	for _, r := range rows[:i+1] {
		if r.t > rows[i].t-m.size {
			in = append(in, r.eventRow)
		}
	}
	return in
}

func (m *slowSlide) add(r eventRow) {
	final := r.wm - m.keep
	if r.wm == int64(types.MinTime) {
		final = r.wm
	}
	if r.t+m.size <= final {
		m.met["late"]++
		return
	}
	rows := m.rows[r.user]
	at := len(rows)
	for at > 0 && rows[at-1].t > r.t {
		at--
	}
	if at > 0 && rows[at-1].t == r.t {
		m.met["ties"]++
	}
	rows = slices.Insert(rows, at, &slowRow{eventRow: r})
	m.rows[r.user] = rows
	var was []bool
	for _, u := range rows {
		was = append(was, u.on)
	}
	for i := at; i < len(rows) && rows[i].t < r.t+m.size; i++ {
		u := rows[i]
		if i > at && u.t < final {
			m.met["final"]++
			continue
		}
		if u.t < final {
			m.met["no result"]++
			continue
		}
		in := m.window(rows, i)
		u.on = int64(len(in)) > m.over
		if i > at {
			m.met["corrected"]++
		}
		u.shown = ""
		if u.on {
			u.shown = windowText(u.t-m.size, u.t, u.user, richText(in))
		}
	}
	for i := at; i < len(rows) && rows[i].t < r.t+m.size; i++ {
		if rows[i].t < final || !rows[i].on || i > 0 && rows[i-1].on && rows[i-1].t > rows[i].t-m.size {
			continue
		}
		told := false
		for j := i; j < len(rows) && rows[j].on && (j == i || rows[j].t < rows[j-1].t+m.size); j++ {
			told = told || was[j]
		}
		if told {
			m.met["run told"]++
			continue
		}
		if i > at {
			m.met["told by another"]++
		}
		m.first = append(m.first, rows[i].shown)
	}
}

func (m *slowSlide) want() []string {
	var out []string
	for _, rows := range m.rows {
		for _, r := range rows {
			if r.shown != "" {
				out = append(out, r.shown)
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestSlideEqualsSlowOne: random streams, modes, lateness, batches, workers and restarts, against windows made anew for each row.
func TestSlideEqualsSlowOne(t *testing.T) {
	met := map[string]int{}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 12))
		s := slideSpec(t, 1+rng.Int64N(40))
		lean := seed%3 == 1
		if lean { // HAVING is a range then
			s.Aggs = s.Aggs[:1]
		}
		s.Lateness = rng.Int64N(3) * 8
		s.Emit.Mode = []spec.EmitMode{spec.EmitFinal, spec.EmitUpdate, spec.EmitFirst}[rng.IntN(3)]
		m := &slowSlide{size: s.Window.Size, keep: s.Lateness, over: rng.Int64N(4), rows: map[string][]*slowRow{}, met: met}
		rows := randomRows(rng, 500, 1+rng.IntN(8), 1+rng.Int64N(60), rng.Int64N(30))
		late := met["late"]
		for _, r := range rows {
			m.add(r)
		}
		late = met["late"] - late
		d := &driver{t: t, rng: rng, batchMax: 1 + rng.IntN(200), restarts: rng.IntN(2) == 0, build: func() unaligned {
			var having *spec.Filter
			if m.over > 0 {
				having = countOver(m.over)
			}
			a := newSlide(t, s, having)
			a.running = a.running && seed%3 != 0
			return a
		}}
		d.run(rows)
		what := fmt.Sprintf("seed %d, mode %d, size %d, lateness %d, over %d, restarted %d", seed, s.Emit.Mode, s.Window.Size, s.Lateness, m.over, d.restarted)
		want := m.want()
		if s.Emit.Mode == spec.EmitFirst {
			want = slices.Sorted(slices.Values(m.first))
		}
		if lean {
			want = leanRows(want)
		}
		sameUserRows(t, what, d.out.sorted(), want)
		if d.late != int64(late) || d.lateMarks != late {
			t.Fatalf("%s: %d late rows, %d reported, want %d", what, d.late, d.lateMarks, late)
		}
		if s.Emit.Mode != spec.EmitUpdate && s.Lateness == 0 && d.out.ops[2]+d.out.ops[4] > 0 {
			t.Fatalf("%s: corrections", what)
		}
		for _, o := range d.ops {
			if a := o.(*SlideAgg); a.Rows() != 0 || a.table.Len() != 0 {
				t.Fatalf("%s: %d rows and %d keys are left", what, a.Rows(), a.table.Len())
			}
		}
		met["restarted"] += d.restarted
		met["dropped"] += d.dropped
		met["rows"] += len(want)
		met["updated"] += d.out.ops[2]
	}
	for _, what := range []string{"late", "ties", "final", "no result", "corrected", "run told", "told by another", "restarted", "dropped", "rows", "updated"} {
		if met[what] == 0 {
			t.Errorf("no %s was met: %v", what, met)
		}
	}
}

// TestSlideScript: what goes out, to the row.
func TestSlideScript(t *testing.T) {
	row := func(at int64) eventRow { return eventRow{t: at, user: "a", n: 1, wm: int64(types.MinTime)} }
	s := slideSpec(t, 10)
	s.Aggs = s.Aggs[:1]
	for _, c := range []struct {
		mode spec.EmitMode
		rows []eventRow
		want []string
	}{
		{spec.EmitUpdate, []eventRow{row(0), row(9), row(9), row(10), row(5)},
			[]string{"-1 9 a 3", "0 10 a 3", "-1 9 a 2", "-5 5 a 2", "-1 9 a 3", "-1 9 a 4", "0 10 a 4"}},
		{spec.EmitFirst, []eventRow{row(0), row(9), row(10), row(30), row(31), row(5), row(-3)}, []string{"-1 9 a 2", "21 31 a 2"}},
		{spec.EmitFinal, []eventRow{row(9), row(0), row(5)}, []string{"-5 5 a 2", "-1 9 a 3"}},
	} {
		spec := *s
		spec.Emit.Mode = c.mode
		over := int64(1)
		d := &driver{t: t, rng: rand.New(rand.NewPCG(1, 1)), batchMax: 1, build: func() unaligned { return newSlide(t, &spec, countOver(over)) }}
		d.run(c.rows)
		got := d.out.inserts
		want := c.want
		if c.mode == 1 {
			want = want[2:]
			want = append([]string{"-1 9 a 2", "-1 9 a 3", "0 10 a 3", "-5 5 a 2", "-1 9 a 3", "-1 9 a 4", "0 10 a 4"}, want[:0]...)
		}
		sameUserRows(t, fmt.Sprint("mode ", c.mode), got, want)
	}
}

// TestSlideErrorsOnce: the error of a result, or of its HAVING, is not told again when a row that comes out of order corrects the result; the
// error of the corrected one is.
func TestSlideErrorsOnce(t *testing.T) {
	sum := aggOf(t, "sum", trafficCol("n"))
	d, _ := agg.Find("sum")
	sum.Kernel, _ = d.Bind([]types.Type{types.T(types.Int4)}, false) // a sum that is bigint and can overflow
	sum.Typ = sum.Kernel.Type()
	inverse := failing().(*expr.Call)
	inverse.Args = []expr.Expr{&expr.Column{Index: 3, Name: "sum", Typ: sum.Typ}}
	const big = 1 << 62
	for _, c := range []struct {
		name   string
		having *spec.Filter
		rows   []eventRow
		want   []string
	}{
		{"result", nil, []eventRow{{t: 1, n: big}, {t: 10, n: big}, {t: 5, n: -big}, {t: 3, n: big}, {t: 4, n: 1}},
			[]string{"10 22003", "3 22003", "10 22003", "4 22003", "10 22003"}},
		{"having", &spec.Filter{Cond: &expr.Compare{Op: expr.GT, L: inverse, R: &expr.Const{Val: types.NewInt(types.Int8, -1)}}},
			[]eventRow{{t: 1, n: 5}, {t: 10, n: -5}, {t: 5, n: 1}, {t: 6, n: -1}}, []string{"10 22012", "10 22012"}},
	} {
		s := slideSpec(t, 100)
		s.Aggs = []spec.AggCall{sum}
		a := newSlide(t, s, c.having)
		if err := a.Open(&expr.Ctx{RowError: func(uint32, error) {}}); err != nil {
			t.Fatal(err)
		}
		var told []string
		a.OnGroupError(func(w window.Window, err error) {
			told = append(told, fmt.Sprint(int64(w.End), " ", sqlerr.CodeOf(err)))
		})
		out := newContent(t)
		for _, r := range c.rows {
			r.user, r.wm = "a", int64(types.MinTime)
			if err := a.Process(0, wholeInput(batchOf([]eventRow{r})), out); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(told, c.want) {
			t.Errorf("%s: told %v, not %v", c.name, told, c.want)
		}
	}
}
