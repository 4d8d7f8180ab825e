package rules

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
)

func foldConstantsRule() Rule {
	return Rule{
		Name:  "fold_constants",
		Doc:   "Computes immutable expressions without columns once, and drops conditions that are always true.",
		Apply: foldConstants,
		Did:   didFold,
	}
}

type folder struct{ ctx *expr.Ctx }

func foldConstants(n *logical.Node, env Env) *logical.Node {
	f := &folder{ctx: env.ctx()}
	return f.plan(n)
}

func (f *folder) plan(n *logical.Node) *logical.Node { return bottomUp(f.exprs(n), dropTrue) }

// exprs folds the expressions of a tree and leaves its form as it is.
func (f *folder) exprs(n *logical.Node) *logical.Node {
	return logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		return expr.Transform(e, f.node), true
	}).Plan(n, 0)
}

// dropTrue removes conditions that hold for every row.
func dropTrue(n *logical.Node) *logical.Node {
	switch op := n.Op.(type) {
	case *logical.Filter:
		return logical.NewFilter(n.In[0], withoutTrue(op.Conds))
	case *logical.Join:
		c := *op
		c.Conds = withoutTrue(op.Conds)
		return &logical.Node{Op: &c, In: n.In, Schema: n.Schema}
	}
	return n
}

func withoutTrue(conds []expr.Expr) []expr.Expr {
	var out []expr.Expr
	for _, c := range conds {
		for _, c := range logical.Conjuncts(c) {
			if k, isConst := c.(*expr.Const); !isConst || !k.Val.Bool() {
				out = append(out, c)
			}
		}
	}
	return out
}

// node folds one node whose operands are folded.
func (f *folder) node(e expr.Expr) expr.Expr {
	switch x := e.(type) {
	case *expr.Call:
		if x.Def.Volatility == fn.Immutable && constants(x.Args) {
			return f.eval(e)
		}
	case *expr.Cast:
		if constants([]expr.Expr{x.X}) && immutableCast(x.X.Type(), x.Typ) {
			return f.eval(e)
		}
	case *expr.Compare:
		if constants([]expr.Expr{x.L, x.R}) {
			return f.eval(e)
		}
	case *expr.Not:
		if constants([]expr.Expr{x.X}) {
			return f.eval(e)
		}
	case *expr.IsNull:
		if constants([]expr.Expr{x.X}) {
			return f.eval(e)
		}
	case *expr.Like:
		if constants([]expr.Expr{x.X, x.Pattern}) {
			return f.eval(e)
		}
	case *expr.ArrayCtor:
		if constants(x.Elems) {
			return f.eval(e)
		}
	case *expr.And:
		return foldLogic(x.Args, true, e)
	case *expr.Or:
		return foldLogic(x.Args, false, e)
	case *expr.Subquery:
		if plan, ok := x.Plan.(*logical.Node); ok {
			c := *x
			c.Plan = f.plan(plan)
			return &c
		}
	}
	return e
}

// eval computes a constant; what fails stays, so that the error comes when and if a row gets there.
func (f *folder) eval(e expr.Expr) expr.Expr {
	v, err := expr.EvalConst(f.ctx, e)
	if err != nil {
		return e
	}
	v.Type = e.Type()
	return &expr.Const{Val: v}
}

func constants(list []expr.Expr) bool {
	for _, e := range list {
		if _, ok := e.(*expr.Const); !ok {
			return false
		}
	}
	return true
}

// immutableCast tells whether a cast depends on nothing but its operand: not on the time zone, not on the catalogue.
func immutableCast(from, to types.Type) bool {
	zoned := func(t types.Type) bool { return t.Kind == types.TimestampTZ || t.Kind == types.Array }
	text := func(t types.Type) bool { return t.Kind.IsText() || t.Kind == types.Date || t.Kind == types.Timestamp }
	named := func(t types.Type) bool {
		return t.Kind == types.RegClass || t.Kind == types.RegType || t.Kind == types.RegProc || t.Kind == types.RegNamespace
	}
	switch {
	case named(from) || named(to):
		return false
	case from.Kind == types.Array && to.Kind == types.Array && from.Elem.IsText() && to.Elem.IsText():
		return true
	case zoned(from) || zoned(to):
		return from.Kind == to.Kind
	case from.Kind.IsText() && text(to) && !to.Kind.IsText():
		return false // 'now', 'today'
	}
	return true
}

// foldLogic simplifies AND (unit true) and OR (unit false): the unit is dropped, its opposite decides.
func foldLogic(args []expr.Expr, unit bool, whole expr.Expr) expr.Expr {
	var kept []expr.Expr
	for _, a := range args {
		c, ok := a.(*expr.Const)
		if !ok || c.Val.Null {
			kept = append(kept, a)
			continue
		}
		if c.Val.Bool() != unit {
			return &expr.Const{Val: types.NewBool(!unit)}
		}
	}
	switch {
	case len(kept) == 0:
		return &expr.Const{Val: types.NewBool(unit)}
	case len(kept) == 1:
		return kept[0]
	case len(kept) == len(args):
		return whole
	case unit:
		return &expr.And{Args: kept}
	}
	return &expr.Or{Args: kept}
}
