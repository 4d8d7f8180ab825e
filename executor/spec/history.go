package spec

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
)

// TimeBound says that only rows whose time compares so with X matter. X is a TIMESTAMPTZ that reads no column: constants,
// parameters, outer rows and functions of them. NULL means that no row matters.
type TimeBound struct {
	Op expr.CmpOp // EQ, LT, LE, GT or GE
	X  expr.Expr
}

// TimeRange is event times from Min to Max, both included (microseconds).
type TimeRange struct{ Min, Max int64 }

// Empty reports that no time is within.
func (r TimeRange) Empty() bool { return r.Min > r.Max }

func describeStreamScan(n *Node, op *StreamScan) string {
	s := fmt.Sprintf("StreamScan %s (columns: %s", op.Name, wanted(&n.Schema, op.Want))
	if len(op.Bounds) > 0 {
		parts := make([]string, len(op.Bounds))
		for i, b := range op.Bounds {
			parts[i] = b.Op.String() + " " + b.X.String()
		}
		s += "; time: " + strings.Join(parts, ", ")
	}
	return s + ")"
}
