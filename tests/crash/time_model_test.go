package crash

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func stamp(at int64) string {
	t := timeStart.Add(time.Duration(at) * time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02 15:04:05+00")
	}
	return t.Format("2006-01-02 15:04:05.999999+00")
}

// group is what a grouping by time adds up.
type group struct{ n, bytes int64 }

func (g *group) add(e *timeEvent) {
	g.n++
	g.bytes += int64(e.bytes)
}

// lines are the groups whose window ended by the watermark in the end, as text.
func lines(t *testing.T, groups map[string]*group) []string {
	t.Helper()
	var out []string
	for key, g := range groups {
		out = append(out, fmt.Sprintf("%s|%d|%d", key, g.n, g.bytes))
	}
	slices.Sort(out)
	return out
}

// grouped sums events into windows, leaving out those whose windows have closed, and windows that are open in the end.
func grouped(events []timeEvent, slide, size int64, key func(start int64, e *timeEvent) string) map[string]*group {
	const delay = 2 * second
	groups := map[string]*group{}
	watermark, last := int64(-1)<<62, events[len(events)-1].at-delay
	for i := range events {
		e := &events[i]
		first := e.at - (e.at%slide+slide)%slide // the newest window; starts lie on the grid of timeStart, a multiple of all slides
		for start := first; start > e.at-size; start -= slide {
			if start+size <= watermark || start+size > last {
				continue
			}
			k := key(start, e)
			if groups[k] == nil {
				groups[k] = &group{}
			}
			groups[k].add(e)
		}
		watermark = max(watermark, e.at-delay)
	}
	return groups
}

// sessions are the session windows of denied events that are not tardy: a gap of a second ends one.
func sessions(events []timeEvent) []string {
	byUser := map[int][]int64{}
	for i := range events {
		if e := &events[i]; e.denied && !e.tardy {
			byUser[e.user] = append(byUser[e.user], e.at)
		}
	}
	var out []string
	for user, times := range byUser {
		slices.Sort(times)
		for from := 0; from < len(times); {
			to := from + 1
			for to < len(times) && times[to] < times[to-1]+second {
				to++
			}
			out = append(out, fmt.Sprintf("%s|%s|u%d|%d", stamp(times[from]), stamp(times[to-1]+second), user, to-from))
			from = to
		}
	}
	slices.Sort(out)
	return out
}

// pairs joins auth with conn by session within bounds, leaving out tardy rows; unmatched is called for rows of auth without partner.
func pairs(auth, conn []timeEvent, bounds [2]int64, matched func(a, c *timeEvent), unmatched func(a *timeEvent)) {
	bySession := map[int][]*timeEvent{}
	for i := range conn {
		if c := &conn[i]; !c.tardy {
			bySession[c.session] = append(bySession[c.session], c)
		}
	}
	for i := range auth {
		a := &auth[i]
		if a.tardy {
			continue
		}
		found := false
		for _, c := range bySession[a.session] {
			if c.at >= a.at+bounds[0] && c.at <= a.at+bounds[1] {
				found = true
				matched(a, c)
			}
		}
		if !found {
			unmatched(a)
		}
	}
}

// compareModel checks the results that are easily computed.
func compareModel(t *testing.T, l *timeLoad, got map[string][]string) {
	t.Helper()
	boom := timeEvent{at: 96 * second, user: -1, session: -2}
	auth := slices.Insert(slices.Clone(l.auth), timeBoom*timePerPiece, boom)
	user := func(e *timeEvent) string {
		if e.user < 0 {
			return "boom"
		}
		return fmt.Sprint("u", e.user)
	}
	hops := grouped(auth, 2*second, 6*second, func(start int64, e *timeEvent) string { return stamp(start) + "|" + user(e) })
	compare(t, "hops", got["hops"], lines(t, hops))
	totals := map[string]*group{}
	for i := range auth {
		k := user(&auth[i])
		if totals[k] == nil {
			totals[k] = &group{}
		}
		totals[k].add(&auth[i])
	}
	compare(t, "totals", got["totals"], lines(t, totals))
	compare(t, "sess", got["sess"], sessions(l.auth))
	per60 := grouped(auth, 5*second, 5*second, func(start int64, _ *timeEvent) string {
		minute := start - (start%(60*second)+60*second)%(60*second)
		return stamp(minute) + "|" + stamp(minute+60*second)
	})
	compare(t, "per60", got["per60"], lines(t, per60))
	var joined, lefts, missing []string
	pairs(auth, l.conn, [2]int64{-second, second}, func(a, c *timeEvent) { joined = append(joined, fmt.Sprintf("%d|%d|%d", a.session, a.bytes, c.bytes)) },
		func(a *timeEvent) { missing = append(missing, fmt.Sprintf("%d|%d", a.session, a.bytes)) })
	pairs(auth, l.conn, [2]int64{0, second}, func(a, c *timeEvent) { lefts = append(lefts, fmt.Sprintf("%d|%d|%d", a.session, a.bytes, c.bytes)) },
		func(a *timeEvent) { lefts = append(lefts, fmt.Sprintf("%d|%d|NULL", a.session, a.bytes)) })
	for name, rows := range map[string][]string{"joined": joined, "lefts": lefts, "missing": missing} {
		slices.Sort(rows)
		compare(t, name, got[name], rows)
	}
}
