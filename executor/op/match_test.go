package op_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// matchOf is a query over one key with the letters of c as variables; body is what stands in MATCH_RECOGNIZE.
func matchOf(body string) string {
	define := " DEFINE a AS c = 'a'"
	if strings.Contains(body, "b") {
		define += ", b AS c = 'b'"
	}
	return "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES FIRST(ts) AS a, LAST(ts) AS b, count(*) AS n " + body + define + ") m"
}

// letters makes one row per letter, at 10, 20, ...
func letters(s string) (out []event) {
	for i, c := range s {
		out = append(out, event{int64(10 * (i + 1)), "p", string(c), int64(i + 1)})
	}
	return out
}

func TestMatchScripts(t *testing.T) {
	for _, c := range []struct{ body, rows, want string }{
		{"PATTERN (a+ b)", "aabxab", "p 10 30 3;p 50 60 2"},
		{"AFTER MATCH SKIP TO NEXT ROW PATTERN (a+ b)", "aab", "p 10 30 3;p 20 30 2"},
		{"AFTER MATCH SKIP TO LAST b PATTERN (a+ b b)", "aabb", "p 10 40 4"},
		{"AFTER MATCH SKIP TO LAST a PATTERN (b? a a)", "baaa", "p 10 30 3;p 30 40 2"},
		{"AFTER MATCH SKIP TO FIRST b PATTERN (a b+)", "abb", "p 10 30 3"},
		{"PATTERN (a+?)", "aaa", "p 10 10 1;p 20 20 1;p 30 30 1"},
		{"PATTERN (a{2})", "aaaaa", "p 10 20 2;p 30 40 2"},
		{"PATTERN (a{2,3})", "aaaaa", "p 10 30 3;p 40 50 2"},
		{"PATTERN (a{,2} b)", "aaab", "p 20 40 3"},
		{"PATTERN (a | a b)", "ab", "p 10 10 1"},
		{"PATTERN (a b | a)", "ab", "p 10 20 2"},
		{"PATTERN (a*)", "bab", "p 20 20 1"},
		{"PATTERN (a*?)", "aaa", ""},
		{"PATTERN (a b) WITHIN INTERVAL '10 microseconds'", "ab", "p 10 20 2"},
		{"PATTERN (a b) WITHIN INTERVAL '9 microseconds'", "ab", ""},
	} {
		d := newDriver(t, planMatch(t, matchOf(c.body)), 1, 0)
		d.feed(letters(c.rows)...)
		if got := strings.Join(d.finish(), ";"); got != c.want {
			t.Errorf("%s over %s: %s, want %s", c.body, c.rows, got, c.want)
		}
	}
}

// TestMatchMoment proves at which watermark a match comes: with the row that makes it certain, or when WITHIN has ended.
func TestMatchMoment(t *testing.T) {
	d := newDriver(t, planMatch(t, matchOf("PATTERN (a b*) WITHIN INTERVAL '1 second'")), 1, 0)
	d.feed(event{-5, "p", "a", 1})
	d.feed(event{-5, "p", "b", 2}) // a tie: after the first in arrival
	step := func(wm int64, want int) {
		t.Helper()
		if d.advance(types.EventTime(wm)); len(d.lines) != want {
			t.Fatalf("at watermark %d: %d matches, want %d", wm, len(d.lines), want)
		}
	}
	step(999_995, 0) // a row at 999_995 would still be in time
	d.feed(event{999_995, "p", "b", 3})
	step(999_996, 1)
	if got := d.lines[0]; got != "p -5 999995 3" {
		t.Error(got)
	}
	d.feed(event{2_000_000, "p", "a", 4}, event{2_000_001, "p", "x", 5})
	step(2_000_001, 1)
	step(2_000_002, 2) // the x has ended it
}

func TestMatchDeadline(t *testing.T) {
	p := planMatch(t, matchOf("PATTERN (a b*) WITHIN INTERVAL '1 second'"))
	o, err := op.NewMatch(p.keyed.Op.(*spec.Match), &p.keyed.In[0].Schema, &p.keyed.Schema)
	if err != nil {
		t.Fatal(err)
	}
	_ = o.Open(&expr.Ctx{})
	if o.Deadline() != types.MaxTime {
		t.Error("a timer without rows")
	}
	b := batch.New(&p.keyed.In[0].Schema, nil)
	row := make([]types.Value, len(b.Cols))
	for i := range row {
		row[i] = types.Null(b.Cols[i].Type)
		switch b.Schema.Cols[i].Name {
		case "ts":
			row[i] = types.NewTime(100)
		case "is a":
			row[i] = types.NewBool(true)
		}
	}
	b.AppendRow(row)
	sink := emitFunc(func(op.Input) error { return nil })
	if err := o.Process(0, op.Input{B: b, Sel: batch.All(1)}, sink); err != nil || o.Deadline() != 101 {
		t.Errorf("deadline %d, %v", o.Deadline(), err)
	}
	if err := o.Advance(101, sink); err != nil || o.Deadline() != 1_000_101 || o.Groups() != 1 {
		t.Errorf("deadline %d, %v", o.Deadline(), err)
	}
	if err := o.Advance(1_000_101, sink); err != nil || o.Deadline() != types.MaxTime || o.Groups() != 0 {
		t.Errorf("deadline %d, %d keys, %v", o.Deadline(), o.Groups(), err)
	}
}

func TestMatchAllRows(t *testing.T) {
	d := newDriver(t, planMatch(t, `SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k MEASURES CLASSIFIER() AS v, count(a.*) AS n, FINAL LAST(ts) AS e,
		RUNNING sum(x) AS sx, MATCH_NUMBER() AS m ALL ROWS PER MATCH PATTERN (a+ b) DEFINE a AS c = 'a', b AS c = 'b') m`), 2, 0)
	d.feed(letters("aabxab")...)
	want := []string{"10 p a 1 a 1 30 1 1", "20 p a 2 a 2 30 3 1", "30 p b 3 b 2 30 6 1", "50 p a 5 a 1 60 5 2", "60 p b 6 b 1 60 11 2"}
	if got := d.finish(); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// TestMatchLimits: too many runs end the query with 54000, instead of taking all memory.
func TestMatchLimits(t *testing.T) {
	p := planMatch(t, "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k MEASURES 1 AS one PATTERN ((a | b)+ c) DEFINE a AS count(*) > 0, b AS count(*) > 0, c AS false) m")
	o, err := op.NewMatch(p.keyed.Op.(*spec.Match), &p.keyed.In[0].Schema, &p.keyed.Schema)
	if err != nil {
		t.Fatal(err)
	}
	_ = o.Open(&expr.Ctx{})
	b := batch.New(&p.keyed.In[0].Schema, nil)
	for i := range int64(20) {
		row := make([]types.Value, len(b.Cols))
		for c := range row {
			if row[c] = types.Null(b.Cols[c].Type); b.Schema.Cols[c].Name == "ts" {
				row[c] = types.NewTime(types.EventTime(i))
			}
		}
		b.AppendRow(row)
	}
	sink := emitFunc(func(op.Input) error { return nil })
	if err := o.Process(0, op.Input{B: b, Sel: batch.All(b.N)}, sink); err != nil {
		t.Fatal(err)
	}
	if err := o.Advance(100, sink); err == nil || sqlerr.As(err).Code != sqlerr.ProgramLimitExceeded {
		t.Errorf("error %v", err)
	}
}

// TestMatchIdleKeys: keys that have nothing left are let go, on restart too.
func TestMatchIdleKeys(t *testing.T) {
	d := newDriver(t, planMatch(t, matchOf("PATTERN (a b) WITHIN INTERVAL '10 microseconds'")), 1, 0)
	for i := range int64(5000) {
		d.feed(event{i, fmt.Sprint("user", i), "a", 0})
		if i%500 == 0 {
			d.snapshot()
		}
	}
	d.restart(2)
	d.feed(event{5000, "user4999", "b", 0}, event{5000, "user4000", "b", 0})
	if got := d.finish(); !slices.Equal(got, []string{"user4999 4999 5000 2"}) {
		t.Error(got)
	}
}

// TestMatchDamagedState changes bytes of blocks: Restore answers with an error or takes them, and never panics.
func TestMatchDamagedState(t *testing.T) {
	p := planMatch(t, "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k MEASURES LAST(c) AS c, sum(x) AS n PATTERN (a{3,} b) DEFINE a AS c = 'a', b AS c = 'b') m")
	d := newDriver(t, p, 1, 5)
	for _, k := range []string{"p", "q", ""} {
		for i := range int64(9) {
			d.feed(event{100 + i, k, "a", i})
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
		block = block[:len(block)-r.IntN(2)*r.IntN(len(block))]
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
		}
	}
	if refused < 500 {
		t.Errorf("only %d damaged blocks were refused", refused)
	}
}
