package bind

import (
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// View binds CREATE VIEW: its columns, and what it reads.
func View(env *Env, st *parse.CreateView, id uint64) (*catalog.View, error) {
	var node *logical.Node
	b, err := again(newBinder(env, nil), func(b *binder) (err error) {
		if node, err = b.query(st.Query, nil, nil); err == nil {
			node, err = b.settleColumns(node)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(b.params) > 0 {
		return nil, sqlerr.New(sqlerr.UndefinedParameter, "there is no parameter $1").WithHint("A view cannot have parameters.")
	}
	v := &catalog.View{ID: id, Name: st.Name.Name, Query: st.Query, SearchPath: env.SearchPath,
		Schema: types.Schema{Cols: append([]types.Column(nil), node.Schema.Cols...)}}
	if len(st.Columns) > len(v.Schema.Cols) {
		return nil, sqlerr.New(sqlerr.SyntaxError, "CREATE VIEW specifies more column names than columns").At(st.Name.Pos)
	}
	seen := map[string]bool{}
	for i := range v.Schema.Cols {
		c := &v.Schema.Cols[i]
		if c.NotNull = false; i < len(st.Columns) {
			c.Name = st.Columns[i]
		}
		if c.Type.Kind == types.Record || c.Type.Elem == types.Record {
			return nil, sqlerr.New(sqlerr.InvalidTableDefinition, "column %q has pseudo-type %s", c.Name, c.Type).
				WithHint("Select the fields of the row: (x).*.")
		}
		if seen[c.Name] {
			return nil, sqlerr.New(sqlerr.DuplicateColumn, "column %q specified more than once", c.Name).At(st.Name.Pos)
		}
		seen[c.Name] = true
	}
	d := &b.deps
	for _, x := range d.Views {
		if x == id {
			return nil, sqlerr.New("42P17", "view %q would read itself", st.Name.Name).At(st.Name.Pos)
		}
	}
	v.Streams, v.Queries, v.Tables, v.Views, v.Functions, v.Lists = d.Streams, d.Queries, d.Tables, d.Views, d.Functions, d.Lists
	return v, nil
}

// view binds the query that a view stands for, with names as the view's author found them.
func (fb *fromBinder) view(t *parse.TableRef, v *catalog.View) (*fromItem, error) {
	if err := fb.asOf(t, v); err != nil {
		return nil, err
	}
	fb.deps.Views = addOnce(fb.deps.Views, v.ID)
	own, before := *fb.env, fb.env
	own.SearchPath, own.Permit = v.SearchPath, nil
	fb.binder.env = &own
	defer func() { fb.binder.env = before }()
	inner := &fromBinder{binder: fb.binder, qualify: fb.qualify}
	sub := &parse.TableSubquery{Query: v.Query, Alias: t.Alias}
	if sub.Alias == "" {
		sub.Alias = t.Name.Name
	}
	for _, c := range v.Schema.Cols {
		sub.Columns = append(sub.Columns, c.Name)
	}
	it, err := inner.derived(sub)
	if err == errAgain {
		return nil, err
	}
	if err != nil {
		return nil, sqlerr.As(err).WithWhere("view %s", v.Name)
	}
	r := it.rels[0]
	r.table, r.te = v.RelName(), t
	if t.Alias == "" {
		if r.schema = t.Name.Schema; r.schema == "" {
			r.schema = v.RelNamespace()
		}
	}
	return it, it.rename(t.Columns, sub.Alias, t.Name.Pos)
}
