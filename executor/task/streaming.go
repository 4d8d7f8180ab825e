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
	case *spec.ProjectSet:
		return op.NewProjectSet(x, &n.Schema, op.NewMemory(0))
	case *spec.WindowAgg:
		return op.NewWindowed(x, &n.Schema)
	case *spec.GroupAgg:
		return op.NewGroupAgg(x, &n.Schema)
	case *spec.LookupJoin:
		return op.NewLookupJoin(x, &n.In[0].Schema)
	case *spec.IntervalJoin:
		return op.NewIntervalJoin(x, &n.In[0].Schema, &n.In[1].Schema)
	case *spec.TemporalJoin:
		return op.NewTemporalJoin(x, &n.In[0].Schema, &n.In[1].Schema)
	case *spec.Over:
		return op.NewOver(x, &n.Schema)
	case *spec.FirstSeen:
		return op.NewFirstSeen(x, &n.Schema)
	case *spec.Suppress:
		return op.NewSuppress(x)
	case *spec.Match:
		return op.NewMatch(x, &n.In[0].Schema, &n.Schema)
	}
	return nil, fmt.Errorf("operator %T cannot run in a continuous program", n.Op)
}
