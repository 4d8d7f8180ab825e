package eventlog

import (
	"slices"
	"sort"
)

// spanSet is a set of offsets, as spans in order that neither overlap nor touch.
type spanSet []Span

// add unites s with the set.
func (x *spanSet) add(s Span) {
	i := sort.Search(len(*x), func(i int) bool { return (*x)[i].To >= s.From })
	j := i
	for j < len(*x) && (*x)[j].From <= s.To {
		s = Span{min(s.From, (*x)[j].From), max(s.To, (*x)[j].To)}
		j++
	}
	*x = slices.Replace(*x, i, j, s)
}

// covers reports whether all of s is in the set.
func (x spanSet) covers(s Span) bool {
	i := sort.Search(len(x), func(i int) bool { return x[i].To > s.From })
	return s.From >= s.To || i < len(x) && x[i].From <= s.From && x[i].To >= s.To
}

// load takes over stored spans; what is beyond end was cut off.
func (x *spanSet) load(spans []Span, end int64) {
	*x = nil
	for _, s := range spans {
		if s.To = min(s.To, end); s.From < s.To {
			*x = append(*x, s)
		}
	}
}

// Check notes that every row of the entries in [from, to) decodes, in every column: who reads some columns only finds the
// same rows there as one who reads all. from and to are bounds of entries.
func (l *Log) Check(from, to int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		part := Span{max(from, s.base), min(to, s.end())}
		if part.From < part.To && !s.checked.covers(part) {
			s.checked.add(part)
			s.dirty = true
		}
	}
}

// Checked returns the parts of a span that Check was told of, in order.
func (l *Log) Checked(within Span) []Span {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Span
	for _, s := range l.segments {
		for _, c := range s.checked {
			if c = (Span{max(c.From, within.From), min(c.To, within.To)}); c.From < c.To {
				out = appendSpan(out, c)
			}
		}
	}
	return out
}
