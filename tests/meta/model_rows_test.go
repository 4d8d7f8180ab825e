package meta

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
)

func interval(micros int64) string { return fmt.Sprintf("INTERVAL '%d microseconds'", micros) }

// least is the least of watermarks; a stream without one has none.
func least(marks []int64) int64 { return slices.Min(marks) }

// joining is an interval join of streams a and b by k.
type joining struct {
	kind     string // inner, left, semi, anti
	lo, hi   int64
	lateness int64
	residual bool // l.n < r.n
}

func (j *joining) body() string {
	cond := "r.k = l.k AND r.ts BETWEEN l.ts - " + interval(-j.lo) + " AND l.ts + " + interval(j.hi)
	if j.residual {
		cond += " AND l.n < r.n"
	}
	switch j.kind {
	case "inner":
		return "SELECT l.id AS lid, r.id AS rid, l.ts AS at, r.v AS v FROM a l JOIN b r ON " + cond
	case "left":
		return "SELECT l.id AS lid, r.id AS rid, l.ts AS at, r.v AS v FROM a l LEFT JOIN b r ON " + cond
	case "semi":
		return "SELECT l.id AS lid, l.ts AS at FROM a l WHERE EXISTS (SELECT 1 FROM b r WHERE " + cond + ")"
	}
	return "SELECT l.id AS lid, l.ts AS at FROM a l WHERE NOT EXISTS (SELECT 1 FROM b r WHERE " + cond + ")"
}

func (j *joining) matches(l, r *row) bool {
	if l.k == nil || r.k == nil || *l.k != *r.k || r.at-l.at < j.lo || r.at-l.at > j.hi {
		return false
	}
	return !j.residual || l.n != nil && r.n != nil && *l.n < *r.n
}

// eval: a row that is older than the least watermark, less the lateness, is late; all others meet each other.
func (j *joining) eval(rows []row) verdict {
	v := verdict{hits: hits{}}
	var sides [2][]*row
	for i := range rows {
		r := &rows[i]
		if wm := least(r.before); wm != never && r.at < wm-j.lateness {
			v.late = append(v.late, fmt.Sprint(r.id))
			continue
		}
		sides[r.stream] = append(sides[r.stream], r)
	}
	for _, l := range sides[0] {
		n := 0
		for _, r := range sides[1] {
			if !j.matches(l, r) {
				continue
			}
			n++
			v.hits["pairs"]++
			if j.kind == "inner" || j.kind == "left" {
				v.rows = append(v.rows, fmt.Sprintf("%d|%d|%s|%s", l.id, r.id, stamp(l.at), r.column("v")))
			}
		}
		switch {
		case j.kind == "left" && n == 0:
			v.rows = append(v.rows, fmt.Sprintf("%d|NULL|%s|NULL", l.id, stamp(l.at)))
		case j.kind == "semi" && n > 0, j.kind == "anti" && n == 0:
			v.rows = append(v.rows, fmt.Sprintf("%d|%s", l.id, stamp(l.at)))
		}
	}
	sort.Strings(v.rows)
	return v
}

// firstSeen: a row is the first of its key if no earlier arrival has a time above its own less the span. A row behind the
// watermark is measured from the watermark.
func firstSeen(rows []row, span int64) verdict {
	v := verdict{hits: hits{}}
	latest := map[string]int64{}
	for i := range rows {
		r := &rows[i]
		if r.stream != 0 {
			continue
		}
		base, wm := r.at, r.before[0]
		if wm != never {
			base = max(base, wm)
		}
		first, key := "f", r.column("k")
		if base-r.at < span {
			last, known := latest[key]
			if !known || last <= base-span {
				first = "t"
			}
			if !known || r.at > last {
				latest[key] = r.at
			}
		}
		v.rows = append(v.rows, fmt.Sprintf("%d|%s", r.id, first))
	}
	sort.Strings(v.rows)
	return v
}

// suppress: a row passes when none of its key passed less than the span before or after it; what passed before a row behind
// the watermark is measured from the watermark.
func suppress(rows []row, span int64) verdict {
	v := verdict{hits: hits{}}
	passed := map[string][]int64{}
	for i := range rows {
		r := &rows[i]
		if r.stream != 0 {
			continue
		}
		base, wm := r.at, r.before[0]
		if wm != never {
			base = max(base, wm)
		}
		if base-r.at >= span {
			v.late = append(v.late, fmt.Sprint(r.id))
			continue
		}
		key := r.column("k")
		blocked := slices.ContainsFunc(passed[key], func(p int64) bool {
			return p <= r.at && base-p < span || p > r.at && p-r.at < span
		})
		if blocked {
			v.hits["suppressed"]++
			continue
		}
		passed[key] = append(passed[key], r.at)
		v.rows = append(v.rows, fmt.Sprintf("%d|%s|%s", r.id, key, stamp(r.at)))
	}
	sort.Strings(v.rows)
	return v
}

// ordered are stream a's rows in order of time, then of arrival; rows behind the watermark are late.
func ordered(rows []row, v *verdict) []*row {
	var out []*row
	for i := range rows {
		r := &rows[i]
		switch wm := r.before[0]; {
		case r.stream != 0:
		case wm != never && r.at < wm:
			v.late = append(v.late, fmt.Sprint(r.id))
		default:
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b *row) int { return int(a.at - b.at) })
	return out
}

// frame is OVER's frame: rows, or microseconds, before the current row.
type frame struct {
	rows       bool
	start, end int64 // negative: before
}

func (f frame) sql() string {
	bound := func(n int64) string {
		switch {
		case n == 0:
			return "CURRENT ROW"
		case f.rows:
			return fmt.Sprintf("%d PRECEDING", -n)
		}
		return interval(-n) + " PRECEDING"
	}
	unit := "RANGE"
	if f.rows {
		unit = "ROWS"
	}
	return fmt.Sprintf("%s BETWEEN %s AND %s", unit, bound(f.start), bound(f.end))
}

func (f frame) body() string {
	over := " OVER (PARTITION BY k ORDER BY ts " + f.sql() + ")"
	return "SELECT id, ts, count(*)" + over + " AS c, sum(n)" + over + " AS s FROM a"
}

func (f frame) eval(rows []row) verdict {
	v := verdict{hits: hits{}}
	parts := map[string][]*row{}
	for _, r := range ordered(rows, &v) {
		parts[r.column("k")] = append(parts[r.column("k")], r)
	}
	for _, list := range parts {
		for i, r := range list {
			var in []*row
			for j, o := range list {
				d := int64(j - i)
				if !f.rows {
					d = o.at - r.at
				}
				if d >= f.start && d <= f.end {
					in = append(in, o)
				}
			}
			sum := aggregates[2].of(in)
			v.rows = append(v.rows, fmt.Sprintf("%d|%s|%d|%s", r.id, stamp(r.at), len(in), sum))
		}
	}
	sort.Strings(v.rows)
	return v
}

// pattern is f{n,} s within a time: f is n >= 1, s is n < 0, per k.
type pattern struct {
	atLeast int
	within  int64
}

func (p pattern) body() string {
	return fmt.Sprintf(`SELECT k, failures, at FROM a MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES count(f.ts) AS failures, s.ts AS at
		ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (f{%d,} s) WITHIN %s DEFINE f AS n >= 1, s AS n < 0) m`, p.atLeast, interval(p.within))
}

func (p pattern) eval(rows []row) verdict {
	v := verdict{hits: hits{}}
	parts := map[string][]*row{}
	for _, r := range ordered(rows, &v) {
		parts[r.column("k")] = append(parts[r.column("k")], r)
	}
	for key, list := range parts {
		for i := 0; i < len(list); i++ {
			j := i
			for j < len(list) && list[j].n != nil && *list[j].n >= 1 {
				j++
			}
			if j-i < p.atLeast || j == len(list) || list[j].n == nil || *list[j].n >= 0 || list[j].at-list[i].at > p.within {
				continue
			}
			v.hits["matches"]++
			v.rows = append(v.rows, fmt.Sprintf("%s|%d|%s", key, j-i, stamp(list[j].at)))
			i = j
		}
	}
	sort.Strings(v.rows)
	return v
}

// endless is a grouping without a window.
func endless(keys []string, aggs []aggregate, having int) (string, func([]row) verdict) {
	items := slices.Clone(keys)
	for i, a := range aggs {
		items = append(items, fmt.Sprintf("%s AS a%d", a.sql, i))
	}
	sql := "SELECT " + strings.Join(items, ", ") + " FROM a GROUP BY " + strings.Join(keys, ", ")
	if having > 0 {
		sql += fmt.Sprintf(" HAVING count(*) >= %d", having)
	}
	return sql, func(rows []row) verdict {
		v := verdict{hits: hits{}}
		groups := map[string][]*row{}
		for i := range rows {
			if r := &rows[i]; r.stream == 0 {
				groups[keyOf(r, keys)] = append(groups[keyOf(r, keys)], r)
			}
		}
		for key, list := range groups {
			if len(list) < having {
				continue
			}
			parts := []string{key}
			for _, a := range aggs {
				parts = append(parts, a.of(list))
			}
			v.rows = append(v.rows, strings.Join(parts, "|"))
		}
		sort.Strings(v.rows)
		return v
	}
}

// randomRowQueries makes the queries that are not windows.
func randomRowQueries(rng *rand.Rand, s shape, add func(feature, body string, eval func([]row) verdict)) {
	if s.streams > 1 {
		for _, kind := range []string{"inner", "left", "semi", "anti"} {
			if s.lateness > 0 && !joinsAllowLateness {
				continue
			}
			j := &joining{kind: kind, lo: -rng.Int64N(5) * second, hi: rng.Int64N(5) * second / 2, lateness: s.lateness, residual: rng.IntN(3) == 0}
			add("interval join "+kind, j.body(), j.eval)
		}
	}
	span := (1 + rng.Int64N(8)) * second
	add("first_seen", "SELECT id, FIRST_SEEN(k, "+interval(span)+") AS f FROM a", func(rows []row) verdict { return firstSeen(rows, span) })
	add("suppress", "SELECT id, k, ts FROM a SUPPRESS FOR "+interval(span)+" BY (k)", func(rows []row) verdict { return suppress(rows, span) })
	f := frame{rows: true, start: -1 - rng.Int64N(4), end: -rng.Int64N(2)}
	add("over rows", f.body(), f.eval)
	f = frame{start: -rng.Int64N(5) * second, end: 0}
	add("over range", f.body(), f.eval)
	p := pattern{atLeast: 1 + rng.IntN(3), within: (1 + rng.Int64N(10)) * second}
	add("match_recognize", p.body(), p.eval)
	aggs := []aggregate{aggregates[0], aggregates[rng.IntN(len(aggregates))], aggregates[rng.IntN(len(aggregates))]}
	sql, eval := endless([]string{"k", "v"}[:1+rng.IntN(2)], aggs, rng.IntN(3))
	add("group without window", sql, eval)
	if resultsRunAgain {
		nested(rng, s, add)
	}
}

// nested is a query over a query's result: windows of windows.
func nested(rng *rand.Rand, s shape, add func(feature, body string, eval func([]row) verdict)) {
	g := &grouping{keys: []string{"k"}, aggs: []aggregate{aggregates[0]}, kind: "tumble", size: second, lateness: 0}
	if s.lateness > 0 {
		return // the inner query corrects its results
	}
	outer := (2 + rng.Int64N(4)) * second
	inner := "SELECT k, count(*) AS a0 FROM a GROUP BY k, TUMBLE(ts, " + interval(second) + ")"
	body := "SELECT count(*) AS windows, sum(a0) AS events FROM (" + inner + ") i GROUP BY TUMBLE(" + interval(outer) + ")"
	add("query over a query", body, func(rows []row) verdict {
		v := g.eval(rows)
		v.anyLate = true // they are late for the stage
		windows, events := map[int64]int{}, map[int64]int{}
		for _, line := range v.rows {
			parts := strings.Split(line, "|")
			start := floor(unstamp(parts[1])-1, outer) // a window's time is the last microsecond before its end
			var n int
			fmt.Sscan(parts[3], &n)
			windows[start]++
			events[start] += n
		}
		v.rows = nil
		for start, n := range windows {
			v.rows = append(v.rows, fmt.Sprintf("%s|%s|%d|%d", stamp(start), stamp(start+outer), n, events[start]))
		}
		sort.Strings(v.rows)
		return v
	})
}
