package expr

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// likeKind is the shape of a LIKE pattern.
type likeKind uint8

const (
	likeExact     likeKind = iota // no wildcard
	likePrefix                    // abc%
	likeSuffix                    // %abc
	likeContains                  // %abc%
	likePreSuffix                 // abc%xyz
	likeAny                       // %
	likeGeneral                   // everything else: segments between the %
)

// LikeMatcher is a compiled pattern of LIKE or ILIKE. Match keeps scratch space: one goroutine. MatchLower does not.
type LikeMatcher struct {
	kind         likeKind
	fold         bool
	first, last  []byte
	segs         []likeSegment
	openL, openR bool // general: the pattern begins, ends with %
	buf          []byte
}

// likeSegment is a run of literal characters and _ between two %.
type likeSegment struct {
	lit []byte
	any []bool // any[i]: lit[i] stands for one character, whatever it is
	one bool   // has a _
}

// CompileLike compiles a pattern; escape 0 means none. insensitive patterns compare lower-case forms. The error is that of a
// pattern which ends with its escape character.
func CompileLike(pattern string, escape rune, insensitive bool) (*LikeMatcher, error) {
	m := &LikeMatcher{fold: insensitive}
	if insensitive {
		pattern = string(AppendLower(nil, []byte(pattern)))
	}
	segs := []likeSegment{{}}
	for i := 0; i < len(pattern); {
		r, w := utf8.DecodeRuneInString(pattern[i:])
		cur := &segs[len(segs)-1]
		switch {
		case escape != 0 && r == escape:
			i += w
			if i >= len(pattern) {
				return nil, sqlerr.New(sqlerr.InvalidEscapeSequence, "LIKE pattern must not end with escape character")
			}
			_, w = utf8.DecodeRuneInString(pattern[i:])
			cur.addLiteral(pattern[i : i+w])
		case r == '%':
			segs = append(segs, likeSegment{})
		case r == '_':
			cur.lit, cur.any, cur.one = append(cur.lit, 0), append(cur.any, true), true
		default:
			cur.addLiteral(pattern[i : i+w])
		}
		i += w
	}
	m.shape(segs)
	return m, nil
}

func (s *likeSegment) addLiteral(t string) {
	s.lit = append(s.lit, t...)
	for range len(t) {
		s.any = append(s.any, false)
	}
}

// shape picks the quickest form for the segments between the %.
func (m *LikeMatcher) shape(segs []likeSegment) {
	n := len(segs)
	m.openL, m.openR = n > 1 && len(segs[0].lit) == 0, n > 1 && len(segs[n-1].lit) == 0
	kept := make([]likeSegment, 0, n)
	one := false
	for _, s := range segs {
		if len(s.lit) > 0 {
			kept = append(kept, s)
			one = one || s.one
		}
	}
	m.segs, m.kind = kept, likeGeneral
	switch {
	case n == 1 && !one:
		m.kind = likeExact
	case n > 1 && len(kept) == 0:
		m.kind = likeAny
	case one || len(kept) > 2:
	case len(kept) == 1 && m.openL && m.openR:
		m.kind = likeContains
	case len(kept) == 1 && m.openL:
		m.kind = likeSuffix
	case len(kept) == 1 && m.openR:
		m.kind = likePrefix
	case len(kept) == 2 && !m.openL && !m.openR:
		m.kind = likePreSuffix
		m.last = kept[1].lit
	}
	if len(kept) > 0 {
		m.first = kept[0].lit
	}
}

// Folds reports whether the pattern compares lower-case forms (ILIKE).
func (m *LikeMatcher) Folds() bool { return m.fold }

// Literal is text that every match of a pattern contains.
type Literal struct {
	Text string
	// AtStart and AtEnd: it lies at the start or the end of the value.
	AtStart, AtEnd bool
	// Whole: a value that contains the text at that place matches the pattern.
	Whole bool
}

// Literals are texts that every value matching the pattern contains, in lower case when it Folds.
func (m *LikeMatcher) Literals() []Literal {
	var out []Literal
	for i, s := range m.segs {
		first, last := i == 0 && !m.openL, i == len(m.segs)-1 && !m.openR
		if !s.one {
			whole := len(m.segs) == 1 && (m.kind == likeContains || m.kind == likePrefix || m.kind == likeSuffix || m.kind == likeExact)
			out = append(out, Literal{Text: string(s.lit), AtStart: first, AtEnd: last, Whole: whole})
			continue
		}
		for from := 0; from < len(s.lit); {
			to := from
			for to < len(s.lit) && !s.any[to] {
				to++
			}
			if to > from {
				out = append(out, Literal{Text: string(s.lit[from:to]), AtStart: first && from == 0, AtEnd: last && to == len(s.lit)})
			}
			from = to + 1
		}
	}
	return out
}

// match reports whether b matches.
func (m *LikeMatcher) match(b []byte) bool {
	if m.fold {
		m.buf = AppendLower(m.buf[:0], b)
		b = m.buf
	}
	return m.MatchLower(b)
}

// MatchLower reports whether b, which is in lower case already if the pattern Folds, matches. It is safe for concurrent use.
func (m *LikeMatcher) MatchLower(b []byte) bool {
	switch m.kind {
	case likeExact:
		return string(b) == string(m.first)
	case likePrefix:
		return bytes.HasPrefix(b, m.first)
	case likeSuffix:
		return bytes.HasSuffix(b, m.first)
	case likeContains:
		return bytes.Contains(b, m.first)
	case likePreSuffix:
		return len(b) >= len(m.first)+len(m.last) && bytes.HasPrefix(b, m.first) && bytes.HasSuffix(b, m.last)
	case likeAny:
		return true
	}
	return m.matchGeneral(b)
}

// matchGeneral places the segments from left to right, each as early as possible; the last one, unless % follows, at the end.
func (m *LikeMatcher) matchGeneral(b []byte) bool {
	segs := m.segs
	if !m.openL {
		n, ok := segs[0].at(b)
		if !ok {
			return false
		}
		b, segs = b[n:], segs[1:]
		if len(segs) == 0 {
			return m.openR || len(b) == 0
		}
	}
	for i := range segs {
		if i == len(segs)-1 && !m.openR {
			return segs[i].atEnd(b)
		}
		n, ok := segs[i].find(b)
		if !ok {
			return false
		}
		b = b[n:]
	}
	return true
}

// at reports whether b begins with the segment, and how many bytes it takes.
func (s *likeSegment) at(b []byte) (int, bool) {
	n := 0
	for i, c := range s.lit {
		if n >= len(b) {
			return 0, false
		}
		if s.any[i] {
			_, w := utf8.DecodeRune(b[n:])
			n += w
			continue
		}
		if b[n] != c {
			return 0, false
		}
		n++
	}
	return n, true
}

// find returns the end of the first occurrence.
func (s *likeSegment) find(b []byte) (int, bool) {
	if !s.one {
		i := bytes.Index(b, s.lit)
		return i + len(s.lit), i >= 0
	}
	for i := 0; i < len(b); {
		if n, ok := s.at(b[i:]); ok {
			return i + n, true
		}
		_, w := utf8.DecodeRune(b[i:])
		i += w
	}
	return 0, false
}

// atEnd reports whether b ends with the segment.
func (s *likeSegment) atEnd(b []byte) bool {
	if !s.one {
		return bytes.HasSuffix(b, s.lit)
	}
	n := len(b)
	for i := len(s.lit) - 1; i >= 0; i-- {
		if n == 0 {
			return false
		}
		if s.any[i] {
			_, w := utf8.DecodeLastRune(b[:n])
			n -= w
			continue
		}
		if n--; b[n] != s.lit[i] {
			return false
		}
	}
	return true
}

// AppendLower appends the lower-case form of b, character by character, as ILIKE compares it.
func AppendLower(dst, b []byte) []byte {
	for i, c := range b {
		if c >= utf8.RuneSelf {
			for _, r := range string(b[i:]) {
				dst = utf8.AppendRune(dst, unicode.ToLower(r))
			}
			return dst
		}
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
