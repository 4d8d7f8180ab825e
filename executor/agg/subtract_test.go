package agg

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestSubtract: Merge(a, b), then Subtract of b, leaves a: its result, and the bytes of its state; and taking away a too
// leaves nothing.
func TestSubtract(t *testing.T) {
	const groups, rows = 4, 24
	tried := map[string]int{}
	for n, f := range forms() {
		sub, ok := f.kernel.(Subtracter)
		if !ok {
			continue
		}
		rng := rand.New(rand.NewPCG(11, uint64(n)))
		for range 60 {
			tried[f.name]++
			slab := func() *Slab {
				s := slabOf(f.kernel, groups)
				gids := make([]uint32, rng.IntN(rows))
				for i := range gids {
					gids[i] = uint32(rng.IntN(groups))
				}
				fold(t, f, s, gids, f.rows(rng, len(gids)))
				return s
			}
			a, b, dst := slab(), slab(), slabOf(f.kernel, groups)
			for g := range uint32(groups) {
				want := f.kernel.Append(nil, a, lawOff, g)
				for _, src := range []*Slab{a, b} {
					if err := f.kernel.Merge(dst, g, src, g, lawOff); err != nil {
						t.Fatal(err)
					}
				}
				if err := sub.Subtract(dst, g, b, g, lawOff); err != nil {
					t.Fatalf("%v: %v", f, err)
				}
				if got, want := mustResult(t, f, dst, g), mustResult(t, f, a, g); got != want {
					t.Fatalf("%v: %s is left, want %s", f, got, want)
				}
				if got := f.kernel.Append(nil, dst, lawOff, g); !bytes.Equal(got, want) {
					t.Fatalf("%v: state % x is left, want % x", f, got, want)
				}
				if err := sub.Subtract(dst, g, a, g, lawOff); err != nil {
					t.Fatalf("%v: %v", f, err)
				}
				empty := f.kernel.Append(nil, slabOf(f.kernel, 1), lawOff, 0)
				if got := f.kernel.Append(nil, dst, lawOff, g); !bytes.Equal(got, empty) {
					t.Fatalf("%v: state % x is left, want none", f, got)
				}
			}
		}
	}
	for _, name := range []string{"count", "sum", "avg", "bool_and", "bool_or", "every", "stddev", "var_pop"} {
		if tried[name] == 0 {
			t.Errorf("%s takes nothing away", name)
		}
	}
}

// TestSubtractIsExactOnly: rounded sums, extremes and distinct values cannot be taken away.
func TestSubtractIsExactOnly(t *testing.T) {
	for _, f := range forms() {
		_, ok := f.kernel.(Subtracter)
		float := len(f.args) > 0 && f.args[0].Phys() == types.PhysFloat
		if ok && (f.distinct && f.name != "bool_and" && f.name != "bool_or" && f.name != "every" || float && f.name != "count" && f.name != "regr_count") {
			t.Errorf("%v takes states away", f)
		}
		if ok && (f.name == "min" || f.name == "max") {
			t.Errorf("%v takes states away", f)
		}
	}
}

// TestSubtractTooMuch: a state that holds fewer values is an error.
func TestSubtractTooMuch(t *testing.T) {
	for n, f := range forms() {
		sub, ok := f.kernel.(Subtracter)
		if !ok {
			continue
		}
		rng := rand.New(rand.NewPCG(13, uint64(n)))
		s := slabOf(f.kernel, 2)
		fold(t, f, s, make([]uint32, 30), f.rows(rng, 30))
		if err := sub.Subtract(s, 1, s, 0, lawOff); err == nil {
			t.Errorf("%v: 30 rows are taken from none", f)
		}
	}
}

// TestSubtractScale: the digits of a value that is gone do not show.
func TestSubtractScale(t *testing.T) {
	k := sumNumeric{}
	textColumn := func(texts ...string) []*batch.Vec {
		v := new(batch.Vec)
		v.Reset(types.T(types.Numeric))
		for _, x := range texts {
			v.AppendString(x)
		}
		return []*batch.Vec{v}
	}
	for _, c := range []struct{ gone, left, want string }{
		{"0.125", "5", "5"}, {"1.50", "2.5", "2.5"}, {"NaN", "1.5", "1.5"}, {"Infinity", "-Infinity", "-Infinity"},
		{"0.0000000000000000000000000001", "7.1", "7.1"}, {"-12345678901234567890123456789012345678901234567890", "3.25", "3.25"},
	} {
		s := &Slab{Stride: k.Words()}
		s.Grow(2)
		if err := k.Update(s, 0, []uint32{0, 0, 1}, textColumn(c.left, c.gone, c.gone)); err != nil {
			t.Fatal(err)
		}
		if err := k.Subtract(s, 0, s, 1, 0); err != nil {
			t.Fatal(err)
		}
		if v, err := k.Result(s, 0, 0); err != nil || v.Text() != c.want {
			t.Errorf("%s + %s - %s is %v, %v", c.left, c.gone, c.gone, v.Text(), err)
		}
	}
}
