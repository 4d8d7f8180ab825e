package clients

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

//go:embed testdata/schema.sql
var schema string

// start runs a server with the schema that the programs expect.
func start(t *testing.T) *harness.Process {
	t.Helper()
	p := harness.Start(t, t.TempDir())
	for _, statement := range strings.Split(strings.TrimSpace(schema), "\n") {
		harness.Exec(t, p.Connect(t), statement)
	}
	return p
}

// client is a program that uses a client.
type client struct {
	name string
	// command is the program, run in dir; it skips the test where something is missing.
	command func(t *testing.T) *exec.Cmd
	// least is how many checks it must report: a program that ends early proves nothing.
	least int
}

var clients = []client{
	{"psycopg", python("use_psycopg.py"), 19},
	{"psycopg2", python("use_psycopg2.py"), 8},
	{"asyncpg", python("use_asyncpg.py"), 17},
	{"sqlalchemy", python("use_sqlalchemy.py"), 8},
	{"odbc", odbc, 11},
	{"node", node, 15},
	{"jdbc", jdbc, 21},
	{"libpq", libpq, 14},
}

// python runs a script with the interpreter of the test's own environment.
func python(script string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		bin := need.Made(t, "tests/clients/target/venv/bin/python", "Python's clients", "run make clients (needs python3 with venv)")
		cmd := exec.Command(bin, "-B", script)
		cmd.Dir = "python"
		return cmd
	}
}

func odbc(t *testing.T) *exec.Cmd {
	if found, _ := filepath.Glob("/usr/lib/*/odbc/psqlodbcw.so"); len(found) == 0 {
		need.Missing(t, "psqlodbc", "install Debian's odbc-postgresql")
	}
	return python("use_odbc.py")(t)
}

func node(t *testing.T) *exec.Cmd {
	bin := need.Binary(t, "node", "install Debian's nodejs")
	need.Made(t, "tests/clients/node/node_modules/pg/package.json", "node-postgres", "run make clients (needs npm)")
	cmd := exec.Command(bin, "use_pg.js")
	cmd.Dir = "node"
	return cmd
}

func jdbc(t *testing.T) *exec.Cmd {
	java := need.Java(t)
	jars := need.Made(t, "tests/clients/jdbc/target/jars/postgresql-*.jar", "the JDBC driver", "run make clients (needs Maven)")
	cmd := exec.Command(java, "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", filepath.Dir(jars)+"/*", "Use.java")
	cmd.Dir = "jdbc"
	return cmd
}

func libpq(t *testing.T) *exec.Cmd {
	bin := need.Made(t, "tests/clients/target/libpq", "the program that uses lib/pq", "run make clients")
	return exec.Command(bin)
}

func TestClients(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			cmd := c.command(t)
			report(t, c, cmd, start(t))
		})
	}
}

// report runs a program and makes a subtest of every line it prints.
func report(t *testing.T, c client, cmd *exec.Cmd, p *harness.Process) {
	host, port, err := net.SplitHostPort(p.PG)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*harness.PatienceMax)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer stop()
	cmd.Env = append(os.Environ(), "VIGIL_HOST="+host, "VIGIL_PORT="+port, "TZ=UTC")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	runErr := cmd.Run()
	seen := 0
	for s := bufio.NewScanner(&out); s.Scan(); {
		verdict, rest, _ := strings.Cut(s.Text(), " ")
		name, why, _ := strings.Cut(rest, ": ")
		if verdict != "ok" && verdict != "FAIL" {
			t.Errorf("unexpected output: %s", s.Text())
			continue
		}
		seen++
		t.Run(name, func(t *testing.T) { judge(t, c.name+"/"+name, verdict == "ok", why) })
	}
	if seen < c.least {
		t.Errorf("%d checks reported, want at least %d: %v\n%s", seen, c.least, runErr, errs.String())
	}
}

// judge compares a verdict with what is known to be missing.
func judge(t *testing.T, check string, ok bool, why string) {
	reason, known := notYet[check]
	switch {
	case ok && known:
		t.Errorf("%s works now: remove it from the list of what does not work yet", check)
	case !ok && known:
		t.Skipf("not yet: %s (%s)", reason, why)
	case !ok:
		t.Error(why)
	}
}
