package bind

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// tableOf is the table that a tree is a scan of, nil when it is something else.
func tableOf(n *logical.Node) *catalog.Table {
	if scan, ok := n.Op.(*logical.Scan); ok {
		t, _ := scan.Rel.(*catalog.Table)
		return t
	}
	return nil
}

// eventful: what a continuous query may name in FROM.
func eventful(r catalog.Relation) bool {
	switch r.(type) {
	case *catalog.Stream, *catalog.Table:
		return true
	}
	return false
}

// namesTable tells whether a table expression names a table, before it is bound.
func (fb *fromBinder) namesTable(te parse.TableExpr) bool {
	ref, ok := te.(*parse.TableRef)
	if !ok || ref.Name.Schema == "" && fb.ctes.find(ref.Name.Name) != nil {
		return false
	}
	r, err := fb.read(ref.Name)
	_, isTable := r.(*catalog.Table)
	return err == nil && isTable
}

// asOf checks FOR SYSTEM_TIME at a relation of FROM. Where it means something, lookupJoin binds it: it sees what stands left
// of the table.
func (fb *fromBinder) asOf(t *parse.TableRef, r catalog.Relation) error {
	if t.AsOf == nil || fb.joined {
		return nil
	}
	if _, ok := r.(*catalog.Table); !ok {
		return unsupported(t.AsOf.Position(), "FOR SYSTEM_TIME AS OF", "Join it: FROM stream s LEFT JOIN "+t.Name.Name+" FOR SYSTEM_TIME AS OF s.ts AS x ON x.column = s.column, where it is a table or a continuous query.")
	}
	return unsupported(t.AsOf.Position(), "FOR SYSTEM_TIME AS OF here",
		"Join the table: FROM stream s LEFT JOIN "+t.Name.Name+" FOR SYSTEM_TIME AS OF s.ts AS t ON t.column = s.column.")
}

// lookupJoin makes a bound join with a table a lookup in it: in continuous queries, and with FOR SYSTEM_TIME AS OF. It
// returns false when the join is something else.
func (fb *fromBinder) lookupJoin(j *parse.Join, te parse.TableExpr, left, out *fromItem) (bool, error) {
	op := out.node.Op.(*logical.Join)
	ref, _ := te.(*parse.TableRef)
	if ref != nil && ref.AsOf == nil {
		ref = nil
	}
	l, r := tableOf(out.node.In[0]), tableOf(out.node.In[1])
	switch {
	case ref != nil && r == nil && !fb.continuous:
		return false, unsupported(ref.AsOf.Position(), "FOR SYSTEM_TIME AS OF over "+ref.Name.Name, "It looks up in tables.")
	case !fb.continuous && ref == nil, l == nil && r == nil, r == nil && ref != nil && l == nil:
		return false, nil
	case l != nil && r != nil && fb.continuous:
		return false, unsupported(tablePos(te), "a join of two tables in a continuous query", "Name the stream first, then join the tables to it.")
	}
	lk := &logical.LookupJoin{Table: r, Pos: tablePos(te)}
	if r == nil {
		lk.Table = l
	}
	switch inner, outer := op.Kind == logical.Inner, op.Kind == map[bool]logical.JoinKind{true: logical.Left, false: logical.Right}[r != nil]; {
	case outer:
		lk.Kind = logical.LookupLeft
	case !inner:
		return false, unsupported(tablePos(te), j.Kind+" JOIN that keeps the rows of table "+lk.Table.Name,
			"A lookup answers the rows of the stream: write FROM stream LEFT JOIN "+lk.Table.Name+" ON ...")
	}
	if r == nil {
		swapped(lk, op, out)
		return true, nil
	}
	if ref != nil {
		s := &scalar{binder: fb.binder, f: left.frame(fb.parent), ctes: fb.ctes, clause: "FOR SYSTEM_TIME"}
		t, err := s.term(ref.AsOf)
		if err != nil {
			return false, err
		}
		if lk.AsOf, err = s.implicit(t, types.T(types.TimestampTZ)); err != nil {
			return false, err
		}
	}
	width := len(out.node.In[0].Schema.Cols)
	out.node = &logical.Node{Op: lk.With(op.Conds, width), In: out.node.In[:1], Schema: out.node.Schema}
	return true, nil
}

// swapped makes a join whose left side is the table a lookup: its row begins with that of the right side.
func swapped(lk *logical.LookupJoin, op *logical.Join, out *fromItem) {
	table, input := len(out.node.In[0].Schema.Cols), len(out.node.In[1].Schema.Cols)
	place := func(e expr.Expr) expr.Expr {
		return logical.Remap(e, func(i int) int {
			if i < table {
				return input + i
			}
			return i - table
		})
	}
	conds := make([]expr.Expr, len(op.Conds))
	for i, c := range op.Conds {
		conds[i] = place(c)
	}
	cols := out.node.Schema.Cols
	out.node = &logical.Node{Op: lk.With(conds, input), In: out.node.In[1:], Schema: types.Schema{
		Cols: append(append([]types.Column(nil), cols[table:]...), cols[:table]...)}}
	for _, r := range out.rels { // the join's own copies, but for those of its left side
		list := make([]relCol, len(r.cols))
		for i, c := range r.cols {
			c.value = place(c.value)
			list[i] = c
		}
		r.cols = list
	}
	for i, c := range out.star {
		out.star[i].value = place(c.value)
	}
	for i, m := range out.merged {
		out.merged[i].value = place(m.value)
		for k, h := range m.hides {
			out.merged[i].hides[k] = place(h)
		}
	}
}

// settleFrom is settleLookups of the level's FROM and WHERE.
func (l *level) settleFrom() (err error) {
	l.from.node, l.where, err = l.settleLookups(l.from.node, l.where)
	return err
}

// settleLookups gives lookups without a key of their own those that WHERE has for them (FROM stream, table WHERE ..), or other conditions on
// the table, and refuses those that are left without any. A join of streams below them gets the conditions on it, which may bound it in time.
// It returns the tree and the conditions that stay.
func (l *level) settleLookups(n *logical.Node, where []expr.Expr) (*logical.Node, []expr.Expr, error) {
	op, ok := n.Op.(*logical.LookupJoin)
	if !ok {
		return n, where, nil
	}
	found, width := op, len(n.In[0].Schema.Cols)
	if len(op.Keys) == 0 && op.Kind == logical.LookupInner {
		found, where = takeWhere(op, where, width)
	}
	if len(found.Keys) == 0 && !readsTable(found.Conds, width) {
		t := op.Table
		return nil, nil, unsupported(op.Pos, "a join with table "+t.Name+" without a condition on it",
			"Say which column equals what: ON "+t.Name+"."+t.Table.Schema.Cols[0].Name+" = ..., of the column's own type.")
	}
	in := n.In[0]
	if join, ok := in.Op.(*logical.Join); ok && l.continuous && join.Kind == logical.Inner {
		var own []expr.Expr
		own, where = splitBelow(where, width)
		j := *join
		j.Conds = append(append([]expr.Expr(nil), join.Conds...), own...)
		in = &logical.Node{Op: &j, In: in.In, Schema: in.Schema}
	}
	in, where, err := l.settleLookups(in, where)
	if err != nil {
		return nil, nil, err
	}
	return &logical.Node{Op: found, In: []*logical.Node{in}, Schema: n.Schema}, where, nil
}

// takeWhere gives a lookup its conditions in WHERE: those that are keys, or where there are none and it has no condition yet, others that
// read the table.
func takeWhere(op *logical.LookupJoin, where []expr.Expr, width int) (found *logical.LookupJoin, rest []expr.Expr) {
	found, where = op.TakeKeys(where, width)
	if len(found.Keys) > 0 || readsTable(op.Conds, width) {
		return found, where
	}
	conds := slices.Clone(op.Conds)
	for _, c := range where {
		if asksSeen(c) || subqueryIn(c) != nil || !readsTable([]expr.Expr{c}, width) || !onlyBefore(c, width+len(op.Table.Table.Schema.Cols)) {
			rest = append(rest, c)
			continue
		}
		conds = append(conds, c)
	}
	found.Conds = conds
	return found, rest
}

// onlyBefore: c reads no column at or beyond n.
func onlyBefore(c expr.Expr, n int) bool {
	ok := true
	logical.Columns(c, func(i int) { ok = ok && i < n })
	return ok
}

// readsTable tells whether one of the conditions reads a column at or beyond n.
func readsTable(conds []expr.Expr, n int) bool {
	return slices.ContainsFunc(conds, func(c expr.Expr) bool { return !onlyBefore(c, n) })
}

// splitBelow splits off the conditions that read only columns before column n.
func splitBelow(list []expr.Expr, n int) (below, rest []expr.Expr) {
	for _, c := range list {
		ok := subqueryIn(c) == nil
		logical.Columns(c, func(i int) { ok = ok && i < n })
		if ok {
			below = append(below, c)
		} else {
			rest = append(rest, c)
		}
	}
	return below, rest
}

// refuseTables refuses a continuous query that reads a table as if it were a stream.
func (b *binder) refuseTables(n *logical.Node) error {
	if t := tableOf(n); t != nil {
		return unsupported(b.tablePos[t.ID], "a continuous query over table "+t.Name, "Name a stream in FROM and join the table to it.")
	}
	for _, in := range n.In {
		if err := b.refuseTables(in); err != nil {
			return err
		}
	}
	return nil
}
