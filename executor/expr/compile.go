package expr

import (
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/types"
)

// Evaluator is a compiled expression. It keeps scratch vectors: one goroutine per Evaluator.
type Evaluator struct {
	root   node
	filter filterNode // boolean expressions only
	typ    types.Type
	env    env
}

// env is what one call of Eval or Filter shares among the nodes.
type env struct {
	ctx *Ctx
	b   *batch.Batch
	// bad lists, ascending by time of failure, the rows whose error was reported in this call.
	bad []uint32
	row []types.Value // scratch of wholeRow
}

// node computes values: a dense vector of len(sel) rows, valid until the node's next call.
type node interface {
	eval(ev *env, sel []uint32) (*batch.Vec, error)
}

// filterNode appends to dst the members of sel (ascending) for which it is true; dst does not overlap sel.
type filterNode interface {
	filter(ev *env, sel, dst []uint32) ([]uint32, error)
}

// Compile makes an Evaluator. Errors are bugs of the planner or patterns that cannot be compiled.
func Compile(e Expr) (*Evaluator, error) {
	out := &Evaluator{typ: e.Type()}
	err := check(e)
	if err != nil {
		return nil, err
	}
	if out.root, err = compile(e); err != nil {
		return nil, err
	}
	if e.Type().Kind == types.Bool {
		if out.filter, err = compileFilter(e, false); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// check refuses trees whose comparisons mix layouts: the binder must have inserted casts.
func check(e Expr) error {
	var err error
	same := func(l, r Expr) {
		if l.Type().Phys() == r.Type().Phys() || isNull(l) || isNull(r) || err != nil {
			return
		}
		err = fmt.Errorf("comparison of %s with %s in %s", l.Type(), r.Type(), e)
	}
	Walk(e, func(x Expr) bool {
		switch x := x.(type) {
		case *Compare:
			same(x.L, x.R)
		case *Distinct:
			same(x.L, x.R)
		case *In:
			for _, item := range x.List {
				same(x.X, item)
			}
		}
		return err == nil
	})
	return err
}

func isNull(e Expr) bool {
	c, ok := e.(*Const)
	return ok && c.Val.Null
}

// Type is the type of the expression.
func (e *Evaluator) Type() types.Type { return e.typ }

// Eval computes the expression for the rows of sel (ascending): a dense vector of len(sel) rows, read-only and valid until
// the next call. A plain column with the full selection is the batch's own vector, not a copy.
func (e *Evaluator) Eval(ctx *Ctx, b *batch.Batch, sel []uint32) (*batch.Vec, error) {
	e.env.start(ctx, b)
	return e.root.eval(&e.env, sel)
}

// Filter appends to dst the rows of sel (ascending) for which a boolean expression is true. dst must not overlap sel.
func (e *Evaluator) Filter(ctx *Ctx, b *batch.Batch, sel []uint32, dst []uint32) ([]uint32, error) {
	if e.filter == nil {
		return dst, fmt.Errorf("filter on an expression of type %s", e.typ)
	}
	e.env.start(ctx, b)
	n := len(dst)
	dst, err := e.filter.filter(&e.env, sel, dst)
	if err != nil || len(e.env.bad) == 0 {
		return dst, err
	}
	keep := dst[:n]
	for _, row := range dst[n:] {
		if !slices.Contains(e.env.bad, row) {
			keep = append(keep, row)
		}
	}
	return keep, nil
}

func (ev *env) start(ctx *Ctx, b *batch.Batch) {
	if ctx == nil {
		ctx = &Ctx{}
	}
	ev.ctx, ev.b, ev.bad = ctx, b, ev.bad[:0]
}

// fail deals with the error of one row: reported once per row and call, or returned.
func (ev *env) fail(row uint32, err error) error {
	if ev.ctx.RowError == nil {
		return err
	}
	if !slices.Contains(ev.bad, row) {
		ev.bad = append(ev.bad, row)
		ev.ctx.RowError(row, err)
	}
	return nil
}

// wholeRow returns all columns of a row; absent ones are NULL. Valid until the next call.
func (ev *env) wholeRow(i uint32) []types.Value {
	ev.row = ev.row[:0]
	for c := range ev.b.Cols {
		v := &ev.b.Cols[c]
		if v.Absent {
			ev.row = append(ev.row, types.Null(v.Type))
			continue
		}
		ev.row = append(ev.row, v.Value(int(i)))
	}
	return ev.row
}

// steady reports an expression whose value is the same for all rows of a call: it reads no column, calls nothing volatile.
func steady(e Expr) bool {
	ok := true
	Walk(e, func(x Expr) bool {
		switch x := x.(type) {
		case *Column, *Subquery, *UDF, *InIOC, *IOCEntry, *InTable, *TableQuery:
			ok = false
		case *Call:
			ok = ok && x.Def.Volatility != fn.Volatile
		}
		return ok
	})
	return ok
}

func compileAll(list []Expr) ([]node, error) {
	out := make([]node, len(list))
	for i, e := range list {
		n, err := compile(e)
		if err != nil {
			return nil, err
		}
		out[i] = n
	}
	return out, nil
}

// compile makes the value form of an expression.
func compile(e Expr) (node, error) {
	switch e := e.(type) {
	case *Const:
		return &constNode{val: e.Val}, nil
	case *Column:
		return &columnNode{index: e.Index}, nil
	case *Outer:
		return &steadyNode{e: e}, nil
	case *Param:
		return nil, fmt.Errorf("parameter $%d was not replaced before compilation", e.N)
	}
	if steady(e) {
		return &steadyNode{e: e}, nil
	}
	switch e := e.(type) {
	case *And:
		return compileLogic(e.Args, 0)
	case *Or:
		return compileLogic(e.Args, 1)
	case *Case:
		return compileCase(e)
	case *Coalesce:
		args, err := compileAll(e.Args)
		return &coalesceNode{args: args, typ: e.Typ}, err
	case *Not, *IsNull, *IsBool, *Compare, *Distinct, *In, *Like:
		return compileBool(e)
	case *InIOC:
		x, err := compile(e.X)
		return &iocNode{x: x, col: columnIndex(e.X), lists: e.Lists, not: e.Not}, err
	case *IOCEntry:
		x, err := compile(e.X)
		return &iocEntryNode{x: x, e: e}, err
	case *InTable:
		return compileTable(e, false)
	case *TableQuery:
		return compileTableQuery(e, false)
	case *Call:
		return compileCall(e)
	case *UDF:
		args, err := compileAll(e.Args)
		return &udfNode{e: e, id: e.ID, typ: e.Typ, args: args}, err
	}
	args, err := compileAll(children(e))
	if err != nil {
		return nil, err
	}
	if s, ok := e.(*Subquery); ok {
		return &subqueryNode{e: s, args: args}, nil
	}
	return &rowNode{e: e, args: newReaders(args)}, nil
}

func columnIndex(e Expr) int {
	if c, ok := e.(*Column); ok {
		return c.Index
	}
	return -1
}

// compileBool makes the value form of boolean nodes with one or two operands.
func compileBool(e Expr) (node, error) {
	if x, p, ok, err := leaf(e, false); err != nil || ok {
		if err != nil {
			return nil, err
		}
		if _, never := p.(neverPred); never {
			return &constNode{val: types.Null(boolType)}, nil
		}
		n, err := compile(x)
		return &leafNode{x: n, p: p}, err
	}
	kids, err := compileAll(children(e))
	if err != nil {
		return nil, err
	}
	switch e := e.(type) {
	case *Not:
		return &mapBoolNode{x: kids[0], onFalse: 1, onNull: -1}, nil
	case *IsNull:
		return &mapBoolNode{x: kids[0], onTrue: asInt(e.Not), onFalse: asInt(e.Not), onNull: asInt(!e.Not), anyType: true}, nil
	case *IsBool:
		return &mapBoolNode{x: kids[0], onTrue: asInt(e.Want != e.Not), onFalse: asInt(e.Want == e.Not), onNull: asInt(e.Not)}, nil
	case *Compare:
		return &compareNode{op: e.Op, l: kids[0], r: kids[1]}, nil
	case *Distinct:
		return &compareNode{op: distinctOp(e.Not), l: kids[0], r: kids[1], distinct: true}, nil
	case *In: // a list with NULL or columns in it
		if len(e.List) > 0 {
			return compile(spelledOut(e))
		}
	}
	return &rowNode{e: e, args: newReaders(kids)}, nil
}

// distinctOp: IS NOT DISTINCT FROM is =, IS DISTINCT FROM is <>, both with NULL as a value.
func distinctOp(not bool) CmpOp {
	if not {
		return EQ
	}
	return NE
}

func asInt(b bool) int8 {
	if b {
		return 1
	}
	return 0
}
