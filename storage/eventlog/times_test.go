package eventlog

import (
	"errors"
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestRanges compares the time index, through notes in any order, overlaps, rolls, reopenings and lost sidecars, with the one answer
// that must hold: no record with a matching row is outside the spans, and what is known not to match is left out.
func TestRanges(t *testing.T) {
	rnd := rand.New(rand.NewSource(4))
	type record struct{ from, to, time int64 }
	var sharp, vague int
	for range 30 {
		fs := NewMemFS()
		l := openLog(t, fs, segmentBytesMin)
		var records []record
		for i := range 60 {
			from, to := mustAppend(t, l, entry(strings.Repeat("x", rnd.Intn(400))))
			records = append(records, record{from, to, int64(i/10*100 + rnd.Intn(10))})
		}
		noted := map[int64]bool{}
		for range rnd.Intn(60) {
			i := rnd.Intn(len(records))
			j := min(i+rnd.Intn(3), len(records)-1)
			lo, hi := records[i].time, records[i].time
			for _, r := range records[i : j+1] {
				lo, hi = min(lo, r.time), max(hi, r.time)
				noted[r.from] = true
			}
			l.Index(records[i].from, records[j].to, lo, hi)
		}
		check := func() {
			t.Helper()
			lo := int64(rnd.Intn(600))
			hi := lo + int64(rnd.Intn(50))
			spans := l.Ranges(lo, hi)
			if !slices.IsSortedFunc(spans, func(a, b Span) int { return int(a.To - b.From) }) {
				t.Fatalf("spans touch or are out of order: %v", spans)
			}
			for _, r := range records {
				inside := slices.ContainsFunc(spans, func(s Span) bool { return s.From <= r.from && r.to <= s.To })
				if match := lo <= r.time && r.time <= hi; match && !inside {
					t.Fatalf("the record at %d with time %d is not within %v", r.from, r.time, spans)
				}
				if !inside {
					sharp++
				} else if !noted[r.from] {
					vague++
				}
			}
		}
		check()
		if rnd.Intn(2) == 0 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			before := l.Ranges(100, 120)
			l = openLog(t, fs.Crash(nil), segmentBytesMin)
			if after := l.Ranges(100, 120); !slices.Equal(before, after) {
				t.Fatalf("after reopening: %v, before %v", after, before)
			}
		} else {
			l = openLog(t, fs.Crash(rnd), segmentBytesMin)
		}
		check()
	}
	if sharp == 0 || vague == 0 {
		t.Fatalf("%d left out, %d unknown", sharp, vague)
	}
}

// TestRangeSize: notes of small stretches become ranges of about a megabyte, not one each.
func TestRangeSize(t *testing.T) {
	var x timeIndex
	for i := range int64(10_000) {
		x.add(timeRange{i * 1000, (i + 1) * 1000, i, i + 1})
	}
	if n := len(x.ranges); n < 8 || n > 10 {
		t.Fatalf("%d ranges for 10 MB", n)
	}
	if spans := x.appendSpans(nil, Span{0, 10_000_000}, 5000, 5001); len(spans) != 1 || spans[0].To-spans[0].From > 2*rangeBytes {
		t.Fatalf("spans %v", spans)
	}
}

// TestSidecarLost: without sidecars every segment is a candidate, and the keys of the newest are found in the records.
func TestSidecarLost(t *testing.T) {
	fs := NewMemFS()
	l := openLog(t, fs, segmentBytesMin)
	for i := range 100 {
		from, to := mustAppend(t, l, Entry{Arrival: int64(i), Key: fmt.Sprint(i), Payload: make([]byte, 400)})
		l.Index(from, to, int64(i), int64(i))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(l.Ranges(1000, 2000)); n != 0 {
		t.Fatalf("%d spans for times that nothing has", n)
	}
	for _, damage := range []string{"removed", "flipped", "cut"} {
		disk := fs.Crash(nil)
		for name, f := range disk.files {
			if !strings.HasSuffix(name, sidecarSuffix) {
				continue
			}
			switch damage {
			case "removed":
				delete(disk.files, name)
			case "flipped":
				f.data[len(f.data)/2] ^= 1
			case "cut":
				f.data = f.data[:len(f.data)/2]
			}
		}
		l := openLog(t, disk, segmentBytesMin)
		if spans := l.Ranges(1000, 2000); len(spans) != 1 || spans[0] != (Span{0, l.End()}) {
			t.Fatalf("%s: %v", damage, spans)
		}
		for i := 99; i > 70; i-- {
			if _, _, duplicate, err := l.Append(background, []Entry{{Key: fmt.Sprint(i)}}); !duplicate || err != nil {
				t.Fatalf("%s: key %d is forgotten (%v)", damage, i, err)
			}
		}
		// Age is known for all segments, by the arrivals of the next one at least.
		if err := l.Trim(100, 50, 0, l.End()); err != nil {
			t.Fatal(err)
		}
		if got, _ := readAll(t, l, l.Start()); len(got) == 100 || got[0].Arrival > 50 {
			t.Fatalf("%s: trimmed to %d entries, from arrival %d on", damage, len(got), got[0].Arrival)
		}
	}
}

func TestTrim(t *testing.T) {
	fill := func() *Log {
		l := openLog(t, NewMemFS(), segmentBytesMin)
		for i := range 90 {
			mustAppend(t, l, Entry{Arrival: int64(i), Payload: make([]byte, 400)})
		}
		return l
	}
	l := fill()
	segment := l.segments[1].base
	total := l.Metrics().SizeBytes
	for _, c := range []struct {
		what                         string
		now, age, size, keep, starts int64
		segments                     int
	}{
		{"no limits", 1000, 0, 0, l.End(), 0, 10},
		{"all young", 90, 90, 0, l.End(), 0, 10},
		{"keep all", 1000, 1, 1, 0, 0, 10},
		{"keep within the second", 1000, 1, 1, segment + 5, segment, 9},
		{"size reached", 0, 0, total, l.End(), 0, 10},
		{"size exceeded", 0, 0, total - 1, l.End(), segment, 9},
		{"first is old", 9, 0, 0, l.End(), 0, 10},
		{"age", 60, 50, 0, l.End(), segment, 9},
		{"all old", 1000, 1, 0, l.End(), l.End(), 1},
		{"size 1", 1000, 0, 1, l.End(), l.segments[9].base, 1},
	} {
		l := fill()
		old := l.NewReader(0)
		if err := l.Trim(c.now, c.age, c.size, c.keep); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if l.Start() != c.starts || l.Metrics().Segments != c.segments {
			t.Errorf("%s: starts at %d with %d segments, want %d, %d", c.what, l.Start(), l.Metrics().Segments, c.starts, c.segments)
		}
		if _, err := old.Next(); errors.Is(err, ErrTrimmed) != (c.starts > 0) {
			t.Errorf("%s: a reader from before: %v", c.what, err)
		}
		readAll(t, l, 0)
		from, _ := mustAppend(t, l, entry("x"))
		if got, _ := readAll(t, openLog(t, l.o.FS.(*MemFS).Crash(nil), 0), from); len(got) != 1 {
			t.Errorf("%s: %d entries after reopening", c.what, len(got))
		}
	}
}

// TestChecked: what was checked stays so over reopenings, joins up, and nothing else is.
func TestChecked(t *testing.T) {
	rnd := rand.New(rand.NewSource(5))
	fs := NewMemFS()
	l := openLog(t, fs, segmentBytesMin)
	var at []Span
	for range 80 {
		from, to := mustAppend(t, l, entry(strings.Repeat("x", rnd.Intn(400))))
		at = append(at, Span{from, to})
	}
	good := map[int64]bool{}
	for range 30 {
		i := rnd.Intn(len(at))
		j := min(i+rnd.Intn(4), len(at)-1)
		l.Check(at[i].From, at[j].To)
		for _, s := range at[i : j+1] {
			good[s.From] = true
		}
	}
	check := func() {
		t.Helper()
		spans := l.Checked(Span{at[3].From, at[70].To})
		for i, s := range at {
			inside := slices.ContainsFunc(spans, func(c Span) bool { return c.From <= s.From && s.To <= c.To })
			if want := good[s.From] && i >= 3 && i <= 70; inside != want {
				t.Fatalf("entry %d: checked %v, want %v", i, inside, want)
			}
		}
		for i := 1; i < len(spans); i++ {
			if spans[i-1].To >= spans[i].From {
				t.Fatalf("spans touch: %v", spans)
			}
		}
	}
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, fs.Crash(nil), segmentBytesMin)
	check()
}

// TestSidecarVersion1: what an earlier version wrote is still used.
func TestSidecarVersion1(t *testing.T) {
	c := sidecar{base: 100, end: 50, sealed: true, lastArrival: 3, times: []timeRange{{100, 110, -1, 1}}, keys: []keySpan{{"k", Span{100, 110}}}}
	b := c.encode()
	b = b[:len(b)-4]
	none := 8 + 8 + 1 + 1 + 8 + 1 + 1 + 1 + 16 // where the number of checked spans stands
	if b[none] != 0 {
		t.Fatalf("no empty list at %d", none)
	}
	b[7] = 1
	got, err := decodeSidecar(withChecksum(append(b[:none:none], b[none+1:]...)), 100)
	if err != nil || !reflect.DeepEqual(*got, c) {
		t.Fatalf("%+v %v", got, err)
	}
	b[7] = 3
	if _, err := decodeSidecar(withChecksum(b), 100); err == nil {
		t.Fatal("version 3 was read")
	}
}
