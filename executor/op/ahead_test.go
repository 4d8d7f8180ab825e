package op

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestCopyAhead: whatever is copied ahead of snapshots, an operator that is restored from what was written goes on as one that was
// never interrupted; and a snapshot leaves to itself only what changed since.
func TestCopyAhead(t *testing.T) {
	build := func() *WindowAgg {
		return newWindow(t, &expr.Ctx{}, []expr.Expr{trafficCol("user")}, aggOf(t, "count"), aggOf(t, "max", trafficCol("n")))
	}
	copied, restarts, rewrites, emptied := 0, 0, 0, 0
	for seed := range int64(30) {
		rnd := rand.New(rand.NewSource(seed))
		keys, steps, moves, rowsMax := 1+rnd.Intn(3*rewriteMin), 60, true, 500
		if seed%3 == 0 { // a window that stays, and is written so often that it is written anew
			keys, steps, moves, rowsMax = 300, 200, false, 150
		}
		var want, got []string
		sure, w := build(), build()
		store, saved := &sliceStore{}, &sliceStore{}
		var sureSaved []string // what sure and w had given when saved was written
		var replay [][][3]any  // batches, and with nil moves of time, since then
		step := func(o *WindowAgg, rows [][3]any, at int, out *[]string) {
			t.Helper()
			var err error
			if rows != nil {
				err = o.Process(0, wholeInput(traffic(rows...)), nil)
			} else {
				err = o.Advance(types.EventTime(at), rowsTo(out))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		now := 0
		var times []int
		for range steps {
			var rows [][3]any
			switch {
			case rnd.Intn(8) == 0:
				if moves {
					now += rnd.Intn(15)
				}
			default:
				for range 1 + rnd.Intn(rowsMax) {
					rows = append(rows, [3]any{now + rnd.Intn(12), fmt.Sprint("user ", rnd.Intn(keys)), rnd.Intn(1000)})
				}
			}
			step(sure, rows, now, &want)
			step(w, rows, now, &got)
			replay, times = append(replay, rows), append(times, now)
			switch rnd.Intn(5) {
			case 0, 1:
				before, drops := w.Changed(), store.drops
				n, err := w.CopyAhead(store, 1+rnd.Intn(800))
				if err != nil || store.drops == drops && w.Changed() != before-n { // else a window is written anew
					t.Fatalf("%d of %d copied, %d left, %v", n, before, w.Changed(), err)
				}
				copied += n
				if before > 0 && w.Changed() == 0 {
					emptied++
					blocks := store.written
					if err := w.Snapshot(store); err != nil || store.written > blocks {
						t.Fatalf("all was copied, and a snapshot writes more: %v", err)
					}
					saved, sureSaved, replay, times = store.clone(), slices.Clone(want), nil, nil
				}
			case 2:
				if err := w.Snapshot(store); err != nil {
					t.Fatal(err)
				}
				if w.Changed() != 0 {
					t.Fatal("a snapshot leaves something")
				}
				saved, sureSaved, replay, times = store.clone(), slices.Clone(want), nil, nil
			case 3: // the server ends; what was copied ahead of a snapshot that never came does not count
				if !moves && rnd.Intn(30) > 0 {
					continue
				}
				rewrites += store.drops
				w, store = build(), saved.clone()
				if err := w.Restore(store, ownAll); err != nil {
					t.Fatal(err)
				}
				got = slices.Clone(sureSaved)
				for i, rows := range replay {
					step(w, rows, times[i], &got)
				}
				restarts++
			}
		}
		want, got = append(want, closeAll(t, sure)...), append(got, closeAll(t, w)...)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			for i := range want {
				if i < len(got) && got[i] != want[i] {
					t.Fatalf("seed %d: %q, want %q", seed, got[i], want[i])
				}
			}
			t.Fatalf("seed %d: %d rows, want %d, or others", seed, len(got), len(want))
		}
	}
	if copied < 10_000 || restarts == 0 || rewrites == 0 || emptied == 0 {
		t.Fatalf("%d copied, %d restarts, %d rewrites, %d snapshots of nothing", copied, restarts, rewrites, emptied)
	}
}

func (s *sliceStore) clone() *sliceStore {
	c := &sliceStore{order: slices.Clone(s.order), blocks: maps.Clone(s.blocks)}
	for slice, list := range c.blocks {
		c.blocks[slice] = slices.Clone(list)
	}
	return c
}

// TestCopyAheadOfJoin: the rows of a join that fill several chunks are copied ahead in pieces that end anywhere, while more come.
func TestCopyAheadOfJoin(t *testing.T) {
	build := func() Stateful {
		j, err := NewIntervalJoin(joinSpec(spec.Inner, -1_000_000, 1_000_000, 0, false), &joinSides[0], &joinSides[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Open(&expr.Ctx{}); err != nil {
			t.Fatal(err)
		}
		return j
	}
	feed := func(j Stateful, port, from, n int, out Emitter) {
		t.Helper()
		b := batch.New(&joinSides[port], nil)
		if port == 0 {
			b.Cols[2].Absent = true
		}
		for i := range n {
			x := &joinRow{time: 5, key: fmt.Sprint("key ", from+i), v: 1, note: "note", id: from + i}
			x.appendTo(b, port)
		}
		if err := j.Process(port, wholeInput(b), out); err != nil {
			t.Fatal(err)
		}
	}
	for _, piece := range []int{1, 300, 1023, 1024, 1025, 2500} {
		j, store, rows, copied := build(), &sliceStore{}, 0, 0
		for range 12 {
			feed(j, 0, rows, 500, emitFunc(discard))
			rows += 500
			n, err := j.(AheadCopier).CopyAhead(store, piece)
			if err != nil {
				t.Fatal(err)
			}
			copied += n
			if left := j.(AheadCopier).Changed(); left != rows-copied {
				t.Fatalf("pieces of %d: %d of %d rows copied, %d left", piece, copied, rows, left)
			}
		}
		if err := j.Snapshot(store); err != nil {
			t.Fatal(err)
		}
		again := build()
		if err := again.Restore(store, ownAll); err != nil {
			t.Fatal(err)
		}
		met := 0
		for from := 0; from < rows; from += 500 {
			feed(again, 1, from, 500, emitFunc(func(in Input) error { met += len(in.Sel); return nil }))
		}
		if met != rows || copied == 0 {
			t.Errorf("pieces of %d: %d of %d rows are met again, %d were copied ahead", piece, met, rows, copied)
		}
	}
}

// TestWhatIsLeft: of a slice whose blocks mostly count no more all is left to be written, unless some was written ahead of the cut already: then it is not
// begun anew before that.
func TestWhatIsLeft(t *testing.T) {
	const many, changed, live = 1 << 20, 5, 10
	for _, c := range []struct {
		s    sliceSave
		want int
		anew bool
	}{
		{sliceSave{entries: live}, changed, false},
		{sliceSave{entries: many}, live, true},
		{sliceSave{entries: many, ahead: true}, changed, false},
		{sliceSave{entries: many, ahead: true, restored: true}, live, true},
		{sliceSave{restored: true}, live, true},
	} {
		s := c.s
		if left, anew := s.left(changed, live), s.anew(changed, live, live); left != c.want || anew != c.anew || anew && (s.restored || s.entries > 0) {
			t.Errorf("%+v: %d are left, anew %v, then %+v", c.s, left, anew, s)
		}
	}
	s := sliceSave{entries: many}
	if s.anew(changed, live, live-1) || s.entries != many {
		t.Errorf("%d groups are begun anew where %d are the most: %+v", live, live-1, s)
	}
}
