package op_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/planner/parse"
)

// model is a slow matcher that shares no code with the operator: it sorts all rows and tries the pattern by backtracking.
type model struct {
	pattern *parse.Pattern
	conds   map[string]func(rows []event, at int, m []mapped) bool
	skip    string
	skipTo  string
	within  int64
	// firstX: the last measure is FIRST(x) instead of the row before the match, which would keep all rows.
	firstX bool
}

// mapped is a row of a match with its variable.
type mapped struct {
	at int
	v  string
}

// match returns the preferred match from row at on.
func (md *model) match(rows []event, at int) ([]mapped, bool) {
	var out []mapped
	ok := md.try(md.pattern, rows, at, nil, func(_ int, m []mapped) bool {
		out = slices.Clone(m)
		return true
	})
	return out, ok
}

func (md *model) try(p *parse.Pattern, rows []event, at int, m []mapped, next func(at int, m []mapped) bool) bool {
	switch p.Kind {
	case "VAR":
		if at == len(rows) || len(m) > 0 && md.within > 0 && rows[at].ts-rows[m[0].at].ts > md.within {
			return false
		}
		if cond := md.conds[p.Name]; cond != nil && !cond(rows, at, append(slices.Clone(m), mapped{at, p.Name})) {
			return false
		}
		return next(at+1, append(slices.Clone(m), mapped{at, p.Name}))
	case "SEQ":
		return md.seq(p.Items, rows, at, m, next)
	case "ALT":
		for _, item := range p.Items {
			if md.try(item, rows, at, m, next) {
				return true
			}
		}
		return false
	}
	return md.repeat(&repetition{p: p, rows: rows, next: next}, 0, at, m)
}

// repetition is a quantified part of the pattern being tried.
type repetition struct {
	p    *parse.Pattern
	rows []event
	next func(int, []mapped) bool
}

func (md *model) seq(items []*parse.Pattern, rows []event, at int, m []mapped, next func(int, []mapped) bool) bool {
	if len(items) == 0 {
		return next(at, m)
	}
	return md.try(items[0], rows, at, m, func(at int, m []mapped) bool { return md.seq(items[1:], rows, at, m, next) })
}

func (md *model) repeat(r *repetition, n, at int, m []mapped) bool {
	p := r.p
	more := func() bool {
		if p.Max >= 0 && n >= p.Max {
			return false
		}
		return md.try(p.Items[0], r.rows, at, m, func(to int, m []mapped) bool {
			if to == at && n >= p.Min {
				return false // an empty repetition that need not be
			}
			return md.repeat(r, n+1, to, m)
		})
	}
	stop := func() bool { return n >= p.Min && r.next(at, m) }
	if p.Reluctant {
		return stop() || more()
	}
	return more() || stop()
}

// run returns what the query of randomQuery gives for rows that are on time.
func (md *model) run(events []event) []string {
	byKey := map[string][]event{}
	for _, e := range events {
		byKey[e.k] = append(byKey[e.k], e)
	}
	var out []string
	for k, rows := range byKey {
		sort.SliceStable(rows, func(i, j int) bool { return rows[i].ts < rows[j].ts })
		number := 0
		for at := 0; at < len(rows); {
			m, ok := md.match(rows, at)
			if !ok || len(m) == 0 {
				at++
				continue
			}
			number++
			out = append(out, md.line(k, rows, m, number))
			at = md.goOn(m)
		}
	}
	slices.Sort(out)
	return out
}

func (md *model) goOn(m []mapped) int {
	first, last := m[0].at, m[len(m)-1].at
	found := -1
	for _, r := range m {
		if r.v == md.skipTo {
			if found = r.at; md.skip == "TO FIRST" {
				break
			}
		}
	}
	switch {
	case md.skip == "TO NEXT ROW", md.skip != "PAST LAST ROW" && found == first:
		return first + 1
	case md.skip == "PAST LAST ROW" || found < 0:
		return last + 1
	}
	return found
}

// line is a result of the measures in randomQuery.
func (md *model) line(k string, rows []event, m []mapped, number int) string {
	of := func(v string) (list []event) {
		for _, r := range m {
			if r.v == v || v == "" {
				list = append(list, rows[r.at])
			}
		}
		return list
	}
	opt := func(list []event, i int) string {
		if i < 0 || i >= len(list) {
			return "-"
		}
		return fmt.Sprint(list[i].x)
	}
	all, a, b := of(""), of("a"), of("b")
	sum := "-"
	if len(b) > 0 {
		n := int64(0)
		for _, e := range b {
			n += e.x
		}
		sum = fmt.Sprint(n)
	}
	if k == "" {
		k = "-"
	}
	before := "-"
	if md.firstX {
		before = fmt.Sprint(all[0].x)
	} else if at := m[0].at; at > 0 {
		before = fmt.Sprint(rows[at-1].x)
	}
	return strings.Join([]string{k, fmt.Sprint(all[0].ts), fmt.Sprint(all[len(all)-1].ts), fmt.Sprint(len(all)),
		opt(a, 0), opt(b, len(b)-2), sum, m[len(m)-1].v, fmt.Sprint(number), fmt.Sprint(all[len(all)-1].x), before}, " ")
}

const measures = `FIRST(ts) AS t0, LAST(ts) AS t1, count(*) AS n, FIRST(a.x) AS fa, LAST(b.x, 1) AS lb, sum(b.x) AS sb,
	CLASSIFIER() AS c, MATCH_NUMBER() AS mn, x + 0 AS lx, PREV(FIRST(x)) AS px`

// randomPattern makes a pattern; nullable parts are not repeated without bound, since engines differ in what that means.
func randomPattern(r *rand.Rand, depth int) *parse.Pattern {
	if depth == 0 || r.IntN(4) == 0 {
		return &parse.Pattern{Kind: "VAR", Name: string(rune('a' + r.IntN(4)))}
	}
	switch r.IntN(4) {
	case 0:
		return &parse.Pattern{Kind: "ALT", Items: []*parse.Pattern{randomPattern(r, depth-1), randomPattern(r, depth-1)}}
	case 1:
		item := randomPattern(r, depth-1)
		bounds := [][2]int{{0, -1}, {1, -1}, {0, 1}, {2, 2}, {2, -1}, {1, 3}, {0, 2}}[r.IntN(7)]
		return &parse.Pattern{Kind: "REPEAT", Items: []*parse.Pattern{item}, Min: bounds[0], Max: bounds[1], Reluctant: r.IntN(3) == 0}
	default:
		p := &parse.Pattern{Kind: "SEQ"}
		for range 2 + r.IntN(2) {
			p.Items = append(p.Items, randomPattern(r, depth-1))
		}
		return p
	}
}

func nullable(p *parse.Pattern) bool {
	switch p.Kind {
	case "VAR":
		return false
	case "ALT":
		return slices.ContainsFunc(p.Items, nullable)
	case "SEQ":
		return !slices.ContainsFunc(p.Items, func(p *parse.Pattern) bool { return !nullable(p) })
	}
	return p.Min == 0 || nullable(p.Items[0])
}

func repeatsNothing(p *parse.Pattern) bool {
	if p.Kind == "REPEAT" && nullable(p.Items[0]) {
		return true
	}
	return slices.ContainsFunc(p.Items, repeatsNothing)
}

type condition struct {
	sql string
	f   func(rows []event, at int, m []mapped) bool
}

func lastOf(rows []event, m []mapped, v string, nth int) (int64, bool) {
	for i := len(m) - 1; i >= 0; i-- {
		if m[i].v == v {
			if nth == 0 {
				return rows[m[i].at].x, true
			}
			nth--
		}
	}
	return 0, false
}

func countOf(m []mapped, v string) (n int) {
	for _, r := range m {
		if r.v == v {
			n++
		}
	}
	return n
}

var plainConds = map[string][]condition{
	"a": {{"c = 'a'", func(rows []event, at int, _ []mapped) bool { return rows[at].c == "a" }},
		{"a.x > 3", func(rows []event, at int, _ []mapped) bool { return rows[at].x > 3 }}},
	"b": {{"c IN ('a', 'b')", func(rows []event, at int, _ []mapped) bool { return rows[at].c <= "b" }},
		{"b.c = 'b' AND x > PREV(b.x)", func(rows []event, at int, _ []mapped) bool {
			return rows[at].c == "b" && at > 0 && rows[at].x > rows[at-1].x
		}}},
	"c": {{"c <> 'c'", func(rows []event, at int, _ []mapped) bool { return rows[at].c != "c" }}},
}

// soleConds exclude each other.
var soleConds = map[string][]condition{
	"a": {{"c = 'a'", func(rows []event, at int, _ []mapped) bool { return rows[at].c == "a" }}},
	"b": {{"c = 'b'", func(rows []event, at int, _ []mapped) bool { return rows[at].c == "b" }}},
	"c": {{"c = 'c' AND x > 2", func(rows []event, at int, _ []mapped) bool { return rows[at].c == "c" && rows[at].x > 2 }}},
	"d": {{"c = 'c' AND x < 3", func(rows []event, at int, _ []mapped) bool { return rows[at].c == "c" && rows[at].x < 3 }}},
}

var pathConds = map[string][]condition{
	"a": {{"count(a.*) < 3", func(_ []event, _ int, m []mapped) bool { return countOf(m, "a") < 3 }},
		{"c = 'a' AND x > LAST(a.x, 1) OR count(a.*) = 1", func(rows []event, at int, m []mapped) bool {
			x, ok := lastOf(rows, m, "a", 1)
			return ok && rows[at].c == "a" && rows[at].x > x || countOf(m, "a") == 1
		}}},
	"b": {{"b.x > a.x", func(rows []event, at int, m []mapped) bool {
		x, ok := lastOf(rows, m, "a", 0)
		return ok && rows[at].x > x
	}}, {"b.x + FIRST(x) > 6 AND c <> 'c'", func(rows []event, at int, m []mapped) bool {
		return rows[at].x+rows[m[0].at].x > 6 && rows[at].c != "c"
	}}},
	"c": {{"sum(x) > 12", func(rows []event, _ int, m []mapped) bool {
		n := int64(0)
		for _, r := range m {
			n += rows[r.at].x
		}
		return n > 12
	}}},
}

// randomQuery makes a query and its model.
func randomQuery(r *rand.Rand) (string, *model) {
	md := &model{conds: map[string]func([]event, int, []mapped) bool{}}
	for md.pattern == nil || repeatsNothing(md.pattern) {
		md.pattern = randomPattern(r, 1+r.IntN(3))
	}
	text := parse.PrintPattern(md.pattern)
	used := func(v string) bool { return strings.Contains(text, v) }
	md.skip = []string{"PAST LAST ROW", "PAST LAST ROW", "TO NEXT ROW", "TO FIRST", "TO LAST"}[r.IntN(5)]
	skip := md.skip
	if strings.HasSuffix(skip, "T") && skip != "PAST LAST ROW" {
		md.skipTo = "b"
		if skip += " b"; !used("b") || strings.HasPrefix(strings.TrimLeft(text, "("), "b") {
			md.skip, md.skipTo, skip = "TO NEXT ROW", "", "TO NEXT ROW"
		}
	}
	sql := "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES " + measures + " AFTER MATCH SKIP " + skip + " PATTERN (" + text + ")"
	if r.IntN(2) == 0 {
		md.within = 1 + r.Int64N(12)
		sql += fmt.Sprintf(" WITHIN INTERVAL '%d microseconds'", md.within)
	}
	table := plainConds
	leaveOut := r.IntN(2)
	switch r.IntN(3) {
	case 0:
		table = pathConds
	case 1:
		table = soleConds
		leaveOut *= r.IntN(2)
	}
	sep := " DEFINE "
	for _, v := range []string{"a", "b", "c", "d"} {
		if len(table[v]) == 0 {
			continue
		}
		if c := table[v][r.IntN(len(table[v]))]; used(v) && r.IntN(5)*leaveOut < 4 {
			sql += sep + v + " AS " + c.sql
			sep = ", "
			md.conds[v] = c.f
		}
	}
	// measures read a and b, which must be in the pattern
	for _, v := range []string{"a", "b"} {
		if !used(v) {
			return "", nil
		}
	}
	return sql + ") m", md
}

// randomEvents are a few rows, out of order and with ties.
func randomEvents(r *rand.Rand) []event {
	events := make([]event, 5+r.IntN(25))
	now := int64(-20)
	for i := range events {
		now += r.Int64N(3)
		events[i] = event{now - r.Int64N(5), []string{"p", "q", ""}[r.IntN(3)], string(rune('a' + r.IntN(3))), r.Int64N(8)}
	}
	return events
}

// TestMatchModel compares random queries over random rows, out of order, with ties, in batches, with restarts, with the model.
func TestMatchModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var matches, late, restarts, ties, path int
	for n := 0; n < 3000; {
		sql, md := randomQuery(r)
		if md == nil {
			continue
		}
		n++
		delay := r.Int64N(4)
		events := randomEvents(r)
		d := newDriver(t, planMatch(t, sql), 1+r.IntN(2), delay)
		restarts += d.randomRun(r, events)
		got := d.finish()
		onTime, lateRows, tied := split(events, delay)
		want := md.run(onTime)
		if !slices.Equal(got, want) {
			t.Fatalf("%s\nrows %v\ngot\n%s\nwant\n%s", sql, onTime, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if d.late != lateRows {
			t.Fatalf("%d late rows, want %d", d.late, lateRows)
		}
		matches, late, ties = matches+len(want), late+lateRows, ties+tied
		if strings.Contains(sql, "count(a.*)") || strings.Contains(sql, "b.x >") {
			path++
		}
	}
	t.Logf("%d matches, %d late rows, %d restarts, %d ties, %d with conditions over the match", matches, late, restarts, ties, path)
	if matches < 3000 || late < 1000 || restarts < 1000 || ties < 1000 || path < 500 {
		t.Error("the test met too few of the interesting cases")
	}
}

// split drops the rows that are late when the watermark follows by delay, and counts equal times of a key.
func split(events []event, delay int64) (onTime []event, late, ties int) {
	wm := int64(-1 << 62)
	seen := map[string]bool{}
	for _, e := range events {
		if e.ts < wm {
			late++
		} else {
			onTime = append(onTime, e)
			id := fmt.Sprint(e.ts, e.k)
			if seen[id] {
				ties++
			}
			seen[id] = true
		}
		wm = max(wm, e.ts-delay)
	}
	return onTime, late, ties
}
