package task

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/predindex"
	"github.com/vigil-sql/vigil/executor/spec"
)

// SharedGrouping tells what programs have in common that may share the state of their groupings: the text of stream, filter, keys and
// window, and what of their aggregates may fail, op.Risk, in order; with the grouping itself, which is one by window.None where it has no
// window. "" when this one shares with none.
func (p *Parts) SharedGrouping() (text string, w *spec.WindowAgg, risks []string) {
	if len(p.Inputs) != 1 || p.Inputs[0].IsResult || p.Keyed == nil {
		return "", nil, nil
	}
	w, n := p.Grouping()
	in := &p.Inputs[0]
	if w == nil || n.In[0] != in.below || !op.Shareable(w) {
		return "", nil, nil
	}
	risks, ok := risksOf(w)
	if !ok {
		return "", nil, nil
	}
	// The filter reads the stream's columns, whose names are unlike each other, so that equal texts mean equal filters.
	var b strings.Builder
	fmt.Fprintf(&b, "%d %+v %+v %d", in.Source, w.Window, w.Emit, w.Lateness)
	for _, f := range in.Front {
		x, ok := f.Op.(*spec.Filter)
		if !ok || !repeats(x.Cond) {
			return "", nil, nil
		}
		fmt.Fprintf(&b, "\nwhere %s", expr.Exact(x.Cond))
	}
	for _, list := range [2][]expr.Expr{w.Keys, in.Exchange.Keys} {
		b.WriteString("\nby")
		for _, x := range list {
			if !repeats(x) {
				return "", nil, nil
			}
			fmt.Fprintf(&b, " %s,", expr.Exact(x))
		}
	}
	for _, text := range risks {
		fmt.Fprintf(&b, "\nmay fail %s", text)
	}
	return b.String(), w, risks
}

// Grouping is the topmost operator with state where that is a grouping, as SharedGrouping tells it, and its node.
func (p *Parts) Grouping() (*spec.WindowAgg, *spec.Node) {
	for n := p.Keyed; ; n = n.In[0] {
		switch x := n.Op.(type) {
		case *spec.Filter, *spec.Project:
			continue
		case *spec.WindowAgg:
			return x, n
		case *spec.GroupAgg:
			return &spec.WindowAgg{Keys: x.Keys, Aggs: x.Aggs, Emit: x.Emit}, n
		}
		return nil, n
	}
}

// risksOf are what of the aggregates may fail on a row, each once, in the order in which it is evaluated; false when something cannot be
// told by its text.
func risksOf(w *spec.WindowAgg) (risks []string, ok bool) {
	for i := range w.Aggs {
		a := &w.Aggs[i]
		list, risk := a.Args, false
		if a.Filter != nil {
			list = append(slices.Clip(list), a.Filter)
		}
		for _, x := range list {
			if !repeats(x) || !predindex.Safe(x) && asksTables(x) {
				return nil, false
			}
			risk = risk || !predindex.Safe(x)
		}
		if text := op.Risk(a); risk && !slices.Contains(risks, text) {
			risks = append(risks, text)
		}
	}
	return risks, true
}

// asksTables reports that an expression asks for rows of tables.
func asksTables(x expr.Expr) (asks bool) {
	expr.Walk(x, func(x expr.Expr) bool {
		switch x.(type) {
		case *expr.InTable, *expr.TableQuery:
			asks = true
		}
		return !asks
	})
	return asks
}

// repeats reports that an expression gives the same when it is evaluated twice, for two queries, and that its text is all of it.
func repeats(x expr.Expr) bool {
	same := true
	expr.Walk(x, func(x expr.Expr) bool {
		switch x.(type) {
		case *expr.UDF, *expr.Subquery, *expr.Outer, *expr.Param:
			same = false
		}
		return same
	})
	return same
}

// Member is what the lowest operator, a grouping, can be of shared state.
func (t *Tree) Member() *op.Member {
	n := t.nodes[0]
	return &op.Member{Agg: n.raw, Out: n.out}
}

// TakeShared counts rows in that shared state has taken, and reports those that were left out there.
func (t *Tree) TakeShared(in op.Input, left []op.LeftRow) error {
	n := t.nodes[0]
	n.counts.In += int64(len(in.Sel))
	if len(left) == 0 {
		return nil
	}
	return n.raw.(op.Leaver).TakeLeft(left)
}
