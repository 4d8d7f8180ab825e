package bind

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// withTime gives a relation of a continuous query the time columns that it does not have itself: the one of its input that a
// projection left out, and window_time beside window_end. Columns from hidden on are not part of *.
func (b *binder) withTime(n *logical.Node) (node *logical.Node, hidden int) {
	hidden = len(n.Schema.Cols)
	if !b.continuous {
		return n, hidden
	}
	if p, ok := n.Op.(*logical.Project); ok && logical.DefaultTime(n) < 0 {
		if i := logical.DefaultTime(n.In[0]); i >= 0 {
			c := n.In[0].Schema.Cols[i]
			n = extended(n, p.Exprs, &expr.Column{Index: i, Name: c.Name, Typ: c.Type}, c)
		}
	}
	end := n.Schema.Index("window_end")
	if end < 0 || logical.Times(n)[end] == logical.NoTime || n.Schema.Index(logical.WindowTime) >= 0 {
		return n, hidden
	}
	time, err := b.windowTime(end, n.Schema.Cols[end])
	if err != nil {
		return n, hidden
	}
	c := types.Column{Name: logical.WindowTime, Type: time.Type()}
	over := &logical.Node{In: []*logical.Node{n}, Schema: n.Schema}
	return extended(over, columnsOf(n), time, c), hidden
}

// columnsOf are all columns of a node.
func columnsOf(n *logical.Node) []expr.Expr {
	exprs := make([]expr.Expr, len(n.Schema.Cols))
	for i, c := range n.Schema.Cols {
		exprs[i] = &expr.Column{Index: i, Name: c.Name, Typ: c.Type}
	}
	return exprs
}

// extended is a projection of n's input with one more column.
func extended(n *logical.Node, exprs []expr.Expr, e expr.Expr, c types.Column) *logical.Node {
	cols := append(slices.Clip(slices.Clone(n.Schema.Cols)), c)
	return &logical.Node{Op: &logical.Project{Exprs: append(slices.Clip(slices.Clone(exprs)), e)}, In: n.In, Schema: types.Schema{Cols: cols}}
}

// windowTime is column i, the end of a window, less a microsecond.
func (b *binder) windowTime(i int, c types.Column) (expr.Expr, error) {
	us := types.NewInterval(types.IntervalValue{Micros: 1})
	return b.operator("-", term{&expr.Column{Index: i, Name: c.Name, Typ: c.Type}, 0}, term{&expr.Const{Val: us}, 0}, 0)
}

// result binds the name of another continuous query in a continuous query. One without keyed state is expanded where it
// stands, so that its rows keep the marks of their stream.
func (fb *fromBinder) result(t *parse.TableRef, q *catalog.Query) (*logical.Node, error) {
	fb.deps.Queries = addOnce(fb.deps.Queries, q.ID)
	if fb.defining == q.Name {
		return nil, sqlerr.New(sqlerr.InvalidTableDefinition, "continuous query %q would read its own result", q.Name).At(t.Name.Pos).
			WithHint("Read the result under another name, or join the stream with itself.")
	}
	if q.Updates && t.AsOf == nil {
		return nil, unsupported(t.Name.Pos, "reading continuous query "+q.Name+", which corrects its results",
			"Let it emit final rows only: a window with EMIT ON WINDOW CLOSE or EMIT FIRST, without allowed lateness. FOR SYSTEM_TIME AS OF can read it too.")
	}
	if !q.Stateless() || t.AsOf != nil {
		return &logical.Node{Op: &logical.Scan{Rel: q}, Schema: *q.RelSchema()}, nil
	}
	parsed, err := parse.Parse(q.SQL)
	if err != nil || len(parsed) != 1 {
		return nil, sqlerr.New(sqlerr.InternalError, "the text of continuous query %q cannot be read again", q.Name).At(t.Name.Pos)
	}
	body, ok := parsed[0].Stmt.(*parse.CreateQuery)
	if !ok {
		return nil, sqlerr.New(sqlerr.InternalError, "the text of continuous query %q is something else", q.Name).At(t.Name.Pos)
	}
	node, err := fb.query(body.Query, nil, nil)
	if err != nil {
		return nil, err
	}
	return fb.settleColumns(node)
}
