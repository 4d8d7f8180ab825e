package session

import (
	"cmp"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/types"
)

// scanKeys reads the rows that a scan names by a unique key, in the order in which a scan of the table would; false: it names none, or not
// by values.
func scanKeys(view table.Reader, n *spec.Node, x *spec.TableScan, emit func(*batch.Batch) error) (done bool, err error) {
	type found struct {
		number uint64
		row    []types.Value
	}
	var rows []found
	var key []byte
	for _, list := range x.Values {
		key = key[:0]
		null := false
		for _, e := range list {
			c, ok := e.(*expr.Const)
			if !ok {
				return false, nil // EXPLAIN of a prepared statement has no values
			}
			if null = null || c.Val.Null; !null {
				key = batch.AppendKeyValue(key, c.Val)
			}
		}
		if null { // equal to nothing
			continue
		}
		if row, number, ok := view.Find(x.TableID, x.Key, key); ok {
			rows = append(rows, found{number, row})
		}
	}
	slices.SortFunc(rows, func(a, b found) int { return cmp.Compare(a.number, b.number) })
	rows = slices.CompactFunc(rows, func(a, b found) bool { return a.number == b.number })
	for len(rows) > 0 {
		b := batch.New(&n.Schema, nil)
		for len(rows) > 0 && b.N < batch.RowsMax {
			row := rows[0].row
			if x.Numbers {
				row = append(row[:len(row):len(row)], types.NewInt(types.Int8, int64(rows[0].number)))
			}
			b.AppendRow(row)
			rows = rows[1:]
		}
		if err := emit(b); err != nil {
			return true, err
		}
	}
	return true, nil
}
