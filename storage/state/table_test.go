package state

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"testing"
)

var testSeed = maphash.MakeSeed()

// rowsOf packs keys as a batch brings them.
func rowsOf(keys []string, hash func([]byte) uint64) Rows {
	r := Rows{Off: []uint32{0}}
	for _, k := range keys {
		r.Buf = append(r.Buf, k...)
		r.Off = append(r.Off, uint32(len(r.Buf)))
		r.Hash = append(r.Hash, hash([]byte(k)))
	}
	return r
}

func goodHash(b []byte) uint64 { return maphash.Bytes(testSeed, b) }

// badHash makes nearly all keys collide, in place and in tag.
func badHash(b []byte) uint64 { return uint64(len(b)) << 32 }

func all(n int) []uint32 {
	sel := make([]uint32, n)
	for i := range sel {
		sel[i] = uint32(i)
	}
	return sel
}

// TestTableAgainstMap: over random batches with duplicates, growth and reuse, the table numbers keys as a map would.
func TestTableAgainstMap(t *testing.T) {
	for name, hash := range map[string]func([]byte) uint64{"good hash": goodHash, "bad hash": badHash} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			var table Table
			for range 3 {
				runAgainstMap(t, rng, &table, hash)
				table.Reset()
				if table.Len() != 0 || table.DirtyLen() != 0 {
					t.Fatalf("after Reset: %d keys, %d dirty", table.Len(), table.DirtyLen())
				}
			}
		})
	}
}

func runAgainstMap(t *testing.T, rng *rand.Rand, table *Table, hash func([]byte) uint64) {
	t.Helper()
	want := map[string]uint32{}
	dirty := map[uint32]bool{}
	duplicates := 0
	for round := range 60 {
		keys := make([]string, rng.IntN(60))
		for i := range keys {
			keys[i] = fmt.Sprint("k", rng.IntN(900)*97)[rng.IntN(2):]
		}
		rows := rowsOf(keys, hash)
		var sel []uint32
		for i := range keys {
			if rng.IntN(4) > 0 {
				sel = append(sel, uint32(i))
			}
		}
		gids, err := table.FindOrAdd(rows, sel, []uint32{77})
		if err != nil || gids[0] != 77 || len(gids) != 1+len(sel) {
			t.Fatalf("FindOrAdd: %d gids for %d rows, %v", len(gids)-1, len(sel), err)
		}
		for n, i := range sel {
			gid, ok := want[keys[i]]
			if !ok {
				gid = uint32(len(want))
				want[keys[i]] = gid
			} else {
				duplicates++
			}
			dirty[gid] = true
			if gids[1+n] != gid {
				t.Fatalf("key %q has number %d, want %d", keys[i], gids[1+n], gid)
			}
		}
		checkDirty(t, table, dirty)
		if round%7 == 0 {
			table.ClearDirty()
			clear(dirty)
		}
	}
	if duplicates == 0 || table.Len() < 10 {
		t.Fatalf("%d duplicates, %d keys: nothing was tested", duplicates, table.Len())
	}
	for k, gid := range want {
		if string(table.Key(gid)) != k || table.Hash(gid) != hash([]byte(k)) {
			t.Fatalf("key %d is %q, want %q", gid, table.Key(gid), k)
		}
		if got, ok := table.Find([]byte(k), hash([]byte(k))); !ok || got != gid {
			t.Fatalf("Find(%q) = %d, %v", k, got, ok)
		}
	}
	if _, ok := table.Find([]byte("absent"), hash([]byte("absent"))); ok || table.Len() != len(want) {
		t.Fatalf("found an absent key, or %d keys instead of %d", table.Len(), len(want))
	}
}

func checkDirty(t *testing.T, table *Table, want map[uint32]bool) {
	t.Helper()
	got := table.Dirty(nil)
	if len(got) != len(want) || table.DirtyLen() != len(want) || !slices.IsSorted(got) {
		t.Fatalf("%d dirty keys, want %d", len(got), len(want))
	}
	for _, gid := range got {
		if !want[gid] {
			t.Fatalf("key %d is not dirty", gid)
		}
	}
}

func TestZeroTable(t *testing.T) {
	var table Table
	table.Reset()
	table.ClearDirty()
	if _, ok := table.Find([]byte("x"), 1); ok || table.Len() != 0 || len(table.Dirty(nil)) != 0 {
		t.Error("the zero table holds something")
	}
	if gids, err := table.FindOrAdd(rowsOf([]string{""}, goodHash), all(1), nil); err != nil || len(gids) != 1 || len(table.Key(0)) != 0 {
		t.Errorf("the empty key: %v, %v", gids, err)
	}
}

// TestSort: the order is that of the bytes, also where prefixes agree or keys end early.
func TestSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	long := string(bytes.Repeat([]byte{'p'}, 40))
	prefixes := []string{"", "\x00", "\x00\x00", "user-", "user-name-that-is-long-", long, "\xff\xff\xff\xff\xff\xff\xff\xff\xff"}
	seen := map[string]bool{}
	var keys []string
	for range 3000 {
		k := prefixes[rng.IntN(len(prefixes))]
		for range rng.IntN(12) {
			k += string(rune(rng.IntN(3)))
		}
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	var table Table
	if _, err := table.FindOrAdd(rowsOf(keys, goodHash), all(len(keys)), nil); err != nil {
		t.Fatal(err)
	}
	var s Sorter
	for range 2 {
		got := s.Sort(&table, nil)
		slices.Sort(keys)
		if len(got) != len(keys) {
			t.Fatalf("%d of %d keys", len(got), len(keys))
		}
		for i, gid := range got {
			if string(table.Key(gid)) != keys[i] {
				t.Fatalf("place %d holds %q, want %q", i, table.Key(gid), keys[i])
			}
		}
	}
}

// TestResetGivesMemoryBack: one huge window does not hold its memory for ever.
func TestResetGivesMemoryBack(t *testing.T) {
	var table Table
	keys := make([]string, 100000)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
	}
	if _, err := table.FindOrAdd(rowsOf(keys, goodHash), all(len(keys)), nil); err != nil {
		t.Fatal(err)
	}
	big := table.Bytes()
	table.Reset()
	if table.Bytes() != big {
		t.Errorf("Reset after a full window keeps %d of %d bytes", table.Bytes(), big)
	}
	if _, err := table.FindOrAdd(rowsOf(keys, goodHash), all(10), nil); err != nil {
		t.Fatal(err)
	}
	table.Reset()
	if table.Bytes() > big/100 {
		t.Errorf("Reset after a small window keeps %d of %d bytes", table.Bytes(), big)
	}
}

// BenchmarkFindOrAdd is the cost of a row: hashing and finding a key of two texts, in batches of 1024.
func BenchmarkFindOrAdd(b *testing.B) {
	for _, n := range []int{1000, 10_000, 1_000_000} {
		b.Run(fmt.Sprint("keys=", n), func(b *testing.B) {
			const rows = 1 << 20
			rng := rand.New(rand.NewPCG(1, 2))
			batches := make([]Rows, 0, rows/1024)
			for range rows / 1024 {
				keys := make([]string, 1024)
				for i := range keys {
					k := rng.IntN(n)
					keys[i] = fmt.Sprintf("\x01\x0cuser%08d\x01\x0e10.%d.%d.%d", k, k%7+100, k>>8&255, k&255)
				}
				batches = append(batches, rowsOf(keys, goodHash))
			}
			sel := all(1024)
			var table Table
			var gids []uint32
			b.ResetTimer()
			for i := 0; i < b.N; i += 1024 {
				r := batches[i/1024%len(batches)]
				for n := range r.Hash {
					r.Hash[n] = maphash.Bytes(testSeed, r.Buf[r.Off[n]:r.Off[n+1]])
				}
				gids, _ = table.FindOrAdd(r, sel, gids[:0])
			}
		})
	}
}
