package spec

import (
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
)

// Outline is a plan as EXPLAIN shows it: a tree of operators in one line each.
type Outline struct {
	// Node is the operator of a physical plan, nil elsewhere.
	Node *Node
	Line string
	// Subplans are the plans of the subqueries that the operator evaluates.
	Subplans []*Outline
	In       []*Outline
}

// Outlines are the trees of a program: the whole, then its stages.
func Outlines(p *Program) []*Outline {
	list := []*Outline{outline(p.Root)}
	for _, st := range p.Stages {
		list = append(list, outline(st.Program.Root))
	}
	return list
}

func outline(n *Node) *Outline {
	o := &Outline{Node: n, Line: Describe(n)}
	for _, x := range exprsOf(n.Op) {
		expr.Walk(x, func(x expr.Expr) bool {
			s, ok := x.(*expr.Subquery)
			if !ok {
				return true
			}
			if p, ok := s.Plan.(*Program); ok {
				o.Subplans = append(o.Subplans, outline(p.Root))
			}
			return true
		})
	}
	for _, in := range n.In {
		o.In = append(o.In, outline(in))
	}
	return o
}

// Lines prints outlines as indented trees, the root first, as Postgres does. Plans of subqueries follow the operator that
// evaluates them. more gives what follows an operator's line, on it and below; nil: nothing.
func Lines(list []*Outline, more func(o *Outline) (same string, below []string)) []string {
	l := lister{more: more}
	for _, o := range list {
		l.add(o, 0)
	}
	return l.lines
}

type lister struct {
	lines    []string
	subplans int
	more     func(o *Outline) (string, []string)
}

func (l *lister) add(o *Outline, depth int) {
	line, indent := o.Line, strings.Repeat("  ", depth)
	if depth > 0 {
		line = indent + "->  " + line
		indent += "    "
	}
	var below []string
	if l.more != nil {
		var same string
		same, below = l.more(o)
		line += same
	}
	l.lines = append(l.lines, line)
	for _, b := range below {
		l.lines = append(l.lines, indent+"  "+b)
	}
	for _, s := range o.Subplans {
		l.subplans++
		l.lines = append(l.lines, strings.Repeat("  ", depth+1)+"SubPlan "+strconv.Itoa(l.subplans))
		l.add(s, depth+2)
	}
	for _, in := range o.In {
		l.add(in, depth+1)
	}
}
