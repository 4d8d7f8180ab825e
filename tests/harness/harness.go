// Package harness runs the real vigil binary for tests: start, wait for its ready line, talk to it with pgx and HTTP, stop
// it in order or kill it.
package harness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	// The binary is built while the tests run; these imports tell the go command that results depend on it.
	_ "github.com/vigil-sql/vigil/server"
	_ "github.com/vigil-sql/vigil/server/demo"
	"github.com/vigil-sql/vigil/tests/need"
	_ "github.com/vigil-sql/vigil/udf/worker"
)

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary builds vigil once per test process.
func Binary(t testing.TB) string {
	t.Helper()
	build.once.Do(func() {
		dir, err := os.MkdirTemp("", "vigil-bin")
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "vigil")
		cmd := exec.Command("go", "build", "-o", build.path, "./server/cmd/vigil")
		cmd.Dir = need.Root()
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("build vigil: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// Cleanup removes the binary; call it at the end of TestMain.
func Cleanup() {
	if build.path != "" {
		_ = os.RemoveAll(filepath.Dir(build.path)) // a temporary directory
	}
}

// Process is a running server.
type Process struct {
	PG, HTTP string
	// Dir is the data directory.
	Dir    string
	cmd    *exec.Cmd
	stderr *lockedBuffer
	exited chan error
	// lines are those of standard output; ready: it said so.
	lines chan string
	ready bool
}

// lockedBuffer collects output that two goroutines touch.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is what has been written.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// PatienceMax bounds every wait of a test for the server: long enough for a slow machine, short enough to end.
const PatienceMax = 60 * time.Second

var readyLine = regexp.MustCompile(`^vigil (loading|ready) pg=(\S+) http=(\S+)$`)

// Start runs `vigil serve` on a directory and waits for its ready line; it is killed at the end of the test.
func Start(t testing.TB, dir string, args ...string) *Process {
	t.Helper()
	p, err := TryStart(t, dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TryStart is Start for servers that may refuse.
func TryStart(t testing.TB, dir string, args ...string) (*Process, error) {
	t.Helper()
	p, err := TryStartLoading(t, dir, args...)
	if err == nil {
		err = p.Ready()
	}
	return p, err
}

// Ready waits until the server has loaded its state.
func (p *Process) Ready() error {
	for !p.ready {
		if err := p.next(); err != nil {
			return err
		}
	}
	return nil
}

// IsReady tells whether the server has said that it has loaded its state.
func (p *Process) IsReady() bool {
	for !p.ready && len(p.lines) > 0 {
		_ = p.next() // one that has ended is not ready
	}
	return p.ready
}

// TryStartLoading is TryStart that returns as soon as clients may connect: the server may still be loading its state.
func TryStartLoading(t testing.TB, dir string, args ...string) (*Process, error) {
	t.Helper()
	args = append([]string{"serve", "--data", dir, "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)
	p := &Process{Dir: dir, cmd: exec.Command(Binary(t), args...), stderr: &lockedBuffer{}, exited: make(chan error, 1), lines: make(chan string, 2)}
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s := bufio.NewScanner(stdout)
		for s.Scan() {
			select {
			case p.lines <- s.Text():
			default:
			}
		}
		p.exited <- p.cmd.Wait()
	}()
	t.Cleanup(p.Kill)
	return p, p.next()
}

// next takes in the next line of output.
func (p *Process) next() error {
	select {
	case line := <-p.lines:
		m := readyLine.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("a line of output is %q", line)
		}
		p.ready, p.PG, p.HTTP = m[1] == "ready", m[2], m[3]
		return nil
	case err := <-p.exited:
		p.exited <- err
		return fmt.Errorf("vigil ended before it was ready: %v\n%s", err, p.stderr)
	case <-time.After(PatienceMax):
		p.Kill()
		return fmt.Errorf("vigil was not ready in time\n%s", p.stderr)
	}
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is what the server wrote to standard error.
func (p *Process) Log() string { return p.stderr.String() }

// Kill is kill -9; killing twice does no harm.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	select {
	case err := <-p.exited:
		p.exited <- err
	case <-time.After(PatienceMax):
	}
}

// Stop sends SIGTERM and returns the exit code.
func (p *Process) Stop(t testing.TB) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.exited:
		p.exited <- err
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		}
		if err != nil {
			t.Fatal(err)
		}
		return 0
	case <-time.After(PatienceMax):
		t.Fatalf("vigil did not stop in time\n%s", p.stderr)
	}
	return -1
}

// Connect opens a Postgres connection that ends with the test.
func (p *Process) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	c, err := p.TryConnect()
	if err != nil {
		t.Fatalf("connect: %v\n%s", err, p.stderr)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) }) // the server may be gone by then
	return c
}

// TryConnect is Connect for servers that may be gone; the caller closes the connection.
func (p *Process) TryConnect() (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), PatienceMax)
	defer cancel()
	return pgx.Connect(ctx, "postgres://test@"+p.PG+"/vigil?sslmode=disable")
}

// Exec runs statements, each in its own message.
func Exec(t testing.TB, c *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := c.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s\n%v", sql, err)
		}
	}
}

// Rows runs a query and returns its rows as text, fields separated by "|".
func Rows(t testing.TB, c *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := TryRows(c, sql)
	if err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
	return rows
}

// TryRows is Rows for queries that may fail.
func TryRows(c *pgx.Conn, sql string) ([]string, error) {
	results, err := c.PgConn().Exec(context.Background(), sql).ReadAll()
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, r := range results {
		for _, row := range r.Rows {
			var line bytes.Buffer
			for i, f := range row {
				if i > 0 {
					line.WriteByte('|')
				}
				if f == nil {
					line.WriteString("NULL")
				}
				line.Write(f)
			}
			out = append(out, line.String())
		}
	}
	return out, nil
}

// WaitRows asks again and again until the rows satisfy a condition, and returns them.
func WaitRows(t testing.TB, c *pgx.Conn, sql string, ok func(rows []string) bool) []string {
	t.Helper()
	deadline := time.Now().Add(PatienceMax)
	for {
		rows := Rows(t, c, sql)
		if ok(rows) {
			return rows
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\nstill gives %d rows: %q", sql, len(rows), rows[:min(len(rows), 20)])
		}
		<-time.After(10 * time.Millisecond)
	}
}
