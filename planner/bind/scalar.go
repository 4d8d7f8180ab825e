package bind

import (
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// scalar binds expressions of one clause of one query level.
type scalar struct {
	*binder
	f    *frame
	ctes *cteScope
	// clause names the clause in errors: "WHERE".
	clause string
	// aggs and sets collect aggregates and set-returning calls where the clause may hold them, else nil.
	aggs *[]logical.AggCall
	sets *[]logical.Func
	// conditional names what a part of may not be evaluated at all, and so hold no set.
	conditional string
	// over and seen collect window functions and FIRST_SEEN in the same way.
	over *overScope
	seen *[]seenCall
	// match is set in the expressions of MATCH_RECOGNIZE and SEQUENCE.
	match *matchScope
	// late: what is bound is evaluated when time has passed, not with its row.
	late bool
}

// list binds several expressions.
func (s *scalar) list(in []parse.Expr) ([]term, error) {
	out := make([]term, len(in))
	for i, e := range in {
		x, err := s.bind(e)
		if err != nil {
			return nil, err
		}
		out[i] = term{x, start(e)}
	}
	return out, nil
}

// term binds one expression.
func (s *scalar) term(e parse.Expr) (term, error) {
	x, err := s.bind(e)
	return term{x, start(e)}, err
}

// condition binds a boolean; what names the clause or operator that wants it.
func (s *scalar) condition(e parse.Expr, what string) (expr.Expr, error) {
	t, err := s.term(e)
	if err != nil {
		return nil, err
	}
	return s.boolean(t, what)
}

// bind gives an expression names and types. Literals that met no context are still of type unknown.
func (s *scalar) bind(e parse.Expr) (expr.Expr, error) {
	if err := s.enter(e.Position()); err != nil {
		return nil, err
	}
	defer s.leave()
	switch e := e.(type) {
	case *parse.Null:
		return &expr.Const{Val: types.Null(unknownType)}, nil
	case *parse.Bool:
		return &expr.Const{Val: types.NewBool(e.V)}, nil
	case *parse.Number:
		return number(e.Text, e.Pos)
	case *parse.String:
		return &expr.Const{Val: types.Value{S: e.V}}, nil
	case *parse.Interval:
		v, err := interval(e)
		if err != nil {
			return nil, err
		}
		return &expr.Const{Val: v}, nil
	case *parse.Param:
		return s.param(e)
	case *parse.Ident:
		if s.match != nil {
			return s.matchColumn(e)
		}
		return s.column(s.f, e)
	case *parse.Unary:
		return s.unary(e)
	case *parse.Binary:
		return s.binary(e)
	case *parse.FuncCall:
		return s.funcCall(e)
	case *parse.Cast:
		return s.castExpr(e)
	case *parse.Case:
		return s.caseExpr(e)
	}
	return s.bindPredicate(e)
}

// bindPredicate is the second half of bind: predicates and what is rarer.
func (s *scalar) bindPredicate(e parse.Expr) (expr.Expr, error) {
	switch e := e.(type) {
	case *parse.Like:
		return s.like(e)
	case *parse.Between:
		return s.between(e)
	case *parse.InList:
		return s.inList(e)
	case *parse.InIOC:
		return s.inIOC(e)
	case *parse.Is:
		return s.is(e)
	case *parse.IsDistinct:
		return s.isDistinct(e)
	case *parse.InQuery:
		return s.inQuery(e)
	case *parse.Quantified:
		return s.quantified(e)
	case *parse.Exists:
		if in, ok, err := s.askTable(membership{query: e.Query, pos: e.Pos}); ok {
			return in, err
		}
		return s.subquery(e.Query, expr.Exists, e.Pos)
	case *parse.Scalar:
		if value, ok, err := s.askScalar(e.Query, e.Pos); ok {
			return value, err
		}
		return s.subquery(e.Query, expr.Scalar, e.Pos)
	case *parse.ArrayQuery:
		if s.asksTables(e.Query) {
			return nil, unsupported(e.Pos, "ARRAY(SELECT ...) over a table in a continuous query", "Use (SELECT array_agg(x ORDER BY x) FROM table WHERE ...).")
		}
		return s.subquery(e.Query, expr.ArraySub, e.Pos)
	case *parse.Array:
		return s.array(e)
	case *parse.Subscript:
		return s.subscript(e)
	case *parse.AtTimeZone:
		name := parse.Name{Name: "timezone", Pos: e.Pos}
		return s.bind(&parse.FuncCall{At: e.At, Name: name, Args: []parse.Expr{e.Zone, e.X}})
	case *parse.Collate:
		return s.collate(e)
	case *parse.Row:
		return s.row(e)
	case *parse.Field:
		return s.field(e)
	case *parse.WholeRow:
		x, ok, err := s.wholeRow(s.f, "", e.Table, e.Pos)
		if !ok && err == nil {
			err = s.missing(s.f, []string{e.Table, "*"}, e.Pos)
		}
		return x, err
	}
	return s.refuse(e)
}

// refuse answers for what cannot stand as a value.
func (s *scalar) refuse(e parse.Expr) (expr.Expr, error) {
	switch e := e.(type) {
	case *parse.Default:
		return nil, sqlerr.New(sqlerr.SyntaxError, "DEFAULT is not allowed in this context").At(e.Pos)
	case *parse.WindowCall:
		if s.clause == "SELECT" || s.clause == "HAVING" {
			return nil, unsupported(e.Pos, e.Kind+" outside GROUP BY", "Write it in GROUP BY and select window_start, window_end.")
		}
		return nil, unsupported(e.Pos, e.Kind+" in "+s.clause, "Write it in GROUP BY.")
	}
	return nil, unsupported(e.Position(), "this expression", "")
}

// numericTextMax is more than the digits before and after the point that a numeric may have.
const numericTextMax = 131_072 + 16_383 + 32

// number types a numeric literal: integer, bigint, or numeric.
func number(text string, pos int) (expr.Expr, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		if i == int64(int32(i)) {
			return &expr.Const{Val: types.NewInt(types.Int4, i)}, nil
		}
		return &expr.Const{Val: types.NewInt(types.Int8, i)}, nil
	}
	if len(strings.TrimLeft(text, "0")) > numericTextMax {
		return nil, sqlerr.New(sqlerr.NumericValueOutOfRange, "value overflows numeric format").At(pos)
	}
	v, err := types.ParseText(types.T(types.Numeric), text, nil)
	if err != nil {
		return nil, at(err, pos)
	}
	return &expr.Const{Val: v}, nil
}

// interval reads an INTERVAL literal.
func interval(e *parse.Interval) (types.Value, error) {
	text := e.Text
	if _, err := strconv.ParseFloat(text, 64); err == nil && e.Unit != "" {
		text += " " + strings.ToLower(e.Unit)
	}
	v, err := types.ParseText(types.T(types.Interval), text, nil)
	return v, at(err, e.Pos)
}

func (s *scalar) unary(e *parse.Unary) (expr.Expr, error) {
	if e.Op == "NOT" {
		x, err := s.condition(e.X, "NOT")
		if err != nil {
			return nil, err
		}
		return negate(x), nil
	}
	if n, ok := e.X.(*parse.Number); ok && e.Op == "-" {
		return number("-"+n.Text, n.Pos)
	}
	x, err := s.term(e.X)
	if err != nil {
		return nil, err
	}
	return s.prefix(e.Op, x, e.Pos)
}

// negate puts NOT into the predicates that can carry it.
func negate(e expr.Expr) expr.Expr {
	switch x := e.(type) {
	case *expr.In:
		return &expr.In{X: x.X, List: x.List, Not: !x.Not}
	case *expr.InIOC:
		return &expr.InIOC{X: x.X, Lists: x.Lists, Not: !x.Not}
	case *expr.InTable:
		c := *x
		c.Not = !x.Not
		return &c
	case *expr.TableQuery:
		if x.Kind == expr.TableAny {
			c := *x
			c.Not = !x.Not
			return &c
		}
	case *expr.IsNull:
		return &expr.IsNull{X: x.X, Not: !x.Not}
	case *expr.Like:
		c := *x
		c.Not = !x.Not
		return &c
	case *expr.Subquery:
		if x.Kind == expr.Exists || x.Kind == expr.InSub {
			c := *x
			c.Not = !x.Not
			return &c
		}
	}
	return &expr.Not{X: e}
}

func (s *scalar) binary(e *parse.Binary) (expr.Expr, error) {
	if e.Op == "AND" || e.Op == "OR" {
		return s.logic(e)
	}
	if _, isCmp := cmpOps[e.Op]; isCmp {
		l, r, ok, err := s.rowOperands(e.L, e.R)
		if err != nil {
			return nil, err
		}
		if ok {
			return s.rows(e.Op, l, r, e.Pos)
		}
	}
	l, err := s.term(e.L)
	if err != nil {
		return nil, err
	}
	r, err := s.term(e.R)
	if err != nil {
		return nil, err
	}
	if _, isCmp := cmpOps[e.Op]; isCmp {
		return s.compare(e.Op, l, r, e.Pos)
	}
	return s.operator(e.Op, l, r, e.Pos)
}

// logic flattens a chain of one operator, without recursion along the left side: rules with a thousand terms are written
// by machines.
func (s *scalar) logic(e *parse.Binary) (expr.Expr, error) {
	var terms []parse.Expr
	var cur parse.Expr = e
	for {
		b, ok := cur.(*parse.Binary)
		if !ok || b.Op != e.Op {
			terms = append(terms, cur)
			break
		}
		terms = append(terms, b.R)
		cur = b.L
	}
	var list []expr.Expr
	for i := len(terms) - 1; i >= 0; i-- {
		x, err := s.condition(terms[i], e.Op)
		if err != nil {
			return nil, err
		}
		switch same := x.(type) {
		case *expr.And:
			if e.Op == "AND" {
				list = append(list, same.Args...)
				continue
			}
		case *expr.Or:
			if e.Op == "OR" {
				list = append(list, same.Args...)
				continue
			}
		}
		list = append(list, x)
	}
	if e.Op == "AND" {
		return &expr.And{Args: list}, nil
	}
	return &expr.Or{Args: list}, nil
}

func (s *scalar) castExpr(e *parse.Cast) (expr.Expr, error) {
	to, err := typeOf(e.Type)
	if err != nil {
		return nil, err
	}
	if a, ok := e.X.(*parse.Array); ok && to.Kind == types.Array {
		return s.arrayOf(a, to)
	}
	x, err := s.term(e.X)
	if err != nil {
		return nil, err
	}
	return s.cast(x, to, e.Pos)
}

func (s *scalar) caseExpr(e *parse.Case) (expr.Expr, error) {
	defer s.whenTrue("CASE")()
	var results []term
	if e.Else != nil { // Postgres takes the type of ELSE first
		t, err := s.term(e.Else)
		if err != nil {
			return nil, err
		}
		results = append(results, t)
	}
	conds := make([]expr.Expr, len(e.Whens))
	for i, w := range e.Whens {
		var err error
		if conds[i], err = s.caseCond(e, w); err != nil {
			return nil, err
		}
		t, err := s.term(w.Then)
		if err != nil {
			return nil, err
		}
		results = append(results, t)
	}
	list, typ, err := s.unify(results, "CASE")
	if err != nil {
		return nil, err
	}
	out := &expr.Case{Typ: typ}
	if e.Else != nil {
		out.Else, list = list[0], list[1:]
	}
	for i := range conds {
		out.Whens = append(out.Whens, expr.When{Cond: conds[i], Then: list[i]})
	}
	return out, nil
}

// caseCond binds one WHEN; with an operand it is a comparison.
func (s *scalar) caseCond(e *parse.Case, w parse.When) (expr.Expr, error) {
	if e.Operand == nil {
		return s.condition(w.Cond, "CASE/WHEN")
	}
	x, err := s.term(e.Operand)
	if err != nil {
		return nil, err
	}
	if x.e, err = s.textIfUnknown(x); err != nil {
		return nil, err
	}
	y, err := s.term(w.Cond)
	if err != nil {
		return nil, err
	}
	return s.compare("=", x, y, w.Cond.Position())
}

func (s *scalar) array(e *parse.Array) (expr.Expr, error) {
	list, err := s.list(e.Elems)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, sqlerr.New(sqlerr.IndeterminateDatatype, "cannot determine type of empty array").At(e.Pos).
			WithHint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
	}
	elems, typ, err := s.unify(list, "ARRAY")
	if err != nil {
		return nil, err
	}
	if typ.Kind == types.Array {
		return nil, unsupported(e.Pos, "an array of arrays", "")
	}
	return &expr.ArrayCtor{Elems: elems, Typ: arrayType(typ)}, nil
}

// arrayOf binds ARRAY[...]::t[], where each element is cast.
func (s *scalar) arrayOf(e *parse.Array, to types.Type) (expr.Expr, error) {
	out := &expr.ArrayCtor{Typ: plain(to)}
	for _, x := range e.Elems {
		t, err := s.term(x)
		if err != nil {
			return nil, err
		}
		elem, err := s.cast(t, types.Type{Kind: to.Elem, Mod: to.Mod}, t.pos)
		if err != nil {
			return nil, err
		}
		out.Elems = append(out.Elems, elem)
	}
	return out, nil
}

// arrayType is the type of arrays of typ; of rows it keeps what is known of their fields.
func arrayType(typ types.Type) types.Type {
	out := types.ArrayOf(typ.Kind)
	if typ.Kind == types.Record {
		out.Mod = typ.Mod
	}
	return out
}

// elemType is the type of the elements of an array type.
func elemType(typ types.Type) types.Type {
	out := types.T(typ.Elem)
	if typ.Elem == types.Record {
		out.Mod = typ.Mod
	}
	return out
}

func (s *scalar) subscript(e *parse.Subscript) (expr.Expr, error) {
	if e.Slice {
		return s.slice(e)
	}
	x, err := s.bind(e.X)
	if err != nil {
		return nil, err
	}
	if k := x.Type().Kind; k != types.Array && k != types.JSONB {
		return nil, sqlerr.New(sqlerr.DatatypeMismatch, "cannot subscript type %s because it does not support subscripting", x.Type()).At(start(e.X))
	}
	i, err := s.term(e.Index)
	if err != nil {
		return nil, err
	}
	if x.Type().Kind == types.JSONB {
		return s.jsonSubscript(e, x, i)
	}
	index, ok, err := s.coerce(i, types.T(types.Int4), expr.Assignment)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, sqlerr.New(sqlerr.DatatypeMismatch, "array subscript must have type integer").At(i.pos)
	}
	return &expr.Subscript{X: x, Index: index, Typ: elemType(x.Type())}, nil
}

// jsonSubscript binds j[i] of jsonb: a path of one step, which is a key or an index.
func (s *scalar) jsonSubscript(e *parse.Subscript, x expr.Expr, i term) (expr.Expr, error) {
	switch k := i.e.Type().Kind; {
	case isUnknown(i.e), k.IsText(), k == types.Int2, k == types.Int4:
	default:
		return nil, sqlerr.New(sqlerr.DatatypeMismatch, "subscript type %s is not supported", i.e.Type()).At(i.pos).
			WithHint("jsonb subscript must be coercible to either integer or text.")
	}
	step, err := s.cast(i, textType, i.pos)
	if err != nil {
		return nil, err
	}
	path := &expr.ArrayCtor{Typ: types.ArrayOf(types.Text), Elems: []expr.Expr{step}}
	return s.operator("#>", term{e: x, pos: start(e.X)}, term{e: path, pos: i.pos}, e.Pos)
}

// collate accepts the collations that mean what vigil does anyway: bytewise.
func (s *scalar) collate(e *parse.Collate) (expr.Expr, error) {
	switch e.Name.Name {
	case "default", "C", "POSIX", "ucs_basic":
	default:
		return nil, sqlerr.New(sqlerr.UndefinedObject, "collation %q for encoding \"UTF8\" does not exist", e.Name.Name).At(e.Pos).
			WithHint("Text compares bytewise: use COLLATE \"C\" or nothing.")
	}
	x, err := s.term(e.X)
	if err != nil {
		return nil, err
	}
	out, err := s.textIfUnknown(x)
	if err != nil {
		return nil, err
	}
	if k := out.Type().Kind; !k.IsText() && !(k == types.Array && out.Type().Elem.IsText()) {
		return nil, sqlerr.New(sqlerr.DatatypeMismatch, "collations are not supported by type %s", out.Type()).At(e.Pos)
	}
	return out, nil
}
