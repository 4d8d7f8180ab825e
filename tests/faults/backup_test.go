package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/storage/pebblekv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// realDisk is the machine's disk, calls to which fail as fault says.
type realDisk struct {
	disk
	mu    sync.Mutex
	calls int
	fault func(n int, what, name string) error // under mu; nil: none fails
}

func newRealDisk() *realDisk {
	d := &realDisk{disk: disk{kv: pebblekv.NewRealDisk()}}
	d.hook = func(what, name string) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.fault == nil {
			return nil
		}
		d.calls++
		return d.fault(d.calls, what, name)
	}
	d.kv.SetHook(func(what, name string) error { return d.call("kv "+what, name) })
	return d
}

// fail has calls fail from now on.
func (d *realDisk) fail(fault func(n int, what, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls, d.fault = 0, fault
}

// serve runs a server on a directory; stop ends it.
func (d *realDisk) serve(t *testing.T, dir string) (db *inproc.DB, store *pebblekv.Store, stop func()) {
	t.Helper()
	store, err := pebblekv.Open(filepath.Join(dir, "kv"), pebblekv.Options{FS: d.kv, Hasty: true})
	if err == nil {
		db, err = inproc.Open(inproc.Options{Store: store, LogFS: logFS{eventlog.OS(), &d.disk}, Dir: dir, Clock: inproc.NewClock(begin), Workers: 2, EpochMin: time.Millisecond,
			CheckpointEvery: -1, SegmentBytes: 4 << 10, AgainFor: 20 * time.Millisecond})
	}
	if err != nil {
		t.Fatal(err)
	}
	return db, store, func() {
		if err := errors.Join(db.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	}
}

var backupOutcomes = []string{"SELECT id FROM ev ORDER BY id", "SELECT * FROM few ORDER BY 1", "SELECT * FROM totals ORDER BY 1", "SELECT count(*) FROM quiet", "SELECT name FROM hosts ORDER BY 1"}

// tells is what a server answers.
func tells(t *testing.T, db *inproc.DB) (out string) {
	t.Helper()
	for _, sql := range backupOutcomes {
		rows, err := db.Rows(sql)
		if err != nil {
			t.Fatal(sql, err)
		}
		out += fmt.Sprintln(sql, rows)
	}
	return out
}

// fill makes what a backup has several files of: of the store, of a log, and of a log that is empty.
func fill(t *testing.T, db *inproc.DB, store *pebblekv.Store) {
	t.Helper()
	list := []string{"CREATE STREAM ev (id BIGINT, ts TIMESTAMPTZ, t TEXT, WATERMARK FOR ts AS ts) FORMAT JSON", "CREATE STREAM quiet (id BIGINT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts) FORMAT JSON",
		"CREATE TABLE hosts (name TEXT)", "INSERT INTO hosts VALUES ('a'), ('b')", "CREATE CONTINUOUS QUERY few AS SELECT id FROM ev WHERE id % 7 = 0", "CREATE CONTINUOUS QUERY totals AS SELECT id % 3 AS k, count(*) AS n FROM ev GROUP BY id % 3"}
	for i := range 30 {
		list = append(list, fmt.Sprintf("INSERT INTO ev VALUES (%d, '2026-01-01 10:00:00Z', '%s')", i, strings.Repeat("x", 1000)))
	}
	for i, sql := range list {
		if err := db.Exec(sql); err != nil {
			t.Fatal(sql, err)
		}
		if i%12 == 11 {
			if err := store.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestBackupCallFailsOnce: whichever call to the disk fails once while a backup is written, the backup is whole.
func TestBackupCallFailsOnce(t *testing.T) {
	base, d := t.TempDir(), newRealDisk()
	db, store, stop := d.serve(t, filepath.Join(base, "data"))
	defer stop()
	fill(t, db, store)
	want := tells(t, db)
	rng, kinds, inCopy := rand.New(rand.NewPCG(*seed, 7)), map[string]int{}, 0
	for k := 1; ; k++ {
		if !*every {
			k += rng.IntN(12)
		}
		dir, failed := filepath.Join(base, "backup"), ""
		d.fail(func(n int, what, name string) error {
			if n != k {
				return nil
			}
			failed = what + " " + strings.TrimPrefix(name, base)
			if strings.HasPrefix(name, dir) {
				inCopy++
			}
			return syscall.EIO
		})
		err := db.Exec("BACKUP TO '" + dir + "'")
		d.fail(nil)
		if err != nil {
			t.Fatalf("call %d failed once, %s: %v", k, failed, err)
		}
		if failed == "" {
			t.Log(k, kinds, inCopy)
			break
		}
		kinds[strings.Join(strings.Fields(failed)[:2], " ")]++
		other, _, end := newRealDisk().serve(t, dir)
		if got := tells(t, other); got != want {
			t.Fatalf("call %d failed once, %s: the backup holds\n%snot\n%s", k, failed, got, want)
		}
		end()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"kv create", "kv write", "kv sync", "kv read", "kv link", "log sync", "log link", "log rename", "log mkdir"} {
		if *every && kinds[what] == 0 {
			t.Errorf("no call failed of %s", what)
		}
	}
	if len(kinds) < 5 || inCopy < 10 {
		t.Errorf("%d kinds of calls, %d in the copy", len(kinds), inCopy)
	}
}

// TestBackupOnBadDisk: a disk that stays so, or has no room, ends a backup with an error that says so, nothing is left of it, and the server goes on.
func TestBackupOnBadDisk(t *testing.T) {
	base, d := t.TempDir(), newRealDisk()
	db, store, stop := d.serve(t, filepath.Join(base, "data"))
	defer stop()
	fill(t, db, store)
	want, dir := tells(t, db), filepath.Join(base, "backup")
	for _, c := range []struct {
		name  string
		part  string // of the names for which calls fail
		cause error
		times int // how often they fail; 0: always
		code  sqlerr.Code
	}{
		{"the store's part", "kv.unfinished", syscall.EIO, 0, sqlerr.IOError},
		{"the logs' part", filepath.Join("backup", "log"), syscall.EIO, 0, sqlerr.IOError},
		{"the store's name", filepath.Join("backup", "kv"), syscall.EIO, 0, sqlerr.IOError},
		{"no room for the store", "kv.unfinished", syscall.ENOSPC, 1, sqlerr.DiskFull}, // it is not tried again
		{"no room for the logs", filepath.Join("backup", "log"), syscall.ENOSPC, 1, sqlerr.DiskFull},
	} {
		failed := 0
		d.fail(func(_ int, _, name string) error {
			if !strings.Contains(name, c.part) || c.times > 0 && failed == c.times {
				return nil
			}
			failed++
			return c.cause
		})
		err := db.Exec("BACKUP TO '" + dir + "'")
		d.fail(nil)
		if sqlerr.CodeOf(err) != c.code || failed == 0 || sqlerr.As(err).Hint == "" || c.times == 0 && failed < 2 {
			t.Errorf("%s: %v, %d calls failed", c.name, err, failed)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", c.name, left, err)
		}
	}
	if got := tells(t, db); got != want {
		t.Errorf("the server answers\n%snot\n%s", got, want)
	}
}
