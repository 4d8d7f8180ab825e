package spec

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
)

// Fact is something about an operator that tools find under a name, in Postgres' spelling where Postgres has it.
type Fact struct {
	Key string
	// Value is a string or a []string.
	Value any
}

// Facts gives an operator's "Node Type", by which tools choose a picture, and what else they look for. Where an operator is
// one of Postgres', so is its name; others have vigil's own.
func Facts(n *Node) (nodeType string, facts []Fact) {
	add := func(key string, value any) { facts = append(facts, Fact{key, value}) }
	switch op := n.Op.(type) {
	case *StreamScan:
		add("Relation Name", op.Name)
		return "Seq Scan", facts
	case *ResultScan:
		add("Relation Name", op.Name)
		return "Seq Scan", facts
	case *TableScan:
		add("Relation Name", op.Name)
		return "Seq Scan", facts
	case *VirtualScan:
		add("Relation Name", op.Name)
		add("Schema", op.Schema)
		return "Seq Scan", facts
	case *Values:
		return "Values Scan", facts
	case *FuncScan:
		add("Function Name", op.Name)
		add("Function Call", describeFunc(op))
		return "Function Scan", facts
	case *Filter:
		add("Filter", parens(op.Cond.String()))
	case *Join:
		return joinFacts(op)
	case *IntervalJoin:
		add("Join Type", joinTypes[op.Kind])
		add("Join Keys", strings.TrimPrefix(onKeys(op.LeftKeys, op.RightKeys), " on "))
		add("Time", fmt.Sprintf("[%s, %s]", signed(op.Lo), signed(op.Hi)))
	case *LookupJoin:
		add("Join Type", joinTypes[op.Kind])
		add("Relation Name", op.Name)
	case *WindowAgg:
		add("Group Key", exprTexts(op.Keys))
		add("Window", windowText(op.Window, windowColumn(n, op)))
		return "Window Aggregate", facts
	case *GroupAgg:
		add("Group Key", exprTexts(op.Keys))
		return "Aggregate", facts
	case *Exchange:
		add("Hash Key", exprTexts(op.Keys))
	case *HashAgg:
		strategy := "Hashed"
		if len(op.Keys) == 0 {
			strategy = "Plain"
		} else {
			add("Group Key", exprTexts(op.Keys))
		}
		add("Strategy", strategy)
		return "Aggregate", facts
	case *Distinct:
		return "Unique", facts
	case *Union:
		return "Append", facts
	case *SetOp:
		add("Command", describeSetOp(op))
	case *Sort:
		keys := make([]string, len(op.Keys))
		for i := range op.Keys {
			keys[i] = sorts(op.Keys[i : i+1])
		}
		add("Sort Key", keys)
	case *Result:
		add("Continuous Query", op.Name)
		return "Result", facts
	}
	return spaced(strings.TrimPrefix(fmt.Sprintf("%T", n.Op), "*spec.")), facts
}

var joinTypes = [...]string{Inner: "Inner", Left: "Left", Right: "Right", Full: "Full", Cross: "Inner", Semi: "Semi", Anti: "Anti"}

func joinFacts(op *Join) (string, []Fact) {
	facts := []Fact{{"Join Type", joinTypes[op.Kind]}}
	name := "Nested Loop"
	if len(op.LeftKeys) > 0 {
		name = "Hash Join"
		facts = append(facts, Fact{"Hash Cond", strings.TrimPrefix(onKeys(op.LeftKeys, op.RightKeys), " on ")})
	}
	if op.Cond != nil {
		facts = append(facts, Fact{"Join Filter", parens(op.Cond.String())})
	}
	return name, facts
}

// windowColumn names the time column of a windowed grouping.
func windowColumn(n *Node, op *WindowAgg) string {
	if len(n.In) > 0 && op.Window.TimeCol >= 0 && op.Window.TimeCol < len(n.In[0].Schema.Cols) {
		return n.In[0].Schema.Cols[op.Window.TimeCol].Name
	}
	return "ts"
}

func exprTexts(list []expr.Expr) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = x.String()
	}
	return out
}

// spaced makes "IntervalJoin" "Interval Join".
func spaced(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && r >= 'A' && r <= 'Z' && s != "SetOp" && s != "ProjectSet" {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
