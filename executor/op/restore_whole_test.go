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
)

// wholeCase is an operator with a way to feed it: round 0 fills it, round 1 shows what it remembers.
type wholeCase struct {
	make func() Stateful // opened
	feed func(o Stateful, round int, out Emitter)
}

func wholeCases(t *testing.T) map[string]wholeCase {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	opened := func(o Stateful) Stateful {
		must(o.Open(&expr.Ctx{}))
		return o
	}
	rows := randomRows(rand.New(rand.NewPCG(7, 7)), 160, 6, 20, 15)
	traffic := func(o Stateful, round int, out Emitter) {
		part := rows[80*round : 80*round+80]
		must(o.Process(0, wholeInput(batchOf(part)), out))
		must(o.Advance(types.EventTime(part[79].wm), out))
	}
	visits := visitsOf(rand.New(rand.NewPCG(5, 5)), 160, 5, 40)
	visit := func(o Stateful, round int, out Emitter) {
		b := batch.New(&visitSchema, nil)
		for i, v := range visits[80*round : 80*round+80] {
			b.AppendRow(v.values)
			if v.t < int64(v.closed) {
				b.Behind = append(b.Behind, batch.Behind{Row: uint32(i), Watermark: v.closed})
			}
		}
		must(o.Process(0, wholeInput(b), out))
		must(o.Advance(visits[80*round+79].closed, out))
	}
	join := func(o Stateful, round int, out Emitter) {
		for port := range 2 {
			b := batch.New(&joinSides[port], nil)
			b.Cols[2].Absent = port == 0
			for i := range 20 {
				x := &joinRow{time: int64(i*700_000 + round), key: "key " + string(rune('a'+i%7)), v: int64(i), note: "note", id: i}
				x.appendTo(b, port)
			}
			must(o.Process(port, wholeInput(b), out))
		}
		must(o.Advance(types.EventTime(6_300_000*(round+1)), out))
	}
	cases := map[string]wholeCase{
		"tumble": {func() Stateful {
			return newWindow(t, &expr.Ctx{}, []expr.Expr{trafficCol("user")}, richAggs(t)...)
		}, traffic},
		"first seen": {func() Stateful { return opened(newFirstSeen(t, 100)) }, visit},
		"suppress":   {func() Stateful { return opened(newSuppress(t, 100)) }, visit},
		"over": {func() Stateful {
			return opened(newOver(t, []spec.OverFunc{overFn("row_number", spec.Frame{Rows: true, Start: -spec.FrameUnbounded}), overAgg(t, "sum", spec.Frame{Rows: true, Start: -3}, visitCol("n"))}))
		}, visit},
	}
	for name, build := range unalignedKinds(t) {
		cases[name] = wholeCase{func() Stateful { return build() }, traffic}
	}
	for name, build := range restorable(t) {
		cases[name] = wholeCase{func() Stateful { return opened(build()) }, join}
	}
	for i, q := range paneStateQueries() {
		if q.having { // nothing comes out
			continue
		}
		cases[fmt.Sprint("pane ", i)] = wholeCase{func() Stateful { return q.build(t, &expr.Ctx{}) }, traffic}
	}
	return cases
}

// TestSnapshotAfterRestoreIsWhole: the checkpoint forgets what an operator was restored from with the operator's next
// snapshot, which must hold everything, even where nothing has changed since.
func TestSnapshotAfterRestoreIsWhole(t *testing.T) {
	for name, c := range wholeCases(t) {
		first, second := &sliceStore{}, &sliceStore{}
		var rest [2][]string
		o := c.make()
		c.feed(o, 0, emitFunc(discard))
		if err := o.Snapshot(first); err != nil {
			t.Fatal(err)
		}
		for i, from := range []*sliceStore{first, second} {
			o = c.make()
			if err := o.Restore(from, ownAll); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if i == 0 {
				if err := o.Snapshot(second); err != nil {
					t.Fatal(err)
				}
			}
			c.feed(o, 1, presentTo(&rest[i]))
			if err := o.Advance(types.MaxTime, presentTo(&rest[i])); err != nil {
				t.Fatal(err)
			}
			slices.Sort(rest[i])
		}
		if len(rest[0]) == 0 || !slices.Equal(rest[0], rest[1]) {
			t.Errorf("%s: %d rows after a restore, %d after another one from its snapshot", name, len(rest[0]), len(rest[1]))
		}
	}
}

// presentTo is rowsTo without the columns that nobody wants.
func presentTo(list *[]string) Emitter {
	return emitFunc(func(in Input) error {
		for _, r := range in.Sel {
			text := ""
			for c := range in.B.Cols {
				if v := &in.B.Cols[c]; !v.Absent && !v.IsNull(int(r)) {
					text += v.Value(int(r)).Text() + " "
				} else {
					text += "- "
				}
			}
			*list = append(*list, text)
		}
		return nil
	})
}
