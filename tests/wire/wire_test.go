package wire

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/wire/fakeengine"
)

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
	runAll(t, Target{Network: "tcp", Addr: p.PG, User: "test", Database: "vigil"}, "sql")
}

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// startPostgres makes a fresh cluster of a real PostgreSQL.
func startPostgres(t *testing.T) Target {
	return Target{Network: "unix", Addr: filepath.Join(harness.StartPostgres(t).Dir, ".s.PGSQL.5432"), User: "test", Database: "postgres"}
}
