package results

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// stored tells what the runs take that are kept of a query, by the offset behind them, counted where they are.
func stored(t *testing.T, s *Store, id uint64) map[int64]int64 {
	t.Helper()
	v, runs := s.view(id), map[int64]int64{}
	take := func(list []run) {
		for i := range list {
			if r := &list[i]; r.end() > v.oldest {
				runs[r.end()] = int64(len(r.packed))
			}
		}
	}
	lo, _ := queryRange(id)
	err := s.kv.Scan(lo, blockKey(id, v.tailFrom), func(key, value []byte) (bool, error) {
		b, err := parseBlock(key, value)
		take(b.runs)
		return err == nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	take(v.tail)
	return runs
}

// checkSize compares the size that is known with what is there.
func checkSize(t *testing.T, s *Store, id uint64) {
	t.Helper()
	want := int64(0)
	for _, n := range stored(t, s, id) {
		want += n
	}
	total := int64(0)
	for _, log := range s.logs {
		total += log.put - log.cut
	}
	if s.Total() != total {
		t.Fatalf("all rows take %d bytes, %d are there", s.Total(), total)
	}
	lo, hi := baseRange(id)
	err := s.kv.Scan(lo, hi, func(_, value []byte) (bool, error) {
		b, err := parseBlock(blockKey(id, 0), value)
		for i := range b.runs {
			want += int64(len(b.runs[i].packed))
		}
		return err == nil, err
	})
	if got := s.Size(id); err != nil || got != want {
		t.Fatalf("query %d takes %d bytes, %d are there, %v", id, got, want, err)
	}
}

// TestSizes: epochs large and small, blocks made at once and later, split ones, a base, restarts: the size is what is there.
func TestSizes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 1))
	mem := kv.NewMem()
	s := open(t, mem)
	var split, direct, trims, bases int
	for epoch := uint64(1); epoch < 250; epoch++ {
		id := 1 + rnd.Uint64N(3)
		list := rows(int(s.Next(id)), 1+rnd.IntN(50))
		if rnd.IntN(4) == 0 { // much alike, but more than a block
			list = rows(int(s.Next(id)), 4000)
			for i := range list {
				tail := make([]byte, 30) // shared with the row before, but for a part
				for k := range rnd.IntN(20) {
					tail[k] = byte(rnd.IntN(256))
				}
				list[i].Data = fmt.Appendf(list[i].Data, " %x", tail)
			}
		}
		for i := range list {
			list[i].Op = 1 // a base is made of them
		}
		b := mem.NewBatch()
		untailed := s.untailed(s.Changelog(id))
		p := begin(s, b, id, Row{Epoch: epoch, Clock: int64(epoch) * 10}, list)
		if untailed && len(list) == 4000 {
			direct++
		}
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
		publish(t, p)
		switch rnd.IntN(8) {
		case 0:
			before := s.changelog(id).put
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if s.changelog(id).put > before {
				split++
			}
		case 1:
			bounds := Bounds{MaxBytes: 1 + rnd.Int64N(1<<20), KeepFrom: math.MaxInt64}
			if id == 1 {
				bounds.Fold = func(rows []Row) []Row { return rows[max(0, len(rows)-100):] }
			}
			before := s.Oldest(id)
			if err := s.Trim(id, bounds); err != nil {
				t.Fatal(err)
			}
			if s.Oldest(id) > before {
				trims++
			}
			if s.changelog(id).base > 0 {
				bases++
			}
			if v := s.view(id); v.put-v.cut > bounds.MaxBytes && len(stored(t, s, id)) > 1+4000*60/blockBytes+1 {
				t.Fatalf("%d bytes are left of %d", v.put-v.cut, bounds.MaxBytes)
			}
		case 2:
			mem = mem.Crash(mem.Unsynced())
			s = open(t, mem)
		}
		for id := uint64(1); id <= 3; id++ {
			checkSize(t, s, id)
		}
	}
	if split == 0 || direct == 0 || trims == 0 || bases == 0 {
		t.Fatal("not met: ", split, direct, trims, bases)
	}
}

// TestSizeOfOlder: a store that was written before sizes were is counted when it is opened.
func TestSizeOfOlder(t *testing.T) {
	mem := kv.NewMem()
	s := open(t, mem)
	for epoch := uint64(1); epoch < 100; epoch++ {
		put(t, s, 1, epoch, int64(epoch)*10, 5)
		if epoch == 60 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := s.Trim(1, Bounds{BeforeClock: 333, KeepFrom: math.MaxInt64}); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := mem.NewBatch()
	b.Delete(sizeKey(1))
	b.Set(tailKey(1), tailValue(s.Oldest(1), 0, 0)[:8])
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	want := s.Size(1)
	for range 2 {
		s = open(t, mem)
		checkSize(t, s, 1)
		if s.Size(1) != want || s.Oldest(1) == 0 {
			t.Fatalf("%d bytes, want %d", s.Size(1), want)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}
