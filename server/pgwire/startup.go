package pgwire

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgproto3/v2"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

const (
	// databaseName is the one database that a server has.
	databaseName = "vigil"
	// startupBytesMax bounds the packets before authentication, as in Postgres.
	startupBytesMax = 10_000

	protocolMajor    = 3
	protocolLatest   = protocolMajor << 16
	cancelCode       = 1234<<16 | 5678
	sslCode          = 1234<<16 | 5679
	gssCode          = 1234<<16 | 5680
	startupRequests  = 3 // at most: GSS, SSL, then the start-up message
	protocolOptional = "_pq_."
)

// start runs the start-up phase and makes the session; ok is false when the connection is over.
func (c *conn) start() (ok bool) {
	// The end of the connection's context unblocks reads and writes of this phase.
	if c.nc.SetDeadline(time.Now().Add(c.server.opts.StartupTimeout)) != nil {
		return false
	}
	err := c.negotiate()
	if err == nil && c.session != nil {
		c.nc.SetDeadline(time.Time{})
		return true
	}
	var e *sqlerr.Error
	if errors.As(err, &e) {
		c.server.refused.Add(1) // before the client can know
		c.out.send(errorResponse(e, "FATAL"))
		c.out.flush()
		c.server.opts.Logger.Info("connection refused", "remote", c.nc.RemoteAddr().String(), "reason", e.Message)
	}
	return false
}

// negotiate answers requests for encryption until the start-up message comes. A nil error without a session is a
// connection that only wanted to cancel.
func (c *conn) negotiate() error {
	for range startupRequests {
		code, body, err := c.startupPacket()
		if err != nil {
			return err
		}
		switch code {
		case sslCode:
			err = c.answerTLS()
		case gssCode:
			_, err = c.nc.Write([]byte{'N'})
		case cancelCode:
			if len(body) == 8 {
				c.server.cancel(int32(binary.BigEndian.Uint32(body)), binary.BigEndian.Uint32(body[4:]))
			}
			return nil
		default:
			return c.startSession(code, body)
		}
		if err != nil {
			return err
		}
	}
	return sqlerr.New(sqlerr.ProtocolViolation, "expected a start-up message after %d requests for encryption", startupRequests)
}

// startupPacket reads exactly one packet, so that nothing sent in the clear can slip into the encrypted stream.
func (c *conn) startupPacket() (code uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c.nc, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 8 || n > startupBytesMax {
		return 0, nil, sqlerr.New(sqlerr.ProtocolViolation, "invalid length of startup packet")
	}
	body = make([]byte, n-8)
	if _, err := io.ReadFull(c.nc, body); err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint32(head[4:]), body, nil
}

// answerTLS starts TLS, or says that there is none and leaves it to the client to go on.
func (c *conn) answerTLS() error {
	if c.server.opts.TLS == nil {
		_, err := c.nc.Write([]byte{'N'})
		return err
	}
	if _, ok := c.nc.(*tls.Conn); ok {
		return sqlerr.New(sqlerr.ProtocolViolation, "the connection is encrypted already")
	}
	if _, err := c.nc.Write([]byte{'S'}); err != nil {
		return err
	}
	t := tls.Server(c.nc, c.server.opts.TLS)
	if err := t.HandshakeContext(c.ctx); err != nil {
		return err
	}
	c.nc, c.out.nc = t, t
	return nil
}

// startSession reads the start-up message and connects to the engine.
func (c *conn) startSession(code uint32, body []byte) error {
	if code>>16 != protocolMajor {
		return sqlerr.New(sqlerr.FeatureNotSupported, "unsupported frontend protocol %d.%d: server supports 3.0 to 3.0",
			code>>16, code&0xffff)
	}
	params, err := startupParams(body)
	if err != nil {
		return err
	}
	info := ConnInfo{User: params["user"], Database: params["database"], Params: params, Remote: c.nc.RemoteAddr().String()}
	_, info.TLS = c.nc.(*tls.Conn)
	delete(params, "user")
	delete(params, "database")
	c.negotiateVersion(code, params)
	if info.User == "" {
		return sqlerr.New(sqlerr.InvalidAuthorization, "no PostgreSQL user name specified in startup packet")
	}
	if !c.server.enroll(c) {
		return sqlerr.New(sqlerr.TooManyConnections, "sorry, too many clients already")
	}
	if err := c.authenticate(info); err != nil {
		return err
	}
	c.out.send(&pgproto3.AuthenticationOk{})
	info.PID, info.Control = c.pid, c
	if err := checkStartup(&info); err != nil {
		return err
	}
	c.replication = info.Replication
	if err := c.connect(info); err != nil {
		return sqlerr.As(err)
	}
	c.greet()
	return nil
}

// connect makes the session.
func (c *conn) connect(info ConnInfo) error {
	return c.guard(func() error {
		session, err := c.server.engine.Connect(c.ctx, info)
		if err != nil {
			return err
		}
		c.session, c.notifications = session, session.Notifications()
		return nil
	})
}

// startupParams reads pairs of strings up to an empty name.
func startupParams(body []byte) (map[string]string, error) {
	params := map[string]string{}
	r := cursor{b: body}
	for {
		name := r.string()
		if name == "" {
			break
		}
		params[name] = r.string()
	}
	if r.end() != nil {
		return nil, sqlerr.New(sqlerr.ProtocolViolation, "invalid startup packet layout: expected terminator as last byte")
	}
	return params, nil
}

// checkStartup refuses clients that ask for what there is not, and names the database.
func checkStartup(info *ConnInfo) error {
	switch v := strings.ToLower(info.Params["replication"]); v {
	case "", "false", "off", "no", "0":
	case "database":
		info.Replication = true
	case "true", "on", "yes", "1":
		return sqlerr.NotSupported("physical replication", "Use SUBSCRIBE to follow a query's results.")
	default:
		return sqlerr.New(sqlerr.InvalidParameterValue, "invalid value for parameter %q: %q", "replication", v).
			WithHint(`Valid values are: "false", 0, "true", 1, "database".`)
	}
	// A client that is not told a database asks for one called as the user.
	if d := info.Database; d != "" && d != databaseName && d != info.User {
		return sqlerr.New(sqlerr.InvalidCatalogName, "database %q does not exist", d).
			WithHint("The database is called %q.", databaseName)
	}
	info.Database = databaseName
	return nil
}

// negotiateVersion tells a client that asked for a newer minor version or for protocol options what there is instead.
func (c *conn) negotiateVersion(code uint32, params map[string]string) {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if strings.HasPrefix(name, protocolOptional) {
			unknown = append(unknown, name)
			delete(params, name)
		}
	}
	if code == protocolLatest && unknown == nil {
		return
	}
	o := &c.out
	o.begin('v')
	o.buf = binary.BigEndian.AppendUint32(o.buf, protocolLatest)
	o.buf = binary.BigEndian.AppendUint32(o.buf, uint32(len(unknown)))
	for _, name := range unknown {
		o.buf = append(append(o.buf, name...), 0)
	}
	o.end()
}

// greet tells the client what it must know; ReadyForQuery follows from loop.
func (c *conn) greet() {
	params := c.session.Parameters()
	c.known = maps.Clone(params)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		c.out.send(&pgproto3.ParameterStatus{Name: withoutZero(name), Value: withoutZero(params[name])})
	}
	c.out.send(&pgproto3.BackendKeyData{ProcessID: uint32(c.pid), SecretKey: c.secret})
}
