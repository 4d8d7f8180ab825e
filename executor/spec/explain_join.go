package spec

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
)

var joinNames = [...]string{Inner: "inner", Left: "left", Right: "right", Full: "full", Cross: "cross", Semi: "semi", Anti: "anti"}

func describeIntervalJoin(op *IntervalJoin) string {
	s := fmt.Sprintf("IntervalJoin %s%s time [%s, %s]", joinNames[op.Kind], onKeys(op.LeftKeys, op.RightKeys), signed(op.Lo), signed(op.Hi))
	if op.Lateness > 0 {
		s += " lateness " + micros(op.Lateness)
	}
	return s + where(op.Cond)
}

func describeTemporalJoin(op *TemporalJoin) string {
	return fmt.Sprintf("TemporalJoin %s%s as of the left time%s", joinNames[op.Kind], onKeys(op.LeftKeys, op.RightKeys), where(op.Cond))
}

// onKeys prints " on (a = b and c = d)", nothing without keys.
func onKeys(left, right []expr.Expr) string {
	parts := make([]string, len(left))
	for i := range left {
		parts[i] = fmt.Sprintf("%s = %s", left[i], right[i])
	}
	if len(parts) == 0 {
		return ""
	}
	return " on (" + strings.Join(parts, " and ") + ")"
}

func where(cond expr.Expr) string {
	if cond == nil {
		return ""
	}
	return " where " + parens(cond.String())
}

// signed prints microseconds as "+20m", "-5s", "0s".
func signed(us int64) string {
	if us > 0 {
		return "+" + micros(us)
	}
	return micros(us)
}
