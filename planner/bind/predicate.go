package bind

import (
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// likeOp is the operator behind LIKE and its kin, for messages.
func likeOp(insensitive, not bool) string {
	op := "~~"
	if insensitive {
		op += "*"
	}
	if not {
		op = "!" + op
	}
	return op
}

func (s *scalar) like(e *parse.Like) (expr.Expr, error) {
	if e.Op == "SIMILAR" {
		return s.similar(e)
	}
	x, err := s.term(e.X)
	if err != nil {
		return nil, err
	}
	p, err := s.term(e.Pattern)
	if err != nil {
		return nil, err
	}
	out := &expr.Like{Escape: '\\', Insensitive: e.Op == "ILIKE", Not: e.Not}
	if !stringLike(x.e) || !stringLike(p.e) {
		return nil, noOperator(likeOp(out.Insensitive, out.Not), x.e.Type(), p.e.Type(), e.Pos)
	}
	if out.X, err = s.implicit(x, textType); err != nil {
		return nil, err
	}
	if out.Pattern, err = s.implicit(p, textType); err != nil {
		return nil, err
	}
	if e.Escape != nil {
		if out.Escape, err = s.escape(e.Escape); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// similar is X SIMILAR TO pattern: X ~ similar_to_escape(pattern).
func (s *scalar) similar(e *parse.Like) (expr.Expr, error) {
	x, err := s.term(e.X)
	if err != nil {
		return nil, err
	}
	in := []parse.Expr{e.Pattern}
	if e.Escape != nil {
		in = append(in, e.Escape)
	}
	args, err := s.list(in)
	if err != nil {
		return nil, err
	}
	f := &parse.FuncCall{At: e.At, Name: parse.Name{Schema: catalog.PgCatalog, Name: "similar_to_escape", Pos: e.Pos}, Args: in}
	pattern, err := s.scalarCall(f, args)
	if err != nil {
		return nil, err
	}
	op := "~"
	if e.Not {
		op = "!~"
	}
	return s.operator(op, x, term{pattern, e.Pattern.Position()}, e.Pos)
}

// stringLike tells whether LIKE takes the operand.
func stringLike(e expr.Expr) bool { return e.Type().Kind.IsText() }

// escape reads the constant after ESCAPE.
func (s *scalar) escape(e parse.Expr) (rune, error) {
	lit, ok := e.(*parse.String)
	if !ok {
		return 0, unsupported(e.Position(), "an ESCAPE that is not a literal", "")
	}
	if lit.V == "" {
		return 0, nil
	}
	if utf8.RuneCountInString(lit.V) != 1 {
		return 0, sqlerr.New(sqlerr.InvalidEscapeSequence, "invalid escape string").At(lit.Pos).
			WithHint("Escape string must be empty or one character.")
	}
	r, _ := utf8.DecodeRuneInString(lit.V)
	return r, nil
}

func (s *scalar) between(e *parse.Between) (expr.Expr, error) {
	terms, err := s.list([]parse.Expr{e.X, e.Lo, e.Hi})
	if err != nil {
		return nil, err
	}
	lo, hi := ">=", "<="
	if e.Not {
		lo, hi = "<", ">"
	}
	l, err := s.compare(lo, terms[0], terms[1], e.Pos)
	if err != nil {
		return nil, err
	}
	h, err := s.compare(hi, terms[0], terms[2], e.Pos)
	if err != nil {
		return nil, err
	}
	within := expr.Expr(&expr.And{Args: []expr.Expr{l, h}})
	if e.Not {
		within = &expr.Or{Args: []expr.Expr{l, h}}
	}
	if !e.Symmetric {
		return within, nil
	}
	turned := *e
	turned.Lo, turned.Hi, turned.Symmetric = e.Hi, e.Lo, false
	other, err := s.between(&turned)
	if err != nil {
		return nil, err
	}
	if e.Not {
		return &expr.And{Args: []expr.Expr{within, other}}, nil
	}
	return &expr.Or{Args: []expr.Expr{within, other}}, nil
}

// inList binds x IN (a, b, ...) over the type in which x compares with all of them.
func (s *scalar) inList(e *parse.InList) (expr.Expr, error) {
	if row, ok := e.X.(*parse.Row); ok {
		return s.inRows(e, row)
	}
	x, err := s.term(e.X)
	if err != nil {
		return nil, err
	}
	items, err := s.list(e.List)
	if err != nil {
		return nil, err
	}
	typ, op := plain(x.e.Type()), "="
	if e.Not {
		op = "<>"
	}
	for _, it := range items {
		if isUnknown(it.e) {
			continue
		}
		if typ.Kind == types.Unknown {
			typ = plain(it.e.Type())
			continue
		}
		both, ok := compareType(typ, it.e.Type(), true)
		if !ok {
			return nil, noOperator(op, x.e.Type(), it.e.Type(), e.Pos)
		}
		typ = both
	}
	if typ.Kind == types.Unknown {
		typ = textType
	}
	if !hasOperator(typ, true) {
		return nil, noOperator(op, typ, items[0].e.Type(), e.Pos)
	}
	out := &expr.In{Not: e.Not, List: make([]expr.Expr, len(items))}
	if out.X, err = s.implicit(x, typ); err != nil {
		return nil, err
	}
	for i, it := range items {
		if out.List[i], err = s.implicit(it, typ); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// inRows binds (a, b) IN ((1, 2), (3, 4)).
func (s *scalar) inRows(e *parse.InList, row *parse.Row) (expr.Expr, error) {
	var list []expr.Expr
	for _, it := range e.List {
		l, r, ok, err := s.rowOperands(row, it)
		if err == nil && !ok {
			err = sqlerr.New(sqlerr.SyntaxError, "unequal number of entries in row expressions").At(it.Position())
		}
		if err != nil {
			return nil, err
		}
		c, err := s.rows("=", l, r, e.Pos)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	var out expr.Expr = &expr.Or{Args: list}
	if len(list) == 1 {
		out = list[0]
	}
	if e.Not {
		return &expr.Not{X: out}, nil
	}
	return out, nil
}

func (s *scalar) is(e *parse.Is) (expr.Expr, error) {
	if e.What == "NULL" {
		return s.isNull(e)
	}
	what := "IS " + e.What
	if e.Not {
		what = "IS NOT " + e.What
	}
	x, err := s.condition(e.X, what)
	if err != nil {
		return nil, err
	}
	if e.What == "UNKNOWN" {
		return &expr.IsNull{X: x, Not: e.Not}, nil
	}
	return &expr.IsBool{X: x, Want: e.What == "TRUE", Not: e.Not}, nil
}

func (s *scalar) isDistinct(e *parse.IsDistinct) (expr.Expr, error) {
	if lefts, rights, ok, err := s.rowOperands(e.L, e.R); ok {
		if err == nil && len(lefts) != len(rights) {
			err = sqlerr.New(sqlerr.SyntaxError, "unequal number of entries in row expressions").At(e.Pos)
		}
		return s.distinctRows(e, lefts, rights, err)
	}
	l, err := s.term(e.L)
	if err != nil {
		return nil, err
	}
	r, err := s.term(e.R)
	if err != nil {
		return nil, err
	}
	return s.distinct(e, l, r)
}

// distinct binds IS [NOT] DISTINCT FROM of two values.
func (s *scalar) distinct(e *parse.IsDistinct, l, r term) (expr.Expr, error) {
	c, err := s.compare("=", l, r, e.Pos)
	if err != nil {
		return nil, err
	}
	cmp := c.(*expr.Compare)
	return &expr.Distinct{L: cmp.L, R: cmp.R, Not: e.Not}, nil
}

// distinctRows binds IS [NOT] DISTINCT FROM of two rows: of any pair, or of none.
func (s *scalar) distinctRows(e *parse.IsDistinct, l, r []term, err error) (expr.Expr, error) {
	var list []expr.Expr
	for i := 0; err == nil && i < len(l); i++ {
		var d expr.Expr
		d, err = s.distinct(e, l[i], r[i])
		list = append(list, d)
	}
	switch {
	case err != nil:
		return nil, err
	case e.Not:
		return &expr.And{Args: list}, nil
	}
	return &expr.Or{Args: list}, nil
}

// quantified binds x op ANY|ALL (array or subquery).
func (s *scalar) quantified(e *parse.Quantified) (expr.Expr, error) {
	if e.Query != nil {
		if e.Op == "=" && !e.All {
			return s.inQuery(&parse.InQuery{At: e.At, X: e.X, Query: e.Query})
		}
		if (e.Op == "<>" || e.Op == "!=") && e.All {
			return s.inQuery(&parse.InQuery{At: e.At, X: e.X, Query: e.Query, Not: true})
		}
		if s.asksTables(e.Query) {
			return s.askAny(e)
		}
	}
	x, err := s.term(e.X)
	if err != nil {
		return nil, err
	}
	var arr expr.Expr
	pos := e.Pos
	if e.Query != nil {
		arr, err = s.subquery(e.Query, expr.ArraySub, e.Pos)
	} else {
		pos = start(e.Array)
		arr, err = s.bind(e.Array)
	}
	if err != nil {
		return nil, err
	}
	if isUnknown(arr) {
		elem := x.e.Type().Kind
		if elem == types.Unknown {
			elem = types.Text
		}
		if arr, err = s.implicit(term{arr, pos}, types.ArrayOf(elem)); err != nil {
			return nil, err
		}
	}
	if arr.Type().Kind != types.Array {
		return nil, sqlerr.New(sqlerr.WrongObjectType, "op ANY/ALL (array) requires array on right side").At(e.Pos)
	}
	out := &expr.AnyArray{All: e.All}
	return s.anyArray(e, out, x, term{arr, pos})
}

// anyArray settles the types of both sides by the operator.
func (s *scalar) anyArray(e *parse.Quantified, out *expr.AnyArray, x, arr term) (expr.Expr, error) {
	elem := types.T(arr.e.Type().Elem)
	typ := textType
	switch op, isCmp := cmpOps[e.Op]; {
	case isCmp:
		out.Op = op
		left := x.e.Type()
		if left.Kind == types.Unknown {
			left = elem
		}
		both, ok := compareType(left, elem, true)
		if !ok {
			return nil, noOperator(e.Op, x.e.Type(), elem, e.Pos)
		}
		typ = both
	case e.Op == "LIKE" || e.Op == "NOT LIKE" || e.Op == "ILIKE" || e.Op == "NOT ILIKE":
		not := len(e.Op) > 4 && e.Op[:3] == "NOT"
		insensitive := e.Op == "ILIKE" || e.Op == "NOT ILIKE"
		if !stringLike(x.e) || !elem.Kind.IsText() {
			return nil, noOperator(likeOp(insensitive, not), x.e.Type(), elem, e.Pos)
		}
		out.Like = &expr.Like{Escape: '\\', Insensitive: insensitive, Not: not}
	default:
		d, _ := resolve(registry().funcs[e.Op], []types.Type{x.e.Type(), elem})
		if d == nil {
			return nil, noOperator(e.Op, x.e.Type(), elem, e.Pos)
		}
		if d.def.Ret.Kind != types.Bool || polymorphic(d.arg(1)) {
			return nil, sqlerr.New(sqlerr.WrongObjectType, "op ANY/ALL (array) requires operator to yield boolean").At(e.Pos)
		}
		out.Regex, typ = d.def, d.arg(1)
	}
	var err error
	if out.L, err = s.implicit(x, typ); err != nil {
		return nil, err
	}
	out.Array, err = s.implicit(arr, types.ArrayOf(typ.Kind))
	if out.Like != nil {
		out.Like.X = out.L
		out.Like.Pattern = &expr.Const{Val: types.Null(textType)} // stands for the element
	}
	return out, err
}
