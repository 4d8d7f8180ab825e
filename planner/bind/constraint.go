package bind

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// nameBytes is the length of names that are made up, as in Postgres.
const nameBytes = 63

// NameConstraints gives the constraints of a CREATE TABLE that have none the names that Postgres would give, so that its text says
// how they are called for ever. taken tells the names of relations and indexes that are in use.
func NameConstraints(st *parse.CreateStream, taken func(string) bool) {
	st.Constraints = slices.Clone(st.Constraints)
	used := map[string]bool{pkeyName(st): true}
	for _, k := range st.Constraints {
		used[k.Name] = true
	}
	for i := range st.Constraints {
		k := &st.Constraints[i]
		if k.Name != "" {
			continue
		}
		cols, label := k.Columns, "key"
		if k.Kind == "CHECK" {
			cols, label = namedColumns(k.Check, st.Columns), "check"
			if len(cols) != 1 {
				cols = nil
			}
		}
		k.Name = freeName(st.Name.Name, cols, label, func(n string) bool { return used[n] || taken(n) })
		used[k.Name] = true
	}
}

// IndexName makes up the name of an index as Postgres does.
func IndexName(table string, cols []string, taken func(string) bool) string {
	return freeName(table, cols, "idx", taken)
}

// SequenceName makes up the name of a column's sequence as Postgres does.
func SequenceName(table, column string, taken func(string) bool) string {
	return freeName(table, []string{column}, "seq", taken)
}

func freeName(table string, cols []string, label string, taken func(string) bool) string {
	for n := 0; ; n++ {
		tail := "_" + label
		if n > 0 {
			tail += strconv.Itoa(n)
		}
		name := shorten(table, strings.Join(cols, "_"), tail)
		if !taken(name) {
			return name
		}
	}
}

// shorten joins the parts of a name; the longer one of the first two gives way.
func shorten(table, cols, tail string) string {
	over := func() int {
		n := len(table) + len(tail) - nameBytes
		if cols != "" {
			n += len(cols) + 1
		}
		return n
	}
	for over() > 0 {
		if len(table) > len(cols) {
			table = table[:len(table)-1]
		} else {
			cols = cols[:len(cols)-1]
		}
	}
	if cols != "" {
		table += "_" + cols
	}
	return strings.ToValidUTF8(table, "") + tail
}

func pkeyName(st *parse.CreateStream) string {
	if st.KeyName != "" {
		return st.KeyName
	}
	return shorten(st.Name.Name, "", "_pkey")
}

// namedColumns lists the columns that an expression names, each once.
func namedColumns(e parse.Expr, cols []parse.ColumnDef) []string {
	var out []string
	parse.Walk(e, func(n any) {
		id, ok := n.(*parse.Ident)
		if !ok || len(id.Parts) == 0 {
			return
		}
		name := id.Parts[len(id.Parts)-1]
		if slices.ContainsFunc(cols, func(d parse.ColumnDef) bool { return d.Name == name }) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	})
	return out
}

// constraints binds the primary key and the constraints of a table.
func (b *binder) constraints(t *catalog.Table, st *parse.CreateStream) error {
	seen := map[string]bool{}
	if len(t.Key) > 0 {
		t.Keys = append(t.Keys, catalog.Key{Name: pkeyName(st), Cols: t.Key, Primary: true, Unique: true, Options: make([]int64, len(t.Key))})
		seen[pkeyName(st)] = true
	}
	for _, k := range st.Constraints {
		if k.Name != "" && seen[k.Name] {
			return sqlerr.New(sqlerr.DuplicateObject, "constraint %q for relation %q already exists", k.Name, t.Name)
		}
		seen[k.Name] = true
		if k.Kind == "CHECK" {
			c, err := b.check(t, k)
			if err != nil {
				return err
			}
			t.Checks = append(t.Checks, c)
			continue
		}
		key := catalog.Key{Name: k.Name, Unique: true, Options: make([]int64, len(k.Columns))}
		for _, name := range k.Columns {
			i := t.Table.Schema.Index(name)
			if i < 0 {
				return sqlerr.New(sqlerr.UndefinedColumn, "column \"%s\" named in key does not exist", name).At(k.Pos)
			}
			if slices.Contains(key.Cols, i) {
				return sqlerr.New(sqlerr.DuplicateColumn, "column \"%s\" appears twice in unique constraint", name).At(k.Pos)
			}
			if err := ordered(t.Table.Schema.Cols[i], k.Pos); err != nil {
				return err
			}
			key.Cols = append(key.Cols, i)
		}
		t.Keys = append(t.Keys, key)
	}
	t.Table.Indexes = indexed(t.Keys)
	return nil
}

// indexed lists the columns of all keys.
func indexed(keys []catalog.Key) [][]int {
	var out [][]int
	for _, k := range keys {
		out = append(out, k.Cols)
	}
	return out
}

// check binds CHECK over the table's row.
func (b *binder) check(t *catalog.Table, k parse.Constraint) (catalog.Check, error) {
	it := (&fromBinder{binder: b}).item(&logical.Node{Schema: t.Table.Schema}, &rel{schema: catalog.Public, alias: t.Name, table: t.Name}, nil)
	s := &scalar{binder: b, f: it.frame(nil), clause: "check constraints"}
	x, err := s.condition(k.Check, "CHECK")
	if err != nil {
		return catalog.Check{}, err
	}
	c := catalog.Check{Name: k.Name, X: x, Text: parse.PrintExpr(k.Check)}
	logical.Walk(x, func(x expr.Expr, _ int) bool {
		switch x := x.(type) {
		case *expr.UDF:
			err = unsupported(start(k.Check), "a JavaScript function in CHECK", "Use SQL functions.")
		case *expr.Subquery:
			err = sqlerr.New(sqlerr.FeatureNotSupported, "cannot use subquery in check constraint").At(start(k.Check))
		case *expr.Param:
			err = sqlerr.New(sqlerr.UndefinedParameter, "there is no parameter $1").At(start(k.Check))
		case *expr.Column:
			if !slices.Contains(c.Cols, x.Index) {
				c.Cols = append(c.Cols, x.Index)
			}
		}
		return err == nil
	})
	slices.Sort(c.Cols)
	return c, err
}

// Index binds CREATE INDEX on a table.
func Index(t *catalog.Table, st *parse.CreateIndex) (catalog.Key, error) {
	k := catalog.Key{Name: st.Name, Unique: st.Unique, Index: true, SQL: parse.Print(st)}
	for _, c := range st.Columns {
		i := t.Table.Schema.Index(c.Name)
		if i < 0 {
			return k, sqlerr.New(sqlerr.UndefinedColumn, "column %q does not exist", c.Name)
		}
		if err := ordered(t.Table.Schema.Cols[i], c.Pos); err != nil {
			return k, err
		}
		option := int64(0)
		if c.Desc {
			option = 1
		}
		if c.Nulls == "FIRST" || c.Nulls == "" && c.Desc {
			option |= 2
		}
		k.Cols, k.Options = append(k.Cols, i), append(k.Options, option)
	}
	return k, nil
}

// WithIndex is a table with one more index.
func WithIndex(t *catalog.Table, k catalog.Key) *catalog.Table {
	c := *t
	c.Keys = append(slices.Clone(t.Keys), k)
	c.Table.Indexes = indexed(c.Keys)
	return &c
}

// identity binds GENERATED AS IDENTITY: the default is the next value of its sequence.
func (b *binder) identity(t *catalog.Table, i int, c parse.ColumnDef) error {
	col := t.Table.Schema.Cols[i]
	switch {
	case c.Default != nil:
		return sqlerr.New(sqlerr.SyntaxError, "both default and identity specified for column %q of table %q", c.Name, t.Name).At(c.Pos)
	case !IsSerial(col.Type):
		return sqlerr.New(sqlerr.InvalidParameterValue, "identity column type must be smallint, integer, or bigint")
	}
	t.Identity[i] = 'd'
	if c.Identity.Always {
		t.Identity[i] = 'a'
	}
	if c.Identity.Options.SequenceName == nil {
		return nil
	}
	var err error
	t.Defaults[i], err = b.defaultExpr(NextVal(*c.Identity.Options.SequenceName), col)
	return err
}

// IsSerial tells the types that a sequence may have.
func IsSerial(t types.Type) bool {
	return t.Kind == types.Int2 || t.Kind == types.Int4 || t.Kind == types.Int8
}

// NextVal is nextval('name'::regclass).
func NextVal(sequence parse.Name) parse.Expr {
	text := parse.QuoteIdent(sequence.Name)
	if sequence.Schema != "" {
		text = parse.QuoteIdent(sequence.Schema) + "." + text
	}
	return &parse.FuncCall{Name: parse.Name{Name: "nextval"}, Args: []parse.Expr{
		&parse.Cast{X: &parse.String{V: text}, Type: parse.TypeName{Name: "regclass"}}}}
}
