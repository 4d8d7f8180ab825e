package pgwire

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgproto3/v2"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// partingTime is how long a client may take to read the last message of a connection that is being closed.
const partingTime = time.Second

// conn is one client. Two goroutines: serve runs statements and writes, input.run reads. Others only call cancelStatement,
// abort and drain.
type conn struct {
	server *Server
	socket net.Conn // as accepted; the one that other goroutines may touch
	nc     net.Conn // socket, or TLS on it
	in     *input
	out    output

	// ctx ends with the connection; its cause is what the client is told, if it is still there.
	ctx       context.Context
	cancelAll context.CancelCauseFunc
	pid       int32
	secret    uint32

	session       Session
	notifications *Queue
	statements    map[string]*prepared
	portals       map[string]*portal
	// known are the reported settings as the client was told at the start and by reportChanged.
	known map[string]string
	// changed are the settings to report before the next ReadyForQuery, one entry per name.
	changed []pgproto3.ParameterStatus
	// replication: a connection of that kind speaks the simple protocol only.
	replication bool
	// idle: ReadyForQuery was sent and no message has come since.
	idle bool
	// skipping: an extended-protocol message failed; everything up to Sync is dropped.
	skipping bool
	// unread bytes belong to a CopyData message that its statement did not read to the end.
	unread int

	mu sync.Mutex // guards running and live; never held during I/O
	// running cancels the statement that runs now; nil between statements.
	running context.CancelCauseFunc
	// live: the running statement is a subscription, which has no end of its own.
	live bool
}

func newConn(ctx context.Context, s *Server, nc net.Conn) *conn {
	c := &conn{server: s, socket: nc, nc: nc, statements: map[string]*prepared{}, portals: map[string]*portal{}}
	c.ctx, c.cancelAll = context.WithCancelCause(ctx)
	c.out = output{ctx: c.ctx, nc: nc, timeout: s.opts.WriteTimeout}
	return c
}

// close ends the connection; it may be called twice.
func (c *conn) close() {
	c.cancelAll(errGone)
	c.nc.Close()
}

// abort ends the connection soon: statements are cancelled, reads fail, and a write has partingTime left. Any goroutine may
// call it.
func (c *conn) abort(cause error) {
	c.cancelAll(cause)
	c.socket.SetReadDeadline(time.Unix(1, 0))
	c.socket.SetWriteDeadline(time.Now().Add(partingTime))
}

// serve runs the connection from its first byte to its last.
func (c *conn) serve() {
	defer c.close()
	if !c.start() {
		return
	}
	var reader sync.WaitGroup
	c.in = newInput(c.nc)
	reader.Go(func() { c.in.run(func() { c.cancelAll(errGone) }) })
	defer reader.Wait()
	defer c.close()
	defer close(c.in.quit)
	defer c.endSession()
	err := c.loop()
	c.farewell(err)
	c.tellSlow()
}

// tellSlow counts and logs that the client was given up because it read too slowly.
func (c *conn) tellSlow() {
	if c.out.slow {
		c.server.slow.Add(1)
		c.server.opts.Logger.Warn("client reads too slowly: its connection is closed", "pid", c.pid, "remote", c.socket.RemoteAddr().String())
	}
}

// endSession releases the engine's objects. It runs after loop, when nothing else uses them.
func (c *conn) endSession() {
	_ = c.guard(c.dropPortals)
	_ = c.guard(func() error {
		for name := range c.statements {
			c.dropStatement(name)
		}
		return nil
	})
	_ = c.guard(func() error { c.session.Close(); return nil })
}

// farewell tells the client why the connection ends, unless it ended it itself.
func (c *conn) farewell(err error) {
	var e *sqlerr.Error
	if err == nil || !errors.As(err, &e) || e == errGone {
		return
	}
	c.out.send(errorResponse(e, "FATAL"))
	c.out.flush()
}

// loop handles messages until the connection ends: nil after Terminate, otherwise why.
func (c *conn) loop() error {
	if err := c.ready(); err != nil {
		return err
	}
	for {
		if err := c.in.skip(c.unread, c.wait); err != nil {
			return err
		}
		c.unread = 0
		if c.idle && c.server.isDraining() { // what the client has pipelined is not begun any more
			return errShutdown
		}
		h, err := c.in.nextHeader(c.server.opts.MessageBytesMax, c.wait)
		if err != nil {
			return err
		}
		c.idle = false
		if isCopyMessage(h.typ) || c.skipping && h.typ != 'S' && h.typ != 'X' {
			// Copy messages outside COPY come from a client that has not yet seen that its COPY failed.
			if err := c.in.skip(h.bytes, c.wait); err != nil {
				return err
			}
			continue
		}
		body, err := c.in.next(h.bytes, c.wait)
		if err != nil {
			return err
		}
		if h.typ == 'X' {
			return nil
		}
		if err := c.handle(h.typ, body); err != nil {
			return err
		}
	}
}

func isCopyMessage(typ byte) bool { return typ == 'd' || typ == 'c' || typ == 'f' }

// wait blocks until input has come. While the connection is idle it sends notifications; when the server drains or the
// connection must end it fails.
func (c *conn) wait() error {
	c.in.recycle()
	select {
	case chunk, ok := <-c.in.full: // what has been received is handled before the connection ends
		return c.received(chunk, ok)
	default:
	}
	expired, limit := c.idleLimit()
	if limit != nil {
		defer limit.Stop()
	}
	for {
		var notifications <-chan struct{}
		if c.idle && c.session.TxStatus() == 'I' {
			notifications = c.notifications.ready
		}
		select {
		case chunk, ok := <-c.in.full:
			return c.received(chunk, ok)
		case <-notifications:
			c.sendPending()
			if err := c.out.flush(); err != nil {
				return err
			}
		case <-c.server.draining:
			return errShutdown
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		case <-tick(limit):
			return expired
		}
	}
}

// idleLimit starts the time that an idle client has; nil: for ever.
func (c *conn) idleLimit() (error, *time.Timer) {
	l, ok := c.session.(IdleLimiter)
	if !ok || !c.idle {
		return nil, nil
	}
	d, err := l.IdleLimit()
	if d <= 0 {
		return nil, nil
	}
	return err, time.NewTimer(d)
}

func tick(t *time.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C
}

// received takes a chunk from the reader, or tells why there are no more.
func (c *conn) received(chunk []byte, ok bool) error {
	if ok {
		c.in.take(chunk)
		return nil
	}
	if cause := context.Cause(c.ctx); cause != nil && !errors.Is(cause, errGone) {
		return cause
	}
	return c.in.readError()
}

// sendPending writes the notifications and notices that are waiting now, no more than that.
func (c *conn) sendPending() {
	for _, n := range c.notifications.Take() {
		if n.Notice != nil {
			c.out.send(noticeResponse(*n.Notice))
			continue
		}
		if n.PID == 0 {
			n.PID = c.pid
		}
		c.out.send(&pgproto3.NotificationResponse{
			PID: uint32(n.PID), Channel: withoutZero(n.Channel), Payload: withoutZero(n.Payload),
		})
	}
}

// ready ends a query: the implicit transaction, notifications, ReadyForQuery.
func (c *conn) ready() error {
	c.skipping = false
	if s, ok := c.session.(Syncer); ok {
		if err := c.guard(s.Sync); err != nil {
			c.report(err)
		}
	}
	status := c.session.TxStatus()
	if status == 'I' {
		if err := c.guard(c.dropPortals); err != nil {
			c.report(err)
		}
		c.sendPending()
	}
	c.reportChanged()
	for i := range c.changed {
		c.out.send(&c.changed[i])
	}
	c.changed = c.changed[:0]
	c.out.send(&pgproto3.ReadyForQuery{TxStatus: status})
	c.idle = true
	return c.out.flush()
}

// reportChanged asks the session for settings that the client does not know.
func (c *conn) reportChanged() {
	r, ok := c.session.(Reporter)
	if !ok {
		return
	}
	now := r.ReportParameters()
	for _, name := range slices.SortedFunc(maps.Keys(now), func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }) {
		if c.known[name] != now[name] {
			c.known[name] = now[name]
			c.changed = append(c.changed, pgproto3.ParameterStatus{Name: withoutZero(name), Value: withoutZero(now[name])})
		}
	}
}

// handle runs one message. Its error ends the connection; errors of statements are reported to the client.
func (c *conn) handle(typ byte, body []byte) error {
	switch typ {
	case 'Q':
		return c.simple(body)
	case 'F':
		c.report(sqlerr.NotSupported("the function call protocol", "Use SELECT function(...)."))
		return c.ready()
	case 'S':
		return c.ready()
	case 'H':
		return c.out.flush()
	}
	if err := c.extended(typ, body); err != nil {
		if isFatal(err) {
			return err
		}
		c.report(err)
		c.skipping = true
		return c.out.flush()
	}
	return c.out.err
}

// run calls f, which uses the engine, with a context that a CancelRequest ends. A panic becomes an error. The error of a
// cancelled statement is the cause of its cancellation.
func (c *conn) run(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(c.ctx)
	c.mu.Lock()
	c.running, c.live = cancel, false
	c.mu.Unlock()
	err := c.guard(func() error { return f(ctx) })
	c.mu.Lock()
	c.running = nil
	c.mu.Unlock()
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}
	cancel(nil)
	if err == nil {
		err = c.out.err
	}
	return err
}

// guard calls f and turns a panic into XX000. Half a row that was being written is taken back.
func (c *conn) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.out.takeBack()
			c.server.panics.Add(1)
			c.server.opts.Logger.Error("panic while running a statement", "pid", c.pid, "panic", fmt.Sprint(p),
				"stack", string(debug.Stack()))
			err = sqlerr.New(sqlerr.InternalError, "internal error: %v", p).
				WithHint("This is a bug of vigil. The server's log has the details.")
		}
	}()
	return f()
}

// report tells the client and the session that a statement failed.
func (c *conn) report(err error) {
	_ = c.guard(func() error { c.session.Fail(); return nil })
	c.out.send(errorResponse(sqlerr.As(err), "ERROR"))
}

// fatalError ends the connection after the client was told.
type fatalError struct{ err *sqlerr.Error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// isFatal reports whether the connection cannot go on: the client is gone, the server ends, or the byte stream is out of
// step. A socket that fails shows at the next flush.
func isFatal(err error) bool {
	var f *fatalError
	return errors.As(err, &f) || errors.Is(err, errShutdown) || errors.Is(err, errGone)
}

// cancelStatement cancels the running statement, if there is one.
func (c *conn) cancelStatement(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		c.running(cause)
	}
}

// Cancel implements Control.
func (c *conn) Cancel() { c.cancelStatement(errCanceled) }

// Terminate implements Control.
func (c *conn) Terminate() { c.abort(errShutdown) }

// setLive marks the running statement as a subscription.
func (c *conn) setLive() {
	c.mu.Lock()
	c.live = true
	c.mu.Unlock()
}

// drain cancels a subscription, which would not end by itself. The server is draining already: one that becomes live
// later sees that in Flush.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil && c.live {
		c.running(errShutdown)
	}
}
