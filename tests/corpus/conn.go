package corpus

import (
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// patience bounds the wait for one message.
const patience = 20 * time.Second

// conn speaks the protocol message by message.
type conn struct {
	nc net.Conn
	fe *pgproto3.Frontend
	tx byte
	// pid and secret are what a cancel request names.
	pid    uint32
	secret []byte
}

// result is what the server answered to one statement.
type result struct {
	tag     string
	columns []column
	rows    [][]*string
	code    string
	message string
	copy    string
}

func dial(addr string, params map[string]string) (*conn, error) {
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	c := &conn{nc: nc, fe: pgproto3.NewFrontend(nc, nc)}
	p := map[string]string{"user": "vigil", "database": "vigil"}
	for k, v := range params {
		if k != "_protocol" {
			p[k] = v
		}
	}
	c.fe.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: p})
	list, err := c.answers()
	if err == nil && len(list) > 0 && list[0].code != "" {
		err = fmt.Errorf("%s %s", list[0].code, list[0].message)
	}
	return c, err
}

// answers flushes what was sent and reads up to ReadyForQuery.
func (c *conn) answers() ([]result, error) {
	if err := c.fe.Flush(); err != nil {
		return nil, err
	}
	var out []result
	var cur result
	end := func() { out = append(out, cur); cur = result{} }
	for {
		_ = c.nc.SetReadDeadline(time.Now().Add(patience))
		m, err := c.fe.Receive()
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.RowDescription:
			for _, f := range m.Fields {
				cur.columns = append(cur.columns, column{string(f.Name), f.DataTypeOID, f.TypeModifier})
			}
		case *pgproto3.DataRow:
			cur.rows = append(cur.rows, textRow(m.Values))
		case *pgproto3.CommandComplete:
			cur.tag = string(m.CommandTag)
			end()
		case *pgproto3.EmptyQueryResponse:
			cur.tag = "EmptyQueryResponse"
			end()
		case *pgproto3.PortalSuspended:
			cur.tag = "PortalSuspended"
			end()
		case *pgproto3.CopyOutResponse:
			cur.copy = "out"
		case *pgproto3.BackendKeyData:
			c.pid, c.secret = m.ProcessID, m.SecretKey
		case *pgproto3.CopyInResponse:
			if cur.copy = "in"; m.OverallFormat == 1 {
				c.fe.Send(&pgproto3.CopyData{Data: emptyBinary})
			}
			c.fe.Send(&pgproto3.CopyDone{})
			if err := c.fe.Flush(); err != nil {
				return nil, err
			}
		case *pgproto3.ErrorResponse:
			cur.code, cur.message = m.Code, m.Message
			end()
		case *pgproto3.ReadyForQuery:
			c.tx = m.TxStatus
			if cur.columns != nil {
				end() // described, not run
			}
			return out, nil
		}
	}
}

// emptyBinary is COPY's binary format without a row: signature, flags, no extension, the end.
var emptyBinary = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff")

// cancel asks the server again and again to cancel what the connection runs, until stop is closed: a request that comes
// before the statement has begun is lost.
func (c *conn) cancel(addr string, stop <-chan struct{}) {
	for {
		if nc, err := net.DialTimeout("tcp", addr, patience); err == nil {
			b, err := (&pgproto3.CancelRequest{ProcessID: c.pid, SecretKey: c.secret}).Encode(nil)
			if err == nil {
				_, _ = nc.Write(b) // a request that does not arrive is repeated
			}
			nc.Close()
		}
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func textRow(values [][]byte) []*string {
	row := make([]*string, len(values))
	for i, v := range values {
		if v != nil {
			s := string(v)
			row[i] = &s
		}
	}
	return row
}

// query runs a query string by the simple protocol.
func (c *conn) query(sql string) ([]result, error) {
	c.fe.Send(&pgproto3.Query{String: sql})
	return c.answers()
}

// extended prepares, describes and, unless describeOnly, runs a statement with its parameters.
func (c *conn) extended(e *entry, params []param, resultFormat int16, describeOnly bool) ([]result, error) {
	parse := &pgproto3.Parse{Query: e.SQL}
	bind := &pgproto3.Bind{ResultFormatCodes: []int16{resultFormat}}
	for _, p := range params {
		parse.ParameterOIDs = append(parse.ParameterOIDs, p.OID)
		format, value := p.Format, []byte(nil)
		if p.Value != nil {
			value = []byte(*p.Value)
			if rest, ok := strings.CutPrefix(*p.Value, `\x`); ok && format == 1 {
				b, err := hex.DecodeString(rest)
				if err != nil {
					return nil, err
				}
				value = b
			} else {
				format = 0 // the recording holds the text of a binary value
			}
		}
		bind.ParameterFormatCodes = append(bind.ParameterFormatCodes, format)
		bind.Parameters = append(bind.Parameters, value)
	}
	c.fe.Send(parse)
	if describeOnly {
		c.fe.Send(&pgproto3.Describe{ObjectType: 'S'})
	} else {
		c.fe.Send(bind)
		c.fe.Send(&pgproto3.Describe{ObjectType: 'P'})
		limit := uint32(0)
		if len(e.MaxRows) > 0 {
			limit = uint32(e.MaxRows[0])
		}
		c.fe.Send(&pgproto3.Execute{MaxRows: limit})
	}
	c.fe.Send(&pgproto3.Sync{})
	return c.answers()
}
