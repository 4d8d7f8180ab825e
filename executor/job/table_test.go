package job

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/results"
)

const hour = int64(3600 * 1_000_000)

// tableWorld is an engine with a clock of its own, on a store that outlives it.
type tableWorld struct {
	t     *testing.T
	dir   string
	kv    kv.Store
	clock atomic.Int64
	e     *Engine
	live  []Object
}

func (w *tableWorld) open() {
	w.t.Helper()
	m, err := meta.Open(w.kv)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := results.Open(w.kv)
	if err != nil {
		w.t.Fatal(err)
	}
	w.e, err = Open(Config{Dir: w.dir, KV: w.kv, Meta: m, Results: res, Workers: 1, CheckpointEvery: -1,
		Clock: func() types.EventTime { return types.EventTime(w.clock.Load()) }}, w.live)
	if err != nil {
		w.t.Fatal(err)
	}
}

// close writes the last checkpoint, which forgets what can be.
func (w *tableWorld) close() {
	w.t.Helper()
	if err := w.e.Close(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *tableWorld) apply(c Change) {
	w.t.Helper()
	if err := w.e.Apply(context.Background(), c); err != nil {
		w.t.Fatal(err)
	}
}

// rows lists the table's rows with the numbers of their versions.
func (w *tableWorld) rows() (text []string, numbers []uint64) {
	w.t.Helper()
	err := w.e.Tables().Scan(1, func(b *batch.Batch, n []uint64) error {
		for i := range b.N {
			text = append(text, fmt.Sprintf("%d=%s", b.Cols[0].I64[i], b.Cols[1].Bytes(i)))
		}
		numbers = append(numbers, n...)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return text, numbers
}

// asOf is the name of row 1 at a time, "" when there was none.
func (w *tableWorld) asOf(at int64) string {
	w.t.Helper()
	p := &expr.TableProbe{Table: 1, Cols: []int{0}, N: 1, Keys: &batch.Keys{}, AsOf: &batch.Vec{}, Into: make([]batch.Vec, 2)}
	key := &batch.Vec{}
	key.Reset(types.T(types.Int8))
	key.AppendInt(1)
	p.Keys.Build([]*batch.Vec{key}, 1)
	p.AsOf.Reset(types.T(types.TimestampTZ))
	p.AsOf.AppendInt(at)
	p.Into[0].Reset(types.T(types.Int8))
	p.Into[1].Reset(types.T(types.Text))
	if err := w.e.Tables().Lookup(p); err != nil {
		w.t.Fatal(err)
	}
	if len(p.Rows) == 0 {
		return ""
	}
	return string(p.Into[1].Bytes(0))
}

// stored counts the row versions on disk.
func (w *tableWorld) stored() (n int) {
	w.t.Helper()
	if err := w.e.meta.TableRows(1, func(meta.TableRow) error { n++; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func named(id int64, name string) table.Row {
	return table.Row{Values: []types.Value{types.NewInt(types.Int8, id), types.NewText(name)}}
}

// TestTables takes a table through restarts and a day of clock: what was is found as long as it can be asked for, and is then
// forgotten on disk; a dropped table leaves nothing.
func TestTables(t *testing.T) {
	w := &tableWorld{t: t, dir: t.TempDir(), kv: kv.NewMem()}
	def := &spec.Table{ID: 1, Name: "hosts", Key: []int{0}, Schema: types.Schema{Cols: []types.Column{
		{Name: "id", Type: types.T(types.Int8), NotNull: true}, {Name: "name", Type: types.T(types.Text)}}}}
	o := Object{Def: def, Meta: meta.Object{Kind: KindTable, ID: 1, Name: "hosts"}}
	w.clock.Store(100 * hour)
	w.open()
	w.apply(Change{Create: []Object{o}, Tables: []TableChange{{TableID: 1, Change: table.Change{Add: []table.Row{named(1, "a"), named(2, "x")}}}}})
	w.live = []Object{o}
	w.live[0].Meta.Created = w.e.Committed()
	_, numbers := w.rows()
	w.clock.Store(110 * hour)
	w.apply(Change{Tables: []TableChange{{TableID: 1, Change: table.Change{Drop: numbers[:1], Add: []table.Row{named(1, "b")}}}}})
	check := func(when string, stored int, rows []string, was ...string) {
		t.Helper()
		got, _ := w.rows()
		if slices.Sort(got); !slices.Equal(got, rows) {
			t.Errorf("%s: rows %v, want %v", when, got, rows)
		}
		for i, at := range []int64{-5 * hour, 110*hour - 1, 110 * hour, 200 * hour} {
			if name := w.asOf(at); name != was[i] {
				t.Errorf("%s: as of hour %d it was %q, want %q", when, at/hour, name, was[i])
			}
		}
		if n := w.stored(); n != stored {
			t.Errorf("%s: %d versions on disk, want %d", when, n, stored)
		}
	}
	now := []string{"1=b", "2=x"}
	check("at first", 3, now, "a", "a", "b", "b")
	w.close()
	w.open()
	check("after a restart", 3, now, "a", "a", "b", "b")
	w.clock.Store(134*hour - 1)
	check("within a day", 3, now, "a", "a", "b", "b")
	w.clock.Store(134 * hour)
	check("after a day, not forgotten yet", 3, now, "b", "b", "b", "b")
	w.apply(Change{Tables: []TableChange{{TableID: 1, Change: table.Change{Add: []table.Row{named(3, "y")}}}}})
	w.close()
	w.open()
	check("forgotten", 3, []string{"1=b", "2=x", "3=y"}, "b", "b", "b", "b")

	if err := w.e.Apply(context.Background(), Change{Tables: []TableChange{{TableID: 1, Change: table.Change{Drop: []uint64{99}}}}}); err == nil {
		t.Error("a version that is not there was dropped")
	}
	if err := w.e.Apply(context.Background(), Change{Tables: []TableChange{{TableID: 8}}}); err == nil {
		t.Error("a table that is not there was changed")
	}
	w.apply(Change{Drop: w.live})
	w.live = nil
	w.close()
	if n := w.stored(); n != 0 {
		t.Errorf("%d versions of a dropped table are on disk", n)
	}
	w.open()
	if err := w.e.Tables().Scan(1, nil); err == nil {
		t.Error("the dropped table is there")
	}
	w.close()
}
