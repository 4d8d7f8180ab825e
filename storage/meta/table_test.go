package meta

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// tableState prints all rows of a table and all ends.
func tableState(t *testing.T, m *Store, table uint64) (rows, ends []string) {
	t.Helper()
	err := m.TableRows(table, func(r TableRow) error {
		rows = append(rows, fmt.Sprintf("%d+%d@%d=%s", r.Number, r.Added, r.From, r.Data))
		return nil
	})
	err = errors.Join(err, m.TableEnds(func(e TableEnd) error {
		ends = append(ends, fmt.Sprintf("%d/%d-%d@%d", e.Table, e.Number, e.Epoch, e.At))
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return rows, ends
}

func TestTables(t *testing.T) {
	m := open(t, kv.NewMem())
	commit(t, m, func(b kv.Batch) error {
		m.PutTableRow(b, 7, TableRow{Number: 2, Added: 3, From: -5, Data: []byte("b")})
		m.PutTableRow(b, 7, TableRow{Number: 1, Added: 3, From: Always, Data: []byte("a")})
		m.PutTableRow(b, 7, TableRow{Number: 300, Added: 4, From: 9})
		m.PutTableRow(b, 8, TableRow{Number: 1, Added: 4, From: 9, Data: []byte("x")})
		m.EndTableRow(b, TableEnd{Table: 7, Number: 2, Epoch: 300, At: 50})
		m.EndTableRow(b, TableEnd{Table: 7, Number: 1, Epoch: 5, At: -1})
		m.EndTableRow(b, TableEnd{Table: 8, Number: 1, Epoch: 6, At: 40})
		return nil
	})
	rows, ends := tableState(t, m, 7)
	if want := []string{fmt.Sprintf("1+3@%d=a", int64(Always)), "2+3@-5=b", "300+4@9="}; !slices.Equal(rows, want) {
		t.Errorf("rows %q, want %q", rows, want)
	}
	if want := []string{"7/1-5@-1", "8/1-6@40", "7/2-300@50"}; !slices.Equal(ends, want) {
		t.Errorf("ends %q, want %q", ends, want)
	}
	for _, c := range []struct {
		epoch uint64
		clock int64
		want  int
	}{{4, 100, 0}, {5, -2, 0}, {10, 0, 1}, {10, 39, 0}, {6, 40, 1}, {299, 100, 0}} {
		commit(t, m, func(b kv.Batch) error {
			n, err := m.PurgeTables(b, c.epoch, c.clock)
			if n != c.want {
				t.Errorf("%d purged at epoch %d and clock %d, want %d", n, c.epoch, c.clock, c.want)
			}
			return err
		})
	}
	if rows, ends = tableState(t, m, 7); len(rows) != 2 || len(ends) != 1 {
		t.Errorf("after purging: %q %q", rows, ends)
	}
	if rows, _ = tableState(t, m, 8); len(rows) != 0 {
		t.Errorf("after purging: %q", rows)
	}
	commit(t, m, func(b kv.Batch) error { m.DropTable(b, 7); return nil })
	if rows, ends = tableState(t, m, 7); len(rows) != 0 || len(ends) != 1 {
		t.Errorf("after dropping: %q %q", rows, ends)
	}
	commit(t, m, func(b kv.Batch) error { _, err := m.PurgeTables(b, 300, 50); return err })
	if _, ends = tableState(t, m, 7); len(ends) != 0 {
		t.Errorf("ends of a dropped table stay: %q", ends)
	}
}

func TestCorruptTables(t *testing.T) {
	for name, row := range map[string]struct{ key, value []byte }{
		"row key":     {append(numberKey(kindTableRow, 1), 1), make([]byte, 17)},
		"row version": {append(numberKey(kindTableRow, 1), make([]byte, 8)...), make([]byte, 17)},
		"row short":   {append(numberKey(kindTableRow, 1), make([]byte, 8)...), []byte{tableVersion}},
		"end key":     {numberKey(kindTableEnd, 1), append([]byte{tableVersion}, make([]byte, 8)...)},
		"end version": {tableEndKey(TableEnd{}), make([]byte, 9)},
		"end long":    {tableEndKey(TableEnd{}), append([]byte{tableVersion}, make([]byte, 9)...)},
	} {
		s := kv.NewMem()
		b := s.NewBatch()
		b.Set(row.key, row.value)
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
		m := open(t, s)
		err := errors.Join(m.TableRows(1, func(TableRow) error { return nil }), m.TableEnds(func(TableEnd) error { return nil }))
		_, purge := m.PurgeTables(s.NewBatch(), 9, 9)
		if !errors.Is(err, ErrCorrupt) || name[:3] == "end" && !errors.Is(purge, ErrCorrupt) {
			t.Errorf("%s: %v, %v", name, err, purge)
		}
	}
}
