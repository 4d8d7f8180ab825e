package bind

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// query binds a query expression. Its output columns may still be of unknown type: see settleColumns.
func (b *binder) query(q *parse.Select, parent *frame, ctes *cteScope) (*logical.Node, error) {
	if err := b.enter(q.Pos); err != nil {
		return nil, err
	}
	defer b.leave()
	ctes, err := b.with(q, parent, ctes)
	if err != nil {
		return nil, err
	}
	if q.Core != nil {
		l := &level{binder: b, q: q, core: q.Core, parent: parent, ctes: ctes}
		return l.bind()
	}
	var node *logical.Node
	if q.SetOp != nil {
		node, err = b.setOp(q.SetOp, parent, ctes)
	} else {
		node, err = b.values(q, parent, ctes)
	}
	if err != nil {
		return nil, err
	}
	return b.decorate(node, q, parent, ctes)
}

// decorate puts ORDER BY and LIMIT over a set operation or VALUES.
func (b *binder) decorate(node *logical.Node, q *parse.Select, parent *frame, ctes *cteScope) (*logical.Node, error) {
	if len(q.OrderBy) > 0 {
		var err error
		if node, err = b.orderColumns(node, q.OrderBy); err != nil {
			return nil, err
		}
	}
	return b.limit(node, q, parent, ctes)
}

// setOp binds UNION, INTERSECT and EXCEPT: both sides over the common types of their columns.
func (b *binder) setOp(o *parse.SetOp, parent *frame, ctes *cteScope) (*logical.Node, error) {
	if b.continuous && (o.Op != "UNION" || !o.All) {
		return nil, unsupported(o.Pos, setOpName(o)+" in a continuous query", setOpHint(o))
	}
	l, err := b.operand(o, o.Left, parent, ctes)
	if err != nil {
		return nil, err
	}
	r, err := b.operand(o, o.Right, parent, ctes)
	if err != nil {
		return nil, err
	}
	return b.unite(o, l, r)
}

// operand binds one side of a set operation. A recursive query may be named neither in one with
// ALL other than UNION, nor in what EXCEPT takes away.
func (b *binder) operand(o *parse.SetOp, q *parse.Select, parent *frame, ctes *cteScope) (*logical.Node, error) {
	if o.Op != "UNION" && o.All || o.Op == "EXCEPT" && q == o.Right {
		b.within = append(b.within, o.Op)
		defer func() { b.within = b.within[:len(b.within)-1] }()
	}
	return b.query(q, parent, ctes)
}

// unite makes a set operation of two bound queries.
func (b *binder) unite(o *parse.SetOp, l, r *logical.Node) (*logical.Node, error) {
	if len(l.Schema.Cols) != len(r.Schema.Cols) {
		return nil, sqlerr.New(sqlerr.SyntaxError, "each %s query must have the same number of columns", o.Op).At(firstItem(o.Right))
	}
	var err error
	want := make([]types.Type, len(l.Schema.Cols))
	for i := range want {
		lt := term{&expr.Column{Typ: l.Schema.Cols[i].Type}, itemPos(o.Left, i)}
		rt := term{&expr.Column{Typ: r.Schema.Cols[i].Type}, itemPos(o.Right, i)}
		if want[i], err = commonType([]term{lt, rt}, o.Op); err != nil {
			return nil, err
		}
	}
	if l, err = b.coerceColumns(l, want, expr.Implicit, nil); err != nil {
		return nil, err
	}
	if r, err = b.coerceColumns(r, want, expr.Implicit, nil); err != nil {
		return nil, err
	}
	return &logical.Node{Op: &logical.SetOp{Kind: o.Op, All: o.All}, In: []*logical.Node{l, r}, Schema: l.Schema}, nil
}

// itemPos is where column i of a query is written, 0 when it cannot be told.
func itemPos(q *parse.Select, i int) int {
	for q.SetOp != nil {
		q = q.SetOp.Left
	}
	switch {
	case q.Core != nil && i < len(q.Core.Items):
		if it := q.Core.Items[i]; it.Expr != nil {
			return start(it.Expr)
		}
		return q.Core.Items[i].Pos
	case len(q.Values) > 0 && i < len(q.Values[0]):
		return start(q.Values[0][i])
	}
	return q.Pos
}

func firstItem(q *parse.Select) int { return itemPos(q, 0) }

// values binds VALUES: each column over the common type of its rows.
func (b *binder) values(q *parse.Select, parent *frame, ctes *cteScope) (*logical.Node, error) {
	if b.continuous {
		return nil, unsupported(q.Pos, "VALUES in a continuous query", "A continuous query reads a stream: SELECT ... FROM stream.")
	}
	s := &scalar{binder: b, f: &frame{parent: parent}, ctes: ctes, clause: "VALUES"}
	cols := make([][]term, len(q.Values[0]))
	for _, row := range q.Values {
		if len(row) != len(cols) {
			return nil, sqlerr.New(sqlerr.SyntaxError, "VALUES lists must all be the same length").At(start(row[0]))
		}
		list, err := s.list(row)
		if err != nil {
			return nil, err
		}
		for i, t := range list {
			cols[i] = append(cols[i], t)
		}
	}
	op := &logical.Values{Rows: make([][]expr.Expr, len(q.Values))}
	node := &logical.Node{Op: op}
	for i, c := range cols {
		list, typ, err := b.unify(c, "VALUES")
		if err != nil {
			return nil, err
		}
		for r, e := range list {
			op.Rows[r] = append(op.Rows[r], e)
		}
		node.Schema.Cols = append(node.Schema.Cols, types.Column{Name: fmt.Sprint("column", i+1), Type: typ})
	}
	return node, nil
}

// settleColumns makes output columns of unknown type text.
func (b *binder) settleColumns(n *logical.Node) (*logical.Node, error) {
	want := make([]types.Type, len(n.Schema.Cols))
	unknown := false
	for i, c := range n.Schema.Cols {
		if want[i] = c.Type; c.Type.Kind == types.Unknown {
			want[i], unknown = textType, true
		}
	}
	if !unknown {
		return n, nil
	}
	return b.coerceColumns(n, want, expr.Implicit, nil)
}

// coerceColumns converts a query's columns. Literals are converted where they stand; mismatch makes the error for a
// column that does not convert (nil: Postgres' error for UNION has been given before).
func (b *binder) coerceColumns(n *logical.Node, want []types.Type, level expr.CastLevel, mismatch func(i int, from types.Type) error) (*logical.Node, error) {
	exprs := make([]expr.Expr, len(want))
	schema := types.Schema{Cols: append([]types.Column(nil), n.Schema.Cols...)}
	proj, direct := n.Op.(*logical.Project)
	changed := false
	for i, to := range want {
		var t term
		if direct {
			t = term{proj.Exprs[i], b.src[proj.Exprs[i]].pos}
		} else {
			t = term{&expr.Column{Index: i, Name: schema.Cols[i].Name, Typ: schema.Cols[i].Type}, 0}
		}
		e, ok, err := b.coerce(t, to, level)
		if err != nil {
			return nil, err
		}
		if !ok && mismatch != nil {
			return nil, mismatch(i, t.e.Type())
		}
		if !ok {
			return nil, sqlerr.New(sqlerr.CannotCoerce, "cannot cast type %s to %s", t.e.Type(), to).At(t.pos)
		}
		changed = changed || e != t.e
		exprs[i] = e
		schema.Cols[i].Type = e.Type()
	}
	switch {
	case !changed:
		return n, nil
	case direct:
		return &logical.Node{Op: &logical.Project{Exprs: exprs}, In: n.In, Schema: schema}, nil
	}
	return &logical.Node{Op: &logical.Project{Exprs: exprs}, In: []*logical.Node{n}, Schema: schema}, nil
}

// orderColumns sorts the output of a set operation or VALUES: by column names and numbers only.
func (b *binder) orderColumns(n *logical.Node, order []parse.OrderItem) (*logical.Node, error) {
	n, err := b.settleColumns(n)
	if err != nil {
		return nil, err
	}
	op := &logical.Sort{}
	for _, o := range order {
		i := -1
		switch e := o.Expr.(type) {
		case *parse.Number:
			if i, err = ordinal(e, len(n.Schema.Cols), "ORDER BY"); err != nil {
				return nil, err
			}
		case *parse.Ident:
			if len(e.Parts) == 1 {
				i = n.Schema.Index(e.Parts[0])
			}
			if i < 0 {
				return nil, sqlerr.New(sqlerr.UndefinedColumn, "column %q does not exist", e.Parts[len(e.Parts)-1]).At(e.Pos)
			}
		default:
			return nil, sqlerr.New(sqlerr.FeatureNotSupported, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause").At(start(o.Expr)).
				WithDetail("Only result column names can be used, not expressions or functions.").
				WithHint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
		}
		c := n.Schema.Cols[i]
		op.Keys = append(op.Keys, sortKey(&expr.Column{Index: i, Name: c.Name, Typ: c.Type}, o))
	}
	return &logical.Node{Op: op, In: []*logical.Node{n}, Schema: n.Schema}, nil
}

// ordinal reads a column number of ORDER BY or GROUP BY as an index.
func ordinal(e *parse.Number, n int, clause string) (int, error) {
	var i int
	if _, err := fmt.Sscanf(e.Text, "%d", &i); err != nil || fmt.Sprint(i) != e.Text {
		return 0, sqlerr.New(sqlerr.SyntaxError, "non-integer constant in %s", clause).At(e.Pos)
	}
	if i < 1 || i > n {
		return 0, sqlerr.New(sqlerr.InvalidColumnReference, "%s position %d is not in select list", clause, i).At(e.Pos)
	}
	return i - 1, nil
}

// limit puts LIMIT and OFFSET on top.
func (b *binder) limit(n *logical.Node, q *parse.Select, parent *frame, ctes *cteScope) (*logical.Node, error) {
	op := &logical.Limit{}
	for _, part := range []struct {
		what string
		in   parse.Expr
		out  *expr.Expr
	}{{"LIMIT", q.Limit, &op.Count}, {"OFFSET", q.Offset, &op.Offset}} {
		if part.in == nil {
			continue
		}
		if b.continuous {
			return nil, unsupported(start(part.in), part.what+" in a continuous query",
				"Write it in the SELECT that reads the results: SELECT ... FROM query ORDER BY ... LIMIT n.")
		}
		s := &scalar{binder: b, f: &frame{parent: parent}, ctes: ctes, clause: part.what}
		t, err := s.term(part.in)
		if err != nil {
			return nil, err
		}
		e, ok, err := b.coerce(t, types.T(types.Int8), expr.Assignment)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, sqlerr.New(sqlerr.DatatypeMismatch, "argument of %s must be type bigint, not type %s", part.what, t.e.Type()).At(t.pos)
		}
		if c, isConst := e.(*expr.Const); isConst && c.Val.Null {
			continue
		}
		*part.out = e
	}
	if op.Count == nil && op.Offset == nil {
		return n, nil
	}
	return &logical.Node{Op: op, In: []*logical.Node{n}, Schema: n.Schema}, nil
}
