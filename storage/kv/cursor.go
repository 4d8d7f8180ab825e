package kv

import "bytes"

// Cursor looks up one key after the other, at less cost than as many scans. It sees the store as it was when it was made. Not for
// concurrent use; it must be closed before long, since what it sees is kept for it.
type Cursor interface {
	// Seek finds the least key that is not less than key and begins with its first prefix bytes. The slices are valid until the next
	// call.
	Seek(key []byte, prefix int) (found, value []byte, ok bool, err error)
	Close() error
}

// Seeker is what a Reader is that has cursors of its own.
type Seeker interface {
	// NewCursor makes a cursor over the keys from lo to before hi.
	NewCursor(lo, hi []byte) (Cursor, error)
}

// NewCursor makes a cursor over the keys from lo to before hi; of a store that has none, one that scans a snapshot.
func NewCursor(s Store, lo, hi []byte) (Cursor, error) {
	if k, ok := s.(Seeker); ok {
		return k.NewCursor(lo, hi)
	}
	return &scanCursor{snap: s.Snapshot()}, nil
}

type scanCursor struct {
	snap       Snapshot
	key, value []byte
}

// Seek implements Cursor.
func (c *scanCursor) Seek(key []byte, prefix int) (found, value []byte, ok bool, err error) {
	err = c.snap.Scan(key, PrefixEnd(key[:prefix]), func(k, v []byte) (bool, error) {
		c.key, c.value, ok = append(c.key[:0], k...), append(c.value[:0], v...), true
		return false, nil
	})
	return c.key, c.value, ok && err == nil && bytes.HasPrefix(c.key, key[:prefix]), err
}

// Close implements Cursor.
func (c *scanCursor) Close() error { return c.snap.Close() }
