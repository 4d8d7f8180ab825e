package pebblekv

import (
	"bytes"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vigil-sql/vigil/storage/kv"
)

var _ kv.Seeker = (*Store)(nil)

// cursors are those that are open: Close of the store closes them.
type cursors struct {
	mu   sync.Mutex
	open []*cursor
}

type cursor struct {
	s  *Store
	it *pebble.Iterator // nil after Close
}

// NewCursor implements kv.Seeker.
func (s *Store) NewCursor(lo, hi []byte) (kv.Cursor, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return nil, err
	}
	c := &cursor{s, it}
	s.cursors.mu.Lock()
	defer s.cursors.mu.Unlock()
	s.cursors.open = append(s.cursors.open, c)
	return c, nil
}

// Seek implements kv.Cursor.
func (c *cursor) Seek(key []byte, prefix int) (found, value []byte, ok bool, err error) {
	if err := c.s.enter(); err != nil {
		return nil, nil, false, err
	}
	defer c.s.leave()
	if c.it == nil {
		return nil, nil, false, kv.ErrClosed
	}
	if !c.it.SeekGE(key) || !bytes.HasPrefix(c.it.Key(), key[:prefix]) {
		return nil, nil, false, c.it.Error()
	}
	value, err = c.it.ValueAndErr()
	return c.it.Key(), value, err == nil, err
}

// Close implements kv.Cursor. Closing twice, or after the store, is harmless.
func (c *cursor) Close() error {
	l := &c.s.cursors
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.it == nil {
		return nil
	}
	if i := slices.Index(l.open, c); i >= 0 {
		l.open = slices.Delete(l.open, i, i+1)
	}
	err := c.it.Close()
	c.it = nil
	return err
}

// closeAll closes what is open; no call is under way any more.
func (l *cursors) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		_ = c.it.Close() // it only read
		c.it = nil
	}
	l.open = nil
}
