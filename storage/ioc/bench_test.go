package ioc_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bits-and-blooms/bloom/v3"
	cuckoo "github.com/seiflotfy/cuckoofilter"

	"github.com/vigil-sql/vigil/storage/ioc"
	"github.com/vigil-sql/vigil/storage/pebblekv"
)

// million is how many entries, in millions, TestFigures measures with; 0: it measures nothing.
var million = flag.Float64("million", 0, "entries of the list that TestFigures measures, in millions")

// value16 is a value of 16 bytes.
func value16(dst []byte, i int) []byte {
	dst = binary.BigEndian.AppendUint64(dst[:0], uint64(i)*0x9e3779b97f4a7c15)
	return binary.BigEndian.AppendUint64(dst, uint64(i))
}

// resident is the memory of the process that is not backed by files, and the part that is, bytes.
func resident(t *testing.T) (anon, file int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("resident memory is known on Linux only")
	}
	read := func(name string) int64 {
		_, rest, _ := strings.Cut(string(text), name+":")
		n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n << 10
	}
	return read("RssAnon"), read("RssFile")
}

// figures prints a line of the table.
func figures(name string, v float64, unit string) { fmt.Printf("%-46s %12.2f %s\n", name, v, unit) }

// TestFigures prints what a list costs: go test ./storage/ioc -run Figures -args -million 3
func TestFigures(t *testing.T) {
	n := int(*million * 1e6)
	if n == 0 {
		t.Skip("it measures; say -args -million 3")
	}
	dir := t.TempDir()
	db, err := pebblekv.Open(dir, pebblekv.Options{CacheBytes: 16 << 20, MemTableBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ioc.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	var buf []byte
	load := &ioc.Load{}
	for i := range n {
		buf = value16(buf, i)
		load.Add(buf, []byte(`{"source":"feed","confidence":90,"added_at":1772366400000000}`), 0)
	}
	figures("held before it is written", float64(load.Bytes())/float64(n), "bytes/entry")
	begin := time.Now()
	seq, err := s.Stage([]ioc.Change{{List: 1, Create: true, Load: load}})
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	s.Publish(b, 1, seq)
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	figures("written", float64(n)/time.Since(begin).Seconds(), "entries/s")
	if got := s.List(1).Stat(seq).Size; got != uint64(n) {
		t.Fatal(got)
	}
	s.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	load = nil
	started(t, dir, n)
}

// started opens the list again, and asks.
func started(t *testing.T, dir string, n int) {
	runtime.GC()
	before, _ := resident(t)
	begin := time.Now()
	db, err := pebblekv.Open(dir, pebblekv.Options{CacheBytes: 16 << 20, MemTableBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := ioc.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	figures("opened, and usable, after", time.Since(begin).Seconds(), "s")
	if err := s.Build(t.Context()); err != nil {
		t.Fatal(err)
	}
	figures("all filters built after", time.Since(begin).Seconds(), "s")
	l := s.List(1)
	figures("filters", float64(l.FilterBytes())/1e6, "MB")
	var p ioc.Probe
	defer p.Release(s)
	rnd := rand.New(rand.NewSource(1))
	ask := func(name string, times int, pick func(int) int, hit bool) {
		var buf []byte
		values := make([][]byte, times)
		for i := range values {
			values[i] = append(buf, value16(nil, pick(i))...)
		}
		begin := time.Now()
		for _, v := range values {
			if e, err := p.Find(l, 1, v); err != nil || (e != nil) != hit {
				t.Fatal(name, e, err)
			}
		}
		figures(name, float64(time.Since(begin).Nanoseconds())/float64(times), "ns")
	}
	ask("a miss", 2_000_000, func(int) int { return n + rnd.Intn(1<<40) }, false)
	ask("a hit, the first time", 100_000, func(int) int { return rnd.Intn(n) }, true)
	ask("a hit, one of 1,000", 500_000, func(int) int { return rnd.Intn(1000) }, true)
	runtime.GC()
	after, _ := resident(t)
	figures("resident after it", float64(after-before)/1e6, "MB")
	compared(t, n, func(v []byte) bool { e, err := p.Find(l, 1, v); return e != nil || err != nil }, l.FilterBytes())
}

// compared prints what else could answer, of the same values: bytes, time of a miss, and how many misses are told to be hits.
func compared(t *testing.T, n int, list func([]byte) bool, bytes int64) {
	line := func(name string, bytes int64, has func([]byte) bool) {
		const times = 1_000_000
		var buf []byte
		wrong, begin := 0, time.Now()
		for i := range times {
			if buf = value16(buf, n+i*7919+1); has(buf) {
				wrong++
			}
		}
		fmt.Printf("| %s | %.1f MB | %.0f ns | %.4f %% |\n", name, float64(bytes)/1e6, float64(time.Since(begin).Nanoseconds())/times, 100*float64(wrong)/times)
	}
	var buf []byte
	all := func(put func([]byte)) {
		for i := range n {
			buf = value16(buf, i)
			put(buf)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := make(map[string]struct{}, n)
	all(func(v []byte) { m[string(v)] = struct{}{} })
	runtime.GC()
	runtime.ReadMemStats(&after)
	line("Go map", int64(after.HeapAlloc)-int64(before.HeapAlloc), func(v []byte) bool { _, ok := m[string(v)]; return ok })
	m = nil
	for _, rate := range []float64{0.01, 0.001, 0.0001} {
		f := bloom.NewWithEstimates(uint(n), rate)
		all(func(v []byte) { f.Add(v) })
		line(fmt.Sprintf("Bloom filter, %g %%", rate*100), int64(f.Cap()/8), f.Test)
	}
	f := cuckoo.NewFilter(uint(float64(n) / 0.85))
	all(func(v []byte) {
		if !f.Insert(v) {
			t.Fatal("the filter is full")
		}
	})
	line("cuckoo filter of 8 bits", int64(len(f.Encode())), f.Lookup)
	line("vigil's list", bytes, list)
}
