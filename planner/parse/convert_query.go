package parse

import (
	"strconv"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// result converts a query.
func (c *converter) result(n ast.Node) *Select {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return c.selectStmt(n)
	case *ast.SetOprStmt:
		return c.setOpr(n)
	case *ast.SubqueryExpr:
		return c.result(n.Query)
	}
	c.unknown(n)
	return &Select{}
}

// setOpr folds TiDB's list of operands from the left.
func (c *converter) setOpr(n *ast.SetOprStmt) *Select {
	var q *Select
	for i, node := range n.SelectList.Selects {
		operand, ok := node.(*ast.SelectStmt)
		if !ok || i > 0 && operand.AfterSetOperator == nil {
			c.unknown(node)
			return &Select{}
		}
		right := c.selectStmt(operand)
		if i == 0 {
			q = right
			continue
		}
		op, all := setOpName(*operand.AfterSetOperator)
		q = &Select{SetOp: &SetOp{Op: op, All: all, Left: q, Right: right, Pos: right.Pos}, Pos: q.Pos}
	}
	c.with(q, n.With)
	c.orderLimit(q, n.OrderBy, n.Limit)
	return q
}

func setOpName(t ast.SetOprType) (op string, all bool) {
	switch t {
	case ast.UnionAll:
		return "UNION", true
	case ast.Except:
		return "EXCEPT", false
	case ast.ExceptAll:
		return "EXCEPT", true
	case ast.Intersect:
		return "INTERSECT", false
	case ast.IntersectAll:
		return "INTERSECT", true
	}
	return "UNION", false
}

func (c *converter) with(q *Select, w *ast.WithClause) {
	if w == nil {
		return
	}
	q.Recursive = w.IsRecursive
	for _, item := range w.CTEs {
		entry, ok := c.entry(item.Name.O).(*CTE)
		if !ok {
			c.unknown(item)
			return
		}
		cte := *entry
		cte.Query = c.result(item.Query.Query)
		q.With = append(q.With, cte)
	}
}

// entry returns the side table entry that a lowered relation name stands for.
func (c *converter) entry(name string) any {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "#"))
	if err != nil || n < 0 || n >= len(c.tables) {
		return nil
	}
	return c.tables[n]
}

func (c *converter) orderLimit(q *Select, order *ast.OrderByClause, limit *ast.Limit) {
	if order != nil {
		for _, item := range order.Items {
			o := OrderItem{Expr: c.expr(item.Expr), Desc: item.Desc}
			if m, ok := o.Expr.(*orderMark); ok {
				o.Expr, o.NullsFirst = m.x, m.nulls
			}
			q.OrderBy = append(q.OrderBy, o)
		}
	}
	if limit != nil {
		q.Limit, q.Offset = c.optional(limit.Count), c.optional(limit.Offset)
	}
}

// optional converts a count that may be absent.
func (c *converter) optional(n ast.ExprNode) Expr {
	if n == nil {
		return nil
	}
	e := c.expr(n)
	if _, none := e.(*noExpr); none {
		return nil
	}
	return e
}

// selectStmt converts a lowered SELECT by the mark in its first field.
func (c *converter) selectStmt(n *ast.SelectStmt) *Select {
	if n.Fields == nil || len(n.Fields.Fields) == 0 || n.Fields.Fields[0].Expr == nil {
		c.unknown(n)
		return &Select{}
	}
	var q *Select
	switch m := c.expr(n.Fields.Fields[0].Expr).(type) {
	case *nestedMark:
		src, ok := n.From.TableRefs.Left.(*ast.TableSource)
		if !ok {
			c.unknown(n.From)
			return &Select{}
		}
		inner := c.result(src.Source)
		if n.With == nil && n.OrderBy == nil && n.Limit == nil {
			return inner
		}
		q = c.outer(inner, n)
	case *valuesMark:
		q = &Select{Pos: m.Pos}
		fields := n.Fields.Fields[1:]
		for _, w := range m.widths {
			row := make([]Expr, w)
			for i := range row {
				row[i] = c.expr(fields[i].Expr)
			}
			fields = fields[w:]
			q.Values = append(q.Values, row)
		}
	case *coreMark:
		q = &Select{Pos: m.Pos, Core: c.core(n, m)}
	default:
		c.unknown(m)
		return &Select{}
	}
	c.with(q, n.With)
	c.orderLimit(q, n.OrderBy, n.Limit)
	return q
}

// outer gives a query that has WITH, ORDER BY or LIMIT of its own a second set: the tree holds one set a query, so the
// inner query becomes a subquery in FROM.
func (c *converter) outer(inner *Select, n *ast.SelectStmt) *Select {
	if n.OrderBy == nil && n.Limit == nil && len(inner.With) == 0 {
		return inner
	}
	if len(inner.OrderBy) == 0 && inner.Limit == nil && inner.Offset == nil && n.With == nil {
		return inner
	}
	core := &SelectCore{Pos: inner.Pos, Items: []SelectItem{{Star: true, Pos: inner.Pos}}}
	core.From = []TableExpr{&TableSubquery{Query: inner, Pos: inner.Pos}}
	return &Select{Core: core, Pos: inner.Pos}
}

func (c *converter) core(n *ast.SelectStmt, m *coreMark) *SelectCore {
	core := &SelectCore{Distinct: n.Distinct, DistinctOn: m.distinctOn, Windows: m.windows, GroupDistinct: m.groupDistinct, Pos: m.Pos}
	core.Items = c.items(n.Fields.Fields[1:])
	if n.From != nil && n.From.TableRefs != nil {
		core.From = c.fromList(n.From.TableRefs)
	}
	if n.Where != nil {
		core.Where = c.expr(n.Where)
	}
	if n.GroupBy != nil {
		for _, item := range n.GroupBy.Items {
			core.GroupBy = append(core.GroupBy, c.expr(item.Expr))
		}
	}
	if n.Having != nil {
		core.Having = c.expr(n.Having.Expr)
	}
	return core
}

func (c *converter) items(fields []*ast.SelectField) []SelectItem {
	var items []SelectItem
	for _, f := range fields {
		if f.Expr == nil {
			c.unknown(f)
			return nil
		}
		item := SelectItem{Expr: c.expr(f.Expr), Alias: f.AsName.O, Pos: c.posAt(f.Offset)}
		if m, ok := item.Expr.(*starMark); ok {
			item = SelectItem{Star: true, Table: m.table, Pos: m.Pos}
		}
		items = append(items, item)
	}
	return items
}

// fromList converts FROM: joins without ON are the commas between its items.
func (c *converter) fromList(j *ast.Join) []TableExpr {
	var rights []ast.ResultSetNode
	var n ast.ResultSetNode = j
	for {
		join, ok := n.(*ast.Join)
		if !ok || join.On != nil {
			break
		}
		if join.Right != nil {
			rights = append(rights, join.Right)
		}
		n = join.Left
	}
	var list []TableExpr
	if t := c.table(n); t != nil {
		list = append(list, t)
	}
	for i := len(rights) - 1; i >= 0; i-- {
		list = append(list, c.table(rights[i]))
	}
	return list
}

// table converts one relation or join; nil stands for the relation that TiDB wanted and the user did not write.
func (c *converter) table(n ast.ResultSetNode) TableExpr {
	switch n := n.(type) {
	case *ast.Join:
		return c.join(n)
	case *ast.TableSource:
		return c.source(n)
	case *ast.TableName:
		if ref, ok := c.entry(n.Name.O).(*TableRef); ok {
			return ref
		}
		return nil
	}
	c.unknown(n)
	return nil
}

func (c *converter) join(n *ast.Join) TableExpr {
	if n.On == nil {
		// A join in parentheses arrives inside one without right side.
		if n.Right == nil {
			return c.table(n.Left)
		}
		c.unknown(n)
		return nil
	}
	m, ok := c.expr(n.On.Expr).(*joinMark)
	if !ok {
		c.unknown(n)
		return nil
	}
	j := m.join
	j.Left, j.Right = c.table(n.Left), c.table(n.Right)
	return &j
}

// source converts a relation with its alias, by the side table entry that the alias names.
func (c *converter) source(n *ast.TableSource) TableExpr {
	if name, ok := n.Source.(*ast.TableName); ok && n.AsName.O == "" {
		return c.table(name)
	}
	switch e := c.entry(n.AsName.O).(type) {
	case *TableRef:
		if name, ok := n.Source.(*ast.TableName); ok && name.AsOf != nil {
			e.AsOf = c.expr(name.AsOf.TsExpr)
		}
		return e
	case *TableSubquery:
		e.Query = c.result(n.Source)
		return e
	case *TableFunc:
		return c.tableFunc(n.Source, e)
	case *TableWindow:
		sel, ok := n.Source.(*ast.SelectStmt)
		w, isWindow := c.onlyField(n.Source).(*WindowCall)
		if !ok || !isWindow || sel.From == nil {
			c.unknown(n)
			return nil
		}
		e.Window = w
		e.Source = c.fromList(sel.From.TableRefs)[0]
		return e
	case *TableMatch:
		sel, ok := n.Source.(*ast.SelectStmt)
		if _, filled := c.onlyField(n.Source).(*matchMark); !ok || !filled || sel.From == nil {
			c.unknown(n)
			return nil
		}
		e.Source = c.fromList(sel.From.TableRefs)[0]
		return e
	case *TableSequence:
		if _, filled := c.onlyField(n.Source).(*matchMark); !filled {
			c.unknown(n)
			return nil
		}
		return e
	}
	c.unknown(n)
	return nil
}

// tableFunc fills in the calls of a function in FROM, or of ROWS FROM.
func (c *converter) tableFunc(n ast.ResultSetNode, e *TableFunc) TableExpr {
	list := []*TableFunc{e}
	if len(e.Rows) > 0 {
		list = e.Rows
	}
	sel, ok := n.(*ast.SelectStmt)
	if !ok || sel.Fields == nil || len(sel.Fields.Fields) != len(list) {
		c.fail()
		return nil
	}
	for i, f := range sel.Fields.Fields {
		call, ok := c.expr(f.Expr).(*FuncCall)
		if !ok {
			c.fail()
			return nil
		}
		list[i].Func = call
	}
	return e
}

// onlyField converts the one field of a lowered (SELECT f(..)).
func (c *converter) onlyField(n ast.ResultSetNode) Expr {
	sel, ok := n.(*ast.SelectStmt)
	if !ok || sel.Fields == nil || len(sel.Fields.Fields) != 1 || sel.Fields.Fields[0].Expr == nil {
		return nil
	}
	return c.expr(sel.Fields.Fields[0].Expr)
}
