package state

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLiveIsAMap: against a Go map, with removals, few hash values so that runs are long, and arenas that are compacted.
func TestLiveIsAMap(t *testing.T) {
	for _, hashes := range []uint64{1 << 60, 97} {
		rng := rand.New(rand.NewPCG(3, hashes))
		hash := func(key string) uint64 {
			h := fnv.New64a()
			h.Write([]byte(key))
			return h.Sum64() % hashes * 0x9e3779b97f4a7c15
		}
		var live Live
		want := map[string]uint32{}
		reused, compacted, last := 0, 0, 0
		for range 60000 {
			n := rng.IntN(6000)
			key := fmt.Sprintf("%0*d", 4+n%60, n)
			gid, has := want[key]
			if rng.IntN(2) == 0 {
				if has {
					live.Remove(gid)
					delete(want, key)
				}
			} else {
				before := live.Cap()
				gids, err := live.FindOrAdd(Rows{Buf: []byte(key), Off: []uint32{0, uint32(len(key))}, Hash: []uint64{hash(key)}}, []uint32{0}, nil)
				if err != nil || has && gids[0] != gid {
					t.Fatalf("%q has number %d, want %d, %v", key, gids[0], gid, err)
				}
				if !has && live.Cap() == before {
					reused++
				}
				want[key] = gids[0]
			}
			if live.longDead < last {
				compacted++
			}
			last = live.longDead
		}
		if reused == 0 || compacted == 0 || live.Len() != len(want) {
			t.Fatalf("%d numbers reused, %d compactions, %d keys, want %d", reused, compacted, live.Len(), len(want))
		}
		var all []uint32
		for key, gid := range want {
			if got, ok := live.Find([]byte(key), hash(key)); !ok || got != gid || string(live.Key(gid)) != key || !live.Has(gid) {
				t.Fatalf("%q is lost", key)
			}
			all = append(all, gid)
		}
		live.ClearDirty()
		live.MarkAll()
		slices.Sort(all)
		if got := live.Dirty(nil); !slices.Equal(got, all) {
			t.Errorf("%d dirty keys of %d", len(got), len(all))
		}
	}
}
