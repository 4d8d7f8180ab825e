package agg

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// TestStatesInFile: states whose memory moves to a file all the time, what they point at included, are those of states on the Go heap.
func TestStatesInFile(t *testing.T) {
	seen := map[string]int{}
	inFile := 0
	for n, f := range forms() {
		name := fmt.Sprint(f.name, f.distinct)
		if Flat(f.kernel) || seen[name] >= 3 {
			continue
		}
		seen[name]++
		pool := arena.NewPool(t.TempDir(), 1, (*arena.Pool).Resident)
		if pool == nil {
			t.Skip("state stays on the Go heap on this system: needs Linux")
		}
		a := pool.Arena()
		run := fileRun{t: t, f: f, rng: rand.New(rand.NewPCG(3, uint64(n))), arena: a, part: a.Part(), near: slabOf(f.kernel, fileGroups)}
		run.far = &Slab{Stride: run.near.Stride, Mem: run.part}
		run.far.Grow(fileGroups)
		for range 6 {
			run.round()
		}
		run.compare()
		if len(run.far.Heap.buf) > 64<<10 {
			inFile++
			if held := run.part.Bytes(); held < int64(len(run.far.Heap.buf)) {
				t.Errorf("%v: blocks of %d bytes are in state memory of %d", f, len(run.far.Heap.buf), held)
			}
		}
		run.far.Free()
		if n := run.part.Bytes(); n != 0 {
			t.Errorf("%v: %d bytes of state memory are left", f, n)
		}
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	}
	if inFile < 30 {
		t.Errorf("only %d forms had blocks in the file", inFile)
	}
}

const fileGroups = 3000

// fileRun does the same to states in a file and on the Go heap.
type fileRun struct {
	t         *testing.T
	f         form
	rng       *rand.Rand
	arena     *arena.Arena
	part      *arena.Part
	far, near *Slab
}

func (r *fileRun) round() {
	gids := make([]uint32, fileGroups)
	for i := range gids {
		gids[i] = uint32(r.rng.IntN(fileGroups))
	}
	cols := r.f.rows(r.rng, len(gids))
	r.far.Claim(gids)
	fold(r.t, r.f, r.near, gids, cols)
	fold(r.t, r.f, r.far, gids, cols)
	r.arena.Relieve()
	for range fileGroups / 10 {
		g, h := uint32(r.rng.IntN(fileGroups)), uint32(r.rng.IntN(fileGroups))
		for _, s := range []*Slab{r.near, r.far} {
			if g%2 == 0 {
				s.Release(g)
				continue
			}
			if err := r.f.kernel.Merge(s, g, s, h, lawOff); err != nil {
				r.t.Fatalf("%v: Merge: %v", r.f, err)
			}
		}
	}
	r.arena.Relieve()
}

func (r *fileRun) compare() {
	for g := range uint32(fileGroups) {
		want, got := r.f.kernel.Append(nil, r.near, lawOff, g), r.f.kernel.Append(nil, r.far, lawOff, g)
		if !bytes.Equal(want, got) {
			r.t.Fatalf("%v: group %d is %x in the file, %x on the heap", r.f, g, got, want)
		}
	}
}

// TestClaim: states that are about to be updated come in page by page, with what they point at.
func TestClaim(t *testing.T) {
	pool := arena.NewPool(t.TempDir(), 1, (*arena.Pool).Resident)
	if pool == nil {
		t.Skip("state stays on the Go heap on this system: needs Linux")
	}
	defer func() { _ = pool.Close() }()
	a := pool.Arena()
	k := extremeBytes{true, types.T(types.Text)}
	const groups = 20_000
	s := &Slab{Stride: 1, Mem: a.Part()}
	s.Grow(groups)
	update := func(gids []uint32, letter string) {
		v := new(batch.Vec)
		v.Reset(types.T(types.Text))
		for _, g := range gids {
			v.AppendString(fmt.Sprintf("%s%0200d", letter, g))
		}
		if err := k.Update(s, 0, gids, []*batch.Vec{v}); err != nil {
			t.Fatal(err)
		}
	}
	update(batch.All(groups), "a")
	pool.Look()
	a.Relieve()
	few := []uint32{17, 5000, 10_000, 15_000, 19_999}
	before := pool.Resident()
	s.Claim(few)
	update(few, "b")
	// A page for the word, and two at most for the value.
	if came := pool.Resident() - before; came <= 0 || came > int64(3*len(few))<<12 {
		t.Errorf("%d bytes came in for %d states, %d were in memory before", came, len(few), before)
	}
	for _, g := range append(few, 18) {
		want := fmt.Sprintf("b%0200d", g)
		if g == 18 {
			want = fmt.Sprintf("a%0200d", g)
		}
		if v, _ := k.Result(s, 0, g); v.S != want {
			t.Errorf("group %d is %q", g, v.S)
		}
	}
	s.Free()
}
