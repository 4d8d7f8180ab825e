package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// Target is the server that scripts run against.
type Target struct {
	// Network and Addr are as for net.Dial.
	Network, Addr string
	// User and Database of connections that name none.
	User, Database string
	// OneByte sends every byte by itself.
	OneByte bool
}

// script is the state of one file: its connections by name.
type script struct {
	t       *testing.T
	target  Target
	clients map[string]*client
}

// Run runs a script file against a server.
func Run(t *testing.T, target Target, path string) {
	s := &script{t: t, target: target, clients: map[string]*client{}}
	defer func() {
		for _, c := range s.clients {
			c.nc.Close()
		}
	}()
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		out, err := s.command(d)
		if err != nil {
			return "script error: " + err.Error() + "\n"
		}
		return out
	})
}

// command runs one directive.
func (s *script) command(d *datadriven.TestData) (string, error) {
	name := arg(d, "conn", "main")
	switch d.Cmd {
	case "open", "connect":
		c, err := dial(s.target.Network, s.target.Addr)
		if err != nil {
			return "", err
		}
		if old := s.clients[name]; old != nil {
			old.nc.Close()
		}
		s.clients[name] = c
		if d.Cmd == "open" {
			return "", nil
		}
		return s.connect(c, d)
	}
	c := s.clients[name]
	if c == nil {
		return "", fmt.Errorf("there is no connection %q", name)
	}
	switch d.Cmd {
	case "send":
		return "", s.send(c, d.Input)
	case "until":
		return s.until(c, d)
	case "byte":
		b := make([]byte, 1)
		_, err := io.ReadFull(c.in, b)
		return fmt.Sprintf("%s\n", b), err
	case "cancel":
		return "", s.cancelRunning(c, d.HasArg("idle"))
	case "disconnect":
		delete(s.clients, name)
		return "", c.nc.Close()
	}
	return "", fmt.Errorf("unknown directive %q", d.Cmd)
}

// connect starts a session and reads up to ReadyForQuery or the end; parameters of the server are left out.
func (s *script) connect(c *client, d *datadriven.TestData) (string, error) {
	params := []string{"user", arg(d, "user", s.target.User)}
	if db := arg(d, "database", s.target.Database); db != "" {
		params = append(params, "database", db)
	}
	version, err := strconv.ParseUint(arg(d, "version", "196608"), 10, 32)
	if err != nil {
		return "", err
	}
	if err := c.startup(uint32(version), params); err != nil {
		return "", err
	}
	return receiveUntil(c, []string{"ReadyForQuery", "closed"}, []string{"ParameterStatus"})
}

// send encodes the lines and writes them at once, or byte by byte.
func (s *script) send(c *client, input string) error {
	var b []byte
	for line := range strings.Lines(input) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var err error
		if b, err = encodeLine(b, line); err != nil {
			return err
		}
	}
	if !s.target.OneByte {
		return c.write(b)
	}
	for i := range b {
		if err := c.write(b[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// until reads messages up to the last of those named in the input, in order; it also ends when the connection does.
func (s *script) until(c *client, d *datadriven.TestData) (string, error) {
	var ignore []string
	for _, a := range d.CmdArgs {
		if a.Key == "ignore" {
			ignore = a.Vals
		}
	}
	var out strings.Builder
	for _, want := range strings.Fields(d.Input) {
		text, err := receiveUntil(c, []string{want, "closed"}, ignore)
		out.WriteString(text)
		if err != nil {
			return out.String(), err
		}
	}
	return out.String(), nil
}

// receiveUntil reads messages up to one of those named.
func receiveUntil(c *client, last, ignore []string) (string, error) {
	var out strings.Builder
	for {
		name, text, err := c.receive()
		if err != nil {
			return out.String(), fmt.Errorf("after %q: %w", out.String(), err)
		}
		if !slices.Contains(ignore, name) {
			out.WriteString(text + "\n")
		}
		if slices.Contains(last, name) {
			return out.String(), nil
		}
	}
}

// cancelRunning cancels what c runs. A request that comes before its statement does nothing, so it is repeated until the
// server answers; idle is one request that does nothing.
func (s *script) cancelRunning(c *client, idle bool) error {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err := s.cancel(c); err != nil || idle || c.answered() {
			return err
		}
	}
	return fmt.Errorf("the statement goes on %s after it was cancelled", patience)
}

// cancel asks the server, on a connection of its own, to stop what c runs, and waits until the server has closed it.
func (s *script) cancel(c *client) error {
	k, err := dial(s.target.Network, s.target.Addr)
	if err != nil {
		return err
	}
	defer k.nc.Close()
	b := binary.BigEndian.AppendUint32(nil, 16)
	b = binary.BigEndian.AppendUint32(b, 80877102)
	b = binary.BigEndian.AppendUint32(b, c.pid)
	b = binary.BigEndian.AppendUint32(b, c.secret)
	if err := k.write(b); err != nil {
		return err
	}
	_, _, err = k.receive()
	return err
}

// arg returns an argument of a directive.
func arg(d *datadriven.TestData, key, otherwise string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return otherwise
}
