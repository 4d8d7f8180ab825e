package results

import (
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

// cursorVersion 2 added the state.
const cursorVersion = 2

// Cursor is where a reader of a changelog stands, durably.
type Cursor struct {
	// Offset is that of the next row that the reader wants.
	Offset int64
	// State is what the reader keeps with it, opaque here.
	State []byte
}

func cursorKey(name string) []byte {
	return append([]byte{kv.PrefixResults, kindCursor}, name...)
}

// SetCursor adds to b that the durable cursor name stands at c.
func (s *Store) SetCursor(b kv.Batch, name string, c Cursor) {
	value := binary.BigEndian.AppendUint64([]byte{cursorVersion}, uint64(c.Offset))
	b.Set(cursorKey(name), append(value, c.State...))
}

// Cursor returns where a cursor stands; false when there is none of that name.
func (s *Store) Cursor(name string) (c Cursor, ok bool, err error) {
	value, ok, err := s.kv.Get(cursorKey(name))
	if err != nil {
		return c, false, fmt.Errorf("read cursor %s: %w", name, err)
	}
	if !ok {
		return c, false, nil
	}
	if err := kv.CheckVersion("a cursor", value, 1, cursorVersion); err != nil {
		return c, false, fmt.Errorf("read cursor %s: %w: %w", name, ErrCorrupt, err)
	}
	if len(value) < 9 || value[0] == 1 && len(value) != 9 {
		return c, false, fmt.Errorf("read cursor %s: %w: value %x", name, ErrCorrupt, value)
	}
	c.Offset = int64(binary.BigEndian.Uint64(value[1:]))
	if len(value) > 9 {
		c.State = value[9:]
	}
	return c, true, nil
}

// Cursors lists the names of the cursors that begin with a prefix.
func (s *Store) Cursors(prefix string) (names []string, err error) {
	hi := cursorKey(prefix + "\xff")
	err = s.kv.Scan(cursorKey(prefix), hi, func(key, _ []byte) (bool, error) {
		names = append(names, string(key[2:]))
		return true, nil
	})
	return names, err
}

// DropCursor adds to b that the cursor is gone.
func (s *Store) DropCursor(b kv.Batch, name string) { b.Delete(cursorKey(name)) }
