package pgwire

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Options bound what clients may take. The zero Options means the defaults that are named at each field.
type Options struct {
	// ConnectionsMax is how many sessions may exist at once (1200); the next client gets 53300.
	ConnectionsMax int
	// TLS answers an SSLRequest; nil: the server says that it has no TLS.
	TLS *tls.Config
	// StartupTimeout is the time from accept to the end of authentication (60 s).
	StartupTimeout time.Duration
	// WriteTimeout is how far a client may be behind one that reads 4 KiB/s before its connection is closed (30 s): for so long
	// it may leave a write blocked.
	WriteTimeout time.Duration
	// MessageBytesMax bounds one message from a client, CopyData aside, which streams (64 MiB).
	MessageBytesMax int
	// StatementsMax bounds the named statements, and separately the portals, of one connection (10,000).
	StatementsMax int
	// Logger receives panics of the engine and refused connections; nil: nothing is logged.
	Logger *slog.Logger
}

// withDefaults fills in the zero fields.
func (o Options) withDefaults() Options {
	defaultTo(&o.ConnectionsMax, 1200)
	defaultTo(&o.StartupTimeout, 60*time.Second)
	defaultTo(&o.WriteTimeout, 30*time.Second)
	defaultTo(&o.MessageBytesMax, 64<<20)
	defaultTo(&o.StatementsMax, 10_000)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func defaultTo[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// errShutdown is what clients are told when the server ends.
var errShutdown = sqlerr.New(sqlerr.AdminShutdown, "terminating connection due to administrator command")

// errCanceled is the result of a statement that a CancelRequest stopped.
var errCanceled = sqlerr.New(sqlerr.QueryCanceled, "canceling statement due to user request")

// errSlow is what a client is told that does not read, if it reads that.
var errSlow = sqlerr.New(sqlerr.InsufficientResources, "terminating connection because the client reads too slowly").
	WithHint("Read rows as they come, or ask for fewer at a time: with LIMIT, a cursor, or conditions.")

// errGone is why statements of a client that went away are cancelled; nobody is left to read it.
var errGone = sqlerr.New(sqlerr.ConnectionFailure, "connection to client lost")

// Server accepts connections and runs their statements on an Engine. Its methods may be called from any goroutine.
type Server struct {
	engine Engine
	opts   Options

	// draining is closed when Shutdown begins.
	draining  chan struct{}
	drainOnce sync.Once
	// connections counts the goroutines of connections, those still starting included.
	connections sync.WaitGroup
	// refused, cancels, panics and slow are what Stats tells.
	refused, cancels, panics, slow atomic.Int64

	mu        sync.Mutex // guards what follows; never held during I/O or a call into Engine
	listeners map[net.Listener]struct{}
	open      map[*conn]struct{} // every accepted connection
	sessions  map[int32]*conn    // those past start-up, by process id
	lastPID   int32
}

// NewServer makes a server; nothing happens before Serve.
func NewServer(e Engine, o Options) *Server {
	return &Server{
		engine:    e,
		opts:      o.withDefaults(),
		draining:  make(chan struct{}),
		listeners: map[net.Listener]struct{}{},
		open:      map[*conn]struct{}{},
		sessions:  map[int32]*conn{},
	}
}

// Serve accepts connections from ln, which it closes, until Shutdown is called or ctx ends. It returns after the last of
// its connections is gone: nil after Shutdown or the end of ctx, otherwise what Accept failed with. The end of ctx
// closes connections at once; Shutdown lets running statements finish.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		ln.Close()
		s.closeAll()
	})
	defer stop()
	if !s.addListener(ln) {
		ln.Close()
		return nil
	}
	err := s.accept(ctx, ln)
	s.removeListener(ln)
	s.connections.Wait()
	if ctx.Err() != nil || s.isDraining() {
		return nil
	}
	return fmt.Errorf("accept Postgres connections on %s: %w", ln.Addr(), err)
}

// accept starts a goroutine per connection until the listener fails for good.
func (s *Server) accept(ctx context.Context, ln net.Listener) error {
	for {
		nc, err := ln.Accept()
		if err != nil {
			if isTemporary(err) && s.pause(ctx) {
				continue
			}
			return err
		}
		c := newConn(ctx, s, nc)
		if !s.admit(c) {
			s.refused.Add(1)
			c.close()
			continue
		}
		go func() {
			defer s.connections.Done()
			defer s.forget(c)
			_ = c.guard(func() error { c.serve(); return nil }) // the server outlives any bug of one connection
		}()
	}
}

// isTemporary tells a failed accept that the next one may survive: too few file descriptors, a client that left again.
func isTemporary(err error) bool {
	var ne net.Error
	//lint:ignore SA1019 the net package offers nothing else for EMFILE and ECONNABORTED
	return errors.As(err, &ne) && ne.Temporary()
}

// pause waits a moment before the next accept, so that a lack of file descriptors does not become a busy loop. It
// reports whether to go on.
func (s *Server) pause(ctx context.Context) bool {
	t := time.NewTimer(20 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.draining:
	case <-ctx.Done():
	}
	return false
}

// admit counts a connection in, unless the server is draining or twice ConnectionsMax sockets are open: those beyond the
// maximum may only cancel, and be told 53300.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() || len(s.open) >= 2*s.opts.ConnectionsMax {
		return false
	}
	s.open[c] = struct{}{}
	s.connections.Add(1)
	return true
}

// enroll gives a started connection its process id and secret; ok is false when the server is full.
func (s *Server) enroll(c *conn) (ok bool) {
	var secret [4]byte
	rand.Read(secret[:]) // never fails
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= s.opts.ConnectionsMax {
		return false
	}
	for next := true; next; next = s.sessions[s.lastPID] != nil {
		s.lastPID = s.lastPID%math.MaxInt32 + 1
	}
	c.pid, c.secret = s.lastPID, binary.BigEndian.Uint32(secret[:])
	s.sessions[c.pid] = c
	return true
}

// forget counts a connection out.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	if s.sessions[c.pid] == c {
		delete(s.sessions, c.pid)
	}
}

// cancel stops the running statement of the session with this process id, if the secret is right.
func (s *Server) cancel(pid int32, secret uint32) {
	s.mu.Lock()
	c := s.sessions[pid]
	s.mu.Unlock()
	var want, got [4]byte
	binary.BigEndian.PutUint32(got[:], secret)
	if c == nil {
		return
	}
	binary.BigEndian.PutUint32(want[:], c.secret)
	if subtle.ConstantTimeCompare(want[:], got[:]) == 1 {
		s.cancels.Add(1)
		c.cancelStatement(errCanceled)
	}
}

// Connections returns how many sessions are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Stats are counts since the server was made, for metrics.
type Stats struct {
	// Refused connections did not get a session: the server was full, or start-up failed.
	Refused int64
	// Cancels are CancelRequests with the right secret.
	Cancels int64
	// Panics of the engine that were turned into XX000.
	Panics int64
	// Slow are connections that were closed because the client read too slowly.
	Slow int64
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	return Stats{Refused: s.refused.Load(), Cancels: s.cancels.Load(), Panics: s.panics.Load(), Slow: s.slow.Load()}
}

// Shutdown stops accepting, tells idle clients 57P01, cancels live subscriptions (those that have called Output.Flush) and
// lets other statements finish until ctx ends; then it closes what is left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drainOnce.Do(func() {
		s.mu.Lock()
		close(s.draining)
		for ln := range s.listeners {
			ln.Close()
		}
		for c := range s.open {
			if s.sessions[c.pid] == c {
				c.drain()
			} else {
				c.abort(errShutdown) // still starting
			}
		}
		s.mu.Unlock()
	})
	done := make(chan struct{})
	go func() {
		s.connections.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.closeAll()
	<-done
	return ctx.Err()
}

// closeAll ends every connection without waiting for it.
func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.abort(errShutdown)
	}
}

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// addListener reports false when the server is already draining.
func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) removeListener(ln net.Listener) {
	s.mu.Lock()
	delete(s.listeners, ln)
	s.mu.Unlock()
	ln.Close()
}
