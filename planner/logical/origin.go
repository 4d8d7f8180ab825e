package logical

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// Origin is the column of a relation that an output column is, unchanged. Rel is nil for what is computed.
type Origin struct {
	Rel catalog.Relation
	Col int // 0-based, in RelSchema
}

// Origins says where the columns of a plan come from: clients ask for it to know what a result can be written back to.
// What is computed, or may be of one relation or another, comes from nowhere.
func Origins(n *Node) []Origin {
	out := make([]Origin, len(n.Schema.Cols))
	for i := range out {
		out[i] = originOf(n, i)
	}
	return out
}

// originOf follows one column down.
func originOf(n *Node, i int) Origin {
	for {
		switch op := n.Op.(type) {
		case *Scan:
			return Origin{op.Rel, i}
		case *Filter, *Sort, *Limit, *Distinct:
			n = n.In[0]
		case *Project:
			c, ok := op.Exprs[i].(*expr.Column)
			if !ok {
				return Origin{}
			}
			n, i = n.In[0], c.Index
		case *ProjectSet:
			if i >= len(n.In[0].Schema.Cols) {
				return Origin{}
			}
			n = n.In[0]
		case *Aggregate:
			if op.Window != nil {
				i -= 2
			}
			if i < 0 || i >= len(op.Keys) {
				return Origin{}
			}
			c, ok := op.Keys[i].(*expr.Column)
			if !ok {
				return Origin{}
			}
			n, i = n.In[0], c.Index
		case *Join:
			if left := len(n.In[0].Schema.Cols); i < left {
				n = n.In[0]
			} else {
				n, i = n.In[1], i-left
			}
		default:
			return Origin{}
		}
	}
}
