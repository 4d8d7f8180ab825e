package expr

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/types"
)

// RowShape says which arguments of a user's function are the fields of rows.
type RowShape struct {
	// Fields has, for each parameter, the names of the fields of its row, whose values are arguments in this order; nil: the parameter
	// is a value.
	Fields [][]string
}

// RowCaller is what a UDFCaller may do besides: call functions that take whole rows.
type RowCaller interface {
	// Shaped returns the number under which Call takes the fields of rows of this shape, which have these types.
	Shaped(id uint64, shape *RowShape, args []types.Type) uint64
}

// String implements Expr. A row is printed as its fields: f({a: x, b: y}, z).
func (e *UDF) String() string {
	if e.Shape == nil {
		return e.Name + "(" + join(e.Args, ", ") + ")"
	}
	var params []string
	at := 0
	for _, fields := range e.Shape.Fields {
		if fields == nil {
			params = append(params, e.Args[at].String())
			at++
			continue
		}
		var list []string
		for _, name := range fields {
			list = append(list, name+": "+e.Args[at].String())
			at++
		}
		params = append(params, "{"+strings.Join(list, ", ")+"}")
	}
	return e.Name + "(" + strings.Join(params, ", ") + ")"
}

// shape finds the number for calls with the fields of rows.
func (n *udfNode) shape(udf UDFCaller) error {
	rows, ok := udf.(RowCaller)
	if !ok {
		return fmt.Errorf("no functions of whole rows in this place")
	}
	args := make([]types.Type, len(n.e.Args))
	for i, a := range n.e.Args {
		args[i] = a.Type()
	}
	n.id, n.shaped = rows.Shaped(n.e.ID, n.e.Shape, args), true
	return nil
}
