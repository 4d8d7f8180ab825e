package task

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
)

// newStreaming builds an operator of a continuous program.
func newStreaming(n *spec.Node) (op.Operator, error) {
	switch x := n.Op.(type) {
	case *spec.Filter:
		return op.NewFilter(x)
	case *spec.Project:
		return op.NewProject(x, &n.Schema)
	case *spec.WindowAgg:
		return op.NewWindowed(x, &n.Schema)
	case *spec.GroupAgg:
		return op.NewGroupAgg(x, &n.Schema)
	case *spec.IntervalJoin:
		return op.NewIntervalJoin(x, &n.In[0].Schema, &n.In[1].Schema)
	case *spec.TemporalJoin:
		return op.NewTemporalJoin(x, &n.In[0].Schema, &n.In[1].Schema)
	}
	return nil, fmt.Errorf("operator %T cannot run in a continuous program", n.Op)
}
