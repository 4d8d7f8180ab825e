package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

// smallDisk mounts a file system of 96 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", dir).CombinedOutput(); err != nil {
		need.Missing(t, fmt.Sprintf("a file system that can be filled (mount: %v %s)", err, out), "run the tests as root on Linux")
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error("unmount:", err)
		}
	})
	return dir
}

// fullRun is a server on a small disk, and what it has acknowledged.
type fullRun struct {
	t     *testing.T
	disk  string
	p     *harness.Process
	acked int
	piece int
}

// get is the status and the body of a GET.
func (r *fullRun) get(path string) (int, string) {
	r.t.Helper()
	res, err := http.Get("http://" + r.p.HTTP + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

const fullRows = 2000

// send sends rows with a new key; when they are refused it checks in which words, and sends the same the next time.
func (r *fullRun) send() bool {
	r.t.Helper()
	var b bytes.Buffer
	for i := range fullRows {
		fmt.Fprintf(&b, `{"ts":"2026-03-01T12:00:00Z","k":"%0200d","n":%d}`+"\n", r.piece, i)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+r.p.HTTP+"/v1/streams/s/events", &b)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", fmt.Sprint(r.piece))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err, r.p.Log())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		r.acked += fullRows
		r.piece++
		return true
	}
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !bytes.Contains(body, []byte(`"53100"`)) || !bytes.Contains(body, []byte("hint")) {
		r.t.Fatalf("refused with %d, Retry-After %q: %s", res.StatusCode, res.Header.Get("Retry-After"), body)
	}
	return false
}

// fill sends until the disk has no more room, and readiness says so. Refusals that end when the store has tidied up are no matter.
func (r *fullRun) fill() {
	r.t.Helper()
	for range 10_000 {
		if r.send() {
			continue
		}
		if status, body := r.get("/readyz"); status == http.StatusServiceUnavailable && strings.Contains(body, "the disk") {
			return
		}
	}
	r.t.Fatal("the disk does not fill")
}

// stuff takes all that is left of the disk.
func (r *fullRun) stuff() {
	r.t.Helper()
	f, err := os.Create(filepath.Join(r.disk, "stuffing"))
	if err != nil {
		r.t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	for ; err == nil || errors.Is(err, syscall.ENOSPC) && f != nil; f = nil { // the last bytes, too
		_, _ = f.Write([]byte{0})
		_ = f.Close()
	}
	if !errors.Is(err, syscall.ENOSPC) {
		r.t.Fatal(err)
	}
}

func (r *fullRun) remove(name string) {
	r.t.Helper()
	if err := os.Remove(filepath.Join(r.disk, name)); err != nil {
		r.t.Fatal(err)
	}
}

// ballast takes room that is given back later.
func (r *fullRun) ballast(name string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.disk, name), make([]byte, 20<<20), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// await asks until the answer to /readyz is what it should be.
func (r *fullRun) await(status int, words string) {
	r.t.Helper()
	deadline := time.Now().Add(harness.PatienceMax)
	for {
		got, body := r.get("/readyz")
		if got == status && strings.Contains(body, words) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("readyz: %d %s, want %d %s\n%s", got, body, status, words, r.p.Log())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// check compares what there is with what was acknowledged.
func (r *fullRun) check() {
	r.t.Helper()
	want := fmt.Sprintf("%d|%d|%d", r.acked, r.acked, r.piece)
	sql := "SELECT (SELECT count(*) FROM s WHERE n >= 0), (SELECT count(*) FROM q), (SELECT count(DISTINCT k) FROM q)"
	c := r.p.Connect(r.t) // events are answered when they are decoded, results follow
	harness.WaitRows(r.t, c, sql, func(rows []string) bool { return rows[0] == want })
	if got := harness.Rows(r.t, c, sql)[0]; got != want {
		r.t.Errorf("events, results and pieces: %s, want %s", got, want)
	}
}

// TestFullDisk fills the disk of a server: first so far that it takes no more events, then to the last byte, then again while it
// is stopped and killed. Each time it says what is wrong, its readiness is red, what was acknowledged stays, and it goes on by
// itself as soon as there is room.
func TestFullDisk(t *testing.T) {
	r := &fullRun{t: t, disk: smallDisk(t)}
	for _, name := range []string{"b1", "b2", "b3"} {
		r.ballast(name)
	}
	data, args := filepath.Join(r.disk, "data"), []string{"--checkpoint-every", "50ms"}
	r.p = harness.Start(t, data, args...)
	harness.Exec(t, r.p.Connect(t), `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k TEXT, n BIGINT, WATERMARK FOR ts AS ts) FORMAT JSON`,
		`CREATE CONTINUOUS QUERY q AS SELECT k FROM s`, `CREATE CONTINUOUS QUERY c AS SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 hour')`)
	r.fill()
	r.remove("b1")
	r.await(http.StatusOK, "ready")
	r.send()
	r.check()

	r.stuff()
	r.await(http.StatusServiceUnavailable, "the disk")
	ddl := make(chan error, 1)
	go func() { ddl <- manyTables(r.p, "a") }()
	r.await(http.StatusServiceUnavailable, "nothing can be committed")
	if r.send() {
		t.Error("events were taken while nothing could be committed")
	}
	r.remove("stuffing")
	r.await(http.StatusOK, "ready")
	if err := <-ddl; err != nil {
		t.Errorf("what waited for room: %v\n%s", err, r.p.Log())
	}
	r.send()
	r.check()

	for prefix, end := range map[string]func(){"b": func() { r.p.Kill() }, "c": func() {
		if code := r.p.Stop(t); code != 1 || !strings.Contains(r.p.Log(), "nothing that was acknowledged is lost") {
			t.Errorf("exit code %d of a server that ended on a full disk\n%s", code, r.p.Log())
		}
	}} {
		r.stuff()
		go func(p *harness.Process) { _ = manyTables(p, prefix) }(r.p) // it ends with the server
		r.await(http.StatusServiceUnavailable, "nothing can be committed")
		end()
		r.remove("stuffing")
		r.p = harness.Start(t, data, args...)
		r.check()
		if !r.send() {
			t.Error("no events are taken after a restart with room")
		}
		r.check()
	}
	r.fill()
	r.remove("b2")
	r.await(http.StatusOK, "ready")
	if !r.send() { // what was refused last may have been written: now it is acknowledged
		t.Error("no events are taken although there is room")
	}
	r.check()
	if code := r.p.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// manyTables changes the catalogue until that has to wait for room, and then a little more. A refusal for want of room is no failure.
func manyTables(p *harness.Process, prefix string) error {
	c, err := p.TryConnect()
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	for i := range 400 {
		_, err := c.Exec(context.Background(), fmt.Sprintf("CREATE TABLE %s%d (%s INT)", prefix, i, strings.Repeat("long", 15)))
		if pe, ok := errors.AsType[*pgconn.PgError](err); ok && pe.Code == "53100" {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
