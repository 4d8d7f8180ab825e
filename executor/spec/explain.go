package spec

import (
	"fmt"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Explain prints a plan as indented trees: see Lines.
func Explain(p *Program) []string { return Lines(Outlines(p), nil) }

// Describe is the EXPLAIN line of one operator.
func Describe(n *Node) string {
	switch op := n.Op.(type) {
	case *StreamScan:
		return describeStreamScan(n, op)
	case *ResultScan:
		return "ResultScan " + op.Name
	case *VirtualScan:
		return fmt.Sprintf("VirtualScan %s.%s", op.Schema, op.Name)
	case *TableScan:
		return "TableScan " + op.Name + describeKeys(op)
	case *LookupJoin:
		return describeLookup(op)
	case *Values:
		return fmt.Sprintf("Values (%d rows)", len(op.Rows))
	case *FuncScan:
		return "FuncScan " + describeFunc(op)
	case *Filter:
		return "Filter " + parens(op.Cond.String())
	case *Project:
		return fmt.Sprintf("Project (%s)", projected(&n.Schema, op.Exprs))
	case *ProjectSet:
		return fmt.Sprintf("ProjectSet (%s)", sets(op))
	case *Exchange:
		return fmt.Sprintf("Exchange hash(%s)", list(op.Keys))
	case *WindowAgg:
		return describeWindowAgg(op, n)
	case *GroupAgg:
		return describeGroupAgg(op)
	case *Over, *FirstSeen, *Suppress:
		return describeRows(n)
	case *HashAgg:
		return fmt.Sprintf("HashAgg keys: %s aggs: %s", orNone(list(op.Keys)), orNone(aggs(op.Aggs)))
	case *GroupingSets:
		return describeGroupingSets(op)
	case *SortedOver:
		return describeSortedOver(op)
	case *Distinct:
		if len(op.On) > 0 {
			return fmt.Sprintf("Distinct on (%s)", list(op.On))
		}
		return "Distinct"
	case *Join:
		return describeJoin(op)
	case *IntervalJoin:
		return describeIntervalJoin(op)
	case *TemporalJoin:
		return describeTemporalJoin(op)
	case *Recursive, *WorkScan, *Shared:
		return describeWith(n)
	case *Union:
		return "Union"
	case *SetOp:
		return describeSetOp(op)
	case *Sort:
		return "Sort by " + sorts(op.Keys)
	case *Limit:
		return describeLimit(op)
	case *Match:
		return describeMatch(op)
	case *Result:
		return "Result " + op.Name
	}
	return fmt.Sprintf("%T", n.Op)
}

// parens puts parentheses around text that has none.
func parens(s string) string {
	if strings.HasPrefix(s, "(") && strings.HasSuffix(s, ")") {
		return s
	}
	return "(" + s + ")"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func list(exprs []expr.Expr) string {
	parts := make([]string, len(exprs))
	for i, x := range exprs {
		parts[i] = x.String()
	}
	return strings.Join(parts, ", ")
}

// wanted names the columns that are read.
func wanted(s *types.Schema, want []bool) string {
	var parts []string
	for i, c := range s.Cols {
		if want == nil || want[i] {
			parts = append(parts, c.Name)
		}
	}
	return orNone(strings.Join(parts, ", "))
}

// projected prints "expr" or "expr AS name".
func projected(s *types.Schema, exprs []expr.Expr) string {
	parts := make([]string, len(exprs))
	for i, x := range exprs {
		text := x.String()
		parts[i] = text
		if name := s.Cols[i].Name; name != text && !strings.HasSuffix(text, "."+name) {
			parts[i] += " AS " + name
		}
	}
	return strings.Join(parts, ", ")
}

func sets(op *ProjectSet) string {
	var parts []string
	for _, f := range op.Funcs {
		if f != nil {
			parts = append(parts, describeFunc(f))
		}
	}
	return strings.Join(parts, ", ")
}

// describeFunc prints a call, and those beside it.
func describeFunc(f *FuncScan) string {
	s := f.Name + "(" + list(f.Args) + ")"
	for _, w := range f.With {
		s += ", " + describeFunc(w)
	}
	if f.Ordinality {
		s += " with ordinality"
	}
	return s
}

// micros prints microseconds as "5s", "1h", "1m30s".
func micros(us int64) string {
	s := (time.Duration(us) * time.Microsecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func aggs(calls []AggCall) string {
	parts := make([]string, len(calls))
	for i, a := range calls {
		args := list(a.Args)
		if len(a.Args) == 0 {
			args = "*"
		}
		if a.Distinct {
			args = "DISTINCT " + args
		}
		if len(a.OrderBy) > 0 {
			args += " ORDER BY " + sorts(a.OrderBy)
		}
		parts[i] = a.Name + "(" + args + ")"
		if a.Filter != nil {
			parts[i] += " FILTER " + parens(a.Filter.String())
		}
	}
	return strings.Join(parts, ", ")
}

func sorts(keys []SortKey) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = SortTerm(k.X, k.Desc, k.NullsFirst)
	}
	return strings.Join(parts, ", ")
}

// SortTerm prints a term of ORDER BY; where NULLs come is left out where it is as usual.
func SortTerm(x expr.Expr, desc, nullsFirst bool) string {
	s := x.String()
	if desc {
		s += " DESC"
	}
	switch {
	case nullsFirst && !desc:
		s += " NULLS FIRST"
	case !nullsFirst && desc:
		s += " NULLS LAST"
	}
	return s
}

func describeJoin(op *Join) string {
	s := [...]string{Inner: "inner", Left: "left", Right: "right", Full: "full", Cross: "cross"}[op.Kind]
	if op.Lateral {
		s += " lateral"
	}
	s = "Join " + s
	for i := range op.LeftKeys {
		sep := " and "
		if i == 0 {
			sep = " on "
		}
		s += fmt.Sprintf("%s%s = %s", sep, op.LeftKeys[i], op.RightKeys[i])
	}
	if op.Cond != nil {
		s += " where " + parens(op.Cond.String())
	}
	return s
}

func describeSetOp(op *SetOp) string {
	s := "Intersect"
	if op.Except {
		s = "Except"
	}
	if op.All {
		s += " all"
	}
	return s
}

func describeLimit(op *Limit) string {
	s := "Limit"
	if op.Count != nil {
		s += " " + op.Count.String()
	}
	if op.Offset != nil {
		s += " offset " + op.Offset.String()
	}
	return s
}

// exprsOf lists the expressions of an operator.
func exprsOf(o Op) []expr.Expr {
	switch op := o.(type) {
	case *Values:
		var out []expr.Expr
		for _, r := range op.Rows {
			out = append(out, r...)
		}
		return out
	case *Filter:
		return []expr.Expr{op.Cond}
	case *Project:
		return op.Exprs
	case *HashAgg:
		return groupExprs(op.Keys, op.Aggs)
	case *GroupingSets:
		return groupExprs(op.Keys, op.Aggs)
	case *SortedOver:
		return SortedExprs(op)
	case *Join:
		out := append([]expr.Expr(nil), op.LeftKeys...)
		return append(append(out, op.RightKeys...), op.Cond)
	case *IntervalJoin:
		return append(append(append([]expr.Expr(nil), op.LeftKeys...), op.RightKeys...), op.Cond)
	case *TemporalJoin:
		return append(append(append([]expr.Expr(nil), op.LeftKeys...), op.RightKeys...), op.Cond)
	case *Sort:
		var out []expr.Expr
		for _, k := range op.Keys {
			out = append(out, k.X)
		}
		return out
	}
	return nil
}

// groupExprs lists the expressions of a grouping.
func groupExprs(keys []expr.Expr, aggs []AggCall) []expr.Expr {
	out := append([]expr.Expr(nil), keys...)
	for _, a := range aggs {
		out = append(out, a.Args...)
		out = append(out, a.Filter)
	}
	return out
}

// describeKeys tells how many rows a scan looks up by key, and of one which.
func describeKeys(op *TableScan) string {
	switch len(op.Values) {
	case 0:
		return ""
	case 1:
		return " key: " + list(op.Values[0])
	}
	return fmt.Sprintf(" keys: %d", len(op.Values))
}
