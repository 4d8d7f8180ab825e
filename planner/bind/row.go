package bind

import (
	"fmt"
	"math"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// rowShape is the fields of a row type. The type carries its number: Mod is -1 for the first of a statement.
type rowShape struct {
	names []string
	cols  []types.Type
}

// rowType is the type of rows with such fields; equal fields have one type.
func (b *binder) rowType(names []string, cols []types.Type) types.Type {
	s := &rowShape{names, cols}
	for i, old := range b.shapes {
		if fmt.Sprint(*old) == fmt.Sprint(*s) {
			return types.Type{Kind: types.Record, Mod: int32(-1 - i)}
		}
	}
	b.shapes = append(b.shapes, s)
	return types.Type{Kind: types.Record, Mod: int32(-len(b.shapes))}
}

// shape is the fields of a row type, nil where they are not known.
func (b *binder) shape(t types.Type) *rowShape {
	if t.Kind != types.Record || t.Mod >= 0 || int(-t.Mod) > len(b.shapes) {
		return nil
	}
	return b.shapes[-1-t.Mod]
}

// newRow makes a row of bound values.
func (b *binder) newRow(names []string, elems []expr.Expr, pos int) (expr.Expr, error) {
	if b.continuous {
		return nil, unsupported(pos, "a row as a value in a continuous query", "Name its columns, or compare them one by one.")
	}
	cols := make([]types.Type, len(elems))
	for i, e := range elems {
		var err error
		if elems[i], err = b.textIfUnknown(term{e, b.src[e].pos}); err != nil {
			return nil, err
		}
		cols[i] = elems[i].Type()
	}
	return &expr.RowCtor{Elems: elems, Names: names, Typ: b.rowType(names, cols)}, nil
}

// row binds ROW(...); t.* in it stands for all columns of t.
func (s *scalar) row(e *parse.Row) (expr.Expr, error) {
	elems, err := s.rowElems(e)
	if err != nil {
		return nil, err
	}
	list, names := make([]expr.Expr, len(elems)), make([]string, len(elems))
	for i, t := range elems {
		list[i], names[i] = t.e, fmt.Sprint("f", i+1)
	}
	return s.newRow(names, list, e.Pos)
}

func (s *scalar) rowElems(e *parse.Row) ([]term, error) {
	var out []term
	for _, x := range e.Elems {
		t, err := s.term(x)
		if err != nil {
			return nil, err
		}
		whole, isWhole := x.(*parse.WholeRow)
		if f, ok := x.(*parse.Field); !isWhole && !(ok && f.Name == "*") {
			out = append(out, t)
			continue
		}
		fields, _, err := s.fields(t.e)
		if err != nil && isWhole {
			return nil, at(err, whole.Pos)
		} else if err != nil {
			return nil, at(err, t.pos)
		}
		for _, f := range fields {
			out = append(out, term{f, t.pos})
		}
	}
	return out, nil
}

// fields takes a row apart.
func (b *binder) fields(x expr.Expr) ([]expr.Expr, []string, error) {
	if r, ok := x.(*expr.RowCtor); ok {
		return r.Elems, r.Names, nil
	}
	shape := b.shape(x.Type())
	switch {
	case x.Type().Kind != types.Record:
		return nil, nil, sqlerr.New(sqlerr.WrongObjectType, "type %s is not composite", x.Type())
	case shape == nil:
		return nil, nil, sqlerr.New(sqlerr.FeatureNotSupported, "record type has not been registered")
	}
	out := make([]expr.Expr, len(shape.cols))
	for i := range out {
		out[i] = &expr.FieldOf{X: x, Index: i, Name: shape.names[i], Typ: shape.cols[i]}
		b.src[out[i]] = b.src[x]
	}
	return out, shape.names, nil
}

// field binds (x).name.
func (s *scalar) field(e *parse.Field) (expr.Expr, error) {
	if e.Name == "*" {
		x, err := s.bind(e.X)
		if err != nil {
			return nil, err
		}
		if x.Type().Kind != types.Record {
			return nil, sqlerr.New(sqlerr.WrongObjectType, "type %s is not composite", x.Type()).At(start(e.X))
		}
		return x, nil
	}
	x, err := s.bind(e.X)
	if err != nil {
		return nil, err
	}
	if x.Type().Kind != types.Record {
		return nil, sqlerr.New(sqlerr.WrongObjectType, "column notation .%s applied to type %s, which is not a composite type", e.Name, x.Type()).At(start(e.X))
	}
	if list, names, err := s.fields(x); err == nil {
		for i, n := range names {
			if n == e.Name {
				return list[i], nil
			}
		}
	}
	if id, ok := e.X.(*parse.Ident); ok {
		if _, whole := x.(*expr.RowCtor); whole {
			return nil, sqlerr.New(sqlerr.UndefinedColumn, "column %s.%s does not exist", id.Parts[len(id.Parts)-1], e.Name).At(id.Pos)
		}
	}
	return nil, sqlerr.New(sqlerr.UndefinedColumn, "could not identify column %q in record data type", e.Name).At(start(e.X))
}

// errAgain says that a query is to be bound once more, with what is known now: see again. Statements other than queries show
// it to the user.
var errAgain error = sqlerr.NotSupported("a whole row above an outer join in this statement", "Name the columns.")

// again binds with a new binder until no whole row above an outer join is missing; every time there is one more.
func again(b *binder, bind func(*binder) error) (*binder, error) {
	err := bind(b)
	for n := 0; err == errAgain && n < relationsMax; n++ {
		next := newBinder(b.env, b.given)
		next.wholes = b.wholes
		b = next
		err = bind(b)
	}
	return b, err
}

// wholeRow finds a relation by its alias and makes a row of its columns; ok is false when no relation has the name.
func (b *binder) wholeRow(f *frame, schema, alias string, pos int) (e expr.Expr, ok bool, err error) {
	depth := 0
	for fr := f; fr != nil; fr, depth = fr.parent, depth+1 {
		if fr.blocked {
			continue
		}
		rels := fr.table(schema, alias)
		switch {
		case len(rels) == 0:
			continue
		case len(rels) > 1:
			return nil, true, sqlerr.New("42P09", "table reference %q is ambiguous", alias).At(pos)
		case b.continuous:
			return nil, true, unsupported(pos, "a whole row as a value in a continuous query", "Name the columns.")
		}
		e, err := b.rowOf(rels[0], depth, pos)
		return e, true, err
	}
	return nil, false, nil
}

// rowOf is the row of a relation. Where an outer join may make the relation up, the row is NULL then: it is taken below the
// join, in a column that is there when the statement is bound again.
func (b *binder) rowOf(r *rel, depth, pos int) (expr.Expr, error) {
	var elems []expr.Expr
	var names []string
	var cols []types.Type
	for _, c := range r.cols {
		if !c.hidden {
			e := b.reference(found{c.value, r}, c.name, depth, pos)
			elems, names, cols = append(elems, e), append(names, c.name), append(cols, e.Type())
		}
	}
	if r.single && len(elems) == 1 {
		return elems[0], nil
	}
	if !r.nullable {
		return b.newRow(names, elems, pos)
	}
	if r.whole == nil {
		if b.wholes[r.te] {
			return nil, unsupported(pos, "a whole row of this relation", "Name the columns.")
		}
		b.wholes[r.te] = true
		return nil, errAgain
	}
	return ref(depth, r.whole.Index, r.alias, b.rowType(names, cols)), nil
}

// optional marks the relations of a side that an outer join may make up, and gives those a column of the whole row that a
// query asks for.
func (b *binder) optional(it *fromItem) (*fromItem, error) {
	out := *it
	out.rels = make([]*rel, len(it.rels))
	for i, r := range it.rels {
		c := *r
		if out.rels[i] = &c; !c.nullable && b.wholes[c.te] && !b.continuous {
			row, err := b.rowOf(r, 0, 0)
			if err != nil {
				return nil, err
			}
			n := out.node
			schema := types.Schema{Cols: append(append([]types.Column(nil), n.Schema.Cols...), types.Column{Name: c.alias, Type: row.Type()})}
			c.whole = &expr.Column{Index: len(n.Schema.Cols), Name: c.alias, Typ: row.Type()}
			out.node = &logical.Node{Op: &logical.Project{Exprs: append(columnsOf(n), row)}, In: []*logical.Node{n}, Schema: schema}
			out.rels[i] = &c
		}
		out.rels[i].nullable = true
	}
	return &out, nil
}

// rows compares row values field by field, as Postgres does where both are written out.
func (s *scalar) rows(op string, l, r []term, pos int) (expr.Expr, error) {
	if len(l) != len(r) {
		return nil, sqlerr.New(sqlerr.SyntaxError, "unequal number of entries in row expressions").At(pos)
	}
	if len(l) == 0 {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "cannot compare rows of zero length").At(pos)
	}
	if op == "!=" {
		op = "<>"
	}
	if op != "=" && op != "<>" && len(l) > 1 {
		return s.rowOrder(op, l, r, pos)
	}
	var list []expr.Expr
	for i := range l {
		c, err := s.compare(op, l[i], r[i], pos)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	switch {
	case len(list) == 1:
		return list[0], nil
	case op == "=":
		return &expr.And{Args: list}, nil
	}
	return &expr.Or{Args: list}, nil
}

// rowOrder is the order of rows: a < b, or a = b and the rest is in order.
func (s *scalar) rowOrder(op string, l, r []term, pos int) (expr.Expr, error) {
	if len(l) == 1 {
		return s.compare(op, l[0], r[0], pos)
	}
	strict := strings.TrimSuffix(op, "=")
	first, err := s.compare(strict, l[0], r[0], pos)
	if err != nil {
		return nil, err
	}
	same, err := s.compare("=", l[0], r[0], pos)
	if err != nil {
		return nil, err
	}
	rest, err := s.rowOrder(op, l[1:], r[1:], pos)
	if err != nil {
		return nil, err
	}
	return &expr.Or{Args: []expr.Expr{first, &expr.And{Args: []expr.Expr{same, rest}}}}, nil
}

// rowOperands are the fields of a comparison with a written row on the left, and a written row or a subquery on the right; ok
// is false for everything else.
func (s *scalar) rowOperands(left, right parse.Expr) (l, r []term, ok bool, err error) {
	lrow, isRow := left.(*parse.Row)
	if !isRow {
		return nil, nil, false, nil
	}
	switch right := right.(type) {
	case *parse.Row:
		if l, err = s.rowElems(lrow); err == nil {
			r, err = s.rowElems(right)
		}
		return l, r, true, err
	case *parse.Scalar:
		if l, err = s.rowElems(lrow); err == nil {
			r, err = s.rowQuery(right, len(l))
		}
		return l, r, true, err
	}
	return nil, nil, false, nil
}

// rowQuery is a subquery of several columns that gives one row: its fields.
func (s *scalar) rowQuery(e *parse.Scalar, width int) ([]term, error) {
	plan, err := s.subplan(e.Query, e.Pos)
	if err != nil {
		return nil, err
	}
	if err := subqueryWidth(plan, width, e.Pos); err != nil {
		return nil, err
	}
	names := make([]string, width)
	for i, c := range plan.Schema.Cols {
		names[i] = c.Name
	}
	row, err := s.newRow(names, columnsOf(plan), e.Pos)
	if err != nil {
		return nil, err
	}
	schema := types.Schema{Cols: []types.Column{{Name: "row", Type: row.Type()}}}
	plan = &logical.Node{Op: &logical.Project{Exprs: []expr.Expr{row}}, In: []*logical.Node{plan}, Schema: schema}
	sub := &expr.Subquery{Kind: expr.Scalar, Plan: plan, Correlated: correlated(plan), Typ: row.Type()}
	s.subPos[plan] = e.Pos
	fields, _, err := s.fields(sub)
	if err != nil {
		return nil, err
	}
	out := make([]term, len(fields))
	for i, f := range fields {
		out[i] = term{f, e.Pos}
	}
	return out, nil
}

// subqueryWidth checks that a subquery has as many columns as what it is compared with.
func subqueryWidth(plan *logical.Node, width, pos int) error {
	switch n := len(plan.Schema.Cols); {
	case n < width:
		return sqlerr.New(sqlerr.SyntaxError, "subquery has too few columns").At(pos)
	case n > width:
		return sqlerr.New(sqlerr.SyntaxError, "subquery has too many columns").At(pos)
	}
	return nil
}

// rowIn binds (a, b) [NOT] IN (SELECT x, y ...).
func (s *scalar) rowIn(e *parse.InQuery, row *parse.Row) (expr.Expr, error) {
	left, err := s.rowElems(row)
	if err != nil {
		return nil, err
	}
	plan, err := s.subplan(e.Query, e.Pos)
	if err != nil {
		return nil, err
	}
	if err := subqueryWidth(plan, len(left), e.Pos); err != nil {
		return nil, err
	}
	if s.continuous {
		return nil, unsupported(row.Pos, "a row on the left of IN (SELECT ...) in a continuous query", "Use EXISTS with one condition per column.")
	}
	list, want, names := make([]expr.Expr, len(left)), make([]types.Type, len(left)), make([]string, len(left))
	for i, l := range left {
		cmp, err := s.compare("=", l, term{&expr.Column{Index: i, Typ: plan.Schema.Cols[i].Type}, e.Pos}, e.Pos)
		if err != nil {
			return nil, err
		}
		c := cmp.(*expr.Compare)
		list[i], want[i], names[i] = c.L, plain(c.R.Type()), fmt.Sprint("f", i+1)
	}
	if plan, err = s.coerceColumns(plan, want, expr.Explicit, nil); err != nil {
		return nil, err
	}
	out := &expr.Subquery{Kind: expr.InSub, Not: e.Not, Typ: boolType}
	if out.X, err = s.newRow(names, list, e.Pos); err != nil {
		return nil, err
	}
	out.Plan, out.Correlated = plan, correlated(plan)
	s.subPos[plan] = e.Pos
	return out, nil
}

// isNull binds IS [NOT] NULL.
func (s *scalar) isNull(e *parse.Is) (expr.Expr, error) {
	x, err := s.term(e.X)
	if err != nil {
		return nil, err
	}
	y, err := s.textIfUnknown(x)
	if err != nil {
		return nil, err
	}
	if y.Type().Kind == types.Record {
		return &expr.RowIsNull{X: y, Not: e.Not}, nil
	}
	return &expr.IsNull{X: y, Not: e.Not}, nil
}

// slice binds x[lo:hi]; a bound that is left out is the array's own.
func (s *scalar) slice(e *parse.Subscript) (expr.Expr, error) {
	x, err := s.bind(e.X)
	if err != nil {
		return nil, err
	}
	if x.Type().Kind == types.JSONB {
		in := e.Hi
		if in == nil {
			in = e.Index
		}
		err := sqlerr.New(sqlerr.DatatypeMismatch, "jsonb subscript does not support slices")
		if in == nil {
			return nil, err
		}
		return nil, err.At(start(in))
	}
	if x.Type().Kind != types.Array {
		return nil, sqlerr.New(sqlerr.DatatypeMismatch, "cannot subscript type %s because it does not support subscripting", x.Type()).At(start(e.X))
	}
	bound := func(in parse.Expr, def int64) (expr.Expr, error) {
		if in == nil {
			return &expr.Const{Val: types.NewInt(types.Int4, def)}, nil
		}
		t, err := s.term(in)
		if err != nil {
			return nil, err
		}
		i, ok, err := s.coerce(t, types.T(types.Int4), expr.Assignment)
		if err == nil && !ok {
			err = sqlerr.New(sqlerr.DatatypeMismatch, "array subscript must have type integer").At(t.pos)
		}
		return i, err
	}
	lo, err := bound(e.Index, 1)
	if err != nil {
		return nil, err
	}
	hi, err := bound(e.Hi, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	return &expr.Slice{X: x, Lo: lo, Hi: hi, Typ: x.Type()}, nil
}

// expand adds the fields of (x).* to the select list.
func (l *level) expand(s *scalar, f *parse.Field) error {
	x, err := s.field(f)
	if err != nil {
		return err
	}
	list, names, err := l.fields(x)
	if err != nil {
		return at(err, start(f.X))
	}
	for i, e := range list {
		if _, known := l.src[e]; !known {
			l.src[e] = source{pos: start(f.X)}
		}
		l.items = append(l.items, item{names[i], e, start(f.X)})
	}
	return nil
}

// sameRows is Postgres' error for a comparison of rows whose fields are not of the same types.
func (b *binder) sameRows(l, r types.Type) error {
	x, y := b.shape(l), b.shape(r)
	if x == nil || y == nil {
		return nil
	}
	for i := range min(len(x.cols), len(y.cols)) {
		if !sameKind(x.cols[i], y.cols[i]) {
			return sqlerr.New(sqlerr.DatatypeMismatch, "cannot compare dissimilar column types %s and %s at record column %d", x.cols[i], y.cols[i], i+1)
		}
	}
	if len(x.cols) != len(y.cols) {
		return sqlerr.New(sqlerr.DatatypeMismatch, "cannot compare record types with different numbers of columns")
	}
	return nil
}
