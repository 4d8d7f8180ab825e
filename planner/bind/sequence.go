package bind

import "github.com/vigil-sql/vigil/planner/parse"

// tableSequence binds SEQUENCE.
func (fb *fromBinder) tableSequence(t *parse.TableSequence) (*fromItem, error) {
	return nil, unsupported(t.Pos, "SEQUENCE", "Write the steps with MATCH_RECOGNIZE.")
}
