package bind

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// funcCall binds f(...): an aggregate, a set-returning function, a special form, a builtin or a user's function.
func (s *scalar) funcCall(f *parse.FuncCall) (expr.Expr, error) {
	if f.Over != nil {
		if u := s.env.Catalog.Function(f.Name.Name); u != nil && u.Aggregate {
			return nil, unsupported(f.Pos, "the JavaScript aggregate "+u.Name+" as a window function", "Group by a window, such as SLIDE.")
		}
		return s.overCall(f)
	}
	if s.match != nil {
		if e, done, err := s.matchCall(f); done {
			return e, err
		}
	}
	name, builtin := f.Name.Name, f.Name.Schema == "" || f.Name.Schema == catalog.PgCatalog
	if name == "grouping" && f.Name.Schema == "" {
		return s.groupingCall(f)
	}
	if d := registry().aggs[name]; d != nil && builtin {
		return s.aggregate(f, d)
	}
	if d, err := s.userAggregate(f); d != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return s.aggregate(f, d)
	}
	if f.Star {
		return nil, noFunction(f, nil)
	}
	if err := plainCall(f); err != nil {
		return nil, err
	}
	if f.Name.Schema == "" {
		if e, done, err := s.specialForm(f); done {
			return e, err
		}
	}
	if f.Name.Name == "overlaps" && builtin {
		if f, err := overlapsCall(f); f != nil || err != nil {
			return s.overlaps(f, err)
		}
	}
	if e, done, err := s.rowCall(f); done {
		return e, err
	}
	args, err := s.list(f.Args)
	if err != nil {
		return nil, err
	}
	if err := needsOver(f, builtin, args); err != nil {
		return nil, err
	}
	if sets := registry().sets[name]; sets != nil && (builtin || f.Name.Schema == catalog.InformationSchema) {
		return s.setCall(f, sets, args)
	}
	return s.scalarCall(f, args)
}

// overlapsCall makes (a, b) OVERLAPS (c, d) a call of four arguments; nil when it is another call.
func overlapsCall(f *parse.FuncCall) (*parse.FuncCall, error) {
	if len(f.Args) != 2 {
		return nil, nil
	}
	out := *f
	out.Name.Schema, out.Args = catalog.PgCatalog, nil
	for i, side := range []string{"left", "right"} {
		row, ok := f.Args[i].(*parse.Row)
		if !ok || len(row.Elems) != 2 {
			return nil, sqlerr.New(sqlerr.SyntaxError, "wrong number of parameters on %s side of OVERLAPS expression", side).At(f.Args[i].Position())
		}
		out.Args = append(out.Args, row.Elems...)
	}
	return &out, nil
}

func (s *scalar) overlaps(f *parse.FuncCall, err error) (expr.Expr, error) {
	if err != nil {
		return nil, err
	}
	args, err := s.list(f.Args)
	if err != nil {
		return nil, err
	}
	return s.scalarCall(f, args)
}

// plainCall refuses what only aggregates may have.
func plainCall(f *parse.FuncCall) error {
	var what string
	switch {
	case f.Distinct:
		what = "DISTINCT"
	case len(f.OrderBy) > 0:
		what = "ORDER BY"
	case f.Filter != nil:
		what = "FILTER"
	case len(f.WithinGroup) > 0:
		what = "WITHIN GROUP"
	default:
		return nil
	}
	return sqlerr.New(sqlerr.WrongObjectType, "%s specified, but %s is not an aggregate function", what, f.Name.Name).At(f.Pos)
}

// scalarCall resolves a builtin, then a function-like cast, then a user's function.
func (s *scalar) scalarCall(f *parse.FuncCall, args []term) (expr.Expr, error) {
	name := f.Name.Name
	if f.Name.Schema != catalog.Public {
		list := registry().funcs[name]
		d, ambiguous := resolve(list, typesOf(args))
		if ambiguous {
			return nil, sqlerr.New(sqlerr.AmbiguousFunction, "function %s is not unique", describe(f.Name, args)).At(f.Pos).
				WithHint("Could not choose a best candidate function. You might need to add explicit type casts.")
		}
		if d != nil {
			return s.call(d, args, f.Pos)
		}
		if k, ok := types.KindByName(name); ok && len(args) == 1 && !strings.Contains(name, " ") {
			if e, ok, err := s.coerce(args[0], types.T(k), expr.Explicit); ok || err != nil {
				return e, err
			}
		}
	}
	if f.Name.Schema == "" || f.Name.Schema == catalog.Public {
		if u := s.env.Catalog.Function(name); u != nil && !u.Aggregate {
			if e, ok, err := s.userCall(u, args, f.Pos); ok || err != nil {
				if p := s.env.Permit; err == nil && p != nil {
					err = p.Call(u)
				}
				return e, err
			}
		}
	}
	if f.Name.Schema != "" && !s.env.Catalog.HasSchema(f.Name.Schema) {
		return nil, sqlerr.New(sqlerr.InvalidSchemaName, "schema %q does not exist", f.Name.Schema).At(f.Pos)
	}
	return nil, noFunction(f, args)
}

// noFunction is Postgres' error for a call without a fitting signature.
func noFunction(f *parse.FuncCall, args []term) error {
	return sqlerr.New(sqlerr.UndefinedFunction, "function %s does not exist", describe(f.Name, args)).At(f.Pos).
		WithHint("No function matches the given name and argument types. You might need to add explicit type casts.")
}

// describe prints a call's signature: "f(integer, text)".
func describe(n parse.Name, args []term) string {
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = a.e.Type().String()
	}
	name := n.Name
	if n.Schema != "" {
		name = n.Schema + "." + name
	}
	return name + "(" + strings.Join(list, ", ") + ")"
}

// call applies a builtin to arguments that it accepts.
func (b *binder) call(s *signature, args []term, pos int) (expr.Expr, error) {
	list, err := b.coerceArgs(s, args)
	if err != nil {
		return nil, err
	}
	for i, e := range list {
		if c, ok := e.(*expr.Const); ok && s.def.Check != nil && !c.Val.Null {
			if err := s.def.Check(i, c.Val); err != nil {
				return nil, at(err, args[i].pos)
			}
		}
	}
	typ := s.def.Ret
	if s.def.RetOf != nil {
		given := make([]types.Type, len(list))
		for i, e := range list {
			given[i] = e.Type()
		}
		typ = s.def.RetOf(given)
		if typ.Kind == types.Array && typ.Elem == types.Array {
			return nil, sqlerr.New(sqlerr.UndefinedObject, "could not find array type for data type %s", given[0])
		}
	}
	e := &expr.Call{Def: s.def, Args: list, Typ: typ}
	b.src[e] = source{pos: pos, name: s.def.Name}
	if b.continuous && s.def.Volatility == fn.Volatile {
		return nil, unsupported(pos, "the volatile function "+s.def.Name+" in a continuous query",
			"A continuous query gives the same result when it is run again; use columns of the row, or now().")
	}
	return e, nil
}

// coerceArgs converts arguments to what a signature declares.
func (b *binder) coerceArgs(s *signature, args []term) ([]expr.Expr, error) {
	elem, _ := s.element(typesOf(args))
	list := make([]expr.Expr, len(args))
	for i, a := range args {
		want, err := s.wanted(i, a.e.Type(), elem)
		if err != nil {
			return nil, err
		}
		if list[i], err = b.implicit(a, want); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// wanted is the type that argument i becomes; elem is what the polymorphic arguments agree on.
func (s *signature) wanted(i int, have, elem types.Type) (types.Type, error) {
	want := s.arg(i)
	if !polymorphic(want) {
		return want, nil
	}
	if elem.Kind == types.Unknown {
		if s.poly() == fn.Alike && have.Kind == types.Unknown {
			return want, sqlerr.New(sqlerr.DatatypeMismatch, "could not determine polymorphic type because input has type unknown")
		}
		elem = textType
	} else if want.Kind != types.Array {
		return elem, nil
	}
	switch {
	case have.Kind != types.Unknown && (s.poly() != fn.Compatible || have.Elem == types.Unknown):
		return have, nil
	case want.Kind == types.Array:
		return types.ArrayOf(elem.Kind), nil
	}
	return elem, nil
}

// userCall applies a user's function; ok is false when the arguments do not fit.
func (b *binder) userCall(u *catalog.Function, args []term, pos int) (e expr.Expr, ok bool, err error) {
	if len(args) != len(u.Params) {
		return nil, false, nil
	}
	list := make([]expr.Expr, len(args))
	for i, a := range args {
		if list[i], ok, err = b.coerce(a, u.Params[i].Type, expr.Implicit); err != nil || !ok {
			return nil, false, err
		}
	}
	if err := b.mayCall(u, pos); err != nil {
		return nil, false, err
	}
	call := &expr.UDF{Name: u.Name, ID: u.ID, Args: list, Typ: u.Ret}
	b.src[call] = source{pos: pos, name: u.Name}
	return call, true, nil
}

// specialForm binds the names that are syntax in Postgres; done is false for all others.
func (s *scalar) specialForm(f *parse.FuncCall) (e expr.Expr, done bool, err error) {
	switch f.Name.Name {
	case "coalesce", "nullif", "greatest", "least":
	case "ioc_match", "ioc_info", "ioc_version":
		e, err = s.iocEntry(f)
		return e, true, err
	case "first_seen":
		e, err = s.firstSeen(f)
		return e, true, err
	case "tumble_start", "tumble_end", "window_start", "window_end":
		bound := "window_" + f.Name.Name[strings.LastIndexByte(f.Name.Name, '_')+1:]
		return nil, true, sqlerr.NotSupported("the function "+f.Name.Name, "Write "+bound+", without arguments.").At(f.Pos)
	default:
		return nil, false, nil
	}
	if f.Name.Name == "coalesce" {
		defer s.whenTrue("COALESCE")()
	}
	args, err := s.list(f.Args)
	if err != nil {
		return nil, true, err
	}
	if len(args) == 0 {
		return nil, true, sqlerr.New(sqlerr.SyntaxError, "syntax error at or near \")\"").At(f.Pos)
	}
	switch f.Name.Name {
	case "coalesce":
		list, typ, err := s.unify(args, "COALESCE")
		if err != nil {
			return nil, true, err
		}
		if len(list) == 1 {
			return list[0], true, nil
		}
		return &expr.Coalesce{Args: list, Typ: typ}, true, nil
	case "nullif":
		e, err = s.nullif(f, args)
		return e, true, err
	}
	e, err = s.extreme(f, args)
	return e, true, err
}

// nullif is NULLIF(a, b): CASE WHEN a = b THEN NULL ELSE a END. Its type is that of the left side of the = that compares
// them: integer and numeric are compared, and give, numeric.
func (s *scalar) nullif(f *parse.FuncCall, args []term) (expr.Expr, error) {
	if len(args) != 2 {
		return nil, noFunction(f, args)
	}
	cond, err := s.compare("=", args[0], args[1], f.Pos)
	if err != nil {
		return nil, err
	}
	typ := cond.(*expr.Compare).L.Type()
	switch {
	case crossEquality(args[0].e.Type(), args[1].e.Type()):
		typ = args[0].e.Type()
	case typ.Kind == types.Varchar: // has no = of its own
		typ = textType
	case typ.Kind == types.CIDR:
		typ = types.T(types.Inet)
	}
	x, err := s.implicit(args[0], typ)
	if err != nil {
		return nil, err
	}
	null := &expr.Const{Val: types.Null(typ)}
	return &expr.Case{Whens: []expr.When{{Cond: cond, Then: null}}, Else: x, Typ: typ}, nil
}

// crossEquality tells whether Postgres has an = of two different types, so that neither side is converted.
func crossEquality(l, r types.Type) bool {
	group := func(k types.Kind) int {
		switch k {
		case types.Int2, types.Int4, types.Int8:
			return 1
		case types.Float4, types.Float8:
			return 2
		case types.Date, types.Timestamp, types.TimestampTZ:
			return 3
		case types.Name, types.Text:
			return 4
		}
		return 0
	}
	return group(l.Kind) != 0 && group(l.Kind) == group(r.Kind)
}

// extreme is GREATEST or LEAST over one common type.
func (s *scalar) extreme(f *parse.FuncCall, args []term) (expr.Expr, error) {
	list, typ, err := s.unify(args, strings.ToUpper(f.Name.Name))
	if err != nil {
		return nil, err
	}
	if !hasOperator(typ, false) {
		return nil, sqlerr.New(sqlerr.UndefinedFunction, "could not identify a comparison function for type %s", typ)
	}
	for _, sig := range registry().funcs[f.Name.Name] {
		given := make([]types.Type, len(list))
		for i := range given {
			given[i] = typ
		}
		if accepts(sig, given) {
			return &expr.Call{Def: sig.def, Args: list, Typ: typ}, nil
		}
	}
	return nil, noFunction(f, args)
}
