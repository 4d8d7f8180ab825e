package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

func sessionSpec(t testing.TB, gap, most int64) *spec.WindowAgg {
	return &spec.WindowAgg{Window: window.Spec{Kind: window.Session, Size: gap, Max: most}, Keys: []expr.Expr{trafficCol("user")}, Aggs: richAggs(t)}
}

func newSession(t testing.TB, s *spec.WindowAgg, having *spec.Filter) *SessionAgg {
	t.Helper()
	a, err := NewSessionAgg(s, outSchema(s))
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

// slowSessions is sessions as they are defined, over lists of rows.
type slowSessions struct {
	gap, most, keep int64
	over            int64 // HAVING count(*) > over
	list            []*slowSession
	first           []string
	late            int
	merged, behind  int
	cut             int // rows that Max kept out of a session
}

type slowSession struct {
	user        string
	rows        []eventRow
	start, last int64
	told        bool
}

func (m *slowSessions) end(s *slowSession) int64 {
	if m.most > 0 {
		return min(s.last+m.gap, s.start+m.most)
	}
	return s.last + m.gap
}

func (m *slowSessions) fits(start, last int64) bool { return m.most == 0 || last-start < m.most }

func (m *slowSessions) text(s *slowSession) string {
	return windowText(s.start, m.end(s), s.user, richText(s.rows))
}

func (m *slowSessions) add(r eventRow) {
	var older, newer *slowSession
	for _, s := range m.list {
		if s.user != r.user || m.end(s)+m.keep <= r.wm {
			continue
		}
		if s.start <= r.t && r.t < m.end(s) && (older == nil || s.start > older.start) {
			older = s
		}
		if s.start > r.t && s.start < r.t+m.gap && (newer == nil || s.start < newer.start) {
			newer = s
		}
	}
	fresh := &slowSession{user: r.user, start: r.t, last: r.t}
	if newer != nil && older == nil {
		end := min(newer.last+m.gap, r.t+m.most)
		if !m.fits(r.t, newer.last) || m.most > 0 && end+m.keep <= r.wm {
			newer = nil
			m.cut++
		}
	}
	switch {
	case older != nil && newer != nil && m.fits(older.start, newer.last):
		older.rows = append(older.rows, newer.rows...)
		older.told = older.told || newer.told
		older.last = max(older.last, newer.last)
		m.list = slices.DeleteFunc(m.list, func(s *slowSession) bool { return s == newer })
		m.merged++
	case older != nil:
	case newer != nil:
		older = newer
	case m.end(fresh)+m.keep <= r.wm:
		m.late++
		return
	default:
		older = fresh
		m.list = append(m.list, fresh)
	}
	if r.t < r.wm {
		m.behind++
	}
	older.rows = append(older.rows, r)
	older.start, older.last = min(older.start, r.t), max(older.last, r.t)
	if !older.told && int64(len(older.rows)) > m.over {
		older.told = true
		m.first = append(m.first, m.text(older))
	}
}

func (m *slowSessions) want() []string {
	var out []string
	for _, s := range m.list {
		if int64(len(s.rows)) > m.over {
			out = append(out, m.text(s))
		}
	}
	slices.Sort(out)
	return out
}

// TestSessionsEqualSlowOnes: random streams, modes, lateness, batches, workers and restarts, against sessions over lists of
// rows.
func TestSessionsEqualSlowOnes(t *testing.T) {
	met := map[string]int{}
	for seed := range uint64(160) {
		rng := rand.New(rand.NewPCG(seed, 11))
		s := sessionSpec(t, 5+rng.Int64N(8), 0)
		lean := seed%2 == 1
		if lean { // HAVING is a range then
			s.Aggs = s.Aggs[:1]
		}
		if rng.IntN(2) == 0 {
			s.Window.Max = 4 + rng.Int64N(40)
		}
		s.Lateness = rng.Int64N(3) * 6
		s.Emit.Mode = []spec.EmitMode{spec.EmitFinal, spec.EmitUpdate, spec.EmitFirst}[rng.IntN(3)]
		m := &slowSessions{gap: s.Window.Size, most: s.Window.Max, keep: s.Lateness, over: rng.Int64N(3)}
		rows := randomRows(rng, 600, 1+rng.IntN(12), 1+rng.Int64N(60), rng.Int64N(30))
		for _, r := range rows {
			m.add(r)
		}
		d := &driver{t: t, rng: rng, batchMax: 1 + rng.IntN(200), restarts: rng.IntN(2) == 0, build: func() unaligned {
			var having *spec.Filter
			if m.over > 0 {
				having = countOver(m.over)
			}
			return newSession(t, s, having)
		}}
		d.run(rows)
		what := fmt.Sprintf("seed %d, mode %d, gap %d, max %d, lateness %d", seed, s.Emit.Mode, s.Window.Size, s.Window.Max, s.Lateness)
		want := m.want()
		if s.Emit.Mode == spec.EmitFirst {
			want = slices.Sorted(slices.Values(m.first))
			if d.out.ops[2]+d.out.ops[3]+d.out.ops[4] > 0 {
				t.Fatalf("%s: corrections", what)
			}
		}
		if lean {
			want = leanRows(want)
		}
		sameUserRows(t, what, d.out.sorted(), want)
		if d.late != int64(m.late) || d.lateMarks != m.late {
			t.Fatalf("%s: %d late rows, %d reported, want %d", what, d.late, d.lateMarks, m.late)
		}
		for _, o := range d.ops {
			if a := o.(*SessionAgg); a.Sessions() != 0 || a.table.Len() != 0 {
				t.Fatalf("%s: %d sessions and %d keys are left", what, a.Sessions(), a.table.Len())
			}
		}
		met["merged"] += m.merged
		met["late"] += m.late
		met["behind"] += m.behind
		met["cut"] += m.cut
		met["restarted"] += d.restarted
		met["dropped"] += d.dropped
		met["rows"] += len(want)
		if s.Emit.Mode == spec.EmitFinal {
			met["corrected"] += d.out.ops[2]
			met["withdrawn"] += d.out.ops[4]
		}
		if s.Emit.Mode == spec.EmitUpdate {
			met["united away"] += d.out.ops[4]
		}
	}
	for _, what := range []string{"merged", "late", "behind", "cut", "restarted", "dropped", "rows", "corrected", "withdrawn", "united away"} {
		if met[what] == 0 {
			t.Errorf("no %s was met: %v", what, met)
		}
	}
}

// TestSessionEdges: half-open to the microsecond.
func TestSessionEdges(t *testing.T) {
	row := func(at int64) eventRow { return eventRow{t: at, user: "a", n: 3, wm: int64(types.MinTime)} }
	for _, c := range []struct {
		name string
		most int64
		rows []eventRow
		want []string
	}{
		{"a row at last + gap begins a new session", 0, []eventRow{row(0), row(9), row(19)},
			[]string{"0 19 a 2 6 {3,3} 1 a", "19 29 a 1 3 {3} 1 a"}},
		{"before it joins", 0, []eventRow{row(-9), row(0), row(9)}, []string{"-9 19 a 3 9 {3,3,3} 1 a"}},
		{"sessions that touch stay two", 0, []eventRow{row(10), row(0)}, []string{"0 10 a 1 3 {3} 1 a", "10 20 a 1 3 {3} 1 a"}},
		{"a row between unites", 0, []eventRow{row(0), row(18), row(9)}, []string{"0 28 a 3 9 {3,3,3} 1 a"}},
		{"a row at first + max begins a new session", 15, []eventRow{row(0), row(9), row(14), row(15), row(20)},
			[]string{"0 15 a 3 9 {3,3,3} 1 a", "15 30 a 2 6 {3,3} 1 a"}},
		{"the end of time", 0, []eventRow{row(int64(types.MaxTime) - 3)}, []string{fmt.Sprintf("%d %d a 1 3 {3} 1 a", int64(types.MaxTime)-3, int64(types.MaxTime))}},
	} {
		d := &driver{t: t, rng: rand.New(rand.NewPCG(1, 1)), batchMax: 1, build: func() unaligned {
			return newSession(t, sessionSpec(t, 10, c.most), nil)
		}}
		d.run(c.rows)
		sameUserRows(t, c.name, d.out.sorted(), c.want)
	}
}

// TestSessionReopensForItsEnd: a session that had ended when its first row came, and that a later row opens again, is told when
// it ends, not when the lateness is over.
func TestSessionReopensForItsEnd(t *testing.T) {
	s := sessionSpec(t, 1000, 0)
	s.Lateness = 3000
	a, out := newSession(t, s, nil), newContent(t)
	if err := a.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	step := func(at int64) {
		t.Helper()
		b := batchOf([]eventRow{{t: at, user: "a", n: 1, wm: 84750}})
		b.Behind = []batch.Behind{{Row: 0, Watermark: 84750}}
		if err := a.Process(0, wholeInput(b), out); err != nil {
			t.Fatal(err)
		}
		if err := a.Advance(84750, out); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Advance(84750, out); err != nil {
		t.Fatal(err)
	}
	step(83750)
	step(84000)
	if due := a.Deadline(); due > 85000 {
		t.Errorf("a session that ends at 85000 is due at %d", due)
	}
	if err := a.Advance(85000, out); err != nil {
		t.Fatal(err)
	}
	sameUserRows(t, "the session", out.sorted(), []string{"83750 85000 a 2 NULL {1,1} 1 a"})
}
