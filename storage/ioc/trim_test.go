package ioc_test

import (
	"fmt"
	"testing"

	"github.com/vigil-sql/vigil/storage/ioc"
	"github.com/vigil-sql/vigil/storage/kv"
)

// TestTrimMany: what many changes have replaced is forgotten by one call, in several pieces, and nothing else.
func TestTrimMany(t *testing.T) {
	const entries, versions = 700, 4 // more than one piece of each version
	db := kv.NewMem()
	s, err := ioc.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for v := 1; v <= versions; v++ {
		c := ioc.Change{List: 1, Create: v == 1}
		for i := range entries {
			c.Add = append(c.Add, ioc.Addition{Value: fmt.Sprint(i), Info: fmt.Append(nil, v)})
		}
		seq, err := s.Stage([]ioc.Change{c})
		if err != nil {
			t.Fatal(err)
		}
		b := db.NewBatch()
		s.Publish(b, uint64(v), seq)
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
	}
	l, seq := s.List(1), s.At(versions)
	rows := func() (n int) {
		if err := l.Rows(func(ioc.Row) (bool, error) { n++; return true, nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := rows(); n != entries*versions {
		t.Fatalf("%d rows before", n)
	}
	if err := s.Trim(versions - 1); err != nil {
		t.Fatal(err)
	}
	if n := rows(); n != 2*entries {
		t.Fatalf("%d rows where epoch %d may run again, want %d", n, versions, 2*entries)
	}
	if err := s.Trim(versions); err != nil {
		t.Fatal(err)
	}
	if n := rows(); n != entries {
		t.Fatalf("%d rows after, want %d", n, entries)
	}
	var p ioc.Probe
	defer p.Release(s)
	for i := range entries {
		if e, err := p.Find(l, seq, fmt.Append(nil, i)); err != nil || e == nil || string(e.Info) != fmt.Sprint(versions) {
			t.Fatal(i, e, err)
		}
	}
}
