package expr

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// EvalConst computes an expression that reads no columns.
func EvalConst(ctx *Ctx, e Expr) (types.Value, error) { return EvalRow(ctx, e, nil) }

// EvalRow computes an expression over one row: the plain way, for constants, VALUES and subqueries. Batches go through
// Evaluator, which must agree with it. IN IOC, tables and user functions need a batch.
func EvalRow(ctx *Ctx, e Expr, row []types.Value) (types.Value, error) {
	if ctx == nil {
		ctx = &Ctx{}
	}
	r := rowEval{ctx: ctx, row: row}
	return r.eval(e)
}

type rowEval struct {
	ctx *Ctx
	row []types.Value
}

func (r *rowEval) eval(e Expr) (types.Value, error) {
	switch e := e.(type) {
	case *Const:
		return e.Val, nil
	case *Column:
		if e.Index >= len(r.row) {
			return types.Value{}, fmt.Errorf("expression reads column %s (%d) of a row of %d", e.Name, e.Index, len(r.row))
		}
		return r.row[e.Index], nil
	case *Outer:
		return outerValue(r.ctx, e)
	case *Param:
		return types.Value{}, sqlerr.New(sqlerr.UndefinedParameter, "there is no parameter $%d", e.N)
	case *And, *Or, *Not, *IsNull, *IsBool:
		return r.logic(e)
	case *Case:
		return r.caseWhen(e)
	case *Coalesce:
		return r.coalesce(e)
	case *In:
		return r.in(e)
	case *UDF, *InIOC, *IOCEntry, *InTable, *TableQuery:
		return r.viaBatch(e)
	}
	kids := children(e)
	args := make([]types.Value, len(kids))
	for i, k := range kids {
		v, err := r.eval(k)
		if err != nil {
			return v, err
		}
		args[i] = v
	}
	return r.apply(e, args)
}

func outerValue(ctx *Ctx, e *Outer) (types.Value, error) {
	d := e.Depth - 1
	if d < 0 || d >= len(ctx.OuterRows) || e.Index >= len(ctx.OuterRows[d]) {
		return types.Value{}, fmt.Errorf("expression reads %s of an enclosing row that is not there", e.Name)
	}
	return ctx.OuterRows[d][e.Index], nil
}

// apply computes nodes that need all their operands.
func (r *rowEval) apply(e Expr, args []types.Value) (types.Value, error) {
	switch e := e.(type) {
	case *Subquery:
		return runSubquery(r.ctx, e, args, r.row)
	default:
		return applyStrictly(r.ctx, e, args)
	}
}

// applyStrictly computes the nodes whose value depends on their operands' values alone.
func applyStrictly(ctx *Ctx, e Expr, args []types.Value) (types.Value, error) {
	switch e := e.(type) {
	case *Compare:
		if args[0].Null || args[1].Null {
			return types.Null(boolType), nil
		}
		return types.NewBool(e.Op.holds(types.Compare(args[0], args[1]))), nil
	case *Distinct:
		return types.NewBool(distinct(args[0], args[1]) != e.Not), nil
	case *Like:
		return likeValue(e, args[0], args[1])
	case *Call:
		return callValue(ctx, e, args)
	case *Cast:
		return castInCtx(ctx, args[0], e.Typ, e.Explicit)
	case *AnyArray:
		return anyArray(ctx, e, args[0], args[1])
	case *ArrayCtor:
		return arrayCtor(e, args), nil
	case *Subscript:
		return subscript(e, args[0], args[1])
	}
	return applyRow(e, args)
}

// holds reports whether a comparison result satisfies the operator.
func (o CmpOp) holds(c int) bool {
	switch o {
	case EQ:
		return c == 0
	case NE:
		return c != 0
	case LT:
		return c < 0
	case LE:
		return c <= 0
	case GT:
		return c > 0
	}
	return c >= 0
}

func distinct(a, b types.Value) bool {
	if a.Null || b.Null {
		return a.Null != b.Null
	}
	return !types.Equal(a, b)
}

func likeValue(e *Like, x, pattern types.Value) (types.Value, error) {
	if x.Null || pattern.Null {
		return types.Null(boolType), nil
	}
	m, err := CompileLike(pattern.S, e.Escape, e.Insensitive)
	if err != nil {
		return types.Value{}, err
	}
	return types.NewBool(m.match([]byte(x.S)) != e.Not), nil
}

func callValue(ctx *Ctx, e *Call, args []types.Value) (types.Value, error) {
	if !e.Def.CalledOnNull {
		for i := range args {
			if args[i].Null {
				return types.Null(e.Typ), nil
			}
		}
	}
	v, err := e.Def.Eval(&ctx.Ctx, args)
	v.Type = e.Typ
	return v, err
}

// logic computes the three-valued connectives.
func (r *rowEval) logic(e Expr) (types.Value, error) {
	switch e := e.(type) {
	case *And:
		return r.connect(e.Args, false)
	case *Or:
		return r.connect(e.Args, true)
	case *Not:
		v, err := r.eval(e.X)
		if err != nil || v.Null {
			return v, err
		}
		return types.NewBool(v.I == 0), nil
	case *IsNull:
		v, err := r.eval(e.X)
		return types.NewBool(v.Null != e.Not), err
	case *IsBool:
		v, err := r.eval(e.X)
		is := !v.Null && (v.I != 0) == e.Want
		return types.NewBool(is != e.Not), err
	}
	return types.Value{}, fmt.Errorf("%T is no connective", e)
}

// connect evaluates terms until one decides: true for OR, false for AND.
func (r *rowEval) connect(terms []Expr, decides bool) (types.Value, error) {
	null := false
	for _, t := range terms {
		v, err := r.eval(t)
		if err != nil {
			return v, err
		}
		if v.Null {
			null = true
		} else if (v.I != 0) == decides {
			return types.NewBool(decides), nil
		}
	}
	if null {
		return types.Null(boolType), nil
	}
	return types.NewBool(!decides), nil
}

func (r *rowEval) caseWhen(e *Case) (types.Value, error) {
	for _, w := range e.Whens {
		c, err := r.eval(w.Cond)
		if err != nil {
			return c, err
		}
		if c.Bool() {
			return r.typed(w.Then, e.Typ)
		}
	}
	if e.Else == nil {
		return types.Null(e.Typ), nil
	}
	return r.typed(e.Else, e.Typ)
}

func (r *rowEval) typed(e Expr, t types.Type) (types.Value, error) {
	v, err := r.eval(e)
	v.Type = t
	return v, err
}

func (r *rowEval) coalesce(e *Coalesce) (types.Value, error) {
	for _, a := range e.Args {
		v, err := r.typed(a, e.Typ)
		if err != nil || !v.Null {
			return v, err
		}
	}
	return types.Null(e.Typ), nil
}

func (r *rowEval) in(e *In) (types.Value, error) {
	x, err := r.eval(e.X)
	if err != nil {
		return x, err
	}
	null := x.Null
	for _, item := range e.List {
		v, err := r.eval(item)
		if err != nil {
			return v, err
		}
		if v.Null {
			null = true
		} else if !x.Null && types.Equal(x, v) {
			return types.NewBool(!e.Not), nil
		}
	}
	if null && len(e.List) > 0 {
		return types.Null(boolType), nil
	}
	return types.NewBool(e.Not), nil
}

// anyArray is L op ANY|ALL (array).
func anyArray(ctx *Ctx, e *AnyArray, l, array types.Value) (types.Value, error) {
	if array.Null {
		return types.Null(boolType), nil
	}
	elems, err := types.DecodeArray(array.Type.Elem, array.S)
	if err != nil {
		return types.Value{}, err
	}
	null := false
	for _, x := range elems {
		v, err := compareElem(ctx, e, l, x)
		if err != nil {
			return v, err
		}
		if v.Null {
			null = true
		} else if (v.I != 0) != e.All {
			return types.NewBool(!e.All), nil
		}
	}
	if null {
		return types.Null(boolType), nil
	}
	return types.NewBool(e.All), nil
}

func compareElem(ctx *Ctx, e *AnyArray, l, x types.Value) (types.Value, error) {
	if l.Null || x.Null {
		return types.Null(boolType), nil
	}
	switch {
	case e.Like != nil:
		return likeValue(e.Like, l, x)
	case e.Regex != nil:
		return e.Regex.Eval(&ctx.Ctx, []types.Value{l, x})
	}
	return types.NewBool(e.Op.holds(types.Compare(l, x))), nil
}

func arrayCtor(e *ArrayCtor, args []types.Value) types.Value {
	for i := range args {
		args[i].Type = types.T(e.Typ.Elem)
	}
	v := types.NewArray(e.Typ.Elem, args)
	v.Type = e.Typ
	return v
}

func subscript(e *Subscript, x, index types.Value) (types.Value, error) {
	if x.Null || index.Null {
		return types.Null(e.Typ), nil
	}
	if x.Type.Kind == types.JSONB || x.Type.Kind == types.JSON {
		var raw string
		var ok bool
		if index.Type.Phys() == types.PhysInt {
			raw, ok = types.JSONRaw(x.S, "", index.I, false)
		} else {
			raw, ok = types.JSONRaw(x.S, index.S, 0, true)
		}
		if !ok {
			return types.Null(e.Typ), nil
		}
		return types.Value{Type: e.Typ, S: raw}, nil
	}
	elems, err := types.DecodeArray(x.Type.Elem, x.S)
	if err != nil {
		return types.Value{}, err
	}
	at := index.I - x.Type.LowerBound()
	if at < 0 || at >= int64(len(elems)) {
		return types.Null(e.Typ), nil
	}
	v := elems[at]
	v.Type = e.Typ
	return v, nil
}
