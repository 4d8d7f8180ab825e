package bind

import (
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

var (
	unknownType = types.Type{}
	boolType    = types.T(types.Bool)
	textType    = types.T(types.Text)
)

// term is a bound expression with the place of its first character.
type term struct {
	e   expr.Expr
	pos int
}

// plain is a type without its modifier.
func plain(t types.Type) types.Type { t.Mod = 0; return t }

func isUnknown(e expr.Expr) bool { return e.Type().Kind == types.Unknown }

// sameKind tells whether two types differ in modifiers only.
func sameKind(a, b types.Type) bool { return a.Kind == b.Kind && a.Elem == b.Elem }

// coerce converts t to a type when Postgres would do so in a context of that level; ok is false when it would not.
func (b *binder) coerce(t term, to types.Type, level expr.CastLevel) (e expr.Expr, ok bool, err error) {
	from := t.e.Type()
	if from.Kind == types.Unknown {
		return b.settle(t, to, level)
	}
	asArray := from.IsVector() && level == expr.Explicit // int2vector::smallint[] prints and counts otherwise
	if sameKind(from, to) && (to.Mod == 0 && !asArray || to.Mod == from.Mod) {
		return t.e, true, nil
	}
	if !expr.CanCast(from, to, level) {
		return nil, false, nil
	}
	e = &expr.Cast{X: t.e, Typ: to, Explicit: level == expr.Explicit}
	if c, isConst := t.e.(*expr.Const); isConst && stableCast(from, to) {
		v, err := expr.CastValue(c.Val, to, level == expr.Explicit, b.format)
		if err != nil {
			return nil, true, at(err, t.pos)
		}
		e = &expr.Const{Val: v}
	}
	b.src[e] = source{pos: t.pos}
	return e, true, nil
}

// stableCast tells whether a cast of a literal gives the same value whenever and wherever it runs.
func stableCast(from, to types.Type) bool {
	quiet := func(k types.Kind) bool {
		return k == types.Bool || k.IsNumber() || k.IsText() || k == types.Inet || k == types.CIDR
	}
	return quiet(from.Kind) && quiet(to.Kind)
}

// settle gives an expression of unknown type its type.
func (b *binder) settle(t term, to types.Type, level expr.CastLevel) (expr.Expr, bool, error) {
	if to.Kind == types.Unknown {
		return t.e, true, nil
	}
	switch e := t.e.(type) {
	case *expr.Const:
		if e.Val.Null {
			return &expr.Const{Val: types.Null(to)}, true, nil
		}
		lit, err := b.literal(e.Val.S, to, level == expr.Explicit)
		return lit, true, at(err, t.pos)
	case *expr.Param:
		if known := b.params[e.N-1]; known.Kind != types.Unknown {
			p := &expr.Param{N: e.N, Typ: known}
			return b.coerce(term{p, t.pos}, to, level)
		}
		b.params[e.N-1] = plain(to)
		p := &expr.Param{N: e.N, Typ: plain(to)}
		b.src[p] = source{pos: t.pos}
		return b.coerce(term{p, t.pos}, to, level)
	}
	return &expr.Cast{X: t.e, Typ: to, Explicit: true}, true, nil
}

// literal reads a string literal as a type. Names of catalogue objects are looked up when the query runs.
func (b *binder) literal(s string, to types.Type, explicit bool) (expr.Expr, error) {
	switch to.Kind {
	case types.RegClass, types.RegType, types.RegProc, types.RegNamespace:
		return &expr.Cast{X: &expr.Const{Val: types.NewText(s)}, Typ: to, Explicit: true}, nil
	case types.Void, types.Record:
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "input of type %s is not supported", to)
	}
	if unit := types.LastField(to.Mod); to.Kind == types.Interval && unit != "" && isNumber(s) {
		s += unit // interval '3' DAY
	}
	v, err := types.ParseText(plain(to), s, b.format)
	if err != nil {
		return nil, err
	}
	if v, err = types.ApplyMod(v, to.Mod, explicit); err != nil {
		return nil, err
	}
	v.Type = to
	return &expr.Const{Val: v}, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return err == nil
}

// cast binds an explicit cast.
func (b *binder) cast(t term, to types.Type, pos int) (expr.Expr, error) {
	e, ok, err := b.coerce(t, to, expr.Explicit)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, sqlerr.New(sqlerr.CannotCoerce, "cannot cast type %s to %s", t.e.Type(), to).At(pos)
	}
	return e, nil
}

// implicit coerces where the caller has made sure that it can be done.
func (b *binder) implicit(t term, to types.Type) (expr.Expr, error) {
	e, ok, err := b.coerce(t, to, expr.Implicit)
	if err != nil {
		return nil, err
	}
	if !ok {
		if e, ok, err = b.coerce(t, to, expr.Explicit); err != nil {
			return nil, err
		}
	}
	if !ok {
		return nil, sqlerr.New(sqlerr.CannotCoerce, "cannot cast type %s to %s", t.e.Type(), to).At(t.pos)
	}
	return e, nil
}

// boolean coerces the argument of a clause or operator that wants a condition.
func (b *binder) boolean(t term, what string) (expr.Expr, error) {
	e, ok, err := b.coerce(t, boolType, expr.Assignment)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, sqlerr.New(sqlerr.DatatypeMismatch, "argument of %s must be type boolean, not type %s", what, t.e.Type()).At(t.pos)
	}
	return e, nil
}

// textIfUnknown gives literals that met no context the type text.
func (b *binder) textIfUnknown(t term) (expr.Expr, error) {
	if !isUnknown(t.e) {
		return t.e, nil
	}
	return b.implicit(t, textType)
}

// category is Postgres' pg_type.typcategory, preferred its typispreferred.
func category(t types.Type) (cat byte, preferred bool) {
	switch k := t.Kind; {
	case k == types.Unknown:
		return 'X', false
	case k == types.Bool:
		return 'B', true
	case k.IsNumber() || k.IsInteger() || isReg(k):
		return 'N', k == types.Float8 || k == types.OID
	case k == types.Char:
		return 'Z', false
	case k.IsText():
		return 'S', k == types.Text
	case k == types.Date || k == types.Timestamp || k == types.TimestampTZ:
		return 'D', k == types.TimestampTZ
	case k == types.Interval:
		return 'T', true
	case k == types.Inet || k == types.CIDR:
		return 'I', k == types.Inet
	case k == types.Array:
		return 'A', false
	case k == types.Record:
		return 'P', false
	}
	return 'U', false
}

func isReg(k types.Kind) bool {
	return k == types.RegClass || k == types.RegType || k == types.RegProc || k == types.RegNamespace
}

// commonType is Postgres' choice of one type for several expressions (UNION, CASE, VALUES, ...); what names the
// construct in the error.
func commonType(list []term, what string) (types.Type, error) {
	given := typesOf(list)
	out, bad := common(given)
	switch {
	case bad >= 0 && categoryOf(out) != categoryOf(given[bad]):
		return out, sqlerr.New(sqlerr.DatatypeMismatch, "%s types %s and %s cannot be matched", what, out, given[bad]).At(list[bad].pos)
	case bad >= 0:
		return out, sqlerr.New(sqlerr.CannotCoerce, "%s could not convert type %s to %s", what, given[bad], out).At(list[bad].pos)
	}
	return out, nil
}

func categoryOf(t types.Type) byte {
	c, _ := category(t)
	return c
}

// common is the common type of several, text when none is known. bad is the index of one that has no part in it, -1 when all
// have.
func common(list []types.Type) (out types.Type, bad int) {
	sameMod := true
	for i, typ := range list {
		if typ.Kind == types.Unknown {
			continue
		}
		if out.Kind == types.Unknown {
			out = typ
			continue
		}
		sameMod = sameMod && out == typ
		if sameKind(out, typ) {
			continue
		}
		oc, preferred := category(out)
		if oc != categoryOf(typ) {
			return out, i
		}
		if !preferred && expr.CanCast(out, typ, expr.Implicit) && !expr.CanCast(typ, out, expr.Implicit) {
			out = typ
		}
	}
	if out.Kind == types.Unknown {
		out = textType
	}
	if !sameMod {
		out = plain(out)
	}
	for i, typ := range list {
		if !expr.CanCast(typ, out, expr.Implicit) {
			return out, i
		}
	}
	return out, -1
}

// unify converts all expressions to their common type.
func (b *binder) unify(list []term, what string) ([]expr.Expr, types.Type, error) {
	typ, err := commonType(list, what)
	if err != nil {
		return nil, typ, err
	}
	out := make([]expr.Expr, len(list))
	for i, t := range list {
		if out[i], err = b.implicit(t, typ); err != nil {
			return nil, typ, err
		}
	}
	return out, typ, nil
}
