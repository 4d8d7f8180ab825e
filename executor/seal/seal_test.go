package seal

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestSeal(t *testing.T) {
	path := filepath.Join(t.TempDir(), File)
	k := New(path)
	if k.Exists() {
		t.Fatal("there is a key before anything is sealed")
	}
	if plain, err := k.Open("password", "hunter2"); err != nil || plain != "hunter2" || k.Exists() {
		t.Fatal(plain, err)
	}
	a, err := k.Seal("password", "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	b, err := k.Seal("password", "hunter2")
	if err != nil || a == b || !Sealed(a) || strings.Contains(a, "hunter2") {
		t.Fatalf("%s %s %v: equal values are told", a, b, err)
	}
	if again, err := k.Seal("password", a); err != nil || again != a {
		t.Fatal(again, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatal(st.Mode(), err)
	}
	for _, keys := range []*Keys{k, New(path)} {
		if plain, err := keys.Open("password", a); err != nil || plain != "hunter2" {
			t.Error(plain, err)
		}
	}
	if list, err := filepath.Glob(path + ".*"); err != nil || len(list) != 0 {
		t.Error("left behind:", list, err)
	}
}

// TestOpenFails: what was not sealed so, or with another key, is told, and no value comes of it.
func TestOpenFails(t *testing.T) {
	path, other := filepath.Join(t.TempDir(), File), filepath.Join(t.TempDir(), File)
	k := New(path)
	a, err := k.Seal("password", "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(other).Seal("x", "y"); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), File)
	if err := os.WriteFile(broken, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	var none *Keys
	for _, c := range []struct {
		keys           *Keys
		of, text, want string
	}{
		{k, "url", a, "damaged"}, // of another option
		{k, "password", a[:len(a)-8] + "AAAAAAA=", "damaged"},
		{k, "password", a[:len(a)-30], "damaged"},
		{k, "password", prefix, "later version"},
		{k, "password", reserved + "2:x:y", "later version"},
		{New(other), "password", a, "holds key"},
		{New(filepath.Join(t.TempDir(), File)), "password", a, "no such file"},
		{New(broken), "password", a, "no secret key"},
		{none, "password", a, "no key"},
	} {
		if plain, err := c.keys.Open(c.of, c.text); err == nil || !strings.Contains(err.Error(), c.want) || plain != "" {
			t.Errorf("%s: %q %v, want %q", c.text, plain, err, c.want)
		}
	}
	if _, err := New(broken).Seal("password", "x"); err == nil {
		t.Error("sealed with what is no key")
	}
	if text, err := none.Seal("password", "x"); err != nil || text != "x" {
		t.Error(text, err)
	}
	if err := Locked(map[string]string{"topic": "x", "password": a}); err == nil || !strings.Contains(err.Error(), `option "password" is sealed with key `+k.name) {
		t.Error(err)
	}
	if err := Locked(map[string]string{"topic": "x"}); err != nil {
		t.Error(err)
	}
}

// TestOneKey: those who need a key at the same time make one.
func TestOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), File)
	var wg sync.WaitGroup
	texts := make([]string, 8)
	for i := range texts {
		wg.Go(func() {
			var err error
			if texts[i], err = New(path).Seal("x", "y"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	k := New(path)
	for _, text := range texts {
		if plain, err := k.Open("x", text); err != nil || plain != "y" {
			t.Error(plain, err)
		}
	}
}
