package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// IsTable tells CREATE TABLE of a keyed relation from that of a stream with a connector.
func IsTable(st *parse.CreateStream) bool {
	for _, o := range st.Options {
		if o.Key == "connector" {
			return false
		}
	}
	return st.Table
}

// Table binds CREATE TABLE without connector.
func Table(env *Env, st *parse.CreateStream, id uint64) (*catalog.Table, error) {
	switch {
	case st.Watermark != nil:
		return nil, unsupported(st.Watermark.Pos, "WATERMARK of a table", "A table's rows are not events: CREATE STREAM, or leave the clause out.")
	case st.Format != "":
		return nil, unsupported(st.Name.Pos, "FORMAT of a table", "COPY names the format of what it loads.")
	case len(st.Options) > 0:
		return nil, unknownOption(st.Options[0], "connector")
	case len(st.Columns) == 0:
		return nil, sqlerr.New(sqlerr.InvalidTableDefinition, "table %q has no columns", st.Name.Name).At(st.Name.Pos).
			WithHint("Name them: CREATE TABLE %s (name TEXT PRIMARY KEY, ...).", st.Name.Name)
	case len(st.Columns) > columnsMax:
		return nil, sqlerr.New("54011", "tables can have at most %d columns", columnsMax).At(st.Columns[columnsMax].Pos)
	}
	b := newBinder(env, nil)
	out := &catalog.Table{Table: spec.Table{ID: id, Name: st.Name.Name}, SQL: parse.Print(st), Defaults: make([]expr.Expr, len(st.Columns)),
		DefaultText: make([]string, len(st.Columns)), Identity: make([]byte, len(st.Columns))}
	for i, c := range st.Columns {
		col, err := b.tableColumn(c, &out.Table.Schema)
		if err != nil {
			return nil, err
		}
		out.Table.Schema.Cols = append(out.Table.Schema.Cols, col)
		if c.Primary {
			if err := ordered(col, c.Pos); err != nil {
				return nil, err
			}
			out.Key = append(out.Key, i)
		}
		if err = b.columnDefault(out, i, c); err != nil {
			return nil, err
		}
	}
	return out, b.constraints(out, st)
}

// ordered refuses a key of a type that has no order.
func ordered(col types.Column, pos int) error {
	if hasOperator(col.Type, true) {
		return nil
	}
	return sqlerr.New(sqlerr.UndefinedObject, "data type %s has no default operator class for access method \"btree\"", col.Type).At(pos)
}

func (b *binder) tableColumn(c parse.ColumnDef, schema *types.Schema) (types.Column, error) {
	t, err := typeOf(c.Type)
	switch {
	case err != nil:
		return types.Column{}, err
	case c.Generated != nil:
		err = unsupported(c.Pos, "a generated column", "Compute it in the SELECT list of the query.")
	case c.From != "":
		err = unsupported(c.Pos, "FROM 'path' of a table's column", "COPY and INSERT name the columns.")
	case t.Kind == types.Unknown || t.Kind == types.Void || t.Kind == types.Record:
		err = sqlerr.New(sqlerr.InvalidTableDefinition, "column %q has pseudo-type %s", c.Name, t).At(c.Type.Pos)
	case schema.Index(c.Name) >= 0:
		err = sqlerr.New(sqlerr.DuplicateColumn, "column %q specified more than once", c.Name).At(c.Pos)
	}
	return types.Column{Name: c.Name, Type: t, NotNull: c.NotNull || c.Primary}, err
}

// columnDefault binds DEFAULT and IDENTITY. What is constant is computed now.
func (b *binder) columnDefault(t *catalog.Table, i int, c parse.ColumnDef) error {
	col := t.Table.Schema.Cols[i]
	if c.Identity != nil {
		return b.identity(t, i, c)
	}
	if c.Default == nil {
		return nil
	}
	x, err := b.defaultExpr(c.Default, col)
	if err != nil {
		return err
	}
	t.Defaults[i], t.DefaultText[i] = x, parse.PrintExpr(c.Default)
	if constant(x) {
		v, err := expr.EvalConst(&expr.Ctx{Ctx: fn.Ctx{Now: b.env.Now, TimeZone: b.env.TimeZone}}, x)
		if err != nil {
			return at(err, start(c.Default))
		}
		v.Type = col.Type
		t.Defaults[i] = &expr.Const{Val: v}
		if v.Null {
			t.Defaults[i] = nil
		}
	}
	return nil
}

// columnIn finds a column that an expression names outside of subqueries.
func columnIn(e parse.Expr) (found *parse.Ident) {
	inner := false
	parse.Walk(e, func(n any) {
		switch n := n.(type) {
		case *parse.Select:
			inner = true
		case *parse.Ident:
			if !inner && found == nil {
				found = n
			}
		}
	})
	return found
}

// defaultExpr binds an expression that computes a column's default from nothing.
func (b *binder) defaultExpr(e parse.Expr, col types.Column) (expr.Expr, error) {
	s := &scalar{binder: b, f: &frame{}, clause: "DEFAULT expressions"}
	if id := columnIn(e); id != nil {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "cannot use column reference in DEFAULT expression").At(id.Pos)
	}
	x, err := s.assign(e, col)
	if err != nil {
		return nil, err
	}
	logical.Walk(x, func(x expr.Expr, _ int) bool {
		switch x.(type) {
		case *expr.UDF:
			err = unsupported(start(e), "a JavaScript function in DEFAULT", "Give the value in INSERT.")
		case *expr.Subquery:
			err = sqlerr.New(sqlerr.FeatureNotSupported, "cannot use subquery in DEFAULT expression").At(start(e))
		case *expr.Param:
			err = sqlerr.New(sqlerr.UndefinedParameter, "there is no parameter $1").At(start(e))
		}
		return err == nil
	})
	return x, err
}

// constant: the value is the same whenever it is computed.
func constant(e expr.Expr) bool {
	ok := true
	logical.Walk(e, func(e expr.Expr, _ int) bool {
		switch e := e.(type) {
		case *expr.Call:
			ok = ok && e.Def.Volatility == fn.Immutable
		case *expr.UDF, *expr.Subquery, *expr.Param:
			ok = false
		}
		return ok
	})
	return ok
}

// defaultOf is what DEFAULT and columns that INSERT does not name mean.
func (b *binder) defaultOf(col types.Column) expr.Expr {
	if b.table != nil {
		if i := b.table.Table.Schema.Index(col.Name); i >= 0 && b.table.Defaults[i] != nil {
			return b.table.Defaults[i]
		}
	}
	return &expr.Const{Val: types.Null(col.Type)}
}

// Conflict is ON CONFLICT, bound: expressions read the row that is there and, behind it, the one that was to be inserted.
type Conflict struct {
	// Keys are the unique keys whose conflicts it is about, as places in the table's Keys.
	Keys []int
	// Row is the new row of DO UPDATE, nil for DO NOTHING; a nil Where is always met.
	Row   []expr.Expr
	Where expr.Expr
}

// OnConflict binds ON CONFLICT of INSERT into a table.
func OnConflict(env *Env, ins *parse.Insert, t *catalog.Table) (*Conflict, error) {
	o := ins.Conflict
	keys, err := conflictTarget(o, t)
	out := &Conflict{Keys: keys}
	if err != nil || o.Set == nil {
		return out, err
	}
	b := newBinder(env, nil)
	b.table = t
	fb := &fromBinder{binder: b}
	node := &logical.Node{Schema: t.Table.Schema}
	there := fb.item(node, &rel{schema: catalog.Public, alias: t.Name, table: t.Name}, nil).rels[0]
	excluded := fb.item(node, &rel{alias: "excluded"}, nil).rels[0].shifted(len(t.Table.Schema.Cols))
	s := &scalar{binder: b, f: &frame{rels: []*rel{there, excluded}}, clause: "ON CONFLICT"}
	if out.Row, err = s.assignments(o.Set, t); err != nil {
		return nil, err
	}
	list := out.Row
	if o.Where != nil {
		if out.Where, err = s.condition(o.Where, "WHERE"); err != nil {
			return nil, err
		}
		list = append(list[:len(list):len(list)], out.Where)
	}
	for _, e := range list {
		if !simple(e) {
			return nil, unsupported(o.Pos, "a subquery or parameter in ON CONFLICT DO UPDATE", "Use EXCLUDED.column for the values of the new row.")
		}
	}
	return out, nil
}

// simple: an expression that can be computed over a row alone.
func simple(e expr.Expr) bool {
	ok := true
	logical.Walk(e, func(e expr.Expr, _ int) bool {
		switch e.(type) {
		case *expr.Subquery, *expr.Param:
			ok = false
		}
		return ok
	})
	return ok
}

// conflictTarget finds the keys that ON CONFLICT is about.
func conflictTarget(o *parse.OnConflict, t *catalog.Table) (keys []int, err error) {
	if o.Columns == nil && o.Constraint == "" && o.Set != nil {
		return nil, sqlerr.New(sqlerr.SyntaxError, "ON CONFLICT DO UPDATE requires inference specification or constraint name").At(o.Pos).
			WithHint("For example, ON CONFLICT (column_name).")
	}
	var want []int
	for _, name := range o.Columns {
		i := t.Table.Schema.Index(name)
		if i < 0 {
			return nil, sqlerr.New(sqlerr.UndefinedColumn, "column %q does not exist", name).At(o.Pos)
		}
		if !containsInt(want, i) {
			want = append(want, i)
		}
	}
	for i, k := range t.Keys {
		same := len(k.Cols) == len(want)
		for _, c := range k.Cols {
			same = same && containsInt(want, c)
		}
		switch {
		case !k.Unique:
		case o.Constraint != "" && (k.Name != o.Constraint || k.Index), o.Columns != nil && !same:
		default:
			keys = append(keys, i)
		}
	}
	switch {
	case o.Constraint != "" && keys == nil:
		return nil, sqlerr.New(sqlerr.UndefinedObject, "constraint %q for table %q does not exist", o.Constraint, t.Name)
	case o.Columns != nil && keys == nil:
		return nil, sqlerr.New("42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification").At(o.Pos)
	}
	return keys, nil
}

// assignments binds SET over a row that begins with the table's: all columns of the new row.
func (s *scalar) assignments(list []parse.Assignment, t *catalog.Table) ([]expr.Expr, error) {
	cols := t.Table.Schema.Cols
	out := make([]expr.Expr, len(cols))
	set := make([]bool, len(cols))
	for i, c := range cols {
		out[i] = &expr.Column{Index: i, Name: c.Name, Typ: c.Type}
	}
	for _, a := range list {
		i := t.Table.Schema.Index(a.Column)
		switch {
		case i < 0:
			return nil, sqlerr.New(sqlerr.UndefinedColumn, "column %q of relation %q does not exist", a.Column, t.Name).At(a.Pos)
		case set[i]:
			return nil, sqlerr.New(sqlerr.SyntaxError, "multiple assignments to same column %q", a.Column).At(a.Pos)
		}
		if _, ok := a.Value.(*parse.Default); !ok && t.Identity[i] == 'a' {
			return nil, sqlerr.New("428C9", "column %q can only be updated to DEFAULT", a.Column).
				WithDetail("Column %q is an identity column defined as GENERATED ALWAYS.", a.Column)
		}
		x, err := s.assign(a.Value, cols[i])
		if err != nil {
			return nil, err
		}
		out[i], set[i] = x, true
	}
	return out, nil
}

// Update binds UPDATE: the query's rows are the number of a row's version, the new row and, for RETURNING, the joined row that it
// came from.
func Update(env *Env, st *parse.Update, paramTypes []types.Type) (*Change, error) {
	b := newBinder(env, paramTypes)
	it, err := b.changed(st.Table, st.Alias, st.From, "cannot update %q: it is not a table")
	if err != nil {
		return nil, err
	}
	s := &scalar{binder: b, f: it.frame(nil), clause: "UPDATE"}
	node, err := b.changedWhere(it, st.Where)
	if err != nil {
		return nil, err
	}
	row, err := s.assignments(st.Set, b.table)
	if err != nil {
		return nil, err
	}
	cols := b.table.Table.Schema.Cols
	return b.finishChange(numbered(node, len(cols), row, cols, len(st.Returning) > 0), b.table, st.Returning, it)
}

// Delete binds DELETE FROM a table: the query's rows are the numbers of the rows' versions and, for RETURNING, the joined rows.
func Delete(env *Env, st *parse.Delete, paramTypes []types.Type) (*Change, error) {
	b := newBinder(env, paramTypes)
	it, err := b.changed(st.Table, st.Alias, st.From, "cannot delete from %q: it is not a table or an IOC list")
	if err != nil {
		return nil, err
	}
	node, err := b.changedWhere(it, st.Where)
	if err != nil {
		return nil, err
	}
	return b.finishChange(numbered(node, len(b.table.Table.Schema.Cols), nil, nil, len(st.Returning) > 0), b.table, st.Returning, it)
}

// changed binds the table that a statement changes, and the relations that it reads besides.
func (b *binder) changed(name parse.Name, alias string, from []parse.TableExpr, refusal string) (*fromItem, error) {
	r, err := (&fromBinder{binder: b}).lookup(name)
	if err != nil {
		return nil, err
	}
	t, ok := r.(*catalog.Table)
	if !ok {
		err := sqlerr.New(sqlerr.WrongObjectType, refusal, r.RelName()).At(name.Pos)
		if _, stream := r.(*catalog.Stream); stream {
			err = err.WithHint("Events of a stream are facts; they go when their retention ends.")
		}
		return nil, err
	}
	b.table = t
	rows := &catalog.TableRows{Table: t}
	node := &logical.Node{Op: &logical.Scan{Rel: rows}, Schema: *rows.RelSchema()}
	return b.joined(b.targetItem(node, name, alias, t), from)
}

func (b *binder) changedWhere(it *fromItem, where parse.Expr) (*logical.Node, error) {
	if where == nil {
		return it.node, nil
	}
	s := &scalar{binder: b, f: it.frame(nil), clause: "WHERE"}
	cond, err := s.condition(where, "WHERE")
	if err != nil {
		return nil, err
	}
	return logical.NewFilter(it.node, logical.Conjuncts(cond)), nil
}
