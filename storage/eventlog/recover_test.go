package eventlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// fileBytes reads or replaces the content of a segment on a MemFS.
func (m *MemFS) fileBytes(base int64) []byte { return m.files["log/"+segmentName(base)].data }

func (m *MemFS) setFile(base int64, b []byte) {
	d := &memData{data: slices.Clone(b), durable: slices.Clone(b), dirty: len(b)}
	m.files["log/"+segmentName(base)], m.names["log/"+segmentName(base)] = d, d
}

// TestTornTail cuts the file at every byte, and fills the rest with zeros or rubbish: whole appends before the cut are there, and none
// of the others in part; then the log goes on.
func TestTornTail(t *testing.T) {
	fs := NewMemFS()
	l := openLog(t, fs, 0)
	type unit struct {
		to       int64
		payloads []string
	}
	units := []unit{}
	for i := range 6 {
		var entries []Entry
		u := unit{}
		for j := range i%3 + 1 {
			p := fmt.Sprintf("%d-%d %s", i, j, strings.Repeat("p", 7*i))
			entries = append(entries, Entry{Key: fmt.Sprint("k", i), Codec: "json", Columns: []int{1, 2}, Payload: []byte(p)})
			u.payloads = append(u.payloads, p)
		}
		_, u.to = mustAppend(t, l, entries...)
		units = append(units, u)
	}
	whole := slices.Clone(fs.fileBytes(0))
	rnd := rand.New(rand.NewSource(1))
	torn := 0
	for cut := headerBytes; cut <= len(whole); cut++ {
		for _, fill := range []string{"cut", "zeros", "rubbish"} {
			b := slices.Clone(whole[:cut])
			for n := rnd.Intn(40); fill != "cut" && n > 0; n-- {
				if fill == "rubbish" {
					b = append(b, byte(rnd.Intn(256)))
				} else {
					b = append(b, 0)
				}
			}
			var want []string
			var end int64
			for _, u := range units {
				if u.to <= int64(cut-headerBytes) {
					want, end = append(want, u.payloads...), u.to
				}
			}
			disk := NewMemFS()
			disk.setFile(0, b)
			l := openLog(t, disk, 0)
			got, _ := readAll(t, l, 0)
			// A rubbish byte may be the right one, so that one more unit is whole.
			if fill != "rubbish" || l.End() == end {
				if !slices.Equal(payloads(got), want) || l.End() != end {
					t.Fatalf("cut at %d, %s: %v, want %v", cut, fill, payloads(got), want)
				}
			}
			if l.Metrics().TornBytes > 0 {
				torn++
			}
			mustAppend(t, l, entry("after"))
			l = openLog(t, disk.Crash(nil), 0)
			if again, _ := readAll(t, l, 0); len(again) != len(got)+1 || l.Metrics().TornBytes != 0 {
				t.Fatalf("cut at %d, %s: %d entries after the repair", cut, fill, len(again))
			}
		}
	}
	if torn == 0 {
		t.Fatal("no tail was torn")
	}
}

// TestTornHeader: a segment that was being born when the power went.
func TestTornHeader(t *testing.T) {
	fs := NewMemFS()
	l := openLog(t, fs, segmentBytesMin)
	for range 3 {
		mustAppend(t, l, entry(strings.Repeat("x", 3000)))
	}
	end := l.End()
	header := slices.Clone(fs.fileBytes(l.last().base)[:headerBytes])
	for n := range headerBytes {
		for _, first := range []bool{false, true} {
			disk, base := fs.Crash(nil), end
			if first {
				disk, base = NewMemFS(), 12345
			}
			disk.setFile(base, header[:n])
			l := openLog(t, disk, segmentBytesMin)
			if l.End() != base {
				t.Fatalf("header of %d bytes: the log ends at %d, want %d", n, l.End(), base)
			}
			mustAppend(t, l, entry("y"))
			got, damaged := readAll(t, openLog(t, disk.Crash(nil), 0), 0)
			if want := map[bool]int{true: 1, false: 4}[first]; len(got) != want || damaged != 0 {
				t.Fatalf("header of %d bytes: %d entries, %d damaged", n, len(got), damaged)
			}
		}
	}
}

func TestUnknownVersion(t *testing.T) {
	for _, last := range []bool{false, true} {
		fs := NewMemFS()
		l := openLog(t, fs, segmentBytesMin)
		for range 3 {
			mustAppend(t, l, entry(strings.Repeat("x", 3000)))
		}
		base := int64(0)
		if last {
			base = l.last().base
		}
		fs.fileBytes(base)[7] = 9
		if _, err := Open(Options{Dir: "log", FS: fs}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "version 9") {
			t.Errorf("last %v: %v", last, err)
		}
	}
}

// TestDamage flips each byte of acknowledged records, in a sealed and in the last segment: nothing wrong is served, other
// segments are, the damage is counted, and the log goes on behind it.
func TestDamage(t *testing.T) {
	for _, clean := range []bool{false, true} {
		base := NewMemFS()
		l := openLog(t, base, segmentBytesMin)
		var all []string
		for i := range 9 {
			p := fmt.Sprint(i, strings.Repeat("x", 1000))
			mustAppend(t, l, entry(p))
			all = append(all, p)
		}
		if len(l.segments) != 3 {
			t.Fatalf("%d segments", len(l.segments))
		}
		if clean {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range l.segments {
			size := len(base.fileBytes(s.base))
			for pos := headerBytes; pos < size; pos += 1 + pos%37 {
				disk := base.Crash(nil)
				disk.fileBytes(s.base)[pos] ^= 0x40
				damaged := checkDamage(t, disk, all)
				// Without a sidecar the last record of the last segment cannot be told from a torn one, nor what has a wrong length.
				record := (size - headerBytes) / 3
				length := (pos-headerBytes)%record < 4
				if want := i < 2 || clean || pos < size-record && !length; want && damaged == 0 {
					t.Fatalf("clean %v, segment %d, byte %d: damage was not reported", clean, i, pos)
				}
			}
		}
	}
}

func checkDamage(t *testing.T, disk *MemFS, all []string) (damaged int) {
	l := openLog(t, disk, segmentBytesMin)
	end := l.End()
	from, _ := mustAppend(t, l, entry("new"))
	if from != end {
		t.Fatalf("appended at %d, the log ended at %d", from, end)
	}
	got, damaged := readAll(t, l, 0)
	list := payloads(got)
	if list[len(list)-1] != "new" {
		t.Fatal("what was appended afterwards is not read")
	}
	at := 0
	for _, p := range list[:len(list)-1] {
		i := slices.Index(all[at:], p)
		if i < 0 {
			t.Fatalf("an entry that was never written, or out of order: %.20s", p)
		}
		at += i + 1
	}
	if len(list)-1 < len(all)-3 {
		t.Fatalf("%d of %d entries are left: more than one segment is gone", len(list)-1, len(all))
	}
	if m := l.Metrics(); damaged > 0 && m.Corrupt == 0 {
		t.Fatalf("metrics %+v", m)
	}
	return damaged
}

// TestShortSegment: a sealed file that lost its end is damage, not the end of the log.
func TestShortSegment(t *testing.T) {
	fs := NewMemFS()
	l := openLog(t, fs, segmentBytesMin)
	for range 9 {
		mustAppend(t, l, entry(strings.Repeat("x", 1000)))
	}
	for _, base := range []int64{l.segments[0].base, l.segments[2].base} {
		disk := fs.Crash(nil)
		if base != 0 {
			_ = l.Close() // the sidecar says how long the last segment was
			disk = fs.Crash(nil)
		}
		disk.setFile(base, fs.fileBytes(base)[:headerBytes+100])
		l2 := openLog(t, disk, segmentBytesMin)
		if base != 0 && l2.End() < l.last().end() {
			t.Fatalf("offsets are given twice: %d after %d", l2.End(), l.last().end())
		}
		mustAppend(t, l2, entry("new"))
		got, damaged := readAll(t, l2, 0)
		if len(got) != 9-3+1 || damaged != 1 {
			t.Fatalf("segment %d: %d entries, %d damaged", base, len(got), damaged)
		}
	}
}

// TestCrash runs random appends, index notes, trims and reopenings, with crashes in between that lose unsynced data or keep some of
// it. What was acknowledged is there, in order, exactly once; what was not is there as a whole or not at all.
func TestCrash(t *testing.T) {
	rnd := rand.New(rand.NewSource(3))
	var crashes, unacked, trimmed int
	for range 30 {
		disk := NewMemFS()
		var log []string // what readers may see, in order
		acked := map[string]bool{}
		next := 0
		for range 8 {
			l := openLog(t, disk, segmentBytesMin)
			got, damaged := readAll(t, l, 0)
			if damaged > 0 {
				t.Fatal("a crash looks like damage")
			}
			log = checkSurvivors(t, payloads(got), log, acked, l.Start() > 0)
			for range rnd.Intn(30) {
				var entries []Entry
				var list []string
				for range rnd.Intn(3) + 1 {
					list = append(list, fmt.Sprint(next, " ", strings.Repeat("x", rnd.Intn(700))))
					next++
					entries = append(entries, Entry{Arrival: int64(next), Key: fmt.Sprint("k", next), Payload: []byte(list[len(list)-1])})
				}
				from, to := mustAppend(t, l, entries...)
				l.Index(from, to, int64(next), int64(next))
				log = append(log, list...)
				for _, p := range list {
					acked[p] = true
				}
				if rnd.Intn(20) == 0 {
					if err := l.Trim(int64(next), int64(rnd.Intn(100)+1), 0, l.End()); err != nil {
						t.Fatal(err)
					}
					trimmed++
				}
			}
			if rnd.Intn(3) == 0 {
				// A write whose fsync the power cut: it fails as far as the appender can tell.
				disk.FailCall(2)
				p := fmt.Sprint(next, " unacknowledged")
				next++
				if _, _, _, err := l.Append(background, []Entry{{Payload: []byte(p)}, {Payload: []byte(p + "+")}}); err == nil {
					acked[p], acked[p+"+"] = true, true // the fault hit something else
				} else {
					unacked++
				}
				disk.FailCall(0)
				log = append(log, p, p+"+")
			}
			if rnd.Intn(4) == 0 {
				_ = l.Close()
			}
			disk = disk.Crash(rnd)
			crashes++
		}
	}
	if crashes == 0 || unacked == 0 || trimmed == 0 {
		t.Fatalf("%d crashes, %d unacknowledged, %d trims", crashes, unacked, trimmed)
	}
}

// checkSurvivors returns what the log holds now; it must be log without trimmed entries at the front and unacknowledged units.
func checkSurvivors(t *testing.T, got, log []string, acked map[string]bool, trimmed bool) []string {
	t.Helper()
	at := 0
	for i, p := range got {
		n := slices.Index(log[at:], p)
		if n < 0 {
			t.Fatalf("entry %d was never appended, comes twice or out of order: %.20s", i, p)
		}
		for _, missing := range log[at : at+n] {
			if acked[missing] && (i > 0 || !trimmed) {
				t.Fatalf("acknowledged entry %.20s is lost", missing)
			}
		}
		at += n + 1
		if strings.HasSuffix(p, "unacknowledged") && (i+1 == len(got) || got[i+1] != p+"+") {
			t.Fatalf("half an append: %s", p)
		}
	}
	for _, missing := range log[at:] {
		if acked[missing] {
			t.Fatalf("acknowledged entry %.20s is lost", missing)
		}
	}
	return slices.Clone(got)
}

// TestFaults makes each call to the disk fail once, in a life with rolls, sidecars, trims and reopenings: no panic, nothing
// acknowledged is lost, nothing wrong is read.
func TestFaults(t *testing.T) {
	for n := 1; ; n++ {
		disk := NewMemFS()
		disk.FailCall(n)
		acked := faultyLife(t, disk)
		fired := disk.Fired()
		disk.FailCall(0)
		l := openLog(t, disk.Crash(nil), segmentBytesMin)
		got, damaged := readAll(t, l, 0)
		checkSurvivors(t, payloads(got), acked, map[string]bool{}, true)
		if damaged > 0 {
			t.Fatalf("fault %d: damage", n)
		}
		// Trim may have taken the first segments, never what comes after an entry that is there.
		if tail := payloads(got); len(tail) > 0 && !slices.Equal(acked[len(acked)-len(tail):], tail) {
			t.Fatalf("fault %d: %d entries are left, not the newest", n, len(tail))
		}
		if !fired {
			if n < 50 {
				t.Fatalf("only %d calls", n)
			}
			break
		}
	}
}

// faultyLife uses a log until the end, opening it again whenever it fails. It returns what was acknowledged.
func faultyLife(t *testing.T, disk *MemFS) (acked []string) {
	t.Helper()
	open := func() *Log {
		for range 3 {
			if l, err := Open(Options{Dir: "log", FS: disk, SegmentBytes: segmentBytesMin}); err == nil {
				return l
			} else if !errors.Is(err, ErrInjected) {
				t.Fatal(err)
			}
		}
		t.Fatal("the log cannot be opened again")
		return nil
	}
	l := open()
	for i := range 12 {
		// As a client does: the same key until it is acknowledged.
		p := fmt.Sprintf("%02d %s", i, strings.Repeat("x", 900))
		for {
			from, to, _, err := l.Append(background, []Entry{{Arrival: int64(i), Key: fmt.Sprint("k", i), Payload: []byte(p)}})
			if err == nil {
				l.Index(from, to, int64(i), int64(i))
				acked = append(acked, p)
				break
			}
			if !errors.Is(err, ErrInjected) {
				t.Fatal(err)
			}
			_ = l.Close()
			l = open()
		}
		r := l.NewReader(l.Start())
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil && !errors.Is(err, ErrInjected) {
				t.Fatal(err)
			}
		}
		_ = r.Close()
		switch i {
		case 6:
			_ = l.Sync()
			_ = l.Trim(int64(i), 3, 0, l.End())
		case 9:
			_ = l.Close()
			l = open()
		}
	}
	_ = l.Close()
	return acked
}

// TestTailBecomesDurable: what a dead process had written but not synced is made durable before it is served.
func TestTailBecomesDurable(t *testing.T) {
	fs := NewMemFS()
	mustAppend(t, openLog(t, fs, 0), entry("a"))
	f, err := fs.Open("log/" + segmentName(0))
	if err != nil {
		t.Fatal(err)
	}
	rec := appendRecord(nil, &Entry{Payload: []byte("b")}, kindLast, "")
	if _, err := f.WriteAt(rec, int64(len(fs.fileBytes(0)))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, _ := readAll(t, openLog(t, fs, 0), 0); fmt.Sprint(payloads(got)) != "[a b]" {
			t.Fatalf("entries: %v", payloads(got))
		}
		fs = fs.Crash(nil)
	}
}

// TestStaleSidecar: a segment that was sealed, and became the last one again because the next was never born, has keys that its
// sidecar does not know.
func TestStaleSidecar(t *testing.T) {
	fs := NewMemFS()
	l := openLog(t, fs, segmentBytesMin)
	for i := range 4 {
		mustAppend(t, l, Entry{Key: fmt.Sprint(i), Payload: make([]byte, 1200)})
	}
	next := l.last().base
	name := "log/" + sidecarName(0)
	stale := slices.Clone(fs.files[name].data)
	fs.setFile(next, nil)
	l = openLog(t, fs, segmentBytesMin)
	mustAppend(t, l, Entry{Key: "late", Payload: make([]byte, 10)})
	mustAppend(t, l, Entry{Payload: make([]byte, 1200)})
	if len(l.segments) != 2 || l.segments[0].end() == next {
		t.Fatal("the first segment did not grow")
	}
	fs.files[name].data = stale
	l = openLog(t, fs, segmentBytesMin)
	if _, _, duplicate, err := l.Append(background, []Entry{{Key: "late"}}); !duplicate || err != nil {
		t.Fatal("the key is forgotten", err)
	}
}

// TestDiskFull: an error that says so, nothing torn is served, and the log goes on when there is room, also when the disk was full
// at the beginning of a segment.
func TestDiskFull(t *testing.T) {
	for capacity := int64(segmentBytesMin - 200); capacity < segmentBytesMin+300; capacity += 3 {
		fs := NewMemFS()
		l := openLog(t, fs, segmentBytesMin)
		fs.SetCapacity(capacity)
		var want []string
		for i := 0; ; i++ {
			p := fmt.Sprint(i, strings.Repeat("x", 100+i%7))
			_, _, _, err := l.Append(background, []Entry{{Key: fmt.Sprint(i), Payload: []byte(p)}})
			if err == nil {
				want = append(want, p)
				continue
			}
			if !errors.Is(err, ErrDiskFull) || errors.Is(err, ErrUncertain) {
				t.Fatalf("capacity %d: %v", capacity, err)
			}
			if got, _ := readAll(t, l, 0); !slices.Equal(payloads(got), want) {
				t.Fatalf("capacity %d: %d entries, want %d", capacity, len(got), len(want))
			}
			if _, _, _, err := l.Append(background, []Entry{entry(p)}); !errors.Is(err, ErrDiskFull) {
				t.Fatalf("capacity %d: %v", capacity, err)
			}
			break
		}
		crashed := fs.Crash(nil)
		fs.SetCapacity(-1)
		for _, disk := range []*MemFS{fs, crashed} {
			if disk == crashed {
				l = openLog(t, disk, segmentBytesMin)
			}
			mustAppend(t, l, Entry{Key: "after", Payload: []byte("after")})
			for range 2 {
				if got, damaged := readAll(t, l, 0); !slices.Equal(payloads(got), append(slices.Clone(want), "after")) || damaged > 0 {
					t.Fatalf("capacity %d: afterwards %d entries, want %d", capacity, len(got), len(want)+1)
				}
				l = openLog(t, disk, segmentBytesMin) // as after the death of the process alone
			}
		}
	}
}

// TestDiskFullAtRoll: a new segment's file is there, but its name could not be made durable. Whatever fits into the old segment must not
// go there any more: offsets would overlap.
func TestDiskFullAtRoll(t *testing.T) {
	fs := NewMemFS()
	full := &fullDir{FS: fs}
	l := openLog(t, full, segmentBytesMin)
	mustAppend(t, l, entry(strings.Repeat("a", 3000)))
	full.on = true
	if _, _, _, err := l.Append(background, []Entry{entry(strings.Repeat("b", 2000))}); !errors.Is(err, ErrDiskFull) {
		t.Fatal(err)
	}
	if _, _, _, err := l.Append(background, []Entry{entry("c")}); !errors.Is(err, ErrDiskFull) {
		t.Fatal(err)
	}
	full.on = false
	mustAppend(t, l, entry("d"))
	for range 2 {
		if got, damaged := readAll(t, l, 0); len(got) != 2 || damaged > 0 || string(got[1].Payload) != "d" {
			t.Fatalf("%d entries, %d damaged", len(got), damaged)
		}
		l = openLog(t, fs, segmentBytesMin)
	}
}

// TestRealDisk runs on the disk what the other tests run in memory.
func TestRealDisk(t *testing.T) {
	dir := t.TempDir() + "/a/b"
	for i := range 3 {
		l, err := Open(Options{Dir: dir, SegmentBytes: segmentBytesMin})
		if err != nil {
			t.Fatal(err)
		}
		for j := range 20 {
			from, to, duplicate, err := l.Append(background, []Entry{{Key: fmt.Sprint(j), Payload: make([]byte, 500)}})
			if err != nil || duplicate != (i > 0) {
				t.Fatalf("round %d, append %d: duplicate %v, error %v", i, j, duplicate, err)
			}
			l.Index(from, to, int64(j), int64(j))
		}
		if got, damaged := readAll(t, l, 0); len(got) != 20 || damaged > 0 {
			t.Fatalf("%d entries", len(got))
		}
		if n := len(l.Ranges(3, 3)); n != 1 {
			t.Fatalf("%d ranges", n)
		}
		if i == 2 {
			if err := l.Trim(0, 0, 1, l.End()); err != nil {
				t.Fatal(err)
			}
			if l.Start() == 0 {
				t.Fatal("nothing was trimmed")
			}
			if _, err := (osFS{}).Open(dir + "/" + segmentName(0)); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("the first segment: %v", err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
