package kv

import (
	"bytes"
	"fmt"
	"testing"
)

// counted counts what a batch is told.
type counted struct {
	Batch
	deletes, ranges int
}

func (c *counted) Delete(key []byte)         { c.deletes++; c.Batch.Delete(key) }
func (c *counted) DeleteRange(lo, hi []byte) { c.ranges++; c.Batch.DeleteRange(lo, hi) }

// TestRemove: what is in the range goes, what is beside it stays; a range costs one only where it holds much.
func TestRemove(t *testing.T) {
	for _, n := range []int{0, 1, removeKeysMax, removeKeysMax + 1, 3 * removeKeysMax} {
		s := NewMem()
		b := s.NewBatch()
		for i := range n {
			b.Set(fmt.Appendf(nil, "b%04d", i), []byte("x"))
		}
		b.Set([]byte("a"), []byte("x"))
		b.Set([]byte("c"), []byte("x"))
		if err := b.Commit(false); err != nil {
			t.Fatal(err)
		}
		c := &counted{Batch: s.NewBatch()}
		if err := Remove(s, c, []byte("b"), []byte("c")); err != nil {
			t.Fatal(err)
		}
		if err := Remove(s, c, []byte("c"), []byte("c")); err != nil {
			t.Fatal(err)
		}
		if err := c.Commit(false); err != nil {
			t.Fatal(err)
		}
		var left []byte
		if err := s.Scan(nil, nil, func(key, _ []byte) (bool, error) { left = append(left, key...); return true, nil }); err != nil {
			t.Fatal(err)
		}
		if want := n <= removeKeysMax; !bytes.Equal(left, []byte("ac")) || want != (c.ranges == 0) || want && c.deletes != n {
			t.Errorf("%d keys: %d deleted one by one, %d ranges; left is %q", n, c.deletes, c.ranges, left)
		}
	}
}
