package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// setHint is Postgres' hint where a set cannot stand.
const setHint = "You might be able to move the set-returning function into a LATERAL FROM item."

// setCall binds a set-returning function inside an expression: of the SELECT list only. One of several columns is a set of
// rows.
func (s *scalar) setCall(f *parse.FuncCall, sigs []*signature, args []term) (expr.Expr, error) {
	refuse := func(format string, args ...any) (expr.Expr, error) {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, format, args...).At(f.Pos)
	}
	switch {
	case s.clause == overClause:
		_, err := refuse("window function calls cannot contain set-returning function calls")
		return nil, sqlerr.As(err).WithHint(setHint)
	case s.conditional != "":
		_, err := refuse("set-returning functions are not allowed in %s", s.conditional)
		return nil, sqlerr.As(err).WithHint(setHint)
	case s.clause == "aggregate":
		_, err := refuse("aggregate function calls cannot contain set-returning function calls")
		return nil, sqlerr.As(err).WithHint(setHint)
	case s.sets == nil:
		return refuse("set-returning functions are not allowed in %s", s.clause)
	}
	call, cols, err := s.setFunc(f, sigs, args)
	if err != nil {
		return nil, err
	}
	if cols == nil {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "could not determine row type for result of %s", f.Name.Name).
			WithHint("Provide a non-null record argument, or call the function in the FROM clause using a column definition list.")
	}
	call.Typ = cols[0].Type
	if call.Row = len(cols) != 1; call.Row && s.continuous {
		return nil, unsupported(f.Pos, "a set-returning function of several columns in a continuous query", "Use one of a single column, such as jsonb_array_elements.")
	} else if call.Row {
		names, list := make([]string, len(cols)), make([]types.Type, len(cols))
		for i, c := range cols {
			names[i], list[i] = c.Name, c.Type
		}
		call.Typ = s.rowType(names, list)
	}
	ref := &setRef{index: len(*s.sets), name: f.Name.Name, typ: call.Typ}
	*s.sets = append(*s.sets, call)
	s.src[ref] = source{pos: f.Pos, name: f.Name.Name}
	return ref, nil
}

// noColumns is the error for a function of any row whose columns nobody has defined.
func noColumns(f *parse.FuncCall) error {
	return sqlerr.New(sqlerr.SyntaxError, "a column definition list is required for functions returning \"record\"").At(f.Pos)
}

// whenTrue binds a part of an expression that may not be evaluated at all: no set may stand in it.
func (s *scalar) whenTrue(what string) func() {
	old := s.conditional
	s.conditional = what
	return func() { s.conditional = old }
}

// setFunc resolves a set-returning function and its columns: nil for one of any row.
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
	call := logical.Func{Name: f.Name.Name, Args: list}
	if sig.set.Cols == nil {
		return call, nil, nil
	}
	cols := append([]types.Column(nil), sig.set.Cols(exprTypes(list))...)
	for i := range cols {
		if cols[i].Type.Kind == types.Record && len(list) > 0 { // of an array of rows
			cols[i].Type = elemType(list[min(i, len(list)-1)].Type())
		}
	}
	return call, cols, nil
}

// setLayers tells for each set-returning call how many others its arguments wait for: calls of one layer go side by side.
func setLayers(sets []logical.Func) []int {
	layers := make([]int, len(sets))
	for i, f := range sets { // arguments are bound, and numbered, before the call
		for _, a := range f.Args {
			logical.Walk(a, func(e expr.Expr, depth int) bool {
				if r, ok := e.(*setRef); ok {
					layers[i] = max(layers[i], layers[r.index]+1)
				}
				return true
			})
		}
	}
	return layers
}

// buildSets computes the set-returning calls of the select list below the projection, those in arguments of others first.
func (l *level) buildSets(in *logical.Node) *logical.Node {
	return l.placeSets(in, func(i int) bool { return !l.placed[i] })
}

// placeSets puts the chosen calls over in, and columns in the place of their references.
func (l *level) placeSets(in *logical.Node, chosen func(i int) bool) *logical.Node {
	at := map[int]int{} // columns by call
	place := logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		r, ok := e.(*setRef)
		if !ok {
			return e, false
		}
		col, ok := at[r.index]
		if !ok {
			return e, true
		}
		return &expr.Column{Index: col, Name: r.name, Typ: r.typ}, true
	})
	layers := setLayers(l.sets)
	for layer := 0; layer < len(l.sets); layer++ {
		op := &logical.ProjectSet{}
		cols := append([]types.Column(nil), in.Schema.Cols...)
		for i, f := range l.sets {
			if layers[i] != layer || !chosen(i) {
				continue
			}
			f.Args = place.List(f.Args, 0)
			at[i] = len(cols)
			op.Funcs = append(op.Funcs, f)
			cols = append(cols, types.Column{Name: f.Name, Type: f.Typ})
		}
		if len(op.Funcs) > 0 {
			in = &logical.Node{Op: op, In: []*logical.Node{in}, Schema: types.Schema{Cols: cols}}
		}
	}
	for i := range l.items {
		old := l.items[i].e
		if l.items[i].e = place.Expr(old, 0); l.items[i].e != old {
			l.src[l.items[i].e] = l.src[old]
		}
	}
	for i := range l.keys {
		l.keys[i] = place.Expr(l.keys[i], 0)
	}
	for i := range at {
		if l.placed == nil {
			l.placed = map[int]bool{}
		}
		l.placed[i] = true
	}
	return in
}

// groupedSets computes the set-returning calls that are grouped by, below the grouping.
func (l *level) groupedSets(in *logical.Node) *logical.Node {
	grouped := map[int]bool{}
	var mark func(e expr.Expr)
	mark = func(e expr.Expr) {
		logical.Walk(e, func(e expr.Expr, _ int) bool {
			if r, ok := e.(*setRef); ok && !grouped[r.index] {
				grouped[r.index] = true
				for _, a := range l.sets[r.index].Args {
					mark(a)
				}
			}
			return true
		})
	}
	for _, k := range l.keys {
		mark(k)
	}
	if len(grouped) == 0 {
		return in
	}
	return l.placeSets(in, func(i int) bool { return grouped[i] })
}
