package predindex

import (
	"bytes"
	"regexp/syntax"
	"slices"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/expr"
)

// literal is text that a value must contain, both as fold makes them.
type literal struct {
	text           string
	atStart, atEnd bool
	// whole: a value of ASCII that contains it there passes the test, so that nothing is left to be asked.
	whole bool
}

// Bounds of the literals that are searched for: shorter ones say too little; more alternatives than that cost more than they save.
const (
	literalMin      = 2
	alternativesMax = 64
)

// literalOf is a literal of a pattern that is compared with values in lower case (lower), or with values as they are.
func literalOf(l expr.Literal, lower bool) literal {
	text := string(fold(nil, []byte(l.Text)))
	return literal{text: text, atStart: l.AtStart, atEnd: l.AtEnd, whole: l.Whole && lower && text == l.Text}
}

// best picks of texts that are all needed the one that says most.
func best(list []literal) []literal {
	if len(list) == 0 {
		return nil
	}
	return []literal{slices.MaxFunc(list, func(a, b literal) int { return a.weight() - b.weight() })}
}

// weight grows with what a literal says about a value.
func (l *literal) weight() int {
	w := 2 * len(l.text)
	if l.atStart {
		w++
	}
	if l.atEnd {
		w++
	}
	return w
}

// rarity estimates how many values contain the literal.
func (l *literal) rarity() float64 {
	p := 0.5
	for n := 1; n < min(len(l.text), 9); n++ {
		p *= 0.45
	}
	if l.atStart || l.atEnd {
		p *= 0.3
	}
	return p
}

// regexLiterals finds texts of which every value that matches contains at least one; nil when nothing is known.
func regexLiterals(pattern string) []literal {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	texts := required(re.Simplify())
	if len(texts.all) == 0 || len(texts.all) > alternativesMax {
		return nil
	}
	var out []literal
	for _, t := range texts.all {
		if len(t) < literalMin {
			return nil
		}
		out = append(out, literal{text: string(fold(nil, []byte(t)))})
	}
	return out
}

// textSet is a set of texts one of which is contained in what a regular expression matches; none: nothing is known. exact: what
// is matched is one of them, no more.
type textSet struct {
	all   []string
	exact bool
}

func required(re *syntax.Regexp) textSet {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 && !foldable(re.Rune) {
			return textSet{}
		}
		return textSet{[]string{string(re.Rune)}, true}
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary,
		syntax.OpNoWordBoundary:
		return textSet{[]string{""}, true}
	case syntax.OpCapture:
		return required(re.Sub[0])
	case syntax.OpCharClass:
		return classSet(re.Rune)
	case syntax.OpPlus:
		return textSet{all: required(re.Sub[0]).all}
	case syntax.OpRepeat:
		if re.Min > 0 {
			return textSet{all: required(re.Sub[0]).all}
		}
	case syntax.OpQuest:
		if s := required(re.Sub[0]); s.exact {
			return textSet{append(slices.Clone(s.all), ""), true}
		}
	case syntax.OpConcat:
		return concatSet(re.Sub)
	case syntax.OpAlternate:
		return alternateSet(re.Sub)
	}
	return textSet{}
}

// foldable: what matches the text without case in a regular expression is what fold makes equal to it. That is so for ASCII.
func foldable(runes []rune) bool {
	return !slices.ContainsFunc(runes, func(r rune) bool { return r >= utf8.RuneSelf })
}

// fold appends b as the automata compare it: in lower case, and the long s, which regular expressions take for an s if case does
// not count, as s. What is equal without case, in whatever sense, is equal after fold.
func fold(dst, b []byte) []byte {
	from := len(dst)
	dst = expr.AppendLower(dst, b)
	if bytes.Contains(dst[from:], longS) {
		return append(dst[:from], bytes.ReplaceAll(dst[from:], longS, []byte("s"))...)
	}
	return dst
}

var longS = []byte("ſ")

func classSet(ranges []rune) textSet {
	var out []string
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if len(out) == 8 {
				return textSet{}
			}
			out = append(out, string(r))
		}
	}
	return textSet{out, len(out) > 0}
}

func alternateSet(subs []*syntax.Regexp) textSet {
	out := textSet{exact: true}
	for _, sub := range subs {
		s := required(sub)
		if len(s.all) == 0 || len(out.all)+len(s.all) > alternativesMax {
			return textSet{}
		}
		out.all, out.exact = append(out.all, s.all...), out.exact && s.exact
	}
	return out
}

// concatSet joins what is exact side by side, and keeps the best of what is known in between.
func concatSet(subs []*syntax.Regexp) textSet {
	run, kept, exact := []string{""}, []string(nil), true
	for _, sub := range subs {
		s := required(sub)
		if s.exact && len(run)*len(s.all) <= alternativesMax {
			var next []string
			for _, a := range run {
				for _, b := range s.all {
					next = append(next, a+b)
				}
			}
			run = next
			continue
		}
		exact = false
		kept = better(better(kept, run), s.all)
		run = []string{""}
	}
	if exact {
		return textSet{run, true}
	}
	return textSet{all: better(kept, run)}
}

// better is the set whose shortest text is longer.
func better(a, b []string) []string {
	if shortest(b) > shortest(a) {
		return b
	}
	return a
}

func shortest(list []string) int {
	if len(list) == 0 {
		return 0
	}
	n := len(list[0])
	for _, s := range list[1:] {
		n = min(n, len(s))
	}
	return n
}
