package agg

import (
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// pairVecs are rows of (text, bigint) as columns; nil is NULL.
func pairVecs(rows [][2]any) []*batch.Vec {
	text, key := &batch.Vec{}, &batch.Vec{}
	text.Reset(types.T(types.Text))
	key.Reset(types.T(types.Int8))
	for _, r := range rows {
		if r[0] == nil {
			text.AppendNull()
		} else {
			text.AppendString(r[0].(string))
		}
		if r[1] == nil {
			key.AppendNull()
		} else {
			key.AppendInt(int64(r[1].(int)))
		}
	}
	return []*batch.Vec{text, key}
}

func orderedArray(t *testing.T, o Order) Kernel {
	t.Helper()
	for _, d := range Builtins() {
		if d.Name == "array_agg" {
			inner, ok := d.Bind([]types.Type{types.T(types.Text)}, false)
			if !ok {
				t.Fatal("array_agg does not take text")
			}
			o.Typ = types.T(types.Int8)
			return Ordered(inner, []types.Type{types.T(types.Text)}, []Order{o})
		}
	}
	t.Fatal("no array_agg")
	return nil
}

// TestOrdered: order and direction, NULL keys, NULL values, ties in order of arrival; over merges and after Append and Load.
func TestOrdered(t *testing.T) {
	rows := [][2]any{{"c", 3}, {"a", 1}, {"n", nil}, {"b1", 2}, {nil, 0}, {"b2", 2}}
	for _, c := range []struct {
		order Order
		want  string
	}{
		{Order{}, "{NULL,a,b1,b2,c,n}"},
		{Order{Desc: true, NullsFirst: true}, "{n,c,b1,b2,a,NULL}"},
		{Order{Desc: true}, "{c,b1,b2,a,NULL,n}"},
		{Order{NullsFirst: true}, "{n,NULL,a,b1,b2,c}"},
	} {
		k := orderedArray(t, c.order)
		for cut := range rows {
			one := Slab{Stride: k.Words()}
			one.Grow(2)
			for g, part := range [][][2]any{rows[:cut], rows[cut:]} {
				gids := make([]uint32, len(part))
				for i := range gids {
					gids[i] = uint32(g)
				}
				if err := k.Update(&one, 0, gids, pairVecs(part)); err != nil {
					t.Fatal(err)
				}
			}
			if err := k.Merge(&one, 0, &one, 1, 0); err != nil {
				t.Fatal(err)
			}
			two := Slab{Stride: k.Words()}
			two.Grow(1)
			if rest, err := k.Load(k.Append(nil, &one, 0, 0), &two, 0, 0); err != nil || len(rest) > 0 {
				t.Fatalf("load: %v, %d bytes left", err, len(rest))
			}
			for _, s := range []*Slab{&one, &two} {
				v, err := k.Result(s, 0, 0)
				if err != nil {
					t.Fatal(err)
				}
				if got := string(types.AppendText(nil, v, nil)); got != c.want {
					t.Errorf("%+v cut at %d: %s, want %s", c.order, cut, got, c.want)
				}
			}
		}
	}
}

// TestOrderedOfNothing: no rows give what inner gives for none.
func TestOrderedOfNothing(t *testing.T) {
	k := orderedArray(t, Order{})
	s := Slab{Stride: k.Words()}
	s.Grow(1)
	if v, err := k.Result(&s, 0, 0); err != nil || !v.Null {
		t.Errorf("%v, %v; want NULL", v, err)
	}
}

// TestOrderedLoadsNoDamage: damaged states are errors, or states that can be asked.
func TestOrderedLoadsNoDamage(t *testing.T) {
	k := orderedArray(t, Order{})
	s := Slab{Stride: k.Words()}
	s.Grow(1)
	if err := k.Update(&s, 0, []uint32{0, 0, 0}, pairVecs([][2]any{{"abc", 1}, {nil, 2}, {"d", nil}})); err != nil {
		t.Fatal(err)
	}
	good, rng, refused := k.Append(nil, &s, 0, 0), rand.New(rand.NewPCG(1, 2)), 0
	for range 5000 {
		b := append([]byte(nil), good...)
		b[rng.IntN(len(b))] = byte(rng.Uint32())
		b = b[:1+rng.IntN(len(b))]
		two := Slab{Stride: k.Words()}
		two.Grow(1)
		if _, err := k.Load(b, &two, 0, 0); err != nil {
			refused++
			continue
		}
		if _, err := k.Result(&two, 0, 0); err != nil {
			t.Fatalf("%x was loaded, and then: %v", b, err)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}
