package expr

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/types"
)

// The nodes of row values and array slices.
type (
	// RowCtor is ROW(...) or a whole row of a relation; Names are the names of its fields.
	RowCtor struct {
		Elems []Expr
		Names []string
		Typ   types.Type
	}
	// FieldOf is field Index (from 0) of a row; of a NULL row it is NULL.
	FieldOf struct {
		X     Expr
		Index int
		Name  string
		Typ   types.Type
	}
	// RowIsNull is X IS NULL of a row: whether it is NULL or all its fields are; with Not whether it has fields and none is NULL.
	RowIsNull struct {
		X   Expr
		Not bool
	}
	// Slice is X[Lo:Hi] of an array, both included.
	Slice struct {
		X, Lo, Hi Expr
		Typ       types.Type
	}
)

// Type implements Expr.
func (e *RowCtor) Type() types.Type { return e.Typ }

// Type implements Expr.
func (e *FieldOf) Type() types.Type { return e.Typ }

// Type implements Expr.
func (e *RowIsNull) Type() types.Type { return boolType }

// Type implements Expr.
func (e *Slice) Type() types.Type { return e.Typ }

// String implements Expr.
func (e *RowCtor) String() string { return "ROW(" + join(e.Elems, ", ") + ")" }

// String implements Expr.
func (e *FieldOf) String() string {
	s := e.X.String()
	if !strings.HasPrefix(s, "(") {
		s = "(" + s + ")"
	}
	return s + "." + e.Name
}

// String implements Expr.
func (e *RowIsNull) String() string { return "(" + e.X.String() + " IS " + not(e.Not) + "NULL)" }

// String implements Expr.
func (e *Slice) String() string { return fmt.Sprintf("%s[%s:%s]", e.X, e.Lo, e.Hi) }

// Operands are the direct operands of a node, in evaluation order; plans of subqueries are none.
func Operands(e Expr) []Expr { return children(e) }

// WithOperands copies a node with other operands, as many as it has.
func WithOperands(e Expr, list []Expr) Expr { return withChildren(e, list) }

// rowChildren is children for the nodes of this file.
func rowChildren(e Expr) []Expr {
	switch e := e.(type) {
	case *RowCtor:
		return e.Elems
	case *FieldOf:
		return []Expr{e.X}
	case *RowIsNull:
		return []Expr{e.X}
	case *Slice:
		return []Expr{e.X, e.Lo, e.Hi}
	}
	return nil
}

// withRowChildren is withChildren for the nodes of this file.
func withRowChildren(e Expr, k []Expr) Expr {
	switch e := e.(type) {
	case *RowCtor:
		return &RowCtor{Elems: k, Names: e.Names, Typ: e.Typ}
	case *FieldOf:
		c := *e
		c.X = k[0]
		return &c
	case *RowIsNull:
		return &RowIsNull{X: k[0], Not: e.Not}
	case *Slice:
		return &Slice{X: k[0], Lo: k[1], Hi: k[2], Typ: e.Typ}
	}
	return e
}

// applyRow computes the nodes of this file.
func applyRow(e Expr, args []types.Value) (types.Value, error) {
	switch e := e.(type) {
	case *RowCtor:
		fields := make([]types.Value, len(args))
		for i, v := range args {
			v.Type = plain(e.Elems[i].Type())
			fields[i] = v
		}
		v := types.NewRecord(fields, e.Names)
		v.Type = e.Typ
		return v, nil
	case *FieldOf:
		return fieldOf(e, args[0])
	case *RowIsNull:
		return rowIsNull(e, args[0])
	case *Slice:
		return slice(e, args)
	}
	return types.Value{}, fmt.Errorf("expression node %T cannot be evaluated", e)
}

func plain(t types.Type) types.Type { t.Mod = 0; return t }

func fieldOf(e *FieldOf, row types.Value) (types.Value, error) {
	if row.Null {
		return types.Null(e.Typ), nil
	}
	fields, err := types.DecodeRecord(row.S)
	if err != nil {
		return types.Value{}, err
	}
	if e.Index >= len(fields) {
		return types.Value{}, fmt.Errorf("field %d of a row of %d", e.Index, len(fields))
	}
	v := fields[e.Index]
	v.Type = e.Typ
	return v, nil
}

func rowIsNull(e *RowIsNull, row types.Value) (types.Value, error) {
	if row.Null {
		return types.NewBool(!e.Not), nil
	}
	fields, err := types.DecodeRecord(row.S)
	if err != nil {
		return types.Value{}, err
	}
	for _, f := range fields {
		if f.Null == e.Not {
			return types.NewBool(false), nil
		}
	}
	return types.NewBool(true), nil
}

func slice(e *Slice, args []types.Value) (types.Value, error) {
	if args[0].Null || args[1].Null || args[2].Null {
		return types.Null(e.Typ), nil
	}
	elems, err := types.DecodeArray(args[0].Type.Elem, args[0].S)
	if err != nil {
		return types.Value{}, err
	}
	lo, hi := max(args[1].I, 1), min(args[2].I, int64(len(elems)))
	if lo > hi {
		elems = nil
	} else {
		elems = elems[lo-1 : hi]
	}
	v := types.NewArray(e.Typ.Elem, elems)
	v.Type = e.Typ
	return v, nil
}
