package results

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// TestFlushBeside: while blocks are made of the ends beside those who write, trim and drop, readers see all rows in order.
func TestFlushBeside(t *testing.T) {
	const queries, epochs = 20, 400
	mem := kv.NewMem()
	s := open(t, mem)
	s.BoundTails(8 << 10)
	var wg sync.WaitGroup
	var done atomic.Bool
	scan := func(id uint64, back bool) error {
		last := int64(-1)
		read := s.Scan
		from := int64(0)
		if back {
			read, from = s.ScanBack, math.MaxInt64
		}
		return read(id, from, 0, func(r Row) (bool, error) {
			if string(r.Data) != fmt.Sprint("row ", r.Offset) {
				return false, fmt.Errorf("query %d, offset %d holds %q", id, r.Offset, r.Data)
			}
			step := r.Offset - last
			if back {
				step = -step
			}
			if last >= 0 && step != 1 {
				return false, fmt.Errorf("query %d: offset %d follows %d", id, r.Offset, last)
			}
			last = r.Offset
			return true, nil
		})
	}
	for reader := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rnd := rand.New(rand.NewPCG(uint64(reader), 1))
			for !done.Load() {
				if err := scan(1+uint64(rnd.IntN(queries)), rnd.IntN(2) == 0); err != nil && !errors.Is(err, ErrDropped) {
					t.Error(err)
					return
				}
			}
		}()
	}
	rnd := rand.New(rand.NewPCG(uint64(9), 1))
	want := map[uint64]int64{}
	for epoch := range uint64(epochs) {
		b := mem.NewBatch()
		p := s.Begin(b, epoch, int64(epoch))
		for id := uint64(1); id <= queries; id++ {
			n := rnd.IntN(4)
			if rnd.IntN(200) == 0 {
				n = directBytes / 5
			}
			if n == 0 {
				continue
			}
			p.Query(s.Changelog(id))
			for range n {
				p.Row(1, fmt.Append(nil, "row ", want[id]))
				want[id]++
			}
		}
		p.End()
		if err := b.Commit(epoch%8 == 0); err != nil {
			t.Fatal(err)
		}
		publish(t, p)
		if rnd.IntN(10) == 0 {
			if err := s.Trim(1+uint64(rnd.IntN(queries)), Bounds{BeforeClock: int64(epoch) - 50, KeepFrom: math.MaxInt64}); err != nil {
				t.Fatal(err)
			}
		}
		if rnd.IntN(20) == 0 {
			id := 1 + uint64(rnd.IntN(queries))
			if err := s.Drop(id); err != nil {
				t.Fatal(err)
			}
			want[id] = 0
		}
	}
	done.Store(true)
	wg.Wait()
	s.Close()
	flushed := 0
	if err := mem.Scan([]byte{kv.PrefixResults, kindBlock}, []byte{kv.PrefixResults, kindBlock + 1}, func(_, _ []byte) (bool, error) {
		flushed++
		return true, nil
	}); err != nil || flushed < 5*queries {
		t.Fatalf("%d blocks, %v", flushed, err)
	}
	if s.tailBytes > 4*s.tailsMax {
		t.Fatalf("%d bytes of ends are in memory", s.tailBytes)
	}
	again := open(t, mem)
	for id, n := range want {
		if again.Next(id) != n || again.Oldest(id) != s.Oldest(id) {
			t.Errorf("query %d is %d..%d, want %d..%d", id, again.Oldest(id), again.Next(id), s.Oldest(id), n)
		}
		if err := again.Scan(id, 0, 0, func(r Row) (bool, error) {
			if string(r.Data) != fmt.Sprint("row ", r.Offset) {
				return false, fmt.Errorf("query %d, offset %d holds %q", id, r.Offset, r.Data)
			}
			return true, nil
		}); err != nil {
			t.Error(err)
		}
	}
}

// TestFlushCrash: wherever the power fails while blocks are made, nothing is lost and nothing is there twice.
func TestFlushCrash(t *testing.T) {
	const queries, epochs, each = 20, 45, 10
	noise := rand.NewChaCha8([32]byte{2})
	mem := kv.NewMem()
	s := open(t, mem)
	for epoch := range uint64(epochs) {
		b := mem.NewBatch()
		p := s.Begin(b, epoch, int64(epoch)*10)
		for id := uint64(1); id <= queries; id++ {
			p.Query(s.Changelog(id))
			for i := range each {
				data := make([]byte, directBytes/each-20)
				_, _ = noise.Read(data)
				copy(data, fmt.Sprint("row ", int(epoch)*each+i, " "))
				p.Row(1, data)
			}
		}
		p.End()
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
		publish(t, p)
	}
	if err := s.Drop(3); err != nil {
		t.Fatal(err)
	}
	b := mem.NewBatch()
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	before := mem.Unsynced()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	steps := mem.Unsynced() - before
	if steps < 3 {
		t.Fatalf("blocks are made in %d commits", steps)
	}
	for lost := range steps + 1 {
		s := open(t, mem.Crash(lost))
		for id := uint64(1); id <= queries; id++ {
			want := int64(epochs * each)
			if id == 3 {
				want = 0
			}
			checkScans(t, s, id, [2]int64{0, want}, 0, 0)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		checkScans(t, s, 8, [2]int64{0, epochs * each}, 25, 0)
	}
}

// amidStore calls something before a commit.
type amidStore struct {
	kv.Store
	amid func()
}

type amidBatch struct {
	kv.Batch
	s *amidStore
}

// NewBatch implements kv.Store.
func (s *amidStore) NewBatch() kv.Batch { return amidBatch{s.Store.NewBatch(), s} }

// Commit implements kv.Batch.
func (b amidBatch) Commit(sync bool) error {
	if amid := b.s.amid; amid != nil {
		b.s.amid = nil
		amid()
	}
	return b.Batch.Commit(sync)
}

// TestPutAmidFlush: rows that come while blocks are made of those before them are in no block, and stay in their pack.
func TestPutAmidFlush(t *testing.T) {
	s := &amidStore{Store: kv.NewMem()}
	st := open(t, s)
	put(t, st, 1, 1, 1, 10)
	came := false
	s.amid = func() { came = true; put(t, st, 1, 2, 2, 5) }
	if err := st.Flush(); err != nil || !came {
		t.Fatal(came, err)
	}
	again := open(t, s.Store)
	n := 0
	if err := again.Scan(1, 0, 0, func(Row) (bool, error) { n++; return true, nil }); err != nil || n != 15 || again.Next(1) != 15 {
		t.Errorf("%d rows up to %d are left of 15: %v", n, again.Next(1), err)
	}
}
