package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vigil-sql/vigil/tests/harness"
)

// backup runs BACKUP TO on a connection of its own.
func backup(p *harness.Process, dir string) error {
	c, err := p.TryConnect()
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	_, err = c.Exec(context.Background(), "BACKUP TO '"+dir+"'")
	return err
}

// TestBackupUnderLoad writes backups while events come in. A server that is started on one has all that was acknowledged before
// BACKUP was said; given the events after that again, with their keys, it ends as an undisturbed one does. So does the server
// that wrote them.
func TestBackupUnderLoad(t *testing.T) {
	load := pieces()
	calm := harness.Start(t, t.TempDir())
	harness.Exec(t, calm.Connect(t), schema...)
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	type made struct {
		dir  string
		from int // pieces before it were acknowledged
		done chan error
	}
	var list []made
	var unfinished *made
	for i, b := range load {
		if i%8 == 0 && unfinished != nil { // the table changes next: what was answered during a backup may be in it or not
			if err := <-unfinished.done; err != nil {
				t.Fatal(err)
			}
			unfinished = nil
		}
		change(t, calm, i)
		if i == 65 || i == 89 || i == 113 {
			list = append(list, made{filepath.Join(t.TempDir(), "backup"), i, make(chan error, 1)})
			unfinished = &list[len(list)-1]
			go func(m made) { m.done <- backup(calm, m.dir) }(*unfinished)
		}
		if ok, err := send(calm, i, b); !ok {
			t.Fatal(err)
		}
	}
	want := outcome(t, calm)
	calm.Kill()
	for _, m := range list {
		p := harness.Start(t, m.dir, "--workers", fmt.Sprint(1+rng.Intn(3)), "--checkpoint-every", "20ms")
		count, err := strconv.Atoi(harness.Rows(t, p.Connect(t), "SELECT count(*) FROM auth WHERE ts IS NOT NULL")[0])
		have := count / pieceEvents
		if err != nil || have < m.from || count%pieceEvents != 0 {
			t.Errorf("the backup of piece %d has %d events: %v", m.from, count, err)
		}
		for i := m.from; i < len(load); i++ {
			if i > m.from {
				change(t, p, i)
			}
			if byCopy(i) && i < have {
				continue // it came in while the backup was written, and has no key
			}
			if ok, err := send(p, i, load[i]); !ok {
				t.Fatal(err, p.Log())
			}
		}
		got := outcome(t, p)
		for q := range want {
			compare(t, fmt.Sprint("after the backup at piece ", m.from, ": ", q), got[q], want[q])
		}
		p.Kill()
	}
	if len(list) < 3 {
		t.Fatalf("%d backups: the test shows little", len(list))
	}
	t.Logf("%d backups", len(list))
}

// TestBackupWhileStreamsGo: streams that are created and dropped while backups are written are in them whole, or not at all.
func TestBackupWhileStreamsGo(t *testing.T) {
	const rounds, rows = 12, 500
	p := harness.Start(t, t.TempDir(), "--checkpoint-every", "10ms")
	c := p.Connect(t)
	with := 0
	for i := range rounds {
		harness.Exec(t, c, fmt.Sprintf(smallStream, "s"), `CREATE CONTINUOUS QUERY q AS SELECT k, n FROM s`,
			fmt.Sprintf(`INSERT INTO s SELECT '2026-03-01 12:00:00Z', 'x', n FROM generate_series(1, %d) AS n`, rows))
		dir := filepath.Join(t.TempDir(), "backup")
		var wg sync.WaitGroup
		var err error
		wg.Go(func() { err = backup(p, dir) })
		for range i * 3 {
			harness.Exec(t, c, `INSERT INTO s VALUES ('2026-03-01 12:00:01Z', 'y', 0)`)
		}
		harness.Exec(t, c, `DROP STREAM s CASCADE`, fmt.Sprintf(smallStream, "other"), `INSERT INTO other VALUES ('2026-03-01 12:00:00Z', 'x', 1)`, `DROP STREAM other`)
		wg.Wait()
		if err != nil {
			t.Fatalf("round %d: %v\n%s", i, err, p.Log())
		}
		r := harness.Start(t, dir)
		rc := r.Connect(t)
		if len(harness.Rows(t, rc, "SELECT name FROM vigil.streams WHERE name = 's'")) > 0 {
			with++
			got := harness.Rows(t, rc, "SELECT (SELECT count(*) FROM s WHERE k = 'x'), (SELECT count(*) FROM q WHERE k = 'x'), (SELECT count(*) FROM s WHERE k = 'y') = (SELECT count(*) FROM q WHERE k = 'y')")
			if want := fmt.Sprintf("%d|%d|t", rows, rows); got[0] != want {
				t.Errorf("round %d: %s, want %s", i, got[0], want)
			}
		}
		r.Kill()
	}
	if logs, err := os.ReadDir(filepath.Join(p.Dir, "log")); err != nil || len(logs) > 0 {
		t.Errorf("logs of dropped streams are left: %v %v", logs, err)
	}
	if with == 0 || with == rounds {
		t.Errorf("the stream was in %d of %d backups", with, rounds)
	}
}

// TestBackupRefused: where a backup cannot be, nothing of it is left, and a backup that was not finished is no data directory.
func TestBackupRefused(t *testing.T) {
	base := t.TempDir()
	data, full := filepath.Join(base, "data"), filepath.Join(base, "full")
	p := harness.Start(t, data)
	if err := os.MkdirAll(full, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(data, filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	for dir, code := range map[string]string{"relative": "22023", full: "58P02", data: "22023", filepath.Join(data, "log", "7"): "22023",
		filepath.Join(base, "link", "x"): "22023", filepath.Join(full, "x"): "58030"} {
		err := backup(p, dir)
		if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != code || pe.Hint == "" {
			t.Errorf("BACKUP TO %q: %v, want %s and a hint", dir, err, code)
		}
	}
	empty := filepath.Join(base, "empty")
	if err := os.MkdirAll(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := backup(p, empty); err != nil {
		t.Fatalf("an empty directory: %v", err)
	}
	if err := os.Rename(filepath.Join(empty, "kv"), filepath.Join(empty, "kv.unfinished")); err != nil {
		t.Fatal(err)
	}
	if r, err := harness.TryStart(t, empty); err == nil || !strings.Contains(err.Error(), "was not finished") {
		t.Errorf("started on an unfinished backup: %v %v", r, err)
	}
	c := p.Connect(t)
	for _, sql := range []string{"BEGIN; BACKUP TO '" + base + "/b1'", "SELECT 1; BACKUP TO '" + base + "/b1'"} {
		if _, err := harness.TryRows(c, sql); err == nil || !strings.Contains(err.Error(), "25001") {
			t.Errorf("%s: %v", sql, err)
		}
		harness.Exec(t, c, "ROLLBACK")
	}
	harness.Exec(t, c, "CREATE ROLE plain LOGIN", "SET ROLE plain")
	if _, err := harness.TryRows(c, "BACKUP TO '"+base+"/b1'"); err == nil || !strings.Contains(err.Error(), "42501") {
		t.Errorf("by a role without SUPERUSER: %v", err)
	}
	if _, err := os.Stat(base + "/b1"); err == nil {
		t.Error("a refused backup made a directory")
	}
}

// TestBackupHoldsAcknowledged: what was answered is in a backup that begins next, though its epoch is still open.
func TestBackupHoldsAcknowledged(t *testing.T) {
	p := harness.Start(t, t.TempDir())
	c := p.Connect(t)
	harness.Exec(t, c, `CREATE STREAM auth (ts TIMESTAMPTZ NOT NULL, n INT, WATERMARK FOR ts AS ts)`)
	for i := range 4 {
		if ok, err := post(p, i, []byte(`{"ts":"2026-03-01T12:00:00Z","n":1}`)); !ok {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "backup")
		harness.Exec(t, c, "BACKUP TO '"+dir+"'")
		r := harness.Start(t, dir)
		if got := harness.Rows(t, r.Connect(t), "SELECT count(*) FROM auth WHERE n = 1"); got[0] != fmt.Sprint(i+1) {
			t.Errorf("%s events are in the backup, %d were acknowledged", got[0], i+1)
		}
		r.Kill()
	}
}
