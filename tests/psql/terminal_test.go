package psql

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

// terminal is psql in a pseudo-terminal: what a person types and sees.
type terminal struct {
	t    *testing.T
	tty  *os.File
	text chan string
	seen string
}

// openTerminal starts psql in a new terminal and waits for its prompt.
func openTerminal(t *testing.T, p *harness.Process) *terminal {
	t.Helper()
	// A raw descriptor is made non-blocking, so that closing it ends the reader.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	tty := os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { _ = tty.Close() }) // nothing is lost
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	side, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(p.PG)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(need.Psql(t), "-X", "-h", host, "-p", port, "-U", "analyst", "vigil")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = side, side, side
	cmd.Env = append(os.Environ(), "TERM=dumb", "LC_ALL=C", "PSQL_PAGER=", "PSQL_HISTORY=/dev/null", "INPUTRC=/dev/null")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // it may have ended
	if err := side.Close(); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, tty: tty, text: make(chan string, 256)}
	go term.read()
	term.wait("vigil=# ")
	return term
}

// read passes on what the terminal shows, until it is closed.
func (m *terminal) read() {
	defer close(m.text)
	buf := make([]byte, 4096)
	for {
		n, err := m.tty.Read(buf)
		if n > 0 {
			m.text <- string(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// say types.
func (m *terminal) say(keys string) {
	m.t.Helper()
	if _, err := m.tty.WriteString(keys); err != nil {
		m.t.Fatal(err)
	}
}

// wait reads until the terminal shows a text, and forgets all up to its end.
func (m *terminal) wait(want string) string {
	m.t.Helper()
	late := time.After(harness.PatienceMax)
	for {
		if before, after, ok := strings.Cut(m.seen, want); ok {
			m.seen = after
			return before
		}
		select {
		case s, ok := <-m.text:
			if !ok {
				m.t.Fatalf("psql ended before it showed %q:\n%s", want, m.seen)
			}
			m.seen += s
		case <-late:
			m.t.Fatalf("psql does not show %q:\n%s", want, m.seen)
		}
	}
}

func TestCompletion(t *testing.T) {
	need.Psql(t)
	p := harness.Start(t, t.TempDir())
	psql(t, p, schema+people)
	m := openTerminal(t, p)
	for _, c := range []struct{ typed, shown, rest string }{
		{"SELECT * FROM au\t", "SELECT * FROM auth ", "WHERE false;\n"},
		{"SELECT count(*) FROM peo\t", "FROM people ", ";\n"},
		{"TABLE bus\t", "TABLE busy ", ";\n"},
		{"\\d aut\t", "\\d auth ", "\n"},
		{"INSERT INTO peo\t", "INSERT INTO people ", "VALUES (9);\n"},
		{"UPDATE people SET te\t", "SET team ", "= 'x' WHERE false;\n"},
		{"SET application_n\t", "SET application_name ", "TO 'x';\n"},
		{"\\df od\t", "\\df odd ", "\n"},
		{"\\dn pub\t", "\\dn public ", "\n"},
	} {
		m.say(c.typed)
		m.wait(c.shown)
		m.say(c.rest)
		if out := m.wait("vigil=# "); strings.Contains(out, "ERROR") && !strings.HasPrefix(c.typed, "INSERT") {
			t.Errorf("%s: %s", c.typed, out)
		}
	}
}

func TestInterrupts(t *testing.T) {
	need.Psql(t)
	p := harness.Start(t, t.TempDir())
	psql(t, p, people)
	m := openTerminal(t, p)
	m.say("SELECT count(*) AS people FROM people \\watch 0.05\n")
	for range 3 {
		m.wait("(every 0.05s)")
		m.wait("(1 row)")
	}
	m.say("\x03") // the interrupt key ends \watch
	m.wait("vigil=# ")
	m.say("SELECT count(*) FROM generate_series(1, 1000000000000) AS g;\n")
	m.wait("AS g;")
	<-time.After(200 * time.Millisecond) // psql sends a cancel request only for a statement that runs
	m.say("\x03")
	m.wait("canceling statement due to user request")
	m.wait("vigil=# ")
	m.say("BEGIN;\n")
	m.wait("vigil=*# ") // the prompt shows the transaction's state
	m.say("SELECT 1/0;\n")
	m.wait("vigil=!# ")
	m.say("ROLLBACK;\n")
	m.wait("vigil=# ")
	m.say("\\q\n")
}
