package ioc

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"net/netip"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func TestNormalize(t *testing.T) {
	for _, c := range []struct{ kind, in, want string }{
		{IP, " 10.0.0.1 ", "10.0.0.1"},
		{IP, "::ffff:10.0.0.1", "10.0.0.1"},
		{IP, "2001:DB8:0:0::1", "2001:db8::1"},
		{CIDR, "10.1.2.3/8", "10.0.0.0/8"},
		{CIDR, "10.1.2.3", "10.1.2.3/32"},
		{CIDR, "::ffff:10.1.2.3/104", "10.0.0.0/8"},
		{Domain, "Evil.Example.COM.", "evil.example.com"},
		{Hash, "D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e"},
		{Email, "A@B.example", "a@b.example"},
		{URL, "HTTP://Evil.example:80#x", "http://evil.example/"},
		{URL, "https://e.example:8443/A?q", "https://e.example:8443/A?q"},
		{Text, " as it is ", " as it is "},
	} {
		got, err := Normalize(c.kind, c.in)
		if err != nil || got != c.want {
			t.Errorf("Normalize(%s, %q) = %q, %v; want %q", c.kind, c.in, got, err, c.want)
		}
	}
	for _, c := range [][2]string{{IP, "10.0.0"}, {IP, ""}, {IP, "fe80::1%eth0"}, {CIDR, "10.0.0.0/33"}, {Domain, "a..b"},
		{Domain, "http://x"}, {Hash, "abc"}, {Hash, "zz1d8cd98f00b204e9800998ecf8427e"}, {Email, "x"}, {URL, "/path"}, {Text, "a\x00b"}} {
		if got, err := Normalize(c[0], c[1]); sqlerr.CodeOf(err) != sqlerr.InvalidTextRepresentation {
			t.Errorf("Normalize(%s, %q) = %q, %v; want an error", c[0], c[1], got, err)
		}
	}
}

func textVec(values ...string) *batch.Vec {
	v := &batch.Vec{}
	v.Reset(types.T(types.Text))
	for _, s := range values {
		v.AppendString(s)
	}
	return v
}

func TestMatchKinds(t *testing.T) {
	s := NewSet().With(
		Change{List: "ips", Create: true, Kind: IP}, Change{List: "ips", Add: []string{"10.0.0.1", "2001:db8::1"}},
		Change{List: "nets", Create: true, Kind: CIDR}, Change{List: "nets", Add: []string{"192.168.0.0/16"}},
		Change{List: "doms", Create: true, Kind: Domain}, Change{List: "doms", Add: []string{"evil.example"}},
		Change{List: "urls", Create: true, Kind: URL}, Change{List: "urls", Add: []string{"http://e.example/"}})
	cases := []struct {
		lists []string
		in    string
		want  bool
	}{
		{[]string{"ips"}, "10.0.0.1", true}, {[]string{"ips"}, "::ffff:10.0.0.1", true}, {[]string{"ips"}, "10.0.0.2", false},
		{[]string{"ips"}, "no address", false}, {[]string{"nets"}, "192.168.7.7", true}, {[]string{"nets"}, "192.169.0.0", false},
		{[]string{"ips", "nets"}, "192.168.7.7", true}, {[]string{"doms"}, "evil.example", true}, {[]string{"doms"}, "A.b.EVIL.example.", true},
		{[]string{"doms"}, "notevil.example", false}, {[]string{"urls"}, "HTTP://E.example:80", true}, {[]string{"urls"}, "x", false},
	}
	for _, c := range cases {
		got, err := s.Match(c.lists, textVec(c.in), batch.All(1), nil)
		if err != nil || (len(got) == 1) != c.want {
			t.Errorf("%q in %v: %v, %v; want %v", c.in, c.lists, got, err, c.want)
		}
	}
	inet := &batch.Vec{}
	inet.Reset(types.T(types.Inet))
	inet.AppendBytes([]byte{32, 10, 0, 0, 1})
	inet.AppendNull()
	inet.AppendBytes([]byte{24, 10, 0, 0, 1})
	if got, err := s.Match([]string{"ips"}, inet, batch.All(3), nil); err != nil || fmt.Sprint(got) != "[0]" {
		t.Errorf("inet: %v, %v; want only the whole address", got, err)
	}
	if _, err := s.Match([]string{"gone"}, inet, batch.All(1), nil); sqlerr.CodeOf(err) != sqlerr.UndefinedObject {
		t.Errorf("unknown list: %v", err)
	}
}

// TestAgainstModel changes a list at random, over several rebuilds, and asks for members and strangers: the answer must be
// the map's, and an old version must not have changed.
func TestAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	model := map[string]bool{}
	s := NewSet().With(Change{List: "l", Create: true, Kind: Text})
	rebuilt := 0
	for round := range 60 {
		var add, drop []string
		for range rng.Intn(1500) {
			add = append(add, fmt.Sprint("v", rng.Intn(30000)))
		}
		for range rng.Intn(700) {
			drop = append(drop, fmt.Sprint("v", rng.Intn(30000)))
		}
		old, oldLen := s, s.Len("l")
		s = s.With(Change{List: "l", Add: add, Drop: drop})
		for _, v := range drop {
			delete(model, v)
		}
		for _, v := range add {
			model[v] = true
		}
		if old.lists["l"].base != s.lists["l"].base {
			rebuilt++
		}
		if s.Len("l") != len(model) || old.Len("l") != oldLen || s.Version("l") != uint64(round+2) {
			t.Fatalf("round %d: size %d, model %d, old version %d then %d", round, s.Len("l"), len(model), oldLen, old.Len("l"))
		}
		for range 500 {
			v := fmt.Sprint("v", rng.Intn(40000))
			if got := s.lists["l"].has([]byte(v)); got != model[v] {
				t.Fatalf("round %d: has(%s) = %v, model %v", round, v, got, model[v])
			}
		}
	}
	if rebuilt == 0 || rebuilt == 60 {
		t.Fatalf("%d rebuilds in 60 rounds: both ways of changing must be met", rebuilt)
	}
}

// TestFilterIsBounded holds the figures that the filter promises: below its load limit, and smaller than 12 MB at 3 M.
func TestFilterIsBounded(t *testing.T) {
	hashes := make([]uint64, 200_000)
	for i := range hashes {
		hashes[i] = hashOf(binary.LittleEndian.AppendUint64(nil, uint64(i)))
	}
	f := newFilter(hashes)
	var key [8]byte
	for _, h := range hashes {
		binary.LittleEndian.PutUint64(key[:], h)
		if !f.Lookup(key[:]) {
			t.Fatal("a member is missing from the filter")
		}
	}
	if load := float64(f.Count()) / float64(len(f.Encode())); load > filterLoadMax {
		t.Fatalf("filter load %.2f is above %.2f", load, filterLoadMax)
	}
}

func BenchmarkMiss3M(b *testing.B) {
	values := make([]string, 3_000_000)
	for i := range values {
		values[i] = netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}).String()
	}
	s := NewSet().With(Change{List: "l", Create: true, Kind: IP}, Change{List: "l", Add: values})
	v := &batch.Vec{}
	v.Reset(types.T(types.Inet))
	rng := rand.New(rand.NewSource(1))
	for range batch.RowsMax {
		v.AppendBytes([]byte{32, 200 + byte(rng.Intn(50)), byte(rng.Intn(256)), byte(rng.Intn(256)), byte(rng.Intn(256))})
	}
	var dst []uint32
	for b.Loop() {
		var err error
		if dst, err = s.Match([]string{"l"}, v, batch.All(batch.RowsMax), dst[:0]); err != nil || len(dst) != 0 {
			b.Fatal(dst, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch.RowsMax, "ns/miss")
	b.ReportMetric(float64(s.FilterBytes("l"))/1e6, "filterMB")
}
