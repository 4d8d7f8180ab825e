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
		return op.NewWindowAgg(x, &n.Schema)
	case *spec.LookupJoin:
		return op.NewLookupJoin(x, &n.In[0].Schema)
	}
	return nil, fmt.Errorf("operator %T cannot run in a continuous program", n.Op)
}
