package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// matchScope gives names of pattern variables a meaning in DEFINE and MEASURES. References to other rows of the match become
// columns after the width columns of the row itself.
type matchScope struct {
	vars  map[string]int
	names []spec.MatchVar
	width int
	refs  []spec.MatchRef
	// self is the variable being defined, -1 in MEASURES.
	self    int
	allRows bool
	// final: the rows after the current one count too.
	final bool
	// nav is set inside the argument of FIRST, LAST, PREV or an aggregate.
	nav *navigation
	// frames, in a SEQUENCE, are the columns of each variable's stream, by variable; there are no others.
	frames []*frame
}

// navigation collects of which variable's rows an argument reads columns.
type navigation struct {
	what string
	set  bool
	v    int // -1: rows of any variable
}

// use notes that a column of variable v's rows is read.
func (n *navigation) use(v, pos int) error {
	if n.set && n.v != v {
		return sqlerr.New(sqlerr.SyntaxError, "the argument of %s reads rows of several pattern variables", n.what).At(pos)
	}
	n.set, n.v = true, v
	return nil
}

// rowOnly reports that e reads no other rows.
func (m *matchScope) rowOnly(e expr.Expr) bool {
	only := true
	logical.Columns(e, func(i int) { only = only && i < m.width })
	return only
}

// ref adds a reference, or finds the same one, and returns the column that stands for it.
func (m *matchScope) ref(r spec.MatchRef) expr.Expr {
	r.Final = r.Final || m.final
	index := len(m.refs)
	for i := range m.refs {
		if sameRef(&m.refs[i], &r) {
			index = i
		}
	}
	if index == len(m.refs) {
		m.refs = append(m.refs, r)
	}
	return &expr.Column{Index: m.width + index, Name: r.Name, Typ: r.Typ}
}

func sameRef(a, b *spec.MatchRef) bool {
	if a.Kind != b.Kind || a.Var != b.Var || a.First != b.First || a.Nth != b.Nth || a.Back != b.Back || a.Final != b.Final || !equal(a.X, b.X) {
		return false
	}
	if a.Kind != spec.MatchAgg {
		return true
	}
	if a.Name != b.Name || a.Agg.Distinct != b.Agg.Distinct || len(a.Agg.Args) != len(b.Agg.Args) || !equal(a.Agg.Filter, b.Agg.Filter) {
		return false
	}
	for i := range a.Agg.Args {
		if !equal(a.Agg.Args[i], b.Agg.Args[i]) {
			return false
		}
	}
	return true
}

// matchColumn binds v.col, where v is a pattern variable, and names of the source's columns.
func (s *scalar) matchColumn(id *parse.Ident) (expr.Expr, error) {
	m := s.match
	v, isVar := -1, false
	if len(id.Parts) == 2 {
		v, isVar = m.vars[id.Parts[0]]
	}
	plainID := id
	if isVar {
		plainID = &parse.Ident{At: id.At, Parts: id.Parts[1:]}
	} else {
		v = -1
	}
	f := s.f
	if m.frames != nil {
		if !isVar {
			return nil, sqlerr.New(sqlerr.UndefinedColumn, "a column in MEASURES of SEQUENCE needs the name of its step").At(id.Pos).
				WithHint("Name the step with [..] AS name and write name.column.")
		}
		f = m.frames[v]
	}
	x, err := s.column(f, plainID)
	if err != nil {
		return nil, err
	}
	switch {
	case m.nav != nil:
		return x, m.nav.use(v, id.Pos)
	case !isVar || v == m.self:
		return x, nil
	}
	out := m.ref(spec.MatchRef{Var: v, X: x, Typ: x.Type(), Name: "last(" + id.Parts[0] + "." + id.Parts[1] + ")"})
	s.src[out] = source{pos: id.Pos, name: id.Parts[0] + "." + id.Parts[1]}
	return out, nil
}

// matchCall binds the functions of MATCH_RECOGNIZE; done is false for all others.
func (s *scalar) matchCall(f *parse.FuncCall) (e expr.Expr, done bool, err error) {
	if f.Name.Schema != "" {
		return nil, false, nil
	}
	name := f.Name.Name
	switch name {
	case "first", "last", "prev", "classifier", "match_number", "final", "running":
		if s.match.nav != nil {
			return nil, true, unsupported(f.Pos, name+" inside "+s.match.nav.what, "Only PREV takes FIRST or LAST as its argument.")
		}
		if err := plainCall(f); err != nil {
			return nil, true, err
		}
	case "next":
		return nil, true, unsupported(f.Pos, "NEXT in a pattern", "The row after it may not have come yet: define the next row's variable by PREV.")
	default:
		d := registry().aggs[name]
		if d == nil {
			return nil, false, nil
		}
		if s.match.nav != nil {
			return nil, true, sqlerr.New(sqlerr.GroupingError, "aggregate function calls cannot be nested").At(f.Pos)
		}
		e, err = s.matchAggregate(f)
		return e, true, err
	}
	switch name {
	case "final", "running":
		e, err = s.matchSemantics(f)
	case "classifier", "match_number":
		r := spec.MatchRef{Kind: spec.MatchClassifier, Var: -1, Typ: textType, Name: "classifier()"}
		if name == "match_number" {
			r = spec.MatchRef{Kind: spec.MatchNumber, Var: -1, Typ: types.T(types.Int8), Name: "match_number()"}
		}
		if len(f.Args) > 0 || f.Star {
			return nil, true, noFunction(f, nil)
		}
		e = s.match.ref(r)
	default:
		e, err = s.navigate(f)
	}
	return e, true, err
}

// matchSemantics binds FINAL f(..) and RUNNING f(..).
func (s *scalar) matchSemantics(f *parse.FuncCall) (expr.Expr, error) {
	var inner *parse.FuncCall
	if len(f.Args) == 1 {
		inner, _ = f.Args[0].(*parse.FuncCall)
	}
	final := f.Name.Name == "final"
	switch {
	case inner == nil:
		return nil, sqlerr.New(sqlerr.SyntaxError, "%s stands before FIRST, LAST, CLASSIFIER or an aggregate", f.Name.Name).At(f.Pos)
	case final && s.match.self >= 0:
		return nil, sqlerr.New(sqlerr.SyntaxError, "FINAL is not allowed in DEFINE").At(f.Pos).
			WithHint("The rows after the current one are not known yet.")
	}
	old := s.match.final
	s.match.final = final && s.match.allRows
	e, err := s.bind(inner)
	s.match.final = old
	return e, err
}

// inside binds the arguments of a function over rows of the match.
func (s *scalar) inside(what string) (*scalar, *navigation) {
	inner := *s
	scope := *s.match
	nav := &navigation{what: what, v: -1}
	scope.nav = nav
	inner.match = &scope
	return &inner, nav
}

// navigate binds FIRST(x [, n]), LAST(x [, n]) and PREV(x [, n]), where PREV's x may be one of the others.
func (s *scalar) navigate(f *parse.FuncCall) (expr.Expr, error) {
	name := f.Name.Name
	if len(f.Args) < 1 || len(f.Args) > 2 || f.Star {
		return nil, sqlerr.New(sqlerr.SyntaxError, "%s takes an expression and optionally a number of rows", name).At(f.Pos)
	}
	r := spec.MatchRef{First: name == "first"}
	offset := &r.Nth
	if name == "prev" {
		r.Back, offset = 1, &r.Back
	}
	x := f.Args[0]
	if len(f.Args) == 2 {
		var err error
		if *offset, err = s.rowOffset(f.Args[1], name); err != nil {
			return nil, err
		}
	}
	if inner, ok := x.(*parse.FuncCall); ok && name == "prev" && inner.Name.Schema == "" && oneOf(inner.Name.Name, "first", "last") && len(inner.Args) > 0 {
		r.First = inner.Name.Name == "first"
		if len(inner.Args) > 1 {
			var err error
			if r.Nth, err = s.rowOffset(inner.Args[1], inner.Name.Name); err != nil {
				return nil, err
			}
		}
		x = inner.Args[0]
	}
	arg, nav := s.inside(name)
	t, err := arg.term(x)
	if err != nil {
		return nil, err
	}
	if r.X, err = s.textIfUnknown(t); err != nil {
		return nil, err
	}
	r.Var, r.Typ, r.Name = nav.v, r.X.Type(), parse.PrintExpr(f)
	current := (r.Var < 0 || r.Var == s.match.self) && s.match.self >= 0 && !r.First && r.Nth == 0
	if current && r.Back == 0 {
		return r.X, nil
	}
	if current {
		r.Var = -1
	}
	e := s.match.ref(r)
	s.src[e] = source{pos: f.Pos, name: name}
	return e, nil
}

// rowOffsetMax bounds the n of FIRST, LAST and PREV.
const rowOffsetMax = 1000

func (s *scalar) rowOffset(e parse.Expr, name string) (int, error) {
	x, err := s.bind(e)
	if err != nil {
		return 0, err
	}
	c, ok := x.(*expr.Const)
	if !ok || c.Val.Null || !oneOf(c.Val.Type.String(), "integer", "bigint") || c.Val.I < 0 {
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "the number of rows of %s must be a constant that is not negative", name).At(start(e))
	}
	if c.Val.I > rowOffsetMax {
		return 0, sqlerr.New(sqlerr.ProgramLimitExceeded, "the number of rows of %s may be at most %d", name, rowOffsetMax).At(start(e))
	}
	return int(c.Val.I), nil
}

// matchAggregate binds an aggregate over rows of the match: count(v.*), sum(v.x), count(*).
func (s *scalar) matchAggregate(f *parse.FuncCall) (expr.Expr, error) {
	d := registry().aggs[f.Name.Name]
	switch {
	case len(f.WithinGroup) > 0:
		return nil, unsupported(f.Pos, "WITHIN GROUP in a pattern", "")
	case len(f.OrderBy) > 0:
		return nil, unsupported(f.Pos, "ORDER BY inside an aggregate of a pattern", "Rows come in order of time.")
	case f.Over != nil:
		return nil, unsupported(f.Pos, "OVER in a pattern", "")
	}
	inner, nav := s.inside(f.Name.Name)
	call := *f
	if w, ok := wholeRowArg(f); ok {
		v, known := s.match.vars[w.Table]
		if !known {
			return nil, sqlerr.New(sqlerr.UndefinedTable, "there is no pattern variable %q", w.Table).At(w.Pos)
		}
		if err := nav.use(v, w.Pos); err != nil {
			return nil, err
		}
		call.Args, call.Star = nil, true
	}
	args, err := inner.list(call.Args)
	if err != nil {
		return nil, err
	}
	r := spec.MatchRef{Kind: spec.MatchAgg, Name: parse.PrintExpr(f)}
	r.Agg = spec.AggCall{Name: d.Name, Distinct: f.Distinct}
	if d.Within != nil || d.Timed && len(args) == 1 {
		return nil, unsupported(f.Pos, d.Name+" of the rows of a match", "Use FIRST(v.col) or LAST(v.col), or an aggregate with all its arguments.")
	}
	given := args
	if args, err = s.preparedArgs(&call, d, args); err != nil {
		return nil, err
	}
	if r.Agg.Args, r.Typ, err = s.aggArgs(&call, d, args, given); err != nil {
		return nil, err
	}
	r.Agg.Typ = r.Typ
	if f.Filter != nil {
		if r.Agg.Filter, err = inner.condition(f.Filter, "FILTER"); err != nil {
			return nil, err
		}
	}
	kernel, ok := d.Bind(exprTypes(r.Agg.Args), f.Distinct)
	if !ok {
		return nil, noFunction(f, args)
	}
	r.Agg.Kernel, r.Var = kernel, nav.v
	e := s.match.ref(r)
	s.src[e] = source{pos: f.Pos, name: d.Name}
	return e, nil
}

// wholeRowArg is the v.* of count(v.*).
func wholeRowArg(f *parse.FuncCall) (*parse.WholeRow, bool) {
	if len(f.Args) != 1 || f.Name.Name != "count" || f.Distinct {
		return nil, false
	}
	w, ok := f.Args[0].(*parse.WholeRow)
	return w, ok
}
