package faults

import (
	"fmt"
	"slices"
)

// sessions end when there is no row of the key for the gap.
func sessions(gap int) shape {
	g := int64(gap) * second
	return shape{what: "session", timeless: true, body: func(plus int) string {
		return fmt.Sprintf("SELECT k, sum(v)::bigint AS v, count(*) + %d AS n FROM ev GROUP BY k, SESSION(ts, %s)", plus, seconds(gap))
	}, rows: func(list []event, s span) (out []told) {
		type session struct {
			k          string
			start, end int64
			n, v       int
		}
		var open []session
		for i := s.from; i < s.to; i++ {
			e := &list[i]
			if e.stream != 0 {
				continue
			}
			x := session{e.k, e.at, e.at + g, 1, e.v}
			rest := open[:0:0]
			for _, o := range open {
				if o.k == x.k && o.start < x.end && x.start < o.end {
					x = session{x.k, min(x.start, o.start), max(x.end, o.end), x.n + o.n, x.v + o.v}
				} else {
					rest = append(rest, o)
				}
			}
			if x.end > e.wmBefore[0] { // else it is late
				open = append(rest, x)
			}
			open = slices.DeleteFunc(open, func(o session) bool {
				if o.end > e.wm[0] {
					return false
				}
				out = append(out, told{i, fmt.Sprintf("%s|%s|%s|%d", text(o.start), text(o.end), o.k, o.v), o.n})
				return true
			})
		}
		return out
	}}
}

// slides answer each row with those of its key in the time up to it; final: once time has passed it.
func slides(size int, final bool) shape {
	emit, what := "", "slide"
	if final {
		emit, what = " EMIT ON WINDOW CLOSE", "slide final"
	}
	length := int64(size) * second
	return shape{what: what, timeless: final, updating: !final, body: func(plus int) string {
		return fmt.Sprintf("SELECT k, count(*) + %d AS n FROM ev GROUP BY k, SLIDE(ts, %s)%s", plus, seconds(size), emit)
	}, rows: func(list []event, s span) (out []told) {
		for i := s.from; i < s.to; i++ {
			e := &list[i]
			if e.stream != 0 || e.at < e.wmBefore[0] {
				continue
			}
			by := passed(list, s, i, e.at, own)
			if final && by < 0 {
				continue
			}
			n := 0
			for j := near(list, s, i, -1, length); j < near(list, s, i, 1, 0); j++ {
				o := &list[j]
				// Of one time, those that came before it. A row behind time counts for what is not final.
				in := o.at > e.at-length && (o.at < e.at || o.at == e.at && j <= i)
				if o.stream == 0 && o.k == e.k && in && (j <= i || e.at >= o.wmBefore[0]) && o.at+length > o.wmBefore[0] {
					n++
				}
			}
			out = append(out, told{max(by, i), fmt.Sprintf("%s|%s|%s", text(e.at-length), text(e.at), e.k), n})
		}
		return out
	}}
}

// disorder is more than any event is out of order by, microseconds.
const disorder = 200 * second

// near is about where the events lie that are within a time before event i, or after it: what lies beyond is further away.
func near(list []event, s span, i, step int, within int64) int {
	at := list[i].at
	for i >= s.from && i < s.to && (list[i].at-at)*int64(step) <= within+disorder {
		i += step
	}
	if step < 0 {
		return max(i, s.from)
	}
	return i
}

// counts are windows of so many rows of a key as they come.
func counts(size, every int) shape {
	return shape{what: "count", timeless: true, body: func(plus int) string {
		return fmt.Sprintf("SELECT k, min(id) AS first, sum(v)::bigint + %d AS n FROM ev GROUP BY k, COUNT_WINDOW(%d, %d)", plus, size, every)
	}, rows: func(list []event, s span) (out []told) {
		rows := map[string][]*event{}
		for i := s.from; i < s.to; i++ {
			e := &list[i]
			if e.stream != 0 {
				continue
			}
			l := append(rows[e.k], e)
			if rows[e.k] = l; len(l) < size || (len(l)-size)%every != 0 {
				continue
			}
			l = l[len(l)-size:]
			from, to, v := l[0].at, l[0].at, 0
			for _, o := range l {
				from, to, v = min(from, o.at), max(to, o.at), v+o.v
			}
			out = append(out, told{i, fmt.Sprintf("%s|%s|%s|%d", text(from), text(to+1), e.k, l[0].id), v})
		}
		return out
	}}
}

// firsts are the rows whose values no row had within a time before.
func firsts(within int) shape {
	length := int64(within) * second
	return shape{what: "first seen", timeless: true, body: func(plus int) string {
		return fmt.Sprintf("SELECT id, v + %d AS n FROM ev WHERE FIRST_SEEN(k, ip, %s)", plus, seconds(within))
	}, rows: func(list []event, s span) (out []told) {
		latest := map[string]int64{}
		for i := s.from; i < s.to; i++ {
			e := &list[i]
			base := max(e.at, e.wmBefore[0])
			if e.stream != 0 || base-e.at >= length {
				continue
			}
			key := e.k + e.ip
			last, known := latest[key]
			if !known || last <= base-length {
				out = append(out, told{i, fmt.Sprint(e.id), e.v})
			}
			if !known || e.at > last {
				latest[key] = e.at
			}
		}
		return out
	}}
}

// timely are the rows of streams that are not behind time, in order of time and then of arrival, as indices.
func timely(list []event, s span, of func(marks) int64, streams int) (out []int) {
	for i := s.from; i < s.to; i++ {
		if e := &list[i]; e.stream < streams && e.at >= of(e.wmBefore) {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return int(list[a].at - list[b].at) })
	return out
}

// overs count the rows of the key in a time up to each row.
func overs(size int) shape {
	length := int64(size) * second
	return shape{what: "over", timeless: true, body: func(plus int) string {
		return fmt.Sprintf("SELECT id, max(id) OVER w AS last, count(*) OVER w + %d AS n FROM ev WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN %s PRECEDING AND CURRENT ROW)", plus, seconds(size))
	}, rows: func(list []event, s span) (out []told) {
		order := timely(list, s, own, 1)
		for place, i := range order {
			e := &list[i]
			by := passed(list, s, i, e.at, own)
			if by < 0 {
				continue
			}
			n, last := 0, 0
			for j := place; j >= 0 && list[order[j]].at >= e.at-length; j-- {
				if o := &list[order[j]]; o.k == e.k {
					n, last = n+1, max(last, o.id)
				}
			}
			for j := place + 1; j < len(order) && list[order[j]].at == e.at; j++ {
				if o := &list[order[j]]; o.k == e.k {
					n, last = n+1, max(last, o.id)
				}
			}
			out = append(out, told{by, fmt.Sprintf("%d|%d", e.id, last), n})
		}
		return out
	}}
}

// patterns are two or more small values and then a large one, of a key, within a time.
func patterns(within int) shape {
	return shape{what: "match", timeless: true, body: func(plus int) string {
		return fmt.Sprintf(`SELECT k, first, last, c + %d AS n FROM ev MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES FIRST(a.id) AS first, b.id AS last, count(a.id) AS c
			ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (a{2,} b) WITHIN %s DEFINE a AS v < 60, b AS v >= 75) m`, plus, seconds(within))
	}, rows: func(list []event, s span) (out []told) {
		rows := map[string][]int{}
		for _, i := range timely(list, s, own, 1) {
			rows[list[i].k] = append(rows[list[i].k], i)
		}
		for k, l := range rows {
			for from := 0; from < len(l); from++ {
				to := from
				for to < len(l) && list[l[to]].v < 60 {
					to++
				}
				if to-from < 2 || to == len(l) || list[l[to]].v < 75 || list[l[to]].at-list[l[from]].at > int64(within)*second {
					continue
				}
				if by := passed(list, s, l[to], list[l[to]].at, own); by >= 0 {
					out = append(out, told{by, fmt.Sprintf("%s|%d|%d", k, list[l[from]].id, list[l[to]].id), to - from})
				}
				from = to
			}
		}
		return out
	}}
}

// pairs join ev and fl by key and time; left: rows of ev without partner too.
func pairs(before, after int, left bool) shape {
	join, what := "JOIN", "join"
	if left {
		join, what = "LEFT JOIN", "left join"
	}
	lo, hi := int64(before)*second, int64(after)*second
	return shape{what: what, timeless: true, body: func(plus int) string {
		return fmt.Sprintf("SELECT a.id, b.id AS other, a.v + %d AS n FROM ev a %s fl b ON b.k = a.k AND b.ts BETWEEN a.ts - %s AND a.ts + %s", plus, join, seconds(before), seconds(after))
	}, rows: func(list []event, s span) (out []told) {
		intime := func(e *event) bool { return e.at >= e.wmBefore.least() }
		for i := s.from; i < s.to; i++ {
			a := &list[i]
			if a.stream != 0 || !intime(a) {
				continue
			}
			found := false
			for j := near(list, s, i, -1, lo); j < near(list, s, i, 1, hi); j++ {
				if b := &list[j]; b.stream == 1 && b.k == a.k && intime(b) && b.at >= a.at-lo && b.at <= a.at+hi {
					out, found = append(out, told{max(i, j), fmt.Sprintf("%d|%d", a.id, b.id), a.v}), true
				}
			}
			if by := passed(list, s, i, a.at+hi, both); left && !found && by >= 0 {
				out = append(out, told{by, fmt.Sprintf("%d|NULL", a.id), a.v})
			}
		}
		return out
	}}
}

// lookups find, for each row of ev, the newest row of its key in fl that is not newer.
func lookups() shape {
	return shape{what: "temporal", timeless: true, body: func(plus int) string {
		return fmt.Sprintf("SELECT a.id, b.id AS other, a.v + %d AS n FROM ev a LEFT JOIN fl FOR SYSTEM_TIME AS OF a.ts AS b ON b.k = a.k", plus)
	}, rows: func(list []event, s span) (out []told) {
		newest := map[string]int{}
		order := timely(list, s, both, 2)
		for place, next := 0, 0; place < len(order); place++ {
			i := order[place]
			for ; next < len(order) && list[order[next]].at <= list[i].at; next++ {
				if o := &list[order[next]]; o.stream == 1 {
					newest[o.k] = o.id
				}
			}
			e := &list[i]
			by := passed(list, s, i, e.at, both)
			if e.stream != 0 || by < 0 {
				continue
			}
			other := "NULL"
			if id, ok := newest[e.k]; ok {
				other = fmt.Sprint(id)
			}
			out = append(out, told{by, fmt.Sprintf("%d|%s", e.id, other), e.v})
		}
		return out
	}}
}
