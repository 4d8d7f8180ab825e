package state

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"
)

func TestIndexEntryIsOneCacheLine(t *testing.T) {
	if n := unsafe.Sizeof(indexEntry{}); n != 64 {
		t.Errorf("an entry has %d bytes", n)
	}
}

// TestIndexModel adds and removes keys, short and long, in random order and compares with a map. Hashes collide: few bits
// of them are used.
func TestIndexModel(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var x Index
		want := map[string]uint32{} // key -> its word
		ids := map[string]uint32{}
		bits := uint64(1)<<(seed*8) - 1
		packed, reused := false, false
		for step := range 4000 {
			var r Rows
			var sel []uint32
			r.Off = append(r.Off, 0)
			for range rng.IntN(20) {
				n := rng.IntN(300)
				key := fmt.Sprintf("%d", n)
				if n%3 == 0 {
					key += string(bytes.Repeat([]byte{'x'}, 30+n))
				}
				sel = append(sel, uint32(len(r.Hash)))
				r.Hash = append(r.Hash, uint64(n)*0x9e3779b97f4a7c15&bits)
				r.Buf = append(r.Buf, key...)
				r.Off = append(r.Off, uint32(len(r.Buf)))
			}
			before := x.ids
			got, err := x.FindOrAdd(r, sel, nil)
			if err != nil {
				t.Fatal(err)
			}
			reused = reused || x.ids == before && len(got) > 0 && step > 0
			for i, id := range got {
				key := string(r.Buf[r.Off[i]:r.Off[i+1]])
				if old, ok := want[key]; ok && (ids[key] != id || x.Words(id)[2] != old) {
					t.Fatalf("key %q has number %d and word %d, want %d and %d", key, id, x.Words(id)[2], ids[key], old)
				} else if !ok && x.Words(id)[2] != 0 {
					t.Fatalf("new key %q has word %d", key, x.Words(id)[2])
				}
				if string(x.Key(id)) != key || x.Hash(id) != r.Hash[i] {
					t.Fatalf("key %d is %q, want %q", id, x.Key(id), key)
				}
				want[key], ids[key] = uint32(step+1), id
				x.Words(id)[2] = uint32(step + 1)
			}
			for i := range got {
				key := string(r.Buf[r.Off[i]:r.Off[i+1]])
				if id, ok := ids[key]; ok && rng.IntN(2) == 0 {
					dead := x.longDead
					x.Remove(id)
					packed = packed || x.longDead < dead
					delete(want, key)
					delete(ids, key)
				}
			}
			if x.Len() != len(want) {
				t.Fatalf("%d keys, want %d", x.Len(), len(want))
			}
		}
		if !packed || !reused {
			t.Errorf("seed %d: packed long keys %v, reused numbers %v", seed, packed, reused)
		}
	}
}
