package expr

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// columnNode reads a column: the batch's own vector when all rows are wanted, else a gathered copy.
type columnNode struct {
	index int
	out   batch.Vec
}

func (n *columnNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	if n.index >= len(ev.b.Cols) {
		return nil, fmt.Errorf("expression reads column %d of a batch of %d", n.index, len(ev.b.Cols))
	}
	v := &ev.b.Cols[n.index]
	if v.Absent {
		return nil, fmt.Errorf("expression reads column %d, which was not decoded", n.index)
	}
	if len(sel) == ev.b.N {
		return v, nil
	}
	gather(&n.out, v, sel)
	return &n.out, nil
}

// gather copies the rows of sel.
func gather(out, v *batch.Vec, sel []uint32) {
	out.Reset(v.Type)
	switch v.Type.Phys() {
	case types.PhysInt:
		for _, r := range sel {
			out.I64 = append(out.I64, v.I64[r])
		}
	case types.PhysFloat:
		for _, r := range sel {
			out.F64 = append(out.F64, v.F64[r])
		}
	default:
		for _, r := range sel {
			out.Buf = append(out.Buf, v.Buf[v.Off[r]:v.Off[r+1]]...)
			out.Off = append(out.Off, uint32(len(out.Buf)))
		}
	}
	out.N = len(sel)
	if len(v.Nulls) == 0 {
		return
	}
	for i, r := range sel {
		if v.IsNull(int(r)) {
			out.SetNull(i)
		}
	}
}

// constNode is a literal, repeated as often as wanted.
type constNode struct {
	val types.Value
	out batch.Vec
}

func (n *constNode) eval(_ *env, sel []uint32) (*batch.Vec, error) {
	if n.out.N > len(sel) {
		n.out.Truncate(len(sel))
		return &n.out, nil
	}
	if n.out.N == 0 {
		n.out.Reset(n.val.Type)
	}
	for n.out.N < len(sel) {
		n.out.AppendValue(n.val)
	}
	return &n.out, nil
}

// steadyNode computes an expression without columns once per call. Its error concerns every row.
type steadyNode struct {
	e    Expr
	last constNode
}

func (n *steadyNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	if len(sel) == 0 {
		n.last.out.Reset(n.e.Type())
		return &n.last.out, nil
	}
	v, err := EvalRow(ev.ctx, n.e, nil)
	if err != nil {
		for _, row := range sel {
			if err := ev.fail(row, err); err != nil {
				return nil, err
			}
		}
		v = types.Null(n.e.Type())
	}
	v.Type = n.e.Type()
	if v != n.last.val || n.last.out.N == 0 {
		n.last.val = v
		n.last.out.Reset(v.Type)
	}
	return n.last.eval(ev, sel)
}

// reader gives out the rows of a vector as scalars: one copy of its bytes per vector, not one per row.
type reader struct {
	n    node
	v    *batch.Vec
	s    string
	cnst *types.Value // set for literals
}

func newReaders(nodes []node) []reader {
	out := make([]reader, len(nodes))
	for i, n := range nodes {
		out[i].n = n
		if c, ok := n.(*constNode); ok {
			out[i].cnst = &c.val
		}
	}
	return out
}

func (r *reader) load(ev *env, sel []uint32) error {
	if r.cnst != nil {
		return nil
	}
	v, err := r.n.eval(ev, sel)
	if err != nil {
		return err
	}
	r.v = v
	if v.Type.Phys() == types.PhysBytes {
		r.s = string(v.Buf)
	}
	return nil
}

func (r *reader) at(i int) types.Value {
	if r.cnst != nil {
		return *r.cnst
	}
	x := types.Value{Type: r.v.Type}
	if r.v.IsNull(i) {
		x.Null = true
		return x
	}
	switch r.v.Type.Phys() {
	case types.PhysInt:
		x.I = r.v.I64[i]
	case types.PhysFloat:
		x.F = r.v.F64[i]
	default:
		x.S = r.s[r.v.Off[i]:r.v.Off[i+1]]
	}
	return x
}

// rowNode computes any node row by row from its operands' values.
type rowNode struct {
	e    Expr
	args []reader
	vals []types.Value
	out  batch.Vec
}

func (n *rowNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	for i := range n.args {
		if err := n.args[i].load(ev, sel); err != nil {
			return nil, err
		}
	}
	n.out.Reset(n.e.Type())
	for i, row := range sel {
		n.vals = n.vals[:0]
		for a := range n.args {
			n.vals = append(n.vals, n.args[a].at(i))
		}
		v, err := applyStrictly(ev.ctx, n.e, n.vals)
		if err != nil {
			if err := ev.fail(row, err); err != nil {
				return nil, err
			}
			n.out.AppendNull()
			continue
		}
		n.out.AppendValue(v)
	}
	return &n.out, nil
}

// callNode applies a registered function.
type callNode struct {
	e      *Call
	args   []reader
	vecs   []*batch.Vec
	vals   []types.Value
	out    batch.Vec
	strict bool
}

func compileCall(e *Call) (node, error) {
	args, err := compileAll(e.Args)
	if err != nil {
		return nil, err
	}
	return &callNode{e: e, args: newReaders(args), strict: !e.Def.CalledOnNull}, nil
}

func (n *callNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	n.out.Reset(n.e.Typ)
	if n.e.Def.Vector != nil {
		n.vecs = n.vecs[:0]
		for i := range n.args {
			v, err := n.args[i].n.eval(ev, sel)
			if err != nil {
				return nil, err
			}
			n.vecs = append(n.vecs, v)
		}
		if err := n.e.Def.Vector(&ev.ctx.Ctx, n.vecs, len(sel), &n.out); err == nil {
			return &n.out, nil
		}
		n.out.Reset(n.e.Typ)
		return n.rows(ev, sel, true)
	}
	return n.rows(ev, sel, false)
}

// rows is the row by row path; loaded tells that the operands were computed already.
func (n *callNode) rows(ev *env, sel []uint32, loaded bool) (*batch.Vec, error) {
	for i := range n.args {
		r := &n.args[i]
		if loaded {
			r.v = n.vecs[i]
			if r.v.Type.Phys() == types.PhysBytes {
				r.s = string(r.v.Buf)
			}
			continue
		}
		if err := r.load(ev, sel); err != nil {
			return nil, err
		}
	}
	for i, row := range sel {
		n.vals = n.vals[:0]
		null := false
		for a := range n.args {
			v := n.args[a].at(i)
			null = null || v.Null
			n.vals = append(n.vals, v)
		}
		if null && n.strict {
			n.out.AppendNull()
			continue
		}
		v, err := n.e.Def.Eval(&ev.ctx.Ctx, n.vals)
		if err != nil {
			if err := ev.fail(row, err); err != nil {
				return nil, err
			}
			n.out.AppendNull()
			continue
		}
		n.out.AppendValue(v)
	}
	return &n.out, nil
}

// udfNode calls a user's function for all rows at once.
type udfNode struct {
	e *UDF
	// id is under which number it is called; shaped: that is known for the rows that it takes.
	id     uint64
	shaped bool
	typ    types.Type
	args   []node
	vecs   []*batch.Vec
	out    batch.Vec
}

func (n *udfNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	n.out.Reset(n.typ)
	if len(sel) == 0 {
		return &n.out, nil
	}
	if ev.ctx.UDF == nil {
		return nil, fmt.Errorf("no user functions in this place")
	}
	n.vecs = n.vecs[:0]
	for _, a := range n.args {
		v, err := a.eval(ev, sel)
		if err != nil {
			return nil, err
		}
		n.vecs = append(n.vecs, v)
	}
	if n.e.Shape != nil && !n.shaped {
		if err := n.shape(ev.ctx.UDF); err != nil {
			return nil, err
		}
	}
	var first error
	err := ev.ctx.UDF.Call(n.id, n.vecs, len(sel), &n.out, func(i int, err error) {
		if e := ev.fail(sel[i], err); e != nil && first == nil {
			first = e
		}
	})
	if err == nil {
		err = first
	}
	return &n.out, err
}

// subqueryNode runs a subplan per row, or once when it does not depend on the row.
type subqueryNode struct {
	e    *Subquery
	args []node
	// rows are the result of an uncorrelated subquery, kept for the life of the Evaluator (one execution of a statement).
	rows [][]types.Value
	ran  bool
	rd   []reader
	out  batch.Vec
}

func (n *subqueryNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	n.out.Reset(n.e.Typ)
	if n.rd == nil {
		n.rd = newReaders(n.args)
	}
	for i := range n.rd {
		if err := n.rd[i].load(ev, sel); err != nil {
			return nil, err
		}
	}
	if len(ev.ctx.OuterRows) > 0 {
		n.ran = false // the enclosing row may have changed
	}
	for i, row := range sel {
		v, err := n.value(ev, i, row)
		if err != nil {
			if err := ev.fail(row, err); err != nil {
				return nil, err
			}
			n.out.AppendNull()
			continue
		}
		n.out.AppendValue(v)
	}
	return &n.out, nil
}

func (n *subqueryNode) value(ev *env, i int, row uint32) (types.Value, error) {
	if n.e.Correlated || !n.ran {
		rows, err := subqueryRows(ev.ctx, n.e, ev.wholeRow(row))
		if err != nil {
			return types.Value{}, err
		}
		n.rows, n.ran = rows, true
	}
	var args []types.Value
	for a := range n.rd {
		args = append(args, n.rd[a].at(i))
	}
	return subqueryValue(n.e, args, n.rows)
}
