package bind

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// checkWithin lets WITHIN GROUP stand where it must and nowhere else, with Postgres' errors.
func checkWithin(f *parse.FuncCall, d *agg.Def) error {
	within := len(f.WithinGroup) > 0
	switch {
	case within && d.Within == nil:
		return sqlerr.New(sqlerr.WrongObjectType, "%s is not an ordered-set aggregate, so it cannot have WITHIN GROUP", d.Name).At(f.Pos)
	case !within && d.Within != nil:
		return sqlerr.New(sqlerr.WrongObjectType, "WITHIN GROUP is required for ordered-set aggregate %s", d.Name).At(f.Pos)
	case within && len(f.OrderBy) > 0:
		return sqlerr.New(sqlerr.SyntaxError, "cannot use multiple ORDER BY clauses with WITHIN GROUP").At(f.Pos)
	case within && f.Distinct:
		return sqlerr.New(sqlerr.SyntaxError, "cannot use DISTINCT with WITHIN GROUP").At(f.Pos)
	}
	return nil
}

// withinArgs are the arguments of an ordered-set aggregate: what is ordered, then the direct ones.
func (s *scalar) withinArgs(f *parse.FuncCall, direct []term) ([]term, error) {
	var out []term
	for _, o := range f.WithinGroup {
		x, err := s.term(o.Expr)
		if err != nil {
			return nil, err
		}
		if typ := x.e.Type(); !hasOperator(typ, false) {
			return nil, sqlerr.New(sqlerr.UndefinedFunction, "could not identify an ordering operator for type %s", typ).At(x.pos).
				WithHint("Use an explicit ordering operator or modify the query.")
		}
		out = append(out, x)
	}
	return append(out, direct...), nil
}

// preparedArgs puts arguments through what the aggregate wants them to go through first, and adds the time where it is left
// out.
func (s *scalar) preparedArgs(f *parse.FuncCall, d *agg.Def, args []term) ([]term, error) {
	if f.Distinct {
		if err := s.comparable(args); err != nil {
			return nil, err
		}
	}
	if d.Timed && len(args) == 1 {
		t := &expr.Column{Index: timeToFill, Name: "time", Typ: types.T(types.TimestampTZ)}
		s.src[t] = source{pos: f.Pos, name: describe(f.Name, args)}
		return append(args, term{t, f.Pos}), nil
	}
	if d.Through == "" || len(args) == 0 || len(args) > 2 {
		return args, nil
	}
	if f.Distinct && d.Fixed {
		return nil, unsupported(f.Pos, "DISTINCT in "+d.Name, "")
	}
	var plain, through []term
	for i, a := range args {
		var err error
		if d.Fixed && i > 0 {
			through = append(through, a)
			continue
		}
		if a.e, err = s.textIfUnknown(a); err != nil {
			return nil, err
		}
		if f.Distinct && a.e.Type().Kind == types.Numeric { // 1.5 and 1.50 are one value, so they must look alike
			if a.e, err = s.call(registry().funcs["trim_scale"][0], []term{a}, a.pos); err != nil {
				return nil, err
			}
		}
		plain = append(plain, a)
		if !d.Fixed && i < len(args)-1 {
			a.e, err = s.cast(a, textType, a.pos)
		} else {
			a.e, err = s.call(registry().funcs[d.Through][0], []term{a}, a.pos)
		}
		if err != nil {
			return nil, err
		}
		through = append(through, a)
	}
	if f.Distinct {
		return append(plain, through...), nil
	}
	return through, nil
}

// comparable refuses DISTINCT over types that have no equality.
func (s *scalar) comparable(args []term) error {
	for _, a := range args {
		if t := a.e.Type(); !hasOperator(t, true) {
			return sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type %s", t).At(a.pos)
		}
	}
	return nil
}

// declaredArgs converts arguments to the types that an aggregate declares, strings of unknown type to text; nil when it does
// not take them.
func (s *scalar) declaredArgs(d *agg.Def, args []term) ([]expr.Expr, error) {
	list := make([]expr.Expr, len(args))
	var want []types.Type
	if d.Params != nil {
		if want = d.Params(typesOf(args)); want == nil {
			return nil, nil
		}
	}
	for i, a := range args {
		var err error
		if want != nil && plain(a.e.Type()) != want[i] {
			list[i], err = s.implicit(a, want[i])
		} else {
			list[i], err = s.textIfUnknown(a)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// noAggregate is noFunction for arguments as they were given; of an ordered-set aggregate what is ordered comes last.
func noAggregate(f *parse.FuncCall, args, given []term) error {
	return noFunction(f, append(given[:len(given):len(given)], args[:len(f.WithinGroup)]...))
}

// checkFixed refuses constants that an aggregate cannot work with.
func checkFixed(d *agg.Def, args []expr.Expr, terms []term) error {
	if d.Check == nil {
		return nil
	}
	for i, a := range args {
		if c, ok := a.(*expr.Const); ok && i > 0 {
			if err := d.Check(i, c.Val); err != nil {
				return at(err, terms[i].pos)
			}
		}
	}
	return nil
}

// checkOverFixed refuses arguments of a window function that differ from row to row where an aggregate wants one value.
func (s *scalar) checkOverFixed(d *agg.Def, args []expr.Expr, terms []term) error {
	if !d.Fixed {
		return nil
	}
	for i, a := range args[1:] {
		varies := false
		logical.Walk(a, func(e expr.Expr, _ int) bool {
			_, isColumn := e.(*expr.Column)
			varies = varies || isColumn
			return !varies
		})
		if varies {
			return unsupported(terms[i+1].pos, "an argument of "+d.Name+" that differs from row to row", "Give a constant.")
		}
	}
	return checkFixed(d, args, terms)
}

// timeToFill is the index of a column that fillTimes replaces by the time of the rows.
const timeToFill = -1

// fillTimes gives first(x) and last(x) the event time of the rows in as their second argument.
func (l *level) fillTimes(in *logical.Node) error {
	for i := range l.aggs {
		a := &l.aggs[i]
		if !a.Def.Timed {
			continue
		}
		c, ok := a.Args[len(a.Args)-1].(*expr.Column)
		if !ok || c.Index != timeToFill {
			continue
		}
		at := logical.DefaultTime(in)
		if at < 0 {
			s := l.src[c]
			return sqlerr.New(sqlerr.UndefinedFunction, "function %s does not exist", s.name).At(s.pos).
				WithHint("The rows have no event time. Name what orders them: %s(x, t).", a.Def.Name)
		}
		col := in.Schema.Cols[at]
		a.Args = []expr.Expr{a.Args[0], &expr.Column{Index: at, Name: col.Name, Typ: col.Type}}
	}
	return nil
}

// checkFixed refuses arguments that may differ within a group where an aggregate wants one value.
func (g *grouping) checkFixed() {
	for _, a := range g.aggs {
		if !a.Def.Fixed {
			continue
		}
		for _, x := range a.Args[1:] {
			g.place(x)
		}
	}
}

// withinString prints a call of an ordered-set aggregate.
func withinString(a logical.AggCall) string {
	direct := ""
	for i, x := range a.Args[1:] {
		if i > 0 {
			direct += ", "
		}
		direct += x.String()
	}
	order := ""
	if a.Desc {
		order = " DESC"
	}
	return fmt.Sprintf("%s(%s) WITHIN GROUP (ORDER BY %s%s)", a.Def.Name, direct, a.Args[0], order)
}
