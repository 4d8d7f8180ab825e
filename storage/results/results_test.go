package results

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/vigil-sql/vigil/storage/kv"
)

var background = context.Background()

func open(t testing.TB, s kv.Store) *Store {
	t.Helper()
	st, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func rows(from, n int) []Row {
	list := make([]Row, n)
	for i := range list {
		list[i] = Row{Op: byte(i % 100), Data: []byte(fmt.Sprint("row ", from+i))}
	}
	return list
}

// begin puts the rows of query id and one epoch, as at tells, into b.
func begin(s *Store, b kv.Batch, id uint64, at Row, rows []Row) *Put {
	p := s.Begin(b, at.Epoch, at.Clock)
	p.Query(s.Changelog(id))
	for i, r := range rows {
		if i%2 == 0 {
			p.Row(r.Op, r.Data)
		} else {
			p.Packed(AppendRow(nil, r.Op, r.Data), 1)
		}
	}
	p.End()
	return p
}

func publish(t testing.TB, p *Put) {
	t.Helper()
	if err := p.Publish(); err != nil {
		t.Fatal(err)
	}
}

// put adds n rows, commits and publishes.
func put(t testing.TB, s *Store, id, epoch uint64, clock int64, n int) {
	t.Helper()
	b := s.kv.NewBatch()
	p := begin(s, b, id, Row{Epoch: epoch, Clock: clock}, rows(int(s.Next(id)), n))
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	publish(t, p)
}

// offsets scans up or down and checks that each row holds what was put at its offset.
func offsets(t testing.TB, s *Store, id uint64, back bool, from int64, limit int) (got []int64) {
	t.Helper()
	scan := s.Scan
	if back {
		scan = s.ScanBack
	}
	err := scan(id, from, limit, func(r Row) (bool, error) {
		if want := fmt.Sprint("row ", r.Offset); !strings.HasPrefix(string(r.Data), want) {
			t.Fatalf("offset %d holds %s", r.Offset, r.Data)
		}
		if r.Clock != int64(r.Epoch)*10 {
			t.Fatalf("offset %d: epoch %d, clock %d", r.Offset, r.Epoch, r.Clock)
		}
		got = append(got, r.Offset)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// queryModel is what must be known of a query.
type queryModel struct {
	oldest, next int64
	clocks       []int64 // of each row
	ends         []bool  // row is the last of its block
}

// trim returns how many blocks go. most bounds what they take, which runs tell, by the offset behind them.
func (q *queryModel) trim(before, keep, most int64, runs map[int64]int64) (blocks int) {
	size := int64(0)
	for _, n := range runs {
		size += n
	}
	for q.oldest < q.next {
		last := q.oldest
		for !q.ends[last] {
			last++
		}
		large := most > 0 && size > most && last+1 < q.next
		if q.clocks[last] >= before && (keep == 0 || q.next-last-1 < keep) && !large {
			break
		}
		size -= runs[last+1]
		q.oldest = last + 1
		blocks++
	}
	return blocks
}

// TestModel compares random puts, trims, drops, failed commits and reopenings with a model.
func TestModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(uint64(1), 1))
	mem := kv.NewMem()
	s := open(t, mem)
	model := map[uint64]*queryModel{}
	var trims, drops, failures, empty, flushes, large int
	for epoch := uint64(1); epoch < 1500; epoch++ {
		id := uint64(rnd.IntN(4)) << 56 // the extremes of the key space too
		if id == 3<<56 {
			id = 1<<64 - 1
		}
		q := model[id]
		if q == nil {
			q = &queryModel{}
			model[id] = q
		}
		if rnd.IntN(40) == 0 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			flushes++
		}
		switch n := rnd.IntN(20); {
		case n == 0:
			if err := s.Drop(id); err != nil {
				t.Fatal(err)
			}
			delete(model, id)
			drops++
			continue
		case n < 3:
			before, keep, most := int64(rnd.IntN(int(epoch)*10)), int64(rnd.IntN(30)), int64(0)
			if n == 2 {
				before, keep, most = 0, 0, 1+int64(rnd.IntN(400))
			}
			runs := stored(t, s, id)
			if err := s.Trim(id, Bounds{BeforeClock: before, MaxRows: keep, MaxBytes: most, KeepFrom: math.MaxInt64}); err != nil {
				t.Fatal(err)
			}
			gone := q.trim(before, keep, most, runs)
			if trims += gone; most > 0 {
				large += gone
			}
			if q.oldest == q.next && q.next > 0 {
				empty++
			}
		case n == 3:
			b := mem.NewBatch()
			p := s.Begin(b, epoch, 5)
			if first := p.Query(s.Changelog(id)); first != q.next {
				t.Fatalf("put at %d, want %d", first, q.next)
			}
			p.Row(1, make([]byte, 1+rnd.IntN(2*directBytes)))
			p.Query(s.Changelog(5)) // and another one, of which nothing is ever seen
			p.Row(1, nil)
			p.End()
			b.Discard()
			p.Retract()
			failures++
		case n == 4:
			mem = mem.Crash(mem.Unsynced())
			s = open(t, mem)
		default:
			n := rnd.IntN(8)
			put(t, s, id, epoch, int64(epoch)*10, n)
			q.next += int64(n)
			for i := range n {
				q.clocks, q.ends = append(q.clocks, int64(epoch)*10), append(q.ends, i == n-1)
			}
		}
		for id, q := range model {
			if s.Next(id) != q.next || s.Oldest(id) != q.oldest {
				t.Fatalf("epoch %d: query %d is %d..%d, want %d..%d", epoch, id, s.Oldest(id), s.Next(id), q.oldest, q.next)
			}
			checkSize(t, s, id)
			from, limit := int64(rnd.IntN(int(q.next)+2)), rnd.IntN(10)
			checkScans(t, s, id, [2]int64{q.oldest, q.next}, from, limit)
		}
	}
	if trims == 0 || drops == 0 || failures == 0 || empty == 0 || flushes == 0 || large == 0 {
		t.Fatalf("%d trims, %d drops, %d failures, %d emptied, %d flushes", trims, drops, failures, empty, flushes)
	}
}

func checkScans(t *testing.T, s *Store, id uint64, bounds [2]int64, from int64, limit int) {
	t.Helper()
	var up, down []int64
	for o := max(from, bounds[0]); o < bounds[1] && (limit == 0 || len(up) < limit); o++ {
		up = append(up, o)
	}
	for o := min(from, bounds[1]) - 1; o >= bounds[0] && (limit == 0 || len(down) < limit); o-- {
		down = append(down, o)
	}
	if got := offsets(t, s, id, false, from, limit); !slices.Equal(got, up) {
		t.Fatalf("scan from %d, %d rows: %v, want %v", from, limit, got, up)
	}
	if got := offsets(t, s, id, true, from, limit); !slices.Equal(got, down) {
		t.Fatalf("scan back from %d, %d rows: %v, want %v", from, limit, got, down)
	}
}

// TestPublish: rows are not seen before Publish, even when their batch is committed, and not lost after.
func TestPublish(t *testing.T) {
	s := open(t, kv.NewMem())
	put(t, s, 1, 1, 10, 2)
	b := s.kv.NewBatch()
	p := begin(s, b, 1, Row{Epoch: 2, Clock: 20}, rows(2, 3))
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	if up, down := offsets(t, s, 1, false, 0, 0), offsets(t, s, 1, true, 100, 0); len(up) != 2 || len(down) != 2 {
		t.Fatalf("committed rows are seen before Publish: %v %v", up, down)
	}
	if err := s.Trim(1, Bounds{BeforeClock: 1000, MaxRows: 0, KeepFrom: math.MaxInt64}); err != nil { // takes only what is published
		t.Fatal(err)
	}
	if up, down := offsets(t, s, 1, false, 0, 0), offsets(t, s, 1, true, 100, 0); len(up)+len(down) > 0 || s.Next(1) != 2 {
		t.Fatalf("before: %v %v", up, down)
	}
	publish(t, p)
	if up := offsets(t, s, 1, false, 0, 0); !slices.Equal(up, []int64{2, 3, 4}) {
		t.Fatalf("after: %v", up)
	}
}

// TestTrimmedEmpty: offsets go on where they were, also when no row is left and the store is opened again.
func TestTrimmedEmpty(t *testing.T) {
	s := open(t, kv.NewMem())
	put(t, s, 1, 1, 10, 5)
	if err := s.Trim(1, Bounds{BeforeClock: 1000, MaxRows: 0, KeepFrom: math.MaxInt64}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if s.Next(1) != 5 || s.Oldest(1) != 5 {
			t.Fatalf("%d..%d", s.Oldest(1), s.Next(1))
		}
		s = open(t, s.kv)
	}
	put(t, s, 1, 2, 20, 1)
	checkScans(t, open(t, s.kv), 1, [2]int64{5, 6}, 0, 0)
}

// TestLargeEpoch: an epoch with many rows is split into blocks, and a scan from its middle reads from there.
func TestLargeEpoch(t *testing.T) {
	mem := kv.NewMem()
	s := open(t, mem)
	list := rows(0, 3000)
	rng := rand.NewChaCha8([32]byte{1})
	noise := func(n int) []byte { // so that rows share nothing
		b := make([]byte, n)
		_, _ = rng.Read(b)
		return b
	}
	for i := range list {
		list[i].Data = append(list[i].Data, noise(1000)...)
	}
	list[1500].Data = append(list[1500].Data, noise(3*blockBytes)...)
	b := mem.NewBatch()
	p := begin(s, b, 1, Row{Epoch: 1, Clock: 10}, list)
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	publish(t, p)
	blocks := 0
	if err := mem.Scan(nil, nil, func(_, v []byte) (bool, error) { blocks++; return true, nil }); err != nil || blocks < 12 || blocks > 20 {
		t.Fatalf("%d blocks, %v", blocks, err)
	}
	s = open(t, mem)
	for _, from := range []int64{0, 1, 262, 1499, 1500, 1501, 2999, 3000} {
		checkScans(t, s, 1, [2]int64{0, 3000}, from, 5)
	}
	checkScans(t, s, 1, [2]int64{0, 3000}, 0, 0)
}

// TestWait: a thousand waiters on one query and on many wake up when, and only when, there is something for them.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, kv.NewMem())
		put(t, s, 0, 1, 10, 1)
		woken := make(chan uint64, 4000)
		wait := func(id uint64, after int64) {
			if err := s.Wait(background, id, after); err != nil {
				t.Error(err)
			}
			woken <- id
		}
		for i := range 1000 {
			go wait(0, 1)
			go wait(uint64(i+1), 0)
		}
		go wait(0, 0) // there already is one
		synctest.Wait()
		if len(woken) != 1 {
			t.Fatalf("%d woke up early", len(woken))
		}
		put(t, s, 0, 2, 20, 1)
		synctest.Wait()
		if len(woken) != 1001 {
			t.Fatalf("%d woke up", len(woken))
		}
		b := s.kv.NewBatch()
		p := s.Begin(b, 3, 30)
		for id := range uint64(500) {
			p.Query(s.Changelog(id + 1))
			p.Row(0, []byte("row 0"))
		}
		p.End()
		if err := b.Commit(false); err != nil {
			t.Fatal(err)
		}
		publish(t, p)
		synctest.Wait()
		if len(woken) != 1501 {
			t.Fatalf("%d woke up", len(woken))
		}
		ctx, cancel := context.WithCancel(background)
		errs := make(chan error, 500)
		for id := range uint64(500) {
			go func() { errs <- s.Wait(ctx, id+1, 7) }()
		}
		synctest.Wait()
		if err := s.Drop(1); err != nil {
			t.Fatal(err)
		}
		if err := <-errs; !errors.Is(err, ErrDropped) {
			t.Fatal(err)
		}
		cancel()
		for range 499 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		go func() { errs <- s.Wait(background, 2, 7) }()
		synctest.Wait()
		for id := range uint64(500) { // lets the rest of the first thousand go
			put(t, s, id+501, 4, 40, 1)
		}
		synctest.Wait()
		s.Close()
		if err := <-errs; !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	})
}

func TestCursor(t *testing.T) {
	s := open(t, kv.NewMem())
	if _, ok, err := s.Cursor("sink"); ok || err != nil {
		t.Fatal(ok, err)
	}
	b := s.kv.NewBatch()
	s.SetCursor(b, "sink", Cursor{Offset: 42, State: []byte("state")})
	s.SetCursor(b, "sink2", Cursor{Offset: 7})
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	s = open(t, s.kv) // cursors are not mistaken for queries
	if c, ok, err := s.Cursor("sink"); c.Offset != 42 || string(c.State) != "state" || !ok || err != nil || len(s.Queries()) != 0 {
		t.Fatal(c, ok, err, s.Queries())
	}
	if names, err := s.Cursors("sin"); !slices.Equal(names, []string{"sink", "sink2"}) || err != nil {
		t.Fatal(names, err)
	}
	if names, err := s.Cursors("sink2"); !slices.Equal(names, []string{"sink2"}) || err != nil {
		t.Fatal(names, err)
	}
	b = s.kv.NewBatch()
	s.DropCursor(b, "sink")
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	b = s.kv.NewBatch()
	b.Set(cursorKey("old"), []byte{1, 0, 0, 0, 0, 0, 0, 0, 9})
	b.Set(cursorKey("broken"), []byte{1, 0, 0, 0, 0, 0, 0, 0, 9, 9})
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	if c, ok, err := s.Cursor("old"); c.Offset != 9 || c.State != nil || !ok || err != nil {
		t.Fatal("a cursor of version 1:", c, ok, err)
	}
	if _, _, err := s.Cursor("broken"); !errors.Is(err, ErrCorrupt) {
		t.Fatal("a cursor of version 1 with a state:", err)
	}
	_, ok, _ := s.Cursor("sink")
	if _, ok2, _ := s.Cursor("sink2"); ok || !ok2 {
		t.Fatal("the wrong cursor is gone")
	}
}

// TestFaults makes each call to the store fail once: errors come back, and a repeated call goes on as if nothing had been.
func TestFaults(t *testing.T) {
	for n := 1; ; n++ {
		mem := kv.NewMem()
		put(t, open(t, mem), 1, 1, 10, 3)
		f := kv.NewFaulty(mem, n)
		var s *Store
		var got []int64
		scan := func(r Row) (bool, error) { got = append(got, r.Offset); return true, nil }
		for _, call := range []func() error{
			func() (err error) { s, err = Open(f); return err },
			func() error { got = nil; return s.Scan(1, 1, 0, scan) },
			func() error {
				if !slices.Equal(got, []int64{1, 2}) {
					t.Fatalf("fault %d: %v", n, got)
				}
				b := f.NewBatch()
				p := begin(s, b, 1, Row{Epoch: 2, Clock: 20}, rows(3, 2))
				if err := b.Commit(true); err != nil {
					p.Retract()
					return err
				}
				return p.Publish()
			},
			func() error { return s.Flush() },
			func() error { return s.Trim(1, Bounds{BeforeClock: 15, MaxRows: 0, KeepFrom: math.MaxInt64}) },
			func() error { got = nil; return s.ScanBack(1, 100, 0, scan) },
			func() error { _, _, err := s.Cursor("x"); return err },
		} {
			if err := call(); errors.Is(err, kv.ErrInjected) {
				err = call()
				if err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, []int64{4, 3}) || s.Oldest(1) != 3 {
			t.Fatalf("fault %d: %v", n, got)
		}
		if err := s.Drop(1); err != nil && s.Next(1) != 5 {
			t.Fatal("a drop that failed took effect")
		}
		if !f.Fired() {
			if n < 8 {
				t.Fatalf("only %d calls", n)
			}
			break
		}
	}
}

// FuzzStored: hostile stored bytes give errors.
func FuzzStored(f *testing.F) {
	mem := kv.NewMem()
	s := open(f, mem)
	put(f, s, 1, 3, 30, 4)
	put(f, s, 1, 4, 40, 2)
	seed := func() {
		err := mem.Scan(nil, nil, func(_, value []byte) (bool, error) { f.Add(value); return true, nil })
		if err != nil {
			f.Fatal(err)
		}
	}
	seed()
	if err := s.Flush(); err != nil {
		f.Fatal(err)
	}
	seed()
	f.Add([]byte("\x01\x03\x1e\x00\x00\x00\x00\x00\x00\x00\x02\x01\x05row 0\x01\x05row 1"))
	f.Fuzz(func(t *testing.T, value []byte) {
		if b, err := parseBlock(blockKey(1, 0), value); err == nil {
			n := int64(0)
			if _, err = b.each(func(Row) (bool, error) { n++; return true, nil }); err == nil && n != b.end() {
				t.Fatalf("%d rows of %d", n, b.end())
			}
		}
		mem := kv.NewMem()
		b := mem.NewBatch()
		b.Set(packKey(7), value)
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
		s, err := Open(mem)
		if err != nil {
			return
		}
		for _, id := range s.Queries() {
			if err := s.Scan(id, 0, 0, func(Row) (bool, error) { return true, nil }); err != nil {
				return
			}
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFirstFormat: blocks of version 1 are read, and a version that is not known is refused by its number.
func TestFirstFormat(t *testing.T) {
	mem := kv.NewMem()
	write := func(value []byte) {
		b := mem.NewBatch()
		b.Set(blockKey(1, 4), value)
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
	}
	one := []byte{1, 2, 20, 0, 0, 0, 0, 0, 0, 0, 2}
	one = AppendRow(AppendRow(one, 1, []byte("row 4")), 1, []byte("row 5"))
	write(one)
	s := open(t, mem)
	put(t, s, 1, 3, 30, 3)
	checkScans(t, s, 1, [2]int64{4, 9}, 5, 0)
	one[0] = 9
	write(one)
	if _, err := Open(mem); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "version 9") {
		t.Fatal(err)
	}
}

// BenchmarkPut is the cost of a row of 60 bytes, in epochs with eight rows for each of ten thousand queries, the making of blocks
// included; nothing is kept of them.
func BenchmarkPut(b *testing.B) {
	s := open(b, kv.NewMem())
	const queries, rows = 10_000, 8
	logs := make([]*Changelog, queries)
	for i := range logs {
		logs[i] = s.Changelog(uint64(i))
	}
	row := AppendRow(nil, 1, make([]byte, 60))
	n := 0
	for b.Loop() {
		batch := s.kv.NewBatch()
		p := s.Begin(batch, 1, 1)
		for _, log := range logs {
			p.Query(log)
			for range rows {
				p.Packed(row, 1)
			}
		}
		p.End()
		batch.Discard()
		publish(b, p)
		n += queries * rows
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/row")
}
