package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// waitingBatch is rows in no order of time, some of which have NULLs.
func waitingBatch(rng *rand.Rand) *batch.Batch {
	b := batch.New(&visitSchema, nil)
	for range batch.RowsMax {
		n, note := types.NewInt(types.Int8, rng.Int64N(100)), types.NewText(fmt.Sprintf("%0*d", rng.IntN(60), 7))
		if rng.IntN(10) == 0 {
			n, note = types.Null(n.Type), types.Null(note.Type)
		}
		b.AppendRow([]types.Value{types.NewTime(types.EventTime(rng.Int64N(1_000_000))), types.NewText(fmt.Sprint("user ", rng.IntN(300))), n,
			{Type: types.T(types.Float8), F: float64(rng.IntN(50))}, note})
	}
	return b
}

// TestOverWaitsInFile: many rows that wait for the watermark lie in state memory, which moves to a file all the time, and come out as from the Go heap,
// over restarts too.
func TestOverWaitsInFile(t *testing.T) {
	pool := arena.NewPool(t.TempDir(), 1, (*arena.Pool).Resident)
	if pool == nil {
		t.Skip("state stays on the Go heap on this system: needs Linux")
	}
	defer func() { _ = pool.Close() }()
	funcs := []spec.OverFunc{overAgg(t, "sum", spec.Frame{Rows: true, Start: -3, End: -1}, visitCol("n")), overAgg(t, "max", spec.Frame{Start: -5000, End: 4000}, visitCol("s")),
		overFn("row_number", spec.Frame{})}
	want, _ := runWaiting(t, funcs, nil)
	got, packed := runWaiting(t, funcs, pool.Arena())
	if !slices.Equal(got, want) {
		t.Errorf("%d rows come from the file, %d from the heap, or others", len(got), len(want))
	}
	if len(want) < 30*batch.RowsMax/2 || packed < 20 {
		t.Errorf("%d rows, %d chunks were packed: too few", len(want), packed)
	}
}

// runWaiting has rows wait, some of them leave, restarts, and returns what came out, and how many chunks were packed.
func runWaiting(t *testing.T, funcs []spec.OverFunc, mem *arena.Arena) (rows []string, packed int) {
	rng := rand.New(rand.NewPCG(4, 4))
	ctx := &expr.Ctx{State: mem}
	out := emitFunc(func(in Input) error {
		for _, r := range in.Sel {
			rows = append(rows, rowOf(in.B.Row(nil, int(r))))
		}
		return nil
	})
	o := newOver(t, funcs)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(o.Open(ctx))
	var store memState
	for i := range 30 {
		must(o.Process(0, wholeInput(waitingBatch(rng)), out))
		switch i {
		case 12, 22:
			must(o.Advance(types.EventTime(i*10_000), out))
		case 14, 25:
			must(o.Snapshot(&store))
			if i == 14 {
				continue
			}
			must(o.Close())
			o = newOver(t, funcs)
			must(o.Open(ctx))
			must(o.Restore(&store, ownAll))
		}
		mem.Relieve()
	}
	words := 0 // of what is packed: its times, places and numbers alone
	for _, c := range o.pending.chunks {
		if c.packed {
			packed++
			words += arena.Words(c.times) + arena.Words(c.seqs) + arena.Words(c.gids) + arena.Words(c.order)
		}
	}
	if all, spills := o.Bytes(), o.Spillable(); mem != nil && (all-spills)*4 > all {
		t.Errorf("%d of %d bytes are on the heap", all-spills, all)
	}
	must(o.Advance(500_000, out))
	before := o.mem.Bytes()
	must(o.Advance(types.MaxTime, out))
	if after := o.mem.Bytes(); mem != nil && after > before-8*int64(words) {
		t.Errorf("%d bytes of state memory are left of %d, %d at least were of rows that have left", after, before, 8*words)
	}
	if n := o.pending.bytes(); mem != nil && n > 4<<20 {
		t.Errorf("%d bytes are held for rows that have left", n)
	}
	must(o.Close())
	return rows, packed
}
