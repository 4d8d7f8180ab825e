package meta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

func open(t *testing.T, s kv.Store) *Store {
	t.Helper()
	m, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// commit runs fn on a batch and commits it.
func commit(t *testing.T, m *Store, fn func(b kv.Batch) error) {
	t.Helper()
	b := m.kv.NewBatch()
	if err := errors.Join(fn(b), b.Commit(true)); err != nil {
		t.Fatal(err)
	}
}

func TestObjects(t *testing.T) {
	m := open(t, kv.NewMem())
	var want []Object
	commit(t, m, func(b kv.Batch) error {
		for i, kind := range []string{"stream", "query", "function"} {
			o := Object{Kind: kind, ID: m.NextID(b), Name: `na"me`, SQL: "CREATE ...", Created: 5, Props: map[string]string{"a": "b"}}
			if i == 1 {
				o.Props, o.Created = nil, 1<<63+1 // JSON must not round it
			}
			want = append(want, o)
			if err := m.Put(b, o); err != nil {
				return err
			}
		}
		return nil
	})
	m = open(t, m.kv)
	if got, err := m.List(); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v %v", got, err)
	}
	want[0].Dropped, want[2].Dropped = 7, 8
	commit(t, m, func(b kv.Batch) error { return errors.Join(m.Put(b, want[0]), m.Put(b, want[2])) })
	var gone []Object
	commit(t, m, func(b kv.Batch) (err error) { gone, err = m.PurgeDropped(b, 7); return err })
	if got, err := m.List(); err != nil || !reflect.DeepEqual(got, want[1:]) || !reflect.DeepEqual(gone, want[:1]) {
		t.Fatalf("left %+v, gone %+v, %v", got, gone, err)
	}
}

func TestNextID(t *testing.T) {
	m := open(t, kv.NewMem())
	seen := map[uint64]bool{0: true} // 0 is no id
	for i := range 30 {
		b := m.kv.NewBatch()
		id := m.NextID(b)
		if seen[id] {
			t.Fatalf("id %d is given twice", id)
		}
		switch i % 3 {
		case 0: // not committed: lost, but not given again before the restart
			b.Discard()
			seen[id] = true
		default:
			if err := b.Commit(true); err != nil {
				t.Fatal(err)
			}
			seen[id] = true
			if i%3 == 2 {
				m = open(t, m.kv)
			}
		}
	}
}

func TestEpochs(t *testing.T) {
	m := open(t, kv.NewMem())
	if _, _, ok, err := m.LastEpoch(); ok || err != nil {
		t.Fatal(ok, err)
	}
	commit(t, m, func(b kv.Batch) error {
		for n := uint64(250); n < 260; n++ {
			m.PutEpoch(b, n, fmt.Append(nil, "e", n))
		}
		return nil
	})
	list := func(from uint64) (got []string) {
		err := m.Epochs(from, func(n uint64, data []byte) (bool, error) {
			if string(data) != fmt.Sprint("e", n) {
				t.Fatalf("epoch %d: %s", n, data)
			}
			got = append(got, fmt.Sprint(n))
			return n < 258, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := list(255); fmt.Sprint(got) != "[255 256 257 258]" {
		t.Fatal(got)
	}
	if n, data, ok, err := m.LastEpoch(); n != 259 || string(data) != "e259" || !ok || err != nil {
		t.Fatal(n, data, ok, err)
	}
	commit(t, m, func(b kv.Batch) error { m.TrimEpochs(b, 257); return nil })
	if got := list(0); fmt.Sprint(got) != "[257 258]" {
		t.Fatal(got)
	}
}

// putIOC stores an entry as earlier versions did.
func putIOC(b kv.Batch, list uint64, e IOCEntry) {
	key := iocKey(list, e)
	b.Set(key, append(binary.BigEndian.AppendUint64([]byte{iocVersion}, e.Deleted), e.Meta...))
	if e.Deleted != 0 {
		b.Set(append(numberKey(kindIOCGone, e.Deleted), key[2:]...), nil)
	}
}

// iocKey writes the value so that none is the beginning of another: 00 becomes 00 ff, the end is 00 01.
func iocKey(list uint64, e IOCEntry) []byte {
	key := append(listKey(list), bytes.ReplaceAll(e.Value, []byte{0}, []byte{0, 0xff})...)
	return binary.BigEndian.AppendUint64(append(key, 0, 1), e.Added)
}

// TestIOC reads entries of earlier versions, ended ones too, and removes them.
func TestIOC(t *testing.T) {
	m := open(t, kv.NewMem())
	if some, err := m.HasIOC(); err != nil || some {
		t.Fatal(some, err)
	}
	var want []string
	for _, v := range []string{"", "a", "a\x00", "a\x00\x01", "a\x00b", "a\x00\xff", "ab", "\x00", "\xff", "\xff\xff"} {
		commit(t, m, func(b kv.Batch) error {
			putIOC(b, 1, IOCEntry{Value: []byte(v), Added: 3, Deleted: 5, Meta: []byte("m")})
			putIOC(b, 1, IOCEntry{Value: []byte(v), Added: 7, Meta: []byte("n")})
			putIOC(b, 2, IOCEntry{Value: []byte(v), Added: 7})
			return nil
		})
		want = append(want, fmt.Sprintf("%q 3 5 m", v), fmt.Sprintf("%q 7 0 n", v))
	}
	var got []string
	err := m.ScanIOCAll(1, func(e IOCEntry) (bool, error) {
		got = append(got, fmt.Sprintf("%q %d %d %s", e.Value, e.Added, e.Deleted, e.Meta))
		return true, nil
	})
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%q, want %q, %v", got, want, err)
	}
	commit(t, m, func(b kv.Batch) error { m.RemoveIOC(b); return nil })
	if some, err := m.HasIOC(); err != nil || some {
		t.Fatal(some, err)
	}
	if n := keysOf(t, m, kindIOCGone); n != 0 {
		t.Fatalf("%d keys are left", n)
	}
}

func keysOf(t *testing.T, m *Store, kind byte) (n int) {
	t.Helper()
	lo, hi := kindRange(kind)
	if err := m.kv.Scan(lo, hi, func(_, _ []byte) (bool, error) { n++; return true, nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCorrupt: rows that cannot be read give errors that say so.
func TestCorrupt(t *testing.T) {
	ioc := iocKey(1, IOCEntry{Value: []byte("v"), Added: 2})
	for name, row := range map[string]struct{ key, value []byte }{
		"object version": {numberKey(kindObject, 1), []byte{9, '{', '}'}},
		"object json":    {numberKey(kindObject, 1), []byte{objectVersion, '{'}},
		"object empty":   {numberKey(kindObject, 1), nil},
		"object id":      {numberKey(kindObject, 1), []byte("\x01{\"id\":2}")},
		"next id":        {[]byte{kv.PrefixMeta, kindNextID}, []byte("x")},
		"ioc version":    {ioc, bytes.Repeat([]byte{9}, 9)},
		"ioc short":      {ioc, []byte{iocVersion}},
		"ioc key":        {append([]byte{kv.PrefixMeta, kindIOC}, bytes.Repeat([]byte{0}, 8)...), nil},
		"epoch key":      {[]byte{kv.PrefixMeta, kindEpoch, 1}, nil},
	} {
		s := kv.NewMem()
		b := s.NewBatch()
		b.Set(row.key, row.value)
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
		m, err := Open(s)
		if err == nil {
			_, listErr := m.List()
			none := func(IOCEntry) (bool, error) { return true, nil }
			epochs := func(uint64, []byte) (bool, error) { return true, nil }
			err = errors.Join(listErr, m.ScanIOCAll(1, none), m.ScanIOCAll(0, none), m.Epochs(0, epochs))
			_, _, _, lastErr := m.LastEpoch()
			err = errors.Join(err, lastErr)
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
