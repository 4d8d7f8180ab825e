package kv

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func put(t *testing.T, s Store, key string, sync bool) {
	t.Helper()
	b := s.NewBatch()
	b.Set([]byte(key), []byte(key))
	if err := b.Commit(sync); err != nil {
		t.Fatal(err)
	}
}

func keys(t *testing.T, s Store) (got string) {
	t.Helper()
	if err := s.Scan(nil, nil, func(k, _ []byte) (bool, error) { got += string(k); return true, nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

// That Mem behaves as every Store is proven in pebblekv, by the contract test that both pass.

func TestMemCrash(t *testing.T) {
	m := NewMem()
	put(t, m, "a", false)
	put(t, m, "b", true)
	put(t, m, "c", false)
	put(t, m, "d", false)
	for keep, want := range []string{"ab", "abc", "abcd", "abcd"} {
		if got := keys(t, m.Crash(keep)); got != want {
			t.Errorf("keeping %d: %s, want %s", keep, got, want)
		}
	}
	crashed := m.Crash(1)
	put(t, crashed, "x", false)
	if a, b, c := keys(t, m), keys(t, crashed), keys(t, crashed.Crash(0)); a != "abcd" || b != "abcx" || c != "abc" {
		t.Errorf("after the crash: %s, %s, %s", a, b, c)
	}
	if m.Unsynced() != 2 {
		t.Errorf("unsynced: %d", m.Unsynced())
	}
}

// TestMemUnsyncedBound: at the limit the oldest state counts as synced.
func TestMemUnsyncedBound(t *testing.T) {
	m := NewMem()
	for i := range unsyncedMax + 3 {
		put(t, m, fmt.Sprintf("%05d", i), false)
	}
	if n := m.Unsynced(); n != unsyncedMax {
		t.Fatalf("unsynced: %d", n)
	}
	if got := len(keys(t, m.Crash(0))) / 5; got != 3 {
		t.Fatalf("left: %d", got)
	}
}

// TestFaulty: the n-th call fails, whatever kind it is, and works when repeated.
func TestFaulty(t *testing.T) {
	none := func(_, _ []byte) (bool, error) { return true, nil }
	for n := 1; ; n++ {
		f := NewFaulty(NewMem(), n)
		snap := f.Snapshot()
		calls := []func() error{
			func() error { _, _, err := f.Get(nil); return err },
			func() error { return f.Scan(nil, nil, none) },
			func() error { return f.ScanBack(nil, nil, none) },
			func() error { return f.NewBatch().Commit(true) },
			func() error { _, _, err := snap.Get(nil); return err },
			func() error { return snap.Scan(nil, nil, none) },
			func() error { return snap.ScanBack(nil, nil, none) },
		}
		for i, call := range calls {
			err := call()
			if (i+1 == n) != errors.Is(err, ErrInjected) || i+1 != n && err != nil {
				t.Fatalf("fault %d: call %d: %v", n, i+1, err)
			}
			if err == nil {
				continue
			}
			if err := call(); err != nil {
				t.Fatalf("call %d fails twice: %v", i+1, err)
			}
		}
		if f.Fired() != (n <= len(calls)) {
			t.Fatalf("fault %d: fired %v", n, f.Fired())
		}
		if !f.Fired() {
			break
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	for in, want := range map[string][]byte{"a": {'b'}, "a\xff": {'b'}, "\xff\xff": nil, "": nil, "\x00": {1}} {
		if got := PrefixEnd([]byte(in)); !bytes.Equal(got, want) {
			t.Errorf("PrefixEnd(%q) = %q", in, got)
		}
	}
}
