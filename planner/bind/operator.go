package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

var cmpOps = map[string]expr.CmpOp{
	"=": expr.EQ, "<>": expr.NE, "!=": expr.NE, "<": expr.LT, "<=": expr.LE, ">": expr.GT, ">=": expr.GE,
}

// numberRank orders the types that comparisons promote to: int2 < int4 < int8 < numeric < float8.
var numberRank = map[types.Kind]int{types.Int2: 1, types.Int4: 2, types.Int8: 3, types.Numeric: 4, types.Float4: 5, types.Float8: 6}

// compareType is the type in which two known types are compared, false when Postgres has no such operator.
func compareType(l, r types.Type, eq bool) (types.Type, bool) {
	l, r = plain(l), plain(r)
	if l == r {
		if l.Kind == types.CIDR { // has no comparison of its own
			l = types.T(types.Inet)
		}
		return l, hasOperator(l, eq)
	}
	if l.Kind == types.Array && r.Kind == types.Array {
		elem, ok := compareType(types.T(l.Elem), types.T(r.Elem), eq)
		return types.ArrayOf(elem.Kind), ok && (l.Elem.IsText() && r.Elem.IsText())
	}
	lc, _ := category(l)
	rc, _ := category(r)
	if lc == 'Z' {
		lc = 'S'
	}
	if rc == 'Z' {
		rc = 'S'
	}
	if lc != rc {
		return types.Type{}, false
	}
	switch lc {
	case 'N':
		return compareNumbers(l, r)
	case 'S':
		return textType, true
	case 'D':
		if l.Kind == types.TimestampTZ || r.Kind == types.TimestampTZ {
			return types.T(types.TimestampTZ), true
		}
		return types.T(types.Timestamp), true
	case 'I':
		return types.T(types.Inet), true
	}
	return types.Type{}, false
}

func compareNumbers(l, r types.Type) (types.Type, bool) {
	lr, rr := numberRank[l.Kind], numberRank[r.Kind]
	if lr == 0 || rr == 0 { // oid and the like
		fits := func(t types.Type) bool { return numberRank[t.Kind] <= numberRank[types.Int8] }
		return types.T(types.OID), fits(l) && fits(r)
	}
	if lr < rr {
		l, lr, rr = r, rr, lr
	}
	if l.Kind == types.Float4 { // Postgres has no operator of real and an integer: both become double precision
		return types.T(types.Float8), true
	}
	return l, true
}

// hasOperator tells whether values of one type have an order (or an equality, which is less).
func hasOperator(t types.Type, eq bool) bool {
	switch t.Kind {
	case types.JSON, types.Void:
		return false
	case types.Array:
		return hasOperator(types.T(t.Elem), eq)
	}
	return true
}

// compare binds l op r.
func (b *binder) compare(op string, l, r term, pos int) (expr.Expr, error) {
	lt, rt := l.e.Type(), r.e.Type()
	typ := textType
	ok := true
	switch {
	case isUnknown(l.e) && isUnknown(r.e):
	case isUnknown(l.e):
		typ, ok = compareType(rt, rt, op == "=")
	case isUnknown(r.e):
		typ, ok = compareType(lt, lt, op == "=")
	default:
		typ, ok = compareType(lt, rt, op == "=")
	}
	if !ok {
		return nil, noOperator(op, lt, rt, pos)
	}
	if typ.Kind == types.Record {
		if err := b.sameRows(lt, rt); err != nil {
			return nil, err
		}
		return &expr.Compare{Op: cmpOps[op], L: l.e, R: r.e}, nil
	}
	le, err := b.implicit(l, typ)
	if err != nil {
		return nil, err
	}
	re, err := b.implicit(r, typ)
	if err != nil {
		return nil, err
	}
	return &expr.Compare{Op: cmpOps[op], L: le, R: re}, nil
}

// noOperator is Postgres' error for an operator without a fitting signature.
func noOperator(op string, l, r types.Type, pos int) error {
	if op == "!=" {
		op = "<>"
	}
	return sqlerr.New(sqlerr.UndefinedFunction, "operator does not exist: %s %s %s", l, op, r).At(pos).
		WithHint("No operator matches the given name and argument types. You might need to add explicit type casts.")
}

// operator binds any other infix operator through the function table.
func (b *binder) operator(op string, l, r term, pos int) (expr.Expr, error) {
	args := []term{l, r}
	types2 := typesOf(args)
	defs := registry().funcs[op]
	// One side unknown: first try it as the other side's type.
	if isUnknown(l.e) != isUnknown(r.e) {
		same := []types.Type{types2[0], types2[1]}
		if isUnknown(l.e) {
			same[0] = types2[1]
		} else {
			same[1] = types2[0]
		}
		for i := range defs {
			if exact(defs[i], same) {
				return b.call(defs[i], args, pos)
			}
		}
	}
	d, ambiguous := resolve(defs, types2)
	switch {
	case ambiguous:
		return nil, sqlerr.New(sqlerr.AmbiguousFunction, "operator is not unique: %s %s %s", types2[0], op, types2[1]).At(pos).
			WithHint("Could not choose a best candidate operator. You might need to add explicit type casts.")
	case d == nil:
		return nil, noOperator(op, types2[0], types2[1], pos)
	}
	return b.call(d, args, pos)
}

// prefix binds a prefix operator.
func (b *binder) prefix(op string, x term, pos int) (expr.Expr, error) {
	var unary []*signature
	for _, d := range registry().funcs[op] {
		if len(d.args) == 1 {
			unary = append(unary, d)
		}
	}
	if op == "+" && x.e.Type().Kind.IsNumber() {
		return x.e, nil
	}
	if op == "+" && isUnknown(x.e) {
		return b.implicit(x, types.T(types.Float8))
	}
	d, ambiguous := resolve(unary, []types.Type{x.e.Type()})
	if ambiguous {
		return nil, sqlerr.New(sqlerr.AmbiguousFunction, "operator is not unique: %s %s", op, x.e.Type()).At(pos).
			WithHint("Could not choose a best candidate operator. You might need to add explicit type casts.")
	}
	if d == nil {
		return nil, sqlerr.New(sqlerr.UndefinedFunction, "operator does not exist: %s %s", op, x.e.Type()).At(pos).
			WithHint("No operator matches the given name and argument type. You might need to add an explicit type cast.")
	}
	return b.call(d, []term{x}, pos)
}

func typesOf(args []term) []types.Type {
	out := make([]types.Type, len(args))
	for i, a := range args {
		out[i] = a.e.Type()
	}
	return out
}
