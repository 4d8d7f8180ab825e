package table

import (
	"fmt"
	"math/rand"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

var schema = &types.Schema{Cols: []types.Column{
	{Name: "id", Type: types.T(types.Int8), NotNull: true}, {Name: "owner", Type: types.T(types.Text)}, {Name: "level", Type: types.T(types.Int4)},
}}

func row(id int64, owner string, level int64) []types.Value {
	v := types.NewText(owner)
	if owner == "" {
		v = types.Null(types.T(types.Text))
	}
	return []types.Value{types.NewInt(types.Int8, id), v, types.NewInt(types.Int4, level)}
}

// modelRow is a version of a row as the model keeps it: everything, for ever.
type modelRow struct {
	number         uint64
	added, dropped uint64
	from, to       int64
	id, level      int64
	owner          string
}

func (m *modelRow) text() string { return fmt.Sprintf("%d/%s/%d", m.id, m.owner, m.level) }

// model is a slow table: a list of versions.
type model struct{ rows []modelRow }

// at lists the rows that a view sees at a time, sorted; a nil asOf is now.
func (m *model) at(epoch uint64, clock int64, asOf *int64, match func(*modelRow) bool) []string {
	var out []string
	for i := range m.rows {
		r := &m.rows[i]
		if r.added > epoch || !match(r) {
			continue
		}
		ended := r.dropped != 0 && r.dropped <= epoch
		if asOf == nil && !ended {
			out = append(out, r.text())
		}
		if asOf != nil {
			t := max(*asOf, clock-Horizon)
			if r.from <= t && (!ended || t < r.to) {
				out = append(out, r.text())
			}
		}
	}
	sort.Strings(out)
	return out
}

// lookup asks the view for the rows whose column equals a value.
func lookup(t *testing.T, v *View, col int, key types.Value, asOf *int64) []string {
	t.Helper()
	p := &expr.TableProbe{Table: 1, Cols: []int{col}, N: 1, Null: []bool{key.Null}}
	vec := batch.Vec{}
	vec.Reset(key.Type)
	vec.AppendValue(key)
	p.Keys = &batch.Keys{}
	p.Keys.Build([]*batch.Vec{&vec}, 1)
	if asOf != nil {
		p.AsOf = &batch.Vec{}
		p.AsOf.Reset(types.T(types.TimestampTZ))
		p.AsOf.AppendInt(*asOf)
	}
	var out []string
	for more := true; more; more = p.More {
		b := batch.New(schema, nil)
		p.Into = b.Cols
		if err := v.Lookup(p); err != nil {
			t.Fatal(err)
		}
		for i := range p.Rows {
			owner := ""
			if !b.Cols[1].IsNull(i) {
				owner = string(b.Cols[1].Bytes(i))
			}
			out = append(out, fmt.Sprintf("%d/%s/%d", b.Cols[0].I64[i], owner, b.Cols[2].I64[i]))
		}
	}
	sort.Strings(out)
	return out
}

// TestAgainstModel changes a table at random and compares what all views see, by both columns, now and at the boundaries
// of versions, with a list of versions; compaction and a rebuild from what would be stored lie in between.
func TestAgainstModel(t *testing.T) {
	for _, keyed := range []bool{true, false} {
		t.Run(fmt.Sprint("keyed ", keyed), func(t *testing.T) { modelRun(t, keyed) })
	}
}

func modelRun(t *testing.T, keyed bool) {
	rnd := rand.New(rand.NewSource(5))
	var key []int
	if keyed {
		key = []int{0}
	}
	set, m := NewSet(), &model{}
	tab := set.Create(1, schema, key)
	clock := -3 * Horizon // before 1970 too
	var revived, compacted, rebuilt, past, backwards int
	for epoch := uint64(1); epoch < 700; epoch++ {
		clock += rnd.Int63n(Horizon / 40)
		now := clock
		if rnd.Intn(20) == 0 {
			now -= Horizon / 100 // the wall clock was set back
			backwards++
		}
		var ch Change
		var living []*modelRow
		for i := range m.rows {
			if m.rows[i].dropped == 0 {
				living = append(living, &m.rows[i])
			}
		}
		ended := map[int64]bool{}
		var gone []*modelRow
		for _, r := range living {
			if rnd.Intn(6) == 0 {
				gone, ended[r.id] = append(gone, r), true
				ch.Drop = append(ch.Drop, r.number)
			}
		}
		taken := map[int64]bool{}
		for _, r := range living {
			taken[r.id] = !ended[r.id]
		}
		for range rnd.Intn(4) {
			id := rnd.Int63n(12)
			if keyed && taken[id] {
				continue
			}
			taken[id] = true
			ch.Add = append(ch.Add, Row{Values: row(id, []string{"", "ann", "bob"}[rnd.Intn(3)], rnd.Int63n(3)), Later: rnd.Intn(2) == 0})
		}
		at, added, err := tab.Apply(ch, epoch, types.EventTime(now))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range gone {
			r.dropped, r.to = epoch, at
		}
		for i, v := range added {
			x := ch.Add[i].Values
			first := !(len(key) == 0 && ch.Add[i].Later)
			for k := range m.rows {
				r := &m.rows[k]
				if keyed && r.id == x[0].I && (r.dropped == 0 || r.to > at-Horizon) {
					first = false
					revived++
				}
			}
			from := at
			if first {
				from = Always
			}
			if v.From != from {
				t.Fatalf("epoch %d: a row holds from %d, want %d", epoch, v.From, from)
			}
			m.rows = append(m.rows, modelRow{number: v.Number, added: epoch, from: from, id: x[0].I, owner: x[1].S, level: x[2].I})
		}
		oldest := at - Horizon
		if epoch%97 == 0 {
			before := len(tab.core.Load().vers)
			tab.compactAt(epoch, oldest, 0)
			if len(tab.core.Load().vers) < before {
				compacted++
			}
		}
		if epoch%131 == 0 {
			set, tab = rebuild(t, m, key, oldest, epoch)
			rebuilt++
		}
		// A view of this epoch, and one of an epoch before that something of the horizon is still there for.
		for _, e := range []uint64{epoch, epoch - uint64(rnd.Intn(3))} {
			view := set.At(e, types.EventTime(at))
			past += moment{view, m, e, at}.compare(t, rnd)
		}
	}
	if revived == 0 && keyed || compacted == 0 || rebuilt == 0 || past < 100 || backwards == 0 {
		t.Fatalf("missed the interesting cases: %d revived, %d compacted, %d rebuilt, %d in the past, %d backwards", revived, compacted, rebuilt, past, backwards)
	}
}

// moment is a view, and the model as of the same epoch and clock.
type moment struct {
	view  *View
	m     *model
	epoch uint64
	at    int64
}

// compare asks both the same; it counts answers of the past that differ from those of now.
func (x moment) compare(t *testing.T, rnd *rand.Rand) (past int) {
	t.Helper()
	view, m, epoch, at := x.view, x.m, x.epoch, x.at
	var scanned []string
	err := view.Scan(1, func(b *batch.Batch, numbers []uint64) error {
		if b.N != len(numbers) {
			t.Fatal("not every row has its number")
		}
		for i := range b.N {
			r := b.Row(nil, i)
			scanned = append(scanned, fmt.Sprintf("%d/%s/%d", r[0].I, r[1].S, r[2].I))
		}
		return nil
	})
	sort.Strings(scanned)
	all := m.at(epoch, at, nil, func(*modelRow) bool { return true })
	if err != nil || !slices.Equal(scanned, all) || view.Len(1) != len(all) {
		t.Fatalf("epoch %d: scan gives\n%s\nwant\n%s\n%v", epoch, strings.Join(scanned, " "), strings.Join(all, " "), err)
	}
	times := []*int64{nil}
	for range 6 {
		when := at - rnd.Int63n(2*Horizon)
		if len(m.rows) > 0 && rnd.Intn(2) == 0 { // at a boundary, and just before it
			r := m.rows[rnd.Intn(len(m.rows))]
			when = []int64{r.from, max(r.from, Always+1) - 1, r.to, r.to - 1}[rnd.Intn(4)]
		}
		times = append(times, &when)
	}
	for _, when := range times {
		id := rnd.Int63n(12)
		got := lookup(t, view, 0, types.NewInt(types.Int8, id), when)
		want := m.at(epoch, at, when, func(r *modelRow) bool { return r.id == id })
		if !slices.Equal(got, want) {
			t.Fatalf("epoch %d: id %d as of %v is %v, want %v", epoch, id, when, got, want)
		}
		if when != nil && !slices.Equal(want, m.at(epoch, at, nil, func(r *modelRow) bool { return r.id == id })) {
			past++
		}
		got = lookup(t, view, 1, types.NewText("ann"), when)
		want = m.at(epoch, at, when, func(r *modelRow) bool { return r.owner == "ann" })
		if !slices.Equal(got, want) {
			t.Fatalf("epoch %d: ann as of %v is %v, want %v", epoch, when, got, want)
		}
	}
	if got := lookup(t, view, 1, types.Null(types.T(types.Text)), nil); len(got) != 0 {
		t.Fatalf("NULL equals %v", got)
	}
	return past
}

// rebuild makes the table anew as recovery does: from the versions that the store still has.
func rebuild(t *testing.T, m *model, key []int, oldest int64, epoch uint64) (*Set, *Table) {
	t.Helper()
	set := NewSet()
	tab := set.Create(1, schema, key)
	for _, r := range m.rows {
		if r.dropped != 0 && r.dropped <= epoch && r.to <= oldest {
			continue
		}
		if err := tab.Load(r.number, r.added, r.from, row(r.id, r.owner, r.level)); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range m.rows {
		if r.dropped != 0 && !(r.to <= oldest) && !tab.End(r.number, r.dropped, r.to) {
			t.Fatal("a version is missing")
		}
	}
	return set, tab
}

func TestRefusals(t *testing.T) {
	set := NewSet()
	tab := set.Create(1, schema, []int{0})
	_, added, err := tab.Apply(Change{Add: []Row{{Values: row(1, "a", 1)}}}, 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Change{{Drop: []uint64{99}}, {Drop: []uint64{added[0].Number, 99}, Add: []Row{{Values: row(2, "b", 1)}}}} {
		if _, _, err := tab.Apply(c, 2, 20); err == nil || set.At(2, 20).Len(1) != 1 {
			t.Fatalf("%v was taken, or something of it: %v", c, err)
		}
	}
	if err := tab.Load(added[0].Number, 1, 0, row(3, "", 0)); err == nil {
		t.Fatal("a number was given twice")
	}
	if err := tab.Load(50, 1, 0, row(3, "", 0)[:2]); err == nil {
		t.Fatal("a row of another width was taken")
	}
	if tab.End(99, 1, 1) {
		t.Fatal("a version that is not there ended")
	}
	if _, number, ok := set.At(1, 10).Find(1, tab.Key(), tab.AppendKey(nil, row(1, "a", 1))); !ok || number != added[0].Number {
		t.Fatal("the row is not found by its key")
	}
	if err := set.At(1, 1).Lookup(&expr.TableProbe{Table: 7}); err == nil {
		t.Fatal("a table that is not there was looked up in")
	}
	set.Remove(1)
	if err := set.At(1, 1).Scan(1, nil); err == nil || set.At(1, 1).Len(1) != 0 {
		t.Fatal("a removed table is there")
	}
}

// TestManyResults: a lookup of many rows that find many comes in pieces, also when the table changes and is compacted in between.
func TestManyResults(t *testing.T) {
	set := NewSet()
	tab := set.Create(1, schema, []int{0})
	var ch Change
	for i := range int64(5000) {
		ch.Add = append(ch.Add, Row{Values: row(i, "ann", i%7)})
	}
	_, added, err := tab.Apply(ch, 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	view := set.At(1, 10)
	vec := batch.Vec{}
	vec.Reset(types.T(types.Text))
	for range 3 {
		vec.AppendString("ann")
	}
	p := &expr.TableProbe{Table: 1, Cols: []int{1}, N: 3, Keys: &batch.Keys{}}
	p.Keys.Build([]*batch.Vec{&vec}, 3)
	total, calls := 0, 0
	for more := true; more; more = p.More {
		if err := view.Lookup(p); err != nil {
			t.Fatal(err)
		}
		total, calls = total+len(p.Rows), calls+1
		if calls == 2 {
			var drop Change
			for _, v := range added {
				drop.Drop = append(drop.Drop, v.Number)
			}
			if _, _, err := tab.Apply(drop, 2, 20); err != nil {
				t.Fatal(err)
			}
			set.Compact(2, 20)
			if len(tab.core.Load().vers) != 0 {
				t.Fatal("nothing was compacted")
			}
		}
	}
	if total != 15000 || calls < 10 {
		t.Fatalf("%d results in %d calls", total, calls)
	}
	if set.At(2, 20).Len(1) != 0 {
		t.Fatal("rows are left")
	}
}

// TestReadersAndAWriter: views stay as they are while the table changes; run with -race.
func TestReadersAndAWriter(t *testing.T) {
	set := NewSet()
	tab := set.Create(1, schema, []int{0})
	stop, done := make(chan bool), make(chan error, 3)
	for range 3 {
		go func() {
			var err error
			for err == nil {
				select {
				case <-stop:
					done <- err
					return
				default:
				}
				view := set.At(1, 10)
				if n := view.Len(1); n != 0 && n != 100 {
					err = fmt.Errorf("a view changed: %d rows", n)
				}
				if err == nil && tab.Index([]int{2}) != nil {
					err = fmt.Errorf("no index")
				}
			}
			done <- err
		}()
	}
	var ch Change
	for i := range int64(100) {
		ch.Add = append(ch.Add, Row{Values: row(i, "x", i)})
	}
	_, added, err := tab.Apply(ch, 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	for epoch := uint64(2); epoch < 100; epoch++ {
		one := Change{Drop: []uint64{added[epoch].Number}, Add: []Row{{Values: row(int64(1000+epoch), "y", 1)}}}
		if _, _, err := tab.Apply(one, epoch, 10); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	for range 3 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}
