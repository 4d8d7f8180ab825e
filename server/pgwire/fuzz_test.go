package pgwire_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/tests/wire/fakeengine"
)

// logFailure fails the test when the server logs a panic.
type logFailure struct{ t *testing.T }

// Write implements io.Writer for a slog handler.
func (l logFailure) Write(b []byte) (int, error) {
	l.t.Errorf("logged: %s", b)
	return len(b), nil
}

// converse sends bytes to a fresh server and reads until it closes.
func converse(t *testing.T, data []byte) {
	ln := newPipeListener()
	s := pgwire.NewServer(&fakeengine.Engine{}, pgwire.Options{
		MessageBytesMax: 1 << 16, StartupTimeout: time.Minute, Logger: panicLogger(t),
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), ln) }()
	client, server := net.Pipe()
	client.SetDeadline(time.Now().Add(10 * time.Second))
	ln.conns <- server
	go func() {
		client.Write(data)
		client.Close()
	}()
	_, err := io.Copy(io.Discard, client)
	if os.IsTimeout(err) {
		t.Error("the server neither answers nor closes")
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	<-served
}

// FuzzStartup sends arbitrary first bytes.
func FuzzStartup(f *testing.F) {
	f.Add([]byte(startupMessage))
	f.Add([]byte("\x00\x00\x00\x08\x04\xd2\x16\x2f" + startupMessage))
	f.Add([]byte("\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x09\x00\x03\x00\x02\x00"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(converse)
}

// FuzzMessages sends arbitrary bytes after a good start.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("Q\x00\x00\x00\x12SELECT 1 AS a\x00X\x00\x00\x00\x04"))
	f.Add([]byte("P\x00\x00\x00\x1c\x00SELECT $1::int4 AS p\x00\x00\x00B\x00\x00\x00\x0f\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00" +
		"D\x00\x00\x00\x06P\x00E\x00\x00\x00\x09\x00\x00\x00\x00\x01C\x00\x00\x00\x06S\x00S\x00\x00\x00\x04H\x00\x00\x00\x04"))
	f.Add([]byte("Q\x00\x00\x00\x16COPY t FROM STDIN\x00d\x00\x00\x00\x06a\nc\x00\x00\x00\x04f\x00\x00\x00\x05\x00"))
	f.Add([]byte("F\x00\x00\x00\x04p\x00\x00\x00\x04"))
	f.Add([]byte("B\x00\x00\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		converse(t, append([]byte(startupMessage), data...))
	})
}

func panicLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(logFailure{t}, &slog.HandlerOptions{Level: slog.LevelError}))
}
