package op

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// unalignedKinds builds one operator of each kind and mode, opened, in which errors of results are taken.
func unalignedKinds(t testing.TB) map[string]func() unaligned {
	session, slide := sessionSpec(t, 10, 40), slideSpec(t, 20)
	session.Lateness = 5
	first := *slide
	first.Emit.Mode = spec.EmitFirst
	final := *slide
	final.Emit.Mode = spec.EmitFinal
	open := func(o unaligned) unaligned {
		if err := o.Open(&expr.Ctx{}); err != nil {
			t.Fatal(err)
		}
		o.OnGroupError(func(window.Window, error) {})
		return o
	}
	return map[string]func() unaligned{
		"session":     func() unaligned { return open(newSession(t, session, nil)) },
		"slide":       func() unaligned { return open(newSlide(t, slide, nil)) },
		"slide first": func() unaligned { return open(newSlide(t, &first, countOver(2))) },
		"slide final": func() unaligned { return open(newSlide(t, &final, nil)) },
		"count":       func() unaligned { return open(newCount(t, countSpec(t, 6, 4), nil)) },
	}
}

// someState is the blocks of an operator in the middle of a stream, and the rows that follow.
func someState(t testing.TB, o unaligned) (*memState, []eventRow) {
	rows := randomRows(rand.New(rand.NewPCG(7, 7)), 120, 4, 20, 15)
	out := emitFunc(discard)
	if err := o.Process(0, wholeInput(batchOf(rows[:60])), out); err != nil {
		t.Fatal(err)
	}
	if err := o.Advance(types.EventTime(rows[60].wm), out); err != nil {
		t.Fatal(err)
	}
	store := &memState{}
	if err := o.Snapshot(store); err != nil {
		t.Fatal(err)
	}
	return store, rows[60:]
}

// goOn restores an operator and, if the blocks are good, passes rows through it to the end.
func goOn(t testing.TB, o unaligned, store *memState, rows []eventRow) error {
	if err := o.Restore(store, ownAll); err != nil {
		return err
	}
	out := emitFunc(discard)
	_ = o.Process(0, wholeInput(batchOf(rows)), out)
	if err := o.Snapshot(&memState{}); err != nil {
		t.Fatal(err)
	}
	_ = o.Advance(types.MaxTime, out)
	return nil
}

// TestUnalignedRestoreRefuses: damaged blocks, and those of other operators, are errors or harmless; nothing panics.
func TestUnalignedRestoreRefuses(t *testing.T) {
	kinds := unalignedKinds(t)
	for name, build := range kinds {
		store, rows := someState(t, build())
		if len(store.blocks) == 0 {
			t.Fatalf("%s: nothing was saved", name)
		}
		if err := goOn(t, build(), store, rows); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(3, 4))
		refused := 0
		for range 3000 {
			bad := &memState{starts: store.starts}
			for _, b := range store.blocks {
				bad.blocks = append(bad.blocks, bytes.Clone(b))
			}
			b := bad.blocks[rng.IntN(len(bad.blocks))]
			at := rng.IntN(len(b))
			switch rng.IntN(3) {
			case 0:
				b[at] ^= 1 << rng.IntN(8)
			case 1:
				b[at] = byte(rng.IntN(256))
			default:
				i := rng.IntN(len(bad.blocks))
				bad.blocks[i] = bad.blocks[i][:rng.IntN(len(bad.blocks[i])+1)]
			}
			if err := goOn(t, build(), bad, rows); err != nil {
				refused++
				if sqlerr.CodeOf(err) != sqlerr.DataCorrupted {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
		if refused < 1000 {
			t.Errorf("%s: %d of 3000 damaged states were refused", name, refused)
		}
		for other, o := range kinds {
			if other[:5] != name[:5] {
				if err := goOn(t, o(), store, rows); sqlerr.CodeOf(err) != sqlerr.DataCorrupted {
					t.Errorf("%s took the state of %s: %v", other, name, err)
				}
			}
		}
	}
}

// FuzzUnalignedRestore: no block makes Restore, or what follows it, panic.
func FuzzUnalignedRestore(f *testing.F) {
	kinds := unalignedKinds(f)
	var rows []eventRow
	for _, build := range kinds {
		var store *memState
		store, rows = someState(f, build())
		for _, b := range store.blocks {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		for _, build := range unalignedKinds(t) {
			_ = goOn(t, build(), &memState{starts: []int64{0}, blocks: [][]byte{block}}, rows)
		}
	})
}

// TestSnapshotsWriteWhatChanged: a key that does not change is written once, one that always does is written anew from time to
// time, and slices of time go as a whole.
func TestSnapshotsWriteWhatChanged(t *testing.T) {
	for name, build := range unalignedKinds(t) {
		o := build()
		var rows []eventRow
		for i := range int64(3000) {
			rows = append(rows, eventRow{t: 0, n: i % 7, user: string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))})
		}
		store := &memState{}
		feed := func(rows []eventRow) int {
			before := len(store.blocks)
			if err := o.Process(0, wholeInput(batchOf(rows)), emitFunc(discard)); err != nil {
				t.Fatal(err)
			}
			if err := o.Snapshot(store); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, b := range store.blocks[min(before, len(store.blocks)):] {
				n += len(b)
			}
			return n
		}
		all := feed(rows)
		one := feed(rows[:1])
		if all < 3000*20 || one > 200 {
			t.Errorf("%s: %d bytes for all keys, %d for one", name, all, one)
		}
		if name == "count" {
			continue
		}
		if err := o.Advance(1000, emitFunc(discard)); err != nil {
			t.Fatal(err)
		}
		if err := o.Snapshot(store); err != nil {
			t.Fatal(err)
		}
		if len(store.blocks) > 0 {
			t.Errorf("%s: %d blocks are left of what has ended", name, len(store.blocks))
		}
	}
}

// TestEndedSessionsStayEnded: a session whose end came earlier than an entry of it says does not come back when the slice of its
// newest entry is gone.
func TestEndedSessionsStayEnded(t *testing.T) {
	row := func(at int64) eventRow { return eventRow{t: at, user: "a", n: 1} }
	for name, c := range map[string]struct {
		gap           int64
		first, second []eventRow
	}{
		"a row moves the beginning": {100, []eventRow{row(100)}, []eventRow{row(90)}},
		"a row unites two":          {30, []eventRow{row(90), row(125)}, []eventRow{row(110)}},
	} {
		build := func() *SessionAgg {
			a := newSession(t, sessionSpec(t, c.gap, 50), nil)
			if err := a.Open(&expr.Ctx{}); err != nil {
				t.Fatal(err)
			}
			return a
		}
		a, store := build(), &memState{}
		for _, rows := range [][]eventRow{c.first, c.second} {
			if err := a.Process(0, wholeInput(batchOf(rows)), emitFunc(discard)); err != nil {
				t.Fatal(err)
			}
			if err := a.Snapshot(store); err != nil {
				t.Fatal(err)
			}
		}
		out := newContent(t)
		if err := a.Advance(147, out); err != nil {
			t.Fatal(err)
		}
		if err := a.Snapshot(store); err != nil {
			t.Fatal(err)
		}
		if len(out.inserts) != 1 || a.Sessions() != 0 {
			t.Fatalf("%s: %q, %d sessions", name, out.inserts, a.Sessions())
		}
		again := build()
		if err := again.Restore(store, ownAll); err != nil || again.Sessions() != 0 {
			t.Errorf("%s: %d sessions have come back, %v", name, again.Sessions(), err)
		}
	}
}

// TestRowsWithoutResultStaySo: a row behind the watermark, which has no result of its own, gets none after a restart either.
func TestRowsWithoutResultStaySo(t *testing.T) {
	s := slideSpec(t, 20)
	s.Emit.Mode = spec.EmitFinal
	build := func() *SlideAgg {
		a := newSlide(t, s, nil)
		if err := a.Open(&expr.Ctx{}); err != nil {
			t.Fatal(err)
		}
		return a
	}
	a, store := build(), &memState{}
	rows := []eventRow{{t: 100, user: "a", n: 1, wm: int64(types.MinTime)}, {t: 90, user: "a", n: 5, wm: 95}}
	if err := a.Process(0, wholeInput(batchOf(rows)), emitFunc(discard)); err != nil {
		t.Fatal(err)
	}
	if err := a.Snapshot(store); err != nil {
		t.Fatal(err)
	}
	again, out := build(), newContent(t)
	if err := again.Restore(store, ownAll); err != nil {
		t.Fatal(err)
	}
	if err := again.Advance(types.MaxTime, out); err != nil {
		t.Fatal(err)
	}
	sameRows(t, "results", out.inserts, []string{"80 100 a 2 5 {5,1} 2 a"})
}
