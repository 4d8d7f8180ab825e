package op

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// filledJoin has rows on both sides, answered ones among them, and a checkpoint of two snapshots.
func filledJoin(t testing.TB, o Stateful) *sliceStore {
	var store sliceStore
	if err := o.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	for round := range 4 {
		for port := range 2 {
			b := batch.New(&joinSides[port], nil)
			if port == 0 {
				b.Cols[2].Absent = true
			}
			for i := range 20 {
				x := &joinRow{time: int64(i*700_000 + round), key: fmt.Sprint("key ", i%7), v: int64(i), note: "note", id: i}
				x.appendTo(b, port)
			}
			if err := o.Process(port, wholeInput(b), emitFunc(discard)); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.Advance(types.EventTime(round*6_300_000), emitFunc(discard)); err != nil {
			t.Fatal(err)
		}
		if err := o.Snapshot(&store); err != nil {
			t.Fatal(err)
		}
	}
	return &store
}

func restorable(t testing.TB) map[string]func() Stateful {
	return map[string]func() Stateful{
		"left": func() Stateful {
			j, err := NewIntervalJoin(joinSpec(spec.Left, -5_000_000, 5_000_000, 0, true), &joinSides[0], &joinSides[1])
			if err != nil {
				t.Fatal(err)
			}
			return j
		},
		"semi": func() Stateful {
			j, err := NewIntervalJoin(joinSpec(spec.Semi, 0, 9_000_000, 0, true), &joinSides[0], &joinSides[1])
			if err != nil {
				t.Fatal(err)
			}
			return j
		},
		"temporal": func() Stateful {
			j, err := NewTemporalJoin(&spec.TemporalJoin{LeftKeys: []expr.Expr{joinCol(0, 1, 0)}, RightKeys: []expr.Expr{joinCol(1, 0, 0)},
				RightTime: 1}, &joinSides[0], &joinSides[1])
			if err != nil {
				t.Fatal(err)
			}
			return j
		},
	}
}

// tryRestore restores damaged state: an error or not, but no panic, and what was taken over can be run.
func tryRestore(t testing.TB, o Stateful, store *sliceStore) (refused bool) {
	if err := o.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	if err := o.Restore(store, ownAll); err != nil {
		return true
	}
	if err := o.Advance(types.MaxTime, emitFunc(discard)); err != nil {
		t.Fatal(err)
	}
	return false
}

// TestJoinRestoreRefuses changes, cuts and swaps bytes of blocks.
func TestJoinRestoreRefuses(t *testing.T) {
	for name, o := range restorable(t) {
		rng := rand.New(rand.NewPCG(6, 6))
		whole := filledJoin(t, o())
		if tryRestore(t, o(), whole) {
			t.Fatalf("%s: undamaged state is refused", name)
		}
		if name != "temporal" {
			// The blocks are whole, and lie where others belong.
			moved := &sliceStore{blocks: map[int64][][]byte{}}
			for _, slice := range whole.order {
				moved.order, moved.blocks[slice+1] = append(moved.order, slice+1), whole.blocks[slice]
			}
			if !tryRestore(t, o(), moved) {
				t.Fatalf("%s: rows of other slices are taken", name)
			}
		}
		refused, deltas := 0, 0
		for range 2000 {
			damaged := &sliceStore{order: whole.order, blocks: map[int64][][]byte{}}
			for k, list := range whole.blocks {
				for _, b := range list {
					damaged.blocks[k] = append(damaged.blocks[k], append([]byte(nil), b...))
					if len(b) > 3 && b[3]&entryDelta != 0 {
						deltas++
					}
				}
			}
			list := damaged.blocks[whole.order[rng.IntN(len(whole.order))]]
			n := rng.IntN(len(list))
			switch at := rng.IntN(len(list[n])); rng.IntN(3) {
			case 0:
				list[n][at] ^= 1 << rng.IntN(8)
			case 1:
				list[n] = list[n][:at]
			default:
				list[n][at] = byte(rng.IntN(256))
			}
			if tryRestore(t, o(), damaged) {
				refused++
			}
		}
		if refused < 500 || deltas == 0 && name != "semi" {
			t.Errorf("%s: %d refused, %d blocks of deltas", name, refused, deltas)
		}
	}
}

// FuzzJoinRestore gives any bytes as the one block of a slice.
func FuzzJoinRestore(f *testing.F) {
	for _, o := range restorable(f) {
		for slice, list := range filledJoin(f, o()).blocks {
			for _, b := range list {
				f.Add(slice, b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, slice int64, block []byte) {
		store := &sliceStore{}
		_ = store.Block(slice, block)
		for _, o := range restorable(t) {
			tryRestore(t, o(), store)
		}
	})
}
