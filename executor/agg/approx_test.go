package agg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// column makes a vector of values, NULL for nil.
func column(t types.Type, values ...any) *batch.Vec {
	v := new(batch.Vec)
	v.Reset(t)
	for _, x := range values {
		switch x := x.(type) {
		case nil:
			v.AppendNull()
		case int:
			v.AppendInt(int64(x))
		case float64:
			v.AppendFloat(x)
		case string:
			v.AppendString(x)
		case types.Value:
			v.AppendValue(x)
		}
	}
	return v
}

// folded returns a state of one group over dense columns.
func folded(t *testing.T, k Kernel, cols ...*batch.Vec) *Slab {
	t.Helper()
	s := &Slab{Stride: k.Words()}
	s.Grow(1)
	if err := k.Update(s, 0, make([]uint32, cols[0].N), cols); err != nil {
		t.Fatal(err)
	}
	return s
}

func result(t *testing.T, k Kernel, s *Slab) string {
	t.Helper()
	v, err := k.Result(s, 0, 0)
	if err != nil {
		return string(sqlerr.CodeOf(err)) + " " + err.Error()
	}
	return v.Text()
}

// state returns the bytes of group 0.
func state(k Kernel, s *Slab) []byte { return k.Append(nil, s, 0, 0) }

func bindAll(t *testing.T, name string, args ...types.Type) Kernel {
	t.Helper()
	d, _ := Find(name)
	k, ok := d.Kernel(args, false, false)
	if !ok {
		t.Fatalf("%s does not take %v", name, args)
	}
	return k
}

// TestApproxCountDistinct: the error is what the registers promise, from one value to a million, whatever the type; the
// state is bounded, and the same however the values are split, ordered and repeated.
func TestApproxCountDistinct(t *testing.T) {
	k := hyperLogLog{}
	values := map[string]func(i int) *batch.Vec{
		"integers": func(i int) *batch.Vec { return column(types.T(types.Int8), i) },
		"texts":    func(i int) *batch.Vec { return column(types.T(types.Text), fmt.Sprintf("user-%d@example.com", i)) },
		"floats":   func(i int) *batch.Vec { return column(types.T(types.Float8), float64(i)/7) },
	}
	for name, make := range values {
		sum := 0.0
		checked := 0
		s := &Slab{Stride: k.Words()}
		s.Grow(1)
		next := 1
		for i := 1; i <= 200_000; i++ {
			if err := k.Update(s, 0, []uint32{0}, []*batch.Vec{make(i)}); err != nil {
				t.Fatal(err)
			}
			if i != next {
				continue
			}
			next = next*3/2 + 1
			v, _ := k.Result(s, 0, 0)
			off := math.Abs(float64(v.I)-float64(i)) / float64(i)
			sum, checked = sum+off, checked+1
			if off > 0.06 {
				t.Errorf("%s: %d of %d", name, v.I, i)
			}
			if n := len(state(k, s)); n > hllRegisters+2 {
				t.Errorf("%s: %d values take %d bytes", name, i, n)
			}
			if small := i <= hllSparseMax/2; small && len(s.block(1)) != hllSparseBytes*int(s.Words[0]) {
				t.Errorf("%s: %d values are not sparse", name, i)
			}
		}
		if mean := sum / float64(checked); mean > 0.02 || checked < 25 {
			t.Errorf("%s: mean error %g over %d counts", name, mean, checked)
		}
	}
}

// TestFixedHash: states outlive the process, so the hash must never change.
func TestFixedHash(t *testing.T) {
	for in, want := range map[string]uint64{"": 0xd8a310150df90781, "a": 0x112ea4abef90e8ec, "0123456789abcdef!": 0xe30a724f2b72a686} {
		if got := fixedHash([]byte(in)); got != want {
			t.Errorf("hash of %q is %#x, want %#x", in, got, want)
		}
	}
}

// TestSketchesMergeExactly: states of sketches are the same bytes however the rows are split and ordered.
func TestSketchesMergeExactly(t *testing.T) {
	float, rng := types.T(types.Float8), rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{3, 300, 3000} {
		x, p := column(float), column(float)
		for range n {
			x.AppendFloat(math.Exp(rng.NormFloat64()*20) * float64(rng.IntN(3)-1))
			p.AppendFloat(0.5)
		}
		for name, args := range map[string][]*batch.Vec{"approx_percentile": {x, p}, "approx_count_distinct": {x}} {
			var kinds []types.Type
			for _, a := range args {
				kinds = append(kinds, a.Type)
			}
			k := bindAll(t, name, kinds...)
			whole := state(k, folded(t, k, args...))
			parts := &Slab{Stride: k.Words()}
			parts.Grow(5)
			for _, row := range rng.Perm(n) {
				if err := k.Update(parts, 0, []uint32{1 + uint32(rng.IntN(4))}, gather(args, []int{row})); err != nil {
					t.Fatal(err)
				}
			}
			for g := range uint32(4) {
				if err := k.Merge(parts, 0, parts, 4-g, 0); err != nil {
					t.Fatal(err)
				}
			}
			if got := state(k, parts); !bytes.Equal(got, whole) {
				t.Errorf("%s of %d rows: merged state differs", name, n)
			}
		}
	}
}

// TestApproxPercentileError: the answer is within the accuracy of the exact one, for numbers of any size and sign.
func TestApproxPercentileError(t *testing.T) {
	float, rng := types.T(types.Float8), rand.New(rand.NewPCG(3, 4))
	exact := bindAll(t, "percentile_disc", float, float)
	for name, draw := range map[string]func() float64{
		"latencies": func() float64 { return math.Exp(rng.NormFloat64()) * 1000 },
		"any sign":  func() float64 { return rng.NormFloat64() * math.Pow(10, float64(rng.IntN(20)-10)) },
		"integers":  func() float64 { return float64(rng.IntN(1000)) },
		"constant":  func() float64 { return 3.3 },
	} {
		x := column(float)
		for range 5000 {
			x.AppendFloat(draw())
		}
		for _, accuracy := range []float64{0, 0.001, 0.05, 0.5} {
			for _, f := range []float64{0, 0.001, 0.25, 0.5, 0.9, 0.99, 1} {
				p, a := column(float), column(float)
				for range x.N {
					p.AppendFloat(f)
					a.AppendFloat(accuracy)
				}
				args, limit := []*batch.Vec{x, p, a}, accuracy
				if accuracy == 0 {
					args, limit = args[:2], 0.01
				}
				k := sketch{float}
				got, _ := k.Result(folded(t, k, args...), 0, 0)
				want, _ := exact.Result(folded(t, exact, x, p), 0, 0)
				if math.Abs(got.F-want.F) > limit*math.Abs(want.F) {
					t.Errorf("%s: percentile %g with accuracy %g is %g, want %g", name, f, accuracy, got.F, want.F)
				}
			}
		}
	}
	special := column(float, math.NaN(), math.Inf(-1), 0.0, math.Copysign(0, -1), math.Inf(1), 5e-324)
	p := column(float)
	for i := range 6 {
		p.Reset(float)
		for range 6 {
			p.AppendFloat(float64(i+1) / 6)
		}
		k := sketch{float}
		want := []string{"-Infinity", "0", "0", "0", "Infinity", "NaN"}[i]
		if got := result(t, k, folded(t, k, special, p)); got != want {
			t.Errorf("value %d is %s, want %s", i, got, want)
		}
	}
}

// TestApproxPercentileRefuses: fractions and accuracies out of range.
func TestApproxPercentileRefuses(t *testing.T) {
	float := types.T(types.Float8)
	k := sketch{float}
	if got := result(t, k, folded(t, k, column(float, 1.0), column(float, 1.5))); got != "22003 percentile value 1.5 is not between 0 and 1" {
		t.Error(got)
	}
	if got := result(t, k, folded(t, k, column(float, 1.0), column(float, nil))); got != "NULL" {
		t.Error(got)
	}
	d := approxPercentileDef()
	for accuracy, want := range map[float64]sqlerr.Code{0.9: sqlerr.InvalidParameterValue, 0: sqlerr.InvalidParameterValue, 0.0009: sqlerr.InvalidParameterValue, 0.5: "", 0.001: ""} {
		if err := d.Check(2, types.NewFloat(accuracy)); err != nil && sqlerr.CodeOf(err) != want || err == nil && want != "" {
			t.Errorf("accuracy %g: %v", accuracy, err)
		}
	}
}

// TestSketchCoarsens: states of different accuracy merge to the wider buckets.
func TestSketchCoarsens(t *testing.T) {
	float := types.T(types.Float8)
	k := sketch{float}
	rows := func(accuracy float64) (x, p, a *batch.Vec) {
		x, p, a = column(float), column(float), column(float)
		for i := range 500 {
			x.AppendFloat(float64(i + 1))
			p.AppendFloat(0.5)
			a.AppendFloat(accuracy)
		}
		return x, p, a
	}
	coarse, fine := folded(t, k, first3(rows(0.1))...), folded(t, k, first3(rows(0.001))...)
	want := folded(t, k, first3(rows(0.1))...)
	if err := k.Merge(want, 0, coarse, 0, 0); err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]*Slab{"fine into coarse": {folded(t, k, first3(rows(0.1))...), fine}, "coarse into fine": {folded(t, k, first3(rows(0.001))...), coarse}} {
		if err := k.Merge(pair[0], 0, pair[1], 0, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(state(k, pair[0]), state(k, want)) {
			t.Errorf("%s: state differs", name)
		}
	}
}

func first3(a, b, c *batch.Vec) []*batch.Vec { return []*batch.Vec{a, b, c} }

// skewed draws values of which value i has about 1/i of the rows of the first.
func skewed(rng *rand.Rand, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%q", fmt.Sprintf("v%d", int(math.Exp(rng.Float64()*10))))
	}
	return out
}

// TestApproxTopK: counts are never too small, too large by at most the bound, and no frequent value is missed; also merged.
func TestApproxTopK(t *testing.T) {
	const n, k = 30_000, 10
	rng := rand.New(rand.NewPCG(5, 6))
	values := skewed(rng, n)
	truth := map[string]uint64{}
	kernel := topK{}
	s := &Slab{Stride: topWords}
	s.Grow(4)
	for _, v := range values {
		truth[v]++
		gid := uint32(rng.IntN(4))
		if err := kernel.Update(s, 0, []uint32{gid}, []*batch.Vec{column(types.T(types.JSONB), v), column(types.T(types.Int8), k)}); err != nil {
			t.Fatal(err)
		}
	}
	for g := range uint32(3) {
		if err := kernel.Merge(s, 0, s, g+1, 0); err != nil {
			t.Fatal(err)
		}
	}
	bound := uint64(n / topKCounters)
	if len(truth) < 10*topKCounters {
		t.Fatalf("only %d different values", len(truth))
	}
	found := map[string]bool{}
	list := kernel.counters(s, 0)
	for _, c := range list {
		found[string(c.value)] = true
		if have := truth[string(c.value)]; c.count < have || c.count > have+bound || c.count-c.excess > have {
			t.Errorf("%s: counted %d, at most %d too many; has %d", c.value, c.count, c.excess, have)
		}
	}
	if len(list) != topKCounters {
		t.Errorf("%d counters", len(list))
	}
	for v, c := range truth {
		if c > bound && !found[v] {
			t.Errorf("%s with %d rows is missed", v, c)
		}
	}
	if got := result(t, kernel, s); strings.Count(got, `"count"`) != k {
		t.Error(got)
	}
	if n := s.Bytes(); n > 1<<18 {
		t.Errorf("four groups hold %d bytes", n)
	}
}

// TestApproxTopKMergeBound: a value that one side gave up may have been its least counter, and is counted so.
func TestApproxTopKMergeBound(t *testing.T) {
	k := topK{}
	s := &Slab{Stride: topWords}
	s.Grow(2)
	add := func(gid uint32, value string, n int) {
		for range n {
			if err := k.Update(s, 0, []uint32{gid}, []*batch.Vec{column(types.T(types.JSONB), value), column(types.T(types.Int8), 1)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(0, `"x"`, 50)
	add(1, `"x"`, 1)
	for i := range topKCounters {
		add(1, fmt.Sprint(i), 3) // the last of them takes the counter of x
	}
	for _, c := range k.counters(s, s.word(0, 1)) {
		if string(c.value) == `"x"` {
			t.Fatal("x is still counted")
		}
	}
	for name, into := range map[string][2]uint32{"forward": {0, 1}, "back": {1, 0}} {
		m := &Slab{Stride: topWords}
		m.Grow(1)
		for _, g := range into {
			if err := k.Merge(m, 0, s, g, 0); err != nil {
				t.Fatal(err)
			}
		}
		if top := k.counters(m, 0)[0]; string(top.value) != `"x"` || top.count < 51 || top.count-top.excess > 51 {
			t.Errorf("%s: %s has %d, %d of them uncertain", name, top.value, top.count, top.excess)
		}
	}
}

// TestApproxTopKOrder: ties come in the order of jsonb, whatever the order of the rows; states restored go on alike.
func TestApproxTopKOrder(t *testing.T) {
	k, rng := topK{}, rand.New(rand.NewPCG(7, 8))
	values := []string{`"b"`, `10`, `9`, `"a"`, `true`, `[1]`, `10`}
	for range 20 {
		rng.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		x, want := column(types.T(types.JSONB)), column(types.T(types.Int8))
		for _, v := range values {
			x.AppendString(v)
			want.AppendInt(4)
		}
		got := result(t, k, folded(t, k, x, want))
		if got != `[{"count": 2, "value": 10}, {"count": 1, "value": "a"}, {"count": 1, "value": "b"}, {"count": 1, "value": 9}]` {
			t.Fatal(got)
		}
	}
	s := &Slab{Stride: topWords}
	s.Grow(2)
	for i, v := range skewed(rng, 5000) {
		if i == 2500 {
			if rest, err := k.Load(k.Append(nil, s, 0, 0), s, 0, 1); err != nil || len(rest) > 0 {
				t.Fatal(err)
			}
		}
		gids := []uint32{0, 1}
		if i < 2500 {
			gids = gids[:1]
		}
		x, want := column(types.T(types.JSONB), v, v), column(types.T(types.Int8), 3, 3)
		if err := k.Update(s, 0, gids, []*batch.Vec{x, want}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(k.Append(nil, s, 0, 0), k.Append(nil, s, 0, 1)) {
		t.Error("a restored state went another way")
	}
}

// TestApproxTopKRefuses: numbers of values that cannot be.
func TestApproxTopKRefuses(t *testing.T) {
	for _, want := range []any{0, -1, 101, nil} {
		s := folded(t, topK{}, column(types.T(types.JSONB), "1"), column(types.T(types.Int8), want))
		if got := result(t, topK{}, s); got != "22023 approx_top_k counts between 1 and 100 values" {
			t.Errorf("k = %v gives %s", want, got)
		}
	}
}

// TestArrival: first and last take the least and the greatest time, of equal ones the first and the last that came, also
// across merged states; times before 1970 count.
func TestArrival(t *testing.T) {
	text, ts := types.T(types.Text), types.T(types.TimestampTZ)
	x := column(text, "a", nil, "b", "c", "d", "e", "f")
	at := column(ts, -5, -9, -7, -7, 3, 3, nil)
	for _, name := range []string{"first", "last"} {
		k := bindAll(t, name, text, ts)
		want := map[string]string{"first": "b", "last": "e"}[name]
		for cut := range x.N + 1 {
			s := &Slab{Stride: k.Words()}
			s.Grow(2)
			gids := make([]uint32, x.N)
			for i := range gids {
				if i >= cut {
					gids[i] = 1
				}
			}
			if err := k.Update(s, 0, gids, []*batch.Vec{x, at}); err != nil {
				t.Fatal(err)
			}
			if err := k.Merge(s, 0, s, 1, 0); err != nil {
				t.Fatal(err)
			}
			if got := result(t, k, s); got != want {
				t.Errorf("%s, cut at %d: %s", name, cut, got)
			}
		}
	}
}

// TestGroupLimit: every aggregate that keeps its values stops at the limit of a group, and takes what just fits.
func TestGroupLimit(t *testing.T) {
	text, float := types.T(types.Text), types.T(types.Float8)
	const chunk = 1 << 20
	big := strings.Repeat("x", chunk)
	for _, c := range []struct {
		name string
		row  []*batch.Vec
		each int // bytes a row takes
		head int // bytes the first takes more
	}{
		{"string_agg", []*batch.Vec{column(text, big), column(text, "")}, chunk, delimiterHead},
		{"array_agg", []*batch.Vec{column(text, big)}, chunk + 4, 0},
		{"jsonb_agg", []*batch.Vec{column(types.T(types.JSONB), `"`+big+`"`)}, chunk + 4, -2},
		{"json_object_agg", []*batch.Vec{column(text, "k"), column(types.T(types.JSON), `"`+big+`"`)}, chunk + 10, -2},
		{"percentile_disc", []*batch.Vec{column(text, big), column(float, 0.5)}, chunk + 3, 0},
		{"mode", []*batch.Vec{column(text, big)}, chunk + 3, 0},
	} {
		var kinds []types.Type
		for _, v := range c.row {
			kinds = append(kinds, v.Type)
		}
		k := bindAll(t, c.name, kinds...)
		s := &Slab{Stride: k.Words()}
		s.Grow(2)
		fit := (BlockMax - c.head) / c.each
		for i := range fit {
			if err := k.Update(s, 0, []uint32{0}, c.row); err != nil {
				t.Fatalf("%s: row %d of %d: %v", c.name, i, fit, err)
			}
		}
		before := result(t, k, s)
		if err := k.Update(s, 0, []uint32{0}, c.row); sqlerr.CodeOf(err) != sqlerr.ProgramLimitExceeded {
			t.Errorf("%s: a row beyond the limit gives %v", c.name, err)
		}
		if err := k.Update(s, 0, []uint32{1}, c.row); err != nil {
			t.Errorf("%s: another group: %v", c.name, err)
		}
		if err := k.Merge(s, 0, s, 1, 0); sqlerr.CodeOf(err) != sqlerr.ProgramLimitExceeded {
			t.Errorf("%s: a merge beyond the limit gives %v", c.name, err)
		}
		if result(t, k, s) != before {
			t.Errorf("%s: the refused row left something", c.name)
		}
	}
	k := bindAll(t, "percentile_cont", float, float)
	s := &Slab{Stride: k.Words()}
	s.Grow(1)
	x := column(float, slices.Repeat([]any{1.5}, 1<<14)...)
	for range BlockMax / 8 / x.N {
		if err := k.Update(s, 0, make([]uint32, x.N), []*batch.Vec{x, x}); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Update(s, 0, []uint32{0}, []*batch.Vec{column(float, 1.5), column(float, 1.5)}); sqlerr.CodeOf(err) != sqlerr.ProgramLimitExceeded {
		t.Errorf("percentile_cont: %v", err)
	}
}

// TestObjectKeys: a key that is NULL is an error of the group, and stays one when states merge or go through bytes.
func TestObjectKeys(t *testing.T) {
	k := bindAll(t, "jsonb_object_agg", types.T(types.Text), types.T(types.JSONB))
	s := &Slab{Stride: k.Words()}
	s.Grow(4)
	keys, values := column(types.T(types.Text), "a", nil, "b"), column(types.T(types.JSONB), "1", "2", "3")
	if err := k.Update(s, 0, []uint32{0, 0, 1}, []*batch.Vec{keys, values}); err != nil {
		t.Fatal(err)
	}
	if err := k.Merge(s, 2, s, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Load(k.Append(nil, s, 0, 0), s, 0, 3); err != nil {
		t.Fatal(err)
	}
	for g, want := range []string{"22023", `{"b": 3}`, "22023", "22023"} {
		v, err := k.Result(s, 0, uint32(g))
		if err != nil && string(sqlerr.CodeOf(err)) != want || err == nil && v.S != want {
			t.Errorf("group %d: %s, %v", g, v.S, err)
		}
	}
}

// TestOlderStates: states that earlier versions wrote are read.
func TestOlderStates(t *testing.T) {
	for in, want := range map[string]string{"\x00": "NULL", "\x01": "t", "\x03": "f"} {
		k := boolFold{and: true}
		s := &Slab{Stride: k.Words()}
		s.Grow(1)
		if rest, err := k.Load([]byte(in), s, 0, 0); err != nil || len(rest) > 0 || result(t, k, s) != want {
			t.Errorf("% x is %s, %v, want %s", in, result(t, k, s), err, want)
		}
	}
	for _, c := range []struct{ digits, text, want string }{
		{"1250", "", "12.50"}, {"5", "1234567890123456789012345", "1234567890123456789012345.05"}, {"5", "NaN", "NaN"}, {"5", "0.123456789012345678901", "0.173456789012345678901"},
	} {
		old := binary.AppendUvarint(nil, 3)
		old = binary.AppendUvarint(old, 2)
		old = appendBytes(appendBytes(old, []byte(c.digits)), []byte(c.text))
		k := sumNumeric{}
		s := &Slab{Stride: k.Words()}
		s.Grow(1)
		if rest, err := k.Load(old, s, 0, 0); err != nil || len(rest) > 0 || result(t, k, s) != c.want {
			t.Errorf("%s and %s are %s, %v, want %s", c.digits, c.text, result(t, k, s), err, c.want)
		}
	}
}
