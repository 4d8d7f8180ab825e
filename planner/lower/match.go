package lower

import (
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/logical"
)

// match lowers MATCH_RECOGNIZE: its rows must meet by key.
func (l *lowerer) match(out *spec.Node, op *logical.Match) *spec.Node {
	if !l.continuous {
		l.fail(sqlerr.New(sqlerr.InternalError, "MATCH_RECOGNIZE in a bounded program"))
	}
	out.Op = op.Spec
	out.In = []*spec.Node{l.keyed(out.In[0], op.Spec.Keys)}
	return out
}
