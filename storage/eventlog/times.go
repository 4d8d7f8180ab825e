package eventlog

import (
	"slices"
	"sort"
)

// rangeBytes is how much of the log one time range covers at least, before the next is begun.
const rangeBytes = 1 << 20

// timeRange: all rows in [from, to) have event times in [min, max].
type timeRange struct{ from, to, min, max int64 }

// timeIndex is what is known of the event times of a segment: ranges in order, without overlap. Offsets between them are unknown.
type timeIndex struct{ ranges []timeRange }

// add notes r where nothing is known yet; what was noted before holds as well, and is not made vaguer. It reports whether there
// was such a place.
func (t *timeIndex) add(r timeRange) (news bool) {
	var gaps []timeRange
	at := r.from
	for i := t.after(r.from); i < len(t.ranges) && t.ranges[i].from < r.to; i++ {
		if n := t.ranges[i]; n.from > at {
			gaps = append(gaps, timeRange{at, n.from, r.min, r.max})
		}
		at = t.ranges[i].to
	}
	if at < r.to {
		gaps = append(gaps, timeRange{at, r.to, r.min, r.max})
	}
	for _, g := range gaps {
		t.insert(g)
	}
	return len(gaps) > 0
}

// after is the place of the first range that ends after an offset.
func (t *timeIndex) after(offset int64) int {
	return sort.Search(len(t.ranges), func(i int) bool { return t.ranges[i].to > offset })
}

// insert adds r, which overlaps nothing, and makes it one with a small neighbour: wider times are right too, only less sharp.
func (t *timeIndex) insert(r timeRange) {
	i := t.after(r.from)
	j := i
	if i > 0 && t.ranges[i-1].to == r.from && t.ranges[i-1].small() {
		i--
		r = unite(t.ranges[i], r)
	}
	if j < len(t.ranges) && t.ranges[j].from == r.to && t.ranges[j].small() && r.small() {
		r = unite(r, t.ranges[j])
		j++
	}
	t.ranges = slices.Replace(t.ranges, i, j, r)
}

func (r timeRange) small() bool { return r.to-r.from < rangeBytes }

func unite(a, b timeRange) timeRange {
	return timeRange{a.from, b.to, min(a.min, b.min), max(a.max, b.max)}
}

// load takes over stored ranges; what is beyond end was cut off.
func (t *timeIndex) load(ranges []timeRange, end int64) {
	t.ranges = nil
	for _, r := range ranges {
		if r.to <= end {
			t.ranges = append(t.ranges, r)
		}
	}
}

// appendSpans adds the parts of [from, to) that may have rows in [minTime, maxTime].
func (t *timeIndex) appendSpans(dst []Span, within Span, minTime, maxTime int64) []Span {
	at := within.From
	for _, r := range t.ranges {
		if r.from > at {
			dst = appendSpan(dst, Span{at, r.from})
		}
		if r.min <= maxTime && r.max >= minTime {
			dst = appendSpan(dst, Span{r.from, r.to})
		}
		at = r.to
	}
	if at < within.To {
		dst = appendSpan(dst, Span{at, within.To})
	}
	return dst
}

// appendSpan joins a span to the last one where they touch.
func appendSpan(dst []Span, s Span) []Span {
	if n := len(dst); n > 0 && dst[n-1].To == s.From {
		dst[n-1].To = s.To
		return dst
	}
	return append(dst, s)
}

// Index notes that every row of the entries in [from, to) has an event time in [minTime, maxTime]. from and to are bounds of
// entries. Notes may come in any order and twice; where none came, Ranges answers "maybe".
func (l *Log) Index(from, to, minTime, maxTime int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.segments) - 1; i >= 0 && from < to; i-- {
		s := l.segments[i]
		if s.base >= to {
			continue
		}
		r := timeRange{max(from, s.base), min(to, s.end()), minTime, maxTime}
		if r.from < r.to && s.times.add(r) {
			s.dirty = true
		}
		to = min(to, s.base)
	}
}

// Ranges returns the spans of the retained log, in order, that may hold rows with event times in [minTime, maxTime].
func (l *Log) Ranges(minTime, maxTime int64) []Span {
	l.mu.Lock()
	defer l.mu.Unlock()
	var spans []Span
	for _, s := range l.segments {
		spans = s.times.appendSpans(spans, Span{s.base, s.end()}, minTime, maxTime)
	}
	return spans
}
