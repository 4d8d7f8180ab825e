package bind

import (
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/parse"
)

// Limits on a pattern when its quantifiers are unfolded.
const (
	patternStatesMax = 4096
	// patternNextMax bounds the pairs of a state and one that may follow it.
	patternNextMax = 1 << 16
)

// step is an instruction of a pattern being compiled: it waits for a row of a variable (v >= 0), or goes on at each of next,
// the preferred one first.
type step struct {
	v    int
	next []int
}

// patternCompiler turns a pattern into states. It builds from the end: each part is compiled knowing what comes after it.
type patternCompiler struct {
	vars  map[string]int
	steps []step
	pos   int
	err   error
}

// patternAccept is the step that completes a match.
const patternAccept = 0

func (c *patternCompiler) add(s step) int {
	if len(c.steps) > 2*patternStatesMax {
		c.tooLarge()
		return patternAccept
	}
	c.steps = append(c.steps, s)
	return len(c.steps) - 1
}

func (c *patternCompiler) tooLarge() {
	if c.err == nil {
		c.err = sqlerr.New(sqlerr.ProgramLimitExceeded, "the pattern is too large").At(c.pos).
			WithHint("With its quantifiers unfolded it may have %d elements.", patternStatesMax)
	}
}

// part compiles p with what follows it, and returns where it begins.
func (c *patternCompiler) part(p *parse.Pattern, next int) int {
	if c.err != nil {
		return patternAccept
	}
	switch p.Kind {
	case "VAR":
		return c.add(step{v: c.vars[p.Name], next: []int{next}})
	case "SEQ":
		for i := len(p.Items) - 1; i >= 0; i-- {
			next = c.part(p.Items[i], next)
		}
		return next
	case "ALT":
		s := step{v: -1}
		for _, item := range p.Items {
			s.next = append(s.next, c.part(item, next))
		}
		return c.add(s)
	}
	return c.repeat(p, next)
}

// repeat compiles a quantifier: what must come, then a loop or what may come.
func (c *patternCompiler) repeat(p *parse.Pattern, next int) int {
	item, must := p.Items[0], p.Min
	choice := func(more, stop int) []int {
		if p.Reluctant {
			return []int{stop, more}
		}
		return []int{more, stop}
	}
	entry := next
	if p.Max < 0 {
		loop := c.add(step{v: -1})
		body := c.part(item, loop)
		if c.err != nil {
			return patternAccept
		}
		c.steps[loop].next = choice(body, next)
		if entry = loop; must > 0 {
			entry, must = body, must-1
		}
	}
	for i := p.Min; i < p.Max && c.err == nil; i++ {
		entry = c.add(step{v: -1, next: choice(c.part(item, entry), next)})
	}
	for i := 0; i < must && c.err == nil; i++ {
		entry = c.part(item, entry)
	}
	return entry
}

// compilePattern fills Start and States of m.
func compilePattern(m *spec.Match, p *parse.Pattern, vars map[string]int, pos int) error {
	c := &patternCompiler{vars: vars, steps: []step{{v: -1}}, pos: pos}
	entry := c.part(p, patternAccept)
	if c.err != nil {
		return c.err
	}
	number := make([]int32, len(c.steps))
	for i, s := range c.steps {
		if s.v >= 0 {
			number[i] = int32(len(m.States))
			m.States = append(m.States, spec.MatchState{Var: int32(s.v)})
		}
	}
	total := 0
	follow := func(from int) []int32 {
		f := follower{c: c, seen: map[int]bool{}, number: number}
		f.walk(from)
		total += len(f.out)
		return f.out
	}
	m.Start = follow(entry)
	for i, s := range c.steps {
		if s.v >= 0 && total <= patternNextMax {
			m.States[number[i]].Next = follow(s.next[0])
		}
	}
	if len(m.States) > patternStatesMax || total > patternNextMax {
		c.tooLarge()
	}
	return c.err
}

// follower collects the states reachable without a row, in order of preference; what comes after completion cannot win.
type follower struct {
	c      *patternCompiler
	seen   map[int]bool
	number []int32
	out    []int32
	done   bool
}

func (f *follower) walk(at int) {
	if f.done || f.seen[at] {
		return
	}
	f.seen[at] = true
	s := &f.c.steps[at]
	switch {
	case at == patternAccept:
		f.out, f.done = append(f.out, spec.MatchAccept), true
	case s.v >= 0:
		f.out = append(f.out, f.number[at])
	default:
		for _, next := range s.next {
			f.walk(next)
		}
	}
}
