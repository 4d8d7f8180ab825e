package agg

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func bind(t testing.TB, name string, distinct bool, kinds ...types.Kind) Kernel {
	t.Helper()
	d, ok := Find(name)
	if !ok {
		t.Fatalf("no aggregate %s", name)
	}
	args := make([]types.Type, len(kinds))
	for i, k := range kinds {
		args[i] = types.T(k)
	}
	k, ok := d.Bind(args, distinct)
	if !ok {
		t.Fatalf("%s does not take %v", name, kinds)
	}
	return k
}

// over folds values, given as text, into one group.
func over(t testing.TB, k Kernel, kind types.Kind, texts ...string) *Slab {
	t.Helper()
	v := new(batch.Vec)
	v.Reset(types.T(kind))
	for _, s := range texts {
		x, err := types.ParseText(v.Type, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		v.AppendValue(x)
	}
	s := &Slab{Stride: k.Words()}
	s.Grow(1)
	if err := k.Update(s, 0, make([]uint32, v.N), []*batch.Vec{v}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPostgres pins results that were taken from Postgres 15: types, digits, and what overflows.
func TestPostgres(t *testing.T) {
	const maxInt, minInt = "9223372036854775807", "-9223372036854775808"
	for _, c := range []struct {
		name   string
		kind   types.Kind
		values string
		typ    types.Kind
		want   string
	}{
		{"sum", types.Int2, "32767 1", types.Int8, "32768"},
		{"sum", types.Int4, "2147483647 2147483647", types.Int8, "4294967294"},
		{"sum", types.Int8, maxInt + " " + maxInt + " 2", types.Numeric, "18446744073709551616"},
		{"sum", types.Int8, minInt + " " + minInt, types.Numeric, "-18446744073709551616"},
		{"avg", types.Int8, maxInt + " " + maxInt, types.Numeric, "9223372036854775807"},
		{"avg", types.Int4, "1 2", types.Numeric, "1.5000000000000000"},
		{"avg", types.Int4, "1 1 2", types.Numeric, "1.3333333333333333"},
		{"avg", types.Int4, "100000 200001", types.Numeric, "150000.500000000000"},
		{"avg", types.Numeric, "0.1 0.2 0.4", types.Numeric, "0.23333333333333333333"},
		{"sum", types.Numeric, "1.10 2.2 -0.005", types.Numeric, "3.295"},
		{"sum", types.Numeric, "1 NaN", types.Numeric, "NaN"},
		{"sum", types.Numeric, "Infinity -Infinity", types.Numeric, "NaN"},
		{"sum", types.Float8, "1e308 1e308", types.Float8, "22003 value out of range: overflow"},
		{"sum", types.Float8, "1e16 1 -1e16", types.Float8, "1"},
		{"sum", types.Float8, "Infinity 1", types.Float8, "Infinity"},
		{"sum", types.Float8, "Infinity -Infinity", types.Float8, "NaN"},
		{"sum", types.Float4, "1.5 2", types.Float4, "3.5"},
		{"sum", types.Float4, "3e38 3e38", types.Float4, "22003 value out of range: overflow"},
		{"avg", types.Float4, "1 2", types.Float8, "1.5"},
		{"max", types.Float8, "1 NaN Infinity", types.Float8, "NaN"},
		{"min", types.Float8, "NaN 1", types.Float8, "1"},
		{"min", types.Inet, "10.0.0.1/8 10.0.0.0/8 ::1", types.Inet, "10.0.0.0/8"},
		{"max", types.Inet, "255.0.0.1 ::1", types.Inet, "::1"},
		{"max", types.Varchar, "b a", types.Text, "b"},
		{"max", types.Numeric, "9 10", types.Numeric, "10"},
		{"min", types.Date, "2024-02-29 2024-01-31", types.Date, "2024-01-31"},
		{"sum", types.Interval, "1:00 2days -0:30", types.Interval, "2 days 00:30:00"},
		{"avg", types.Interval, "1mon 2mons", types.Interval, "1 mon 15 days"},
		{"avg", types.Interval, "1day 2days", types.Interval, "1 day 12:00:00"},
		{"stddev", types.Int4, "1 2 4", types.Numeric, "1.5275252316519467"},
		{"stddev", types.Int4, "1", types.Numeric, "NULL"},
		{"stddev_pop", types.Int4, "1", types.Numeric, "0"},
		{"var_pop", types.Float8, "1 2 4", types.Float8, "1.5555555555555556"},
		{"stddev", types.Float8, "1 2 4", types.Float8, "1.5275252316519468"},
		{"variance", types.Float8, "1 2 4", types.Float8, "2.3333333333333335"},
		{"stddev_pop", types.Float8, "Infinity", types.Float8, "NaN"},
		{"stddev_pop", types.Numeric, "1.5 2.5 4.25", types.Numeric, "1.1365151414154880"},
		{"stddev", types.Numeric, "0.00001 0.00003 0.000071", types.Numeric, "0.0000310966236109324254720773"},
		{"var_pop", types.Int8, "100000 9223372036854775807 -9223372036854775807", types.Numeric, "56713727820156410564931271858377223055"},
		{"stddev_pop", types.Numeric, "Infinity 1", types.Numeric, "NaN"},
		{"avg", types.Int8, "100000 9223372036854775807 -9223372036854775807", types.Numeric, "33333.333333333333"},
		{"avg", types.Numeric, "123456789012345678901234.5 3 7", types.Numeric, "41152263004115226300414.8"},
		{"avg", types.Numeric, "0.00001 0.00003 0.000071", types.Numeric, "0.000037000000000000000000"},
		{"avg", types.Interval, "1mon1day 2mons-3days5:00:01 7mons", types.Interval, "3 mons 10 days -14:19:59.666667"},
		{"sum", types.Interval, "178956970years 178956970years", types.Interval, "22008 interval out of range"},
		{"variance", types.Numeric, "1.5 2.5 4.25", types.Numeric, "1.9375000000000000"},
	} {
		k := bind(t, c.name, false, c.kind)
		s := over(t, k, c.kind, strings.Fields(c.values)...)
		v, err := k.Result(s, 0, 0)
		got := fmt.Sprint(sqlerr.CodeOf(err), " ", err)
		if err == nil {
			got = v.Text()
		}
		if got != c.want || k.Type().Kind != c.typ {
			t.Errorf("%s(%v) over %s is %s %s, want %s %v", c.name, c.kind, c.values, k.Type(), got, types.T(c.typ), c.want)
		}
	}
}

// TestSumOverflow: a bigint sum beyond 64 bits is an error for its group alone, and comes back when values cancel out.
func TestSumOverflow(t *testing.T) {
	k := bind(t, "sum", false, types.Int4)
	s := over(t, k, types.Int4, "5")
	s.Words[0] = math.MaxInt64 // as after four billion rows
	if err := k.Update(s, 0, []uint32{0}, []*batch.Vec{{Type: types.T(types.Int4), N: 1, I64: []int64{1}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Result(s, 0, 0); sqlerr.CodeOf(err) != sqlerr.NumericValueOutOfRange || err.Error() != "bigint out of range" {
		t.Errorf("overflow gives %v", err)
	}
	if err := k.Update(s, 0, []uint32{0}, []*batch.Vec{{Type: types.T(types.Int4), N: 1, I64: []int64{-1}}}); err != nil {
		t.Fatal(err)
	}
	if v, err := k.Result(s, 0, 0); err != nil || v.I != math.MaxInt64 {
		t.Errorf("after cancelling: %v, %v", v, err)
	}
}

// TestNumericWidths: sums stay exact when they outgrow the quick path, by value or by scale, in any order.
func TestNumericWidths(t *testing.T) {
	k := bind(t, "sum", false, types.Numeric)
	nines, speck := "999999999999999999", "0.00000000000000001"
	for name, c := range map[string]struct {
		values []string
		want   string
	}{
		"by value": {append([]string{speck}, slices.Repeat([]string{nines}, 4000)...), "3999999999999999996000.00000000000000001"},
		"negative": {append([]string{"-" + speck}, slices.Repeat([]string{"-" + nines}, 4000)...), "-3999999999999999996000.00000000000000001"},
		"by scale": {append(slices.Repeat([]string{nines}, 4000), speck), "3999999999999999996000.00000000000000001"},
		"both":     {append(slices.Repeat([]string{nines}, 100), speck, "-"+nines, "0.5", "1e30"), "1000000000098999999999999999901.50000000000000001"},
	} {
		v, err := k.Result(over(t, k, types.Numeric, c.values...), 0, 0)
		if err != nil || v.S != c.want {
			t.Errorf("%s: %s, %v, want %s", name, v.S, err, c.want)
		}
	}
}

// TestRefused: what Postgres has no aggregate for does not bind.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		args []types.Kind
	}{
		{"sum", []types.Kind{types.Text}}, {"sum", nil}, {"avg", []types.Kind{types.Bool}}, {"min", []types.Kind{types.Bool}},
		{"max", []types.Kind{types.JSONB}}, {"bool_and", []types.Kind{types.Int4}}, {"count", []types.Kind{types.Int4, types.Int4}},
		{"string_agg", []types.Kind{types.Text}}, {"stddev", []types.Kind{types.Interval}},
	} {
		d, _ := Find(c.name)
		var args []types.Type
		for _, k := range c.args {
			args = append(args, types.T(k))
		}
		if _, ok := d.Bind(args, false); ok {
			t.Errorf("%s takes %v", c.name, c.args)
		}
	}
	if _, ok := Find("median"); ok {
		t.Error("found an aggregate that does not exist")
	}
	count, _ := Find("count")
	if _, ok := count.Bind(nil, true); ok {
		t.Error("count(DISTINCT *) binds")
	}
}

// TestHeapStaysSmall: values that are replaced over and over leave no lasting garbage, and compaction keeps the rest.
func TestHeapStaysSmall(t *testing.T) {
	k := bind(t, "max", false, types.Text)
	const groups = 100
	s := &Slab{Stride: 1}
	s.Grow(groups)
	v := new(batch.Vec)
	for round := range 2000 {
		v.Reset(types.T(types.Text))
		gids := make([]uint32, 0, groups)
		for g := range uint32(groups) {
			if round > 0 && g%2 == 1 {
				continue // written once, before what is replaced
			}
			gids = append(gids, g)
			v.AppendString(fmt.Sprintf("%06d %d %s", round, g, strings.Repeat("x", round)))
		}
		if err := k.Update(s, 0, gids, []*batch.Vec{v}); err != nil {
			t.Fatal(err)
		}
	}
	for g := range uint32(groups) {
		want := fmt.Sprintf("001999 %d %s", g, strings.Repeat("x", 1999))
		if g%2 == 1 {
			want = fmt.Sprintf("000000 %d ", g)
		}
		if got, _ := k.Result(s, 0, g); got.S != want {
			t.Fatalf("group %d holds %q", g, got.S)
		}
	}
	if s.Bytes() > 1<<20 {
		t.Errorf("%d groups of at most 2,000 bytes hold %d bytes", groups, s.Bytes())
	}
}

// TestBlockLimit: what one group may gather is bounded.
func TestBlockLimit(t *testing.T) {
	s := &Slab{Stride: 1}
	s.Grow(1)
	if err := s.setBlock(0, bytes.Repeat([]byte{'x'}, BlockMax)); err != nil {
		t.Fatal(err)
	}
	if err := s.appendBlock(0, []byte{'x'}); sqlerr.CodeOf(err) != sqlerr.ProgramLimitExceeded {
		t.Errorf("one byte more than the limit gives %v", err)
	}
	s.freeBlock(0)
	if s.block(0) != nil {
		t.Error("freed block is still there")
	}
}

// BenchmarkUpdate is the cost per row of folding 1024 rows into 10,000 groups.
func BenchmarkUpdate(b *testing.B) {
	for _, c := range []struct {
		name     string
		kind     types.Kind
		distinct bool
	}{{"count", types.Int8, false}, {"sum", types.Int8, false}, {"sum", types.Float8, false}, {"sum", types.Numeric, false},
		{"max", types.Int8, false}, {"max", types.Text, false}, {"count", types.Int8, true}} {
		b.Run(fmt.Sprintf("%s(%v) distinct=%v", c.name, types.T(c.kind), c.distinct), func(b *testing.B) {
			k := bind(b, c.name, c.distinct, c.kind)
			s := &Slab{Stride: k.Words()}
			s.Grow(10000)
			v := new(batch.Vec)
			v.Reset(types.T(c.kind))
			gids := make([]uint32, batch.RowsMax)
			for i := range gids {
				gids[i] = uint32(i * 7919 % 10000)
				x, err := types.ParseText(v.Type, fmt.Sprint(i), nil)
				if err != nil {
					b.Fatal(err)
				}
				v.AppendValue(x)
			}
			b.ResetTimer()
			for i := 0; i < b.N; i += len(gids) {
				if err := k.Update(s, 0, gids, []*batch.Vec{v}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
