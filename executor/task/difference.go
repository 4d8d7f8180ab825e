package task

import (
	"reflect"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// difference finds the first place, from the inputs up, in which two plans differ: what part of a query that is, and in words what
// stands there in each. Parts are "" when the plans are the same.
func difference(a, b *spec.Node) (part, detail string) {
	for i := range min(len(a.In), len(b.In)) {
		if part, detail = difference(a.In[i], b.In[i]); part != "" {
			return part, detail
		}
	}
	if len(a.In) == len(b.In) && sameOp(a, b) {
		return "", ""
	}
	// One of the two may only have an operator more: the other's input tells which.
	switch {
	case len(a.In) == 1 && samePlan(a.In[0], b):
		return partOf(a, nil), "The old text has here, and the new one has not: " + spec.Describe(a)
	case len(b.In) == 1 && samePlan(a, b.In[0]):
		return partOf(b, nil), "The new text has here, and the old one has not: " + spec.Describe(b)
	}
	was, is := spec.Describe(a), spec.Describe(b)
	if was == is || sameStream(a, b) { // the columns that are read differ, for the sake of what stands over it
		return "", ""
	}
	return partOf(a, b), "The old text: " + was + "\nThe new text: " + is
}

// sameStream reports two reads of one stream.
func sameStream(a, b *spec.Node) bool {
	x, ok := a.Op.(*spec.StreamScan)
	y, ok2 := b.Op.(*spec.StreamScan)
	return ok && ok2 && x.StreamID == y.StreamID
}

// sameOp compares what two operators do, without their inputs.
func sameOp(a, b *spec.Node) bool {
	x, y := described{}, described{}
	x.value(reflect.ValueOf(a.Op), 0)
	y.value(reflect.ValueOf(b.Op), 0)
	return !x.tooLarge && !y.tooLarge && string(x.text) == string(y.text) && sameTypes(a.Schema, b.Schema)
}

func sameTypes(a, b types.Schema) bool {
	if len(a.Cols) != len(b.Cols) {
		return false
	}
	for i := range a.Cols {
		if a.Cols[i].Type != b.Cols[i].Type {
			return false
		}
	}
	return true
}

// partOf names what an operator is of a query's text; b is what stands there in the other text, nil: nothing.
func partOf(a, b *spec.Node) string {
	if b != nil && reflect.TypeOf(a.Op) != reflect.TypeOf(b.Op) {
		for _, n := range []*spec.Node{a, b} {
			if _, ok := n.Op.(*spec.Filter); ok {
				return "its condition before grouping"
			}
		}
		return "the operators below its results"
	}
	switch x := a.Op.(type) {
	case *spec.StreamScan, *spec.ResultScan, *spec.TableScan, *spec.VirtualScan, *spec.Values, *spec.FuncScan:
		return "what it reads"
	case *spec.Filter:
		return "its condition before grouping"
	case *spec.Project, *spec.ProjectSet:
		return "what is computed before grouping"
	case *spec.Exchange:
		return "its keys"
	case *spec.WindowAgg:
		return windowPart(x, b)
	case *spec.GroupAgg, *spec.HashAgg, *spec.GroupingSets, *spec.Distinct:
		return "its keys, aggregates or EMIT"
	case *spec.IntervalJoin, *spec.TemporalJoin, *spec.Join, *spec.LookupJoin:
		return "its join"
	case *spec.Match:
		return "its pattern"
	}
	return "its functions over rows"
}

// windowPart tells what of a window's grouping differs.
func windowPart(a *spec.WindowAgg, b *spec.Node) string {
	if b == nil {
		return "its grouping"
	}
	x := b.Op.(*spec.WindowAgg)
	same := func(a, b any) bool {
		p, q := described{}, described{}
		p.value(reflect.ValueOf(a), 0)
		q.value(reflect.ValueOf(b), 0)
		return string(p.text) == string(q.text)
	}
	switch {
	case !same(a.Keys, x.Keys):
		return "its keys"
	case !same(a.Emit, x.Emit):
		return "EMIT"
	case !same(a.Aggs, x.Aggs):
		return "its aggregates"
	}
	return "its window"
}
