package results

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// alike makes rows of which most differ a little from the one before: at the beginning, in the middle, at the end, in length.
func alike(rng *rand.Rand, n, size int) []Row {
	list := make([]Row, n)
	var data []byte
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	for i := range list {
		at := 0
		if len(data) > 0 {
			at = rng.IntN(len(data))
		}
		upTo := min(len(data), at+rng.IntN(4))
		switch rng.IntN(8) {
		case 0:
			data = noise(rng.IntN(size + 1))
		case 1: // the same
		case 2: // shorter
			data = bytes.Join([][]byte{data[:at], data[upTo:]}, nil)
		case 3: // longer
			data = bytes.Join([][]byte{data[:at], noise(rng.IntN(5)), data[at:]}, nil)
		case 4: // a row that repeats itself, where what is shared at both ends would overlap
			data = bytes.Repeat([]byte{7}, len(data)+rng.IntN(3))
		default:
			data = bytes.Join([][]byte{data[:at], noise(upTo - at), data[upTo:]}, nil)
		}
		list[i] = Row{Op: byte(rng.IntN(4)), Data: data}
	}
	return list
}

// TestAlike: rows that are much alike are what they were, forwards and backwards and from anywhere, in memory, in packs, in blocks,
// and where a block ends in the middle of an epoch.
func TestAlike(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for round := range 30 {
		mem := kv.NewMem()
		s := open(t, mem)
		size := []int{4, 40, 400, 9000}[rng.IntN(4)]
		var want []Row
		for epoch := range uint64(1 + rng.IntN(20)) {
			list := alike(rng, 1+rng.IntN(200), size)
			b := mem.NewBatch()
			p := begin(s, b, 1, Row{Epoch: epoch, Clock: int64(epoch)}, list)
			if err := b.Commit(true); err != nil {
				t.Fatal(err)
			}
			publish(t, p)
			want = append(want, list...)
		}
		check := func(what string) {
			t.Helper()
			if err := readsAs(s, want, rng.IntN(len(want))); err != nil {
				t.Fatalf("round %d, %d bytes, %s: %v", round, size, what, err)
			}
		}
		check("as written")
		s = open(t, mem)
		check("opened again")
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		check("in blocks")
		s = open(t, mem)
		check("in blocks, opened again")
	}
}

// readsAs compares the rows of query 1 from one on, and those before it downwards.
func readsAs(s *Store, want []Row, from int) error {
	at := from
	same := func(r Row) error {
		if at < 0 || at >= len(want) || r.Offset != int64(at) || r.Op != want[at].Op || !bytes.Equal(r.Data, want[at].Data) {
			return fmt.Errorf("row %d of %d is %d %x at %d", at, len(want), r.Op, r.Data, r.Offset)
		}
		return nil
	}
	err := s.Scan(1, int64(from), 0, func(r Row) (bool, error) { defer func() { at++ }(); return true, same(r) })
	if err != nil || at != len(want) {
		return fmt.Errorf("from %d: up to %d: %w", from, at, err)
	}
	at = from - 1
	err = s.ScanBack(1, int64(from), 0, func(r Row) (bool, error) { defer func() { at-- }(); return true, same(r) })
	if err != nil || at != -1 {
		return fmt.Errorf("down from %d: to %d: %w", from, at, err)
	}
	return nil
}

// TestAlikeIsSmall: what rows of an epoch have in common is written once; but now and then in full, so that reading backwards does
// not unpack all of it.
func TestAlikeIsSmall(t *testing.T) {
	s := open(t, kv.NewMem())
	row := bytes.Repeat([]byte("an alert about a host "), 10)
	put := func(n int) (size, parts int) {
		b := s.kv.NewBatch()
		p := s.Begin(b, 1, 10)
		p.Query(s.Changelog(uint64(n)))
		for i := range n {
			data := bytes.Clone(row)
			data[3], data[50] = byte(i), byte(i>>8)
			p.Row(1, data)
		}
		p.End()
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
		size = b.Len()
		publish(t, p)
		v := s.view(uint64(n))
		return size, len(v.tail[0].parts(nil))
	}
	one, _ := put(1)
	ten, parts := put(10)
	if each := (ten - one) / 9; each > 60 || parts != 1 {
		t.Errorf("a row like the one before takes %d bytes, one takes %d; %d parts", each, one, parts)
	}
	const many = 2000
	all, parts := put(many)
	if least := many * len(row) / sharedMax; parts < least || parts > least+2 || all > many*60 {
		t.Errorf("%d rows take %d bytes and are read in %d parts", many, all, parts)
	}
}

// TestDamagedRows: rows that are damaged anywhere are read as other rows, or are an error; nothing panics.
func TestDamagedRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	errs := 0
	for range 3000 {
		list := alike(rng, 10, 30)
		p := &Put{s: &Store{}, list: []pending{{}}}
		for _, r := range list {
			p.Row(r.Op, r.Data)
		}
		damaged := bytes.Clone(p.pack)
		damaged[rng.IntN(len(damaged))] = byte(rng.Uint32())
		one := run{rows: int64(len(list)), packed: damaged[:len(damaged)-rng.IntN(2)]}
		if _, err := one.each(1, func(Row) (bool, error) { return true, nil }); err != nil {
			errs++
		}
		n := int64(0)
		for _, part := range one.parts(nil) {
			n += part.rows
		}
		if n != one.rows {
			t.Fatalf("%d rows in parts, not %d", n, one.rows)
		}
	}
	if errs < 300 || errs > 2900 {
		t.Errorf("%d errors", errs)
	}
}

// TestShape: a row that is alike in the places where the one before was takes at most a byte more than what a look for the most that they
// share finds.
func TestShape(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	var s shape
	before, again := bytes.Repeat([]byte("abcdefgh"), 5), 0
	for range 20_000 {
		data := bytes.Clone(before)
		for i := range 2 + rng.IntN(3) {
			data[9+i] = byte(rng.IntN(8))
		}
		was := s
		got, want := s.append(nil, 1, data, before), appendShared(nil, 1, data, before)
		if len(got) > len(want)+1 {
			t.Fatalf("%d bytes, not %d: %x after %x", len(got), len(want), data, before)
		}
		if s == was && len(got) == len(want)+1 {
			again++
		}
		r := rowReader{rest: append(AppendRow(nil, 1, before), got...)}
		r.next()
		if _, back, ok := r.next(); !ok || !bytes.Equal(back, data) {
			t.Fatalf("%x is read as %x after %x", data, back, before)
		}
		before = data
	}
	if again < 100 {
		t.Fatalf("a shape was kept %d times only", again)
	}
}
