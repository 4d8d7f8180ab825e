package op_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/planner/parse"
)

// TestMatchOvertaken runs patterns whose first row WITHIN overtakes again and again before something completes, with rows that
// fit one variable and, in half of the runs, some that fit two.
func TestMatchOvertaken(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	patterns := []string{"a{3,} b", "a b* c", "a+ (b | c)", "a{2} b? c", "a+? b", "a{2,4} b", "(a a)+ b", "a (b | a)* c", "a b{2,}"}
	matches, mixed := 0, 0
	for n := range 1500 {
		text := patterns[n%len(patterns)]
		conds := []condition{soleConds["a"][0], soleConds["b"][0], {"c = 'c'", func(rows []event, at int, _ []mapped) bool { return rows[at].c == "c" }}}
		if n%2 == 1 {
			conds[1] = condition{"c = 'b' OR x = 7", func(rows []event, at int, _ []mapped) bool { return rows[at].c == "b" || rows[at].x == 7 }}
			mixed++
		}
		md := &model{conds: map[string]func([]event, int, []mapped) bool{}, skip: []string{"PAST LAST ROW", "TO NEXT ROW"}[r.IntN(2)], within: 3 + r.Int64N(20)}
		var define []string
		for i, v := range []string{"a", "b", "c"} {
			if strings.Contains(text, v) {
				md.conds[v] = conds[i].f
				define = append(define, v+" AS "+conds[i].sql)
			}
		}
		sql := fmt.Sprintf("SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES %s AFTER MATCH SKIP %s PATTERN (%s) WITHIN INTERVAL '%d microseconds' DEFINE %s) m",
			strings.ReplaceAll(measures, "PREV(FIRST(x))", "FIRST(x)"), md.skip, text, md.within, strings.Join(define, ", "))
		stmts, err := parse.Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		md.pattern = stmts[0].Stmt.(*parse.SelectStmt).Query.Core.From[0].(*parse.TableMatch).Pattern
		md.firstX = true
		events := make([]event, 80)
		now := int64(-40)
		for i := range events {
			now += r.Int64N(3)
			c := "a"
			if r.IntN(8) == 0 {
				c = string(rune('a' + r.IntN(4)))
			}
			events[i] = event{now, "p", c, r.Int64N(40)}
		}
		d := newDriver(t, planMatch(t, sql), 1, 0)
		d.randomRun(r, events)
		got, want := d.finish(), md.run(events)
		if !slices.Equal(got, want) {
			t.Fatalf("%s\nrows %v\ngot\n%s\nwant\n%s", sql, events, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		matches += len(want)
	}
	t.Logf("%d matches, %d runs with mixed rows", matches, mixed)
	if matches < 2000 {
		t.Error("too few matches")
	}
}
