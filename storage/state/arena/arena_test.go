package arena

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// column is a slice with its model.
type column struct {
	b           Block
	have, model []uint64
}

func newTestPool(t *testing.T, budget int64) *Pool {
	t.Helper()
	p := NewPool(t.TempDir(), budget, (*Pool).Resident)
	if p == nil {
		t.Skip("state stays on the Go heap on this system: needs Linux")
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// counts are what a random run must have met.
type counts struct{ extended, reused, moved, dropped, forgotten, freed, held, evicted int }

// TestAgainstSlices does random things to columns and to plain slices.
func TestAgainstSlices(t *testing.T) {
	var met counts
	for seed := range uint64(4) {
		run := &modelRun{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), pool: newTestPool(t, 1<<40), met: &met}
		run.arena = run.pool.Arena()
		run.part = run.arena.Part()
		for range 300 {
			run.step()
		}
		run.compare()
		for _, c := range run.columns {
			c.b.Free()
		}
		runtime.GC()
	}
	if met.extended == 0 || met.reused == 0 || met.moved == 0 || met.dropped == 0 || met.forgotten == 0 || met.freed == 0 || met.held == 0 || met.evicted == 0 {
		t.Errorf("not all cases were met: %+v", met)
	}
}

type modelRun struct {
	t       *testing.T
	rnd     *rand.Rand
	pool    *Pool
	arena   *Arena
	part    *Part
	columns []*column
	met     *counts
}

func (r *modelRun) step() {
	if len(r.columns) == 0 || r.rnd.IntN(12) == 0 && len(r.columns) < 24 {
		r.columns = append(r.columns, &column{})
	}
	at := r.rnd.IntN(len(r.columns))
	c := r.columns[at]
	switch r.rnd.IntN(11) {
	case 0, 1, 2, 3:
		r.append(c, r.rnd.IntN(1<<r.rnd.IntN(20)))
	case 4:
		for range 2000 {
			if len(c.have) > 0 {
				i, v := r.rnd.IntN(len(c.have)), r.rnd.Uint64()
				c.have[i], c.model[i] = v, v
			}
		}
	case 5:
		r.move()
	case 6:
		r.met.dropped += int(r.arena.sweep(1<<40, 0) / int64(pageBytes))
	case 7:
		r.make(c)
	case 8:
		r.forget(c, at)
	case 9:
		r.same(c)
	case 10:
		r.met.evicted += r.evict(c)
	}
}

func (r *modelRun) append(c *column, n int) {
	was := 0
	if c.b.h != nil && c.b.h.span.class < 0 {
		was = c.b.h.bytes
	}
	for range n {
		v := r.rnd.Uint64()
		c.have, c.model = Append(r.part, &c.b, c.have, v), append(c.model, v)
	}
	if was > 0 && c.b.h.bytes > was {
		r.met.extended++
	}
}

// evict takes a column out of memory, and returns how many of its pages left.
func (r *modelRun) evict(c *column) int {
	before := r.pool.Resident()
	c.b.Evict()
	return int(before-r.pool.Resident()) / pageBytes
}

func (r *modelRun) move() {
	if r.rnd.IntN(4) == 0 {
		r.pool.Hold(errors.New("no room"))
		r.pool.Force(1 << 30)
		r.arena.Relieve()
		if r.pool.Err() != nil {
			r.met.held++
		}
		r.pool.Hold(nil)
	}
	before := r.pool.Stats().File
	r.pool.Force(int64(r.rnd.IntN(32 << 20)))
	for r.arena.want.Load() > 0 {
		r.arena.Relieve()
	}
	if r.pool.Stats().File > before {
		r.met.moved++
	}
}

// make replaces a column by zeros, which the memory that was used before must be, too.
func (r *modelRun) make(c *column) {
	n := r.rnd.IntN(1 << r.rnd.IntN(18))
	c.have, c.model = Make[uint64](r.part, &c.b, n), make([]uint64, n)
	if c.b.h != nil && c.b.h.span.class >= 0 {
		r.met.reused++
	}
	r.same(c)
}

func (r *modelRun) forget(c *column, at int) {
	if r.rnd.IntN(2) == 0 {
		c.b.Free()
		c.have, c.model = nil, nil
		r.met.freed++
		return
	}
	r.columns = slices.Delete(r.columns, at, at+1)
	r.met.forgotten++
	runtime.GC()
}

func (r *modelRun) same(c *column) {
	r.t.Helper()
	if !slices.Equal(c.have, c.model) {
		r.t.Fatalf("a column of %d elements is not what was written", len(c.model))
	}
}

func (r *modelRun) compare() {
	r.t.Helper()
	for _, c := range r.columns {
		r.same(c)
	}
}

// TestResidentSinks: what was moved is out of memory, what is read comes back, and what is dropped is out again.
func TestResidentSinks(t *testing.T) {
	p := newTestPool(t, 1<<30)
	a := p.Arena()
	part := a.Part()
	var b Block
	s := Make[uint64](part, &b, 32<<20/8)
	for i := range s {
		s[i] = uint64(i)
	}
	full := p.Resident()
	if full < 32<<20 {
		t.Fatalf("%d bytes are in memory, want 32 MiB", full)
	}
	p.Force(1 << 40)
	for a.want.Load() > 0 {
		a.Relieve()
	}
	if n := p.Resident(); n != 0 {
		t.Errorf("%d bytes are in memory after all were moved", n)
	}
	if st := p.Stats(); st.File != 32<<20 || st.State != 32<<20 {
		t.Errorf("%+v, want 32 MiB in the file", st)
	}
	sum := uint64(0)
	for _, v := range s {
		sum += v
	}
	if n := uint64(len(s)); sum != n*(n-1)/2 {
		t.Errorf("the sum is %d", sum)
	}
	if n := p.Resident(); n < 32<<20 {
		t.Errorf("%d bytes are in memory after all were read, want 32 MiB", n)
	}
	if a.sweep(1<<40, 0); p.Resident() != 0 {
		t.Errorf("%d bytes are in memory after they were dropped", p.Resident())
	}
	if b.Free(); p.Stats() != (Stats{}) {
		t.Errorf("after all was freed: %+v", p.Stats())
	}
	if part.Bytes() != 0 {
		t.Errorf("the part still has %d bytes", part.Bytes())
	}
	runtime.KeepAlive(s)
}

// TestLookKeepsBudget: an owner that comes by now and then keeps what is in memory about the budget, however much it writes.
func TestLookKeepsBudget(t *testing.T) {
	const budget = 16 << 20
	p := newTestPool(t, budget)
	a := p.Arena()
	part := a.Part()
	var b Block
	var s []uint64
	most := int64(0)
	for i := range uint64(budget * 10 / 8) {
		if s = Append(part, &b, s, i*3); i%(64<<10) == 0 {
			most = max(most, p.Look())
			a.Relieve()
		}
	}
	if most > budget*5/4 {
		t.Errorf("%d bytes were in memory, the budget is %d", most, budget)
	}
	for i := range s {
		if s[i] != uint64(i)*3 {
			t.Fatalf("element %d is %d", i, s[i])
		}
	}
	if !part.Short() {
		t.Error("memory is not said to be scarce")
	}
	p.measure = func(*Pool) int64 { return 0 }
	if p.Look(); !part.Short() {
		t.Error("memory is not said to be scarce while some of it is in the file")
	}
	b.Free()
	if p.Look(); part.Short() {
		t.Error("memory is said to be scarce")
	}
}

// TestCarve: slices of all kinds lie in one block beside each other, and who appends to one of them leaves it.
func TestCarve(t *testing.T) {
	p := newTestPool(t, 1<<40)
	part := p.Arena().Part()
	var b Block
	bytes, words, halves := []byte("a few bytes"), []uint64{1, 2, 3}, []uint32{4, 5, 6, 7, 8}
	n := Words(bytes) + Words(words) + Words(halves) + Words[int64](nil)
	if n != 2+3+3 {
		t.Fatalf("%d words", n)
	}
	room := Make[uint64](part, &b, 100_000)
	bytes2, room := Carve(room, bytes)
	words2, room := Carve(room, words)
	none, room := Carve(room, []int64{})
	halves2, room := Carve(room, halves)
	if len(room) != 100_000-n || none != nil {
		t.Errorf("%d words are left, nothing is %v", len(room), none)
	}
	longer, more := append(bytes2, '!'), append(words2, 9)
	if string(longer) != "a few bytes!" || !slices.Equal(more, []uint64{1, 2, 3, 9}) {
		t.Errorf("%q, %v", longer, more)
	}
	if string(bytes2) != string(bytes) || !slices.Equal(words2, words) || !slices.Equal(halves2, halves) {
		t.Errorf("%q, %v, %v", bytes2, words2, halves2)
	}
	runtime.KeepAlive(&b)
}

// TestEvict: who reads one block after the other, all of them in the file, has one in memory at a time; what is not there stays.
func TestEvict(t *testing.T) {
	p := newTestPool(t, 1<<40)
	a := p.Arena()
	part := a.Part()
	sizes := []int{leastBytes, 3 * leastBytes, chunkBytes, 5 * chunkBytes / 2}
	var blocks [4][8]Block
	var all [4][8][]byte
	for i, size := range sizes {
		for j := range all[i] {
			all[i][j] = Make[byte](part, &blocks[i][j], size)
			for at := range all[i][j] {
				all[i][j][at] = byte(i + j + at)
			}
		}
	}
	read := func(i, j int) {
		for at, v := range all[i][j] {
			if v != byte(i+j+at) {
				t.Fatalf("block %d of %d bytes has %d at %d", j, sizes[i], v, at)
			}
		}
		blocks[i][j].Evict()
	}
	before := p.Resident()
	if read(0, 0); p.Resident() != before {
		t.Fatal("what is not in the file has left memory")
	}
	p.Force(1 << 40)
	for a.want.Load() > 0 {
		a.Relieve()
	}
	a.sweep(1<<40, 0)
	empty := p.Resident()
	for i := range all {
		for j := range all[i] {
			if read(i, j); p.Resident() > empty+chunkBytes { // the system brings in neighbours
				t.Fatalf("%d bytes are in memory after a block of %d, %d were before", p.Resident(), sizes[i], empty)
			}
		}
	}
	runtime.KeepAlive(&blocks)
}

// TestNoDirectory: where nothing can be moved, the reason is told, and the memory stays as it was.
func TestNoDirectory(t *testing.T) {
	p := newTestPool(t, 1<<20)
	p.file.dir += "/missing"
	part := p.Arena().Part()
	var b Block
	s := Make[uint64](part, &b, 8<<20/8)
	s[12345] = 6
	for i := range s {
		s[i]++
	}
	p.Look()
	part.Relieve()
	if p.Err() == nil || p.Stats().File != 0 || s[12345] != 7 {
		t.Errorf("error %v, %+v", p.Err(), p.Stats())
	}
}

// TestPointersAreRefused: the garbage collector would not see them.
func TestPointersAreRefused(t *testing.T) {
	part := newTestPool(t, 1<<20).Arena().Part()
	defer func() {
		if recover() == nil {
			t.Error("a slice of strings was taken")
		}
	}()
	var b Block
	Grow(part, &b, []string(nil), 1<<20)
}

// TestNilPart: without a pool all is on the Go heap.
func TestNilPart(t *testing.T) {
	var p *Pool
	part := p.Arena().Part()
	var b Block
	s := Append(part, &b, Make[uint32](part, &b, 1<<20), 5)
	if len(s) != 1<<20+1 || b.h != nil || part.Bytes() != 0 || part.Short() {
		t.Error("a nil part is not the heap")
	}
	part.Relieve()
	b.Free()
}

// TestClasses: pieces are as large as asked for, multiples of a page, and waste less than a quarter or so.
func TestClasses(t *testing.T) {
	for n := 1; n <= chunkBytes/2; n += 1 + n/7 {
		c := classOf(n)
		if size := classBytes(c); size < n || n > leastBytes && size > n*5/4+pageBytes || size%(4<<10) != 0 || c >= classes {
			t.Errorf("%d bytes: class %d of %d", n, c, size)
		}
	}
	if c := classOf(chunkBytes / 2); classBytes(c) != chunkBytes/2 || classOf(chunkBytes/2+1) != -1 {
		t.Errorf("half a chunk is of class %d", c)
	}
}
