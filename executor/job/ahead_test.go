package job

import (
	"testing"
	"time"
	"unsafe"

	"github.com/vigil-sql/vigil/executor/spec"
)

// TestWhenToCut: what has changed is counted, copied ahead and cut when it should be, nothing is cut while the last cut is being
// written, nor what changed in an epoch that was open for long before it is counted, and epochs are short where a cut is near.
func TestWhenToCut(t *testing.T) {
	const every, piece = time.Hour, 100
	for name, c := range map[string]struct {
		since   time.Duration
		left    int64
		clean   bool
		writing bool
		long    bool // the epoch has been open for long
		counts  bool // one that was is not counted yet
		mode    aheadMode
		cut     bool
		next    time.Duration // how long the next epoch may take, if not EpochMax
	}{
		"early":                   {since: every / 3, left: 1 << 40},
		"nothing to count":        {since: every, clean: true},
		"half the time":           {since: every * 6 / 10, mode: aheadCount},
		"a little":                {since: every - time.Minute, left: piece / 4, mode: aheadCount},
		"much, and time for it":   {since: every * 6 / 10, left: 2 * piece, mode: aheadCount},
		"much, and it takes time": {since: every * 6 / 10, left: 1 << 40, mode: aheadCopy, next: aheadEvery},
		"due":                     {since: every, left: piece / 4, cut: true},
		"due, after long":         {since: every, left: piece / 4, long: true, mode: aheadCount, next: aheadEvery},
		"due, not yet counted":    {since: every, left: piece / 4, counts: true, mode: aheadCount, next: aheadEvery},
		"due, but much is left":   {since: every, left: piece/4 + 1, mode: aheadCopy, next: aheadEvery / aheadLate},
		"due for long":            {since: 2 * every, left: 1 << 40, long: true, cut: true},
		"the last one is written": {since: 3 * every, writing: true},
	} {
		e := &Engine{cfg: Config{CheckpointEvery: every, CopyAhead: piece, EpochMax: time.Second}, ckpt: &checkpoints{one: make(chan struct{}, 1)}}
		e.seq.dirty, e.seq.lastCheckpoint = !c.clean, time.Now().Add(-c.since)
		e.seq.opened, e.seq.epoch = time.Now().Add(time.Minute), &epoch{n: 7}
		if c.long {
			e.seq.opened = time.Now().Add(-aheadLong)
		}
		if c.counts {
			e.seq.long = 6
		}
		e.counted.Store(5)
		e.changed.Store(c.left)
		if c.writing {
			e.ckpt.one <- struct{}{}
		}
		mode, cut := e.ahead()
		if mode != c.mode || cut != c.cut {
			t.Errorf("%s: mode %d, cut %v, want %d, %v", name, mode, cut, c.mode, c.cut)
		}
		if c.next == 0 {
			c.next = e.cfg.EpochMax
		}
		if next := e.epochMax(mode); next != c.next {
			t.Errorf("%s: the next epoch may take %v, want %v", name, next, c.next)
		}
		if c.long && e.seq.long != 7 {
			t.Errorf("%s: it is not noted that the epoch was long", name)
		}
		if !c.cut {
			continue
		}
		e.ckpt.coming.Store(true) // it is cut, and waits for its epoch
		if _, cut := e.ahead(); cut {
			t.Errorf("%s: cut again before the cut is written", name)
		}
	}
}

// TestEntryCost: large entries are written in small pieces, and count for more of what is left.
func TestEntryCost(t *testing.T) {
	var c entryCost
	if c.unitsOf(1000) != 1000 || c.entriesOf(1000) != costFirst {
		t.Errorf("of nothing known: %d units, %d entries", c.unitsOf(1000), c.entriesOf(1000))
	}
	for range 100 {
		if n := c.note(100, 100*20); n != 100+2000/unitBytes {
			t.Fatalf("100 entries of 20 bytes are %d units", n)
		}
	}
	if n := c.entriesOf(1000); n < 800 || n > 1000 {
		t.Errorf("1000 units are %d entries of 20 bytes", n)
	}
	for range 100 {
		c.note(100, 100<<20)
	}
	if n := c.unitsOf(3); n < 3<<20/unitBytes*9/10 || n > 3<<20/unitBytes*11/10 || c.entriesOf(1000) != 1 {
		t.Errorf("3 entries of a megabyte are %d units, 1000 units %d entries", n, c.entriesOf(1000))
	}
	for range 100 {
		c.note(100, 0)
	}
	if n := c.entriesOf(1000); n < 900 {
		t.Errorf("1000 units are %d small entries after large ones", n)
	}
}

// TestAheadBudget: what a worker copies at the end of an epoch, and at once, is bounded in bytes, also where entries are large; what
// is left is counted so.
func TestAheadBudget(t *testing.T) {
	const budget = 32 << 10
	for _, size := range []int{10, 1000, 50_000, 1 << 20} {
		w := &worker{e: &Engine{}}
		left, most, cost := 1<<20, 0, entryCost{}
		c := aheadCopier{w: w, budget: budget, piece: budget / aheadPieces, from: time.Now().Add(time.Hour)}
		err := c.copy(&cost, func() int { return left }, func(n int) (int, error) {
			left, most = left-n, max(most, n)
			w.copied = append(w.copied, stateBlock{data: make([]byte, n*size)})
			return n, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		copied := 1<<20 - left
		unit := 1 + size/unitBytes
		if all := copied * unit; all < budget/2 || all > 2*budget+costFirst*unit {
			t.Errorf("entries of %d bytes: %d are copied", size, copied)
		}
		if most > costFirst && most*unit > 2*budget/aheadPieces {
			t.Errorf("entries of %d bytes: %d are copied at once", size, most)
		}
		if c.left < left*unit*8/10 || c.left > left*unit*12/10 {
			t.Errorf("entries of %d bytes: %d are left, counted as %d", size, left, c.left)
		}
	}
}

// TestForgetCopied: what was copied of a query goes with it; that of others stays, in order.
func TestForgetCopied(t *testing.T) {
	gone, stays := &query{spec: &spec.Query{ID: 7}}, &query{spec: &spec.Query{ID: 8}}
	w := &worker{}
	for i, id := range []uint64{opID(gone, 0), opID(stays, 0), opID(gone, 1), opID(stays, 1)} {
		w.copied = append(w.copied, stateBlock{op: id, slice: int64(i)})
	}
	w.forgetCopied(gone, 2)
	if len(w.copied) != 2 || w.copied[0].op != opID(stays, 0) || w.copied[1].op != opID(stays, 1) {
		t.Errorf("left are %+v", w.copied)
	}
}

// TestFrontQueryLines: a frontQuery is whole lines of the cache, so that what a matching row needs lies in its first.
func TestFrontQueryLines(t *testing.T) {
	const line = 64
	var fq frontQuery
	if size := unsafe.Sizeof(fq); size%line != 0 {
		t.Errorf("a frontQuery has %d bytes", size)
	}
	if end := unsafe.Offsetof(fq.spent) + unsafe.Sizeof(fq.spent.rows); end > line {
		t.Errorf("the counts of a matching row end at byte %d", end)
	}
}
