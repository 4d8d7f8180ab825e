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

// add merges r in. Overlapping and small adjacent ranges become one: wider times are always right, only less sharp.
func (t *timeIndex) add(r timeRange) {
	i := sort.Search(len(t.ranges), func(i int) bool { return t.ranges[i].to > r.from })
	if i > 0 && t.ranges[i-1].to == r.from && t.ranges[i-1].to-t.ranges[i-1].from < rangeBytes {
		i--
	}
	j := i
	for j < len(t.ranges) {
		n := t.ranges[j]
		adjacent := n.to == r.from || n.from == r.to && r.to-r.from < rangeBytes
		if n.from >= r.to && !adjacent {
			break
		}
		r = timeRange{min(r.from, n.from), max(r.to, n.to), min(r.min, n.min), max(r.max, n.max)}
		j++
	}
	t.ranges = slices.Replace(t.ranges, i, j, r)
}

// covered reports whether adding r would tell nothing new.
func (t *timeIndex) covered(r timeRange) bool {
	i := sort.Search(len(t.ranges), func(i int) bool { return t.ranges[i].to > r.from })
	if i == len(t.ranges) {
		return false
	}
	n := t.ranges[i]
	return n.from <= r.from && n.to >= r.to && n.min <= r.min && n.max >= r.max
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
		if r.from < r.to && !s.times.covered(r) {
			s.times.add(r)
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
