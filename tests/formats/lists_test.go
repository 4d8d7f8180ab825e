package formats

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// oldEntry is an IOC entry as vigil stored it before storage/ioc.
type oldEntry struct {
	list, added, deleted uint64
	value, meta          string
}

func (e oldEntry) put(t *testing.T, s kv.Store) {
	t.Helper()
	rest := binary.BigEndian.AppendUint64(nil, e.list)
	rest = append(append(rest, e.value...), 0, 1)
	rest = binary.BigEndian.AppendUint64(rest, e.added)
	set(t, s, append([]byte{0x10, 5}, rest...), append(binary.BigEndian.AppendUint64([]byte{1}, e.deleted), e.meta...))
	if e.deleted != 0 {
		set(t, s, append(binary.BigEndian.AppendUint64([]byte{0x10, 6}, e.deleted), rest...), nil)
	}
}

func clock() *inproc.Clock { return inproc.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) }

// withOldLists is a disk whose lists are as earlier versions kept them.
func withOldLists(t *testing.T) *inproc.Disk {
	t.Helper()
	disk := inproc.NewDisk()
	db, err := inproc.Open(inproc.Options{Disk: disk, Clock: clock(), Workers: 2, CheckpointEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{`CREATE IOC LIST names TYPE domain`, `CREATE IOC LIST nets TYPE cidr`, `INSERT INTO names VALUES ('x.example')`} {
		if err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b := disk.KV.NewBatch()
	b.DeleteRange([]byte{0x40}, []byte{0x41})
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	lists := listIDs(t, disk)
	for _, e := range []oldEntry{
		{lists["names"], 1, 0, "Old.Example.", `{"added_at":5,"source":"s"}`}, {lists["names"], 1, 2, "gone.example", `{"added_at":5}`},
		{lists["names"], 2, 0, "no..name", `{"added_at":6}`}, {lists["nets"], 1, 0, "10.1.2.3/8", `{"added_at":7}`},
	} {
		e.put(t, disk.KV)
	}
	return disk
}

// listIDs are the numbers of the IOC lists on a disk, by name.
func listIDs(t *testing.T, disk *inproc.Disk) map[string]uint64 {
	t.Helper()
	ids := map[string]uint64{}
	each(t, disk.KV, func(key, value []byte) {
		if prefixOf(key) != "10 01" {
			return
		}
		for _, name := range []string{"names", "nets"} {
			if strings.Contains(string(value), `"kind":"ioc"`) && strings.Contains(string(value), fmt.Sprintf("%q:%q", "name", name)) {
				ids[name] = binary.BigEndian.Uint64(key[2:])
			}
		}
	})
	if len(ids) != 2 {
		t.Fatal(ids)
	}
	return ids
}

// TestOldLists: entries that earlier versions stored are there, each in the form that it has now; those that are no indicators any more are
// told of. It holds again after a second start.
func TestOldLists(t *testing.T) {
	disk := withOldLists(t)
	for range 2 {
		db, err := inproc.Open(inproc.Options{Disk: disk, Clock: clock(), Workers: 2, CheckpointEvery: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		for q, want := range map[string]string{
			`SELECT value, source FROM names`: "[[old.example s]]", `SELECT value FROM nets`: "[[10.0.0.0/8]]",
			`SELECT ioc_match('names', 'www.OLD.example'), ioc_match('nets', '10.9.9.9'), 'gone.example' IN IOC names`: "[[old.example 10.0.0.0/8 f]]",
			`SELECT entries FROM vigil.ioc_lists ORDER BY name`:                                                        "[[1] [1]]",
			`SELECT raw FROM vigil.rejected`:                                                                           "[[no..name]]",
		} {
			if rows, err := db.Rows(q); err != nil || fmt.Sprint(rows) != want {
				t.Errorf("%s: %v, %v; want %s", q, rows, err, want)
			}
		}
		each(t, disk.KV, func(key, _ []byte) {
			if p := prefixOf(key); p == "10 05" || p == "10 06" {
				t.Errorf("key %x is still there", key)
			}
		})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOldListsOfUnknownVersion: an entry whose version nobody knows is refused by name.
func TestOldListsOfUnknownVersion(t *testing.T) {
	disk := withOldLists(t)
	each(t, disk.KV, func(key, value []byte) {
		if prefixOf(key) == "10 05" {
			value[0] = unknown
			set(t, disk.KV, key, value)
		}
	})
	_, err := open(t, disk)
	if want := fmt.Sprintf("an IOC entry has format version %d, this vigil reads version 1", unknown); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
