package op_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// seqStage is a step of a random sequence: a row whose c is in of; missing are the rows that must not come before it.
type seqStage struct{ of, missing string }

// seqModel finds sequences as EQL describes them, stage by stage over all rows: each row that fits a stage takes the latest
// sequence of the stage before that ends before it, and those that are older are gone.
type seqModel struct {
	stages               []seqStage
	before, after, until string
	within               int64
}

func (md *seqModel) hits(of string, e event) bool { return of != "" && strings.Contains(of, e.c) }

// anyHit: a row of the kind lies at an index in [from, to).
func (md *seqModel) anyHit(of string, rows []event, from, to int) bool {
	for i := from; i < to; i++ {
		if md.hits(of, rows[i]) {
			return true
		}
	}
	return false
}

func (md *seqModel) run(events []event) (out []string) {
	byKey := map[string][]event{}
	for _, e := range events {
		byKey[e.k] = append(byKey[e.k], e)
	}
	for k, rows := range byKey {
		sort.SliceStable(rows, func(i, j int) bool { return rows[i].ts < rows[j].ts })
		var waiting [][]int
		for i, e := range rows {
			if md.hits(md.stages[0].of, e) && !md.head(rows, i) {
				waiting = append(waiting, []int{i})
			}
		}
		for _, st := range md.stages[1:] {
			waiting = md.next(st, rows, waiting)
		}
		for _, w := range waiting {
			first, last := rows[w[0]], rows[w[len(w)-1]]
			if md.after != "" {
				to := w[len(w)-1] + 1
				for to < len(rows) && rows[to].ts-first.ts <= md.within {
					to++
				}
				if md.anyHit(md.after, rows, w[len(w)-1]+1, to) {
					continue
				}
			}
			sum := int64(0)
			for _, i := range w {
				sum += rows[i].x
			}
			out = append(out, fmt.Sprint(k, " ", first.ts, " ", last.ts, " ", first.x, " ", len(w), " ", sum))
		}
	}
	slices.Sort(out)
	return out
}

// head: a row that must not come before the sequence lies in the time before row i.
func (md *seqModel) head(rows []event, i int) bool {
	from := i
	for from > 0 && rows[i].ts-rows[from-1].ts <= md.within {
		from--
	}
	return md.anyHit(md.before, rows, from, i)
}

func (md *seqModel) next(st seqStage, rows []event, waiting [][]int) (out [][]int) {
	for i, e := range rows {
		if !md.hits(st.of, e) {
			continue
		}
		var latest []int
		for len(waiting) > 0 && waiting[0][len(waiting[0])-1] < i {
			latest, waiting = waiting[0], waiting[1:]
		}
		if latest == nil {
			continue
		}
		end := latest[len(latest)-1]
		if md.within > 0 && e.ts-rows[latest[0]].ts > md.within || md.anyHit(md.until, rows, end, i) || md.anyHit(st.missing, rows, end+1, i) {
			continue
		}
		out = append(out, append(slices.Clone(latest), i))
	}
	return out
}

// randomSequence makes a query and its model.
func randomSequence(r *rand.Rand) (string, *seqModel) {
	kind := func() string { return []string{"a", "b", "c", "ab", "bc"}[r.IntN(5)] }
	cond := func(of string) string {
		return "[s WHERE c IN ('" + strings.Join(strings.Split(of, ""), "', '") + "')]"
	}
	md := &seqModel{within: r.Int64N(2) * (1 + r.Int64N(15))}
	var sb strings.Builder
	sb.WriteString("SEQUENCE BY k")
	if md.within > 0 {
		fmt.Fprintf(&sb, " WITHIN INTERVAL '%d microseconds'", md.within)
	}
	missing := ""
	for i, n := 0, 1+r.IntN(3); i < n; i++ {
		if md.within > 0 && r.IntN(3) == 0 {
			missing = kind()
			sb.WriteString(" !" + cond(missing))
		}
		if i == 0 {
			md.before, missing = missing, ""
		}
		of := kind()
		sb.WriteString(" " + cond(of))
		times := 1
		if r.IntN(4) == 0 {
			times = 2 + r.IntN(2)
			fmt.Fprintf(&sb, " {%d,}", times)
		}
		if i == 0 {
			sb.WriteString(" AS f")
		}
		for range times {
			md.stages = append(md.stages, seqStage{of, missing})
			missing = ""
		}
	}
	if md.within > 0 && r.IntN(3) == 0 {
		md.after = kind()
		sb.WriteString(" !" + cond(md.after))
	}
	if r.IntN(3) == 0 {
		md.until = kind()
		sb.WriteString(" UNTIL " + cond(md.until))
	}
	sb.WriteString(" MEASURES FIRST(f.x) AS x, count(*) AS n, sum(f.x) + 0 AS unused")
	return sb.String(), md
}

func TestSequenceModel(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var found, late, restarts, absent int
	for range 3000 {
		sql, md := randomSequence(r)
		delay := r.Int64N(4)
		events := make([]event, 5+r.IntN(40))
		now := int64(-20)
		for i := range events {
			now += r.Int64N(3)
			events[i] = event{now - r.Int64N(5), []string{"p", "q"}[r.IntN(2)], string(rune('a' + r.IntN(4))), r.Int64N(8)}
		}
		d := newDriver(t, planMatch(t, sql), 1+r.IntN(2), delay)
		restarts += d.randomRun(r, events)
		d.finish()
		onTime, lateRows, _ := split(events, delay)
		want := md.run(onTime)
		for i := range want { // the sum is another one: of all rows
			want[i] = want[i][:strings.LastIndexByte(want[i], ' ')]
		}
		got := d.lines
		for i := range got {
			got[i] = got[i][:strings.LastIndexByte(got[i], ' ')]
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s\nrows %v\ngot\n%s\nwant\n%s", sql, onTime, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		found, late = found+len(want), late+d.late
		if d.late != lateRows {
			t.Fatalf("%d late rows, want %d", d.late, lateRows)
		}
		if md.after != "" || md.before != "" {
			absent += len(want)
		}
	}
	t.Logf("%d sequences, %d with absences, %d late rows, %d restarts", found, absent, late, restarts)
	if found < 3000 || absent < 500 || late < 1000 || restarts < 1000 {
		t.Error("the test met too few of the interesting cases")
	}
}

// TestSequenceAbsence: no logout within ten microseconds of a logon comes out on time, though nothing more arrives.
func TestSequenceAbsence(t *testing.T) {
	d := newDriver(t, planMatch(t, "SEQUENCE BY k WITHIN INTERVAL '10 microseconds' [s WHERE c = 'a'] ![s WHERE c = 'b']"), 1, 0)
	d.feed(event{100, "p", "a", 0}, event{103, "p", "a", 0}, event{104, "q", "a", 0}, event{114, "q", "b", 0})
	d.advance(111)
	if got := strings.Join(d.lines, ";"); got != "p 100 100;p 103 103" {
		t.Error(got)
	}
	if got := strings.Join(d.finish(), ";"); got != "p 100 100;p 103 103" {
		t.Error(got)
	}
	d = newDriver(t, planMatch(t, "SEQUENCE BY k WITHIN INTERVAL '10 microseconds' [s WHERE c = 'a'] ![s WHERE c = 'b']"), 1, 0)
	d.feed(event{100, "p", "a", 0})
	d.advance(110)
	if len(d.lines) != 0 {
		t.Error("too early: a logout at 110 is in time")
	}
	d.restart(2)
	if d.advance(111); len(d.lines) != 1 {
		t.Error("not on time")
	}
}

func TestSequenceDamagedState(t *testing.T) {
	p := planMatch(t, "SEQUENCE BY k WITHIN INTERVAL '1 second' [s WHERE c = 'a'] {3,} AS f [s WHERE c = 'b'] ![s WHERE c = 'c'] MEASURES last(f.c) AS c")
	d := newDriver(t, p, 1, 5)
	for _, k := range []string{"p", "q"} {
		for i := range int64(9) {
			d.feed(event{100 + i, k, string("aaab"[i%4]), i})
		}
	}
	d.snapshot()
	r := rand.New(rand.NewPCG(5, 6))
	refused := 0
	for range 5000 {
		block := slices.Clone(d.states[0].blocks[0])
		for range 1 + r.IntN(3) {
			block[r.IntN(len(block))] = byte(r.IntN(256))
		}
		o, err := op.NewMatch(p.keyed.Op.(*spec.Match), &p.keyed.In[0].Schema, &p.keyed.Schema)
		if err != nil {
			t.Fatal(err)
		}
		_ = o.Open(&expr.Ctx{})
		if err := o.Restore(manyStates{{blocks: [][]byte{block}}}, func(uint64) bool { return true }); err != nil {
			if sqlerr.As(err).Code != sqlerr.DataCorrupted {
				t.Fatal(err)
			}
			refused++
		} else if err := o.Advance(types.MaxTime, emitFunc(func(op.Input) error { return nil })); err != nil {
			t.Fatal(err)
		}
	}
	if refused < 500 {
		t.Errorf("only %d damaged blocks were refused", refused)
	}
}
