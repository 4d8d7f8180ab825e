package meta

import (
	"encoding/binary"
	"errors"
	"math/rand"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// row is a journal's row in these tests: when it came, and some more bytes.
func row(at int64, size int) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(at)), make([]byte, size)...)
}

func rowTime(data []byte) int64 { return int64(binary.BigEndian.Uint64(data)) }

// kept are the times and the bytes of what a journal holds.
func kept(t *testing.T, j *Journal) (times []int64, bytes int64) {
	t.Helper()
	var down []int64
	if err := errors.Join(j.Scan(0, func(_ uint64, data []byte) (bool, error) {
		times, bytes = append(times, rowTime(data)), bytes+int64(len(data))
		return true, nil
	}), j.ScanBack(func(_ uint64, data []byte) (bool, error) { down = append(down, rowTime(data)); return true, nil })); err != nil {
		t.Fatal(err)
	}
	if slices.Reverse(down); !slices.Equal(times, down) {
		t.Fatalf("up %v, down %v", times, down)
	}
	return times, bytes
}

// TestJournalBounds adds rows with restarts in between: what is kept is the newest of all, within the bounds and almost as much as
// they allow, and the figures are those of what is there.
func TestJournalBounds(t *testing.T) {
	var byRows, byBytes, byAge, whole int
	for seed := range int64(60) {
		rnd := rand.New(rand.NewSource(seed))
		keep := Keep{Rows: 1 + rnd.Int63n(300), Bytes: 1 + rnd.Int63n(20_000), Age: 1 + rnd.Int63n(2000)}
		s := kv.NewMem()
		m := open(t, s)
		if err := m.OpenJournals(keep, rowTime); err != nil {
			t.Fatal(err)
		}
		var all []int64
		now, largest, gap := int64(0), int64(0), int64(0)
		came := 0 // since the start
		for range 600 {
			step := rnd.Int63n(10)
			if rnd.Intn(100) == 0 {
				step = keep.Age
			}
			now, gap = now+step, max(gap, step)
			data := row(now, rnd.Intn(200))
			largest = max(largest, int64(len(data)))
			commit(t, m, func(b kv.Batch) error { m.Rejected.Add(b, now, data); m.Events.Add(b, now, row(now, 0)); return nil })
			all, came = append(all, now), came+1
			if rnd.Intn(100) == 0 {
				m = open(t, s)
				if err := m.OpenJournals(keep, rowTime); err != nil {
					t.Fatal(err)
				}
				came = int(m.Rejected.Figures().Rows)
			}
			times, bytes := kept(t, m.Rejected)
			n := int64(len(times))
			if !slices.Equal(times, all[len(all)-len(times):]) || n == 0 {
				t.Fatalf("seed %d: kept %v of %v", seed, times, all)
			}
			if f := m.Rejected.Figures(); f.Rows != n || f.Bytes != bytes || f.Large+f.Old != int64(came)-n {
				t.Fatalf("seed %d: %d rows, %d bytes, of %d rows, counted as %+v", seed, n, bytes, came, f)
			}
			old := times[0] < now-keep.Age-keep.Age/chunkPart-1
			if n > keep.Rows || bytes > keep.Bytes && n > max(1, keep.Rows/chunkPart) || old {
				t.Fatalf("seed %d, at %d: kept %d rows, %d bytes, from %d on, beyond %+v", seed, now, n, bytes, times[0], keep)
			}
			if len(times) == len(all) {
				whole++
				continue
			}
			// What went last made one of the bounds full, but for what goes with it.
			next := all[len(all)-len(times)-1]
			rows := n + max(1, keep.Rows/chunkPart)
			size := bytes + max(1, keep.Bytes/chunkPart) + 2*largest
			switch {
			case rows >= keep.Rows:
				byRows++
			case size >= keep.Bytes:
				byBytes++
			case next <= now-keep.Age+gap:
				byAge++
			default:
				t.Fatalf("seed %d, at %d: kept %d rows, %d bytes from %d on, where %+v allow the one at %d", seed, now, n, bytes, times[0], keep, next)
			}
		}
		if e, _ := kept(t, m.Events); len(e) == 0 {
			t.Fatal("the other journal is empty")
		}
	}
	if byRows == 0 || byBytes == 0 || byAge == 0 || whole == 0 {
		t.Fatal("not met: ", byRows, byBytes, byAge, whole)
	}
}

// TestJournalGrowsOld: without new rows, age alone empties a journal, and its numbers go on.
func TestJournalGrowsOld(t *testing.T) {
	s := kv.NewMem()
	m := open(t, s)
	if err := m.OpenJournals(Keep{Rows: 1000, Bytes: 1 << 20, Age: 100}, rowTime); err != nil {
		t.Fatal(err)
	}
	commit(t, m, func(b kv.Batch) error {
		for at := range int64(10) {
			m.Late.Add(b, at, row(at, 8))
		}
		return nil
	})
	for _, want := range [][2]int64{{0, 10}, {101, 10}, {102, 8}, {109, 2}} {
		commit(t, m, func(b kv.Batch) error { m.Late.Trim(b, want[0]); return nil })
		if times, _ := kept(t, m.Late); len(times) != int(want[1]) {
			t.Fatalf("at %d: %v", want[0], times)
		}
	}
	commit(t, m, func(b kv.Batch) error { m.Late.Trim(b, 110); return nil })
	if times, _ := kept(t, m.Late); len(times) != 0 || m.Late.Figures() != (JournalFigures{Old: 10}) {
		t.Fatal(times, m.Late.Figures())
	}
	commit(t, m, func(b kv.Batch) error { m.Late.Add(b, 200, row(200, 8)); return nil })
	if times, _ := kept(t, m.Late); len(times) != 1 || m.Late.next != 11 {
		t.Fatal(times, m.Late.next)
	}
	m.Late.Skip(3)
	if f := m.Late.Figures(); f != (JournalFigures{Rows: 1, Bytes: 16, Old: 10, Skipped: 3}) || f.Dropped() != 13 {
		t.Fatal(f)
	}
}
