package lower

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
)

// keyLookupsMax bounds the keys that one scan looks up; beyond it reading the table is as good.
const keyLookupsMax = 10_000

// byKey has a scan of a table read only the rows whose unique key a filter above names. The filter stays: what is looked up is no
// more than a bound of what it lets pass.
func byKey(n *logical.Node, scan *spec.TableScan, conds []expr.Expr) {
	var t *catalog.Table
	switch op := n.Op.(type) {
	case *logical.Scan:
		switch r := op.Rel.(type) {
		case *catalog.Table:
			t = r
		case *catalog.TableRows:
			t = r.Table
		}
	}
	if t == nil {
		return
	}
	named := map[int][]expr.Expr{}
	for _, c := range conds {
		if col, list := equalTo(c, &t.Table.Schema); list != nil && (named[col] == nil || len(list) < len(named[col])) {
			named[col] = list
		}
	}
	for i := range t.Keys {
		k := &t.Keys[i]
		if !k.Unique || len(k.Cols) == 0 {
			continue
		}
		if values := product(k.Cols, named); values != nil {
			scan.Key, scan.Values = k.Cols, values
			return
		}
	}
}

// equalTo takes a condition apart that says of a column that it is equal to one of a list of constants and parameters of its own type.
func equalTo(c expr.Expr, schema *types.Schema) (col int, list []expr.Expr) {
	var x expr.Expr
	switch e := c.(type) {
	case *expr.Compare:
		if e.Op != expr.EQ {
			return 0, nil
		}
		x, list = e.L, []expr.Expr{e.R}
		if _, ok := x.(*expr.Column); !ok {
			x, list = e.R, []expr.Expr{e.L}
		}
	case *expr.In:
		if e.Not {
			return 0, nil
		}
		x, list = e.X, e.List
	}
	at, ok := x.(*expr.Column)
	if !ok || at.Index >= len(schema.Cols) || !hashesAsEqual(schema.Cols[at.Index].Type) {
		return 0, nil
	}
	for _, v := range list {
		switch v.(type) {
		case *expr.Const, *expr.Param:
			if sameKey(v.Type().Kind, schema.Cols[at.Index].Type.Kind) {
				continue
			}
		}
		return 0, nil
	}
	return at.Index, list
}

// sameKey reports that equal values of two kinds have the same bytes as keys.
func sameKey(a, b types.Kind) bool {
	text := func(k types.Kind) bool { return k == types.Text || k == types.Varchar }
	return a == b || text(a) && text(b)
}

// hashesAsEqual reports that values of a type are equal exactly when their keys have the same bytes.
func hashesAsEqual(t types.Type) bool {
	switch t.Kind {
	case types.Int2, types.Int4, types.Int8, types.Text, types.Varchar, types.UUID, types.Bool, types.Date, types.Timestamp, types.TimestampTZ:
		return true
	}
	return false
}

// product lists the combinations of what the columns may be; nil when one may be anything, or there are too many.
func product(cols []int, named map[int][]expr.Expr) [][]expr.Expr {
	out := [][]expr.Expr{nil}
	for _, c := range cols {
		list := named[c]
		if len(list) == 0 || len(out)*len(list) > keyLookupsMax {
			return nil
		}
		next := make([][]expr.Expr, 0, len(out)*len(list))
		for _, head := range out {
			for _, v := range list {
				next = append(next, append(head[:len(head):len(head)], v))
			}
		}
		out = next
	}
	return out
}
