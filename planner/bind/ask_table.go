package bind

import (
	"slices"
	"strconv"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// tableAt is where the columns of a subquery's table lie while it is bound: behind those of every row. Those of a subquery within one
// lie as far behind again.
const tableAt = 1 << 20

// askClauses are the clauses of a continuous query whose expressions are evaluated when the row is there that they are over, and so have
// one epoch whose tables they see.
var askClauses = []string{"SELECT", "WHERE", "HAVING", "GROUP BY", "aggregate", "FILTER", "JOIN conditions"}

// asksTables tells whether a subquery is one over a table, in a place where tables can be asked.
func (s *scalar) asksTables(q *parse.Select) bool {
	return s.continuous && !s.late && s.match == nil && slices.Contains(askClauses, s.clause) && s.overTable(q)
}

// asked is a subquery over one table while it is bound. Its expressions are over the row that asks, whose columns lie before base,
// followed by the table's row.
type asked struct {
	*scalar // of the row that asks
	table   *catalog.Table
	query   *parse.Select
	sub     *scalar
	base    int
	pos     int // of the table's name
	conds   []expr.Expr
	aggs    []logical.AggCall
	// args are what the subquery reads of the row that asks, but for keys.
	args []expr.Expr
}

// openTable binds the table of a subquery and its WHERE.
func (s *scalar) openTable(q *parse.Select, pos, base int) (*asked, error) {
	ref, table, err := s.plainTable(q, pos)
	if err != nil {
		return nil, err
	}
	bound := &rel{schema: ref.Name.Schema, alias: ref.Name.Name, table: ref.Name.Name}
	if ref.Alias != "" {
		bound.schema, bound.alias = "", ref.Alias
	}
	it := (&fromBinder{binder: s.binder}).item(&logical.Node{Schema: *table.RelSchema()}, bound, nil)
	if err := it.rename(ref.Columns, bound.alias, ref.Name.Pos); err != nil {
		return nil, err
	}
	// The subquery sees the enclosing row one level up.
	f := &frame{parent: s.f, rels: []*rel{it.rels[0].shifted(base)}}
	a := &asked{scalar: s, table: table, query: q, base: base, pos: ref.Name.Pos, sub: &scalar{binder: s.binder, f: f, ctes: s.ctes, clause: "WHERE"}}
	if q.Core.Where != nil {
		c, err := a.inside(func() (expr.Expr, error) { return a.sub.condition(q.Core.Where, "WHERE") })
		if err != nil {
			return nil, err
		}
		a.conds = logical.Conjuncts(c)
	}
	return a, nil
}

// inside binds an expression of the subquery.
func (a *asked) inside(bind func() (expr.Expr, error)) (expr.Expr, error) {
	a.asking++
	e, err := bind()
	a.asking--
	if err != nil {
		return nil, err
	}
	if s := subqueryIn(e); s != nil {
		return nil, unsupported(a.subPos[s.Plan], "a subquery over something other than a table within one over table "+a.table.Name,
			"Join the stream of the inner one in FROM.")
	}
	return a.inward(e), nil
}

// inward turns references to the row one level up into columns: a row followed by the subquery's. Those further up come one level nearer.
func (s *scalar) inward(e expr.Expr) expr.Expr {
	return logical.Rewrite(func(e expr.Expr, depth int) (expr.Expr, bool) {
		o, ok := e.(*expr.Outer)
		if !ok || o.Depth <= depth {
			return e, false
		}
		name := o.Name
		if o.Depth == 1 {
			name = s.f.columnName(o.Index, name)
		}
		out := ref(o.Depth-1, o.Index, name, o.Typ)
		s.src[out] = s.src[e]
		return out, true
	}).Expr(e, 0)
}

// columnName is what column i of the row is called where it is no outer one, so that both are alike.
func (f *frame) columnName(i int, name string) string {
	for _, r := range f.rels {
		for _, c := range r.cols {
			if col, ok := c.value.(*expr.Column); ok && col.Index == i {
				return col.Name
			}
		}
	}
	return name
}

// askTable binds a question to a table that is true or not: EXISTS, IN, op ANY. ok is false where it is none.
func (s *scalar) askTable(m membership) (e expr.Expr, ok bool, err error) {
	if !s.asksTables(m.query) {
		return nil, false, nil
	}
	if m.x == nil && atLeastOne(m.query.Limit) > 0 { // that there is one row is all that is asked
		m.query = unlimited(m.query)
	}
	a, err := s.openTable(m.query, m.pos, tableAt*(1+s.asking))
	if err != nil {
		return nil, true, err
	}
	tests, err := a.tests(m)
	if err != nil {
		return nil, true, err
	}
	if in := a.simple(m, tests); in != nil {
		return in, true, nil
	}
	q := a.question(expr.TableAny)
	q.Not, q.Typ = m.not, boolType
	if len(tests) == 0 {
		return q, true, nil
	}
	lk, _ := (&logical.LookupJoin{Table: a.table, Cols: q.Cols}).TakeKeys(tests, a.base)
	q.TestKeys, q.TestCols = lk.Keys, lk.Cols[len(q.Cols):]
	q.Test = a.paired(logical.AndAll(tests), len(q.Schema.Cols))
	q.Args = a.args
	return q, true, nil
}

// question is the subquery without what it gives.
func (a *asked) question(kind expr.TableQueryKind) *expr.TableQuery {
	q := &expr.TableQuery{Kind: kind, Table: a.table.ID, Name: a.table.Name, Schema: a.table.Table.Schema}
	lk, conds := (&logical.LookupJoin{Table: a.table}).TakeKeys(a.conds, a.base)
	q.Keys, q.Cols, q.Unique = lk.Keys, lk.Cols, len(a.table.Table.Key) > 0
	for _, k := range a.table.Table.Key {
		q.Unique = q.Unique && slices.Contains(q.Cols, k)
	}
	q.Where = a.paired(logical.AndAll(conds), len(q.Schema.Cols))
	q.Args = a.args
	return q
}

// simple is the question in the form that is asked for all rules at once, nil where it has none: about equal columns and conditions on the
// table alone.
func (a *asked) simple(m membership, tests []expr.Expr) expr.Expr {
	if len(tests) > 1 || len(tests) == 1 && len(a.conds) > 0 && readsInput(a.conds, a.base) {
		return nil
	}
	out := &expr.InTable{Table: a.table.ID, Name: a.table.Name, Schema: a.table.Table.Schema, Exists: m.x == nil, Not: m.not}
	lk, conds := (&logical.LookupJoin{Table: a.table}).With(nil, a.base), a.conds
	if m.x == nil {
		lk, conds = lk.TakeKeys(conds, a.base)
	} else {
		var rest []expr.Expr
		if lk, rest = lk.TakeKeys(tests, a.base); len(rest) > 0 {
			return nil
		}
	}
	if readsInput(conds, a.base) {
		return nil
	}
	out.Keys, out.Cols = lk.Keys, lk.Cols
	moved := make([]expr.Expr, len(conds))
	for i, c := range conds {
		moved[i] = logical.Remap(c, func(i int) int { return i - a.base })
	}
	out.Where = logical.AndAll(moved)
	return out
}

// paired moves an expression to the table's row, or to another one of the width, followed by what it reads of the row that asks.
func (a *asked) paired(e expr.Expr, width int) expr.Expr {
	return logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		switch x := e.(type) {
		case *expr.Column:
			if x.Index >= a.base {
				i := x.Index - a.base
				return &expr.Column{Index: i, Name: a.table.Name + "." + a.table.Table.Schema.Cols[i].Name, Typ: x.Typ}, true
			}
			return a.arg(e, width), true
		case *windowBound, *expr.Outer, *aggRef:
			return a.arg(e, width), true
		}
		return e, false
	}).Expr(e, 0)
}

// arg is the column that holds e of the row that asks.
func (a *asked) arg(e expr.Expr, width int) expr.Expr {
	i := slices.IndexFunc(a.args, func(x expr.Expr) bool { return equal(x, e) })
	if i < 0 {
		i = len(a.args)
		a.args = append(a.args, e)
	}
	return &expr.Column{Index: width + i, Name: e.String(), Typ: e.Type()}
}

// tests are what must be equal, or compare otherwise, for a row of the table to be found; none for EXISTS.
func (a *asked) tests(m membership) ([]expr.Expr, error) {
	items, err := a.items()
	if err != nil || m.x == nil {
		return nil, err
	}
	lefts, err := a.lefts(m)
	if err != nil {
		return nil, err
	}
	switch {
	case len(items) < len(lefts):
		return nil, sqlerr.New(sqlerr.SyntaxError, "subquery has too few columns").At(m.pos)
	case len(items) > len(lefts):
		return nil, sqlerr.New(sqlerr.SyntaxError, "subquery has too many columns").At(m.pos)
	}
	var out []expr.Expr
	for i, x := range lefts {
		c, err := a.compare(m.op, x, items[i], m.pos)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// lefts are the values that are compared with the subquery's.
func (a *asked) lefts(m membership) ([]term, error) {
	row, ok := m.x.(*parse.Row)
	if !ok {
		x, err := a.term(m.x)
		return []term{x}, err
	}
	if m.op != "=" && len(row.Elems) != 1 {
		return nil, unsupported(row.Pos, "a row on the left of "+m.op+" ANY or ALL over a table", "Use EXISTS (SELECT 1 FROM "+a.table.Name+" WHERE ...).")
	}
	return a.rowElems(row)
}

// items binds the select list of a subquery whose rows count one by one.
func (a *asked) items() ([]term, error) {
	var aggs []logical.AggCall
	sub := *a.sub
	sub.aggs = &aggs
	var out []term
	for _, it := range a.query.Core.Items {
		if it.Star {
			for _, c := range a.sub.f.rels[0].cols {
				out = append(out, term{shift(c.value, 0), it.Pos})
			}
			continue
		}
		e, err := a.inside(func() (expr.Expr, error) { return sub.bind(it.Expr) })
		if err != nil {
			return nil, err
		}
		out = append(out, term{e, start(it.Expr)})
		if len(aggs) > 0 {
			return nil, unsupported(start(it.Expr), "an aggregate in a subquery of IN, ANY, ALL or EXISTS", "Compare with its value: x = (SELECT max(y) FROM "+a.table.Name+").")
		}
	}
	return out, nil
}

// askAny binds x op ANY|ALL (SELECT ..) over a table.
func (s *scalar) askAny(e *parse.Quantified) (expr.Expr, error) {
	m, ok := memberAny(e)
	if !ok {
		return nil, unsupported(e.Pos, e.Op+" ANY and ALL over a table", "Use [NOT] EXISTS (SELECT 1 FROM table WHERE x "+e.Op+" column).")
	}
	in, _, err := s.askTable(m)
	return in, err
}

// askScalar binds (SELECT ..) over a table as a value. ok is false where it is something else.
func (s *scalar) askScalar(q *parse.Select, pos int) (e expr.Expr, ok bool, err error) {
	if !s.asksTables(q) {
		return nil, false, nil
	}
	first := len(q.OrderBy) > 0 && atLeastOne(q.Limit) == 1
	if first {
		q = unlimited(q)
	}
	a, err := s.openTable(q, pos, tableAt*(1+s.asking))
	if err != nil {
		return nil, true, err
	}
	core := q.Core
	switch {
	case core.Distinct:
		return nil, true, unsupported(pos, "DISTINCT in a subquery that is a value", "It may have one row only: use max(..) or min(..).")
	case len(q.OrderBy) > 0 && !first:
		return nil, true, unsupported(start(q.OrderBy[0].Expr), "ORDER BY in a subquery that is a value", "Write LIMIT 1 behind it, or use max(..) or min(..).")
	case len(core.Items) != 1 || core.Items[0].Star && len(a.sub.f.rels[0].cols) != 1:
		return nil, true, sqlerr.New(sqlerr.SyntaxError, "subquery must return only one column").At(pos)
	}
	if first {
		e, err = a.first(core.Items[0])
	} else {
		e, err = a.value(core.Items[0])
	}
	return e, true, err
}

// atLeastOne is the number of a LIMIT that is a number and lets a row pass, else 0.
func atLeastOne(limit parse.Expr) int {
	n, ok := limit.(*parse.Number)
	if !ok {
		return 0
	}
	i, err := strconv.Atoi(n.Text)
	if err != nil {
		return 0
	}
	return max(i, 0)
}

// unlimited is a subquery without its LIMIT.
func unlimited(q *parse.Select) *parse.Select {
	c := *q
	c.Limit = nil
	return &c
}

// item binds what a subquery that is a value selects.
func (a *asked) item(it parse.SelectItem) (expr.Expr, error) {
	sub := *a.sub
	sub.clause, sub.aggs = "SELECT", &a.aggs
	return a.inside(func() (expr.Expr, error) {
		if it.Star {
			return shift(sub.f.rels[0].cols[0].value, 0), nil
		}
		t, err := sub.term(it.Expr)
		if err != nil {
			return nil, err
		}
		return a.textIfUnknown(t)
	})
}

// first is the subquery as the value of the first of several rows: (SELECT item .. ORDER BY .. LIMIT 1), which is the first element of
// array_agg(item ORDER BY ..). Of rows that are equal in the order it is the newest.
func (a *asked) first(it parse.SelectItem) (expr.Expr, error) {
	item, err := a.item(it)
	if err != nil {
		return nil, err
	}
	if len(a.aggs) > 0 {
		return nil, unsupported(start(it.Expr), "an aggregate together with LIMIT in a subquery", "It has one row: leave ORDER BY and LIMIT out.")
	}
	call := logical.AggCall{Def: registry().aggs["array_agg"], Args: []expr.Expr{item}}
	for _, o := range a.query.OrderBy {
		x, err := a.orderTerm(it, item, o.Expr)
		if err != nil {
			return nil, err
		}
		if !hasOperator(x.Type(), false) {
			return nil, sqlerr.New(sqlerr.UndefinedFunction, "could not identify an ordering operator for type %s", x.Type()).At(start(o.Expr))
		}
		call.OrderBy = append(call.OrderBy, sortKey(x, o))
	}
	if _, ok := call.Def.Kernel([]types.Type{plain(item.Type())}, false, false); !ok || item.Type().Kind == types.Array {
		return nil, unsupported(start(it.Expr), "type "+item.Type().String()+" in a subquery with LIMIT", "Cast it to text.")
	}
	q := a.question(expr.TableGroup)
	list, err := a.aggregate(&call)
	if err != nil {
		return nil, err
	}
	array := arrayType(plain(item.Type()))
	one := &expr.Const{Val: types.NewInt(types.Int4, 1)}
	q.Aggs, q.Typ = []expr.TableAgg{list}, item.Type()
	q.Item = &expr.Subscript{X: &expr.Column{Index: 0, Name: "array_agg", Typ: array}, Index: one, Typ: item.Type()}
	q.Args = a.args
	return q, nil
}

// orderTerm binds a term of ORDER BY: the item by its number or name, or an expression over the table.
func (a *asked) orderTerm(it parse.SelectItem, item expr.Expr, e parse.Expr) (expr.Expr, error) {
	switch x := e.(type) {
	case *parse.Number:
		_, err := ordinal(x, 1, "ORDER BY")
		return item, err
	case *parse.Ident:
		if len(x.Parts) == 1 && x.Parts[0] == it.Alias {
			return item, nil
		}
	}
	return a.inside(func() (expr.Expr, error) {
		t, err := a.sub.term(e)
		if err != nil {
			return nil, err
		}
		return a.textIfUnknown(t)
	})
}

// value is the subquery as a value.
func (a *asked) value(it parse.SelectItem) (expr.Expr, error) {
	item, err := a.item(it)
	if err != nil {
		return nil, err
	}
	kind := expr.TableOne
	if len(a.aggs) > 0 {
		kind = expr.TableGroup
	}
	q := a.question(kind)
	q.Typ = item.Type()
	if kind == expr.TableOne {
		q.Item = a.paired(item, len(q.Schema.Cols))
	} else if err := a.group(q, item); err != nil {
		return nil, err
	}
	q.Args = a.args
	return q, nil
}

// group makes the value one of aggregates.
func (a *asked) group(q *expr.TableQuery, item expr.Expr) error {
	var failed error
	for i := range a.aggs {
		call := &a.aggs[i] // which inside did not see
		for k := range call.Args {
			call.Args[k] = a.inward(call.Args[k])
		}
		for k := range call.OrderBy {
			call.OrderBy[k].X = a.inward(call.OrderBy[k].X)
		}
		call.Filter = a.inward(call.Filter)
		c, err := a.aggregate(call)
		if err != nil {
			return err
		}
		q.Aggs = append(q.Aggs, c)
	}
	q.Item = logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		switch x := e.(type) {
		case *aggRef:
			return &expr.Column{Index: x.index, Name: x.name, Typ: x.typ}, true
		case *expr.Column:
			if x.Index >= a.base && failed == nil {
				s := a.src[e]
				failed = sqlerr.New(sqlerr.GroupingError, "column %q must appear in the GROUP BY clause or be used in an aggregate function", s.name).At(s.pos)
			}
			return a.arg(e, len(a.aggs)), true
		case *windowBound, *expr.Outer:
			return a.arg(e, len(a.aggs)), true
		}
		return e, false
	}).Expr(item, 0)
	return failed
}

// aggregate is an aggregate over the rows of the table.
func (a *asked) aggregate(call *logical.AggCall) (expr.TableAgg, error) {
	width := len(a.table.Table.Schema.Cols)
	out := expr.TableAgg{Name: call.Def.Name + "("}
	if call.Distinct {
		out.Name += "DISTINCT "
	}
	if call.Desc {
		out.Name += "DESC "
	}
	list := slices.Clone(call.Args)
	for _, o := range call.OrderBy {
		list = append(list, o.X)
	}
	var argTypes []types.Type
	for _, x := range list {
		if c, ok := x.(*expr.Column); ok && c.Index == timeToFill {
			return out, unsupported(a.src[c].pos, call.Def.Name+" without what orders the rows of a table", "Name it: "+call.Def.Name+"(x, t).")
		}
		x = a.paired(x, width)
		out.Args = append(out.Args, x)
		argTypes = append(argTypes, plain(x.Type()))
	}
	if call.Filter != nil {
		out.Filter = a.paired(call.Filter, width)
	}
	kernel, ok := call.Def.Kernel(argTypes[:len(call.Args)], call.Distinct, call.Desc)
	if !ok {
		return out, sqlerr.New(sqlerr.InternalError, "aggregate %s does not take what it was bound to", call.Def.Name)
	}
	if out.Kernel = kernel; len(call.OrderBy) > 0 {
		out.Kernel = logical.OrderedKernel(kernel, argTypes[:len(call.Args)], call.OrderBy)
		out.Name += logical.OrderText(call.OrderBy)
	}
	return out, nil
}
