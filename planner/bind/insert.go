package bind

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// Exprs binds expressions without rows (those of VALUES) and converts them to columns by assignment casts. The inferred
// parameter types are returned too.
func Exprs(env *Env, list []parse.Expr, cols []types.Column) ([]expr.Expr, []types.Type, error) {
	b := newBinder(env, nil)
	s := &scalar{binder: b, f: &frame{}, clause: "VALUES"}
	if len(list) > len(cols) {
		return nil, nil, sqlerr.New(sqlerr.SyntaxError, "INSERT has more expressions than target columns").At(start(list[len(cols)]))
	}
	out := make([]expr.Expr, len(list))
	for i, e := range list {
		var err error
		if out[i], err = s.assign(e, cols[i]); err != nil {
			return nil, nil, err
		}
	}
	return out, b.params, nil
}

// assign binds the value of one column.
func (s *scalar) assign(e parse.Expr, col types.Column) (expr.Expr, error) {
	if _, ok := e.(*parse.Default); ok {
		return s.defaultOf(col), nil
	}
	t, err := s.term(e)
	if err != nil {
		return nil, err
	}
	x, ok, err := s.coerce(t, col.Type, expr.Assignment)
	if err == nil && !ok {
		err = notAssignable(col, t.e.Type(), t.pos)
	}
	return x, err
}

// notAssignable is Postgres' error for a value that a column does not take.
func notAssignable(col types.Column, from types.Type, pos int) error {
	err := sqlerr.New(sqlerr.DatatypeMismatch, "column %q is of type %s but expression is of type %s", col.Name, col.Type, from)
	if col.Name == "" {
		err = sqlerr.New(sqlerr.DatatypeMismatch, "expression is of type %s, but type %s is needed", from, col.Type)
	}
	return err.At(pos).WithHint("You will need to rewrite or cast the expression.")
}

// Insert binds INSERT ... VALUES or INSERT ... SELECT. The query's columns are all columns of the target, in its order;
// columns that are not named are NULL.
func Insert(env *Env, ins *parse.Insert, paramTypes []types.Type) (*Change, error) {
	var out *Change
	_, err := again(newBinder(env, paramTypes), func(b *binder) (err error) {
		out, err = b.insert(ins)
		return err
	})
	return out, err
}

func (b *binder) insert(ins *parse.Insert) (*Change, error) {
	target, err := (&fromBinder{binder: b}).lookup(ins.Table)
	if err != nil {
		return nil, err
	}
	b.table, _ = target.(*catalog.Table)
	switch target.(type) {
	case *catalog.Query:
		return nil, sqlerr.New(sqlerr.WrongObjectType, "cannot change materialized view %q", target.RelName()).At(ins.Table.Pos)
	case *catalog.Virtual:
		return nil, sqlerr.New(sqlerr.InsufficientPrivilege, "permission denied for table %s", target.RelName()).At(ins.Table.Pos)
	}
	index, err := targetColumns(ins, target.RelSchema(), target.RelName())
	if err == nil {
		index, err = ungenerated(ins, target, index)
	}
	if err != nil {
		return nil, err
	}
	node, err := b.insertSource(ins, target.RelSchema(), index)
	if err != nil {
		return nil, err
	}
	skip, err := b.identityValues(ins, index[:len(node.Schema.Cols)])
	if err != nil {
		return nil, err
	}
	rows := &logical.Node{Schema: *target.RelSchema()}
	return b.finishChange(b.spread(node, target.RelSchema(), index, skip), target, ins.Returning, b.targetItem(rows, ins.Table, ins.Alias, target))
}

// identityValues refuses values for columns GENERATED ALWAYS AS IDENTITY, and returns those that give way to the sequence.
func (b *binder) identityValues(ins *parse.Insert, index []int) (skip []int, err error) {
	for at, i := range index {
		switch {
		case b.table == nil || b.table.Identity[i] == 0:
		case ins.Overriding == "USER":
			skip = append(skip, i)
		case b.table.Identity[i] == 'a' && ins.Overriding == "" && !allDefault(ins.Query, at):
			return nil, sqlerr.New("428C9", "cannot insert a non-DEFAULT value into column %q", b.table.Table.Schema.Cols[i].Name).
				WithDetail("Column %q is an identity column defined as GENERATED ALWAYS.", b.table.Table.Schema.Cols[i].Name).
				WithHint("Use OVERRIDING SYSTEM VALUE to override.")
		}
	}
	return skip, nil
}

// allDefault tells whether a column of VALUES is DEFAULT in all rows.
func allDefault(q *parse.Select, at int) bool {
	for _, row := range q.Values {
		if at >= len(row) {
			continue
		}
		if _, ok := row[at].(*parse.Default); !ok {
			return false
		}
	}
	return q.Values != nil
}

// targetColumns maps the values of INSERT to the target's columns.
func targetColumns(ins *parse.Insert, schema *types.Schema, name string) ([]int, error) {
	var out []int
	if len(ins.Columns) == 0 {
		for i := range schema.Cols {
			out = append(out, i)
		}
		return out, nil
	}
	for _, c := range ins.Columns {
		i := schema.Index(c)
		if i < 0 {
			return nil, sqlerr.New(sqlerr.UndefinedColumn, "column %q of relation %q does not exist", c, name).At(ins.Table.Pos)
		}
		if containsInt(out, i) {
			return nil, sqlerr.New(sqlerr.DuplicateColumn, "column %q specified more than once", c).At(ins.Table.Pos)
		}
		out = append(out, i)
	}
	return out, nil
}

// insertSource binds the rows: their columns have the types of the target columns they go to.
func (b *binder) insertSource(ins *parse.Insert, schema *types.Schema, index []int) (*logical.Node, error) {
	q := ins.Query
	if q.Values != nil && len(q.With) == 0 && len(q.OrderBy) == 0 && q.Limit == nil && q.Offset == nil {
		return b.insertValues(ins, schema, index)
	}
	node, err := b.query(q, nil, nil)
	if err != nil {
		return nil, err
	}
	n := len(node.Schema.Cols)
	if err := countMatch(ins, n, len(index), itemPos(q, len(index))); err != nil {
		return nil, err
	}
	want := make([]types.Type, n)
	for i := range want {
		want[i] = schema.Cols[index[i]].Type
	}
	return b.coerceColumns(node, want, expr.Assignment, func(i int, from types.Type) error {
		return notAssignable(schema.Cols[index[i]], from, itemPos(q, i))
	})
}

// countMatch compares the number of values with that of target columns, as Postgres does: fewer values are fine when
// the columns are not named.
func countMatch(ins *parse.Insert, values, cols, pos int) error {
	if values > cols {
		return sqlerr.New(sqlerr.SyntaxError, "INSERT has more expressions than target columns").At(pos)
	}
	if values < cols && len(ins.Columns) > 0 {
		return sqlerr.New(sqlerr.SyntaxError, "INSERT has more target columns than expressions").At(ins.Table.Pos)
	}
	return nil
}

func (b *binder) insertValues(ins *parse.Insert, schema *types.Schema, index []int) (*logical.Node, error) {
	s := &scalar{binder: b, f: &frame{}, clause: "VALUES"}
	op := &logical.Values{}
	out := &logical.Node{Op: op}
	width := len(ins.Query.Values[0])
	for _, row := range ins.Query.Values {
		if len(row) != width {
			return nil, sqlerr.New(sqlerr.SyntaxError, "VALUES lists must all be the same length").At(start(row[0]))
		}
		if width == 0 { // DEFAULT VALUES
			op.Rows = append(op.Rows, nil)
			continue
		}
		if err := countMatch(ins, len(row), len(index), start(row[min(len(index), len(row)-1)])); err != nil {
			return nil, err
		}
		bound := make([]expr.Expr, len(row))
		for i, e := range row {
			var err error
			if bound[i], err = s.assign(e, schema.Cols[index[i]]); err != nil {
				return nil, err
			}
		}
		op.Rows = append(op.Rows, bound)
	}
	for i := range width {
		out.Schema.Cols = append(out.Schema.Cols, types.Column{Name: fmt.Sprint("column", i+1), Type: schema.Cols[index[i]].Type})
	}
	return out, nil
}

// spread puts the given columns at their places in the target's row, but for those to skip, and defaults elsewhere.
func (b *binder) spread(in *logical.Node, schema *types.Schema, index, skip []int) *logical.Node {
	direct := len(in.Schema.Cols) == len(schema.Cols) && len(skip) == 0
	op := &logical.Project{Exprs: make([]expr.Expr, len(schema.Cols))}
	for i, c := range schema.Cols {
		op.Exprs[i] = b.defaultOf(c)
	}
	for i, c := range in.Schema.Cols {
		if containsInt(skip, index[i]) {
			continue
		}
		op.Exprs[index[i]] = &expr.Column{Index: i, Name: c.Name, Typ: schema.Cols[index[i]].Type}
		direct = direct && index[i] == i
	}
	if direct {
		return &logical.Node{Op: in.Op, In: in.In, Schema: *schema}
	}
	return &logical.Node{Op: op, In: []*logical.Node{in}, Schema: *schema}
}
