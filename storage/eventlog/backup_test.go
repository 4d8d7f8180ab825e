package eventlog

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
)

// backupLog backs up to "copy" and opens what is left of the copy after losing power.
func backupLog(t *testing.T, l *Log, disk *MemFS, upTo int64) *Log {
	t.Helper()
	if err := l.Backup(background, "copy", upTo); err != nil {
		t.Fatal(err)
	}
	c, err := Open(Options{Dir: "copy", FS: disk.Crash(nil), SegmentBytes: segmentBytesMin})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBackup backs up logs of random appends at each end of a record, with and without links: the copy has all appends that begin
// before, with their offsets and keys, and goes on from there; what is written to the copy and to the log meets in no file.
func TestBackup(t *testing.T) {
	inside, linked := 0, 0
	for seed := range int64(60) {
		rnd := rand.New(rand.NewSource(seed))
		disk := NewMemFS()
		disk.noLinks = seed%2 == 0
		l := openLog(t, disk, segmentBytesMin)
		type appended struct{ from, to int64 }
		var all []appended
		for i := range 20 + rnd.Intn(30) {
			var list []Entry
			for range 1 + rnd.Intn(3) {
				list = append(list, entry(strings.Repeat(fmt.Sprint(i, "."), rnd.Intn(300))))
			}
			list[0].Key = fmt.Sprint("key", i)
			from, to := mustAppend(t, l, list...)
			all = append(all, appended{from, to})
		}
		want, _ := readAll(t, l, 0)
		upTo := want[rnd.Intn(len(want))].Next
		end := upTo
		for _, a := range all {
			if a.from < upTo && upTo < a.to {
				end = a.to
				inside++
			}
		}
		if seed == 0 {
			upTo, end = 0, 0
		}
		c := backupLog(t, l, disk, upTo)
		if linked += len(c.segments); c.End() != end {
			t.Fatalf("seed %d: backup up to %d of %d ends at %d, want %d", seed, upTo, l.End(), c.End(), end)
		}
		got, damaged := readAll(t, c, 0)
		if wantCopy := slices.DeleteFunc(slices.Clone(want), func(e Entry) bool { return e.Offset >= end }); damaged > 0 || !slices.Equal(payloads(got), payloads(wantCopy)) {
			t.Fatalf("seed %d: %d entries, %d damaged places, want %d entries", seed, len(got), damaged, len(wantCopy))
		}
		for i, a := range all {
			e := entry("again")
			e.Key = fmt.Sprint("key", i)
			if a.to <= end {
				if from, to, duplicate, err := c.Append(background, []Entry{e}); !duplicate || from != a.from || to != a.to || err != nil {
					t.Fatalf("seed %d: %s again: %d %d %v %v, want %v", seed, e.Key, from, to, duplicate, err, a)
				}
			}
		}
		mustAppend(t, c, entry("only in the copy"))
		mustAppend(t, l, entry("only in the log"))
		if after, _ := readAll(t, l, 0); !slices.Equal(payloads(after), append(payloads(want), "only in the log")) {
			t.Fatalf("seed %d: the log is another after the backup", seed)
		}
		if again, _ := readAll(t, c, 0); again[len(again)-1].Offset != end {
			t.Fatalf("seed %d: the copy goes on at %d, not at %d", seed, again[len(again)-1].Offset, end)
		}
	}
	if inside < 5 || linked < 100 {
		t.Fatalf("%d backups ended within an append, %d segments: too few", inside, linked)
	}
}

// TestBackupUnderLoad backs up while others append: all that was there when it began is in the copy.
func TestBackupUnderLoad(t *testing.T) {
	disk := NewMemFS()
	l := openLog(t, disk, segmentBytesMin)
	for i := range 50 {
		mustAppend(t, l, entry(fmt.Sprint("before ", i)))
	}
	upTo := l.End()
	stop, wg := make(chan struct{}), sync.WaitGroup{}
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				if _, _, _, err := l.Append(background, []Entry{entry(fmt.Sprint("meanwhile ", i))}); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	c := backupLog(t, l, disk, upTo)
	close(stop)
	wg.Wait()
	if got, _ := readAll(t, c, 0); len(got) != 50 || c.End() != upTo {
		t.Fatalf("%d entries up to %d, want 50 up to %d", len(got), c.End(), upTo)
	}
}

// TestBackupRefused: places that the log does not have, and a disk that fails at each call.
func TestBackupRefused(t *testing.T) {
	l := openLog(t, NewMemFS(), segmentBytesMin)
	mustAppend(t, l, entry("x"))
	if err := l.Backup(background, "copy", l.End()+1); err == nil {
		t.Error("a backup beyond the end")
	}
	for n := 1; ; n++ {
		disk := NewMemFS()
		l := openLog(t, disk, segmentBytesMin)
		for i := range 40 {
			mustAppend(t, l, entry(strings.Repeat("x", 10*i)))
		}
		disk.FailCall(n)
		err := l.Backup(background, "copy", l.End())
		fired := disk.Fired()
		disk.FailCall(0)
		if (err != nil) != fired {
			t.Fatalf("call %d failed: %v, error %v", n, fired, err)
		}
		if !fired {
			if n < 15 {
				t.Fatalf("only %d calls", n)
			}
			return
		}
	}
}

// TestBackupOfDamage: what is damaged stays so, and what is whole is there.
func TestBackupOfDamage(t *testing.T) {
	disk := NewMemFS()
	l := openLog(t, disk, segmentBytesMin)
	for i := range 40 {
		mustAppend(t, l, entry(fmt.Sprint("entry ", i)))
	}
	f, err := disk.Open("log/" + segmentName(0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, headerBytes+l.End()/2); err != nil {
		t.Fatal(err)
	}
	c := backupLog(t, l, disk, l.End())
	got, damaged := readAll(t, c, 0)
	if damaged != 1 || len(got) < 10 || len(got) > 30 || c.End() != l.End() {
		t.Fatalf("%d entries, %d damaged places, end %d, want %d", len(got), damaged, c.End(), l.End())
	}
}
