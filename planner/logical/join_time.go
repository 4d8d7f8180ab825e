package logical

import (
	"math"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// Bounds says how the time columns of the two sides of a join lie to each other: right - left is in [Lo, Hi], microseconds.
type Bounds struct {
	// LeftTime and RightTime are columns of In[0] and In[1]; -1 where the side has no event time.
	LeftTime, RightTime int
	Lo, Hi              int64
	HasLo, HasHi        bool
	// Used marks the conditions of the join that say nothing else.
	Used []bool
}

// OK: both bounds are there, and some distance is within them.
func (b *Bounds) OK() bool { return b.HasLo && b.HasHi && b.Lo <= b.Hi }

// JoinBounds finds the bounds of a join of a continuous query in its conditions and equal keys: comparisons of the sides' event times,
// with constant intervals added. Of several pairs of time columns one with both bounds is taken, or else one with any.
func JoinBounds(n *Node) Bounds { return timer{}.joinBounds(n) }

func (t timer) joinBounds(n *Node) Bounds {
	op := n.Op.(*Join)
	width := len(n.In[0].Schema.Cols)
	row := timeRow{width: width, sides: [2][]timeForm{t.forms(n.In[0]), t.forms(n.In[1])}}
	var best *Bounds
	var pairs []*Bounds
	at := map[[2]int]*Bounds{}
	for i, c := range op.Conds {
		if f, ok := row.bound(c); ok {
			b := pairOf(at, &pairs, f, len(op.Conds))
			b.take(f)
			b.Used[i] = true
		}
	}
	for i := range op.LeftKeys {
		right := Remap(op.RightKeys[i], func(c int) int { return c + width })
		if f, ok := row.bound(&expr.Compare{Op: expr.EQ, L: op.LeftKeys[i], R: right}); ok {
			pairOf(at, &pairs, f, len(op.Conds)).take(f)
		}
	}
	for _, b := range pairs {
		if best == nil || b.HasLo && b.HasHi && !(best.HasLo && best.HasHi) {
			best = b
		}
	}
	if best == nil {
		return Bounds{LeftTime: t.defaultTime(n.In[0]), RightTime: t.defaultTime(n.In[1]), Used: make([]bool, len(op.Conds))}
	}
	return *best
}

func pairOf(at map[[2]int]*Bounds, pairs *[]*Bounds, f timeBound, conds int) *Bounds {
	key := [2]int{f.left, f.right}
	if at[key] == nil {
		at[key] = &Bounds{LeftTime: f.left, RightTime: f.right, Lo: math.MinInt64, Hi: math.MaxInt64, Used: make([]bool, conds)}
		*pairs = append(*pairs, at[key])
	}
	return at[key]
}

func (b *Bounds) take(f timeBound) {
	if f.hasLo {
		b.HasLo, b.Lo = true, max(b.Lo, f.lo)
	}
	if f.hasHi {
		b.HasHi, b.Hi = true, min(b.Hi, f.hi)
	}
}

// timeBound is what one condition says of right - left.
type timeBound struct {
	left, right  int
	lo, hi       int64
	hasLo, hasHi bool
}

// timeForm says of a column that it is a side's time column plus a constant; col -1: it is none.
type timeForm struct {
	col    int
	offset int64
}

// forms relates each column to the first time column of the node that differs from it by a constant: window_start and
// window_time to window_end.
func (t timer) forms(n *Node) []timeForm {
	times := t.times(n)
	out := make([]timeForm, len(times))
	roots := make([]rootForm, len(times))
	for i := range out {
		out[i].col = -1
		roots[i] = rootOf(n, i)
	}
	for i, r := range roots {
		if r.node == nil {
			continue
		}
		for j, d := range times {
			if d != NoTime && roots[j].node == r.node && roots[j].col == r.col {
				out[i] = timeForm{col: j, offset: r.offset - roots[j].offset}
				break
			}
		}
	}
	return out
}

// rootForm is a column as a column of the operator that makes it, plus a constant.
type rootForm struct {
	node   *Node
	col    int
	offset int64
}

func rootOf(n *Node, col int) rootForm {
	offset := int64(0)
	for {
		switch op := n.Op.(type) {
		case *Filter:
			n = n.In[0]
			continue
		case *Project:
			f, ok := linear(op.Exprs[col], func(c int) (timeForm, bool) { return timeForm{col: c}, true })
			if !ok || len(f.cols) != 1 || f.cols[0].coef != 1 || f.interval {
				return rootForm{}
			}
			offset += f.offset
			col, n = f.cols[0].col, n.In[0]
			continue
		case *Aggregate:
			if size, ok := fixedSize(op.Window); ok && col == 0 {
				return rootForm{n, 1, offset - size}
			}
		}
		return rootForm{n, col, offset}
	}
}

// fixedSize is the distance between start and end of a window, where all windows have the same.
func fixedSize(w *Window) (int64, bool) {
	if w == nil || w.Kind != window.Tumble && w.Kind != window.Hop {
		return 0, false
	}
	return w.Size, true
}

// timeRow is the concatenated row of a join.
type timeRow struct {
	width int
	sides [2][]timeForm
}

// bound reads a condition as a bound of right - left.
func (r *timeRow) bound(c expr.Expr) (timeBound, bool) {
	cmp, ok := comparison(c)
	if !ok {
		return timeBound{}, false
	}
	l, ok := linear(cmp.L, r.form)
	if !ok {
		return timeBound{}, false
	}
	right, ok := linear(cmp.R, r.form)
	if !ok || !l.add(right, -1) || len(l.cols) != 2 || l.cols[0].coef+l.cols[1].coef != 0 {
		return timeBound{}, false
	}
	x, y := l.cols[0], l.cols[1]
	if x.col >= r.width {
		x, y = y, x
	}
	if x.col >= r.width || y.col < r.width {
		return timeBound{}, false // both of one side
	}
	// y.coef*(right - left) + offset op 0
	b := timeBound{left: x.col, right: y.col - r.width}
	op, v := cmp.Op, -l.offset
	if y.coef < 0 {
		op, v = flipped(op), -v
	}
	switch op {
	case expr.EQ:
		b.lo, b.hi, b.hasLo, b.hasHi = v, v, true, true
	case expr.GE:
		b.lo, b.hasLo = v, true
	case expr.GT:
		b.lo, b.hasLo = v+1, true
	case expr.LE:
		b.hi, b.hasHi = v, true
	case expr.LT:
		b.hi, b.hasHi = v-1, true
	default:
		return timeBound{}, false
	}
	return b, true
}

// comparison is a comparison, or the negation of one.
func comparison(c expr.Expr) (*expr.Compare, bool) {
	if n, ok := c.(*expr.Not); ok {
		cmp, ok := n.X.(*expr.Compare)
		if !ok {
			return nil, false
		}
		not, ok := map[expr.CmpOp]expr.CmpOp{expr.LT: expr.GE, expr.GE: expr.LT, expr.GT: expr.LE, expr.LE: expr.GT}[cmp.Op]
		return &expr.Compare{Op: not, L: cmp.L, R: cmp.R}, ok
	}
	cmp, ok := c.(*expr.Compare)
	return cmp, ok
}

func flipped(op expr.CmpOp) expr.CmpOp {
	switch op {
	case expr.GE:
		return expr.LE
	case expr.GT:
		return expr.LT
	case expr.LE:
		return expr.GE
	case expr.LT:
		return expr.GT
	}
	return op
}

// form is a column of the row in terms of its side's time column, as a column of the row.
func (r *timeRow) form(c int) (timeForm, bool) {
	side, base := 0, 0
	if c >= r.width {
		side, base = 1, r.width
	}
	f := r.sides[side][c-base]
	return timeForm{col: f.col + base, offset: f.offset}, f.col >= 0
}

// linearForm is a sum of time columns, each once or taken off once, and a constant.
type linearForm struct {
	cols   []linearTerm
	offset int64
	// interval: the sum is a distance, not a time.
	interval bool
}

type linearTerm struct {
	col  int
	coef int
}

// spanMax bounds constants, so that sums of a few stay in range: about 73,000 years.
const spanMax = math.MaxInt64 / 4

// add adds o times sign.
func (f *linearForm) add(o linearForm, sign int) bool {
	for _, t := range o.cols {
		found := false
		for i := range f.cols {
			if f.cols[i].col == t.col {
				f.cols[i].coef += sign * t.coef
				found = true
			}
		}
		if !found {
			f.cols = append(f.cols, linearTerm{t.col, sign * t.coef})
		}
	}
	kept := f.cols[:0]
	for _, t := range f.cols {
		if t.coef != 0 {
			kept = append(kept, t)
		}
	}
	f.cols = kept
	f.offset += int64(sign) * o.offset
	return f.offset < spanMax && f.offset > -spanMax
}

// linear reads an expression as a sum; form tells what a column is.
func linear(e expr.Expr, form func(int) (timeForm, bool)) (linearForm, bool) {
	if span, ok := constantSpan(e); ok {
		return linearForm{offset: span, interval: true}, true
	}
	switch e := e.(type) {
	case *expr.Column:
		if e.Typ.Kind != types.TimestampTZ {
			return linearForm{}, false
		}
		f, ok := form(e.Index)
		return linearForm{cols: []linearTerm{{f.col, 1}}, offset: f.offset}, ok
	case *expr.Call:
		sign := map[string]int{"+": 1, "-": -1}[e.Def.Name]
		if sign == 0 || len(e.Args) != 2 {
			return linearForm{}, false
		}
		l, ok := linear(e.Args[0], form)
		if !ok {
			return linearForm{}, false
		}
		r, ok := linear(e.Args[1], form)
		if !ok || !l.add(r, sign) {
			return linearForm{}, false
		}
		l.interval = e.Def.Ret.Kind == types.Interval
		return l, true
	}
	return linearForm{}, false
}

// constantSpan is a constant interval in microseconds; months, whose length varies, are none.
func constantSpan(e expr.Expr) (int64, bool) {
	if e.Type().Kind != types.Interval {
		return 0, false
	}
	constant := true
	Walk(e, func(e expr.Expr, _ int) bool {
		switch e.(type) {
		case *expr.Column, *expr.Outer, *expr.Param, *expr.Subquery, *expr.UDF:
			constant = false
		}
		return constant
	})
	if !constant {
		return 0, false
	}
	v, err := expr.EvalConst(&expr.Ctx{}, e)
	if err != nil || v.Null {
		return 0, false
	}
	iv, err := types.DecodeInterval(v.S)
	if err != nil || iv.Months != 0 || iv.Span() >= spanMax || iv.Span() <= -spanMax {
		return 0, false
	}
	return iv.Span(), true
}

// join is times of a join. A matched row comes with the later of its halves, so that each half's time lies behind by what
// the bounds reach; the half of an outer join that may be NULL carries no time.
func (t timer) join(n *Node, op *Join, out []int64) {
	left := t.times(n.In[0])
	if op.Temporal != nil {
		out[op.Temporal.LeftTime] = left[op.Temporal.LeftTime]
		return
	}
	b := t.joinBounds(n)
	if !b.OK() || b.LeftTime < 0 || b.RightTime < 0 {
		return
	}
	late := max(Lateness(n.In[0]), Lateness(n.In[1]))
	if op.Kind != Right && op.Kind != Full {
		lagging(out, left, t.forms(n.In[0]), b.LeftTime, max(b.Hi, 0)+late)
	}
	if op.Kind == Inner || op.Kind == Right {
		lagging(out[len(left):], t.times(n.In[1]), t.forms(n.In[1]), b.RightTime, max(-b.Lo, 0)+late)
	}
}

// lagging sets the times of a side: its time column and those that differ from it by a constant.
func lagging(out, in []int64, forms []timeForm, col int, lag int64) {
	for i, d := range in {
		if d != NoTime && forms[i].col == col {
			out[i] = d + lag
		}
	}
}
