package wire

import (
	"context"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/wire/fakeengine"
)

// postgresBin is where the servers of Debian's postgresql-15 are.
const postgresBin = "/usr/lib/postgresql/15/bin"

// runAll runs every script below the directories.
func runAll(t *testing.T, target Target, dirs ...string) {
	n := 0
	for _, dir := range dirs {
		paths, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			n++
			t.Run(filepath.Base(path), func(t *testing.T) { Run(t, target, path) })
		}
	}
	if n == 0 {
		t.Fatal("no scripts found")
	}
}

// startFake serves the fake engine and returns how to reach it.
func startFake(t *testing.T) Target {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := pgwire.NewServer(&fakeengine.Engine{}, pgwire.Options{MessageBytesMax: 1 << 20})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return Target{Network: "tcp", Addr: ln.Addr().String(), User: "wire", Database: "vigil"}
}

func TestFake(t *testing.T) { runAll(t, startFake(t), "common", "vigil") }

func TestFakeOneByteAtATime(t *testing.T) {
	target := startFake(t)
	target.OneByte = true
	runAll(t, target, "common", "vigil")
}

// TestAddress runs the common scripts against a server that is already there, such as vigil.
func TestAddress(t *testing.T) {
	addr := os.Getenv("VIGIL_WIRE_ADDR")
	if addr == "" {
		t.Skip("VIGIL_WIRE_ADDR (host:port of a running server) is not set")
	}
	runAll(t, Target{Network: "tcp", Addr: addr, User: "wire", Database: "vigil"}, "common")
}

func TestPostgres(t *testing.T) { runAll(t, startPostgres(t), "common", "sql") }

// TestVigil runs the scripts that need a server with a language.
func TestVigil(t *testing.T) {
	p := harness.Start(t, t.TempDir())
	runAll(t, Target{Network: "tcp", Addr: p.PG, User: "wire", Database: "vigil"}, "sql")
}

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// startPostgres makes a fresh cluster on a Unix socket. Postgres refuses to run as root, so root runs it as nobody.
func startPostgres(t *testing.T) Target {
	if _, err := os.Stat(filepath.Join(postgresBin, "postgres")); err != nil {
		t.Skipf("needs PostgreSQL 15 (%s/postgres), from the package postgresql-15", postgresBin)
	}
	dir, err := os.MkdirTemp("", "vigil-wire-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var attr *syscall.SysProcAttr
	if os.Getuid() == 0 {
		uid, gid := nobody(t)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	run := func(name string, args ...string) {
		cmd := exec.Command(filepath.Join(postgresBin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, attr
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
	run("initdb", "-D", data, "-U", "wire", "-A", "trust", "-E", "UTF8", "--no-sync")
	run("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"),
		"-o", "-c listen_addresses='' -c unix_socket_directories='"+dir+"' -c fsync=off -c timezone=UTC -c work_mem=64MB", "start")
	t.Cleanup(func() { run("pg_ctl", "-D", data, "-m", "immediate", "stop") })
	return Target{Network: "unix", Addr: filepath.Join(dir, ".s.PGSQL.5432"), User: "wire", Database: "postgres"}
}

func nobody(t *testing.T) (uid, gid int) {
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("needs the user nobody to run PostgreSQL as: %v", err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		t.Fatalf("ids of nobody: %v, %v", err1, err2)
	}
	return uid, gid
}
