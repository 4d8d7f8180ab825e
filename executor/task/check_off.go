//go:build !invariants

package task

import "github.com/vigil-sql/vigil/executor/op"

// checked is the operator itself; in builds with the tag "invariants" it is wrapped in its contract.
func checked(o op.Operator) op.Operator { return o }
