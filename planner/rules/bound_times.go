package rules

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
)

func boundTimesRule() Rule {
	return Rule{
		Name: "bound_times",
		Doc:  "Tells the scan of a stream's history which times its filter asks for; the filter stays.",
		Apply: func(n *logical.Node, _ Env) *logical.Node {
			if _, ok := n.Op.(*logical.Result); ok {
				return n // a continuous query reads no history
			}
			return boundTimes(n)
		},
		Did: func(before, after *logical.Node, _ Env) []string { return newIn(before, after, boundFacts) },
	}
}

// boundFacts tells which times a scan asks the log's index for.
func boundFacts(n *logical.Node) []string {
	s, ok := n.Op.(*logical.Scan)
	if !ok || len(s.Bounds) == 0 {
		return nil
	}
	terms := make([]string, len(s.Bounds))
	for i, b := range s.Bounds {
		terms[i] = strings.ToLower(b.Op.String()) + " " + b.X.String()
	}
	return []string{fmt.Sprintf("Scan %s asks the log's index for times %s", s.Rel.RelName(), strings.Join(terms, ", "))}
}

func boundTimes(n *logical.Node) *logical.Node {
	return mapSubplans(bottomUp(n, boundTimesOf), boundTimes)
}

func boundTimesOf(n *logical.Node) *logical.Node {
	f, ok := n.Op.(*logical.Filter)
	if !ok {
		return n
	}
	scan, ok := n.In[0].Op.(*logical.Scan)
	if !ok {
		return n
	}
	stream, ok := scan.Rel.(*catalog.Stream)
	if !ok || stream.TimeCol < 0 {
		return n
	}
	var bounds []spec.TimeBound
	for _, c := range f.Conds {
		for _, term := range logical.Conjuncts(c) {
			if b, ok := timeBound(term, stream.TimeCol); ok {
				bounds = append(bounds, b)
			}
		}
	}
	if len(bounds) == 0 {
		return n
	}
	in := *n.In[0]
	in.Op = &logical.Scan{Rel: scan.Rel, Want: scan.Want, Bounds: bounds}
	return &logical.Node{Op: f, In: []*logical.Node{&in}, Schema: n.Schema}
}

var flipped = map[expr.CmpOp]expr.CmpOp{expr.EQ: expr.EQ, expr.LT: expr.GT, expr.LE: expr.GE, expr.GT: expr.LT, expr.GE: expr.LE}

// timeBound takes a comparison of the time column with something that is the same for all rows.
func timeBound(e expr.Expr, timeCol int) (b spec.TimeBound, ok bool) {
	c, ok := e.(*expr.Compare)
	if !ok || c.Op == expr.NE {
		return b, false
	}
	switch {
	case isColumn(c.L, timeCol) && steadyTime(c.R):
		return spec.TimeBound{Op: c.Op, X: c.R}, true
	case isColumn(c.R, timeCol) && steadyTime(c.L):
		return spec.TimeBound{Op: flipped[c.Op], X: c.L}, true
	}
	return b, false
}

func isColumn(e expr.Expr, index int) bool {
	c, ok := e.(*expr.Column)
	return ok && c.Index == index
}

// steadyTime tells whether e is a time that one evaluation gives for all rows: no column, no subquery, nothing volatile.
func steadyTime(e expr.Expr) bool {
	if e.Type().Kind != types.TimestampTZ || !movable(e) {
		return false
	}
	steady := true
	logical.Walk(e, func(e expr.Expr, _ int) bool {
		switch e.(type) {
		case *expr.Column, *expr.Subquery, *expr.InIOC, *expr.IOCEntry, *expr.InTable, *expr.TableQuery:
			steady = false
		}
		return steady
	})
	return steady
}
