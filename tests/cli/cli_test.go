// Package cli tests the command: its contract with the shell, with files and with its own data directory.
package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// vigil runs the command and returns its output and exit code.
func vigil(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.PatienceMax)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Binary(t), args...)
	out, _ := cmd.CombinedOutput() // the exit code says what the error would
	return string(out), cmd.ProcessState.ExitCode()
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	p := harness.Start(t, dir)
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"directory in use", []string{"serve", "--data", dir, "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0"}, "in use"},
		{"open address", []string{"serve", "--data", t.TempDir(), "--pg", "0.0.0.0:0", "--http", "127.0.0.1:0"}, "--insecure"},
		{"port taken", []string{"serve", "--data", t.TempDir(), "--pg", p.PG, "--http", "127.0.0.1:0"}, "address already in use"},
		{"no such stream", []string{"load", "--http", p.HTTP, "nope", os.Args[0]}, "does not exist"},
		{"no such server", []string{"apply", "--pg", "127.0.0.1:1", t.TempDir()}, "no *.sql files"},
	} {
		if out, code := vigil(t, c.args...); code != 1 || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit code %d, output %q", c.name, code, out)
		}
	}
	if out, code := vigil(t, "version"); code != 0 || !strings.HasPrefix(out, "vigil ") {
		t.Errorf("version: %q, exit code %d", out, code)
	}
}

func TestStopAndConfig(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(t.TempDir(), "vigil.conf")
	write(t, config, "# two workers\nworkers = 2\nlog-level = \"warn\"\n")
	p := harness.Start(t, dir, "--config", config)
	harness.Exec(t, p.Connect(t), "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, WATERMARK FOR ts AS ts)", "INSERT INTO s VALUES ('2026-01-01')")
	if code := p.Stop(t); code != 0 {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, p.Log())
	}
	if strings.Contains(p.Log(), "level=INFO") {
		t.Error("the configuration file's log-level was not applied")
	}
	again := harness.Start(t, dir)
	if rows := harness.Rows(t, again.Connect(t), "SELECT count(*) FROM s"); rows[0] != "1" {
		t.Errorf("%s rows after the restart", rows[0])
	}
	write(t, config, "colour = blue\n")
	if out, code := vigil(t, "serve", "--data", t.TempDir(), "--config", config); code == 0 || !strings.Contains(out, "colour") {
		t.Errorf("unknown key: exit code %d, %q", code, out)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadAndApply(t *testing.T) {
	p := harness.Start(t, t.TempDir())
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.sql"), "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, WATERMARK FOR ts AS ts);\n")
	write(t, filepath.Join(dir, "2.sql"), "CREATE CONTINUOUS QUERY q AS SELECT n FROM s\n  WHERE n = 7;\n")
	if out, code := vigil(t, "apply", "--pg", p.PG, dir); code != 0 || !strings.Contains(out, "2.sql") {
		t.Fatalf("apply: exit code %d\n%s", code, out)
	}
	write(t, filepath.Join(dir, "3.sql"), "SELECT 1;\nSELECT nope\n  FROM s;\n")
	if out, code := vigil(t, "apply", "--pg", p.PG, dir); code != 1 || !strings.Contains(out, "1.sql") || !strings.Contains(out, "already exists") {
		t.Errorf("apply again: exit code %d\n%s", code, out)
	}
	if err := os.Remove(filepath.Join(dir, "1.sql")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "2.sql")); err != nil {
		t.Fatal(err)
	}
	if out, code := vigil(t, "apply", "--pg", p.PG, dir); code != 1 || !strings.Contains(out, "3.sql:2") {
		t.Errorf("apply with an error: exit code %d\n%s", code, out)
	}
	var lines bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&lines, `{"ts":"2026-01-01T00:00:%02dZ","n":%d}`+"\n", i%60, i)
	}
	plain, packed := filepath.Join(dir, "a.ndjson"), filepath.Join(dir, "b.ndjson.gz")
	write(t, plain, lines.String()+"{broken\n")
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(lines.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, packed, z.String())
	if out, code := vigil(t, "load", "--http", p.HTTP, "s", plain, packed); code != 0 || !strings.Contains(out, "2000 accepted, 1 rejected") {
		t.Errorf("load: exit code %d\n%s", code, out)
	}
	c := p.Connect(t)
	harness.WaitRows(t, c, "SELECT n FROM q", func(rows []string) bool { return fmt.Sprint(rows) == "[7 7]" })
}

// TestDemo runs the simulation for 40 seconds of event time: two periods, in each a brute force, a scan, six contacts.
func TestDemo(t *testing.T) {
	out, code := vigil(t, "demo", "--once", "--events", "40000", "--rate", "0", "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for rule, want := range map[string]int{"brute_force": 2, "smb_scan": 2, "ioc_contact": 12} {
		n := 0
		for _, line := range strings.Split(out, "\n") {
			if strings.HasPrefix(line, "ALERT") && strings.Contains(line, "  "+rule) {
				n++
			}
		}
		if n != want {
			t.Errorf("%d alerts of %s, want %d\n%s", n, rule, want, out)
		}
	}
	if !strings.Contains(out, "psql -h 127.0.0.1 -p ") {
		t.Error("the demonstration does not say how to connect")
	}
}

// TestGarbage sends noise to both ports: the connection ends, the server does not.
func TestGarbage(t *testing.T) {
	p := harness.Start(t, t.TempDir())
	noise := bytes.Repeat([]byte{0xff, 0x00, 'Q', 0x7f, '\n', 0x13}, 500)
	for _, addr := range []string{p.PG, p.HTTP} {
		for n := 1; n < len(noise); n += 377 {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write(noise[:n]) // the server may close first
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.CloseWrite() // as above
			}
			_, _ = conn.Read(make([]byte, 4096)) // an error message, or the end
			_ = conn.Close()                     // it is over either way
		}
	}
	if rows := harness.Rows(t, p.Connect(t), "SELECT 1"); rows[0] != "1" {
		t.Error("the server does not answer any more")
	}
	res, err := http.Get("http://" + p.HTTP + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("readyz answers %s", res.Status)
	}
	if code := p.Stop(t); code != 0 || strings.Contains(p.Log(), "panic") {
		t.Errorf("exit code %d\n%s", code, p.Log())
	}
}
