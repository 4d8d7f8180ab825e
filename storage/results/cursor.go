package results

import (
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

const cursorVersion = 1

func cursorKey(name string) []byte {
	return append([]byte{kv.PrefixResults, kindCursor}, name...)
}

// SetCursor adds to b that the durable cursor name stands at off: the offset of the next row its reader wants.
func (s *Store) SetCursor(b kv.Batch, name string, off int64) {
	b.Set(cursorKey(name), binary.BigEndian.AppendUint64([]byte{cursorVersion}, uint64(off)))
}

// Cursor returns where a cursor stands; false when there is none of that name.
func (s *Store) Cursor(name string) (off int64, ok bool, err error) {
	value, ok, err := s.kv.Get(cursorKey(name))
	if err != nil {
		return 0, false, fmt.Errorf("read cursor %s: %w", name, err)
	}
	if !ok {
		return 0, false, nil
	}
	if err := kv.CheckVersion("a cursor", value, cursorVersion); err != nil {
		return 0, false, fmt.Errorf("read cursor %s: %w: %w", name, ErrCorrupt, err)
	}
	if len(value) != 9 {
		return 0, false, fmt.Errorf("read cursor %s: %w: value %x", name, ErrCorrupt, value)
	}
	return int64(binary.BigEndian.Uint64(value[1:])), true, nil
}

// DropCursor adds to b that the cursor is gone.
func (s *Store) DropCursor(b kv.Batch, name string) { b.Delete(cursorKey(name)) }
