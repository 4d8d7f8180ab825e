package bind

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// sortedCall is one window function of a query that ends; its expressions are over the rows before, from the time that
// grouping is bound after it.
type sortedCall struct {
	fn     logical.SortedFunc
	window sortedWindow
}

// sortedWindow is a bound window.
type sortedWindow struct {
	partition []expr.Expr
	order     []logical.SortKey
	frame     spec.RowFrame
}

// windowClause names the inside of PARTITION BY and ORDER BY of a window.
const windowClause = "window definitions"

// rankFunc is a window function that is no aggregate: how many arguments it takes, and its type where that is fixed.
type rankFunc struct {
	least, most int
	ret         types.Kind
}

var rankFunctions = map[string]rankFunc{
	"row_number": {0, 0, types.Int8}, "rank": {0, 0, types.Int8}, "dense_rank": {0, 0, types.Int8},
	"percent_rank": {0, 0, types.Float8}, "cume_dist": {0, 0, types.Float8}, "ntile": {1, 1, types.Int4},
	"lag": {1, 3, types.Unknown}, "lead": {1, 3, types.Unknown},
	"first_value": {1, 1, types.Unknown}, "last_value": {1, 1, types.Unknown}, "nth_value": {2, 2, types.Unknown},
}

// sortedCall binds f(..) OVER (..) in a query that ends.
func (s *scalar) sortedCall(f *parse.FuncCall) (expr.Expr, error) {
	if s.over == nil {
		return nil, s.noWindows(f.Pos)
	}
	in := &scalar{binder: s.binder, f: s.f, ctes: s.ctes, clause: overClause, aggs: s.aggs, seen: s.seen}
	c := sortedCall{fn: logical.SortedFunc{Name: f.Name.Name}}
	if err := in.sortedFunc(&c.fn, f); err != nil {
		return nil, err
	}
	def, err := s.over.resolve(f.Over)
	if err != nil {
		return nil, err
	}
	if c.window, err = in.sortedWindow(&def); err != nil {
		return nil, err
	}
	if c.fn.Def != nil || c.fn.Name == "first_value" || c.fn.Name == "last_value" || c.fn.Name == "nth_value" {
		c.fn.Frame = c.window.frame
	}
	at := slices.IndexFunc(s.over.sorted, func(other sortedCall) bool { return other.same(&c) })
	if at < 0 {
		at = len(s.over.sorted)
		s.over.sorted = append(s.over.sorted, c)
	}
	ref := &overRef{index: at, name: sortedName(&c.fn), typ: c.fn.Typ}
	s.src[ref] = source{pos: f.Pos, name: f.Name.Name}
	return ref, nil
}

// noWindows is Postgres' error for a window function where none may stand.
func (s *scalar) noWindows(pos int) error {
	switch s.clause {
	case overClause:
		return sqlerr.New(sqlerr.WindowingError, "window function calls cannot be nested").At(pos)
	case "aggregate":
		return sqlerr.New(sqlerr.GroupingError, "aggregate function calls cannot contain window function calls").At(pos)
	case "window ROWS", "window RANGE", "window GROUPS":
		return sqlerr.New(sqlerr.WindowingError, "window functions are not allowed in %s", windowClause).At(pos)
	}
	clause := s.clause
	if clause == "FROM" {
		clause = "functions in FROM"
	}
	return sqlerr.New(sqlerr.WindowingError, "window functions are not allowed in %s", clause).At(pos)
}

// needsOver refuses a window function without OVER.
func needsOver(f *parse.FuncCall, builtin bool, args []term) error {
	r, ok := rankFunctions[f.Name.Name]
	if !builtin || !ok || len(args) < r.least || len(args) > r.most {
		return nil
	}
	return sqlerr.New(sqlerr.WrongObjectType, "window function %s requires an OVER clause", f.Name.Name).At(f.Pos)
}

// same tells whether two calls give the same column.
func (c *sortedCall) same(other *sortedCall) bool {
	a, b := &c.fn, &other.fn
	return a.Name == b.Name && a.Def == b.Def && a.Frame.Unit == b.Frame.Unit && a.Frame.Exclude == b.Frame.Exclude &&
		sameEdge(&a.Frame.Start, &b.Frame.Start) && sameEdge(&a.Frame.End, &b.Frame.End) &&
		sameExprs(a.Args, b.Args) && equal(a.Filter, b.Filter) && c.window.same(&other.window)
}

func sameEdge(a, b *spec.FrameEdge) bool {
	return a.Kind == b.Kind && a.Following == b.Following && equal(a.Offset, b.Offset) && equal(a.Limit, b.Limit)
}

// same tells whether rows are parted and ordered alike.
func (w *sortedWindow) same(other *sortedWindow) bool {
	return sameExprs(w.partition, other.partition) && slices.EqualFunc(w.order, other.order, func(a, b logical.SortKey) bool {
		return a.Desc == b.Desc && a.NullsFirst == b.NullsFirst && equal(a.X, b.X)
	})
}

// sortedName prints a window function: "avg(bytes) OVER".
func sortedName(f *logical.SortedFunc) string {
	return overName(&logical.OverFunc{Name: f.Name, Def: f.Def, Args: f.Args})
}

// sortedWindow binds a window, its names resolved.
func (s *scalar) sortedWindow(def *parse.WindowDef) (sortedWindow, error) {
	var w sortedWindow
	in := *s
	in.clause = windowClause
	for _, e := range def.PartitionBy {
		x, err := in.overTerm(e)
		if err != nil {
			return w, err
		}
		if !hasOperator(x.Type(), true) {
			return w, sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type %s", x.Type()).At(start(e))
		}
		w.partition = append(w.partition, x)
	}
	for _, o := range def.OrderBy {
		x, err := in.overTerm(o.Expr)
		if err != nil {
			return w, err
		}
		if !hasOperator(x.Type(), false) {
			return w, sqlerr.New(sqlerr.UndefinedFunction, "could not identify an ordering operator for type %s", x.Type()).At(start(o.Expr)).
				WithHint("Use an explicit ordering operator or modify the query.")
		}
		w.order = append(w.order, sortKey(x, o))
	}
	var err error
	w.frame, err = s.rowFrame(def, &w)
	return w, err
}

// sortedFunc binds the function itself.
func (s *scalar) sortedFunc(fn *logical.SortedFunc, f *parse.FuncCall) error {
	builtin := f.Name.Schema == "" || f.Name.Schema == catalog.PgCatalog
	d := registry().aggs[f.Name.Name]
	if !builtin {
		d = nil
	}
	switch {
	case f.Distinct:
		return sqlerr.New(sqlerr.FeatureNotSupported, "DISTINCT is not implemented for window functions").At(f.Pos)
	case len(f.WithinGroup) > 0:
		return sqlerr.New(sqlerr.FeatureNotSupported, "OVER is not supported for ordered-set aggregate %s", f.Name.Name).At(f.Pos)
	case len(f.OrderBy) > 0:
		return sqlerr.New(sqlerr.FeatureNotSupported, "aggregate ORDER BY is not implemented for window functions").At(f.Pos)
	}
	args, err := s.list(f.Args)
	if err != nil {
		return err
	}
	_, ranks := rankFunctions[f.Name.Name]
	switch {
	case d != nil && d.Within == nil:
		return s.sortedAggregate(fn, f, d, args)
	case builtin && ranks && f.Filter != nil:
		return sqlerr.New(sqlerr.FeatureNotSupported, "FILTER is not implemented for non-aggregate window functions").At(f.Pos)
	case builtin && ranks:
		return s.rankFunc(fn, f, args)
	case d != nil:
		return sqlerr.New(sqlerr.WrongObjectType, "WITHIN GROUP is required for ordered-set aggregate %s", d.Name).At(f.Pos)
	}
	if _, err := s.scalarCall(f, args); err != nil && len(registry().sets[f.Name.Name]) == 0 {
		return err
	}
	return sqlerr.New(sqlerr.WrongObjectType, "OVER specified, but %s is not a window function nor an aggregate function", f.Name.Name).At(f.Pos)
}

func (s *scalar) sortedAggregate(fn *logical.SortedFunc, f *parse.FuncCall, d *agg.Def, args []term) error {
	a, err := s.aggregateOver(f, d, args)
	fn.Def, fn.Args, fn.Typ, fn.Filter = d, a.args, a.typ, a.filter
	return err
}

// rankFunc binds a window function that is no aggregate.
func (s *scalar) rankFunc(fn *logical.SortedFunc, f *parse.FuncCall, args []term) error {
	r := rankFunctions[f.Name.Name]
	if len(args) < r.least || len(args) > r.most {
		return noFunction(f, args)
	}
	given := slices.Clone(args)
	if len(args) > 1 || f.Name.Name == "ntile" {
		i := min(len(args)-1, 1)
		x, ok, err := s.coerce(args[i], types.T(types.Int4), expr.Implicit)
		if err != nil {
			return err
		}
		if !ok {
			return noFunction(f, given)
		}
		args[i].e = x
	}
	if len(args) == 3 {
		values, _, err := s.unify([]term{args[0], args[2]}, "LAG")
		if err != nil && sqlerr.As(err).Code != sqlerr.DatatypeMismatch {
			return err
		}
		if err != nil {
			return noFunction(f, given)
		}
		args[0].e, args[2].e = values[0], values[1]
	}
	for _, a := range args {
		fn.Args = append(fn.Args, a.e)
	}
	if fn.Typ = types.T(r.ret); r.ret != types.Unknown {
		return nil
	}
	if isUnknown(fn.Args[0]) {
		return sqlerr.New(sqlerr.DatatypeMismatch, "could not determine polymorphic type because input has type unknown")
	}
	fn.Typ = plain(fn.Args[0].Type())
	return nil
}

// bindWindows binds the windows of WINDOW, so that a mistake in one that nothing uses is found too.
func (l *level) bindWindows() error {
	if l.continuous {
		return nil
	}
	s := l.grouped(overClause)
	for i := range l.core.Windows {
		w := l.core.Windows[i]
		for _, other := range l.core.Windows[:i] {
			if other.Name == w.Name {
				return sqlerr.New(sqlerr.WindowingError, "window %q is already defined", w.Name).At(w.Pos)
			}
		}
		w.Name = ""
		def, err := (&overScope{windows: l.core.Windows[:i]}).resolve(&w)
		if err != nil {
			return err
		}
		if _, err := s.sortedWindow(&def); err != nil {
			return err
		}
	}
	return nil
}

// place moves the expressions of a call to other rows.
func (c *sortedCall) place(place func(expr.Expr) expr.Expr) {
	for _, list := range []*[]expr.Expr{&c.fn.Args, &c.window.partition} {
		*list = slices.Clone(*list)
		for i := range *list {
			(*list)[i] = place((*list)[i])
		}
	}
	c.window.order = slices.Clone(c.window.order)
	for i := range c.window.order {
		c.window.order[i].X = place(c.window.order[i].X)
	}
	for _, e := range []*expr.Expr{&c.fn.Filter, &c.fn.Frame.Start.Limit, &c.fn.Frame.End.Limit} {
		if *e != nil {
			*e = place(*e)
		}
	}
}

// buildSorted computes the window functions of a query that ends below the projection: one operator for each window, those
// that are written last sorting last.
func (l *level) buildSorted(in *logical.Node) *logical.Node {
	calls := l.over.sorted
	at := make([]int, len(calls))
	done := make([]bool, len(calls))
	for i := range calls {
		if done[i] {
			continue
		}
		w := &calls[i].window
		op := &logical.SortedOver{Partition: w.partition, Order: w.order}
		cols := slices.Clone(in.Schema.Cols)
		for j := i; j < len(calls); j++ {
			if done[j] || !calls[j].window.same(w) {
				continue
			}
			done[j], at[j] = true, len(cols)
			op.Funcs = append(op.Funcs, calls[j].fn)
			cols = append(cols, types.Column{Name: sortedName(&calls[j].fn), Type: calls[j].fn.Typ})
		}
		in = &logical.Node{Op: op, In: []*logical.Node{in}, Schema: types.Schema{Cols: cols}}
	}
	l.placeRefs(in, at)
	return in
}

// placeRefs gives the references to window functions their columns of in.
func (l *level) placeRefs(in *logical.Node, at []int) {
	place := logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		if r, ok := e.(*overRef); ok {
			return &expr.Column{Index: at[r.index], Name: in.Schema.Cols[at[r.index]].Name, Typ: r.typ}, true
		}
		return e, false
	})
	l.rewriteItems(place)
}
