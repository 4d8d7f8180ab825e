package meta

import (
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/pebblekv"
)

// TestFewFilesOfEnds: rows of a table that end, a few each time that the store writes its memory out, leave few files, however often that is.
func TestFewFilesOfEnds(t *testing.T) {
	disk := pebblekv.NewMemDisk()
	s, err := pebblekv.Open("kv", pebblekv.Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := open(t, s)
	const rounds = 60
	for n := range uint64(rounds) {
		commit(t, m, func(b kv.Batch) error {
			m.EndTableRow(b, TableEnd{Table: 1, Number: n, Epoch: n + 1, At: int64(n)})
			return nil
		})
		commit(t, m, func(b kv.Batch) error { _, err := m.PurgeTables(b, 0, 0); return err })
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	files := func() (n int) {
		names, err := disk.List("kv")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".sst") {
				n++
			}
		}
		return n
	}
	deadline := time.After(20 * time.Second)
	for files() > rounds/10 { // merged beside
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("%d files", files())
		}
	}
	n := 0
	if err := m.TableEnds(func(e TableEnd) error { n++; return nil }); err != nil || n != rounds {
		t.Errorf("%d ends, %v", n, err)
	}
}
