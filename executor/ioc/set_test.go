package ioc

import (
	"fmt"
	"maps"
	"math/rand"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	store "github.com/vigil-sql/vigil/storage/ioc"
	"github.com/vigil-sql/vigil/storage/kv"
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
	s := newSet(t).With(
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

// TestAgainstModel changes a list at random, in the store and in transactions on top of it, and asks for members and strangers: the
// answer must be the map's, and an old version must not have changed.
func TestAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	model := map[string]bool{}
	s := newSet(t)
	s = stage(t, s, Change{List: "l", ID: 1, Create: true, Kind: Text})
	type version struct {
		set   *Set
		model map[string]bool
	}
	var olds []version
	for round := range 60 {
		var add, drop []string
		for range rng.Intn(1500) {
			add = append(add, fmt.Sprint("v", rng.Intn(30000)))
		}
		for range rng.Intn(700) {
			drop = append(drop, fmt.Sprint("v", rng.Intn(30000)))
		}
		olds = append(olds, version{s, maps.Clone(model)})
		c := Change{List: "l", ID: 1, Add: add, Drop: drop}
		draft := s.With(c)
		s = stage(t, s, c)
		for _, v := range drop {
			delete(model, v)
		}
		for _, v := range add {
			model[v] = true
		}
		if s.Len("l") != len(model) || draft.Len("l") != len(model) || s.Version("l") != uint64(round+2) || draft.Version("l") != uint64(round+2) {
			t.Fatalf("round %d: size %d, of the draft %d, model %d, version %d", round, s.Len("l"), draft.Len("l"), len(model), s.Version("l"))
		}
		olds = append(olds, version{draft, maps.Clone(model)}, version{s, maps.Clone(model)})
		for range 500 {
			v := fmt.Sprint("v", rng.Intn(40000))
			x := olds[max(0, len(olds)-1-rng.Intn(9))]
			p := prober{set: x.set}
			if got := p.has(x.set.lists["l"], []byte(v)); got != x.model[v] || p.err != nil {
				t.Fatalf("round %d: has(%s) = %v, model %v, %v", round, v, got, x.model[v], p.err)
			}
			p.release()
		}
	}
}

func newSet(t testing.TB) *Set {
	st, err := store.Open(kv.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	return NewSet(st)
}

// stage makes a change in the store.
func stage(t testing.TB, s *Set, changes ...Change) *Set {
	var list []store.Change
	for i := range changes {
		list = append(list, changes[i].Stored())
	}
	seq, err := s.store.Stage(list)
	if err != nil {
		t.Fatal(err)
	}
	return s.Staged(seq, changes...)
}

func infoOf(s *Set, entry string) string {
	p := prober{set: s}
	defer p.release()
	l := s.lists["l"]
	if l.nets != nil {
		e, _ := l.nets.Get(prefixOf(entry))
		return string(e.Info)
	}
	return string(p.get(l, []byte(entry)).Info)
}
