package expr

import (
	"errors"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

var errNoIOC = errors.New("no IOC lists in this place")

// compileFilter makes the filter form of a boolean expression, or of its negation: NOT moves inwards, where three-valued
// logic stays right (NOT (a AND b) is NOT a OR NOT b; NOT (a < b) is a >= b, NULL either way).
func compileFilter(e Expr, neg bool) (filterNode, error) {
	switch e := e.(type) {
	case *And:
		return compileTerms(e.Args, neg, neg)
	case *Or:
		return compileTerms(e.Args, !neg, neg)
	case *Not:
		return compileFilter(e.X, !neg)
	case *InIOC:
		x, err := compile(e.X)
		return &iocNode{x: x, col: columnIndex(e.X), lists: e.Lists, not: e.Not != neg}, err
	case *InTable:
		return compileTable(e, neg)
	case *TableQuery:
		if e.Kind == TableAny {
			return compileTableQuery(e, neg)
		}
	case *In:
		if _, _, ok, err := leaf(e, neg); !ok && err == nil && !steady(e) && len(e.List) > 0 {
			return compileFilter(spelledOut(e), neg)
		}
	}
	if !steady(e) {
		x, p, ok, err := leaf(e, neg)
		if err != nil {
			return nil, err
		}
		if ok {
			n, err := compile(x)
			return &leafNode{x: n, p: p, col: columnIndex(x) + 1}, err
		}
		if c, ok := e.(*Compare); ok && neg {
			e, neg = &Compare{Op: negated(c.Op), L: c.L, R: c.R}, false
		}
	}
	n, err := compile(e)
	want := int64(1)
	if neg {
		want = 0
	}
	return &valueFilter{n: n, want: want}, err
}

// spelledOut is X IN (a, b) as X = a OR X = b.
func spelledOut(e *In) Expr {
	or := &Or{}
	for _, item := range e.List {
		or.Args = append(or.Args, &Compare{Op: EQ, L: e.X, R: item})
	}
	if e.Not {
		return &Not{X: or}
	}
	return or
}

func negated(o CmpOp) CmpOp {
	return [...]CmpOp{EQ: NE, NE: EQ, LT: GE, GE: LT, LE: GT, GT: LE}[o]
}

func compileTerms(terms []Expr, any, neg bool) (filterNode, error) {
	list := make([]filterNode, len(terms))
	for i, t := range terms {
		f, err := compileFilter(t, neg)
		if err != nil {
			return nil, err
		}
		list[i] = f
	}
	if any {
		return &orFilter{terms: list}, nil
	}
	return &andFilter{terms: list}, nil
}

// andFilter narrows term by term.
type andFilter struct {
	terms []filterNode
	bufs  [2][]uint32
}

func (n *andFilter) filter(ev *env, sel, dst []uint32) ([]uint32, error) {
	cur := sel
	for i, t := range n.terms {
		if i == len(n.terms)-1 {
			return t.filter(ev, cur, dst)
		}
		next, err := t.filter(ev, cur, n.bufs[i&1][:0])
		if err != nil {
			return dst, err
		}
		n.bufs[i&1] = next
		if cur = next; len(cur) == 0 {
			return dst, nil
		}
	}
	return append(dst, cur...), nil
}

// orFilter gives each term the rows that no earlier one took.
type orFilter struct {
	terms []filterNode
	rest  []uint32
	hits  []uint32
}

func (n *orFilter) filter(ev *env, sel, dst []uint32) ([]uint32, error) {
	n.rest = append(n.rest[:0], sel...)
	for _, t := range n.terms {
		if len(n.rest) == 0 {
			break
		}
		var err error
		if n.hits, err = t.filter(ev, n.rest, n.hits[:0]); err != nil {
			return dst, err
		}
		n.rest = subtract(n.rest[:0], n.rest, n.hits)
	}
	return subtract(dst, sel, n.rest), nil
}

// subtract appends to dst the members of a that are not in b; both ascend. dst may be a[:0].
func subtract(dst, a, b []uint32) []uint32 {
	if len(b) == 0 {
		return append(dst, a...)
	}
	j := 0
	for _, x := range a {
		if j < len(b) && b[j] == x {
			j++
			continue
		}
		dst = append(dst, x)
	}
	return dst
}

// valueFilter computes the boolean and picks the rows with the wanted value.
type valueFilter struct {
	n    node
	want int64
}

func (f *valueFilter) filter(ev *env, sel, dst []uint32) ([]uint32, error) {
	return filterByValue(f.n, ev, sel, dst, f.want)
}

func filterByValue(n node, ev *env, sel, dst []uint32, want int64) ([]uint32, error) {
	v, err := n.eval(ev, sel)
	if err != nil {
		return dst, err
	}
	for i, row := range sel {
		if v.I64[i] == want && !v.IsNull(i) {
			dst = append(dst, row)
		}
	}
	return dst, nil
}

// leafNode is a predicate of one value with everything else constant.
type leafNode struct {
	x    node
	p    pred
	col  int // 1 + column index when x is a plain column, else 0
	out  batch.Vec
	hits []uint32
}

// pred tests rows of a vector against constants. NULL never matches, except for IS NULL.
type pred interface {
	// match appends the members of idx whose row of v matches.
	match(v *batch.Vec, idx, dst []uint32) []uint32
	// null is the value for NULL rows when computed, not filtered: -1 for NULL, else 0 or 1.
	null() int8
}

func (n *leafNode) filter(ev *env, sel, dst []uint32) ([]uint32, error) {
	dst = slices.Grow(dst, len(sel))
	if c := n.col - 1; c >= 0 && c < len(ev.b.Cols) && !ev.b.Cols[c].Absent {
		return n.p.match(&ev.b.Cols[c], sel, dst), nil
	}
	v, err := n.x.eval(ev, sel)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	dst = n.p.match(v, batch.All(len(sel)), dst)
	for i := start; i < len(dst); i++ {
		dst[i] = sel[dst[i]]
	}
	return dst, nil
}

func (n *leafNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	v, err := n.x.eval(ev, sel)
	if err != nil {
		return nil, err
	}
	n.hits = n.p.match(v, batch.All(len(sel)), slices.Grow(n.hits[:0], len(sel)))
	n.out.Reset(boolType)
	n.out.N = len(sel)
	n.out.I64 = slices.Grow(n.out.I64, len(sel))[:len(sel)]
	clear(n.out.I64)
	for _, i := range n.hits {
		n.out.I64[i] = 1
	}
	if unknown := n.p.null(); len(v.Nulls) > 0 && unknown < 0 {
		for i := range sel {
			if v.IsNull(i) {
				n.out.SetNull(i)
			}
		}
	}
	return &n.out, nil
}

// leaf recognises a predicate of one value against constants, negated when neg.
func leaf(e Expr, neg bool) (x Expr, p pred, ok bool, err error) {
	switch e := e.(type) {
	case *Compare:
		l, r, op := e.L, e.R, e.Op
		c, isConst := r.(*Const)
		if !isConst {
			if c, isConst = l.(*Const); !isConst {
				return nil, nil, false, nil
			}
			l, op = r, flipped(op)
		}
		if neg {
			op = negated(op)
		}
		return l, comparePred(op, c.Val, l.Type()), true, nil
	case *IsNull:
		return e.X, &nullPred{not: e.Not != neg}, true, nil
	case *Like:
		c, isConst := e.Pattern.(*Const)
		if !isConst {
			return nil, nil, false, nil
		}
		if c.Val.Null {
			return e.X, neverPred{}, true, nil
		}
		m, err := CompileLike(c.Val.S, e.Escape, e.Insensitive)
		if err != nil { // the error belongs to the rows, if any are reached
			return nil, nil, false, nil
		}
		return e.X, &likePred{m: m, not: e.Not != neg}, true, nil
	case *In:
		vals := make([]types.Value, len(e.List))
		for i, item := range e.List {
			c, isConst := item.(*Const)
			if !isConst {
				return nil, nil, false, nil
			}
			vals[i] = c.Val
		}
		if p := inPred(e.X.Type(), vals, e.Not != neg); p != nil {
			return e.X, p, true, nil
		}
	}
	return nil, nil, false, nil
}

// flipped swaps the sides of a comparison.
func flipped(o CmpOp) CmpOp {
	return [...]CmpOp{EQ: EQ, NE: NE, LT: GT, GT: LT, LE: GE, GE: LE}[o]
}
