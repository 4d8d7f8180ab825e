package logical

import "github.com/vigil-sql/vigil/executor/expr"

// Rewrite replaces expressions, parents before children: it returns the replacement and true to go no deeper, or false
// to look into the node's children. depth counts the rows between the expression and the place where the rewriting
// began: 0 there, 1 inside a subquery of it, where Outer references of that depth mean the row of the beginning.
type Rewrite func(e expr.Expr, depth int) (expr.Expr, bool)

// List rewrites each expression of a list; the list itself is shared when nothing changed.
func (f Rewrite) List(list []expr.Expr, depth int) []expr.Expr {
	var out []expr.Expr
	for i, e := range list {
		n := f.Expr(e, depth)
		if n != e && out == nil {
			out = append([]expr.Expr(nil), list...)
		}
		if out != nil {
			out[i] = n
		}
	}
	if out == nil {
		return list
	}
	return out
}

// Expr rewrites one expression; nil stays nil.
func (f Rewrite) Expr(e expr.Expr, depth int) expr.Expr {
	if e == nil {
		return nil
	}
	if r, stop := f(e, depth); stop {
		return r
	}
	if n := f.children(e, depth); n != nil {
		return n
	}
	return e
}

// children returns a copy of e with rewritten children, or nil when they did not change.
func (f Rewrite) children(e expr.Expr, depth int) expr.Expr {
	switch e := e.(type) {
	case *expr.And:
		if l := f.List(e.Args, depth); !same(l, e.Args) {
			return &expr.And{Args: l}
		}
	case *expr.Or:
		if l := f.List(e.Args, depth); !same(l, e.Args) {
			return &expr.Or{Args: l}
		}
	case *expr.Not:
		if x := f.Expr(e.X, depth); x != e.X {
			return &expr.Not{X: x}
		}
	case *expr.IsNull:
		if x := f.Expr(e.X, depth); x != e.X {
			return &expr.IsNull{X: x, Not: e.Not}
		}
	case *expr.IsBool:
		if x := f.Expr(e.X, depth); x != e.X {
			return &expr.IsBool{X: x, Want: e.Want, Not: e.Not}
		}
	case *expr.Compare:
		if l, r := f.Expr(e.L, depth), f.Expr(e.R, depth); l != e.L || r != e.R {
			return &expr.Compare{Op: e.Op, L: l, R: r}
		}
	case *expr.Distinct:
		if l, r := f.Expr(e.L, depth), f.Expr(e.R, depth); l != e.L || r != e.R {
			return &expr.Distinct{L: l, R: r, Not: e.Not}
		}
	case *expr.In:
		if x, l := f.Expr(e.X, depth), f.List(e.List, depth); x != e.X || !same(l, e.List) {
			return &expr.In{X: x, List: l, Not: e.Not}
		}
	case *expr.InIOC:
		if x := f.Expr(e.X, depth); x != e.X {
			return &expr.InIOC{X: x, Lists: e.Lists, Not: e.Not}
		}
	case *expr.Like:
		if x, p := f.Expr(e.X, depth), f.Expr(e.Pattern, depth); x != e.X || p != e.Pattern {
			c := *e
			c.X, c.Pattern = x, p
			return &c
		}
	default:
		return f.moreChildren(e, depth)
	}
	return nil
}

func (f Rewrite) moreChildren(e expr.Expr, depth int) expr.Expr {
	switch e := e.(type) {
	case *expr.Call:
		if l := f.List(e.Args, depth); !same(l, e.Args) {
			return &expr.Call{Def: e.Def, Args: l, Typ: e.Typ}
		}
	case *expr.IOCEntry:
		if x := f.Expr(e.X, depth); x != e.X {
			return &expr.IOCEntry{X: x, List: e.List, Info: e.Info, Version: e.Version}
		}
	case *expr.UDF:
		if l := f.List(e.Args, depth); !same(l, e.Args) {
			return &expr.UDF{Name: e.Name, ID: e.ID, Args: l, Typ: e.Typ, Shape: e.Shape}
		}
	case *expr.Cast:
		if x := f.Expr(e.X, depth); x != e.X {
			return &expr.Cast{X: x, Typ: e.Typ, Explicit: e.Explicit}
		}
	case *expr.Case:
		return f.caseExpr(e, depth)
	case *expr.Coalesce:
		if l := f.List(e.Args, depth); !same(l, e.Args) {
			return &expr.Coalesce{Args: l, Typ: e.Typ}
		}
	case *expr.AnyArray:
		if l, a := f.Expr(e.L, depth), f.Expr(e.Array, depth); l != e.L || a != e.Array {
			c := *e
			c.L, c.Array = l, a
			return &c
		}
	case *expr.ArrayCtor:
		if l := f.List(e.Elems, depth); !same(l, e.Elems) {
			return &expr.ArrayCtor{Elems: l, Typ: e.Typ}
		}
	case *expr.Subscript:
		if x, i := f.Expr(e.X, depth), f.Expr(e.Index, depth); x != e.X || i != e.Index {
			return &expr.Subscript{X: x, Index: i, Typ: e.Typ}
		}
	case *expr.RowCtor, *expr.FieldOf, *expr.RowIsNull, *expr.Slice, *expr.InTable, *expr.TableQuery:
		kids := expr.Operands(e)
		if l := f.List(kids, depth); !same(l, kids) {
			return expr.WithOperands(e, l)
		}
	case *expr.Subquery:
		plan, _ := e.Plan.(*Node)
		x := f.Expr(e.X, depth)
		if plan == nil {
			break
		}
		if p := f.Plan(plan, depth+1); p != plan || x != e.X {
			c := *e
			c.X, c.Plan = x, p
			return &c
		}
	}
	return nil
}

func (f Rewrite) caseExpr(e *expr.Case, depth int) expr.Expr {
	whens := make([]expr.When, len(e.Whens))
	changed := false
	for i, w := range e.Whens {
		whens[i] = expr.When{Cond: f.Expr(w.Cond, depth), Then: f.Expr(w.Then, depth)}
		changed = changed || whens[i] != w
	}
	els := f.Expr(e.Else, depth)
	if !changed && els == e.Else {
		return nil
	}
	return &expr.Case{Whens: whens, Else: els, Typ: e.Typ}
}

func same(a, b []expr.Expr) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Plan rewrites every expression of a tree, subqueries and lateral sides included.
func (f Rewrite) Plan(n *Node, depth int) *Node {
	in := n.In
	for i, c := range n.In {
		d := depth
		if j, ok := n.Op.(*Join); ok && j.Lateral && i == 1 {
			d++
		}
		if r := f.Plan(c, d); r != c {
			if &in[0] == &n.In[0] {
				in = append([]*Node(nil), n.In...)
			}
			in[i] = r
		}
	}
	op := f.Op(n.Op, depth)
	if op == n.Op && (len(in) == 0 || &in[0] == &n.In[0]) {
		return n
	}
	return &Node{Op: op, In: in, Schema: n.Schema}
}

// Op rewrites the expressions of one operator, not of its inputs.
func (f Rewrite) Op(o Op, depth int) Op {
	switch o := o.(type) {
	case *Values:
		rows, changed := make([][]expr.Expr, len(o.Rows)), false
		for i, r := range o.Rows {
			rows[i] = f.List(r, depth)
			changed = changed || !same(rows[i], r)
		}
		if changed {
			return &Values{Rows: rows}
		}
	case *FuncScan:
		if fn, changed := f.funcCall(o.Func, depth); changed {
			return &FuncScan{Func: fn}
		}
	case *Filter:
		if l := f.List(o.Conds, depth); !same(l, o.Conds) {
			return &Filter{Conds: l}
		}
	case *Project:
		if l := f.List(o.Exprs, depth); !same(l, o.Exprs) {
			return &Project{Exprs: l}
		}
	case *ProjectSet:
		return f.projectSet(o, depth)
	case *Aggregate:
		return f.aggregate(o, depth)
	case *Match:
		return f.match(o, depth)
	case *Distinct:
		if l := f.List(o.On, depth); !same(l, o.On) {
			return &Distinct{On: l}
		}
	case *Join:
		// Keys and conditions read the row before or while it is joined: they are at the join's own depth.
		l, r, c := f.List(o.LeftKeys, depth), f.List(o.RightKeys, depth), f.List(o.Conds, depth)
		if !same(l, o.LeftKeys) || !same(r, o.RightKeys) || !same(c, o.Conds) {
			j := *o
			j.LeftKeys, j.RightKeys, j.Conds = l, r, c
			return &j
		}
	case *LookupJoin:
		return f.rewriteLookup(o, depth)
	case *Sort:
		if k, changed := f.sortKeys(o.Keys, depth); changed {
			return &Sort{Keys: k}
		}
	case *Over, *FirstSeen, *Suppress:
		return f.over(o, depth)
	case *SortedOver:
		return f.sortedOver(o, depth)
	case *Limit:
		if c, off := f.Expr(o.Count, depth), f.Expr(o.Offset, depth); c != o.Count || off != o.Offset {
			return &Limit{Count: c, Offset: off}
		}
	}
	return o
}

func (f Rewrite) funcCall(fn Func, depth int) (out Func, changed bool) {
	out = fn
	out.Args = f.List(fn.Args, depth)
	changed = !same(out.Args, fn.Args)
	out.With = append([]Func(nil), fn.With...)
	for i := range out.With {
		var c bool
		out.With[i], c = f.funcCall(fn.With[i], depth)
		changed = changed || c
	}
	return out, changed
}

func (f Rewrite) projectSet(o *ProjectSet, depth int) Op {
	funcs, changed := append([]Func(nil), o.Funcs...), false
	for i := range funcs {
		l := f.List(funcs[i].Args, depth)
		changed = changed || !same(l, funcs[i].Args)
		funcs[i].Args = l
	}
	if !changed {
		return o
	}
	return &ProjectSet{Funcs: funcs}
}

func (f Rewrite) aggregate(o *Aggregate, depth int) Op {
	keys := f.List(o.Keys, depth)
	changed := !same(keys, o.Keys)
	aggs := append([]AggCall(nil), o.Aggs...)
	for i := range aggs {
		a := &aggs[i]
		args, filter := f.List(a.Args, depth), f.Expr(a.Filter, depth)
		order, sorted := f.sortKeys(a.OrderBy, depth)
		changed = changed || sorted || !same(args, a.Args) || filter != a.Filter
		a.Args, a.Filter, a.OrderBy = args, filter, order
	}
	if !changed {
		return o
	}
	c := *o
	c.Keys, c.Aggs = keys, aggs
	return &c
}

func (f Rewrite) sortKeys(keys []SortKey, depth int) ([]SortKey, bool) {
	out, changed := append([]SortKey(nil), keys...), false
	for i := range out {
		x := f.Expr(out[i].X, depth)
		changed = changed || x != out[i].X
		out[i].X = x
	}
	return out, changed
}

// Walk visits e and everything below it, plans of subqueries included, parents first, until visit returns false for a
// node: its children are then skipped.
func Walk(e expr.Expr, visit func(e expr.Expr, depth int) bool) {
	Rewrite(func(e expr.Expr, depth int) (expr.Expr, bool) { return e, !visit(e, depth) }).Expr(e, 0)
}

// WalkPlan visits every expression of a tree.
func WalkPlan(n *Node, visit func(e expr.Expr, depth int) bool) {
	Rewrite(func(e expr.Expr, depth int) (expr.Expr, bool) { return e, !visit(e, depth) }).Plan(n, 0)
}

// Columns calls use for each column of the current row that e reads, from subqueries too.
func Columns(e expr.Expr, use func(index int)) {
	Walk(e, func(e expr.Expr, depth int) bool {
		switch e := e.(type) {
		case *expr.Column:
			if depth == 0 {
				use(e.Index)
			}
		case *expr.Outer:
			if e.Depth == depth && depth > 0 {
				use(e.Index)
			}
		}
		return true
	})
}

// Remap moves e to a row of another layout: column i becomes column to(i).
func Remap(e expr.Expr, to func(int) int) expr.Expr {
	return Rewrite(func(e expr.Expr, depth int) (expr.Expr, bool) {
		switch e := e.(type) {
		case *expr.Column:
			if depth == 0 && to(e.Index) != e.Index {
				return &expr.Column{Index: to(e.Index), Name: e.Name, Typ: e.Typ}, true
			}
		case *expr.Outer:
			if e.Depth == depth && depth > 0 && to(e.Index) != e.Index {
				return &expr.Outer{Depth: e.Depth, Index: to(e.Index), Name: e.Name, Typ: e.Typ}, true
			}
		}
		return e, false
	}).Expr(e, 0)
}
