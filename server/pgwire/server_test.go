package pgwire_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/tests/wire/fakeengine"
)

// harness is a running server.
type harness struct {
	*pgwire.Server
	engine *fakeengine.Engine
	addr   string
	served chan error
}

func newEngine() *fakeengine.Engine {
	return &fakeengine.Engine{Sleeping: make(chan struct{}, 16), Release: make(chan struct{})}
}

// start serves on a loopback port until the test ends.
func start(t *testing.T, o pgwire.Options) *harness {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{engine: newEngine(), addr: ln.Addr().String(), served: make(chan error, 1)}
	h.Server = pgwire.NewServer(h.engine, o)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { h.served <- h.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-h.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := h.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return h
}

// connect makes a client connection without a pool.
func (h *harness) connect(t *testing.T) *pgconn.PgConn {
	t.Helper()
	c, err := h.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func (h *harness) dial(ctx context.Context) (*pgconn.PgConn, error) {
	return pgconn.Connect(ctx, "postgres://u@"+h.addr+"/vigil?sslmode=disable")
}

// wantCode fails the test unless err is an ErrorResponse with this SQLSTATE.
func wantCode(t *testing.T, err error, code, message string) {
	t.Helper()
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, message) {
		t.Fatalf("error %v, want %s %q", err, code, message)
	}
}

func TestConnectionsMax(t *testing.T) {
	h := start(t, pgwire.Options{ConnectionsMax: 2})
	first := h.connect(t)
	h.connect(t)
	_, err := h.dial(t.Context())
	wantCode(t, err, "53300", "sorry, too many clients already")
	// A full server still takes CancelRequests.
	go func() {
		<-h.engine.Sleeping
		first.CancelRequest(context.Background())
	}()
	_, err = first.Exec(t.Context(), "SELECT pg_sleep(60)").ReadAll()
	wantCode(t, err, "57014", "canceling statement due to user request")
	if got := h.Stats(); got != (pgwire.Stats{Refused: 1, Cancels: 1}) {
		t.Errorf("stats %+v", got)
	}
	first.Close(t.Context())
	for h.Connections() == 2 { // the server has yet to notice
		runtime.Gosched()
	}
	h.connect(t)
}

func TestSocketsMax(t *testing.T) {
	h := start(t, pgwire.Options{ConnectionsMax: 1})
	for range 2 { // twice the maximum, still before their start-up messages
		nc, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := nc.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want the connection closed", n, err)
	}
}

func TestShutdownTellsIdleClientsAndWaitsForStatements(t *testing.T) {
	h := start(t, pgwire.Options{})
	idle, live, busy := h.connect(t), h.connect(t), h.connect(t)
	liveDone, busyDone := make(chan error, 1), make(chan error, 1)
	go func() { _, err := live.Exec(context.Background(), "SUBSCRIBE").ReadAll(); liveDone <- err }()
	go func() { _, err := busy.Exec(context.Background(), "SELECT pg_sleep(60)").ReadAll(); busyDone <- err }()
	<-h.engine.Sleeping
	<-h.engine.Sleeping
	ctx, stopWaiting := context.WithCancel(context.Background())
	shut := make(chan error, 1)
	go func() { shut <- h.Shutdown(ctx) }()

	_, err := idle.ReceiveMessage(t.Context())
	wantCode(t, err, "57P01", "terminating connection due to administrator command")
	wantCode(t, <-liveDone, "57P01", "") // a subscription has no end of its own
	if _, err := h.dial(t.Context()); err == nil {
		t.Error("a draining server accepts connections")
	}
	select {
	case err := <-busyDone:
		t.Fatalf("Shutdown did not wait for the statement: %v", err)
	default:
	}
	stopWaiting()
	wantCode(t, <-busyDone, "57P01", "")
	if err := <-shut; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown = %v, want context.Canceled", err)
	}
}

// TestShutdownBeginsNothing: statements that were pipelined behind the running one do not start.
func TestShutdownBeginsNothing(t *testing.T) {
	h := start(t, pgwire.Options{})
	idle, c := h.connect(t), h.connect(t)
	c.Frontend().SendQuery(queryMessage("WAIT"))
	c.Frontend().SendQuery(queryMessage("WAIT"))
	if err := c.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	<-h.engine.Sleeping
	shut := make(chan error, 1)
	go func() { shut <- h.Shutdown(context.Background()) }()
	if _, err := idle.ReceiveMessage(t.Context()); err == nil {
		t.Fatal("the idle client was not told")
	}
	h.engine.Release <- struct{}{}
	select {
	case err := <-shut:
		if err != nil {
			t.Error(err)
		}
	case <-h.engine.Sleeping:
		t.Error("the second statement runs")
		h.engine.Release <- struct{}{}
	}
}

func TestPanicKeepsTheConnection(t *testing.T) {
	h := start(t, pgwire.Options{})
	c := h.connect(t)
	_, err := c.Exec(t.Context(), "PANIC").ReadAll()
	wantCode(t, err, "XX000", "on purpose")
	if _, err := c.Exec(t.Context(), "SELECT 1 AS a").ReadAll(); err != nil {
		t.Error(err)
	}
	if got := h.Stats().Panics; got != 1 {
		t.Errorf("%d panics were counted", got)
	}
}

func TestShutdownWithoutConnections(t *testing.T) {
	h := start(t, pgwire.Options{})
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestCancelNeedsTheSecret(t *testing.T) {
	h := start(t, pgwire.Options{})
	c := h.connect(t)
	done := make(chan error, 1)
	go func() { _, err := c.Exec(context.Background(), "SELECT pg_sleep(60)").ReadAll(); done <- err }()
	<-h.engine.Sleeping
	key := c.SecretKey()
	secret := binary.BigEndian.Uint32(key)
	for _, wrong := range [][2]uint32{{c.PID(), secret + 1}, {c.PID() + 1, secret}} {
		nc, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		b := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 16, 4, 0xd2, 0x16, 0x2e}, wrong[0])
		nc.Write(binary.BigEndian.AppendUint32(b, wrong[1]))
		if rest, err := io.ReadAll(nc); len(rest) != 0 || err != nil {
			t.Errorf("answer to a cancel request: %q, %v", rest, err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("the statement ended: %v", err)
	default:
	}
	if err := c.CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-done, "57014", "")
}

func TestClientGoneCancels(t *testing.T) {
	h := start(t, pgwire.Options{})
	c := h.connect(t)
	c.Frontend().SendQuery(queryMessage("SELECT pg_sleep(60)"))
	if err := c.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	<-h.engine.Sleeping
	c.Conn().Close()
	// The statement sees the end of its context, else Shutdown would not return.
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStatementsMax(t *testing.T) {
	h := start(t, pgwire.Options{StatementsMax: 2})
	c := h.connect(t)
	for _, name := range []string{"a", "b"} {
		if _, err := c.Prepare(t.Context(), name, "SELECT 1 AS a", nil); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.Prepare(t.Context(), "c", "SELECT 1 AS a", nil)
	wantCode(t, err, "54000", "more than 2 prepared statements")
	f := c.Frontend()
	for _, portal := range []string{"x", "y", "z"} {
		f.SendBind(&pgproto3.Bind{PreparedStatement: "a", DestinationPortal: portal})
	}
	f.SendSync(&pgproto3.Sync{})
	f.Flush()
	var got []string
	for range 4 {
		m, err := f.Receive()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3."))
	}
	if want := "BindComplete BindComplete ErrorResponse ReadyForQuery"; strings.Join(got, " ") != want {
		t.Errorf("three portals of two: %s, want %s", got, want)
	}
	if err := c.Deallocate(t.Context(), "a"); err != nil { // a Close message
		t.Fatal(err)
	}
	if _, err := c.Prepare(t.Context(), "c", "SELECT 1 AS a", nil); err != nil {
		t.Fatal(err)
	}
}

func TestNegotiateProtocolVersion(t *testing.T) {
	h := start(t, pgwire.Options{})
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	body := append([]byte{0, 3, 0, 2}, "user\x00u\x00_pq_.x\x001\x00\x00"...)
	nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(4+len(body))), body...))
	want := "v\x00\x00\x00\x13\x00\x03\x00\x00\x00\x00\x00\x01_pq_.x\x00" + "R\x00\x00\x00\x08\x00\x00\x00\x00"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	h := start(t, pgwire.Options{TLS: config})
	c, err := pgconn.Connect(t.Context(), "postgres://u@"+h.addr+"/vigil?sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, ok := c.Conn().(*tls.Conn); !ok {
		t.Errorf("the connection is a %T", c.Conn())
	}
	if r, err := c.Exec(t.Context(), "SELECT 1 AS a").ReadAll(); err != nil || string(r[0].Rows[0][0]) != "1" {
		t.Errorf("%v, %v", r, err)
	}
}

// pipeListener accepts one end of a net.Pipe, which works in a synctest bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// dial returns the client's end.
func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

// startupMessage is that of user u.
const startupMessage = "\x00\x00\x00\x10\x00\x03\x00\x00user\x00u\x00\x00"

func TestStartupTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		s := pgwire.NewServer(&fakeengine.Engine{}, pgwire.Options{StartupTimeout: time.Minute})
		go s.Serve(t.Context(), ln)
		began := time.Now()
		nc := ln.dial()
		nc.Write([]byte(startupMessage[:5]))
		if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read: %v, want EOF", err)
		}
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("closed after %s, want a minute", waited)
		}
		s.Shutdown(t.Context())
	})
}

func TestSlowReaderIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		s := pgwire.NewServer(&fakeengine.Engine{}, pgwire.Options{WriteTimeout: 30 * time.Second})
		go s.Serve(t.Context(), ln)
		nc := ln.dial()
		go nc.Write([]byte(startupMessage + "Q\x00\x00\x00\x0aFLOOD\x00"))
		buf := make([]byte, 64<<10)
		for total := 0; total < 100_000; { // the rows flow as long as they are read
			n, err := nc.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		began := time.Now()
		synctest.Wait()
		if s.Connections() != 1 {
			t.Fatal("closed too early")
		}
		s.Shutdown(t.Context()) // returns when the connection is gone
		if waited := time.Since(began); waited != 31*time.Second {
			t.Errorf("closed after %s, want 30 s, and one to be told", waited)
		}
	})
}

// flooded is a client of which the server has more rows than it reads, by the clock of a synctest bubble.
func flooded(t *testing.T, log io.Writer) (*pgwire.Server, net.Conn) {
	ln := newPipeListener()
	s := pgwire.NewServer(&fakeengine.Engine{}, pgwire.Options{WriteTimeout: 30 * time.Second, Logger: slog.New(slog.NewTextHandler(log, nil))})
	go s.Serve(t.Context(), ln)
	nc := ln.dial()
	go nc.Write([]byte(startupMessage + "Q\x00\x00\x00\x0aFLOOD\x00"))
	return s, nc
}

// TestTricklingReaderIsClosed: a client that reads just enough for each write to end in time is closed too; one that reads
// as fast as it must is not.
func TestTricklingReaderIsClosed(t *testing.T) {
	for _, c := range []struct {
		every  time.Duration
		closed bool
	}{{29 * time.Second, true}, {5 * time.Second, true}, {4 * time.Second, false}} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			s, nc := flooded(t, &log)
			began, buf := time.Now(), make([]byte, 16<<10)
			err := error(nil)
			for err == nil && time.Since(began) < 20*time.Minute {
				time.Sleep(c.every) // of the bubble's clock
				_, err = io.ReadFull(nc, buf)
			}
			if (err != nil) != c.closed {
				t.Errorf("reading 16 KiB every %s: %v after %s, want closed %t", c.every, err, time.Since(began), c.closed)
			}
			nc.Close()
			s.Shutdown(t.Context())
			if got := s.Stats().Slow == 1; got != c.closed || strings.Contains(log.String(), "reads too slowly") != c.closed {
				t.Errorf("every %s: counted %t, logged %q", c.every, got, log.String())
			}
		})
	}
}

// TestSlowReaderIsTold: what a client that was given up finds, if it reads on at once: whole messages, then why.
func TestSlowReaderIsTold(t *testing.T) {
	for _, first := range []int{0, 1, 7, 1000} { // bytes read before it falls asleep
		synctest.Test(t, func(t *testing.T) {
			s, nc := flooded(t, io.Discard)
			got := make([]byte, 20_000+first)
			if _, err := io.ReadFull(nc, got); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30*time.Second + 500*time.Millisecond) // of the bubble's clock
			rest, _ := io.ReadAll(nc)
			got = append(got, rest...)
			fe := pgproto3.NewFrontend(bytes.NewReader(got), nil)
			for {
				m, err := fe.Receive()
				if err != nil {
					t.Fatalf("%d bytes: the stream of messages breaks: %v", len(got), err)
				}
				if e, ok := m.(*pgproto3.ErrorResponse); ok {
					if e.Code != "53000" || e.Severity != "FATAL" || e.Hint == "" {
						t.Errorf("%+v", e)
					}
					break
				}
			}
			s.Shutdown(t.Context())
		})
	}
}
