package expr

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/types"
)

// TableQueryKind is what a subquery over a table gives.
type TableQueryKind uint8

const (
	// TableAny is whether Test is true for a row, for EXISTS, IN and op ANY: true for one, else NULL for one, else false.
	TableAny TableQueryKind = iota
	// TableOne is Item of the only row; NULL without one, an error when there are more.
	TableOne
	// TableGroup is Item of the aggregates over all rows.
	TableGroup
)

// TableQuery is a subquery over one table, of any form that InTable does not have. It is asked by each row about the table's rows whose
// columns Cols equal Keys and that meet Where. Keys and Args are over the row that asks; Where, Test, Item and what is aggregated are over
// the table's row followed by Args. Item of TableGroup is over the aggregates followed by Args.
type TableQuery struct {
	Kind   TableQueryKind
	Table  uint64
	Name   string
	Schema types.Schema
	Keys   []Expr
	Cols   []int
	Args   []Expr
	Where  Expr

	// Test of TableAny; nil: always true. It cannot be true unless the columns TestCols equal TestKeys, over the row that asks. Not
	// negates the answer.
	Test     Expr
	TestKeys []Expr
	TestCols []int
	Not      bool

	Aggs []TableAgg
	Item Expr
	Typ  types.Type
	// Unique: no two rows have the keys.
	Unique bool
}

// TableAgg is an aggregate of a TableQuery. Name is how it is printed before its arguments.
type TableAgg struct {
	Name   string
	Kernel agg.Kernel
	Args   []Expr
	Filter Expr
}

// Type implements Expr.
func (e *TableQuery) Type() types.Type { return e.Typ }

// String implements Expr: what tells two of them apart is all in it.
func (e *TableQuery) String() string {
	width := len(e.Schema.Cols)
	var conds []string
	for i, k := range e.Keys {
		conds = append(conds, fmt.Sprintf("(%s.%s = %s)", e.Name, e.Schema.Cols[e.Cols[i]].Name, k))
	}
	if e.Where != nil {
		conds = append(conds, e.text(e.Where, width))
	}
	from := " FROM " + e.Name
	if len(conds) > 0 {
		from += " WHERE " + strings.Join(conds, " AND ")
	}
	switch {
	case e.Kind == TableAny && e.Test == nil:
		return "(" + not(e.Not) + "EXISTS (SELECT" + from + "))"
	case e.Kind == TableAny:
		return "(" + not(e.Not) + "ANY (SELECT " + e.text(e.Test, width) + from + "))"
	case e.Kind == TableOne:
		return "(SELECT " + e.text(e.Item, width) + from + ")"
	}
	item := Transform(e.Item, func(x Expr) Expr {
		c, ok := x.(*Column)
		if !ok || c.Index >= len(e.Aggs) {
			return x
		}
		return &Column{Index: c.Index, Name: e.aggText(&e.Aggs[c.Index]), Typ: c.Typ}
	})
	return "(SELECT " + e.text(item, len(e.Aggs)) + from + ")"
}

// text prints an expression whose columns from width on are Args.
func (e *TableQuery) text(x Expr, width int) string {
	return Transform(x, func(x Expr) Expr {
		if c, ok := x.(*Column); ok && c.Index >= width {
			return e.Args[c.Index-width]
		}
		return x
	}).String()
}

func (e *TableQuery) aggText(a *TableAgg) string {
	width, args := len(e.Schema.Cols), make([]string, len(a.Args))
	for i, x := range a.Args {
		args[i] = e.text(x, width)
	}
	if len(args) == 0 {
		args = []string{"*"}
	}
	s := a.Name + strings.Join(args, ", ") + ")"
	if a.Filter != nil {
		s += " FILTER (WHERE " + e.text(a.Filter, width) + ")"
	}
	return s
}

// operands are what is over the row that asks.
func (e *TableQuery) operands() []Expr {
	out := make([]Expr, 0, len(e.Keys)+len(e.TestKeys)+len(e.Args))
	return append(append(append(out, e.Keys...), e.TestKeys...), e.Args...)
}

func (e *TableQuery) withOperands(k []Expr) *TableQuery {
	c := *e
	keys, tests := len(e.Keys), len(e.Keys)+len(e.TestKeys)
	c.Keys, c.TestKeys, c.Args = k[:keys:keys], k[keys:tests:tests], k[tests:]
	return &c
}

// Inner lists what is evaluated over the table's rows, and over their aggregates. Sound: an answer fails only where one of those does.
func (e *TableQuery) Inner() (list []Expr, sound bool) {
	sound = e.Kind != TableOne || e.Unique
	for i := range e.Aggs {
		sound = sound && agg.NeverFails(e.Aggs[i].Kernel)
	}
	return e.inner(), sound
}

// inner are the expressions over the table's rows, and over their aggregates.
func (e *TableQuery) inner() []Expr {
	var out []Expr
	for _, x := range []Expr{e.Where, e.Test, e.Item} {
		if x != nil {
			out = append(out, x)
		}
	}
	for i := range e.Aggs {
		out = append(out, e.Aggs[i].Args...)
		if f := e.Aggs[i].Filter; f != nil {
			out = append(out, f)
		}
	}
	return out
}

// InTables rewrites the expressions over the rows of a table that a question to it holds; other expressions stay as they are.
func InTables(e Expr, fn func(Expr) Expr) Expr {
	do := func(x Expr) Expr {
		if x == nil {
			return nil
		}
		return fn(x)
	}
	switch e := e.(type) {
	case *InTable:
		c := *e
		c.Where = do(e.Where)
		return &c
	case *TableQuery:
		c := *e
		c.Where, c.Test, c.Item, c.Aggs = do(e.Where), do(e.Test), do(e.Item), append([]TableAgg(nil), e.Aggs...)
		for i := range c.Aggs {
			a := &c.Aggs[i]
			a.Filter, a.Args = do(a.Filter), append([]Expr(nil), a.Args...)
			for k := range a.Args {
				a.Args[k] = do(a.Args[k])
			}
		}
		return &c
	}
	return e
}
