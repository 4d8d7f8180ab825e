package bind

import (
	"reflect"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/planner/parse"
)

// start is the position of an expression's first character, which is where Postgres points when the whole of it is wrong.
func start(e parse.Expr) int {
	for e != nil {
		var left parse.Expr
		switch e := e.(type) {
		case *parse.Binary:
			left = e.L
		case *parse.Cast:
			left = e.X
		case *parse.Like:
			left = e.X
		case *parse.Between:
			left = e.X
		case *parse.InList:
			left = e.X
		case *parse.InQuery:
			left = e.X
		case *parse.InIOC:
			left = e.X
		case *parse.Quantified:
			left = e.X
		case *parse.Is:
			left = e.X
		case *parse.IsDistinct:
			left = e.L
		case *parse.Subscript:
			left = e.X
		case *parse.Field:
			left = e.X
		case *parse.AtTimeZone:
			left = e.X
		case *parse.Collate:
			left = e.X
		}
		if left == nil || left.Position() == 0 || e.Position() != 0 && left.Position() > e.Position() {
			return e.Position()
		}
		e = left
	}
	return 0
}

// columnName is what Postgres calls an output column without an alias.
func columnName(e parse.Expr) string {
	if name, _ := figureName(e); name != "" {
		return name
	}
	return "?column?"
}

// figureName follows Postgres' FigureColname: strength 2 is a real name, 1 a fallback such as a type's name.
func figureName(e parse.Expr) (name string, strength int) {
	switch e := e.(type) {
	case *parse.Ident:
		return e.Parts[len(e.Parts)-1], 2
	case *parse.FuncCall:
		return e.Name.Name, 2
	case *parse.Field:
		if e.Name != "*" {
			return e.Name, 2
		}
	case *parse.Subscript:
		return figureName(e.X)
	case *parse.Collate:
		return figureName(e.X)
	case *parse.Cast:
		if name, strength := figureName(e.X); strength > 1 {
			return name, strength
		}
		if t, err := typeOf(parse.TypeName{Schema: e.Type.Schema, Name: e.Type.Name}); err == nil {
			return shortName(t.Kind), 1
		}
		return e.Type.Name, 1
	case *parse.Case:
		if e.Else != nil {
			if name, strength := figureName(e.Else); strength > 1 {
				return name, strength
			}
		}
		return "case", 1
	case *parse.Interval:
		return "interval", 1
	case *parse.AtTimeZone:
		return "timezone", 2
	case *parse.Array, *parse.ArrayQuery:
		return "array", 2
	case *parse.Exists:
		return "exists", 2
	case *parse.Row:
		return "row", 2
	case *parse.Scalar:
		return queryName(e.Query)
	}
	return "", 0
}

// queryName is the name of a scalar subquery: that of its first column.
func queryName(q *parse.Select) (string, int) {
	for q.SetOp != nil {
		q = q.SetOp.Left
	}
	if q.Core == nil || len(q.Core.Items) == 0 || q.Core.Items[0].Star {
		return "", 0
	}
	if it := q.Core.Items[0]; it.Alias != "" {
		return it.Alias, 2
	} else {
		return figureName(it.Expr)
	}
}

// equal tells whether two expressions over one row type are the same.
func equal(a, b expr.Expr) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a == b || alike(a, b) && a.String() == b.String() && reflect.DeepEqual(a, b)
}

// alike is false for most expressions that are not equal, and costs little: lists of thousands are compared with each other.
func alike(a, b expr.Expr) bool {
	switch a := a.(type) {
	case *expr.Column:
		b, ok := b.(*expr.Column)
		return ok && a.Index == b.Index
	case *expr.Const:
		b, ok := b.(*expr.Const)
		return ok && a.Val == b.Val
	case *expr.Cast:
		b, ok := b.(*expr.Cast)
		return ok && alike(a.X, b.X)
	case *expr.Compare:
		b, ok := b.(*expr.Compare)
		return ok && a.Op == b.Op && alike(a.R, b.R) && alike(a.L, b.L)
	case *expr.Call:
		b, ok := b.(*expr.Call)
		if !ok || a.Def != b.Def || len(a.Args) != len(b.Args) {
			return false
		}
		for i := len(a.Args) - 1; i >= 0; i-- { // what differs often stands last
			if !alike(a.Args[i], b.Args[i]) {
				return false
			}
		}
		return true
	}
	return reflect.TypeOf(a) == reflect.TypeOf(b)
}
