package expr

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// runSubquery runs the plan for one row and makes its value.
func runSubquery(ctx *Ctx, e *Subquery, args, row []types.Value) (types.Value, error) {
	rows, err := subqueryRows(ctx, e, row)
	if err != nil {
		return types.Value{}, err
	}
	return subqueryValue(e, args, rows)
}

func subqueryRows(ctx *Ctx, e *Subquery, row []types.Value) ([][]types.Value, error) {
	if ctx.Subplans == nil {
		return nil, sqlerr.NotSupported("a subquery in this place", "Use a join, or a bounded SELECT.")
	}
	outer := append([][]types.Value{row}, ctx.OuterRows...)
	return ctx.Subplans.RunSubplan(e.Plan, outer)
}

func subqueryValue(e *Subquery, args []types.Value, rows [][]types.Value) (types.Value, error) {
	switch e.Kind {
	case Exists:
		return types.NewBool((len(rows) > 0) != e.Not), nil
	case InSub:
		return inRows(args[0], rows, e.Not), nil
	}
	if len(rows) > 0 && len(rows[0]) == 0 {
		return types.Value{}, fmt.Errorf("subquery returned rows without columns")
	}
	if e.Kind == ArraySub {
		elems := make([]types.Value, len(rows))
		for i := range rows {
			elems[i] = rows[i][0]
			elems[i].Type = types.T(e.Typ.Elem)
		}
		return types.NewArray(e.Typ.Elem, elems), nil
	}
	switch len(rows) {
	case 0:
		return types.Null(e.Typ), nil
	case 1:
		v := rows[0][0]
		v.Type = e.Typ
		return v, nil
	}
	return types.Value{}, sqlerr.New(sqlerr.CardinalityViolation, "more than one row returned by a subquery used as an expression")
}

func inRows(x types.Value, rows [][]types.Value, not bool) types.Value {
	null := false
	if len(rows) > 0 && len(rows[0]) > 1 {
		return rowInRows(x, rows, not)
	}
	for _, r := range rows {
		if len(r) == 0 || r[0].Null || x.Null {
			null = true
		} else if types.Equal(x, r[0]) {
			return types.NewBool(!not)
		}
	}
	if null {
		return types.Null(boolType)
	}
	return types.NewBool(not)
}

// rowInRows is inRows for a row of several columns: rows differ when a pair of fields does, and match when all are equal.
func rowInRows(x types.Value, rows [][]types.Value, not bool) types.Value {
	fields, err := types.DecodeRecord(x.S)
	null := err != nil
	for _, r := range rows {
		unknown, differ := false, false
		for i := 0; i < len(r) && i < len(fields); i++ {
			switch {
			case r[i].Null || fields[i].Null:
				unknown = true
			case !types.Equal(fields[i], r[i]):
				differ = true
			}
		}
		switch {
		case differ:
		case unknown:
			null = true
		default:
			return types.NewBool(!not)
		}
	}
	if null {
		return types.Null(boolType)
	}
	return types.NewBool(not)
}

// viaBatch evaluates a node that knows only batches (user functions, IN IOC, tables) over a batch of one row.
func (r *rowEval) viaBatch(e Expr) (types.Value, error) {
	s := &types.Schema{}
	kids := children(e)
	cols := make([]Expr, len(kids))
	row := make([]types.Value, len(kids))
	for i, k := range kids {
		v, err := r.eval(k)
		if err != nil {
			return v, err
		}
		v.Type = k.Type()
		row[i] = v
		s.Cols = append(s.Cols, types.Column{Name: fmt.Sprint(i), Type: k.Type()})
		cols[i] = &Column{Index: i, Name: fmt.Sprint(i), Typ: k.Type()}
	}
	b := batch.New(s, nil)
	b.AppendRow(row)
	if len(kids) > 0 {
		e = withChildren(e, cols)
	}
	ev, err := Compile(e)
	if err != nil {
		return types.Value{}, err
	}
	ctx := *r.ctx
	ctx.RowError = nil
	out, err := ev.Eval(&ctx, b, batch.All(1))
	if err != nil {
		return types.Value{}, err
	}
	return out.Value(0), nil
}
