package agg

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// form is one aggregate bound to argument types.
type form struct {
	name     string
	args     []types.Type
	distinct bool
	kernel   Kernel
	fixed    bool // see Def.Fixed
}

func (f form) String() string { return fmt.Sprintf("%s(%v) distinct=%v", f.name, f.args, f.distinct) }

// ordered reports aggregates whose result depends on the order of the rows.
func (f form) ordered() bool {
	switch f.name {
	case "string_agg", "array_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "first", "last":
		return !f.distinct
	}
	return f.name == "any_value"
}

var lawTypes = []types.Type{types.T(types.Bool), types.T(types.Int2), types.T(types.Int4), types.T(types.Int8), types.T(types.Float4),
	types.T(types.Float8), types.T(types.Numeric), types.T(types.Text), types.T(types.Varchar), types.T(types.Bytea), types.T(types.Date),
	types.T(types.TimestampTZ), types.T(types.Interval), types.T(types.Inet), types.T(types.UUID), types.ArrayOf(types.Int4), types.T(types.JSON), types.T(types.JSONB)}

// lawSeconds are the types of second arguments.
var lawSeconds = []types.Type{types.T(types.Text), types.T(types.Int8), types.T(types.Float8), types.T(types.TimestampTZ),
	types.ArrayOf(types.Float8), types.T(types.JSON), types.T(types.JSONB)}

// lawArgs are the argument types that forms tries.
func lawArgs() [][]types.Type {
	text, float := types.T(types.Text), types.T(types.Float8)
	out := [][]types.Type{nil, {float, float, float}, {text, types.T(types.Int4), text, types.T(types.JSON)},
		{types.T(types.Int2), float, text, types.T(types.JSONB)}}
	for _, t := range lawTypes {
		out = append(out, []types.Type{t})
		for _, second := range lawSeconds {
			out = append(out, []types.Type{t, second})
		}
	}
	return out
}

// forms returns every registered aggregate in every form that binds.
func forms() []form {
	var out []form
	for _, d := range Builtins() {
		for _, args := range lawArgs() {
			for _, flag := range []bool{false, true} {
				if k, ok := d.Bind(args, flag); ok {
					out = append(out, form{d.Name, args, flag, k, d.Fixed})
				}
				if d.Within == nil {
					continue
				}
				if k, ok := d.Within(args, flag); ok {
					out = append(out, form{d.Name, args, false, k, d.Fixed})
				}
			}
		}
	}
	return out
}

func randomValue(rng *rand.Rand, t types.Type) types.Value {
	v := types.Value{Type: t}
	small := rng.Int64N(20) - 8
	switch t.Kind {
	case types.Bool:
		v.I = rng.Int64N(2)
	case types.Int8:
		v.I = []int64{small, rng.Int64(), -rng.Int64(), math.MaxInt64, math.MinInt64}[rng.IntN(5)]
	case types.Float4, types.Float8:
		v.F = float64(small) / 4
		if rng.IntN(40) == 0 {
			v.F = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}[rng.IntN(3)]
		}
	case types.Numeric:
		v.S = []string{fmt.Sprint(small), fmt.Sprintf("%d.%03d", rng.Int64N(1000), rng.IntN(1000)), "-0.50",
			"123456789012345678901234567890.5", "0.0000000000000000000001", "999999999999999999", "NaN"}[rng.IntN(7)]
		if v.S == "NaN" && rng.IntN(10) > 0 {
			v.S = "7.00"
		}
	case types.Interval:
		return types.NewInterval(types.IntervalValue{Months: int32(small), Days: int32(rng.IntN(40)), Micros: rng.Int64N(1e12)})
	case types.Inet:
		v.S = string([]byte{byte(8 * rng.IntN(5)), 10, byte(rng.IntN(3)), 0, byte(rng.IntN(3))})
	case types.UUID:
		v.S = string(bytes.Repeat([]byte{byte(rng.IntN(5))}, 16))
	case types.JSON, types.JSONB:
		v.S = []string{"1", "2.50", `"a"`, "[1, 2]", `{"a": null}`, "null", "true"}[rng.IntN(7)]
	case types.Array:
		if t.Elem == types.Float8 {
			return types.NewArray(types.Float8, []types.Value{types.NewFloat(0.25), types.NewFloat(1), types.Null(types.T(types.Float8))})
		}
		elems := make([]types.Value, rng.IntN(3))
		for i := range elems {
			elems[i] = types.NewInt(types.Int4, rng.Int64N(3))
		}
		v = types.NewArray(types.Int4, elems)
	default:
		if t.Phys() == types.PhysInt {
			v.I = small
		} else {
			v.S = []string{"", "a", "b", "ab", "zebra", "é", "a longer text than the others"}[rng.IntN(7)]
		}
	}
	return v
}

// rows makes n rows of the form's arguments. Arguments that are fixed have one value; keys of objects are not NULL.
func (f form) rows(rng *rand.Rand, n int) []*batch.Vec {
	cols := randomRows(rng, f.args, n)
	for c, t := range f.args {
		key := strings.Contains(f.name, "object_agg") && c == len(f.args)-2
		if !key && (!f.fixed || c == 0) {
			continue
		}
		cols[c].Reset(t)
		for range n {
			v := randomValue(rng, t)
			switch {
			case f.fixed && t.Kind == types.Float8:
				v.F = 0.3
			case f.fixed && t.Kind == types.Int8:
				v.I = 3
			}
			cols[c].AppendValue(v)
		}
	}
	return cols
}

// randomRows makes n rows of arguments; a tenth are NULL.
func randomRows(rng *rand.Rand, args []types.Type, n int) []*batch.Vec {
	cols := make([]*batch.Vec, len(args))
	for c, t := range args {
		cols[c] = new(batch.Vec)
		cols[c].Reset(t)
		for range n {
			if rng.IntN(10) == 0 {
				cols[c].AppendNull()
				continue
			}
			cols[c].AppendValue(randomValue(rng, t))
		}
	}
	return cols
}

func slabOf(k Kernel, groups int) *Slab {
	s := &Slab{Stride: k.Words() + 1} // one word before the state, to find stray writes
	s.Grow(groups)
	return s
}

const lawOff = 1

func mustResult(t *testing.T, f form, s *Slab, gid uint32) string {
	t.Helper()
	v, err := f.kernel.Result(s, lawOff, gid)
	if err != nil {
		return "error: " + err.Error()
	}
	if v.Type != f.kernel.Type() {
		t.Fatalf("%v: result has type %v, kernel %v", f, v.Type, f.kernel.Type())
	}
	return v.Text()
}

// near compares results; floats may differ in the last digits, because sums are rounded.
func near(f form, a, b string) bool {
	if a == b {
		return true
	}
	if f.kernel.Type().Phys() != types.PhysFloat {
		return false
	}
	var x, y float64
	if _, err := fmt.Sscan(a+" "+b, &x, &y); err != nil {
		return false
	}
	return math.Abs(x-y) <= 1e-9*max(math.Abs(x), math.Abs(y), 1e-3)
}

func gather(cols []*batch.Vec, rows []int) []*batch.Vec {
	out := make([]*batch.Vec, len(cols))
	for c := range cols {
		out[c] = new(batch.Vec)
		out[c].Reset(cols[c].Type)
		for _, r := range rows {
			out[c].AppendFrom(cols[c], r)
		}
	}
	return out
}

// fold adds rows, one group per row of gids.
func fold(t *testing.T, f form, s *Slab, gids []uint32, cols []*batch.Vec) {
	t.Helper()
	if err := f.kernel.Update(s, lawOff, gids, cols); err != nil {
		t.Fatalf("%v: Update: %v", f, err)
	}
}

// TestLaws: for every aggregate, over random rows in random groups, the result of merged parts, in both directions, and
// of states that went through bytes, is that of the whole.
func TestLaws(t *testing.T) {
	const groups, rows = 5, 120
	all := forms()
	if len(all) < 800 {
		t.Fatalf("only %d forms of aggregates bind", len(all))
	}
	for _, d := range Builtins() {
		if !slices.ContainsFunc(all, func(f form) bool { return f.name == d.Name }) {
			t.Errorf("no form of %s binds", d.Name)
		}
	}
	for n, f := range all {
		rng := rand.New(rand.NewPCG(7, uint64(n)))
		rounds := 8
		if len(f.args) > 1 {
			rounds = 1 // of pairs there are many forms
		}
		for range rounds {
			cols := f.rows(rng, rows)
			gids := make([]uint32, rows)
			part := [2][]int{}
			partGids := [2][]uint32{}
			for i := range gids {
				gids[i] = uint32(rng.IntN(groups - 1)) // the last group stays empty
				p := 0
				if i > rows/2 {
					p = 1
				}
				part[p], partGids[p] = append(part[p], i), append(partGids[p], gids[i])
			}
			whole := slabOf(f.kernel, groups)
			fold(t, f, whole, gids, cols)
			a, b := slabOf(f.kernel, groups), slabOf(f.kernel, groups)
			fold(t, f, a, partGids[0], gather(cols, part[0]))
			fold(t, f, b, partGids[1], gather(cols, part[1]))
			checkMerge(t, f, whole, a, b)
			checkMergeWithin(t, f, rng)
			checkBytes(t, f, whole)
		}
	}
}

func checkMerge(t *testing.T, f form, whole, a, b *Slab) {
	t.Helper()
	groups := len(whole.Words) / whole.Stride
	ab, ba := slabOf(f.kernel, groups), slabOf(f.kernel, groups)
	for g := range uint32(groups) {
		for _, m := range []struct{ dst, src *Slab }{{ab, a}, {ab, b}, {ba, b}, {ba, a}} {
			if err := f.kernel.Merge(m.dst, g, m.src, g, lawOff); err != nil {
				t.Fatalf("%v: Merge: %v", f, err)
			}
		}
		want := mustResult(t, f, whole, g)
		if got := mustResult(t, f, ab, g); !near(f, got, want) {
			t.Fatalf("%v: merged result of group %d is %s, want %s", f, g, got, want)
		}
		if got := mustResult(t, f, ba, g); !f.ordered() && !near(f, got, want) {
			t.Fatalf("%v: result of group %d merged the other way is %s, want %s", f, g, got, want)
		}
	}
}

// checkMergeWithin: groups of one slab merge like those of two.
func checkMergeWithin(t *testing.T, f form, rng *rand.Rand) {
	t.Helper()
	two, one := slabOf(f.kernel, 2), slabOf(f.kernel, 2)
	cols := f.rows(rng, 30)
	gids := make([]uint32, 30)
	for i := range gids {
		gids[i] = uint32(rng.IntN(2))
	}
	fold(t, f, two, gids, cols)
	fold(t, f, one, gids, cols)
	other := slabOf(f.kernel, 2)
	if err := f.kernel.Merge(other, 1, one, 1, lawOff); err != nil {
		t.Fatal(err)
	}
	if err := f.kernel.Merge(two, 0, two, 1, lawOff); err != nil {
		t.Fatal(err)
	}
	if err := f.kernel.Merge(one, 0, other, 1, lawOff); err != nil {
		t.Fatal(err)
	}
	if got, want := mustResult(t, f, two, 0), mustResult(t, f, one, 0); got != want {
		t.Fatalf("%v: merged within a slab %s, between slabs %s", f, got, want)
	}
}

// checkBytes: what Append writes, Load reads, up to its end; and the states of one slab do not disturb each other.
func checkBytes(t *testing.T, f form, s *Slab) {
	t.Helper()
	groups := len(s.Words) / s.Stride
	loaded := slabOf(f.kernel, groups)
	for g := range uint32(groups) {
		state := f.kernel.Append(nil, s, lawOff, g)
		rest, err := f.kernel.Load(append(state, "rest"...), loaded, lawOff, g)
		if err != nil || string(rest) != "rest" {
			t.Fatalf("%v: Load(Append) leaves %q, %v", f, rest, err)
		}
		for cut := range state {
			if rest, err := f.kernel.Load(state[:cut:cut], slabOf(f.kernel, 1), lawOff, 0); err == nil && len(rest) == 0 && cut+8 < len(state) {
				t.Fatalf("%v: Load takes %d of %d bytes for a whole state", f, cut, len(state))
			}
		}
	}
	for g := range uint32(groups) {
		if got, want := mustResult(t, f, loaded, g), mustResult(t, f, s, g); got != want {
			t.Fatalf("%v: result after Load is %s, want %s", f, got, want)
		}
		if loaded.Words[int(g)*loaded.Stride] != 0 || s.Words[int(g)*s.Stride] != 0 {
			t.Fatalf("%v: wrote outside its words", f)
		}
	}
}

// TestReset: a slab that was used and reset behaves like a new one.
func TestReset(t *testing.T) {
	for n, f := range forms() {
		rng := rand.New(rand.NewPCG(9, uint64(n)))
		used := slabOf(f.kernel, 3)
		gids := make([]uint32, 200)
		for i := range gids {
			gids[i] = uint32(rng.IntN(3))
		}
		fold(t, f, used, gids, f.rows(rng, len(gids)))
		used.Reset()
		used.Grow(3)
		fresh := slabOf(f.kernel, 3)
		cols := f.rows(rng, len(gids))
		fold(t, f, used, gids, cols)
		fold(t, f, fresh, gids, cols)
		for g := range uint32(3) {
			if got, want := mustResult(t, f, used, g), mustResult(t, f, fresh, g); got != want {
				t.Fatalf("%v: after Reset %s, fresh %s", f, got, want)
			}
		}
	}
}

// TestEmpty: a group without rows is NULL, for counts 0.
func TestEmpty(t *testing.T) {
	for _, f := range forms() {
		want := "NULL"
		if f.name == "count" || f.name == "regr_count" || f.name == "approx_count_distinct" {
			want = "0"
		}
		if got := mustResult(t, f, slabOf(f.kernel, 1), 0); got != want {
			t.Errorf("%v over no rows is %s, want %s", f, got, want)
		}
	}
}

// TestBulkResults: the quick way gives what Result gives.
func TestBulkResults(t *testing.T) {
	tried := 0
	for n, f := range forms() {
		bulk, ok := f.kernel.(BulkResult)
		if !ok {
			continue
		}
		rng := rand.New(rand.NewPCG(3, uint64(n)))
		s := slabOf(f.kernel, 4)
		gids := []uint32{0, 1, 2, 0, 1, 2, 1}
		fold(t, f, s, gids, f.rows(rng, len(gids)))
		v := new(batch.Vec)
		v.Reset(f.kernel.Type())
		order := []uint32{3, 0, 2, 1}
		if !bulk.Results(v, s, lawOff, order) {
			if v.N != 0 {
				t.Errorf("%v: refused, but appended %d rows", f, v.N)
			}
			continue
		}
		tried++
		for i, g := range order {
			if got, want := v.Value(i).Text(), mustResult(t, f, s, g); got != want {
				t.Errorf("%v: bulk result %s, want %s", f, got, want)
			}
		}
	}
	if tried < 3 {
		t.Fatalf("only %d kernels gave bulk results", tried)
	}
}

// FuzzLoad: hostile bytes are errors, or states that every method can live with.
func FuzzLoad(f *testing.F) {
	all := forms()
	rng := rand.New(rand.NewPCG(5, 5))
	for n, x := range all {
		s := slabOf(x.kernel, 1)
		gids := make([]uint32, 6)
		if err := x.kernel.Update(s, lawOff, gids, x.rows(rng, len(gids))); err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(n), x.kernel.Append(nil, s, lawOff, 0))
	}
	f.Fuzz(func(t *testing.T, n uint16, src []byte) {
		x := all[int(n)%len(all)]
		s := slabOf(x.kernel, 2)
		if _, err := x.kernel.Load(src, s, lawOff, 0); err != nil {
			return
		}
		if v, err := x.kernel.Result(s, lawOff, 0); err == nil {
			_ = v.Text()
		}
		again := slabOf(x.kernel, 2)
		if _, err := x.kernel.Load(x.kernel.Append(nil, s, lawOff, 0), again, lawOff, 0); err != nil {
			t.Fatalf("%v: Load refuses what Append wrote: %v", x, err)
		}
		if sub, ok := x.kernel.(Subtracter); ok {
			_ = sub.Subtract(again, 0, s, 0, lawOff)
			_ = sub.Subtract(again, 1, s, 0, lawOff)
		}
		_ = x.kernel.Merge(again, 1, s, 0, lawOff)
		_, _ = x.kernel.Result(again, lawOff, 1)
		_ = x.kernel.Update(s, lawOff, []uint32{0, 1}, x.rows(rng, 2))
	})
}
