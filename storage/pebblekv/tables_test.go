package pebblekv

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vigil-sql/vigil/storage/kv"
)

// large is the value of a key, too large to be kept in a table.
func large(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "value %d. ", i), 1000) }

// TestOwnTables: no table holds keys of two kinds, so that what is written often does not drag along what lies beside it.
func TestOwnTables(t *testing.T) {
	s := open(t, vfs.NewMem())
	for round := range 3 {
		b := s.NewBatch()
		for i := range 100 {
			for _, kind := range []string{"\x10\x02", "\x10\x05", "\x20\x01", "\x20\x05", "\xff\xff"} {
				b.Set(fmt.Appendf(nil, "%s%03d", kind, i), fmt.Appendf(nil, "round %d", round))
			}
		}
		b.Set([]byte{0x30}, []byte("v"))
		b.DeleteRange([]byte("\x10\x02"), []byte("\x20\x03"))
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if round == 2 {
			if err := s.Compact(); err != nil {
				t.Fatal(err)
			}
		}
	}
	tables, err := s.db.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, level := range tables {
		for _, x := range level {
			lo, hi := x.Smallest.UserKey, x.Largest.UserKey
			found[string(lo[:min(2, len(lo))])] = true
			if end := kv.PrefixEnd(lo[:min(2, len(lo))]); end != nil && bytes.Compare(hi, end) > 0 {
				t.Errorf("a table reaches from %x to %x", lo, hi)
			}
		}
	}
	if len(found) < 4 {
		t.Fatalf("tables of %d kinds", len(found))
	}
}

// TestTablesThatDoNotOverlap: of keys that only ascend each flush leaves a table that no other overlaps; they are merged all the same, so that there are
// few of them however often memtables are written.
func TestTablesThatDoNotOverlap(t *testing.T) {
	s := open(t, vfs.NewMem())
	kinds := []string{"\x10\x03", "\x10\x04", "\x10\x08", "\x10\x09", "\x20\x05"}
	const rounds = 120
	for round := range rounds {
		b := s.NewBatch()
		for _, kind := range kinds {
			b.Set(fmt.Appendf(nil, "%s%06d", kind, round), []byte("row"))
		}
		if err := errors.Join(b.Commit(false), s.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (top, all int) {
		for i, level := range s.db.Metrics().Levels {
			all += int(level.TablesCount)
			if i == 0 {
				top = all
			}
		}
		return top, all
	}
	deadline := time.After(time.Minute)
	top, all := count()
	for ; top >= l0Files; top, all = count() { // merged beside
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("%d tables wait to be merged", top)
		}
	}
	// Some four are merged at a time.
	if most := l0Files + len(kinds)*rounds/3; all > most {
		t.Errorf("%d flushes left %d tables, of which %d wait; %d are few", rounds, all, top, most)
	}
	if keys, _ := list(t, s, nil, nil); len(keys) < rounds*len(kinds) {
		t.Errorf("%d keys are left", len(keys))
	}
}

// TestTablesStayFew: however many memtables were written, of keys that only ascend there are a few tables of each kind, in all levels, and no row is lost,
// by a loss of power either.
func TestTablesStayFew(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs)
	kinds := []string{"\x10\x03", "\x10\x04", "\x10\x08", "\x10\x09", "\x20\x05"}
	const rounds = 600
	round := 0
	write := func() {
		b := s.NewBatch()
		for _, kind := range kinds {
			b.Set(fmt.Appendf(nil, "%s%06d", kind, round), []byte("row"))
		}
		b.DeleteRange([]byte(kinds[0]), fmt.Appendf(nil, "%s%06d", kinds[0], round/2))
		if err := errors.Join(b.Commit(false), s.Flush()); err != nil {
			t.Fatal(err)
		}
		round++
	}
	tables := func() (n int) {
		for _, level := range s.db.Metrics().Levels {
			n += int(level.TablesCount)
		}
		return n
	}
	check := func(s *Store) {
		t.Helper()
		keys, _ := list(t, s, nil, nil)
		if want := round*len(kinds) - (round-1)/2; len(keys) != want {
			t.Fatalf("%d keys are left of %d", len(keys), want)
		}
	}
	for range rounds {
		if write(); round%50 == 0 {
			check(open(t, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: round % 101, RNG: newRNG(uint64(round))})))
		}
	}
	// Of which 48 wait at the top, and some lie side by side until they are enough to be merged.
	const most = 160
	for more := 0; tables() > most; more++ { // they are merged meanwhile
		if more == rounds {
			t.Fatalf("%d memtables left %d tables; %d are few", round, tables(), most)
		}
		write()
	}
	check(s)
}

// TestLargeValues: values that are kept apart outlive flushes, compactions, crashes and backups.
func TestLargeValues(t *testing.T) {
	rnd := rand.New(rand.NewSource(3))
	dir := t.TempDir()
	disk, err := Open(filepath.Join(dir, "data"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	fs := vfs.NewCrashableMem()
	stores := []*Store{open(t, fs), disk}
	const keys = 40
	check := func(s *Store, below int) {
		t.Helper()
		for i := range below {
			got, ok, err := s.Get(fmt.Appendf(nil, "\x20\x01%03d", i))
			if err != nil || !ok || !bytes.Equal(got, large(i)) {
				t.Fatalf("key %d: %v %v, %d bytes", i, ok, err, len(got))
			}
		}
	}
	for i := range keys {
		for _, s := range stores {
			b := s.NewBatch()
			b.Set(fmt.Appendf(nil, "\x20\x01%03d", i), large(i))
			b.Set(fmt.Appendf(nil, "\x20\x05%03d", i), large(i+1))
			b.DeleteRange([]byte("\x20\x05"), fmt.Appendf(nil, "\x20\x05%03d", i))
			if err := b.Commit(true); err != nil {
				t.Fatal(err)
			}
			switch rnd.Intn(6) {
			case 0:
				err = s.Flush()
			case 1:
				err = s.Compact()
			}
			if err != nil {
				t.Fatal(err)
			}
			check(s, i+1)
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rnd.Intn(101), RNG: newRNG(uint64(i))})
		check(open(t, crashed), i+1)
	}
	if m := disk.db.Metrics(); m.BlobFiles.LiveCount == 0 {
		t.Fatal("no value is kept apart: the test proves nothing")
	}
	if err := disk.Backup(filepath.Join(dir, "copy"), nil); err != nil {
		t.Fatal(err)
	}
	copied, err := Open(filepath.Join(dir, "copy"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	check(copied, keys)
}

// TestOlderFormat: a directory that was written before values were kept apart is read, and written on.
func TestOlderFormat(t *testing.T) {
	fs := vfs.NewMem()
	db, err := pebble.Open("data", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatFlushableIngestExcises, Logger: logger{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Set(formatKey, []byte{FormatVersion, 0, 0, 0}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Set([]byte("\x20\x01old"), large(0), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, fs)
	b := s.NewBatch()
	b.Set([]byte("\x20\x01new"), large(1))
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"\x20\x01old", "\x20\x01new"} {
		if got, _, err := s.Get([]byte(key)); err != nil || !bytes.Equal(got, large(i)) {
			t.Fatalf("%q: %d bytes, %v", key, len(got), err)
		}
	}
}
