package pebblekv

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// faultRun writes to a store on a disk: commits, flushes, compactions, reads, a second start. It returns what the store holds in the end.
func faultRun(d *MemDisk) (got []string, err error) {
	for round := range 2 {
		s, err := Open("data", Options{FS: d, Hasty: true, Fatal: func(m string) { panic(m) }})
		if err != nil {
			return nil, err
		}
		for i := range 12 {
			b := s.NewBatch()
			b.Set(fmt.Appendf(nil, "%d key %d", round, i), make([]byte, 3000*(i%3)))
			b.Delete(fmt.Appendf(nil, "%d key %d", round, i-5))
			if err := b.Commit(i%3 != 1); err != nil {
				return nil, err
			}
			if i%4 == 3 {
				if err := s.Flush(); err != nil {
					return nil, err
				}
			}
		}
		if round == 1 {
			if err := s.Compact(); err != nil {
				return nil, err
			}
		}
		got = got[:0]
		err = s.Scan(nil, nil, func(k, v []byte) (bool, error) {
			got = append(got, fmt.Sprint(string(k), len(v)))
			return true, nil
		})
		if err := errors.Join(err, s.Close()); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// reopen is what is left after losing power.
func reopen(d *MemDisk) (got []string, err error) {
	s, err := Open("data", Options{FS: d})
	if err != nil {
		return nil, err
	}
	err = s.Scan(nil, nil, func(k, v []byte) (bool, error) {
		got = append(got, fmt.Sprint(string(k), len(v)))
		return true, nil
	})
	return got, errors.Join(err, s.Close())
}

var faultStep = flag.Int("fault-step", 3, "TestEachCallFailsOnce: of how many calls one fails")

// TestEachCallFailsOnce: whichever call to the disk fails once, with an input/output error or for want of room, the store goes on, and what it holds is
// on disk.
func TestEachCallFailsOnce(t *testing.T) {
	want, err := faultRun(NewMemDisk())
	if err != nil || len(want) < 10 {
		t.Fatal(want, err)
	}
	fired := map[string]int{}
	for _, cause := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		for k := 1; ; k += *faultStep {
			d := NewMemDisk()
			var mu sync.Mutex
			n, at := 0, ""
			d.SetHook(func(what, name string) error {
				mu.Lock()
				defer mu.Unlock()
				// A full disk can be read, and have names removed.
				if cause == syscall.ENOSPC && (what == "read" || what == "list" || what == "remove") || strings.HasSuffix(name, "LOCK") || name == "." {
					return nil
				}
				if n++; n != k {
					return nil
				}
				at = what + " " + name
				return cause
			})
			got, err := faultRun(d)
			d.SetHook(nil)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s %s, call %d: the store holds %v, %v; not %v", at, cause, k, got, err, want)
			}
			if at == "" {
				break
			}
			fired[strings.Fields(at)[0]]++
			left, err := reopen(d.Crash(nil))
			if err != nil || fmt.Sprint(left) != fmt.Sprint(want) {
				t.Fatalf("%s %s, call %d: %v is left, %v; not %v", at, cause, k, left, err, want)
			}
		}
	}
	t.Log(fired)
	for _, what := range []string{"create", "open", "read", "write", "sync"} {
		if fired[what] == 0 {
			t.Errorf("no %s failed", what)
		}
	}
}

// TestErrorThatStays ends: what fails again and again is told.
func TestErrorThatStays(t *testing.T) {
	w := newWaiter("data", Options{Hasty: true})
	calls := 0
	if err := w.retry("data/f", func() error { calls++; return syscall.EIO }); err != syscall.EIO || calls != triesMax+1 {
		t.Error(err, calls)
	}
	calls = 0
	if err := w.retry("elsewhere/f", func() error { calls++; return syscall.EIO }); err != syscall.EIO || calls != 1 {
		t.Error(err, calls)
	}
	calls = 0
	err := w.retry("data/f", func() error {
		if calls++; calls == 1 {
			return syscall.EIO
		}
		return errTest
	})
	if err != errTest || calls != 2 {
		t.Error(err, calls)
	}
}

var errTest = errors.New("another error")

// TestUnsynced: what is kept to be written again is what was written, however much of it and cut wherever.
func TestUnsynced(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var u unsynced
	var want []byte
	crossed := 0
	for range 3000 {
		switch r.IntN(20) {
		case 0:
			want = want[:r.IntN(len(want)+1)]
			u.cut(len(want))
		case 1:
			want = want[:0]
			if u.free(); r.IntN(2) == 0 {
				u.cut(0)
			}
		default:
			p := make([]byte, r.IntN(1<<r.IntN(19)))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			want = append(want, p...)
			u.add(p)
		}
		if len(want) > 3*unsyncedChunk {
			crossed++
		}
		if u.size != len(want) || !bytes.Equal(u.bytes(), want) {
			t.Fatalf("%d bytes are kept, or others; %d were written", u.size, len(want))
		}
	}
	if crossed < 100 {
		t.Error("never more than a few chunks")
	}
}
