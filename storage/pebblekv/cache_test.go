package pebblekv

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestCacheHoldsBlocks: what is read from files stays in memory, within the size of the cache, also where that is not larger than what is gathered in memory
// before it is written.
func TestCacheHoldsBlocks(t *testing.T) {
	const size = 4 << 20
	s, err := Open("db", Options{FS: vfs.NewMem(), CacheBytes: size, MemTableBytes: size})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 40_000 { // too much for the cache
		b := s.NewBatch()
		b.Set(fmt.Appendf(nil, "ab%08d", i), fmt.Appendf(nil, "%0200d", i))
		if err := b.Commit(false); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Scan([]byte("a"), nil, func(_, _ []byte) (bool, error) { return true, nil }); err != nil {
		t.Fatal(err)
	}
	if got := s.Metrics().CacheBytes; got < size/2 || got > size+cacheMemTables*size {
		t.Errorf("after reading %d bytes the cache holds %d, and may hold %d", 40_000*200, got, size)
	}
}
