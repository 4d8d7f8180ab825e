package task

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/predindex"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Predicate takes the conditions off the front of an input: the filters that its rows pass first, and the lookups in tables that
// are conditions too. What a join with a table asks for is part of them, and the join stays. It returns them as one predicate, for
// the index of the stream's queries, and how many of Front's nodes they are.
func (in *Input) Predicate() (p *predindex.Predicate, nodes int) {
	var conds []expr.Expr
	var terms []predindex.Term
	for _, n := range in.Front {
		switch o := n.Op.(type) {
		case *spec.Filter:
			conds = append(conds, o.Cond)
		case *spec.LookupJoin:
			if !isCondition(o) {
				if found := implied(o); found != nil {
					conds = append(conds, found)
				}
				return predindex.New(conjunction(conds), terms), nodes
			}
			schema := &n.In[0].Schema
			if e := asExpr(o, len(schema.Cols)); e != nil {
				conds = append(conds, e)
				break
			}
			terms = append(terms, predindex.Term{Key: lookupKey(o), New: func() (predindex.Filterer, error) { return newLookupFilter(o, schema) }})
		default:
			return predindex.New(conjunction(conds), terms), nodes
		}
		nodes++
	}
	return predindex.New(conjunction(conds), terms), nodes
}

func conjunction(list []expr.Expr) expr.Expr {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return &expr.And{Args: list}
}

// isCondition reports a lookup that only says which rows pass, and cannot fail for one of them.
func isCondition(o *spec.LookupJoin) bool {
	if o.Kind != spec.Semi && o.Kind != spec.Anti || o.AsOf != nil || o.Cond != nil && !predindex.Safe(o.Cond) {
		return false
	}
	for _, k := range o.Keys {
		if !predindex.Safe(k) {
			return false
		}
	}
	return true
}

// implied is what rows must meet for a join with a table to have rows for them: the index finds the few that do for all queries at once.
// nil: nothing is known.
func implied(o *spec.LookupJoin) expr.Expr {
	if o.Kind != spec.Inner || o.AsOf != nil || len(o.Keys) == 0 || slices.ContainsFunc(o.Keys, func(k expr.Expr) bool { return !predindex.Safe(k) }) {
		return nil
	}
	return &expr.InTable{Table: o.TableID, Name: o.Name, Schema: o.TableSchema, Keys: o.Keys, Cols: o.Cols, Exists: true}
}

// asExpr is a lookup that is a condition as an expression, nil when it compares both rows otherwise than by its keys. width is the
// number of the input's columns.
func asExpr(o *spec.LookupJoin, width int) expr.Expr {
	out := &expr.InTable{Table: o.TableID, Name: o.Name, Schema: o.TableSchema, Keys: o.Keys, Cols: o.Cols, Exists: !o.NullAware,
		Not: o.Kind == spec.Anti}
	alone := true
	out.Where = expr.Transform(o.Cond, func(e expr.Expr) expr.Expr {
		c, ok := e.(*expr.Column)
		if !ok {
			return e
		}
		alone = alone && c.Index >= width
		return &expr.Column{Index: c.Index - width, Name: c.Name, Typ: c.Typ}
	})
	if !alone {
		return nil
	}
	return out
}

// lookupKey is equal for lookups that let the same rows pass.
func lookupKey(o *spec.LookupJoin) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %d kind %d columns %v aware %v", o.TableID, o.Kind, o.Cols, o.NullAware)
	for _, k := range o.Keys {
		b.WriteString("\x00" + predindex.Canonical(k))
	}
	if o.Cond != nil {
		b.WriteString("\x00where " + predindex.Canonical(o.Cond))
	}
	return b.String()
}

// lookupFilter is a lookup as a condition.
type lookupFilter struct {
	join *op.LookupJoin
	out  []uint32
}

func newLookupFilter(o *spec.LookupJoin, in *types.Schema) (*lookupFilter, error) {
	j, err := op.NewLookupJoin(o, in)
	return &lookupFilter{join: j}, err
}

// Filter implements predindex.Filterer.
func (f *lookupFilter) Filter(ctx *expr.Ctx, b *batch.Batch, sel, dst []uint32) ([]uint32, error) {
	if err := f.join.Open(ctx); err != nil {
		return dst, err
	}
	f.out = dst
	err := f.join.Process(0, op.Input{B: b, Sel: sel}, f)
	dst, f.out = f.out, nil
	return dst, err
}

// Emit implements op.Emitter.
func (f *lookupFilter) Emit(in op.Input) error {
	f.out = append(f.out, in.Sel...)
	return nil
}
