package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// cteScope is the WITH queries that can be named, innermost first.
type cteScope struct {
	parent *cteScope
	cte    *parse.CTE
	// frame is what encloses the query that WITH belongs to.
	frame *frame
	// group, of WITH RECURSIVE, is the scope with all queries of the clause: they may name each other and themselves.
	group *cteScope
	// node is the query, once bound; correlated: it reads enclosing rows and is bound anew for each reader.
	node       *logical.Node
	correlated bool
	// works: it reads the rounds of a recursion, which are others each time.
	works bool
	id    int
	// relations is how many the query reads: each reader has a copy of its tree.
	relations int
	// self is not nil while a query of WITH RECURSIVE is being bound.
	self *selfRef
}

// selfRef is what a query of WITH RECURSIVE means inside itself.
type selfRef struct {
	// refusal is why it cannot be named at all at the moment: a format with its name.
	refusal string
	// pos is where Postgres points at for the refusal; 0: at the reference.
	pos int
	// schema is the row of the non-recursive term.
	schema types.Schema
	// within is how many of binder.within enclose the recursive term.
	within int
	uses   int
}

func (c *cteScope) find(name string) *cteScope {
	for ; c != nil; c = c.parent {
		if c.cte.Name == name {
			return c
		}
	}
	return nil
}

// with makes the scope of a query's WITH clause. In queries that end each one is bound once, where it is defined.
func (b *binder) with(q *parse.Select, parent *frame, ctes *cteScope) (*cteScope, error) {
	outer := ctes
	seen := map[string]bool{}
	for i := range q.With {
		c := &q.With[i]
		if seen[c.Name] {
			return nil, sqlerr.New(sqlerr.DuplicateAlias, "WITH query name %q specified more than once", c.Name).At(c.Pos)
		}
		seen[c.Name] = true
		b.ids++
		ctes = &cteScope{parent: ctes, cte: c, frame: parent, id: b.ids}
	}
	var list []*cteScope // in the order of definition
	for c := ctes; c != outer; c = c.parent {
		if list = append([]*cteScope{c}, list...); q.Recursive {
			c.group = ctes
		}
	}
	for _, c := range list {
		if b.continuous {
			break // they are bound where they are read
		}
		if err := b.define(c); err != nil {
			return nil, err
		}
	}
	return ctes, nil
}

// define binds a WITH query where it stands, if nobody has needed it yet.
func (b *binder) define(c *cteScope) error {
	if c.node != nil {
		return nil
	}
	before := b.relations
	node, err := b.cteQuery(c, c.frame)
	if err != nil {
		return err
	}
	// They count for those who read it.
	c.relations, b.relations = b.relations-before, before
	c.node, c.correlated, c.works = node, correlated(node), readsWork(node)
	return c.columns(node)
}

// columns checks that the WITH item names no more columns than there are.
func (c *cteScope) columns(node *logical.Node) error {
	have, want := len(node.Schema.Cols), len(c.cte.Columns)
	if want <= have {
		return nil
	}
	return sqlerr.New(sqlerr.InvalidColumnReference, "WITH query %q has %d columns available but %d columns specified", c.cte.Name, have, want).At(c.cte.Pos)
}

// readsWork tells whether a tree reads the rounds of a recursion that it is part of.
func readsWork(n *logical.Node) bool {
	own, read := map[int]bool{}, map[int]bool{}
	logical.MapPlans(n, func(n *logical.Node) *logical.Node {
		switch op := n.Op.(type) {
		case *logical.Recursive:
			own[op.ID] = true
		case *logical.WorkScan:
			read[op.ID] = true
		}
		return n
	})
	for id := range read {
		if !own[id] {
			return true
		}
	}
	return false
}

// cteQuery binds the query of a WITH item below the given frame.
func (b *binder) cteQuery(c *cteScope, parent *frame) (*logical.Node, error) {
	var node *logical.Node
	var err error
	if c.group == nil {
		node, err = b.query(c.cte.Query, parent, c.parent)
	} else {
		b.recursions = append(b.recursions, c)
		node, err = b.recursive(c, parent)
		b.recursions = b.recursions[:len(b.recursions)-1]
	}
	if err != nil {
		return nil, err
	}
	return b.settleColumns(node)
}

// cteRef binds the name of a WITH query in FROM.
func (fb *fromBinder) cteRef(t *parse.TableRef, c *cteScope) (*fromItem, error) {
	alias := t.Name.Name
	if t.Alias != "" {
		alias = t.Alias
	}
	r := &rel{alias: alias, table: t.Name.Name, te: t}
	if c.self != nil {
		node, err := fb.selfScan(t, c)
		if err != nil {
			return nil, err
		}
		r.self = true
		it := fb.item(node, r, nil)
		return it, it.rename(t.Columns, alias, t.Name.Pos)
	}
	node, err := fb.cteNode(c)
	if err != nil {
		return nil, err
	}
	node, visible := fb.withTime(node)
	it := fb.item(node, r, func(i int) bool { return i >= visible })
	if err := it.rename(c.cte.Columns, alias, c.cte.Pos); err != nil {
		return nil, err
	}
	return it, it.rename(t.Columns, alias, t.Name.Pos)
}

// cteNode is the tree that stands for a WITH query where it is read.
func (fb *fromBinder) cteNode(c *cteScope) (*logical.Node, error) {
	if fb.continuous {
		return fb.cteQuery(c, hide(fb.parent, c.frame))
	}
	if err := fb.define(c); err != nil {
		return nil, err
	}
	if fb.relations += c.relations; fb.relations > relationsMax {
		return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "the statement reads more than %d relations", relationsMax)
	}
	switch {
	case c.correlated:
		fb.again++
		defer func() { fb.again-- }()
		return fb.cteQuery(c, hide(fb.parent, c.frame))
	case c.works:
		return c.node, nil
	}
	fb.shared[c.id]++
	if c.cte.Materialized == "MATERIALIZED" {
		fb.shared[c.id]++
	}
	op := &logical.Shared{ID: c.id, Name: c.cte.Name}
	return &logical.Node{Op: op, In: []*logical.Node{c.node}, Schema: c.node.Schema}, nil
}

// unshare takes the marks of WITH queries out that are read once.
func (b *binder) unshare(root *logical.Node) *logical.Node {
	if len(b.shared) == 0 {
		return root
	}
	return logical.MapPlans(root, func(n *logical.Node) *logical.Node {
		if s, ok := n.Op.(*logical.Shared); ok && b.shared[s.ID] < 2 {
			return n.In[0]
		}
		return n
	})
}

// selfScan binds a recursive query's own name.
func (fb *fromBinder) selfScan(t *parse.TableRef, c *cteScope) (*logical.Node, error) {
	if fb.continuous {
		return nil, unsupported(t.Name.Pos, "WITH RECURSIVE in a continuous query", "Run one query per step of the recursion.")
	}
	for i := len(fb.recursions) - 1; fb.recursions[i] != c; i-- {
		if fb.recursions[i].group == c.group {
			return nil, sqlerr.New(sqlerr.FeatureNotSupported, "mutual recursion between WITH items is not implemented").At(c.cte.Pos)
		}
	}
	s := c.self
	refuse := func(format string) (*logical.Node, error) {
		pos := t.Name.Pos
		if s.pos != 0 {
			pos = s.pos
		}
		return nil, sqlerr.New(invalidRecursion, format, c.cte.Name).At(pos)
	}
	if s.refusal != "" {
		return refuse(s.refusal)
	}
	if n := len(fb.within); n > s.within {
		return refuse("recursive reference to query %q must not appear within " + fb.within[n-1])
	}
	if fb.again == 0 || s.uses == 0 {
		s.uses++
	}
	if s.uses > 1 {
		return refuse("recursive reference to query %q must not appear more than once")
	}
	return &logical.Node{Op: &logical.WorkScan{ID: c.id, Name: c.cte.Name}, Schema: s.schema}, nil
}

// invalidRecursion is the SQLSTATE of a recursion that is not well formed.
const invalidRecursion = "42P19"

// recursive binds a query of WITH RECURSIVE; it may turn out not to name itself.
func (b *binder) recursive(c *cteScope, parent *frame) (*logical.Node, error) {
	q := c.cte.Query
	if err := b.enter(q.Pos); err != nil {
		return nil, err
	}
	defer b.leave()
	c.self = &selfRef{}
	defer func() { c.self = nil }()
	if q.SetOp == nil || q.SetOp.Op != "UNION" {
		c.self.refusal, c.self.pos = "recursive query %q does not have the form non-recursive-term UNION [ALL] recursive-term", c.cte.Pos
		return b.query(q, parent, c.group)
	}
	c.self.refusal = "recursive reference to query %q must not appear within its non-recursive term"
	ctes, err := b.with(q, parent, c.group)
	if err != nil {
		return nil, err
	}
	first, err := b.query(q.SetOp.Left, parent, ctes)
	if err != nil {
		return nil, err
	}
	base, err := b.settleColumns(first)
	if err != nil {
		return nil, err
	}
	if err := c.columns(base); err != nil {
		return nil, err
	}
	c.self.refusal, c.self.within = "", len(b.within)
	c.self.schema.Cols = append([]types.Column(nil), base.Schema.Cols...)
	for i, name := range c.cte.Columns {
		if i < len(c.self.schema.Cols) {
			c.self.schema.Cols[i].Name = name
		}
	}
	step, err := b.query(q.SetOp.Right, parent, ctes)
	if err != nil {
		return nil, err
	}
	if c.self.uses == 0 {
		node, err := b.unite(q.SetOp, first, step)
		if err != nil {
			return nil, err
		}
		return b.decorate(node, q, parent, ctes)
	}
	if err := plainRecursion(q); err != nil {
		return nil, err
	}
	return b.recursion(c, base, step)
}

// plainRecursion refuses what Postgres refuses on top of a recursive UNION.
func plainRecursion(q *parse.Select) error {
	const what = " in a recursive query"
	switch {
	case len(q.OrderBy) > 0:
		return sqlerr.New(sqlerr.FeatureNotSupported, "ORDER BY%s is not implemented", what).At(start(q.OrderBy[0].Expr))
	case q.Offset != nil:
		return sqlerr.New(sqlerr.FeatureNotSupported, "OFFSET%s is not implemented", what).At(start(q.Offset))
	case q.Limit != nil:
		return sqlerr.New(sqlerr.FeatureNotSupported, "LIMIT%s is not implemented", what).At(start(q.Limit))
	}
	return nil
}

// recursion joins the two terms: the columns are those of the first.
func (b *binder) recursion(c *cteScope, base, step *logical.Node) (*logical.Node, error) {
	o := c.cte.Query.SetOp
	cols := base.Schema.Cols
	if len(cols) != len(step.Schema.Cols) {
		return nil, sqlerr.New(sqlerr.SyntaxError, "each %s query must have the same number of columns", o.Op).At(firstItem(o.Right))
	}
	want := make([]types.Type, len(cols))
	for i := range want {
		lt := term{&expr.Column{Typ: cols[i].Type}, itemPos(o.Left, i)}
		both, err := commonType([]term{lt, {&expr.Column{Typ: step.Schema.Cols[i].Type}, itemPos(o.Right, i)}}, o.Op)
		if err != nil {
			return nil, err
		}
		if both != cols[i].Type {
			return nil, sqlerr.New(sqlerr.DatatypeMismatch, "recursive query %q column %d has type %s in non-recursive term but type %s overall",
				c.cte.Name, i+1, cols[i].Type, both).At(lt.pos).
				WithHint("Cast the output of the non-recursive term to the correct type.")
		}
		want[i] = both
		if !o.All && !hasOperator(both, true) {
			return nil, sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type %s", both).At(lt.pos)
		}
	}
	step, err := b.coerceColumns(step, want, expr.Implicit, nil)
	if err != nil {
		return nil, err
	}
	op := &logical.Recursive{ID: c.id, Name: c.cte.Name, All: o.All}
	return &logical.Node{Op: op, In: []*logical.Node{base, step}, Schema: base.Schema}, nil
}

// refuseRecursion refuses aggregates over a recursive query's own rows.
func (l *level) refuseRecursion() error {
	if len(l.aggs) == 0 {
		return nil
	}
	for _, r := range l.from.rels {
		if !r.self {
			continue
		}
		pos := 0
		for _, e := range append(itemExprs(l.items), l.having...) {
			if a := findRef(e); a != nil && pos == 0 {
				pos = l.src[a].pos
			}
		}
		return sqlerr.New(invalidRecursion, "aggregate functions are not allowed in a recursive query's recursive term").At(pos)
	}
	return nil
}

func itemExprs(items []item) []expr.Expr {
	out := make([]expr.Expr, len(items))
	for i, it := range items {
		out[i] = it.e
	}
	return out
}
