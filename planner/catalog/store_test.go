package catalog

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

func stream(id uint64, name string) *Stream { return &Stream{Stream: spec.Stream{ID: id, Name: name}} }

func query(id uint64, name string) *Query { return &Query{Query: spec.Query{ID: id, Name: name}} }

func TestOneNameSpace(t *testing.T) {
	c := New()
	if err := c.Put(stream(1, "auth")); err != nil {
		t.Fatal(err)
	}
	if err := c.Put(query(2, "auth")); sqlerr.CodeOf(err) != sqlerr.DuplicateTable {
		t.Fatalf("a query took a stream's name: %v", err)
	}
	if err := c.Put(stream(1, "logon")); err != nil {
		t.Fatal(err)
	}
	if c.Relation("", "auth") != nil || c.Relation("public", "logon") == nil || c.Snapshot().ByID(1).RelName() != "logon" {
		t.Fatal("renaming left the old name or lost the new one")
	}
	if c.Remove(Public, "logon") == nil || c.Remove(Public, "logon") != nil || c.Snapshot().ByID(1) != nil {
		t.Fatal("Remove did not remove exactly once")
	}
}

func TestReplaceTakesTheName(t *testing.T) {
	c := New()
	_ = c.Put(query(1, "q"))
	if err := c.Replace(query(2, "q")); err != nil {
		t.Fatal(err)
	}
	s := c.Snapshot()
	if s.ByID(1) != nil || s.ByID(2) == nil || s.Relation("", "q").RelID() != 2 {
		t.Fatal("the old query is still there")
	}
}

func TestSnapshotDoesNotChange(t *testing.T) {
	c := New()
	for i := range uint64(1000) {
		_ = c.Put(stream(i, fmt.Sprint("s", i)))
	}
	s := c.Snapshot()
	c.Remove(Public, "s7")
	_ = c.Put(stream(7000, "new"))
	c.PutFunction(&Function{Function: spec.Function{ID: 3, Name: "f"}})
	if s.Relation("", "s7") == nil || s.Relation("", "new") != nil || len(s.Streams()) != 1000 || s.Function("f") != nil {
		t.Fatal("a snapshot changed")
	}
	if c.Function("f") == nil || c.RemoveFunction("f") == nil || c.Function("f") != nil {
		t.Fatal("functions are not kept")
	}
}

func TestVirtualRelations(t *testing.T) {
	c := New()
	_ = c.Put(stream(1, "pg_class"))
	c.Register(&Virtual{SchemaName: PgCatalog, Name: "pg_class"}, &Virtual{SchemaName: Vigil, Name: "streams"})
	if _, ok := c.Relation("", "pg_class").(*Virtual); !ok {
		t.Fatal("pg_catalog is not searched first")
	}
	if _, ok := c.Relation("public", "pg_class").(*Stream); !ok {
		t.Fatal("public.pg_class is not the stream")
	}
	if c.Relation("", "streams") != nil || c.Relation(Vigil, "streams") == nil || c.Relation("nosuch", "x") != nil {
		t.Fatal("schemas leak into each other")
	}
	if !c.HasSchema(Vigil) || c.HasSchema("nosuch") || len(c.Snapshot().Virtuals()) != 2 {
		t.Fatal("schemas")
	}
}

func TestUsers(t *testing.T) {
	c := New()
	q := query(5, "q")
	q.Streams, q.Lists, q.Functions = []uint64{1}, []string{"bad"}, []uint64{9}
	_ = c.Put(q)
	_ = c.Put(query(6, "other"))
	s := c.Snapshot()
	if len(s.StreamUsers(1)) != 1 || len(s.ListUsers("bad")) != 1 || len(s.FunctionUsers(9)) != 1 || len(s.StreamUsers(2)) != 0 {
		t.Fatal("dependencies are not found")
	}
}

func TestReadersAndWriters(t *testing.T) {
	c := New()
	var wg sync.WaitGroup
	for w := range uint64(4) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range uint64(200) {
				id := w*1000 + i
				if err := c.Put(stream(id, fmt.Sprint("s", id))); err != nil {
					t.Error(err)
				}
				s := c.Snapshot()
				if s.ByID(id) == nil || s.Relation("", fmt.Sprint("s", id)) == nil {
					t.Error("a written relation is not there")
				}
			}
		}()
	}
	wg.Wait()
	if n := len(c.Snapshot().Streams()); n != 800 {
		t.Fatalf("%d streams, want 800: a write was lost", n)
	}
}

func BenchmarkPut10k(b *testing.B) {
	for b.Loop() {
		c := New()
		for i := range uint64(10000) {
			_ = c.Put(query(i, fmt.Sprint("q", i)))
		}
	}
}

// TestHasReaders: readers are counted through all the ways in which relations come and go, as a walk over them counts.
func TestHasReaders(t *testing.T) {
	c := New()
	rng := rand.New(rand.NewPCG(1, 2))
	met := map[bool]int{}
	for range 3000 {
		id := rng.Uint64N(20)
		q := &Query{Query: spec.Query{ID: 100 + id, Name: fmt.Sprint("q", rng.IntN(20))}}
		for range rng.IntN(3) {
			q.Streams = append(q.Streams, rng.Uint64N(6))
			q.Lists = append(q.Lists, fmt.Sprint("l", rng.IntN(6)))
		}
		var r Relation = q
		if rng.IntN(4) == 0 {
			r = &View{ID: q.ID, Name: q.Name, Streams: q.Streams, Lists: q.Lists}
		}
		switch rng.IntN(3) {
		case 0:
			_ = c.Put(r) // the name may be taken
		case 1:
			_ = c.Replace(r)
		default:
			c.Remove(Public, q.Name)
		}
		s := c.Snapshot()
		for id := range uint64(6) {
			want := false
			list := fmt.Sprint("l", id)
			for _, r := range s.Relations() {
				want = want || contains(usedBy(r), used{id: id}) || contains(usedBy(r), used{list: list})
			}
			if got := s.HasReaders(id, list); got != want {
				t.Fatalf("readers of %d: %v, want %v", id, got, want)
			}
			met[want]++
		}
		if n := len(s.Queries()) + len(s.Views()); n != len(s.Relations()) {
			t.Fatalf("%d queries and views of %d relations", n, len(s.Relations()))
		}
	}
	if met[true] < 1000 || met[false] < 1000 {
		t.Fatal(met)
	}
}
