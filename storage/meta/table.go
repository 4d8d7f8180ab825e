package meta

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vigil-sql/vigil/storage/kv"
)

const tableVersion = 1

// TableRow is one version of a row of a table. It belongs to the table from epoch Added on; From is the clock (microseconds)
// from which on it holds, math.MinInt64 for always. Data is the row in the caller's form.
type TableRow struct {
	Number uint64
	Added  uint64
	From   int64
	Data   []byte
}

// TableEnd says that a row version of a table is over from an epoch on, at the clock At.
type TableEnd struct {
	Table, Number uint64
	Epoch         uint64
	At            int64
}

// PutTableRow adds a row version to b.
func (s *Store) PutTableRow(b kv.Batch, table uint64, r TableRow) {
	v := binary.BigEndian.AppendUint64([]byte{tableVersion}, r.Added)
	v = binary.BigEndian.AppendUint64(v, uint64(r.From))
	b.Set(binary.BigEndian.AppendUint64(numberKey(kindTableRow, table), r.Number), append(v, r.Data...))
}

// EndTableRow adds to b that a row version is over.
func (s *Store) EndTableRow(b kv.Batch, e TableEnd) {
	s.ended.Store(true)
	b.Set(tableEndKey(e), binary.BigEndian.AppendUint64([]byte{tableVersion}, uint64(e.At)))
}

// TableRows calls fn for all row versions of a table that are kept, by number, until it returns an error. Data is valid during
// the call.
func (s *Store) TableRows(table uint64, fn func(TableRow) error) error {
	lo := numberKey(kindTableRow, table)
	err := s.kv.Scan(lo, kv.PrefixEnd(lo), func(key, value []byte) (bool, error) {
		if len(value) > 0 && value[0] != tableVersion {
			return false, fmt.Errorf("%w: %w", ErrCorrupt, kv.CheckVersion("a table's row", value, tableVersion))
		}
		if len(key) != 18 || len(value) < 17 {
			return false, fmt.Errorf("%w: table row %x", ErrCorrupt, key)
		}
		return true, fn(TableRow{Number: binary.BigEndian.Uint64(key[10:]), Added: binary.BigEndian.Uint64(value[1:]),
			From: int64(binary.BigEndian.Uint64(value[9:])), Data: value[17:]})
	})
	if err != nil {
		return fmt.Errorf("read table %d: %w", table, err)
	}
	return nil
}

// TableEnds calls fn for the ends of row versions of all tables, by epoch, until it returns an error.
func (s *Store) TableEnds(fn func(TableEnd) error) error {
	lo, hi := kindRange(kindTableEnd)
	return s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		e, err := decodeTableEnd(key, value)
		if err != nil {
			return false, err
		}
		return true, fn(e)
	})
}

// PurgeTables adds to b that row versions are forgotten that were over both at an epoch and at a clock. No epoch before the given
// one may have to run again after that, and nobody may ask for a time before the clock.
func (s *Store) PurgeTables(b kv.Batch, epoch uint64, clock int64) (int, error) {
	n := 0
	lo, hi := kindRange(kindTableEnd)
	if s.ended.Swap(false) {
		// Ends only come at the end of their keys, for a day, so that the store would keep the few of each of its small files apart from all others. What
		// is said of a key before all of them, which is never there, has files overlap, and be merged.
		b.Delete(lo)
	}
	err := s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		e, err := decodeTableEnd(key, value)
		if err != nil {
			return false, err
		}
		if e.Epoch > epoch || e.At > clock {
			return false, nil // clocks follow epochs but for steps backwards, and then the rest waits
		}
		b.Delete(tableEndKey(e))
		b.Delete(binary.BigEndian.AppendUint64(numberKey(kindTableRow, e.Table), e.Number))
		n++
		return true, nil
	})
	if err != nil {
		return 0, fmt.Errorf("purge table rows: %w", err)
	}
	return n, nil
}

// DropTable adds to b that all rows of a table are forgotten.
func (s *Store) DropTable(b kv.Batch, table uint64) {
	lo := numberKey(kindTableRow, table)
	b.DeleteRange(lo, kv.PrefixEnd(lo))
}

func tableEndKey(e TableEnd) []byte {
	k := binary.BigEndian.AppendUint64(numberKey(kindTableEnd, e.Epoch), e.Table)
	return binary.BigEndian.AppendUint64(k, e.Number)
}

func decodeTableEnd(key, value []byte) (TableEnd, error) {
	if len(value) > 0 && value[0] != tableVersion {
		return TableEnd{}, fmt.Errorf("%w: %w", ErrCorrupt, kv.CheckVersion("the end of a table's row", value, tableVersion))
	}
	if len(key) != 26 || len(value) != 9 {
		return TableEnd{}, fmt.Errorf("%w: end of a table row %x", ErrCorrupt, key)
	}
	return TableEnd{Epoch: binary.BigEndian.Uint64(key[2:]), Table: binary.BigEndian.Uint64(key[10:]),
		Number: binary.BigEndian.Uint64(key[18:]), At: int64(binary.BigEndian.Uint64(value[1:]))}, nil
}

// Always is the From of a row version that holds for all time before it too.
const Always = math.MinInt64
