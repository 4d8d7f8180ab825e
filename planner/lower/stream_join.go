package lower

import (
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/logical"
)

// streamJoin lowers a join of a continuous query, which its conditions must bound in time.
func (l *lowerer) streamJoin(n *logical.Node, op *logical.Join, in []*spec.Node) *spec.Node {
	out := &spec.Node{In: in, Schema: n.Schema}
	leftKeys, rightKeys := l.exprs(op.LeftKeys), l.exprs(op.RightKeys)
	if op.Temporal != nil {
		return l.temporalJoin(out, op, leftKeys, rightKeys)
	}
	bounds := logical.JoinBounds(n)
	if err := badBounds(n, op, &bounds); err != nil {
		l.fail(err)
		return out
	}
	var rest []expr.Expr
	for i, c := range op.Conds {
		if !bounds.Used[i] {
			rest = append(rest, c)
		}
	}
	rest = l.exprs(rest)
	leftKeys, rightKeys, rest = fewerKeys(in, leftKeys, rightKeys, rest)
	out.In[0], out.In[1], leftKeys, rightKeys = l.keyedSides(in[0], in[1], leftKeys, rightKeys)
	out.Op = &spec.IntervalJoin{
		Kind: streamKinds[op.Kind], LeftKeys: leftKeys, RightKeys: rightKeys, LeftTime: bounds.LeftTime, RightTime: bounds.RightTime,
		Lo: bounds.Lo, Hi: bounds.Hi, Cond: logical.AndAll(rest), Lateness: max(logical.Lateness(n.In[0]), logical.Lateness(n.In[1])),
	}
	return out
}

// fewerKeys joins by the keys alone by which an input's rows lie already, so that they need not move, and makes conditions of
// the other equalities: of two groupings by host, joined by host and window, the window.
func fewerKeys(in []*spec.Node, left, right, rest []expr.Expr) (l, r, conds []expr.Expr) {
	var keep []int
	for side, keys := range [2][]expr.Expr{left, right} {
		if !spec.Keyed(in[side]) {
			continue
		}
		at, ok := placed(in[side])
		if !ok || len(at) == 0 {
			return left, right, rest
		}
		var of []int
		for _, col := range at {
			i := keyIndex(keys, col)
			if i < 0 || left[i].Type() != right[i].Type() {
				return left, right, rest
			}
			of = append(of, i)
		}
		if keep != nil && !slices.Equal(keep, of) {
			return left, right, rest
		}
		keep = of
	}
	if keep == nil {
		return left, right, rest
	}
	width := len(in[0].Schema.Cols)
	for i := range left {
		if !slices.Contains(keep, i) {
			rest = append(rest, &expr.Compare{Op: expr.EQ, L: left[i], R: moved(right[i], width)})
		}
	}
	for _, i := range keep {
		l, r = append(l, left[i]), append(r, right[i])
	}
	return l, r, rest
}

// moved is an expression over the right row as one over the joined row.
func moved(e expr.Expr, width int) expr.Expr {
	return expr.Transform(e, func(e expr.Expr) expr.Expr {
		if c, ok := e.(*expr.Column); ok {
			return &expr.Column{Index: c.Index + width, Name: c.Name, Typ: c.Typ}
		}
		return e
	})
}

var streamKinds = [...]spec.JoinKind{logical.Inner: spec.Inner, logical.Left: spec.Left, logical.Right: spec.Right, logical.Full: spec.Full,
	logical.Semi: spec.Semi, logical.Anti: spec.Anti}

// badBounds is the error for a join that is not bounded in time, which tells what to add.
func badBounds(n *logical.Node, op *logical.Join, b *logical.Bounds) error {
	width := len(n.In[0].Schema.Cols)
	label := func(i int) string {
		if i < len(op.Labels) {
			return op.Labels[i]
		}
		return append(slices.Clone(n.In[0].Schema.Cols), n.In[1].Schema.Cols...)[i].Name
	}
	if b.LeftTime < 0 || b.RightTime < 0 {
		side := "left"
		if b.LeftTime >= 0 {
			side = "right"
		}
		return sqlerr.NotSupported("a join of streams whose "+side+" side has no event time",
			"Create the stream with WATERMARK FOR ts AS ts - INTERVAL '5 seconds'; select the time column, or window_end, in a subquery.").At(op.Pos)
	}
	left, right := label(b.LeftTime), label(width+b.RightTime)
	switch {
	case !b.HasLo && !b.HasHi:
		return sqlerr.NotSupported("a join of streams without time bounds",
			fmt.Sprintf("Add AND %s BETWEEN %s - INTERVAL '10 minutes' AND %s + INTERVAL '10 minutes' to its condition.", right, left, left)).At(op.Pos)
	case !b.HasHi:
		return sqlerr.NotSupported("a join of streams with a lower time bound only",
			fmt.Sprintf("Add AND %s <= %s + INTERVAL '10 minutes' to its condition.", right, left)).At(op.Pos)
	case !b.HasLo:
		return sqlerr.NotSupported("a join of streams with an upper time bound only",
			fmt.Sprintf("Add AND %s >= %s - INTERVAL '10 minutes' to its condition.", right, left)).At(op.Pos)
	case b.Lo > b.Hi:
		return sqlerr.NotSupported("a join of streams whose time bounds exclude each other",
			fmt.Sprintf("No %s can meet them; look at the comparisons with %s.", right, left)).At(op.Pos)
	}
	return nil
}

// temporalJoin lowers FOR SYSTEM_TIME AS OF over a changelog.
func (l *lowerer) temporalJoin(out *spec.Node, op *logical.Join, leftKeys, rightKeys []expr.Expr) *spec.Node {
	if len(leftKeys) == 0 {
		l.fail(sqlerr.NotSupported("FOR SYSTEM_TIME AS OF without a key", "Say which columns of both sides are equal: ON r.key = l.key.").At(op.Pos))
		return out
	}
	out.In[0], out.In[1], leftKeys, rightKeys = l.keyedSides(out.In[0], out.In[1], leftKeys, rightKeys)
	out.Op = &spec.TemporalJoin{
		Kind: streamKinds[op.Kind], LeftKeys: leftKeys, RightKeys: rightKeys, LeftTime: op.Temporal.LeftTime, RightTime: op.Temporal.RightTime,
		Cond: logical.AndAll(l.exprs(op.Conds)),
	}
	return out
}

// keyedSides brings rows of equal keys of both inputs to one place. Where one input's rows lie by the whole key already, it
// stays as it is and the other one follows; the keys may change their order for that.
func (l *lowerer) keyedSides(left, right *spec.Node, leftKeys, rightKeys []expr.Expr) (l2, r2 *spec.Node, lk, rk []expr.Expr) {
	switch {
	case spec.Keyed(left) && !spec.Keyed(right):
		if lk, rk, ok := inOrderOf(left, leftKeys, rightKeys); ok {
			return l.final(left), exchange(right, rk), lk, rk
		}
	case spec.Keyed(right) && !spec.Keyed(left):
		if rk, lk, ok := inOrderOf(right, rightKeys, leftKeys); ok {
			return exchange(left, lk), l.final(right), lk, rk
		}
	}
	left, right = l.keyedPair(left, right, leftKeys, rightKeys)
	return left, right, leftKeys, rightKeys
}

// inOrderOf puts keys into the order of the columns by which a keyed input's rows lie; false when those are others.
func inOrderOf(in *spec.Node, keys, others []expr.Expr) (k, o []expr.Expr, ok bool) {
	at, ok := placed(in)
	if !ok || len(at) != len(keys) {
		return nil, nil, false
	}
	for _, col := range at {
		i := keyIndex(keys, col)
		if i < 0 || keys[i].Type() != others[i].Type() || slices.Contains(k, keys[i]) {
			return nil, nil, false
		}
		k, o = append(k, keys[i]), append(o, others[i])
	}
	return k, o, true
}

// streamUnion reads its inputs side by side; those that keep state are stages of their own.
func (l *lowerer) streamUnion(out *spec.Node) *spec.Node {
	for i, in := range out.In {
		if spec.Keyed(in) {
			out.In[i] = l.stage(l.final(in))
		}
	}
	out.Op = &spec.Union{}
	return out
}
