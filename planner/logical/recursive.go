package logical

import "github.com/vigil-sql/vigil/executor/expr"

// The operators of WITH queries; see the spec operators of the same names.
type (
	// Recursive is the first term of WITH RECURSIVE, In[0], and its recursive term, In[1], which reads the WorkScan of the
	// same ID.
	Recursive struct {
		ID   int
		Name string
		All  bool
	}
	// WorkScan reads what the last round of a recursion gave.
	WorkScan struct {
		ID   int
		Name string
	}
	// Shared marks a WITH query that is run once though it may be read several times. Each reader has a copy of the tree; nothing
	// may be moved into or out of it, so that all copies stay the same.
	Shared struct {
		ID   int
		Name string
	}
)

func (*Recursive) op() {}
func (*WorkScan) op()  {}
func (*Shared) op()    {}

// MapPlans rebuilds a tree and the plans of the subqueries in it from its leaves; f gets each node with its inputs already
// rebuilt.
func MapPlans(n *Node, f func(*Node) *Node) *Node {
	in := make([]*Node, len(n.In))
	for i, c := range n.In {
		in[i] = MapPlans(c, f)
	}
	var plans Rewrite
	plans = func(e expr.Expr, depth int) (expr.Expr, bool) {
		s, ok := e.(*expr.Subquery)
		if !ok {
			return e, false
		}
		plan, ok := s.Plan.(*Node)
		if !ok {
			return e, true
		}
		c := *s
		c.X, c.Plan = plans.Expr(s.X, depth), MapPlans(plan, f)
		return &c, true
	}
	return f(&Node{Op: plans.Op(n.Op, 0), In: in, Schema: n.Schema})
}
