package ioc

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// TestNearCollisions asks for values that differ from entries in one bit, in one byte at the end, or by a piece: none is found, all
// entries are, and the filters alone would have been wrong.
func TestNearCollisions(t *testing.T) {
	members, beside := 60_000, 40
	if testing.Short() {
		members, beside = 20_000, 20
	}
	s, err := Open(kv.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	load := &Load{}
	value := func(i int) []byte { return fmt.Appendf(nil, "%08d.example", i) }
	for i := range members {
		load.Add(value(i), nil, 0)
	}
	seq, err := s.Stage([]Change{{List: 1, Create: true, Load: load}})
	if err != nil {
		t.Fatal(err)
	}
	l := s.List(1)
	var p Probe
	defer p.Release(s)
	var key [8]byte
	passed, asked := 0, 0
	stranger := func(v []byte) {
		if asked++; !l.may(s.hash(v), key[:]) {
			return
		}
		passed++
		if e, err := p.Find(l, seq, v); e != nil || err != nil {
			t.Fatalf("%q is found: %+v, %v", v, e, err)
		}
	}
	for i := range members {
		v := value(i)
		if e, err := p.Find(l, seq, v); e == nil || err != nil {
			t.Fatalf("%q is missing, %v", v, err)
		}
		stranger(v[:len(v)-1])
		stranger(v[1:])
		for k := range beside / 2 {
			x := bytes.Clone(v)
			x[k%len(x)] ^= byte(0x80 >> (k / len(x)))
			stranger(x)
			stranger(append(v[:len(v):len(v)], byte(k)))
		}
	}
	share := float64(passed) / float64(asked)
	t.Logf("%d strangers, of which %.4f %% passed the filters", asked, 100*share)
	if passed == 0 || share > 0.002 {
		t.Errorf("%d of %d strangers passed the filters; some should, 0.05 %% or so", passed, asked)
	}
}

// TestShards: a shard knows what was put into it, while values come one by one and it is built anew; and it stays below its load.
func TestShards(t *testing.T) {
	sh, all := &shard{}, []hashes{}
	var key [8]byte
	copies, builds := 0, 0
	for i := range uint64(20_000) {
		h := hashes{(i + 1) * 0x9e3779b97f4a7c15, (i + 1) * 0xc2b2ae3d27d4eb4f}
		all = append(all, h)
		next := sh.with([]hashes{h})
		switch {
		case next == nil:
			next = newShard(all)
			builds++
		case next.a != sh.a:
			copies++
		}
		if sh = next; sh.a != nil && float64(sh.a.Count()) > filterLoadMax*float64(sh.room) {
			t.Fatalf("%d values in %d places", sh.a.Count(), sh.room)
		}
		if i%997 != 0 && i < 19_990 {
			continue
		}
		for _, h := range all {
			if !sh.may(h, key[:]) {
				t.Fatalf("after %d values one is missing", i+1)
			}
		}
	}
	if copies == 0 || builds < 5 {
		t.Fatalf("%d copies, %d builds", copies, builds)
	}
}
