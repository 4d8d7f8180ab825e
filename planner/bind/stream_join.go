package bind

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// streamJoin completes a join of a continuous query: what its columns are called in errors, and the lookup FOR SYSTEM_TIME AS OF.
// Whether time bounds the join is seen when conditions of WHERE have come to it.
func (fb *fromBinder) streamJoin(right parse.TableExpr, left, out *fromItem) error {
	if !fb.continuous {
		return nil
	}
	op := out.node.Op.(*logical.Join)
	if op.Lateral {
		return unsupported(op.Pos, "LATERAL in a continuous query", "Join on the columns that the subquery needs.")
	}
	op.Labels = labels(out.rels, len(out.node.Schema.Cols))
	if ref, ok := right.(*parse.TableRef); ok && ref.AsOf != nil {
		return fb.temporal(ref, left, out.node, op)
	}
	return nil
}

// labels are the qualified names of the columns of a row.
func labels(rels []*rel, n int) []string {
	out := make([]string, n)
	for _, r := range rels {
		for _, c := range r.cols {
			if col, ok := c.value.(*expr.Column); ok {
				if out[col.Index] = c.name; r.alias != "" {
					out[col.Index] = r.alias + "." + c.name
				}
			}
		}
	}
	return out
}

// temporal binds FOR SYSTEM_TIME AS OF over a stream or a query's result: the versions of a key as of the left row's time.
func (fb *fromBinder) temporal(ref *parse.TableRef, left *fromItem, n *logical.Node, op *logical.Join) error {
	if op.Kind != logical.Inner && op.Kind != logical.Left {
		return unsupported(ref.AsOf.Position(), "FOR SYSTEM_TIME AS OF in a RIGHT or FULL JOIN", "Use JOIN or LEFT JOIN: each left row is looked up.")
	}
	s := &scalar{binder: fb.binder, f: left.frame(fb.parent), ctes: fb.ctes, clause: "FOR SYSTEM_TIME"}
	t, err := s.term(ref.AsOf)
	if err != nil {
		return err
	}
	times := logical.Times(left.node)
	at := logical.DefaultTime(left.node)
	c, ok := t.e.(*expr.Column)
	switch {
	case at < 0:
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "the rows to look up FOR SYSTEM_TIME have no event time").At(ref.AsOf.Position()).
			WithHint("Create the stream with WATERMARK FOR ts AS ts - INTERVAL '5 seconds'.")
	case !ok || times[c.Index] == logical.NoTime:
		return unsupported(ref.AsOf.Position(), "FOR SYSTEM_TIME AS OF something other than the event time of the left side",
			"Write FOR SYSTEM_TIME AS OF "+op.Labels[at]+".")
	}
	rightTime := logical.DefaultTime(n.In[1])
	if rightTime < 0 {
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "%s has no event time, so that its versions have no order", ref.Name.Name).At(ref.Name.Pos).
			WithHint("Select the time column, or window_end, in it.")
	}
	op.Temporal = &logical.Temporal{LeftTime: c.Index, RightTime: rightTime}
	return nil
}

// streamWhere gives the conditions of WHERE in a continuous query to the join in FROM, which they may bound in time, and makes
// [NOT] EXISTS and IN (SELECT ..) joins with the subquery.
func (l *level) streamWhere() error {
	if !l.continuous {
		return nil
	}
	var members []*expr.Subquery
	var rest, seen []expr.Expr
	for _, c := range l.where {
		if asksSeen(c) || logical.Asks(c) { // asked of what is left
			seen = append(seen, c)
			continue
		}
		if s, ok := c.(*expr.Subquery); ok && (s.Kind == expr.Exists || s.Kind == expr.InSub) {
			members = append(members, s)
			continue
		}
		if s := subqueryIn(c); s != nil {
			return unsupported(l.subPos[s.Plan], "a subquery in a continuous query that is not a condition of its own",
				"AND [NOT] EXISTS (SELECT 1 FROM ... WHERE ...) or AND x IN (SELECT ...) in WHERE, with a time bound, can be used.")
		}
		rest = append(rest, c)
	}
	node := l.from.node
	if op, ok := node.Op.(*logical.Join); ok && op.Kind == logical.Inner {
		j := *op
		j.Conds = append(append([]expr.Expr(nil), op.Conds...), rest...)
		node, rest = &logical.Node{Op: &j, In: node.In, Schema: node.Schema}, nil
	}
	if len(members) > 0 {
		node, rest = logical.NewFilter(node, rest), nil
	}
	for _, s := range members {
		var err error
		if node, err = l.member(node, s); err != nil {
			return err
		}
	}
	l.from.node, l.where = node, append(rest, seen...)
	return nil
}

// subqueryIn finds a subquery in an expression.
func subqueryIn(e expr.Expr) (found *expr.Subquery) {
	logical.Walk(e, func(e expr.Expr, _ int) bool {
		if s, ok := e.(*expr.Subquery); ok && found == nil {
			found = s
		}
		return found == nil
	})
	return found
}

// member joins rows with a subquery: those for which it has a row stay, or those for which it has none.
func (l *level) member(in *logical.Node, s *expr.Subquery) (*logical.Node, error) {
	pos := l.subPos[s.Plan]
	if s.Kind == expr.InSub && s.Not {
		return nil, unsupported(pos, "NOT IN (SELECT ...) in a continuous query", "Use NOT EXISTS: a NULL among the values would make NOT IN answer nothing.")
	}
	plan := s.Plan.(*logical.Node)
	var items, conds []expr.Expr
	if p, ok := plan.Op.(*logical.Project); ok {
		items, plan = p.Exprs, plan.In[0]
	}
	switch op := plan.Op.(type) {
	case *logical.Filter:
		conds, plan = op.Conds, plan.In[0]
	case *logical.Join: // a join in the subquery's FROM has taken them
		if op.Kind == logical.Inner {
			j := *op
			j.Conds, conds = outerConds(op.Conds)
			plan = &logical.Node{Op: &j, In: plan.In, Schema: plan.Schema}
		}
	}
	if correlated(plan) {
		return nil, unsupported(pos, "a subquery that reads the outer row elsewhere than in its WHERE", "Compare with the outer row in the WHERE of the subquery only.")
	}
	width := len(in.Schema.Cols)
	op := &logical.Join{Kind: logical.Semi, Pos: pos, Labels: labels(l.frame.rels, width)}
	if s.Not {
		op.Kind = logical.Anti
	}
	if s.Kind == expr.InSub {
		if len(items) != 1 {
			return nil, unsupported(pos, "this subquery in IN", "Use EXISTS.")
		}
		op.Conds = append(op.Conds, &expr.Compare{Op: expr.EQ, L: s.X, R: joinedRow(items[0], width)})
	}
	for _, c := range conds {
		if subqueryIn(c) != nil || outerDepth(c) > 1 {
			return nil, unsupported(pos, "a subquery within a subquery that reads an outer row", "Join the streams of both in one subquery.")
		}
		op.Conds = append(op.Conds, joinedRow(c, width))
	}
	op.Labels = append(op.Labels, l.namesIn(conds, plan)...)
	return &logical.Node{Op: op, In: []*logical.Node{in, plan}, Schema: in.Schema}, nil
}

// namesIn are the names of a subquery's columns, qualified as its conditions do.
func (l *level) namesIn(conds []expr.Expr, n *logical.Node) []string {
	names, alias := make([]string, len(n.Schema.Cols)), ""
	for _, c := range conds {
		logical.Walk(c, func(e expr.Expr, _ int) bool {
			if col, ok := e.(*expr.Column); ok {
				names[col.Index] = l.src[e].name
				if dot := strings.IndexByte(names[col.Index], '.'); dot >= 0 {
					alias = names[col.Index][:dot+1]
				}
			}
			return true
		})
	}
	for i, c := range n.Schema.Cols {
		if names[i] == "" {
			names[i] = alias + c.Name
		}
	}
	return names
}

// outerConds splits off the conditions that read an outer row.
func outerConds(list []expr.Expr) (own, outer []expr.Expr) {
	for _, c := range list {
		if outerDepth(c) > 0 {
			outer = append(outer, c)
		} else {
			own = append(own, c)
		}
	}
	return own, outer
}

// outerDepth is how far out an expression reads.
func outerDepth(e expr.Expr) int {
	deepest := 0
	logical.Walk(e, func(e expr.Expr, depth int) bool {
		if o, ok := e.(*expr.Outer); ok {
			deepest = max(deepest, o.Depth-depth)
		}
		return true
	})
	return deepest
}

// joinedRow moves an expression of a subquery to the row of the outer query followed by its own.
func joinedRow(e expr.Expr, width int) expr.Expr {
	return logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		switch e := e.(type) {
		case *expr.Column:
			return &expr.Column{Index: e.Index + width, Name: e.Name, Typ: e.Typ}, true
		case *expr.Outer:
			return &expr.Column{Index: e.Index, Name: e.Name, Typ: e.Typ}, true
		}
		return e, false
	}).Expr(e, 0)
}

func setOpName(o *parse.SetOp) string {
	if o.All {
		return o.Op + " ALL"
	}
	return o.Op
}

func setOpHint(o *parse.SetOp) string {
	if o.Op == "UNION" {
		return "Use UNION ALL, and group by the columns and a window to drop duplicates."
	}
	if o.Op == "EXCEPT" {
		return "Use WHERE NOT EXISTS (SELECT ...) with a time bound."
	}
	return "Use WHERE EXISTS (SELECT ...) with a time bound."
}
