package logical

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
)

// Outline is the tree as EXPLAIN VERBOSE prints it.
func Outline(n *Node) *spec.Outline {
	o := &spec.Outline{Line: Describe(n)}
	Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		s, ok := e.(*expr.Subquery)
		if !ok {
			return e, false
		}
		if plan, ok := s.Plan.(*Node); ok {
			o.Subplans = append(o.Subplans, Outline(plan))
		}
		return e, true
	}).Op(n.Op, 0)
	for _, in := range n.In {
		o.In = append(o.In, Outline(in))
	}
	return o
}

// Label names an operator without what it computes: its kind, and what it reads.
func Label(n *Node) string {
	switch op := n.Op.(type) {
	case *Scan:
		return "Scan " + op.Rel.RelName()
	case *FuncScan:
		return "FuncScan " + op.Func.Name
	case *Aggregate:
		if op.Window != nil {
			return "Aggregate by window"
		}
	case *Join:
		return "Join " + joinKinds[op.Kind]
	case *LookupJoin:
		return "LookupJoin " + op.Table.Name
	case *SetOp:
		return op.Kind
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", n.Op), "*logical.")
}

var (
	joinKinds   = [...]string{Inner: "inner", Left: "left", Right: "right", Full: "full", Semi: "semi", Anti: "anti"}
	lookupKinds = [...]string{LookupInner: "inner", LookupLeft: "left", LookupSemi: "semi", LookupAnti: "anti"}
)

// Describe is one operator in a line.
func Describe(n *Node) string {
	switch op := n.Op.(type) {
	case *Scan:
		return Label(n) + wanted(n, op.Want)
	case *Values:
		return fmt.Sprintf("Values (%d rows)", len(op.Rows))
	case *FuncScan:
		return "FuncScan " + callText(op.Func)
	case *Filter:
		return "Filter " + Conditions(op.Conds)
	case *Project:
		return "Project (" + named(n, op.Exprs) + ")"
	case *ProjectSet:
		parts := make([]string, len(op.Funcs))
		for i, f := range op.Funcs {
			parts[i] = callText(f)
		}
		return "ProjectSet (" + strings.Join(parts, ", ") + ")"
	case *Aggregate:
		return describeAggregate(n, op)
	case *Distinct:
		if len(op.On) > 0 {
			return "Distinct on (" + texts(op.On) + ")"
		}
	case *Join:
		return describeJoin(op)
	case *LookupJoin:
		return describeLookup(op)
	case *SetOp:
		if op.All {
			return op.Kind + " ALL"
		}
	case *Sort:
		return "Sort by " + sortText(op.Keys)
	case *Result:
		return "Result " + op.Name
	}
	return describeMore(n)
}

// describeMore is Describe for operators whose line is that of their physical form, or just their name.
func describeMore(n *Node) string {
	switch op := n.Op.(type) {
	case *Limit:
		return spec.Describe(&spec.Node{Op: &spec.Limit{Count: op.Count, Offset: op.Offset}})
	case *Match:
		return spec.Describe(&spec.Node{Op: op.Spec, Schema: n.Schema})
	case *Over:
		names := make([]string, len(op.Funcs))
		for i, f := range op.Funcs {
			names[i] = f.Name + "(" + texts(f.Args) + ")"
		}
		return "Over keys: " + orNone(texts(op.Keys)) + " functions: " + strings.Join(names, ", ")
	case *FirstSeen:
		return spec.Describe(&spec.Node{Op: &spec.FirstSeen{Keys: op.Keys, Span: op.Span, TimeCol: op.TimeCol}, Schema: n.Schema})
	case *Suppress:
		return spec.Describe(&spec.Node{Op: &spec.Suppress{Keys: op.Keys, For: op.For, TimeCol: op.TimeCol}, Schema: n.Schema})
	}
	return Label(n)
}

func describeAggregate(n *Node, op *Aggregate) string {
	s := "Aggregate"
	if op.Window != nil {
		column := "rows"
		if i := op.Window.TimeCol; i >= 0 && i < len(n.In[0].Schema.Cols) {
			column = n.In[0].Schema.Cols[i].Name
		}
		w := spec.WindowAgg{Window: op.Window.Spec, Emit: op.Emit, Lateness: op.Window.Lateness}
		s += " " + w.Text(column)
	}
	aggs := make([]string, len(op.Aggs))
	for i, a := range op.Aggs {
		args := texts(a.Args)
		switch {
		case args == "":
			args = "*"
		case a.Distinct:
			args = "DISTINCT " + args
		}
		if len(a.OrderBy) > 0 {
			args += " ORDER BY " + sortText(a.OrderBy)
		}
		aggs[i] = a.Def.Name + "(" + args + ")"
		if a.Filter != nil {
			aggs[i] += " FILTER " + Conditions([]expr.Expr{a.Filter})
		}
	}
	return s + " keys: " + orNone(texts(op.Keys)) + " aggs: " + orNone(strings.Join(aggs, ", "))
}

func describeJoin(op *Join) string {
	s := "Join " + joinKinds[op.Kind]
	switch {
	case op.Lateral:
		s += " lateral"
	case op.Temporal != nil:
		s += " as of the left time"
	}
	for i := range op.LeftKeys {
		s += [...]string{" on ", " and "}[min(i, 1)] + op.LeftKeys[i].String() + " = " + op.RightKeys[i].String()
	}
	if len(op.Conds) > 0 {
		s += " where " + Conditions(op.Conds)
	}
	return s
}

func describeLookup(op *LookupJoin) string {
	s := "LookupJoin " + lookupKinds[op.Kind] + " " + op.Table.Name
	for i, k := range op.Keys {
		s += [...]string{" on ", " and "}[min(i, 1)] + op.Table.Table.Schema.Cols[op.Cols[i]].Name + " = " + k.String()
	}
	if op.AsOf != nil {
		s += " as of " + op.AsOf.String()
	}
	if len(op.Conds) > 0 {
		s += " where " + Conditions(op.Conds)
	}
	return s
}

// Conditions prints conjuncts in parentheses.
func Conditions(conds []expr.Expr) string {
	all := AndAll(conds)
	if all == nil {
		return "(true)"
	}
	if s := all.String(); strings.HasPrefix(s, "(") && strings.HasSuffix(s, ")") {
		return s
	}
	return "(" + all.String() + ")"
}

func callText(f Func) string {
	s := f.Name + "(" + texts(f.Args) + ")"
	if f.Ordinality {
		s += " with ordinality"
	}
	return s
}

func texts(list []expr.Expr) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = e.String()
	}
	return strings.Join(parts, ", ")
}

// named prints "expr" or "expr AS name".
func named(n *Node, exprs []expr.Expr) string {
	parts := make([]string, len(exprs))
	for i, e := range exprs {
		parts[i] = e.String()
		if name := n.Schema.Cols[i].Name; name != parts[i] && !strings.HasSuffix(parts[i], "."+name) {
			parts[i] += " AS " + name
		}
	}
	return strings.Join(parts, ", ")
}

func sortText(keys []SortKey) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = spec.SortTerm(k.X, k.Desc, k.NullsFirst)
	}
	return strings.Join(parts, ", ")
}

// wanted names the columns that are read, where they are known.
func wanted(n *Node, want []bool) string {
	if want == nil {
		return ""
	}
	var parts []string
	for i, c := range n.Schema.Cols {
		if i < len(want) && want[i] {
			parts = append(parts, c.Name)
		}
	}
	return " (columns: " + orNone(strings.Join(parts, ", ")) + ")"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
