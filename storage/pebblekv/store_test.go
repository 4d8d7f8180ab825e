package pebblekv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	randv2 "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vigil-sql/vigil/storage/kv"
)

func open(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open("data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// model is the simplest ordered store.
type model map[string]string

func (m model) list(lo, hi []byte) []string {
	var got []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k >= string(lo) && (hi == nil || k < string(hi)) {
			got = append(got, k+"="+m[k])
		}
	}
	return got
}

func list(t *testing.T, r kv.Reader, lo, hi []byte) (up, down []string) {
	t.Helper()
	collect := func(dst *[]string) func(k, v []byte) (bool, error) {
		return func(k, v []byte) (bool, error) {
			if k[0] != kv.PrefixFormat {
				*dst = append(*dst, string(k)+"="+string(v))
			}
			return true, nil
		}
	}
	if err := r.Scan(lo, hi, collect(&up)); err != nil {
		t.Fatal(err)
	}
	if err := r.ScanBack(lo, hi, collect(&down)); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(down)
	return up, down
}

// TestContract gives the same random changes to every kv.Store and to a model, and compares all reads.
func TestContract(t *testing.T) {
	stores := map[string]func() kv.Store{
		"mem":    func() kv.Store { return kv.NewMem() },
		"faulty": func() kv.Store { return kv.NewFaulty(kv.NewMem(), 0) },
		"pebble": func() kv.Store { return open(t, vfs.NewMem()) },
	}
	for name, make := range stores {
		t.Run(name, func(t *testing.T) { checkContract(t, make()) })
	}
}

func checkContract(t *testing.T, s kv.Store) {
	rnd := rand.New(rand.NewSource(1))
	key := func() []byte { return []byte(fmt.Sprintf("k%02d", rnd.Intn(60))) }
	bounds := func() (lo, hi []byte) {
		lo, hi = key(), key()
		if rnd.Intn(5) == 0 {
			lo = nil
		}
		if rnd.Intn(5) == 0 {
			hi = nil
		}
		return lo, hi
	}
	m := model{}
	var emptyRanges, hits, misses int
	for step := range 400 {
		snap, before := s.Snapshot(), maps.Clone(m)
		b := s.NewBatch()
		for range rnd.Intn(6) {
			emptyRanges += randomChange(rnd, b, m, key, fmt.Sprint(step))
		}
		if step%7 == 0 {
			b.Discard()
			maps.Copy(m, before)
			maps.DeleteFunc(m, func(k, _ string) bool { _, ok := before[k]; return !ok })
		} else if err := b.Commit(step%3 == 0); err != nil {
			t.Fatal(err)
		}
		lo, hi := bounds()
		for what, r := range map[string]struct {
			kv.Reader
			model
		}{"store": {s, m}, "snapshot": {snap, before}} {
			want := r.list(lo, hi)
			if up, down := list(t, r, lo, hi); !slices.Equal(up, want) || !slices.Equal(down, want) {
				t.Fatalf("step %d: %s [%s, %s): up %v, down %v, want %v", step, what, lo, hi, up, down, want)
			}
			k := key()
			v, ok, err := r.Get(k)
			if wantV, wantOK := r.model[string(k)]; err != nil || ok != wantOK || string(v) != wantV {
				t.Fatalf("step %d: %s get %s = %s %v %v, want %s %v", step, what, k, v, ok, err, wantV, wantOK)
			}
			if ok {
				hits++
			} else {
				misses++
			}
		}
		if err := snap.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := snap.Get(key()); err == nil {
			t.Fatal("a closed snapshot still reads")
		}
	}
	if emptyRanges == 0 || hits == 0 || misses == 0 {
		t.Fatalf("the test missed a case: %d empty ranges, %d hits, %d misses", emptyRanges, hits, misses)
	}
	checkEndings(t, s)
}

// randomChange adds a change to b and to the model. It returns 1 when that is an empty range.
func randomChange(rnd *rand.Rand, b kv.Batch, m model, key func() []byte, value string) int {
	switch k := key(); rnd.Intn(4) {
	case 0:
		b.Delete(k)
		delete(m, string(k))
	case 1:
		hi := key()
		b.DeleteRange(k, hi)
		maps.DeleteFunc(m, func(x, _ string) bool { return x >= string(k) && x < string(hi) })
		if bytes.Compare(k, hi) >= 0 {
			return 1
		}
	default:
		b.Set(k, []byte(value))
		m[string(k)] = value
		clear(k) // the batch must have copied it
	}
	return 0
}

// checkEndings: how scans end early, and what a closed store does.
func checkEndings(t *testing.T, s kv.Store) {
	b := s.NewBatch()
	b.Set([]byte("a"), nil)
	b.Set([]byte("b"), nil)
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	if v, ok, err := s.Get([]byte("a")); v == nil || !ok || err != nil {
		t.Fatalf("an empty value: %v %v %v", v, ok, err)
	}
	stop := errors.New("stop")
	for _, scan := range []func(lo, hi []byte, fn func(k, v []byte) (bool, error)) error{s.Scan, s.ScanBack} {
		calls := 0
		if err := scan(nil, nil, func(_, _ []byte) (bool, error) { calls++; return true, stop }); err != stop || calls != 1 {
			t.Fatalf("error %v after %d calls", err, calls)
		}
		if err := scan(nil, nil, func(_, _ []byte) (bool, error) { calls++; return false, nil }); err != nil || calls != 2 {
			t.Fatalf("error %v after %d calls", err, calls)
		}
	}
	left := s.NewBatch()
	left.Set([]byte("c"), nil)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Get([]byte("a")); !errors.Is(err, kv.ErrClosed) {
		t.Fatalf("get after close: %v", err)
	}
	if err := left.Commit(false); !errors.Is(err, kv.ErrClosed) {
		t.Fatalf("commit after close: %v", err)
	}
	if _, _, err := s.Snapshot().Get([]byte("a")); !errors.Is(err, kv.ErrClosed) {
		t.Fatalf("snapshot after close: %v", err)
	}
}

// TestCrash: a synced commit survives the loss of power with all before it; what is lost is lost from the end.
func TestCrash(t *testing.T) {
	rnd := rand.New(rand.NewSource(2))
	lost := 0
	for round := range 20 {
		fs := vfs.NewCrashableMem()
		s := open(t, fs)
		synced := -1
		const commits = 30
		for i := range commits {
			b := s.NewBatch()
			b.Set(fmt.Appendf(nil, "k%03d", i), []byte("v"))
			sync := rnd.Intn(8) == 0
			if err := b.Commit(sync); err != nil {
				t.Fatal(err)
			}
			if sync {
				synced = i
			}
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rnd.Intn(101), RNG: newRNG(uint64(round))})
		up, _ := list(t, open(t, crashed), nil, nil)
		for i, e := range up {
			if want := fmt.Sprintf("k%03d=v", i); e != want {
				t.Fatalf("round %d: entry %d is %s: an earlier commit is missing", round, i, e)
			}
		}
		if len(up) <= synced {
			t.Fatalf("round %d: %d commits are left, number %d was synced", round, len(up), synced)
		}
		if len(up) < commits {
			lost++
		}
	}
	if lost == 0 {
		t.Fatal("no crash lost anything: the test proves nothing")
	}
}

// TestEmptySync: an empty synced batch makes earlier commits durable.
func TestEmptySync(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs)
	b := s.NewBatch()
	b.Set([]byte("k"), []byte("v"))
	if err := errors.Join(b.Commit(false), s.NewBatch().Commit(true)); err != nil {
		t.Fatal(err)
	}
	if up, _ := list(t, open(t, fs.CrashClone(vfs.CrashCloneCfg{})), nil, nil); len(up) != 1 {
		t.Fatalf("left: %v", up)
	}
}

func TestInUse(t *testing.T) {
	if dir := os.Getenv("VIGIL_TEST_OPEN"); dir != "" { // the second process, see below
		_, err := Open(dir, Options{})
		fmt.Println("error:", err, errors.Is(err, ErrInUse))
		return
	}
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("second store in this process: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestInUse$")
	cmd.Env = append(os.Environ(), "VIGIL_TEST_OPEN="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "in use by another vigil process") || !strings.Contains(string(out), " true\n") {
		t.Fatalf("second process: %v\n%s", err, out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatalf("after Close: %v", err)
	}
}

func TestFormat(t *testing.T) {
	write := func(key, value []byte) vfs.FS {
		fs := vfs.NewMem()
		db, err := pebble.Open("data", &pebble.Options{FS: fs, Logger: logger{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Set(key, value, pebble.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
		return fs
	}
	for name, c := range map[string]struct {
		fs   vfs.FS
		want string
	}{
		"newer":   {write(formatKey, binary.LittleEndian.AppendUint32(nil, 7)), "version 7"},
		"foreign": {write([]byte("hello"), nil), "did not write"},
		"garbage": {write(formatKey, []byte("x")), "version is 78"},
	} {
		_, err := Open("data", Options{FS: c.fs})
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBackup(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := s.NewBatch()
	b.Set([]byte("k"), []byte("v"))
	if err := b.Commit(false); err != nil {
		t.Fatal(err)
	}
	copied := dir + ".backup"
	var seen []byte
	if err := s.Backup(copied, func(c kv.Store) (err error) {
		seen, _, err = c.Get([]byte("k"))
		b := c.NewBatch()
		b.Set([]byte("k"), []byte("other"))
		if b.Commit(true) == nil {
			t.Error("the copy that is looked at can be written to")
		}
		return err
	}); err != nil || string(seen) != "v" {
		t.Fatalf("%s %v", seen, err)
	}
	if err := s.Backup(copied, nil); err == nil {
		t.Fatal("a backup over a backup")
	}
	c, err := Open(copied, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if v, _, err := c.Get([]byte("k")); string(v) != "v" || err != nil {
		t.Fatalf("in the backup: %s %v", v, err)
	}
	if m := s.Metrics(); m.DiskBytes == 0 || m.MemBytes == 0 {
		t.Fatalf("metrics %+v", m)
	}
}

// TestCloseWaits: Close while others read and write gives them ErrClosed, not a panic from below.
func TestCloseWaits(t *testing.T) {
	s := open(t, vfs.NewMem())
	var started, wg sync.WaitGroup
	for range 4 {
		started.Add(1)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				b := s.NewBatch()
				b.Set(fmt.Appendf(nil, "k%d", i%10), nil)
				err := b.Commit(false)
				if err == nil {
					err = s.Scan(nil, nil, func(_, _ []byte) (bool, error) { return true, nil })
				}
				if i == 0 {
					started.Done()
				}
				if err != nil {
					if !errors.Is(err, kv.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		}()
	}
	started.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

func newRNG(seed uint64) *randv2.Rand { return randv2.New(randv2.NewPCG(seed, 1)) }
