package meta

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
)

// slide is the model of SLIDE: each row sees the rows of its key in the size up to it; of rows with its own time those that came
// before it. What a row tells is final when the watermark less the lateness has passed its time.
func (g *grouping) sliding(rows []row) verdict {
	v := verdict{hits: hits{}}
	type seat struct {
		*row
		bound int64 // the watermark less the lateness when it came
		tells bool
		in    []*row
	}
	var seats []*seat
	for i := range rows {
		r := &rows[i]
		if !g.passes(r) {
			continue
		}
		bound := int64(never)
		if wm := r.before[0]; wm != never {
			bound = wm - g.lateness
		}
		s := &seat{row: r, bound: bound, tells: r.at >= bound}
		if !s.tells {
			v.hits["slide without result"]++
			if r.at+g.size <= bound {
				v.late = append(v.late, fmt.Sprint(r.id))
				continue
			}
		}
		key := keyOf(r, g.keys)
		for _, o := range seats {
			if keyOf(o.row, g.keys) != key {
				continue
			}
			if s.tells && o.at > s.at-g.size && o.at <= s.at {
				s.in = append(s.in, o.row)
			}
			if o.tells && o.at >= bound && s.at > o.at-g.size && s.at < o.at {
				o.in = append(o.in, r)
				v.hits["slide corrections"]++
			}
		}
		s.in = append(s.in, r)
		seats = append(seats, s)
	}
	for _, s := range seats {
		if s.tells && len(s.in) >= g.having {
			v.rows = append(v.rows, g.result(&group{span: span{s.at - g.size, s.at}, key: keyOf(s.row, g.keys), rows: s.in}))
		}
	}
	sort.Strings(v.rows)
	return v
}

// counted is the model of COUNT_WINDOW: size rows of a key in the order they came, one window every so many.
func (g *grouping) counted(rows []row) verdict {
	v := verdict{hits: hits{}}
	lists := map[string][]*row{}
	for i := range rows {
		if r := &rows[i]; g.passes(r) {
			lists[keyOf(r, g.keys)] = append(lists[keyOf(r, g.keys)], r)
		}
	}
	for key, list := range lists {
		for from := int64(0); from+g.size <= int64(len(list)); from += g.slide {
			x := &group{key: key, rows: list[from : from+g.size]}
			x.start, x.end = x.rows[0].at, x.rows[0].at+1
			for _, r := range x.rows {
				x.start, x.end = min(x.start, r.at), max(x.end, r.at+1)
			}
			if len(x.rows) >= g.having {
				v.rows = append(v.rows, g.result(x))
			}
		}
	}
	sort.Strings(v.rows)
	return v
}

// spreading is FROM TUMBLE(a, ts, ..) and the like without a grouping by it: each row with each of its windows, late or not.
// Grouped, they are counted for ever.
func (g *grouping) spreading(grouped bool) (body string, eval func(rows []row) verdict) {
	call := strings.Replace(g.call(), "(ts", "(a, ts", 1)
	body = "SELECT window_start, window_end, id FROM " + call
	if grouped {
		body = "SELECT window_start, window_end, count(*) AS n FROM (SELECT * FROM " + call + ") x GROUP BY window_start, window_end"
	}
	return body, func(rows []row) verdict {
		v := verdict{hits: hits{}}
		counts := map[span]int{}
		for i := range rows {
			if rows[i].stream != 0 {
				continue
			}
			for _, s := range g.windows(rows[i].at) {
				counts[s]++
				v.rows = append(v.rows, stamp(s.start)+"|"+stamp(s.end)+"|"+rows[i].column("id"))
			}
		}
		if grouped {
			v.rows = nil
			for s, n := range counts {
				v.rows = append(v.rows, fmt.Sprintf("%s|%s|%d", stamp(s.start), stamp(s.end), n))
			}
		}
		sort.Strings(v.rows)
		return v
	}
}

// randomLooking makes the windows that look back from a row, or count rows.
func randomLooking(rng *rand.Rand, s shape, add func(feature, body string, eval func([]row) verdict)) {
	for range 2 {
		g := randomGrouping(rng, "slide", s.lateness)
		add("slide", g.body(), g.sliding)
		g = randomGrouping(rng, "count", s.lateness)
		g.size = 1 + rng.Int64N(4)
		g.slide = 1 + rng.Int64N(g.size)
		add("count_window", g.body(), g.counted)
		g = randomGrouping(rng, []string{"tumble", "hop", "cumulate"}[rng.IntN(3)], s.lateness)
		body, eval := g.spreading(false)
		add("rows of windows", body, eval)
		body, eval = g.spreading(true)
		add("rows of windows", body, eval)
	}
}
