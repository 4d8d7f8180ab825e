package agg

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestReleasedGroupsAreEmpty: groups that were released and used again hold what a fresh slab holds, for every aggregate,
// while heaps and sets are compacted under the others.
func TestReleasedGroupsAreEmpty(t *testing.T) {
	text := types.T(types.Text)
	testRelease(t, text, []Kernel{countRows{}, stringAgg{}, distinctOf([]types.Type{text}, countValues{}), extremeBytes{true, text}, arrayAgg{text},
		distinctOf([]types.Type{text, text}, stringAgg{})}, [][]int{nil, {0, 0}, {0}, {0}, {0}, {0, 0}})
	// Small integers in blocks look like the heads of blocks.
	number := types.T(types.Int8)
	testRelease(t, number, []Kernel{countRows{}, arrayAgg{number}, distinctOf([]types.Type{number}, countValues{}), arrayAgg{number}},
		[][]int{nil, {0}, {0}, {0}})
}

func testRelease(t *testing.T, typ types.Type, kernels []Kernel, args [][]int) {
	t.Helper()
	offs, stride := Layout(kernels)
	rng := rand.New(rand.NewPCG(1, 9))
	const groups = 40
	slab := Slab{Stride: stride}
	slab.Grow(groups)
	want := make([][]string, groups)
	compacted, last := 0, 0
	for range 30000 {
		g := uint32(rng.IntN(groups))
		if rng.IntN(12) == 0 {
			slab.Release(g)
			want[g] = nil
			continue
		}
		value := fmt.Sprint(rng.IntN(30))
		want[g] = append(want[g], value)
		v := vecOf(typ, value)
		for i, k := range kernels {
			var in []*batch.Vec
			for range args[i] {
				in = append(in, v)
			}
			if err := k.Update(&slab, offs[i], []uint32{g}, in); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range slab.Heap.sets {
			if s.dead < last {
				compacted++
			}
			last = s.dead
		}
	}
	if compacted == 0 {
		t.Error("no set was compacted")
	}
	for g, values := range want {
		fresh := Slab{Stride: stride}
		fresh.Grow(1)
		for _, value := range values {
			v := vecOf(typ, value)
			for i, k := range kernels {
				var in []*batch.Vec
				for range args[i] {
					in = append(in, v)
				}
				if err := k.Update(&fresh, offs[i], []uint32{0}, in); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, k := range kernels {
			got, err := k.Result(&slab, offs[i], uint32(g))
			if err != nil {
				t.Fatal(err)
			}
			one, err := k.Result(&fresh, offs[i], 0)
			if err != nil || got.Text() != one.Text() || got.Null != one.Null {
				t.Errorf("aggregate %d of group %d: %s, want %s, %v", i, g, got.Text(), one.Text(), err)
			}
		}
	}
}

func vecOf(typ types.Type, value string) *batch.Vec {
	v := new(batch.Vec)
	v.Reset(typ)
	if typ.Phys() == types.PhysInt {
		n, _ := strconv.Atoi(value)
		v.AppendInt(int64(n))
		return v
	}
	v.AppendString(value)
	return v
}
