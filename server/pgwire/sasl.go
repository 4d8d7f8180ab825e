package pgwire

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/jackc/pgproto3/v2"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

const (
	// saslMechanism is the one that is offered.
	saslMechanism = "SCRAM-SHA-256"
	// saslBytesMax bounds the client's messages before it has proven who it is, as in Postgres.
	saslBytesMax = 1024
)

// authenticate asks the client for a password if the engine wants one.
func (c *conn) authenticate(info ConnInfo) error {
	a, ok := c.server.engine.(Authenticator)
	if !ok {
		return nil
	}
	x, err := a.Authenticate(info)
	if err != nil || x == nil {
		return err
	}
	c.out.send(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{saslMechanism}})
	body, err := c.saslMessage()
	if err != nil {
		return err
	}
	first, err := saslInitial(body)
	if err != nil {
		return err
	}
	answer, err := x.First(first)
	if err != nil {
		return err
	}
	c.out.send(&pgproto3.AuthenticationSASLContinue{Data: answer})
	if body, err = c.saslMessage(); err != nil {
		return err
	}
	if answer, err = x.Final(body); err != nil {
		return err
	}
	c.out.send(&pgproto3.AuthenticationSASLFinal{Data: answer})
	return nil
}

// saslMessage sends what waits and reads one message of the exchange.
func (c *conn) saslMessage() ([]byte, error) {
	if err := c.out.flush(); err != nil {
		return nil, err
	}
	var head [5]byte
	if _, err := io.ReadFull(c.nc, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	switch {
	case head[0] == 'X': // a client without a password asks its user, and comes again
		return nil, io.EOF
	case head[0] != 'p':
		return nil, sqlerr.New(sqlerr.ProtocolViolation, "expected SASL response, got message type %d", head[0])
	case n < 4 || n > 4+saslBytesMax:
		return nil, sqlerr.New(sqlerr.ProtocolViolation, "invalid message length")
	}
	body := make([]byte, n-4)
	_, err := io.ReadFull(c.nc, body)
	return body, err
}

// saslInitial takes the mechanism off the client's first message.
func saslInitial(body []byte) ([]byte, error) {
	name, rest, ok := bytes.Cut(body, []byte{0})
	switch {
	case !ok || len(rest) < 4 || int(int32(binary.BigEndian.Uint32(rest))) != len(rest)-4:
		return nil, sqlerr.New(sqlerr.ProtocolViolation, "malformed SASL response")
	case string(name) != saslMechanism:
		return nil, sqlerr.New(sqlerr.ProtocolViolation, "client selected an invalid SASL authentication mechanism").
			WithHint("The server offers %s.", saslMechanism)
	}
	return rest[4:], nil
}
