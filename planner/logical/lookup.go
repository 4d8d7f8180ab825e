package logical

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// LookupKind is the kind of a lookup in a table.
type LookupKind uint8

// The kinds: both rows; the input's row and NULLs where nothing is found; the input's row where something is; where nothing is.
const (
	LookupInner LookupKind = iota
	LookupLeft
	LookupSemi
	LookupAnti
)

// LookupJoin looks each row of In[0] up in a table: its rows whose columns Cols equal Keys (over In[0]) and that meet Conds
// (over both rows), as they were at AsOf (over In[0]; nil: now). NullAware: see spec.LookupJoin. Pos is where the table is
// named, for errors.
type LookupJoin struct {
	Table     *catalog.Table
	Kind      LookupKind
	Keys      []expr.Expr
	Cols      []int
	AsOf      expr.Expr
	Conds     []expr.Expr
	NullAware bool
	// Want marks the table's columns that somebody reads; nil: all.
	Want []bool
	Pos  int
}

func (*LookupJoin) op() {}

// Joins: the table's columns come out behind those of the input.
func (l *LookupJoin) Joins() bool { return l.Kind == LookupInner || l.Kind == LookupLeft }

// TakeKeys turns the conditions (over both rows) that say that a column of the table equals something of the input into keys.
// It returns the lookup with them, and those that are none. width is the number of the input's columns.
func (l *LookupJoin) TakeKeys(conds []expr.Expr, width int) (*LookupJoin, []expr.Expr) {
	out := *l
	out.Keys, out.Cols = slices.Clone(l.Keys), slices.Clone(l.Cols)
	var rest []expr.Expr
	for _, c := range conds {
		key, col, ok := lookupKey(c, width, width+len(l.Table.Table.Schema.Cols))
		if !ok || slices.Contains(out.Cols, col) {
			rest = append(rest, c)
			continue
		}
		out.Keys, out.Cols = append(out.Keys, key), append(out.Cols, col)
	}
	return &out, rest
}

// With is the lookup with conditions (over both rows), as keys where they can be.
func (l *LookupJoin) With(conds []expr.Expr, width int) *LookupJoin {
	out, rest := l.TakeKeys(conds, width)
	out.Conds = append(slices.Clone(l.Conds), rest...)
	return out
}

// lookupKey takes input = column apart, in either order.
func lookupKey(c expr.Expr, width, all int) (key expr.Expr, col int, ok bool) {
	cmp, isCmp := c.(*expr.Compare)
	if !isCmp || cmp.Op != expr.EQ {
		return nil, 0, false
	}
	for _, side := range [2][2]expr.Expr{{cmp.L, cmp.R}, {cmp.R, cmp.L}} {
		column, isCol := sameBytes(side[1]).(*expr.Column)
		if isCol && column.Index >= width && column.Index < all && onlyBelow(side[0], width) {
			return side[0], column.Index - width, true
		}
	}
	return nil, 0, false
}

// sameBytes takes off casts that change the type's name and not what is stored: equal values stay equal bytes.
func sameBytes(e expr.Expr) expr.Expr {
	for {
		c, ok := e.(*expr.Cast)
		if !ok {
			return e
		}
		from, to := c.X.Type(), c.Typ
		if !(from.Kind.IsInteger() && to.Kind.IsInteger() || plainText(from) && plainText(to) && to.Mod == 0) {
			return e
		}
		e = c.X
	}
}

// plainText: a string whose every byte counts.
func plainText(t types.Type) bool {
	return t.Kind.IsText() && t.Kind != types.BPChar && t.Kind != types.Char
}

// onlyBelow: e reads no column at or beyond n.
func onlyBelow(e expr.Expr, n int) bool {
	ok := true
	Columns(e, func(i int) { ok = ok && i < n })
	return ok
}

// AsksTable tells whether an expression asks a table, and names the first one that it asks.
func AsksTable(e expr.Expr) (id uint64, name string, ok bool) {
	Walk(e, func(e expr.Expr, _ int) bool {
		switch t := e.(type) {
		case *expr.InTable:
			id, name, ok = t.Table, t.Name, true
		case *expr.TableQuery:
			id, name, ok = t.Table, t.Name, true
		}
		return !ok
	})
	return id, name, ok
}

// Asks tells whether an expression asks a table.
func Asks(e expr.Expr) bool {
	_, _, ok := AsksTable(e)
	return ok
}

// OrderedKernel folds the rows of a group in the order of ORDER BY within the aggregate: its arguments are those of k, then the terms.
func OrderedKernel(k agg.Kernel, args []types.Type, order []SortKey) agg.Kernel {
	terms := make([]agg.Order, len(order))
	for i, o := range order {
		terms[i] = agg.Order{Desc: o.Desc, NullsFirst: o.NullsFirst, Typ: o.X.Type()}
	}
	return agg.Ordered(k, args, terms)
}

// OrderText prints the directions of such an order.
func OrderText(order []SortKey) string {
	s := "ORDERED"
	for _, o := range order {
		s += map[bool]string{true: " DESC", false: " ASC"}[o.Desc] + map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[o.NullsFirst]
	}
	return s + " "
}

// rewriteLookup rewrites the expressions of a lookup.
func (f Rewrite) rewriteLookup(o *LookupJoin, depth int) Op {
	keys, conds, asOf := f.List(o.Keys, depth), f.List(o.Conds, depth), f.Expr(o.AsOf, depth)
	if same(keys, o.Keys) && same(conds, o.Conds) && asOf == o.AsOf {
		return o
	}
	c := *o
	c.Keys, c.Conds, c.AsOf = keys, conds, asOf
	return &c
}
