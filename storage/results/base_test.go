package results

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// folded is a fold for tests: op 1 adds a row, op 4 takes one like it away.
func folded(rows []Row) []Row {
	var out []Row
	for _, r := range rows {
		if r.Op == 1 {
			out = append(out, r)
			continue
		}
		i := slices.IndexFunc(out, func(x Row) bool { return string(x.Data) == string(r.Data) })
		if i >= 0 {
			out = slices.Delete(out, i, i+1)
		}
	}
	return out
}

// contentOf is what Content gives, folded.
func contentOf(t *testing.T, s *Store, id uint64) []string {
	t.Helper()
	var rows []Row
	err := s.Content(id, func(r Row) (bool, error) {
		r.Data = append([]byte(nil), r.Data...)
		rows = append(rows, r)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range folded(rows) {
		out = append(out, string(r.Data))
	}
	return out
}

// TestContentOutlivesTrim: whatever is trimmed, the content of a changelog with a fold stays, over a new Open too; without a
// fold old rows go.
func TestContentOutlivesTrim(t *testing.T) {
	mem := kv.NewMem()
	s, err := Open(mem)
	if err != nil {
		t.Fatal(err)
	}
	put := func(clock int64, rows ...Row) {
		b := mem.NewBatch()
		p := begin(s, b, 7, Row{Epoch: uint64(clock), Clock: clock}, rows)
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
		publish(t, p)
	}
	var want []string
	for i := range 40 {
		put(int64(i), Row{Op: 1, Data: fmt.Appendf(nil, "row %d", i)})
		if i%3 == 1 {
			put(int64(i), Row{Op: 4, Data: fmt.Appendf(nil, "row %d", i-1)})
		}
	}
	for i := range 40 {
		if i%3 != 0 || i == 39 {
			want = append(want, fmt.Sprint("row ", i))
		}
	}
	check := func(when string) {
		t.Helper()
		if got := contentOf(t, s, 7); !slices.Equal(got, want) {
			t.Fatalf("%s: content %v, want %v", when, got, want)
		}
	}
	check("before")
	for _, before := range []int64{10, 10, 11, 30, 100} {
		if err := s.Trim(7, Bounds{BeforeClock: before, KeepFrom: math.MaxInt64, Fold: folded}); err != nil {
			t.Fatal(err)
		}
		check(fmt.Sprintf("trimmed before %d", before))
	}
	if s.Oldest(7) != s.Next(7) {
		t.Fatalf("rows from %d to %d are left of the changelog", s.Oldest(7), s.Next(7))
	}
	if s, err = Open(mem); err != nil {
		t.Fatal(err)
	}
	check("opened again")
	put(200, Row{Op: 4, Data: []byte("row 1")})
	want = want[1:]
	check("taken back after it was trimmed")
	if err := s.Drop(7); err != nil {
		t.Fatal(err)
	}
	if got := contentOf(t, s, 7); len(got) > 0 {
		t.Fatalf("dropped, and there is %v", got)
	}
}
