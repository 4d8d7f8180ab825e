package bind

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// fromItem is a bound part of FROM: a tree and what its row's columns are called.
type fromItem struct {
	node   *logical.Node
	rels   []*rel
	merged []mergedCol
	star   []relCol // what * means, in order
	window *parse.WindowCall
	near   []*rel // what a join with a name of its own hides
}

// fromBinder binds the FROM clause of one query level.
type fromBinder struct {
	*binder
	// base encloses the query; parent is base, or the left side of a lateral join on top of it.
	base, parent *frame
	ctes         *cteScope
	// qualify: columns print with their relation's alias, because there are several relations.
	qualify bool
	// joined: what is bound is the right side of a join, which may look up FOR SYSTEM_TIME.
	joined bool
}

// from binds the comma list; no FROM is one row without columns.
func (b *binder) from(list []parse.TableExpr, parent *frame, ctes *cteScope) (*fromItem, error) {
	if len(list) == 0 {
		return &fromItem{node: oneRow()}, nil
	}
	fb := &fromBinder{binder: b, base: parent, parent: parent, ctes: ctes}
	if _, single := list[0].(*parse.Join); single || len(list) > 1 {
		fb.qualify = true
	}
	left, err := fb.table(list[0])
	if err != nil {
		return nil, err
	}
	for _, te := range list[1:] {
		if left, err = fb.join(left, te, &parse.Join{Kind: "CROSS"}); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// oneRow is the input of a SELECT without FROM.
func oneRow() *logical.Node {
	return &logical.Node{Op: &logical.Values{Rows: [][]expr.Expr{{}}}}
}

// table binds one table expression.
func (fb *fromBinder) table(te parse.TableExpr) (*fromItem, error) {
	if fb.relations++; fb.relations > relationsMax {
		return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "the statement reads more than %d relations", relationsMax)
	}
	switch te := te.(type) {
	case *parse.TableRef:
		return fb.tableRef(te)
	case *parse.TableSubquery:
		return fb.derived(te)
	case *parse.TableFunc:
		return fb.tableFunc(te)
	case *parse.TableWindow:
		return fb.tableWindow(te)
	case *parse.TableMatch:
		return fb.tableMatch(te)
	case *parse.TableSequence:
		return fb.tableSequence(te)
	case *parse.Join:
		outer := *fb
		outer.joined = false
		if te.Kind == "RIGHT" || te.Kind == "FULL" {
			fb.within = append(fb.within, "an outer join")
		}
		left, err := outer.table(te.Left)
		if te.Kind == "RIGHT" || te.Kind == "FULL" {
			fb.within = fb.within[:len(fb.within)-1]
		}
		if err != nil {
			return nil, err
		}
		it, err := fb.join(left, te.Right, te)
		if err != nil || te.Alias == "" {
			return it, err
		}
		return fb.aliasJoin(it, te)
	}
	return nil, sqlerr.NotSupported("this table expression", "")
}

// item makes the fromItem of one relation.
func (fb *fromBinder) item(node *logical.Node, r *rel, hidden func(int) bool) *fromItem {
	n := len(node.Schema.Cols)
	columns := make([]expr.Column, n) // rules by the thousand read streams of hundreds of columns
	r.cols = slices.Grow(r.cols, n)
	for i, c := range node.Schema.Cols {
		label := c.Name
		if fb.qualify && r.alias != "" {
			label = r.alias + "." + c.Name
		}
		columns[i] = expr.Column{Index: i, Name: label, Typ: c.Type}
		r.cols = append(r.cols, relCol{name: c.Name, value: &columns[i], hidden: hidden != nil && hidden(i)})
	}
	it := &fromItem{node: node, rels: []*rel{r}, star: make([]relCol, 0, n)}
	for _, c := range r.cols {
		if !c.hidden {
			it.star = append(it.star, c)
		}
	}
	return it
}

// rename applies the column list of an alias.
func (it *fromItem) rename(names []string, alias string, pos int) error {
	r := it.rels[0]
	if len(names) > len(it.star) {
		return sqlerr.New(sqlerr.InvalidColumnReference, "table %q has %d columns available but %d columns specified", alias, len(it.star), len(names)).At(pos)
	}
	next := 0
	for i := range r.cols {
		if !r.cols[i].hidden && next < len(names) {
			r.cols[i].name = names[next]
			it.star[next].name = names[next]
			next++
		}
	}
	return nil
}

func (fb *fromBinder) tableRef(t *parse.TableRef) (*fromItem, error) {
	if t.Name.Schema == "" {
		if c := fb.ctes.find(t.Name.Name); c != nil && t.AsOf == nil {
			return fb.cteRef(t, c)
		}
	}
	r, err := fb.read(t.Name)
	if err != nil {
		return nil, err
	}
	if v, ok := r.(*catalog.View); ok {
		return fb.view(t, v)
	}
	bound := &rel{schema: t.Name.Schema, alias: t.Name.Name, table: t.Name.Name, te: t}
	if t.Alias != "" {
		bound.schema, bound.alias = "", t.Alias
	}
	var hidden func(int) bool
	if q, ok := r.(*catalog.Sequence); ok {
		r = &catalog.Virtual{SchemaName: catalog.Public, Name: q.SequenceDef.Name, ID: q.ID, Columns: catalog.SequenceSchema}
	}
	switch r := r.(type) {
	case *catalog.Stream:
		fb.deps.Streams = addOnce(fb.deps.Streams, r.ID)
	case *catalog.Query:
		fb.deps.Queries = addOnce(fb.deps.Queries, r.ID)
	case *catalog.Table:
		fb.deps.Tables = addOnce(fb.deps.Tables, r.ID)
		fb.tablePos[r.ID] = t.Name.Pos
	case *catalog.Virtual:
		bound.schema = r.SchemaName
		if t.Alias != "" {
			bound.schema = ""
		}
		hidden = func(i int) bool {
			for _, h := range r.Hidden {
				if h == i {
					return true
				}
			}
			return false
		}
	}
	if bound.schema == "" && t.Alias == "" {
		bound.schema = r.RelNamespace()
	}
	if err := fb.asOf(t, r); err != nil {
		return nil, err
	}
	node := &logical.Node{Op: &logical.Scan{Rel: r}, Schema: *r.RelSchema()}
	if q, ok := r.(*catalog.Query); fb.continuous && ok {
		if node, err = fb.result(t, q); err != nil {
			return nil, err
		}
		var visible int
		node, visible = fb.withTime(node)
		hidden = func(i int) bool { return i >= visible }
	} else if !eventful(r) && fb.continuous {
		return nil, unsupported(t.Name.Pos, "a continuous query over something other than a stream or a continuous query", "Name one of those in FROM.")
	}
	it := fb.item(node, bound, hidden)
	return it, it.rename(t.Columns, bound.alias, t.Name.Pos)
}

// read finds a relation that the statement may read.
func (fb *fromBinder) read(n parse.Name) (catalog.Relation, error) {
	r, err := fb.lookup(n)
	if k, ok := r.(*catalog.Sink); ok {
		return nil, sqlerr.New(sqlerr.WrongObjectType, "%q is a sink: it has no rows to be read", k.RelName()).At(n.Pos).
			WithHint("Read the continuous query that it carries out, %s.", k.Def.Query.Name)
	}
	if err == nil && fb.env.Permit != nil {
		err = fb.env.Permit.Read(r)
	}
	return r, err
}

// lookup finds a relation by the search path.
func (fb *fromBinder) lookup(n parse.Name) (catalog.Relation, error) {
	if n.Catalog != "" && n.Catalog != fb.env.Database {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "cross-database references are not implemented: \"%s.%s.%s\"", n.Catalog, n.Schema, n.Name).At(n.Pos)
	}
	if n.Schema != "" {
		if r := fb.env.Catalog.Relation(n.Schema, n.Name); r != nil {
			return r, nil
		}
		return nil, sqlerr.New(sqlerr.UndefinedTable, "relation \"%s.%s\" does not exist", n.Schema, n.Name).At(n.Pos)
	}
	path := fb.env.SearchPath
	if path == nil {
		path = []string{""}
	} else {
		path = append([]string{catalog.PgTemp, catalog.PgCatalog}, path...)
	}
	for _, schema := range path {
		r := fb.env.Catalog.Relation(schema, n.Name)
		if t, ok := r.(*catalog.Table); ok && t.Temp && fb.continuous {
			return nil, unsupported(n.Pos, "a temporary table in a continuous query", "The query lives longer than the table: use CREATE TABLE.")
		}
		if r != nil {
			return r, nil
		}
	}
	return nil, sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", n.Name).At(n.Pos)
}

// hide blocks the frames from f up to, not including, stop: they cannot be named, but still count.
func hide(f, stop *frame) *frame {
	if f == nil || f == stop {
		return f
	}
	c := *f
	c.blocked = true
	c.parent = hide(f.parent, stop)
	return &c
}

// derived binds a subquery in FROM.
func (fb *fromBinder) derived(t *parse.TableSubquery) (*fromItem, error) {
	if fb.continuous && t.Lateral {
		return nil, unsupported(t.Pos, "LATERAL in a continuous query", "Join on the columns that the subquery needs.")
	}
	parent := fb.parent
	if !t.Lateral {
		parent = hide(fb.parent, fb.base)
	}
	node, err := fb.query(t.Query, parent, fb.ctes)
	if err == nil {
		node, err = fb.settleColumns(node)
	}
	if err != nil {
		return nil, err
	}
	node, visible := fb.withTime(node)
	it := fb.item(node, &rel{alias: t.Alias, te: t}, func(i int) bool { return i >= visible })
	return it, it.rename(t.Columns, t.Alias, t.Pos)
}

// tableWindow binds TUMBLE(stream, ts, size) in FROM: the stream with the columns window_start and window_end.
func (fb *fromBinder) tableWindow(t *parse.TableWindow) (*fromItem, error) {
	src := t.Source
	if ref, ok := src.(*parse.TableRef); ok && t.Alias != "" && ref.Alias == "" {
		c := *ref
		c.Alias, c.Columns = t.Alias, t.Columns
		src = &c
	}
	it, err := fb.table(src)
	if err != nil {
		return nil, err
	}
	if len(it.rels) != 1 || it.window != nil {
		return nil, unsupported(t.Window.Pos, t.Window.Kind+" over several relations", "Name one stream.")
	}
	for _, c := range windowColumns(false) {
		it.rels[0].cols = append(it.rels[0].cols, c)
		it.star = append(it.star, c)
	}
	it.window = t.Window
	if !fb.continuous {
		return fb.spread(it)
	}
	return it, nil
}

// windowColumns are the pseudo columns of a windowed grouping.
func windowColumns(hidden bool) []relCol {
	return []relCol{
		{name: "window_start", value: &windowBound{}, hidden: hidden},
		{name: "window_end", value: &windowBound{end: true}, hidden: hidden},
	}
}
