package bind

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// aggRef stands for aggregate number index of the query level until grouping gives it a column.
type aggRef struct {
	index int
	name  string
	typ   types.Type
	// up tells how many query levels further out the aggregate is computed.
	up int
}

// Type implements expr.Expr.
func (a *aggRef) Type() types.Type { return a.typ }

// String implements expr.Expr.
func (a *aggRef) String() string { return a.name }

// setRef stands for set-returning call number index of the SELECT list.
type setRef struct {
	index int
	name  string
	typ   types.Type
}

// Type implements expr.Expr.
func (r *setRef) Type() types.Type { return r.typ }

// String implements expr.Expr.
func (r *setRef) String() string { return r.name }

// aggregate binds an aggregate call; its arguments are over the rows before grouping.
func (s *scalar) aggregate(f *parse.FuncCall, d *agg.Def) (expr.Expr, error) {
	if s.aggs == nil && (s.continuous && s.asking == 0 || s.f == nil || s.f.parent == nil || f.Star) {
		return nil, s.noAggregates(f)
	}
	if err := checkWithin(f, d); err != nil {
		return nil, err
	}
	inner := &scalar{binder: s.binder, f: s.f, ctes: s.ctes, clause: "aggregate", seen: s.seen}
	args, err := inner.list(f.Args)
	if err != nil {
		return nil, err
	}
	given := args
	call := logical.AggCall{Def: d, Distinct: f.Distinct}
	if d.Within != nil {
		call.Desc = f.WithinGroup[0].Desc
		args, err = inner.withinArgs(f, args)
	} else {
		args, err = s.preparedArgs(f, d, args)
	}
	if err != nil {
		return nil, err
	}
	if call.Args, call.Typ, err = s.aggArgs(f, d, args, given); err != nil {
		return nil, err
	}
	if call.Typ.Elem == types.Record && len(call.Args) > 0 {
		call.Typ = arrayType(call.Args[0].Type())
	}
	if err := checkFixed(d, call.Args, args); err != nil {
		return nil, err
	}
	if f.Filter != nil {
		cond := *inner
		cond.clause = "FILTER"
		if call.Filter, err = cond.condition(f.Filter, "FILTER"); err != nil {
			return nil, err
		}
	}
	for _, o := range f.OrderBy {
		x, err := inner.bind(o.Expr)
		if err != nil {
			return nil, err
		}
		if x, err = s.textIfUnknown(term{x, start(o.Expr)}); err != nil {
			return nil, err
		}
		call.OrderBy = append(call.OrderBy, sortKey(x, o))
	}
	if len(f.OrderBy) > 0 && s.continuous && f.Distinct {
		return nil, unsupported(start(f.OrderBy[0].Expr), "DISTINCT together with ORDER BY inside an aggregate of a continuous query",
			"Group by the value in a subquery, or leave one of them out.")
	}
	return s.placeAggregate(call, f)
}

// noAggregates is the error for an aggregate where none may stand.
func (s *scalar) noAggregates(f *parse.FuncCall) error {
	if s.clause == "aggregate" {
		return sqlerr.New(sqlerr.GroupingError, "aggregate function calls cannot be nested").At(f.Pos)
	}
	return sqlerr.New(sqlerr.GroupingError, "aggregate functions are not allowed in %s", s.clause).At(f.Pos)
}

// placeAggregate gives an aggregate to the query level that it belongs to: the innermost one whose columns it reads.
func (s *scalar) placeAggregate(call logical.AggCall, f *parse.FuncCall) (expr.Expr, error) {
	up := 0
	if !s.continuous {
		up = aggregateLevel(call)
	} else if s.asking > 0 && aggregateLevel(call) > 0 {
		return nil, unsupported(f.Pos, "an aggregate of the enclosing query in a subquery over a table", "Select it in a subquery in FROM, and compare with its column.")
	}
	if up == 0 {
		if s.aggs == nil {
			return nil, s.noAggregates(f)
		}
		return s.addAggregate(s.aggs, call, 0, f.Pos), nil
	}
	home := s.f
	for range up {
		if home = home.parent; home == nil {
			return nil, s.noAggregates(f)
		}
	}
	if home.aggs == nil && home.clause == "aggregate" {
		return nil, sqlerr.New(sqlerr.GroupingError, "aggregate function calls cannot be nested").At(f.Pos)
	}
	if home.aggs == nil {
		return nil, sqlerr.New(sqlerr.GroupingError, "aggregate functions are not allowed in %s", home.clause).At(f.Pos)
	}
	move := logical.Rewrite(func(e expr.Expr, depth int) (expr.Expr, bool) {
		if o, ok := e.(*expr.Outer); ok && o.Depth > depth {
			return ref(o.Depth-up, o.Index, o.Name, o.Typ), true
		}
		return e, false
	})
	call.Args, call.Filter = move.List(call.Args, 0), move.Expr(call.Filter, 0)
	for i := range call.OrderBy {
		call.OrderBy[i].X = move.Expr(call.OrderBy[i].X, 0)
	}
	return s.addAggregate(home.aggs, call, up, f.Pos), nil
}

// aggregateLevel tells how many levels further out the columns are that an aggregate reads: 0 when it reads one of its own
// level, or none at all.
func aggregateLevel(call logical.AggCall) int {
	list := append(append([]expr.Expr(nil), call.Args...), call.Filter)
	for _, k := range call.OrderBy {
		list = append(list, k.X)
	}
	up := -1
	for _, e := range list {
		if e == nil {
			continue
		}
		logical.Walk(e, func(e expr.Expr, depth int) bool {
			level := -1
			switch e := e.(type) {
			case *expr.Column:
				if depth == 0 {
					level = 0
				}
			case *expr.Outer:
				if e.Depth >= depth {
					level = e.Depth - depth
				}
			}
			if level >= 0 && (up < 0 || level < up) {
				up = level
			}
			return true
		})
	}
	return max(up, 0)
}

// addAggregate gives the call a number, the same one as an equal call before it.
func (s *scalar) addAggregate(aggs *[]logical.AggCall, call logical.AggCall, up, pos int) expr.Expr {
	index := -1
	for i, other := range *aggs {
		if sameAggregate(call, other) {
			index = i
		}
	}
	if index < 0 {
		index = len(*aggs)
		*aggs = append(*aggs, call)
	}
	ref := &aggRef{index: index, name: call.Def.Name, typ: call.Typ, up: up}
	s.src[ref] = source{pos: pos, name: call.Def.Name}
	return ref
}

func sameAggregate(a, b logical.AggCall) bool {
	if a.Def != b.Def || a.Distinct != b.Distinct || a.Desc != b.Desc || len(a.Args) != len(b.Args) || len(a.OrderBy)+len(b.OrderBy) > 0 {
		return false
	}
	for i := range a.Args {
		if !equal(a.Args[i], b.Args[i]) {
			return false
		}
	}
	return equal(a.Filter, b.Filter)
}

// aggArgs finds argument types that the aggregate takes: as they are, else literals and other strings as text. The arguments
// were given as given before they were prepared.
func (s *scalar) aggArgs(f *parse.FuncCall, d *agg.Def, args, given []term) ([]expr.Expr, types.Type, error) {
	if f.Star {
		if kernel, ok := d.Bind(nil, false); ok && !f.Distinct {
			return nil, kernel.Type(), nil
		}
		return nil, types.Type{}, noFunction(f, args)
	}
	if len(args) == 0 && d.Name == "count" {
		return nil, types.Type{}, sqlerr.New(sqlerr.WrongObjectType, "count(*) must be used to call a parameterless aggregate function").At(f.Pos)
	}
	list, err := s.declaredArgs(d, args)
	if err != nil {
		return nil, types.Type{}, err
	}
	if list == nil {
		return nil, types.Type{}, noAggregate(f, args, given)
	}
	if kernel, ok := d.Kernel(exprTypes(list), f.Distinct, false); ok {
		return list, kernel.Type(), nil
	}
	for i, e := range list {
		if e.Type().Kind.IsText() {
			var err error
			if list[i], err = s.implicit(term{e, args[i].pos}, textType); err != nil {
				return nil, types.Type{}, err
			}
		}
	}
	if kernel, ok := d.Kernel(exprTypes(list), f.Distinct, false); ok {
		return list, kernel.Type(), nil
	}
	return nil, types.Type{}, noAggregate(f, args, given)
}

func exprTypes(list []expr.Expr) []types.Type {
	out := make([]types.Type, len(list))
	for i, e := range list {
		out[i] = plain(e.Type())
	}
	return out
}

func sortKey(x expr.Expr, o parse.OrderItem) logical.SortKey {
	first := o.Desc // Postgres: NULL is larger than everything
	if o.NullsFirst != 0 {
		first = o.NullsFirst > 0
	}
	return logical.SortKey{X: x, Desc: o.Desc, NullsFirst: first}
}
