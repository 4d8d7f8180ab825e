package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/vigil-sql/vigil/storage/kv"
)

// model is what a checkpoint must hold: blocks in order, per operator, slice and worker.
type model map[part][]string

func (m model) clone() model {
	c := model{}
	for k, v := range m {
		c[k] = slices.Clone(v)
	}
	return c
}

// read returns a store's latest checkpoint as a model, and its number (0: none). The order of slices and workers is checked.
func read(t testing.TB, s *Store, ops int) (model, uint64) {
	t.Helper()
	n, manifest, ok, err := s.Latest()
	if err != nil {
		t.Fatal(err)
	}
	if ok && string(manifest) != fmt.Sprint("manifest ", n) {
		t.Fatalf("checkpoint %d has the manifest %s", n, manifest)
	}
	got := model{}
	for op := range uint64(ops) {
		var last part
		first := true
		err := s.Read(op, func(slice int64, worker uint16, data []byte) error {
			p := part{slot{op, slice}, worker}
			if !first && (p.slice < last.slice || p.slice == last.slice && p.worker < last.worker) {
				t.Fatalf("%v comes after %v", p, last)
			}
			last, first = p, false
			got[p] = append(got[p], string(data))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return got, n
}

func equal(a, b model) bool { return maps.EqualFunc(a, b, slices.Equal[[]string]) }

// life is a random sequence of checkpoints on a store.
type life struct {
	t    *testing.T
	rnd  *rand.Rand
	s    *Store
	n    uint64
	held model // by the last complete checkpoint
	next int
	// what the sequence has met
	lates, aborts, rewrites, drops int
}

const lifeOps = 3

// step begins a checkpoint and fills it at random. The writer is still open.
func (l *life) step() (*Writer, model, error) {
	l.n += uint64(l.rnd.Intn(3)) + 1
	w, err := l.s.NewWriter(l.n)
	if err != nil {
		return nil, nil, err
	}
	m := l.held.clone()
	dropped := map[slot]bool{}
	for range l.rnd.Intn(40) {
		p := part{slot{uint64(l.rnd.Intn(lifeOps)), int64(l.rnd.Intn(5) - 2)}, uint16(l.rnd.Intn(2))}
		switch l.rnd.Intn(12) {
		case 0:
			w.Drop(p.op, p.slice)
			maps.DeleteFunc(m, func(q part, _ []string) bool { return q.slot == p.slot })
			dropped[p.slot] = true
			l.drops++
		case 1:
			w.Rewrite(p.op, p.worker, p.slice)
			delete(m, p)
			l.rewrites++
		case 2:
			if l.rnd.Intn(5) == 0 {
				w.DropOp(p.op)
				maps.DeleteFunc(m, func(q part, _ []string) bool { return q.op == p.op })
				for s := int64(-2); s < 3; s++ {
					dropped[slot{p.op, s}] = true
				}
			}
		default:
			data := fmt.Sprint("block ", l.next)
			l.next++
			if err := w.Block(p.op, p.worker, p.slice, []byte(data)); err != nil {
				w.Abort()
				return nil, nil, err
			}
			m[p] = append(m[p], data)
			if dropped[p.slot] {
				l.lates++
			}
		}
	}
	return w, m, nil
}

func (l *life) check(when string) {
	l.t.Helper()
	if got, n := read(l.t, l.s, lifeOps); !equal(got, l.held) {
		l.t.Fatalf("%s, checkpoint %d: %v, want %v", when, n, got, l.held)
	}
}

// TestModel compares random checkpoints, aborts and crashes at any moment with the model.
func TestModel(t *testing.T) {
	var crashes, orphans int
	l := &life{t: t, rnd: rand.New(rand.NewSource(1))}
	for range 60 {
		mem := kv.NewMem()
		l.s, l.n, l.held = New(mem), 0, model{}
		for range 25 {
			w, m, err := l.step()
			if err != nil {
				t.Fatal(err)
			}
			l.check("while writing")
			switch l.rnd.Intn(6) {
			case 0:
				w.Abort()
				l.aborts++
			case 1: // the power goes before Commit; some of the blocks are on disk
				w.mu.Lock()
				w.done = true
				w.more.Broadcast()
				w.mu.Unlock()
				<-w.ended
				if mem.Unsynced() > 0 {
					orphans++
				}
				mem = mem.Crash(l.rnd.Intn(mem.Unsynced() + 1))
				l.s = New(mem)
				if l.rnd.Intn(2) == 0 {
					if err := l.s.Cleanup(); err != nil {
						t.Fatal(err)
					}
				}
				// The number starts over, so that blocks of the lost checkpoint could be taken for the new one's.
				l.n, _, _, _ = l.s.Latest()
				crashes++
			default:
				if err := w.Commit(fmt.Append(nil, "manifest ", l.n)); err != nil {
					t.Fatal(err)
				}
				l.held = m
				if l.rnd.Intn(3) == 0 {
					mem = mem.Crash(0) // right after Commit
					l.s = New(mem)
				}
			}
			l.check("afterwards")
		}
		checkLeftovers(t, mem, l)
	}
	if crashes == 0 || orphans == 0 || l.lates == 0 || l.aborts == 0 || l.rewrites == 0 || l.drops == 0 {
		t.Fatalf("%d crashes, %d orphans, %+v", crashes, orphans, l)
	}
}

// checkLeftovers: after a cleanup the store holds nothing but what the checkpoint needs.
func checkLeftovers(t *testing.T, mem *kv.Mem, l *life) {
	t.Helper()
	if err := New(mem).Cleanup(); err != nil {
		t.Fatal(err)
	}
	keys, want := 0, 0
	if err := mem.Scan(nil, nil, func(_, _ []byte) (bool, error) { keys++; return true, nil }); err != nil {
		t.Fatal(err)
	}
	ops := map[uint64]bool{}
	for p, blocks := range l.held {
		want += len(blocks)
		ops[p.op] = true
	}
	if _, _, ok, _ := l.s.Latest(); ok {
		want++
	}
	if keys != want {
		t.Fatalf("%d keys, want %d", keys, want)
	}
	got, err := l.s.Ops()
	if err != nil || !slices.Equal(got, slices.Sorted(maps.Keys(ops))) {
		t.Fatalf("operators %v %v, want %v", got, err, ops)
	}
}

// TestFaults makes each call to the store fail once: the checkpoint that fails is not seen, later ones are right.
func TestFaults(t *testing.T) {
	failures := 0
	for n := 1; ; n++ {
		mem := kv.NewMem()
		f := kv.NewFaulty(mem, n)
		l := &life{t: t, rnd: rand.New(rand.NewSource(2)), s: New(f), held: model{}}
		for range 8 {
			w, m, err := l.step()
			if err == nil {
				if l.rnd.Intn(3) == 0 {
					w.Abort()
					continue
				}
				err = w.Commit(fmt.Append(nil, "manifest ", l.n))
			}
			if err == nil {
				l.held = m
			} else if !errors.Is(err, kv.ErrInjected) {
				t.Fatal(err)
			} else {
				failures++
			}
			if got, _ := read(t, New(mem), lifeOps); !equal(got, l.held) { // past the fault
				t.Fatalf("fault %d: %v, want %v", n, got, l.held)
			}
		}
		if !f.Fired() {
			break
		}
	}
	if failures == 0 {
		t.Fatal("nothing failed")
	}
}

// gated holds commits until something is sent.
type gated struct {
	kv.Store
	gate chan struct{}
}

type gatedBatch struct {
	kv.Batch
	g gated
}

func (g gated) NewBatch() kv.Batch { return gatedBatch{g.Store.NewBatch(), g} }

func (b gatedBatch) Commit(sync bool) error {
	<-b.g.gate
	return b.Batch.Commit(sync)
}

// TestBackground: Block does not wait for the store until its bound is reached, then it does, and all blocks arrive.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gated{kv.NewMem(), make(chan struct{}, 1000)}
		g.gate <- struct{}{} // the cleanup of NewWriter
		s := New(g)
		w, err := s.NewWriter(1)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		const blocks, size = 20, queueMax / 8
		added := make(chan struct{}, blocks)
		data := make([]byte, size)
		for i := range blocks {
			wg.Go(func() {
				if err := w.Block(1, uint16(i), 0, data); err != nil {
					t.Error(err)
				}
				added <- struct{}{}
			})
		}
		synctest.Wait()
		if len(added) != 8 {
			t.Fatalf("%d blocks were taken", len(added))
		}
		for range blocks + 1 { // and the manifest
			g.gate <- struct{}{}
		}
		wg.Wait()
		if err := w.Commit(nil); err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := s.Read(1, func(int64, uint16, []byte) error { n++; return nil }); err != nil || n != blocks {
			t.Fatalf("%d blocks, %v", n, err)
		}
	})
}

func TestMisuse(t *testing.T) {
	s := New(kv.NewMem())
	w, err := s.NewWriter(5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewWriter(6); err == nil {
		t.Error("two writers at once")
	}
	if err := w.Commit(nil); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if err := w.Commit(nil); !errors.Is(err, ErrAborted) {
		t.Errorf("second Commit: %v", err)
	}
	if err := w.Block(1, 1, 1, nil); !errors.Is(err, ErrAborted) {
		t.Errorf("Block after Commit: %v", err)
	}
	if _, err := s.NewWriter(5); err == nil {
		t.Error("the same number again")
	}
	if n, _, ok, err := s.Latest(); n != 5 || !ok || err != nil {
		t.Error(n, ok, err)
	}
}

func TestDropOp(t *testing.T) {
	s := New(kv.NewMem())
	w, err := s.NewWriter(1)
	if err != nil {
		t.Fatal(err)
	}
	for op := range uint64(3) {
		if err := w.Block(op, 0, -1, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Commit([]byte("manifest 1")), s.DropOp(1)); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, s, 3); len(got) != 2 {
		t.Fatalf("%v", got)
	}
}

func TestCorrupt(t *testing.T) {
	for name, row := range map[string][2][]byte{
		"manifest version": {manifestKey(), append([]byte{9}, make([]byte, 8)...)},
		"manifest short":   {manifestKey(), {manifestVersion}},
		"block key":        {opPrefix(1), nil},
	} {
		mem := kv.NewMem()
		b := mem.NewBatch()
		b.Set(manifestKey(), encodeManifest(1, nil))
		b.Set(row[0], row[1])
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
		none := func(int64, uint16, []byte) error { return nil }
		if err := New(mem).Read(1, none); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOpsOfUnfinished: an operator of which only a checkpoint has blocks that was never completed is in none.
func TestOpsOfUnfinished(t *testing.T) {
	mem := kv.NewMem()
	s := New(mem)
	s.LimitQueue(1) // a block waits until the one before is written
	block := func(w *Writer, op uint64) {
		t.Helper()
		if err := w.Block(op, 0, 1, []byte("state")); err != nil {
			t.Fatal(err)
		}
	}
	complete, err := s.NewWriter(1)
	if err != nil {
		t.Fatal(err)
	}
	block(complete, 3)
	block(complete, 1<<63)
	if err := complete.Commit([]byte("manifest")); err != nil {
		t.Fatal(err)
	}
	unfinished, err := s.NewWriter(2)
	if err != nil {
		t.Fatal(err)
	}
	defer unfinished.Abort()
	for _, op := range []uint64{2, 3, 1<<63 + 1, 1 << 62} {
		block(unfinished, op)
	}
	got, err := New(mem).Ops()
	if want := []uint64{3, 1 << 63}; err != nil || !slices.Equal(got, want) {
		t.Errorf("operators %v %v, want %v", got, err, want)
	}
}
