package faults

import (
	"fmt"
	"slices"
	"time"
)

// The model says what the queries of a simulation give, with plain loops over all events. It shares no code with the engine.

type event struct {
	at       time.Time
	id, v    int
	k, ip    string
	owner    string // of ip in the table when the event came; "" for none
	listed   bool   // ip was in the list then
	wm       time.Time
	wmBefore time.Time // the watermark before and after the event
}

// span is a stretch of events that a query saw from its beginning, or from RESUME, until it was paused, or to the end.
type span struct{ from, to int }

// shape is a kind of query.
type shape struct {
	body string
	// rows are the results from the events of a span.
	rows func(list []event, s span) []string
	// layered: it reads another query.
	layered bool
}

func filter(least int) shape {
	return shape{body: fmt.Sprintf("SELECT id, v FROM ev WHERE v >= %d AND k <> 'k1'", least), rows: func(list []event, s span) (out []string) {
		for _, e := range list[s.from:s.to] {
			if e.v >= least && e.k != "k1" {
				out = append(out, fmt.Sprintf("%d|%d", e.id, e.v))
			}
		}
		return out
	}}
}

const stamp = "2006-01-02 15:04:05.999999+00"

// windows are of a size, and begin every slide.
func windows(size, slide int) shape {
	window := fmt.Sprintf("HOP(ts, INTERVAL '%d seconds', INTERVAL '%d seconds')", slide, size)
	if size == slide {
		window = fmt.Sprintf("TUMBLE(ts, INTERVAL '%d seconds')", size)
	}
	return shape{body: "SELECT k, count(*) AS n, sum(v) AS v, max(id) AS last FROM ev GROUP BY k, " + window, rows: func(list []event, s span) (out []string) {
		for _, g := range closed(list, s, time.Duration(size)*time.Second, time.Duration(slide)*time.Second) {
			start := time.UnixMicro(g.start).UTC()
			end := start.Add(time.Duration(size) * time.Second)
			out = append(out, fmt.Sprintf("%s|%s|%s|%d|%d|%d", start.Format(stamp), end.Format(stamp), g.k, g.n, g.v, g.last))
		}
		return out
	}}
}

// above counts how many groups of the query base, which always runs, had so many rows.
func above() shape {
	return shape{layered: true, body: "SELECT n, count(*) AS groups FROM base GROUP BY n EMIT ON UPDATE", rows: func(list []event, s span) (out []string) {
		counts := map[int]int{}
		for _, g := range closed(list, span{0, s.to}, baseSize, baseSize) {
			if g.closedBy >= s.from {
				counts[g.n]++
			}
		}
		for n, c := range counts {
			out = append(out, fmt.Sprintf("%d|%d", n, c))
		}
		return out
	}}
}

const baseSize = 30 * time.Second

func joined() shape {
	return shape{body: "SELECT id, owner FROM ev JOIN hosts ON hosts.ip = ev.ip", rows: func(list []event, s span) (out []string) {
		for _, e := range list[s.from:s.to] {
			if e.owner != "" {
				out = append(out, fmt.Sprintf("%d|%s", e.id, e.owner))
			}
		}
		return out
	}}
}

func listed() shape {
	return shape{body: "SELECT id FROM ev WHERE ip IN IOC bad", rows: func(list []event, s span) (out []string) {
		for _, e := range list[s.from:s.to] {
			if e.listed {
				out = append(out, fmt.Sprint(e.id))
			}
		}
		return out
	}}
}

type group struct {
	k          string
	start      int64
	n, v, last int
	closedBy   int // index of the event whose watermark ended it
}

// closed are the groups whose windows the watermark has ended before the end of the span, of the events in it that were not late for them.
func closed(list []event, s span, size, slide time.Duration) (out []group) {
	open := map[string]*group{}
	for i, e := range list[s.from:s.to] {
		at := e.at.UnixMicro()
		for start := floor(at, slide.Microseconds()); start > at-size.Microseconds(); start -= slide.Microseconds() {
			if start+size.Microseconds() <= e.wmBefore.UnixMicro() {
				continue // late
			}
			key := fmt.Sprint(start, e.k)
			g := open[key]
			if g == nil {
				g = &group{k: e.k, start: start}
				open[key] = g
			}
			g.n, g.v, g.last = g.n+1, g.v+e.v, max(g.last, e.id)
		}
		for key, g := range open {
			if g.start+size.Microseconds() <= e.wm.UnixMicro() {
				g.closedBy = s.from + i
				out = append(out, *g)
				delete(open, key)
			}
		}
	}
	return out
}

func floor(at, by int64) int64 { return at - (at%by+by)%by }

// live is a query that is there.
type live struct {
	name   string
	shape  shape
	spans  []span
	paused bool
}

// rows are its results.
func (q *live) rows(list []event) (out []string) {
	for _, s := range q.spans {
		if s.to < 0 {
			s.to = len(list)
		}
		out = append(out, q.shape.rows(list, s)...)
	}
	slices.Sort(out)
	return out
}
