// Package formats walks over everything that a vigil keeps: each format is written down in docs/formats and has a version, and one
// that this vigil does not know is refused by name.
package formats

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/storage/ioc"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/results"
	"github.com/vigil-sql/vigil/tests/inproc"
	"github.com/vigil-sql/vigil/tests/need"
)

// unknown is a version that no format has.
const unknown = 77

// kind is a kind of key of the store.
type kind struct {
	prefix string // as docs/formats/kv.md writes it
	name   string // in the error
	// at is where the version stands in the value; -1: the length says which version it is; -2: the value is empty. json: it is a member
	// "version", which may be absent.
	at   int
	json bool
	// sql is what refuses it; "": the start does.
	sql string
}

// kinds are all there are, but the version of the directory (00), which is storage/pebblekv's, and blocks of state.
var kinds = []kind{
	{prefix: "10 00", name: "next id", at: -1},
	{prefix: "10 01", name: "a catalogue object"},
	{prefix: "10 02", name: "an epoch record"},
	{prefix: "10 03", name: "a rejected row", json: true, sql: "SELECT * FROM vigil.rejected"},
	{prefix: "10 04", name: "a query event", json: true, sql: "SELECT * FROM vigil.query_events"},
	{prefix: "10 07", name: "a late row", json: true, sql: "SELECT * FROM auth$late"},
	{prefix: "10 08", name: "a table's row"},
	{prefix: "10 09", name: "the end of a table's row"},
	{prefix: "10 0a", name: "the state of a sequence", sql: "SELECT nextval('seq')"},
	{prefix: "10 0b", name: "a dead letter", json: true, sql: "SELECT * FROM vigil.sink_dead_letters"},
	{prefix: "20 01", name: "a block of results"},
	{prefix: "20 02", name: "tail", at: -1},
	{prefix: "20 05", name: "a pack of results"},
	{prefix: "20 06", name: "mark", at: -1},
	{prefix: "20 07", name: "the size of results"},
	{prefix: "20 08", name: "the mark of results written ahead"},
	{prefix: "20 03", name: "a cursor", sql: "cursor"},
	{prefix: "20 04", name: "a block of results", sql: "SELECT * FROM totals"},
	{prefix: "30 02", name: "the checkpoint"},
	{prefix: "40 00", name: "the key of IOC hashes"},
	{prefix: "40 01", name: "a version of the IOC lists"},
	{prefix: "40 02", name: "the size of an IOC list"},
	{prefix: "40 03", name: "a mark of an IOC change"},
	{prefix: "40 04", name: "an IOC entry", sql: "SELECT * FROM bad"},
	{prefix: "40 05", name: "a change of an IOC entry"},
	{prefix: "40 06", at: -2},
}

// states are the blocks of state, by the operators of the queries below; and what is in them.
var states = []string{"a block of a grouping by windows has format version 77, this vigil reads version 1",
	"a block of a grouping by windows has format version 77, this vigil reads version 2", "a block of a grouping by windows has format version 77, this vigil reads version 3",
	"a block of the members of shared state", "a block of a grouping by windows has format version 77, this vigil reads version 65",
	"a block of a grouping by windows has format version 77, this vigil reads version 66", "a block of a grouping by windows has format version 77, this vigil reads version 67",
	"a block of session, sliding or count windows", "a block of FIRST_SEEN and SUPPRESS", "a block of window functions", "a block of patterns",
	"a block of rows that wait in a join", "a block of versions of a temporal join"}

var schema = []string{
	`CREATE STREAM auth (ts TIMESTAMPTZ NOT NULL, username TEXT, host TEXT, action TEXT, WATERMARK FOR ts AS ts IDLE AFTER INTERVAL '1 day') FORMAT JSON`,
	`CREATE STREAM flow (ts TIMESTAMPTZ NOT NULL, src TEXT, bytes BIGINT, WATERMARK FOR ts AS ts IDLE AFTER INTERVAL '1 day') FORMAT JSON`,
	`CREATE IOC LIST bad TYPE text`, `INSERT INTO bad VALUES ('x'), ('y')`,
	`CREATE TABLE owners (host TEXT PRIMARY KEY, owner TEXT)`, `INSERT INTO owners VALUES ('h1', 'blue'), ('h2', 'red')`,
	`CREATE SEQUENCE seq`,
	`CREATE CONTINUOUS QUERY tumble AS SELECT username, count(*) FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '1 day')`,
	`CREATE CONTINUOUS QUERY hop AS SELECT username, count(*) FROM auth GROUP BY username, HOP(ts, INTERVAL '1 hour', INTERVAL '1 day')`,
	`CREATE CONTINUOUS QUERY first AS SELECT username, count(*) FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '1 day') HAVING count(*) > 1 EMIT FIRST`,
	`CREATE CONTINUOUS QUERY tumble2 AS SELECT username, sum(length(host)) FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '2 days')`,
	`CREATE CONTINUOUS QUERY tumble3 AS SELECT username, count(*) FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '2 days')`,
	`CREATE CONTINUOUS QUERY first2 AS SELECT username, count(*) FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '2 days') HAVING count(*) > 1 EMIT FIRST`,
	`CREATE CONTINUOUS QUERY first3 AS SELECT username, count(*) FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '2 days') HAVING count(*) > 0 EMIT FIRST`,
	`CREATE CONTINUOUS QUERY hop2 AS SELECT username, count(*) FROM auth GROUP BY username, HOP(ts, INTERVAL '1 hour', INTERVAL '2 days')`,
	`CREATE CONTINUOUS QUERY hop3 AS SELECT username, count(*) AS n FROM auth GROUP BY username, HOP(ts, INTERVAL '1 hour', INTERVAL '2 days')`,
	`CREATE CONTINUOUS QUERY every AS SELECT username, count(*) FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '1 day') EMIT EVERY INTERVAL '1 hour'`,
	`CREATE CONTINUOUS QUERY sessions AS SELECT username, count(*) FROM auth GROUP BY username, SESSION(ts, INTERVAL '1 hour')`,
	`CREATE CONTINUOUS QUERY slides AS SELECT username, count(*) FROM auth GROUP BY username, SLIDE(ts, INTERVAL '1 hour')`,
	`CREATE CONTINUOUS QUERY threes AS SELECT username, count(*) FROM auth GROUP BY username, COUNT_WINDOW(3, 1)`,
	`CREATE CONTINUOUS QUERY seen AS SELECT ts, username FROM auth WHERE FIRST_SEEN(username, INTERVAL '14 days')`,
	`CREATE CONTINUOUS QUERY calm AS SELECT ts, username FROM auth SUPPRESS FOR INTERVAL '1 day' BY (username)`,
	`CREATE CONTINUOUS QUERY over_rows AS SELECT ts, lag(username) OVER (PARTITION BY host ORDER BY ts) AS before FROM auth`,
	`CREATE CONTINUOUS QUERY guessed AS SELECT * FROM auth MATCH_RECOGNIZE (PARTITION BY username ORDER BY ts MEASURES s.ts AS at PATTERN (f{3,} s)
	   DEFINE f AS action = 'denied', s AS action = 'granted') m`,
	`CREATE CONTINUOUS QUERY stays AS SEQUENCE BY username WITHIN INTERVAL '1 day' [auth WHERE action = 'granted'] ![auth WHERE action = 'logout']`,
	`CREATE CONTINUOUS QUERY near AS SELECT a.username, f.bytes FROM auth a JOIN flow f ON f.src = a.host AND f.ts BETWEEN a.ts AND a.ts + INTERVAL '1 day'`,
	`CREATE CONTINUOUS QUERY gone AS SELECT src FROM flow`,
	`CREATE CONTINUOUS QUERY totals WITH (retention = '1 second') AS SELECT username, count(*) AS n FROM auth GROUP BY username`,
	`CREATE CONTINUOUS QUERY as_of AS SELECT a.ts, h.n FROM auth a LEFT JOIN volume FOR SYSTEM_TIME AS OF a.ts AS h ON h.src = a.host`,
	`CREATE CONTINUOUS QUERY short WITH (retention = '1 second') AS SELECT username FROM auth`,
}

// filled is a disk that holds a key of each kind.
func filled(t *testing.T) *inproc.Disk {
	t.Helper()
	disk, clock := inproc.NewDisk(), inproc.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	life := func(sql ...string) {
		db, err := inproc.Open(inproc.Options{Disk: disk, Clock: clock, Workers: 2, EpochMin: time.Millisecond, CheckpointEvery: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Engine().Results().Flush(); err != nil {
			t.Fatal(err)
		}
		for _, s := range sql {
			if err := db.Exec(s); err != nil {
				t.Fatalf("%s\n%v", s, err)
			}
		}
		if n, err := db.Append("auth", []byte("{bad")); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
		if len(sql) > 1 && strings.HasPrefix(sql[0], "CREATE") {
			if err := db.Close(); err != nil { // with a checkpoint
				t.Fatal(err)
			}
			return
		}
		t.Cleanup(func() { _ = db.Close() })
		disk = disk.Crash(nil)
	}
	list := append(append([]string{}, schema[:len(schema)-2]...),
		`CREATE CONTINUOUS QUERY volume AS SELECT src, count(*) AS n FROM flow GROUP BY src, TUMBLE(ts, INTERVAL '1 second')`)
	list = append(append(list, schema[len(schema)-2:]...),
		`INSERT INTO flow VALUES ('2026-03-01 12:00:00Z', 'h1', 5), ('2026-03-01 12:00:02Z', 'h2', 7), ('2026-03-01 12:00:03Z', 'h2', 7)`,
		`INSERT INTO auth VALUES ('2026-03-01 12:00:00Z', 'ann', 'h1', 'granted'), ('2026-03-01 12:00:01Z', 'bob', 'h2', 'denied'), ('2026-03-01 12:00:02Z', 'bob', 'h2', 'denied')`)
	life(list...)
	clock.Step(time.Hour)
	life(`CREATE TABLE other (n INT)`, `INSERT INTO auth VALUES ('2026-03-01 12:00:04Z', 'ann', 'h1', 'granted'), ('2026-03-01 12:00:05Z', 'bob', 'h2', 'denied')`)
	clock.Step(time.Hour)
	life(`CREATE TABLE more (n INT)`, `INSERT INTO flow VALUES ('2026-03-01 12:00:06Z', 'h1', 5)`)
	life(`INSERT INTO flow VALUES ('2026-03-01 12:00:06Z', 'h1', 5)`, `DROP CONTINUOUS QUERY gone`, `DELETE FROM bad WHERE value = 'x'`, `UPDATE owners SET owner = 'green' WHERE host = 'h1'`, `SELECT nextval('seq')`,
		`INSERT INTO auth VALUES ('2026-03-01 12:00:06Z', 'ann', 'h1', 'granted')`, `INSERT INTO auth VALUES ('2026-02-01 12:00:06Z', 'late', 'h1', 'granted')`)
	res, err := results.Open(disk.KV)
	if err != nil {
		t.Fatal(err)
	}
	m, err := meta.Open(disk.KV)
	if err != nil {
		t.Fatal(err)
	}
	b := disk.KV.NewBatch()
	if err := m.Dead.Open(meta.KeepDefault, func([]byte) int64 { return 0 }); err != nil {
		t.Fatal(err)
	}
	m.Dead.Add(b, 1772366400000000, []byte(`{"sink":1,"query":2,"at":1772366400000000,"id":"2:4","code":"400","reason":"refused","body":"e30="}`))
	res.SetCursor(b, "reader", results.Cursor{Offset: 3})
	writtenAhead(t, res, disk.KV.NewBatch())
	lists, err := ioc.Open(disk.KV)
	if err == nil { // of an epoch that never is, too
		_, err = lists.Stage([]ioc.Change{{List: 0, Add: []ioc.Addition{{Value: "v", Expires: 1}}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	return disk
}

// writtenAhead writes a row, of a query that there is not, ahead of the commit of an epoch that never is.
func writtenAhead(t *testing.T, res *results.Store, commit kv.Batch) {
	t.Helper()
	defer commit.Discard()
	rows, err := res.Begin(commit, 1<<40, 0).Large(res.Changelog(0))
	if err == nil {
		err = rows.Row(1, []byte{1})
	}
	if err == nil {
		err = rows.End()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// open starts on a disk; it is not closed, so that the disk stays.
func open(t *testing.T, disk *inproc.Disk) (*inproc.DB, error) {
	db, err := inproc.Open(inproc.Options{Disk: disk, Clock: inproc.NewClock(time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC)), Workers: 2, CheckpointEvery: time.Hour})
	if err == nil {
		t.Cleanup(func() { _ = db.Close() })
	}
	return db, err
}

// refusal starts on a disk and runs what reads it, if it is not the start.
func refusal(t *testing.T, disk *inproc.Disk, sql string) error {
	if sql == "cursor" {
		res, err := results.Open(disk.KV)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = res.Cursor("reader")
		return err
	}
	db, err := open(t, disk)
	if err != nil || sql == "" {
		return err
	}
	_, err = db.Rows(sql)
	return err
}

// each calls fn for the keys of the store.
func each(t *testing.T, s kv.Store, fn func(key, value []byte)) {
	t.Helper()
	err := s.Scan(nil, nil, func(key, value []byte) (bool, error) {
		fn(bytes.Clone(key), bytes.Clone(value))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func prefixOf(key []byte) string { return fmt.Sprintf("%02x %02x", key[0], key[1]) }

func set(t *testing.T, s kv.Store, key, value []byte) {
	t.Helper()
	b := s.NewBatch()
	b.Set(key, value)
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
}

// changed is a value with another version.
func (k *kind) changed(value []byte) []byte {
	switch {
	case k.json:
		return append([]byte(fmt.Sprintf(`{"version":%d,"query":"of another form",`, unknown)), value[1:]...)
	case k.at < 0:
		return append(value, 0)
	}
	value[k.at] = unknown
	return value
}

// TestStore: each kind of key of the store is known here and written down, and with an unknown version refused by name.
func TestStore(t *testing.T) {
	disk := filled(t)
	if db, err := open(t, disk.Crash(nil)); err != nil {
		t.Fatal(err)
	} else if _, err := db.Rows(`SELECT * FROM vigil.rejected`); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join(need.Root(), "docs", "formats", "kv.md"))
	if err != nil {
		t.Fatal(err)
	}
	newest := map[string][2][]byte{}
	each(t, disk.KV, func(key, value []byte) { newest[prefixOf(key)] = [2][]byte{key, value} })
	for _, k := range kinds {
		found, ok := newest[k.prefix]
		delete(newest, k.prefix)
		if !ok {
			t.Errorf("the disk has no key of kind %s", k.prefix)
			continue
		}
		if !bytes.Contains(doc, []byte("| `"+k.prefix+"`")) {
			t.Errorf("docs/formats/kv.md does not tell of %s", k.prefix)
		}
		if k.at == -2 {
			if len(found[1]) > 0 {
				t.Errorf("the value of %s is not empty", k.prefix)
			}
			continue
		}
		d := disk.Crash(nil)
		set(t, d.KV, found[0], k.changed(found[1]))
		err := refusal(t, d, k.sql)
		want := fmt.Sprintf("%s has format version %d, this vigil reads version", k.name, unknown)
		if k.at == -1 {
			want = k.name
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s with an unknown version: %v, want %q", k.prefix, err, want)
		}
	}
	delete(newest, "30 01") // TestStates
	for prefix := range newest {
		t.Errorf("keys of kind %s are not among those that this test knows", prefix)
	}
}

// TestManifest: the manifest has a version of its own within the checkpoint's.
func TestManifest(t *testing.T) {
	disk := filled(t)
	each(t, disk.KV, func(key, value []byte) {
		if prefixOf(key) == "30 02" {
			value[9] = unknown
			set(t, disk.KV, key, value)
		}
	})
	if _, err := open(t, disk); err == nil || !strings.Contains(err.Error(), "the checkpoint manifest has format version 77, this vigil reads version 1 and 2 and 3") {
		t.Error(err)
	}
}

// TestStates: the state of each kind of operator with an unknown version is refused by its name.
func TestStates(t *testing.T) {
	disk := filled(t)
	met := map[string]bool{}
	each(t, disk.KV, func(key, value []byte) {
		if prefixOf(key) != "30 01" {
			return
		}
		d := disk.Crash(nil)
		value[0] = unknown
		set(t, d.KV, key, value)
		_, err := open(t, d)
		if err == nil || !regexp.MustCompile(`has format version 77, this vigil reads version \d`).MatchString(err.Error()) {
			t.Errorf("a block of state with an unknown version, key %x: %v", key, err)
			return
		}
		for _, s := range states {
			met[s] = met[s] || strings.Contains(err.Error(), s)
		}
	})
	for _, s := range states {
		if !met[s] {
			t.Errorf("no block was refused as %q", s)
		}
	}
}

// TestRow: a row of a result has a version of its own, too.
func TestRow(t *testing.T) {
	disk := filled(t)
	each(t, disk.KV, func(key, value []byte) {
		if prefixOf(key) != "20 01" {
			return
		}
		at := 1
		runs, n := binary.Uvarint(value[at:])
		at += n
		for range 4 * runs { // epoch, clock, rows, bytes
			_, n := binary.Uvarint(value[at:])
			at += n
		}
		_, n = binary.Uvarint(value[at+1:])
		if value[at+1+n] != 1 {
			t.Fatalf("no row is at byte %d of %x", at+1+n, value)
		}
		value[at+1+n] = unknown
		set(t, disk.KV, key, value)
	})
	if err := refusal(t, disk, "SELECT * FROM seen"); err == nil || !strings.Contains(err.Error(), "malformed row: it has format version 77, this vigil reads version 1") {
		t.Error(err)
	}
}

// logFile is the only segment of a stream's log, or its sidecar.
func logFile(t *testing.T, disk *inproc.Disk, suffix string) string {
	t.Helper()
	for id := range 50 {
		dir := fmt.Sprintf("inproc/log/%d", id)
		names, err := disk.FS.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if strings.HasSuffix(n, suffix) {
				return dir + "/" + n
			}
		}
	}
	t.Fatalf("no file of a log ends in %s", suffix)
	return ""
}

// TestLog: a segment, a record, and a sidecar with an unknown version.
func TestLog(t *testing.T) {
	disk := filled(t)
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for _, c := range []struct {
		name, suffix, want string
		change             func(b []byte)
	}{
		{"segment", ".log", "it has format version 77, this vigil reads version 1", func(b []byte) { b[7] = unknown }},
		{"record", ".log", "a record of the event log has format version 77, this vigil reads version 1", func(b []byte) { b[16+8] = unknown }},
		{"sidecar", ".idx", "a sidecar of the event log has format version 77, this vigil reads version 1 and 2", func(b []byte) { b[7] = unknown }},
	} {
		d := disk.Crash(nil)
		f, err := d.FS.Open(logFile(t, d, c.suffix))
		if err != nil {
			t.Fatal(err)
		}
		size, err := f.Size()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, size)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		c.change(b)
		if c.suffix == ".log" { // the first record's checksum
			end := 24 + binary.LittleEndian.Uint32(b[16:])
			binary.LittleEndian.PutUint32(b[20:], crc32.Update(crc32.Checksum(b[16:20], castagnoli), castagnoli, b[24:end]))
		} else {
			binary.LittleEndian.PutUint32(b[size-4:], crc32.Checksum(b[:size-4], castagnoli))
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		err = f.Sync()
		if err == nil {
			err = refusal(t, d, "SELECT * FROM auth")
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with an unknown version: %v, want %q", c.name, err, c.want)
		}
	}
}
