package table

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

var draftSchema = types.Schema{Cols: []types.Column{{Name: "k", Type: types.T(types.Int8)}, {Name: "v", Type: types.T(types.Text)}}}

func draftRow(k int, v string) []types.Value {
	return []types.Value{types.NewInt(types.Int8, int64(k)), types.NewText(v)}
}

// content reads a table by Scan, and checks that Find, Len and Lookup tell the same.
func content(t *testing.T, r Reader, id uint64, keys int) map[int]string {
	t.Helper()
	out := map[int]string{}
	byNumber := map[int]uint64{}
	err := r.Scan(id, func(b *batch.Batch, numbers []uint64) error {
		for i := range b.N {
			row := b.Row(nil, i)
			out[int(row[0].I)] = row[1].S
			byNumber[int(row[0].I)] = numbers[i]
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Len(id) != len(out) {
		t.Fatalf("Len %d, Scan gives %d rows", r.Len(id), len(out))
	}
	for k := range keys {
		row, n, ok := r.Find(id, []int{0}, batch.AppendKeyValue(nil, types.NewInt(types.Int8, int64(k))))
		v, want := out[k]
		if ok != want || ok && (row[1].S != v || n != byNumber[k]) {
			t.Fatalf("Find(%d) gives %v %d %v, Scan %q %d", k, row, n, ok, v, byNumber[k])
		}
		if got := lookupOne(t, r, id, k); got != v {
			t.Fatalf("Lookup(%d) gives %q, Scan %q", k, got, v)
		}
	}
	return out
}

func lookupOne(t *testing.T, r Reader, id uint64, k int) string {
	t.Helper()
	b := batch.New(&types.Schema{Cols: draftSchema.Cols[:1]}, nil)
	b.AppendRow(draftRow(k, "")[:1])
	var keys batch.Keys
	keys.Build([]*batch.Vec{&b.Cols[0]}, 1)
	p := &expr.TableProbe{Table: id, Cols: []int{0}, Keys: &keys, N: 1, Into: make([]batch.Vec, 2)}
	for i := range p.Into {
		p.Into[i].Reset(draftSchema.Cols[i].Type)
	}
	if err := r.Lookup(p); err != nil {
		t.Fatal(err)
	}
	if len(p.Rows) == 0 {
		return ""
	}
	return p.Into[1].Value(0).S
}

// A draft on a draft on a table shows what a map with the same changes holds, and merging the drafts down changes nothing.
func TestDraftAgainstMap(t *testing.T) {
	for seed := range int64(60) {
		rnd := rand.New(rand.NewSource(seed))
		const id, keys = 7, 12
		set := NewSet()
		base := set.Create(id, &draftSchema, []int{0})
		model := map[int]string{}
		var first []Row
		for k := range keys / 2 {
			model[k] = fmt.Sprint("base ", k)
			first = append(first, Row{Values: draftRow(k, model[k])})
		}
		if _, _, err := base.Apply(Change{Add: first}, 1, 10); err != nil {
			t.Fatal(err)
		}
		view := set.At(1, 10)
		drafts := []*Draft{NewDraft(1), NewDraft(2), NewDraft(3)}
		readers := []Reader{}
		var below Reader = view
		deleted, updated := 0, 0
		for _, d := range drafts {
			for range 8 {
				r := d.On(below)
				k := rnd.Intn(keys)
				_, n, ok := r.Find(id, []int{0}, batch.AppendKeyValue(nil, types.NewInt(types.Int8, int64(k))))
				c := Change{}
				if ok {
					c.Drop = []uint64{n}
					delete(model, k)
					deleted++
				}
				if !ok || rnd.Intn(2) == 0 {
					model[k] = fmt.Sprint("draft ", rnd.Int31())
					c.Add = []Row{{Values: draftRow(k, model[k])}}
					updated++
				}
				if err := d.Apply(id, &draftSchema, []int{0}, c); err != nil {
					t.Fatal(err)
				}
			}
			below = d.On(below)
			readers = append(readers, below)
			if got := content(t, below, id, keys); !sameContent(got, model) {
				t.Fatalf("seed %d: %v, want %v", seed, got, model)
			}
		}
		if deleted < 3 || updated < 3 {
			t.Fatalf("seed %d did too little", seed)
		}
		for i := len(drafts) - 1; i > 0; i-- {
			merge(t, drafts[i], drafts[i-1])
		}
		if got := content(t, readers[0], id, keys); !sameContent(got, model) {
			t.Fatalf("seed %d: merged %v, want %v", seed, got, model)
		}
		err := drafts[0].Changes(func(id uint64, c Change) error {
			_, _, err := base.Apply(c, 2, 20)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, set.At(2, 20), id, keys); !sameContent(got, model) {
			t.Fatalf("seed %d: applied %v, want %v", seed, got, model)
		}
	}
}

func merge(t *testing.T, from, to *Draft) {
	t.Helper()
	err := from.Changes(func(id uint64, c Change) error { return to.Apply(id, &draftSchema, []int{0}, c) })
	if err != nil {
		t.Fatal(err)
	}
}

func sameContent(a, b map[int]string) bool {
	var x, y []string
	for k, v := range a {
		x = append(x, fmt.Sprint(k, v))
	}
	for k, v := range b {
		y = append(y, fmt.Sprint(k, v))
	}
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// A fresh table lies on nothing, and a full draft says so.
func TestDraftFresh(t *testing.T) {
	d := NewDraft(1)
	d.Create(3, &draftSchema, []int{0})
	r := d.On(NewSet().At(1, 0))
	if err := d.Apply(3, &draftSchema, []int{0}, Change{Add: []Row{{Values: draftRow(1, "a")}}}); err != nil {
		t.Fatal(err)
	}
	if got := content(t, r, 3, 2); got[1] != "a" || len(got) != 1 {
		t.Fatalf("%v", got)
	}
	d.rows = DraftRowsMax
	if err := d.Apply(3, &draftSchema, []int{0}, Change{Add: []Row{{Values: draftRow(2, "b")}}}); err == nil {
		t.Fatal("the draft holds more than it may")
	}
	d.Remove(3)
	if d.Has(3) {
		t.Fatal("removed, but there")
	}
}
