package bind

import (
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
)

// Postgres' bounds of grouping sets.
const (
	groupingSetsMax = 4096
	cubeMax         = 12
	groupingArgsMax = 31
)

// bindGroup binds GROUP BY: an input column, an output name or number, an expression, or grouping sets. Each item says which
// sets of keys there are; several items are combined each with each.
func (l *level) bindGroup() error {
	s := l.clause("GROUP BY")
	s.sets = &l.sets
	sets := [][]int{nil}
	for _, e := range l.core.GroupBy {
		if _, isWindow := e.(*parse.WindowCall); isWindow {
			continue
		}
		alternatives, err := l.groupItem(s, e)
		if err != nil {
			return err
		}
		if len(sets)*len(alternatives) > groupingSetsMax {
			return sqlerr.New(sqlerr.StatementTooComplex, "too many grouping sets present (maximum %d)", groupingSetsMax)
		}
		var combined [][]int
		for _, left := range sets {
			for _, right := range alternatives {
				combined = append(combined, union(left, right))
			}
		}
		sets = combined
	}
	if l.core.GroupDistinct {
		sets = distinctSets(sets)
	}
	if len(sets) > 1 {
		l.keySets = sets
	}
	return nil
}

// union is the numbers of both lists, each once.
func union(a, b []int) []int {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// distinctSets drops sets that are equal to one before.
func distinctSets(sets [][]int) [][]int {
	var out [][]int
	seen := map[string]bool{}
	for _, set := range sets {
		var key strings.Builder
		for _, k := range slices.Sorted(slices.Values(set)) {
			key.WriteRune(rune(k))
		}
		if !seen[key.String()] {
			seen[key.String()] = true
			out = append(out, set)
		}
	}
	return out
}

// groupItem is the sets of keys that one item of GROUP BY stands for.
func (l *level) groupItem(s *scalar, e parse.Expr) ([][]int, error) {
	g, ok := e.(*parse.GroupingSets)
	if !ok {
		keys, err := l.groupKeys(s, "", []parse.Expr{e})
		return [][]int{keys}, err
	}
	if l.continuous {
		return nil, unsupported(g.Pos, g.Kind+" in a continuous query", "Write one query per grouping.")
	}
	if g.Kind == "CUBE" && len(g.Sets) > cubeMax {
		return nil, sqlerr.New(sqlerr.TooManyColumns, "CUBE is limited to %d elements", cubeMax).At(g.Pos)
	}
	var parts [][]int
	for _, set := range g.Sets {
		if len(set) == 1 && g.Kind == "GROUPING SETS" {
			if nested, ok := set[0].(*parse.GroupingSets); ok {
				inner, err := l.groupItem(s, nested)
				if err != nil {
					return nil, err
				}
				parts = append(parts, inner...)
				continue
			}
		}
		keys, err := l.groupKeys(s, g.Kind, set)
		if err != nil {
			return nil, err
		}
		parts = append(parts, keys)
	}
	if len(parts) > groupingSetsMax {
		return nil, sqlerr.New(sqlerr.StatementTooComplex, "too many grouping sets present (maximum %d)", groupingSetsMax)
	}
	switch g.Kind {
	case "ROLLUP":
		return rollup(parts), nil
	case "CUBE":
		return cube(parts), nil
	}
	return parts, nil
}

// rollup is all beginnings of a list, the longest first.
func rollup(parts [][]int) [][]int {
	out := make([][]int, 0, len(parts)+1)
	for n := len(parts); n >= 0; n-- {
		var set []int
		for _, p := range parts[:n] {
			set = union(set, p)
		}
		out = append(out, set)
	}
	return out
}

// cube is all choices from a list, the whole first.
func cube(parts [][]int) [][]int {
	var out [][]int
	for left := 0; left < 1<<len(parts); left++ {
		var set []int
		for i, p := range parts {
			if left>>(len(parts)-1-i)&1 == 0 {
				set = union(set, p)
			}
		}
		out = append(out, set)
	}
	return out
}

// groupKeys binds expressions of GROUP BY to numbers of keys; those of a row count one by one. kind is that of the grouping
// sets around them, "" without.
func (l *level) groupKeys(s *scalar, kind string, list []parse.Expr) ([]int, error) {
	var out []int
	for _, e := range list {
		if row, ok := e.(*parse.Row); ok {
			keys, err := l.groupKeys(s, kind, row.Elems)
			if err != nil {
				return nil, err
			}
			out = union(out, keys)
			continue
		}
		x, err := l.groupKey(s, e)
		if err != nil {
			return nil, err
		}
		if x, err = l.textIfUnknown(term{x, start(e)}); err != nil {
			return nil, err
		}
		if !hasOperator(x.Type(), true) {
			return nil, sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type %s", x.Type()).At(start(e))
		}
		if _, isBound := x.(*windowBound); isBound {
			if kind != "" {
				return nil, unsupported(start(e), x.String()+" in "+kind, "Write the window beside the grouping sets, or select it in a subquery and group outside.")
			}
			continue
		}
		at := slices.IndexFunc(l.keys, func(k expr.Expr) bool { return equal(k, x) })
		if at < 0 {
			at = len(l.keys)
			l.keys = append(l.keys, x)
		}
		out = union(out, []int{at})
	}
	return out, nil
}

// groupingRef is a call of GROUPING until grouping gives it a column; its arguments are over the rows before.
type groupingRef struct {
	args []expr.Expr
	at   []int // positions of the arguments
}

// Type implements expr.Expr.
func (*groupingRef) Type() types.Type { return types.T(types.Int4) }

// String implements expr.Expr.
func (r *groupingRef) String() string {
	names := make([]string, len(r.args))
	for i, a := range r.args {
		names[i] = a.String()
	}
	return "grouping(" + strings.Join(names, ", ") + ")"
}

// groupingCall binds GROUPING(a, ..).
func (s *scalar) groupingCall(f *parse.FuncCall) (expr.Expr, error) {
	switch {
	case s.aggs == nil && s.clause == "aggregate":
		return nil, sqlerr.New(sqlerr.GroupingError, "aggregate function calls cannot be nested").At(f.Pos)
	case s.aggs == nil:
		return nil, sqlerr.New(sqlerr.GroupingError, "grouping operations are not allowed in %s", s.clause).At(f.Pos)
	case len(f.Args) > groupingArgsMax:
		return nil, sqlerr.New(sqlerr.TooManyArguments, "GROUPING must have fewer than %d arguments", groupingArgsMax+1).At(f.Pos)
	case len(f.Args) == 0:
		return nil, noFunction(f, nil)
	}
	r := &groupingRef{}
	for _, e := range f.Args {
		x, err := s.overTerm(e)
		if err != nil {
			return nil, err
		}
		if o, ok := x.(*expr.Outer); ok {
			return nil, unsupported(start(e), "GROUPING of an outer query", "Compute it there, and name it: SELECT ... FROM (SELECT grouping("+o.Name+") AS g, ...) t.")
		}
		r.args, r.at = append(r.args, x), append(r.at, start(e))
	}
	s.src[r] = source{pos: f.Pos, name: "grouping"}
	return r, nil
}

// groupingColumn is the column of a call of GROUPING; where all rows are of one set, its value.
func (g *grouping) groupingColumn(r *groupingRef) expr.Expr {
	keys := make([]int, len(r.args))
	for i, a := range r.args {
		keys[i] = slices.IndexFunc(g.keys, func(k expr.Expr) bool { return equal(k, a) })
		if keys[i] < 0 {
			g.err = errGroupingArg(r.at[i])
			return r
		}
	}
	if len(g.keySets) == 0 {
		return &expr.Const{Val: types.NewInt(types.Int4, 0)}
	}
	at := slices.IndexFunc(g.groupings, func(other []int) bool { return slices.Equal(other, keys) })
	if at < 0 {
		at = len(g.groupings)
		g.groupings = append(g.groupings, keys)
	}
	return &expr.Column{Index: g.base + len(g.keys) + len(g.aggs) + at, Name: r.String(), Typ: r.Type()}
}

// errGroupingArg is Postgres' error for an argument of GROUPING that is not grouped by.
func errGroupingArg(pos int) error {
	return sqlerr.New(sqlerr.GroupingError, "arguments to GROUPING must be grouping expressions of the associated query level").At(pos)
}

// keysAfter moves numbers of keys behind the keys of windows, which are in every set.
func keysAfter(sets [][]int, base int, all bool) [][]int {
	out := make([][]int, len(sets))
	for i, set := range sets {
		if all {
			for k := range base {
				out[i] = append(out[i], k)
			}
		}
		for _, k := range set {
			out[i] = append(out[i], base+k)
		}
	}
	return out
}
