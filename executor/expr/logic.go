package expr

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// logicNode computes AND (decides 0) and OR (decides 1): each term only for the rows that no earlier term decided.
type logicNode struct {
	args    []node
	decides int64
	out     batch.Vec
	null    []bool
	// open are the undecided rows as positions of sel, rows the same as rows of the batch.
	open, rows []uint32
}

func compileLogic(terms []Expr, decides int64) (node, error) {
	args, err := compileAll(terms)
	return &logicNode{args: args, decides: decides}, err
}

func (n *logicNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	n.out.Reset(boolType)
	n.open, n.rows, n.null = n.open[:0], append(n.rows[:0], sel...), n.null[:0]
	for i := range sel {
		n.out.I64 = append(n.out.I64, 1-n.decides)
		n.open = append(n.open, uint32(i))
		n.null = append(n.null, false)
	}
	n.out.N = len(sel)
	for _, a := range n.args {
		if len(n.rows) == 0 {
			break
		}
		v, err := a.eval(ev, n.rows)
		if err != nil {
			return nil, err
		}
		keep := 0
		for i, pos := range n.open {
			if v.IsNull(i) {
				n.null[pos] = true
			} else if v.I64[i] == n.decides {
				n.out.I64[pos], n.null[pos] = n.decides, false
				continue
			}
			n.open[keep], n.rows[keep] = pos, n.rows[i]
			keep++
		}
		n.open, n.rows = n.open[:keep], n.rows[:keep]
	}
	for i, null := range n.null {
		if null {
			n.out.I64[i] = 0
			n.out.SetNull(i)
		}
	}
	return &n.out, nil
}

// mapBoolNode maps true, false and NULL to other values (-1: NULL): NOT, IS NULL, IS TRUE.
type mapBoolNode struct {
	x                       node
	onTrue, onFalse, onNull int8
	anyType                 bool // x need not be boolean: only NULL counts
	out                     batch.Vec
}

func (n *mapBoolNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	v, err := n.x.eval(ev, sel)
	if err != nil {
		return nil, err
	}
	n.out.Reset(boolType)
	for i := range sel {
		to := n.onFalse
		switch {
		case v.IsNull(i):
			to = n.onNull
		case !n.anyType && v.I64[i] != 0:
			to = n.onTrue
		}
		if to < 0 {
			n.out.AppendNull()
		} else {
			n.out.AppendInt(int64(to))
		}
	}
	return &n.out, nil
}

// compareNode compares two computed values; with distinct, NULL is a value of its own.
type compareNode struct {
	op       CmpOp
	l, r     node
	distinct bool
	out      batch.Vec
}

func (n *compareNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	l, err := n.l.eval(ev, sel)
	if err != nil {
		return nil, err
	}
	r, err := n.r.eval(ev, sel)
	if err != nil {
		return nil, err
	}
	n.out.Reset(boolType)
	for i := range sel {
		if ln, rn := l.IsNull(i), r.IsNull(i); ln || rn {
			if n.distinct {
				n.out.AppendInt(int64(asInt((ln == rn) == (n.op == EQ))))
			} else {
				n.out.AppendNull()
			}
			continue
		}
		n.out.AppendInt(int64(asInt(n.op.holds(compareAt(l, i, r, i)))))
	}
	return &n.out, nil
}

// compareAt orders row i of l and row j of r, neither NULL.
func compareAt(l *batch.Vec, i int, r *batch.Vec, j int) int {
	switch l.Type.Phys() {
	case types.PhysInt:
		a, b := l.I64[i], r.I64[j]
		switch {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	case types.PhysFloat:
		return types.Compare(types.Value{Type: l.Type, F: l.F64[i]}, types.Value{Type: r.Type, F: r.F64[j]})
	}
	return compareBytes(l.Type, l.Bytes(i), r.Bytes(j))
}

// caseNode computes CASE: conditions on the rows not yet decided, results on the rows that chose them.
type caseNode struct {
	conds, thens []node
	typ          types.Type
	out          batch.Vec
	arms         arms
}

func compileCase(e *Case) (node, error) {
	n := &caseNode{typ: e.Typ}
	for _, w := range e.Whens {
		c, err := compile(w.Cond)
		if err != nil {
			return nil, err
		}
		t, err := compile(w.Then)
		if err != nil {
			return nil, err
		}
		n.conds, n.thens = append(n.conds, c), append(n.thens, t)
	}
	if e.Else != nil {
		t, err := compile(e.Else)
		if err != nil {
			return nil, err
		}
		n.thens = append(n.thens, t)
	}
	return n, nil
}

// arms remembers for each row of a result which vector holds it and where.
type arms struct {
	from       []armRef
	open, rows []uint32 // undecided rows: positions in the result, rows of the batch
	hit, hrows []uint32 // rows that the current condition chose
}

type armRef struct {
	v *batch.Vec // nil: NULL
	i int
}

func (a *arms) reset(sel []uint32) {
	a.from, a.open, a.rows = a.from[:0], a.open[:0], append(a.rows[:0], sel...)
	for i := range sel {
		a.from = append(a.from, armRef{})
		a.open = append(a.open, uint32(i))
	}
}

// take lets v, dense over the given positions, decide them.
func (a *arms) take(v *batch.Vec, positions []uint32) {
	for i, pos := range positions {
		a.from[pos] = armRef{v, i}
	}
}

func (a *arms) collect(out *batch.Vec, t types.Type) {
	out.Reset(t)
	for _, f := range a.from {
		if f.v == nil {
			out.AppendNull()
		} else {
			out.AppendFrom(f.v, f.i)
		}
	}
}

// split moves the undecided rows for which v is true to hit.
func (a *arms) split(choose func(i int) bool) {
	a.hit, a.hrows = a.hit[:0], a.hrows[:0]
	keep := 0
	for i, pos := range a.open {
		if choose(i) {
			a.hit, a.hrows = append(a.hit, pos), append(a.hrows, a.rows[i])
			continue
		}
		a.open[keep], a.rows[keep] = pos, a.rows[i]
		keep++
	}
	a.open, a.rows = a.open[:keep], a.rows[:keep]
}

func (n *caseNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	n.arms.reset(sel)
	for i, cond := range n.conds {
		if len(n.arms.rows) == 0 {
			break
		}
		v, err := cond.eval(ev, n.arms.rows)
		if err != nil {
			return nil, err
		}
		n.arms.split(func(i int) bool { return !v.IsNull(i) && v.I64[i] != 0 })
		if err := n.decide(ev, n.thens[i], n.arms.hit, n.arms.hrows); err != nil {
			return nil, err
		}
	}
	if len(n.thens) > len(n.conds) {
		if err := n.decide(ev, n.thens[len(n.conds)], n.arms.open, n.arms.rows); err != nil {
			return nil, err
		}
	}
	n.arms.collect(&n.out, n.typ)
	return &n.out, nil
}

func (n *caseNode) decide(ev *env, then node, positions, rows []uint32) error {
	if len(rows) == 0 {
		return nil
	}
	v, err := then.eval(ev, rows)
	if err != nil {
		return err
	}
	n.arms.take(v, positions)
	return nil
}

// coalesceNode takes the first argument that is not NULL.
type coalesceNode struct {
	args []node
	typ  types.Type
	out  batch.Vec
	arms arms
}

func (n *coalesceNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	n.arms.reset(sel)
	for _, a := range n.args {
		if len(n.arms.rows) == 0 {
			break
		}
		v, err := a.eval(ev, n.arms.rows)
		if err != nil {
			return nil, err
		}
		n.arms.take(v, n.arms.open) // NULL or not; a later argument replaces NULLs
		n.arms.split(func(i int) bool { return !v.IsNull(i) })
	}
	n.arms.collect(&n.out, n.typ)
	return &n.out, nil
}

// iocNode is X [NOT] IN IOC (lists).
type iocNode struct {
	x     node
	col   int // column index when X is a plain column, else -1
	lists []string
	not   bool
	out   batch.Vec
	hits  []uint32
}

func (n *iocNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	v, err := n.x.eval(ev, sel)
	if err != nil {
		return nil, err
	}
	n.hits = n.hits[:0]
	if len(sel) > 0 {
		if ev.ctx.IOC == nil {
			return nil, errNoIOC
		}
		if n.hits, err = ev.ctx.IOC.Match(n.lists, v, batch.All(len(sel)), n.hits); err != nil {
			return nil, err
		}
	}
	n.out.Reset(boolType)
	h := 0
	for i := range sel {
		hit := h < len(n.hits) && n.hits[h] == uint32(i)
		if hit {
			h++
		}
		if v.IsNull(i) {
			n.out.AppendNull()
		} else {
			n.out.AppendInt(int64(asInt(hit != n.not)))
		}
	}
	return &n.out, nil
}

// filter asks the lists about the column itself, without gathering.
func (n *iocNode) filter(ev *env, sel, dst []uint32) ([]uint32, error) {
	if n.col < 0 || n.col >= len(ev.b.Cols) || ev.b.Cols[n.col].Absent {
		return filterByValue(n, ev, sel, dst, 1)
	}
	if len(sel) == 0 {
		return dst, nil
	}
	if ev.ctx.IOC == nil {
		return dst, errNoIOC
	}
	v := &ev.b.Cols[n.col]
	if !n.not {
		return ev.ctx.IOC.Match(n.lists, v, sel, dst)
	}
	var err error
	if n.hits, err = ev.ctx.IOC.Match(n.lists, v, sel, n.hits[:0]); err != nil {
		return dst, err
	}
	h := 0
	for _, row := range sel {
		if h < len(n.hits) && n.hits[h] == row {
			h++
		} else if !v.IsNull(int(row)) {
			dst = append(dst, row)
		}
	}
	return dst, nil
}
