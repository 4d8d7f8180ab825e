package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// setCall binds a set-returning function inside an expression: of the SELECT list only, one column only.
func (s *scalar) setCall(f *parse.FuncCall, sigs []*signature, args []term) (expr.Expr, error) {
	if s.clause == overClause {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "window function calls cannot contain set-returning function calls").At(f.Pos).
			WithHint("You might be able to move the set-returning function into a LATERAL FROM item.")
	}
	if s.sets == nil {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "set-returning functions are not allowed in %s", s.clause).At(f.Pos)
	}
	call, cols, err := s.setFunc(f, sigs, args)
	if err != nil {
		return nil, err
	}
	if len(cols) != 1 {
		return nil, unsupported(f.Pos, "a set-returning function of several columns in the SELECT list", "Write it in FROM.")
	}
	ref := &setRef{index: len(*s.sets), name: f.Name.Name, typ: cols[0].Type}
	*s.sets = append(*s.sets, call)
	s.src[ref] = source{pos: f.Pos, name: f.Name.Name}
	return ref, nil
}

// setFunc resolves a set-returning function and its columns.
func (b *binder) setFunc(f *parse.FuncCall, sigs []*signature, args []term) (logical.Func, []types.Column, error) {
	sig, ambiguous := resolve(sigs, typesOf(args))
	if ambiguous {
		return logical.Func{}, nil, sqlerr.New(sqlerr.AmbiguousFunction, "function %s is not unique", describe(f.Name, args)).At(f.Pos).
			WithHint("Could not choose a best candidate function. You might need to add explicit type casts.")
	}
	if sig == nil {
		return logical.Func{}, nil, noFunction(f, args)
	}
	list, err := b.coerceArgs(sig, args)
	if err != nil {
		return logical.Func{}, nil, err
	}
	return logical.Func{Name: f.Name.Name, Args: list}, sig.set.Cols(exprTypes(list)), nil
}
