package meta

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand"
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

// TestIOC compares random additions, deletions, purges and drops with a model that keeps every version.
func TestIOC(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	m := open(t, kv.NewMem())
	type version struct{ added, deleted uint64 }
	model := map[uint64]map[string][]version{0: {}, 1: {}, 1<<64 - 1: {}}
	lists := []uint64{0, 1, 1<<64 - 1}
	values := []string{"", "a", "a\x00", "a\x00b", "a\x00\x01", "a\x00\xff", "ab", "\x00", "\xff", "\xff\xff"}
	purged := uint64(0)
	var purges, revived int
	for epoch := uint64(1); epoch < 800; epoch++ {
		list := lists[rnd.Intn(3)]
		value := values[rnd.Intn(len(values))]
		history := model[list][value]
		n := len(history)
		commit(t, m, func(b kv.Batch) error {
			switch {
			case epoch%50 == 0:
				purged = epoch - uint64(rnd.Intn(10))
				for {
					b := m.kv.NewBatch()
					n, err := m.PurgeIOC(b, purged, 3)
					if err = errors.Join(err, b.Commit(true)); err != nil || n == 0 {
						return err
					}
					purges += n
				}
			case epoch%211 == 0:
				m.DropIOC(b, list)
				model[list] = map[string][]version{}
			case n > 0 && history[n-1].deleted == 0:
				history[n-1].deleted = epoch
				m.PutIOC(b, list, IOCEntry{Value: []byte(value), Added: history[n-1].added, Deleted: epoch, Meta: []byte("m")})
			default:
				if n > 0 {
					revived++
				}
				model[list][value] = append(history, version{added: epoch})
				m.PutIOC(b, list, IOCEntry{Value: []byte(value), Added: epoch, Meta: []byte("m")})
			}
			return nil
		})
		at := purged + uint64(rnd.Intn(int(epoch-purged)+1))
		for _, list := range lists {
			var want []string
			for _, v := range slices.Sorted(maps.Keys(model[list])) {
				alive := slices.ContainsFunc(model[list][v], func(x version) bool { return x.added <= at && (x.deleted == 0 || x.deleted > at) })
				if alive {
					want = append(want, v)
				}
				e, ok, err := m.IOC(list, at, []byte(v))
				if err != nil || ok != alive || ok && (string(e.Value) != v || string(e.Meta) != "m") {
					t.Fatalf("epoch %d at %d: %q is %v %+v %v, want %v", epoch, at, v, ok, e, err, alive)
				}
			}
			var got []string
			err := m.ScanIOC(list, at, func(e IOCEntry) (bool, error) { got = append(got, string(e.Value)); return true, nil })
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("epoch %d at %d: list %d is %q, want %q, %v", epoch, at, list, got, want, err)
			}
		}
	}
	if purges == 0 || revived == 0 {
		t.Fatalf("%d purged, %d revived", purges, revived)
	}
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
			err = errors.Join(listErr, m.ScanIOC(1, 9, none), m.ScanIOC(0, 9, none), m.Epochs(0, epochs))
			_, _, _, lastErr := m.LastEpoch()
			err = errors.Join(err, lastErr)
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
