package meta

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// rangeKV notes the ranges that are deleted.
type rangeKV struct {
	kv.Store
	ranges [][2][]byte
}

type rangeBatch struct {
	kv.Batch
	s *rangeKV
}

func (s *rangeKV) NewBatch() kv.Batch { return &rangeBatch{s.Store.NewBatch(), s} }

func (b *rangeBatch) DeleteRange(lo, hi []byte) {
	if bytes.Compare(lo, hi) < 0 {
		b.s.ranges = append(b.s.ranges, [2][]byte{bytes.Clone(lo), bytes.Clone(hi)})
	}
	b.Batch.DeleteRange(lo, hi)
}

// TestRangesStayApart: whatever is forgotten bit by bit for as long as a server runs, the store is told of no place twice, and of little things one by one: the cost of a read
// grows with the ranges that the store's memory holds, and with the square of those that overlap.
func TestRangesStayApart(t *testing.T) {
	s := &rangeKV{Store: kv.NewMem()}
	m := open(t, s)
	if err := m.OpenJournals(Keep{Rows: 100, Bytes: 1 << 20, Age: 1 << 40}, rowTime); err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 2000; n++ {
		b := s.NewBatch()
		m.PutEpoch(b, n, []byte("x"))
		m.Rejected.Add(b, int64(n), row(int64(n), 10))
		m.Rejected.Trim(b, int64(n))
		if n > 100 && n%7 == 0 {
			m.TrimEpochs(b, n-100)
		}
		if n == 1500 { // after a while of work without checkpoints
			m.TrimEpochs(b, n)
		}
		if err := b.Commit(false); err != nil {
			t.Fatal(err)
		}
	}
	left := 0
	if err := m.Epochs(0, func(uint64, []byte) (bool, error) { left++; return true, nil }); err != nil || left != 106 {
		t.Fatal(errors.Join(err, errors.New("epochs are left")), left)
	}
	epochs, _ := kindRange(kindEpoch)
	ofEpochs := 0
	slices.SortFunc(s.ranges, func(a, b [2][]byte) int { return bytes.Compare(a[0], b[0]) })
	for i, r := range s.ranges {
		if bytes.HasPrefix(r[0], epochs) {
			ofEpochs++
		}
		if i > 0 && bytes.Compare(r[0], s.ranges[i-1][1]) < 0 {
			t.Fatalf("%x - %x is deleted, and %x - %x", s.ranges[i-1][0], s.ranges[i-1][1], r[0], r[1])
		}
	}
	if ofEpochs > 2 || len(s.ranges) < 10 {
		t.Errorf("%d ranges of epochs are deleted, of %d", ofEpochs, len(s.ranges))
	}
}
