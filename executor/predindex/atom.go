package predindex

import (
	"math"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/types"
)

// atomKind says which test an atom is.
type atomKind uint8

const (
	atomRange  atomKind = iota // lo <= x <= hi, in the order of integers
	atomInts                   // x is one of ints
	atomEqual                  // the bytes equal text
	atomOneOf                  // the bytes are one of texts
	atomLike                   // LIKE, ILIKE
	atomRegex                  // ~, ~*
	atomNull                   // IS NULL
	atomNet                    // the address lies in net
	atomNever                  // true for no row: a comparison with NULL
	atomMember                 // the array has one of members, or every one
)

// atom is a test of one value against constants. It is true or not; NULL is not, but for IS NULL.
type atom struct {
	// key is the same for atoms that are the same test.
	key  string
	x    subject
	kind atomKind
	// not turns the test around; NULL stays untrue.
	not    bool
	lo, hi int64
	ints   map[int64]struct{}
	text   string
	texts  map[string]struct{}
	like   *expr.LikeMatcher
	regex  *fn.Pattern
	net    string // the stored form
	strict bool   // the network itself is not contained
	// members are elements as they are stored, in order; every: all of them are wanted.
	members []string
	every   bool
	// lits are texts of which the value contains at least one if the test is true; none: nothing is known.
	lits []literal
}

// subject is the value that an atom tests.
type subject struct {
	// col is the column, or -1: the value is computed by x.
	col int
	// lower: the value is the column in lower case.
	lower bool
	x     expr.Expr
	typ   types.Type
}

// key is the same for subjects that are the same value.
func (s *subject) key() string {
	return Canonical(s.x)
}

// subjectOf finds out what an expression reads; false when it might fail.
func subjectOf(e expr.Expr) (subject, bool) {
	switch x := e.(type) {
	case *expr.Column:
		return subject{col: x.Index, x: e, typ: x.Typ}, true
	case *expr.Call:
		if c, ok := lowered(x); ok {
			return subject{col: c.Index, lower: true, x: e, typ: x.Typ}, true
		}
	}
	if !safe(e) || hasQuery(e) {
		return subject{}, false
	}
	return subject{col: -1, x: e, typ: e.Type()}, true
}

// hasQuery reports a subquery over a table anywhere in an expression: it costs too much to be computed for all rows.
func hasQuery(e expr.Expr) (found bool) {
	expr.Walk(e, func(e expr.Expr) bool {
		_, ok := e.(*expr.TableQuery)
		found = found || ok
		return !found
	})
	return found
}

// lowered finds the column in lower(column).
func lowered(c *expr.Call) (*expr.Column, bool) {
	if c.Def.Name != "lower" || len(c.Args) != 1 || c.Typ.Kind != types.Text {
		return nil, false
	}
	col, ok := c.Args[0].(*expr.Column)
	return col, ok && col.Typ.Kind.IsText()
}

// atomOf recognises an atom, negated when neg; nil: the condition is none.
func atomOf(e expr.Expr, neg bool) *atom {
	a := atomIn(e)
	if a == nil || neg && a.kind == atomMember { // an array that has a NULL is none that lacks an element
		return nil
	}
	if neg {
		a.not = !a.not
	}
	if a.not {
		a.lits = nil
	}
	a.key = Canonical(e)
	if neg {
		a.key = "NOT " + a.key
	}
	return a
}

func atomIn(e expr.Expr) *atom {
	switch e := e.(type) {
	case *expr.Column:
		if e.Typ.Kind == types.Bool {
			return &atom{x: subject{col: e.Index, x: e, typ: e.Typ}, kind: atomRange, lo: 1, hi: 1}
		}
	case *expr.InTable:
		if safe(e) && !hasQuery(e) {
			return &atom{x: subject{col: -1, x: positive(e), typ: e.Type()}, kind: atomRange, lo: 1, hi: 1, not: e.Not}
		}
	case *expr.Compare:
		return atomCompare(e)
	case *expr.In:
		return atomList(e)
	case *expr.IsNull:
		if s, ok := subjectOf(e.X); ok {
			return &atom{x: s, kind: atomNull, not: e.Not}
		}
	case *expr.Like:
		return atomPattern(e)
	case *expr.AnyArray:
		return atomAny(e)
	case *expr.Call:
		if a := atomArrays(e); a != nil {
			return a
		}
		return atomCall(e)
	}
	return nil
}

// positive is the question that e or its negation is: both are one value.
func positive(e *expr.InTable) *expr.InTable {
	c := *e
	c.Not = false
	return &c
}

// atomCompare is a comparison with a constant.
func atomCompare(e *expr.Compare) *atom {
	l, op := e.L, e.Op
	c, ok := e.R.(*expr.Const)
	if !ok {
		if c, ok = e.L.(*expr.Const); !ok {
			return nil
		}
		l, op = e.R, [...]expr.CmpOp{expr.EQ: expr.EQ, expr.NE: expr.NE, expr.LT: expr.GT, expr.GT: expr.LT, expr.LE: expr.GE, expr.GE: expr.LE}[op]
	}
	s, ok := subjectOf(l)
	if !ok {
		return nil
	}
	a := &atom{x: s}
	if c.Val.Null {
		a.kind = atomNever
		return a
	}
	switch s.typ.Phys() {
	case types.PhysInt:
		return a.bounds(op, c.Val.I)
	case types.PhysFloat:
		return a.bounds(op, expr.FloatOrder(c.Val.F))
	}
	if !types.EqualByBytes(s.typ) || op != expr.EQ && op != expr.NE {
		return nil
	}
	a.kind, a.text, a.not = atomEqual, c.Val.S, op == expr.NE
	return a
}

// bounds makes the atom a range, which all six comparisons are.
func (a *atom) bounds(op expr.CmpOp, c int64) *atom {
	a.kind, a.lo, a.hi = atomRange, math.MinInt64, math.MaxInt64
	switch op {
	case expr.EQ, expr.NE:
		a.lo, a.hi, a.not = c, c, op == expr.NE
	case expr.LE:
		a.hi = c
	case expr.GE:
		a.lo = c
	case expr.LT:
		if c == math.MinInt64 {
			a.kind = atomNever
			return a
		}
		a.hi = c - 1
	case expr.GT:
		if c == math.MaxInt64 {
			a.kind = atomNever
			return a
		}
		a.lo = c + 1
	}
	return a
}

// atomList is IN over constants, none of which is NULL.
func atomList(e *expr.In) *atom {
	s, ok := subjectOf(e.X)
	phys := s.typ.Phys()
	if !ok || len(e.List) == 0 || phys == types.PhysBytes && !types.EqualByBytes(s.typ) {
		return nil
	}
	a := &atom{x: s, kind: atomInts, not: e.Not, ints: map[int64]struct{}{}}
	if phys == types.PhysBytes {
		a.kind, a.ints, a.texts = atomOneOf, nil, map[string]struct{}{}
	}
	for _, item := range e.List {
		c, ok := item.(*expr.Const)
		if !ok || c.Val.Null {
			return nil
		}
		switch phys {
		case types.PhysInt:
			a.ints[c.Val.I] = struct{}{}
		case types.PhysFloat:
			a.ints[expr.FloatOrder(c.Val.F)] = struct{}{}
		default:
			a.texts[c.Val.S] = struct{}{}
		}
	}
	return a
}

// atomPattern is LIKE with a constant pattern.
func atomPattern(e *expr.Like) *atom {
	c, ok := e.Pattern.(*expr.Const)
	if !ok {
		return nil
	}
	s, ok := subjectOf(e.X)
	if !ok || !s.typ.Kind.IsText() {
		return nil
	}
	a := &atom{x: s, not: e.Not}
	if c.Val.Null {
		a.kind = atomNever
		return a
	}
	m, err := expr.CompileLike(c.Val.S, e.Escape, e.Insensitive)
	if err != nil {
		return nil // the error belongs to the rows, if any come so far
	}
	a.kind, a.like = atomLike, m
	for _, l := range m.Literals() {
		a.lits = append(a.lits, literalOf(l, m.Folds() || s.lower))
	}
	a.lits = best(a.lits)
	return a
}

// atomCall is a regular expression or a containment of addresses, with a constant on the right.
func atomCall(e *expr.Call) *atom {
	if len(e.Args) != 2 {
		return nil
	}
	c, ok := e.Args[1].(*expr.Const)
	if !ok {
		return nil
	}
	s, ok := subjectOf(e.Args[0])
	if !ok {
		return nil
	}
	a := &atom{x: s}
	switch name := e.Def.Name; {
	case e.Typ.Kind != types.Bool:
		return nil
	case c.Val.Null:
		a.kind = atomNever
	case isRegex(name) && s.typ.Kind.IsText():
		flags := ""
		if strings.HasSuffix(name, "*") {
			flags = "i"
		}
		re, err := fn.CompilePattern(c.Val.S, flags)
		if err != nil {
			return nil
		}
		a.kind, a.regex, a.not = atomRegex, re, name[0] == '!'
		a.lits = regexLiterals(re.Syntax())
	case (name == "<<" || name == "<<=") && (s.typ.Kind == types.Inet || s.typ.Kind == types.CIDR):
		a.kind, a.net, a.strict = atomNet, c.Val.S, name == "<<"
	default:
		return nil
	}
	return a
}

func isRegex(name string) bool { return name == "~" || name == "~*" || name == "!~" || name == "!~*" }

// cost is about what a test takes, in nanoseconds.
func (a *atom) cost() float64 {
	base := 0.0
	if a.x.col < 0 {
		base = 40
	}
	switch a.kind {
	case atomRange, atomNull, atomNever:
		return base + 2
	case atomInts:
		return base + 6
	case atomEqual:
		return base + 4
	case atomOneOf, atomNet:
		return base + 15
	case atomMember:
		return base + 30
	case atomLike:
		return base + 40
	}
	return base + 60
}

// holdsInt tests a value of a fixed-size type, given as the integer that it is compared by.
func holdsInt(a *atom, x int64) bool {
	switch a.kind {
	case atomRange:
		return (x >= a.lo && x <= a.hi) != a.not
	case atomInts:
		_, ok := a.ints[x]
		return ok != a.not
	}
	return false
}

// holdsBytes tests a value that is not NULL. low is its lower-case form where the test needs it (see folds).
func holdsBytes(a *atom, b, low []byte) bool {
	if a.x.lower {
		b = low
	}
	var ok bool
	switch a.kind {
	case atomEqual:
		ok = string(b) == a.text
	case atomOneOf:
		_, ok = a.texts[string(b)]
	case atomLike:
		if a.like.Folds() {
			b = low
		}
		ok = a.like.MatchLower(b)
	case atomRegex:
		ok = a.regex.Match(b)
	case atomMember:
		ok = a.hasMembers(b)
	case atomNet:
		ok = types.InetContains(a.net, string(b), a.strict)
	default:
		return false
	}
	return ok != a.not
}

// folds reports that the test needs the value in lower case.
func (a *atom) folds() bool { return a.x.lower || a.kind == atomLike && a.like.Folds() }

// costly reports that it pays to remember what a value answered.
func (a *atom) costly() bool { return a.kind == atomLike || a.kind == atomRegex }
