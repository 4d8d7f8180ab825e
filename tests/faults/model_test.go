package faults

import (
	"fmt"
	"slices"
	"time"
)

// The model says what the queries of a simulation give, with plain loops over all events. It shares no code with the engine.

// marks are the watermarks of the streams, microseconds.
type marks [2]int64

// least is the time of a query over both streams.
func (m marks) least() int64 { return min(m[0], m[1]) }

type event struct {
	stream   int   // 0: ev, 1: fl
	at       int64 // microseconds
	id, v    int
	k, ip    string
	owner    string // of ip in the table when the event came; "" for none
	listed   bool   // ip was in the list then
	wm       marks
	wmBefore marks // the watermarks before and after the event
}

// span is a stretch of events that a query saw from its beginning, or from RESUME, until it was paused, or to the end.
type span struct{ from, to int }

// told is a result row: its last column is n plus what the query's text says when event by brings the row.
type told struct {
	by   int
	head string
	n    int
}

// shape is a kind of query.
type shape struct {
	what string
	// body is its text; the last column is a number, to which plus is added.
	body func(plus int) string
	// rows are the results from the events of a span.
	rows func(list []event, s span) []told
	// layered: it reads another query, or a stage.
	layered bool
	// updating: its rows are corrected. Else they may be carried out by a sink, and the query may be altered.
	updating bool
	// timeless: what it gives from events that are over depends on them alone, so that it can begin with history.
	timeless bool
}

func seconds(n int) string { return fmt.Sprintf("INTERVAL '%d seconds'", n) }

const second = int64(time.Second / time.Microsecond)

const stamp = "2006-01-02 15:04:05.999999+00"

func text(at int64) string { return time.UnixMicro(at).UTC().Format(stamp) }

// each is a shape of rows of ev that pass, with a column before the last.
func each(what, body string, pass func(e *event) bool, head func(e *event) string) shape {
	return shape{what: what, body: func(plus int) string { return fmt.Sprintf(body, plus) }, rows: func(list []event, s span) (out []told) {
		for i := s.from; i < s.to; i++ {
			if e := &list[i]; e.stream == 0 && pass(e) {
				out = append(out, told{i, head(e), e.v})
			}
		}
		return out
	}}
}

func idOf(e *event) string { return fmt.Sprint(e.id) }

func filter(least int) shape {
	x := each("filter", fmt.Sprintf("SELECT id, v + %%d AS n FROM ev WHERE v >= %d AND k <> 'k1'", least), func(e *event) bool { return e.v >= least && e.k != "k1" }, idOf)
	x.timeless = true
	return x
}

func joined() shape {
	return each("joined", "SELECT id, owner, v + %d AS n FROM ev JOIN hosts ON hosts.ip = ev.ip", func(e *event) bool { return e.owner != "" },
		func(e *event) string { return idOf(e) + "|" + e.owner })
}

func inTable() shape {
	return each("inTable", "SELECT id, v + %d AS n FROM ev WHERE ip NOT IN (SELECT ip FROM hosts)", func(e *event) bool { return e.owner == "" }, idOf)
}

func listed() shape {
	return each("listed", "SELECT id, v + %d AS n FROM ev WHERE ip IN IOC bad", func(e *event) bool { return e.listed }, idOf)
}

// windows are of a size, and begin every slide.
func windows(size, slide int) shape {
	window, what := fmt.Sprintf("HOP(ts, %s, %s)", seconds(slide), seconds(size)), "hop"
	if size == slide {
		window, what = fmt.Sprintf("TUMBLE(ts, %s)", seconds(size)), "tumble"
	}
	return shape{what: what, timeless: true, body: func(plus int) string {
		return fmt.Sprintf("SELECT k, count(*) AS c, max(id) AS last, sum(v)::bigint + %d AS n FROM ev GROUP BY k, %s", plus, window)
	}, rows: func(list []event, s span) (out []told) {
		for _, g := range closed(list, s, int64(size)*second, int64(slide)*second) {
			out = append(out, told{g.closedBy, fmt.Sprintf("%s|%s|%s|%d|%d", text(g.start), text(g.start+int64(size)*second), g.k, g.n, g.last), g.v})
		}
		return out
	}}
}

// above counts how many groups of the query base, which always runs, had so many rows.
func above() shape {
	return shape{what: "above", layered: true, updating: true, body: func(plus int) string {
		return fmt.Sprintf("SELECT n - 7 AS v, count(*) + %d AS groups FROM base GROUP BY n EMIT ON UPDATE", plus)
	}, rows: func(list []event, s span) (out []told) {
		counts := map[int]int{}
		for _, g := range closed(list, span{0, s.to}, baseSize, baseSize) {
			if g.closedBy >= s.from {
				counts[g.v]++
			}
		}
		for v, c := range counts {
			out = append(out, told{s.to - 1, fmt.Sprint(v), c})
		}
		return out
	}}
}

const baseSize = 30 * second

// layers are windows over windows, in two stages.
func layers(size, over int) shape {
	return shape{what: "layers", layered: true, timeless: true, body: func(plus int) string {
		return fmt.Sprintf("SELECT sum(c)::bigint AS c, count(*) + %d AS n FROM (SELECT k, count(*) AS c FROM ev GROUP BY k, TUMBLE(ts, %s)) x GROUP BY TUMBLE(%s)", plus, seconds(size), seconds(over))
	}, rows: func(list []event, s span) (out []told) {
		lower, upper := int64(size)*second, int64(over)*second
		sums, groups := map[int64]int{}, map[int64]int{}
		for _, g := range closed(list, s, lower, lower) {
			start := floor(g.start+lower-1, upper)
			sums[start], groups[start] = sums[start]+g.n, groups[start]+1
		}
		for start, c := range sums {
			if by := passed(list, s, s.from, start+upper-1, own); by >= 0 {
				out = append(out, told{by, fmt.Sprintf("%s|%s|%d", text(start), text(start+upper), c), groups[start]})
			}
		}
		return out
	}}
}

// own is the time of queries over ev, both that of queries over ev and fl.
func own(m marks) int64  { return m[0] }
func both(m marks) int64 { return m.least() }

// passed is the first event of a span, from one on, whose watermark is beyond a time; -1: there is none.
func passed(list []event, s span, from int, at int64, of func(marks) int64) int {
	for i := from; i < s.to; i++ {
		if of(list[i].wm) > at {
			return i
		}
	}
	return -1
}

type group struct {
	k          string
	start      int64
	n, v, last int
	closedBy   int // index of the event whose watermark ended it
}

// closed are the groups whose windows the watermark has ended before the end of the span, of the events in it that were not late for them.
func closed(list []event, s span, size, slide int64) (out []group) {
	type place struct {
		start int64
		k     string
	}
	open := map[place]*group{}
	for i := s.from; i < s.to; i++ {
		e := &list[i]
		if e.stream != 0 {
			continue
		}
		for start := floor(e.at, slide); start > e.at-size; start -= slide {
			if start+size <= e.wmBefore[0] {
				continue // late
			}
			key := place{start, e.k}
			g := open[key]
			if g == nil {
				g = &group{k: e.k, start: start}
				open[key] = g
			}
			g.n, g.v, g.last = g.n+1, g.v+e.v, max(g.last, e.id)
		}
		if e.wm[0] == e.wmBefore[0] {
			continue
		}
		for key, g := range open {
			if g.start+size <= e.wm[0] {
				g.closedBy = i
				out = append(out, *g)
				delete(open, key)
			}
		}
	}
	return out
}

func floor(at, by int64) int64 { return at - (at%by+by)%by }

// alteration is a text that holds from an event on.
type alteration struct{ at, plus int }

// live is a query that is there.
type live struct {
	name   string
	shape  shape
	spans  []span
	plus   []alteration // in order; the first from the beginning
	paused bool
	// history: it began with history. sink is the file that its rows are carried out to; "": none.
	history bool
	sink    string
}

// rows are its results.
func (q *live) rows(list []event) (out []string) {
	for _, s := range q.spans {
		if s.to < 0 {
			s.to = len(list)
		}
		for _, r := range q.shape.rows(list, s) {
			plus := 0
			for _, a := range q.plus {
				if a.at <= r.by {
					plus = a.plus
				}
			}
			out = append(out, fmt.Sprintf("%s|%d", r.head, r.n+plus))
		}
	}
	slices.Sort(out)
	return out
}
