// Package wire runs scripts of exact protocol messages against a server. The language is described in README.md.
package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgproto3/v2"
)

// patience is how long a script waits for a message.
const patience = 10 * time.Second

// client is one connection of a script.
type client struct {
	nc       net.Conn
	in       *bufio.Reader
	frontend *pgproto3.Frontend
	pid      uint32
	secret   uint32
}

// dial connects without sending anything.
func dial(network, addr string) (*client, error) {
	nc, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(nc)
	return &client{nc: nc, in: in, frontend: pgproto3.NewFrontend(pgproto3.NewChunkReader(in), nc)}, nil
}

// startup sends a start-up message of a protocol version with parameters in the order given.
func (c *client) startup(version uint32, params []string) error {
	b := make([]byte, 4, 64)
	b = binary.BigEndian.AppendUint32(b, version)
	for _, p := range params {
		b = append(append(b, p...), 0)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return c.write(b)
}

func (c *client) write(b []byte) error {
	c.nc.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.nc.Write(b)
	return err
}

// frontendMessage makes the message of a type that JSON can fill.
func frontendMessage(name string) pgproto3.FrontendMessage {
	switch name {
	case "Bind":
		return &pgproto3.Bind{}
	case "Close":
		return &pgproto3.Close{}
	case "CopyData":
		return &pgproto3.CopyData{}
	case "CopyDone":
		return &pgproto3.CopyDone{}
	case "CopyFail":
		return &pgproto3.CopyFail{}
	case "Describe":
		return &pgproto3.Describe{}
	case "Execute":
		return &pgproto3.Execute{}
	case "Flush":
		return &pgproto3.Flush{}
	case "Parse":
		return &pgproto3.Parse{}
	case "Query":
		return &pgproto3.Query{}
	case "Sync":
		return &pgproto3.Sync{}
	case "Terminate":
		return &pgproto3.Terminate{}
	}
	return nil
}

// encodeLine appends the message that a line of a script describes: a name and JSON, or "hex" and octets.
func encodeLine(dst []byte, line string) ([]byte, error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	if name == "hex" {
		b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		return append(dst, b...), err
	}
	if name == "CopyData" {
		var text string
		if err := json.Unmarshal([]byte(rest), &text); err != nil {
			return nil, fmt.Errorf("CopyData wants a JSON string: %w", err)
		}
		return (&pgproto3.CopyData{Data: []byte(text)}).Encode(dst)
	}
	m := frontendMessage(name)
	if m == nil {
		return nil, fmt.Errorf("%q is no message of clients", name)
	}
	if rest != "" {
		if err := json.Unmarshal([]byte(rest), m); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
	}
	return m.Encode(dst)
}

// receive reads one message; the text is its line in the script, "closed" when the server ended the connection.
func (c *client) receive() (name, text string, err error) {
	c.nc.SetReadDeadline(time.Now().Add(patience))
	m, err := c.frontend.Receive()
	if err != nil {
		if isClosed(err) {
			return "closed", "closed", nil
		}
		return "", "", err
	}
	if k, ok := m.(*pgproto3.BackendKeyData); ok {
		c.pid, c.secret = k.ProcessID, k.SecretKey
	}
	name = strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
	return name, strings.TrimSpace(name + " " + describe(m)), nil
}

// answered reports whether a message has come, after waiting a moment for it.
func (c *client) answered() bool {
	c.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err := c.in.Peek(1)
	return err == nil
}

func isClosed(err error) bool {
	s := err.Error()
	return err == io.EOF || err == io.ErrUnexpectedEOF || strings.Contains(s, "connection reset") || strings.Contains(s, "EOF")
}
