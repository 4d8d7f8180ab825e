package op

import (
	"fmt"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// soaked is an operator that is fed for long.
type soaked struct {
	o     Stateful
	scale int64 // of its times
	feed  func(key string, i int, at int64) (port int, b *batch.Batch)
}

// soakStep is the event time of a round, and for how long operators remember, in microseconds.
const soakStep = int64(100)

func soakCases(t *testing.T) map[string]soaked {
	visit := func(key string, i int, at int64) (int, *batch.Batch) {
		b := batch.New(&visitSchema, nil)
		b.AppendRow([]types.Value{types.NewTime(types.EventTime(at)), types.NewText(key), types.NewInt(types.Int8, int64(i)), {Type: types.T(types.Float8), F: 1}, types.NewText("s")})
		return 0, b
	}
	event := func(key string, i int, at int64) (int, *batch.Batch) {
		return 0, batchOf([]eventRow{{t: at, user: key, n: int64(i % 9), wm: int64(types.MinTime)}})
	}
	side := func(key string, i int, at int64) (int, *batch.Batch) {
		b := batch.New(&joinSides[i%2], nil)
		b.Cols[2].Absent = i%2 == 0
		x := &joinRow{time: at, key: key, v: int64(i % 3), note: "note", id: i}
		x.appendTo(b, i%2)
		return i % 2, b
	}
	cases := map[string]soaked{
		"tumble":     {newWindow(t, &expr.Ctx{}, []expr.Expr{trafficCol("user")}, richAggs(t)...), 1, event},
		"first seen": {newFirstSeen(t, soakStep), 1, visit},
		"suppress":   {newSuppress(t, soakStep), 1, visit},
		"over": {newOver(t, []spec.OverFunc{overAgg(t, "sum", spec.Frame{Start: -overBucket}, visitCol("n")),
			overAgg(t, "max", spec.Frame{Start: -overBucket}, visitCol("n"))}), overBucket / soakStep, visit},
	}
	for name, build := range unalignedKinds(t) {
		cases[name] = soaked{build(), 1, event}
	}
	for name, build := range restorable(t) {
		cases[name] = soaked{build(), 100_000, side}
	}
	for i, q := range paneStateQueries()[:3] {
		cases[fmt.Sprint("pane ", i)] = soaked{q.build(t, &expr.Ctx{}), 1, event}
	}
	return cases
}

// stored is the size of a checkpoint in bytes.
func (s *sliceStore) stored() (n int64) {
	for _, list := range s.blocks {
		for _, b := range list {
			n += int64(len(b))
		}
	}
	return n
}

// TestSoak: neither the memory of an operator nor its checkpoint grows with the number of windows, keys and rows that time has
// passed.
func TestSoak(t *testing.T) {
	const rows = 80
	for name, c := range soakCases(t) {
		lasting := name == "count" || name == "temporal" || name == "over" // these remember the last of each key for all time
		rounds, early := 500, 100
		if lasting { // and write blocks anew from rewriteMin entries on
			rounds, early = 1600, 900
		}
		if err := c.o.Open(&expr.Ctx{}); err != nil {
			t.Fatal(err)
		}
		store := &sliceStore{}
		out := 0
		sink := emitFunc(func(in Input) error { out += len(in.Sel); return nil })
		var memory, disk int64
		for round := range rounds {
			for i := range rows {
				key := fmt.Sprint("key ", i/2%10)
				if !lasting {
					key = fmt.Sprint("key ", round, " ", i/2%10)
				}
				port, b := c.feed(key, i, c.scale*(int64(round)*soakStep+int64(i/20)))
				if err := c.o.Process(port, wholeInput(b), sink); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.o.Advance(types.EventTime(c.scale*int64(round)*soakStep), sink); err != nil {
				t.Fatal(err)
			}
			if lasting || round%7 == 0 {
				if err := c.o.Snapshot(store); err != nil {
					t.Fatal(err)
				}
			}
			if round < early {
				memory, disk = max(memory, c.o.(interface{ Bytes() int64 }).Bytes()), max(disk, store.stored())
			}
		}
		m, d := c.o.(interface{ Bytes() int64 }).Bytes(), store.stored()
		if out == 0 || memory == 0 || disk == 0 || m > 3*memory/2 || d > 3*disk/2 {
			t.Errorf("%s: %d rows came out; %d bytes of memory after %d rounds, at most %d in the first %d; %d and %d bytes of checkpoint",
				name, out, m, rounds, memory, early, d, disk)
		}
	}
}
