package codec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestScanString compares the assembly with Go at every length, stop, and place of the stop; the slice ends where its
// memory ends, so that a load too far would be seen as a wrong answer or a fault.
func TestScanString(t *testing.T) {
	for size := range 70 {
		for at := range size + 1 {
			for _, stop := range []byte{'"', '\\', 0, 0x1f, '\n', 0x20, '!', 0x7f, 0x80, 0xff} {
				s := bytes.Repeat([]byte{'a'}, size)
				if at < size {
					s[at] = stop
				}
				s = s[:size:size]
				n, high := scanString(s)
				wantN, wantHigh := scanStringGo(s)
				if n != wantN || (high != 0) != (wantHigh != 0) {
					t.Fatalf("size %d, %#x at %d: %d %d, want %d %d", size, stop, at, n, high, wantN, wantHigh)
				}
				stops := at < size && (stop < 0x20 || stop == '"' || stop == '\\')
				if stops && at < size&^15 && n != at || !stops && n != size&^15 {
					t.Fatalf("size %d, %#x at %d: %d", size, stop, at, n)
				}
			}
		}
	}
}

func TestStringStop(t *testing.T) {
	for c := range 256 {
		want := c < 0x20 || c == '"' || c == '\\'
		x := ones*'a'&^0xff00 | uint64(c)<<8
		if got := stringStop(x) != 0 && markIndex(stringStop(x)) == 1; got != want {
			t.Errorf("%#x: %v", c, got)
		}
		isDigit := c >= '0' && c <= '9'
		if got := markIndex(notDigit(ones*'5'&^0xff00|uint64(c)<<8)) == 1; got == isDigit {
			t.Errorf("digit %#x: %v", c, got)
		}
	}
}

// TestFastPaths: what a fast path accepts, ParseText reads as the same value; what it leaves alone is ParseText's.
func TestFastPaths(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 8))
	mutate := func(s string) []byte {
		b := []byte(s)
		for range r.IntN(3) {
			b[r.IntN(len(b))] = "0123456789:.-+TZ z"[r.IntN(18)]
		}
		return b[:len(b)-r.IntN(3)]
	}
	accepted := map[types.Kind]int{}
	check := func(k types.Kind, s []byte, v types.Value) {
		t.Helper()
		accepted[k]++
		want, err := types.ParseText(types.T(k), string(s), nil)
		if err != nil || want != v {
			t.Fatalf("%v %q: fast path %v, ParseText %v %v", types.T(k), s, v, want, err)
		}
	}
	var tp timeParser
	for range 100_000 {
		s := mutate(fmt.Sprintf("%04d-%02d-%02d%c%02d:%02d:%02d.%0*d%s", r.IntN(10000), r.IntN(14), r.IntN(33), "T "[r.IntN(2)], r.IntN(25),
			r.IntN(61), r.IntN(62), 1+r.IntN(9), r.IntN(1000), []string{"", "Z", "+02", "-0530", "+05:45", "z", "+1"}[r.IntN(7)]))
		if micros, n := tp.parse(s); n == len(s) && n > 0 {
			check(types.TimestampTZ, s, types.NewTime(types.EventTime(micros)))
		}
		s = mutate(fmt.Sprintf("%d.%d.%d.%d", r.IntN(270), r.IntN(256), r.IntN(256), r.IntN(256)))
		if a, ok := parseIPv4(s); ok {
			check(types.Inet, s, types.NewBytes(types.Inet, string(a[:])))
		}
		s = mutate(strconv.FormatInt(r.Int64()>>r.IntN(64)-r.Int64()>>r.IntN(64), 10) + "  ")
		if i, ok := parseInt(s); ok {
			check(types.Int8, s, types.NewInt(types.Int8, i))
		}
		s = mutate(strconv.FormatFloat(r.NormFloat64()*1000, "fe"[r.IntN(2)], r.IntN(20), 64) + "  ")
		if f, ok := parseFloat(s); ok {
			check(types.Float8, s, types.NewFloat(f))
		}
	}
	for k, n := range accepted {
		if n < 1000 {
			t.Errorf("only %d %v were taken by the fast path", n, types.T(k))
		}
	}
	if len(accepted) != 4 {
		t.Errorf("%v", accepted)
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	data := thesisEvents(1000)
	d := newDecoder(t, "JSON", Options{Schema: thesisSchema(), TimeCol: 0})
	b := batch.New(thesisSchema(), nil)
	var rej []Reject
	run := func() {
		b.Reset(nil)
		if n := d.Decode(data, b, batch.RowsMax, &rej); n != len(data) || b.N != 1000 {
			t.Fatal(n, b.N, rej)
		}
	}
	run()
	if n := testing.AllocsPerRun(10, run); n > 0 {
		t.Fatalf("%v allocations for 1000 events", n)
	}
}
