package expr

// children returns the direct operands of a node, in evaluation order. It covers every node type.
func children(e Expr) []Expr {
	switch e := e.(type) {
	case *And:
		return e.Args
	case *Or:
		return e.Args
	case *Not:
		return []Expr{e.X}
	case *IsNull:
		return []Expr{e.X}
	case *IsBool:
		return []Expr{e.X}
	case *Compare:
		return []Expr{e.L, e.R}
	case *Distinct:
		return []Expr{e.L, e.R}
	case *In:
		return append([]Expr{e.X}, e.List...)
	case *InIOC:
		return []Expr{e.X}
	case *IOCEntry:
		return []Expr{e.X}
	case *InTable:
		return e.Keys
	case *TableQuery:
		return e.operands()
	case *Like:
		return []Expr{e.X, e.Pattern}
	case *Call:
		return e.Args
	case *UDF:
		return e.Args
	case *Cast:
		return []Expr{e.X}
	case *Case:
		var list []Expr
		for _, w := range e.Whens {
			list = append(list, w.Cond, w.Then)
		}
		if e.Else != nil {
			list = append(list, e.Else)
		}
		return list
	case *Coalesce:
		return e.Args
	case *AnyArray:
		return []Expr{e.L, e.Array}
	case *ArrayCtor:
		return e.Elems
	case *Subscript:
		return []Expr{e.X, e.Index}
	case *Subquery:
		if e.X != nil {
			return []Expr{e.X}
		}
	}
	return rowChildren(e)
}

// Walk calls fn for e and, while fn returns true, for everything below it, parents first. Plans of subqueries are not entered, nor is what is asked of
// the rows of a table.
func Walk(e Expr, fn func(Expr) bool) {
	if e == nil || !fn(e) {
		return
	}
	for _, c := range children(e) {
		Walk(c, fn)
	}
}

// Transform rebuilds the tree bottom up: fn gets each node with its operands already replaced and returns what stands in
// its place. Nodes are copied, never changed; unchanged subtrees are shared.
func Transform(e Expr, fn func(Expr) Expr) Expr {
	if e == nil {
		return nil
	}
	old := children(e)
	kids := make([]Expr, len(old))
	changed := false
	for i, c := range old {
		kids[i] = Transform(c, fn)
		changed = changed || kids[i] != c
	}
	if changed {
		e = withChildren(e, kids)
	}
	return fn(e)
}

// withChildren copies a node with other operands, in the order of children.
func withChildren(e Expr, k []Expr) Expr {
	switch e := e.(type) {
	case *And:
		return &And{Args: k}
	case *Or:
		return &Or{Args: k}
	case *Not:
		return &Not{X: k[0]}
	case *IsNull:
		return &IsNull{X: k[0], Not: e.Not}
	case *IsBool:
		return &IsBool{X: k[0], Want: e.Want, Not: e.Not}
	case *Compare:
		return &Compare{Op: e.Op, L: k[0], R: k[1]}
	case *Distinct:
		return &Distinct{L: k[0], R: k[1], Not: e.Not}
	case *In:
		return &In{X: k[0], List: k[1:], Not: e.Not}
	case *InIOC:
		return &InIOC{X: k[0], Lists: e.Lists, Not: e.Not}
	case *IOCEntry:
		return &IOCEntry{X: k[0], List: e.List, Info: e.Info, Version: e.Version}
	case *InTable:
		c := *e
		c.Keys = k
		return &c
	case *TableQuery:
		return e.withOperands(k)
	case *Like:
		c := *e
		c.X, c.Pattern = k[0], k[1]
		return &c
	case *Call:
		return &Call{Def: e.Def, Args: k, Typ: e.Typ}
	case *UDF:
		return &UDF{Name: e.Name, ID: e.ID, Args: k, Typ: e.Typ, Shape: e.Shape}
	case *Cast:
		return &Cast{X: k[0], Typ: e.Typ, Explicit: e.Explicit}
	case *Case:
		c := &Case{Typ: e.Typ}
		for i := range e.Whens {
			c.Whens = append(c.Whens, When{Cond: k[2*i], Then: k[2*i+1]})
		}
		if e.Else != nil {
			c.Else = k[len(k)-1]
		}
		return c
	case *Coalesce:
		return &Coalesce{Args: k, Typ: e.Typ}
	case *AnyArray:
		c := *e
		c.L, c.Array = k[0], k[1]
		return &c
	case *ArrayCtor:
		return &ArrayCtor{Elems: k, Typ: e.Typ}
	case *Subscript:
		return &Subscript{X: k[0], Index: k[1], Typ: e.Typ}
	case *Subquery:
		c := *e
		c.X = k[0]
		return &c
	}
	return withRowChildren(e, k)
}
