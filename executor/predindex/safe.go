package predindex

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/types"
)

// harmless are functions and operators that give a value for all arguments: no error, no clock, no chance.
var harmless = []string{
	"lower", "upper", "length", "char_length", "octet_length", "btrim", "ltrim", "rtrim", "reverse", "strpos", "starts_with",
	"host", "family", "<<", "<<=", ">>=", "&&", "->", "->>", "jsonb_typeof", "md5", "left", "right",
}

// safe reports that evaluating an expression cannot fail and depends on the row alone (and on the lists and tables of the epoch), so that
// it may be evaluated for rows that other conditions exclude, and once for all who ask.
func safe(e expr.Expr) bool {
	ok := true
	expr.Walk(e, func(e expr.Expr) bool {
		switch e := e.(type) {
		case *expr.Column, *expr.Const, *expr.And, *expr.Or, *expr.Not, *expr.IsNull, *expr.IsBool, *expr.Compare, *expr.Distinct,
			*expr.In, *expr.InIOC, *expr.IOCEntry, *expr.Case, *expr.Coalesce:
		case *expr.InTable:
			ok = ok && (e.Where == nil || safe(e.Where))
		case *expr.TableQuery:
			ok = ok && safeQuery(e)
		case *expr.AnyArray:
			ok = ok && e.Like == nil && e.Regex == nil
		case *expr.ArrayCtor:
		case *expr.Like:
			ok = ok && constantPattern(e)
		case *expr.Cast:
			ok = ok && e.Typ.Kind == types.Text && e.X.Type().Kind.IsText()
		case *expr.Call:
			ok = ok && safeCall(e)
		default:
			ok = false
		}
		return ok
	})
	return ok
}

func safeQuery(e *expr.TableQuery) bool {
	list, ok := e.Inner()
	for _, x := range list {
		ok = ok && safe(x)
	}
	return ok
}

// Safe reports that evaluating an expression for a row cannot fail, so that it may be evaluated for rows that other conditions
// exclude.
func Safe(e expr.Expr) bool { return safe(e) }

func constantPattern(e *expr.Like) bool {
	c, ok := e.Pattern.(*expr.Const)
	if !ok {
		return false
	}
	if c.Val.Null {
		return true
	}
	_, err := expr.CompileLike(c.Val.S, e.Escape, e.Insensitive)
	return err == nil
}

func safeCall(e *expr.Call) bool {
	if e.Def.Volatility != fn.Immutable {
		return false
	}
	if isRegex(e.Def.Name) && len(e.Args) == 2 {
		c, ok := e.Args[1].(*expr.Const)
		if !ok || c.Val.Null {
			return ok
		}
		_, err := fn.CompilePattern(c.Val.S, "")
		return err == nil
	}
	if len(e.Args) == 2 && e.Args[0].Type().Kind == types.Array && slices.Contains([]string{"&&", "@>", "<@"}, e.Def.Name) {
		return true
	}
	if len(e.Args) == 2 && (e.Def.Name == "<<" || e.Def.Name == ">>=" || e.Def.Name == "&&") {
		return e.Args[0].Type().Kind == types.Inet || e.Args[0].Type().Kind == types.CIDR // they are other operators of other types
	}
	return slices.Contains(harmless, e.Def.Name)
}
