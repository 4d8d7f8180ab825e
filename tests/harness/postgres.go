package harness

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/vigil-sql/vigil/tests/need"
)

// Postgres is a real PostgreSQL 15 of this test's own, on a Unix socket.
type Postgres struct {
	// Dir holds the socket and the data.
	Dir string
}

// StartPostgres makes a fresh cluster and stops it at the end of the test; without PostgreSQL 15 the test is skipped, and
// fails in CI. Postgres refuses to run as root, so root runs it as nobody.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	bin := filepath.Dir(need.Postgres15(t))
	dir, err := os.MkdirTemp("", "vigil-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	run := func(name string, args ...string) {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, asNobody(t, dir)
		cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C")
		log, err := os.Create(filepath.Join(dir, name+".out"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log // a file: the server, which inherits it, must not hold up Run
		if err := cmd.Run(); err != nil {
			b, _ := os.ReadFile(log.Name())
			t.Fatalf("%s: %v\n%s", name, err, b)
		}
	}
	data := filepath.Join(dir, "data")
	run("initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--lc-collate=C", "--lc-ctype=C.UTF-8", "--no-sync")
	run("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"),
		"-o", "-c listen_addresses='' -c unix_socket_directories='"+dir+"' -c fsync=off -c timezone=UTC -c work_mem=64MB", "start")
	t.Cleanup(func() { run("pg_ctl", "-D", data, "-m", "immediate", "stop") })
	return &Postgres{Dir: dir}
}

// asNobody gives the directory to nobody and runs as nobody, where the test runs as root.
func asNobody(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatalf("needs the user nobody to run PostgreSQL as: %v", err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		t.Fatalf("ids of nobody: %v, %v", err1, err2)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// Connect opens a connection that ends with the test.
func (p *Postgres) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), PatienceMax)
	defer cancel()
	c, err := pgx.Connect(ctx, strings.Join([]string{"host=" + p.Dir, "user=test", "dbname=postgres", "sslmode=disable"}, " "))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) }) // the server may be gone by then
	return c
}
