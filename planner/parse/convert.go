package parse

import (
	"slices"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	"github.com/pingcap/tidb/pkg/parser/test_driver"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// converter turns TiDB's tree of a lowered text into ours, filling the holes.
type converter struct {
	*lowerer
	low  lowered
	root ast.StmtNode
}

// unknown reports a node that the lowering never writes: a bug, told without a panic.
func (c *converter) unknown(n any) {
	if c.err == nil {
		c.failWith(sqlerr.New(sqlerr.InternalError, "the parser does not know its own node %T", n))
	}
}

// posAt returns the source position of a node that starts at a lowered offset.
func (c *converter) posAt(offset int) Pos {
	if i := c.low.at(offset); i >= 0 {
		return c.pieces[c.low.order[i]].pos
	}
	return 0
}

func (c *converter) start(n ast.ExprNode) At { return At{c.posAt(n.OriginTextPosition())} }

// before returns the source position of the piece back places before the one that n starts with: its operator.
func (c *converter) before(n ast.ExprNode, back int) At {
	if i := c.low.at(n.OriginTextPosition()) - back; i >= 0 {
		return At{c.pieces[c.low.order[i]].pos}
	}
	return At{}
}

// holeAt returns the side table entry of the "?" at a lowered offset.
func (c *converter) holeAt(n ast.ExprNode) *hole {
	m, ok := n.(*test_driver.ParamMarkerExpr)
	if !ok {
		return nil
	}
	i, found := slices.BinarySearch(c.low.holeOffsets, m.Offset)
	if !found {
		return nil
	}
	return &c.holes[c.low.holeIndex[i]]
}

var binaryOps = map[opcode.Op]string{
	opcode.EQ: "=", opcode.NE: "<>", opcode.LT: "<", opcode.LE: "<=", opcode.GT: ">", opcode.GE: ">=",
	opcode.Plus: "+", opcode.Minus: "-", opcode.Mul: "*", opcode.Div: "/", opcode.Mod: "%",
	opcode.LogicAnd: "AND", opcode.LogicOr: "OR",
}

// expr converts an expression.
func (c *converter) expr(n ast.ExprNode) Expr {
	switch n := n.(type) {
	case ast.ParamMarkerExpr:
		if h := c.holeAt(n); h != nil && h.leaf != nil {
			return h.leaf
		}
	case *ast.ParenthesesExpr:
		return c.expr(n.Expr)
	case *ast.ColumnNameExpr:
		return c.column(n)
	case *ast.FuncCallExpr:
		return c.funcCall(n)
	case *ast.BinaryOperationExpr:
		if op := binaryOps[n.Op]; op != "" {
			return &Binary{c.before(n.R, 1), op, c.expr(n.L), c.expr(n.R)}
		}
	case *ast.UnaryOperationExpr:
		switch n.Op {
		case opcode.Minus:
			return &Unary{c.start(n), "-", c.expr(n.V)}
		case opcode.Not, opcode.Not2:
			return &Unary{c.start(n), "NOT", c.expr(n.V)}
		}
	case *ast.BetweenExpr:
		return &Between{c.before(n.Left, 1), c.expr(n.Expr), c.expr(n.Left), c.expr(n.Right), n.Not, false}
	case *ast.PatternInExpr:
		return c.in(n)
	case *ast.ExistsSubqueryExpr:
		return c.exists(n)
	case *ast.SubqueryExpr:
		return &Scalar{c.start(n), c.result(n.Query)}
	case *ast.CaseExpr:
		return c.caseExpr(n)
	}
	c.unknown(n)
	return &Null{}
}

func (c *converter) exprs(list []ast.ExprNode) []Expr {
	if len(list) == 0 {
		return nil
	}
	out := make([]Expr, len(list))
	for i, n := range list {
		out[i] = c.expr(n)
	}
	return out
}

func (c *converter) column(n *ast.ColumnNameExpr) Expr {
	parts := make([]string, 0, 3)
	if n.Name.Schema.O != "" {
		parts = append(parts, n.Name.Schema.O)
	}
	if n.Name.Table.O != "" {
		parts = append(parts, n.Name.Table.O)
	}
	return &Ident{c.start(n), append(parts, n.Name.Name.O)}
}

// funcCall converts a plain call, or fills a hole that has arguments.
func (c *converter) funcCall(n *ast.FuncCallExpr) Expr {
	if n.FnName.O == "~" && n.Schema.O == "" && len(n.Args) > 0 {
		if h := c.holeAt(n.Args[0]); h != nil && h.build != nil {
			return h.build(c.exprs(n.Args[1:]))
		}
	}
	at := c.start(n)
	return &FuncCall{At: at, Name: Name{Schema: n.Schema.O, Name: n.FnName.O, Pos: at.Pos}, Args: c.exprs(n.Args)}
}

func (c *converter) in(n *ast.PatternInExpr) Expr {
	if n.Sel != nil {
		s, ok := n.Sel.(*ast.SubqueryExpr)
		if !ok {
			c.unknown(n.Sel)
			return &Null{}
		}
		return &InQuery{c.before(s, 1), c.expr(n.Expr), c.result(s.Query), n.Not}
	}
	return &InList{c.before(n.List[0], 2), c.expr(n.Expr), c.exprs(n.List), n.Not}
}

// exists converts EXISTS; TiDB folds a NOT before it into the node.
func (c *converter) exists(n *ast.ExistsSubqueryExpr) Expr {
	s, ok := n.Sel.(*ast.SubqueryExpr)
	if !ok {
		c.unknown(n.Sel)
		return &Null{}
	}
	e := &Exists{c.start(n), c.result(s.Query)}
	if n.Not {
		return &Unary{e.At, "NOT", e}
	}
	return e
}

func (c *converter) caseExpr(n *ast.CaseExpr) Expr {
	e := &Case{At: c.start(n)}
	if n.Value != nil {
		e.Operand = c.expr(n.Value)
	}
	for _, w := range n.WhenClauses {
		e.Whens = append(e.Whens, When{c.expr(w.Expr), c.expr(w.Result)})
	}
	if n.ElseClause != nil {
		e.Else = c.expr(n.ElseClause)
	}
	return e
}
