package job

import (
	"testing"
	"time"
	"unsafe"

	"github.com/vigil-sql/vigil/executor/spec"
)

// TestWhenToCut: what has changed is counted, copied ahead and cut when it should be, and nothing is cut while the last cut is
// being written.
func TestWhenToCut(t *testing.T) {
	const every, piece = time.Hour, 100
	for name, c := range map[string]struct {
		since   time.Duration
		left    int64
		clean   bool
		writing bool
		mode    aheadMode
		cut     bool
	}{
		"early":                   {since: every / 3, left: 1 << 40},
		"nothing to count":        {since: every, clean: true},
		"half the time":           {since: every * 6 / 10, mode: aheadCount},
		"a little":                {since: every - time.Minute, left: piece / 4, mode: aheadCount},
		"much, and time for it":   {since: every * 6 / 10, left: 2 * piece, mode: aheadCount},
		"much, and it takes time": {since: every * 6 / 10, left: 1 << 40, mode: aheadCopy},
		"due":                     {since: every, left: piece / 4, cut: true},
		"due, but much is left":   {since: every, left: piece/4 + 1, mode: aheadCopy},
		"due for long":            {since: 2 * every, left: 1 << 40, cut: true},
		"the last one is written": {since: 3 * every, writing: true},
	} {
		e := &Engine{cfg: Config{CheckpointEvery: every, CopyAhead: piece}, ckpt: &checkpoints{one: make(chan struct{}, 1)}}
		e.seq.dirty, e.seq.lastCheckpoint = !c.clean, time.Now().Add(-c.since)
		e.changed.Store(c.left)
		if c.writing {
			e.ckpt.one <- struct{}{}
		}
		if mode, cut := e.ahead(); mode != c.mode || cut != c.cut {
			t.Errorf("%s: mode %d, cut %v, want %d, %v", name, mode, cut, c.mode, c.cut)
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
