package sink

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

func syslogDef() connector.SinkDef {
	d := connector.SinkDef{
		Name: "syslog",
		Doc: "A message per row as RFC 5424 has it, with octet counting over TCP and TLS (RFC 6587), one per datagram over UDP. Syslog acknowledges nothing: rows " +
			"that were on their way when a connection broke are sent again, and may be there twice; what a receiver loses after it took it, and datagrams, nobody notices.",
		Params: []connector.Param{
			{Name: "address", Doc: "host:port of the receiver"},
			{Name: "protocol", Default: "tcp", Doc: "tcp, tls or udp"},
			{Name: "facility", Default: "16", Doc: "number from 0 to 23; 16 is local0. The severity of messages is that of the query"},
			{Name: "hostname", Doc: "what messages say they come from; default: the machine's name"},
			{Name: "app_name", Default: "vigil", Doc: "the name of the application in messages"},
			{Name: "timeout", Default: "10 seconds", Doc: "for connecting, and for sending a batch"},
		},
		Batch:  100,
		Check:  func(o connector.SinkOptions) error { _, err := newSyslog(o); return err },
		Target: func(o connector.SinkOptions) string { return o.Params["address"] },
	}
	d.Params = append(d.Params, connector.TLSParams...)
	d.New = func(o connector.SinkOptions) (connector.Sink, error) { return newSyslog(o) }
	return d
}

// datagramMax is what a UDP datagram holds, bytes.
const datagramMax = 65_507

// syslog is the Sink.
type syslog struct {
	address, protocol string
	files             connector.TLSFiles
	timeout           time.Duration
	facility          int
	// host, app and id are fields of the header.
	host, app, id string
	conn          net.Conn
	buf, message  []byte
}

var _ connector.Sink = (*syslog)(nil)

func newSyslog(o connector.SinkOptions) (*syslog, error) {
	v := &connector.Values{Connector: "syslog", Params: o.Params}
	s := &syslog{address: v.Needed("address"), protocol: v.OneOf("protocol", "tcp", "tls", "udp"), files: v.TLS(),
		timeout: v.Duration("timeout", 10*time.Second, time.Millisecond, time.Hour), facility: int(v.Int("facility", 16, 0, 23)),
		app: headerField(v.Text("app_name", "vigil"), 48), id: headerField(o.Query, 32)}
	if v.Err != nil {
		return nil, v.Err
	}
	if _, _, err := net.SplitHostPort(s.address); err != nil {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, `option "address" of connector syslog must be host:port, not "%s"`, s.address)
	}
	if s.files != (connector.TLSFiles{}) && s.protocol != "tls" {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "connector syslog reads tls_ca, tls_cert and tls_key with protocol = 'tls' only")
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	s.host = headerField(v.Text("hostname", host), 255)
	return s, nil
}

// headerField is text as a field of the header takes it: printable ASCII without spaces.
func headerField(text string, longest int) string {
	out := strings.Map(func(c rune) rune {
		if c <= ' ' || c >= 0x7f {
			return '_'
		}
		return c
	}, text)
	if out = out[:min(len(out), longest)]; out == "" {
		return "-"
	}
	return out
}

// Open implements connector.Sink.
func (s *syslog) Open(ctx context.Context, at connector.SinkPosition) (connector.SinkPosition, error) {
	if err := s.Close(); err != nil {
		return at, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var err error
	switch s.protocol {
	case "tls":
		var config *tls.Config
		if config, err = s.files.Config(); err != nil {
			return at, err
		}
		s.conn, err = (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", s.address)
	default:
		s.conn, err = (&net.Dialer{}).DialContext(ctx, s.protocol, s.address)
	}
	if err != nil {
		s.conn = nil
		return at, sqlerr.New(sqlerr.ConnectionFailure, "syslog %s: %v", s.address, err)
	}
	return at, nil
}

// Close implements connector.Sink.
func (s *syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	if errors.Is(err, net.ErrClosed) || s.protocol == "tls" {
		return nil // the other side may have been faster
	}
	return err
}

// Deliver implements connector.Sink.
func (s *syslog) Deliver(ctx context.Context, rows []connector.SinkRow) (connector.Delivery, error) {
	var d connector.Delivery
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return d, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetWriteDeadline(time.Unix(1, 0)) }) // the write ends; its error tells
	defer stop()
	s.buf = s.buf[:0]
	for i, r := range rows {
		s.format(r)
		if s.protocol != "udp" {
			s.buf = append(append(strconv.AppendInt(s.buf, int64(len(s.message)), 10), ' '), s.message...)
			continue
		}
		if len(s.message) > datagramMax {
			d.Dead = append(d.Dead, connector.DeadLetter{Row: i, Code: "TOO_LARGE", Reason: "the row is larger than a datagram; use protocol = 'tcp'"})
		} else if _, err := s.conn.Write(s.message); err != nil {
			return d, s.broken(err)
		}
		d.Done = i + 1
	}
	if s.protocol != "udp" {
		if err := s.send(); err != nil {
			return d, s.broken(err)
		}
	}
	d.Done = len(rows)
	return d, nil
}

func (s *syslog) broken(err error) error {
	return sqlerr.New(sqlerr.ConnectionFailure, "syslog %s: %v", s.address, err)
}

// send writes to a connection that the receiver has not closed, before or meanwhile.
func (s *syslog) send() error {
	if err := s.alive(); err != nil {
		return err
	}
	if _, err := s.conn.Write(s.buf); err != nil {
		return err
	}
	return s.alive()
}

// alive asks whether the receiver has closed the connection: it never says anything else.
func (s *syslog) alive() error {
	if err := s.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return err
	}
	var b [256]byte
	for {
		_, err := s.conn.Read(b[:])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("the receiver closed the connection")
		case err != nil:
			return err
		}
	}
}

// severities are those of syslog, by a query's severity.
func severities(n int) int {
	switch {
	case n >= 9:
		return 2
	case n >= 7:
		return 3
	case n >= 4:
		return 4
	case n >= 2:
		return 5
	}
	return 6
}

// format makes the message of a row. Its time is that of the row's epoch, so that a row that is sent again is the same.
func (s *syslog) format(r connector.SinkRow) {
	m := append(s.message[:0], '<')
	m = strconv.AppendInt(m, int64(s.facility*8+severities(r.Severity)), 10)
	m = append(m, ">1 "...)
	m = time.UnixMicro(r.Clock).UTC().AppendFormat(m, "2006-01-02T15:04:05.000000Z")
	for _, field := range []string{s.host, s.app, "-", s.id, "-"} {
		m = append(append(m, ' '), field...)
	}
	s.message = append(append(m, ' '), r.Body...)
}
