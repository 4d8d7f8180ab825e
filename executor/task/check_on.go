//go:build invariants

package task

import "github.com/vigil-sql/vigil/executor/op"

// checked wraps an operator in its contract.
func checked(o op.Operator) op.Operator { return op.Check(o) }
