package pgwire

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Client is a small Postgres client for vigil's own tools: one connection, simple queries, results as text. It is not for
// concurrent use.
type Client struct {
	conn net.Conn
	fe   *pgproto3.Frontend
	// OnNotice takes notices; nil drops them.
	OnNotice func(severity, message string)
}

// dialTimeout bounds connecting.
const dialTimeout = 10 * time.Second

// Dial connects to a server without authentication.
func Dial(addr, user string) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, dialTimeout)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, fe: pgproto3.NewFrontend(pgproto3.NewChunkReader(conn), conn)}
	err = c.fe.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber,
		Parameters: map[string]string{"user": user, "database": "vigil", "application_name": "vigil"}})
	if err == nil {
		err = c.until(nil)
	}
	if err != nil {
		_ = conn.Close() // the first error is the one to tell
		return nil, err
	}
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() error {
	_ = c.fe.Send(&pgproto3.Terminate{}) // a courtesy
	return c.conn.Close()
}

// Query runs a query string; row takes each row as text (nil for NULL), valid during the call. An error is an *sqlerr.Error
// when the server sent it.
func (c *Client) Query(sql string, row func(fields [][]byte) error) error {
	if err := c.fe.Send(&pgproto3.Query{String: sql}); err != nil {
		return err
	}
	return c.until(row)
}

// until reads to ReadyForQuery and returns the first error on the way.
func (c *Client) until(row func([][]byte) error) error {
	var first error
	for {
		msg, err := c.fe.Receive()
		if err != nil {
			return err
		}
		switch m := msg.(type) {
		case *pgproto3.ReadyForQuery:
			return first
		case *pgproto3.ErrorResponse:
			if first == nil {
				first = serverError(m)
			}
			if m.Severity == "FATAL" {
				return first
			}
		case *pgproto3.NoticeResponse:
			if c.OnNotice != nil {
				c.OnNotice(m.Severity, m.Message)
			}
		case *pgproto3.DataRow:
			if row != nil && first == nil {
				first = row(m.Values)
			}
		case *pgproto3.CopyInResponse:
			if err := c.fe.Send(&pgproto3.CopyFail{Message: "this client sends no COPY data"}); err != nil {
				return err
			}
		case *pgproto3.AuthenticationOk, *pgproto3.ParameterStatus, *pgproto3.BackendKeyData, *pgproto3.CommandComplete,
			*pgproto3.RowDescription, *pgproto3.EmptyQueryResponse, *pgproto3.NotificationResponse,
			*pgproto3.CopyOutResponse, *pgproto3.CopyData, *pgproto3.CopyDone:
		default:
			return fmt.Errorf("the server asks for something this client does not do (%T)", m)
		}
	}
}

func serverError(m *pgproto3.ErrorResponse) error {
	e := &sqlerr.Error{Code: sqlerr.Code(m.Code), Message: m.Message, Detail: m.Detail, Hint: m.Hint, Position: int(m.Position), Where: m.Where}
	return e
}

// Lines counts how an error's position falls into lines: the 1-based line of a 1-based character position in sql.
func Lines(sql string, position int) string {
	line := 1
	for i, r := range []rune(sql) {
		if i+1 >= position {
			break
		}
		if r == '\n' {
			line++
		}
	}
	return strconv.Itoa(line)
}
